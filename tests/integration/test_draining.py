"""What each role does when it is told to stop: nothing that somebody waits for is cut short."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as with_ready
from pathlib import Path
from random import Random
from time import monotonic, time_ns

import httpx
import psycopg
import pytest
from msgspec.structs import replace

from adapters.nats.connection import connect
from adapters.nats.control import request as ask
from adapters.nats.stream import mirrors
from adapters.postgres.event_store import PostgresEventStore
from adapters.simulator.paths.admin_routes import SECRET_HEADER
from domain.account.events import AccountOpened, OrderAcknowledged, OrderIntended
from domain.account.events import TradeOpened as Opened
from domain.events import decode
from infra.addresses import free_port
from infra.database import DatabaseUrls
from infra.home import Home
from infra.roles import run_roles
from infra.runtime import Runtime
from infra.settings import Settings
from projections.tasks import end, finish
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.servers import Servers
from tests.support.specimens import ACCOUNT, account_opened, order_intended, trade_opened

PATIENCE_S = 30.0
SLOW_MS = 2_500
"""Longer than the second after which whoever ends a task cancels it again."""


@pytest.fixture
def runtime(servers: Servers, database: DatabaseUrls, nats_url: str, tmp_path: Path) -> Runtime:
    home = Home(tmp_path / "home")
    home.prepare()
    api, simulator = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    return Runtime(
        settings=Settings(home=home.path, log_level="error"),
        keys=servers.keys,
        database=database,
        nats_url=nats_url,
        api_url=api,
        simulator_url=simulator,
        broker_url=simulator,
    )


@asynccontextmanager
async def running(runtime: Runtime, *roles: str) -> AsyncIterator[None]:
    """Run *roles* as their process does, and tell them to stop at the end, again and again, as their process does."""
    ready = asyncio.Event()
    task = asyncio.create_task(run_roles(roles, with_ready(runtime, ready=ready.set)))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), f"not ready: {task}"
        yield
    finally:
        task.cancel()
        waiting.cancel()
        await asyncio.wait({task}, timeout=PATIENCE_S)
        assert task.cancelled(), f"it ended otherwise: {task}"


async def test_what_is_to_be_finished_is_finished_however_often_it_is_canceled() -> None:
    done = []

    async def drain() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await finish(work())

    async def work() -> str:
        for _ in range(3):
            await asyncio.sleep(0.02)
        done.append("whole")
        return "answer"

    assert await finish(work()) == "answer"
    task = asyncio.create_task(drain())
    await asyncio.sleep(0)
    await end(task, again_s=0.01)
    assert task.cancelled()
    assert done == ["whole", "whole"]


async def test_what_fails_while_it_is_finished_is_told() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.02)
        raise ValueError("broken")

    task = asyncio.create_task(finish(fail()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError, match="broken"):
        await task


async def test_the_relay_mirrors_what_is_in_the_log_before_it_ends(runtime: Runtime) -> None:
    async with PostgresEventStore(runtime.database.writer) as store:
        async with running(runtime, "relay"):
            head = await Scribe(store).write("account-acc_1", Life(Random(1)).go_on(300).events)  # noqa: S311 - no secret
        epoch = (await store.head()).epoch
    nats = await connect(runtime.nats_url)
    assert (await mirrors(nats))[epoch] == head
    await nats.close()


async def test_the_projector_takes_in_what_is_in_the_log_and_gives_its_claim_back(runtime: Runtime) -> None:
    async with PostgresEventStore(runtime.database.writer) as store, running(runtime, "projector"):
        head = await Scribe(store).write("account-acc_1", Life(Random(1)).go_on(300).events)  # noqa: S311 - no secret
    with psycopg.connect(runtime.database.admin) as admin:
        found = admin.execute("SELECT DISTINCT sequence, owner FROM views.checkpoints").fetchall()
    assert found == [(head, "")]


async def test_the_executor_awaits_the_send_under_way_and_records_its_outcome(runtime: Runtime) -> None:
    order = replace(order_intended, not_after_ns=time_ns() + 3600 * 10**9)
    begun: tuple[AccountOpened, Opened, OrderIntended] = (account_opened, trade_opened, order)
    async with PostgresEventStore(runtime.database.writer) as store:
        async with (
            running(runtime, "simulator"),
            httpx.AsyncClient(
                base_url=runtime.simulator_url, headers={SECRET_HEADER: runtime.keys.simulator.hex()}
            ) as venue,
        ):
            slow = {"kind": "delay", "delay_ms": SLOW_MS}
            (await venue.post("/admin/faults", json=slow)).raise_for_status()
            async with running(runtime, "executor"):
                await Scribe(store).write(f"account-{ACCOUNT}", begun)

                async def names() -> list[str]:
                    return [event.name for event in await store.read_stream(f"account-{ACCOUNT}")]

                async def is_under_way() -> bool:
                    return "order.submitting.v1" in await names()

                await eventually(is_under_way, within_s=PATIENCE_S)
        told = [decode(event.name, event.payload) for event in await store.read_stream(f"account-{ACCOUNT}")]
    acknowledged = [event.evidence.value for event in told if isinstance(event, OrderAcknowledged)]
    assert acknowledged == ["answer"], "the answer came after the stop, and it was waited for"
    with psycopg.connect(runtime.database.admin) as admin:
        held = admin.execute("SELECT count(*) FROM ops.leases WHERE expires_at > clock_timestamp()").fetchone()
    assert held == (0,), "the next sender need not wait"


async def test_market_and_exchange_end_when_they_are_told_to_while_ticks_come(runtime: Runtime) -> None:
    nats = await connect(runtime.nats_url)
    async with running(runtime, "simulator"), running(runtime, "market"):

        async def watches() -> bool:
            return bool((await ask(nats, "khata.status.market", {}))["marks"] > 0)

        await eventually(watches, within_s=PATIENCE_S)
    await nats.close()


async def test_the_api_answers_who_waits_and_lets_nobody_else_in(runtime: Runtime) -> None:
    people = 12

    async def register(client: httpx.AsyncClient, number: int) -> int:
        body = {"email": f"p{number}@example.in", "name": "P", "password": "monsoon over the ghats"}
        return (await client.post("/api/auth/register", json=body)).status_code

    async with httpx.AsyncClient(base_url=runtime.api_url, timeout=PATIENCE_S) as client:
        async with running(runtime, "api", "relay"):
            asked = [asyncio.create_task(register(client, number)) for number in range(people)]
            # A dozen hashes, two at a time, take longer than the first answer.
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            began = monotonic()
        answers = Counter(await asyncio.gather(*asked))
        assert answers.keys() <= {201, 503}, "nobody's connection was cut"
        assert answers[201] > 0
        assert monotonic() - began < PATIENCE_S
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")
    async with PostgresEventStore(runtime.database.writer) as store:
        names = Counter(event.name for event in await store.read_all(after_sequence=0))
    assert names["user.registered.v1"] == answers[201], "who was told so is registered, and nobody else"
