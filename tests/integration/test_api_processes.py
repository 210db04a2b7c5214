"""The API in processes of its own: two that take commands, and one that answers queries, on one log."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from time import time_ns
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from adapters.nats.connection import connect
from adapters.nats.marks import MarksPublisher
from adapters.postgres.event_store import PostgresEventStore
from api.halves import Half
from api.requests import RiskLimits
from commands.ports import Append, StoreUnavailable, StreamAppend
from domain.account.events import OrderDenied, TradeChanged, TradeOpened
from domain.events import decode
from domain.instrument import InstrumentKey, Segment
from domain.market import Mark
from domain.money import format_paise, value_paise
from domain.risk import DenialCode, RiskParameters
from infra.database import DatabaseUrls
from infra.home import Home
from infra.runtime import Runtime
from infra.settings import Settings
from infra.wiring.api import make_services
from infra.wiring.process import Wiring
from tests.support.eventually import eventually
from tests.support.processes import running_processes, runtime_file
from tests.support.servers import Servers, fresh_database, make_test_home, remove_test_home

pytestmark = pytest.mark.timeout(240)
"""Three processes begin before the first of these tests, and the machine may be busy."""

PATIENCE_S = 45.0
PASSWORD = "monsoon over the ghats"
ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
PRICE_E4 = 2_850_00_00
AGAIN = frozenset({"ACCOUNT_BUSY", "STORE_UNAVAILABLE", "OUTCOME_UNKNOWN", "READ_MODEL_BEHIND", "VIEWS_UNAVAILABLE"})
A_DAY_MS = 86_400_000
INTENTS = 200
CLIENTS = 20
RACERS = 20
RELIANCE = InstrumentKey(Segment.NSE_EQ, "2885")

_CONNECTED = """
    -- Who is connected to a database, but for who asks.
    SELECT usename FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Processes:
    """Running processes: those that take commands, and the one that answers queries."""

    database: DatabaseUrls
    runtime: Runtime
    commands: tuple[str, ...]
    queries: str


@pytest.fixture(scope="module")
def home(servers: Servers) -> Iterator[Home]:
    made = make_test_home()
    made.prepare()
    made.keys.symlink_to(servers.home.keys)
    yield made
    remove_test_home(made)


@pytest.fixture(scope="module")
def settings(home: Home) -> Settings:
    return Settings(home=home.path, log_level="error", intents_per_second_max=100_000, rate_commands_per_second=100_000)


@pytest.fixture(scope="module")
def processes(servers: Servers, home: Home, settings: Settings) -> Iterator[Processes]:
    with fresh_database(servers) as database:
        one, other = (runtime_file(servers, database, settings) for _ in range(2))
        # The projector needs no process of its own to keep the views up.
        with running_processes(
            home, (["command-api"], one), (["command-api"], other), (["query-api", "projector"], one)
        ):
            yield Processes(database, one.runtime(servers.keys), (one.api_url, other.api_url), one.query_api_url)


@dataclass
class Trader:
    """Somebody who trades through every process that takes commands."""

    clients: list[httpx.AsyncClient]
    headers: dict[str, str]
    stream_id: str

    async def ask(self, method: str, path: str, body: Any = None, *, of: int, key: str) -> httpx.Response:
        """Ask a process as a client does: when told to come again, under the same key."""
        headers = self.headers | {"Idempotency-Key": key}
        return await until_answered(self.clients[of], method, path, json=body, headers=headers)

    async def events(self, database: DatabaseUrls) -> list[Any]:
        """Return what the log has of the account."""
        async with PostgresEventStore(database.writer) as log:
            return [decode(event.name, event.payload) for event in await log.read_stream(self.stream_id)]


async def until_answered(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await client.request(method, path, **request)
            if answer.status_code != 503:
                return answer
            assert answer.json()["code"] in AGAIN
            await asyncio.sleep(0.02)


async def log_in(client: httpx.AsyncClient, email: str) -> tuple[dict[str, str], str]:
    """Register somebody; return the header that proves who asks, and their account's stream."""
    person = {"email": email, "name": "Asha Rao", "password": PASSWORD}
    registered = await until_answered(client, "POST", "/api/auth/register", json=person)
    assert registered.status_code == 201, registered.text
    answer = await until_answered(client, "POST", "/api/auth/login", json={"email": email, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}, f"account-{registered.json()['account_id']}"


async def trader_of(clients: list[httpx.AsyncClient], **limits: Any) -> Trader:
    headers, stream_id = await log_in(clients[0], f"p{next(_numbers)}@example.in")
    trader = Trader(clients, headers, stream_id)
    roomy = RiskLimits.of(
        RiskParameters(
            orders_per_second_max=10_000,
            orders_per_minute_max=10_000,
            open_trades_max=INTENTS,
            open_orders_max=2 * INTENTS,
            trades_per_day_max=INTENTS,
            position_value_paise_max=None,
            mark_age_ms_max=A_DAY_MS,
        )
    )
    body = msgspec.to_builtins(roomy) | limits
    assert (await trader.ask("PUT", "/api/risk/parameters", body, of=0, key="limits")).status_code == 200
    return trader


@pytest.fixture
async def clients(processes: Processes) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of the processes that take commands, each of which knows the price."""
    async with AsyncExitStack() as stack:
        nats = await connect(processes.runtime.nats_url)
        stack.push_async_callback(nats.close)
        publisher = await stack.enter_async_context(MarksPublisher(nats))
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=PATIENCE_S))
            for url in processes.commands
        ]
        probe = await trader_of(clients)
        for of in range(len(clients)):

            async def knows_the_price(of: int = of) -> bool:
                now_ns = time_ns()
                mark = Mark(
                    instrument=RELIANCE,
                    last_price_e4=PRICE_E4,
                    exchange_time_ns=now_ns,
                    received_at_ns=now_ns,
                    number=next(_numbers),
                )
                await publisher.publish(now_ns, [mark])
                key = f"probe-{next(_numbers)}"
                return (await probe.ask("POST", "/api/trades", ORDER, of=of, key=key)).status_code == 201

            await eventually(knows_the_price, within_s=PATIENCE_S)
        yield clients


# --- Two processes on one account -------------------------------------------------------------------------------------


async def test_two_hundred_intents_at_once_never_pass_a_limit_together(
    processes: Processes, clients: list[httpx.AsyncClient]
) -> None:
    limit_paise = 40 * 10 * 2_850_00 + 1
    trader = await trader_of(clients, gross_exposure_max=format_paise(limit_paise))

    async def trade(number: int) -> list[int]:
        """Be one client: hand in intents one after the other."""
        statuses = []
        for turn in range(INTENTS // CLIENTS):
            body = ORDER | {"quantity": 1 + (number * 7 + turn) % 19}
            answer = await trader.ask("POST", "/api/trades", body, of=number % 2, key=f"{number}-{turn}")
            statuses.append(answer.status_code)
        return statuses

    told = Counter(status for each in await asyncio.gather(*map(trade, range(CLIENTS))) for status in each)
    events = await trader.events(processes.database)
    opened = [event for event in events if isinstance(event, TradeOpened)]
    denied = [event for event in events if isinstance(event, OrderDenied)]
    assert (told[201], told[403]) == (len(opened), len(denied))
    assert told[201] + told[403] == INTENTS
    assert {event.code for event in denied} == {DenialCode.GROSS_EXPOSURE_ABOVE_LIMIT}
    exposures = [value_paise(price_e4=PRICE_E4, quantity=event.entry.quantity, multiplier=1) for event in opened]
    smallest_denied = min(
        value_paise(price_e4=PRICE_E4, quantity=event.entry.quantity, multiplier=1) for event in denied
    )
    assert sum(exposures) <= limit_paise < sum(exposures) + smallest_denied


async def test_the_same_key_at_both_processes_is_one_trade(
    processes: Processes, clients: list[httpx.AsyncClient]
) -> None:
    trader = await trader_of(clients)
    answers = await asyncio.gather(
        *(trader.ask("POST", "/api/trades", ORDER, of=number % 2, key=f"{number // 4}") for number in range(40))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 40}
    assert Counter(Counter(answer.json()["trade_id"] for answer in answers).values()) == {4: 10}
    assert sum(answer.headers.get("Idempotent-Replay") == "true" for answer in answers) == 30
    events = await trader.events(processes.database)
    assert sum(isinstance(event, TradeOpened) for event in events) == 10


async def test_a_race_of_modifications_has_one_winner_and_the_losers_are_told(
    processes: Processes, clients: list[httpx.AsyncClient]
) -> None:
    trader = await trader_of(clients)
    opened = await trader.ask("POST", "/api/trades", ORDER | {"stop_loss": "2700"}, of=0, key="one")
    path = f"/api/trades/{opened.json()['trade_id']}"
    answers = await asyncio.gather(
        *(
            trader.ask(
                "PUT",
                path,
                {"expected_version": 1, "stop_loss": f"{2701 + number}"},
                of=number % 2,
                key=f"change-{number}",
            )
            for number in range(RACERS)
        )
    )
    won = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    lost = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert (len(won), lost) == (1, ["TRADE_VERSION_MISMATCH"] * (RACERS - 1))
    changed = [event for event in await trader.events(processes.database) if isinstance(event, TradeChanged)]
    assert [event.stop_loss_e4 for event in changed] == [(2701 + won[0]) * 10_000]


# --- Two halves -------------------------------------------------------------------------------------------------------


async def test_what_was_written_at_one_half_is_read_at_the_other(
    processes: Processes, clients: list[httpx.AsyncClient]
) -> None:
    trader = await trader_of(clients)
    opened = (await trader.ask("POST", "/api/trades", ORDER, of=1, key="one")).json()
    async with httpx.AsyncClient(base_url=processes.queries, timeout=PATIENCE_S) as queries:
        after = {"min_sequence": opened["sequence"]}
        listed = await until_answered(queries, "GET", "/api/trades", params=after, headers=trader.headers)
        assert [trade["trade_id"] for trade in listed.json()["trades"]] == [opened["trade_id"]]
        assert listed.json()["sequence"] >= opened["sequence"]
        budgets = await until_answered(queries, "GET", "/api/risk/budgets", headers=trader.headers)
        assert budgets.status_code == 200, "the account is read from the log, by a role that may only read"


async def test_each_half_refuses_what_the_other_answers(processes: Processes, clients: list[httpx.AsyncClient]) -> None:
    async with httpx.AsyncClient(base_url=processes.queries, timeout=PATIENCE_S) as queries:
        refused = [
            (await clients[0].get("/api/trades"), "ask the one that answers queries"),
            (await queries.post("/api/trades", json=ORDER), "ask the one that answers commands"),
            (await queries.post("/api/auth/login", json={}), "ask the one that answers commands"),
        ]
        for answer, remedy in refused:
            assert (answer.status_code, answer.json()["code"]) == (421, "NOT_SERVED_HERE")
            assert remedy in answer.json()["detail"]
        for half in (queries, clients[0]):
            assert (await half.get("/healthz")).status_code == 200
            assert (await until_answered(half, "GET", "/readyz")).json()["ready"]
            assert "/api/trades" in (await half.get("/openapi.json")).json()["paths"]


@pytest.mark.parametrize(
    ("half", "role", "connections"),
    [(Half.COMMANDS, "khata_writer", 1), (Half.QUERIES, "khata_query", 3)],
    ids=["commands", "queries"],
)
async def test_a_half_reaches_the_database_by_its_own_role_alone(
    servers: Servers, settings: Settings, half: Half, role: str, connections: int
) -> None:
    with fresh_database(servers) as database:
        runtime = runtime_file(servers, database, settings).runtime(servers.keys)
        async with AsyncExitStack() as stack:
            services, log = await make_services(Wiring(runtime, stack), half)
            assert (await log.head()).sequence == 0

            def connected() -> list[str]:
                """Return who is connected, once all are: the log's pool, for queries the views' pool and listener."""
                with psycopg.connect(database.admin) as admin:
                    found = admin.execute(_CONNECTED, [admin.info.dbname]).fetchall()
                return [name for (name,) in found] if len(found) >= connections else []

            assert set(await eventually(connected, within_s=PATIENCE_S)) == {role}
            if half is Half.QUERIES:
                append = Append(
                    command_id="cmd_1",
                    streams=(StreamAppend(stream_id="account-acc_1", expected_version=0, events=()),),
                    metadata=b"{}",
                )
                with pytest.raises(StoreUnavailable, match="only reads"):
                    await log.append(append)
            await services.audit.flush()
