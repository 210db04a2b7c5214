"""The matching through any day: what a phase forbids never happens, and no unit is lost or made up.

`MATCHING_EXAMPLES=20000 pytest tests/property/test_phased_matching.py` looks further than the suite has time for.
"""

import os
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.matching import (
    CannotModify,
    Execution,
    Happening,
    Interest,
    Matching,
    MatchingOrder,
    MatchingRules,
    PhasedMatching,
    Rejection,
    Withdrawn,
)
from domain.order import OrderType, Side, TimeInForce
from domain.session import PHASE_RULES, Phase

EXAMPLES = int(os.environ.get("MATCHING_EXAMPLES", "40"))
TICK, LOT = 500, 5
LOWEST, HIGHEST = 1_970, 2_030
BASE = 2_000 * TICK
LOWER, UPPER = 1_980 * TICK, 2_020 * TICK
NEVER = frozenset({Phase.CLOSED, Phase.PRE_OPEN, Phase.CLOSING_AUCTION, Phase.CLOSING_AUCTION_END})


@dataclass(frozen=True)
class Print:
    price_e4: int
    volume: int


@dataclass(frozen=True)
class Others:
    interests: tuple[Interest, ...]


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class Change:
    which: int
    order: MatchingOrder


prices = st.integers(LOWEST, HIGHEST).map(lambda step: step * TICK)
quantities = st.integers(1, 20).map(lambda lots: lots * LOT)
orders = st.builds(
    lambda side, limit, trigger, quantity, time_in_force: MatchingOrder(
        order_id="",
        side=side,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT if trigger is None else OrderType.SL,
        quantity=quantity,
        limit_price_e4=limit,
        trigger_price_e4=None if limit is None else trigger,
        time_in_force=time_in_force,
    ),
    st.sampled_from(Side),
    st.none() | prices,
    st.none() | st.none() | prices,
    quantities,
    st.sampled_from(TimeInForce),
)
others = st.lists(st.builds(Interest, st.sampled_from(Side), st.none() | prices, quantities), max_size=4)
which = st.integers(0, 6)
step = (
    st.builds(Print, prices, st.integers(0, 40).map(lambda lots: lots * LOT))
    | orders
    | orders
    | st.builds(Cancel, which)
    | st.builds(Change, which, orders)
    | st.builds(Others, others.map(tuple))
)
DAY = (
    Phase.CLOSED,
    Phase.PRE_OPEN,
    Phase.PAUSED,
    Phase.CONTINUOUS,
    Phase.PAUSED,
    Phase.CLOSING_AUCTION,
    Phase.CLOSING_AUCTION_END,
    Phase.PAUSED,
    Phase.POST_CLOSE,
    Phase.CLOSED,
)
days = st.tuples(*(st.lists(step, max_size=6) for _ in DAY))
Seen = tuple[Phase, bool, object, list[Happening]]


def play(day: tuple[list[object], ...]) -> tuple[list[Seen], list[Happening], dict[str, MatchingOrder]]:
    """Return what came of each step and change of phase (True), what was there at the day's end, and the orders."""
    rules = MatchingRules(lower_circuit_e4=LOWER, upper_circuit_e4=UPPER)
    book = Matching(tick_e4=TICK, lot=LOT, participation_bp=5_000, protection_bp=100, rules=rules)
    market = PhasedMatching(book, phase=Phase.CLOSED, previous_close_e4=BASE)
    seen: list[Seen] = []
    taken: dict[str, MatchingOrder] = {}
    submitted = 0
    for number, (phase, steps) in enumerate(zip(DAY, day, strict=True)):
        seen.append((phase, True, None, market.move_to(phase, time_ns=number)))
        for each in steps:
            came: list[Happening] = []
            if isinstance(each, Print):
                came = market.on_print(price_e4=each.price_e4, volume=each.volume, time_ns=number)
            elif isinstance(each, Others):
                market.on_interest(each.interests)
            elif isinstance(each, Cancel):
                leaves = market.cancel(str(each.which))
                came = [Withdrawn(str(each.which), leaves)] if leaves else []
            elif isinstance(each, Change):
                came = change(market, replace(each.order, order_id=str(each.which)), taken, number)
            elif isinstance(each, MatchingOrder):
                order = replace(each, order_id=str(submitted))
                submitted += 1
                submission = market.submit(order, time_ns=number)
                if submission.rejection is None:
                    taken[order.order_id] = order
                    came = [*submission.executions, *canceled(order.order_id, submission.canceled_quantity)]
                else:
                    expect_a_reason(submission.rejection, order, phase)
            seen.append((phase, False, each, came))
    at_the_end: list[Happening] = [*market.expire()]
    for order_id in taken:  # What still waits for the next session.
        at_the_end += canceled(order_id, market.leaves_quantity(order_id))
    return seen, at_the_end, taken


def change(
    market: PhasedMatching, order: MatchingOrder, taken: dict[str, MatchingOrder], time_ns: int
) -> list[Happening]:
    try:
        submission = market.modify(order, time_ns=time_ns)
    except CannotModify:
        return []
    if submission.rejection is not None:
        return []
    taken[order.order_id] = order
    return [*submission.executions, *canceled(order.order_id, submission.canceled_quantity)]


def canceled(order_id: str, quantity: int) -> list[Happening]:
    return [Withdrawn(order_id, quantity)] if quantity else []


def expect_a_reason(rejection: Rejection, order: MatchingOrder, phase: Phase) -> None:
    rule = PHASE_RULES[phase]
    is_of_the_phase = order.order_type in rule.order_types and order.time_in_force in rule.times_in_force
    if is_of_the_phase and phase is not Phase.POST_CLOSE:
        assert rejection is Rejection.PRICE_OUTSIDE_CIRCUITS


@settings(max_examples=EXAMPLES, deadline=None)
@given(days)
def test_a_day_executes_only_where_its_phases_allow_and_loses_no_unit(day: tuple[list[object], ...]) -> None:
    seen, at_the_end, taken = play(day)
    done: Counter[str] = Counter()
    for phase, is_change, each, came in seen:
        executions = [one for one in came if isinstance(one, Execution)]
        if phase in NEVER and not is_change:
            assert executions == [], "nobody trades while orders are collected, or at night"
        if phase is Phase.PAUSED:
            assert len({one.price_e4 for one in executions}) <= 1, "an auction has one price"
        if phase is Phase.PAUSED and isinstance(each, Print):
            for side in Side:
                got = sum(one.quantity for one in executions if taken[one.order_id].side is side)
                assert got <= max(each.volume // 2, LOT), "no more than the share of what the auction printed"
        assert all(LOWER <= one.price_e4 <= UPPER for one in executions)
        count(came, done)
    count(at_the_end, done)
    assert done == {order_id: order.quantity for order_id, order in taken.items()}, "each unit has one end"
    assert play(day) == (seen, at_the_end, taken), "the same calls give the same day"


def count(came: list[Happening], done: Counter[str]) -> None:
    """Add up what was executed and what was given back."""
    for one in came:
        if isinstance(one, Execution):
            done[one.order_id] += one.quantity
        elif isinstance(one, Withdrawn):
            done[one.order_id] += one.leaves_quantity


@settings(max_examples=25, deadline=None)
@given(st.lists(orders, max_size=8), others, prices)
def test_an_auctions_executions_lie_within_every_limit(
    ours: list[MatchingOrder], theirs: list[Interest], previous_close: int
) -> None:
    book = Matching(tick_e4=TICK, lot=LOT, participation_bp=5_000, protection_bp=100)
    market = PhasedMatching(book, phase=Phase.PRE_OPEN, previous_close_e4=previous_close)
    taken = {}
    for number, order in enumerate(ours):
        named = replace(order, order_id=str(number))
        if market.submit(named, time_ns=1).rejection is None:
            taken[named.order_id] = named
    market.on_interest(theirs)
    for one in market.move_to(Phase.PAUSED, time_ns=2):
        assert isinstance(one, Execution)
        order = taken[one.order_id]
        assert order.limit_price_e4 is None or order.side.sign * (order.limit_price_e4 - one.price_e4) >= 0
