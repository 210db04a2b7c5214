"""Keys are made once, closed to others, and never quietly made anew."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.home import Home
from infra.keys import WHAT_LOSS_MEANS, ensure_keys, load_keys
from infra.problems import OperatorProblem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_every_key_and_says_what_losing_them_loses(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ensure_keys(home)

    assert capsys.readouterr().err == WHAT_LOSS_MEANS.format(folder=home.keys)
    assert len({keys.master, keys.lookup, keys.simulator}) == 3
    assert keys.signing_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert _mode(home.keys) == 0o700
    assert {_mode(file) for file in home.keys.iterdir()} == {0o400}


def test_the_second_start_finds_them_and_says_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first = ensure_keys(home)
    capsys.readouterr()

    assert ensure_keys(home) == first
    assert capsys.readouterr().err == ""


def test_of_two_first_starts_at_the_same_time_both_use_the_same_keys(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ensure_keys, [home] * 8))

    assert all(keys == found[0] for keys in found)
    assert [entry.name for entry in home.path.glob(".keys-*")] == []


def test_a_lost_key_is_not_made_anew(home: Home) -> None:
    ensure_keys(home)
    (home.keys / "master.key").unlink()

    with pytest.raises(OperatorProblem, match=r"master\.key is missing"):
        ensure_keys(home)


def test_a_key_that_others_may_read_is_refused_with_the_remedy(home: Home) -> None:
    ensure_keys(home)
    (home.keys / "lookup.key").chmod(0o444)

    with pytest.raises(OperatorProblem, match="chmod 0400"):
        load_keys(home)


def test_keys_are_not_shown(home: Home) -> None:
    keys = ensure_keys(home)

    assert keys.database.owner not in repr(keys)
    assert keys.database.owner not in repr(keys.database)
    assert repr(keys.master) not in repr(keys)
