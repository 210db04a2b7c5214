"""Marks on their way from the market role to everybody: published as they change, asked for whole at a start.

Plain NATS without a store: a mark that was missed is replaced by the next one, and who was away asks for a snapshot.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Literal, Self

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from adapters.nats.connection import NatsConnection
from commands.ports import Clock
from domain.instrument import InstrumentKey
from domain.market import Mark
from projections.tasks import end

log = structlog.get_logger(__name__)

SUBJECT = "khata.marks"
SNAPSHOT_SUBJECT = "khata.marks.snapshot"
_CHUNK = 2_000
"""Marks of one message: well below the largest payload a server takes by default."""
_SNAPSHOT_TIMEOUT_S = 2.0
_SNAPSHOT_PAUSE_S = 0.25


class MarksMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Marks, and the market's time (UTC nanoseconds) as of them."""

    market_time_ns: int
    marks: list[Mark]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(MarksMessage)
MarksHandler = Callable[[MarksMessage], Awaitable[None]]


class MarksPublisher:
    """Sends marks out, and all of them to who asks for a snapshot."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self._marks: dict[InstrumentKey, Mark] = {}
        self._market_time_ns = 0
        self._subscription: Subscription | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._subscription = await self._nats.subscribe(SNAPSHOT_SUBJECT, cb=self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await _unsubscribe(self._subscription)

    async def publish(self, market_time_ns: int, marks: Iterable[Mark]) -> None:
        """Send *marks*, in their order. Where the server is away they are dropped: newer ones will come."""
        fresh = list(marks)
        self._market_time_ns = max(self._market_time_ns, market_time_ns)
        self._marks.update((mark.instrument, mark) for mark in fresh)
        for start in range(0, max(1, len(fresh)), _CHUNK):
            message = MarksMessage(market_time_ns=market_time_ns, marks=fresh[start : start + _CHUNK])
            try:
                await self._nats.publish(SUBJECT, _ENCODER.encode(message))
            except nats.errors.Error as error:
                self.dropped += len(message.marks)
                log.debug("marks dropped", error=type(error).__name__)

    async def _answer(self, request: Msg) -> None:
        message = MarksMessage(market_time_ns=self._market_time_ns, marks=list(self._marks.values()))
        try:
            await request.respond(_ENCODER.encode(message))
        except nats.errors.Error as error:
            log.warning("snapshot of marks not sent", error=str(error), marks=len(message.marks))


class NatsMarks:
    """Implements `Marks` of commands and projections: the market as it was last published.

    The market clock is the wall's, or on a tape the newest market time that came with marks (0 before the first).
    """

    def __init__(self, nats: NatsConnection, *, clock: Clock, market_clock: Literal["wall", "tape"]) -> None:
        self._nats = nats
        self._clock = clock
        self._is_tape = market_clock == "tape"
        self._marks: dict[InstrumentKey, Mark] = {}
        self._market_time_ns = 0
        self._number = 0
        self._advanced = asyncio.Event()
        self._handlers: list[MarksHandler] = []
        self._subscription: Subscription | None = None
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._nats.subscribe(SUBJECT, cb=self._receive)
        self._nats.on_reconnect(self._ask_again)
        await self._ask_again()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._nats.off_reconnect(self._ask_again)
        await self._stop_asking()
        await _unsubscribe(self._subscription)

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the last mark of *instrument*."""
        return self._marks.get(instrument)

    def market_time_ns(self) -> int:
        """Return the market clock (UTC nanoseconds)."""
        return self._market_time_ns if self._is_tape else self._clock.wall_ns()

    @property
    def number(self) -> int:
        """The highest number of a mark seen."""
        return self._number

    def on_marks(self, handler: MarksHandler) -> None:
        """Call *handler* with every message from now on, one after the other, after the marks were taken in."""
        self._handlers.append(handler)

    async def wait_for_number(self, number: int, *, timeout_s: float) -> None:
        """Return once a mark of *number* or above was seen.

        Raises:
            TimeoutError: *timeout_s* seconds passed.
        """
        async with asyncio.timeout(timeout_s):
            while self._number < number:
                advanced = self._advanced
                await advanced.wait()

    async def _receive(self, message: Msg) -> None:
        try:
            received = _DECODER.decode(message.data)
        except msgspec.DecodeError as error:
            log.warning("marks not readable", error=str(error))
            return
        self._marks.update((mark.instrument, mark) for mark in received.marks)
        self._take_in(received)
        for handler in self._handlers:
            await handler(received)

    def _take_in(self, received: MarksMessage) -> None:
        self._market_time_ns = max(self._market_time_ns, received.market_time_ns)
        self._number = max([self._number, *(mark.number for mark in received.marks)])
        advanced, self._advanced = self._advanced, asyncio.Event()
        advanced.set()

    async def _ask_again(self) -> None:
        await self._stop_asking()
        self._asking = asyncio.create_task(self._ask(), name="marks snapshot")

    async def _stop_asking(self) -> None:
        asking, self._asking = self._asking, None
        if asking is not None:
            await end(asking)

    async def _ask(self) -> None:
        """Ask for a snapshot until the market role, which may start after us, gives one."""
        while True:
            try:
                answer = await self._nats.request(SNAPSHOT_SUBJECT, b"", timeout=_SNAPSHOT_TIMEOUT_S)
                snapshot = _DECODER.decode(answer.data)
            except (nats.errors.Error, TimeoutError, msgspec.DecodeError) as error:
                log.debug("no snapshot of marks yet", error=type(error).__name__)
                await asyncio.sleep(_SNAPSHOT_PAUSE_S)
                continue
            for mark in snapshot.marks:
                known = self._marks.get(mark.instrument)
                # What was published while the snapshot was on its way is newer.
                if known is None or known.received_at_ns < mark.received_at_ns:
                    self._marks[mark.instrument] = mark
            self._take_in(snapshot)
            return


async def _unsubscribe(subscription: Subscription | None) -> None:
    if subscription is not None:
        with suppress(nats.errors.Error):  # The connection may be closed before us.
            await subscription.unsubscribe()
