"""What must hold in a made-up life, told from lists of fills, the venue's own book and plain arithmetic.

Nothing here looks at how the engine reckons: its state is compared, never asked for a sum.
"""

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from domain.account.events import (
    AccountEvent,
    AccountOpened,
    BasketFailed,
    BasketOpened,
    BasketPolicy,
    CorporateActionApplied,
    ForeignFillAllocated,
    InvariantBreached,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderBlocked,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderSubmitting,
    ProtectionMode,
    RiskBreached,
    RiskBreachReleased,
    RiskParametersChanged,
    TradeAdopted,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.state import WHOLE_ACCOUNT, Account, Trade
from domain.ids import BasketId, OrderId, StrategyId, TradeId
from domain.instrument import InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import ModifyCause, OrderInstruction, OrderType, Product, Purpose
from domain.risk import BreachKind, DenialCode, RiskParameters
from infra.oracle.books import Books
from infra.oracle.costs import Cashier
from infra.oracle.venue import Venue, VenueSide


class Mismatch(AssertionError):
    """The engine and the oracle disagree."""


_KIND_OF = {
    DenialCode.DAY_LOSS_LIMIT_REACHED: BreachKind.DAY_LOSS,
    DenialCode.DRAWDOWN_LIMIT_REACHED: BreachKind.DRAWDOWN,
}


def demand(holds: object, claim: str) -> None:
    """Raise `Mismatch` unless *holds*."""
    if not holds:
        raise Mismatch(claim)


class Judge:
    """Follows an account's events beside the venue, and says where they do not fit."""

    def __init__(self, venue: Venue) -> None:
        self.books = Books()
        self.disturbed: set[TradeId] = set()
        """Trades to which something happened that no client can prevent: their exits may overlap for a while."""
        self.intended: dict[OrderId, OrderIntended] = {}
        self._venue = venue
        self._trades: dict[TradeId, TradeOpened] = {}
        self._product_of: dict[TradeId, Product] = {}
        self._positions: defaultdict[tuple[InstrumentKey, Product], int] = defaultdict(int)
        self._cash_paise = 0
        self._cashier = Cashier()
        self._instrument_of: dict[TradeId, InstrumentKey] = {}
        self._realised_paise = 0
        self._realised_on: defaultdict[str, int] = defaultdict(int)
        self._peak_paise = 0
        self._limits = RiskParameters()
        self._latched: set[tuple[str, BreachKind]] = set()
        self._killed: set[StrategyId] = set()
        self._unsent: set[OrderId] = set()
        self._canceling: set[OrderId] = set()
        self._modifying: dict[OrderId, OrderInstruction] = {}
        self._submissions: defaultdict[OrderId, int] = defaultdict(int)
        self._returns: defaultdict[OrderId, int] = defaultdict(int)
        self._to_be_closed: set[TradeId] = set()
        self._exiting: set[TradeId] = set()
        self._baskets: dict[BasketId, BasketOpened] = {}
        self._fill_ids: set[tuple[OrderId, str]] = set()

    def take(self, event: AccountEvent) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm an event
        """Follow the next event, and hold it against what is allowed."""
        match event:
            case TradeOpened():
                self._trades[event.trade_id] = event
                self._product_of[event.trade_id] = event.entry.product
                self._instrument_of[event.trade_id] = event.entry.instrument
                demand(self._losses(event.market) == {}, "a trade was opened beyond a limit on losses")
                demand(not self._is_killed(event.strategy_id), "a trade was opened under an engaged kill switch")
            case TradeAdopted():
                self._product_of[event.trade_id] = event.product
                self._instrument_of[event.trade_id] = event.instrument
            case OrderDenied():
                self._denied(event)
            case RiskBreached():
                losses = self._losses_at(event.marks, event.trading_day)
                demand(
                    losses.get(event.kind) == event.value_paise, f"{event.kind} of {event.value_paise}, not {losses}"
                )
                self._latched.add((event.trading_day, event.kind))
            case InvariantBreached():
                demand(holds=False, claim=f"the watch saw {event.seen} where it expected {event.expected}: {event}")
            case RiskBreachReleased():
                self._latched = {each for each in self._latched if each[1] is not event.kind}
            case AccountOpened() | RiskParametersChanged():
                self._limits = event.parameters
            case OrderIntended():
                self.intended[event.order_id] = event
                self._unsent.add(event.order_id)
                demand(event.instruction.quantity > 0, "an order of nothing")
            case OrderSubmitting():
                self._submitting(event)
            case OrderNotSent():
                self._returns[event.order_id] += 1
                self._unsent.add(event.order_id)
            case OrderBlocked():
                self._unsent.discard(event.order_id)
            case OrderCancelRequested():
                self._canceling.add(event.order_id)
            case OrderModifyRequested():
                demand(event.order_id not in self._modifying, "a modification while another is under way")
                self._modifying[event.order_id] = event.instruction
                if event.cause is ModifyCause.EXIT:
                    demand(event.trade_id in self._exiting, "a stop became the exit of a trade that goes on")
            case TradeExitTriggered():
                self._exiting.add(event.trade_id)
            case OrderModified() | OrderModifyRefused():
                self._modifying.pop(event.order_id, None)
            case OrderFilled():
                self._filled(event)
            case ForeignFillAllocated():
                self._book(event, is_entry=event.closed_quantity < event.last_quantity)
                self.disturbed.add(event.trade_id)
            case CorporateActionApplied():
                for each in event.trades:
                    book, product = self.books.of[each.trade_id], self._product_of[each.trade_id]
                    self._positions[event.instrument, product] += each.net_quantity - book.quantity
                    book.scale(each.net_quantity)
                    self.disturbed.add(each.trade_id)
            case KillSwitchEngaged():
                self._killed.add(event.strategy_id or WHOLE_ACCOUNT)
            case KillSwitchReleased():
                self._killed.discard(event.strategy_id or WHOLE_ACCOUNT)
            case BasketOpened():
                self._baskets[event.basket_id] = event
            case BasketFailed(policy=BasketPolicy.UNWIND):
                self._to_be_closed |= {leg.trade_id for leg in self._baskets[event.basket_id].legs}
            case TradeClosed():
                book = self.books.of[event.trade_id]
                demand(book.quantity == 0, f"{event.trade_id} was closed holding {book.quantity}")
                demand(
                    event.trade_id in self.disturbed or book.cash_paise == event.realised_paise,
                    f"{event.trade_id} closed with {event.realised_paise}, its fills come to {book.cash_paise}",
                )
            case _:
                pass

    def _is_killed(self, strategy_id: StrategyId | None) -> bool:
        return WHOLE_ACCOUNT in self._killed or strategy_id in self._killed

    def _submitting(self, event: OrderSubmitting) -> None:
        self._unsent.discard(event.order_id)
        self._submissions[event.order_id] += 1
        demand(
            self._submissions[event.order_id] <= 1 + self._returns[event.order_id], f"{event.order_id} was sent twice"
        )
        if self.intended[event.order_id].purpose is Purpose.ENTRY:
            opened = self._trades[event.trade_id]
            demand(not self._is_killed(opened.strategy_id), "an entry was sent under an engaged kill switch")

    def _filled(self, event: OrderFilled) -> None:
        fill = (event.order_id, event.venue_fill_id)
        demand(fill not in self._fill_ids, f"{fill} was booked twice")
        self._fill_ids.add(fill)
        if event.purpose is Purpose.STOP:
            self._to_be_closed.add(event.trade_id)
        self._book(event, is_entry=event.purpose is Purpose.ENTRY)

    # --- After every command ---

    def check(self, state: Account, events: Sequence[AccountEvent]) -> None:
        """Hold the trades that *events* speak of against the books and the venue, and all positions against both."""
        touched = {trade_id for event in events if (trade_id := getattr(event, "trade_id", None)) in state.trades}
        for trade_id in touched:
            self._check_holding(trade_id, state.trades[trade_id])
            self._check_room(trade_id)
        if any(isinstance(event, OrderFilled | ForeignFillAllocated | CorporateActionApplied) for event in events):
            self._check_positions(state)

    def _check_holding(self, trade_id: TradeId, trade: Trade) -> None:
        book = self.books.of[trade_id]
        holding = trade.holding
        if holding.net_quantity != book.quantity:
            raise Mismatch(f"{trade_id} holds {holding.net_quantity}, not {book.quantity}")
        if holding.realised_paise != book.cash_paise + holding.cost_paise:
            raise Mismatch(f"{trade_id} realised {holding.realised_paise}, its cash and cost say {book.cash_paise}")
        if abs(holding.cost_paise - book.exact_cost) > book.fills:
            raise Mismatch(f"{trade_id} cost {holding.cost_paise}, exactly {book.exact_cost}")
        if book.quantity == 0 and holding.cost_paise != 0:
            raise Mismatch(f"{trade_id} holds nothing at a cost")

    def _check_room(self, trade_id: TradeId) -> None:
        """What exits and stops may still fill, by the venue's own book, is never more than is held."""
        held = self.books.held(trade_id) + self._untold(trade_id)
        room = 0
        for order in self._venue.of_trade(trade_id):
            if not order.purpose.closes or not order.is_live:
                continue
            room += self._worst(order)
        for order_id in self._unsent:
            intended = self.intended[order_id]
            if intended.trade_id == trade_id and intended.purpose.closes:
                room += intended.instruction.quantity
                if intended.instruction.side.sign * self.books.held(trade_id) > 0 and trade_id not in self.disturbed:
                    raise Mismatch(f"{order_id} would add to what is held")
        if room > abs(held) and trade_id not in self.disturbed:
            raise Mismatch(f"exits of {trade_id} may fill {room} of {held} held")

    def _worst(self, order: VenueSide) -> int:
        wanted = self._modifying.get(order.order_id)
        quantity = order.instruction.quantity if wanted is None else max(order.instruction.quantity, wanted.quantity)
        return quantity - order.cumulative_quantity

    def _untold(self, trade_id: TradeId) -> int:
        """Return what has executed of the trade's orders and was not recorded yet, signed."""
        return sum(
            order.instruction.side.sign * execution.quantity
            for order in self._venue.of_trade(trade_id)
            for execution in order.executions[order.told :]
        )

    def shown_at_venue(self, instrument: InstrumentKey, product: Product) -> int:
        """Return what the venue's positions show: what was recorded, and what executed and was not recorded yet."""
        position = (instrument, product)
        untold = (
            self._untold(trade_id)
            for trade_id, traded in self._product_of.items()
            if (self._instrument_of[trade_id], traded) == position
        )
        return self._positions[position] + sum(untold)

    def _check_positions(self, state: Account) -> None:
        """A position is the sum of its trades; what the account realised is its cash and the cost of what it holds."""
        sums: defaultdict[tuple[InstrumentKey, Product], int] = defaultdict(int)
        cost = 0
        for trade in state.trades.values():
            sums[trade.entry.instrument, trade.entry.product] += trade.holding.net_quantity
            cost += trade.holding.cost_paise
        for position, quantity in self._positions.items():
            if sums[position] != quantity:
                raise Mismatch(f"the trades in {position} hold {sums[position]}, its executions come to {quantity}")
        if state.realised_paise != self._cash_paise + cost:
            raise Mismatch(f"realised {state.realised_paise}, cash {self._cash_paise} and cost {cost}")
        charged, of_day = self._cashier.total, self._cashier.by_day[state.day]
        if (state.charges_paise, state.charges_today_paise) != (charged, of_day):
            raise Mismatch(f"charged {state.charges_paise} ({state.charges_today_paise}), not {charged} ({of_day})")
        if state.peak_net_paise != self._peak_paise:
            raise Mismatch(f"the highest net result is {state.peak_net_paise}, not {self._peak_paise}")

    def _book(self, event: OrderFilled | ForeignFillAllocated, *, is_entry: bool) -> None:
        book = self.books.of[event.trade_id]
        before = book.cash_paise
        book.take(event.side.sign, event.last_quantity, event.last_price_e4, is_entry=is_entry)
        self._cash_paise += book.cash_paise - before
        wrong = self._cashier.take(event, abs(book.cash_paise - before))
        demand(wrong is None, f"{event.venue_fill_id} of {event.trade_id} {wrong}")
        self._realised_paise += event.realised_paise
        self._realised_on[event.trading_day] += event.realised_paise
        self._peak_paise = max(self._peak_paise, self._net_paise)
        self._positions[event.instrument, event.product] += event.side.sign * event.last_quantity

    # --- Results ------------------------------------------------------------------------------------------------------

    def check_latches(self, state: Account, market: MarketSnapshot) -> None:
        """Hold the latches that an observation of *market* left against the losses."""
        missed = set(self._losses(market)) - state.breaches
        demand(not missed, f"{missed} reached and not latched")

    def _denied(self, event: OrderDenied) -> None:
        losses, day = self._losses(event.market), event.market.trading_day
        kind = _KIND_OF.get(event.code)
        if kind is not None:
            demand(
                kind in losses or (day, kind) in self._latched, f"denied for {kind}, which was not reached: {losses}"
            )
            self._latched.add((day, kind))

    def _losses(self, market: MarketSnapshot) -> dict[BreachKind, int]:
        """Return the losses that reach their limits at the market that a decision saw, whose valuation is checked."""
        result, opened = self._results(market.marks, market.trading_day)
        valuation = market.valuation
        told = None if valuation is None else (valuation.day_result_paise, valuation.open_result_paise)
        demand(told == (result, opened), f"the day's and the open result are {told}, by the books {(result, opened)}")
        return self._losses_at(market.marks, market.trading_day)

    def _losses_at(self, marks: Sequence[Mark], day: str) -> dict[BreachKind, int]:
        result, opened = self._results(marks, day)
        losses = {
            BreachKind.DAY_LOSS: (-result, self._limits.day_loss_paise_max),
            BreachKind.DRAWDOWN: (self._peak_paise - self._net_paise - opened, self._limits.drawdown_paise_max),
        }
        return {kind: loss for kind, (loss, limit) in losses.items() if loss >= limit}

    def _results(self, marks: Sequence[Mark], day: str) -> tuple[int, int]:
        """Return the result of *day* and the open result at *marks*, of which none tells a previous close."""
        prices = {mark.instrument: mark.last_price_e4 for mark in marks}
        opened = self._cash_paise - self._realised_paise
        for trade_id, book in self.books.of.items():
            if book.quantity:
                opened += round(Fraction(prices[self._instrument_of[trade_id]] * book.quantity, 100))
        return self._realised_on[day] - self._cashier.by_day[day] + opened, opened

    @property
    def _net_paise(self) -> int:
        return self._realised_paise - self._cashier.total

    # --- At the end, when everything has been answered ---

    def check_end(self, state: Account, *, given_up: set[TradeId]) -> None:
        """Hold the account against what it shall be when nothing is under way any more."""
        for trade_id, trade in state.trades.items():
            self._check_holding(trade_id, trade)
            self._check_room(trade_id)
            held = self.books.held(trade_id)
            live = [order for order in self._venue.of_trade(trade_id) if order.is_live]
            closing = [order for order in live if order.purpose.closes]
            leaves = {order.order_id: order.leaves_quantity for order in closing}
            if sum(leaves.values()) > abs(held):
                raise Mismatch(f"{trade_id} holds {held} and its exits may fill {leaves}")
            if trade.exit_cause is not None or trade_id in self._to_be_closed:
                demand(held == 0, f"{trade_id} was to be closed for {trade.exit_cause} and holds {held}")
            guards = trade.protection is ProtectionMode.RESTING and trade.stop_loss_e4 is not None
            if guards and held and trade.exit_cause is None and trade_id not in given_up:
                self._check_guard(trade, closing, held)

    @staticmethod
    def _check_guard(trade: Trade, closing: list[VenueSide], held: int) -> None:
        stops = [order for order in closing if order.purpose is Purpose.STOP]
        covered = sum(order.leaves_quantity for order in closing)
        demand(
            covered == abs(held) or trade.has_failed_protection,
            f"{trade.trade_id} holds {held} and its stops cover {covered}",
        )
        for stop in stops:
            told = stop.instruction
            at_level = told.order_type is not OrderType.SL or told.trigger_price_e4 == trade.stop_loss_e4
            demand(at_level or trade.trailing is not None, f"{stop.order_id} rests away from {trade.stop_loss_e4}")
