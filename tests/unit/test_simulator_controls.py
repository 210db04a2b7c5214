"""Slices, conversions, the way out, the kill switch, the exit by profit or loss, and what the risk desk asks."""

from typing import Any

import pytest

from adapters.simulator.faults.call_faults import Fault, FaultKind
from adapters.simulator.trading.slicing import parts_of
from tests.support.counter import CONVERSION, SUPER, Counter, counter, master_of
from tests.support.tape import ORDER, steady

PRICE = 1_310_00_00


def net_of(market: Counter) -> dict[str, int]:
    return {product: row["netQty"] for product, row in market.positions().items()}


# --- Slices


@pytest.mark.parametrize(
    ("quantity", "freeze", "lot", "parts"),
    [(25, 10, 1, [10, 10, 5]), (20, 10, 1, [10, 10]), (9, 10, 1, [9]), (90, 40, 15, [30, 30, 30]), (50, None, 1, [50])],
)
def test_a_quantity_is_cut_into_what_the_exchange_takes(
    quantity: int, freeze: int | None, lot: int, parts: list[int]
) -> None:
    assert (
        parts_of(quantity, master_of(freeze_quantity=freeze, lot=lot).by_symbol("RELIANCE", market_time_ns=0)) == parts
    )


def test_slices_share_the_correlation_id_and_are_answered_as_a_list() -> None:
    with counter(steady(PRICE), instruments=master_of(freeze_quantity=10)) as market:
        body = {**ORDER, "quantity": 25, "disclosedQuantity": 10}
        answer = market.write("POST", "/orders/slicing", body)
        rows = market.orders()
        assert market.refusal("POST", "/orders/slicing", {**body, "quantity": 0})[1] == "quantity is required"
    assert answer == [{"orderId": row["orderId"], "orderStatus": "TRANSIT"} for row in rows]
    assert [(row["quantity"], row["disclosedQuantity"], row["orderStatus"]) for row in rows] == [
        (10, 4, "TRADED"),
        (10, 4, "TRADED"),
        (5, 2, "TRADED"),
    ]
    assert {row["correlationId"] for row in rows} == {ORDER["correlationId"]}


def test_a_quantity_within_the_freeze_is_one_slice() -> None:
    with counter(steady(PRICE)) as market:
        assert len(market.write("POST", "/orders/slicing", ORDER)) == 1


# --- Correlation ids


@pytest.mark.parametrize(
    ("allowed", "kind", "taken"), [(True, "refuse_repeated_id", 1), (False, "accept_repeated_id", 2)]
)
def test_a_correlation_id_is_refused_or_taken_again_on_request(allowed: bool, kind: str, taken: int) -> None:  # noqa: FBT001
    fault = Fault(kind=FaultKind(kind))
    with counter(steady(PRICE), duplicate_correlation_ids_allowed=allowed) as market:
        market.place()
        if taken == 1:
            with pytest.raises(Exception, match="Duplicate correlationId"):
                market.write("POST", "/orders/slicing", ORDER, fault=fault)
        else:
            market.write("POST", "/orders/slicing", ORDER, fault=fault)
        assert len(market.orders()) == taken


def test_orders_without_an_id_of_the_clients_are_no_duplicates() -> None:
    body = {name: value for name, value in ORDER.items() if name != "correlationId"}
    with counter(steady(PRICE), duplicate_correlation_ids_allowed=False) as market:
        for _ in range(2):
            market.write("POST", "/orders/slicing", body)
        assert len(market.orders()) == 2


# --- Circuit limits


@pytest.mark.parametrize(("price", "status"), [(1180.0, "PENDING"), (1179.9, "REJECTED"), (1440.1, "REJECTED")])
def test_the_risk_desk_rejects_a_limit_outside_the_band_of_the_day(price: float, status: str) -> None:
    band = master_of(lower_circuit_e4=1_180_00_00, upper_circuit_e4=1_440_00_00)
    with counter(steady(PRICE), instruments=band) as market:
        order_id = market.place(price=price)
        (row,) = market.orders()
    assert row["orderStatus"] == status
    text = f"RMS:{order_id}:Order Price needs to be Circuit Limits of 1180.00 to 1440.00"
    assert row["omsErrorDescription"] == (text if status == "REJECTED" else "CONFIRMED")


# --- Conversion


def test_a_conversion_moves_a_part_of_a_position_at_its_average_and_answers_nothing() -> None:
    with counter(steady(PRICE, 1_320_00_00)) as market:
        market.place()
        market.step()
        market.place(price=1320)
        assert market.write("POST", "/positions/convert", CONVERSION) is None
        rows = market.positions()
    assert {product: (row["netQty"], row["buyAvg"]) for product, row in rows.items()} == {
        "INTRADAY": (16, 1315.0),
        "CNC": (4, 1315.0),
    }
    assert sum(row["dayBuyQty"] for row in rows.values()) == 20


def test_a_short_position_is_not_converted_to_delivery() -> None:
    with counter(steady(PRICE)) as market:
        market.place(transactionType="SELL")
        short = {**CONVERSION, "positionType": "SHORT"}
        assert market.refusal("POST", "/positions/convert", short)[0] == "DH-906"
        assert net_of(market) == {"INTRADAY": -10}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"convertQty": 11}, "DH-906"),
        ({"positionType": "SHORT"}, "DH-906"),
        ({"toProductType": "INTRADAY"}, "DH-906"),
        ({"toProductType": "MARGIN"}, "DH-906"),
        ({"fromProductType": "MTF"}, "DH-906"),
        ({"convertQty": 0}, "DH-905"),
        ({"positionType": "CLOSED"}, "DH-905"),
        ({"securityId": "1"}, "DH-905"),
        ({"exchangeSegment": "MOON"}, "DH-905"),
        ({"tradingSymbol": ""}, "DH-905"),
        ({"surprise": 1}, "DH-905"),
    ],
)
def test_a_conversion_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    with counter(steady(PRICE)) as market:
        market.place()
        assert market.refusal("POST", "/positions/convert", {**CONVERSION, **changes})[0] == code
        assert net_of(market) == {"INTRADAY": 10}


def test_a_conversion_to_delivery_needs_the_whole_price() -> None:
    with counter(steady(PRICE), opening_balance_paise=5_000_00) as market:
        market.place()
        code, message = market.refusal("POST", "/positions/convert", {**CONVERSION, "convertQty": 10})
        assert (code, message) == ("DH-906", "You have insufficient funds. Please add Rs.8100.00 to trade.")
        market.write("POST", "/positions/convert", {**CONVERSION, "convertQty": 2})
        assert net_of(market) == {"INTRADAY": 8, "CNC": 2}


def test_what_was_converted_can_be_sold_as_what_it_is() -> None:
    with counter(steady(PRICE)) as market:
        market.place()
        market.write("POST", "/positions/convert", CONVERSION)
        sold = market.place(productType="CNC", transactionType="SELL", quantity=4)
        assert market.order(sold).status == "TRADED"
        assert net_of(market) == {"INTRADAY": 6, "CNC": 0}


# --- The way out


def test_the_way_out_cancels_what_is_open_and_exits_what_is_held() -> None:
    with counter(steady(PRICE, PRICE), instruments=master_of(freeze_quantity=10)) as market:
        market.place()
        market.place()
        market.place(productType="CNC")
        market.place(transactionType="SELL", productType="INTRADAY", quantity=5)
        resting = market.place(price=1300)
        in_transit = market.accept(price=1299)
        answer = market.write("DELETE", "/positions")
        assert answer == {"status": "SUCCESS", "message": "All orders and positions exited successfully"}
        assert market.order(resting).status == market.order(in_transit.order_id).status == "CANCELLED"
        market.step()
        assert net_of(market) == {"INTRADAY": 0, "CNC": 0}
        exits = market.orders()[6:]
    assert [(row["quantity"], row["productType"], row["correlationId"]) for row in exits] == [
        (10, "INTRADAY", "NA"),
        (5, "INTRADAY", "NA"),
        (10, "CNC", "NA"),
    ]


def test_the_way_out_drops_the_legs_of_super_orders() -> None:
    with counter(steady(PRICE, 1_320_00_00)) as market:
        market.write("POST", "/super/orders", SUPER)
        market.write("DELETE", "/positions")
        market.step()
        assert net_of(market) == {"INTRADAY": 0}
        assert [leg["orderStatus"] for leg in market.read("/super/orders")[0]["legDetails"]] == ["CANCELLED"] * 2


def test_there_is_no_way_out_of_a_closed_market() -> None:
    with counter(steady(PRICE)) as market:
        market.place()
        market.step()
        assert market.refusal("DELETE", "/positions")[0] == "DH-906"


# --- The kill switch


def turn(market: Counter, word: str) -> Any:
    return market.write("POST", "/killswitch", killSwitchStatus=word)


def test_a_kill_switch_stops_every_order_until_it_is_off() -> None:
    with counter(steady(PRICE)) as market:
        assert market.read("/killswitch")["killSwitchStatus"] == "DEACTIVATE"
        assert turn(market, "ACTIVATE")["killSwitchStatus"] == "Kill Switch has been successfully activated"
        assert market.read("/killswitch")["killSwitchStatus"] == "ACTIVATE"
        for path, body in (("/orders/slicing", ORDER), ("/super/orders", SUPER)):
            code, message = market.refusal("POST", path, body)
            assert (code, message) == ("DH-906", "Kill Switch is active. Trading is disabled for the day.")
        assert turn(market, "DEACTIVATE")["killSwitchStatus"] == "Kill Switch has been successfully deactivated"
        market.write("POST", "/orders/slicing", ORDER)


@pytest.mark.parametrize("changes", [{}, {"price": 1300.0}])
def test_a_kill_switch_needs_empty_books(changes: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        market.place(**changes)
        assert market.refusal("POST", "/killswitch", killSwitchStatus="ACTIVATE")[0] == "DH-906"
        assert market.read("/killswitch")["killSwitchStatus"] == "DEACTIVATE"


def test_a_kill_switch_knows_two_words() -> None:
    with counter(steady(PRICE)) as market:
        assert market.refusal("POST", "/killswitch", killSwitchStatus="MAYBE")[0] == "DH-905"
        assert market.refusal("POST", "/killswitch")[0] == "DH-905"


def test_a_kill_switch_stops_what_a_forever_order_makes() -> None:
    forever = {**ORDER, "productType": "CNC", "orderFlag": "SINGLE", "price": 1301.0, "triggerPrice": 1300.0}
    with counter(steady(PRICE, 1_300_00_00)) as market:
        market.write("POST", "/forever/orders", forever)
        turn(market, "ACTIVATE")
        market.step()
        assert [row["orderStatus"] for row in market.read("/forever/orders")] == ["REJECTED"]
        assert market.orders() == []


# --- The exit by profit or loss


PROFIT_EXIT: dict[str, Any] = {
    "profitValue": 100.0,
    "lossValue": 50.0,
    "productType": ["INTRADAY"],
    "enableKillSwitch": False,
}
ACTIVE = {
    "pnlExitStatus": "ACTIVE",
    "profit": "100.00",
    "loss": "50.00",
    "productType": ["INTRADAY"],
    "enable_kill_switch": False,
}


@pytest.mark.parametrize(
    ("price", "is_out"), [(1_319_90_00, False), (1_320_00_00, True), (1_305_10_00, False), (1_305_00_00, True)]
)
def test_a_profit_or_a_loss_exits_once(price: int, is_out: bool) -> None:  # noqa: FBT001
    with counter(steady(PRICE, price)) as market:
        market.place()
        market.place(price=1299)
        market.place(productType="CNC", quantity=1)
        answer = market.write("POST", "/pnlExit", PROFIT_EXIT)
        assert answer == {"pnlExitStatus": "ACTIVE", "message": "P&L based exit configured successfully"}
        assert market.read("/pnlExit") == ACTIVE
        market.step()
        assert net_of(market) == {"INTRADAY": 0 if is_out else 10, "CNC": 1}
        assert market.read("/pnlExit")["pnlExitStatus"] == ("INACTIVE" if is_out else "ACTIVE")
        assert market.orders()[1]["orderStatus"] == ("CANCELLED" if is_out else "PENDING")


def test_what_is_beyond_already_exits_at_once_and_may_switch_trading_off() -> None:
    with counter(steady(PRICE, 1_300_00_00)) as market:
        market.place(productType="CNC")
        market.step()
        body = {**PROFIT_EXIT, "productType": ["INTRADAY", "DELIVERY"], "enableKillSwitch": True}
        market.write("POST", "/pnlExit", body)
        assert net_of(market) == {"CNC": 0}
        assert market.read("/killswitch")["killSwitchStatus"] == "ACTIVATE"


def test_a_profit_exit_that_was_stopped_exits_nothing() -> None:
    with counter(steady(PRICE, 1_320_00_00)) as market:
        market.place()
        market.write("POST", "/pnlExit", PROFIT_EXIT)
        for _ in range(2):
            stopped = market.write("DELETE", "/pnlExit")
            assert stopped == {"pnlExitStatus": "DISABLED", "message": "P&L based exit stopped successfully"}
        market.step()
        assert net_of(market) == {"INTRADAY": 10}
        assert market.read("/pnlExit")["pnlExitStatus"] == "INACTIVE"


def test_one_of_the_two_amounts_is_enough() -> None:
    with counter(steady(PRICE, 1_300_00_00, 1_320_00_00)) as market:
        market.place()
        market.write("POST", "/pnlExit", {"profitValue": "100"})
        market.step()
        assert net_of(market) == {"INTRADAY": 10}
        market.step()
        assert net_of(market) == {"INTRADAY": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"profitValue": 0},
        {"lossValue": -5},
        {"profitValue": 0.001},
        {"productType": []},
        {"productType": "INTRADAY"},
        {"productType": ["CNC"]},
        {"enableKillSwitch": "yes"},
        {"surprise": 1},
    ],
)
def test_a_profit_exit_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        assert market.refusal("POST", "/pnlExit", {**PROFIT_EXIT, **changes})[0] == "DH-905"
        assert market.refusal("POST", "/pnlExit", {"productType": ["INTRADAY"]})[0] == "DH-905"
        assert market.read("/pnlExit")["pnlExitStatus"] == "INACTIVE"


# --- The statement


def test_the_statement_tells_what_each_trade_was_charged() -> None:
    with counter(steady(PRICE, 1_320_00_00)) as market:
        market.place(productType="CNC")
        market.step()
        market.place(transactionType="SELL", price=1320)
        bought, sold = market.read("/trades/2026-04-15/2026-04-15/0")
        assert market.read("/trades/2026-04-15/2026-04-15/1") == []
        assert market.read("/trades/2026-04-16/2026-04-17/0") == []
        assert market.read("/trades/2026-04-01/2026-04-14/0") == []
    assert (bought["tradedQuantity"], bought["tradedPrice"], bought["createTime"]) == (10, 1310.0, "NA")
    assert (bought["tradingSymbol"], bought["customSymbol"], bought["instrument"]) == (
        None,
        "Reliance Industries",
        "EQUITY",
    )
    names = ("brokerageCharges", "stt", "sebiTax", "stampDuty", "exchangeTransactionCharges", "serviceTax")
    assert [bought[name] for name in names] == [0.0, 13.1, 0.0131, 1.97, 0.4022, 0.0748]
    assert sold["stt"] == 3.3


def test_the_statement_charges_each_trade_by_itself_and_an_order_one_brokerage() -> None:
    with counter(steady(PRICE)) as market:
        market.place(quantity=30)
        market.place(quantity=60)
        one, other = market.read("/trades/2026-04-15/2026-04-15/0")
    assert (one["brokerageCharges"], other["brokerageCharges"]) == (11.79, 20.0)
    assert [one[name] for name in ("sebiTax", "exchangeTransactionCharges", "stampDuty")] == [0.0393, 1.2065, 1.18]
    assert one["serviceTax"] == 2.3464


def test_the_statement_comes_in_pages() -> None:
    with counter(steady(PRICE)) as market:
        for _ in range(23):
            market.place(quantity=1)
        pages = [market.read(f"/trades/2026-04-15/2026-04-15/{page}") for page in range(3)]
        assert [len(page) for page in pages] == [20, 3, 0]
        assert len({row["exchangeTradeId"] for page in pages for row in page}) == 23
