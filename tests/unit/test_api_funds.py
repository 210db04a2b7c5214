"""Funds and holdings over HTTP: what the books know, and why they do not know the rest."""

from typing import Any

from msgspec.structs import replace

from domain.order import Product
from tests.support.api import PASSWORD, ApiWorld
from tests.support.log_writing import Scribe
from tests.support.people import Person, registered
from tests.support.specimens import entry_instruction, order_filled, order_intended, trade_opened

TRADE = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


async def with_capital(capital: str | None) -> Person:
    asha = await registered(ApiWorld())
    limits = (await asha.get("/api/risk/parameters"))["parameters"]
    await asha.done("PUT", "/api/risk/parameters", {**limits, "capital": capital})
    return asha


async def holds(person: Person, product: Product) -> None:
    """Let the account hold 100 Reliance, bought at 2,850.00."""
    stream_id = f"account-{person.account_id}"
    versions = {stream_id: len(await person.world.log.read_stream(stream_id))}
    told = replace(entry_instruction, product=product)
    await Scribe(person.world.log, versions).write(
        stream_id,
        [
            replace(trade_opened, entry=told),
            replace(order_intended, instruction=told),
            replace(order_filled, product=product),
        ],
    )


async def test_funds_are_capital_and_what_moved_less_what_is_bound() -> None:
    asha = await with_capital("1000000.00")
    await asha.done("POST", "/api/funds/movements", {"amount": "50000.00", "reason": "salary"})
    await holds(asha, Product.CNC)
    funds = await asha.get("/api/funds")
    cost = (await asha.get("/api/positions"))["positions"][0]["cost"]
    assert (funds["capital"], funds["cash_moved"], funds["realised"]) == ("1000000.00", "50000.00", "0.00")
    assert funds["blocked"] == cost == "285000.00"
    assert (funds["available"], funds["missing"]) == ("765000.00", {})


async def test_without_a_capital_nothing_is_made_up() -> None:
    asha = await with_capital(None)
    funds = await asha.get("/api/funds")
    assert (funds["capital"], funds["available"]) == (None, None)
    assert funds["missing"] == {"capital": "CAPITAL_NOT_SET", "available": "CAPITAL_NOT_SET"}


async def test_funds_of_the_past_are_those_that_were() -> None:
    asha = await with_capital("1000.00")
    before = await asha.get("/api/funds")
    await asha.done("POST", "/api/funds/movements", {"amount": "1.00", "reason": "found it"})
    then = await asha.get(f"/api/funds?at_sequence={before['sequence']}")
    assert {**then, "as_of": None} == before


async def test_shares_that_are_kept_are_holdings_and_those_for_the_day_are_not() -> None:
    asha, ravi = await with_capital(None), await with_capital(None)
    await holds(asha, Product.CNC)
    await holds(ravi, Product.INTRADAY)
    [holding] = (await asha.get("/api/holdings"))["holdings"]
    told: dict[str, Any] = {name: holding[name] for name in ("symbol", "quantity", "average_price", "mark", "value")}
    assert told == {
        "symbol": "RELIANCE",
        "quantity": 100,
        "average_price": "2850.00",
        "mark": "2850.00",
        "value": "285000.00",
    }
    assert (await ravi.get("/api/holdings"))["holdings"] == []


async def test_of_a_live_account_nothing_is_told_that_only_the_broker_knows() -> None:
    asha = await registered(ApiWorld())
    dhan = {"client_id": "1000000009", "access_token": "token-of-dhan"}
    await asha.done("PUT", "/api/auth/profile", {"dhan": dhan, "present_password": PASSWORD})
    live = (await asha.get("/api/auth/profile"))["live_account_id"]
    funds = await asha.get(f"/api/funds?account_id={live}")
    shown = {name: funds[name] for name in ("capital", "realised", "blocked", "available")}
    assert shown == dict.fromkeys(shown)
    assert funds["missing"] == dict.fromkeys(shown, "BROKER_NOT_ASKED")
    holdings = await asha.get(f"/api/holdings?account_id={live}")
    assert (holdings["holdings"], holdings["missing"]) == (None, {"holdings": "BROKER_NOT_ASKED"})
