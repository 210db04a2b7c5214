"""The simulator's alerts, which the broker calls conditional triggers: when they hold, and what they make."""

from pathlib import Path
from typing import Any

import pytest

from adapters.simulator.journal import Journal
from adapters.simulator.records import Record
from adapters.simulator.standing_records import AlertCondition, AlertEnded, AlertOrder, AlertSet
from adapters.simulator.synthetic import DEMO_START_NS
from domain.market import NS_PER_S
from domain.order import OrderType, Side, TimeInForce
from tests.support.counter import ALERT_ORDER, CONDITION, SHARE, Counter, counter
from tests.support.tape import CLIENT_ID, NIFTY, RELIANCE, ScriptedTape, steady

PRICE = 1_310_00_00
LOW = 1_300_00_00
HIGH = 1_320_00_00
DAY_NS = 24 * 3600 * NS_PER_S
PATH = "/alerts/orders"
ALERT: dict[str, Any] = {"condition": CONDITION, "orders": [ALERT_ORDER]}


def alert_of(*, orders: list[dict[str, Any]] | None = None, **condition: Any) -> dict[str, Any]:
    return {"condition": {**CONDITION, **condition}, "orders": orders or [ALERT_ORDER]}


def made_by(market: Counter, alert: dict[str, Any]) -> str:
    return str(market.write("POST", PATH, alert)["alertId"])


def test_an_alert_is_told_as_it_was_asked_for() -> None:
    with counter(steady(PRICE)) as market:
        answer = market.write("POST", PATH, ALERT)
        row = market.read(f"{PATH}/{answer['alertId']}")
        assert market.read(PATH) == [row]
    assert answer == {"alertId": row["alertId"], "alertStatus": "ACTIVE"}
    assert {name: row["condition"][name] for name in CONDITION} == CONDITION
    assert row["condition"]["expDate"] == "2027-04-15", "a year from the tape's day on"
    assert row["orders"] == [{**ALERT_ORDER, "triggerPrice": "0.00"}]
    assert (row["createdTime"], row["triggeredTime"]) == ("2026-04-15T03:45:00Z", None)


def test_a_price_that_meets_the_condition_makes_the_orders_once() -> None:
    second = {**ALERT_ORDER, "quantity": 3, "orderType": "MARKET", "price": "0"}
    with counter(steady(PRICE, HIGH, PRICE, HIGH)) as market:
        alert_id = made_by(market, alert_of(orders=[ALERT_ORDER, second]))
        assert market.orders() == []
        market.step(3)
        row = market.read(f"{PATH}/{alert_id}")
        assert [(order["quantity"], order["orderStatus"]) for order in market.orders()] == [
            (10, "TRADED"),
            (3, "TRADED"),
        ]
        assert {order["correlationId"] for order in market.orders()} == {"NA"}
    assert (row["alertStatus"], row["triggeredTime"], row["lastPrice"]) == (
        "TRIGGERED",
        "2026-04-15T03:45:01Z",
        1320.0,
    )


@pytest.mark.parametrize(
    ("operator", "prices", "fires_at"),
    [
        ("CROSSING_UP", (HIGH, LOW, PRICE), 2),
        ("CROSSING_DOWN", (LOW, HIGH, PRICE), 2),
        ("CROSSING_ANY_SIDE", (HIGH, LOW), 1),
        ("CROSSING_ANY_SIDE", (LOW, HIGH), 1),
        ("GREATER_THAN", (PRICE, HIGH), 1),
        ("GREATER_THAN_EQUAL", (LOW, PRICE), 1),
        ("LESS_THAN", (PRICE, LOW), 1),
        ("LESS_THAN_EQUAL", (HIGH, PRICE), 1),
        ("EQUAL", (LOW, HIGH, PRICE), 2),
        ("NOT_EQUAL", (PRICE, HIGH), 1),
    ],
)
def test_every_operator_means_what_it_says(operator: str, prices: tuple[int, ...], fires_at: int) -> None:
    with counter(ScriptedTape([], *steady(*prices)._script)) as market:
        made_by(market, alert_of(operator=operator, comparingValue=1310))
        for place in range(len(prices)):
            market.step()
            assert len(market.orders()) == int(place >= fires_at), place


def test_a_condition_may_be_on_an_index() -> None:
    prints = ([(RELIANCE, PRICE, 100), (NIFTY, 25_000_00_00, 0)], [(NIFTY, 25_100_00_00, 0)])
    with counter(ScriptedTape(*prints)) as market:
        made_by(market, alert_of(exchangeSegment="IDX_I", securityId="13", comparingValue="25100"))
        market.step()
        assert [order["tradingSymbol"] for order in market.orders()] == ["RELIANCE"]


def test_a_change_names_the_condition_and_may_leave_the_orders() -> None:
    with counter(steady(PRICE, LOW)) as market:
        alert_id = made_by(market, ALERT)
        changed = {**CONDITION, "operator": "LESS_THAN_EQUAL", "comparingValue": 1300}
        answer = market.write("PUT", f"{PATH}/{alert_id}", {"alertId": alert_id, "condition": changed})
        assert answer == {"alertId": alert_id, "alertStatus": "ACTIVE"}
        market.step()
        assert [order["quantity"] for order in market.orders()] == [10]


def test_a_canceled_alert_makes_nothing_and_cannot_be_changed() -> None:
    with counter(steady(PRICE, HIGH)) as market:
        alert_id = made_by(market, ALERT)
        assert market.write("DELETE", f"{PATH}/{alert_id}") == {"alertId": alert_id, "alertStatus": "CANCELLED"}
        refused = [
            market.refusal("DELETE", f"{PATH}/{alert_id}"),
            market.refusal("PUT", f"{PATH}/{alert_id}", ALERT),
            market.refusal("DELETE", f"{PATH}/1"),
            market.refusal("PUT", f"{PATH}/1", ALERT),
        ]
        market.step()
        assert market.orders() == []
    assert [code for code, _ in refused] == ["DH-906", "DH-906", "DH-905", "DH-905"]


@pytest.mark.parametrize(
    "alert",
    [
        {},
        {"condition": CONDITION},
        {"condition": CONDITION, "orders": []},
        {"condition": CONDITION, "orders": [ALERT_ORDER] * 16},
        {"condition": [], "orders": [ALERT_ORDER]},
        {**ALERT, "surprise": 1},
        alert_of(comparisonType="TECHNICAL_WITH_VALUE"),
        alert_of(frequency="ALWAYS"),
        alert_of(operator="ABOUT"),
        alert_of(exchangeSegment="NSE_FNO"),
        alert_of(securityId="1"),
        alert_of(comparingValue=0),
        alert_of(comparingValue="much"),
        alert_of(expDate="soon"),
        alert_of(expDate="2026-04-14"),
        alert_of(userNote=5),
        alert_of(surprise=1),
        alert_of(orders=[{**ALERT_ORDER, "quantity": 0}]),
        alert_of(orders=[{**ALERT_ORDER, "surprise": 1}]),
        {"condition": CONDITION, "orders": ["buy"]},
    ],
)
def test_an_alert_that_makes_no_sense_or_is_not_simulated_is_refused(alert: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        assert market.refusal("POST", PATH, alert)[0] == "DH-905"
        assert market.read(PATH) == []


def test_a_kill_switch_stops_what_an_alert_makes() -> None:
    with counter(steady(PRICE, HIGH)) as market:
        made_by(market, ALERT)
        market.write("POST", "/killswitch", killSwitchStatus="ACTIVATE")
        market.step()
        assert market.orders() == []


def test_an_alert_waits_over_days_until_its_last(tmp_path: Path) -> None:
    path = tmp_path / "books.jsonl"
    with counter(steady(PRICE), journal=path) as market:
        waits = made_by(market, ALERT)
        short = made_by(market, alert_of(expDate="2026-04-15"))
        assert len(market.read(PATH)) == 2
    with counter(steady(PRICE, HIGH, start_ns=DEMO_START_NS + DAY_NS), journal=path) as market:
        assert [(row["alertId"], row["alertStatus"]) for row in market.read(PATH)] == [
            (waits, "ACTIVE"),
            (short, "EXPIRED"),
        ]
        market.step()
        assert [row["alertStatus"] for row in market.read(PATH)] == ["TRIGGERED", "EXPIRED"]
        assert len(market.orders()) == 1
    with counter(steady(HIGH, start_ns=DEMO_START_NS + 2 * DAY_NS), journal=path) as market:
        assert market.read(PATH) == []


def test_every_record_comes_back_as_it_was(tmp_path: Path) -> None:
    condition = AlertCondition(key=RELIANCE, operator="EQUAL", value_e4=1, expires_on="2026-04-15", note="é")
    order = AlertOrder(
        instrument=SHARE,
        side=Side.SELL,
        order_type=OrderType.SL,
        product="CNC",
        time_in_force=TimeInForce.DAY,
        quantity=3,
        limit_price_e4=1,
        trigger_price_e4=2,
        disclosed_quantity=1,
    )
    records: tuple[Record, ...] = (
        AlertSet(order_id="1", client_id=CLIENT_ID, condition=condition, orders=(order,), time_ns=1),
        AlertEnded(order_id="1", status="TRIGGERED", price_e4=7, time_ns=2),
    )
    with Journal(tmp_path / "books.jsonl") as journal:
        journal.begin(records)
        assert tuple(journal.read()) == records
