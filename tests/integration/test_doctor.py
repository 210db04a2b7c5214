"""What the doctor says of epoch, backups, users' keys and erasures, with a remedy for whatever is wrong."""

import time
from pathlib import Path

import psycopg
import pytest

from adapters.epoch_file import EpochFile
from adapters.security.erasures import ErasureList
from adapters.security.user_key_files import FileUserKeys
from domain.epoch import Epoch
from domain.ids import UserId
from infra.backup.record import BackupRecord, write_record
from infra.check import Check
from infra.checks_kept import check_what_is_kept
from infra.continuity import check_continuity
from infra.database import DatabaseUrls
from infra.home import Home
from infra.settings import Settings

ASHA = UserId("usr_asha")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


async def found(home: Home, database: DatabaseUrls) -> dict[str, Check]:
    checks = await check_what_is_kept(Settings(home=home.path), database.admin)
    assert all(check.remedy for check in checks if not check.ok)
    assert not any(check.remedy for check in checks if check.ok)
    return {check.name: check for check in checks}


async def test_a_fresh_installation_is_well(home: Home, database: DatabaseUrls) -> None:
    checks = await found(home, database)
    assert set(checks) == {"restore", "backup", "erasures", "instruments", "user keys", "epoch"}
    assert all(check.ok for check in checks.values())
    assert "`khata backup DIR`" in checks["backup"].detail


async def test_what_is_wrong_is_named(home: Home, database: DatabaseUrls) -> None:
    await check_continuity(home, database.writer, [])
    present = EpochFile(home.epoch_file).read()
    assert present is not None
    EpochFile(home.epoch_file).accept(Epoch(present.system, present.timeline, present.restores + 1))
    month_ago_ns = time.time_ns() - 30 * 24 * 3600 * 10**9
    record = BackupRecord(
        installation="i",
        epoch=str(present),
        sequence_min=7,
        sequence_max=9,
        started_at_ns=month_ago_ns,
        finished_at_ns=month_ago_ns,
        path=str(home.path / "gone"),
    )
    write_record(home.last_backup, record)
    ErasureList(home.erasures).record(ASHA, erased_at_ns=1)
    await FileUserKeys(home.user_keys).put(ASHA, "personal", b"came back")
    home.restore_begun.touch()
    with psycopg.connect(database.admin) as admin:
        admin.execute("INSERT INTO keys.user_keys VALUES ('usr_ravi', 'personal', 'wrapped')")

    checks = await found(home, database)
    assert {name for name, check in checks.items() if not check.ok} == {
        *("restore", "backup", "user keys", "epoch", "user keys beside the log")
    }
    assert "720 hours old, up to sequence 7" in checks["backup"].detail
    assert "usr_asha" in checks["user keys"].detail
    assert "restore --accept" in checks["epoch"].remedy


async def test_a_damaged_list_and_an_open_folder_are_named(home: Home, database: DatabaseUrls) -> None:
    home.erasures.write_text("nonsense\n")
    home.epoch_file.write_text("nonsense")
    home.user_keys.chmod(0o755)
    checks = await found(home, database)
    assert {name for name, check in checks.items() if not check.ok} == {"erasures", "user keys", "epoch"}
    assert "chmod 0700" in checks["user keys"].remedy
