"""The commands that look back and look after the log, as somebody types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.home import Home
from infra.keys import ensure_keys

ROOT = Path(__file__).parents[2]


def khata(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-m", "infra.cli", *words),
        env={**os.environ, "KHATA_HOME": str(home)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backup",), "never both"),
        (("restore", "somewhere"), "holds no backup"),
        (("erase", "usr_1", "--yes"), "no database"),
        (("reconcile",), "Name the accounts"),
        (("reconcile", "acc_1", "--all"), "Name the accounts"),
        (("reconcile", "--all"), "No engine runs"),
        (("kill",), "Name the accounts"),
        (("kill", "acc_1", "--all"), "Name the accounts"),
        (("kill", "acc_1", "--release", "--flatten"), "closes nothing"),
        (("kill", "acc_1"), "no database"),
        (("corporate-action", "c-1", "RELIANCE", "--ratio", "2", "--effective-on", "2026-11-27"), "no ratio"),
        (("corporate-action", "c-1", "RELIANCE", "--ratio", "2:1", "--effective-on", "27/11"), "no date"),
        (("corporate-action", "c-1", "RELIANCE", "--ratio", "2:1", "--effective-on", "2026-11-27"), "no database"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_trace(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    ensure_keys(home, tell=False)
    ran = khata(home.path, *words)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_answers_for_machines_are_one_line_of_json(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    ensure_keys(home, tell=False)
    ran = khata(home.path, "backup", "--user-keys", str(tmp_path / "apart"), "--json")
    answer = json.loads(ran.stdout)
    assert answer["keys"] == 0
    assert Path(answer["file"]).is_file()
