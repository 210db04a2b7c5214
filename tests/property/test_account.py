"""Whatever is asked of an account, and whatever its venue does: the books agree with a list of executions.

A machine makes up commands, sensible and senseless, and keeps its own books: a plain list of fills for each trade, and
the orders as the events tell of them. After each command it holds the account against them.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from commands.accounts import stream_of
from commands.open_orders import OpenOrders
from commands.protection import WatchedTrades
from domain.account import decider
from domain.account.commands import AccountCommand, OpenTrade
from domain.account.events import (
    AccountEvent,
    Evidence,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    TradeClosed,
)
from domain.account.exits import EXITS_MAX
from domain.account.refusals import PositionNotOpen
from domain.account.totals import totals_of
from domain.envelope import RecordedEvent
from domain.events import decode, encode, name_of
from domain.ids import OrderId, TradeId, VenueFillId, VenueOrderId
from domain.market import MarketSnapshot
from domain.order import AT_VENUE, CLOSED, LIVE, NEXT, OrderStatus, OrderType, Purpose, Side, correlation_id_of
from tests.support.life_cycle import FollowedOrder, FollowedOrders
from tests.support.specimens import (
    ACCOUNT,
    CODE,
    DAY_NS,
    NOW_NS,
    NS_PER_S,
    accepted,
    begin,
    close,
    engage,
    fill,
    found,
    infy,
    infy_mark,
    mark,
    not_sent,
    open_account,
    open_trade,
    presume_absent,
    refused,
    release,
    reliance,
    session_at,
    stop_hit,
    unknown,
)

orders = st.integers(min_value=0, max_value=40)
quantities = st.integers(min_value=1, max_value=12)
prices = st.integers(min_value=95_00, max_value=105_00).map(lambda paise: paise * 100 + 33)
statuses = st.sampled_from(list(OrderStatus))


@dataclass
class Book:
    """What one trade's fills come to, reckoned another way: exact average cost in fractions of a paisa."""

    quantity: int = 0
    cash_paise: int = 0
    entered: int = 0
    fills: int = 0
    exact_cost: Fraction = field(default_factory=Fraction)

    def trade(self, sign: int, quantity: int, price_e4: int, *, is_entry: bool) -> None:
        worth = round(Fraction(price_e4 * quantity, 100))  # Python rounds a half to even, as the engine does.
        self.cash_paise -= sign * worth
        self.entered += quantity if is_entry else 0
        self.fills += 1
        after = self.quantity + sign * quantity
        if self.quantity * sign >= 0:
            self.exact_cost += sign * worth
        elif after * self.quantity > 0:
            self.exact_cost *= Fraction(after, self.quantity)
        else:  # Closed or turned round: what is left was opened by this very fill.
            self.exact_cost = sign * Fraction(worth * abs(after), quantity)
        self.quantity = after


class AnyAccount(RuleBasedStateMachine):
    """Makes up the life of an account."""

    def __init__(self) -> None:
        super().__init__()
        self.state = decider.initial
        self.events: list[AccountEvent] = []
        self.orders = FollowedOrders()
        self.books: defaultdict[TradeId, Book] = defaultdict(Book)
        self.trades: list[TradeId] = []
        self.fill_ids: dict[OrderId, list[VenueFillId]] = defaultdict(list)
        self.closed_by_hand: set[TradeId] = set()
        self.disturbed: set[TradeId] = set()
        """Trades of which an order filled after its last word, was presumed absent or filled beyond its quantity."""
        self.now_ns = NOW_NS
        self.do(open_account)
        self.somebody_opens_a_trade(side=Side.BUY, quantity=10, is_limit=False, has_levels=True, in_infy=False)
        self.somebody_opens_a_trade(side=Side.SELL, quantity=7, is_limit=True, has_levels=False, in_infy=False)
        self.everything_that_waits_is_sent(answer=accepted)

    def do(self, command: AccountCommand) -> tuple[AccountEvent, ...]:
        try:
            events = decider.decide(command, self.state)
        except PositionNotOpen:
            return ()
        self.state = decider.fold(events, self.state)
        self.events += events
        self.orders.take(events)
        self.expect_nothing_of_a_repetition(command, events)
        for event in events:
            if isinstance(event, TradeClosed):
                self.expect_a_right_closing(event, events)
        return events

    def expect_nothing_of_a_repetition(self, command: AccountCommand, events: tuple[AccountEvent, ...]) -> None:
        if isinstance(command, type(open_account)) or (events and isinstance(events[0], OrderDenied)):
            return
        with suppress(PositionNotOpen):
            assert decider.decide(command, self.state) == ()

    def expect_a_right_closing(self, closed: TradeClosed, events: tuple[AccountEvent, ...]) -> None:
        book = replace_book(self.books[closed.trade_id], events, closed.trade_id)
        assert (book.quantity, book.cash_paise, book.entered) == (0, closed.realised_paise, closed.entry_quantity)
        waiting = LIVE | {OrderStatus.PRESUMED_ABSENT}
        assert not any(order.status in waiting for order in self.orders.of(closed.trade_id))

    # --- What may be asked ---

    @rule(
        side=st.sampled_from(Side),
        quantity=quantities,
        is_limit=st.booleans(),
        has_levels=st.booleans(),
        in_infy=st.booleans(),
    )
    def somebody_opens_a_trade(
        self,
        side: Side,
        quantity: int,
        is_limit: bool,  # noqa: FBT001 - Hypothesis names it
        has_levels: bool,  # noqa: FBT001
        in_infy: bool,  # noqa: FBT001
    ) -> None:
        trade_id = TradeId(f"trd_{len(self.trades)}")
        self.trades.append(trade_id)
        stop, target = 100_0000 - side.sign * 2_0000, 100_0000 + side.sign * 2_0000
        marks = tuple(replace(each, last_price_e4=100_0000, exchange_time_ns=self.now_ns) for each in (mark, infy_mark))
        intent: OpenTrade = replace(
            open_trade,
            trade_id=trade_id,
            side=side,
            quantity=quantity,
            order_type=OrderType.LIMIT if is_limit else OrderType.MARKET,
            limit_price_e4=100_0000 if is_limit else None,
            stop_loss_e4=stop if has_levels else None,
            target_e4=target if has_levels else None,
            market=MarketSnapshot(
                market_time_ns=self.now_ns,
                instrument=infy if in_infy else reliance,
                marks=marks,
                session=session_at(self.now_ns),
            ),
        )
        self.do(intent)

    @precondition(lambda self: any(book.quantity for book in self.books.values()))
    @rule(in_infy=st.booleans())
    def somebody_closes_a_position(self, in_infy: bool) -> None:  # noqa: FBT001
        events = self.do(replace(close, instrument=infy.key if in_infy else reliance.key))
        self.closed_by_hand.update(event.trade_id for event in events if isinstance(event, OrderIntended))

    @rule(chance=st.integers(min_value=0, max_value=7))
    def somebody_uses_the_kill_switch(self, chance: int) -> None:
        self.do(engage if chance == 1 else release)

    @precondition(lambda self: len(self.events) > 30)
    @rule(chance=st.integers(min_value=0, max_value=3))
    def a_night_may_pass(self, chance: int) -> None:
        self.now_ns += DAY_NS if chance == 1 else 0

    @precondition(lambda self: self.trades)
    @rule(which=orders, price_e4=st.sampled_from([97_0000, 98_0000, 100_0000, 102_0000]))
    def a_tick_comes(self, which: int, price_e4: int) -> None:
        trade_id = self.trades[which % len(self.trades)]
        tick = replace(mark, last_price_e4=price_e4, exchange_time_ns=self.now_ns)
        self.do(replace(stop_hit, trade_id=trade_id, mark=tick))

    def order(self, which: int, *preferred: OrderStatus) -> FollowedOrder:
        """Return one of the orders that an account still remembers, mostly one in a *preferred* state."""
        known = [order for order in self.orders.by_id.values() if order.order_id in self.state.orders]
        likely = [order for order in known if order.status in preferred]
        return likely[which % len(likely)] if likely and which % 5 else known[which % len(known)]

    @precondition(lambda self: any(order.status is OrderStatus.INTENDED for order in self.orders.by_id.values()))
    @rule(answer=st.sampled_from([accepted, accepted, accepted, refused, unknown, not_sent]))
    def everything_that_waits_is_sent(self, answer: AccountCommand) -> None:
        for order in list(self.orders.by_id.values()):
            if order.status is OrderStatus.INTENDED:
                self.do(replace(begin, order_id=order.order_id, market_time_ns=self.now_ns))
                self.do(replace(answer, order_id=order.order_id))

    @precondition(lambda self: any(order.leaves for order in self.orders.by_id.values()))
    @rule(price_e4=prices)
    def everything_at_the_venue_fills(self, price_e4: int) -> None:
        for order in list(self.orders.by_id.values()):
            if order.status in AT_VENUE:
                self.execute(order, order.leaves, price_e4)

    @precondition(lambda self: self.state.orders)
    @rule(which=orders, late_s=st.integers(min_value=0, max_value=8))
    def the_sender_begins(self, which: int, late_s: int) -> None:
        order_id = self.order(which, OrderStatus.INTENDED).order_id
        self.do(
            replace(
                begin,
                order_id=order_id,
                correlation_id=correlation_id_of(order_id, code=CODE),
                market_time_ns=self.now_ns + late_s * NS_PER_S,
            )
        )

    @precondition(lambda self: self.state.orders)
    @rule(which=orders, command=st.sampled_from([not_sent, accepted, refused, unknown, presume_absent]))
    def an_answer_comes_or_does_not(self, which: int, command: AccountCommand) -> None:
        order = self.order(which, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN)
        events = self.do(replace(command, order_id=order.order_id))
        if events and command is presume_absent:
            self.disturbed.add(order.trade_id)

    @precondition(lambda self: self.state.orders)
    @rule(which=orders, status=statuses, counted=st.integers(min_value=0, max_value=12))
    def the_order_book_shows_it(self, which: int, status: OrderStatus, counted: int) -> None:
        order = self.order(which, *AT_VENUE, OrderStatus.PRESUMED_ABSENT)
        row = replace(
            found,
            order_id=order.order_id,
            venue_order_id=VenueOrderId(f"v-{order.order_id}"),
            status=status,
            cumulative_quantity=counted,
            evidence=Evidence.ORDER_BOOK,
        )
        self.do(row)

    @precondition(lambda self: self.state.orders)
    @rule(which=orders, quantity=quantities, price_e4=prices, is_repeat=st.booleans())
    def an_execution_is_found(self, which: int, quantity: int, price_e4: int, is_repeat: bool) -> None:  # noqa: FBT001
        order = self.order(which, *AT_VENUE)
        known = self.fill_ids[order.order_id]
        if is_repeat and known:
            assert self.do(replace(fill, order_id=order.order_id, venue_fill_id=known[-1], quantity=quantity)) == ()
            return
        leaves = order.quantity - order.filled
        self.execute(order, min(quantity, leaves) if which % 7 and leaves > 0 else quantity, price_e4)

    def execute(self, order: FollowedOrder, quantity: int, price_e4: int) -> None:
        if order.status in CLOSED | {OrderStatus.PRESUMED_ABSENT} or quantity > order.quantity - order.filled:
            self.disturbed.add(order.trade_id)
        known = self.fill_ids[order.order_id]
        fill_id = VenueFillId(f"f-{len(known)}")
        known.append(fill_id)
        command = replace(
            fill,
            order_id=order.order_id,
            venue_fill_id=fill_id,
            quantity=quantity,
            price_e4=price_e4,
            filled_at_ns=self.now_ns,
        )
        events = self.do(command)
        assert sum(isinstance(event, OrderFilled) for event in events) == 1
        self.books[order.trade_id].trade(order.side.sign, quantity, price_e4, is_entry=order.purpose is Purpose.ENTRY)

    # --- What always holds ---

    @invariant()
    def no_order_took_a_step_that_the_table_forbids(self) -> None:
        for status, following in self.orders.steps:
            assert following in NEXT[status], f"{status} to {following}"

    @invariant()
    def an_order_is_submitted_again_only_when_it_was_proven_unsent(self) -> None:
        for order in self.orders.by_id.values():
            assert order.submissions <= 1 + order.returns

    @invariant()
    def exits_never_can_fill_more_than_is_held(self) -> None:
        for trade_id in self.trades:
            held = self.books[trade_id].quantity
            live = [o for o in self.orders.of(trade_id) if o.purpose is Purpose.EXIT and o.leaves]
            wanted = [order for order in live if not order.cancel_requested]
            assert sum(order.leaves for order in wanted) <= abs(held)
            assert all(order.side.sign * held < 0 for order in wanted)
            if trade_id not in self.disturbed:
                assert sum(order.leaves for order in live) <= abs(held)
                assert all(order.side.sign * held < 0 for order in live)

    @invariant()
    def the_engine_by_itself_tries_no_more_exits_than_its_limit(self) -> None:
        for trade_id in set(self.trades) - self.closed_by_hand:
            exits = [order for order in self.orders.of(trade_id) if order.purpose is Purpose.EXIT]
            assert len(exits) <= EXITS_MAX

    @invariant()
    def quantity_cost_and_result_are_those_of_the_executions(self) -> None:
        quantity: defaultdict[TradeId, int] = defaultdict(int)
        cost: defaultdict[TradeId, int] = defaultdict(int)
        realised: defaultdict[TradeId, int] = defaultdict(int)
        for event in self.events:
            if isinstance(event, OrderFilled):
                quantity[event.trade_id] += event.side.sign * event.last_quantity
                cost[event.trade_id] += event.opened_cost_paise - event.closed_cost_paise
                realised[event.trade_id] += event.realised_paise
        for trade_id, book in self.books.items():
            assert quantity[trade_id] == book.quantity
            assert realised[trade_id] == book.cash_paise + cost[trade_id]
            assert abs(cost[trade_id] - book.exact_cost) <= book.fills
            if book.quantity == 0:
                assert cost[trade_id] == 0

    @invariant()
    def the_sums_that_are_kept_are_those_of_the_trades_and_orders(self) -> None:
        assert self.state.totals == totals_of(self.state.trades, self.state.orders.values())
        for trade in self.state.trades.values():
            live = sum(order.status in LIVE for order in self.state.orders_of(trade.trade_id))
            assert trade.live_orders == live

    def expect_the_process_managers_to_see_the_same(self) -> None:
        orders, trades = OpenOrders(), WatchedTrades()
        for sequence, event in enumerate(self.events, 1):
            orders.apply(as_recorded(event, sequence))
            trades.apply(as_recorded(event, sequence))
        for order in self.orders.by_id.values():
            seen = orders.get(order.order_id)
            assert seen is not None
            assert (seen.status, seen.cumulative_quantity) == (order.status, order.filled)
            assert seen.cancel_requested is order.cancel_requested
        over = [order.order_id for order in self.orders.by_id.values() if order.status in CLOSED]
        assert {order.order_id for order in orders.open()} == set(self.orders.by_id) - set(over)
        orders.forget_closed(keep=2)
        assert [order_id for order_id in over if orders.get(order_id)] == over[-2:]
        assert {trade_id for trade_id in self.trades if trade_id in trades} >= {
            trade_id for trade_id, book in self.books.items() if book.quantity
        }

    def teardown(self) -> None:
        stored = [decode(name_of(event), encode(event)) for event in self.events]
        assert stored == self.events
        assert decider.fold(stored) == self.state  # type: ignore[arg-type]
        self.expect_the_process_managers_to_see_the_same()
        half = len(stored) // 2
        snapshot = decider.fold(self.events[:half])
        assert decider.fold(self.events[half:], snapshot) == self.state


def as_recorded(event: AccountEvent, sequence: int) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        stream_id=stream_of(ACCOUNT),
        version=sequence,
        name=name_of(event),
        command_id="cmd",
        metadata=b"{}",
        payload=encode(event),
        recorded_at_us=sequence,
        previous_hash=b"",
        hash=b"",
    )


def replace_book(book: Book, events: tuple[AccountEvent, ...], trade_id: TradeId) -> Book:
    """Return *book* with the fills among *events*, which the machine books only after the decision."""
    after = Book(book.quantity, book.cash_paise, book.entered)
    for event in events:
        if isinstance(event, OrderFilled) and event.trade_id == trade_id:
            is_entry = event.purpose is Purpose.ENTRY
            after.trade(event.side.sign, event.last_quantity, event.last_price_e4, is_entry=is_entry)
    return after


TestAnyAccount = AnyAccount.TestCase
TestAnyAccount.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
