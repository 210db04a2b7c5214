"""What a test sees of a running engine from outside: its API, the exchange's own door, the log and the read models."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from adapters.nats.connection import NatsConnection, connect
from adapters.nats.control import request
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from domain.account.events import OrderFilled
from domain.envelope import RecordedEvent
from domain.events import Event, decode
from infra.demo.lock_step import Exchange, LockStep
from infra.demo.traders import Trader
from projections.catalogue import READ_MODELS
from projections.verification import Difference, differences
from tests.support.running import RunningEngine

PATIENCE_S = 30.0
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlooker:
    """Connections to everything that can be looked at."""

    api: httpx.AsyncClient
    venue: httpx.AsyncClient
    exchange: Exchange
    nats: NatsConnection
    store: PostgresEventStore
    views: PostgresViews

    async def newcomer(self, name: str) -> Trader:
        """Register and log in somebody of that name."""
        trader = Trader(name=name, http=self.api)
        await trader.join()
        return trader

    async def order_fault(self, **terms: str | int) -> None:
        """Have the exchange do something wrong (`adapters.simulator.faults.call_faults.Fault`)."""
        (await self.venue.post("/admin/faults", json=terms)).raise_for_status()

    async def has_met_its_faults(self) -> bool:
        """Tell whether every fault that was ordered has struck."""
        return bool((await self.exchange.session())["faults_waiting"] == 0)

    def lock_step(self) -> LockStep:
        """Return the hand on the tape of an engine in lock-step."""
        return LockStep(self.exchange, self.settled)

    async def settled(self, role: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask *role* to settle."""
        return await request(self.nats, f"khata.settle.{role}", question, timeout_s=PATIENCE_S)

    async def head(self) -> int:
        """Return the log's last sequence."""
        return (await self.store.head()).sequence

    async def log(self) -> list[RecordedEvent]:
        """Return the whole log, oldest first."""
        found: list[RecordedEvent] = []
        while page := await self.store.read_all(after_sequence=found[-1].sequence if found else 0, limit=_PAGE):
            found += page
        return found

    async def events(self) -> list[Event]:
        """Return what the whole log says, oldest first."""
        return [decode(recorded.name, recorded.payload) for recorded in await self.log()]

    async def views_reached(self, sequence: int) -> bool:
        """Tell whether every read model has taken in the log up to *sequence*."""
        return all([(await self.views.snapshot(model)).checkpoint >= sequence for model in READ_MODELS])

    async def views_not_as_the_log(self) -> list[Difference]:
        """Return every row of a read model that is not what a fold of the log gives."""
        return await differences(READ_MODELS, log=self.store, views=self.views)


@asynccontextmanager
async def looking_at(engine: RunningEngine) -> AsyncIterator[Onlooker]:
    """Connect to everything of *engine*."""
    runtime = engine.runtime
    async with AsyncExitStack() as stack:
        nats = await connect(runtime.nats_url)
        stack.push_async_callback(nats.close)
        secret = {"x-simulator-secret": engine.keys.simulator.hex()}
        api = httpx.AsyncClient(base_url=runtime.api_url, timeout=PATIENCE_S)
        venue = httpx.AsyncClient(base_url=runtime.simulator_url, timeout=PATIENCE_S, headers=secret)
        yield Onlooker(
            api=await stack.enter_async_context(api),
            venue=await stack.enter_async_context(venue),
            exchange=Exchange(venue),
            nats=nats,
            store=await stack.enter_async_context(PostgresEventStore(runtime.database.writer)),
            views=await stack.enter_async_context(PostgresViews(runtime.database.projector)),
        )


def client_of(trader: Trader) -> str:
    """Return the broker's name for the paper account of *trader*, worked out anew from the rule."""
    assert trader.account_id is not None, "traders have joined"
    return f"10{int.from_bytes(sha256(trader.account_id.encode()).digest(), 'big') % 10**8:08d}"


def executions_of(books: dict[str, Any]) -> Counter[tuple[str, int, int]]:
    """Return the executions in the exchange's *books*: id as the engine names it, quantity, price."""
    return Counter(
        (f"{row['segment']}:{row['trade_id']}:{row['order_id']}", row["quantity"], row["price_e4"])
        for book in books.values()
        for row in book["trades"]
    )


def fills_of(events: list[Event]) -> Counter[tuple[str, int, int]]:
    """Return the fills that *events* tell of: the venue's id, quantity, price."""
    return Counter(
        (str(event.venue_fill_id), event.last_quantity, event.last_price_e4)
        for event in events
        if isinstance(event, OrderFilled)
    )


def held_by(positions: list[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    """Return net quantities by segment, security id and product, of the API's positions or of the exchange's."""
    return {(row["segment"], row["security_id"], row["product"]): row["net_quantity"] for row in positions}
