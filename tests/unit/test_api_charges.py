"""What an order or a round trip would be charged, over HTTP and on the command line."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from domain.market import trading_day
from infra.cli import app
from infra.problems import OperatorProblem
from tests.support.api import ApiWorld

PATH = "/api/charges/estimate"
ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 100, "price": "2850.00", "day": "2026-11-20"}
Estimate = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
WORDS = ["charges", "RELIANCE", "BUY", "100", "2850.00", "--day", "2026-11-20"]

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"symbol": "NOSUCH"}, "INSTRUMENT_UNKNOWN"),
    ({"quantity": 0}, "QUANTITY_INVALID"),
    ({"price": "0"}, "PRICE_INVALID"),
    ({"price": 2850}, "PRICE_INVALID"),
    ({"exit_price": "x"}, "PRICE_INVALID"),
    ({"day": "today"}, "ESTIMATE_INVALID"),
    ({"day": "20261120"}, "ESTIMATE_INVALID"),
    ({"day": "2026-11-20T09:15"}, "DAY_INVALID"),
    ({"exit_day": "2026-11-23"}, "ESTIMATE_INVALID"),
    ({"exit_price": "2900", "exit_day": "2026-11-23"}, "ESTIMATE_INVALID"),
    ({"product": "CNC", "exit_price": "2900", "exit_day": "2026-11-19"}, "ESTIMATE_INVALID"),
    ({"product": "CNC", "exit_price": "2900", "exit_day": "soon"}, "ESTIMATE_INVALID"),
    ({"product": "CNC", "side": "SELL", "exit_price": "2900"}, "ESTIMATE_INVALID"),
    ({"product": "MARGIN"}, "ESTIMATE_INVALID"),
    ({"leverage": 5}, "FIELD_UNKNOWN"),
]


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


@pytest.fixture
async def token(world: ApiWorld) -> dict[str, str]:
    return await world.log_in()


@pytest.fixture
def estimate(world: ApiWorld, token: dict[str, str]) -> Estimate:
    async def ask(body: dict[str, Any]) -> dict[str, Any]:
        before = await world.stored()
        answer = await world.client.post(PATH, json=body, headers=token)
        shown: dict[str, Any] = answer.json()
        assert answer.status_code == 200, shown
        assert await world.stored() == before, "an estimate leaves nothing in the log"
        return shown

    return ask


async def test_an_order_is_estimated_line_by_line_with_rates_and_sources(estimate: Estimate) -> None:
    shown = await estimate(ORDER)
    [order] = shown["orders"]
    lines = {line["charge"]: line for line in order["lines"]}
    assert list(lines) == ["brokerage", "exchange", "ipft", "sebi", "stamp_duty", "gst"]
    assert {name: line["amount"] for name, line in lines.items()} == {
        "brokerage": "20.00",
        "exchange": "8.46",
        "ipft": "0.29",
        "sebi": "0.29",
        "stamp_duty": "8.55",
        "gst": "5.23",
    }
    assert (lines["exchange"]["rate_percent"], lines["exchange"]["valid_from"]) == ("0.00297", "2024-10-01")
    assert (lines["brokerage"]["rate_percent"], lines["brokerage"]["flat"]) == ("0.03", "20.00")
    assert all(line["verified"] and line["source"] for line in lines.values())
    assert (order["value"], order["total"], shown["charges"]["total"]) == ("285000.00", "42.82", "42.82")
    assert shown["on_contract_notes"] == "43.27"
    assert (shown["gross_result"], shown["net_result"]) == (None, None)


async def test_a_round_trip_has_a_result_before_and_after_charges(estimate: Estimate) -> None:
    body = ORDER | {"product": "CNC", "exit_price": "2900.00", "exit_day": "2026-11-23"}
    shown = await estimate(body)
    bought, sold = shown["orders"]
    assert (bought["side"], bought["day"], sold["side"], sold["day"]) == ("BUY", "2026-11-20", "SELL", "2026-11-23")
    assert (bought["total"], sold["total"], shown["charges"]["dp"]) == ("338.42", "315.59", "14.75")
    assert (shown["gross_result"], shown["net_result"]) == ("5000.00", "4345.99")


async def test_a_short_round_trip_is_sold_first(estimate: Estimate) -> None:
    shown = await estimate(ORDER | {"side": "SELL", "exit_price": "2800.00"})
    assert [order["side"] for order in shown["orders"]] == ["SELL", "BUY"]
    assert shown["gross_result"] == "5000.00"
    assert Decimal(shown["net_result"]) == Decimal("5000.00") - Decimal(shown["charges"]["total"])


async def test_delivery_that_is_sold_on_the_day_of_its_purchase_debits_nothing(estimate: Estimate) -> None:
    same_day = await estimate(ORDER | {"product": "CNC", "exit_price": "2900.00"})
    assert same_day["charges"]["dp"] == "0.00"
    from_holdings = await estimate(ORDER | {"product": "CNC", "side": "SELL"})
    assert from_holdings["charges"]["dp"] == "14.75"


async def test_an_old_day_is_told_by_lines_that_say_they_are_not_verified(estimate: Estimate) -> None:
    shown = await estimate(ORDER | {"day": "2024-05-02"})
    doubtful = {line["charge"] for line in shown["orders"][0]["lines"] if not line["verified"]}
    assert doubtful == {"brokerage", "exchange"}


async def test_without_a_day_it_is_today(world: ApiWorld, estimate: Estimate) -> None:
    shown = await estimate({name: value for name, value in ORDER.items() if name != "day"})
    assert shown["orders"][0]["day"] == trading_day(world.clock.wall_ns()).isoformat()


async def test_what_cannot_be_is_refused(world: ApiWorld, token: dict[str, str]) -> None:
    for changed, code in IMPOSSIBLE:
        answer = await world.client.post(PATH, json=ORDER | changed, headers=token)
        assert (answer.status_code, answer.json()["code"]) == (422, code), changed


async def test_nobody_is_told_without_a_token(world: ApiWorld) -> None:
    assert (await world.client.post(PATH, json=ORDER)).status_code == 401


# --- The command line -------------------------------------------------------------------------------------------------


async def test_the_command_line_tells_the_same(estimate: Estimate) -> None:
    trip = ["--product", "cnc", "--exit-price", "2900.00", "--exit-day", "2026-11-23"]
    told = CliRunner().invoke(app, [*WORDS, *trip, "--json"])
    assert told.exit_code == 0, told.output
    body = ORDER | {"product": "CNC", "exit_price": "2900.00", "exit_day": "2026-11-23"}
    assert json.loads(told.output) == await estimate(body)


def test_the_command_line_marks_what_is_not_verified() -> None:
    old = CliRunner().invoke(app, [*WORDS[:-1], "2024-05-02"])
    assert (old.exit_code, old.output.count("UNVERIFIED")) == (0, 2)
    assert "UNVERIFIED" not in CliRunner().invoke(app, WORDS).output


@pytest.mark.parametrize("wrong", [["--product", "BO"], ["--day", "today"], ["--exit-price", "cheap"]], ids=str)
def test_the_command_line_says_what_it_cannot_tell(wrong: list[str]) -> None:
    assert isinstance(CliRunner().invoke(app, [*WORDS, *wrong]).exception, OperatorProblem)
