"""The trades that protection watches, folded from the log: what they hold, their levels, what works to close them."""

from collections import defaultdict, deque
from collections.abc import Collection
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from commands.accounts import account_of
from domain.account.events import (
    CorporateActionApplied,
    ForeignFillAllocated,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderPresumedAbsent,
    OrderRejected,
    OrderResolution,
    OrderResolved,
    OrderSubmitting,
    ProtectionFailed,
    ProtectionMode,
    StopTrailed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    Trailing,
)
from domain.envelope import RecordedEvent
from domain.events import Event, decode_known
from domain.ids import AccountId, OrderId, TradeId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_S, Mark
from domain.order import OrderInstruction, Product, Purpose, Side

SENDS_KEPT_NS = 3600 * NS_PER_S
"""The longest window in which the venue counts orders and that a square-off may have to wait for."""
SENDS_READ_AGAIN_NS = 60 * NS_PER_S
"""So far back a new process reads what was sent. Not the whole hour: a busy one would keep it from protecting."""


CLOSED_IN_SNAPSHOT = 1_000
"""So many of the closed trades that were opened last are in a snapshot: a late fill opens one again."""


class _Send(NamedTuple):
    """A request that the venue counts: when it was made (market clock), where the log has it, and of which order."""

    at_ns: int
    sequence: int
    order_id: OrderId


_ANY_PRICE = (-1, 2**63)


class ClosingOrder(Struct, frozen=True, kw_only=True):
    """An exit or stop of which the last word has not come. `wanted` is what a modification under way asks for."""

    order_id: OrderId
    purpose: Purpose
    instruction: OrderInstruction
    wanted: OrderInstruction | None = None
    cumulative_quantity: int = 0
    is_acknowledged: bool = False
    is_absent: bool = False

    @property
    def leaves_quantity(self) -> int:
        """Units that it may still fill; a stop that was looked for in vain guards nothing."""
        if self.is_absent and self.purpose is Purpose.STOP:
            return 0
        quantity = (
            self.instruction.quantity if self.wanted is None else max(self.instruction.quantity, self.wanted.quantity)
        )
        return max(0, quantity - self.cumulative_quantity)

    def is_passed_by(self, mark: Mark) -> bool:
        """Tell whether the price is beyond its limit, so that it cannot fill any more as it is."""
        limit = self.instruction.limit_price_e4
        is_resting = self.purpose is Purpose.STOP and self.is_acknowledged and self.wanted is None
        return is_resting and limit is not None and (mark.last_price_e4 - limit) * self.instruction.side.sign > 0


class WatchedTrade(Struct, frozen=True, kw_only=True):
    """A trade as protection sees it. `closing` are its exits and stops, `entries` its entry orders, that may fill."""

    account_id: AccountId
    trade_id: TradeId
    instrument: InstrumentKey
    side: Side
    product: Product
    first_sequence: int
    stop_loss_e4: int | None = None
    target_e4: int | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.ENGINE
    is_external: bool = False
    net_quantity: int = 0
    is_exiting: bool = False
    is_closed: bool = False
    has_failed: bool = False
    closing: tuple[ClosingOrder, ...] = ()
    entries: frozenset[OrderId] = frozenset()

    @property
    def stops(self) -> tuple[ClosingOrder, ...]:
        """Its stops that may fill."""
        return tuple(order for order in self.closing if order.purpose is Purpose.STOP and order.leaves_quantity)

    @property
    def uncovered_quantity(self) -> int:
        """Units held that nothing under way would close."""
        return max(0, abs(self.net_quantity) - sum(order.leaves_quantity for order in self.closing))

    @property
    def is_to_go_on(self) -> bool:
        """Whether an exit that was begun needs another step; where an order is presumed absent, it is not ours."""
        return self.is_exiting and self.uncovered_quantity > 0 and not self.is_in_doubt

    @property
    def is_waiting(self) -> bool:
        """Whether it needs something whatever the price is: its exit to go on, or a stop."""
        return self.is_to_go_on or self.lacks_stop

    @property
    def calm_between(self) -> tuple[int, int] | None:
        """Between which prices (neither included) no price can call for anything; None where any price may.

        A trade that trails, or waits for something, is not calm at any. Bounds may be nearer than what is behind them.
        """
        if self.net_quantity == 0:
            return _ANY_PRICE
        if self.is_waiting or (self.trailing is not None and not self.is_exiting):
            return None
        above, below = _ANY_PRICE
        if not self.is_exiting:
            levels = (self.stop_loss_e4, self.target_e4) if self.side.sign > 0 else (self.target_e4, self.stop_loss_e4)
            above = above if levels[0] is None else levels[0]
            below = below if levels[1] is None else levels[1]
        for stop in self.stops:
            limit = stop.instruction.limit_price_e4
            if limit is None:
                continue
            if stop.instruction.side.sign < 0:  # A price below its limit has passed it.
                above = max(above, limit - 1)
            else:
                below = min(below, limit + 1)
        return above, below

    @property
    def is_in_doubt(self) -> bool:
        """Whether one of its exits or stops is presumed absent: the executor sees to what takes its place."""
        return any(order.is_absent for order in self.closing)

    @property
    def is_guarded(self) -> bool:
        """Whether stops that the venue has, or may have, cover all that is held, at the trade's own level."""
        covered = sum(
            stop.leaves_quantity for stop in self.stops if stop.instruction.trigger_price_e4 == self.stop_loss_e4
        )
        return self.protection is ProtectionMode.RESTING and covered >= abs(self.net_quantity)

    @property
    def lacks_stop(self) -> bool:
        """Whether a stop should rest and does not, or for less than is held."""
        return (
            self.protection is ProtectionMode.RESTING
            and self.stop_loss_e4 is not None
            and not self.is_exiting
            and not self.has_failed
            and not self.is_in_doubt
            and self.uncovered_quantity > 0
        )


class TradesKept(Struct, frozen=True, array_like=True):
    """What `WatchedTrades` come to: the trades, oldest first, and what was sent of each account."""

    trades: tuple[WatchedTrade, ...]
    sends: dict[AccountId, tuple[_Send, ...]]
    market_time_ns: int


class WatchedTrades:
    """Every trade that is not closed, by instrument. Closed ones are remembered: a late fill opens a trade again."""

    def __init__(self) -> None:
        self.sequence = 0
        self.place: RecordedEvent | None = None
        self._trades: dict[TradeId, WatchedTrade] = {}
        # Parts of it, kept as trades change: most trades of a day are over, and most that are not need nothing.
        self._unclosed: dict[TradeId, WatchedTrade] = {}
        self._waiting: dict[TradeId, WatchedTrade] = {}
        self._calm: defaultdict[InstrumentKey, dict[TradeId, tuple[int, int] | None]] = defaultdict(dict)
        self._sends: defaultdict[AccountId, deque[_Send]] = defaultdict(deque)
        self._market_time_ns = 0

    # --- Following the log ---

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence, self.place = recorded.sequence, recorded
        account_id = account_of(recorded.stream_id)
        if account_id is None or not recorded.name.startswith(("trade.", "order.", "account.corporate_action")):
            return
        event = decode_known(recorded.name, recorded.payload)
        if event is not None:
            self._apply(account_id, event, recorded.sequence)

    def learn_stop(self, trailed: StopTrailed) -> None:
        """Take in at once where a stop moved, before the log brings it back: the next tick is held against it."""
        trade = self._trades.get(trailed.trade_id)
        if trade is not None:
            self._keep(replace(trade, stop_loss_e4=trailed.stop_loss_e4))

    def _apply(self, account_id: AccountId, event: Event, sequence: int) -> None:
        if isinstance(event, TradeOpened | TradeAdopted):
            self._begin(account_id, event, sequence)
            return
        if isinstance(event, CorporateActionApplied):
            self._adjust(event)
            return
        self._count(account_id, event, sequence)
        trade = self._trades.get(getattr(event, "trade_id", TradeId("")))
        after = None if trade is None else _after(trade, event)
        if after is None:
            return
        self._keep(after)

    def _keep(self, trade: WatchedTrade) -> None:
        self._trades[trade.trade_id] = trade
        if trade.is_closed:
            self._unclosed.pop(trade.trade_id, None)
            self._calm[trade.instrument].pop(trade.trade_id, None)
        else:
            self._unclosed[trade.trade_id] = trade
            if not trade.is_external:
                self._calm[trade.instrument][trade.trade_id] = trade.calm_between
        if not trade.is_closed and not trade.is_external and trade.is_waiting:
            self._waiting[trade.trade_id] = trade
        else:
            self._waiting.pop(trade.trade_id, None)

    def _begin(self, account_id: AccountId, event: TradeOpened | TradeAdopted, sequence: int) -> None:
        if isinstance(event, TradeAdopted):
            # It has no levels, and nobody but a person closes it.
            trade = WatchedTrade(
                account_id=account_id,
                trade_id=event.trade_id,
                instrument=event.instrument,
                side=event.side,
                product=event.product,
                first_sequence=sequence,
                is_external=True,
            )
        else:
            trade = WatchedTrade(
                account_id=account_id,
                trade_id=event.trade_id,
                instrument=event.entry.instrument,
                side=event.entry.side,
                product=event.entry.product,
                first_sequence=sequence,
                stop_loss_e4=event.stop_loss_e4,
                target_e4=event.target_e4,
                trailing=event.trailing,
                protection=event.protection,
            )
        self._keep(trade)

    def _adjust(self, event: CorporateActionApplied) -> None:
        for each in event.trades:
            trade = self._trades.get(each.trade_id)
            if trade is not None:
                adjusted = replace(
                    trade,
                    net_quantity=each.net_quantity,
                    stop_loss_e4=each.stop_loss_e4,
                    target_e4=each.target_e4,
                )
                self._keep(adjusted)

    def _count(self, account_id: AccountId, event: Event, sequence: int) -> None:
        """Count what the venue counts: orders that were sent, and what was asked to be changed or canceled."""
        match event:
            case OrderSubmitting():
                self.learn_time(event.market_time_ns)
                self._count_send(account_id, _Send(event.market_time_ns, sequence, event.order_id))
            case OrderModifyRequested() | OrderCancelRequested():
                self._count_send(account_id, _Send(self._market_time_ns, sequence, event.order_id))
            case OrderNotSent():
                sends = self._sends[account_id]
                last = next((send for send in reversed(sends) if send.order_id == event.order_id), None)
                if last is not None:
                    sends.remove(last)
            case _:
                return

    def _count_send(self, account_id: AccountId, send: _Send) -> None:
        sends = self._sends[account_id]
        sends.append(send)
        while sends[0].at_ns <= send.at_ns - SENDS_KEPT_NS:
            sends.popleft()

    def learn_time(self, market_time_ns: int) -> None:
        """Take in that it is so late by the market clock."""
        self._market_time_ns = max(self._market_time_ns, market_time_ns)

    # --- Looking ---

    def stirred_by(self, mark: Mark, *, always: Collection[TradeId]) -> list[WatchedTrade]:
        """Return the trades of our own for which *mark* may call for something, oldest first, and those of *always*."""
        price_e4 = mark.last_price_e4
        stirred = [
            trade_id
            for trade_id, calm in self._calm[mark.instrument].items()
            if calm is None or not calm[0] < price_e4 < calm[1] or trade_id in always
        ]
        return [self._trades[trade_id] for trade_id in sorted(stirred)]

    def waiting(self) -> list[WatchedTrade]:
        """Return the trades of our own for which an exit has to go on, or which lack a stop, oldest first."""
        return sorted(self._waiting.values(), key=attrgetter("first_sequence"))

    def unclosed(self) -> Collection[WatchedTrade]:
        """Return every trade that is not closed."""
        return self._unclosed.values()

    def sent_at_ns(self, account_id: AccountId) -> list[int]:
        """Return when the account's requests of the last hour were made (market clock), oldest first."""
        return [send.at_ns for send in self._sends.get(account_id, ())]

    def low_water(self) -> int:
        """Return the sequence after which a new process has to read to find every trade that is not closed.

        And what was sent in the last minute, which counts against the venue's limits.
        """
        first = [trade.first_sequence for trade in self.unclosed()]
        since_ns = self._market_time_ns - SENDS_READ_AGAIN_NS
        first += [send.sequence for sends in self._sends.values() for send in sends if send.at_ns > since_ns]
        return min(first, default=self.sequence + 1) - 1

    def forget_past(self, *, keep: int, market_time_ns: int) -> None:
        """Forget the oldest closed trades beyond *keep* of them, and what was sent more than an hour ago."""
        self.learn_time(market_time_ns)
        closed = [trade.trade_id for trade in self._trades.values() if trade.is_closed]
        for trade_id in closed[: max(0, len(closed) - keep)]:
            del self._trades[trade_id]
        for account_id, sends in list(self._sends.items()):
            while sends and sends[0].at_ns <= market_time_ns - SENDS_KEPT_NS:
                sends.popleft()
            if not sends:
                del self._sends[account_id]

    def kept(self) -> TradesKept:
        """Return all that a snapshot has of it: what is open, and what closed lately."""
        closed = [trade.trade_id for trade in self._trades.values() if trade.is_closed]
        forgotten = set(closed[: max(0, len(closed) - CLOSED_IN_SNAPSHOT)])
        return TradesKept(
            tuple([trade for trade in self._trades.values() if trade.trade_id not in forgotten]),
            {account_id: tuple(sends) for account_id, sends in self._sends.items() if sends},
            self._market_time_ns,
        )

    def restore(self, kept: TradesKept) -> None:
        """Come to what a snapshot has."""
        for trade in kept.trades:
            self._keep(trade)
        self._sends.update({account_id: deque(sends) for account_id, sends in kept.sends.items()})
        self._market_time_ns = kept.market_time_ns

    def __len__(self) -> int:
        return len(self._unclosed)

    def __contains__(self, trade_id: TradeId) -> bool:
        return trade_id in self._unclosed


def _after(trade: WatchedTrade, event: Event) -> WatchedTrade | None:  # noqa: PLR0911 - one arm per event
    """Return *trade* after *event*, None where it changes nothing here."""
    match event:
        case OrderFilled():
            return _after_fill(trade, event)
        case ForeignFillAllocated():
            held = trade.net_quantity + event.side.sign * event.last_quantity
            return replace(trade, net_quantity=held, is_closed=False)
        case TradeClosed():
            return replace(trade, is_closed=True)
        case TradeExitTriggered():
            return replace(trade, is_exiting=True)
        case TradeChanged():
            return replace(
                trade,
                stop_loss_e4=event.stop_loss_e4,
                target_e4=event.target_e4,
                trailing=event.trailing,
                has_failed=False,
            )
        case StopTrailed():
            return replace(trade, stop_loss_e4=event.stop_loss_e4)
        case ProtectionFailed():
            return replace(trade, has_failed=True)
        case _:
            return _after_order(trade, event)


def _after_fill(trade: WatchedTrade, event: OrderFilled) -> WatchedTrade:
    held = trade.net_quantity + event.side.sign * event.last_quantity
    trade = replace(trade, net_quantity=held, is_closed=False)
    if event.leaves_quantity == 0:
        return _without(trade, event.order_id)
    return _with(trade, event.order_id, cumulative_quantity=event.cumulative_quantity)


def _after_order(trade: WatchedTrade, event: Event) -> WatchedTrade | None:  # noqa: PLR0911 - likewise
    match event:
        case OrderIntended(purpose=Purpose.ENTRY):
            return replace(trade, entries=trade.entries | {event.order_id})
        case OrderIntended():
            order = ClosingOrder(order_id=event.order_id, purpose=event.purpose, instruction=event.instruction)
            return replace(trade, closing=(*trade.closing, order))
        case OrderAcknowledged():
            return _with(trade, event.order_id, is_acknowledged=True, is_absent=False)
        case OrderPresumedAbsent():
            return _with(trade, event.order_id, is_absent=True)
        case OrderResolved(resolution=OrderResolution.ABSENT):
            return _without(trade, event.order_id)
        case OrderModifyRequested():
            return _with(trade, event.order_id, wanted=event.instruction)
        case OrderModified():
            return _with(trade, event.order_id, instruction=event.instruction, wanted=None)
        case OrderModifyRefused():
            return _with(trade, event.order_id, wanted=None)
        case OrderRejected() | OrderCanceled() | OrderExpired() | OrderLapsed() | OrderBlocked():
            return _without(trade, event.order_id)
        case _:
            return None


def _with(trade: WatchedTrade, order_id: OrderId, **changes: object) -> WatchedTrade:
    closing = tuple(replace(o, **changes) if o.order_id == order_id else o for o in trade.closing)
    return replace(trade, closing=closing)


def _without(trade: WatchedTrade, order_id: OrderId) -> WatchedTrade:
    closing = tuple(order for order in trade.closing if order.order_id != order_id)
    return replace(trade, closing=closing, entries=trade.entries - {order_id})
