"""Commands over HTTP into the real log: durable, once, and in order."""

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import httpx
from msgspec.structs import replace

from adapters.postgres.event_store import PostgresEventStore
from commands.accounts import CommandContext
from domain.account.events import OrderDenied, TradeOpened
from domain.events import decode
from domain.ids import AccountId, UserId
from domain.money import value_paise
from domain.risk import DenialCode, RiskParameters
from infra.database import DatabaseUrls
from tests.support.api import PASSWORD, ApiWorld
from tests.support.people import registered

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


AT_ANY_RATE = RiskParameters(orders_per_second_max=10_000, orders_per_minute_max=10_000)


async def trader_of(world: ApiWorld, limits: RiskParameters) -> dict[str, str]:
    """Register somebody who trades within *limits*; return the header that proves who asks."""
    headers = await world.log_in()
    caller = (await world.client.get("/api/auth/profile", headers=headers)).json()
    account_id, user_id = AccountId(caller["account_id"]), UserId(caller["user_id"])
    context = CommandContext(actor=user_id, source="test", received_at_ns=0)
    await world.services.accounts.set_risk_parameters(account_id, user_id, limits, context)
    return headers


async def test_a_request_that_is_sent_many_times_at_once_is_carried_out_once(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as log:
        world = ApiWorld(log=log)
        headers = await trader_of(world, AT_ANY_RATE)

        async def place(key: str) -> httpx.Response:
            return await world.client.post("/api/trades", json=ORDER, headers=headers | {"Idempotency-Key": key})

        answers = await asyncio.gather(*(place(f"{number // 4}") for number in range(40)))
        assert Counter(answer.status_code for answer in answers) == {201: 40}
        assert Counter(Counter(answer.json()["trade_id"] for answer in answers).values()) == {4: 10}
        assert sum(answer.headers.get("Idempotent-Replay") == "true" for answer in answers) == 30
        opened = [event for event in await log.read_all(after_sequence=0) if event.name == "trade.opened.v1"]
        assert len(opened) == 10
        await world.client.aclose()


async def test_no_limit_is_slipped_through_side_by_side(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as one, PostgresEventStore(database.writer) as other:
        # Two processes of the API on one log: both know the account, neither knows of the other's commands.
        worlds = [ApiWorld(log=one), ApiWorld(log=other)]
        headers = await trader_of(worlds[0], AT_ANY_RATE)
        answers = await asyncio.gather(
            *(
                worlds[number % 2].client.post(
                    "/api/trades", json=ORDER, headers=headers | {"Idempotency-Key": str(number)}
                )
                for number in range(30)
            )
        )
        stored = [decode(event.name, event.payload) for event in await one.read_all(after_sequence=0)]
        opened = [event for event in stored if isinstance(event, TradeOpened)]
        denied = [event for event in stored if isinstance(event, OrderDenied)]
        told = Counter(answer.status_code for answer in answers)
        assert len(opened) == told[201] <= 20  # open_trades_max
        assert len(denied) == told[403]
        assert len(opened) == 20 or told[403] == 0
        assert told[201] + told[403] + told[503] == 30
        for world in worlds:
            await world.client.aclose()


INTENTS = 200
CLIENTS = 20
PRICE_E4 = 2_850_00_00


async def until_decided(client: httpx.AsyncClient, headers: dict[str, str], body: dict[str, Any]) -> httpx.Response:
    """Hand in an intent as a client does: when told to come again, under the same key."""
    while True:
        answer = await client.post("/api/trades", json=body, headers=headers)
        if answer.status_code not in {429, 503}:
            return answer
        assert answer.json()["code"] in {"ACCOUNT_BUSY", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN", "INTENT_STORM"}
        await asyncio.sleep(0.02)


async def test_two_hundred_intents_at_once_never_pass_a_limit_together(database: DatabaseUrls) -> None:
    """Two processes of the API, twenty clients, one account: what was let through fits in its limits, to the paisa."""
    limit_paise = 40 * 10 * 2_850_00 + 1
    async with PostgresEventStore(database.writer) as one, PostgresEventStore(database.writer) as other:
        worlds = [ApiWorld(log=one), ApiWorld(log=other)]
        limits = replace(
            AT_ANY_RATE, open_trades_max=INTENTS, open_orders_max=INTENTS, gross_exposure_paise_max=limit_paise
        )
        headers = await trader_of(worlds[0], replace(limits, trades_per_day_max=INTENTS, position_value_paise_max=None))

        async def trade(number: int) -> list[int]:
            world = worlds[number % 2]
            statuses = []
            for turn in range(INTENTS // CLIENTS):
                key = {"Idempotency-Key": f"{number}-{turn}"}
                body = ORDER | {"quantity": 1 + (number * 7 + turn) % 19}
                statuses.append((await until_decided(world.client, headers | key, body)).status_code)
            return statuses

        told = Counter(status for each in await asyncio.gather(*map(trade, range(CLIENTS))) for status in each)
        stored = [decode(event.name, event.payload) for event in await one.read_all(after_sequence=0, limit=10_000)]
        opened = [event for event in stored if isinstance(event, TradeOpened)]
        denied = [event for event in stored if isinstance(event, OrderDenied)]
        for world in worlds:
            await world.client.aclose()
    assert (told[201], told[403]) == (len(opened), len(denied))
    assert told[201] + told[403] == INTENTS
    assert {event.code for event in denied} == {DenialCode.GROSS_EXPOSURE_ABOVE_LIMIT}
    exposures = [value_paise(price_e4=PRICE_E4, quantity=event.entry.quantity, multiplier=1) for event in opened]
    smallest_denied = min(
        value_paise(price_e4=PRICE_E4, quantity=event.entry.quantity, multiplier=1) for event in denied
    )
    assert sum(exposures) <= limit_paise < sum(exposures) + smallest_denied


async def test_a_member_who_was_let_go_in_another_process_moves_nothing(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as one, PostgresEventStore(database.writer) as other:
        # Two processes of the API, neither of which hears what the other appends.
        here, there = ApiWorld(log=one), ApiWorld(log=other)
        asha, ravi = await registered(here), await registered(here, "ravi")
        path = f"/api/accounts/{asha.account_id}/members/{ravi.user_id}"
        await asha.done("PUT", path, {"role": "trader"})
        elsewhere = dataclasses.replace(ravi, world=there)
        trading = f"/api/trades?account_id={asha.account_id}"
        await elsewhere.done("POST", trading, ORDER)
        await asha.done("DELETE", path)
        before = await here.stored()
        assert await elsewhere.refused("POST", trading, ORDER) == (404, "ACCOUNT_NOT_FOUND")
        assert await elsewhere.refused("GET", f"/api/positions?account_id={asha.account_id}") == (
            404,
            "ACCOUNT_NOT_FOUND",
        )
        assert await here.stored() == before


async def test_of_those_who_link_one_client_id_in_two_processes_one_wins(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as one, PostgresEventStore(database.writer) as other:
        worlds = ApiWorld(log=one), ApiWorld(log=other)
        people = [await registered(world, name) for world, name in zip(worlds, ("asha", "ravi"), strict=True)]
        dhan = {"client_id": "1000000009", "access_token": "token-of-dhan"}
        body = {"dhan": dhan, "present_password": PASSWORD}
        answers = await asyncio.gather(*(person.ask("PUT", "/api/auth/profile", body) for person in people))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        names = [event.name for event in await one.read_all(after_sequence=0)]
        assert names.count("user.broker_linked.v1") == 1
        assert names.count("account.opened.v1") == 3
        assert sorted(len(world.sealed_rows.rows) for world in worlds) == [0, 1]
