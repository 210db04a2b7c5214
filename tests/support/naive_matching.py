"""The rules of continuous matching once more, for reading and not for speed: every question goes through all orders."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from domain.matching import (
    CannotModify,
    Depth,
    Execution,
    Happening,
    MatchingOrder,
    MatchingRules,
    OfPrint,
    Rejection,
    Triggered,
    Withdrawn,
)
from domain.order import Side, TimeInForce


@dataclass
class NaiveOrder:
    """An order of ours. `queue` is what is before it at its price, None where nobody knows."""

    order: MatchingOrder
    arrival: int
    limit: int | None = None
    executed: int = 0
    has_triggered: bool = False
    queue: int | None = None
    has_executed: bool = False

    @property
    def cap(self) -> int:
        """What its next execution may be at the most."""
        most = self.order.first_execution_max
        return self.leaves if most is None or self.has_executed else min(most, self.leaves)

    @property
    def side(self) -> Side:
        return self.order.side

    @property
    def leaves(self) -> int:
        return self.order.quantity - self.executed

    @property
    def is_seen(self) -> bool:
        return self.order.trigger_price_e4 is None or self.has_triggered


@dataclass
class NaiveMatching:
    """One instrument, as `domain.matching.Matching`."""

    tick: int
    lot: int
    share_bp: int
    protection_bp: int
    rules: MatchingRules
    last: int | None = None
    volume: int = 0
    traded: int = 0
    arrivals: int = 0
    shares: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    taken: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    resting: list[NaiveOrder] = field(default_factory=list)
    shown: Depth | None = None
    used: dict[int, int] = field(default_factory=dict)

    def on_print(self, price: int, volume: int, time_ns: int, depth: Depth | None) -> list[Happening]:
        if self.is_outside(price):
            return []
        self.last, self.volume = price, volume
        self.traded += volume
        self.shares = {side: self.share(side) for side in Side}
        for one in self.resting:
            if one.limit is None:
                self.rest(one, self.protection(one.side))
        happened: list[Happening] = []
        for side in Side:
            happened += self.print_to(side, price, time_ns)
        if depth is not None:
            self.shown, self.used = depth, {}
            for side in Side:
                happened += self.show_to(side, time_ns)
        for side in Side:
            for one in self.reached_stops(side):
                happened += [Triggered(one.order.order_id), *self.arrive(one, time_ns)]
                if one.order.time_in_force is TimeInForce.IOC and one.leaves:
                    happened.append(Withdrawn(one.order.order_id, one.leaves))
        return happened

    def print_to(self, side: Side, price: int, time_ns: int) -> list[Happening]:
        happened: list[Happening] = []
        in_turn = 0
        for one in self.by_priority(side):
            quantity = self.of_print(one, in_turn)
            in_turn += quantity
            if one.limit == price and one.queue is not None and self.volume > 0:
                one.queue = max(one.queue - self.volume, 0)
            if quantity:
                happened.append(self.execute(one, quantity, price, time_ns))
        return happened

    def show_to(self, side: Side, time_ns: int) -> list[Happening]:
        happened: list[Happening] = []
        for one in self.by_priority(side):
            happened += self.walk(one, time_ns)
            queue = self.queue_at(side, one.limit or 0)
            if queue is not None:
                one.queue = queue if one.queue is None else min(queue, one.queue)
        return happened

    def share(self, side: Side) -> int:
        if isinstance(self.rules.participation, OfPrint):
            wanted = self.volume * self.share_bp // 10_000 // self.lot * self.lot
            return max(wanted, self.lot) if self.volume else 0
        wanted = min(self.traded * self.share_bp // 10_000 - self.taken[side], self.volume)
        return max(wanted // self.lot * self.lot, 0)

    def of_print(self, one: NaiveOrder, in_turn: int) -> int:
        """What *one* gets of the last print, when those before it have got *in_turn*."""
        assert self.last is not None
        if one.limit is None or one.side.sign * (one.limit - self.last) < 0 or self.volume == 0:
            return 0
        quantity = min(one.cap, self.shares[one.side])
        if self.shown is not None:
            if one.limit != self.last:
                one.queue = 0
            elif one.queue is None:
                return 0
            else:
                over = max(self.volume - one.queue - in_turn, 0)
                quantity = min(quantity, over // self.lot * self.lot)
        return quantity

    def execute(self, one: NaiveOrder, quantity: int, price: int, time_ns: int, *, of_print: bool = True) -> Execution:
        one.executed += quantity
        one.has_executed = True
        if of_print:
            self.shares[one.side] -= quantity
            self.taken[one.side] += quantity
        if one.leaves == 0 and one in self.resting:
            self.resting.remove(one)
        return Execution(one.order.order_id, quantity, price, time_ns)

    def submit(self, order: MatchingOrder, time_ns: int) -> list[Execution] | Rejection:
        rejection = self.rejection(order)
        if rejection is not None:
            return rejection
        return self.arrive(NaiveOrder(order, 0), time_ns)

    def arrive(self, one: NaiveOrder, time_ns: int) -> list[Execution]:
        self.resting = [other for other in self.resting if other is not one]
        self.arrivals += 1
        one.arrival, one.limit, one.queue = self.arrivals, None, None
        if not one.is_seen:
            one.has_triggered = self.is_reached(one)
            if not one.is_seen:
                one.limit = one.order.limit_price_e4
                self.resting.append(one)
                return []
        limit = one.order.limit_price_e4
        if limit is None and self.last is not None:
            limit = self.protection(one.side)
        executions: list[Execution] = []
        if limit is not None:
            one.limit = limit
            executions = self.take(one, time_ns)
        if one.order.time_in_force is not TimeInForce.IOC and one.leaves:
            if limit is not None:
                self.rest(one, limit)
            self.resting.append(one)
        return executions

    def take(self, one: NaiveOrder, time_ns: int) -> list[Execution]:
        assert one.limit is not None
        if self.shown is not None:
            return self.walk(one, time_ns)
        if self.last is None or one.side.sign * (one.limit - self.last) < 0:
            return []
        quantity = min(one.cap, self.shares[one.side])
        if quantity <= 0:
            return []
        price = self.last
        if self.rules.slippage is not None:
            move = self.rules.slippage.move_e4(price_e4=price, quantity=quantity, volume=self.volume, tick_e4=self.tick)
            price = one.side.sign * min(one.side.sign * (price + one.side.sign * move), one.side.sign * one.limit)
        return [self.execute(one, quantity, price, time_ns)]

    def walk(self, one: NaiveOrder, time_ns: int) -> list[Execution]:
        assert self.shown is not None
        assert one.limit is not None
        executions = []
        wanted = one.cap
        for level in self.shown.asks if one.side is Side.BUY else self.shown.bids:
            left = level.quantity - self.used.get(level.price_e4, 0)
            within = one.side.sign * (one.limit - level.price_e4) >= 0 and not self.is_outside(level.price_e4)
            quantity = min(wanted, left)
            wanted -= quantity if within else 0
            if within and quantity > 0:
                self.used[level.price_e4] = self.used.get(level.price_e4, 0) + quantity
                executions.append(self.execute(one, quantity, level.price_e4, time_ns, of_print=False))
        return executions

    def rest(self, one: NaiveOrder, limit: int) -> None:
        one.limit = limit
        one.queue = None if self.shown is None else self.queue_at(one.side, limit)

    def queue_at(self, side: Side, limit: int) -> int | None:
        assert self.shown is not None
        levels = self.shown.bids if side is Side.BUY else self.shown.asks
        levels = tuple(level for level in levels if level.quantity and not self.is_outside(level.price_e4))
        for level in levels:
            if level.price_e4 == limit:
                return level.quantity
        return None if levels and side.sign * (limit - levels[-1].price_e4) < 0 else 0

    def modify(self, order: MatchingOrder, time_ns: int) -> list[Execution] | Rejection:
        one = next((one for one in self.resting if one.order.order_id == order.order_id), None)
        if one is None or one.side is not order.side or order.quantity <= one.executed:
            raise CannotModify
        rejection = self.rejection(order)
        if rejection is not None:
            return rejection
        before, limit_before, was_seen = one.order, one.limit, one.is_seen
        one.order = order = replace(order, first_execution_max=before.first_execution_max)
        one.has_triggered = one.has_triggered and order.trigger_price_e4 == before.trigger_price_e4
        same_price = order.limit_price_e4 is not None and order.limit_price_e4 == limit_before
        same_trigger = one.is_seen or order.trigger_price_e4 == before.trigger_price_e4
        same_life = order.time_in_force is before.time_in_force
        if same_price and same_trigger and same_life and one.is_seen is was_seen and order.quantity <= before.quantity:
            return []
        return self.arrive(one, time_ns)

    def cancel(self, order_id: str) -> None:
        self.resting = [one for one in self.resting if one.order.order_id != order_id]

    def is_outside(self, price: int) -> bool:
        lower, upper = self.rules.lower_circuit_e4, self.rules.upper_circuit_e4
        return (lower is not None and price < lower) or (upper is not None and price > upper)

    def rejection(self, order: MatchingOrder) -> Rejection | None:
        if self.rules.freeze_quantity is not None and order.quantity > self.rules.freeze_quantity:
            return Rejection.QUANTITY_ABOVE_FREEZE
        prices = [price for price in (order.limit_price_e4, order.trigger_price_e4) if price is not None]
        return Rejection.PRICE_OUTSIDE_CIRCUITS if any(map(self.is_outside, prices)) else None

    def is_reached(self, one: NaiveOrder) -> bool:
        trigger = one.order.trigger_price_e4
        assert trigger is not None
        return self.last is not None and one.side.sign * (self.last - trigger) >= 0

    def reached_stops(self, side: Side) -> list[NaiveOrder]:
        stops = [one for one in self.resting if one.side is side and not one.is_seen and self.is_reached(one)]
        return sorted(stops, key=lambda one: (side.sign * (one.order.trigger_price_e4 or 0), one.arrival))

    def by_priority(self, side: Side) -> list[NaiveOrder]:
        mine = [one for one in self.resting if one.side is side and one.is_seen]
        return sorted(mine, key=lambda one: (-side.sign * (one.limit or 0), one.arrival))

    def protection(self, side: Side) -> int:
        assert self.last is not None
        limit = self.last + side.sign * (self.last * self.protection_bp // 10_000 // self.tick * self.tick)
        lower, upper = self.rules.lower_circuit_e4, self.rules.upper_circuit_e4
        if side is Side.BUY:
            return limit if upper is None else min(limit, upper)
        return limit if lower is None else max(limit, lower)

    def left(self) -> list[tuple[str, int]]:
        """What is still there, in order of arrival."""
        return [(one.order.order_id, one.leaves) for one in sorted(self.resting, key=lambda one: one.arrival)]
