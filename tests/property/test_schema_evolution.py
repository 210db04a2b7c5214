"""A log that an earlier release wrote means the same today: state, read models and process managers."""

from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from commands.accounts import stream_of
from commands.open_orders import OpenOrders
from domain.account import decider
from domain.account.events import AccountEvent, Evidence, OrderFilled, OrderNotSent, OrderRejected
from domain.account.past_events import OrderNotSentV1, OrderRejectedV1, not_sent_v2, rejected_v2
from domain.envelope import RecordedEvent
from domain.events import decode, encode, name_of
from domain.ids import VenueFillId, joined_fill_id, split_fill_id
from domain.order import NotSentReason, RefusalReason
from projections.audit_trail import AUDIT_TRAIL
from projections.batches import read_batch
from projections.catalogue import READ_MODELS
from projections.read_model import AnyReadModel, Key, fold
from tests.support.lives import Life
from tests.support.log_writing import recorded_log
from tests.support.specimens import ACCOUNT, begin, exiting, intended, not_sent, order_not_sent, order_rejected

lives = st.builds(
    lambda random, commands: Life(random).go_on(commands),
    st.randoms(use_true_random=False),
    st.integers(min_value=0, max_value=60),
)


def as_first_written(event: AccountEvent) -> tuple[str, bytes]:
    """Return name and payload that the first release would have stored for *event*."""
    fields: dict[str, Any] = msgspec.json.decode(encode(event))
    match event:
        case OrderFilled():
            for name in ("venue_segment", "venue_trade_number", "venue_order_id"):
                del fields[name]
            fields["venue_fill_id"] = event.venue_fill_id
        case OrderRejected():
            if fields.pop("evidence") != Evidence.ANSWER:
                fields["reason"] = "venue"
        case OrderNotSent():
            del fields["reason"]
            fields["cause"] = fields.pop("detail")
        case _:
            return name_of(event), encode(event)
    fields["type"] = name_of(event).replace(".v2", ".v1")
    return fields["type"], msgspec.json.encode(fields)


def log_of(events: Iterable[AccountEvent], *, is_old: bool) -> list[RecordedEvent]:
    log = recorded_log((stream_of(ACCOUNT), event) for event in events)
    if not is_old:
        return log
    return [
        replace(recorded, name=name, payload=payload)
        for recorded, (name, payload) in zip(log, map(as_first_written, events), strict=True)
    ]


def rows_of(model: AnyReadModel, log: list[RecordedEvent]) -> dict[Key, Any]:
    rows: dict[Key, Any] = {}
    reading = read_batch(log)
    assert reading.obstacle is None
    fold(model, ((each.event, each.recorded) for each in reading.decoded if each.event is not None), rows)
    return rows


@settings(max_examples=40, deadline=None)
@given(life=lives)
def test_a_log_of_the_first_release_leads_where_its_twin_of_today_leads(life: Life) -> None:
    events = [*life.events]
    old, new = (log_of(events, is_old=is_old) for is_old in (True, False))
    assert [decode(each.name, each.payload) for each in old] == events
    assert decider.fold(decode(each.name, each.payload) for each in old) == decider.fold(events)  # type: ignore[misc]
    for model in READ_MODELS:
        if model is not AUDIT_TRAIL:
            assert rows_of(model, old) == rows_of(model, new)
    # The audit trail says under which name an event was stored, and differs in nothing else.
    trail_old, trail_new = rows_of(AUDIT_TRAIL, old), rows_of(AUDIT_TRAIL, new)
    assert {key: replace(row, name=trail_new[key].name) for key, row in trail_old.items()} == trail_new
    assert [row.name for row in trail_old.values()] == [each.name for each in old]
    orders_old, orders_new = OpenOrders(), OpenOrders()
    for one, other in zip(old, new, strict=True):
        orders_old.apply(one)
        orders_new.apply(other)
    assert orders_old.open() == orders_new.open()


def test_the_twins_differ_in_what_is_stored() -> None:
    life = Life(Random(7)).go_on(80)  # noqa: S311 - no secret
    old, new = (log_of(life.events, is_old=is_old) for is_old in (True, False))
    moved = {one.name for one, other in zip(old, new, strict=True) if one.name != other.name}
    assert moved >= {"order.filled.v1", "order.rejected.v1"}


def test_a_decision_on_an_old_log_is_the_decision_of_today() -> None:
    history = (*intended, *decider.decide(begin, decider.fold(intended)))
    for is_old in (True, False):
        log = log_of((*history, order_not_sent), is_old=is_old)
        state = decider.fold(decode(each.name, each.payload) for each in log)  # type: ignore[misc]
        assert decider.decide(not_sent, state) == ()
        assert list(decider.decide(begin, state)) == [history[-1]]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("the sender's lease ran out", NotSentReason.LEASE_LOST),
        ("breaker entries is open, retry after 1.250 s", NotSentReason.BREAKER_OPEN),
        ("no token: log-in of client 7: HTTP 500", NotSentReason.HELD_BACK),
        ("budget", NotSentReason.HELD_BACK),
        ("ConnectError", NotSentReason.TRANSPORT),
        ("", NotSentReason.TRANSPORT),
    ],
)
def test_the_reason_is_read_from_the_texts_of_the_first_release(cause: str, reason: NotSentReason) -> None:
    old = OrderNotSentV1(order_id=order_not_sent.order_id, trade_id=order_not_sent.trade_id, cause=cause)
    assert not_sent_v2(old) == replace(order_not_sent, reason=reason, detail=cause)


@pytest.mark.parametrize("word", ["venue", "something else"])
def test_a_rejection_without_a_reason_of_ours_came_from_the_books(word: str) -> None:
    old = OrderRejectedV1(
        order_id=order_rejected.order_id,
        trade_id=order_rejected.trade_id,
        venue_order_id=None,
        reason=word,
        message="m",
    )
    assert rejected_v2(old) == replace(
        order_rejected, reason=RefusalReason.OTHER, message="m", evidence=Evidence.ORDER_BOOK
    )


@given(st.text(alphabet="aN_:0", max_size=12).map(VenueFillId))
def test_splitting_a_fill_id_loses_nothing(fill_id: VenueFillId) -> None:
    assert joined_fill_id(*split_fill_id(fill_id)) == fill_id


def test_what_may_be_passed_over_is_passed_over_by_read_models_and_states() -> None:
    log = log_of(exiting, is_old=False)
    remark = replace(log[3], name="trade.annotated.v1.ignorable", payload=b"of a later release")
    reading = read_batch([*log[:3], remark, *log[4:]])
    assert reading.obstacle is None
    assert [each.event for each in reading.decoded] == [*exiting[:3], None, *exiting[4:]]
    stopped = read_batch([*log[:3], replace(remark, name="trade.annotated.v1"), *log[4:]])
    assert stopped.obstacle is not None
    assert stopped.obstacle.startswith("UPGRADE_NEEDED")
    assert len(stopped.decoded) == 3
