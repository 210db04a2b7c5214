"""The relay: mirrors the log into JetStream, message by message at the log's own sequence.

It keeps nothing. At its start, and whenever anything goes wrong, the stream's last sequence says where to go on: a
stream that is gone is made again at the right sequence, a tail that was lost is published again, and a second relay
makes both ask again, which costs time and nothing else. A log that ends before its own mirror has lost events: then the
relay stops and says so.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import nats.errors
import structlog

from adapters.nats.connection import NatsConnection
from adapters.nats.publisher import DEADLINE_S, SINGLES_MAX, Batch, LogPublisher, OutOfStep, PublishRefused
from adapters.nats.stream import StreamLimits, create_stream, last_sequence, stream_name
from commands.ports import StoreUnavailable
from domain.envelope import RecordedEvent
from projections.ports import EventFeed, LogReader
from projections.tasks import end

log = structlog.get_logger(__name__)

CHECK_S = 5.0
BACKFILL = 10_000
"""How many events of an older log a new stream begins with: readers that are further back read the log."""
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 2.0


class LogBehindStream(Exception):
    """The log ends before its mirror: it was put back to an older state. Publishing would mix two histories."""


class Relay:
    """Mirrors *log*, which *feed* follows, into the JetStream of *nats*."""

    def __init__(
        self,
        nats: NatsConnection,
        *,
        log: LogReader,
        feed: EventFeed,
        check_s: float = CHECK_S,
        backfill: int = BACKFILL,
        deadline_s: float = DEADLINE_S,
        limits: StreamLimits | None = None,
        singles_max: int = SINGLES_MAX,
    ) -> None:
        self._nats = nats
        self._log = log
        self._feed = feed
        self._check_s = check_s
        self._backfill = backfill
        self._deadline_s = deadline_s
        self._limits = limits or StreamLimits()
        self._singles_max = singles_max
        self._state = "starting"
        self._epoch = ""
        self._sequence = 0
        self._pause_s = _PAUSE_MIN_S
        self._check_now = asyncio.Event()
        self._published = self._batches = self._synchronized = self._created = self._faults = 0

    async def run(self) -> None:
        """Mirror until canceled."""
        self._nats.on_reconnect(self._on_reconnect)
        try:
            while True:
                try:
                    await self._mirror()
                except LogBehindStream as fault:
                    self._state = f"LOG_BEHIND_STREAM: {fault}"
                    self._pause_s = _PAUSE_MAX_S
                    log.error("relay stopped", detail=str(fault))  # noqa: TRY400 - foreseen: no trace helps
                except (OutOfStep, PublishRefused, StoreUnavailable, nats.errors.Error, TimeoutError) as fault:
                    self._note(fault)
                await asyncio.sleep(self._pause_s)
        finally:
            self._nats.off_reconnect(self._on_reconnect)
            self._state = "stopped"

    async def flush(self, *, within_s: float) -> None:
        """Mirror what the log holds by now, once `run` has ended; what is not there in time the next relay mirrors."""
        faults = (LogBehindStream, OutOfStep, PublishRefused, StoreUnavailable, nats.errors.Error, TimeoutError)
        with suppress(*faults):
            async with asyncio.timeout(within_s):
                await self._synchronize()
                publisher = self._publisher()
                head = await self._log.head()
                while self._sequence < head.sequence:
                    events = await self._log.read_all(after_sequence=self._sequence)
                    await self._publish(publisher, list(publisher.batches(events)))
        self._state = "stopped"

    def status(self) -> dict[str, Any]:
        """Return how far it is, for people and probes."""
        return {
            "state": self._state,
            "stream": stream_name(self._epoch) if self._epoch else None,
            "sequence": self._sequence,
            "published": self._published,
            "batches": self._batches,
            "synchronized": self._synchronized,
            "streams_created": self._created,
            "faults": self._faults,
        }

    async def _on_reconnect(self) -> None:
        self._check_now.set()

    def _note(self, fault: Exception) -> None:
        self._state = f"retrying: {type(fault).__name__}"
        self._faults += 1
        self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
        log.info("relay asks the stream again", fault=type(fault).__name__, detail=str(fault))

    async def _mirror(self) -> None:
        """Find out where the stream ends, and publish from there until something is not as expected."""
        self._check_now.clear()  # What follows is a check.
        await self._synchronize()
        publisher = self._publisher()
        batches = self._feed.follow(after_sequence=self._sequence)
        coming: asyncio.Task[list[RecordedEvent]] | None = None
        storing: asyncio.Task[None] | None = None
        checking = asyncio.create_task(self._check_now.wait())
        try:
            while True:
                # The feed's step is never canceled by a check, which would end the feed.
                coming = coming or asyncio.create_task(_step(batches))
                tasks = {task for task in (coming, storing, checking) if task is not None}
                done, _ = await asyncio.wait(tasks, timeout=self._check_s, return_when=asyncio.FIRST_COMPLETED)
                if storing is not None and storing.done():
                    storing.result()
                    storing = None
                if coming.done():
                    # Events are read and made ready while the server stores those before.
                    ready = list(publisher.batches(coming.result()))
                    coming = asyncio.create_task(_step(batches))
                    if storing is not None:
                        await storing
                    storing = asyncio.create_task(self._publish_while_connected(publisher, ready, checking))
                elif checking.done() or not done:
                    if storing is not None:
                        await storing
                        storing = None
                    self._check_now.clear()
                    await self._check()
                if checking.done():
                    checking = asyncio.create_task(self._check_now.wait())
        finally:
            await end(*(task for task in (coming, storing, checking) if task is not None))
            if (close := getattr(batches, "aclose", None)) is not None:
                await close()

    async def _synchronize(self) -> None:
        self._epoch = (await self._log.head()).epoch
        last = await last_sequence(self._nats, self._epoch)
        # Read after the stream, so that a log that goes on growing never looks shorter than its mirror.
        head = await self._log.head()
        if head.epoch != self._epoch:
            raise OutOfStep("the epoch changed meanwhile")
        if last is None:
            first = max(1, head.sequence + 1 - self._backfill)
            await create_stream(self._nats, self._epoch, first_sequence=first, limits=self._limits)
            self._created += 1
            last = first - 1
        if last > head.sequence:
            raise LogBehindStream(f"{stream_name(self._epoch)} ends at {last}, the log at {head.sequence}")
        self._sequence = last
        self._synchronized += 1
        self._state = "mirroring"

    def _publisher(self) -> LogPublisher:
        return LogPublisher(self._nats, self._epoch, singles_max=self._singles_max, deadline_s=self._deadline_s)

    async def _publish_while_connected(
        self, publisher: LogPublisher, batches: Sequence[Batch], reconnected: asyncio.Task[bool]
    ) -> None:
        """Publish; once the server was away the driver waits for answers that never come, so do not wait with it."""
        publishing = asyncio.create_task(self._publish(publisher, batches))
        try:
            await asyncio.wait({publishing, reconnected}, return_when=asyncio.FIRST_COMPLETED)
            if not publishing.done():
                raise OutOfStep("the server was away while a batch was sent")
        finally:
            await end(publishing)
        publishing.result()

    async def _publish(self, publisher: LogPublisher, batches: Sequence[Batch]) -> None:
        for batch in batches:
            await publisher.publish(batch)
            self._sequence = batch[-1][0].sequence
            self._published += len(batch)
            self._batches += 1
        self._pause_s = _PAUSE_MIN_S

    async def _check(self) -> None:
        """Look whether the stream still is where we left it, though nothing was to publish."""
        last = await last_sequence(self._nats, self._epoch)
        if last != self._sequence:
            raise OutOfStep(f"the stream ends at {last}, expected {self._sequence}")
        if (await self._log.head()).epoch != self._epoch:
            raise OutOfStep("the epoch changed")


async def _step(batches: Any) -> list[RecordedEvent]:
    batch: list[RecordedEvent] = await anext(batches)
    return batch
