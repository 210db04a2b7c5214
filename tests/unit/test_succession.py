"""What takes the place of an exit or stop that is presumed absent: for what the venue shows at most, one at a time."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand, CloseTrade
from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    OrderModifyRequested,
    ProtectionFailed,
    ProtectionMode,
)
from domain.account.exits import order_id_of
from domain.account.state import Account
from domain.account.succession import ABSENT_MAX, owed_successors
from domain.ids import OrderId, TradeId, VenueFillId
from domain.order import Product, Purpose
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    DAY_NS,
    EXIT,
    NOW_NS,
    OWNER,
    SECOND_EXIT,
    TRADE,
    accepted,
    account_opened,
    begin,
    begin_exit,
    close,
    exit_fill,
    exit_instruction,
    exit_succeeds,
    exiting,
    fill,
    found,
    held,
    market,
    open_trade,
    presume_absent,
    refused,
    stop_hit,
    succeed,
    unknown,
)

account = scenario(decider)
Scene = Given[AccountCommand, Account, AccountEvent]


def lost(given: Scene, order_id: OrderId) -> Scene:
    """Let an order be sent, and be found nowhere."""
    return given.after(*(replace(step, order_id=order_id) for step in (begin, unknown, presume_absent)))


absent = lost(account.given(*exiting), EXIT)
in_a_stop = replace(open_trade, protection=ProtectionMode.RESTING)
guarded = account.given(account_opened).after(in_a_stop, begin, accepted, fill)
RESTING_STOP = order_id_of(TRADE, 2)
unguarded = lost(guarded, RESTING_STOP)


def only(events: tuple[AccountEvent, ...], kind: type[AccountEvent]) -> AccountEvent:
    (event,) = events
    assert isinstance(event, kind)
    return event


# --- How much ---------------------------------------------------------------------------------------------------------


def test_an_exit_is_succeeded_by_one_that_names_it() -> None:
    absent.when(succeed).then(exit_succeeds)


@pytest.mark.parametrize(
    ("net_quantity", "quantity"),
    [(100, 100), (250, 100), (40, 40), (0, None), (-100, None)],
    ids=["all", "more than ours", "less than ours", "nothing", "the other way"],
)
def test_it_is_for_no_more_than_the_venue_shows(net_quantity: int, quantity: int | None) -> None:
    then = absent.when(replace(succeed, net_quantity=net_quantity))
    if quantity is None:
        then.then_nothing()
    else:
        then.then(replace(exit_succeeds, instruction=replace(exit_instruction, quantity=quantity)))


def test_what_other_trades_hold_in_the_position_is_not_its_own() -> None:
    other = TradeId("trd_02")
    beside = absent.after(
        replace(open_trade, trade_id=other),
        replace(begin, order_id=order_id_of(other, 1)),
        replace(fill, order_id=order_id_of(other, 1), venue_fill_id=VenueFillId("f-7")),
    )
    event = only(beside.when(replace(succeed, net_quantity=130)).events, OrderIntended)
    assert isinstance(event, OrderIntended)
    assert (event.trade_id, event.instruction.quantity) == (TRADE, 30)
    beside.when(succeed).then_nothing()


def test_what_was_carried_in_delivery_lies_in_the_holdings() -> None:
    in_cnc = account.given(account_opened).after(replace(open_trade, product=Product.CNC), begin, accepted, fill)
    bought_today = lost(in_cnc.after(stop_hit), EXIT)
    bought_today.when(replace(succeed, net_quantity=0)).then_nothing()
    next_day = replace(market, market_time_ns=NOW_NS + DAY_NS)
    another = replace(open_trade, trade_id=TradeId("trd_02"), market=next_day)
    carried = lost(in_cnc.after(another, stop_hit), EXIT)
    carried.when(replace(succeed, net_quantity=0)).then(
        replace(exit_succeeds, instruction=replace(exit_instruction, product=Product.CNC))
    )
    carried.when(replace(succeed, net_quantity=-100)).then_nothing()


def test_without_an_order_in_doubt_nothing_is_succeeded() -> None:
    account.given(*exiting).when(succeed).then_nothing()
    account.given(*exiting).when(replace(succeed, trade_id=TradeId("trd_9"))).then_nothing()
    sent = account.given(*exiting).after(begin_exit, replace(unknown, order_id=EXIT))
    sent.when(succeed).then_nothing()


def test_an_entry_is_never_succeeded() -> None:
    entry = account.given(account_opened).after(open_trade, begin, unknown, presume_absent)
    entry.when(succeed).then_nothing()
    assert not owed_successors(decider.fold(entry.history))


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_while_one_is_in_doubt_nobody_adds_another() -> None:
    for command in (stop_hit, close):
        absent.when(command).then_nothing()


def test_it_is_succeeded_once() -> None:
    again = absent.after(succeed)
    again.when(succeed).then_nothing()
    assert not owed_successors(decider.fold(again.history))


def test_a_successor_that_came_to_nothing_is_followed_by_another() -> None:
    refused_too = absent.after(succeed, replace(begin, order_id=SECOND_EXIT), replace(refused, order_id=SECOND_EXIT))
    for command in (stop_hit, close):
        refused_too.when(command).then_nothing()
    refused_too.when(succeed).then(replace(exit_succeeds, order_id=order_id_of(TRADE, 4)))


def test_a_successor_that_is_nowhere_either_is_succeeded_until_a_person_has_to_look() -> None:
    given = absent
    for number in range(2, ABSENT_MAX + 1):
        given = lost(given.after(succeed), order_id_of(TRADE, number + 1))
    failed = only(given.when(succeed).events, ProtectionFailed)
    assert isinstance(failed, ProtectionFailed)
    assert failed.reason == f"{ABSENT_MAX} exits or stops are presumed absent, and each may still come alive"
    given.after(succeed).when(succeed).then_nothing()
    assert len([event for event in given.history if isinstance(event, OrderIntended)]) == 1 + ABSENT_MAX


def test_a_trade_that_holds_nothing_is_owed_nothing() -> None:
    late = absent.after(replace(exit_fill, quantity=100))
    assert not owed_successors(decider.fold(late.history))
    assert owed_successors(decider.fold(absent.history)) == [decider.fold(absent.history).trades[TRADE]]


# --- What is needed now -----------------------------------------------------------------------------------------------


def test_a_stop_is_succeeded_by_a_stop() -> None:
    event = only(unguarded.when(succeed).events, OrderIntended)
    assert isinstance(event, OrderIntended)
    assert (event.purpose, event.successor_of) == (Purpose.STOP, RESTING_STOP)


def test_a_stop_of_a_trade_that_is_being_closed_is_succeeded_by_an_exit() -> None:
    reached = unguarded.after(stop_hit)
    assert decider.fold(reached.history).trades[TRADE].exit_cause is ExitCause.STOP_LOSS
    event = only(reached.when(succeed).events, OrderIntended)
    assert isinstance(event, OrderIntended)
    assert (event.purpose, event.successor_of) == (Purpose.EXIT, RESTING_STOP)


def test_an_exit_of_a_part_is_succeeded_by_one_of_that_part_once() -> None:
    closing_40 = account.given(*held).after(CloseTrade(trade_id=TRADE, user_id=OWNER, quantity=40))
    in_doubt = lost(closing_40, EXIT)
    in_doubt.when(succeed).then(replace(exit_succeeds, instruction=replace(exit_instruction, quantity=40)))
    in_doubt.after(succeed).when(succeed).then_nothing()
    in_doubt.after(succeed, replace(begin, order_id=SECOND_EXIT), replace(refused, order_id=SECOND_EXIT)).when(
        succeed
    ).then_nothing()


# --- When the first turns up ------------------------------------------------------------------------------------------


def test_the_first_that_turns_up_is_canceled() -> None:
    _, cancel = absent.after(succeed).when(replace(found, order_id=EXIT)).events
    assert cancel == OrderCancelRequested(order_id=EXIT, trade_id=TRADE)


def test_the_first_that_fills_takes_its_successor_back() -> None:
    sent = absent.after(succeed, replace(begin, order_id=SECOND_EXIT))
    filled, cancel = sent.when(exit_fill).events
    assert isinstance(filled, OrderFilled)
    assert cancel == OrderCancelRequested(order_id=SECOND_EXIT, trade_id=TRADE)


def test_a_stop_that_turns_up_beside_its_successor_is_canceled() -> None:
    second = order_id_of(TRADE, 3)
    both = unguarded.after(succeed, replace(begin, order_id=second), replace(accepted, order_id=second))
    events = both.when(replace(found, order_id=RESTING_STOP)).events
    assert OrderCancelRequested(order_id=RESTING_STOP, trade_id=TRADE) in events
    assert not [event for event in events if isinstance(event, OrderIntended | OrderModifyRequested)]
