"""Matching our orders against a tape of what the market traded. Shared by the simulator, paper trading and backtests.

We see prints (price, volume, time), not the book behind them, so every rule errs on the careful side:

- **Only printed prices.** An order executes at a price that printed on the tape, never at one between or beyond.
- **A marketable order** executes on arrival, at the last print. **A resting limit** executes at the first print that
  reaches or crosses it, at the print's price (which may be better than the limit, never worse).
- **Participation.** Of one print our orders on one side together take at most `participation_bp` of its volume, rounded
  down to whole lots, but one lot at least. Buys and sells have a share each, for every traded unit was bought and sold.
  A large order therefore fills partly, over several prints. A print without volume shows a price and executes nothing.
- **Once.** What is left of the last print's share serves orders that arrive after it, until the next print replaces it.
- **Priority.** Better price first, then earlier arrival.
- **MARKET** becomes a limit `protection_bp` away from the last print, rounded towards it to the tick, as brokers do
  with API orders since March 2026; what does not execute at once rests at that limit. With no print so far it waits for
  one.
- **SL** rests unseen until a print reaches its trigger (BUY: at or above, SELL: at or below) and is a limit order from
  then on. It arrives behind the print that triggered it: it takes what that print's share still holds, at that print's
  price, and queues behind every order that was there before. Of several that one print triggers, the trigger that the
  price reached first comes first, then the earlier arrival. One that comes after its trigger was reached triggers at
  once.
- **IOC** executes on arrival what it can; the rest is canceled. An SL does so when it triggers. **DAY** rests until
  `expire`, at the close; a stop that never triggered goes with the others.
- **Modifying** names the whole order as it shall be, its quantity in total. Fewer units at the same price keep their
  place. Another price, another trigger, more units, MARKET or IOC make the order arrive anew. What has triggered stays
  triggered, unless the trigger is another one. No more can be taken back than has not executed.
- **Disclosed quantity** is kept and changes nothing: nobody here sees another's order, so none gains by hiding.

Prices are integers of 1/10,000 rupee, times UTC nanoseconds. Nothing here knows a clock or a random number: the same
calls in the same order give the same executions.
"""

from bisect import insort
from dataclasses import dataclass, field
from itertools import count
from operator import attrgetter

import msgspec

from domain.order import OrderType, Side, TimeInForce

_BP = 10_000
_rank_of = attrgetter("rank")


class MatchingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it arrives. `limit_price_e4` is set for LIMIT and SL and None for MARKET, `trigger_price_e4` for SL.

    Before it came into this book, `filled_quantity` of `quantity` had executed, and `has_triggered` tells whether its
    trigger had been reached. `first_execution_max` caps the first execution: less was at hand than the tape shows.
    """

    order_id: str
    side: Side
    order_type: OrderType
    quantity: int
    limit_price_e4: int | None = None
    trigger_price_e4: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    disclosed_quantity: int = 0
    filled_quantity: int = 0
    has_triggered: bool = False
    first_execution_max: int | None = None


class Execution(msgspec.Struct, frozen=True, gc=False):
    """A quantity of an order executed at a printed price."""

    order_id: str
    quantity: int
    price_e4: int
    time_ns: int


class Triggered(msgspec.Struct, frozen=True, gc=False):
    """A print reached an order's trigger: it is a limit order from now on."""

    order_id: str


class Withdrawn(msgspec.Struct, frozen=True):
    """An order that left the book unfilled, with what it still had to do."""

    order_id: str
    leaves_quantity: int


Happening = Execution | Triggered | Withdrawn


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order on arrival, or of its modification.

    `limit_price_e4` is the limit it works under (None: a MARKET order that waits for the first print),
    `resting_quantity` what is left in the book, `canceled_quantity` what an IOC order could not execute.
    `awaits_trigger` tells that it rests unseen, `keeps_place` that it was changed where it stood in the book.
    """

    executions: tuple[Execution, ...]
    limit_price_e4: int | None
    resting_quantity: int
    canceled_quantity: int
    awaits_trigger: bool = False
    keeps_place: bool = False


class CannotModify(ValueError):
    """The order is not in the book, or has executed as much as it shall be. It stays as it is."""


@dataclass(slots=True, eq=False)
class _Working:
    """An order in the book. `rank` sorts the order whose turn comes first to the front of its queue."""

    order: MatchingOrder
    leaves_quantity: int
    cap: int | None
    has_triggered: bool = False
    arrival: int = 0
    limit_price_e4: int | None = None
    rank: tuple[int, int] = (0, 0)

    @property
    def awaits_trigger(self) -> bool:
        """Whether it rests unseen."""
        return self.order.trigger_price_e4 is not None and not self.has_triggered


@dataclass(slots=True)
class _Side:
    """Our orders on one side, best first; those that await their trigger; and what may still be had of the last print.

    Stops stand in the order in which a moving price reaches them.
    """

    which: Side
    orders: list[_Working] = field(default_factory=list)
    stops: list[_Working] = field(default_factory=list)
    share: int = 0


class Matching:
    """One instrument: its last print and our orders in it."""

    def __init__(self, *, tick_e4: int, lot: int, participation_bp: int, protection_bp: int) -> None:
        if min(tick_e4, lot, participation_bp) <= 0 or participation_bp > _BP or protection_bp < 0:
            raise ValueError(
                f"received tick {tick_e4}, lot {lot}, participation {participation_bp}, protection {protection_bp}, "
                f"expected each above zero (protection: from zero) and a participation of {_BP} bp at most"
            )
        self._tick_e4 = tick_e4
        self._lot = lot
        self._participation_bp = participation_bp
        self._protection_bp = protection_bp
        self._last_price_e4: int | None = None
        self._sides = {side: _Side(side) for side in (Side.BUY, Side.SELL)}
        self._both = tuple(self._sides.values())
        self._working: dict[str, _Working] = {}
        self._unpriced: list[_Working] = []
        self._arrivals = count(1)

    @property
    def last_price_e4(self) -> int | None:
        """The price of the last print, None before the first."""
        return self._last_price_e4

    def protection_limit_e4(self, side: Side) -> int | None:
        """Return the limit that a MARKET order on *side* gets at the last print, None before the first."""
        return None if self._last_price_e4 is None else self._protection_limit(side, self._last_price_e4)

    def leaves_quantity(self, order_id: str) -> int:
        """Return what *order_id* still has to do, 0 where it is not in the book."""
        working = self._working.get(order_id)
        return 0 if working is None else working.leaves_quantity

    def on_print(self, *, price_e4: int, volume: int, time_ns: int) -> list[Happening]:
        """Take in one print and return what came of it: executions in priority order, then stops; buys before sells."""
        self._last_price_e4 = price_e4
        share = self._share_of(volume)
        for side in self._both:
            side.share = share
        if not self._working:
            return []
        if self._unpriced:
            for working in self._unpriced:
                self._rest(working, self._protection_limit(working.order.side, price_e4))
            self._unpriced.clear()
        happened: list[Happening] = []
        for side in self._both:
            if side.orders:
                self._match(side, price_e4, time_ns, happened)
        for side in self._both:
            if side.stops:
                self._release_stops(side, time_ns, happened)
        return happened

    def submit(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order that arrives at *time_ns*, and execute what the last print has left for it.

        Orders already in the book come first, but they have had their turn at that print: what they left is what no
        better order could use.
        """
        _check(order)
        leaves = order.quantity - order.filled_quantity
        working = _Working(order, leaves, order.first_execution_max, has_triggered=order.has_triggered)
        return self._arrive(working, time_ns)

    def modify(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Make the order of this id what *order* says. What it did before it came into this book stays as it was.

        Raises:
            CannotModify: it is not in the book, or has executed as much already.
        """
        working = self._working.get(order.order_id)
        if working is None or order.side is not working.order.side:
            raise CannotModify(f"received {order}, expected an order in the book, on its side")
        executed = working.order.quantity - working.leaves_quantity
        if order.quantity <= executed:
            raise CannotModify(f"received a quantity of {order.quantity}, expected more than the {executed} executed")
        order = msgspec.structs.replace(
            order, filled_quantity=working.order.filled_quantity, first_execution_max=working.order.first_execution_max
        )
        _check(order)
        if _keeps_place(working, order):
            working.order, working.leaves_quantity = order, order.quantity - executed
            return Submission(
                executions=(),
                limit_price_e4=working.limit_price_e4,
                resting_quantity=working.leaves_quantity,
                canceled_quantity=0,
                awaits_trigger=working.awaits_trigger,
                keeps_place=True,
            )
        self._take_out(working)
        working.has_triggered &= order.trigger_price_e4 == working.order.trigger_price_e4
        working.order, working.leaves_quantity = order, order.quantity - executed
        return self._arrive(working, time_ns)

    def cancel(self, order_id: str) -> int:
        """Take *order_id* out of the book and return what it still had to do, 0 where it was not there."""
        working = self._working.get(order_id)
        if working is None:
            return 0
        self._take_out(working)
        return working.leaves_quantity

    def expire(self) -> list[Withdrawn]:
        """Empty the book at the close and return what was in it, in order of arrival."""
        left = sorted(self._working.values(), key=lambda working: working.arrival)
        self._working.clear()
        self._unpriced.clear()
        for side in self._both:
            side.orders.clear()
            side.stops.clear()
        return [Withdrawn(working.order.order_id, working.leaves_quantity) for working in left]

    def _share_of(self, volume: int) -> int:
        if volume <= 0:
            return 0
        share = volume * self._participation_bp // _BP
        return max(share - share % self._lot, self._lot)

    def _limit_of(self, order: MatchingOrder) -> int | None:
        if order.limit_price_e4 is not None:
            return order.limit_price_e4
        return self.protection_limit_e4(order.side)

    def _protection_limit(self, side: Side, last_price_e4: int) -> int:
        band = last_price_e4 * self._protection_bp // _BP
        # Rounded towards the last print, and never past it: that print must stay within reach, even off the tick.
        if side is Side.BUY:
            return max((last_price_e4 + band) // self._tick_e4 * self._tick_e4, last_price_e4)
        return min(-(-(last_price_e4 - band) // self._tick_e4) * self._tick_e4, last_price_e4)

    def _arrive(self, working: _Working, time_ns: int) -> Submission:
        """Let an order come into the book: behind its trigger, at once, or as soon as there is a print to price it."""
        order = working.order
        working.arrival, working.limit_price_e4 = next(self._arrivals), None
        if working.awaits_trigger:
            if not self._is_reached(order):
                return self._await_trigger(working)
            working.has_triggered = True
        limit = self._limit_of(order)
        execution = None if limit is None else self._execute_on_arrival(working, limit, time_ns)
        canceled = working.leaves_quantity if order.time_in_force is TimeInForce.IOC else 0
        if working.leaves_quantity > canceled:
            if limit is None:
                self._unpriced.append(working)
                self._working[order.order_id] = working
            else:
                self._rest(working, limit)
        return Submission(
            executions=(execution,) if execution else (),
            limit_price_e4=limit,
            resting_quantity=working.leaves_quantity - canceled,
            canceled_quantity=canceled,
        )

    def _is_reached(self, order: MatchingOrder) -> bool:
        last, trigger = self._last_price_e4, order.trigger_price_e4
        return last is not None and trigger is not None and order.side.sign * (last - trigger) >= 0

    def _await_trigger(self, working: _Working) -> Submission:
        order = working.order
        working.limit_price_e4 = order.limit_price_e4
        working.rank = (order.side.sign * (order.trigger_price_e4 or 0), working.arrival)
        insort(self._sides[order.side].stops, working, key=_rank_of)
        self._working[order.order_id] = working
        return Submission(
            executions=(),
            limit_price_e4=order.limit_price_e4,
            resting_quantity=working.leaves_quantity,
            canceled_quantity=0,
            awaits_trigger=True,
        )

    def _execute_on_arrival(self, working: _Working, limit: int, time_ns: int) -> Execution | None:
        order, last = working.order, self._last_price_e4
        side = self._sides[order.side]
        if last is None or not _reaches(order.side, limit, last):
            return None
        quantity = min(working.leaves_quantity, side.share)
        if working.cap is not None:
            quantity = min(quantity, working.cap)
        if quantity <= 0:
            return None
        side.share -= quantity
        working.leaves_quantity -= quantity
        working.cap = None
        return Execution(order.order_id, quantity, last, time_ns)

    def _rest(self, working: _Working, limit: int) -> None:
        side = working.order.side
        working.limit_price_e4 = limit
        working.rank = (-limit if side is Side.BUY else limit, working.arrival)
        insort(self._sides[side].orders, working, key=_rank_of)
        self._working[working.order.order_id] = working

    def _take_out(self, working: _Working) -> None:
        del self._working[working.order.order_id]
        side = self._sides[working.order.side]
        for queue in (self._unpriced, side.stops, side.orders):
            if working in queue:
                queue.remove(working)

    def _match(self, side: _Side, price: int, time_ns: int, happened: list[Happening]) -> None:
        is_buy = side.which is Side.BUY
        has_filled = False
        for working in side.orders:
            limit = working.limit_price_e4
            if side.share <= 0 or limit is None or (price > limit if is_buy else price < limit):
                break
            quantity = min(working.leaves_quantity, side.share)
            if working.cap is not None:
                quantity, working.cap = min(quantity, working.cap), None
            working.leaves_quantity -= quantity
            side.share -= quantity
            happened.append(Execution(working.order.order_id, quantity, price, time_ns))
            if working.leaves_quantity == 0:
                del self._working[working.order.order_id]
                has_filled = True
        if has_filled:
            side.orders = [working for working in side.orders if working.leaves_quantity > 0]

    def _release_stops(self, side: _Side, time_ns: int, happened: list[Happening]) -> None:
        stops = side.stops
        released = 0
        while released < len(stops) and self._is_reached(stops[released].order):
            released += 1
        for stop in stops[:released]:
            order_id = stop.order.order_id
            del self._working[order_id]
            submission = self._arrive(stop, time_ns)
            happened += [Triggered(order_id), *submission.executions]
            if submission.canceled_quantity:
                happened.append(Withdrawn(order_id, submission.canceled_quantity))
        del stops[:released]


def _check(order: MatchingOrder) -> None:
    order_type = order.order_type
    is_stop = order_type is OrderType.SL
    has_limit = is_stop or order_type is OrderType.LIMIT
    if (
        order_type is OrderType.SL_M
        or not 0 <= order.filled_quantity < order.quantity
        or (order.limit_price_e4 is not None) is not has_limit
        or (order.trigger_price_e4 is not None) is not is_stop
    ):
        raise ValueError(
            f"received {order}, expected a quantity above what is filled, a limit price with LIMIT and SL alone "
            "and a trigger price with SL alone; SL-M does not rest"
        )


def _keeps_place(working: _Working, order: MatchingOrder) -> bool:
    before = working.order
    awaits_trigger = order.order_type is OrderType.SL and not (
        working.has_triggered and order.trigger_price_e4 == before.trigger_price_e4
    )
    return (
        order.limit_price_e4 is not None
        and order.limit_price_e4 == working.limit_price_e4
        and order.quantity <= before.quantity
        and order.time_in_force is before.time_in_force
        and awaits_trigger is working.awaits_trigger
        and (not awaits_trigger or order.trigger_price_e4 == before.trigger_price_e4)
    )


def _reaches(side: Side, limit_e4: int, price_e4: int) -> bool:
    return price_e4 <= limit_e4 if side is Side.BUY else price_e4 >= limit_e4
