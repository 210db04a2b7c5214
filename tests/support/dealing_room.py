"""A dealing room: accounts, executor, protection and the Dhan adapter at work, with the simulator for a venue.

All of it is the production code with the settings of production, over a log in memory, in virtual time
(`virtual_time.py`); budgets, breakers, pauses and the venue's own limits count in that time too. A test sets every
price; a second of the market is a second of everybody's clock.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from itertools import count
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.settings import DhanSettings
from adapters.instruments import InstrumentMaster
from adapters.simulator.access.limits import Family, RateLimits
from adapters.simulator.tapes.tape import TapeSecond, Tick
from commands.accounts import TradeIntent
from commands.day_end import BrokerDay
from commands.executor import Executor, ExecutorSettings
from commands.ports import VenueOrder
from commands.protection import Protection, ProtectionSettings
from domain.account import decider
from domain.account.events import OrderIntended, ProtectionMode, TradeOpened
from domain.account.state import Account, Order
from domain.ids import AccountId, OrderId, TradeId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import NS_PER_S, Mark, trading_day
from domain.order import OrderStatus, OrderType, Product, Purpose, Side, TimeInForce
from domain.risk import RiskParameters
from domain.session import Phase, SessionMoment
from infra.wiring.trading import LEASE_S
from infra.worlds.venue import ComingTape
from infra.worlds.virtual_time import LoopClock
from tests.support import tape
from tests.support.desk import Desk, kill
from tests.support.specimens import ACCOUNT, DAY_NS, NOW_NS, open_account
from tests.support.virtual_time import within

PRICE_E4 = 1_000_0000
STOP_E4 = 950_0000
QUANTITY = 10
STOCKS = tuple(
    Instrument(
        key=InstrumentKey(Segment.NSE_EQ, str(100 + number)),
        symbol=f"STOCK{number}",
        name=f"Stock {number}",
        tradable=True,
        tick_e4=500,
        lot=1,
    )
    for number in range(32)
)
FUTURES = tuple(
    Instrument(
        key=InstrumentKey(Segment.NSE_FNO, str(500 + number)),
        symbol=f"FUTURE{number}",
        name=f"Future {number}",
        tradable=True,
        tick_e4=500,
        lot=5,
    )
    for number in range(3)
)
ROOMY = RiskParameters(
    open_trades_max=100,
    open_positions_max=100,
    open_orders_max=1_000,
    gross_exposure_paise_max=10**12,
    net_exposure_paise_max=None,
    concentration_bp_max=None,
    day_loss_paise_max=10**12,
    drawdown_paise_max=10**12,
    orders_per_second_max=1_000,
    orders_per_minute_max=10_000,
    orders_per_hour_max=10_000,
)
"""Limits that are none of these tests' business."""
CONTINUOUS_S = 5 * 3600
"""So long after the room opens the continuous phase ends, unless a test says otherwise."""
buy = TradeIntent(
    symbol=STOCKS[0].symbol,
    side=Side.BUY,
    quantity=QUANTITY,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
    stop_loss_e4=STOP_E4,
    target_e4=None,
    protection=ProtectionMode.RESTING,
)
"""A good intent: its stop rests at the venue."""


class Toll:
    """The venue's limits on requests, which count as they always do; and what they counted."""

    def __init__(self) -> None:
        self.order_requests_ns: list[int] = []
        self.refused = 0
        self._limits = RateLimits(scale=1)

    def limits(self, *, scale: float) -> "Toll":
        """Begin with limits of this scale. Stands in for `RateLimits`, which it asks."""
        self._limits = RateLimits(scale=scale)
        return self

    def take(self, client_id: str, family: Family, *, now_ns: int, subject: str = "") -> bool:
        """Ask, and count."""
        is_taken = self._limits.take(client_id, family, now_ns=now_ns, subject=subject)
        if family is Family.ORDERS and is_taken:
            self.order_requests_ns.append(now_ns)
        self.refused += not is_taken
        return is_taken

    def tighten(self, client_id: str, scale: float) -> None:
        """Let the limits be so much tighter from now on; what was counted stays counted."""
        tighter = RateLimits(scale=scale)
        tighter._taken = {key: value for key, value in self._limits._taken.items() if key[0] == client_id}
        self._limits = tighter

    def most_in(self, seconds: int) -> int:
        """Return the most order requests that the venue counted within *seconds*."""
        times = self.order_requests_ns
        return max((sum(0 <= at - first < seconds * NS_PER_S for at in times) for first in times), default=0)


class KeptBooks:
    """The last books of days, in memory. Implements `commands.ports.BookArchive`."""

    def __init__(self) -> None:
        self.books: dict[tuple[AccountId, date], list[VenueOrder]] = {}

    async def keep(self, account_id: AccountId, day: date, rows: Sequence[VenueOrder]) -> None:
        self.books[account_id, day] = list(rows)


class DealingRoom:
    """Everybody who works for one account, and the venue that they work at."""

    def __init__(
        self,
        venue: tape.Venue,
        market: ComingTape,
        desk: Desk,
        toll: Toll,
        *,
        dhan: DhanSettings,
        executor: ExecutorSettings,
        protection: ProtectionSettings,
    ) -> None:
        self.venue = venue
        self.desk = desk
        self.toll = toll
        self.prices_e4: dict[InstrumentKey, int] = dict.fromkeys(market.instruments, PRICE_E4)
        self.bands_e4: dict[InstrumentKey, tuple[int, int]] = {}
        self.kept_books = KeptBooks()
        self.client_id = ""
        self._market = market
        self._day_ns = market.start_ns
        self._dhan = dhan
        self._settings = executor, protection
        self._numbers = count(1)
        self._seconds = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.broker: DhanBroker
        self.executor: Executor
        self.protection: Protection

    # --- People and processes ---

    async def start(self) -> None:
        """Let new processes begin, which know nothing but the log."""
        clock = self.desk.clock
        client = HttpClient(self._dhan, clock)
        logins = PaperLogins(PinLogin(client, self._dhan, clock), tape.SECRET)
        self.broker = DhanBroker(self._dhan, logins, client, clock)
        self.client_id = logins.client_id(ACCOUNT)
        self.desk.broker = self.desk.budget = self.broker
        self.desk.broker_day = BrokerDay(
            marks=self.desk.marks, sessions=self.desk.sessions, history=self.broker, archive=self.kept_books
        )
        self.desk.accounts = self.desk.another_process()
        executor, protection = self._settings
        self.executor = self.desk.executor(executor)
        self.protection = self.desk.protection(protection)
        self._tasks = [asyncio.create_task(self.executor.run()), asyncio.create_task(self.protection.run())]

    async def stop(self) -> None:
        """End all processes at once, with whatever they were doing."""
        for task in self._tasks:
            if task.done():
                task.result()
        await kill(self.executor, *self._tasks)
        await self.broker.aclose()

    async def crash(self) -> None:
        """Kill all processes, and begin again when the sender's lease has run out."""
        await self.stop()
        await asyncio.sleep(LEASE_S)
        await self.start()

    async def begin_anew(self, *, dhan: Mapping[str, Any], protection: ProtectionSettings) -> None:
        """Likewise, with other settings."""
        self._dhan = msgspec.structs.replace(self._dhan, **dhan)
        self._settings = self._settings[0], protection
        await self.crash()

    async def open(self, intent: TradeIntent = buy, **changes: Any) -> TradeId:
        """Open a trade and return its name; that its entry and stop are taken is awaited by `settled`."""
        outcome = await self.desk.open_trade(_changed(intent, changes))
        opened = [event for event in outcome.events if isinstance(event, TradeOpened)]
        assert opened, outcome.events
        return opened[0].trade_id

    # --- The market ---

    @property
    def now_ns(self) -> int:
        """The time of the market."""
        return self.desk.marks.now_ns

    async def second(self, prices_e4: Mapping[InstrumentKey, int] | None = None, *, volume: int = tape.PLENTY) -> None:
        """Let a second of the market pass: every instrument prints its price, which *prices_e4* may change."""
        await self.print_prices(prices_e4, volume=volume)
        await asyncio.sleep(1)

    async def print_prices(
        self, prices_e4: Mapping[InstrumentKey, int] | None = None, *, volume: int = tape.PLENTY
    ) -> None:
        """Begin the next second of the market, and let protection see what it prints."""
        self.prices_e4.update(prices_e4 or {})
        self._seconds += 1
        now_ns = self.desk.marks.now_ns = self._day_ns + self._seconds * NS_PER_S
        ticks = [Tick(key, price_e4, volume, now_ns) for key, price_e4 in self.prices_e4.items()]
        self._market.to_come.append(TapeSecond(now_ns, ticks))
        await self.venue.step()
        for tick in ticks:
            lower, upper = self.bands_e4.get(tick.instrument, (None, None))
            mark = Mark(
                instrument=tick.instrument,
                last_price_e4=tick.last_price_e4,
                exchange_time_ns=now_ns,
                received_at_ns=now_ns,
                number=next(self._numbers),
                lower_circuit_e4=lower,
                upper_circuit_e4=upper,
            )
            self.desk.marks.marks[tick.instrument] = mark
            await self.protection.on_mark(mark)
        await self.protection.on_time(now_ns)

    async def quiet(self, seconds: int) -> None:
        """Let so many seconds of the market pass in which nothing is traded, and nobody looks at the clock."""
        self._seconds += seconds
        self.desk.marks.now_ns += seconds * NS_PER_S
        await asyncio.sleep(seconds)

    async def seconds(self, number: int) -> None:
        for _ in range(number):
            await self.second()

    async def seconds_until(self, is_so: Any, *, most: int) -> int:
        """Let the market go on until *is_so*, and return how many seconds that took."""
        for number in range(most):
            if is_so():
                return number
            await self.second()
        assert is_so(), f"it did not come to be within {most} s"
        return most

    async def close_session(self) -> None:
        """End the session: what rests at the venue expires."""
        await self.venue.step()
        self.session(self.now_ns, phase=Phase.CLOSED, continuous_s=0)

    def next_day(self) -> None:
        """Let it be the next morning, the session open; its first second is still to come."""
        self._day_ns += DAY_NS
        self.session(self._day_ns)

    def session(self, now_ns: int, *, phase: Phase = Phase.CONTINUOUS, continuous_s: int = CONTINUOUS_S) -> None:
        """Let every instrument be in *phase* of the day of *now_ns*, of which the continuous one lasts so long yet."""
        moment = SessionMoment(
            phase=phase,
            trading_day=trading_day(now_ns).isoformat(),
            continuous_until_ns=now_ns + continuous_s * NS_PER_S,
        )
        self.desk.sessions.moments = dict.fromkeys(self.prices_e4, moment)

    async def settled(self, *, most: int = 60) -> None:
        """Let time pass until nothing is on its way: no order is to be sent, looked for, executed or modified."""
        await within(most, lambda: not any(_is_restless(order) for order in self.state().orders.values()))

    # --- What came of it ---

    def state(self) -> Account:
        """Return the account as the log has it."""
        return decider.fold(self.desk.events())

    def orders_intended(self, purpose: Purpose) -> list[OrderId]:
        return [event.order_id for event in self.desk.events_of(OrderIntended) if event.purpose is purpose]

    async def books(self) -> Any:
        """Return the account's books at the venue."""
        return (await self.venue.admin("GET", "/books"))["clients"][self.client_id]

    async def held(self) -> dict[tuple[str, str], int]:
        """Return what the venue holds for the account, by symbol and product, nothing left out but zeros."""
        positions = (await self.books())["positions"]
        return {(row["symbol"], row["product"]): row["net_quantity"] for row in positions if row["net_quantity"]}

    async def resting(self, order_type: str | None = None) -> list[Any]:
        """Return the orders that rest at the venue, of one type or all."""
        orders = (await self.books())["orders"]
        return [
            order
            for order in orders
            if order["status"] in {"PENDING", "PART_TRADED", "TRANSIT"} and order_type in {None, order["order_type"]}
        ]

    async def by_hand(self, instrument: Instrument, side: Side, quantity: int, product: Product) -> None:
        """Trade at the market past us, with the broker's own app."""
        body = {
            "dhanClientId": self.client_id,
            "transactionType": side.value,
            "exchangeSegment": instrument.key.segment.value,
            "productType": product.value,
            "orderType": "MARKET",
            "validity": "DAY",
            "securityId": instrument.key.security_id,
            "quantity": quantity,
            "price": 0,
        }
        await self.venue.admin("POST", "/orders", json=body)


def _changed(intent: TradeIntent, changes: Mapping[str, Any]) -> TradeIntent:
    names = {name: getattr(intent, name) for name in TradeIntent.__dataclass_fields__}
    return TradeIntent(**{**names, **changes})


def _is_restless(order: Order) -> bool:
    if order.status in {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED}:
        return order.wanted is not None or order.is_at_market
    return order.status in {OrderStatus.INTENDED, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN}


@contextlib.asynccontextmanager
async def dealing_room(
    instruments: Sequence[Instrument] = STOCKS,
    *,
    parameters: RiskParameters = ROOMY,
    continuous_s: int = CONTINUOUS_S,
    dhan: Mapping[str, Any] | None = None,
    executor: ExecutorSettings | None = None,
    protection: ProtectionSettings | None = None,
    start_ns: int = NOW_NS,
    prices_e4: Mapping[InstrumentKey, int] | None = None,
    desk: Desk | None = None,
    **simulator: Any,
) -> AsyncIterator[DealingRoom]:
    """Open a room in which an account is open and every price is `PRICE_E4`; at the end, close it.

    With *desk* the day begins on the log of an earlier one. Its first prices have just been printed.
    """
    clock = LoopClock(start_ns)
    market = ComingTape([instrument.key for instrument in instruments], start_ns)
    master = InstrumentMaster((date.min, instrument) for instrument in instruments)
    toll = Toll()
    is_first = desk is None
    desk = desk or Desk(wall_ns=clock.wall_ns)
    desk.clock, desk.instruments = clock, master
    config = tape.config_of(
        market,  # type: ignore[arg-type] - it is a tape like the scripted one
        **{
            "instruments": master,
            "opening_balance_paise": 10**12,
            "rate_limited": True,
            "participation_bp": 10_000,
            "clock": clock,
            **simulator,
        },
    )
    with patch("adapters.simulator.desk.RateLimits", toll.limits):
        async with tape.venue(config, logged_in=False) as venue:
            url = f"http://127.0.0.1:{venue.port}"
            room = DealingRoom(
                venue,
                market,
                desk,
                toll,
                dhan=DhanSettings(base_url=f"{url}/v2", auth_url=url, **(dhan or {})),
                executor=executor or ExecutorSettings(),
                protection=protection or ProtectionSettings(),
            )
            room.prices_e4.update(prices_e4 or {})
            room.session(start_ns, continuous_s=continuous_s)
            await room.start()
            try:
                if is_first:
                    await desk.do(replace(open_account, parameters=parameters))
                await room.print_prices()
                yield room
            finally:
                await room.stop()
