"""The end of the broker's day: what was looked for in vain all day can do nothing any more, and the book is kept.

An order of the day lives no longer than the broker's day. So one that is unknown or presumed absent ends as expired

- when trading in its instrument is over, and the order book, read afterwards several times over a window, does not show
  it: that is the day's last book, and it is kept (`BookArchive`); or
- when the broker's day is a later one, so that its book cannot show it any more, and the trade history of the order's
  day has no execution that it could have made. One that it could have made and that no order known to us explains
  leaves it in doubt: nothing is matched by guess, and a person has to look.

An order for after the market waits for another day than the one on which it was sent: only a person ends its doubt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
import structlog
from msgspec import Struct

from commands import faults
from commands.accounts import Accounts, account_of, stream_of
from commands.closing_time import ClosingTime
from commands.evidence import Search
from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import (
    BookArchive,
    Broker,
    Clock,
    EventStore,
    Instruments,
    Marks,
    PastExecution,
    Sessions,
    TradeHistory,
    VenueOrder,
)
from commands.sender import executor_context
from domain.account.commands import RecordDayEnd
from domain.account.events import ForeignFillAllocated, OrderAcknowledged, OrderFilled, OrderSubmitting
from domain.envelope import RecordedEvent
from domain.events import decode_known
from domain.ids import AccountId, OrderId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_MS, NS_PER_S, trading_day
from domain.order import IN_DOUBT

log = structlog.get_logger(__name__)

_CLOCKS_APART_NS = 60 * NS_PER_S
"""The exchange's clock and ours agree at least so well."""
_EVENTS_BACK = 1_000
"""So much of an account's stream before an order was sent tells whose the executions of about that time were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerDay:
    """What tells when the broker's day is over, and keeps what it said at its end."""

    marks: Marks
    sessions: Sessions
    history: TradeHistory
    archive: BookArchive


class _Sent(Struct, frozen=True, array_like=True):
    """When and where an order was sent (market clock). `version` is that of its account's stream."""

    at_ns: int
    version: int
    day: date


class _Traded(Struct):
    """The instruments that an account sent orders in on a day, and how often its book was read after their close."""

    day: date
    instruments: set[InstrumentKey] = msgspec.field(default_factory=set)
    reads: int = 0
    is_kept: bool = False


class DayKept(Struct, frozen=True, array_like=True):
    """What `DayEnd` has come to know of the log, and which books it has seen to."""

    sent: dict[OrderId, _Sent] = {}
    traded: dict[AccountId, _Traded] = {}


class DayEnd:
    """Ends what the day leaves in doubt, and has the day's last order book of every account kept that sent orders."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        broker: Broker,
        orders: OpenOrders,
        store: EventStore,
        instruments: Instruments,
        clock: Clock,
        day: BrokerDay,
        window_ms: int,
        reads_min: int,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._orders = orders
        self._store = store
        self._closing_time = ClosingTime(instruments=instruments, sessions=day.sessions)
        self._clock = clock
        self._day = day
        self._window_ns = window_ms * NS_PER_MS
        self._reads_min = reads_min
        self._sent: dict[OrderId, _Sent] = {}
        self._traded: dict[AccountId, _Traded] = {}
        self._searches: dict[OrderId, Search] = {}
        self._left_in_doubt: set[OrderId] = set()
        self._closed: dict[InstrumentKey, bool] = {}
        """Whose trading is over, as of the present look: many accounts trade in the same few."""

    def observe(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log, after the open orders have."""
        account_id = account_of(recorded.stream_id)
        if account_id is None or not recorded.name.startswith("order.submitting."):
            return
        event = decode_known(recorded.name, recorded.payload)
        if not isinstance(event, OrderSubmitting) or not event.market_time_ns:
            return
        order = self._orders.get(event.order_id)
        if order is None:
            return
        day = trading_day(event.market_time_ns)
        self._sent[event.order_id] = _Sent(event.market_time_ns, recorded.version, day)
        traded = self._traded.get(account_id)
        if traded is None or traded.day < day:
            traded = self._traded[account_id] = _Traded(day)
        traded.instruments.add(order.instruction.instrument)

    def kept(self) -> DayKept:
        """Return all that a snapshot has of it."""
        return DayKept(self._sent, self._traded)

    def restore(self, kept: DayKept) -> None:
        """Come to what a snapshot has."""
        self._sent, self._traded = kept.sent, kept.traded

    async def tend(self) -> int:
        """Look at every account whose day is over, and return how many orders that ended."""
        now_ns = self._day.marks.market_time_ns()
        self._closed.clear()
        in_doubt = self._in_doubt()
        still_open = {order.order_id for order in self._orders.open()}
        self._sent = {order_id: sent for order_id, sent in self._sent.items() if order_id in still_open}
        self._searches = {order_id: search for order_id, search in self._searches.items() if order_id in still_open}
        self._left_in_doubt &= still_open
        ended = 0
        for account_id in sorted({order.account_id for order in in_doubt} | set(self._traded)):
            orders = [order for order in in_doubt if order.account_id == account_id]
            try:
                ended += await self._end_day(account_id, orders, now_ns)
            except faults.OF_LOG_OR_VENUE as fault:
                log.warning("the day's end not looked at", account_id=account_id, fault=str(fault))
        return ended

    def _in_doubt(self) -> list[OpenOrder]:
        return [
            order
            for order in self._orders.open()
            if order.status in IN_DOUBT and order.order_id in self._sent and not order.instruction.after_market
        ]

    async def _end_day(self, account_id: AccountId, orders: Iterable[OpenOrder], now_ns: int) -> int:
        today = trading_day(now_ns)
        over = [order for order in orders if self._sent[order.order_id].day < today]
        closed = [
            order
            for order in orders
            if self._sent[order.order_id].day == today and self._is_closed(order.instruction.instrument, now_ns)
        ]
        ended = 0
        for order in over:
            ended += await self._end_by_history(order)
        traded = self._to_be_kept(account_id, today, now_ns)
        if closed or traded is not None:
            rows = await self._broker.orders(account_id)
            for order in closed:
                ended += await self._end_by_book(order, rows)
            if traded is not None:
                await self._keep(account_id, traded, rows)
        return ended

    def _is_closed(self, key: InstrumentKey, now_ns: int) -> bool:
        """Tell whether trading in an instrument is over for the day of *now_ns*."""
        if key not in self._closed:
            self._closed[key] = self._closing_time.is_over(key, now_ns)
        return self._closed[key]

    # --- By the day's last book ---

    async def _end_by_book(self, order: OpenOrder, rows: Iterable[VenueOrder]) -> int:
        if any(row.correlation_id == order.correlation_id for row in rows):
            return 0  # It turned up: the executor's own reading records it.
        now = self._clock.monotonic_ns()
        search = self._searches.setdefault(order.order_id, Search(began_at_ns=now))
        search.by_order_book += 1
        if search.by_order_book < self._reads_min or now - search.began_at_ns < self._window_ns:
            return 0
        return await self._end(order)

    def _to_be_kept(self, account_id: AccountId, today: date, now_ns: int) -> _Traded | None:
        traded = self._traded.get(account_id)
        if traded is None or traded.is_kept or traded.day != today:
            return None
        return traded if all(self._is_closed(key, now_ns) for key in traded.instruments) else None

    async def _keep(self, account_id: AccountId, traded: _Traded, rows: Sequence[VenueOrder]) -> None:
        """Keep the book once it was read as often as what it does not show has to be missing from it."""
        traded.reads += 1
        if traded.reads >= self._reads_min and not any(order.account_id == account_id for order in self._in_doubt()):
            await self._day.archive.keep(account_id, traded.day, rows)
            traded.is_kept = True

    # --- By the history of a day that is over ---

    async def _end_by_history(self, order: OpenOrder) -> int:
        sent = self._sent[order.order_id]
        executions = await self._day.history.executed_on(order.account_id, sent.day)
        known = await self._explained(order.account_id, after_version=max(0, sent.version - _EVENTS_BACK))
        possible = [execution for execution in executions if _may_be_of(order, sent, execution)]
        unexplained = [execution for execution in possible if execution.venue_order_id not in known]
        if not unexplained:
            return await self._end(order)
        if order.order_id not in self._left_in_doubt:
            self._left_in_doubt.add(order.order_id)
            named = sorted({each.venue_order_id for each in unexplained})
            log.error("an order of an earlier day is still in doubt", order_id=order.order_id, may_be=named)
        return 0

    async def _explained(self, account_id: AccountId, *, after_version: int) -> set[VenueOrderId]:
        """Return the venue's ids of the orders whose executions the log has, or knows to be none of this order's."""
        explained: set[VenueOrderId] = set()
        for recorded in await self._store.read_stream(stream_of(account_id), after_version=after_version):
            event = decode_known(recorded.name, recorded.payload)
            if isinstance(event, OrderAcknowledged | OrderFilled | ForeignFillAllocated) and event.venue_order_id:
                explained.add(event.venue_order_id)
        return explained

    async def _end(self, order: OpenOrder) -> int:
        command = RecordDayEnd(order_id=order.order_id)
        context = executor_context(self._clock, causation_id=order.order_id)
        outcome = await self._accounts.carry_out(order.account_id, command, context)
        return bool(outcome.events)


def _may_be_of(order: OpenOrder, sent: _Sent, execution: PastExecution) -> bool:
    """Tell whether an execution of the order's day is one that the order could have made."""
    told = order.instruction
    is_alike = (execution.instrument, execution.product, execution.side) == (told.instrument, told.product, told.side)
    is_later = execution.executed_at_ns is None or execution.executed_at_ns >= sent.at_ns - _CLOCKS_APART_NS
    return is_alike and is_later
