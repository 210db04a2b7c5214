"""Reading the venue's books and asking for cancellations: tolerant, retried, and honest about what is not known."""

import pytest

from commands.ports import BrokerUnavailable, OrderInTransit
from domain.ids import VenueOrderId
from domain.order import OrderStatus, Product
from tests.support.dhan import (
    ACCOUNT,
    CORRELATION,
    INVALID_TOKEN,
    ORDER_ROW,
    ORDERS_PATH,
    POSITION_ROW,
    RELIANCE,
    TOKEN_PATH,
    TRADE_ROW,
    UNHEALTHY,
    token_answer,
    venue_and_broker,
)
from tests.support.venue import answer, close_after_reading, hang

LOOKUP_PATH = f"/v2/orders/external/{CORRELATION}"
ORDER_ID = VenueOrderId("112111182198")
CANCEL_PATH = f"/v2/orders/{ORDER_ID}"
IN_TRANSIT = {"errorCode": "DH-906", "errorMessage": "Order is in Transit state"}
NOT_FOUND = {"errorCode": "DH-906", "errorMessage": "Incorrect request for order and cannot be processed"}


@pytest.mark.parametrize("document", [ORDER_ROW, [ORDER_ROW]], ids=["bare", "list of one"])
async def test_an_order_is_found_by_our_id_in_either_form(document: object) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", LOOKUP_PATH, answer(200, document))
        order = await broker.find_order(ACCOUNT, CORRELATION)
        assert order is not None
        assert order.venue_order_id == ORDER_ID
        assert order.status is OrderStatus.ACKNOWLEDGED


async def test_a_404_with_the_venues_own_words_finds_nothing() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", LOOKUP_PATH, answer(404, NOT_FOUND))
        assert await broker.find_order(ACCOUNT, CORRELATION) is None


async def test_a_404_of_a_gateway_is_no_evidence_of_absence() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", LOOKUP_PATH, answer(404, {"status": 404, "error": "Not Found"}))
        with pytest.raises(BrokerUnavailable):
            await broker.find_order(ACCOUNT, CORRELATION)


async def test_a_row_with_another_id_is_never_taken_for_ours() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", LOOKUP_PATH, answer(200, [{**ORDER_ROW, "correlationId": "NA"}]))
        assert await broker.find_order(ACCOUNT, CORRELATION) is None


async def test_two_orders_under_one_id_are_noticed() -> None:
    async with venue_and_broker() as (venue, broker):
        twin = {**ORDER_ROW, "orderId": "112111182199", "filledQty": 5, "orderStatus": "TRADED"}
        venue.on("GET", LOOKUP_PATH, answer(200, [ORDER_ROW, twin]))
        order = await broker.find_order(ACCOUNT, CORRELATION)
        assert order is not None
        assert order.venue_order_id == "112111182199"
        assert broker.status()["duplicates_seen"] == 1


async def test_an_empty_book_is_empty() -> None:
    async with venue_and_broker() as (venue, broker):
        for path in ("/v2/orders", "/v2/trades", "/v2/positions"):
            venue.on("GET", path, answer(200, []))
        assert await broker.orders(ACCOUNT) == []
        assert await broker.fills(ACCOUNT) == []
        assert await broker.positions(ACCOUNT) == []


async def test_a_book_is_read_anew_only_where_it_says_something_else() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW]))
        (first,), (same,) = await broker.orders(ACCOUNT), await broker.orders(ACCOUNT)
        assert same is first
        venue.on("GET", ORDERS_PATH, answer(200, [{**ORDER_ROW, "filledQty": 5}]))
        assert [row.cumulative_quantity for row in await broker.orders(ACCOUNT)] == [5]
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW]))
        assert await broker.orders(ACCOUNT) == [first]


async def test_what_one_book_says_is_said_of_no_other() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, []))
        venue.on("GET", "/v2/trades", answer(200, [TRADE_ROW]))
        assert await broker.orders(ACCOUNT) == []
        assert len(await broker.fills(ACCOUNT)) == 1
        venue.on("GET", "/v2/trades", answer(200, []))
        assert await broker.fills(ACCOUNT) == []


async def test_rows_that_a_book_had_before_are_not_read_again() -> None:
    other, third = (
        {**ORDER_ROW, "orderId": f"11211118220{number}", "correlationId": f"other{number}"} for number in (1, 2)
    )
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW, other]))
        first = await broker.orders(ACCOUNT)
        venue.on("GET", ORDERS_PATH, answer(200, [third, {**other, "filledQty": 5}, ORDER_ROW]))
        now = await broker.orders(ACCOUNT)
        assert [(row.correlation_id, row.cumulative_quantity) for row in now] == [
            ("other2", 0),
            ("other1", 5),
            (CORRELATION, 0),
        ]
        assert now[2] is first[0]
        venue.on("GET", ORDERS_PATH, answer(200, [other]))
        assert await broker.orders(ACCOUNT) == [first[1]]


@pytest.mark.parametrize("place", [0, 1], ids=["first", "last"])
async def test_a_new_row_that_makes_no_sense_makes_none_of_the_book(place: int) -> None:
    async with venue_and_broker(read_attempts=1) as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW]))
        first = await broker.orders(ACCOUNT)
        rows: list[object] = [ORDER_ROW]
        rows.insert(place, {"message": "Something went wrong", "status": "ERROR"})
        venue.on("GET", ORDERS_PATH, answer(200, rows))
        with pytest.raises(BrokerUnavailable):
            await broker.orders(ACCOUNT)
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW]))
        assert await broker.orders(ACCOUNT) == first


async def test_executions_come_oldest_first_whichever_of_them_are_new() -> None:
    later = {**TRADE_ROW, "exchangeTradeId": "200764586", "exchangeTime": "2026-10-01 10:00:02"}
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/trades", answer(200, [later]))
        await broker.fills(ACCOUNT)
        venue.on("GET", "/v2/trades", answer(200, [later, TRADE_ROW]))
        fills = await broker.fills(ACCOUNT)
        assert [fill.filled_at_ns for fill in fills] == sorted(fill.filled_at_ns for fill in fills)
        assert len({fill.venue_fill_id for fill in fills}) == 2


async def test_bytes_that_came_with_an_error_are_no_book_although_a_book_had_them() -> None:
    async with venue_and_broker(read_attempts=1) as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(200, [ORDER_ROW]))
        await broker.orders(ACCOUNT)
        venue.on("GET", ORDERS_PATH, answer(503, [ORDER_ROW]))
        with pytest.raises(BrokerUnavailable):
            await broker.orders(ACCOUNT)


async def test_an_empty_portfolio_that_comes_as_a_500_is_empty() -> None:
    async with venue_and_broker() as (venue, broker):
        empty = {"errorType": "HOLDING_ERROR", "errorCode": "DH-1111", "errorMessage": "No holdings available"}
        venue.on("GET", "/v2/positions", answer(500, empty))
        assert await broker.positions(ACCOUNT) == []
        assert len(venue.requests("GET", "/v2/positions")) == 1


async def test_executions_come_oldest_first() -> None:
    async with venue_and_broker() as (venue, broker):
        rows = [
            {**TRADE_ROW, "exchangeTradeId": "11", "exchangeTime": "2026-10-01 10:00:02"},
            {**TRADE_ROW, "exchangeTradeId": "10"},
            {**TRADE_ROW, "exchangeTradeId": "9"},
        ]
        venue.on("GET", "/v2/trades", answer(200, rows))
        fills = await broker.fills(ACCOUNT)
        assert [fill.venue_fill_id for fill in fills] == [
            "NSE_EQ:9:112111182198",
            "NSE_EQ:10:112111182198",
            "NSE_EQ:11:112111182198",
        ]


async def test_positions_in_products_that_we_do_not_trade_are_passed_over() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/positions", answer(200, [{**POSITION_ROW, "productType": "BO"}, POSITION_ROW]))
        [position] = await broker.positions(ACCOUNT)
        assert (position.instrument, position.product) == (RELIANCE.key, Product.INTRADAY)
        assert (position.net_quantity, position.bought_quantity, position.sold_quantity) == (5, 7, 2)


@pytest.mark.parametrize(
    "fault",
    [answer(502), answer(500, UNHEALTHY), close_after_reading(), hang(), answer(200, body=b"<html>")],
    ids=["502", "500", "closed", "no answer", "no JSON"],
)
async def test_a_read_that_fails_is_tried_again(fault: object) -> None:
    async with venue_and_broker(read_timeout_s=0.15) as (venue, broker):
        venue.on("GET", ORDERS_PATH, fault, answer(200, [ORDER_ROW]))  # type: ignore[arg-type]
        assert len(await broker.orders(ACCOUNT)) == 1


async def test_reads_give_up_after_their_attempts() -> None:
    async with venue_and_broker(breaker_failures_max=100) as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(502))
        with pytest.raises(BrokerUnavailable, match="GET /orders"):
            await broker.orders(ACCOUNT)
        assert len(venue.requests("GET", ORDERS_PATH)) == 3


async def test_a_read_with_a_dead_token_logs_in_again_and_succeeds() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("old")), answer(200, token_answer("new")))
        venue.on("GET", ORDERS_PATH, answer(401, {"errorCode": "DH-901", "errorMessage": "expired"}), answer(200, []))
        assert await broker.orders(ACCOUNT) == []
        assert [request.headers["access-token"] for request in venue.requests("GET", ORDERS_PATH)] == ["old", "new"]


async def test_a_refused_read_is_not_tried_again() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(400, {"errorCode": "DH-905", "errorMessage": "bad"}))
        with pytest.raises(BrokerUnavailable):
            await broker.orders(ACCOUNT)
        assert len(venue.requests("GET", ORDERS_PATH)) == 1


@pytest.mark.parametrize("status", [200, 202])
async def test_a_cancel_is_asked_for_once_where_the_venue_takes_it(status: int) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", CANCEL_PATH, answer(status, {"orderId": ORDER_ID, "orderStatus": "CANCELLED"}))
        await broker.cancel(ACCOUNT, ORDER_ID)
        [request] = venue.requests("DELETE", CANCEL_PATH)
        assert request.body == b""


async def test_a_cancel_with_nothing_to_cancel_is_done() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", CANCEL_PATH, answer(400, {"errorCode": "DH-906", "errorMessage": "Nothing to Cancel . "}))
        await broker.cancel(ACCOUNT, ORDER_ID)


async def test_a_cancel_in_transit_is_to_be_asked_again_later() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", CANCEL_PATH, answer(400, IN_TRANSIT))
        with pytest.raises(OrderInTransit, match="Transit"):
            await broker.cancel(ACCOUNT, ORDER_ID)


async def test_a_cancel_without_an_answer_is_asked_again() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", CANCEL_PATH, close_after_reading(), answer(503), answer(200, {"orderId": ORDER_ID}))
        await broker.cancel(ACCOUNT, ORDER_ID)
        assert len(venue.requests("DELETE", CANCEL_PATH)) == 3


async def test_a_dead_token_of_a_cancel_is_renewed() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", CANCEL_PATH, answer(400, INVALID_TOKEN), answer(200, {"orderId": ORDER_ID}))
        await broker.cancel(ACCOUNT, ORDER_ID)
        assert len(venue.requests("POST", TOKEN_PATH)) == 2
