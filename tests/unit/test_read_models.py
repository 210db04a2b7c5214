"""What each read model shows after which events."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

import msgspec
import pytest
from msgspec.structs import replace

from domain.account.events import (
    AccountEvent,
    BasketPolicy,
    ExitCause,
    KillMode,
    OrderModified,
    ProtectionMode,
    TradeOpened,
)
from domain.backtest.decide import BacktestStatus
from domain.contract_note import Match
from domain.envelope import Metadata, RecordedEvent
from domain.events import Event, decode
from domain.ids import OrderId
from domain.order import ModifyCause, OrderStatus, OrderType, Product, Purpose, Side
from domain.risk import BreachKind, DenialCode
from domain.strategy.life import StrategyStatus
from projections.audit_trail import AUDIT_TRAIL, AuditTrailRow
from projections.backtests import BACKTESTS
from projections.cash_moves import CASH_MOVES
from projections.catalogue import READ_MODELS
from projections.contract_notes import CONTRACT_NOTES
from projections.daily_results import DAILY_RESULTS
from projections.limit_changes import LIMIT_CHANGES
from projections.order_status import STATUS_AFTER, OrderEvent
from projections.orders import ORDERS
from projections.positions import POSITIONS
from projections.read_model import AnyReadModel, Key, ReadModel, RowMissing, fold
from projections.risk import RISK
from projections.strategies import STRATEGIES
from projections.trades import TRADES, ProtectionLoss, TradeRow, TradeStatus
from projections.users import USERS
from tests.support.log_writing import recorded_log
from tests.support.specimens import (
    ACCOUNT,
    BACKTEST,
    BASKET,
    DAY_NS,
    ENTRY,
    EVERY_EVENT,
    EXIT,
    EXTERNAL_TRADE,
    NOW_NS,
    OTHER_TRADE,
    OWNER,
    STOP,
    TODAY,
    TRADE,
    VENUE_ENTRY,
    WIDENED,
    account_opened,
    adopted,
    backtest_completed,
    backtest_failed,
    backtest_requested,
    basket_completed,
    basket_failed,
    basket_opened,
    cash_moved,
    contract_note_received,
    corporate_action_applied,
    entry_instruction,
    exit_filled,
    exit_instruction,
    exit_intended,
    exit_triggered,
    exiting,
    figures,
    flatten_finished,
    foreign_sale_allocated,
    guarded,
    held,
    intended,
    intents_suppressed,
    invariant_breached,
    invariant_released,
    kill_switch_engaged,
    kill_switch_released,
    limits_changed,
    market_at,
    never_held,
    order_acknowledged,
    order_blocked,
    order_cancel_requested,
    order_canceled,
    order_denied,
    order_expired,
    order_filled,
    order_found,
    order_intended,
    order_lapsed,
    order_modified,
    order_modify_refused,
    order_modify_requested,
    order_not_sent,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_resolved_absent,
    order_resolved_at_broker,
    order_submitting,
    protection_failed,
    protection_lapsed,
    resting,
    risk_breach_released,
    risk_breached,
    stop_filled,
    stop_instruction,
    stop_intended,
    stop_trailed,
    strategy_backtested,
    strategy_drafted,
    strategy_live,
    strategy_on_paper,
    strategy_paused,
    strategy_resumed,
    strategy_revised,
    strategys_switch_engaged,
    strategys_switch_released,
    submitting,
    trade_changed,
    trade_closed,
    trade_opened,
    trade_reduction_asked,
    user_erased,
    user_registered,
)

RowT = TypeVar("RowT", bound=msgspec.Struct)
POSITION = (ACCOUNT, "NSE_EQ", "2885", "INTRADAY")
TOMORROW = "2026-11-21"
half = replace(
    order_filled, last_quantity=40, value_paise=114_000_00, opened_cost_paise=114_000_00, cumulative_quantity=40,
    leaves_quantity=60,
)  # fmt: skip
other_half = replace(
    order_filled, venue_trade_number="f-3", last_quantity=60, value_paise=171_060_00,
    opened_cost_paise=171_060_00, cumulative_quantity=100,
)  # fmt: skip


def log_of(events: Sequence[Event], stream_id: str = f"account-{ACCOUNT}") -> list[RecordedEvent]:
    return recorded_log((stream_id, event) for event in events)


def rows_of(model: ReadModel[RowT], events: Sequence[Event]) -> dict[Key, RowT]:
    rows: dict[Key, RowT | None] = {}
    fold(model, ((decode(each.name, each.payload), each) for each in log_of(events)), rows)
    return {key: row for key, row in rows.items() if row is not None}


def the_row(model: ReadModel[RowT], *events: Event) -> RowT:
    [row] = rows_of(model, events).values()
    return row


def trade(*events: Event) -> TradeRow:
    return rows_of(TRADES, events)[(TRADE,)]


# --- Trades ---


def test_an_intended_trade_shows_what_was_wanted() -> None:
    row = trade(*intended)
    assert (row.status, row.entry_status) == (TradeStatus.INTENDED, OrderStatus.INTENDED)
    assert (row.account_id, row.user_id, row.symbol, row.side) == (ACCOUNT, OWNER, "RELIANCE", Side.BUY)
    assert (row.quantity, row.stop_loss_e4, row.target_e4, row.day) == (100, 2_800_0000, 2_900_0000, TODAY)
    assert (row.opened_sequence, row.sequence) == (2, 3)


def test_a_denied_intent_shows_code_limit_and_value() -> None:
    row = trade(account_opened, order_denied)
    assert row.status is TradeStatus.DENIED
    assert (row.denial_code, row.denial_limit, row.denial_value) == (DenialCode.QUANTITY_ABOVE_LIMIT, "99", "100")
    assert row.closed_at_us == row.opened_at_us
    assert row.entry_status is None


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (order_submitting, OrderStatus.SUBMITTING),
        (order_not_sent, OrderStatus.INTENDED),
        (order_acknowledged, OrderStatus.ACKNOWLEDGED),
        (order_rejected, OrderStatus.REJECTED),
        (order_outcome_unknown, OrderStatus.UNKNOWN),
        (order_presumed_absent, OrderStatus.PRESUMED_ABSENT),
        (order_resolved_absent, OrderStatus.ABSENT),
        (order_resolved_at_broker, OrderStatus.INTENDED),
        (order_lapsed, OrderStatus.LAPSED),
        (order_blocked, OrderStatus.BLOCKED),
        (order_canceled, OrderStatus.CANCELED),
        (order_expired, OrderStatus.EXPIRED),
        (order_cancel_requested, OrderStatus.INTENDED),
        (order_filled, OrderStatus.FILLED),
        (half, OrderStatus.PARTLY_FILLED),
    ],
)
def test_an_order_event_leads_to_its_status_in_both_read_models(event: AccountEvent, status: OrderStatus) -> None:
    assert trade(*intended, event).entry_status is status
    assert rows_of(ORDERS, (*intended, event))[(ENTRY,)].status is status


def test_a_trade_shows_by_what_name_the_venue_knows_its_entry() -> None:
    assert trade(*submitting).entry_venue_order_id is None
    assert trade(*resting).entry_venue_order_id == order_acknowledged.venue_order_id
    assert trade(*submitting, replace(order_rejected, venue_order_id=None)).entry_venue_order_id is None
    late = replace(order_rejected, venue_order_id=None)
    assert trade(*resting, late).entry_venue_order_id == order_acknowledged.venue_order_id
    assert trade(*guarded).entry_venue_order_id == order_acknowledged.venue_order_id, "not that of its stop"


def test_what_the_venue_said_stays_to_be_read() -> None:
    assert trade(*submitting, order_rejected).remark == "Insufficient funds"
    assert trade(*submitting, order_outcome_unknown, order_found).remark == "no answer within 5 s"


def test_an_operators_word_stays_to_be_read() -> None:
    lost = (*submitting, order_outcome_unknown)
    assert trade(*lost, order_resolved_absent).remark == order_resolved_absent.reason
    absent = rows_of(ORDERS, (*lost, order_resolved_absent))[(ENTRY,)]
    assert (absent.remark, absent.leaves_quantity) == (order_resolved_absent.reason, 0)
    assert absent.closed_at_us is not None
    turned_up = rows_of(ORDERS, (*lost, order_resolved_absent, order_found))[(ENTRY,)]
    assert (turned_up.status, turned_up.leaves_quantity) == (OrderStatus.ACKNOWLEDGED, 100)
    assert turned_up.closed_at_us is None


def test_a_venues_id_that_was_not_borne_out_is_shown_no_more() -> None:
    doubted = (*submitting, order_outcome_unknown, order_resolved_at_broker, order_found, order_outcome_unknown)
    row = rows_of(ORDERS, doubted)[(ENTRY,)]
    assert (row.status, row.venue_order_id, row.evidence) == (OrderStatus.UNKNOWN, None, None)
    assert row.acknowledged_at_us is None
    assert trade(*doubted).entry_venue_order_id is None


def test_a_filled_trade_is_open_with_its_cost() -> None:
    row = trade(*held)
    assert row.status is TradeStatus.OPEN
    assert (row.entry_quantity, row.entry_paise) == (100, 285_000_00)
    assert (row.net_quantity, row.cost_paise, row.realised_paise) == (100, 285_000_00, 0)


def test_parts_add_up_to_quantity_and_amount() -> None:
    row = trade(*resting, half, other_half)
    assert (row.entry_quantity, row.entry_paise) == (100, 285_060_00)
    assert (row.first_filled_at_ns, row.last_filled_at_ns) == (half.filled_at_ns, other_half.filled_at_ns)
    assert row.entry_status is OrderStatus.FILLED


def test_a_trade_that_reaches_its_stop_is_exiting_until_it_is_closed() -> None:
    row = trade(*exiting)
    assert (row.status, row.exit_cause, row.exit_mark_e4) == (TradeStatus.EXITING, ExitCause.STOP_LOSS, 2_800_0000)
    row = trade(*exiting, exit_filled)
    assert row.status is TradeStatus.EXITING
    row = trade(*exiting, exit_filled, trade_closed)
    assert row.status is TradeStatus.CLOSED
    assert (row.exit_quantity, row.exit_paise, row.realised_paise) == (100, 280_000_00, -5_000_00)
    assert (row.net_quantity, row.cost_paise) == (0, 0)
    assert row.closed_at_us is not None


def test_a_trade_closed_without_a_fill_says_why_by_its_entry() -> None:
    row = trade(*intended, order_lapsed, never_held)
    assert (row.status, row.entry_status, row.entry_quantity) == (TradeStatus.CLOSED, OrderStatus.LAPSED, 0)


def test_a_late_fill_opens_a_closed_trade_again() -> None:
    late = replace(half, leaves_quantity=0)
    row = trade(*resting, order_canceled, never_held, late)
    assert (row.status, row.entry_status, row.closed_at_us) == (TradeStatus.OPEN, OrderStatus.CANCELED, None)
    assert row.net_quantity == 40


def test_an_exit_order_leaves_the_entrys_status_alone() -> None:
    row = trade(*exiting, replace(order_submitting, order_id=EXIT))
    assert row.entry_status is OrderStatus.FILLED


# --- Orders ---


def test_an_order_shows_when_it_got_where() -> None:
    row = rows_of(ORDERS, (*resting, half, other_half))[(ENTRY,)]
    assert row.intended_at_us < (row.submitting_at_us or 0) < (row.acknowledged_at_us or 0) < (row.closed_at_us or 0)
    assert (row.venue_order_id, row.sent_at_ns) == (VENUE_ENTRY, NOW_NS)
    assert (row.cumulative_quantity, row.leaves_quantity, row.fill_count, row.filled_paise) == (100, 0, 2, 285_060_00)
    assert row.correlation_id == order_submitting.correlation_id


def test_an_order_that_was_unknown_stays_marked_as_such() -> None:
    row = rows_of(ORDERS, (*submitting, order_outcome_unknown, order_found))[(ENTRY,)]
    assert row.was_unknown
    assert row.status is OrderStatus.ACKNOWLEDGED
    assert row.sent_at_ns == NOW_NS, "a look-up does not know when it was sent; the sender did"


def test_an_order_that_was_not_sent_and_sent_again_counts_two_submissions() -> None:
    row = rows_of(ORDERS, (*submitting, order_not_sent, order_submitting))[(ENTRY,)]
    assert row.submissions == 2


def test_a_cancel_in_flight_is_a_flag_beside_the_status() -> None:
    row = rows_of(ORDERS, (*resting, order_cancel_requested))[(ENTRY,)]
    assert (row.status, row.cancel_requested, row.leaves_quantity) == (OrderStatus.ACKNOWLEDGED, True, 100)


def test_a_canceled_order_leaves_nothing() -> None:
    row = rows_of(ORDERS, (*resting, half, order_canceled))[(ENTRY,)]
    assert (row.status, row.cumulative_quantity, row.leaves_quantity) == (OrderStatus.CANCELED, 40, 0)


def test_entry_and_exit_are_rows_of_their_own() -> None:
    rows = rows_of(ORDERS, (*exiting, exit_filled))
    assert {key: row.purpose for key, row in rows.items()} == {(ENTRY,): Purpose.ENTRY, (EXIT,): Purpose.EXIT}


# --- Positions ---


def test_a_position_is_named_when_its_first_trade_is_opened_and_holds_nothing_yet() -> None:
    row = rows_of(POSITIONS, intended)[POSITION]
    assert (row.symbol, row.net_quantity, row.last_filled_at_ns) == ("RELIANCE", 0, None)


def test_a_position_nets_what_was_bought_and_sold() -> None:
    row = the_row(POSITIONS, *exiting, exit_filled)
    assert (row.net_quantity, row.cost_paise, row.realised_paise) == (0, 0, -5_000_00)
    assert (row.bought_quantity, row.bought_paise) == (100, 285_000_00)
    assert (row.sold_quantity, row.sold_paise) == (100, 280_000_00)
    assert row.realised_on(TODAY) == -5_000_00
    assert row.realised_on(TOMORROW) == 0


def test_a_new_day_begins_with_nothing_realised() -> None:
    tomorrow = replace(exit_filled, trading_day=TOMORROW, realised_paise=7)
    row = the_row(POSITIONS, *exiting, exit_filled, tomorrow)
    assert (row.realised_paise, row.realised_day_paise, row.day) == (-5_000_00 + 7, 7, TOMORROW)


def test_two_products_of_one_instrument_are_two_positions() -> None:
    delivery = replace(trade_opened.entry, product="CNC")
    assert len(rows_of(POSITIONS, (*intended, replace(trade_opened, trade_id=OTHER_TRADE, entry=delivery)))) == 2


# --- Risk ---


def test_an_account_shows_its_limits_in_force() -> None:
    assert the_row(RISK, account_opened).parameters == account_opened.parameters
    assert the_row(RISK, account_opened, limits_changed).parameters == limits_changed.parameters


def test_the_kill_switch_shows_why_until_it_is_released() -> None:
    row = the_row(RISK, account_opened, kill_switch_engaged)
    assert (row.kill_switch_engaged, row.kill_switch_reason) == (True, kill_switch_engaged.reason)
    row = the_row(RISK, account_opened, kill_switch_engaged, kill_switch_released)
    assert (row.kill_switch_engaged, row.kill_switch_reason) == (False, None)


def test_trades_denials_and_results_are_counted_for_the_day_and_in_all() -> None:
    row = the_row(RISK, *exiting, exit_filled, trade_closed, order_denied, order_denied)
    assert (row.trades, row.trades_today, row.open_trades) == (1, 1, ())
    assert (row.realised_paise, row.realised_today_paise) == (-5_000_00, -5_000_00)
    assert row.denials == row.denials_today == {"QUANTITY_ABOVE_LIMIT": 2}


def test_the_days_counts_start_anew_with_the_next_day() -> None:
    loss = replace(order_denied, code=DenialCode.DAY_LOSS_LIMIT_REACHED)
    assert the_row(RISK, *held, loss).day_loss_latched
    next_day = replace(trade_opened, trade_id=OTHER_TRADE, market=market_at(2_850_0000, at_ns=NOW_NS + DAY_NS))
    row = the_row(RISK, *exiting, exit_filled, trade_closed, loss, next_day)
    assert (row.day, row.trades, row.trades_today, row.day_loss_latched) == (TOMORROW, 2, 1, False)
    assert (row.denials, row.denials_today) == ({"DAY_LOSS_LIMIT_REACHED": 1}, {})
    assert (row.realised_paise, row.realised_today_paise) == (-5_000_00, 0)
    assert row.open_trades == (OTHER_TRADE,)


def test_a_view_of_an_account_on_a_later_day_forgets_the_days_counts() -> None:
    row = the_row(RISK, *exiting, exit_filled)
    assert row.on_day(TODAY) is row
    assert row.on_day(TOMORROW).realised_today_paise == 0


def test_a_late_fill_counts_a_closed_trade_as_open_again() -> None:
    row = the_row(RISK, *resting, order_canceled, never_held, replace(half, leaves_quantity=0))
    assert row.open_trades == (TRADE,)
    assert rows_of(RISK, (*held,))[(ACCOUNT,)].open_trades == (TRADE,)


# --- Stops, modifications, levels ---


def test_a_trade_shows_whose_it_is_and_who_holds_its_stop() -> None:
    [opened] = [event for event in WIDENED if isinstance(event, TradeOpened)]
    row = trade(account_opened, opened)
    assert (row.strategy_id, row.basket_id) == (strategys_switch_engaged.strategy_id, BASKET)
    assert (row.protection, row.trailing, row.trigger_price_e4) == (
        ProtectionMode.RESTING,
        trade_changed.trailing,
        2_800_0000,
    )
    assert (trade(*held).strategy_id, trade(*held).protection) == (None, ProtectionMode.ENGINE)


def test_a_denied_intent_shows_what_would_have_passed() -> None:
    assert trade(account_opened, replace(order_denied, passing="a quantity of 99")).denial_passing == "a quantity of 99"


def test_a_stop_guards_what_it_may_fill_once_the_venue_has_it() -> None:
    assert trade(*held, stop_intended).guarded_quantity == 0
    row = trade(*guarded)
    assert ([stop.order_id for stop in row.stops], row.guarded_quantity) == ([STOP], 100)
    part = replace(stop_filled, last_quantity=40, cumulative_quantity=40, leaves_quantity=60)
    assert trade(*guarded, part).guarded_quantity == 60
    assert trade(*guarded, replace(order_expired, order_id=STOP)).guarded_quantity == 0


def test_a_stop_that_was_made_marketable_guards_nothing_any_more() -> None:
    market_order = replace(stop_instruction, order_type=OrderType.MARKET, limit_price_e4=None, trigger_price_e4=None)
    row = trade(*guarded, replace(order_modified, instruction=market_order))
    assert (row.guarded_quantity, len(row.stops)) == (0, 1)


def test_stops_that_are_over_are_forgotten_when_another_is_placed() -> None:
    again = OrderId(f"{TRADE}.5")
    row = trade(*guarded, replace(order_expired, order_id=STOP), replace(stop_intended, order_id=again))
    assert [stop.order_id for stop in row.stops] == [again]


def test_an_entry_in_parts_is_told_by_the_first_that_is_not_over() -> None:
    second = OrderId(f"{TRADE}.2")
    both = (*intended, replace(order_intended, order_id=second))
    assert trade(*both).entry_order_id == ENTRY
    one_rejected = (*both, order_submitting, order_rejected)
    assert trade(*one_rejected).entry_status is OrderStatus.INTENDED
    sent = replace(order_submitting, order_id=second)
    assert trade(*one_rejected, sent).entry_status is OrderStatus.SUBMITTING
    there = replace(order_acknowledged, order_id=second)
    other = replace(order_filled, order_id=second)
    assert trade(*one_rejected, sent, there, other).entry_status is OrderStatus.REJECTED
    assert trade(*both, order_submitting, order_acknowledged, order_filled, sent, there, other).entry_status is (
        OrderStatus.FILLED
    )


def test_a_modified_entry_shows_what_it_is_now() -> None:
    told = replace(entry_instruction, quantity=60, order_type=OrderType.LIMIT, limit_price_e4=2_840_0000)
    row = trade(*resting, OrderModified(order_id=ENTRY, trade_id=TRADE, instruction=told))
    assert (row.quantity, row.order_type, row.limit_price_e4) == (60, OrderType.LIMIT, 2_840_0000)


def test_levels_change_by_hand_and_by_trailing_and_the_changes_are_counted() -> None:
    row = trade(*held, trade_changed)
    assert (row.version, row.stop_loss_e4, row.target_e4, row.trailing) == (2, 2_810_0000, None, trade_changed.trailing)
    row = trade(*held, trade_changed, stop_trailed, stop_trailed)
    assert (row.stop_loss_e4, row.best_price_e4, row.trail_count, row.version) == (2_830_0000, 2_870_0000, 2, 2)


def test_a_lapsed_stop_is_told_until_one_is_placed_again() -> None:
    assert trade(*guarded, protection_lapsed).protection_lost is ProtectionLoss.LAPSED
    assert trade(*guarded, protection_lapsed, stop_intended).protection_lost is None


def test_failed_protection_is_told_with_its_reason_until_somebody_sets_other_levels() -> None:
    row = trade(*guarded, protection_failed)
    assert (row.protection_lost, row.protection_remark) == (ProtectionLoss.FAILED, protection_failed.reason)
    assert trade(*guarded, protection_failed, stop_intended).protection_lost is ProtectionLoss.FAILED
    row = trade(*guarded, protection_failed, trade_changed)
    assert (row.protection_lost, row.protection_remark) == (None, None)


def test_a_reduction_is_told_until_an_exit_is_intended_for_it() -> None:
    asked = (*held, trade_reduction_asked)
    assert (trade(*asked).reduction_quantity, trade(*asked).reduction_cause) == (30, ExitCause.MANUAL)
    part = replace(exit_intended, instruction=replace(exit_instruction, quantity=30))
    assert trade(*asked, part).reduction_quantity == 0
    assert trade(*asked, exit_triggered).reduction_quantity == 0, "all of it is closed now"
    assert trade(*asked, replace(foreign_sale_allocated, last_quantity=90)).reduction_quantity == 10


def test_a_modification_under_way_stands_beside_what_the_venue_has() -> None:
    row = rows_of(ORDERS, (*guarded, order_modify_requested))[(STOP,)]
    assert (row.trigger_price_e4, row.modifications, row.modify_cause) == (2_800_0000, 1, ModifyCause.LEVEL)
    assert row.wanted == order_modify_requested.instruction
    row = rows_of(ORDERS, (*guarded, order_modify_requested, order_modified))[(STOP,)]
    assert (row.trigger_price_e4, row.limit_price_e4, row.wanted) == (2_830_0000, 2_816_0000, None)
    assert row.modified_at_us is not None


def test_a_refused_modification_leaves_the_order_as_it_stood_and_says_why() -> None:
    row = rows_of(ORDERS, (*guarded, order_modify_requested, order_modify_refused))[(STOP,)]
    assert (row.trigger_price_e4, row.wanted, row.remark) == (2_800_0000, None, order_modify_refused.message)
    assert (row.status, row.modifications) == (OrderStatus.ACKNOWLEDGED, 1)
    assert trade(*guarded, order_modify_requested, order_modify_refused).remark == order_modify_refused.message


def test_while_a_modification_is_under_way_the_larger_quantity_may_fill() -> None:
    more = replace(order_modify_requested, instruction=replace(stop_instruction, quantity=130))
    assert rows_of(ORDERS, (*guarded, more))[(STOP,)].leaves_quantity == 130
    less = replace(order_modify_requested, instruction=replace(stop_instruction, quantity=30))
    assert rows_of(ORDERS, (*guarded, less))[(STOP,)].leaves_quantity == 100


# --- From outside ---


def test_what_came_from_outside_is_an_external_trade_and_a_position() -> None:
    row = rows_of(TRADES, (account_opened, *adopted))[(EXTERNAL_TRADE,)]
    assert (row.is_external, row.user_id, row.order_type, row.status) == (True, None, None, TradeStatus.OPEN)
    assert (row.net_quantity, row.cost_paise, row.entry_quantity, row.entry_paise) == (50, 75_000_00, 50, 75_000_00)
    position = the_row(POSITIONS, account_opened, *adopted)
    assert (position.symbol, position.net_quantity, position.holdings) == ("INFY", 50, {EXTERNAL_TRADE: 50})
    assert the_row(RISK, account_opened, *adopted).open_trades == (EXTERNAL_TRADE,)


def test_a_foreign_sale_takes_from_the_trade_that_it_fell_to() -> None:
    row = trade(*held, foreign_sale_allocated)
    assert (row.net_quantity, row.cost_paise, row.realised_paise) == (60, 171_000_00, 400_00)
    assert (row.exit_quantity, row.exit_paise, row.status) == (40, 114_400_00, TradeStatus.OPEN)
    position = the_row(POSITIONS, *held, foreign_sale_allocated)
    assert (position.net_quantity, position.sold_quantity, position.holdings) == (60, 40, {TRADE: 60})
    risk = the_row(RISK, *held, foreign_sale_allocated)
    assert (risk.realised_paise, risk.peak_net_paise) == (400_00, 400_00)


def test_a_split_changes_quantity_and_levels_and_leaves_the_cost() -> None:
    row = trade(*held, stop_trailed, corporate_action_applied)
    assert (row.net_quantity, row.cost_paise, row.stop_loss_e4, row.target_e4) == (
        200,
        285_000_00,
        1_400_0000,
        1_450_0000,
    )
    assert row.best_price_e4 == 1_435_0000
    position = the_row(POSITIONS, *held, corporate_action_applied)
    assert (position.net_quantity, position.adjusted_quantity, position.cost_paise) == (200, 100, 285_000_00)
    assert the_row(RISK, *held, corporate_action_applied).corporate_actions == 1


def test_a_split_concerns_every_product_of_the_instrument_and_no_trade_of_another() -> None:
    delivery = replace(trade_opened, trade_id=OTHER_TRADE, entry=replace(entry_instruction, product=Product.CNC))
    bought = replace(order_filled, trade_id=OTHER_TRADE, product=Product.CNC)
    both = replace(
        corporate_action_applied,
        trades=(*corporate_action_applied.trades, replace(corporate_action_applied.trades[0], trade_id=OTHER_TRADE)),
    )
    rows = rows_of(POSITIONS, (*held, delivery, bought, *adopted, both))
    assert {(row.symbol, row.product): row.net_quantity for row in rows.values()} == {
        ("RELIANCE", Product.INTRADAY): 200,
        ("RELIANCE", Product.CNC): 200,
        ("INFY", Product.CNC): 50,
    }


# --- Switches, breaches, cash, baskets ---


def test_switches_are_kept_by_scope_and_mode() -> None:
    both = (account_opened, strategys_switch_engaged, kill_switch_engaged)
    row = the_row(RISK, *both)
    assert [(each.strategy_id, each.mode) for each in row.kill_switches] == [
        (None, KillMode.HALT),
        (strategys_switch_engaged.strategy_id, KillMode.FLATTEN),
    ]
    row = the_row(RISK, *both, kill_switch_released)
    assert (row.kill_switch_engaged, len(row.kill_switches)) == (False, 1)
    assert the_row(RISK, account_opened, strategys_switch_engaged).kill_switch_engaged is False
    assert the_row(RISK, *both, strategys_switch_released).kill_switch_reason == kill_switch_engaged.reason


def test_what_a_flattening_left_open_is_told_until_the_switch_is_engaged_anew() -> None:
    row = the_row(RISK, account_opened, strategys_switch_engaged, flatten_finished)
    assert [(each.strategy_id, each.remaining) for each in row.flattened] == [(flatten_finished.strategy_id, (TRADE,))]
    assert (
        the_row(RISK, account_opened, strategys_switch_engaged, flatten_finished, strategys_switch_engaged).flattened
        == ()
    )


def test_a_breach_blocks_until_it_is_released_or_the_day_is_over() -> None:
    row = the_row(RISK, account_opened, risk_breached)
    assert (row.day_loss_latched, row.breaches, row.day) == (True, {"day_loss": 1}, TODAY)
    assert [(each.kind, each.value_paise, each.released_by) for each in row.breaches_today] == [
        (BreachKind.DAY_LOSS, 50_125_50, None)
    ]
    row = the_row(RISK, account_opened, risk_breached, risk_breach_released)
    assert (row.latched, row.breaches_today[0].released_by, row.breaches_today[0].release_reason) == (
        (),
        OWNER,
        risk_breach_released.reason,
    )
    row = the_row(RISK, account_opened, risk_breached).on_day(TOMORROW)
    assert (row.latched, row.breaches_today, row.breaches) == ((), (), {"day_loss": 1})


def test_what_is_broken_is_shown_with_its_sequence_until_it_is_released() -> None:
    overnight = the_row(RISK, account_opened, invariant_breached).on_day(TOMORROW)
    [broken] = overnight.broken
    assert (broken.invariant, broken.subject, broken.is_prevented) == (
        invariant_breached.invariant,
        invariant_breached.subject,
        False,
    )
    # The breach lies at version and sequence 2 of this log, and says that an event at version 12 broke it.
    assert broken.breached_sequence - 2 == invariant_breached.version - 2
    assert the_row(RISK, account_opened, invariant_breached, invariant_released).broken == ()


def test_cash_that_moved_and_intents_that_were_suppressed_add_up() -> None:
    row = the_row(RISK, account_opened, cash_moved, cash_moved, intents_suppressed, intents_suppressed)
    assert (row.cash_moved_paise, row.suppressed, row.suppressed_today) == (-20_000_00, 8_364, 8_364)
    assert row.on_day("2026-11-23").suppressed_today == 0
    moves = rows_of(CASH_MOVES, (account_opened, cash_moved))
    assert [(each.amount_paise, each.reason, each.day) for each in moves.values()] == [
        (-10_000_00, "school fees", TODAY)
    ]


def test_the_newest_note_of_a_day_is_shown_with_its_remarkable_orders() -> None:
    plain = replace(contract_note_received.orders[0], match=Match.BOTH, unexplained_e4=0)
    first = replace(contract_note_received, orders=(plain, *contract_note_received.orders))
    row = the_row(CONTRACT_NOTES, account_opened, first)
    assert (row.day, row.number, row.order_count, row.orders) == (TODAY, 1, 2, contract_note_received.orders)
    assert (row.ours_e4, row.theirs_e4, row.unexplained_e4) == (91_2500, 93_0000, 2_0000)
    parts = [replace(first, number=2, part=part, part_count=2, lines=first.lines[:1]) for part in (1, 2)]
    again = the_row(CONTRACT_NOTES, account_opened, first, *parts)
    assert (again.number, again.order_count, len(again.orders), again.lines) == (2, 4, 2, first.lines[:1])
    assert (again.first_sequence, again.sequence) == (row.first_sequence, row.sequence + 2)
    tomorrow = replace(contract_note_received, trading_day=TOMORROW)
    days = rows_of(CONTRACT_NOTES, (account_opened, contract_note_received, tomorrow)).values()
    assert [each.day for each in days] == [TODAY, TOMORROW]


def test_a_basket_is_shown_until_it_is_complete_or_has_failed() -> None:
    opened = (account_opened, trade_opened, basket_opened)
    assert [each.basket_id for each in the_row(RISK, *opened).baskets] == [BASKET]
    row = the_row(RISK, *opened, basket_completed)
    assert (row.baskets, row.baskets_completed, row.baskets_failed) == ((), 1, 0)
    row = the_row(RISK, *opened, basket_failed)
    assert (row.baskets, row.baskets_completed, row.baskets_failed) == ((), 0, 1)
    goes_on = replace(basket_failed, policy=BasketPolicy.CONTINUE)
    row = the_row(RISK, *opened, goes_on)
    assert row.baskets[0].failed == (OTHER_TRADE,)
    assert the_row(RISK, *opened, goes_on, never_held).baskets == (), "its trades are over"


# --- Days and limits ---


def test_a_day_tells_what_it_brought_and_what_it_changed_in_what_is_held() -> None:
    row = the_row(DAILY_RESULTS, *held, foreign_sale_allocated)
    assert (row.day, row.security_id, row.fill_count) == (TODAY, "2885", 2)
    assert (row.realised_paise, row.quantity_change, row.cost_change_paise) == (400_00, 60, 171_000_00)
    assert (row.bought_paise, row.sold_paise) == (285_000_00, 114_400_00)
    row = the_row(DAILY_RESULTS, *held, corporate_action_applied)
    assert (row.adjusted_to, row.quantity_change) == (200, 0)


def test_limits_are_kept_with_their_time_and_who_set_them() -> None:
    said = msgspec.json.encode(Metadata(actor=OWNER, source="api"))
    rows = [
        LIMIT_CHANGES.apply(decode(each.name, each.payload), replace(each, metadata=said), None)
        for each in log_of((account_opened, limits_changed))
    ]
    assert [(row.sequence, row.parameters, row.changed_by, row.source) for row in rows if row is not None] == [
        (1, account_opened.parameters, OWNER, "api"),
        (2, limits_changed.parameters, OWNER, "api"),
    ]


# --- Users, and all of them ---


def test_a_user_is_found_with_sealed_fields_and_their_account() -> None:
    row = the_row(USERS, user_registered)
    assert (row.user_id, row.account_id) == (OWNER, ACCOUNT)
    assert (row.email_nonce, row.email_ciphertext) == (user_registered.email.nonce, user_registered.email.ciphertext)


def test_of_an_erased_user_the_account_stays_and_the_sealed_fields_are_empty() -> None:
    row = the_row(USERS, user_registered, user_erased)
    assert (row.user_id, row.account_id) == (OWNER, ACCOUNT)
    assert (row.email_nonce, row.email_ciphertext, row.name_nonce, row.name_ciphertext) == (b"", b"", b"", b"")
    assert row.sequence == 2


@pytest.mark.parametrize(
    ("model", "event"),
    [(TRADES, order_filled), (ORDERS, order_acknowledged), (POSITIONS, order_filled), (RISK, half)],
)
def test_an_event_without_what_came_before_is_refused_by_the_fold(model: AnyReadModel, event: Event) -> None:
    with pytest.raises(RowMissing):
        rows_of(model, (event,))


# --- Strategies, backtests, audit ---


def test_a_strategy_shows_its_revision_and_where_it_trades() -> None:
    row = the_row(STRATEGIES, strategy_drafted, strategy_backtested, strategy_on_paper, strategy_live)
    assert (row.status, row.revision, row.backtest_id) == (StrategyStatus.LIVE, 1, BACKTEST)
    assert (row.account_id, row.mode) == (ACCOUNT, strategy_live.mode)
    assert (row.source_hash, row.parameters) == (strategy_drafted.source_hash, strategy_drafted.parameters)


def test_a_paused_strategy_shows_why_until_it_is_resumed() -> None:
    paused = (strategy_drafted, strategy_backtested, strategy_on_paper, strategy_paused)
    row = the_row(STRATEGIES, *paused)
    assert (row.status, row.resumes_as) == (StrategyStatus.PAUSED, StrategyStatus.PAPER)
    assert row.paused_reason == strategy_paused.reason
    row = the_row(STRATEGIES, *paused, strategy_resumed)
    assert (row.status, row.paused_reason) == (StrategyStatus.PAPER, None)


def test_a_revision_forgets_what_was_proven_of_the_one_before() -> None:
    row = the_row(
        STRATEGIES, strategy_drafted, strategy_backtested, strategy_on_paper, strategy_paused, strategy_revised
    )
    assert (row.status, row.revision) == (StrategyStatus.DRAFT, 2)
    assert (row.backtest_id, row.account_id, row.mode, row.paused_reason) == (None, None, None, None)


def test_a_backtest_shows_its_figures_or_its_failure() -> None:
    row = the_row(BACKTESTS, backtest_requested, backtest_completed)
    assert (row.status, row.figures) == (BacktestStatus.COMPLETED, backtest_completed.figures)
    assert (row.result_paise, row.final_hash) == (figures.result_paise, backtest_completed.final_hash)
    row = the_row(BACKTESTS, backtest_requested, backtest_failed)
    assert (row.status, row.figures, row.failure) == (BacktestStatus.FAILED, None, backtest_failed.reason)


def test_the_audit_trail_says_who_asked_from_where_and_why() -> None:
    said = Metadata(actor=OWNER, source="api", correlation_id="req_1", causation_id="cmd_0", received_at_ns=NOW_NS)
    [recorded] = log_of([order_intended])
    recorded = replace(recorded, metadata=msgspec.json.encode(said))
    rows: dict[Key, AuditTrailRow | None] = {}
    fold(AUDIT_TRAIL, [(order_intended, recorded)], rows)
    [row] = rows.values()
    assert row is not None
    assert (row.name, row.account_id, row.user_id) == ("order.intended.v1", ACCOUNT, None)
    assert (row.trade_id, row.order_id) == (TRADE, ENTRY)
    assert (row.actor, row.source, row.correlation_id, row.causation_id) == (OWNER, "api", "req_1", "cmd_0")
    assert (row.command_id, row.received_at_ns) == (recorded.command_id, NOW_NS)


def test_what_is_no_accounts_is_shown_to_its_user() -> None:
    [recorded] = recorded_log([(f"strategy-{strategy_drafted.strategy_id}", strategy_drafted)])
    row = AUDIT_TRAIL.apply(strategy_drafted, recorded, None)
    assert row is not None
    assert (row.account_id, row.user_id, row.actor) == (None, OWNER, None)


def test_the_audit_trail_has_a_row_for_every_event_and_no_personal_data() -> None:
    rows = rows_of(AUDIT_TRAIL, EVERY_EVENT)
    assert [int(key) for (key,) in rows] == list(range(1, len(EVERY_EVENT) + 1))
    shown = b"".join(msgspec.json.encode(row) for row in rows.values())
    for secret in (b"sealed", b"dog ate the router", b"Opening range", b"results next week"):
        assert secret not in shown


@pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
def test_every_event_is_taken_in_and_marks_its_row(model: AnyReadModel) -> None:
    events: tuple[Event, ...] = (
        account_opened, trade_opened, order_intended, exit_intended, stop_intended, *EVERY_EVENT,
    )  # fmt: skip
    log = log_of(events)
    rows: dict[Key, Any] = {}
    for recorded, event in zip(log, events, strict=True):
        for key in model.keys_of(event, recorded):
            row = model.apply(event, recorded, rows.get(key))
            if model.fresh and row is rows.get(key):
                continue  # A row of what happens rarely stays as it was, or never comes to be.
            if row is None:
                assert type(event) in model.several, "an event that names one row has it"
                continue
            rows[key] = row
            assert model.key_of_row(row) == key
            assert row.sequence == recorded.sequence
    assert rows


@pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
def test_every_row_names_who_may_see_it(model: AnyReadModel) -> None:
    assert model.security
    assert {security.column for security in model.security} <= set(model.row.__struct_fields__)
    assert model.key == tuple(column.name for column in model.table.primary_key)


def test_every_event_of_an_order_says_what_becomes_of_it() -> None:
    assert set(STATUS_AFTER) == set(get_args(OrderEvent))
