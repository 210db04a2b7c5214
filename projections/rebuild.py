"""Filling a read model anew beside live traffic, and pointing readers to it.

    begin ─► fill from the log by pages ─► near the head: join ─► compare with the old one ─► switch
               (own table, own checkpoint)    (follows the log       (page by page, each at one
                                               with the others)       moment where both have one place)

An edition that joins is kept up to date by the projectors like any other, so that it stands where the old one stands
from their next batch on: no reader and no projector waits for the rebuild. The switch is one transaction on one row.
The old edition follows the log for ten minutes more, for readers that have not heard of the switch and for going back.

A rebuild never skips: an event that cannot be taken in ends it, and the old edition stays in use. A rebuild that is
killed while it fills is taken up where it was; one that is killed later leaves an edition nobody reads, which goes by
itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog

from domain.envelope import RecordedEvent
from domain.events import EVENT_TYPES
from projections.batches import Decoded, project, read_batch
from projections.ports import (
    Checkpoint,
    ClaimLost,
    Clock,
    LogReader,
    Part,
    ViewsRefused,
    ViewsUnavailable,
    ViewWriter,
)
from projections.read_model import AnyReadModel, Key, Row
from projections.row_cache import RowCache
from projections.tasks import end

log = structlog.get_logger(__name__)

PAGE = 5_000
FILL_PAGE = 1_000
"""In a process that has other work: nothing waits for a long page."""
NEAR = 200
"""So few events behind the head, an edition joins: the projectors take them in one batch."""
COMPARED_ROWS = 20_000
LEVEL_WITHIN_S = 30.0
_LEVEL_POLL_S = 0.05
_EXTEND_EVERY_NS = 1_000_000_000
_RETRY_S = 1.0


class RebuildStopped(Exception):
    """The log holds an event that cannot be taken in. The old edition stays in use, the new one is gone."""


class RebuildRunning(Exception):
    """Another rebuild of this read model is at work."""


class EditionsDiffer(Exception):
    """The new edition is not what the old one is. The old one stays in use, the new one is gone."""

    def __init__(self, model: AnyReadModel, where: str) -> None:
        super().__init__(f"{model.table_name} differs from the edition in use in {where}")


class NotLevel(Exception):
    """The two editions did not come to one place in time: no projector is at work, or it stands still."""


class NothingToGoBackTo(Exception):
    """Readers were not pointed elsewhere lately: there is no edition to go back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageComparison:
    """One page of two editions. `is_level`: both stood at one place; else nothing was compared.

    `last_key` is where the page ends, None where it was the last one.
    """

    is_level: bool
    is_equal: bool
    rows: int
    last_key: Key | None


class Editions(ViewWriter, Protocol):
    """The editions of read models, for the one who makes new ones. Everything raises ViewsUnavailable."""

    async def begin(self, model: AnyReadModel) -> tuple[AnyReadModel, Checkpoint]:
        """Return the edition to fill and where it stands: one left behind while it was filling, or a new one.

        Raises:
            RebuildRunning
        """
        ...

    async def extend(self, edition: AnyReadModel) -> None:
        """Keep others from taking the filling up. Raises ClaimLost where one did."""
        ...

    async def unfilled(self, models: Sequence[AnyReadModel]) -> list[AnyReadModel]:
        """Return which of *models* have no edition for their readers yet, but one to be filled."""
        ...

    async def join(self, edition: AnyReadModel, models: Sequence[AnyReadModel]) -> None:
        """Hand a filled edition to the projectors of *models*, in as many shards as they have."""
        ...

    async def in_use(self, model: AnyReadModel) -> AnyReadModel | None:
        """Return the edition that readers of the model's version use, None where there is none yet."""
        ...

    async def why_incomparable(self, edition: AnyReadModel) -> str | None:
        """Return why an edition is not the measure of another: it halted, or streams wait in it. None: it is."""
        ...

    async def compare(self, new: AnyReadModel, old: AnyReadModel, *, after: Key | None, limit: int) -> PageComparison:
        """Compare at most *limit* rows after a key, by a checksum that does not depend on their order."""
        ...

    async def switch(self, edition: AnyReadModel) -> None:
        """Point readers to *edition*, and let what they leave go later."""
        ...

    async def back(self, model: AnyReadModel) -> AnyReadModel:
        """Point readers to the edition they left last and return it. Raises NothingToGoBackTo."""
        ...

    async def abandon(self, edition: AnyReadModel) -> None:
        """Drop an edition that nobody reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a rebuild is: `phase` is `fill`, `join`, `compare` or `switch`; `done` of `total` events or rows."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A rebuild that readers use by now: `events` of the log read in this run, `compared_rows` compared.

    `not_compared` says why nothing was: there was no old edition, or it halted or had parked streams.
    """

    edition: AnyReadModel
    events: int
    compared_rows: int
    not_compared: str | None
    seconds: float


class _Fill(NamedTuple):
    """A page that is folded and has to be written."""

    changes: dict[AnyReadModel, dict[Key, Row | None]]
    advances: dict[Part, tuple[Checkpoint, Checkpoint]]
    after: Checkpoint


class Rebuild:
    """One rebuild of one of *models*, the read models that the projectors keep."""

    def __init__(
        self,
        model: AnyReadModel,
        models: Sequence[AnyReadModel],
        *,
        log: LogReader,
        editions: Editions,
        clock: Clock,
        tell: Callable[[Progress], None] = lambda _: None,
        page: int = PAGE,
    ) -> None:
        self._model = model
        self._models = tuple(models)
        self._log = log
        self._editions = editions
        self._clock = clock
        self._tell = tell
        self._page = page
        self._wanted = frozenset(name for name, event in EVENT_TYPES.items() if event in model.concerns)
        self._events = 0

    async def run(self) -> Rebuilt:
        """Fill, join, compare and switch.

        Raises:
            RebuildStopped, RebuildRunning, EditionsDiffer, NotLevel: the old edition stays in use.
        """
        began_ns = self._clock.monotonic_ns()
        edition, checkpoint = await self._editions.begin(self._model)
        try:
            await self._fill(edition, checkpoint)
            self._tell(Progress(phase="join", done=0, total=0))
            await self._editions.join(edition, self._models)
            rows, reason = await self._compare(edition)
        except (RebuildStopped, EditionsDiffer, NotLevel):
            await self._editions.abandon(edition)
            raise
        self._tell(Progress(phase="switch", done=0, total=0))
        await self._editions.switch(edition)
        seconds = (self._clock.monotonic_ns() - began_ns) / 1_000_000_000
        log.info("read model rebuilt", table=edition.table_name, events=self._events, seconds=round(seconds, 3))
        return Rebuilt(edition=edition, events=self._events, compared_rows=rows, not_compared=reason, seconds=seconds)

    async def _fill(self, edition: AnyReadModel, checkpoint: Checkpoint) -> None:
        cache = RowCache()
        extended_ns = self._clock.monotonic_ns()
        head = (await self._log.head()).sequence
        reading = self._read(checkpoint.sequence)
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                events = await reading
                if events:
                    # The next page is read while this one is folded and written.
                    reading = self._read(events[-1].sequence)
                    if events[0].previous_hash != checkpoint.hash:
                        raise RebuildStopped(
                            f"EPOCH_CHANGED: the log has another event at sequence {checkpoint.sequence}"
                        )
                    known = read_batch(events, only=self._wanted)
                    if known.obstacle is not None:
                        raise RebuildStopped(known.obstacle)
                    # A page is folded while the one before it is written.
                    fill = await self._folded(edition, checkpoint, known.decoded, cache)
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(self._editions.save(fill.changes, fill.advances, {}))
                    checkpoint = fill.after
                    self._events += len(events)
                head = max(head, checkpoint.sequence)
                self._tell(Progress(phase="fill", done=checkpoint.sequence, total=head))
                if len(events) < min(NEAR, self._page):
                    if writing is not None:
                        await writing
                    return
                if self._clock.monotonic_ns() - extended_ns > _EXTEND_EVERY_NS:
                    await self._editions.extend(edition)
                    extended_ns = self._clock.monotonic_ns()
                    head = (await self._log.head()).sequence
        finally:
            await end(*(task for task in (reading, writing) if task is not None))

    def _read(self, after_sequence: int) -> asyncio.Task[list[RecordedEvent]]:
        async def read() -> list[RecordedEvent]:
            return await self._log.read_all(after_sequence=after_sequence, limit=self._page)

        return asyncio.create_task(read())

    async def _folded(
        self, edition: AnyReadModel, before: Checkpoint, decoded: Sequence[Decoded], cache: RowCache
    ) -> _Fill:
        part = Part(edition, 0)
        [projection] = project({part: before}, decoded, may_park=False)
        rows: dict[Key, Row | None] = {}
        if missing := cache.take(projection.wanted(), rows):
            rows.update((await self._editions.load({edition: missing}))[edition])
        projection.fold(rows)
        if projection.after.halted is not None:
            raise RebuildStopped(projection.after.halted)
        if not edition.only_grows:
            cache.put(rows)
        changes = {edition: projection.changes} if projection.changes else {}
        return _Fill(changes, {part: (before, projection.after)}, projection.after)

    async def _compare(self, edition: AnyReadModel) -> tuple[int, str | None]:
        """Return how many rows were compared, and why none was."""
        old = await self._editions.in_use(self._model)
        if old is None:
            return 0, "there is no edition of this version in use"
        if (reason := await self._editions.why_incomparable(old)) is not None:
            return 0, reason
        rows, after = 0, None
        while True:
            page = await self._level_page(edition, old, after)
            rows += page.rows
            if not page.is_equal:
                raise EditionsDiffer(edition, f"the rows after {'/'.join(after)}" if after else "its first rows")
            self._tell(Progress(phase="compare", done=rows, total=0))
            if page.last_key is None:
                return rows, None
            after = page.last_key

    async def _level_page(self, new: AnyReadModel, old: AnyReadModel, after: Key | None) -> PageComparison:
        try:
            async with asyncio.timeout(LEVEL_WITHIN_S):
                while True:
                    page = await self._editions.compare(new, old, after=after, limit=COMPARED_ROWS)
                    if page.is_level:
                        return page
                    await asyncio.sleep(_LEVEL_POLL_S)
        except TimeoutError:
            raise NotLevel(
                f"{new.table_name} and {old.table_name} did not come to one place within {LEVEL_WITHIN_S:.0f} s"
            ) from None


async def fill_missing(
    models: Sequence[AnyReadModel], *, log_reader: LogReader, editions: Editions, clock: Clock
) -> None:
    """Fill those of *models* that are new to the views, or have a new version, one after the other.

    Whatever goes wrong is tried again: readers of this release wait for it, those of the last release have theirs.
    """
    while True:
        try:
            missing = await editions.unfilled(models)
            if not missing:
                return
            for model in missing:
                await Rebuild(model, models, log=log_reader, editions=editions, clock=clock, page=FILL_PAGE).run()
        except (RebuildStopped, RebuildRunning, NotLevel, ClaimLost, ViewsRefused, ViewsUnavailable) as fault:
            log.warning("a read model is not filled yet", fault=type(fault).__name__, detail=str(fault))
        await asyncio.sleep(_RETRY_S)
