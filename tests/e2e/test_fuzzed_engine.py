"""Whatever is asked of a running engine is answered as its OpenAPI document says: `make fuzz` asks 100,000 times."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from http import HTTPStatus

import httpx
import pytest

from infra.demo.traders import Trader
from tests.support.fuzzing import CASES_WANTED, cases_each, fuzz, operations_of, sent
from tests.support.running import RunningEngine

FEW = 2
PATIENCE_S = 30.0
TOKEN_S = 300.0


async def clients(stack: AsyncExitStack, engine: RunningEngine) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Two clients, each with an address of its own: what is counted by address is counted apart from other tests."""
    made = []
    for address in ("127.0.7.1", "127.0.7.2"):
        own = address if sys.platform == "linux" else None  # Where all of 127/8 is this machine's.
        transport = httpx.AsyncHTTPTransport(local_address=own)
        client = httpx.AsyncClient(base_url=engine.api_url, timeout=PATIENCE_S, transport=transport)
        made.append(await stack.enter_async_context(client))
    return made[0], made[1]


async def answered(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Ask as often as a client does that is told to come again."""
    for _ in range(10):
        answer = await sent(client, request)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            break
        await asyncio.sleep(float(answer.headers["Retry-After"]))
    return answer


@pytest.mark.timeout(0 if CASES_WANTED else 180)
def test_whatever_is_asked_of_an_engine_has_a_declared_answer(engine: RunningEngine) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        door, street = runner.run(clients(stack, engine))
        try:
            people = [Trader(name=f"fuzz-{number}", http=door) for number in range(3)]
            for person in people:
                runner.run(person.join())
            logged_in_at = time.monotonic()
            runner.run(people[0].intend("RELIANCE", "BUY", 10))
            [trade] = runner.run(people[0].trades())
            there = {name: trade[name] for name in ("trade_id", "position_id")} | {"kind": "day_loss"}
            operations = operations_of(runner.run(door.get("/openapi.json")).json())
            for operation in operations:
                if time.monotonic() - logged_in_at > TOKEN_S:
                    for person in people:
                        runner.run(person.log_in())
                    logged_in_at = time.monotonic()
                fuzz(
                    operation,
                    cases=cases_each(operations, few=FEW),
                    people=[person.headers for person in people],
                    there=there,
                    ask=lambda request: runner.run(answered(street, request)),
                )
        finally:
            runner.run(stack.aclose())
    assert engine.complaints() == []
