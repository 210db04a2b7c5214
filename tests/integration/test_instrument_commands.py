"""`khata instruments` on a real log: what is imported is recorded, found and shown, and told from what was."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.database import DatabaseUrls
from infra.problems import OperatorProblem
from tests.support import scrip_masters as rows
from tests.support.scrip_masters import write_master
from tests.support.servers import Servers


class Operator:
    """Somebody at a command line, with a home folder of their own on the database of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, *words: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["instruments", *map(str, words)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    def asked(self, *words: object, exit_code: int = 0) -> Any:
        code, text = self.run(*words, "--json")
        assert code == exit_code, text
        return json.loads(text)

    def bring(self, *lines: str, day: str = "2025-09-26") -> Any:
        return self.asked("import", write_master(self._folder, *lines), "--day", day)


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, servers: Servers, database: DatabaseUrls, tmp_path: Path) -> Operator:
    home = tmp_path / "home"
    home.mkdir()
    # The passwords of the roles are those of the running server.
    (home / "keys").symlink_to(servers.home.keys)
    monkeypatch.setenv("KHATA_HOME", str(home))
    monkeypatch.setenv("KHATA_DATABASE_URL", database.admin)
    monkeypatch.setenv("COLUMNS", "200")
    return Operator(tmp_path)


def test_a_master_is_imported_recorded_and_used(operator: Operator) -> None:
    assert operator.asked("imports") == {"imports": [], "problem": ""}
    first = operator.bring(*rows.WHOLE, rows.TCS)
    assert (first["sequence"], first["imported"]["version"]) == (1, 1)
    assert first["imported"]["unusable"] == {"key_repeated": 1}
    assert operator.bring(*rows.WHOLE)["sequence"] is None

    renamed = [each.replace(",TCS,", ",TATACONS,") for each in rows.WHOLE if each != rows.RELAXO]
    second = operator.bring(*renamed, day="2025-09-27")
    assert (second["sequence"], second["imported"]["renamed"], second["imported"]["delisted"]) == (2, 1, 1)

    changes = operator.asked("diff")
    assert [each["symbol"] for each in changes["renamed"]] == ["TATACONS"]
    assert [each["symbol"] for each in changes["delisted"]] == ["RELAXO"]
    assert len(operator.asked("diff", 1)["added"]) == first["imported"]["added"]
    _, text = operator.run("diff")
    assert "TATACONS (NSE_EQ:11536): symbol TCS → TATACONS" in text

    recorded = operator.asked("imports")
    assert recorded == {"imports": [first["imported"], second["imported"]], "problem": ""}

    found = operator.asked("search", "bse", "relaince")["instruments"]
    assert found[0]["symbol"] == "BSE:RELIANCE"
    _, text = operator.run("search", "tata", "consultancy")
    assert "TATACONS" in text
    dated = operator.asked("show", "TCS")["definitions"]
    assert [each["instrument"]["symbol"] for each in dated][-2:] == ["TCS", "TATACONS"]
    assert [each["instrument"]["symbol"] for each in operator.asked("show", "NSE_EQ:3032")["definitions"]] == ["RELAXO"]
    _, text = operator.run("show", "656MH32")
    assert "NSE_EQ:1000 from the beginning until now:" in text
    with pytest.raises(OperatorProblem, match="There is no such instrument"):
        operator.run("show", "NIFTY-Oct2025-25000-CE")


def test_files_that_are_not_those_of_the_log_are_told(operator: Operator, tmp_path: Path) -> None:
    operator.bring(*rows.WHOLE)
    (tmp_path / "home" / "instruments" / "current.json").unlink()
    problem = operator.asked("imports", exit_code=1)["problem"]
    assert problem.startswith("Used is the table that is shipped, the log has version 1")


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--partial", "--complete"), "Nothing was imported"), ((), "expected those of a compact or detailed master")],
)
def test_what_is_no_master_is_refused_with_what_to_do(
    operator: Operator, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    path = write_master(tmp_path, "RELIANCE,2850", header="symbol,price")
    with pytest.raises(OperatorProblem, match=message):
        operator.run("import", path, *words)


def test_without_an_import_there_is_nothing_to_compare(operator: Operator) -> None:
    with pytest.raises(OperatorProblem, match="Nothing was imported"):
        operator.run("diff")
    assert operator.asked("search", "rel")["instruments"][0]["symbol"] == "RELIANCE"
