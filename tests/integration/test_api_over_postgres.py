"""Commands over HTTP into the real log: durable, once, and in order."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from adapters.postgres.event_store import PostgresEventStore
from domain.account.events import OrderDenied, TradeOpened
from domain.events import decode
from infra.database import DatabaseUrls
from tests.support.api import ApiWorld

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


async def test_a_request_that_is_sent_many_times_at_once_is_carried_out_once(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as log:
        world = ApiWorld(log=log)
        headers = await world.log_in()

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
        headers = await worlds[0].log_in()
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
