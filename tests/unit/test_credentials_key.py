"""The executor's key: made once, closed to others, and in two halves."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.credentials_key import ensure_credentials_key, load_opening_key, load_sealing_key
from infra.home import Home
from infra.problems import OperatorProblem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_the_halves_belong_together_and_are_for_their_owner_alone(home: Home) -> None:
    ensure_credentials_key(home)
    sealing, opening = load_sealing_key(home), load_opening_key(home)
    assert opening.public_key().public_bytes_raw() == sealing.public_bytes_raw()
    assert stat.S_IMODE(home.credentials.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.credentials.iterdir()} == {0o400}


def test_of_several_who_make_it_at_once_all_use_one(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ensure_credentials_key, [home] * 8))
    before = load_sealing_key(home).public_bytes_raw()
    ensure_credentials_key(home)
    assert load_sealing_key(home).public_bytes_raw() == before
    assert list(home.path.glob(".credentials-*")) == []


def test_who_seals_needs_no_half_that_opens(home: Home) -> None:
    ensure_credentials_key(home)
    (home.credentials / "executor.key").unlink()
    ensure_credentials_key(home)
    assert len(load_sealing_key(home).public_bytes_raw()) == 32
    with pytest.raises(OperatorProblem, match=r"executor\.key cannot be read"):
        load_opening_key(home)


def test_a_damaged_key_is_named(home: Home) -> None:
    ensure_credentials_key(home)
    public = home.credentials / "executor.pub"
    public.unlink()
    public.write_bytes(b"short")
    with pytest.raises(OperatorProblem, match="has 5 bytes, expected 32"):
        load_sealing_key(home)
