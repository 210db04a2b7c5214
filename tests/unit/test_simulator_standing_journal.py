"""Standing instructions over the simulator's lives: what waits goes on, what is for the day ends with it."""

from pathlib import Path
from shutil import copyfile
from typing import Any

import msgspec
import pytest

from adapters.simulator.books.account import Status
from adapters.simulator.books.carrying import carried_over
from adapters.simulator.books.journal import Journal
from adapters.simulator.books.kept_trades import KEPT_MAX, TradeKept
from adapters.simulator.books.records import AccountOpened, Record
from adapters.simulator.books.standing_records import (
    ForeverArmed,
    ForeverChanged,
    ForeverEnded,
    ForeverLeg,
    KillSwitchTurned,
    PositionConverted,
    ProfitExitEnded,
    ProfitExitSet,
    SuperLegCanceled,
    SuperOrderChanged,
    SuperOrderExpired,
    SuperOrderPlaced,
    SuperTerms,
)
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from domain.market import NS_PER_S
from domain.order import OrderType, Side, TimeInForce
from tests.support.counter import CONVERSION, SHARE, SUPER, Counter, counter
from tests.support.tape import CLIENT_ID, ORDER, steady

PRICE = 1_310_00_00
LOW = 1_300_00_00
HIGH = 1_320_00_00
DAY_NS = 24 * 3600 * NS_PER_S
NEXT_DAY_NS = DEMO_START_NS + DAY_NS
STORED = Path(__file__).parents[1] / "contract" / "simulator_journals"
PATHS = ("/super/orders", "/forever/orders", "/killswitch", "/pnlExit")
TRAILING: dict[str, Any] = {**SUPER, "trailingJump": 2.0}
FOREVER: dict[str, Any] = {
    **ORDER,
    "productType": "CNC",
    "orderFlag": "SINGLE",
    "price": 1301.0,
    "triggerPrice": 1300.0,
}
LEG = ForeverLeg(
    leg="TARGET_LEG",
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    quantity=2,
    limit_price_e4=3,
    trigger_price_e4=4,
    fires_above=True,
    disclosed_quantity=1,
)
TERMS = SuperTerms(target_price_e4=3, stop_loss_price_e4=1, trailing_jump_e4=0)
RECORDS: tuple[Record, ...] = (
    SuperOrderPlaced(order_id="1", terms=TERMS, time_ns=1),
    SuperOrderChanged(order_id="1", terms=TERMS, anchor_e4=2, is_asked=True, time_ns=2),
    SuperLegCanceled(order_id="1", leg="TARGET_LEG", time_ns=3),
    SuperOrderExpired(order_id="1", time_ns=4),
    ForeverArmed(
        order_id="2",
        client_id=CLIENT_ID,
        correlation_id="käse",
        instrument=SHARE,
        side=Side.SELL,
        product="CNC",
        legs=(LEG,),
        time_ns=5,
    ),
    ForeverChanged(order_id="2", leg=LEG, time_ns=6),
    ForeverEnded(order_id="2", status=Status.REJECTED, time_ns=7),
    PositionConverted(
        client_id=CLIENT_ID, instrument=SHARE, from_product="CNC", to_product="MTF", quantity=-3, time_ns=8
    ),
    KillSwitchTurned(client_id=CLIENT_ID, is_active=True, time_ns=9),
    ProfitExitSet(client_id=CLIENT_ID, profit_paise=1, loss_paise=None, products=("INTRADAY",), kills=True, time_ns=10),
    ProfitExitEnded(client_id=CLIENT_ID, time_ns=11),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.jsonl"


def told(market: Counter) -> dict[str, Any]:
    return {
        "orders": market.orders(),
        "positions": market.positions(),
        **{path: market.read(path) for path in PATHS},
    }


def net_of(market: Counter) -> dict[str, int]:
    return {product: row["netQty"] for product, row in market.positions().items()}


def delivered(market: Counter) -> list[tuple[int, float]]:
    """Return how many units each holding has, and at what they were bought."""
    return [(row["totalQty"], row["avgCostPrice"]) for row in market.read("/holdings")]


# --- The file


def test_every_record_comes_back_as_it_was(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin(RECORDS)
        assert tuple(journal.read()) == RECORDS


def test_a_journal_of_a_simulator_that_knew_no_standing_instructions_still_loads(path: Path) -> None:
    copyfile(STORED / "before_standing_instructions.jsonl", path)
    with counter(steady(PRICE), journal=path) as market:
        rows = market.orders()
        assert market.read("/super/orders") == market.read("/forever/orders") == []
        assert net_of(market) == {"INTRADAY": 5, "CNC": 2}
    assert [row["orderStatus"] for row in rows] == [
        "EXPIRED",
        "TRADED",
        "EXPIRED",
        "EXPIRED",
        "CANCELLED",
        "CANCELLED",
        "PART_TRADED",
        "PENDING",
    ]
    assert {row["legName"] for row in rows} == {"NA"}


# --- The same day


def test_after_a_restart_everything_is_told_as_before(path: Path) -> None:
    with counter(steady(PRICE, 1_314_00_00), journal=path) as market:
        market.write("POST", "/super/orders", TRAILING)
        waiting = market.write("POST", "/super/orders", {**TRAILING, "price": 1305})["orderId"]
        market.write("DELETE", f"/super/orders/{waiting}/TARGET_LEG")
        market.write("POST", "/positions/convert", CONVERSION)
        first, second = (market.write("POST", "/forever/orders", FOREVER)["orderId"] for _ in range(2))
        market.write("PUT", f"/forever/orders/{first}", {"legName": "TARGET_LEG", "quantity": 7})
        market.write("DELETE", f"/forever/orders/{second}")
        market.write("POST", "/pnlExit", {"profitValue": 5000, "lossValue": 5000})
        market.step()
        before = told(market)
    assert before["/super/orders"][0]["legDetails"][0]["price"] == 1304.0
    with counter(steady(1_314_00_00), journal=path) as market:
        assert told(market) == before
        assert market.place() == f"{int(second) + 1}"


def test_a_kill_switch_stays_on_for_the_day(path: Path) -> None:
    with counter(steady(PRICE), journal=path) as market:
        market.write("POST", "/killswitch", killSwitchStatus="ACTIVATE")
    with counter(steady(PRICE), journal=path) as market:
        assert market.refusal("POST", "/super/orders", TRAILING)[0] == "DH-906"
        market.write("POST", "/killswitch", killSwitchStatus="DEACTIVATE")
    with counter(steady(PRICE), journal=path) as market:
        assert market.read("/killswitch")["killSwitchStatus"] == "DEACTIVATE"


def test_legs_go_on_waiting_and_trailing(path: Path) -> None:
    with counter(steady(PRICE, 1_314_00_00), journal=path) as market:
        market.write("POST", "/super/orders", TRAILING)
        market.step()
    with counter(steady(1_316_00_00, 1_306_00_00), journal=path) as market:
        assert market.read("/super/orders")[0]["legDetails"][0]["price"] == 1306.0
        market.step()
        assert market.read("/super/orders")[0]["orderStatus"] == "CLOSED"
        assert net_of(market) == {"INTRADAY": 0}


def test_a_trigger_whose_order_had_not_arrived_is_not_lost_and_not_made_again(path: Path) -> None:
    with counter(steady(PRICE, LOW), journal=path) as market:
        market.write("POST", "/super/orders", SUPER)
        market.write("POST", "/forever/orders", FOREVER)
        market.step()
    lines = path.read_bytes().splitlines(keepends=True)
    exit_line, forever_line = (number for number, line in enumerate(lines) if b'"parent_id"' in line)
    for last in (exit_line, forever_line):
        path.write_bytes(b"".join(lines[: last + 1]))
        with counter(steady(LOW), journal=path) as market:
            assert market.read("/super/orders")[0]["orderStatus"] == "CLOSED"
            assert [row["orderStatus"] for row in market.read("/forever/orders")] == ["TRADED"]
            assert len(market.orders()) == 3


# --- Another day


def test_a_forever_order_waits_over_days_and_is_shown_on_the_day_it_ends(path: Path) -> None:
    with counter(steady(PRICE), journal=path) as market:
        waits = market.write("POST", "/forever/orders", FOREVER)["orderId"]
        canceled = market.write("POST", "/forever/orders", FOREVER)["orderId"]
        market.write("DELETE", f"/forever/orders/{canceled}")
        assert len(market.read("/forever/orders")) == 2
    with counter(steady(PRICE, LOW, start_ns=NEXT_DAY_NS), journal=path) as market:
        assert [row["orderId"] for row in market.read("/forever/orders")] == [waits]
        market.step()
        assert [row["orderStatus"] for row in market.read("/forever/orders")] == ["TRADED"]
    with counter(steady(LOW, start_ns=NEXT_DAY_NS + DAY_NS), journal=path) as market:
        assert market.read("/forever/orders") == market.orders() == []
        assert [total for total, _ in delivered(market)] == [10]
        assert not any(net_of(market).values())


def test_a_super_order_ends_with_its_day(path: Path) -> None:
    with counter(steady(PRICE, volume=16), journal=path) as market:
        partly = market.write("POST", "/super/orders", TRAILING)["orderId"]
    with counter(steady(LOW, start_ns=NEXT_DAY_NS), journal=path) as market:
        (row,) = market.read("/super/orders")
        assert (row["orderId"], row["orderStatus"], row["filledQty"]) == (partly, "EXPIRED", 4)
        assert [leg["orderStatus"] for leg in row["legDetails"]] == ["EXPIRED", "EXPIRED"]
        assert net_of(market) == {"INTRADAY": 4}
    with counter(steady(LOW, start_ns=NEXT_DAY_NS + DAY_NS), journal=path) as market:
        assert market.read("/super/orders") == []


def test_what_holds_for_a_day_is_off_on_the_next(path: Path) -> None:
    with counter(steady(PRICE), journal=path) as market:
        market.write("POST", "/pnlExit", {"profitValue": 1})
        market.write("POST", "/killswitch", killSwitchStatus="ACTIVATE")
    with counter(steady(PRICE, start_ns=NEXT_DAY_NS), journal=path) as market:
        assert market.read("/killswitch")["killSwitchStatus"] == "DEACTIVATE"
        assert market.read("/pnlExit")["pnlExitStatus"] == "INACTIVE"


def test_a_converted_position_is_carried_as_what_it_became(path: Path) -> None:
    with counter(steady(PRICE), journal=path) as market:
        market.place()
        market.write("POST", "/positions/convert", CONVERSION)
    for day in (1, 2):
        with counter(steady(PRICE, start_ns=DEMO_START_NS + day * DAY_NS), journal=path) as market:
            row = market.positions()["INTRADAY"]
            assert (row["netQty"], row["carryForwardBuyQty"], row["buyAvg"]) == (6, 6, 1310.0)
            assert delivered(market) == [(4, 1310.0)]


def test_a_conversion_of_what_an_order_of_yesterday_filled_counts_while_that_order_is_shown(path: Path) -> None:
    """So long what it filled stands in the positions, and from then on in the holdings."""
    with counter(steady(PRICE, volume=16), journal=path) as market:
        market.place()
        market.write("POST", "/positions/convert", CONVERSION)
        assert net_of(market) == {"INTRADAY": 0, "CNC": 4}
    with counter(steady(PRICE, start_ns=NEXT_DAY_NS), journal=path) as market:
        assert net_of(market) == {"INTRADAY": 0, "CNC": 4}
        assert len(market.orders()) == 1
    with counter(steady(PRICE, start_ns=NEXT_DAY_NS + DAY_NS), journal=path) as market:
        assert delivered(market) == [(4, 1310.0)]
        assert not any(net_of(market).values())
        assert not market.orders()


def test_of_a_carried_position_what_was_bought_today_is_converted_first(path: Path) -> None:
    with counter(steady(PRICE), journal=path) as market:
        market.place()
    with counter(steady(PRICE, start_ns=NEXT_DAY_NS), journal=path) as market:
        market.place(quantity=2)
        market.write("POST", "/positions/convert", CONVERSION)
        rows = market.positions()
    shown = {
        product: (row["netQty"], row["carryForwardBuyQty"], row["carryForwardBuyValue"], row["dayBuyQty"])
        for product, row in rows.items()
    }
    assert shown == {"INTRADAY": (8, 8, 10_480.0, 0), "CNC": (4, 0, 0.0, 4)}


def test_trades_of_earlier_days_stay_on_the_statement_for_a_month(path: Path) -> None:
    with counter(steady(PRICE, volume=16), journal=path) as market:
        market.place(productType="CNC")
        market.place(productType="CNC", quantity=1, price=1300)
        (first,) = market.read("/trades/2026-04-15/2026-04-15/0")
    for day in (1, 2, 31):
        with counter(steady(PRICE, start_ns=DEMO_START_NS + day * DAY_NS), journal=path) as market:
            assert market.read("/trades/2026-04-15/2026-04-15/0") == [first]
            if day == 1:
                market.place(productType="CNC", transactionType="SELL", quantity=4)
            both = market.read("/trades/2026-04-01/2026-05-31/0")
            assert [(row["transactionType"], row["exchangeTime"][:10]) for row in both] == [
                ("BUY", "2026-04-15"),
                ("SELL", "2026-04-16"),
            ]
    with counter(steady(PRICE, start_ns=DEMO_START_NS + 32 * DAY_NS), journal=path) as market:
        assert [row["transactionType"] for row in market.read("/trades/2026-04-01/2026-05-31/0")] == ["SELL"]


def test_of_very_many_trades_the_newest_are_kept() -> None:
    kept = TradeKept(
        client_id=CLIENT_ID,
        order_id="1",
        exchange_order_id="2",
        trade_id="3",
        instrument=SHARE,
        side=Side.BUY,
        product="CNC",
        quantity=1,
        price_e4=PRICE,
        time_ns=DEMO_START_NS,
    )
    many = [msgspec.structs.replace(kept, trade_id=str(number)) for number in range(KEPT_MAX + 2)]
    opened = AccountOpened(client_id=CLIENT_ID, balance_paise=1)
    ledger = carried_over([opened, *many], now_ns=NEXT_DAY_NS, first_number=1).ledger
    assert ledger.kept_trades[CLIENT_ID] == many[2:]
