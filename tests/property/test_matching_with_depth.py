"""Matching on tapes with depth, in markets with rules of their own, against a naive model of both.

`MATCHING_EXAMPLES=20000 pytest tests/property/test_matching_with_depth.py` looks further than the suite has time for.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.matching import (
    CannotModify,
    Depth,
    Execution,
    Happening,
    Level,
    Matching,
    MatchingOrder,
    MatchingRules,
    OfPrint,
    OfSession,
    ProportionalSlippage,
    Rejection,
    SquareRootSlippage,
    TickSlippage,
    Triggered,
)
from domain.order import OrderType, Side, TimeInForce
from tests.support.naive_matching import NaiveMatching

TICK, LOT, PROTECTION_BP = 500, 5, 50
LOWEST, HIGHEST = 1_985, 2_015
EXAMPLES = int(os.environ.get("MATCHING_EXAMPLES", "60"))
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Print:
    price_e4: int
    volume: int
    depth: Depth | None


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class Change:
    which: int
    order: MatchingOrder


steps = st.integers(LOWEST, HIGHEST)
prices = steps.map(lambda step: step * TICK)
quantities = st.integers(1, 20).map(lambda lots: lots * LOT)
caps = st.none() | st.none() | st.integers(1, 3).map(lambda lots: lots * LOT)
gaps = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12)), max_size=5)


def depth_around(middle: int, below: list[tuple[int, int]], above: list[tuple[int, int]]) -> Depth:
    """Return levels that lie so many ticks apart, with so many lots at each."""
    bids = [middle - step for step in accumulate(gap for gap, _ in below)]
    asks = [middle + step for step in accumulate(gap for gap, _ in above)]
    return Depth(
        bids=tuple(Level(price * TICK, lots * LOT) for price, (_, lots) in zip(bids, below, strict=True)),
        asks=tuple(Level(price * TICK, lots * LOT) for price, (_, lots) in zip(asks, above, strict=True)),
    )


def order_of(
    side: Side, limit: int | None, trigger: int | None, quantity: int, cap: int | None, *, ioc: bool
) -> MatchingOrder:
    return MatchingOrder(
        order_id="",
        side=side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT if trigger is None else OrderType.SL,
        quantity=quantity,
        limit_price_e4=limit,
        trigger_price_e4=None if limit is None else trigger,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.DAY,
        first_execution_max=cap,
    )


depths = st.builds(depth_around, steps, gaps, gaps)
prints = st.builds(Print, prices, st.integers(0, 60).map(lambda lots: lots * LOT), st.none() | depths)
orders = st.builds(
    order_of, st.sampled_from(Side), st.none() | prices, st.none() | prices, quantities, caps, ioc=st.booleans()
)
which = st.integers(0, 8)
shares = st.sampled_from((4_000, 10_000))
scripts = st.lists(
    prints | prints | orders | orders | st.builds(Cancel, which) | st.builds(Change, which, orders), max_size=40
)
rules = st.builds(
    MatchingRules,
    participation=st.sampled_from((OfPrint(), OfSession())),
    slippage=st.sampled_from((None, TickSlippage(2), ProportionalSlippage(7), SquareRootSlippage(30))),
    lower_circuit_e4=st.none() | st.just(1_990 * TICK),
    upper_circuit_e4=st.none() | st.just(2_010 * TICK),
    freeze_quantity=st.none() | st.just(18 * LOT),
)


Answer = Sequence[Happening] | Rejection


class Market(Protocol):
    """What a script is played to."""

    def on_print(self, price: int, volume: int, time_ns: int, depth: Depth | None) -> Answer: ...
    def submit(self, order: MatchingOrder, time_ns: int) -> Answer: ...
    def modify(self, order: MatchingOrder, time_ns: int) -> Answer: ...
    def cancel(self, order_id: str) -> object: ...
    def left(self) -> list[tuple[str, int]]: ...


@dataclass
class Ours:
    """The matching itself."""

    book: Matching

    def on_print(self, price: int, volume: int, time_ns: int, depth: Depth | None) -> Answer:
        return self.book.on_print(price_e4=price, volume=volume, time_ns=time_ns, depth=depth)

    def submit(self, order: MatchingOrder, time_ns: int) -> Answer:
        submission = self.book.submit(order, time_ns=time_ns)
        return submission.rejection or submission.executions

    def modify(self, order: MatchingOrder, time_ns: int) -> Answer:
        submission = self.book.modify(order, time_ns=time_ns)
        return submission.rejection or submission.executions

    def cancel(self, order_id: str) -> object:
        return self.book.cancel(order_id)

    def left(self) -> list[tuple[str, int]]:
        return [(gone.order_id, gone.leaves_quantity) for gone in self.book.expire()]


def ours(chosen: MatchingRules, share_bp: int) -> Ours:
    return Ours(Matching(tick_e4=TICK, lot=LOT, participation_bp=share_bp, protection_bp=PROTECTION_BP, rules=chosen))


def play(market: Market, script: list[object]) -> Iterator[tuple[object, Answer]]:
    """Yield each step of *script*, its order with its id, with what came of it."""
    submitted = 0
    for time_ns, step in enumerate(script):
        answer: Answer = ()
        done = step
        if isinstance(step, Print):
            answer = market.on_print(step.price_e4, step.volume, time_ns, step.depth)
        elif isinstance(step, MatchingOrder):
            done = replace(step, order_id=str(submitted))
            answer = market.submit(done, time_ns)
            submitted += 1
        elif isinstance(step, Change):
            done = replace(step.order, order_id=str(step.which))
            try:
                answer = market.modify(done, time_ns)
            except CannotModify:
                done = step
        elif isinstance(step, Cancel):
            market.cancel(str(step.which))
        yield done, answer if isinstance(answer, Rejection) else list(answer)


@bounded
@given(rules, shares, scripts)
def test_matching_agrees_with_its_naive_model_whatever_the_tape_shows(
    chosen: MatchingRules, share_bp: int, script: list[object]
) -> None:
    market, naive = ours(chosen, share_bp), NaiveMatching(TICK, LOT, share_bp, PROTECTION_BP, chosen)
    for step, (found, expected) in enumerate(zip(play(market, script), play(naive, script), strict=True)):
        assert found == expected, f"step {step}"
    assert market.left() == naive.left()


@dataclass
class Witness:
    """Sees what goes in and what comes out, and nothing of how."""

    chosen: MatchingRules
    share_bp: int
    standing: dict[str, MatchingOrder] = field(default_factory=dict)
    filled: Counter[str] = field(default_factory=Counter)
    print: Print | None = None
    shown: Depth | None = None
    taken: Counter[tuple[Side, int]] = field(default_factory=Counter)
    of_print: Counter[Side] = field(default_factory=Counter)
    of_session: Counter[Side] = field(default_factory=Counter)
    traded: int = 0

    def see(self, step: object, answer: Answer) -> None:
        if isinstance(step, MatchingOrder) and not isinstance(answer, Rejection):
            self.standing[step.order_id] = step
        if isinstance(step, Print) and not self.is_outside(step.price_e4):
            self.print, self.of_print = step, Counter()
            self.traded += step.volume
            if step.depth is not None:
                self.shown, self.taken = step.depth, Counter()
        meets_print = isinstance(step, Print) and step.depth is None
        for each in () if isinstance(answer, Rejection) else answer:
            if isinstance(each, Execution):
                self.see_execution(each, is_of_print=self.shown is None or meets_print)
            meets_print &= not isinstance(each, Triggered)

    def see_execution(self, execution: Execution, *, is_of_print: bool) -> None:
        order, price = self.standing[execution.order_id], execution.price_e4
        self.filled[order.order_id] += execution.quantity
        assert execution.quantity > 0
        assert self.filled[order.order_id] <= order.quantity, "never more than ordered"
        assert not self.is_outside(price), "never outside the circuits"
        assert order.limit_price_e4 is None or order.side.sign * (order.limit_price_e4 - price) >= 0, "within the limit"
        if is_of_print:
            self.see_share(order.side, execution)
            return
        assert self.shown is not None
        levels = self.shown.asks if order.side is Side.BUY else self.shown.bids
        self.taken[order.side, price] += execution.quantity
        quantity = sum(level.quantity for level in levels if level.price_e4 == price)
        assert self.taken[order.side, price] <= quantity, "never more than shown, at no price that is not shown"

    def see_share(self, side: Side, execution: Execution) -> None:
        assert self.print is not None
        self.of_print[side] += execution.quantity
        self.of_session[side] += execution.quantity
        if self.chosen.slippage is None:
            assert execution.price_e4 == self.print.price_e4, "at the printed price"
        else:
            assert side.sign * (execution.price_e4 - self.print.price_e4) >= 0, "slippage costs, it never helps"
        if isinstance(self.chosen.participation, OfPrint):
            assert self.of_print[side] <= max(self.print.volume * self.share_bp // 10_000, LOT), "the share of a print"
        else:
            assert self.of_print[side] <= self.print.volume, "no more than printed"
            assert self.of_session[side] <= self.traded * self.share_bp // 10_000, "the share of the session"

    def is_outside(self, price: int) -> bool:
        lower, upper = self.chosen.lower_circuit_e4, self.chosen.upper_circuit_e4
        return not (lower or price) <= price <= (upper or price)


@bounded
@given(rules, shares, scripts)
def test_no_execution_is_more_or_better_than_tape_limit_circuits_and_book_allow(
    chosen: MatchingRules, share_bp: int, script: list[object]
) -> None:
    witness = Witness(chosen, share_bp)
    apart = list(depth_apart(script))
    first = list(play(ours(chosen, share_bp), apart))
    for step, answer in first:
        witness.see(step, answer)
    assert list(play(ours(chosen, share_bp), apart)) == first, "the same calls give the same executions"


def depth_apart(script: list[object]) -> Iterator[object]:
    """Yield the steps of *script* with each depth behind its print, so that it is plain which of the two executed."""
    for step in script:
        if isinstance(step, Print) and step.depth is not None:
            yield Print(step.price_e4, step.volume, None)
            yield Print(step.price_e4, 0, step.depth)
        else:
            yield step


@bounded
@given(shares, scripts)
def test_no_order_executes_while_one_that_comes_before_it_could(share_bp: int, script: list[object]) -> None:
    """Price, then time: at one print, an order that gets a part proves that all before it are done with that print."""
    market = ours(MatchingRules(), share_bp)
    standing: dict[str, MatchingOrder] = {}
    for step, answer in play(market, [step for step in script if not isinstance(step, Change)]):
        if isinstance(step, MatchingOrder):
            standing[step.order_id] = step
        if not isinstance(step, Print) or step.depth is not None or isinstance(answer, Rejection):
            continue
        got = [each.order_id for each in answer if isinstance(each, Execution)]
        for side in Side:
            in_turn = [standing[each] for each in got if standing[each].side is side]
            limits = [side.sign * (order.limit_price_e4 or 0) for order in in_turn if is_plain(order)]
            assert limits == sorted(limits, reverse=True), "better prices first"
            for order in in_turn[:-1]:
                assert not is_plain(order) or market.book.leaves_quantity(order.order_id) == 0


def is_plain(order: MatchingOrder) -> bool:
    """Tell whether an order rests at the limit it came with."""
    return order.order_type is OrderType.LIMIT
