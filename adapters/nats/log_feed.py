"""The log as it grows, by way of JetStream: fast while all is well, and never waited for.

    read the log by pages ─► caught up ─► take what the stream brings, each event checked against the one before it
         ▲                                       │
         └── a hole, a wrong hash, a lost stream, silence while the log is ahead ◄┘

What comes out is the log whatever the transport does: it may lose, repeat, reorder or invent messages. Each event's own
hash and its link to the hash before are computed anew; what does not fit is read from the log instead.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass

import msgspec
import nats.errors
import structlog

from adapters.nats.connection import NatsConnection
from adapters.nats.stream import decode
from adapters.nats.stream_reader import StreamLost, StreamReader
from commands.ports import StoreUnavailable
from domain.envelope import GENESIS_HASH, RecordedEvent, is_intact
from projections.ports import LogReader
from projections.tasks import end

log = structlog.get_logger(__name__)

PAGE = 1_000
SILENCE_S = 0.25
SHUN_S = 1.0
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0
_SILENCES_MAX = 2
_OPENING_S = 0.01
"""How long a stream may take to open before the log is read meanwhile; twice as long each time."""


class HistoryChanged(Exception):
    """The log holds another event where the last one was read: it was put back to an older state. Start anew."""


@dataclass(slots=True)
class FeedMetrics:
    """What a feed did: counts since its start."""

    from_stream: int = 0
    from_log: int = 0
    repeats: int = 0
    holes: int = 0
    mismatches: int = 0
    silences: int = 0
    streams_lost: int = 0


@dataclass(slots=True)
class _Place:
    """The last event that was handed on. `hash` is None where it is not known."""

    sequence: int
    hash: bytes | None
    epoch: str


class JetStreamFeed:
    """Implements `EventFeed` of commands and projections: *nats* for speed, *log* for truth.

    `metrics` counts over all of its followers. What was recorded before a follower began is read from the log, in big
    pages; where *is_stream_first*, from the stream as far as that goes.
    """

    def __init__(
        self,
        nats: NatsConnection,
        log: LogReader,
        *,
        silence_s: float = SILENCE_S,
        page: int = PAGE,
        is_stream_first: bool = False,
    ) -> None:
        self._is_stream_first = is_stream_first
        self._nats = nats
        self._log = log
        self._silence_s = silence_s
        self._page = page
        self.metrics = FeedMetrics()

    def status(self) -> dict[str, int]:
        """Return what was read where, for people and probes."""
        return asdict(self.metrics)

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        """Yield events in batches as they are recorded, starting after *after_sequence*.

        Servers that are away are waited for as long as it takes.

        Raises:
            HistoryChanged
        """
        follower = _Follower(
            self._nats,
            self._log,
            self.metrics,
            silence_s=self._silence_s,
            page=self._page,
            must_read_log=not self._is_stream_first,
        )
        pause_s = _PAUSE_MIN_S
        try:
            while True:
                try:
                    if follower.place is None:
                        await follower.begin(after_sequence)
                    events = await follower.next()
                except StoreUnavailable as fault:
                    log.info("the log is away", detail=str(fault))
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _PAUSE_MAX_S)
                    continue
                pause_s = _PAUSE_MIN_S
                if events:
                    yield events
        finally:
            await follower.close()


class _Follower:
    """One reader's way through the log."""

    def __init__(
        self,
        nats: NatsConnection,
        log: LogReader,
        metrics: FeedMetrics,
        *,
        silence_s: float,
        page: int,
        must_read_log: bool,
    ) -> None:
        self._nats = nats
        self._log = log
        self._metrics = metrics
        self._silence_s = silence_s
        self._page = page
        self._stream: StreamReader | None = None
        self._opening: asyncio.Task[StreamReader | None] | None = None
        self._must_read_log = must_read_log
        self._silences = 0
        self._shunned_until = 0.0
        self._patience_s = 0.0
        self.place: _Place | None = None

    async def begin(self, after_sequence: int) -> None:
        """Find out on what the first event has to follow."""
        epoch = (await self._log.head()).epoch
        self.place = _Place(after_sequence, await self._hash_at(after_sequence), epoch)

    async def close(self) -> None:
        """Let go of the stream."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await end(opening)
            if not opening.cancelled():
                self._stream = opening.result()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def next(self) -> list[RecordedEvent]:
        """Return the next events, none where there are none yet."""
        if self._must_read_log:
            return await self._from_log()
        if self._stream is None:
            await self._open()
        if self._stream is None:
            # No transport: the log is asked as often as it would be in a silence.
            await self._look_at_head()
            return []
        return await self._from_stream()

    async def _from_log(self) -> list[RecordedEvent]:
        place = self._known_place()
        events = await self._log.read_all(after_sequence=place.sequence, limit=self._page)
        if events and place.hash is not None and events[0].previous_hash != place.hash:
            raise HistoryChanged(f"the log has another event at sequence {place.sequence}")
        self._must_read_log = len(events) == self._page
        self._metrics.from_log += len(events)
        self._move_to(events)
        return events

    async def _open(self) -> None:
        """Try for a stream; while it takes long, the log is read, so that nobody waits for a server's answer."""
        if self._opening is None:
            if time.monotonic() < self._shunned_until or not self._nats.is_connected:
                await asyncio.sleep(self._silence_s)
                return
            place = self._known_place()
            stream = StreamReader(self._nats, place.epoch, first_sequence=place.sequence + 1)
            self._opening = asyncio.create_task(_opened(stream))
            self._patience_s = min(_OPENING_S, self._silence_s)
        await asyncio.wait({self._opening}, timeout=self._patience_s)
        self._patience_s = min(2 * self._patience_s, self._silence_s)
        if self._opening.done():
            opening, self._opening = self._opening, None
            self._stream = opening.result()
            self._silences = 0
            if self._stream is None:
                self._shun(self._silence_s)

    async def _from_stream(self) -> list[RecordedEvent]:
        assert self._stream is not None, "`next` opens it"
        try:
            bodies = await self._stream.next(timeout_s=self._silence_s)
        except StreamLost as fault:
            log.debug("stream lost", detail=str(fault))
            self._metrics.streams_lost += 1
            await self.close()
            self._must_read_log = True
            return []
        if not bodies:
            await self._look_at_head()
            return []
        self._silences = 0
        events = self._checked(bodies)
        self._metrics.from_stream += len(events)
        self._move_to(events)
        if self._must_read_log:
            await self.close()
            self._shun(SHUN_S)
        return events

    def _checked(self, bodies: Sequence[bytes]) -> list[RecordedEvent]:
        """Return the events that follow our place one by one; at the first that does not fit the log is to be read."""
        place = self._known_place()
        sequence, last_hash = place.sequence, place.hash
        events = []
        for body in bodies:
            try:
                event = decode(body)
            except msgspec.DecodeError:
                self._metrics.mismatches += 1
                self._must_read_log = True
                break
            if event.sequence <= sequence:
                self._metrics.repeats += 1
                continue
            if event.sequence != sequence + 1:
                self._metrics.holes += 1
                self._must_read_log = True
                break
            if (last_hash is not None and event.previous_hash != last_hash) or not is_intact(event):
                self._metrics.mismatches += 1
                self._must_read_log = True
                break
            events.append(event)
            sequence, last_hash = event.sequence, event.hash
        return events

    async def _look_at_head(self) -> None:
        """Nothing came: read the log if there is something in it, and notice another epoch."""
        place = self._known_place()
        head = await self._log.head()
        if head.epoch != place.epoch:
            # After a failover the sequences may mean the same events, or not.
            if await self._hash_at(place.sequence) != place.hash:
                raise HistoryChanged(f"the epoch is {head.epoch}, and sequence {place.sequence} is another event")
            place.epoch = head.epoch
            await self.close()
        if head.sequence > place.sequence:
            self._metrics.silences += 1
            self._must_read_log = True
            if self._stream is None:
                return
            self._silences += 1
            if self._silences >= _SILENCES_MAX:
                # The relay is late, or our consumer is dead without a word: another one costs little.
                await self.close()

    async def _hash_at(self, sequence: int) -> bytes | None:
        if sequence == 0:
            return GENESIS_HASH
        events = await self._log.read_all(after_sequence=sequence - 1, limit=1)
        return events[0].hash if events else None

    def _known_place(self) -> _Place:
        assert self.place is not None, "`begin` comes first"
        return self.place

    def _move_to(self, events: Sequence[RecordedEvent]) -> None:
        if events:
            place = self._known_place()
            place.sequence, place.hash = events[-1].sequence, events[-1].hash

    def _shun(self, seconds: float) -> None:
        """Do without the stream for a while: what is wrong with it seldom is over at once."""
        self._shunned_until = time.monotonic() + seconds


async def _opened(stream: StreamReader) -> StreamReader | None:
    """Return *stream* ready to be read, None where there is none."""
    try:
        await stream.open()
    except (StreamLost, nats.errors.Error, TimeoutError) as fault:
        log.debug("no stream", detail=str(fault))
        return None
    return stream
