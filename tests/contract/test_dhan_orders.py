"""What Dhan offers around plain orders: slices, super and forever orders, past trades. Over the wire, both ways."""

from datetime import date
from typing import Any

import msgspec
import pytest

from adapters.dhan.guard.calls import Done
from adapters.dhan.rest.forever_orders import ForeverKind, SecondTrigger
from adapters.dhan.rest.super_orders import ExitPrices, Leg
from commands.ports import BrokerUnavailable, NotSent, OutcomeUnknown, Refused
from domain.contract_note import NotedCharges
from domain.ids import VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderStatus, Product, Purpose, RefusalReason, Side, TimeInForce
from tests.support.dhan import (
    ACCEPTED,
    ACCOUNT,
    CORRELATION,
    LIMIT_BUY,
    ORDER_ROW,
    RELIANCE,
    STOP_SELL,
    TRADE_ROW,
    venue_and_broker,
)
from tests.support.venue import answer, close_after_reading

ORDER_ID = VenueOrderId("112111182198")
TARGET_28_80 = ExitPrices(target_e4=28_800_000, stop_loss_e4=28_400_500, trailing_jump_e4=10_000)
ORDER_ERROR = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Incorrect request for order"}


def fields(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names}


# --- Slices, single orders, trades ---


async def test_slices_are_asked_for_with_the_body_of_an_order() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/orders/slicing", answer(200, [ACCEPTED, {**ACCEPTED, "orderId": "112111182199"}]))
        sliced = await broker.order_calls.place_sliced(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(sliced, Done)
        assert sliced.value == ("112111182198", "112111182199")
        [request] = venue.requests("POST", "/v2/orders/slicing")
        assert fields(request.json(), "correlationId", "quantity", "price") == {
            "correlationId": CORRELATION,
            "quantity": 5,
            "price": 2850.05,
        }


@pytest.mark.parametrize("document", [[], {}, [{"orderStatus": "TRANSIT"}]])
async def test_slices_without_ids_leave_open_what_was_done(document: object) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/orders/slicing", answer(200, document))
        sliced = await broker.order_calls.place_sliced(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert isinstance(sliced, OutcomeUnknown)


@pytest.mark.parametrize("document", [ORDER_ROW, [ORDER_ROW]])
async def test_one_order_comes_bare_or_in_a_list(document: object) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", f"/v2/orders/{ORDER_ID}", answer(200, document))
        order = await broker.order_calls.order(ACCOUNT, ORDER_ID)
        assert order is not None
        assert (order.venue_order_id, order.status) == (ORDER_ID, OrderStatus.ACKNOWLEDGED)


@pytest.mark.parametrize(
    ("status", "document"),
    [(200, []), (200, {}), (400, {"errorCode": "DH-905", "errorMessage": "Missing required fields"})],
)
async def test_an_order_that_the_venue_does_not_show_is_none(status: int, document: object) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", f"/v2/orders/{ORDER_ID}", answer(status, document))
        assert await broker.order_calls.order(ACCOUNT, ORDER_ID) is None


async def test_executions_of_one_order_come_oldest_first() -> None:
    async with venue_and_broker() as (venue, broker):
        later = {**TRADE_ROW, "exchangeTradeId": "2", "exchangeTime": "2026-10-01 10:00:02"}
        venue.on("GET", f"/v2/trades/{ORDER_ID}", answer(200, [later, TRADE_ROW]))
        fills = await broker.order_calls.fills_of(ACCOUNT, ORDER_ID)
        assert [fill.venue_fill_id.split(":")[1] for fill in fills] == ["200764585", "2"]


async def test_past_trades_are_read_with_what_they_were_charged() -> None:
    row = {
        **TRADE_ROW,
        "tradingSymbol": None,
        "createTime": "NA",
        "updateTime": "NA",
        "exchangeTradeId": "0",
        "isin": "INE002A01018",
        "sebiTax": 0.0057,
        "stt": "1.00",
        "brokerageCharges": 20.0,
        "serviceTax": 3.63,
        "exchangeTransactionCharges": 0.17,
        "stampDuty": None,
    }
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/trades/2026-09-01/2026-09-30/2", answer(200, [row, {**row, "productType": "BO"}]))
        page = await broker.order_calls.history(ACCOUNT, date(2026, 9, 1), date(2026, 9, 30), page=2)
    [trade] = page.trades
    assert not page.is_empty
    assert (trade.instrument, trade.isin, trade.side) == (RELIANCE.key, "INE002A01018", Side.BUY)
    assert (trade.quantity, trade.price_e4) == (2, 28_500_500)
    assert trade.charges == NotedCharges(
        brokerage_e4=20_0000, stt_e4=1_0000, sebi_e4=57, gst_e4=3_6300, exchange_e4=1700, stamp_duty_e4=0
    )
    assert trade.charges.total_e4 == 24_8057


# Rows of live accounts, as people have published them: an option that was sold, shares of which many executions make
# one row, and shares that were allotted.
OPTION_SOLD = {
    "orderId": "228260827162002",
    "exchangeOrderId": "623962328507896",
    "exchangeTradeId": "0",
    "transactionType": "SELL",
    "exchangeSegment": "MCX_COMM",
    "productType": "MARGIN",
    "orderType": None,
    "customSymbol": "GOLD 31 AUG 135000 PUT",
    "securityId": "566396",
    "tradedQuantity": 400,
    "tradedPrice": 19.75,
    "isin": "",
    "instrument": "OPTFUT",
    "sebiTax": 0.0079,
    "stt": 3.95,
    "brokerageCharges": 20.0,
    "serviceTax": 4.1958,
    "exchangeTransactionCharges": 3.3022,
    "stampDuty": 0.0,
    "createTime": "NA",
    "updateTime": "NA",
    "exchangeTime": "2026-08-27T16:12:15",
    "drvExpiryDate": "2026-08-31",
    "drvOptionType": "PUT",
    "drvStrikePrice": 135000.0,
}
UNITS_BOUGHT = {
    **OPTION_SOLD,
    "orderId": "2212608281398202",
    "exchangeOrderId": "1200000071849921",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "CNC",
    "customSymbol": "Nippon 8-13 Year G-Sec ETF (LTGILTBEES)",
    "securityId": "17700",
    "tradedQuantity": 10000,
    "tradedPrice": 29.9532,
    "isin": "INF204KB1882",
    "instrument": "EQUITY",
    "sebiTax": 0.2985,
    "stt": 0.0,
    "brokerageCharges": 0.0,
    "serviceTax": 1.7084,
    "exchangeTransactionCharges": 9.1931,
    "stampDuty": 44.77,
    "exchangeTime": "2026-08-28T15:27:31",
    "drvExpiryDate": "1970-01-01",
    "drvOptionType": "NA",
    "drvStrikePrice": 0.0,
}
ALLOTTED = {
    **UNITS_BOUGHT,
    "orderId": "0",
    "securityId": "0",
    "exchangeOrderId": "0",
    "tradedQuantity": 36,
    "tradedPrice": 0,
    "sebiTax": 0,
    "serviceTax": 0,
    "exchangeTransactionCharges": 0,
    "stampDuty": 0,
    "exchangeTime": "2026-08-28T00:00:00",
}


async def test_the_statement_of_a_day_is_read_to_its_empty_page() -> None:
    async with venue_and_broker() as (venue, broker):
        pages = ([OPTION_SOLD], [ALLOTTED, {**UNITS_BOUGHT, "productType": "BO"}], [UNITS_BOUGHT], [])
        for number, page in enumerate(pages):
            venue.on("GET", f"/v2/trades/2026-08-28/2026-08-28/{number}", answer(200, page))
        option, units = await broker.charged_fills(ACCOUNT, date(2026, 8, 28))
    assert (option.venue_order_id, option.instrument) == (
        "228260827162002",
        InstrumentKey(Segment.MCX_COMM, "566396"),
    )
    assert option.charges == NotedCharges(
        brokerage_e4=20_0000, exchange_e4=3_3022, sebi_e4=79, stt_e4=3_9500, gst_e4=4_1958
    )
    assert (units.quantity, units.price_e4, units.side, units.product) == (10_000, 29_9532, Side.BUY, Product.CNC)
    assert units.charges == NotedCharges(exchange_e4=9_1931, sebi_e4=2985, stamp_duty_e4=44_7700, gst_e4=1_7084)


async def test_a_statement_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.dhan.broker.STATEMENT_PAGES_MAX", 3)
    async with venue_and_broker() as (venue, broker):
        for number in range(3):
            venue.on("GET", f"/v2/trades/2026-08-28/2026-08-28/{number}", answer(200, [OPTION_SOLD]))
        with pytest.raises(BrokerUnavailable, match="3 pages"):
            await broker.charged_fills(ACCOUNT, date(2026, 8, 28))


# --- Super orders ---


async def test_a_super_order_is_an_order_with_its_exits() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/super/orders", answer(200, ACCEPTED))
        placed = await broker.super_orders.place(ACCOUNT, LIMIT_BUY, TARGET_28_80, CORRELATION)
        assert isinstance(placed, Done)
        assert placed.value == ORDER_ID
        [request] = venue.requests("POST", "/v2/super/orders")
        body = request.json()
    assert "afterMarketOrder" not in body
    assert fields(body, "orderType", "price", "targetPrice", "stopLossPrice", "trailingJump") == {
        "orderType": "LIMIT",
        "price": 2850.05,
        "targetPrice": 2880.0,
        "stopLossPrice": 2840.05,
        "trailingJump": 1.0,
    }


async def test_each_leg_of_a_super_order_is_changed_with_its_own_fields() -> None:
    path = f"/v2/super/orders/{ORDER_ID}"
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", path, answer(200, ACCEPTED))
        larger = msgspec.structs.replace(LIMIT_BUY, quantity=7)
        await broker.super_orders.modify_entry(ACCOUNT, ORDER_ID, larger, TARGET_28_80)
        await broker.super_orders.move_target(ACCOUNT, ORDER_ID, target_e4=28_900_000)
        await broker.super_orders.move_stop_loss(ACCOUNT, ORDER_ID, stop_loss_e4=28_450_000, trailing_jump_e4=0)
        entry, target, stop = [request.json() for request in venue.requests("PUT", path)]
    assert fields(entry, "legName", "orderType", "quantity", "price") == {
        "legName": "ENTRY_LEG",
        "orderType": "LIMIT",
        "quantity": 7,
        "price": 2850.05,
    }
    head = {"dhanClientId": entry["dhanClientId"], "orderId": ORDER_ID}
    assert target == {**head, "legName": "TARGET_LEG", "targetPrice": 2890.0}
    assert stop == {**head, "legName": "STOP_LOSS_LEG", "stopLossPrice": 2845.0, "trailingJump": 0}


async def test_a_leg_of_a_super_order_is_canceled_by_its_name() -> None:
    path = f"/v2/super/orders/{ORDER_ID}/STOP_LOSS_LEG"
    async with venue_and_broker() as (venue, broker):
        venue.on("DELETE", path, answer(202, {**ACCEPTED, "orderStatus": "CANCELLED"}))
        assert isinstance(await broker.super_orders.cancel(ACCOUNT, ORDER_ID, Leg.STOP_LOSS), Done)
        assert venue.requests("DELETE", path)[0].body == b""


@pytest.mark.parametrize("quantity_word", ["totalQuatity", "totalQuantity"])
async def test_super_orders_are_read_with_their_legs(quantity_word: str) -> None:
    leg = {
        "orderId": "112111182199",
        "legName": "STOP_LOSS_LEG",
        "transactionType": "SELL",
        quantity_word: 5,
        "remainingQuantity": 0,
        "triggeredQuantity": 5,
        "price": 2840.05,
        "orderStatus": "TRIGGERED",
        "trailingJump": 0.0,
    }
    row = {**ORDER_ROW, "orderStatus": "CLOSED", "filledQty": 5, "ltp": "2851.5", "legDetails": [leg]}
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/super/orders", answer(200, [row, {**ORDER_ROW, "legDetails": None}]))
        closed, working = await broker.super_orders.all(ACCOUNT)
    assert (closed.is_closed, closed.last_price_e4, closed.entry.cumulative_quantity) == (True, 28_515_000, 5)
    [stop] = closed.legs
    assert (stop.leg, stop.side, stop.quantity, stop.triggered_quantity) == ("STOP_LOSS_LEG", Side.SELL, 5, 5)
    assert (stop.price_e4, stop.trailing_jump_e4, stop.status) == (28_400_500, None, "TRIGGERED")
    assert (working.is_closed, working.legs, working.last_price_e4) == (False, (), None)


async def test_a_super_order_without_an_answer_is_unknown_and_not_sent_again() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/super/orders", close_after_reading())
        placed = await broker.super_orders.place(ACCOUNT, LIMIT_BUY, TARGET_28_80, CORRELATION)
        assert isinstance(placed, OutcomeUnknown)
        assert len(venue.requests("POST", "/v2/super/orders")) == 1


# --- Forever orders ---

FOREVER = msgspec.structs.replace(STOP_SELL, product=Product.CNC, time_in_force=TimeInForce.DAY)


async def test_a_forever_order_says_its_trigger_and_a_plain_type() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/forever/orders", answer(200, ACCEPTED))
        await broker.forever_orders.place(ACCOUNT, FOREVER, CORRELATION, Purpose.STOP)
        second = SecondTrigger(quantity=5, limit_price_e4=29_000_000, trigger_price_e4=28_990_000)
        await broker.forever_orders.place(ACCOUNT, FOREVER, CORRELATION, Purpose.STOP, second=second)
        single, either = [request.json() for request in venue.requests("POST", "/v2/forever/orders")]
    assert fields(single, "orderFlag", "orderType", "price", "triggerPrice", "productType") == {
        "orderFlag": "SINGLE",
        "orderType": "LIMIT",
        "price": 2849.0,
        "triggerPrice": 2850.0,
        "productType": "CNC",
    }
    assert "price1" not in single
    assert fields(either, "orderFlag", "quantity1", "price1", "triggerPrice1") == {
        "orderFlag": "OCO",
        "quantity1": 5,
        "price1": 2900.0,
        "triggerPrice1": 2899.0,
    }


async def test_a_forever_order_without_trigger_is_refused_here() -> None:
    async with venue_and_broker() as (venue, broker):
        with pytest.raises(ValueError, match="trigger"):
            await broker.forever_orders.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        assert venue.received == []


async def test_a_forever_order_is_changed_and_ended_by_its_id() -> None:
    path = f"/v2/forever/orders/{ORDER_ID}"
    async with venue_and_broker() as (venue, broker):
        venue.on("PUT", path, answer(200, ACCEPTED))
        venue.on("DELETE", path, answer(400, ORDER_ERROR))
        changed = await broker.forever_orders.modify(
            ACCOUNT, ORDER_ID, FOREVER, Purpose.STOP, kind=ForeverKind.ONE_CANCELS_OTHER, leg=Leg.STOP_LOSS
        )
        assert isinstance(changed, Done)
        ended = await broker.forever_orders.cancel(ACCOUNT, ORDER_ID)
        assert isinstance(ended, Refused)
        assert ended.reason is RefusalReason.INPUT
        [request] = venue.requests("PUT", path)
    assert fields(request.json(), "orderFlag", "legName", "orderType", "quantity", "validity") == {
        "orderFlag": "OCO",
        "legName": "STOP_LOSS_LEG",
        "orderType": "LIMIT",
        "quantity": 5,
        "validity": "DAY",
    }


async def test_forever_orders_are_read_with_their_kind_where_orders_have_their_type() -> None:
    row = {
        **ORDER_ROW,
        "orderStatus": "CONFIRM",
        "orderType": "OCO",
        "legName": "TARGET_LEG",
        "productType": "CNC",
        "triggerPrice": 2860.0,
        "createTime": "2026-10-01 10:00:00",
    }
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/forever/orders", answer(200, [row]))
        [order] = await broker.forever_orders.all(ACCOUNT)
        assert (order.kind, order.leg, order.is_armed) == (ForeverKind.ONE_CANCELS_OTHER, "TARGET_LEG", True)
        assert (order.limit_price_e4, order.trigger_price_e4) == (28_500_500, 28_600_000)
        assert order.made_at_ns == 1_790_829_000 * 10**9
        venue.on("GET", "/v2/forever/orders", answer(200, [{**row, "orderType": "LIMIT"}]))
        with pytest.raises(BrokerUnavailable):
            await broker.forever_orders.all(ACCOUNT)


# --- Changes of one order ---


async def test_the_twenty_sixth_change_of_an_order_is_not_sent() -> None:
    async with venue_and_broker(modifications_per_order=2, requests_per_minute=1_000) as (venue, broker):
        path = f"/v2/orders/{ORDER_ID}"
        venue.on("PUT", path, answer(200, ACCEPTED))
        for _ in range(2):
            assert not isinstance(await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY), NotSent)
        held_back = await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY)
        assert isinstance(held_back, NotSent)
        assert held_back.cause.startswith("budget of modifications")
        assert len(venue.requests("PUT", path)) == 2
        assert broker.status()["budgets"][ACCOUNT]["modifications"] == {ORDER_ID: {"used": 2, "limit": 2}}


async def test_a_change_that_no_byte_left_of_is_not_counted() -> None:
    async with venue_and_broker(modifications_per_order=1, breaker_failures_max=100) as (venue, broker):
        path = f"/v2/orders/{ORDER_ID}"
        venue.on("POST", "/v2/orders", answer(200, ACCEPTED))
        await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
        await venue.stop()
        assert isinstance(await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY), NotSent)
        await venue.start()
        venue.on("PUT", path, answer(200, ACCEPTED))
        assert not isinstance(await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY), NotSent)
