"""The broker's official client trades on the simulator."""

from tests.support.dhan_sdk import ask, official_client, refusal
from tests.support.tape import CLIENT_ID, config_of, steady, venue

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
