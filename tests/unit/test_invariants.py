"""What always holds: breaches beside what happened, decisions that are stopped, and what only looks like a breach."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from domain.account import Account, decider, invariants, snapshot
from domain.account.commands import AccountCommand, InspectAccount, ReleaseInvariant
from domain.account.events import (
    AccountEvent,
    InvariantBreached,
    InvariantReleased,
    OrderBlocked,
    OrderFilled,
    OrderIntended,
    OrderModifyRequested,
    OrderSubmitting,
    TradeOpened,
)
from domain.account.evolve import evolve
from domain.account.invariants import ACCOUNT, CANNOT_FILL, UNRELEASED_MAX, is_stopped, looked_at, watched
from domain.account.refusals import (
    AccountNotFound,
    DecisionBreaksInvariant,
    InvariantNotBroken,
)
from domain.account.state import Exposure
from domain.decider import Decider
from domain.ids import VenueFillId
from domain.order import LIVE, ModifyCause, OrderStatus, Purpose, Side
from domain.risk import DenialCode, Invariant
from tests.support.scenario import scenario
from tests.support.specimens import (
    DAY_NS,
    ENTRY,
    EXIT,
    NOW_NS,
    OTHER_TRADE,
    OWNER,
    SECOND_EXIT,
    STRANGER,
    TRADE,
    VENUE_EXIT,
    account_opened,
    adopted,
    begin,
    begin_exit,
    exit_intended,
    exit_triggered,
    exiting,
    fill,
    foreign_fill_allocated,
    guarded,
    held,
    intended,
    invariant_breached,
    invariant_released,
    kill_switch_engaged,
    market_at,
    open_trade,
    order_acknowledged,
    order_filled,
    order_intended,
    order_not_sent,
    order_outcome_unknown,
    order_presumed_absent,
    order_submitting,
    resting,
    risk_breached,
    stop_instruction,
    submitting,
    trade_closed,
    trade_opened,
)

given = scenario(decider).given
release = ReleaseInvariant(user_id=OWNER, invariant=invariant_breached.invariant, reason="looked at it")
exit_submitting = replace(order_submitting, order_id=EXIT)
exit_unknown = replace(order_outcome_unknown, order_id=EXIT)
exit_absent = replace(order_presumed_absent, order_id=EXIT)
second_exit = replace(exit_intended, order_id=SECOND_EXIT)
exit_turns_up = replace(order_acknowledged, order_id=EXIT, venue_order_id=VENUE_EXIT)
given_up = (*exiting, exit_submitting, exit_unknown, exit_absent)
"""A trade whose exit is presumed absent."""


def step(
    history: tuple[AccountEvent, ...], *decided: AccountEvent, command: AccountCommand = fill
) -> tuple[AccountEvent, ...]:
    """Return what is stored where a decider decides on *decided* after *history*."""
    broken: Decider[AccountCommand, Account, AccountEvent] = Decider(
        initial=Account(), decide=lambda *_: decided, evolve=evolve, watch=watched
    )
    before = broken.fold(history)
    events, state = broken.step(command, before, version=len(history))
    assert broken.fold(events, before) == state
    return events


def the_breach(events: tuple[AccountEvent, ...]) -> InvariantBreached:
    [breach] = [event for event in events if isinstance(event, InvariantBreached)]
    return breach


# --- Decisions that are stopped ---------------------------------------------------------------------------------------

sold_more = replace(exit_intended, instruction=replace(exit_intended.instruction, quantity=101))
bought = replace(exit_intended, instruction=replace(exit_intended.instruction, side=Side.BUY))
grown = OrderModifyRequested(
    order_id=guarded[-1].order_id,  # type: ignore[union-attr]
    trade_id=TRADE,
    number=1,
    instruction=replace(stop_instruction, quantity=stop_instruction.quantity + 1),
    cause=ModifyCause.SIZE,
)
STOPPED: list[tuple[str, tuple[AccountEvent, ...], AccountEvent, Invariant, str]] = [
    ("an exit of more than is held", (*held, exit_triggered), sold_more, Invariant.EXITS_ABOVE_HOLDING, TRADE),
    ("a second exit", exiting, second_exit, Invariant.EXITS_ABOVE_HOLDING, TRADE),
    ("a stop that grows beyond what is held", guarded, grown, Invariant.EXITS_ABOVE_HOLDING, TRADE),
    ("an exit the same way", (*held, exit_triggered), bought, Invariant.EXIT_WITHOUT_HOLDING, EXIT),
    ("an exit of nothing", resting, exit_intended, Invariant.EXIT_WITHOUT_HOLDING, EXIT),
    ("an exit of no trade", (account_opened,), exit_intended, Invariant.EXIT_WITHOUT_HOLDING, EXIT),
    ("an entry of no trade", (account_opened,), order_intended, Invariant.ORDER_WITHOUT_CHECK, TRADE),
    (
        "a second entry",
        intended,
        replace(order_intended, order_id=EXIT),
        Invariant.ORDER_WITHOUT_CHECK,
        EXIT,
    ),
    (
        "an entry of what came from outside",
        (account_opened, *adopted),
        replace(order_intended, trade_id=foreign_fill_allocated.trade_id),
        Invariant.ORDER_WITHOUT_CHECK,
        foreign_fill_allocated.trade_id,
    ),
    (
        "an entry under a kill switch",
        (account_opened, trade_opened, kill_switch_engaged),
        order_intended,
        Invariant.ORDER_WITHOUT_CHECK,
        ENTRY,
    ),
    (
        "a trade under a kill switch",
        (account_opened, kill_switch_engaged),
        trade_opened,
        Invariant.ORDER_WITHOUT_CHECK,
        TRADE,
    ),
    (
        "a trade on the day of a latched loss",
        (account_opened, risk_breached),
        trade_opened,
        Invariant.ORDER_WITHOUT_CHECK,
        TRADE,
    ),
    (
        "a trade above the largest order",
        (account_opened,),
        replace(trade_opened, entry=replace(trade_opened.entry, quantity=5_001)),
        Invariant.ORDER_WITHOUT_CHECK,
        TRADE,
    ),
    (
        "an entry sent under a kill switch",
        (*intended, kill_switch_engaged),
        order_submitting,
        Invariant.ORDER_WITHOUT_CHECK,
        ENTRY,
    ),
    ("sent twice", submitting, order_submitting, Invariant.SENT_TWICE, ENTRY),
    ("sent again when unknown", (*submitting, order_outcome_unknown), order_submitting, Invariant.SENT_TWICE, ENTRY),
    ("sent again when it rests", resting, order_submitting, Invariant.SENT_TWICE, ENTRY),
    ("sent again when absent", given_up, exit_submitting, Invariant.SENT_TWICE, EXIT),
    ("a name used again", intended, order_intended, Invariant.SENT_TWICE, ENTRY),
    ("no order sent", (account_opened,), order_submitting, Invariant.SENT_TWICE, ENTRY),
    ("a closed trade that holds something", held, trade_closed, Invariant.POSITION_SUMS, TRADE),
]


@pytest.mark.parametrize(
    ("history", "decided", "invariant", "subject"), [row[1:] for row in STOPPED], ids=[row[0] for row in STOPPED]
)
def test_a_decision_that_breaks_something_is_not_stored(
    history: tuple[AccountEvent, ...], decided: AccountEvent, invariant: Invariant, subject: str
) -> None:
    events = step(history, decided)
    breach = the_breach(events)
    assert events == (breach,)
    assert is_stopped(events) == breach
    assert (breach.invariant, breach.subject, breach.version) == (invariant, subject, len(history))
    assert breach.expected
    assert breach.seen
    with pytest.raises(DecisionBreaksInvariant, match=invariant.value):
        step((*history, breach), decided)


def test_a_false_proof_that_nothing_was_sent_is_not_believed() -> None:
    """The venue has taken the order: with the proof stored it would be sent again."""
    events = step(resting, order_not_sent)
    breach = the_breach(events)
    assert events == (breach,)
    assert (breach.invariant, breach.subject) == (Invariant.SENT_TWICE, ENTRY)


def test_an_order_of_which_nothing_was_sent_is_sent_again() -> None:
    assert step((*submitting, order_not_sent), order_submitting) == (order_submitting,)


# --- What happened is kept --------------------------------------------------------------------------------------------

OverfillOf = Callable[[OrderFilled], OrderFilled]
WRONG_FILLS: list[tuple[str, OverfillOf, Invariant, str]] = [
    (
        "more than the order",
        lambda f: replace(f, last_quantity=101, cumulative_quantity=101, value_paise=f.value_paise + 2_850_00),
        Invariant.FILL_BEYOND_ORDER,
        ENTRY,
    ),
    ("a sum that is none", lambda f: replace(f, cumulative_quantity=99), Invariant.FILL_BEYOND_ORDER, ENTRY),
    ("another worth", lambda f: replace(f, value_paise=f.value_paise + 1), Invariant.RESULT_SUMS, TRADE),
    ("a cost too much", lambda f: replace(f, opened_cost_paise=f.opened_cost_paise + 1), Invariant.RESULT_SUMS, TRADE),
    ("a unit closed", lambda f: replace(f, closed_quantity=1), Invariant.RESULT_SUMS, TRADE),
]


@pytest.mark.parametrize(
    ("wrong", "invariant", "subject"), [row[1:] for row in WRONG_FILLS], ids=[row[0] for row in WRONG_FILLS]
)
def test_a_fill_is_kept_whatever_it_breaks(wrong: OverfillOf, invariant: Invariant, subject: str) -> None:
    filled = wrong(order_filled)
    events = step(resting, filled)
    breach = the_breach(events)
    assert events == (filled, breach)
    assert is_stopped(events) is None
    assert (breach.invariant, breach.subject, breach.is_prevented) == (invariant, subject, False)
    assert breach.version == len(resting) + 1, "the place of the fill"


def test_a_fill_is_booked_once_and_only_where_there_is_an_order() -> None:
    for history, filled, invariant in (
        (held, order_filled, Invariant.FILL_BOOKED_TWICE),
        ((account_opened,), order_filled, Invariant.FILL_WITHOUT_ORDER),
        (resting, replace(order_filled, side=Side.SELL), Invariant.FILL_WITHOUT_ORDER),
        (resting, replace(order_filled, trade_id=OTHER_TRADE), Invariant.FILL_WITHOUT_ORDER),
        (resting, replace(order_filled, purpose=Purpose.EXIT), Invariant.FILL_WITHOUT_ORDER),
        ((account_opened, *adopted), foreign_fill_allocated, Invariant.FILL_BOOKED_TWICE),
        ((account_opened,), foreign_fill_allocated, Invariant.FILL_WITHOUT_ORDER),
    ):
        [breach] = step(history, filled)
        assert isinstance(breach, InvariantBreached)
        assert (breach.invariant, breach.is_prevented) == (invariant, True)


def test_of_a_decision_about_a_fill_only_what_breaks_something_is_left_out() -> None:
    events = step(resting, order_filled, exit_triggered, sold_more)
    breach = the_breach(events)
    assert events == (order_filled, exit_triggered, breach)
    assert (breach.invariant, breach.is_prevented, breach.version) == (
        Invariant.EXITS_ABOVE_HOLDING,
        True,
        len(resting) + 2,
    )
    assert is_stopped(events) is None, "the fill was kept"


def test_what_names_an_order_that_was_left_out_is_left_out_with_it() -> None:
    blocked = OrderBlocked(order_id=EXIT, trade_id=TRADE)
    events = step(resting, order_filled, sold_more, blocked)
    assert events == (order_filled, the_breach(events))


def test_sums_that_went_astray_are_found_with_the_next_fill_and_by_a_look_at_everything() -> None:
    right = decider.fold(resting)
    [(name, exposure)] = decider.fold(held).totals.exposures.items()
    wrong = replace(right, totals=replace(right.totals, exposures={name: replace(exposure, long_quantity=7)}))
    events, after = decider.step(fill, wrong, version=9)
    breach = the_breach(events)
    assert isinstance(events[0], OrderFilled)
    assert (breach.invariant, breach.subject, breach.version) == (Invariant.POSITION_SUMS, name, 9 + len(events) - 1)
    looked, _ = decider.step(InspectAccount(), replace(after, broken=()), version=30)
    assert the_breach(looked) == replace(breach, version=30)
    nobodys = replace(right, totals=replace(right.totals, exposures={"NSE_EQ:1:CNC": Exposure(long_quantity=1)}))
    looked, _ = decider.step(InspectAccount(), nobodys, version=4)
    assert {event.subject for event in looked if isinstance(event, InvariantBreached)} >= {"NSE_EQ:1:CNC"}


def test_a_look_at_an_account_as_it_should_be_says_nothing() -> None:
    for history in (held, guarded, exiting, given_up, (account_opened, *adopted)):
        assert decider.step(InspectAccount(), decider.fold(history), version=9)[0] == ()


def test_what_the_account_realised_and_holds_is_held_against_the_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_paisa_more(state: Account, event: AccountEvent) -> Account:
        after = evolve(state, event)
        if not isinstance(event, OrderFilled):
            return after
        trade = after.trades[event.trade_id]
        holding = replace(trade.holding, cost_paise=trade.holding.cost_paise + 1)
        trades = {**after.trades, event.trade_id: replace(trade, holding=holding)}
        return replace(after, trades=trades, realised_paise=after.realised_paise + 1)

    monkeypatch.setattr(invariants, "evolve", with_a_paisa_more)
    found, _ = invariants.looked_at(decider.fold(resting), [order_filled])
    assert [(each.events, each.found.invariant, each.found.subject) for each in found[:2]] == [
        (1, Invariant.RESULT_SUMS, ACCOUNT),
        (1, Invariant.RESULT_SUMS, TRADE),
    ]
    assert found[2].found.invariant is Invariant.POSITION_SUMS


# --- What looks like a breach and is none -----------------------------------------------------------------------------


def test_an_exit_that_turns_up_beside_its_successor_is_taken_back_and_breaks_nothing() -> None:
    history = (*given_up, second_exit, replace(exit_submitting, order_id=SECOND_EXIT))
    events, _ = decider.step(
        replace(fill, order_id=EXIT, venue_fill_id=VenueFillId("f-9"), quantity=40, price_e4=2_800_0000),
        decider.fold(history),
        version=len(history),
    )
    assert not [event for event in events if isinstance(event, InvariantBreached)]


def test_an_exit_that_turns_up_and_is_left_to_rest_breaks_something() -> None:
    history = (*given_up, second_exit)
    events = step(history, exit_turns_up)
    breach = the_breach(events)
    assert events == (exit_turns_up, breach)
    assert (breach.invariant, breach.subject, breach.is_prevented) == (Invariant.EXITS_ABOVE_HOLDING, TRADE, False)
    assert set(breach.order_ids) == {EXIT, SECOND_EXIT}


def test_a_late_fill_of_a_canceled_exit_overshoots_and_breaks_nothing() -> None:
    late = replace(fill, order_id=EXIT, venue_fill_id=VenueFillId("f-8"), price_e4=2_800_0000)
    sold = (
        given(*given_up, second_exit)
        .after(replace(begin_exit, order_id=SECOND_EXIT))
        .after(replace(fill, order_id=SECOND_EXIT, venue_fill_id=VenueFillId("f-7"), price_e4=2_800_0000))
    )
    events, state = decider.step(late, decider.fold(sold.history), version=len(sold.history))
    assert state.trades[TRADE].holding.net_quantity == -100, "sold twice: what no client can prevent"
    assert not [event for event in events if isinstance(event, InvariantBreached)]


# --- Entries are held until somebody has looked -----------------------------------------------------------------------


def test_entries_are_denied_and_not_sent_while_something_is_broken() -> None:
    [denied] = given(account_opened, invariant_breached).when(open_trade).events
    assert denied.code is DenialCode.INVARIANT_BREACHED  # type: ignore[union-attr]
    assert "version 12" in denied.value  # type: ignore[union-attr]
    given(*intended, invariant_breached).when(begin).then_kinds(OrderBlocked, type(trade_closed))
    given(*exiting, invariant_breached).when(begin_exit).then_kinds(OrderSubmitting)


def test_a_trade_opened_or_sent_all_the_same_is_stopped() -> None:
    for history, decided in (
        ((account_opened, invariant_breached), trade_opened),
        ((*intended, invariant_breached), order_submitting),
    ):
        assert the_breach(step(history, decided)).invariant is Invariant.ORDER_WITHOUT_CHECK


def test_it_holds_over_the_night_and_in_a_snapshot() -> None:
    tomorrow = replace(open_trade, market=market_at(2_850_0000, at_ns=NOW_NS + DAY_NS))
    [denied] = given(account_opened, invariant_breached).when(tomorrow).events
    assert denied.code is DenialCode.INVARIANT_BREACHED  # type: ignore[union-attr]
    state = decider.fold((account_opened, invariant_breached))
    assert snapshot.decode(snapshot.encode(state)) == state


def test_an_owner_releases_it_by_name_and_with_a_reason() -> None:
    broken = given(account_opened, invariant_breached)
    broken.when(release).then(
        InvariantReleased(invariant=release.invariant, user_id=OWNER, reason="looked at it"),
    )
    broken.when(replace(release, invariant=Invariant.SENT_TWICE)).then_refused(InvariantNotBroken)
    broken.when(replace(release, user_id=STRANGER)).then_refused(AccountNotFound)
    given(account_opened, invariant_breached, invariant_released).when(release).then_refused(InvariantNotBroken)
    given(account_opened, invariant_breached, invariant_released).when(open_trade).then_kinds(
        TradeOpened, OrderIntended
    )


def test_the_same_breach_is_recorded_once_and_there_is_an_end_to_them() -> None:
    breach = the_breach(step(resting, replace(order_filled, value_paise=1)))
    again = replace(order_filled, venue_trade_number="77", value_paise=1, cumulative_quantity=200)
    events = step((*resting, order_filled, breach), again)
    assert [event.invariant for event in events if isinstance(event, InvariantBreached)] == [
        Invariant.FILL_BEYOND_ORDER
    ], "the trade's sums are recorded already, the order's are not"
    many = tuple(replace(invariant_breached, subject=str(number)) for number in range(UNRELEASED_MAX))
    assert step((*resting, *many), replace(order_filled, value_paise=1)) == (replace(order_filled, value_paise=1),)


def test_the_watch_and_the_life_of_an_order_agree_on_what_may_fill() -> None:
    assert set(OrderStatus) - CANNOT_FILL == LIVE, "say in invariants.py of a new status whether it may fill"


def test_what_is_stored_already_is_told_with_its_place() -> None:
    found, state = looked_at(decider.fold(submitting), [order_acknowledged, order_submitting, order_not_sent])
    assert [(each.events, each.found.invariant) for each in found] == [(2, Invariant.SENT_TWICE)]
    assert state.orders[ENTRY].status is OrderStatus.INTENDED
