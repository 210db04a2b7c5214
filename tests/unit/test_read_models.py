"""What each read model shows after which events."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

import msgspec
import pytest
from msgspec.structs import replace

from domain.account.events import AccountEvent, ExitCause
from domain.backtest.decide import BacktestStatus
from domain.envelope import Metadata, RecordedEvent
from domain.events import Event, decode
from domain.order import OrderStatus, Purpose, Side
from domain.risk import DenialCode
from domain.strategy.life import StrategyStatus
from projections.audit_trail import AUDIT_TRAIL, AuditTrailRow
from projections.backtests import BACKTESTS
from projections.catalogue import READ_MODELS
from projections.order_status import STATUS_AFTER, OrderEvent
from projections.orders import ORDERS
from projections.positions import POSITIONS
from projections.read_model import AnyReadModel, Key, ReadModel, RowMissing, fold
from projections.risk import RISK
from projections.strategies import STRATEGIES
from projections.trades import TRADES, TradeRow, TradeStatus
from projections.users import USERS
from tests.support.log_writing import recorded_log
from tests.support.specimens import (
    ACCOUNT,
    BACKTEST,
    DAY_NS,
    ENTRY,
    EVERY_EVENT,
    EXIT,
    NOW_NS,
    OTHER_TRADE,
    OWNER,
    TODAY,
    TRADE,
    VENUE_ENTRY,
    account_opened,
    backtest_completed,
    backtest_failed,
    backtest_requested,
    exit_filled,
    exit_intended,
    exiting,
    figures,
    held,
    intended,
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
    order_not_sent,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_submitting,
    resting,
    strategy_backtested,
    strategy_drafted,
    strategy_live,
    strategy_on_paper,
    strategy_paused,
    strategy_resumed,
    strategy_revised,
    submitting,
    trade_closed,
    trade_opened,
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


def test_what_the_venue_said_stays_to_be_read() -> None:
    assert trade(*submitting, order_rejected).remark == "Insufficient funds"
    assert trade(*submitting, order_outcome_unknown, order_found).remark == "no answer within 5 s"


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
    events: tuple[Event, ...] = (account_opened, trade_opened, order_intended, exit_intended, *EVERY_EVENT)
    log = log_of(events)
    rows: dict[Key, Any] = {}
    for recorded, event in zip(log, events, strict=True):
        key = model.key_of(event, recorded)
        if key is not None:
            rows[key] = row = model.apply(event, recorded, rows.get(key))
            assert row is not None
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
