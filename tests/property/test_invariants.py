"""The watch over a decider: whatever a decider gets wrong that an invariant speaks of, it is not stored unremarked.

Lives of the oracle are lived with the true decider, whose decisions must never trip the watch (the judge demands it).
Beside each command a list of broken deciders decides as well; wherever one decides otherwise, the watch has to say so.
"""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random

import msgspec

from domain.account import decider
from domain.account.commands import AccountCommand, RecordFill, RecordForeignFill, RecordUnknown
from domain.account.events import (
    AccountEvent,
    ForeignFillAllocated,
    InvariantBreached,
    OrderFilled,
    OrderIntended,
    OrderSubmitting,
    TradeClosed,
    TradeOpened,
)
from domain.account.evolve import evolve
from domain.account.invariants import everything_broken, is_stopped, looked_at, watched
from domain.account.refusals import DecisionBreaksInvariant
from domain.account.state import Account
from domain.decider import Decider
from domain.ids import CorrelationId, OrderId
from domain.order import Purpose
from domain.refusals import Refusal
from domain.risk import Invariant
from infra.oracle.lives import STEPS, SeededChooser
from infra.oracle.world import World
from tests.support.lives import Life

replace = msgspec.structs.replace
Decide = Callable[[AccountCommand, Account], tuple[AccountEvent, ...]]
SEEDS = range(8)


def changed(kind: type[AccountEvent], change: Callable[[AccountEvent], AccountEvent | None]) -> Decide:
    """Return the decider that gets every event of a kind wrong: as *change* makes it, None: forgotten."""

    def decide(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
        events = decider.decide(command, state)
        made = (change(event) if isinstance(event, kind) else event for event in events)
        return tuple(event for event in made if event is not None)

    return decide


def of_closing(change: Callable[[OrderIntended], AccountEvent]) -> Callable[[AccountEvent], AccountEvent]:
    def change_exits(event: AccountEvent) -> AccountEvent:
        assert isinstance(event, OrderIntended)
        return change(event) if event.purpose is not Purpose.ENTRY else event

    return change_exits


def larger(event: OrderIntended) -> OrderIntended:
    """Return an order for more than any trade of a life holds."""
    return replace(event, instruction=replace(event.instruction, quantity=event.instruction.quantity + 1_000))


def flipped(event: OrderIntended) -> OrderIntended:
    return replace(event, instruction=replace(event.instruction, side=event.instruction.side.opposite))


def a_larger_entry(event: AccountEvent) -> AccountEvent:
    assert isinstance(event, OrderIntended)
    return larger(event) if event.purpose is Purpose.ENTRY else event


def more(name: str) -> Callable[[AccountEvent], AccountEvent]:
    """Return the change that lets one of an event's numbers be one more."""
    return lambda event: replace(event, **{name: getattr(event, name) + 1})


def forgetting_fills(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
    """Book a fill of an order once more, instead of the next one."""
    if not isinstance(command, RecordFill) or command.order_id not in state.orders:
        return decider.decide(command, state)
    order = state.orders[command.order_id]
    if not order.fills:
        return decider.decide(command, state)
    again = replace(command, venue_fill_id=min(order.fills))
    forgetful = replace(state, orders={**state.orders, command.order_id: replace(order, fills=frozenset())})
    return decider.decide(again, forgetful)


def booking_what_others_did_twice(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
    events = decider.decide(command, state)
    if not isinstance(command, RecordForeignFill) or not events:
        return events
    forgetful = replace(decider.fold(events, state), foreign_fills=frozenset())
    return (*events, *decider.decide(command, forgetful))


def trying_again(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
    """Send an order again when nobody knows what became of it."""
    events = decider.decide(command, state)
    if not isinstance(command, RecordUnknown) or not events:
        return events
    order = state.orders[command.order_id]
    again = OrderSubmitting(
        order_id=order.order_id, trade_id=order.trade_id, correlation_id=CorrelationId("again"), sender_epoch=1
    )
    return (*events, again)


def closing_too_early(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
    """Call a trade closed with the first fill of its entry."""
    events = decider.decide(command, state)
    fills = [event for event in events if isinstance(event, OrderFilled) and event.purpose is Purpose.ENTRY]
    if not fills:
        return events
    closed = TradeClosed(trade_id=fills[0].trade_id, cause=None, entry_quantity=0, realised_paise=0)
    return (*events, closed)


BROKEN: dict[str, tuple[Decide, Invariant]] = {
    "exits are too large": (changed(OrderIntended, of_closing(larger)), Invariant.EXITS_ABOVE_HOLDING),
    "exits go the wrong way": (changed(OrderIntended, of_closing(flipped)), Invariant.EXIT_WITHOUT_HOLDING),
    "exits are intended twice": (
        lambda command, state: tuple(
            each
            for event in decider.decide(command, state)
            for each in (
                (event, replace(event, order_id=OrderId(f"{event.order_id}.again")))
                if isinstance(event, OrderIntended) and event.purpose is not Purpose.ENTRY
                else (event,)
            )
        ),
        Invariant.EXITS_ABOVE_HOLDING,
    ),
    "entries are larger than what was checked": (changed(OrderIntended, a_larger_entry), Invariant.ORDER_WITHOUT_CHECK),
    "entries need no trade": (changed(TradeOpened, lambda _: None), Invariant.ORDER_WITHOUT_CHECK),
    "orders of which nothing is known are sent again": (trying_again, Invariant.SENT_TWICE),
    "fills are booked again": (forgetting_fills, Invariant.FILL_BOOKED_TWICE),
    "what others did is booked again": (booking_what_others_did_twice, Invariant.FILL_BOOKED_TWICE),
    "fills do not add up": (changed(OrderFilled, more("cumulative_quantity")), Invariant.FILL_BEYOND_ORDER),
    "a fill costs a paisa more": (changed(OrderFilled, more("opened_cost_paise")), Invariant.RESULT_SUMS),
    "a fill realises a paisa more": (changed(OrderFilled, more("realised_paise")), Invariant.RESULT_SUMS),
    "a fill closes a unit more": (changed(OrderFilled, more("closed_quantity")), Invariant.RESULT_SUMS),
    "what others did costs a paisa more": (
        changed(ForeignFillAllocated, more("closed_cost_paise")),
        Invariant.RESULT_SUMS,
    ),
    "trades that hold something are closed": (closing_too_early, Invariant.POSITION_SUMS),
}

ENOUGH = 25
"""So often each of them is caught at most, in all lives: it decides no otherwise in the next."""


class Overlooked(World):
    """A life in which broken deciders decide beside the true one."""

    def __init__(self, seed: int, caught: Counter[str]) -> None:
        self.caught = caught
        super().__init__(SeededChooser(seed))

    def do(self, command: AccountCommand) -> tuple[AccountEvent, ...]:
        """Let every broken decider decide, and demand that the watch sees where it differs; then go on."""
        for name, (decide, invariant) in BROKEN.items():
            if self.caught[name] < ENOUGH:
                self._try(name, decide, invariant, command)
        return super().do(command)

    def _try(self, name: str, decide: Decide, invariant: Invariant, command: AccountCommand) -> None:
        try:
            right = decider.decide(command, self.state)
        except Refusal:
            right = ()
        try:
            wrong = decide(command, self.state)
        except Refusal:
            return
        if wrong == right:
            return
        broken = Decider(initial=Account(), decide=lambda *_: wrong, evolve=evolve, watch=watched)
        events, state = broken.step(command, self.state, version=len(self.events))
        seen = {event.invariant for event in events if isinstance(event, InvariantBreached)}
        assert invariant in seen, f"{name}: {wrong} went through as {events}"
        assert state.broken
        assert decider.fold(events, self.state) == state
        self.caught[name] += 1
        if is_stopped(events):
            self._expect_no_second_record(broken, command, state)

    def _expect_no_second_record(self, broken: Decider, command: AccountCommand, state: Account) -> None:  # type: ignore[type-arg]
        try:
            again, _ = broken.step(command, state, version=len(self.events))
        except DecisionBreaksInvariant:
            return
        assert is_stopped(again), "a decision was stopped once and not the second time"


def test_a_broken_decider_is_caught_wherever_it_decides_otherwise() -> None:
    caught: Counter[str] = Counter()
    for seed in SEEDS:
        world = Overlooked(seed, caught)
        for _ in range(STEPS):
            world.step()
        world.settle()
    assert BROKEN.keys() <= {name for name, times in caught.items() if times}


def test_lives_whose_venue_fills_what_was_canceled_break_nothing() -> None:
    for seed in SEEDS:
        state = decider.initial
        for event in Life(Random(seed)).go_on(120).events:  # noqa: S311 - a life to be lived again, no secret
            found, state = looked_at(state, [event])
            assert [each for each in found if each.found.is_ours] == []
        assert list(everything_broken(state)) == []


def test_a_life_as_it_is_stored_breaks_nothing() -> None:
    for seed in SEEDS:
        world = World(SeededChooser(seed))
        for _ in range(STEPS):
            world.step()
        world.settle()
        places = [0, *sorted({seed % 7 + 5 * number for number in range(len(world.events) // 5)}), len(world.events)]
        state = decider.initial
        for first, last in pairwise(places):
            # Whatever is taken for one append: what holds of each decision holds of several together.
            found, state = looked_at(state, world.events[first:last])
            assert [each for each in found if each.found.is_ours] == []
        assert state == world.state
        assert list(everything_broken(world.state)) == []
