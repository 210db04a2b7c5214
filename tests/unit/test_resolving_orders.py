"""A person's word on an order in doubt, and what the venue's book makes of it."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand
from domain.account.events import (
    AccountEvent,
    Evidence,
    OrderAcknowledged,
    OrderCanceled,
    OrderCancelRequested,
    OrderFilled,
    OrderIntended,
    OrderResolution,
    OrderResolved,
    ProtectionMode,
    Role,
)
from domain.account.refusals import AccountNotFound, OrderNotFound, OrderNotInDoubt, RoleInsufficient, VenueOrderTaken
from domain.ids import OrderId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.order import OrderType, Purpose, RefusalReason
from tests.support.scenario import scenario
from tests.support.specimens import (
    EXIT,
    MEMBER,
    NOW_NS,
    OWNER,
    TRADE,
    VENUE_ENTRY,
    accepted,
    account_opened,
    begin,
    canceled_by_venue,
    close,
    doubt_order,
    engage,
    expired_at_venue,
    fill,
    found,
    held,
    intended,
    kill_switch_engaged,
    member_set,
    never_held,
    open_trade,
    order_acknowledged,
    order_cancel_requested,
    order_canceled,
    order_expired,
    order_filled,
    order_found,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_resolved_absent,
    order_resolved_at_broker,
    presume_absent,
    rejected_by_venue,
    resolve_absent,
    resolve_at_broker,
    resting,
    submitting,
    unknown,
)

account = scenario(decider)
ANOTHER = TradeId("trd_01J00000000000000000000002")
lost = (*submitting, order_outcome_unknown)
missing = (*lost, order_presumed_absent)
by_operator = replace(order_acknowledged, evidence=Evidence.OPERATOR, sent_at_ns=None)
absent = (*lost, order_cancel_requested, order_resolved_absent, never_held)
said = (*lost, order_resolved_at_broker, by_operator)
part = replace(fill, quantity=40)
part_filled = replace(
    order_filled,
    last_quantity=40,
    value_paise=114_000_00,
    cumulative_quantity=40,
    leaves_quantity=60,
    opened_cost_paise=114_000_00,
)
lose_exit = (close, replace(begin, order_id=EXIT), replace(unknown, order_id=EXIT))
"""What makes an unknown order of the exit of a trade that holds something."""


@pytest.fixture(params=[lost, missing], ids=["unknown", "presumed absent"])
def in_doubt(request: pytest.FixtureRequest) -> tuple[AccountEvent, ...]:
    history: tuple[AccountEvent, ...] = request.param
    return history


# --- It is not there --------------------------------------------------------------------------------------------------


def test_an_order_in_doubt_is_absent_by_a_persons_word_and_its_trade_is_over(
    in_doubt: tuple[AccountEvent, ...],
) -> None:
    account.given(*in_doubt).when(resolve_absent).then(order_cancel_requested, order_resolved_absent, never_held)


def test_a_cancel_that_was_asked_for_already_is_not_asked_for_again() -> None:
    killed = (*lost, kill_switch_engaged, order_cancel_requested)
    account.given(*killed).when(resolve_absent).then(order_resolved_absent, never_held)


def test_what_was_said_to_be_absent_is_no_reason_to_deny_another_trade() -> None:
    another = replace(open_trade, trade_id=ANOTHER)
    only_one = replace(account_opened, parameters=replace(account_opened.parameters, open_trades_max=1))
    history = account.given(only_one).after(open_trade, begin, unknown)
    assert not any(isinstance(event, OrderIntended) for event in history.when(another).events)
    assert any(isinstance(event, OrderIntended) for event in history.after(resolve_absent).when(another).events)


def test_an_exit_that_is_absent_is_tried_again_for_all_that_is_held() -> None:
    events = account.given(*held).after(*lose_exit).when(replace(resolve_absent, order_id=EXIT)).events
    canceled, resolved, again = events
    assert isinstance(canceled, OrderCancelRequested)
    assert isinstance(resolved, OrderResolved)
    assert isinstance(again, OrderIntended)
    assert (again.order_id, again.purpose, again.instruction.quantity) == (f"{TRADE}.3", Purpose.EXIT, 100)


def test_an_absent_exit_that_turns_up_beside_the_next_one_may_not_sell_twice() -> None:
    turned_up = replace(found, order_id=EXIT, venue_order_id=VenueOrderId("v-2"))
    history = account.given(*held).after(*lose_exit, replace(resolve_absent, order_id=EXIT), turned_up)
    state = decider.fold(history.history)
    assert state.orders[EXIT].cancel_requested
    assert not any(order.cancel_requested for order in state.orders_of(TRADE) if order.order_id != EXIT)


def test_a_stop_that_is_absent_is_placed_again() -> None:
    stop = OrderId(f"{TRADE}.2")
    guarded = account.given(account_opened).after(
        replace(open_trade, protection=ProtectionMode.RESTING),
        begin,
        accepted,
        fill,
        replace(begin, order_id=stop),
        replace(unknown, order_id=stop),
    )
    again = guarded.when(replace(resolve_absent, order_id=stop)).events[-1]
    assert isinstance(again, OrderIntended)
    assert (again.purpose, again.instruction.order_type, again.instruction.quantity) == (
        Purpose.STOP,
        OrderType.SL,
        100,
    )


# --- The venue outweighs who said so ----------------------------------------------------------------------------------


def test_an_absent_order_that_turns_up_is_acknowledged_with_its_cancel_still_wanted() -> None:
    account.given(*absent).when(found).then(order_found)
    state = decider.fold(account.given(*absent).after(found).history)
    (order,) = state.orders.values()
    assert order.cancel_requested
    assert (state.totals.live_orders, state.totals.buying_paise > 0) == (1, True)


def test_the_late_answer_to_its_request_counts_as_any_other() -> None:
    account.given(*absent).when(accepted).then(order_acknowledged)


def test_an_absent_order_that_was_canceled_expired_or_rejected_is_so() -> None:
    by_the_book = replace(order_found, evidence=Evidence.ORDER_BOOK)
    account.given(*absent).when(canceled_by_venue).then(by_the_book, order_canceled)
    account.given(*absent).when(expired_at_venue).then(by_the_book, order_expired)
    account.given(*absent).when(rejected_by_venue).then(
        replace(
            order_rejected,
            venue_order_id=VENUE_ENTRY,
            reason=RefusalReason.OTHER,
            message="RMS",
            evidence=Evidence.ORDER_BOOK,
        )
    )


def test_a_fill_of_an_absent_order_is_believed_and_opens_its_trade_again() -> None:
    account.given(*absent).when(fill).then(order_filled)
    state = decider.fold((*absent, order_filled))
    assert [trade.holding.net_quantity for trade in state.open_trades()] == [100]


def test_a_part_that_fills_of_an_absent_order_proves_that_the_rest_may_fill() -> None:
    account.given(*absent).when(part).then(part_filled)
    rest = replace(fill, quantity=60, venue_fill_id=VenueFillId("f-9"))
    (filled,) = account.given(*absent, part_filled).when(rest).events
    assert isinstance(filled, OrderFilled)
    assert (filled.cumulative_quantity, filled.leaves_quantity) == (100, 0)
    account.given(*absent, part_filled).when(found).then(order_found)


def test_once_the_cancel_is_done_the_trade_closes_again() -> None:
    late = account.given(*absent, part_filled, order_found).after(replace(canceled_by_venue, cumulative_quantity=40))
    assert isinstance(late.history[-1], OrderCanceled)
    assert [trade.holding.net_quantity for trade in decider.fold(late.history).open_trades()] == [40]


def test_the_next_day_does_not_forget_an_absent_order_that_turned_up() -> None:
    tomorrow = NOW_NS + 24 * 3600 * 1_000_000_000
    another = replace(open_trade, trade_id=ANOTHER)
    another = replace(another, market=replace(another.market, market_time_ns=tomorrow, session=None))
    gone = decider.fold(account.given(*absent).after(another).history)
    kept = decider.fold(account.given(*absent, order_found).after(another).history)
    assert (TRADE in gone.trades, TRADE in kept.trades) == (False, True)


# --- It is there ------------------------------------------------------------------------------------------------------


def test_an_order_in_doubt_is_acknowledged_under_the_id_that_a_person_names(
    in_doubt: tuple[AccountEvent, ...],
) -> None:
    account.given(*in_doubt).when(resolve_at_broker).then(order_resolved_at_broker, by_operator)


def test_the_books_then_say_what_they_say_of_any_order() -> None:
    account.given(*said).when(fill).then(order_filled)
    account.given(*said).when(canceled_by_venue).then(order_canceled, never_held)


def test_an_order_of_which_the_book_does_not_bear_out_the_id_is_unknown_again() -> None:
    doubted = replace(order_outcome_unknown, cause=doubt_order.cause, sent_at_ns=None)
    account.given(*said).when(doubt_order).then(doubted)
    account.given(*said, doubted).when(found).then(order_found)
    account.given(*said, doubted).when(resolve_absent).then(order_cancel_requested, order_resolved_absent, never_held)


def test_what_was_learned_meanwhile_is_not_doubted() -> None:
    other_id = replace(doubt_order, venue_order_id=VenueOrderId("v-9"))
    account.given(*said).when(other_id).then_nothing()
    for history in (lost, intended, (*said, part_filled), (*said, order_filled), (*said, order_canceled, never_held)):
        account.given(*history).when(doubt_order).then_nothing()
    account.given(*said).when(replace(doubt_order, order_id=OrderId("gone"))).then_nothing()


def test_the_senders_own_doubt_comes_too_late_for_an_order_that_is_acknowledged() -> None:
    account.given(*resting).when(unknown).then_nothing()
    account.given(*said).when(unknown).then_nothing()


def test_an_id_that_another_order_has_is_refused() -> None:
    history = account.given(*held).after(*lose_exit)
    taken = replace(resolve_at_broker, order_id=EXIT)
    history.when(taken).then_refused(VenueOrderTaken)
    ways = history.when(replace(taken, venue_order_id=VenueOrderId("v-2"))).events
    assert [type(event) for event in ways] == [OrderResolved, OrderAcknowledged]


# --- Who may say so, and of what --------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolve", [resolve_absent, resolve_at_broker], ids=["absent", "at broker"])
def test_only_an_order_in_doubt_is_resolved(resolve: AccountCommand) -> None:
    for history in (intended, submitting, resting, held, absent, said):
        account.given(*history).when(resolve).then_refused(OrderNotInDoubt)


def test_an_order_that_the_account_has_not_is_not_found() -> None:
    account.given(*lost).when(replace(resolve_absent, order_id=OrderId("gone"))).then_refused(OrderNotFound)


def test_who_may_trade_the_account_may_resolve() -> None:
    by_member = replace(resolve_absent, user_id=MEMBER)
    account.given(*lost).when(by_member).then_refused(AccountNotFound)
    account.given(*lost, replace(member_set, role=Role.VIEWER)).when(by_member).then_refused(RoleInsufficient)
    resolved = account.given(*lost, member_set).when(by_member).events[1]
    assert isinstance(resolved, OrderResolved)
    assert (resolved.user_id, resolved.resolution) == (MEMBER, OrderResolution.ABSENT)
    account.given(*lost).when(replace(resolve_absent, user_id=UserId("usr_nobody"))).then_refused(AccountNotFound)
    assert resolve_absent.user_id == OWNER


def test_a_kill_switch_keeps_nobody_from_resolving() -> None:
    events = account.given(*lost).after(engage).when(resolve_absent).events
    assert [type(event).__name__ for event in events] == ["OrderResolved", "TradeClosed"]


def test_what_is_presumed_absent_later_is_no_news_of_what_was_said_to_be() -> None:
    account.given(*absent).when(presume_absent).then_nothing()
