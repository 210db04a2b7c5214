"""Closing a trade: by stop, by target, by hand; never more than is held, and never given up too early."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand, TriggerExit
from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderCanceled,
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    TradeClosed,
    TradeExitTriggered,
)
from domain.account.exits import EXITS_MAX
from domain.account.refusals import AccountNotFound, PositionNotOpen
from domain.ids import OrderId, VenueFillId
from domain.order import Product, Side, correlation_id_of
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    CODE,
    EXIT,
    INFY,
    OTHER_TRADE,
    SECOND_EXIT,
    STRANGER,
    TRADE,
    VENUE_EXIT,
    accepted,
    account_opened,
    begin,
    begin_exit,
    canceled_by_venue,
    close,
    exit_accepted,
    exit_fill,
    exit_filled,
    exit_instruction,
    exit_intended,
    exit_triggered,
    exiting,
    fill,
    found,
    held,
    intended,
    mark_at,
    never_held,
    not_sent,
    open_short,
    open_trade,
    order_blocked,
    order_cancel_requested,
    order_canceled,
    order_filled,
    order_not_sent,
    presume_absent,
    refused,
    rejected_by_venue,
    resting,
    stop_hit,
    submitting,
    succeed,
    target_hit,
    trade_closed,
    unknown,
)

account = scenario(decider)
part = replace(fill, quantity=40)
partly_held = account.given(account_opened).after(open_trade, begin, accepted, part)
by_hand = replace(exit_triggered, cause=ExitCause.MANUAL, mark=None)
short_held = account.given(account_opened).after(open_short, begin, accepted, fill)
exit_sent = account.given(*exiting).after(begin_exit, exit_accepted)
exit_canceled = replace(canceled_by_venue, order_id=EXIT, venue_order_id=VENUE_EXIT)
exit_found = replace(found, order_id=EXIT, venue_order_id=VENUE_EXIT)


def events_of(history: Sequence[AccountEvent], kind: type[AccountEvent]) -> list[AccountEvent]:
    return [event for event in history if isinstance(event, kind)]


# --- What triggers an exit --------------------------------------------------------------------------------------------


def test_the_stop_loss_closes_a_long_trade() -> None:
    account.given(*held).when(stop_hit).then(exit_triggered, exit_intended)


def test_the_target_closes_a_long_trade() -> None:
    triggered = replace(exit_triggered, cause=ExitCause.TARGET, mark=target_hit.mark)
    account.given(*held).when(target_hit).then(triggered, exit_intended)


@pytest.mark.parametrize(
    ("price_e4", "cause"), [(2_900_0000, ExitCause.STOP_LOSS), (2_800_0000, ExitCause.TARGET)], ids=["stop", "target"]
)
def test_stop_loss_and_target_close_a_short_trade_by_buying(price_e4: int, cause: ExitCause) -> None:
    mark = mark_at(price_e4)
    bought = replace(exit_intended, instruction=replace(exit_instruction, side=Side.BUY))
    short_held.when(TriggerExit(trade_id=TRADE, mark=mark)).then(
        replace(exit_triggered, cause=cause, mark=mark), bought
    )


@pytest.mark.parametrize(
    ("given", "price_e4", "closes"),
    [
        (account.given(*held), 2_800_1000, False),
        (account.given(*held), 2_799_0000, True),
        (account.given(*held), 2_899_9000, False),
        (account.given(*held), 2_900_1000, True),
        (short_held, 2_899_9000, False),
        (short_held, 2_900_1000, True),
        (short_held, 2_800_1000, False),
        (short_held, 2_799_9000, True),
    ],
)  # fmt: skip
def test_a_level_is_reached_at_it_and_beyond_it(
    given: Given[AccountCommand, object, AccountEvent],
    price_e4: int,
    closes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    events = given.when(TriggerExit(trade_id=TRADE, mark=mark_at(price_e4))).events
    assert bool(events) is closes


def test_a_stop_loss_fires_only_for_what_is_held() -> None:
    for history in (intended, submitting, resting):
        account.given(*history).when(stop_hit).then_nothing()


def test_a_trade_without_levels_is_closed_by_no_tick() -> None:
    bare = replace(open_trade, stop_loss_e4=None, target_e4=None)
    given = account.given(account_opened).after(bare, begin, fill)
    for price_e4 in (1_000, 2_850_0000, 9_999_0000):
        given.when(TriggerExit(trade_id=TRADE, mark=mark_at(price_e4))).then_nothing()


def test_a_tick_about_a_trade_that_is_over_or_was_never_there_means_nothing() -> None:
    account.given(*exiting, exit_filled, trade_closed).when(stop_hit).then_nothing()
    account.given(account_opened).when(stop_hit).then_nothing()


def test_an_exit_is_triggered_once() -> None:
    for history in (exiting, exit_sent.history, exit_sent.after(replace(exit_fill, quantity=40)).history):
        account.given(*history).when(stop_hit).then_nothing()
        account.given(*history).when(target_hit).then_nothing()
        account.given(*history).when(close).then_nothing()


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_a_position_is_closed_by_hand() -> None:
    account.given(*held).when(close).then(by_hand, exit_intended)


def test_closing_a_position_closes_every_trade_in_it() -> None:
    other_entry, other_exit = OrderId(f"{OTHER_TRADE}.1"), OrderId(f"{OTHER_TRADE}.2")
    two = account.given(*held).after(
        replace(open_trade, trade_id=OTHER_TRADE, quantity=30),
        replace(begin, order_id=other_entry),
        replace(fill, order_id=other_entry, quantity=30),
    )
    two.when(close).then(
        by_hand,
        exit_intended,
        replace(by_hand, trade_id=OTHER_TRADE),
        replace(
            exit_intended,
            trade_id=OTHER_TRADE,
            order_id=other_exit,
            instruction=replace(exit_instruction, quantity=30),
        ),
    )


def test_closing_takes_back_an_entry_that_waits() -> None:
    account.given(*intended).when(close).then(by_hand, order_blocked, replace(never_held, cause=ExitCause.MANUAL))


def test_closing_asks_to_cancel_an_entry_that_the_venue_may_have() -> None:
    absent = account.given(*submitting).after(unknown, presume_absent)
    for history in (submitting, resting, account.given(*submitting).after(unknown).history, absent.history):
        account.given(*history).when(close).then(by_hand, order_cancel_requested)


def test_closing_a_trade_filled_in_part_does_both() -> None:
    exits_40 = replace(exit_intended, instruction=replace(exit_instruction, quantity=40))
    partly_held.when(close).then(by_hand, order_cancel_requested, exits_40)


@pytest.mark.parametrize(
    "elsewhere",
    [replace(close, instrument=INFY), replace(close, product=Product.CNC)],
    ids=["another instrument", "another product"],
)
def test_nothing_is_closed_where_nothing_is_held(elsewhere: AccountCommand) -> None:
    account.given(*held).when(elsewhere).then_refused(PositionNotOpen)


def test_a_position_that_was_closed_cannot_be_closed_again() -> None:
    account.given(*exiting, exit_filled, trade_closed).when(close).then_refused(PositionNotOpen)
    account.given(account_opened).when(close).then_refused(PositionNotOpen)


def test_a_stranger_closes_nothing() -> None:
    account.given(*held).when(replace(close, user_id=STRANGER)).then_refused(AccountNotFound)


# --- What fills while a trade is being closed -------------------------------------------------------------------------


def test_an_entry_that_fills_while_its_trade_is_being_closed_is_closed_too() -> None:
    closing = partly_held.after(close)
    late = replace(fill, venue_fill_id=VenueFillId("f-late"), quantity=60)
    filled, further = closing.when(late).events
    assert isinstance(filled, OrderFilled)
    assert further == replace(exit_intended, order_id=SECOND_EXIT, instruction=replace(exit_instruction, quantity=60))


def test_an_unknown_entry_that_fills_after_its_trade_was_given_up_is_closed_at_once() -> None:
    given = account.given(*submitting).after(unknown, close)
    given.when(fill).then(order_filled, exit_intended)


def test_the_last_fill_closes_the_trade_with_its_result() -> None:
    exit_sent.when(exit_fill).then(exit_filled, trade_closed)


def test_an_exit_in_parts_realises_as_it_goes() -> None:
    half = replace(exit_fill, quantity=50, price_e4=2_810_0000)
    (first,) = exit_sent.when(half).events
    assert isinstance(first, OrderFilled)
    assert (first.realised_paise, first.closed_cost_paise, first.leaves_quantity) == (-2_000_00, 142_500_00, 50)
    second, closed = (
        exit_sent.after(half).when(replace(exit_fill, venue_fill_id=VenueFillId("f-3"), quantity=50)).events
    )
    assert isinstance(second, OrderFilled)
    assert isinstance(closed, TradeClosed)
    assert (second.realised_paise, closed.realised_paise) == (-2_500_00, -4_500_00)


def test_a_short_trade_earns_when_it_is_bought_back_cheaper() -> None:
    given = short_held.after(replace(target_hit, mark=mark_at(2_800_0000)), begin_exit)
    filled, closed = given.when(exit_fill).events
    assert isinstance(filled, OrderFilled)
    assert closed == TradeClosed(trade_id=TRADE, cause=ExitCause.TARGET, entry_quantity=100, realised_paise=5_000_00)
    assert (filled.side, filled.closed_cost_paise, filled.realised_paise) == (Side.BUY, -285_000_00, 5_000_00)


def test_a_trade_is_not_over_while_its_entry_may_still_fill() -> None:
    exits_40 = replace(exit_fill, quantity=40)
    given = partly_held.after(close, begin_exit)
    given.when(exits_40).then_kinds(OrderFilled)
    given.after(exits_40).when(replace(canceled_by_venue, cumulative_quantity=40)).then_kinds(
        OrderCanceled, TradeClosed
    )


def test_a_trade_is_not_over_while_an_order_is_only_presumed_absent() -> None:
    given = account.given(*submitting).after(unknown, close, presume_absent)
    assert not events_of(given.history, TradeClosed)
    given.when(replace(canceled_by_venue)).then_kinds(type(found_event), OrderCanceled, TradeClosed)


found_event = account.given(*submitting).after(unknown).when(found).events[0]


# --- An exit that comes to nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [replace(refused, order_id=EXIT), replace(rejected_by_venue, order_id=EXIT), exit_canceled],
    ids=["refused", "rejected", "canceled"],
)
def test_the_next_tick_or_hand_sends_the_next_exit(ending: AccountCommand) -> None:
    given = account.given(*exiting).after(begin_exit, ending)
    again = replace(exit_intended, order_id=SECOND_EXIT)
    given.when(stop_hit).then(again)
    given.when(replace(stop_hit, mark=mark_at(2_850_0000))).then(again)
    given.when(close).then(again)


def test_the_next_exit_is_for_what_is_still_held() -> None:
    given = exit_sent.after(replace(exit_fill, quantity=70), replace(exit_canceled, cumulative_quantity=70))
    rest = replace(exit_intended, order_id=SECOND_EXIT, instruction=replace(exit_instruction, quantity=30))
    given.when(stop_hit).then(rest)


def test_an_unknown_exit_is_not_joined_by_another() -> None:
    given = account.given(*exiting).after(begin_exit, replace(unknown, order_id=EXIT))
    given.when(stop_hit).then_nothing()
    given.when(close).then_nothing()


def test_an_exit_that_was_not_sent_waits_again() -> None:
    given = account.given(*exiting).after(begin_exit)
    given.when(replace(not_sent, order_id=EXIT)).then(replace(order_not_sent, order_id=EXIT))
    given.after(replace(not_sent, order_id=EXIT)).when(stop_hit).then_nothing()


def with_failed_exits(count: int) -> Given[AccountCommand, object, AccountEvent]:
    given: Given[AccountCommand, object, AccountEvent] = account.given(*held)  # type: ignore[assignment]
    for number in range(2, 2 + count):
        order_id = OrderId(f"{TRADE}.{number}")
        given = given.after(
            stop_hit,
            replace(begin, order_id=order_id, correlation_id=correlation_id_of(order_id, code=CODE)),
            replace(refused, order_id=order_id),
        )
    return given


def test_the_engine_tries_so_many_exits_and_no_more() -> None:
    given = with_failed_exits(EXITS_MAX)
    assert len(events_of(given.history, OrderRejected)) == EXITS_MAX
    given.when(stop_hit).then_nothing()
    with_failed_exits(EXITS_MAX - 1).when(stop_hit).then_kinds(OrderIntended)


def test_a_person_may_try_again_when_the_engine_has_stopped() -> None:
    given = with_failed_exits(EXITS_MAX)
    given.when(close).then_kinds(OrderIntended)
    given.after(close).when(close).then_nothing()


# --- More exits than there is to close --------------------------------------------------------------------------------


def test_an_exit_that_turns_up_beside_its_successor_is_canceled() -> None:
    absent = replace(presume_absent, order_id=EXIT)
    given = account.given(*exiting).after(begin_exit, replace(unknown, order_id=EXIT), absent, succeed)
    _, cancel = given.when(exit_found).events
    assert cancel == OrderCancelRequested(order_id=EXIT, trade_id=TRADE)


def test_a_late_fill_of_an_exit_takes_back_the_one_that_took_its_place() -> None:
    given = exit_sent.after(exit_canceled, stop_hit)
    waiting = replace(exit_fill, quantity=30)
    given.when(waiting).then_kinds(OrderFilled, type(order_blocked))
    sent = given.after(replace(begin, order_id=SECOND_EXIT))
    *_, cancel = sent.when(waiting).events
    assert cancel == OrderCancelRequested(order_id=SECOND_EXIT, trade_id=TRADE)
    sent.after(waiting).when(replace(waiting, venue_fill_id=VenueFillId("f-4"))).then_kinds(OrderFilled)


def test_after_an_exit_was_taken_back_the_next_is_for_what_is_left() -> None:
    given = exit_sent.after(exit_canceled, stop_hit, replace(exit_fill, quantity=30))
    given.when(stop_hit).then(
        replace(
            exit_intended,
            order_id=OrderId(f"{TRADE}.4"),
            instruction=replace(exit_instruction, quantity=70),
        )
    )


def test_what_was_sold_too_much_is_bought_back() -> None:
    """A successor and its late predecessor both fill: the trade would be short for ever."""
    absent = replace(presume_absent, order_id=EXIT)
    both = account.given(*exiting).after(
        begin_exit,
        replace(unknown, order_id=EXIT),
        absent,
        succeed,
        replace(begin, order_id=SECOND_EXIT),
        replace(exit_fill, order_id=SECOND_EXIT),
    )
    assert not events_of(both.history, TradeClosed)
    _, back = both.when(replace(exit_fill, venue_fill_id=VenueFillId("f-5"))).events
    assert isinstance(back, OrderIntended)
    assert (back.instruction.side, back.instruction.quantity) == (Side.BUY, 100)


def test_a_late_fill_of_an_entry_after_the_trade_was_closed_is_closed_too() -> None:
    closed = account.given(*resting).after(close, canceled_by_venue)
    assert isinstance(closed.history[-1], TradeClosed)
    closed.when(part).then_kinds(OrderFilled, OrderIntended)


def test_a_late_fill_of_an_entry_that_nobody_closed_is_watched_by_its_stop() -> None:
    held_late = account.given(*resting, order_canceled, never_held).after(part)
    held_late.when(stop_hit).then_kinds(TradeExitTriggered, OrderIntended)
