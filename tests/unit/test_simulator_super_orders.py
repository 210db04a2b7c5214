"""The simulator's super orders: how the legs come to life, what each is for, and what ends what."""

from typing import Any

import msgspec
import pytest

from adapters.simulator.records import OrderRecord, Record
from adapters.simulator.update_frames import update_frame
from domain.order import MODIFICATIONS_MAX
from tests.support.counter import SUPER, Counter, counter
from tests.support.tape import ORDER, steady

PRICE = 1_310_00_00
TARGET = 1_320_00_00
STOP = 1_300_00_00
PATH = "/super/orders"


def placed(market: Counter, **changes: Any) -> str:
    return str(market.write("POST", PATH, {**SUPER, **changes})["orderId"])


def row_of(market: Counter, order_id: str) -> dict[str, Any]:
    (row,) = [row for row in market.read(PATH) if row["orderId"] == order_id]
    return row  # type: ignore[no-any-return]


def legs_of(market: Counter, order_id: str) -> dict[str, dict[str, Any]]:
    return {leg["legName"]: leg for leg in row_of(market, order_id)["legDetails"]}


def shown(market: Counter, order_id: str) -> tuple[str, str, str]:
    """Return the status of the order, of its stop and of its target."""
    legs = legs_of(market, order_id)
    stop, target = (legs[leg]["orderStatus"] if leg in legs else "-" for leg in ("STOP_LOSS_LEG", "TARGET_LEG"))
    return row_of(market, order_id)["orderStatus"], stop, target


def net_of(market: Counter) -> int:
    return sum(row["netQty"] for row in market.positions().values())


# --- Legs


def test_the_answer_is_that_of_an_order_and_the_entry_is_one() -> None:
    with counter(steady(PRICE)) as market:
        answer = market.write("POST", PATH, {**SUPER, "price": 1305})
        (row,) = market.orders()
    assert answer == {"orderId": row["orderId"], "orderStatus": "TRANSIT"}
    assert (row["orderStatus"], row["legName"], row["correlationId"]) == (
        "PENDING",
        "ENTRY_LEG",
        ORDER["correlationId"],
    )


def test_before_the_entry_fills_the_legs_are_for_nothing_and_do_nothing() -> None:
    with counter(steady(PRICE, TARGET, PRICE)) as market:
        order_id = placed(market, price=1305)
        market.step(2)
        assert shown(market, order_id) == ("PENDING", "PENDING", "PENDING")
        assert {leg["totalQuatity"] for leg in legs_of(market, order_id).values()} == {0}
        assert len(market.orders()) == 1


def test_the_legs_are_for_what_the_entry_has_filled() -> None:
    with counter(steady(PRICE, PRICE, volume=16)) as market:
        order_id = placed(market)
        assert [leg["totalQuatity"] for leg in legs_of(market, order_id).values()] == [4, 4]
        market.step()
        legs = legs_of(market, order_id)
    assert [(leg["totalQuatity"], leg["remainingQuantity"]) for leg in legs.values()] == [(8, 8), (8, 8)]
    assert [(leg["transactionType"], leg["price"]) for leg in legs.values()] == [("SELL", 1300.0), ("SELL", 1320.0)]


def test_a_target_that_is_reached_closes_the_order_and_its_stop() -> None:
    with counter(steady(PRICE, TARGET, STOP)) as market:
        order_id = placed(market)
        market.step()
        leg = legs_of(market, order_id)["TARGET_LEG"]
        assert shown(market, order_id) == ("CLOSED", "CANCELLED", "TRIGGERED")
        assert (leg["triggeredQuantity"], leg["remainingQuantity"]) == (10, 0)
        market.step()
        entry, exit_row = market.orders()
        assert net_of(market) == 0
    assert leg["orderId"] == exit_row["orderId"] != entry["orderId"]
    assert [exit_row[name] for name in ("transactionType", "orderType", "price", "legName", "correlationId")] == [
        "SELL",
        "LIMIT",
        1320.0,
        "TARGET_LEG",
        "NA",
    ]


def test_a_stop_that_is_reached_goes_out_at_the_market() -> None:
    with counter(steady(PRICE, STOP - 50_000, TARGET)) as market:
        order_id = placed(market)
        market.step()
        assert shown(market, order_id) == ("CLOSED", "TRIGGERED", "CANCELLED")
        assert market.orders()[1]["averageTradedPrice"] == 1295.0
        market.step()
        assert net_of(market) == 0


def test_a_sold_entry_is_bought_back() -> None:
    sold = {"transactionType": "SELL", "targetPrice": 1300, "stopLossPrice": 1320}
    with counter(steady(PRICE, TARGET)) as market:
        order_id = placed(market, **sold)
        market.step()
        assert shown(market, order_id) == ("CLOSED", "TRIGGERED", "CANCELLED")
        assert net_of(market) == 0


def test_an_exit_takes_what_is_left_of_the_entry_with_it() -> None:
    with counter(steady(PRICE, TARGET, PRICE, volume=16)) as market:
        order_id = placed(market)
        market.step()
        assert (market.order(order_id).status, market.order(order_id).filled_quantity) == ("CANCELLED", 4)
        assert shown(market, order_id) == ("CLOSED", "CANCELLED", "TRIGGERED")
        market.step()
        assert net_of(market) == 0


def test_a_stop_takes_the_place_of_a_target_that_still_works() -> None:
    with counter(steady(PRICE, PRICE, TARGET, STOP, volume=16)) as market:
        order_id = placed(market, quantity=8)
        market.step(2)
        assert shown(market, order_id) == ("TRADED", "PENDING", "TRIGGERED")
        assert legs_of(market, order_id)["TARGET_LEG"]["remainingQuantity"] == 4
        market.step()
        assert shown(market, order_id) == ("CLOSED", "TRIGGERED", "CANCELLED")
        assert [order["quantity"] for order in market.orders()] == [8, 8, 4]
        assert net_of(market) == 0


def test_an_order_may_have_one_leg() -> None:
    with counter(steady(PRICE, TARGET, STOP)) as market:
        order_id = placed(market, targetPrice=0)
        market.step()
        assert shown(market, order_id) == ("TRADED", "PENDING", "-")
        market.step()
        assert shown(market, order_id) == ("CLOSED", "TRIGGERED", "-")


def test_at_the_close_what_waits_has_expired() -> None:
    with counter(steady(PRICE)) as market:
        filled, waiting = placed(market), placed(market, price=1305)
        market.step()
        assert shown(market, filled) == ("TRADED", "EXPIRED", "EXPIRED")
        assert shown(market, waiting) == ("EXPIRED", "EXPIRED", "EXPIRED")


# --- The trail


def test_a_stop_trails_by_whole_jumps_and_never_back() -> None:
    prices = (PRICE, 1_311_90_00, 1_314_50_00, 1_313_00_00, 1_317_00_00)
    with counter(steady(*prices)) as market:
        order_id = placed(market, trailingJump=2)
        stops = []
        for _ in prices[1:]:
            market.step()
            stops.append(legs_of(market, order_id)["STOP_LOSS_LEG"]["price"])
    assert stops == [1300.0, 1304.0, 1304.0, 1306.0]


def test_a_trailed_stop_stops() -> None:
    with counter(steady(PRICE, 1_318_00_00, 1_308_00_00)) as market:
        order_id = placed(market, trailingJump=2)
        market.step(2)
        assert shown(market, order_id) == ("CLOSED", "TRIGGERED", "CANCELLED")


def test_a_stop_of_a_sold_entry_trails_down() -> None:
    sold = {"transactionType": "SELL", "targetPrice": 1290, "stopLossPrice": 1320, "trailingJump": 2}
    with counter(steady(PRICE, 1_305_00_00)) as market:
        order_id = placed(market, **sold)
        market.step()
        assert legs_of(market, order_id)["STOP_LOSS_LEG"]["price"] == 1316.0


def test_a_change_of_the_stop_that_names_no_trail_ends_it() -> None:
    with counter(steady(PRICE, 1_318_00_00)) as market:
        order_id = placed(market, trailingJump=2)
        market.write("PUT", f"{PATH}/{order_id}", {"legName": "STOP_LOSS_LEG", "stopLossPrice": 1301})
        market.step()
        leg = legs_of(market, order_id)["STOP_LOSS_LEG"]
    assert (leg["price"], leg["trailingJump"]) == (1301.0, 0.0)


def test_a_new_trail_goes_on_from_the_last_price() -> None:
    with counter(steady(PRICE, 1_315_00_00, 1_316_00_00, 1_317_00_00)) as market:
        order_id = placed(market)
        market.step()
        change = {"legName": "STOP_LOSS_LEG", "stopLossPrice": 1312, "trailingJump": 2}
        market.write("PUT", f"{PATH}/{order_id}", change)
        market.step()
        assert legs_of(market, order_id)["STOP_LOSS_LEG"]["price"] == 1312.0
        market.step()
        assert legs_of(market, order_id)["STOP_LOSS_LEG"]["price"] == 1314.0


# --- Changing


def test_every_part_of_an_entry_that_rests_can_be_changed() -> None:
    with counter(steady(PRICE)) as market:
        order_id = placed(market, price=1305)
        change = {
            "orderId": order_id,
            "legName": "ENTRY_LEG",
            "orderType": "LIMIT",
            "quantity": 12,
            "price": 1306,
            "targetPrice": 1325,
            "stopLossPrice": 1295,
            "trailingJump": 1,
        }
        assert market.write("PUT", f"{PATH}/{order_id}", change) == {"orderId": order_id, "orderStatus": "TRANSIT"}
        row = row_of(market, order_id)
        legs = legs_of(market, order_id)
    assert (row["quantity"], row["price"], row["orderStatus"]) == (12, 1306.0, "PENDING")
    assert (legs["TARGET_LEG"]["price"], legs["STOP_LOSS_LEG"]["price"]) == (1325.0, 1295.0)
    assert legs["STOP_LOSS_LEG"]["trailingJump"] == 1.0


def test_an_entry_that_is_done_can_be_changed_no_more_but_its_legs_can() -> None:
    with counter(steady(PRICE, 1_315_00_00)) as market:
        order_id = placed(market)
        change = {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 12, "price": 1306}
        assert market.refusal("PUT", f"{PATH}/{order_id}", change)[0] == "DH-906"
        answer = market.write("PUT", f"{PATH}/{order_id}", {"legName": "TARGET_LEG", "targetPrice": 1315})
        assert answer == {"orderId": order_id, "orderStatus": "TRADED"}
        market.step()
        assert shown(market, order_id)[0] == "CLOSED"
        late = {"legName": "TARGET_LEG", "targetPrice": 1330}
        assert market.refusal("PUT", f"{PATH}/{order_id}", late)[0] == "DH-906"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"legName": "FUNNY_LEG"},
        {"legName": "TARGET_LEG", "targetPrice": 1295},
        {"legName": "TARGET_LEG", "targetPrice": 1320.03},
        {"legName": "TARGET_LEG", "targetPrice": ""},
        {"legName": "TARGET_LEG", "targetPrice": 1330, "quantity": 5},
        {"legName": "TARGET_LEG", "targetPrice": 1330, "orderId": "1"},
        {"legName": "STOP_LOSS_LEG", "stopLossPrice": 1311, "targetPrice": 1330},
        {"legName": "ENTRY_LEG", "orderType": "STOP_LOSS", "price": 1305, "triggerPrice": 1304},
        {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 0, "price": 1305},
    ],
)
def test_a_malformed_change_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        order_id = placed(market, price=1305)
        before = row_of(market, order_id)
        assert market.refusal("PUT", f"{PATH}/{order_id}", change)[0] == "DH-905"
        assert row_of(market, order_id) == before


def test_an_entry_has_25_changes_of_its_own_and_a_26th_changes_no_leg() -> None:
    with counter(steady(PRICE)) as market:
        order_id = placed(market, price=1305)
        change = {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 12, "price": 1306}
        for number in range(MODIFICATIONS_MAX):
            market.write("PUT", f"{PATH}/{order_id}", {"legName": "TARGET_LEG", "targetPrice": 1330 + number})
            market.write("PUT", f"{PATH}/{order_id}", {**change, "targetPrice": 1340})
        refused = market.refusal("PUT", f"{PATH}/{order_id}", {**change, "targetPrice": 1350})
        assert refused == ("DH-906", "Order cannot be modified more than 25 times")
        assert legs_of(market, order_id)["TARGET_LEG"]["price"] == 1340.0


def test_the_26th_change_of_a_leg_is_refused() -> None:
    with counter(steady(PRICE)) as market:
        order_id = placed(market)
        for number in range(MODIFICATIONS_MAX):
            market.write("PUT", f"{PATH}/{order_id}", {"legName": "TARGET_LEG", "targetPrice": 1330 + number})
        refused = market.refusal("PUT", f"{PATH}/{order_id}", {"legName": "TARGET_LEG", "targetPrice": 1400})
        assert refused == ("DH-906", "Order cannot be modified more than 25 times")
        assert legs_of(market, order_id)["TARGET_LEG"]["price"] == 1354.0


# --- Canceling


def test_canceling_the_entry_cancels_every_leg() -> None:
    with counter(steady(PRICE, TARGET)) as market:
        order_id = placed(market, price=1305)
        answer = market.write("DELETE", f"{PATH}/{order_id}/ENTRY_LEG")
        assert answer == {"orderId": order_id, "orderStatus": "CANCELLED"}
        assert shown(market, order_id) == ("CANCELLED", "CANCELLED", "CANCELLED")
        assert market.refusal("DELETE", f"{PATH}/{order_id}/ENTRY_LEG") == ("DH-906", "Nothing to Cancel . ")


def test_canceling_a_filled_entry_leaves_the_position_without_legs() -> None:
    with counter(steady(PRICE, STOP)) as market:
        order_id = placed(market)
        market.write("DELETE", f"{PATH}/{order_id}/ENTRY_LEG")
        market.step()
        assert shown(market, order_id) == ("TRADED", "CANCELLED", "CANCELLED")
        assert net_of(market) == 10


def test_a_canceled_leg_cannot_be_added_again_and_the_other_waits_on() -> None:
    with counter(steady(PRICE, STOP, TARGET)) as market:
        order_id = placed(market)
        market.write("DELETE", f"{PATH}/{order_id}/STOP_LOSS_LEG")
        change = {"legName": "STOP_LOSS_LEG", "stopLossPrice": 1301}
        assert market.refusal("PUT", f"{PATH}/{order_id}", change)[0] == "DH-906"
        market.step()
        assert shown(market, order_id) == ("TRADED", "CANCELLED", "PENDING")
        market.step()
        assert shown(market, order_id) == ("CLOSED", "CANCELLED", "TRIGGERED")


@pytest.mark.parametrize(("order_id", "leg"), [("1", "ENTRY_LEG"), (None, "FUNNY_LEG")])
def test_what_is_not_there_cannot_be_canceled(order_id: str | None, leg: str) -> None:
    with counter(steady(PRICE)) as market:
        known = placed(market)
        assert market.refusal("DELETE", f"{PATH}/{order_id or known}/{leg}")[0] == "DH-905"


# --- What is refused


@pytest.mark.parametrize(
    "changes",
    [
        {"targetPrice": 0, "stopLossPrice": 0},
        {"targetPrice": 1309},
        {"stopLossPrice": 1311},
        {"targetPrice": 1310},
        {"transactionType": "SELL"},
        {"trailingJump": 0.03},
        {"stopLossPrice": 0, "trailingJump": 1},
        {"targetPrice": None},
        {"stopLossPrice": "-1300"},
        {"orderType": "STOP_LOSS", "triggerPrice": 1309},
        {"afterMarketOrder": True, "amoTime": "OPEN"},
        {"quantity": 0},
        {"surprise": 1},
    ],
)
def test_a_super_order_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with counter(steady(PRICE)) as market:
        assert market.refusal("POST", PATH, {**SUPER, **changes})[0] == "DH-905"
        assert market.read(PATH) == market.orders() == []


def test_a_market_entry_is_held_against_no_price() -> None:
    with counter(steady(PRICE, TARGET)) as market:
        order_id = placed(market, orderType="MARKET", price=0)
        market.step()
        assert shown(market, order_id)[0] == "CLOSED"


def test_an_entry_that_the_risk_desk_rejects_leaves_nothing_waiting() -> None:
    with counter(steady(PRICE, TARGET), opening_balance_paise=100) as market:
        order_id = placed(market)
        market.step()
        assert shown(market, order_id) == ("REJECTED", "CANCELLED", "CANCELLED")
        assert len(market.orders()) == 1


# --- Updates


def test_updates_tell_which_part_of_a_super_order_they_are_of_and_nothing_of_legs_that_wait() -> None:
    told: list[tuple[Any, ...]] = []

    def tell(record: Record) -> None:
        if isinstance(record, OrderRecord):
            order = market.simulator.orders[record.order_id]
            data = msgspec.json.decode(update_frame(order, record, last_price_e4=0))["Data"]
            told.append(tuple(data.get(name) for name in ("orderNo", "legNo", "algoOrdNo", "remarks", "status")))

    with counter(steady(PRICE, 1_314_00_00, STOP)) as market:
        market.simulator.on_record = tell
        entry = placed(market, trailingJump=2)
        market.step(2)
        (_, exit_row) = market.orders()
    assert told == [
        *((entry, 1, None, "Super Order", status) for status in ("Transit", "Pending", "Traded")),
        *((exit_row["orderId"], 2, entry, "Super Order", status) for status in ("Transit", "Pending", "Traded")),
    ]
