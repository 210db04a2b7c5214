"""The simulator's forever orders: what arms them, what fires them, and what becomes of the order they make."""

from typing import Any

import pytest

from domain.order import MODIFICATIONS_MAX
from tests.support.counter import Counter, counter
from tests.support.tape import CLIENT_ID, ORDER, OTHER_CLIENT_ID, ScriptedTape, steady

PRICE = 1_310_00_00
LOW = 1_300_00_00
HIGH = 1_320_00_00
PATH = "/forever/orders"
BUY_BELOW: dict[str, Any] = {
    **ORDER,
    "productType": "CNC",
    "orderFlag": "SINGLE",
    "price": 1301.0,
    "triggerPrice": 1300.0,
}
OCO: dict[str, Any] = {
    **BUY_BELOW,
    "orderFlag": "OCO",
    "transactionType": "SELL",
    "price": 1319.0,
    "triggerPrice": 1320.0,
    "price1": 1299.0,
    "triggerPrice1": 1300.0,
    "quantity1": 6,
}


def armed(market: Counter, **changes: Any) -> str:
    return str(market.write("POST", PATH, {**BUY_BELOW, **changes})["orderId"])


def statuses(market: Counter) -> list[tuple[str, str]]:
    return [(row["legName"], row["orderStatus"]) for row in market.read(PATH)]


def test_an_armed_order_is_in_no_book_but_its_own() -> None:
    with counter(steady(PRICE)) as market:
        answer = market.write("POST", PATH, BUY_BELOW)
        (row,) = market.read(PATH)
        assert market.orders() == []
        assert market.place() != answer["orderId"], "its id is nobody else's"
    assert answer == {"orderId": row["orderId"], "orderStatus": "PENDING"}
    wanted = {
        "dhanClientId": CLIENT_ID,
        "orderStatus": "CONFIRM",
        "orderType": "SINGLE",
        "legName": "TARGET_LEG",
        "quantity": 10,
        "price": 1301.0,
        "triggerPrice": 1300.0,
        "tradingSymbol": "RELIANCE",
        "exchangeTime": None,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_a_trigger_makes_a_real_order_with_the_same_correlation_id() -> None:
    with counter(steady(PRICE, 1_300_10_00, LOW)) as market:
        order_id = armed(market)
        market.step()
        assert statuses(market) == [("TARGET_LEG", "CONFIRM")]
        market.step()
        assert statuses(market) == [("TARGET_LEG", "TRADED")]
        (row,) = market.orders()
    assert row["orderId"] != order_id
    assert (row["correlationId"], row["productType"], row["price"]) == (ORDER["correlationId"], "CNC", 1301.0)
    assert (row["legName"], row["averageTradedPrice"]) == ("TARGET_LEG", 1300.0)


@pytest.mark.parametrize(("side", "trigger"), [("BUY", 1320.0), ("BUY", 1300.0), ("SELL", 1320.0), ("SELL", 1300.0)])
def test_a_single_fires_when_the_price_comes_to_its_trigger_from_where_it_was(side: str, trigger: float) -> None:
    with counter(steady(PRICE, PRICE, int(trigger * 10_000))) as market:
        armed(market, transactionType=side, triggerPrice=trigger, price=trigger)
        market.step()
        assert market.orders() == []
        market.step()
        assert [row["transactionType"] for row in market.orders()] == [side]


@pytest.mark.parametrize(("side", "prices"), [("BUY", (HIGH, PRICE)), ("SELL", (LOW, PRICE))])
def test_without_a_price_a_buy_waits_for_a_fall_and_a_sale_for_a_rise(side: str, prices: tuple[int, int]) -> None:
    with counter(ScriptedTape([], *steady(*prices)._script)) as market:
        armed(market, transactionType=side, triggerPrice=1310, price=1310)
        market.step()
        assert market.orders() == []
        market.step()
        assert len(market.orders()) == 1


@pytest.mark.parametrize(
    ("price", "made", "rows"),
    [
        (HIGH, ("TARGET_LEG", 10, 1319.0), [("TARGET_LEG", "TRADED"), ("STOP_LOSS_LEG", "CANCELLED")]),
        (LOW, ("STOP_LOSS_LEG", 6, 1299.0), [("TARGET_LEG", "CANCELLED"), ("STOP_LOSS_LEG", "TRADED")]),
    ],
)
def test_of_two_legs_the_first_that_fires_cancels_the_other(
    price: int, made: tuple[str, int, float], rows: list[tuple[str, str]]
) -> None:
    with counter(steady(PRICE, price, LOW, HIGH)) as market:
        market.place(productType="CNC")
        market.write("POST", PATH, OCO)
        assert statuses(market) == [("TARGET_LEG", "CONFIRM"), ("STOP_LOSS_LEG", "CONFIRM")]
        assert {row["orderType"] for row in market.read(PATH)} == {"OCO"}
        market.step(3)
        assert statuses(market) == rows
        (_, order) = market.orders()
        assert (order["legName"], order["quantity"], order["price"]) == made


def test_the_order_it_makes_may_be_rejected_and_the_row_says_so() -> None:
    with counter(steady(PRICE, HIGH)) as market:
        armed(market, transactionType="SELL", triggerPrice=1320, price=1320)
        market.step()
        assert statuses(market) == [("TARGET_LEG", "REJECTED")]
        assert "Insufficient holdings" in market.orders()[0]["omsErrorDescription"]


def test_it_can_be_armed_while_the_market_is_closed_and_waits_beyond_the_close() -> None:
    with counter(steady(PRICE)) as market:
        early = armed(market)
        market.step()
        late = armed(market)
        assert [row["orderId"] for row in market.read(PATH)] == [early, late]
        assert statuses(market) == [("TARGET_LEG", "CONFIRM")] * 2


# --- Changing and canceling


def test_a_change_names_its_leg_and_what_it_does_not_name_stays() -> None:
    with counter(steady(PRICE, HIGH)) as market:
        market.place(productType="CNC")
        order_id = market.write("POST", PATH, OCO)["orderId"]
        change = {
            "orderId": order_id,
            "orderFlag": "OCO",
            "legName": "STOP_LOSS_LEG",
            "quantity": 4,
            "triggerPrice": 1301,
        }
        assert market.write("PUT", f"{PATH}/{order_id}", change) == {"orderId": order_id, "orderStatus": "PENDING"}
        target, stop = market.read(PATH)
    assert (target["quantity"], target["triggerPrice"]) == (10, 1320.0)
    assert (stop["quantity"], stop["triggerPrice"], stop["price"]) == (4, 1301.0, 1299.0)


def test_a_trigger_that_is_moved_past_the_price_is_come_to_from_the_other_side() -> None:
    with counter(steady(PRICE, LOW, HIGH)) as market:
        order_id = armed(market)
        change = {"legName": "TARGET_LEG", "triggerPrice": 1320, "price": 1321}
        market.write("PUT", f"{PATH}/{order_id}", change)
        market.step()
        assert market.orders() == []
        market.step()
        assert len(market.orders()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"legName": "ENTRY_LEG"},
        {"legName": "STOP_LOSS_LEG"},
        {"legName": "TARGET_LEG", "orderFlag": "OCO"},
        {"legName": "TARGET_LEG", "orderId": "1"},
        {"legName": "TARGET_LEG", "quantity": 0},
        {"legName": "TARGET_LEG", "triggerPrice": 0},
        {"legName": "TARGET_LEG", "price": 1301.03},
        {"legName": "TARGET_LEG", "orderType": "STOP_LOSS"},
        {"legName": "TARGET_LEG", "validity": ""},
        {"legName": "TARGET_LEG", "surprise": 1},
    ],
)
def test_a_malformed_change_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        order_id = armed(market)
        before = market.read(PATH)
        assert market.refusal("PUT", f"{PATH}/{order_id}", change)[0] == "DH-905"
        assert market.read(PATH) == before


def test_the_26th_change_is_refused() -> None:
    with counter(steady(PRICE)) as market:
        order_id = armed(market)
        change = {"legName": "TARGET_LEG", "quantity": 11}
        for _ in range(MODIFICATIONS_MAX):
            market.write("PUT", f"{PATH}/{order_id}", change)
        assert market.refusal("PUT", f"{PATH}/{order_id}", change)[0] == "DH-906"


def test_a_canceled_order_fires_no_more() -> None:
    with counter(steady(PRICE, LOW)) as market:
        order_id = armed(market)
        answer = market.write("DELETE", f"{PATH}/{order_id}")
        assert answer == {"orderId": order_id, "orderStatus": "CANCELLED"}
        market.step()
        assert statuses(market) == [("TARGET_LEG", "CANCELLED")]
        assert market.orders() == []


def test_what_has_fired_can_be_neither_changed_nor_canceled() -> None:
    with counter(steady(PRICE, LOW)) as market:
        order_id = armed(market)
        market.step()
        refused = [
            market.refusal("PUT", f"{PATH}/{order_id}", {"legName": "TARGET_LEG", "quantity": 5}),
            market.refusal("DELETE", f"{PATH}/{order_id}"),
            market.refusal("DELETE", f"{PATH}/1"),
        ]
    assert [code for code, _ in refused] == ["DH-906", "DH-906", "DH-905"]


# --- What is refused


@pytest.mark.parametrize(
    "body",
    [
        {**BUY_BELOW, "orderFlag": "BOTH"},
        {**BUY_BELOW, "orderFlag": ""},
        {**BUY_BELOW, "productType": "INTRADAY"},
        {**BUY_BELOW, "triggerPrice": 0},
        {**BUY_BELOW, "triggerPrice": ""},
        {**BUY_BELOW, "triggerPrice": 1300.03},
        {**BUY_BELOW, "quantity": 0},
        {**BUY_BELOW, "orderType": "STOP_LOSS"},
        {**BUY_BELOW, "surprise": 1},
        {**OCO, "quantity1": 0},
        {**OCO, "price1": 0},
        {**OCO, "triggerPrice1": 1320.0},
        {**OCO, "triggerPrice1": 1330.0},
        {**OCO, "transactionType": "BUY"},
    ],
)
def test_a_forever_order_that_makes_no_sense_is_refused(body: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        assert market.refusal("POST", PATH, body)[0] == "DH-905"
        assert market.read(PATH) == []


def test_another_clients_order_is_not_there() -> None:
    with counter(steady(PRICE)) as market:
        order_id = armed(market)
        market.desk.standing.forever_orders.find(CLIENT_ID, order_id)
        assert market.desk.standing.forever_orders.of(OTHER_CLIENT_ID) == []
        assert market.refusal("POST", PATH, {**BUY_BELOW, "dhanClientId": OTHER_CLIENT_ID})[0] == "DH-901"
