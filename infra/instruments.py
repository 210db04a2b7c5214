"""The instrument master of an installation: which one is used, and how a newer one becomes it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from adapters.archive.parquet import ParquetArchive
from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.instrument_store.directory import InstrumentDirectory
from adapters.instrument_store.master import StoredMaster
from adapters.instrument_store.store import InstrumentStore, MasterDamaged, MasterVersion
from adapters.instruments import InstrumentMaster
from adapters.postgres.event_store import PostgresEventStore
from commands.instrument_imports import InstrumentImports, LastImport
from commands.ports import AppendOutcomeUnknown, StoreUnavailable, VersionConflict
from domain.envelope import Metadata
from domain.instrument import Instrument
from domain.instrument_master import InstrumentsImported
from domain.refusals import InvalidInput
from infra.database import DatabaseUrls
from infra.home import Home
from infra.places import archive_folder
from infra.problems import OperatorProblem
from infra.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from adapters.instrument_store.changes import Changes
    from adapters.instrument_store.definitions import MasterRead
    from adapters.instrument_store.merging import Merged

Master = InstrumentMaster | StoredMaster
_BY_OPERATOR = Metadata(actor="operator", source="command line")
_DAMAGED_REMEDY = "Put the folder back from a copy; without it, the table that is shipped is used again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did. `sequence` is None where the master said nothing new, and nothing was recorded."""

    event: InstrumentsImported
    sequence: int | None


def load_master(settings: Settings) -> Master:
    """Return the imported master, or the table that is shipped where none was imported.

    Raises:
        OperatorProblem: what was imported cannot be read.
    """
    try:
        return store_of(settings).master() or InstrumentMaster.load()
    except MasterDamaged as damaged:
        raise OperatorProblem(f"The instrument master is damaged: {damaged}.", remedy=_DAMAGED_REMEDY) from None


class ImportedMasterDay:
    """Of which day the imported master is. Implements `commands.ports.MasterDay`."""

    def __init__(self, settings: Settings) -> None:
        self._store = store_of(settings)

    def day(self) -> str | None:
        """Return it as it is by now; a master that cannot be read is of no day."""
        try:
            current = self._store.current()
        except MasterDamaged:
            return ""
        return None if current is None else current.day


def watched(master: Master, symbols: str, *, market_time_ns: int) -> tuple[Instrument, ...]:
    """Return what ticks are wanted of: all that is shipped, and *symbols* (parted by commas).

    Each is as it was when its tick was finest, for a price of any day lies on that tick.

    Raises:
        OperatorProblem: a symbol means nothing.
    """
    keys = {each.key for each in InstrumentMaster.load().finest()}
    for symbol in filter(None, map(str.strip, symbols.split(","))):
        try:
            keys.add(master.by_symbol(symbol, market_time_ns=market_time_ns).key)
        except InvalidInput as refusal:
            raise OperatorProblem(
                f"KHATA_FEED_SYMBOLS: {refusal.message}.", remedy="`khata instruments search` finds symbols."
            ) from None
    definitions = (master.definitions(key) for key in sorted(keys))
    return tuple(
        min((each.instrument for each in dated), key=lambda each: each.tick_e4) for dated in definitions if dated
    )


def directory_of(settings: Settings, master: Master) -> InstrumentDirectory:
    """Return what can be looked up and searched in *master*."""

    def history() -> "pl.DataFrame":
        if isinstance(master, InstrumentMaster):
            return _shipped()
        versions = store_of(settings)
        current = versions.current()
        assert current is not None, "an imported master has a version"
        return versions.history(current)

    return InstrumentDirectory(master, history)


def changes_in(settings: Settings, version: int | None) -> "tuple[int, Changes]":
    """Return a version (None: the one in use) and what it changed.

    Raises:
        OperatorProblem: there is no such version, or what was imported cannot be read.
    """
    from adapters.instrument_store.changes import changes_of  # noqa: PLC0415 - it loads polars

    versions = store_of(settings)
    try:
        current = versions.current()
        if current is None:
            raise OperatorProblem("Nothing was imported.", remedy="`khata instruments import` makes the first version.")
        number = current.version if version is None else version
        if number > current.version:
            raise OperatorProblem(f"There is no version {number}.", remedy=f"The newest is {current.version}.")
        return number, changes_of(versions.history(current), number)
    except MasterDamaged as damaged:
        raise OperatorProblem(f"The instrument master is damaged: {damaged}.", remedy=_DAMAGED_REMEDY) from None


def difference_of(settings: Settings, recorded: InstrumentsImported | None) -> str:
    """Return how the files that are used differ from what the log *recorded* last, empty where they do not."""
    versions = store_of(settings)
    try:
        current = versions.current()
        if current != (None if recorded is None else _version_of(recorded)):
            used = "the table that is shipped" if current is None else f"version {current.version}"
            newest = "no import" if recorded is None else f"version {recorded.version}"
            return f"Used is {used}, the log has {newest}: import again, or put the folder back from a copy."
        if current is not None:
            versions.history(current)
    except MasterDamaged as damaged:
        return f"The instrument master is damaged: {damaged}. {_DAMAGED_REMEDY}"
    return ""


def store_of(settings: Settings) -> InstrumentStore:
    """Return the versions of this installation."""
    return InstrumentStore(Home(settings.home).instruments)


@asynccontextmanager
async def open_imports(settings: Settings, database: DatabaseUrls) -> AsyncIterator[InstrumentImports]:
    """Yield the record of imports in the log of *database*."""
    log = PostgresEventStore(database.writer, archive=ParquetArchive(archive_folder(settings)))
    async with log as store:
        yield InstrumentImports(store=store, ids=SystemIds(SystemClock()))


async def import_master(
    imports: InstrumentImports,
    versions: InstrumentStore,
    read: "MasterRead",
    *,
    on: date,
    is_partial: bool = False,
    is_complete: bool = False,
    is_anew: bool = False,
) -> Imported:
    """Make a master that was *read*, which is of the day *on*, the next version, and record it.

    What *is_partial* and *is_complete* say of it, `adapters.instrument_store.merging.merge` tells. *is_anew*: the files
    of the versions before are lost, so the history begins again with this one.

    The files come first, the event next, and taking them into use last: whatever stops in between, the log says which
    version is the newest, and the same import again ends what was begun.

    Raises:
        OperatorProblem: it is older than the newest or lacks too much, or the folder or the log cannot be written.
    """
    last = await imports.last()
    event = last.imported
    if event is not None and on.isoformat() < event.day:
        raise OperatorProblem(
            f"Version {event.version} is of {event.day}, which is after {on}.", remedy="A master is imported in order."
        )
    try:
        merged = await _merged(
            versions, read, last, on=on, is_partial=is_partial, is_complete=is_complete, is_anew=is_anew
        )
        if event is not None and not merged.has_changed:
            versions.use(_version_of(event))
            return Imported(event=event, sequence=None)
        written = await asyncio.to_thread(
            versions.write, merged.history, version=last.stream_version + 1, day=on.isoformat()
        )
        recorded = _event_of(written, read, merged)
        sequence = await imports.record(recorded, _BY_OPERATOR, after=last)
        versions.use(written)
    except MasterDamaged as damaged:
        raise OperatorProblem(
            f"Version {event and event.version} of the instrument master is in the log, but {damaged}.",
            remedy="Put the folder `instruments` back from a copy, or say --anew to begin the history again.",
        ) from None
    except OSError as error:
        raise OperatorProblem(
            f"The instrument master cannot be written: {error.strerror}.", remedy="Import again when there is room."
        ) from None
    except VersionConflict:
        raise OperatorProblem("Another import came first.", remedy="Import again, if this is the newer one.") from None
    except (StoreUnavailable, AppendOutcomeUnknown) as fault:
        raise OperatorProblem(f"The import is not sure to be recorded: {fault}.", remedy="Import again.") from fault
    return Imported(event=recorded, sequence=sequence)


async def _merged(
    versions: InstrumentStore,
    read: "MasterRead",
    last: LastImport,
    *,
    on: date,
    is_partial: bool,
    is_complete: bool,
    is_anew: bool,
) -> "Merged":
    from adapters.instrument_store.merging import MasterLacksMany, merge  # noqa: PLC0415 - it loads polars

    before = last.stream_version
    known = await asyncio.to_thread(_known, versions, None if is_anew else last.imported)
    try:
        return await asyncio.to_thread(
            merge, known, read, on=on, version=before + 1, is_partial=is_partial, is_complete=is_complete
        )
    except MasterLacksMany as lacking:
        raise OperatorProblem(
            f"Is this a whole master? Beside version {before} {lacking}.",
            remedy="Say --partial of a part of a master, or --complete if all of it is really gone.",
        ) from None


def _known(versions: InstrumentStore, before: InstrumentsImported | None) -> "pl.DataFrame":
    return _shipped() if before is None else versions.history(_version_of(before))


def _shipped() -> "pl.DataFrame":
    from adapters.instrument_store.merging import history_of  # noqa: PLC0415 - it loads polars

    return history_of(InstrumentMaster.load().whole())


def _version_of(event: InstrumentsImported) -> MasterVersion:
    return MasterVersion(
        version=event.version, day=event.day, content_hash=event.content_hash, history_hash=event.history_hash
    )


def _event_of(written: MasterVersion, read: "MasterRead", merged: "Merged") -> InstrumentsImported:
    return InstrumentsImported(
        version=written.version,
        day=written.day,
        content_hash=written.content_hash,
        history_hash=written.history_hash,
        source_hash=read.source_hash,
        layout=read.layout,
        rows=read.rows,
        unusable=dict(read.unusable),
        listed=merged.listed,
        added=merged.added,
        changed=merged.changed,
        renamed=merged.renamed,
        delisted=merged.delisted,
        expired=merged.expired,
    )
