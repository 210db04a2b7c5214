"""The whole engine for benches: started as `khata up` does, with a crowd registered and logged in."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, LiteralString

import msgspec
import psycopg

from adapters.clock import SystemClock
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import connect
from adapters.nats.marks import NatsMarks
from adapters.postgres.views import PostgresViews
from api.auth import LoginAnswer
from api.requests import LoginRequest, TradeRequest
from domain.instrument import Instrument
from domain.risk import RiskParameters
from infra.bench.ground import throwaway_home
from infra.bench.http_load import Ask, Caller, Load, LoadClient, Outcome
from infra.bench.people import PASSWORD, email_of, register_people
from infra.settings import Settings
from infra.supervisor import Supervisor

LOG_INS_AT_ONCE = 16
SETTLED_S = 120.0
LIMITS = RiskParameters(
    open_trades_max=1_000_000,
    open_positions_max=1_000,
    open_orders_max=1_000_000,
    trades_per_day_max=1_000_000,
    position_quantity_max=100_000_000,
    position_value_paise_max=10**14,
    capital_paise=10**14,
    gross_exposure_paise_max=10**14,
    net_exposure_paise_max=10**14,
    orders_per_second_max=1_000_000,
    orders_per_minute_max=1_000_000,
    orders_per_hour_max=1_000_000,
    orders_per_day_max=1_000_000,
)
"""Enough for every order of a bench; each is held against them all the same, on counts and sums that grow."""
_PRICES_S = 20.0
_PRICES_MIN = 3
_EVENTS = """
    -- Count the events above a sequence by their names.
    SELECT name, count(*) FROM log.events WHERE sequence > %s GROUP BY name
"""
_HEAD = """
    -- Read the last sequence of the log.
    SELECT coalesce(max(sequence), 0) FROM log.events
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeEngine:
    """The running engine, the people logged in to it, and what can be traded at the prices of its start (by symbol)."""

    supervisor: Supervisor
    client: LoadClient
    views: PostgresViews
    tokens: Sequence[str]
    instruments: Sequence[Instrument]
    prices_e4: dict[str, int]

    async def drive(self, asks: Sequence[Ask], *, people: int, **extent: Any) -> Outcome:
        """Let so many people ask *asks*, each one after another; *extent* as in `Load`."""
        callers = tuple(
            Caller(number=number, token=token, asks=tuple(asks)) for number, token in enumerate(self.tokens[:people])
        )
        return await self.client.drive(Load(url=self.supervisor.api_url, callers=callers, **extent))

    async def settled(self) -> int:
        """Return the log's last sequence once nothing is appended any more and the views show all of it."""
        async with asyncio.timeout(SETTLED_S):
            before, now = -1, await self.head()
            while now != before:
                await asyncio.sleep(1.0)
                before, now = now, await self.head()
        await self.views.wait_for(now, timeout_s=SETTLED_S)
        return now

    async def events_after(self, sequence: int) -> dict[str, int]:
        """Return how many events of each name lie above *sequence*."""
        return {name: int(count) for name, count in await self.fetch(_EVENTS, [sequence])}

    async def head(self) -> int:
        """Return the log's last sequence."""
        [(sequence,)] = await self.fetch(_HEAD, [])
        return int(sequence)

    async def fetch(self, statement: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on the engine's database."""
        async with await psycopg.AsyncConnection.connect(self.supervisor.database_urls.admin) as connection:
            return await (await connection.execute(statement, parameters)).fetchall()


def intent_of(body: TradeRequest) -> Ask:
    """Return how an intent is handed in, each time as another one."""
    return Ask("POST", "/api/trades", msgspec.json.encode(body), is_keyed=True)


@asynccontextmanager
async def running_engine(client: LoadClient, people: int) -> AsyncIterator[WholeEngine]:
    """Start the engine on servers of its own, register so many people, and log them in."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(throwaway_home())
        settings = Settings(home=home.path, api_port=0, simulator_port=0, log_level="warning", log_format="json")
        supervisor = Supervisor(settings, logs_to_files=True, is_throwaway=True)
        await stack.enter_async_context(supervisor)
        views = await stack.enter_async_context(PostgresViews(supervisor.database_urls.projector))
        await register_people(supervisor, people)
        instruments, prices_e4 = await _prices(supervisor)
        yield WholeEngine(
            supervisor=supervisor,
            client=client,
            views=views,
            tokens=await _log_in(client, supervisor.api_url, people),
            instruments=instruments,
            prices_e4=prices_e4,
        )


async def _log_in(client: LoadClient, url: str, people: int) -> list[str]:
    """Log everybody in, so many at once as the API lets in, and return their access tokens."""
    tokens: list[str] = []
    for first in range(0, people, LOG_INS_AT_ONCE):
        numbers = range(first, min(people, first + LOG_INS_AT_ONCE))
        bodies = [msgspec.json.encode(LoginRequest(email=email_of(number), password=PASSWORD)) for number in numbers]
        callers = tuple(
            Caller(number=number, asks=(Ask("POST", "/api/auth/login", body),))
            for number, body in zip(numbers, bodies, strict=True)
        )
        outcome = await client.drive(Load(url=url, callers=callers, rounds=1))
        if set(outcome.statuses) != {HTTPStatus.OK}:
            raise RuntimeError(f"not everybody was logged in: {outcome.told()}")
        tokens += [msgspec.json.decode(outcome.last[number], type=LoginAnswer).access_token for number in numbers]
    return tokens


async def _prices(supervisor: Supervisor) -> tuple[list[Instrument], dict[str, int]]:
    """Return what the simulator trades, and the last price of each by symbol."""
    clock, master = SystemClock(), InstrumentMaster.load()
    nats = await connect(supervisor.nats_url)
    try:
        async with NatsMarks(nats, clock=clock, market_clock="wall") as marks, asyncio.timeout(_PRICES_S):
            await marks.wait_for_number(1, timeout_s=_PRICES_S)
            while True:
                listed = [each for each in master.all(market_time_ns=clock.wall_ns()) if each.tradable]
                found = {each.symbol: mark for each in listed if (mark := marks.mark_of(each.key)) is not None}
                if len(found) >= _PRICES_MIN:
                    break
                await asyncio.sleep(0.05)
    finally:
        await nats.close()
    traded = [each for each in listed if each.symbol in found]
    return traded, {symbol: mark.last_price_e4 for symbol, mark in found.items()}
