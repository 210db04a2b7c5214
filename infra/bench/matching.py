"""Bench `matching`: prints and orders that one instrument's matching takes a second, beside a plain list, on one core.

The yardstick keeps its orders in a list and goes through all of it for every print and every order, as one writes it
first. Both get the same script and must come to the same executions.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from domain.matching import Execution, Matching, MatchingOrder
from domain.order import OrderType, Side
from infra.bench.run import Bench

RESTING = 1_000
PRINTS, PRINTS_QUICK = 200_000, 40_000
ORDERS, ORDERS_QUICK = 100_000, 20_000
NAIVE_SHARE = 40
"""The yardstick is slower, so it gets one in so many."""
ROUNDS = 3
_TICK, MIDDLE = 500, 13_100_000
_SHARE_BP = 2_500
_REACH = 40
"""Prints move so many ticks around the middle; what rests lies beyond, but for what comes to be filled."""


class Step(NamedTuple):
    """One line of a script: an order that arrives (and is canceled again, unless it fills), or a print."""

    order: MatchingOrder | None
    price_e4: int = 0
    volume: int = 0


class Book(Protocol):
    """What both do."""

    def on_print(self, *, price_e4: int, volume: int, time_ns: int) -> list[Execution]:
        """Return what a print executes."""
        ...

    def submit(self, order: MatchingOrder, *, time_ns: int) -> list[Execution]:
        """Return what an order executes when it arrives."""
        ...

    def cancel(self, order_id: str) -> int:
        """Return what was still to be done."""
        ...


async def run(bench: Bench) -> None:
    """Measure."""
    print_count = PRINTS_QUICK if bench.is_quick else PRINTS
    order_count = ORDERS_QUICK if bench.is_quick else ORDERS
    scripts = {
        "prints": (prints(print_count), "prints/s"),
        "orders": (_orders(order_count), "orders/s"),
        "fills": (fills(order_count // 2), "orders/s"),
    }
    task = bench.progress.add_task("matching", total=len(scripts) * 2)
    for name, (script, unit) in scripts.items():
        rate = _rate(ours, script, name)
        bench.progress.advance(task)
        naive = _rate(ListMatching, script[: len(script) // NAIVE_SHARE], name)
        bench.progress.advance(task)
        bench.report.add(name, rate, unit=unit, better="higher", yardstick=naive)
    sample = fills(200)
    same = play(ours(), sample) == play(ListMatching(), sample)
    bench.report.check("both come to the same executions", holds=same)
    bench.report.check("the script executes something", holds=len(play(ours(), sample)) >= len(sample) // 2)
    bench.report.note("book", f"{RESTING:,} orders rest on both sides together")
    bench.report.note("yardstick", "a plain list that is gone through for each print, arrival and cancel")
    bench.report.note("fills", "an order arrives, and the next print fills it")
    bench.report.note("time", f"the best of {ROUNDS} rounds of CPU time")


def _limit(order_id: str, side: Side, price_e4: int) -> MatchingOrder:
    return MatchingOrder(order_id=order_id, side=side, order_type=OrderType.LIMIT, quantity=10, limit_price_e4=price_e4)


def _resting() -> list[MatchingOrder]:
    far = [(side, step) for step in range(RESTING // 2) for side in Side]
    return [
        _limit(f"r{number}", side, MIDDLE - side.sign * (_REACH + 1 + step % 200) * _TICK)
        for number, (side, step) in enumerate(far)
    ]


def prints(count: int) -> list[Step]:
    """Return prints that meet no order."""
    chance = random.Random(1)  # noqa: S311 - a script, no secret
    return [Step(None, MIDDLE + chance.randint(-_REACH, _REACH) * _TICK, 100) for _ in range(count)]


def _orders(count: int) -> list[Step]:
    chance = random.Random(2)  # noqa: S311 - a script, no secret
    sides = tuple(Side)
    return [
        Step(_limit(f"o{number}", side := sides[number % 2], MIDDLE - side.sign * chance.randint(1, _REACH) * _TICK))
        for number in range(count)
    ]


def fills(count: int) -> list[Step]:
    """Return so many orders, each with the print that fills it behind it."""
    steps = []
    for step in _orders(count):
        order = step.order
        if order is not None and order.limit_price_e4 is not None:
            steps += [step, Step(None, order.limit_price_e4 - order.side.sign * _TICK, 100)]
    return steps


def play(book: Book, script: list[Step]) -> list[Execution]:
    """Return what *script* executes."""
    executions: list[Execution] = []
    for time_ns, step in enumerate(script):
        if step.order is None:
            executions += book.on_print(price_e4=step.price_e4, volume=step.volume, time_ns=time_ns)
        else:
            executions += book.submit(step.order, time_ns=time_ns)
    return executions


def _play_and_cancel(book: Book, script: list[Step]) -> None:
    for time_ns, step in enumerate(script):
        if step.order is not None:
            book.submit(step.order, time_ns=time_ns)
            book.cancel(step.order.order_id)


def _rate(make: Callable[[], Book], script: list[Step], name: str) -> float:
    """Return steps a second of CPU time, of *fills* orders alone: the best round, for the machine has other work."""
    best = 0.0
    for _ in range(ROUNDS):
        book = make()
        began = time.process_time()
        if name == "orders":
            _play_and_cancel(book, script)
        else:
            play(book, script)
        spent = time.process_time() - began
        best = max(best, (len(script) // 2 if name == "fills" else len(script)) / spent)
    return best


class _Ours:
    """The matching, as the script speaks to it."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def on_print(self, *, price_e4: int, volume: int, time_ns: int) -> list[Execution]:
        happened = self._matching.on_print(price_e4=price_e4, volume=volume, time_ns=time_ns)
        return [each for each in happened if isinstance(each, Execution)]

    def submit(self, order: MatchingOrder, *, time_ns: int) -> list[Execution]:
        return list(self._matching.submit(order, time_ns=time_ns).executions)

    def cancel(self, order_id: str) -> int:
        return self._matching.cancel(order_id)


def ours() -> Book:
    """Return the matching, with what rests."""
    matching = Matching(tick_e4=_TICK, lot=1, participation_bp=_SHARE_BP, protection_bp=100)
    for order in _resting():
        matching.submit(order, time_ns=0)
    return _Ours(matching)


@dataclass(slots=True)
class _Listed:
    """An order in the list."""

    order: MatchingOrder
    leaves: int


class ListMatching:
    """Limit orders in a list."""

    def __init__(self) -> None:
        self._orders = [_Listed(order, order.quantity) for order in _resting()]
        self._last_e4: int | None = None
        self._shares = dict.fromkeys(Side, 0)

    def on_print(self, *, price_e4: int, volume: int, time_ns: int) -> list[Execution]:
        """Return what a print executes."""
        self._last_e4 = price_e4
        self._shares = dict.fromkeys(Side, volume * _SHARE_BP // 10_000)
        return self._execute(time_ns)

    def submit(self, order: MatchingOrder, *, time_ns: int) -> list[Execution]:
        """Return what an order executes when it arrives."""
        self._orders.append(_Listed(order, order.quantity))
        return self._execute(time_ns)

    def cancel(self, order_id: str) -> int:
        """Return what was still to be done."""
        left = sum(each.leaves for each in self._orders if each.order.order_id == order_id)
        self._orders = [each for each in self._orders if each.order.order_id != order_id]
        return left

    def _execute(self, time_ns: int) -> list[Execution]:
        executions: list[Execution] = []
        for side in Side:
            reached = [each for each in self._orders if each.order.side is side and self._is_reached(each.order)]
            reached.sort(key=lambda each: each.order.limit_price_e4 or 0, reverse=side is Side.BUY)
            for each in reached:
                quantity = min(each.leaves, self._shares[side])
                if quantity and self._last_e4 is not None:
                    each.leaves -= quantity
                    self._shares[side] -= quantity
                    executions.append(Execution(each.order.order_id, quantity, self._last_e4, time_ns))
        if executions:
            self._orders = [each for each in self._orders if each.leaves]
        return executions

    def _is_reached(self, order: MatchingOrder) -> bool:
        limit = order.limit_price_e4 or 0
        return self._last_e4 is not None and order.side.sign * (limit - self._last_e4) >= 0
