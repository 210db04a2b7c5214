"""What the read models of alerts show after which events."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from domain.account.events import Evidence
from domain.envelope import RecordedEvent
from domain.events import Event, decode
from projections.alerts import ALERTS, AlertCode, AlertRow
from projections.order_doubts import ORDER_DOUBTS
from projections.read_model import Key, ReadModel, RowMissing, fold
from tests.support.log_writing import recorded_log
from tests.support.specimens import (
    ACCOUNT,
    ENTRY,
    STOP,
    TRADE,
    difference_closed,
    difference_found,
    exit_intended,
    flatten_finished,
    guarded,
    held,
    invariant_breached,
    invariant_released,
    kill_switch_engaged,
    kill_switch_released,
    never_held,
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
    preopen_checked,
    protection_failed,
    protection_lapsed,
    resting,
    stop_intended,
    strategys_switch_engaged,
    strategys_switch_released,
    submitting,
    trade_changed,
    trade_closed,
)

SWITCH, OF_STRATEGY = f"switch:{ACCOUNT}:", f"switch:{ACCOUNT}:{strategys_switch_engaged.strategy_id}"
half = replace(order_filled, last_quantity=40, cumulative_quantity=40, leaves_quantity=60)
other_half = replace(order_filled, last_quantity=60, cumulative_quantity=100, leaves_quantity=0)


def log_of(events: Sequence[Event]) -> list[RecordedEvent]:
    return recorded_log((f"account-{ACCOUNT}", event) for event in events)


def alerts_of(model: ReadModel[AlertRow], *events: Event) -> dict[str, AlertRow]:
    rows: dict[Key, AlertRow | None] = {}
    fold(model, ((decode(each.name, each.payload), each) for each in log_of(events)), rows)
    return {key[0]: row for key, row in rows.items() if row is not None}


def doubt_of(*events: Event) -> AlertRow:
    [row] = alerts_of(ORDER_DOUBTS, *events).values()
    return row


# --- Orders in doubt --------------------------------------------------------------------------------------------------


def test_an_order_whose_outcome_is_unknown_is_in_doubt_since_then() -> None:
    log = log_of((*submitting, order_outcome_unknown))
    row = doubt_of(*submitting, order_outcome_unknown)
    assert (row.alert_id, row.account_id, row.code) == (ENTRY, ACCOUNT, AlertCode.ORDER_UNKNOWN)
    assert (row.order_id, row.trade_id, row.detail) == (ENTRY, TRADE, "no answer within 5 s")
    assert (row.is_open, row.since_us, row.until_us) == (True, log[-1].recorded_at_us, None)
    assert (row.began_sequence, row.sequence) == (log[-1].sequence, log[-1].sequence)
    assert (row.lookups, row.presumed_absent_at_us) == (None, None)


def test_one_that_was_looked_for_in_vain_says_so_and_goes_on() -> None:
    log = log_of((*submitting, order_outcome_unknown, order_presumed_absent))
    row = doubt_of(*submitting, order_outcome_unknown, order_presumed_absent)
    assert (row.code, row.is_open) == (AlertCode.ORDER_PRESUMED_ABSENT, True)
    assert (row.lookups, row.presumed_absent_at_us) == (6, log[-1].recorded_at_us)
    assert (row.since_us, row.began_sequence) == (log[-2].recorded_at_us, log[-2].sequence)


@pytest.mark.parametrize(
    "word",
    [
        order_found,
        order_acknowledged,
        order_rejected,
        order_filled,
        half,
        order_resolved_absent,
        order_resolved_at_broker,
        replace(order_expired, evidence=Evidence.DAY_END),
    ],
    ids=["found", "answered", "rejected", "filled", "part", "absent", "at broker", "day over"],
)
@pytest.mark.parametrize("presumed", [(), (order_presumed_absent,)], ids=["unknown", "presumed absent"])
def test_any_word_ends_it(word: Event, presumed: tuple[Event, ...]) -> None:
    row = doubt_of(*submitting, order_outcome_unknown, *presumed, word)
    assert not row.is_open
    assert row.until_us == log_of((*submitting, order_outcome_unknown, *presumed, word))[-1].recorded_at_us


def test_what_comes_after_the_first_word_does_not_move_its_end() -> None:
    first = doubt_of(*submitting, order_outcome_unknown, order_found)
    later = doubt_of(*submitting, order_outcome_unknown, order_found, half, other_half, order_canceled)
    assert later == first


def test_what_is_asked_of_an_order_in_doubt_ends_nothing() -> None:
    assert doubt_of(*submitting, order_outcome_unknown, order_cancel_requested).is_open


def test_an_operators_word_that_was_not_borne_out_begins_the_doubt_anew() -> None:
    said = (order_resolved_at_broker, replace(order_found, evidence=Evidence.OPERATOR))
    again = replace(order_outcome_unknown, cause="the broker's book shows another order")
    events = (*submitting, order_outcome_unknown, order_presumed_absent, *said, again)
    row = doubt_of(*events)
    assert (row.code, row.is_open, row.detail) == (AlertCode.ORDER_UNKNOWN, True, again.cause)
    assert (row.since_us, row.lookups) == (log_of(events)[-1].recorded_at_us, None)


def test_an_order_of_which_it_is_known_has_no_row() -> None:
    assert alerts_of(ORDER_DOUBTS, *held, exit_intended) == {}


def test_an_order_that_was_never_unknown_is_not_presumed_absent() -> None:
    with pytest.raises(RowMissing):
        alerts_of(ORDER_DOUBTS, *submitting, order_presumed_absent)


# --- Protection -------------------------------------------------------------------------------------------------------


def test_a_stop_that_lapsed_is_an_alert_until_the_next_one_is_intended() -> None:
    lapsed = alerts_of(ALERTS, *guarded, protection_lapsed)[f"protection:{TRADE}"]
    assert (lapsed.code, lapsed.trade_id, lapsed.is_open) == (AlertCode.PROTECTION_LAPSED, TRADE, True)
    assert (lapsed.order_id, lapsed.detail) == (protection_lapsed.order_id, None)
    another = replace(stop_intended, order_id=STOP + "1")
    assert not alerts_of(ALERTS, *guarded, protection_lapsed, another)[f"protection:{TRADE}"].is_open
    assert alerts_of(ALERTS, *guarded, protection_lapsed, exit_intended)[f"protection:{TRADE}"].is_open


def test_a_stop_that_failed_is_an_alert_until_somebody_sets_other_levels() -> None:
    failed = alerts_of(ALERTS, *guarded, protection_failed)[f"protection:{TRADE}"]
    assert (failed.code, failed.detail, failed.is_open) == (AlertCode.PROTECTION_FAILED, protection_failed.reason, True)
    another = replace(stop_intended, order_id=STOP + "1")
    assert alerts_of(ALERTS, *guarded, protection_failed, another)[f"protection:{TRADE}"].is_open
    assert not alerts_of(ALERTS, *guarded, protection_failed, trade_changed)[f"protection:{TRADE}"].is_open


def test_one_that_lapses_and_then_fails_is_one_alert_since_it_lapsed() -> None:
    events = (*guarded, protection_lapsed, protection_failed)
    row = alerts_of(ALERTS, *events)[f"protection:{TRADE}"]
    assert row.code is AlertCode.PROTECTION_FAILED
    assert (row.began_sequence, row.sequence) == (len(guarded) + 1, len(guarded) + 2)
    assert alerts_of(ALERTS, *guarded, protection_lapsed, trade_changed)[f"protection:{TRADE}"].is_open


@pytest.mark.parametrize("lost", [protection_lapsed, protection_failed], ids=["lapsed", "failed"])
def test_a_trade_that_is_closed_needs_no_stop(lost: Event) -> None:
    assert not alerts_of(ALERTS, *guarded, lost, trade_closed)[f"protection:{TRADE}"].is_open


def test_a_trade_that_was_always_guarded_has_no_row() -> None:
    assert alerts_of(ALERTS, *guarded, trade_changed, trade_closed) == {}
    assert alerts_of(ALERTS, *resting, order_canceled, never_held) == {}


# --- Switches ---------------------------------------------------------------------------------------------------------


def test_a_kill_switch_is_an_alert_until_it_is_released_each_scope_for_itself() -> None:
    both = (*held, kill_switch_engaged, strategys_switch_engaged)
    rows = alerts_of(ALERTS, *both, kill_switch_released)
    assert {name: row.is_open for name, row in rows.items()} == {SWITCH: False, OF_STRATEGY: True}
    assert rows[OF_STRATEGY].strategy_id == strategys_switch_engaged.strategy_id
    assert rows[OF_STRATEGY].detail == strategys_switch_engaged.reason
    assert rows[SWITCH].code is AlertCode.KILL_SWITCH_ENGAGED


def test_a_switch_that_left_something_says_what() -> None:
    row = alerts_of(ALERTS, *held, strategys_switch_engaged, flatten_finished)[OF_STRATEGY]
    assert (row.code, row.trade_ids, row.is_open) == (AlertCode.FLATTEN_INCOMPLETE, (TRADE,), True)
    over = alerts_of(ALERTS, *held, strategys_switch_engaged, flatten_finished, strategys_switch_released)
    assert not over[OF_STRATEGY].is_open
    flat = replace(flatten_finished, remaining=())
    row = alerts_of(ALERTS, *held, strategys_switch_engaged, flat)[OF_STRATEGY]
    assert (row.code, row.trade_ids) == (AlertCode.KILL_SWITCH_ENGAGED, ())


def test_a_breach_of_an_invariant_is_an_alert_until_it_is_released() -> None:
    name = f"invariant:{ACCOUNT}:{invariant_breached.invariant.value}"
    row = alerts_of(ALERTS, *held, invariant_breached)[name]
    assert (row.code, row.trade_ids, row.is_open) == (AlertCode.INVARIANT_BREACHED, (TRADE,), True)
    told = "expected exits and stops for 100 units at most, seen 150 that live ones may fill"
    assert row.detail == f"exits_above_holding of {TRADE}: {told}"
    assert not alerts_of(ALERTS, *held, invariant_breached, invariant_released)[name].is_open


@pytest.mark.parametrize(("gates", "code"), [(True, AlertCode.BOOKS_DISAGREE), (False, AlertCode.BOOKS_DIFFER)])
def test_a_difference_of_the_books_is_an_alert_until_it_is_closed(*, gates: bool, code: AlertCode) -> None:
    found = replace(difference_found, gates=gates)
    row = alerts_of(ALERTS, *held, found)[found.difference_id]
    assert (row.code, row.is_open) == (code, True)
    assert row.detail == f"position_larger of RELIANCE: ours 100, the broker's 110. {found.cause}"
    again = replace(found, theirs="120")
    row = alerts_of(ALERTS, *held, found, again)[found.difference_id]
    assert (row.began_sequence, row.sequence) == (len(held) + 1, len(held) + 2)
    assert "the broker's 120" in str(row.detail)
    assert not alerts_of(ALERTS, *held, found, again, difference_closed)[found.difference_id].is_open


def test_a_check_before_the_opening_is_an_alert_while_a_point_fails() -> None:
    name = f"preopen:{ACCOUNT}"
    row = alerts_of(ALERTS, *held, preopen_checked)[name]
    assert (row.code, row.is_open) == (AlertCode.PREOPEN_CHECK_FAILING, True)
    assert row.detail == (
        "funds: 0.00 rupees for new orders. Bring money to the broker: entries will be refused. Exits are not."
    )
    same_day = replace(preopen_checked, number=2)
    assert alerts_of(ALERTS, *held, preopen_checked, same_day)[name].began_sequence == len(held) + 1
    next_day = replace(preopen_checked, trading_day="2026-11-23")
    assert alerts_of(ALERTS, *held, preopen_checked, next_day)[name].began_sequence == len(held) + 2
    well = replace(same_day, points=preopen_checked.points[:1])
    assert not alerts_of(ALERTS, *held, preopen_checked, well)[name].is_open
    assert name not in alerts_of(ALERTS, *held, well)


def test_what_is_engaged_anew_is_an_alert_since_then() -> None:
    events = (*held, kill_switch_engaged, kill_switch_released, kill_switch_engaged)
    row = alerts_of(ALERTS, *events)[SWITCH]
    assert (row.is_open, row.began_sequence) == (True, len(events))
