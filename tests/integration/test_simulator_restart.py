"""A simulator that was killed, and the next one on its books, over real HTTP."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.simulator.books.journal import Journal, JournalBroken
from adapters.simulator.server import serve
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from domain.market import NS_PER_S
from tests.support.eventually import eventually
from tests.support.tape import CLIENT_ID, ORDER, OTHER_CLIENT_ID, Venue, config_of, steady, venue

PRICE = 1_310_00_00
DAY_NS = 24 * 3600 * NS_PER_S
ROOT = Path(__file__).parents[2]
LIFE = """
import asyncio, sys
from pathlib import Path
from adapters.simulator.server import serve
from tests.support.tape import config_of, steady

config = config_of(steady(*map(int, sys.argv[2:])), journal=Path(sys.argv[1]))
asyncio.run(serve(config, host="127.0.0.1", port=0, ready=lambda port: print(port, flush=True)))
"""


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return tmp_path / "books.jsonl"


@contextlib.asynccontextmanager
async def killed_in_the_end(books: Path, *prices_e4: int) -> AsyncIterator[Venue]:
    """A simulator in a process of its own, which is killed without a warning."""
    words = (sys.executable, "-c", LIFE, str(books), *map(str, prices_e4))
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5, verify=False) as http:  # noqa: S501 - no TLS
            client = Venue(http, port)
            await client.log_in()
            yield client
            process.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        assert await process.wait() == -signal.SIGKILL


async def everything(client: Venue) -> dict[str, Any]:
    paths = ("/orders", "/trades", "/positions", "/fundlimit", f"/orders/external/{ORDER['correlationId']}")
    return {path: await client.get(path) for path in paths}


async def test_after_a_kill_the_next_simulator_knows_every_order_and_goes_on_with_it(books: Path) -> None:
    async with killed_in_the_end(books, PRICE) as client:
        await client.step()
        filled = (await client.place()).json()["orderId"]
        resting = (await client.place(correlationId="resting", price=1300)).json()["orderId"]
        unwanted = (await client.place(correlationId="unwanted", price=1299)).json()["orderId"]
        await client.log_in(OTHER_CLIENT_ID)
        await client.place(dhanClientId=OTHER_CLIENT_ID, transactionType="SELL", price=1320)
        others = await client.get("/orders")
        await client.log_in()
        known = await everything(client)
    assert [row["orderStatus"] for row in known["/orders"]] == ["TRADED", "PENDING", "PENDING"]
    async with venue(config_of(steady(PRICE, 1_300_00_00), journal=books)) as client:
        await client.step()
        assert await everything(client) == known
        assert (await client.http.delete(f"/v2/orders/{unwanted}")).json()["orderStatus"] == "CANCELLED"
        assert (await client.http.delete(f"/v2/orders/{filled}")).status_code == 400
        await client.step()
        (row,) = await client.get(f"/orders/{resting}")
        assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 1300.0)
        fresh = (await client.place(correlationId="fresh", price=1299)).json()["orderId"]
        numbers = [int(trade["exchangeTradeId"]) for trade in await client.get("/trades")]
        assert (int(fresh), numbers) == (int(others[0]["orderId"]) + 1, [200_000_001, 200_000_002])
        await client.log_in(OTHER_CLIENT_ID)
        assert await client.get("/orders") == others


async def test_a_killed_clients_token_is_dead_and_a_log_in_is_all_it_takes(books: Path) -> None:
    async with venue(config_of(steady(PRICE), journal=books)) as client:
        await client.step()
        await client.place()
        token = client.token
    async with venue(config_of(steady(PRICE), journal=books), logged_in=False) as client:
        client.http.headers["access-token"] = token
        assert (await client.http.get("/v2/orders")).status_code == 401
        await client.log_in()
        assert len(await client.get("/orders")) == 1


async def test_on_the_next_day_an_order_left_resting_gets_its_last_word(books: Path) -> None:
    async with venue(config_of(steady(PRICE), journal=books)) as client:
        await client.step()
        await client.place(productType="CNC")
        await client.place(correlationId="resting", price=1300)
    async with venue(config_of(steady(1_300_00_00, start_ns=DEMO_START_NS + DAY_NS), journal=books)) as client:
        await client.step()
        assert (await client.get("/orders/external/resting"))["orderStatus"] == "EXPIRED"
        assert [row["correlationId"] for row in await client.get("/orders")] == ["resting"]
        assert await client.get("/trades") == []
        (held,) = await client.get("/holdings")
        assert (held["totalQty"], held["avgCostPrice"]) == (10, 1310.0)
        assert await client.get("/positions") == [], "what was delivered stands in the holdings alone"
        await client.place(correlationId="sold", transactionType="SELL", productType="CNC", price=1299)
        assert (await client.get("/orders/external/sold"))["orderStatus"] == "TRADED"
        (position,) = await client.get("/positions")
        assert (position["netQty"], position["buyQty"], position["sellQty"]) == (-10, 0, 10)
        (held,) = await client.get("/holdings")
        assert (held["totalQty"], held["availableQty"]) == (10, 0)


async def test_a_simulator_waits_until_the_one_before_lets_go_of_the_books(books: Path) -> None:
    with Journal(books):
        waiting = asyncio.create_task(_first_life(books))
        done, _ = await asyncio.wait({waiting}, timeout=0.15)
        assert not done
    await waiting


async def _first_life(books: Path) -> None:
    async with venue(config_of(steady(PRICE), journal=books)) as client:
        await client.step()


async def test_a_simulator_that_cannot_write_its_books_answers_a_fault_and_ends(books: Path) -> None:
    ports: asyncio.Queue[int] = asyncio.Queue()
    config = config_of(steady(PRICE), journal=books)
    running = asyncio.create_task(serve(config, host="127.0.0.1", port=0, ready=ports.put_nowait))
    base_url = f"http://127.0.0.1:{await ports.get()}"
    async with httpx.AsyncClient(base_url=base_url, timeout=5, verify=False) as http:  # noqa: S501 - no TLS
        client = Venue(http, 0)
        await client.log_in()
        await client.step()
        _fill_the_disk(books)
        assert (await client.place()).status_code == 500
        with pytest.raises(JournalBroken, match="No space left"):
            await asyncio.wait_for(running, 5)
    async with venue(config_of(steady(PRICE), journal=books)) as client:
        await client.step()
        assert await client.get("/orders") == []


def _fill_the_disk(books: Path) -> None:
    """Put the device that is always full where this process has *books* open."""
    (descriptor,) = (link for link in Path("/proc/self/fd").iterdir() if _leads_to(link, books))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, int(descriptor.name))
    os.close(full)


def _leads_to(link: Path, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # The descriptor that lists the others is closed by now.
        return link.samefile(path)
    return False


async def test_a_simulator_leaves_signals_to_its_process(books: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with venue(config_of(steady(PRICE), journal=books)):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


async def test_an_order_accepted_a_moment_before_the_end_leaves_transit_in_the_next_life(books: Path) -> None:
    async with venue(config_of(steady(PRICE), journal=books, transit_ms=60_000)) as client:
        await client.step()
        await client.place()
    async with venue(config_of(steady(PRICE), journal=books, lock_step=False)) as client:

        async def is_traded() -> bool:
            (row,) = await client.get("/orders")
            return bool(row["orderStatus"] == "TRADED")

        await eventually(is_traded)
        assert [row["dhanClientId"] for row in await client.get("/trades")] == [CLIENT_ID]
