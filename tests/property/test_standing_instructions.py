"""Standing instructions of the simulator on any prices: what they may never do, and that a restart changes nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.simulator.refusals import Refusal
from adapters.simulator.synthetic import DEMO_START_NS
from domain.market import NS_PER_S
from tests.support.counter import ALERT_ORDER, CONDITION, CONVERSION, SUPER, Counter, counter
from tests.support.tape import ORDER, steady

PATHS = ("/super/orders", "/forever/orders", "/alerts/orders", "/pnlExit")
TICKS_E4 = 1_000
MIDDLE_E4 = 1_310_00_00
prices_e4 = st.integers(-40, 40).map(lambda ticks: MIDDLE_E4 + ticks * 5 * TICKS_E4)
tapes = st.lists(prices_e4, min_size=2, max_size=8)
rupees = st.integers(1, 20)


@st.composite
def super_orders(draw: st.DrawFn) -> dict[str, Any]:
    side = draw(st.sampled_from(["BUY", "SELL"]))
    sign = 1 if side == "BUY" else -1
    price = 1310 + draw(st.integers(-5, 5))
    return {
        **{name: ORDER[name] for name in ORDER if name != "validity"},
        "transactionType": side,
        "quantity": draw(st.integers(1, 12)),
        "price": price,
        "targetPrice": price + sign * draw(rupees),
        "stopLossPrice": price - sign * draw(rupees),
        "trailingJump": draw(st.sampled_from([0, 1, 2.5])),
    }


def asked_for(market: Counter, orders: list[dict[str, Any]]) -> None:
    for order in orders:
        market.write("POST", "/super/orders", order)
    market.write(
        "POST",
        "/forever/orders",
        {**ORDER, "productType": "CNC", "orderFlag": "SINGLE", "price": 1300, "triggerPrice": 1300},
    )
    market.write("POST", "/pnlExit", {"profitValue": 120, "lossValue": 90})


FOREVER: dict[str, Any] = {
    **ORDER,
    "productType": "CNC",
    "transactionType": "SELL",
    "orderFlag": "OCO",
    "triggerPrice": 1320,
    "price1": 1300,
    "triggerPrice1": 1300,
    "quantity1": 5,
}
PROFIT_EXIT: dict[str, Any] = {
    "profitValue": 900,
    "lossValue": 900,
    "productType": ["INTRADAY"],
    "enableKillSwitch": False,
}
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/orders/slicing", ORDER),
    ("POST", "/super/orders", SUPER),
    ("PUT", "/super/orders/{super}", {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 5, "price": 1305}),
    ("PUT", "/super/orders/{super}", {"legName": "STOP_LOSS_LEG", "stopLossPrice": 1301, "trailingJump": 1}),
    ("POST", "/forever/orders", FOREVER),
    ("PUT", "/forever/orders/{forever}", {"legName": "TARGET_LEG", "orderFlag": "OCO", "quantity": 5}),
    ("POST", "/alerts/orders", {"condition": CONDITION, "orders": [ALERT_ORDER]}),
    ("PUT", "/alerts/orders/{alert}", {"alertId": "1", "condition": CONDITION}),
    ("POST", "/positions/convert", CONVERSION),
    ("POST", "/pnlExit", PROFIT_EXIT),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["LIMIT", "0", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A body that the broker takes, with one of its fields become anything; or anything instead of a body."""
    method, path, body = draw(st.sampled_from(BODIES))
    if draw(st.integers(0, 9)) == 0:
        return method, path, draw(anything)
    changed: dict[str, Any] = {**body}
    if "condition" in body and draw(st.booleans()):
        changed["condition"] = {**CONDITION, draw(st.sampled_from(sorted(CONDITION))): draw(anything)}
        changed["orders"] = [{**ALERT_ORDER, draw(st.sampled_from(sorted(ALERT_ORDER))): draw(anything)}]
    else:
        changed[draw(st.sampled_from(sorted({*body, "dhanClientId", "surprise"})))] = draw(anything)
    return method, path, changed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
def test_whatever_a_body_says_it_is_taken_or_refused(asked: tuple[str, str, Any]) -> None:
    method, path, body = asked
    with counter(steady(MIDDLE_E4)) as market:
        alert = {"condition": CONDITION, "orders": [ALERT_ORDER]}
        named = {
            "super": market.write("POST", "/super/orders", {**SUPER, "price": 1305})["orderId"],
            "forever": market.write("POST", "/forever/orders", FOREVER)["orderId"],
            "alert": market.write("POST", "/alerts/orders", alert)["alertId"],
        }
        before = told(market)
        try:
            market.write(method, path.format(**named), body)
        except Refusal as refused:
            refusal = refused
        else:
            refusal = None
        assert refusal is None or (refusal.status in {400, 401} and told(market) == before)
        market.step()
        msgspec.json.encode(told(market))


def told(market: Counter) -> dict[str, Any]:
    return {"orders": market.orders(), **{path: market.read(path) for path in PATHS}}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=prices_e4, tape=tapes, orders=st.lists(super_orders(), min_size=1, max_size=3), volume=st.integers(4, 60))
def test_exits_never_take_more_than_was_entered(
    first: int, tape: list[int], orders: list[dict[str, Any]], volume: int
) -> None:
    with counter(steady(first, *tape, volume=volume)) as market:
        for order in orders:
            market.write("POST", "/super/orders", order)
        for _ in tape:
            market.step()
            for order in market.desk.standing.super_orders.of(ORDER["dhanClientId"]):
                promised = sum(part.filled_quantity + part.leaves_quantity for part in order.exits)
                assert 0 <= promised <= order.entry.filled_quantity
                assert not (order.exits and order.entry.is_open), "nothing may be entered behind an exit"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=prices_e4,
    tape=tapes,
    orders=st.lists(super_orders(), min_size=1, max_size=3),
    volume=st.integers(4, 60),
    data=st.data(),
)
def test_a_restart_between_any_two_seconds_changes_nothing(
    first: int, tape: list[int], orders: list[dict[str, Any]], volume: int, data: st.DataObject
) -> None:
    lived = data.draw(st.integers(0, len(tape) - 1), label="seconds before the restart")
    with counter(steady(first, *tape, volume=volume)) as market:
        asked_for(market, orders)
        market.step(len(tape))
        in_one_life = told(market)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "books.jsonl"
        with counter(steady(first, *tape, volume=volume), journal=path) as market:
            asked_for(market, orders)
            market.step(lived)
        rest_ns = DEMO_START_NS + (1 + lived) * NS_PER_S
        with counter(steady(*tape[lived:], volume=volume, start_ns=rest_ns), journal=path) as market:
            market.step(len(tape) - lived - 1)
            assert told(market) == in_one_life
