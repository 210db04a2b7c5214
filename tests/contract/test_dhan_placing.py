"""Placing an order: each thing a venue can do to it, and what is known afterwards."""

import time

import pytest

from commands.ports import Accepted, NotSent, OutcomeUnknown, Refused
from domain.order import NotSentReason, Purpose, RefusalReason
from tests.support.dhan import (
    ACCEPTED,
    ACCOUNT,
    CORRELATION,
    INVALID_TOKEN,
    LIMIT_BUY,
    MARKET_SELL,
    ORDERS_PATH,
    TOKEN_PATH,
    UNHEALTHY,
    broker_at,
    settings_for,
    token_answer,
    venue_and_broker,
)
from tests.support.venue import (
    Behaviour,
    answer,
    close_after_reading,
    cut_short,
    drip,
    hang,
    raw,
    reset_after_reading,
)


async def test_an_order_with_an_id_in_the_answer_is_accepted() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        before_ns = time.time_ns()
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, Accepted)
        assert placement.venue_order_id == "112111182198"
        assert before_ns <= placement.sent_at_ns <= time.time_ns()


async def test_the_request_carries_exactly_what_the_venue_wants() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        await broker.place(ACCOUNT, MARKET_SELL, CORRELATION, Purpose.EXIT)
        limit, market = venue.requests("POST", ORDERS_PATH)
        [login] = venue.requests("POST", TOKEN_PATH)
        assert b'"price":2850.05' in limit.body
        assert limit.json() == {
            "dhanClientId": login.query["dhanClientId"],
            "correlationId": CORRELATION,
            "transactionType": "BUY",
            "exchangeSegment": "NSE_EQ",
            "productType": "INTRADAY",
            "orderType": "LIMIT",
            "validity": "DAY",
            "securityId": "2885",
            "quantity": 5,
            "price": 2850.05,
        }
        assert market.json()["orderType"] == "MARKET"
        assert market.json()["price"] == 0
        assert limit.headers["access-token"] == "token-1"
        assert limit.headers["client-id"] == login.query["dhanClientId"]
        assert limit.headers["content-type"] == "application/json"


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, []))
        await broker.orders(ACCOUNT)  # A token is at hand, so that it is the order that meets the closed door.
        await venue.stop()
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert placement == NotSent(cause="ConnectError")


async def test_without_a_token_nothing_is_sent() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", TOKEN_PATH, answer(400, {"errorCode": "DH-906", "errorMessage": "Invalid TOTP"}))
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, NotSent)
        assert not placement.breaker_open
        assert venue.requests("POST", ORDERS_PATH) == []


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(close_after_reading(), id="closed after the request"),
        pytest.param(reset_after_reading(), id="reset after the request"),
        pytest.param(hang(), id="no answer in time"),
        pytest.param(drip(200, ACCEPTED, pause_s=0.01), id="an answer that comes too slowly"),
        pytest.param(cut_short(200, ACCEPTED), id="an answer cut short"),
        pytest.param(raw(b"what?\r\n\r\n"), id="no HTTP"),
        pytest.param(answer(200, body=b"<html>all is well</html>"), id="a 200 that is no JSON"),
        pytest.param(answer(200), id="a 200 without a body"),
        pytest.param(answer(200, {"orderStatus": "TRANSIT"}), id="a 200 without an order id"),
        pytest.param(answer(200, {"orderId": "0"}), id="a 200 with order id 0"),
        pytest.param(answer(200, [ACCEPTED, ACCEPTED]), id="a 200 with two orders"),
        pytest.param(answer(200, {"errorCode": "DH-905", "errorMessage": "bad"}), id="an error inside a 200"),
        pytest.param(answer(302), id="a redirect"),
        pytest.param(answer(404, {"status": 404, "error": "Not Found"}), id="the gateway's own 404"),
        pytest.param(answer(429), id="a bare 429"),
        pytest.param(answer(400, body=b"Bad Request"), id="a bare 400"),
        pytest.param(answer(500, UNHEALTHY), id="a 500 with the venue's error"),
        pytest.param(answer(500, {"errorCode": "DH-906", "errorMessage": "Order error"}), id="a 500 with DH-906"),
        pytest.param(answer(502, body=b"<html>Bad Gateway</html>"), id="a 502 of a gateway"),
        pytest.param(answer(503), id="a 503"),
        pytest.param(answer(400, {"errorCode": "DH-909", "errorMessage": "Network error"}), id="DH-909 under a 400"),
    ],
)
async def test_whatever_is_no_well_formed_answer_leaves_the_outcome_unknown(behaviour: Behaviour) -> None:
    async with venue_and_broker(read_timeout_s=0.15, call_timeout_s=0.3) as (venue, broker):
        venue.on("POST", ORDERS_PATH, behaviour)
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, OutcomeUnknown)
        assert placement.sent_at_ns > 0
        assert len(venue.requests("POST", ORDERS_PATH)) == 1  # Asked once, whatever came of it.


async def test_a_connection_closed_before_the_request_was_read_leaves_the_outcome_unknown() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, []))
        await broker.orders(ACCOUNT)
        venue.closes_before_reading = True
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, OutcomeUnknown)


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        (400, "DH-905", "Missing required fields, bad values for parameters etc.", RefusalReason.INPUT),
        (400, "DH-905", "Invalid IP", RefusalReason.IP),
        (400, "DH-906", "Market is Closed! Want to place an offline order?", RefusalReason.MARKET_CLOSED),
        (400, "DH-906", "Trigger Price should be greater than Price", RefusalReason.INPUT),
        (400, "DH-906", "RMS: insufficient funds. Please add Rs.23.70 to trade.", RefusalReason.FUNDS),
        (429, "DH-904", "Too many requests on server from single user", RefusalReason.RATE_LIMIT),
        (401, "DH-901", "Client ID or user generated access token is invalid or expired.", RefusalReason.TOKEN),
        (400, "DH-906", "Invalid Token", RefusalReason.TOKEN),
        (400, "DH-910", "Something else", RefusalReason.OTHER),
    ],
)
async def test_a_well_formed_refusal_is_a_refusal_with_its_reason(
    status: int, code: str, message: str, reason: RefusalReason
) -> None:
    async with venue_and_broker() as (venue, broker):
        document = {"errorType": "Any", "errorCode": code, "errorMessage": message}
        venue.on("POST", ORDERS_PATH, answer(status, document))
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, Refused)
        assert placement.reason is reason
        assert placement.message == f"{code}: {message}"


async def test_a_dead_token_refuses_this_order_and_the_next_call_logs_in_again() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("old")), answer(200, token_answer("new")))
        venue.on("POST", ORDERS_PATH, answer(400, INVALID_TOKEN), answer(200, ACCEPTED))
        first = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        second = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(first, Refused)
        assert isinstance(second, Accepted)
        assert [request.headers["access-token"] for request in venue.requests("POST", ORDERS_PATH)] == ["old", "new"]


async def test_an_idle_connection_that_the_venue_closed_is_not_used_for_an_order() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        await venue.stop()
        await venue.start()
        placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(placement, Accepted)


async def test_connections_are_used_again() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        for _ in range(5):
            await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert venue.connections == 2  # One for log-ins and reads, one for orders.


async def test_an_entry_above_our_own_budget_is_not_sent_and_an_exit_still_is() -> None:
    async with venue_and_broker(burst_limit=3, order_reserve=1) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        placements = [await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY) for _ in range(3)]
        assert [isinstance(placement, Accepted) for placement in placements] == [True, True, False]
        assert isinstance(placements[2], NotSent)
        assert placements[2].reason is NotSentReason.HELD_BACK
        assert placements[2].cause.startswith("budget of orders: 1 s: 2 of 3 used with 1 kept for exits and cancels")
        assert isinstance(await broker.place(ACCOUNT, MARKET_SELL, CORRELATION, Purpose.EXIT), Accepted)


async def test_after_a_rate_refusal_orders_pause() -> None:
    async with venue_and_broker(rate_limit_pause_s=60.0) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(429, {"errorCode": "DH-904", "errorMessage": "Too many requests"}))
        assert isinstance(await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY), Refused)
        held_back = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(held_back, NotSent)
        assert held_back.cause.startswith("budget of orders: the venue's own count is full")
        assert len(venue.requests("POST", ORDERS_PATH)) == 1


async def test_a_venue_that_does_not_exist_is_never_an_exception() -> None:
    broker = broker_at(settings_for("http://127.0.0.1:9"))
    try:
        assert isinstance(await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY), NotSent)
    finally:
        await broker.aclose()


async def test_no_secret_shows_in_logs_or_representations(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("top-secret-token")))
        venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        [login] = venue.requests("POST", TOKEN_PATH)
        session = await broker.tokens.session(ACCOUNT)
        shown = caplog.text + repr(session) + repr(broker.status())
        assert "top-secret-token" not in shown
        assert login.query["pin"] not in shown
