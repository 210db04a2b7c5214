"""Continuous trading: one instrument's orders of ours against what the market prints and shows.

We see prints (price, volume, time) and sometimes five levels of the book behind them, so every rule errs on the careful
side:

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

Where the tape shows **depth**, it says more, and four rules change. What is shown after a print holds until the next
depth replaces it, less what our orders took of it.

- **A marketable order walks the book**: level by level within its limit, at each level's price, for what is shown
  there, and rests with what is left. It never gets a price or a quantity better than shown, and leaves the print alone.
- **A resting order queues** behind what is shown at its price when it comes to rest. Of a print at its limit it gets
  what the queue before it leaves over (and the share allows); so much of the print's volume the queue becomes shorter.
  A print beyond the limit has gone through the queue: nothing of it is left. When less is shown at its price than is
  before it, those before it have canceled, and it moves up to what is shown; while as much or more is shown, whoever
  canceled stood behind it.
- **A price that is not shown** beyond the worst level: the queue there is not known, and an order waits until it is, or
  until a print goes through. Between or before the levels that are shown nobody is before it.
- **Depth that crosses a resting order** makes it marketable: it walks the book as if it arrived.

Beyond that a market may have rules of its own (`MatchingRules`), none by default:

- **Slippage**: where there is no depth, an order that takes what is left of the last print does so at a worse price,
  within its limit and the circuits. What rests gets the printed price, for it was there first.
- **Circuits**: an order with a limit or trigger outside of them is rejected, a print outside of them is passed over,
  and so is what is shown outside of them. The limit that a MARKET order gets is kept inside.
- **Freeze quantity**: a larger order is rejected.
- **Margin**: whoever runs the account has the last word on an order that would be taken.

Prices are integers of 1/10,000 rupee, times UTC nanoseconds. Nothing here knows a clock or a random number: the same
calls in the same order give the same executions.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from operator import attrgetter

import msgspec

from domain.matching.depth import Depth, Level
from domain.matching.models import OfPrint, Participation, Slippage
from domain.matching.orders import (
    CannotModify,
    Execution,
    Happening,
    MatchingOrder,
    Rejection,
    Submission,
    Triggered,
    Withdrawn,
    demand_sound,
    rejected,
)
from domain.order import OrderType, Side, TimeInForce

_BP = 10_000
_ANY_PRICE_E4 = 1 << 62
_NOT_WORKED_OUT = -1
_rank_of = attrgetter("rank")

MarginCheck = Callable[[MatchingOrder, int | None], bool]
"""Tells whether the account behind an order bears it, at the limit it would work under (None: not known yet)."""


_OF_PRINT = OfPrint()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRules:
    """What of a market is a matter of choice, or of the day. See the module for what each rule does."""

    participation: Participation = _OF_PRINT
    slippage: Slippage | None = None
    lower_circuit_e4: int | None = None
    upper_circuit_e4: int | None = None
    freeze_quantity: int | None = None
    margin: MarginCheck | None = None


_PLAIN = MatchingRules()


@dataclass(slots=True, eq=False)
class _Working:
    """An order in the book. `rank` sorts the order whose turn comes first to the front of its queue.

    `ahead` are the units shown at its price that came before it, None: not known.
    """

    order: MatchingOrder
    leaves_quantity: int
    cap: int | None
    has_triggered: bool = False
    arrival: int = 0
    limit_price_e4: int | None = None
    rank: tuple[int, int] = (0, 0)
    ahead: int | None = None

    @property
    def awaits_trigger(self) -> bool:
        """Whether it rests unseen."""
        return self.order.trigger_price_e4 is not None and not self.has_triggered


@dataclass(slots=True)
class _Shown:
    """The depth that our orders on one side meet: what they may take, best first, and whom they queue behind.

    `worst_e4` is the worst price shown of their own side, None where nothing is.
    """

    offers: list[list[int]]
    queues: dict[int, int]
    worst_e4: int | None


@dataclass(slots=True)
class _Side:
    """Our orders on one side, best first; those that await their trigger; and what may still be had of the last print.

    Stops stand in the order in which a moving price reaches them. `share` is below zero until it has been worked out:
    most prints meet no order. `taken` is what our orders took of all prints.
    """

    which: Side
    orders: list[_Working] = field(default_factory=list)
    stops: list[_Working] = field(default_factory=list)
    share: int = 0
    taken: int = 0
    shown: _Shown | None = None


class Matching:
    """One instrument: its last print, what the market shows, and our orders in it."""

    def __init__(
        self, *, tick_e4: int, lot: int, participation_bp: int, protection_bp: int, rules: MatchingRules = _PLAIN
    ) -> None:
        if min(tick_e4, lot, participation_bp) <= 0 or participation_bp > _BP or protection_bp < 0:
            raise ValueError(
                f"received tick {tick_e4}, lot {lot}, participation {participation_bp}, protection {protection_bp}, "
                f"expected each above zero (protection: from zero) and a participation of {_BP} bp at most"
            )
        self._tick_e4 = tick_e4
        self._lot = lot
        self._participation_bp = participation_bp
        self._protection_bp = protection_bp
        self._rules = rules
        self._lowest_e4, self._highest_e4 = _bounds(rules)
        self._last_price_e4: int | None = None
        self._last_volume = 0
        self._session_volume = 0
        self._sides = {side: _Side(side) for side in (Side.BUY, Side.SELL)}
        self._both = tuple(self._sides.values())
        self._working: dict[str, _Working] = {}
        self._unpriced: list[_Working] = []
        self._arrivals = count(1)

    @property
    def last_price_e4(self) -> int | None:
        """The price of the last print, None before the first."""
        return self._last_price_e4

    @property
    def tick_e4(self) -> int:
        """The price step."""
        return self._tick_e4

    @property
    def circuits_e4(self) -> tuple[int | None, int | None]:
        """The lowest and highest price of the day, None where there is none."""
        return self._rules.lower_circuit_e4, self._rules.upper_circuit_e4

    def protection_limit_e4(self, side: Side) -> int | None:
        """Return the limit that a MARKET order on *side* gets at the last print, None before the first."""
        return None if self._last_price_e4 is None else self._protection_limit(side, self._last_price_e4)

    def leaves_quantity(self, order_id: str) -> int:
        """Return what *order_id* still has to do, 0 where it is not in the book."""
        working = self._working.get(order_id)
        return 0 if working is None else working.leaves_quantity

    def limit_of(self, order_id: str) -> int | None:
        """Return the limit that *order_id* works under, None where it has none yet or is not in the book."""
        working = self._working.get(order_id)
        return None if working is None else working.limit_price_e4

    def queue_ahead(self, order_id: str) -> int | None:
        """Return the units shown that come before *order_id*, None where that is not known."""
        working = self._working.get(order_id)
        return None if working is None else working.ahead

    def begin_session(self, rules: MatchingRules) -> None:
        """Let *rules* hold from now on, and forget what the session before printed and showed. What rests stays."""
        self._rules = rules
        self._lowest_e4, self._highest_e4 = _bounds(rules)
        self._last_price_e4 = None
        self._session_volume = 0
        for side in self._both:
            side.taken, side.shown = 0, None
        self.pause()

    def pause(self) -> None:
        """Let what the last print left, and what was shown behind it, be gone: nothing can be had of it any more."""
        self._last_volume = 0
        for side in self._both:
            side.share = 0
            if side.shown is not None:
                side.shown.offers.clear()

    def forget_depth(self) -> None:
        """Let nothing be shown any more, until the tape shows something again."""
        for side in self._both:
            side.shown = None

    def on_print(self, *, price_e4: int, volume: int, time_ns: int, depth: Depth | None = None) -> list[Happening]:
        """Take in one print and return what came of it: executions in priority order, then stops; buys before sells.

        *depth* is what the market shows behind the print. What it crosses executes after what the print did.
        """
        if not self._lowest_e4 <= price_e4 <= self._highest_e4:
            return []
        self._last_price_e4 = price_e4
        self._last_volume = volume
        self._session_volume += volume
        for side in self._both:
            side.share = _NOT_WORKED_OUT
        if not self._working:
            if depth is not None:
                self._show(depth)
            return []
        happened: list[Happening] = []
        self._match_both(price_e4, time_ns, happened)
        if depth is not None:
            self._show(depth)
            self._move_up(time_ns, happened)
        for side in self._both:
            if side.stops:
                self._release_stops(side, time_ns, happened)
        return happened

    def submit(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order that arrives at *time_ns*, and execute what is there for it.

        Orders already in the book come first, but they have had their turn at the last print: what they left is what
        no better order could use.
        """
        demand_sound(order)
        rejection = self.rejection_of(order)
        if rejection is not None:
            return rejected(rejection)
        return self.restore(order, time_ns=time_ns)

    def restore(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order as `submit` does, whatever the rules say: they let it in before this book began."""
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
        demand_sound(order)
        rejection = self.rejection_of(order)
        if rejection is not None:
            return rejected(rejection)
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
        left = self._in_order_of_arrival()
        self._clear()
        return [Withdrawn(working.order.order_id, working.leaves_quantity) for working in left]

    def hand_over(self) -> list[MatchingOrder]:
        """Empty the book and return what was in it as it is now, in order of arrival.

        What had its limit is a LIMIT order at it (a MARKET order, and an SL that triggered), with what it executed.
        """
        left = self._in_order_of_arrival()
        self._clear()
        return [_as_it_is(working) for working in left]

    def note_auction(self, *, price_e4: int, volume: int) -> dict[Side, int]:
        """Count what an auction traded, and return what our orders on each side may take of it if others made it."""
        self._last_price_e4, self._last_volume = price_e4, volume
        self._session_volume += volume
        for side in self._both:
            side.share = _NOT_WORKED_OUT
        return {side.which: self._share_for(side) for side in self._both}

    def note_taken(self, side: Side, quantity: int) -> None:
        """Count what our orders on *side* took in an auction. What it left is gone."""
        self._sides[side].taken += quantity
        self.pause()

    def _in_order_of_arrival(self) -> list[_Working]:
        return sorted(self._working.values(), key=lambda working: working.arrival)

    def _clear(self) -> None:
        self._working.clear()
        self._unpriced.clear()
        for side in self._both:
            side.orders.clear()
            side.stops.clear()

    def _share_for(self, side: _Side) -> int:
        """Return what our orders on *side* may still take of the last print."""
        if side.share < 0:
            side.share = self._rules.participation.share_of(
                self._last_volume,
                session_volume=self._session_volume,
                taken=side.taken,
                share_bp=self._participation_bp,
                lot=self._lot,
            )
        return side.share

    def _limit_of(self, order: MatchingOrder) -> int | None:
        if order.limit_price_e4 is not None:
            return order.limit_price_e4
        return self.protection_limit_e4(order.side)

    def _protection_limit(self, side: Side, last_price_e4: int) -> int:
        band = last_price_e4 * self._protection_bp // _BP
        # Rounded towards the last print, and never past it: that print must stay within reach, even off the tick.
        if side is Side.BUY:
            return min(max((last_price_e4 + band) // self._tick_e4 * self._tick_e4, last_price_e4), self._highest_e4)
        limit = min(-(-(last_price_e4 - band) // self._tick_e4) * self._tick_e4, last_price_e4)
        return max(limit, self._lowest_e4)

    def _is_outside(self, price_e4: int) -> bool:
        return not self._lowest_e4 <= price_e4 <= self._highest_e4

    def rejection_of(self, order: MatchingOrder) -> Rejection | None:
        """Return why the market's rules do not let *order* in, None where they do."""
        rules = self._rules
        if rules is _PLAIN:
            return None
        if rules.freeze_quantity is not None and order.quantity > rules.freeze_quantity:
            return Rejection.QUANTITY_ABOVE_FREEZE
        for price in (order.limit_price_e4, order.trigger_price_e4):
            if price is not None and self._is_outside(price):
                return Rejection.PRICE_OUTSIDE_CIRCUITS
        if rules.margin is not None and not rules.margin(order, self._limit_of(order)):
            return Rejection.MARGIN
        return None

    def _arrive(self, working: _Working, time_ns: int) -> Submission:
        """Let an order come into the book: behind its trigger, at once, or as soon as there is a print to price it."""
        order = working.order
        working.arrival, working.limit_price_e4, working.ahead = next(self._arrivals), None, None
        if working.awaits_trigger:
            if not self._is_reached(order):
                return self._await_trigger(working)
            working.has_triggered = True
        limit = self._limit_of(order)
        executions = () if limit is None else self._execute_on_arrival(working, limit, time_ns)
        canceled = working.leaves_quantity if order.time_in_force is TimeInForce.IOC else 0
        if working.leaves_quantity > canceled:
            if limit is None:
                self._unpriced.append(working)
                self._working[order.order_id] = working
            else:
                self._rest(working, limit)
        return Submission(
            executions=executions,
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

    def _execute_on_arrival(self, working: _Working, limit: int, time_ns: int) -> tuple[Execution, ...]:
        order, last = working.order, self._last_price_e4
        side = self._sides[order.side]
        if side.shown is not None:
            return tuple(_walk(side.shown, working, limit, time_ns))
        if last is None or not _reaches(order.side, limit, last):
            return ()
        quantity = min(working.leaves_quantity, self._share_for(side))
        if working.cap is not None:
            quantity = min(quantity, working.cap)
        if quantity <= 0:
            return ()
        side.share -= quantity
        side.taken += quantity
        working.leaves_quantity -= quantity
        working.cap = None
        price = last if self._rules.slippage is None else self._slipped(self._rules.slippage, side, limit, quantity)
        return (Execution(order.order_id, quantity, price, time_ns),)

    def _slipped(self, slippage: Slippage, side: _Side, limit: int, quantity: int) -> int:
        """Return the price at which *quantity* is taken of the last print: never beyond the limit, nor the circuits."""
        last = self._last_price_e4 or 0
        move = slippage.move_e4(price_e4=last, quantity=quantity, volume=self._last_volume, tick_e4=self._tick_e4)
        if side.which is Side.BUY:
            return min(last + move, limit, self._highest_e4)
        return max(last - move, limit, self._lowest_e4)

    def _rest(self, working: _Working, limit: int) -> None:
        side = self._sides[working.order.side]
        working.limit_price_e4 = limit
        working.rank = (-limit if side.which is Side.BUY else limit, working.arrival)
        if side.shown is not None:
            working.ahead = _queue_at(side.shown, side.which, limit)
        insort(side.orders, working, key=_rank_of)
        self._working[working.order.order_id] = working

    def _take_out(self, working: _Working) -> None:
        del self._working[working.order.order_id]
        if working.limit_price_e4 is None:
            self._unpriced.remove(working)
            return
        side = self._sides[working.order.side]
        queue = side.stops if working.awaits_trigger else side.orders
        del queue[bisect_left(queue, working.rank, key=_rank_of)]

    def _match_both(self, price: int, time_ns: int, happened: list[Happening]) -> None:
        if self._unpriced:
            for working in self._unpriced:
                self._rest(working, self._protection_limit(working.order.side, price))
            self._unpriced.clear()
        for side in self._both:
            if side.orders:
                if side.shown is None:
                    self._match(side, price, time_ns, happened)
                else:
                    self._match_in_queues(side, price, time_ns, happened)

    def _match(self, side: _Side, price: int, time_ns: int, happened: list[Happening]) -> None:
        is_buy = side.which is Side.BUY
        filled, is_front = 0, True
        for place, working in enumerate(side.orders):
            limit = working.limit_price_e4
            if limit is None or (price > limit if is_buy else price < limit):
                break
            quantity = min(working.leaves_quantity, self._share_for(side))
            if quantity <= 0:
                break
            if working.cap is not None:
                quantity, working.cap = min(quantity, working.cap), None
            working.leaves_quantity -= quantity
            side.share -= quantity
            side.taken += quantity
            happened.append(Execution(working.order.order_id, quantity, price, time_ns))
            if working.leaves_quantity == 0:
                del self._working[working.order.order_id]
                is_front = is_front and place == filled
                filled += 1
        if is_front:
            del side.orders[:filled]
        else:  # One with a cap is left between them.
            side.orders = [working for working in side.orders if working.leaves_quantity > 0]

    def _match_in_queues(self, side: _Side, price: int, time_ns: int, happened: list[Happening]) -> None:
        volume = self._last_volume
        taken = 0
        for working in side.orders:
            limit = working.limit_price_e4
            if volume <= 0 or limit is None or not _reaches(side.which, limit, price):
                break
            quantity = min(working.leaves_quantity, self._share_for(side))
            if working.cap is not None:
                quantity = min(quantity, working.cap)
            if limit != price:
                working.ahead = 0  # The print went through the queue.
            elif working.ahead is None:
                continue
            else:
                left_over = max(volume - working.ahead - taken, 0)
                quantity = min(quantity, left_over - left_over % self._lot)
                working.ahead = max(working.ahead - volume, 0)
            if quantity <= 0:
                continue
            working.cap = None
            working.leaves_quantity -= quantity
            side.share -= quantity
            side.taken += quantity
            taken += quantity
            happened.append(Execution(working.order.order_id, quantity, price, time_ns))
        self._drop_filled(side)

    def _show(self, depth: Depth) -> None:
        bids = [level for level in depth.bids if level.quantity > 0 and not self._is_outside(level.price_e4)]
        asks = [level for level in depth.asks if level.quantity > 0 and not self._is_outside(level.price_e4)]
        self._sides[Side.BUY].shown = _shown(offers=asks, queues=bids)
        self._sides[Side.SELL].shown = _shown(offers=bids, queues=asks)

    def _move_up(self, time_ns: int, happened: list[Happening]) -> None:
        """Let what is newly shown shorten the queues, and execute what it crosses."""
        for side in self._both:
            shown = side.shown
            if shown is None:
                continue
            for working in side.orders:
                limit = working.limit_price_e4 or 0
                happened += _walk(shown, working, limit, time_ns)
                queue = _queue_at(shown, side.which, limit)
                if queue is not None:
                    working.ahead = queue if working.ahead is None else min(working.ahead, queue)
            self._drop_filled(side)

    def _drop_filled(self, side: _Side) -> None:
        if any(working.leaves_quantity == 0 for working in side.orders):
            for working in side.orders:
                if working.leaves_quantity == 0:
                    del self._working[working.order.order_id]
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


def _bounds(rules: MatchingRules) -> tuple[int, int]:
    """Return the lowest and highest price that the rules allow; without circuits any is allowed."""
    lower, upper = rules.lower_circuit_e4, rules.upper_circuit_e4
    return 0 if lower is None else lower, _ANY_PRICE_E4 if upper is None else upper


def _as_it_is(working: _Working) -> MatchingOrder:
    order = working.order
    executed = order.quantity - working.leaves_quantity
    if working.limit_price_e4 is None or working.awaits_trigger:
        return msgspec.structs.replace(order, filled_quantity=executed)
    return msgspec.structs.replace(
        order,
        order_type=OrderType.LIMIT,
        limit_price_e4=working.limit_price_e4,
        trigger_price_e4=None,
        filled_quantity=executed,
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


def _shown(*, offers: Iterable[Level], queues: list[Level]) -> _Shown:
    return _Shown(
        offers=[[level.price_e4, level.quantity] for level in offers],
        queues={level.price_e4: level.quantity for level in queues},
        worst_e4=queues[-1].price_e4 if queues else None,
    )


def _queue_at(shown: _Shown, side: Side, limit_e4: int) -> int | None:
    """Return what is shown at a price, 0 where nothing is, None where it lies beyond what is shown."""
    queue = shown.queues.get(limit_e4)
    if queue is not None:
        return queue
    worst = shown.worst_e4
    return 0 if worst is None or _reaches(side, limit_e4, worst) else None


def _walk(shown: _Shown, working: _Working, limit_e4: int, time_ns: int) -> list[Execution]:
    """Take what is shown within *limit_e4*, level by level."""
    executions = []
    order = working.order
    wanted = working.leaves_quantity if working.cap is None else min(working.leaves_quantity, working.cap)
    for offer in shown.offers:
        price, at_hand = offer
        if wanted == 0 or not _reaches(order.side, limit_e4, price):
            break
        quantity = min(wanted, at_hand)
        if quantity == 0:
            continue
        offer[1] -= quantity
        wanted -= quantity
        working.leaves_quantity -= quantity
        working.cap = None
        executions.append(Execution(order.order_id, quantity, price, time_ns))
    return executions
