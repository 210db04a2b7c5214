"""The parts of backup and restore that a drill does not reach: interruptions, refusals, the users' keys."""

import os
from pathlib import Path

import msgspec
import pytest

from adapters.security.erasures import ErasureList
from adapters.security.user_key_files import FileUserKeys
from domain.ids import UserId
from infra.backup.restoring import _Begun, _finish_swap, restore_backup
from infra.backup.taking import take_backup
from infra.backup.user_keys import KEEP_DAYS, backup_user_keys, restore_user_keys
from infra.continuity import refuse_unfinished_restore
from infra.embedded.postgres import EmbeddedPostgres
from infra.home import Home
from infra.keys import ensure_keys
from infra.problems import OperatorProblem
from infra.settings import Settings
from tests.support.servers import Servers, make_test_home, remove_test_home

ASHA, RAVI, CAROL, DEEPA = (UserId(f"usr_{name}") for name in ("asha", "ravi", "carol", "deepa"))
OLD, NEW = "old", "new"


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    ensure_keys(made, tell=False)
    return made


@pytest.mark.parametrize("stopped_after", ["mark", "old aside", "new in place"])
def test_a_swap_that_was_interrupted_anywhere_is_finished_and_loses_neither_side(stopped_after: str) -> None:
    home = make_test_home()
    home.prepare()
    try:
        postgres = EmbeddedPostgres(home, ensure_keys(home, tell=False))
        data, fresh = postgres.data, postgres.data.with_name("data.restored")
        kept = data.with_name("data.before-1")
        for folder, content in ((data, OLD), (fresh, NEW)):
            folder.mkdir()
            (folder / "content").write_text(content)
        home.restore_begun.write_bytes(msgspec.json.encode(_Begun(backup="b", kept_as=str(kept), begun_at_ns=1)))
        if stopped_after != "mark":
            data.rename(kept)
        if stopped_after == "new in place":
            fresh.rename(data)
        with pytest.raises(OperatorProblem, match="did not come to its end"):
            refuse_unfinished_restore(home)
        for _ in range(2):
            assert _finish_swap(home, postgres) == str(kept)
            assert ((data / "content").read_text(), (kept / "content").read_text()) == (NEW, OLD)
            assert not fresh.exists()
    finally:
        remove_test_home(home)


def test_a_copy_that_was_interrupted_is_never_swapped_in() -> None:
    home = make_test_home()
    home.prepare()
    try:
        postgres = EmbeddedPostgres(home, ensure_keys(home, tell=False))
        for folder, content in ((postgres.data, OLD), (postgres.data.with_name("data.copying"), NEW)):
            folder.mkdir()
            (folder / "content").write_text(content)
        kept = postgres.data.with_name("data.before-1")
        home.restore_begun.write_bytes(msgspec.json.encode(_Begun(backup="b", kept_as=str(kept), begun_at_ns=1)))
        assert _finish_swap(home, postgres) == ""
        assert (postgres.data / "content").read_text() == OLD
    finally:
        remove_test_home(home)


async def test_a_server_of_the_users_own_is_left_to_its_own_tools(servers: Servers, home: Home, tmp_path: Path) -> None:
    settings = Settings(home=home.path, database_url=servers.database.admin)
    for refused in (take_backup, restore_backup):
        with pytest.raises(OperatorProblem, match="a server of your own") as told:
            await refused(settings, tmp_path / "backup", no_progress)
        assert "pg_basebackup" in told.value.remedy or "--accept" in told.value.remedy


async def test_a_backup_goes_only_where_there_is_nothing(home: Home, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    for folder, why in ((taken, "not empty"), (home.path / "backup", "in the home folder")):
        with pytest.raises(OperatorProblem, match=why):
            await take_backup(Settings(home=home.path), folder, no_progress)
    with pytest.raises(OperatorProblem, match="no database"):
        await take_backup(Settings(home=home.path), tmp_path / "backup", no_progress)
    assert not (tmp_path / "backup").exists()


async def test_users_keys_come_back_but_never_those_of_erased_users(home: Home, tmp_path: Path) -> None:
    settings, store = Settings(home=home.path), FileUserKeys(home.user_keys)
    for user in (ASHA, RAVI, CAROL):
        await store.put(user, "personal", f"key of {user}".encode())
    ErasureList(home.erasures).record(DEEPA, erased_at_ns=1)
    file, keys = await backup_user_keys(settings, tmp_path / "apart")
    assert keys == 3
    home.erasures.unlink()  # As a disk that is lost takes it along.
    assert file.stat().st_mode & 0o077 == 0

    for user in (ASHA, RAVI):
        await store.delete(user, "personal")
    ErasureList(home.erasures).record(RAVI, erased_at_ns=2)
    await store.put(CAROL, "personal", b"a later key")
    assert await restore_user_keys(settings, file) == 1
    assert await store.get(ASHA, "personal") == b"key of usr_asha"
    assert await store.get(RAVI, "personal") is None
    assert await store.get(CAROL, "personal") == b"a later key"
    assert ErasureList(home.erasures).users() == {RAVI, DEEPA}


async def test_backups_of_users_keys_live_a_week_and_apart_from_the_log(home: Home, tmp_path: Path) -> None:
    settings = Settings(home=home.path)
    folder = tmp_path / "apart"
    file, _ = await backup_user_keys(settings, folder)
    old = file.rename(folder / "user-keys-20200101T000000.json")
    long_ago = old.stat().st_mtime - (KEEP_DAYS + 1) * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    file, _ = await backup_user_keys(settings, folder)
    assert file.exists()
    assert not old.exists()

    of_the_log = tmp_path / "backup"
    of_the_log.mkdir()
    (of_the_log / "backup.json").touch()
    for place in (of_the_log, of_the_log / "keys", home.path / "keys"):
        with pytest.raises(OperatorProblem, match="no place"):
            await backup_user_keys(settings, place)
    with pytest.raises(OperatorProblem, match="no users' keys"):
        await restore_user_keys(settings, of_the_log / "backup.json")
