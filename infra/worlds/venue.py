"""The venue of a world: the simulator's core with its intake, matching, books and limits, and what it tells by itself.

Its books may hide an order for a while after it was accepted: those who ask meanwhile hear that there is none. What it
tells of orders may come late, twice, or never.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from adapters.dhan.http.client import HttpRequest
from adapters.dhan.streams.update_codec import order_update_of
from adapters.simulator.books.account import Account
from adapters.simulator.books.records import OrderAccepted, Record
from adapters.simulator.books.standing_records import StandingRecord
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.desk import open_desk
from adapters.simulator.faults.call_faults import FaultKind
from adapters.simulator.sockets.update_frames import update_frame
from adapters.simulator.tapes.tape import TapeSecond
from adapters.simulator.unserved import Unserved
from commands.ports import Clock, OnUpdate
from domain.ids import AccountId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_S
from infra.worlds.instruments import MASTER
from infra.worlds.processes import Process
from infra.worlds.weather import Weather, WordFate
from infra.worlds.wire import Answer

SECRET = b"simulated worlds"
TRANSIT_MS = 20
"""As of a simulator at real speed: so long an accepted order is in TRANSIT."""
_WORD_S = (0.001, 0.05)
_WORD_LATE_S = (0.5, 6.0)
_CONNECT_S = (0.05, 0.5)
_SETTLE_S = 0.5
_AGAIN_S = 1.0
_LAGGING = 0.25
"""So many of the orders are hidden for a while."""
_CONNECTION_S = (5.0, 120.0)
"""So long a connection that tells of orders lasts before it is lost."""
_NOT_FOUND = (
    b'{"errorType":"Order_Error","errorCode":"DH-906",'
    b'"errorMessage":"Incorrect request for order and cannot be processed"}'
)
_TOKEN = "access-token"  # noqa: S105 - a header's name, no secret
_LOG_IN = "/app/generateAccessToken"
_HIDING = ("/v2/orders", "/v2/trades")


class ComingTape:
    """Seconds as somebody adds them. Where none was added, the session ends.

    Implements `adapters.simulator.tapes.tape.Tape`, and is the iterator of its seconds.
    """

    def __init__(self, instruments: Sequence[InstrumentKey], start_ns: int) -> None:
        self.instruments = instruments
        self.start_ns = start_ns
        self.seconds = None
        self.previous_closes_e4: Mapping[InstrumentKey, int] = {}
        self.to_come: deque[TapeSecond] = deque()

    def play(self) -> Iterator[TapeSecond]:
        """Return itself."""
        return self

    def __iter__(self) -> Iterator[TapeSecond]:
        return self

    def __next__(self) -> TapeSecond:
        if not self.to_come:
            raise StopIteration
        return self.to_come.popleft()


class Venue:
    """The venue. Implements `infra.worlds.wire.Counter`."""

    def __init__(self, tape: ComingTape, clock: Clock, weather: Weather) -> None:
        self._clock = clock
        self._weather = weather
        self._tape = tape
        config = SimulatorConfig(
            secret=SECRET,
            tape=tape,
            instruments=MASTER,
            lock_step=True,
            opening_balance_paise=10**12,
            participation_bp=10_000,
            transit_ms=TRANSIT_MS,
            rate_limited=True,
            clock=clock,
        )
        self.desk = open_desk(config)
        self.desk.faults.source = weather
        self.simulator = self.desk.simulator
        self.simulator.on_record = self._on_record
        self.lines: list[Line] = []
        self._unserved = Unserved(self.desk)
        self._hidden: dict[str, int] = {}
        self._newest_token = ""

    def take(self, request: HttpRequest, answered: Callable[[Answer], None], *, is_late: bool) -> None:
        """Do what is asked, and hand the answer to *answered* at once."""
        let_in = self.let_in(request, is_late=is_late)
        path = urlsplit(let_in.url).path
        answered(
            self.shown(
                path,
                self._unserved.answer(
                    let_in.method, path, params=let_in.params, headers=let_in.headers, body=let_in.body
                ),
            )
        )

    def let_in(self, request: HttpRequest, *, is_late: bool) -> HttpRequest:
        """Return *request* as it passes the door: that the token of a late one has died since keeps it from nothing."""
        return replace(request, headers={**request.headers, _TOKEN: self._newest_token}) if is_late else request

    def shown(self, path: str, answer: Answer) -> Answer:
        """Return what is shown of the true *answer* to a question for *path*."""
        status, body = answer
        if path == _LOG_IN and status == HTTPStatus.OK:
            self._newest_token = msgspec.json.decode(body)["accessToken"]
        if self._hidden and status == HTTPStatus.OK and path.startswith(_HIDING):
            return self._without_hidden(status, body)
        return answer

    def play(self, second: TapeSecond) -> None:
        """Let a second of the market pass."""
        self._tape.to_come.append(second)
        self.desk.play_second()

    def close(self) -> None:
        """End the session: what rests expires."""
        self.desk.play_second()

    def forget(self, line: "Line") -> None:
        """Tell a line nothing more: whoever was at its other end is dead."""
        self.lines = [each for each in self.lines if each is not line]

    @property
    def entered_twice(self) -> set[str]:
        """The correlation ids of the requests that were entered twice on purpose."""
        met = self.desk.faults.account.last
        return {each.correlation_id for each in met if each.kind is FaultKind.ACCEPT_TWICE and each.correlation_id}

    @property
    def books(self) -> Account | None:
        """The one account's books, None before its first log-in."""
        return next(iter(self.simulator.accounts.values()), None)

    # --- What it hides ---

    def _without_hidden(self, status: int, body: bytes) -> tuple[int, bytes]:
        now_ns = self._clock.monotonic_ns()
        self._hidden = {name: until_ns for name, until_ns in self._hidden.items() if now_ns < until_ns}
        rows = msgspec.json.decode(body)
        if isinstance(rows, dict) and "transactionType" not in rows:
            return status, body  # The answer to a change, which names its order.
        if isinstance(rows, dict):
            return (404, _NOT_FOUND) if rows.get("orderId") in self._hidden else (status, body)
        return status, msgspec.json.encode([row for row in rows if row["orderId"] not in self._hidden])

    # --- What it tells ---

    def _on_record(self, record: Record) -> None:
        if isinstance(record, OrderAccepted) and self._weather.chance(_LAGGING * self._weather.climate.harshness):
            lag_s = self._weather.between(0.0, self._weather.climate.lag_s)
            self._hidden[record.order_id] = self._clock.monotonic_ns() + int(lag_s * NS_PER_S)
        if not self.lines or isinstance(record, StandingRecord):
            return
        order = self.simulator.orders.get(getattr(record, "order_id", ""))
        if order is None:
            return
        price_e4 = self.simulator.last_prices_e4.get(order.instrument.key, 0)
        frame = update_frame(order, record, last_price_e4=price_e4)
        for line in self.lines:
            line.tell(frame)


class Line:
    """A process's connection on which the venue tells of orders. Implements `commands.ports.OrderUpdates`."""

    def __init__(self, venue: Venue, process: Process, weather: Weather) -> None:
        self._venue = venue
        self._process = process
        self._weather = weather
        self._watched: frozenset[AccountId] = frozenset()
        self._is_watching = asyncio.Event()
        self._is_live = False
        self._on_update: OnUpdate | None = None
        self._hung_up = asyncio.Event()

    async def run(self, on_update: OnUpdate) -> None:
        """Connect, listen, and connect again."""
        self._on_update = on_update
        await self._is_watching.wait()
        while True:
            await asyncio.sleep(self._weather.between(*_CONNECT_S))
            self._venue.lines.append(self)
            await asyncio.sleep(_SETTLE_S)
            self._is_live = True
            for account_id in self._watched:
                on_update(account_id, None)
            self._hung_up.clear()
            lasts_s = self._weather.between(*_CONNECTION_S) if self._weather.climate.harshness else None
            try:
                async with asyncio.timeout(lasts_s):
                    await self._hung_up.wait()
            except TimeoutError:
                pass
            self._is_live = False
            self._venue.lines.remove(self)
            await asyncio.sleep(_AGAIN_S)

    def tell(self, frame: bytes) -> None:
        """Have *frame* arrive, as the weather lets it."""
        match self._weather.of_word():
            case WordFate.LOST:
                return
            case WordFate.LATE:
                self._arrive_after(self._weather.between(*_WORD_LATE_S), frame)
            case WordFate.DOUBLED:
                self._arrive_after(self._weather.between(*_WORD_S), frame)
                self._arrive_after(self._weather.between(*_WORD_S), frame)
            case WordFate.FINE:
                self._arrive_after(self._weather.between(*_WORD_S), frame)

    def _arrive_after(self, seconds: float, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._take, frame, context=self._process.context.copy())

    def _take(self, frame: bytes) -> None:
        update = order_update_of(frame)
        if update is not None and self._is_live and self._on_update is not None:
            for account_id in self._watched:
                self._on_update(account_id, update)

    def watch(self, accounts: Collection[AccountId]) -> None:
        """Say of which accounts it shall be told: there is one here."""
        self._watched = frozenset(accounts)
        if accounts:
            self._is_watching.set()

    def is_live(self, account_id: AccountId) -> bool:
        """Tell whether the venue is believed to tell of an account now."""
        return self._is_live and account_id in self._watched

    def doubt(self, account_id: AccountId) -> None:  # noqa: ARG002 - there is one
        """Connect anew."""
        self._hung_up.set()

    def status(self) -> dict[str, Any]:
        """Return how it stands."""
        return {"live": self._is_live}
