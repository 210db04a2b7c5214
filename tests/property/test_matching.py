"""Matching under any sequence of prints, orders and cancels, against a naive model of its rules."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.matching import CannotModify, Execution, Happening, Matching, MatchingOrder, Triggered, Withdrawn
from domain.order import OrderType, Side, TimeInForce

LOT, PARTICIPATION_BP, PROTECTION_BP, TICK = 5, 3_000, 50, 500


@dataclass(frozen=True)
class Print:
    price_e4: int
    volume: int


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class Change:
    which: int
    order: MatchingOrder


prices = st.integers(1_990, 2_010).map(lambda steps: steps * TICK)
orders = st.builds(
    lambda side, limit, trigger, lots, ioc: MatchingOrder(
        order_id="",
        side=side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT if trigger is None else OrderType.SL,
        quantity=lots * LOT,
        limit_price_e4=limit,
        trigger_price_e4=None if limit is None else trigger,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.DAY,
    ),
    st.sampled_from(Side),
    st.none() | prices,
    st.none() | prices,
    st.integers(1, 20),
    st.booleans(),
)
which = st.integers(0, 20)
happenings = st.lists(
    st.builds(Print, prices, st.integers(0, 300))
    | orders
    | st.builds(Cancel, which)
    | st.builds(Change, which, orders)
    | st.builds(Change, st.integers(0, 3), orders),
    max_size=40,
)


@dataclass
class NaiveOrder:
    order: MatchingOrder
    limit: int | None
    executed: int
    arrival: int
    triggered: bool = False

    @property
    def leaves(self) -> int:
        return self.order.quantity - self.executed

    @property
    def is_seen(self) -> bool:
        return self.order.order_type is not OrderType.SL or self.triggered


@dataclass
class NaiveMatching:
    """The rules, written for reading: every question is answered by going through all orders."""

    last: int | None = None
    shares: dict[Side, int] = field(default_factory=lambda: {Side.BUY: 0, Side.SELL: 0})
    resting: list[NaiveOrder] = field(default_factory=list)
    arrivals: int = 0

    def on_print(self, price_e4: int, volume: int, time_ns: int) -> list[Happening]:
        self.last = price_e4
        share = volume * PARTICIPATION_BP // 10_000 // LOT * LOT
        self.shares = dict.fromkeys(Side, max(share, LOT) if volume else 0)
        for one in self.resting:
            one.limit = one.limit if one.limit is not None else self.band(one.order.side)
        happened: list[Happening] = [
            execution
            for side in Side
            for one in self.by_priority(side)
            if (execution := self.execute(one, time_ns)) is not None
        ]
        for side in Side:
            for one in self.reached_stops(side):
                happened += [Triggered(one.order.order_id), *self.arrive(one, time_ns)]
                if one.order.time_in_force is TimeInForce.IOC and one.leaves:
                    happened.append(Withdrawn(one.order.order_id, one.leaves))
        return happened

    def submit(self, order: MatchingOrder, time_ns: int) -> list[Execution]:
        return self.arrive(NaiveOrder(order, None, 0, 0), time_ns)

    def arrive(self, one: NaiveOrder, time_ns: int) -> list[Execution]:
        self.resting = [other for other in self.resting if other is not one]
        order = one.order
        self.arrivals += 1
        one.arrival = self.arrivals
        self.resting.append(one)
        if not one.is_seen:
            one.triggered = self.is_reached(order)
        one.limit = order.limit_price_e4 or (self.band(order.side) if self.last is not None else None)
        if not one.is_seen:
            return []
        execution = self.execute(one, time_ns) if one.limit is not None else None
        if order.time_in_force is TimeInForce.IOC:
            self.resting = [other for other in self.resting if other is not one]
        return [execution] if execution else []

    def change(self, order: MatchingOrder, time_ns: int) -> list[Execution] | None:
        one = next((one for one in self.resting if one.order.order_id == order.order_id), None)
        if one is None or one.order.side is not order.side or order.quantity <= one.executed:
            return None
        before, limit_before, was_seen = one.order, one.limit, one.is_seen
        one.order = order
        one.triggered = one.triggered and order.trigger_price_e4 == before.trigger_price_e4
        same_price = order.limit_price_e4 is not None and order.limit_price_e4 == limit_before
        same_trigger = one.is_seen or order.trigger_price_e4 == before.trigger_price_e4
        same_life = order.time_in_force is before.time_in_force
        if same_price and same_trigger and same_life and one.is_seen is was_seen and order.quantity <= before.quantity:
            return []
        return self.arrive(one, time_ns)

    def is_reached(self, order: MatchingOrder) -> bool:
        assert order.trigger_price_e4 is not None
        return self.last is not None and order.side.sign * (self.last - order.trigger_price_e4) >= 0

    def reached_stops(self, side: Side) -> list[NaiveOrder]:
        stops = [one for one in self.resting if one.order.side is side and not one.is_seen]
        reached = [one for one in stops if self.is_reached(one.order)]
        return sorted(reached, key=lambda one: (side.sign * (one.order.trigger_price_e4 or 0), one.arrival))

    def by_priority(self, side: Side) -> list[NaiveOrder]:
        mine = [one for one in self.resting if one.order.side is side and one.is_seen]
        return sorted(mine, key=lambda one: (-side.sign * (one.limit or 0), one.arrival))

    def execute(self, one: NaiveOrder, time_ns: int) -> Execution | None:
        side, last = one.order.side, self.last
        assert one.limit is not None
        if last is None or side.sign * (one.limit - last) < 0:
            return None
        quantity = min(one.leaves, self.shares[side])
        if quantity == 0:
            return None
        self.shares[side] -= quantity
        one.executed += quantity
        if one.leaves == 0:
            self.resting.remove(one)
        return Execution(one.order.order_id, quantity, last, time_ns)

    def band(self, side: Side) -> int:
        assert self.last is not None
        return self.last + side.sign * (self.last * PROTECTION_BP // 10_000 // TICK * TICK)


@settings(max_examples=300)
@given(happenings)
def test_matching_agrees_with_its_naive_model_and_keeps_every_promise(happened: list[object]) -> None:
    book = Matching(tick_e4=TICK, lot=LOT, participation_bp=PARTICIPATION_BP, protection_bp=PROTECTION_BP)
    naive = NaiveMatching()
    standing: dict[str, MatchingOrder] = {}
    filled: dict[str, int] = {}
    printed: list[Print] = []
    taken_of_print: dict[Side, int] = dict.fromkeys(Side, 0)

    for time_ns, happening in enumerate(happened):
        came_of_it: list[Happening] = []
        if isinstance(happening, Print):
            printed.append(happening)
            taken_of_print = dict.fromkeys(Side, 0)
            came_of_it = book.on_print(price_e4=happening.price_e4, volume=happening.volume, time_ns=time_ns)
            assert came_of_it == naive.on_print(happening.price_e4, happening.volume, time_ns)
        elif isinstance(happening, MatchingOrder):
            order = replace(happening, order_id=str(len(standing)))
            standing[order.order_id] = order
            came_of_it = list(book.submit(order, time_ns=time_ns).executions)
            assert came_of_it == naive.submit(order, time_ns)
        elif isinstance(happening, Change):
            order = replace(happening.order, order_id=str(happening.which))
            try:
                came_of_it = list(book.modify(order, time_ns=time_ns).executions)
                standing[order.order_id] = order
            except CannotModify:
                assert naive.change(order, time_ns) is None
            else:
                assert came_of_it == naive.change(order, time_ns)
        elif isinstance(happening, Cancel):
            book.cancel(str(happening.which))
            naive.resting = [one for one in naive.resting if one.order.order_id != str(happening.which)]

        for execution in came_of_it:
            if isinstance(execution, Execution):
                order = standing[execution.order_id]
                expect_its_price(execution, order, printed)
                filled[order.order_id] = filled.get(order.order_id, 0) + execution.quantity
                assert filled[order.order_id] <= order.quantity, "never more than ordered"
                taken_of_print[order.side] += execution.quantity
                offered = max(printed[-1].volume * PARTICIPATION_BP // 10_000, LOT)
                assert taken_of_print[order.side] <= offered, "participation"

    expected_left = sorted((one.arrival, one.order.order_id, one.leaves) for one in naive.resting)
    assert [(gone.order_id, gone.leaves_quantity) for gone in book.expire()] == [left[1:] for left in expected_left]


def expect_its_price(execution: Execution, order: MatchingOrder, printed: list[Print]) -> None:
    assert execution.price_e4 == printed[-1].price_e4, "executions happen at prices that printed"
    if order.limit_price_e4 is not None:
        assert order.side.sign * (order.limit_price_e4 - execution.price_e4) >= 0, "never beyond the limit"
    if order.trigger_price_e4 is not None:
        reached = [order.side.sign * (each.price_e4 - order.trigger_price_e4) >= 0 for each in printed]
        assert any(reached), "never before the trigger"
