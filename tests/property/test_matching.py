"""Matching under any sequence of prints, orders and cancels, against a naive model of its rules."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from domain.matching import Execution, Matching, MatchingOrder
from domain.order import OrderType, Side, TimeInForce

LOT, PARTICIPATION_BP, PROTECTION_BP, TICK = 5, 3_000, 50, 500


@dataclass(frozen=True)
class Print:
    price_e4: int
    volume: int


@dataclass(frozen=True)
class Cancel:
    which: int


prices = st.integers(1_990, 2_010).map(lambda steps: steps * TICK)
orders = st.builds(
    lambda side, limit, lots, ioc: MatchingOrder(
        order_id="",
        side=side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=lots * LOT,
        limit_price_e4=limit,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.DAY,
    ),
    st.sampled_from(Side),
    st.none() | prices,
    st.integers(1, 20),
    st.booleans(),
)
happenings = st.lists(
    st.builds(Print, prices, st.integers(0, 300)) | orders | st.builds(Cancel, st.integers(0, 20)), max_size=40
)


@dataclass
class NaiveOrder:
    order: MatchingOrder
    limit: int | None
    leaves: int
    arrival: int


@dataclass
class NaiveMatching:
    """The rules, written for reading: every question is answered by going through all orders."""

    last: int | None = None
    shares: dict[Side, int] = field(default_factory=lambda: {Side.BUY: 0, Side.SELL: 0})
    resting: list[NaiveOrder] = field(default_factory=list)
    arrivals: int = 0

    def on_print(self, price_e4: int, volume: int, time_ns: int) -> list[Execution]:
        self.last = price_e4
        share = volume * PARTICIPATION_BP // 10_000 // LOT * LOT
        self.shares = dict.fromkeys(Side, max(share, LOT) if volume else 0)
        for one in self.resting:
            one.limit = one.limit if one.limit is not None else self.band(one.order.side)
        return [
            execution
            for side in Side
            for one in self.by_priority(side)
            if (execution := self.execute(one, time_ns)) is not None
        ]

    def submit(self, order: MatchingOrder, time_ns: int) -> list[Execution]:
        self.arrivals += 1
        limit = order.limit_price_e4 or (self.band(order.side) if self.last is not None else None)
        one = NaiveOrder(order, limit, order.quantity, self.arrivals)
        self.resting.append(one)
        execution = self.execute(one, time_ns) if limit is not None else None
        if order.time_in_force is TimeInForce.IOC:
            self.resting = [other for other in self.resting if other is not one]
        return [execution] if execution else []

    def by_priority(self, side: Side) -> list[NaiveOrder]:
        mine = [one for one in self.resting if one.order.side is side]
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
        one.leaves -= quantity
        if one.leaves == 0:
            self.resting.remove(one)
        return Execution(one.order.order_id, quantity, last, time_ns)

    def band(self, side: Side) -> int:
        assert self.last is not None
        return self.last + side.sign * (self.last * PROTECTION_BP // 10_000 // TICK * TICK)


@given(happenings)
def test_matching_agrees_with_its_naive_model_and_keeps_every_promise(happened: list[object]) -> None:
    book = Matching(tick_e4=TICK, lot=LOT, participation_bp=PARTICIPATION_BP, protection_bp=PROTECTION_BP)
    naive = NaiveMatching()
    submitted: dict[str, MatchingOrder] = {}
    filled: dict[str, int] = {}
    printed: list[Print] = []
    taken_of_print: dict[Side, int] = dict.fromkeys(Side, 0)

    for time_ns, happening in enumerate(happened):
        executions: list[Execution] = []
        if isinstance(happening, Print):
            printed.append(happening)
            taken_of_print = dict.fromkeys(Side, 0)
            executions = book.on_print(price_e4=happening.price_e4, volume=happening.volume, time_ns=time_ns)
            assert executions == naive.on_print(happening.price_e4, happening.volume, time_ns)
        elif isinstance(happening, MatchingOrder):
            order = MatchingOrder(
                order_id=str(len(submitted)),
                side=happening.side,
                order_type=happening.order_type,
                quantity=happening.quantity,
                limit_price_e4=happening.limit_price_e4,
                time_in_force=happening.time_in_force,
            )
            submitted[order.order_id] = order
            executions = list(book.submit(order, time_ns=time_ns).executions)
            assert executions == naive.submit(order, time_ns)
        elif isinstance(happening, Cancel):
            book.cancel(str(happening.which))
            naive.resting = [one for one in naive.resting if one.order.order_id != str(happening.which)]

        for execution in executions:
            order = submitted[execution.order_id]
            last = printed[-1]
            assert execution.price_e4 == last.price_e4, "executions happen at prices that printed"
            if order.limit_price_e4 is not None:
                assert order.side.sign * (order.limit_price_e4 - execution.price_e4) >= 0, "never beyond the limit"
            filled[order.order_id] = filled.get(order.order_id, 0) + execution.quantity
            assert filled[order.order_id] <= order.quantity, "never more than ordered"
            taken_of_print[order.side] += execution.quantity
            assert taken_of_print[order.side] <= max(last.volume * PARTICIPATION_BP // 10_000, LOT), "participation"

    expected_left = sorted((one.arrival, one.order.order_id, one.leaves) for one in naive.resting)
    assert [(gone.order_id, gone.leaves_quantity) for gone in book.expire()] == [left[1:] for left in expected_left]
