"""The broker's official client trades on the simulator."""

from tests.support.counter import ALERT_ORDER, CONDITION, CONVERSION, SUPER, master_of
from tests.support.dhan_sdk import ask, official_client, refusal
from tests.support.tape import CLIENT_ID, ORDER, config_of, steady, venue

PRICE = 1_310_00_00
CORRELATION = "kh1abcdefghijklmnopqrstuv"


async def test_an_order_of_the_official_client_becomes_a_trade_and_a_position() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            placed = await ask(
                dhan.place_order,
                security_id="2885",
                exchange_segment=dhan.NSE,
                transaction_type=dhan.BUY,
                quantity=10,
                order_type=dhan.LIMIT,
                product_type=dhan.INTRA,
                price=1310.0,
                tag=CORRELATION,
            )
            (found,) = await ask(dhan.get_order_by_id, placed["orderId"])
            (trade,) = await ask(dhan.get_trade_book)
            (of_the_order,) = await ask(dhan.get_trade_book, placed["orderId"])
            (position,) = await ask(dhan.get_positions)
            by_our_id = await ask(dhan.get_order_by_correlationID, CORRELATION)
            book = await ask(dhan.get_order_list)
            funds = await ask(dhan.get_fund_limits)
    assert placed["orderStatus"] == "TRANSIT"
    assert (found["orderStatus"], found["dhanClientId"]) == ("TRADED", CLIENT_ID)
    assert by_our_id == found
    assert book == [found]
    assert trade == of_the_order
    assert (trade["tradedQuantity"], trade["tradedPrice"]) == (10, 1310.0)
    assert (position["netQty"], position["positionType"]) == (10, "LONG")
    assert funds["utilizedAmount"] == 2620.0


async def test_an_order_of_the_official_client_is_changed_and_canceled() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            placed = await ask(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.INTRA, 1300.0)
            order_id = placed["orderId"]
            await ask(dhan.modify_order, order_id, dhan.LIMIT, None, 20, 1301.0, 0, 0, dhan.DAY)
            (changed,) = await ask(dhan.get_order_by_id, order_id)
            canceled = await ask(dhan.cancel_order, order_id)
            remarks = await refusal(dhan.cancel_order, order_id)
    assert (changed["quantity"], changed["price"], changed["orderStatus"]) == (20, 1301.0, "PENDING")
    assert canceled == {"orderId": order_id, "orderStatus": "CANCELLED"}
    assert (remarks["error_code"], remarks["error_type"]) == ("DH-906", "Order_Error")


async def test_the_official_client_slices_an_order_above_the_freeze_quantity() -> None:
    async with venue(config_of(steady(PRICE), instruments=master_of(freeze_quantity=10))) as client:
        await client.step()
        with official_client(client) as dhan:
            sliced = await ask(
                dhan.place_slice_order, "2885", dhan.NSE, dhan.BUY, 25, dhan.LIMIT, dhan.INTRA, 1310.0, tag=CORRELATION
            )
            book = await ask(dhan.get_order_list)
    assert sliced == [{"orderId": row["orderId"], "orderStatus": "TRANSIT"} for row in book]
    assert [(row["quantity"], row["correlationId"]) for row in book] == [(n, CORRELATION) for n in (10, 10, 5)]


async def test_a_super_order_of_the_official_client_enters_trails_and_exits() -> None:
    async with venue(config_of(steady(PRICE, 1_314_00_00, 1_304_00_00))) as client:
        await client.step()
        with official_client(client) as dhan:
            placed = await ask(
                dhan.place_super_order,
                security_id="2885",
                exchange_segment=dhan.NSE,
                transaction_type=dhan.BUY,
                quantity=10,
                order_type=dhan.LIMIT,
                product_type=dhan.INTRA,
                price=1310.0,
                targetPrice=1320.0,
                stopLossPrice=1300.0,
                trailingJump=2.0,
                tag=CORRELATION,
            )
            order_id = placed["orderId"]
            await ask(dhan.modify_super_order, order_id, dhan.LIMIT, "TARGET_LEG", targetPrice=1325.0)
            late = await refusal(
                dhan.modify_super_order, order_id, dhan.LIMIT, "ENTRY_LEG", 20, 1305.0, 1325.0, 1300.0, 2.0
            )
            await client.step()
            (trailed,) = await ask(dhan.get_super_order_list)
            await ask(dhan.cancel_super_order, order_id, "TARGET_LEG")
            await client.step()
            (closed,) = await ask(dhan.get_super_order_list)
            remarks = await refusal(dhan.cancel_super_order, order_id, "ENTRY_LEG")
            (position,) = await ask(dhan.get_positions)
    assert (trailed["orderStatus"], trailed["correlationId"], trailed["ltp"]) == ("TRADED", CORRELATION, 1314.0)
    assert [(leg["legName"], leg["price"]) for leg in trailed["legDetails"]] == [
        ("STOP_LOSS_LEG", 1304.0),
        ("TARGET_LEG", 1325.0),
    ]
    assert (closed["orderStatus"], [leg["orderStatus"] for leg in closed["legDetails"]]) == (
        "CLOSED",
        ["TRIGGERED", "CANCELLED"],
    )
    assert late["error_code"] == remarks["error_code"] == "DH-906"
    assert position["netQty"] == 0


async def test_an_entry_of_a_super_order_of_the_official_client_is_changed_and_canceled_whole() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            order = ("2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.INTRA, 1300.0, 1320.0, 1290.0)
            order_id = (await ask(dhan.place_super_order, *order))["orderId"]
            changes = (order_id, dhan.LIMIT, "ENTRY_LEG", 20, 1301.0, 1325.0, 1291.0, 1.0)
            changed = await ask(dhan.modify_super_order, *changes)
            (row,) = await ask(dhan.get_super_order_list)
            await ask(dhan.cancel_super_order, order_id, "ENTRY_LEG")
            (canceled,) = await ask(dhan.get_super_order_list)
    assert changed == {"orderId": order_id, "orderStatus": "TRANSIT"}
    assert (row["orderStatus"], row["quantity"], row["price"]) == ("PENDING", 20, 1301.0)
    assert [(leg["price"], leg["trailingJump"]) for leg in row["legDetails"]] == [(1291.0, 1.0), (1325.0, 0.0)]
    assert [canceled["orderStatus"], *(leg["orderStatus"] for leg in canceled["legDetails"])] == ["CANCELLED"] * 3


async def test_forever_orders_of_the_official_client_wait_change_fire_and_go() -> None:
    async with venue(config_of(steady(PRICE, 1_300_00_00))) as client:
        await client.step()
        with official_client(client) as dhan:
            order = ("2885", dhan.NSE, dhan.BUY, dhan.CNC, dhan.LIMIT, 10, 1301.0, 1299.0)
            single = await ask(dhan.place_forever, *order, tag=CORRELATION)
            changed = (single["orderId"], "SINGLE", dhan.LIMIT, "TARGET_LEG", 12, 1302.0, 1300.0, 0, dhan.DAY)
            await ask(dhan.modify_forever, *changed)
            pair = ("2885", dhan.NSE, dhan.SELL, dhan.CNC, dhan.LIMIT, 10, 1330.0, 1331.0, "OCO", 0, dhan.DAY)
            both = await ask(dhan.place_forever, *pair, 1289.0, 1290.0, 5)
            waiting = await ask(dhan.get_forever)
            canceled = await ask(dhan.cancel_forever, both["orderId"])
            await client.step()
            fired = await ask(dhan.get_forever)
            made = await ask(dhan.get_order_by_correlationID, CORRELATION)
    assert [(row["orderType"], row["legName"], row["orderStatus"]) for row in waiting] == [
        ("SINGLE", "TARGET_LEG", "CONFIRM"),
        ("OCO", "TARGET_LEG", "CONFIRM"),
        ("OCO", "STOP_LOSS_LEG", "CONFIRM"),
    ]
    assert canceled == {"orderId": both["orderId"], "orderStatus": "CANCELLED"}
    assert [row["orderStatus"] for row in fired] == ["TRADED", "CANCELLED", "CANCELLED"]
    assert (made["orderStatus"], made["quantity"], made["price"]) == ("TRADED", 12, 1302.0)


async def test_the_official_client_converts_and_exits_positions_and_turns_the_kill_switch() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            await ask(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.INTRA, 1310.0)
            conversion = (dhan.INTRA, dhan.NSE, "LONG", "2885", 4, dhan.CNC)
            # The broker answers 202 without a body, which its own client takes for a failure.
            assert "Expecting value" in await refusal(dhan.convert_position, *conversion)
            held = {row["productType"]: row["netQty"] for row in await ask(dhan.get_positions)}
            remarks = await refusal(dhan.kill_switch, "activate")
            left = await ask(dhan.exit_all_positions)
            flat = {row["productType"]: row["positionType"] for row in await ask(dhan.get_positions)}
            await ask(dhan.kill_switch, "activate")
            refused = await refusal(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 1, dhan.LIMIT, dhan.INTRA, 1310.0)
            status = await ask(dhan.status_kill_switch)
    assert held == {"INTRADAY": 6, "CNC": 4}
    assert remarks["error_code"] == refused["error_code"] == "DH-906"
    assert left["status"] == "SUCCESS"
    assert flat == {"INTRADAY": "CLOSED", "CNC": "CLOSED"}
    assert status == {"dhanClientId": CLIENT_ID, "killSwitchStatus": "ACTIVATE"}


async def test_the_official_client_sets_reads_and_stops_an_exit_by_profit_or_loss() -> None:
    async with venue(config_of(steady(PRICE, 1_320_00_00))) as client:
        await client.step()
        with official_client(client) as dhan:
            await ask(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.INTRA, 1310.0)
            await ask(dhan.set_pnl_exit, 500, 50, ["INTRADAY"])
            active = await ask(dhan.get_pnl_exit)
            stopped = await ask(dhan.stop_pnl_exit)
            await ask(dhan.set_pnl_exit, 100, 50, ["INTRADAY"])
            await client.step()
            done = await ask(dhan.get_pnl_exit)
            (position,) = await ask(dhan.get_positions)
            statement = await ask(dhan.get_trade_history, "2026-04-15", "2026-04-15", 0)
            empty = await ask(dhan.get_trade_history, "2026-04-15", "2026-04-15", 1)
    assert (active["pnlExitStatus"], active["profit"], stopped["pnlExitStatus"]) == ("ACTIVE", "500.00", "DISABLED")
    assert (done["pnlExitStatus"], position["positionType"], position["realizedProfit"]) == (
        "INACTIVE",
        "CLOSED",
        100.0,
    )
    assert [(row["transactionType"], row["tradedPrice"]) for row in statement] == [("BUY", 1310.0), ("SELL", 1320.0)]
    assert isinstance(statement[0]["stampDuty"], float)
    assert empty == []


async def test_a_fault_meets_what_standing_orders_ask_for_too() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("bad_gateway_after_acceptance")
        assert (await client.http.post("/v2/super/orders", json=SUPER)).status_code == 502
        (row,) = await client.get("/super/orders")
        await client.fault("unavailable", target="cancel")
        path = f"/v2/super/orders/{row['orderId']}/TARGET_LEG"
        assert (await client.http.delete(path)).status_code == 503
        assert (await client.http.delete(path)).status_code == 200
        await client.fault("refuse_repeated_id", correlation_id=ORDER["correlationId"])
        assert (await client.place()).json()["errorMessage"] == "Duplicate correlationId"
        await client.fault("refuse", target="control", message="no")
        assert (await client.http.delete("/v2/positions")).json()["errorMessage"] == "no"
        wanted = {"dhanClientId": CLIENT_ID, **CONVERSION}
        converted = await client.http.post("/v2/positions/convert", json=wanted)
        assert (converted.status_code, converted.content) == (202, b"")
        assert (await client.http.post("/v2/killswitch?killSwitchStatus=ACTIVATE")).status_code == 400
        assert (await client.http.post("/v2/super/orders", content=b"{")).json()["errorCode"] == "DH-905"


async def test_alerts_of_the_official_client_wait_change_fire_and_go() -> None:
    condition = {**CONDITION, "operator": "CROSSING_UP", "comparingValue": 1330}
    order = ALERT_ORDER
    async with venue(config_of(steady(PRICE, 1_320_00_00))) as client:
        await client.step()
        with official_client(client) as dhan:
            first = await ask(dhan.place_conditional_order, condition, [order])
            second = await ask(dhan.place_conditional_order, condition, [order])
            await ask(dhan.modify_conditional_order, first["alertId"], {**condition, "comparingValue": 1320})
            canceled = await ask(dhan.cancel_conditional_order, second["alertId"])
            await client.step()
            alerts = await ask(dhan.get_conditional_orders)
            one = await ask(dhan.get_conditional_order, first["alertId"])
            (made,) = await ask(dhan.get_order_list)
    assert canceled == {"alertId": second["alertId"], "alertStatus": "CANCELLED"}
    assert [alert["alertStatus"] for alert in alerts] == ["TRIGGERED", "CANCELLED"]
    assert one == alerts[0]
    assert (made["orderStatus"], made["quantity"]) == ("TRADED", 10)
