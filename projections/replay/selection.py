"""Choosing events of the log: which of them somebody wants to see, and reading no more of it than that takes."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

import msgspec

from domain.envelope import RecordedEvent
from domain.events import Event, EventUnknown, decode
from projections.ports import LogReader
from projections.replay.trees import ERASED, SEALED, Tree, tree_of

PAGE = 1_000


class HistoryReader(LogReader, Protocol):
    """The whole log, streams as well, whatever snapshots there are."""

    async def stream_page(self, stream_id: str, *, after_version: int, limit: int) -> list[RecordedEvent]:
        """Return at most *limit* events of a stream after *after_version*, oldest first, from its very first on."""
        ...


@dataclass(frozen=True, slots=True)
class ReadEvent:
    """An event of the log as far as this release can read it. `obstacle` says why `event` is None: it is opaque."""

    recorded: RecordedEvent
    event: Event | None
    obstacle: str | None = None

    def tree(self, *, erased: frozenset[str] = frozenset()) -> Tree:
        """Return what it says as a tree; the personal fields of users in *erased* appear as such."""
        is_erased = getattr(self.event, "user_id", None) in erased
        return {} if self.event is None else tree_of(self.event, personal=ERASED if is_erased else SEALED)


def read_event(recorded: RecordedEvent) -> ReadEvent:
    """Return *recorded*, decoded where this release can."""
    try:
        return ReadEvent(recorded, decode(recorded.name, recorded.payload))
    except EventUnknown:
        return ReadEvent(recorded, None, f"unknown to this release, {len(recorded.payload)} bytes")
    except msgspec.MsgspecError as error:
        return ReadEvent(recorded, None, f"cannot be read: {error}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events are wanted; what is None, or empty, wants nothing in particular.

    `names` are stored names with wildcards (`order.*`, any of them). Times are UTC microseconds, both included.
    """

    stream_id: str | None = None
    trade_id: str | None = None
    order_id: str | None = None
    names: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    first_sequence: int = 1
    last_sequence: int | None = None

    def takes(self, recorded: RecordedEvent) -> ReadEvent | None:
        """Return *recorded*, decoded, where it is wanted."""
        is_wanted = (
            recorded.sequence >= self.first_sequence
            and not self.is_past(recorded)
            and (self.since_us is None or recorded.recorded_at_us >= self.since_us)
            and self.stream_id in (None, recorded.stream_id)
            and (not self.names or any(fnmatchcase(recorded.name, wanted) for wanted in self.names))
            # Quicker than decoding, and what an event names stands in its bytes.
            and all(wanted.encode() in recorded.payload for wanted in (self.trade_id, self.order_id) if wanted)
        )
        if not is_wanted:
            return None
        read = read_event(recorded)
        if self.trade_id is None and self.order_id is None:
            return read
        names_it = read.event is not None and all(_names(read.event, *pair) for pair in self._wanted_ids())
        return read if names_it else None

    def is_past(self, recorded: RecordedEvent) -> bool:
        """Tell whether neither *recorded* nor any later event is wanted."""
        return (self.last_sequence is not None and recorded.sequence > self.last_sequence) or (
            self.until_us is not None and recorded.recorded_at_us > self.until_us
        )

    def _wanted_ids(self) -> Iterator[tuple[str, str]]:
        if self.trade_id is not None:
            yield "trade_id", self.trade_id
        if self.order_id is not None:
            yield "order_id", self.order_id


def _names(event: Event, field: str, wanted: str) -> bool:
    value: Any = getattr(event, field, None)
    return bool(value == wanted)


def _nobody_looks(_: int) -> None:
    """Let progress pass unseen."""


async def select(
    log: HistoryReader, selection: Selection, *, on_page: Callable[[int], None] = _nobody_looks
) -> AsyncIterator[ReadEvent]:
    """Yield the events of *log* that *selection* wants, oldest first, up to the log's end as it is reached.

    *on_page* is told the last sequence of every page that was read: what is wanted may be rare in a long log.
    """
    pages = _stream_pages(log, selection.stream_id) if selection.stream_id else _pages(log, selection)
    async for page in pages:
        on_page(page[-1].sequence)
        for recorded in page:
            if selection.is_past(recorded):
                return
            read = selection.takes(recorded)
            if read is not None:
                yield read


async def _pages(log: HistoryReader, selection: Selection) -> AsyncIterator[list[RecordedEvent]]:
    after = selection.first_sequence - 1
    if selection.since_us is not None:
        after = max(after, await last_before(log, selection.since_us))
    while page := await log.read_all(after_sequence=after, limit=PAGE):
        yield page
        after = page[-1].sequence


async def _stream_pages(log: HistoryReader, stream_id: str) -> AsyncIterator[list[RecordedEvent]]:
    after = -1
    while page := await log.stream_page(stream_id, after_version=after, limit=PAGE):
        yield page
        after = page[-1].version


async def last_before(log: LogReader, time_us: int) -> int:
    """Return the sequence of the last event recorded before *time_us*, 0 where there is none.

    Times never fall from one event to the next, so that a few looks find the place in a log of any length.
    """
    low, high = 0, (await log.head()).sequence
    while low < high:
        middle = (low + high + 1) // 2
        [event] = await log.read_all(after_sequence=middle - 1, limit=1)
        if event.recorded_at_us < time_us:
            low = middle
        else:
            high = middle - 1
    return low


async def stream_of(log: HistoryReader, selection: Selection) -> str | None:
    """Return the one stream in which the wanted trade or order lies, None where no event names it."""
    if selection.stream_id is not None:
        return selection.stream_id
    async for read in select(log, Selection(trade_id=selection.trade_id, order_id=selection.order_id)):
        return read.recorded.stream_id
    return None
