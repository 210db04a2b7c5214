"""Putting the log back to an older state, and accepting that it was put back.

    verify ─► copy beside ─► mark ─► swap folders ─► start ─► migrate ─► new epoch ─► erasures ─► remember ─► unmark

Nothing of the present data changes before the copy is complete and durable; what was there is kept aside under another
name. From the swap on a mark refuses every start until the rest is done, for in between the log looks like one that
lost its end: whoever is interrupted runs the same command again, or `khata restore --accept`, which does the rest.

The database that comes back holds its own read models at their own checkpoints, taken at the same moment as the log,
so they fit: the projector checks the hash at each checkpoint and goes on. The relay makes the new epoch's stream.
Sequences after the restored end will mean other events than they did; the new epoch is what says so to everybody.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import psycopg
from psycopg.rows import scalar_row

from adapters.durable_files import sync_path, write_durably
from adapters.epoch_file import EpochFile
from adapters.postgres.database import Database
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from adapters.security.erasures import ErasuresDamaged
from commands.ports import AppendOutcomeUnknown, StoreUnavailable
from domain.epoch import Epoch, EpochInvalid
from infra.addresses import refuse_unreachable
from infra.backup.manifest import verify_backup
from infra.backup.record import DATA, KEPT, read_record
from infra.backup.taking import Progress, refuse_external
from infra.continuity import LastKnown, find_log, witnesses
from infra.database import DatabaseUrls, prepare_roles
from infra.embedded.nats import EmbeddedNats
from infra.embedded.postgres import EmbeddedPostgres
from infra.erasing import erase_again
from infra.home import Home
from infra.keys import Keys, load_keys
from infra.lock import HomeLock
from infra.migrations.runner import SchemaNewer, migrate
from infra.problems import OperatorProblem
from infra.settings import Settings
from infra.user_keys import move_user_keys

EXTERNAL = (
    "Put a server of your own back with its own tools (stop every role; stop PostgreSQL; put the files of the backup in"
    " place of its data folder; start it), then run `khata restore --accept`: it begins a new epoch and applies the"
    " erasures again. Start the roles after that."
)
_ROOM = 1.1
_FRESH = "data.restored"
_BEGIN_EPOCH = "SELECT log.begin_epoch(%s)"


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of a restore under way: from which backup, and where the data lie that it replaces, if it does."""

    backup: str = ""
    kept_as: str = ""
    begun_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What is there now. `lost_from` … `lost_to` are the sequences known to have been lost, 0 where none are known."""

    epoch: str
    sequence: int
    erasures: int
    lost_from: int = 0
    lost_to: int = 0
    kept_as: str = ""


async def restore_backup(settings: Settings, folder: Path, progress: Progress) -> Restored:
    """Put the backup in *folder* in place of the data of the embedded database, in a new epoch.

    Raises:
        OperatorProblem: the engine runs, the backup is damaged or another installation's, or there is no room.
    """
    refuse_external(settings, EXTERNAL)
    with _locked(settings) as home:
        keys = load_keys(home)
        record = read_record(folder)
        if record.installation != keys.installation:
            raise OperatorProblem(
                f"The backup is of installation {record.installation}, the keys are those of {keys.installation}.",
                remedy="Put the keys folder of that installation in place first: without it nothing can be opened.",
            )
        postgres = EmbeddedPostgres(home, keys, server_user=settings.server_user)
        verify_backup(
            folder / DATA,
            programs=postgres.place.programs,
            progress=lambda done, of: progress("verifying", done, of),
        )
        await postgres.end_what_was_left()
        kept_as = await asyncio.to_thread(_put_in_place, home, postgres, folder, progress)
        return await _finish(settings, home, keys, kept_as=kept_as)


async def accept_restore(settings: Settings) -> Restored:
    """Begin a new epoch on the database as it is, whoever put it back or moved it, and do what belongs to that.

    Raises:
        OperatorProblem: the engine runs, or there is no database.
    """
    with _locked(settings) as home:
        keys = load_keys(home)
        kept_as = ""
        if home.restore_begun.exists():
            kept_as = _finish_swap(home, EmbeddedPostgres(home, keys, server_user=settings.server_user))
        return await _finish(settings, home, keys, kept_as=kept_as)


# --- Files ------------------------------------------------------------------------------------------------------------


def _put_in_place(home: Home, postgres: EmbeddedPostgres, folder: Path, progress: Progress) -> str:
    data = postgres.data
    # Only what is whole has the name that a swap looks for, whatever an earlier restore left lying about.
    copying, fresh = data.with_name("data.copying"), data.with_name(_FRESH)
    for left_over in (copying, fresh):
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        _copy(folder / DATA, copying, postgres, progress)
        copying.rename(fresh)
        sync_path(data.parent)
    except OSError as error:
        raise OperatorProblem(f"The backup cannot be copied to {data.parent}: {error.strerror}.") from error
    finally:
        shutil.rmtree(copying, ignore_errors=True)
    kept = _unused(data.with_name(f"{KEPT}{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"))
    mark = _Begun(backup=str(folder.absolute()), kept_as=str(kept), begun_at_ns=time.time_ns())
    write_durably(home.restore_begun, msgspec.json.encode(mark))
    return _finish_swap(home, postgres)


def _unused(path: Path) -> Path:
    """Return *path*, or the first name after it that nothing has: a restore may be begun twice within a second."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def _finish_swap(home: Home, postgres: EmbeddedPostgres) -> str:
    """Do what is left of swapping the folders, wherever it was interrupted; return where the old data lie."""
    mark = msgspec.json.decode(home.restore_begun.read_bytes(), type=_Begun)
    if not mark.kept_as:
        return ""  # Nothing was to be swapped: somebody else had put the data in place.
    data, fresh, kept = postgres.data, postgres.data.with_name(_FRESH), Path(mark.kept_as)
    if fresh.exists():
        if data.exists() and not kept.exists():
            data.rename(kept)
        fresh.rename(data)
        sync_path(data.parent)
    return str(kept) if kept.exists() else ""


def _copy(source: Path, target: Path, postgres: EmbeddedPostgres, progress: Progress) -> None:
    """Copy a folder, give it to the server's user, and make it durable."""
    files = [path for path in source.rglob("*") if path.is_file()]
    total, done = sum(path.stat().st_size for path in files), 0
    free = shutil.disk_usage(target.parent).free
    if free < total * _ROOM:
        raise OperatorProblem(
            f"{target.parent} has {free >> 20} MiB free, and the backup needs {int(total * _ROOM) >> 20} MiB.",
            remedy="Make room: what is there now is kept beside it.",
        )
    for folder in [source, *(path for path in source.rglob("*") if path.is_dir())]:
        made = target / folder.relative_to(source)
        made.mkdir(mode=0o700)
        postgres.place.own(made)
    for path in files:
        copied = target / path.relative_to(source)
        shutil.copyfile(path, copied)
        copied.chmod(0o600)
        postgres.place.own(copied)
        sync_path(copied)
        done += path.stat().st_size
        progress("copying", done, total)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        sync_path(folder)
    sync_path(target.parent)


# --- Database ---------------------------------------------------------------------------------------------------------


async def _finish(settings: Settings, home: Home, keys: Keys, *, kept_as: str) -> Restored:
    file = EpochFile(home.epoch_file)
    async with _servers(settings, home, keys) as (urls, nats_url):
        try:
            await asyncio.to_thread(migrate, urls.owner)
        except SchemaNewer as problem:
            raise OperatorProblem(f"The schema is newer than this release: {problem}.") from problem
        found = await asyncio.to_thread(find_log, urls.writer)
        assert found is not None, "a migrated database has a log"
        known = [each for witness in witnesses(settings, keys, nats_url) for each in await witness()]
        if not home.restore_begun.exists():
            # From here on a start must wait until the rest is done.
            write_durably(home.restore_begun, msgspec.json.encode(_Begun(begun_at_ns=time.time_ns())))
        epoch = await _begin_epoch(urls, after=[Epoch.parse(found.epoch), *_seen(file), *_epochs(known)])
        try:
            erasures = await erase_again(settings, keys, urls)
            await move_user_keys(settings, urls)
            async with Database(urls.writer, size=1) as database:
                await PostgresRefreshTokens(database).end_everybodys()
        except (StoreUnavailable, AppendOutcomeUnknown, ErasuresDamaged) as fault:
            raise OperatorProblem(
                f"The log is back, but what was erased or ended since could not all be again: {fault}.",
                remedy="Mend that, then run `khata restore --accept`: no engine starts before.",
            ) from fault
        file.accept(Epoch.parse(epoch))
        home.restore_begun.unlink(missing_ok=True)
        sync_path(home.witness)
        lost = max((each.sequence for each in known if each.epoch == found.epoch), default=0)
        is_lost = lost > found.sequence
        return Restored(
            epoch=epoch,
            sequence=found.sequence,
            erasures=erasures,
            lost_from=found.sequence + 1 if is_lost else 0,
            lost_to=lost if is_lost else 0,
            kept_as=kept_as,
        )


async def _begin_epoch(urls: DatabaseUrls, *, after: list[Epoch]) -> str:
    """Begin an epoch after all of *after* that are this cluster's."""
    system = after[0].system
    restores = max(epoch.restores for epoch in after if epoch.system == system)
    async with await psycopg.AsyncConnection.connect(urls.owner, autocommit=True, row_factory=scalar_row) as connection:
        epoch = await (await connection.execute(_BEGIN_EPOCH, [restores])).fetchone()
    return str(epoch)


def _seen(file: EpochFile) -> list[Epoch]:
    try:
        seen = file.read()
    except EpochInvalid:
        return []  # It is damaged, which is one reason to be here.
    return [] if seen is None else [seen]


def _epochs(known: list[LastKnown]) -> list[Epoch]:
    return [Epoch.parse(each.epoch) for each in known]


# --- Servers ----------------------------------------------------------------------------------------------------------


@contextmanager
def _locked(settings: Settings) -> Iterator[Home]:
    """Yield the home, which nobody else uses meanwhile."""
    home = Home(settings.home)
    home.prepare()
    lock = HomeLock(home)
    lock.take()
    try:
        yield home
    finally:
        lock.release()


@asynccontextmanager
async def _servers(settings: Settings, home: Home, keys: Keys) -> AsyncIterator[tuple[DatabaseUrls, str]]:
    """Yield the database and NATS, the embedded ones started for the time being."""
    postgres = EmbeddedPostgres(home, keys, server_user=settings.server_user) if not settings.database_url else None
    nats = EmbeddedNats(home, keys) if not settings.nats_url else None
    if postgres is not None and not (postgres.data / "PG_VERSION").exists():
        raise OperatorProblem(f"There is no database under {home.path}.", remedy="Name a backup: `khata restore DIR`.")
    try:
        urls = await (postgres.start() if postgres else prepare_roles(settings.database_url or "", keys.database))
        if settings.nats_url:
            await refuse_unreachable(settings.nats_url)
        yield urls, settings.nats_url or (await nats.start() if nats else "")
    finally:
        if nats is not None:
            await nats.stop()
        if postgres is not None:
            await postgres.stop()
