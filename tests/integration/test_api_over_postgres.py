"""People and their accounts at two applications of the API on one real log."""

import asyncio
import dataclasses
from typing import Any

from adapters.postgres.event_store import PostgresEventStore
from infra.database import DatabaseUrls
from tests.support.api import PASSWORD, ApiWorld
from tests.support.people import registered

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


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
