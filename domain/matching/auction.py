"""The call auction: orders are collected, and all that can trade does so at one price.

**The price** (`equilibrium`) is that of the orders' limits at which most units can trade. Of several, it is the one
that leaves the fewest units of either side unmatched; of several still, the one closest to the base price; and where
two are equally close, the base price itself, which then lies between them and trades as much. Market orders count at
every price; where there are no others, they trade at the base price. The base price is the previous close for the
pre-open, and the reference price for the closing auction. Without one, the lowest of the prices in question is taken.

Source: SEBI, circular of 2010-07-15 on the call auction in the pre-open session, as NSE and brokers explain it: the
price of the largest volume that can trade, then the smallest imbalance of orders, then closest to the previous close,
or that close itself where it is midway between the closest pair. SEBI, circular of 2026-01-16
(HO/47/11/11(3)2025-MRD-POD2/I/2765/2026), has the closing auction find its price by the largest volume, with market
orders first, and aligns the pre-open with it from 2026-09-07. Its own words on ties were not to be had: those of the
pre-open are taken for them.

**Who trades** where one side has more: market orders before limit orders in the closing auction, and in the pre-open
since 2026-09-07; in the pre-open before that limit orders first, for limit orders met limit orders before what was left
of them met market orders. Then the better price, then the earlier arrival. What the tape shows of others at the same
price came before ours.

**Where the tape tells no interest of others but the outcome**, a print of the auction's volume at its price, ours trade
at that price, in the same order, and take no more of the volume than the market's participation allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import msgspec

from domain.matching.orders import CannotModify, Execution, MatchingOrder
from domain.order import Side


class Interest(NamedTuple):
    """What somebody wants to trade in an auction, at a limit or at any price (None)."""

    side: Side
    limit_price_e4: int | None
    quantity: int


class Equilibrium(NamedTuple):
    """At which price an auction clears, how many units of each side trade, and how many can not (buys above zero)."""

    price_e4: int
    volume: int
    imbalance: int


def equilibrium(
    interests: Iterable[Interest],
    *,
    base_price_e4: int | None,
    lower_e4: int | None = None,
    upper_e4: int | None = None,
) -> Equilibrium | None:
    """Return how the auction clears by the rules of this module, None where nothing can trade.

    A price outside of *lower_e4* and *upper_e4* is none.
    """
    interests = [interest for interest in interests if interest.quantity > 0]
    limits = {interest.limit_price_e4 for interest in interests} - {None}
    prices = sorted(price for price in limits if price is not None and _is_within(price, lower_e4, upper_e4))
    if not prices and base_price_e4 is not None and not limits:
        prices = [base_price_e4]
    found = [_at(price, interests) for price in prices]
    volume_max = max((each.volume for each in found), default=0)
    if volume_max == 0:
        return None
    best = [each for each in found if each.volume == volume_max]
    imbalance_min = min(abs(each.imbalance) for each in best)
    best = [each for each in best if abs(each.imbalance) == imbalance_min]
    if base_price_e4 is None:
        return best[0]
    distance_min = min(abs(each.price_e4 - base_price_e4) for each in best)
    best = [each for each in best if abs(each.price_e4 - base_price_e4) == distance_min]
    return best[0] if len(best) == 1 else _at(base_price_e4, interests)


def _is_within(price_e4: int, lower_e4: int | None, upper_e4: int | None) -> bool:
    return (lower_e4 is None or price_e4 >= lower_e4) and (upper_e4 is None or price_e4 <= upper_e4)


def _at(price_e4: int, interests: Sequence[Interest]) -> Equilibrium:
    # Thousands of orders would want sums that are carried from price to price; we see a handful.
    demand, supply = (
        sum(
            each.quantity for each in interests if each.side is side and _trades_at(each.limit_price_e4, side, price_e4)
        )
        for side in (Side.BUY, Side.SELL)
    )
    return Equilibrium(price_e4, min(demand, supply), demand - supply)


def _trades_at(limit_e4: int | None, side: Side, price_e4: int) -> bool:
    return limit_e4 is None or side.sign * (limit_e4 - price_e4) >= 0


@dataclass(slots=True, eq=False)
class _Collected:
    """An order of ours in the auction, with what it has executed in it."""

    order: MatchingOrder
    arrival: int
    leaves_quantity: int


class CallAuction:
    """The orders of ours that one auction collects. `market_first`: who trades first where one side has more."""

    def __init__(self, *, market_first: bool) -> None:
        self._market_first = market_first
        self._collected: dict[str, _Collected] = {}
        self._arrivals = count(1)

    def leaves_quantity(self, order_id: str) -> int:
        """Return what *order_id* still has to do, 0 where it is not in the auction."""
        collected = self._collected.get(order_id)
        return 0 if collected is None else collected.leaves_quantity

    def join(self, order: MatchingOrder) -> None:
        """Take in an order, MARKET or LIMIT, behind those that are there."""
        leaves = order.quantity - order.filled_quantity
        self._collected[order.order_id] = _Collected(order, next(self._arrivals), leaves)

    def modify(self, order: MatchingOrder) -> bool:
        """Make the order of this id what *order* says, and tell whether it keeps its place: at its price, for no more.

        Raises:
            CannotModify: it is not in the auction, or has executed as much already.
        """
        collected = self._collected.get(order.order_id)
        if collected is None or order.side is not collected.order.side:
            raise CannotModify(f"received {order}, expected an order in the auction, on its side")
        before = collected.order
        executed = before.quantity - collected.leaves_quantity
        if order.quantity <= executed:
            raise CannotModify(f"received a quantity of {order.quantity}, expected more than the {executed} executed")
        keeps_place = order.limit_price_e4 == before.limit_price_e4 and order.quantity <= before.quantity
        collected.order = msgspec.structs.replace(order, filled_quantity=before.filled_quantity)
        collected.leaves_quantity = order.quantity - executed
        if not keeps_place:
            collected.arrival = next(self._arrivals)
        return keeps_place

    def leave(self, order_id: str) -> int:
        """Take *order_id* out and return what it still had to do, 0 where it was not there."""
        collected = self._collected.pop(order_id, None)
        return 0 if collected is None else collected.leaves_quantity

    def empty(self) -> list[MatchingOrder]:
        """Take all out and return them, with what they executed, in order of arrival."""
        left = sorted(self._collected.values(), key=lambda collected: collected.arrival)
        self._collected.clear()
        return [
            msgspec.structs.replace(each.order, filled_quantity=each.order.quantity - each.leaves_quantity)
            for each in left
        ]

    def interests(self) -> list[Interest]:
        """Return what ours want, in order of arrival."""
        return [
            Interest(each.order.side, each.order.limit_price_e4, each.leaves_quantity)
            for each in sorted(self._collected.values(), key=lambda collected: collected.arrival)
        ]

    def clear(self, others: Sequence[Interest], cleared: Equilibrium, *, time_ns: int) -> dict[Side, list[Execution]]:
        """Let ours trade beside *others* as *cleared* says; return their executions by side."""
        executions: dict[Side, list[Execution]] = {Side.BUY: [], Side.SELL: []}
        for side, done in executions.items():
            left = cleared.volume
            queue: list[tuple[tuple[int, int, int, int], _Collected | int]] = [
                (self._rank(side, other.limit_price_e4, is_ours=False, arrival=number), other.quantity)
                for number, other in enumerate(others)
                if other.side is side and _trades_at(other.limit_price_e4, side, cleared.price_e4)
            ]
            queue += self._queue(side, cleared.price_e4)
            for _, waiting in sorted(queue, key=lambda entry: entry[0]):
                if isinstance(waiting, int):
                    left -= min(waiting, left)
                else:
                    left -= self._execute(waiting, left, cleared.price_e4, time_ns, done)
        return executions

    def settle(self, price_e4: int, shares: Mapping[Side, int], *, time_ns: int) -> dict[Side, list[Execution]]:
        """Let ours trade at the printed outcome, at most so much of a side; return their executions by side."""
        executions: dict[Side, list[Execution]] = {Side.BUY: [], Side.SELL: []}
        for side, done in executions.items():
            left = shares[side]
            for _, waiting in sorted(self._queue(side, price_e4), key=lambda entry: entry[0]):
                left -= self._execute(waiting, left, price_e4, time_ns, done)
        return executions

    def _queue(self, side: Side, price_e4: int) -> list[tuple[tuple[int, int, int, int], _Collected]]:
        return [
            (self._rank(side, each.order.limit_price_e4, is_ours=True, arrival=each.arrival), each)
            for each in self._collected.values()
            if each.order.side is side and _trades_at(each.order.limit_price_e4, side, price_e4)
        ]

    def _rank(self, side: Side, limit_e4: int | None, *, is_ours: bool, arrival: int) -> tuple[int, int, int, int]:
        is_market = limit_e4 is None
        return (int(is_market is not self._market_first), -side.sign * (limit_e4 or 0), int(is_ours), arrival)

    def _execute(
        self, collected: _Collected, left: int, price_e4: int, time_ns: int, executions: list[Execution]
    ) -> int:
        order, quantity = collected.order, min(collected.leaves_quantity, left)
        if (
            order.first_execution_max is not None
            and order.filled_quantity + collected.leaves_quantity == order.quantity
        ):
            quantity = min(quantity, order.first_execution_max)
        if quantity <= 0:
            return 0
        collected.leaves_quantity -= quantity
        if collected.leaves_quantity == 0:
            del self._collected[order.order_id]
        executions.append(Execution(order.order_id, quantity, price_e4, time_ns))
        return quantity
