"""Frames of the order-update socket: read as what they are, whatever their spelling."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.dhan.access.tokens import session_of
from adapters.dhan.secret import Secret
from adapters.dhan.streams.update_codec import login_message, order_update_of
from adapters.dhan.words.codec import AnswerMalformed
from commands.ports import OrderUpdate
from domain.ids import CorrelationId, VenueOrderId
from domain.order import OrderStatus

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dhan_api" / "order_updates_ws.jsonl"
DATA: dict[str, Any] = {
    "orderNo": "112261001700",
    "correlationId": "Ab1aaaaaaaaaaaaaaaaaaaa9Z",
    "status": "Pending",
    "quantity": 5,
    "price": 3000.5,
}
"""What is told of a good order: a test changes the field that matters."""


def read(**changes: Any) -> OrderUpdate | None:
    return order_update_of(json.dumps({"Type": "order_alert", "Data": {**DATA, **changes}}))


def status_of(**changes: Any) -> OrderStatus | None:
    update = read(**changes)
    assert update is not None
    return update.status


def test_an_update_names_the_order_and_what_has_become_of_it() -> None:
    assert read(status="Traded", tradedQty=5) == OrderUpdate(
        venue_order_id=VenueOrderId("112261001700"),
        correlation_id=CorrelationId("Ab1aaaaaaaaaaaaaaaaaaaa9Z"),
        status=OrderStatus.FILLED,
        cumulative_quantity=5,
    )


def test_the_first_letters_case_does_not_count() -> None:
    data = {"OrderNo": "112261001700", "Status": "TRADED", "Quantity": 5, "TradedQty": 2, "CorrelationId": "NA"}
    update = order_update_of(json.dumps({"type": "order_alert", "data": data}))
    assert update == OrderUpdate(
        venue_order_id=VenueOrderId("112261001700"),
        correlation_id=None,
        status=OrderStatus.PARTLY_FILLED,
        cumulative_quantity=2,
    )


@pytest.mark.parametrize(
    ("word", "traded", "status"),
    [
        ("Transit", 0, OrderStatus.SUBMITTING),
        ("Pending", 0, OrderStatus.ACKNOWLEDGED),
        ("PENDING", 2, OrderStatus.PARTLY_FILLED),
        ("Part Traded", 2, OrderStatus.PARTLY_FILLED),
        ("PART_TRADED", 2, OrderStatus.PARTLY_FILLED),
        ("Traded", 2, OrderStatus.PARTLY_FILLED),
        ("Traded", 5, OrderStatus.FILLED),
        ("Traded", 0, OrderStatus.FILLED),
        ("Cancelled", 2, OrderStatus.CANCELED),
        ("Rejected", 0, OrderStatus.REJECTED),
        ("Expired", 0, OrderStatus.EXPIRED),
        ("Modified", 0, None),
        ("Something", 5, None),
        ("", 0, None),
    ],
)
def test_what_is_filled_decides_where_words_do_not(word: str, traded: int, status: OrderStatus | None) -> None:
    assert status_of(status=word, tradedQty=traded) is status


def test_numbers_may_be_text_and_ids_may_be_numbers() -> None:
    update = read(orderNo=112261001700, quantity="5", tradedQty="5", status="Traded")
    assert update is not None
    assert (update.venue_order_id, update.status) == ("112261001700", OrderStatus.FILLED)


def test_what_is_absent_or_null_is_nothing() -> None:
    update = order_update_of('{"Type": "order_alert", "Data": {"orderNo": "1", "tradedQty": null}}')
    assert update == OrderUpdate(
        venue_order_id=VenueOrderId("1"), correlation_id=None, status=None, cumulative_quantity=0
    )


def test_a_message_of_another_type_tells_of_no_order() -> None:
    assert order_update_of('{"Type": "news", "Data": "anything"}') is None
    assert order_update_of("{}") is None


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        '"order_alert"',
        b"\xff\xfe",
        '{"Type": "order_alert"}',
        '{"Type": "order_alert", "Data": []}',
        '{"Type": "order_alert", "Data": {"status": "Traded"}}',
        '{"Type": "order_alert", "Data": {"orderNo": "1", "tradedQty": "many"}}',
    ],
)
def test_a_frame_that_cannot_be_read_says_so_without_its_content(frame: str | bytes) -> None:
    with pytest.raises(AnswerMalformed) as malformed:
        order_update_of(frame)
    assert "many" not in str(malformed.value)


def test_the_login_is_the_message_that_the_broker_documents() -> None:
    session = session_of("1100000001", Secret("jwt"), now_ns=0, renew_before_s=0)
    assert json.loads(login_message(session)) == {
        "LoginReq": {"MsgCode": 42, "ClientId": "1100000001", "Token": "jwt"},
        "UserType": "SELF",
    }


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no recorded frames at {RECORDED}")
def test_the_recorded_frames_are_read() -> None:
    lines = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
    updates = [order_update_of(json.dumps({"Type": "order_alert", "Data": line["data"]})) for line in lines]
    assert updates == [
        OrderUpdate(
            venue_order_id=VenueOrderId(order_id), correlation_id=None, status=status, cumulative_quantity=traded
        )
        for order_id, status, traded in (
            ("351260318338501", OrderStatus.ACKNOWLEDGED, 0),
            ("351260318338501", OrderStatus.FILLED, 1),
            ("3225031246227", None, 0),
        )
    ]
