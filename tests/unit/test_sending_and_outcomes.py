"""What becomes of an order: sent or not, and what the venue says of it."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand, RecordFill
from domain.account.events import (
    AccountEvent,
    Evidence,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    ProtectionLapsed,
    TradeClosed,
)
from domain.account.refusals import (
    AccountExists,
    AccountNotFound,
    FillInvalid,
    LimitsInvalid,
    OrderNotFound,
)
from domain.ids import OrderId, VenueFillId
from domain.order import OrderStatus, RefusalReason
from tests.support.scenario import scenario
from tests.support.specimens import (
    DAY_NS,
    ENTRY_LIFE_NS,
    NOW_NS,
    OTHER_TRADE,
    STOP,
    STRANGER,
    TRADE,
    VENUE_ENTRY,
    accepted,
    account_opened,
    begin,
    begin_exit,
    canceled_by_venue,
    end_of_day,
    engage,
    exit_filled,
    exiting,
    expired_at_venue,
    fill,
    found,
    guarded,
    held,
    intended,
    kill_switch_engaged,
    kill_switch_released,
    limits,
    limits_changed,
    market_at,
    never_held,
    not_sent,
    open_account,
    open_trade,
    order_acknowledged,
    order_blocked,
    order_cancel_requested,
    order_canceled,
    order_expired,
    order_filled,
    order_found,
    order_lapsed,
    order_never_seen,
    order_not_sent,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_submitting,
    presume_absent,
    refused,
    rejected_by_venue,
    release,
    resting,
    set_limits,
    submitting,
    trade_closed,
    unknown,
)

account = scenario(decider)
part = replace(fill, quantity=40)
part_filled = replace(
    order_filled,
    last_quantity=40,
    value_paise=114_000_00,
    cumulative_quantity=40,
    leaves_quantity=60,
    opened_cost_paise=114_000_00,
)
rest = replace(fill, venue_fill_id=VenueFillId("f-9"), quantity=60)
by_the_books = replace(
    order_rejected,
    venue_order_id=VENUE_ENTRY,
    reason=RefusalReason.OTHER,
    message="RMS",
    evidence=Evidence.ORDER_BOOK,
)
lost = (*submitting, order_outcome_unknown)
missing = (*lost, order_presumed_absent)
cancel_asked = (*resting, kill_switch_engaged, order_cancel_requested)

# --- The account ------------------------------------------------------------------------------------------------------


def test_an_account_is_opened_once() -> None:
    account.given().when(open_account).then(account_opened)
    account.given(account_opened).when(open_account).then_refused(AccountExists)


def test_new_limits_are_in_force_whole() -> None:
    account.given(account_opened).when(set_limits).then(limits_changed)


def test_the_same_limits_again_change_nothing() -> None:
    account.given(account_opened, limits_changed).when(set_limits).then_nothing()


def test_a_limit_below_zero_is_refused() -> None:
    below = replace(set_limits, parameters=replace(limits, day_loss_paise_max=-1))
    account.given(account_opened).when(below).then_refused(LimitsInvalid)


def test_the_kill_switch_is_engaged_once_and_released_once() -> None:
    account.given(account_opened).when(engage).then(kill_switch_engaged)
    account.given(account_opened, kill_switch_engaged).when(engage).then_nothing()
    account.given(account_opened, kill_switch_engaged).when(release).then(kill_switch_released)
    account.given(account_opened).when(release).then_nothing()


@pytest.mark.parametrize("command", [set_limits, engage, release], ids=lambda command: type(command).__name__)
def test_a_stranger_finds_no_account(command: AccountCommand) -> None:
    account.given(account_opened).when(replace(command, user_id=STRANGER)).then_refused(AccountNotFound)


# --- Before the first byte --------------------------------------------------------------------------------------------


def test_submitting_is_recorded_before_an_order_is_sent() -> None:
    account.given(*intended).when(begin).then(order_submitting)


def test_an_order_is_submitted_once() -> None:
    for history in (submitting, lost, missing, resting, held):
        account.given(*history).when(begin).then_nothing()


def test_an_entry_may_be_sent_until_its_time_is_over() -> None:
    at_the_end = replace(begin, market_time_ns=NOW_NS + ENTRY_LIFE_NS)
    at_its_end = replace(order_submitting, market_time_ns=at_the_end.market_time_ns)
    account.given(*intended).when(at_the_end).then(at_its_end)


def test_an_entry_that_is_too_old_lapses_and_its_trade_is_over() -> None:
    too_late = replace(begin, market_time_ns=NOW_NS + ENTRY_LIFE_NS + 1)
    account.given(*intended).when(too_late).then(order_lapsed, never_held)
    account.given(*intended, order_lapsed, never_held).when(begin).then_nothing()


def test_an_exit_is_never_too_old() -> None:
    account.given(*exiting).when(replace(begin_exit, market_time_ns=NOW_NS + 5 * DAY_NS)).then(
        replace(
            order_submitting,
            order_id=begin_exit.order_id,
            correlation_id=begin_exit.correlation_id,
            market_time_ns=NOW_NS + 5 * DAY_NS,
        )
    )


def test_the_kill_switch_blocks_an_entry_at_the_moment_of_sending() -> None:
    account.given(*intended, kill_switch_engaged).when(begin).then(order_blocked, never_held)


def test_the_kill_switch_never_blocks_an_exit() -> None:
    account.given(*exiting, kill_switch_engaged).when(begin_exit).then_kinds(type(order_submitting))


def test_engaging_the_kill_switch_blocks_an_entry_that_waits() -> None:
    account.given(*intended).when(engage).then(kill_switch_engaged, order_blocked, never_held)


@pytest.mark.parametrize(
    "history",
    [submitting, resting, lost, missing, (*resting, part_filled)],
    ids=["submitting", "resting", "unknown", "presumed absent", "partly filled"],
)
def test_engaging_the_kill_switch_asks_to_cancel_an_entry_that_the_venue_may_have(
    history: tuple[AccountEvent, ...],
) -> None:
    account.given(*history).when(engage).then(kill_switch_engaged, order_cancel_requested)


def test_a_cancel_is_asked_for_once() -> None:
    account.given(*cancel_asked, kill_switch_released).when(engage).then(kill_switch_engaged)


def test_engaging_the_kill_switch_leaves_what_is_held_alone() -> None:
    account.given(*held).when(engage).then(kill_switch_engaged)
    account.given(*exiting).when(engage).then(kill_switch_engaged)


# --- The answer -------------------------------------------------------------------------------------------------------


def test_an_order_that_was_not_sent_waits_again() -> None:
    account.given(*submitting).when(not_sent).then(order_not_sent)
    account.given(*submitting, order_not_sent).when(begin).then(order_submitting)


def test_an_order_that_was_not_sent_and_is_no_longer_wanted_is_blocked() -> None:
    unwanted = (*submitting, kill_switch_engaged, order_cancel_requested)
    account.given(*unwanted).when(not_sent).then(order_not_sent, order_blocked, never_held)


def test_acceptance_keeps_the_venues_id() -> None:
    account.given(*submitting).when(accepted).then(order_acknowledged)
    account.given(*lost).when(accepted).then(order_acknowledged)


def test_acceptance_twice_changes_nothing() -> None:
    account.given(*resting).when(accepted).then_nothing()
    account.given(*resting).when(found).then_nothing()
    account.given(*held).when(accepted).then_nothing()


def test_a_refusal_by_the_venue_ends_the_order_and_its_trade() -> None:
    account.given(*submitting).when(refused).then(order_rejected, never_held)
    account.given(*submitting, order_rejected, never_held).when(refused).then_nothing()


def test_no_answer_makes_an_unknown_of_an_order_that_is_being_sent() -> None:
    account.given(*submitting).when(unknown).then(order_outcome_unknown)


@pytest.mark.parametrize(
    "history", [intended, lost, missing, resting, held], ids=["waiting", "unknown", "absent", "resting", "held"]
)
def test_no_answer_means_nothing_of_any_other_order(history: tuple[AccountEvent, ...]) -> None:
    account.given(*history).when(unknown).then_nothing()
    account.given(*history).when(not_sent).then_nothing()


def test_an_answer_about_an_order_that_waits_means_nothing() -> None:
    for command in (accepted, refused, found, rejected_by_venue, presume_absent):
        account.given(*intended).when(command).then_nothing()


# --- The unknown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("history", [submitting, lost, missing], ids=["submitting", "unknown", "presumed absent"])
def test_the_venues_book_proves_that_it_has_the_order(history: tuple[AccountEvent, ...]) -> None:
    account.given(*history).when(found).then(order_found)


def test_an_order_in_transit_at_the_venue_is_an_order_that_it_has() -> None:
    account.given(*lost).when(replace(found, status=OrderStatus.SUBMITTING)).then(order_found)


def test_an_unknown_order_may_turn_out_to_be_over() -> None:
    account.given(*lost).when(canceled_by_venue).then(
        replace(order_found, evidence=Evidence.ORDER_BOOK), order_canceled, never_held
    )
    account.given(*lost).when(expired_at_venue).then(
        replace(order_found, evidence=Evidence.ORDER_BOOK), order_expired, never_held
    )
    account.given(*lost).when(rejected_by_venue).then(by_the_books, never_held)


def test_an_unknown_order_is_presumed_absent_once_and_stays_open() -> None:
    account.given(*lost).when(presume_absent).then(order_presumed_absent)
    account.given(*missing).when(presume_absent).then_nothing()


def test_only_an_unknown_order_is_presumed_absent() -> None:
    for history in (intended, submitting, resting, held):
        account.given(*history).when(presume_absent).then_nothing()


def test_a_cancel_asked_of_an_order_presumed_absent_is_remembered() -> None:
    """It turns up although the kill switch is engaged: it must not rest unseen."""
    account.given(*missing).after(engage).when(found).then(order_found)
    account.given(*missing).when(engage).then(kill_switch_engaged, order_cancel_requested)


def test_a_fill_of_an_order_presumed_absent_is_believed() -> None:
    account.given(*missing).when(fill).then(order_filled)


@pytest.mark.parametrize("history", [lost, missing], ids=["unknown", "presumed absent"])
def test_what_the_day_never_showed_ends_with_it(history: tuple[AccountEvent, ...]) -> None:
    account.given(*history).when(end_of_day).then(order_never_seen, never_held)
    account.given(*history).after(end_of_day).when(end_of_day).then_nothing()
    account.given(*history).after(end_of_day).when(fill).then_kinds(OrderFilled)


@pytest.mark.parametrize("history", [intended, submitting, resting, held], ids=["waits", "sent", "rests", "filled"])
def test_a_days_end_ends_nothing_that_is_not_in_doubt(history: tuple[AccountEvent, ...]) -> None:
    account.given(*history).when(end_of_day).then_nothing()


def test_a_stop_that_the_day_never_showed_leaves_its_trade_unprotected() -> None:
    sent = account.given(*guarded[:-1]).after(replace(unknown, order_id=STOP))
    expired = replace(order_never_seen, order_id=STOP)
    sent.when(replace(end_of_day, order_id=STOP)).then(expired, ProtectionLapsed(trade_id=TRADE, order_id=STOP))


# --- Final words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (canceled_by_venue, order_canceled),
        (expired_at_venue, order_expired),
        (rejected_by_venue, by_the_books),
    ],
    ids=["canceled", "expired", "rejected"],
)
def test_the_venues_last_word_ends_an_order_and_a_trade_that_holds_nothing(
    command: AccountCommand, event: AccountEvent
) -> None:
    account.given(*resting).when(command).then(event, never_held)
    account.given(*resting, event, never_held).when(command).then_nothing()


def test_the_venues_last_word_waits_for_the_fills_it_counts() -> None:
    canceled = replace(canceled_by_venue, cumulative_quantity=40)
    account.given(*resting).when(canceled).then_nothing()
    account.given(*resting, part_filled).when(canceled).then(order_canceled)


def test_a_trade_that_was_filled_in_part_stays_open_when_its_entry_is_canceled() -> None:
    account.given(*resting, part_filled).when(replace(canceled_by_venue, cumulative_quantity=40)).then(order_canceled)


def test_a_live_order_in_the_venues_book_is_no_news() -> None:
    for status in (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED, OrderStatus.FILLED, OrderStatus.SUBMITTING):
        account.given(*resting).when(replace(found, status=status)).then_nothing()


def test_a_filled_order_has_no_other_last_word() -> None:
    for command in (canceled_by_venue, expired_at_venue, rejected_by_venue, refused):
        account.given(*held).when(replace(command)).then_nothing()


# --- Fills ------------------------------------------------------------------------------------------------------------


def test_a_fill_opens_the_holding() -> None:
    account.given(*resting).when(fill).then(order_filled)


def test_a_fill_in_parts_counts_up() -> None:
    account.given(*resting).when(part).then(part_filled)
    account.given(*resting, part_filled).when(rest).then(
        replace(
            order_filled,
            venue_trade_number="f-9",
            last_quantity=60,
            value_paise=171_000_00,
            opened_cost_paise=171_000_00,
        )
    )


def test_the_parts_of_the_venues_fill_id_are_kept_apart() -> None:
    from_the_venue = replace(fill, venue_fill_id=VenueFillId("NSE_EQ:200764585:112111182198"))
    filled = replace(
        order_filled, venue_segment="NSE_EQ", venue_trade_number="200764585", venue_order_id="112111182198"
    )
    account.given(*resting).when(from_the_venue).then(filled)
    account.given(*resting, filled).when(from_the_venue).then_nothing()


def test_a_fill_twice_changes_nothing() -> None:
    account.given(*resting, part_filled).when(part).then_nothing()
    account.given(*held).when(fill).then_nothing()
    account.given(*exiting, exit_filled, trade_closed).when(fill).then_nothing()


def test_a_fill_before_the_answer_is_believed_and_the_answer_still_names_the_order() -> None:
    """Without the venue's id a partly filled order could never be canceled, nor its last word be heard."""
    given = account.given(*submitting, part_filled)
    given.when(accepted).then(order_acknowledged)
    given.when(found).then(order_found)
    given.after(found).when(replace(canceled_by_venue, cumulative_quantity=40)).then(order_canceled)
    given.when(replace(canceled_by_venue, cumulative_quantity=40)).then_kinds(OrderAcknowledged, OrderCanceled)


def test_an_order_stays_partly_filled_when_its_id_comes_late() -> None:
    given = account.given(*submitting, part_filled).after(accepted)
    (last,) = given.when(rest).events
    assert isinstance(last, OrderFilled)
    assert (last.cumulative_quantity, last.leaves_quantity) == (100, 0)


def test_a_late_fill_after_a_cancel_is_a_fill_and_opens_the_trade_again() -> None:
    over = (*cancel_asked, order_canceled, never_held)
    late = replace(part_filled, leaves_quantity=0)
    account.given(*over).when(part).then(late)
    account.given(*over).when(fill).then(order_filled)
    account.given(*over, late).when(canceled_by_venue).then_nothing()


def test_a_fill_of_an_order_that_was_held_for_unsent_keeps_it_from_being_sent() -> None:
    """The venue's execution outweighs what our transport proved."""
    account.given(*submitting, order_not_sent).when(fill).then(order_filled)
    account.given(*submitting, order_not_sent, order_filled).when(begin).then_nothing()
    account.given(*submitting, order_not_sent, part_filled).when(begin).then_nothing()
    account.given(*intended, order_lapsed, never_held).when(fill).then(order_filled)


def test_a_late_fill_on_a_later_day_finds_its_trade() -> None:
    over = account.given(*cancel_asked, order_canceled, never_held)
    next_day = replace(fill, filled_at_ns=fill.filled_at_ns + DAY_NS)
    over.when(next_day).then(replace(order_filled, filled_at_ns=next_day.filled_at_ns, trading_day="2026-11-21"))


def test_a_fill_of_more_than_was_ordered_leaves_nothing_to_come() -> None:
    (filled,) = account.given(*resting).when(replace(fill, quantity=130)).events
    assert isinstance(filled, OrderFilled)
    assert (filled.cumulative_quantity, filled.leaves_quantity) == (130, 0)


@pytest.mark.parametrize("nonsense", [replace(fill, quantity=0), replace(fill, quantity=-5), replace(fill, price_e4=0)])
def test_a_fill_of_nothing_is_refused(nonsense: RecordFill) -> None:
    account.given(*resting).when(nonsense).then_refused(FillInvalid)


@pytest.mark.parametrize(
    "command",
    [begin, not_sent, accepted, refused, unknown, found, fill, presume_absent],
    ids=lambda command: type(command).__name__,
)
def test_a_word_about_an_order_that_nobody_knows_is_refused(command: AccountCommand) -> None:
    stranger = replace(command, order_id=OrderId(f"{OTHER_TRADE}.1"))
    account.given(*resting).when(stranger).then_refused(OrderNotFound)


def test_the_orders_of_a_trade_closed_on_an_earlier_day_are_forgotten() -> None:
    tomorrow = replace(open_trade, trade_id=OTHER_TRADE, market=market_at(2_850_0000, at_ns=NOW_NS + DAY_NS))
    given = account.given(*exiting, exit_filled, trade_closed).after(tomorrow)
    given.when(replace(fill, venue_fill_id=VenueFillId("f-late"))).then_refused(OrderNotFound)


def test_the_orders_of_a_trade_carried_overnight_are_not() -> None:
    tomorrow = replace(open_trade, trade_id=OTHER_TRADE, market=market_at(2_850_0000, at_ns=NOW_NS + DAY_NS))
    given = account.given(*resting).after(tomorrow)
    given.when(fill).then(order_filled)


def test_a_rejected_order_that_fills_after_all_is_filled() -> None:
    given = account.given(*submitting, order_rejected, never_held)
    given.when(fill).then(order_filled)


def test_blocked_and_rejected_orders_close_their_trade_with_nothing() -> None:
    for command, kind in ((engage, OrderBlocked), (refused, OrderRejected)):
        given = account.given(*(intended if command is engage else submitting))
        *_, last, closed = given.when(command).events
        assert isinstance(last, kind)
        assert closed == never_held
        assert isinstance(closed, TradeClosed)
