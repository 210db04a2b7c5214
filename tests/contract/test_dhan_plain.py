"""The plain interface: an order placed, seen, asked about and canceled, in ten lines; and nothing is sent twice."""

import asyncio
from pathlib import Path

import pytest

from adapters.dhan.plain import OrderInvalid, Outcome, PlainDhan
from domain.money import PriceInvalid
from domain.order import OrderStatus, OrderType
from tests.support.dhan import ACCEPTED, ORDER_ROW, POSITION_ROW
from tests.support.venue import Venue, answer, close_after_reading

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dhan.md"
ORDER_ID = ACCEPTED["orderId"]


def plain(venue: Venue, **changes: int) -> PlainDhan:
    return PlainDhan(base_url=f"{venue.url}/v2", client_id="1000000001", access_token="a-token", **changes)


async def test_an_order_lives_in_four_calls() -> None:
    async with Venue() as venue:
        venue.on("POST", "/v2/orders", answer(200, ACCEPTED))
        venue.on("GET", f"/v2/orders/{ORDER_ID}", answer(200, [ORDER_ROW]))
        venue.on("GET", "/v2/positions", answer(200, [POSITION_ROW]))
        venue.on("DELETE", f"/v2/orders/{ORDER_ID}", answer(200, {**ACCEPTED, "orderStatus": "CANCELLED"}))
        async with plain(venue) as dhan:
            placed = await dhan.place_order("NSE_EQ:2885", "BUY", 5, limit_price="2850.05", tag="mine1")
            status = await dhan.order_status(placed.order_id)
            [position] = await dhan.positions()
            await dhan.cancel_order(ORDER_ID)
        [request] = venue.requests("POST", "/v2/orders")
    assert (placed.outcome, placed.order_id, placed.tag) == (Outcome.ACCEPTED, ORDER_ID, "mine1")
    assert status is not None
    assert status.status is OrderStatus.ACKNOWLEDGED
    assert position.net_quantity == 5
    assert request.headers["access-token"] == "a-token"
    assert request.json() == {
        "dhanClientId": "1000000001",
        "correlationId": "mine1",
        "transactionType": "BUY",
        "exchangeSegment": "NSE_EQ",
        "productType": "INTRADAY",
        "orderType": "LIMIT",
        "validity": "DAY",
        "securityId": "2885",
        "quantity": 5,
        "price": 2850.05,
    }


async def test_what_came_of_an_order_is_one_of_four_and_never_an_exception() -> None:
    refusal = {"errorCode": "DH-905", "errorMessage": "Invalid quantity"}
    async with Venue() as venue, plain(venue, burst_limit=4) as dhan:
        venue.on("POST", "/v2/orders", answer(400, refusal), close_after_reading())
        refused = await dhan.place_order("NSE_EQ:2885", "BUY", 5)
        unknown = await dhan.place_order("NSE_EQ:2885", "BUY", 5)
        assert (refused.outcome, refused.message) == (Outcome.REFUSED, "DH-905: Invalid quantity")
        assert unknown.outcome is Outcome.UNKNOWN
        assert len(venue.requests("POST", "/v2/orders")) == 2
        venue.on("GET", f"/v2/orders/external/{unknown.tag}", answer(200, {**ORDER_ROW, "correlationId": unknown.tag}))
        found = await dhan.order_status(tag=unknown.tag)
        assert found is not None
        assert found.venue_order_id == ORDER_ID


async def test_an_order_above_the_budget_is_not_sent_and_says_so_at_once() -> None:
    async with Venue() as venue, plain(venue, requests_per_minute=3) as dhan:
        venue.on("POST", "/v2/orders", answer(200, ACCEPTED))
        assert (await dhan.place_order("NSE_EQ:2885", "BUY", 5)).outcome is Outcome.ACCEPTED
        held_back = await dhan.place_order("NSE_EQ:2885", "BUY", 5)
        assert held_back.outcome is Outcome.NOT_SENT
        assert held_back.message.startswith("budget of orders: 60 s: 1 of 3 used with 2 kept for exits and cancels")
        exit_ = await dhan.place_order("NSE_EQ:2885", "SELL", 5, is_exit=True)
        assert exit_.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("limit_price", "trigger_price", "order_type"),
    [
        (None, None, OrderType.MARKET),
        ("1", None, OrderType.LIMIT),
        ("1", "2", OrderType.SL),
        (None, "2", OrderType.SL_M),
    ],
)
async def test_prices_decide_the_type(
    limit_price: str | None, trigger_price: str | None, order_type: OrderType
) -> None:
    words = {OrderType.SL: "STOP_LOSS", OrderType.SL_M: "STOP_LOSS_MARKET"}
    async with Venue() as venue, plain(venue) as dhan:
        venue.on("POST", "/v2/orders", answer(200, ACCEPTED))
        await dhan.place_order("NSE_EQ:2885", "SELL", 5, limit_price=limit_price, trigger_price=trigger_price)
        [request] = venue.requests("POST", "/v2/orders")
    assert request.json()["orderType"] == words.get(order_type, order_type.value)


async def test_what_the_venue_would_not_understand_is_refused_before_anything_is_sent() -> None:
    async with Venue() as venue, plain(venue) as dhan:
        for instrument, side, quantity, more in (
            ("NSE_EQ", "BUY", 1, {}),
            ("NYSE:1", "BUY", 1, {}),
            ("NSE_EQ:2885", "HOLD", 1, {}),
            ("NSE_EQ:2885", "BUY", 0, {}),
            ("NSE_EQ:2885", "BUY", 1, {"product": "BO"}),
            ("NSE_EQ:2885", "BUY", 1, {"validity": "GTC"}),
            ("NSE_EQ:2885", "BUY", 1, {"tag": "x" * 26}),
            ("NSE_EQ:2885", "BUY", 1, {"tag": "no spaces"}),
        ):
            with pytest.raises(OrderInvalid):
                await dhan.place_order(instrument, side, quantity, **more)
        with pytest.raises(PriceInvalid):
            await dhan.place_order("NSE_EQ:2885", "BUY", 1, limit_price="-1")
        with pytest.raises(ValueError, match="either"):
            await dhan.order_status()
        assert venue.received == []


async def test_the_ten_lines_of_the_page_work_as_they_stand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("```python\n")
    script = rest.partition("```")[0]
    async with Venue() as venue:
        venue.on("POST", "/v2/orders", answer(200, ACCEPTED))
        venue.on("GET", "/v2/positions", answer(200, [POSITION_ROW]))
        venue.on("DELETE", f"/v2/orders/{ORDER_ID}", answer(200, {**ACCEPTED, "orderStatus": "CANCELLED"}))
        for name, value in (("URL", f"{venue.url}/v2"), ("CLIENT_ID", "1000000001"), ("TOKEN", "a-token")):
            monkeypatch.setenv(f"DHAN_{name}", value)
        monkeypatch.setattr("adapters.dhan.plain.secrets.token_hex", lambda _: "mine1")
        not_shown_yet = {"errorCode": "DH-906", "errorMessage": "Incorrect request for order"}
        venue.on("GET", "/v2/orders/external/mine1", answer(404, not_shown_yet))
        await asyncio.to_thread(exec, compile(script, str(PAGE), "exec"), {"__name__": "the page"})
        asked = [f"{request.method} {request.path}" for request in venue.received]
    assert asked == [
        "POST /v2/orders",
        "GET /v2/orders/external/mine1",
        "GET /v2/positions",
        f"DELETE /v2/orders/{ORDER_ID}",
    ]
    assert capsys.readouterr().out.startswith("accepted None [VenuePosition(")
