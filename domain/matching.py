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
- **IOC** executes on arrival what it can; the rest is canceled. **DAY** rests until `expire`, at the close.

Prices are integers of 1/10,000 rupee, times UTC nanoseconds. Nothing here knows a clock or a random number: the same
calls in the same order give the same executions.
"""

from bisect import insort
from dataclasses import dataclass, field
from itertools import count

import msgspec

from domain.order import OrderType, Side, TimeInForce

_BP = 10_000


class MatchingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it arrives. `limit_price_e4` is set for LIMIT and None for MARKET.

    `first_execution_max` caps the first execution: less was at hand than the tape shows.
    """

    order_id: str
    side: Side
    order_type: OrderType
    quantity: int
    limit_price_e4: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    first_execution_max: int | None = None


class Execution(msgspec.Struct, frozen=True, gc=False):
    """A quantity of an order executed at a printed price."""

    order_id: str
    quantity: int
    price_e4: int
    time_ns: int


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order on arrival.

    `limit_price_e4` is the limit it works under (None: a MARKET order that waits for the first print),
    `resting_quantity` what is left in the book, `canceled_quantity` what an IOC order could not execute.
    """

    executions: tuple[Execution, ...]
    limit_price_e4: int | None
    resting_quantity: int
    canceled_quantity: int


class Withdrawn(msgspec.Struct, frozen=True):
    """An order that left the book unfilled, with what it still had to do."""

    order_id: str
    leaves_quantity: int


@dataclass(slots=True)
class _Working:
    """An order in the book. `rank` sorts a side's best order to the front."""

    rank: tuple[int, int]
    order_id: str
    side: Side
    leaves_quantity: int
    limit_price_e4: int
    cap: int | None


@dataclass(slots=True)
class _Side:
    """Our orders on one side, best first, and what they may still take of the last print."""

    orders: list[_Working] = field(default_factory=list)
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
        self._sides = {Side.BUY: _Side(), Side.SELL: _Side()}
        self._working: dict[str, _Working] = {}
        self._unpriced: dict[str, tuple[int, MatchingOrder]] = {}
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
        if working is not None:
            return working.leaves_quantity
        waiting = self._unpriced.get(order_id)
        return waiting[1].quantity if waiting else 0

    def on_print(self, *, price_e4: int, volume: int, time_ns: int) -> list[Execution]:
        """Take in one print and return what it executed, in priority order, buys first."""
        self._last_price_e4 = price_e4
        share = self._share_of(volume)
        for side in self._sides.values():
            side.share = share
        for arrival, order in self._unpriced.values():
            self._rest(order, self._protection_limit(order.side, price_e4), order.quantity, arrival=arrival)
        self._unpriced.clear()
        if not self._working:
            return []
        return [*self._match(Side.BUY, time_ns), *self._match(Side.SELL, time_ns)]

    def submit(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order that arrives at *time_ns*, and execute what the last print has left for it.

        Orders already in the book come first, but they have had their turn at that print: what they left is what no
        better order could use.
        """
        if order.quantity <= 0 or (order.limit_price_e4 is None) is (order.order_type is OrderType.LIMIT):
            raise ValueError(f"received {order}, expected a quantity above zero and a limit price with LIMIT alone")
        limit = self._limit_of(order)
        if limit is None:
            return self._wait_for_a_print(order)
        execution = self._execute_on_arrival(order, limit, time_ns)
        leaves = order.quantity - (execution.quantity if execution else 0)
        canceled = leaves if order.time_in_force is TimeInForce.IOC else 0
        if leaves > canceled:
            self._rest(order, limit, leaves, arrival=next(self._arrivals), capped=execution is None)
        return Submission(
            executions=(execution,) if execution else (),
            limit_price_e4=limit,
            resting_quantity=leaves - canceled,
            canceled_quantity=canceled,
        )

    def cancel(self, order_id: str) -> int:
        """Take *order_id* out of the book and return what it still had to do, 0 where it was not there."""
        leaves = self.leaves_quantity(order_id)
        working = self._working.pop(order_id, None)
        if working is not None:
            self._sides[working.side].orders.remove(working)
        self._unpriced.pop(order_id, None)
        return leaves

    def expire(self) -> list[Withdrawn]:
        """Empty the book at the close and return what was in it, in order of arrival."""
        left = [(working.rank[1], working.order_id, working.leaves_quantity) for working in self._working.values()]
        left += [(arrival, order.order_id, order.quantity) for arrival, order in self._unpriced.values()]
        self._working.clear()
        self._unpriced.clear()
        for side in self._sides.values():
            side.orders.clear()
        return [Withdrawn(order_id, leaves) for _, order_id, leaves in sorted(left)]

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

    def _wait_for_a_print(self, order: MatchingOrder) -> Submission:
        ioc = order.time_in_force is TimeInForce.IOC
        if not ioc:
            self._unpriced[order.order_id] = (next(self._arrivals), order)
        return Submission(
            executions=(),
            limit_price_e4=None,
            resting_quantity=0 if ioc else order.quantity,
            canceled_quantity=order.quantity if ioc else 0,
        )

    def _execute_on_arrival(self, order: MatchingOrder, limit: int, time_ns: int) -> Execution | None:
        last, side = self._last_price_e4, self._sides[order.side]
        if last is None or not _reaches(order.side, limit, last):
            return None
        quantity = min(order.quantity, side.share)
        if order.first_execution_max is not None:
            quantity = min(quantity, order.first_execution_max)
        if quantity <= 0:
            return None
        side.share -= quantity
        return Execution(order.order_id, quantity, last, time_ns)

    def _rest(self, order: MatchingOrder, limit: int, leaves: int, *, arrival: int, capped: bool = True) -> None:
        working = _Working(
            rank=(-limit if order.side is Side.BUY else limit, arrival),
            order_id=order.order_id,
            side=order.side,
            leaves_quantity=leaves,
            limit_price_e4=limit,
            cap=order.first_execution_max if capped else None,
        )
        insort(self._sides[order.side].orders, working, key=lambda other: other.rank)
        self._working[order.order_id] = working

    def _match(self, which: Side, time_ns: int) -> list[Execution]:
        side, price = self._sides[which], self._last_price_e4
        if price is None or not side.orders:
            return []
        executions: list[Execution] = []
        for working in side.orders:
            if side.share <= 0 or not _reaches(which, working.limit_price_e4, price):
                break
            quantity = min(working.leaves_quantity, side.share)
            if working.cap is not None:
                quantity, working.cap = min(quantity, working.cap), None
            working.leaves_quantity -= quantity
            side.share -= quantity
            executions.append(Execution(working.order_id, quantity, price, time_ns))
        filled = [working for working in side.orders if working.leaves_quantity == 0]
        if filled:
            side.orders = [working for working in side.orders if working.leaves_quantity > 0]
            for working in filled:
                del self._working[working.order_id]
        return executions


def _reaches(side: Side, limit_e4: int, price_e4: int) -> bool:
    return price_e4 <= limit_e4 if side is Side.BUY else price_e4 >= limit_e4
