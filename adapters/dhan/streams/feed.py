"""The market feed: one websocket, subscribed, watched, connected again, and read as ticks."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from adapters.dhan.access.tokens import Session, Tokens
from adapters.dhan.settings import DhanSettings
from adapters.dhan.streams.packets import (
    DisconnectPacket,
    FrameMalformed,
    PacketCode,
    PreviousClosePacket,
    TradePacket,
    packets_of,
)
from adapters.dhan.streams.sockets import Dropped, Pauses, open_socket, session_of_account
from adapters.dhan.streams.ticks import FeedTick, TickCleaner
from adapters.dhan.words.codec import segment_word
from domain.ids import AccountId
from domain.instrument import Instrument

log = structlog.get_logger(__name__)

OnTicks = Callable[[list[FeedTick]], Awaitable[None]]
"""Takes the ticks of one frame, in the order of the wire."""

SUBSCRIBE_TICKER = 15
INSTRUMENTS_PER_MESSAGE = 100
_TOKEN_REASONS = frozenset({807, 808, 809, 810})
_TOKEN_STATUSES = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CROWD_REASON = 805


class DhanFeed:
    """Ticks of the given instruments for as long as it runs. Use one per client: a sixth connection kills the first."""

    def __init__(
        self, settings: DhanSettings, tokens: Tokens, account_id: AccountId, instruments: Sequence[Instrument]
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._account_id = account_id
        self._instruments = tuple(instruments)
        self._cleaner = TickCleaner(instruments)
        self._received = 0
        self._handled = 0
        self._advanced = asyncio.Event()
        self._frames_malformed = 0
        self._connections = 0
        self._is_connected = False
        self._last_cause = ""

    # --- Looking ---

    @property
    def packets(self) -> int:
        """How many ticker packets came since the connection was made, clean or not."""
        return self._received

    @property
    def packets_handled(self) -> int:
        """For how many of them all is done, `on_ticks` included."""
        return self._handled

    async def wait_handled(self, packets: int) -> None:
        """Return once *packets* ticker packets of this connection are handled: what a lock-step driver waits for.

        Packets that are cleaned away count too, although `on_ticks` does not hear of them.
        """
        while self._handled < packets:
            self._advanced.clear()
            await self._advanced.wait()

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands and its subscriptions were sent."""
        return self._is_connected

    def status(self) -> dict[str, Any]:
        """Return the state of the connection and counts, for people and probes."""
        return {
            "connected": self._is_connected,
            "connections": self._connections,
            "packets": self._received,
            "packets_handled": self._handled,
            "dropped": dict(self._cleaner.dropped),
            "frames_malformed": self._frames_malformed,
            "last_cause": self._last_cause,
        }

    # --- Running ---

    async def run(self, on_ticks: OnTicks) -> None:
        """Hand ticks to *on_ticks* until canceled, connecting again whenever the connection ends."""
        settings = self._settings
        pauses = Pauses(
            first_s=settings.feed_backoff_s,
            longest_s=settings.feed_backoff_max_s,
            refused_s=settings.feed_refused_backoff_s,
        )
        while True:
            connections_before = self._connections
            try:
                await self._run_once(on_ticks)
                dropped = Dropped("the venue closed the connection")
            except Dropped as fault:
                dropped = fault
            was_useful = self._connections != connections_before and self._received > 0
            if was_useful:
                pauses.begin_anew()
            self._last_cause = dropped.cause
            pause_s = pauses.after(dropped)
            log.warning("feed dropped", cause=dropped.cause, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self, on_ticks: OnTicks) -> None:
        session = await session_of_account(self._tokens, self._account_id)
        connection = await self._connect(session)
        try:
            # All counts are since the connection was made, as the other side counts too.
            self._received = self._handled = 0
            self._connections += 1
            self._cleaner.begin()
            await self._subscribe(connection)
            self._is_connected = True
            await self._read(connection, session, on_ticks)
        except ConnectionClosed as closed:
            raise Dropped("connection lost") from closed
        finally:
            self._is_connected = False
            await connection.close()

    async def _connect(self, session: Session) -> ClientConnection:
        query = urlencode({"version": 2, "token": session.token.reveal(), "clientId": session.client_id, "authType": 2})
        try:
            return await open_socket(f"{self._settings.feed_url}?{query}", self._settings)
        except Dropped as dropped:
            if dropped.status in _TOKEN_STATUSES:
                self._tokens.mark_dead(self._account_id, session, cause=f"the feed answered {dropped.cause}")
            raise

    async def _subscribe(self, connection: ClientConnection) -> None:
        for start in range(0, len(self._instruments), INSTRUMENTS_PER_MESSAGE):
            chunk = self._instruments[start : start + INSTRUMENTS_PER_MESSAGE]
            await connection.send(subscription_message(chunk))

    async def _read(self, connection: ClientConnection, session: Session, on_ticks: OnTicks) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.feed_stale_after_s):
                    frame = await connection.recv()
            except TimeoutError:
                raise Dropped("nothing came for too long") from None
            if isinstance(frame, str):
                continue  # The feed speaks binary only.
            await self._take(frame, session, on_ticks)

    async def _take(self, frame: bytes, session: Session, on_ticks: OnTicks) -> None:
        ticks: list[FeedTick] = []
        goodbye: DisconnectPacket | None = None
        try:
            for packet in packets_of(frame):
                if isinstance(packet, DisconnectPacket):
                    goodbye = packet
                elif isinstance(packet, TradePacket):
                    self._received += packet.code is PacketCode.TICKER
                    tick = self._cleaner.tick_of(packet)
                    if tick is not None:
                        ticks.append(tick)
                elif isinstance(packet, PreviousClosePacket):
                    self._cleaner.take_close(packet)
        except FrameMalformed as fault:
            self._frames_malformed += 1
            log.warning("feed frame malformed", fault=str(fault))
        if ticks:
            await on_ticks(ticks)
        self._handled = self._received
        self._advanced.set()
        if goodbye is not None:
            if goodbye.reason in _TOKEN_REASONS:
                cause = f"the feed ended with {goodbye.reason}"
                self._tokens.mark_dead(self._account_id, session, cause=cause)
            raise Dropped(f"the venue disconnected: {goodbye.reason}", is_refused=goodbye.reason == _CROWD_REASON)


def subscription_message(instruments: Sequence[Instrument]) -> str:
    """Return the message that asks for tickers of *instruments*, a hundred at most."""
    listed = [
        {
            "ExchangeSegment": segment_word(instrument.key.segment),
            "SecurityId": instrument.key.security_id,
        }
        for instrument in instruments
    ]
    message = {"RequestCode": SUBSCRIBE_TICKER, "InstrumentCount": len(listed), "InstrumentList": listed}
    return msgspec.json.encode(message).decode()
