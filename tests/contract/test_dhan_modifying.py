"""Modifying an order: asked once, whatever comes of it, and told what is known afterwards."""

import msgspec
import pytest

from commands.ports import ModifyAccepted, NotSent, OutcomeUnknown, Refused
from domain.ids import VenueOrderId
from domain.order import NotSentReason, Purpose, RefusalReason
from tests.support.dhan import (
    ACCEPTED,
    ACCOUNT,
    CORRELATION,
    INVALID_TOKEN,
    LIMIT_BUY,
    MARKET_SELL,
    ORDERS_PATH,
    STOP_SELL,
    TOKEN_PATH,
    UNHEALTHY,
    venue_and_broker,
)
from tests.support.venue import Behaviour, answer, close_after_reading, hang, reset_after_reading

ORDER_ID = VenueOrderId("112111182198")
MODIFY_PATH = f"/v2/orders/{ORDER_ID}"


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_a_change_that_the_venue_takes_is_accepted(status: int) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", MODIFY_PATH, answer(status, ACCEPTED))
        outcome = await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, Purpose.STOP)
        assert isinstance(outcome, ModifyAccepted)
        assert outcome.sent_at_ns > 0


async def test_an_answer_about_another_order_tells_nothing_of_this_one() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", MODIFY_PATH, answer(200, {**ACCEPTED, "orderId": "112111182199"}))
        outcome = await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, Purpose.STOP)
        assert isinstance(outcome, OutcomeUnknown)


async def test_the_request_says_what_the_order_shall_be() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", MODIFY_PATH, answer(200, ACCEPTED))
        await broker.modify(ACCOUNT, ORDER_ID, msgspec.structs.replace(STOP_SELL, disclosed_quantity=2), Purpose.STOP)
        await broker.modify(ACCOUNT, ORDER_ID, MARKET_SELL, Purpose.STOP)
        stop, market = venue.requests("PUT", MODIFY_PATH)
        [login] = venue.requests("POST", TOKEN_PATH)
        assert stop.json() == {
            "dhanClientId": login.query["dhanClientId"],
            "orderId": ORDER_ID,
            "orderType": "STOP_LOSS",
            "validity": "DAY",
            "quantity": 5,
            "price": 2849.0,
            "disclosedQuantity": 2,
            "triggerPrice": 2850.0,
        }
        assert {name: market.json()[name] for name in ("orderType", "price", "triggerPrice", "disclosedQuantity")} == {
            "orderType": "MARKET",
            "price": 0,
            "triggerPrice": 0,
            "disclosedQuantity": 0,
        }


@pytest.mark.parametrize(
    ("status", "document", "reason"),
    [
        (400, {"errorCode": "DH-906", "errorMessage": "Incorrect request for order"}, RefusalReason.INPUT),
        (
            400,
            {"errorCode": "DH-906", "errorMessage": "Market is Closed! You cannot modify/cancel an order now."},
            RefusalReason.MARKET_CLOSED,
        ),
        (
            400,
            {"errorCode": "DH-906", "errorMessage": "Trigger Price should be greater than Price"},
            RefusalReason.INPUT,
        ),
        (400, INVALID_TOKEN, RefusalReason.TOKEN),
        (429, {"errorCode": "DH-904", "errorMessage": "Too many requests"}, RefusalReason.RATE_LIMIT),
    ],
)
async def test_a_well_formed_no_is_a_refusal(status: int, document: object, reason: RefusalReason) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", MODIFY_PATH, answer(status, document))
        outcome = await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, Purpose.STOP)
        assert isinstance(outcome, Refused)
        assert outcome.reason is reason
        assert len(venue.requests("PUT", MODIFY_PATH)) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(close_after_reading(), id="closed"),
        pytest.param(reset_after_reading(), id="reset"),
        pytest.param(hang(), id="no answer in time"),
        pytest.param(answer(200), id="a 200 without a body"),
        pytest.param(answer(200, body=b"<html>"), id="no JSON"),
        pytest.param(answer(500, UNHEALTHY), id="a 500"),
        pytest.param(answer(502), id="a 502"),
        pytest.param(answer(404, {"status": 404, "error": "Not Found"}), id="the gateway's own 404"),
    ],
)
async def test_whatever_is_no_well_formed_answer_is_unknown_and_not_asked_again(behaviour: Behaviour) -> None:
    async with venue_and_broker(read_timeout_s=0.15, call_timeout_s=0.3) as (venue, broker):
        venue.on("PUT", MODIFY_PATH, behaviour)
        outcome = await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, Purpose.STOP)
        assert isinstance(outcome, OutcomeUnknown)
        assert len(venue.requests("PUT", MODIFY_PATH)) == 1


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, []))
        await broker.orders(ACCOUNT)
        await venue.stop()
        assert await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, Purpose.STOP) == NotSent(cause="ConnectError")


async def test_stops_and_exits_are_changed_though_entries_are_held_back() -> None:
    async with venue_and_broker(breaker_failures_max=1, breaker_reset_s=60) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(503))
        venue.on("PUT", MODIFY_PATH, answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        held_back = await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY)
        assert isinstance(held_back, NotSent)
        assert held_back.reason is NotSentReason.BREAKER_OPEN
        for purpose in (Purpose.STOP, Purpose.EXIT):
            assert isinstance(await broker.modify(ACCOUNT, ORDER_ID, STOP_SELL, purpose), ModifyAccepted)


async def test_a_stop_is_placed_as_an_exit_is() -> None:
    async with venue_and_broker(breaker_failures_max=1, breaker_reset_s=60) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(503), answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert broker.is_held_back(ACCOUNT, Purpose.ENTRY)
        assert not broker.is_held_back(ACCOUNT, Purpose.STOP)
        await broker.place(ACCOUNT, STOP_SELL, CORRELATION, Purpose.STOP)
        assert venue.requests("POST", ORDERS_PATH)[-1].json()["orderType"] == "STOP_LOSS"
