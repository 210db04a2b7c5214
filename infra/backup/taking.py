"""Taking a backup of the log: physical, whole or not there, while the engine runs or not.

In it is the database cluster: events, commands, read models, password hashes. Not in it are the keys folder (whoever
has both has everything), the users' data keys (an erased one must be in no backup that is kept), the archive, the
anchors and the list of erasures (a restore leaves them as they are), JetStream (made anew from the log), and the books
of the paper exchange.
"""

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters.durable_files import sync_path
from infra.backup.manifest import verify_backup
from infra.backup.record import DATA, RECORD, BackupRecord, write_record
from infra.continuity import find_log
from infra.database import DatabaseUrls
from infra.embedded.place import Place, choose_place
from infra.home import PRIVATE, Home, make_folder
from infra.keys import load_keys
from infra.problems import OperatorProblem
from infra.reaching import reach_database
from infra.runtime import running_engine
from infra.settings import Settings

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

_PROGRESS = re.compile(r"(\d+)/(\d+) kB")
_KB = 1024
_ROOM = 1.2
"""What grows meanwhile needs room as well."""
_SIZE = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"
EXTERNAL = (
    "Back up a server of your own with its own tools: `pg_basebackup --checkpoint=fast --wal-method=stream"
    " --manifest-checksums=SHA256 -D DIR`, as a user with REPLICATION, and verify with `pg_verifybackup DIR`."
    " Never a dump: a dump is no state that the log ever had on disk. The users' keys: `khata backup --user-keys DIR`."
)


def refuse_external(settings: Settings, remedy: str) -> None:
    """Let those go on whose database is the embedded one.

    Raises:
        OperatorProblem: it is a server of the user's own.
    """
    engine = running_engine(Home(settings.home))
    if (engine.settings if engine else settings).database_url is not None:
        raise OperatorProblem("The database is a server of your own (KHATA_DATABASE_URL).", remedy=remedy)


async def take_backup(settings: Settings, folder: Path, progress: Progress) -> BackupRecord:
    """Write a verified backup into *folder*, which must not exist or be empty; it is there whole or not at all.

    Raises:
        OperatorProblem: the folder is taken, there is no room, or the backup failed.
    """
    refuse_external(settings, EXTERNAL)
    home = Home(settings.home)
    keys = load_keys(home)
    folder = _free_folder(home, folder)
    place = choose_place(home=home.postgres, installation=keys.installation, user_name=settings.server_user)
    async with reach_database(settings) as urls:
        record = await asyncio.to_thread(_take_into, folder, urls, place, keys.installation, progress)
    record = msgspec.structs.replace(record, path=str(folder))
    write_record(home.last_backup, record)
    return record


def _free_folder(home: Home, folder: Path) -> Path:
    folder = folder.absolute()
    if folder.is_relative_to(home.path.absolute()):
        raise OperatorProblem(f"{folder} lies in the home folder.", remedy="Name a folder on another disk.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OperatorProblem(f"{folder} is not empty.", remedy="Name a folder that does not exist yet.")
    return folder


def _take_into(folder: Path, urls: DatabaseUrls, place: Place, installation: str, progress: Progress) -> BackupRecord:
    beside = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(beside, PRIVATE)
        _refuse_small_disk(urls, folder.parent)
        record = _take(urls, place, beside, installation=installation, progress=progress)
        write_record(beside / RECORD, record)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
        sync_path(folder.parent)
    except OSError as error:
        raise OperatorProblem(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def _take(urls: DatabaseUrls, place: Place, beside: Path, *, installation: str, progress: Progress) -> BackupRecord:
    before = find_log(urls.writer)
    if before is None:
        raise OperatorProblem("The database has no log yet.", remedy="`khata up` makes it.")
    started_at_ns = time.time_ns()
    base_backup(urls, place, beside / DATA, progress)
    after = find_log(urls.writer)
    if after is None or after.epoch != before.epoch:
        raise OperatorProblem("The epoch changed meanwhile.", remedy="Take the backup again.")
    verify_backup(beside / DATA, programs=place.programs, progress=lambda done, of: progress("verifying", done, of))
    return BackupRecord(
        installation=installation,
        epoch=before.epoch,
        sequence_min=before.sequence,
        sequence_max=after.sequence,
        started_at_ns=started_at_ns,
        finished_at_ns=time.time_ns(),
    )


def base_backup(urls: DatabaseUrls, place: Place, data: Path, progress: Progress) -> None:
    """Copy the running cluster into the folder *data*, which does not exist, with all the log it needs to be started.

    Raises:
        OperatorProblem
    """
    admin = conninfo_to_dict(urls.admin)
    command = (
        *(str(place.programs / "pg_basebackup"), "--pgdata", str(data), "--no-password", "--progress"),
        *("--host", str(admin["host"]), "--username", str(admin["user"])),
        *("--wal-method", "stream", "--checkpoint", "fast", "--manifest-checksums", "SHA256"),
    )
    # A variable, because arguments can be read by everybody.
    environment = {"PATH": os.environ.get("PATH", ""), "PGPASSWORD": str(admin["password"])}
    with subprocess.Popen(  # noqa: S603 - a program of the wheel
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None, "it was asked for"
        said: list[str] = []
        for line in running.stderr:  # Universal newlines: its progress ends lines by a carriage return.
            found = _PROGRESS.search(line)
            if found:
                progress("copying", int(found[1]) * _KB, int(found[2]) * _KB)
            elif line.strip():
                said.append(line.strip())
    if running.returncode != 0:
        raise OperatorProblem(f"pg_basebackup failed: {'; '.join(said[-3:]) or running.returncode}.")


def _refuse_small_disk(urls: DatabaseUrls, parent: Path) -> None:
    with closing(psycopg.connect(urls.admin, autocommit=True)) as connection:
        row = connection.execute(_SIZE).fetchone()
    needed, free = int(row[0] * _ROOM) if row else 0, shutil.disk_usage(parent).free
    if free < needed:
        raise OperatorProblem(
            f"{parent} has {free >> 20} MiB free, and the backup may need {needed >> 20} MiB.",
            remedy="Name a folder on a disk with more room.",
        )
