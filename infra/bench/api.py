"""Bench `api`: order intents and portfolio reads over HTTP, all roles running, beside a bare echo."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, LiteralString, NamedTuple

import msgspec
import psutil
import psycopg

from adapters.clock import SystemClock
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import connect
from adapters.nats.marks import NatsMarks
from adapters.postgres.views import PostgresViews
from api.auth import LoginAnswer
from api.requests import LoginRequest, RiskLimits, TradeRequest
from domain.instrument import Instrument
from domain.money import format_e4
from domain.order import OrderType, Side
from domain.risk import BASIS_POINTS, RiskParameters
from infra.bench.echo import PATH as ECHO_PATH
from infra.bench.echo import echoing
from infra.bench.ground import sync_ms, throwaway_home
from infra.bench.http_load import Ask, Caller, Load, LoadClient, Outcome, load_client
from infra.bench.people import PASSWORD, email_of, register_people
from infra.bench.report import Report
from infra.bench.run import Bench
from infra.settings import Settings
from infra.supervisor import Supervisor

ACCOUNTS = 200
CROWDS = (100, 1_000)
LOG_INS_AT_ONCE = 16
ACCEPTED_MIN = 0.9
AWAY_BP = 300
"""How far below the market the orders rest."""
HELD = 2
"""Positions of every account, so that a portfolio has something to value."""
SECONDS, SECONDS_QUICK = 15.0, 3.0
WARM_UP_S = 1.0
CROWD_ROUNDS, CROWD_ROUNDS_QUICK = 5, 1
SETTLED_S = 120.0
_PRICES_S = 20.0
_DONE = {HTTPStatus.OK, HTTPStatus.CREATED}
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
"""Enough for every order of the bench; each is held against them all the same, on counts and sums that grow."""
PORTFOLIO = Ask("GET", "/api/risk/portfolio")
_EVENTS = """
    -- Count the events above a sequence by their names.
    SELECT name, count(*) FROM log.events WHERE sequence > %s GROUP BY name
"""
_HEAD = """
    -- Read the last sequence of the log.
    SELECT coalesce(max(sequence), 0) FROM log.events
"""


class Costed(NamedTuple):
    """What came of a load, and the CPU time that one answer cost the process that gave it, in milliseconds."""

    outcome: Outcome
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The running engine, those who ask it, and what they buy: `intents` rest, one after another."""

    supervisor: Supervisor
    client: LoadClient
    views: PostgresViews
    tokens: Sequence[str]
    instruments: Sequence[Instrument]
    intents: Sequence[Ask]

    async def drive(self, asks: Sequence[Ask], *, for_s: float, rate: float | None = None) -> Costed:
        """Let every account's owner ask *asks* for so long, as fast as they are answered or at *rate*."""
        load = self._load(ACCOUNTS, asks, for_s=for_s, warm_up_s=WARM_UP_S, rate=rate)
        return await _costed(self.client.drive(load), self.supervisor.process_of("api").pid)

    async def ask_in_rounds(self, asks: Sequence[Ask], *, rounds: int = 1, people: int = ACCOUNTS) -> Outcome:
        """Let so many people ask *asks* one after another, all people at once."""
        return await self.client.drive(self._load(people, asks, rounds=rounds))

    def _load(self, people: int, asks: Sequence[Ask], **extent: Any) -> Load:
        callers = tuple(
            Caller(number=number, token=token, asks=tuple(asks)) for number, token in enumerate(self.tokens[:people])
        )
        return Load(url=self.supervisor.api_url, callers=callers, **extent)

    async def settled(self) -> int:
        """Return the log's last sequence once nothing is appended any more and the views show all of it."""
        async with asyncio.timeout(SETTLED_S):
            before, now = -1, await self._head()
            while now != before:
                await asyncio.sleep(1.0)
                before, now = now, await self._head()
        await self.views.wait_for(now, timeout_s=SETTLED_S)
        return now

    async def events_after(self, sequence: int) -> dict[str, int]:
        """Return how many events of each name lie above *sequence*."""
        return {name: int(count) for name, count in await self._fetch(_EVENTS, [sequence])}

    async def _head(self) -> int:
        [(sequence,)] = await self._fetch(_HEAD, [])
        return int(sequence)

    async def _fetch(self, statement: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.supervisor.database_urls.admin) as connection:
            return await (await connection.execute(statement, parameters)).fetchall()


async def run(bench: Bench) -> None:
    """Measure."""
    for_s = SECONDS_QUICK if bench.is_quick else SECONDS
    task = bench.progress.add_task("starting the engine", total=6)

    def begin(phase: str) -> None:
        bench.progress.update(task, description=phase, advance=1)

    report = bench.report
    with load_client() as client:
        async with _running_engine(client) as engine:
            begin("the yardstick")
            echo_before = await _echo(client, engine.intents[0], for_s)
            begin("portfolio reads")
            await _fill_portfolios(report, engine)
            queries = await engine.drive([PORTFOLIO], for_s=for_s)
            report.check("every portfolio is read", holds=set(queries.outcome.statuses) == {HTTPStatus.OK})
            begin("order intents")
            closed = await _intend(report, engine, for_s)
            begin("order intents on schedule")
            on_schedule = await engine.drive(engine.intents, for_s=for_s, rate=closed.outcome.per_second / 2)
            await engine.settled()
            begin("crowds")
            rounds = CROWD_ROUNDS_QUICK if bench.is_quick else CROWD_ROUNDS
            for crowd in CROWDS:
                await _crowd(report, engine, crowd, rounds)
            median, p99 = sync_ms(engine.supervisor.settings.home)
        begin("the yardstick again")
        echo_after = await _echo(client, engine.intents[0], for_s)
    echo = (echo_before.outcome.per_second + echo_after.outcome.per_second) / 2
    report.add("intents", closed.outcome.per_second, unit="intents/s", better="higher", yardstick=echo)
    report.add("p99_ms", on_schedule.outcome.latency_ms(99), unit="ms", better="lower")
    report.add("queries", queries.outcome.per_second, unit="portfolios/s", better="higher", yardstick=echo)
    report.note("intents", f"LIMIT orders that rest {AWAY_BP} bp away, {ACCOUNTS} accounts with one under way each")
    report.note(
        "p99_ms", f"on schedule, at half of that rate; as fast as answered: {closed.outcome.latency_ms(99):.0f} ms"
    )
    report.note("portfolios", f"{HELD} positions each, the limits and their use")
    report.note("yardstick", "FastAPI, one process on our server, reads the same body by msgspec and sends it back")
    before, after = echo_before.outcome.per_second, echo_after.outcome.per_second
    report.note("yardstick before and after", f"{before:,.0f} and {after:,.0f} a second")
    costs = {"an intent": closed, "a portfolio": queries, "an echo": echo_before, "an echo afterwards": echo_after}
    told = ", ".join(f"{name} {cost.cpu_ms:.2f} ms" for name, cost in costs.items())
    report.note("CPU time of the serving process", told)
    report.note("client", "a process of its own; bytes made once, over one kept connection a person")
    report.note("machine", f"{os.cpu_count()} cores for the client, every role and the servers")
    report.note("sync", f"8 KiB in {median:.2f} ms, 99 % in {p99:.2f} ms")


async def _echo(client: LoadClient, intent: Ask, for_s: float) -> Costed:
    ask = intent._replace(target=ECHO_PATH, is_keyed=False)
    callers = tuple(Caller(number=number, asks=(ask,)) for number in range(ACCOUNTS))
    with echoing() as (url, pid):
        return await _costed(client.drive(Load(url=url, callers=callers, warm_up_s=WARM_UP_S, for_s=for_s)), pid)


async def _costed(driving: Awaitable[Outcome], pid: int) -> Costed:
    """Await a load and return what came of it, with what one answer cost the process that gave it."""
    before = sum(psutil.Process(pid).cpu_times()[:2])
    outcome = await driving
    spent_s = sum(psutil.Process(pid).cpu_times()[:2]) - before
    return Costed(outcome, spent_s * 1_000 / outcome.statuses.total())


async def _fill_portfolios(report: Report, engine: Engine) -> None:
    """Give every account limits that hold for the whole bench, and positions."""
    body = msgspec.json.encode(RiskLimits.of(LIMITS))
    limited = await engine.ask_in_rounds([Ask("PUT", "/api/risk/parameters", body)], people=max(CROWDS))
    report.check("every account has its limits", holds=set(limited.statuses) == {HTTPStatus.OK})
    buys = [TradeRequest(symbol=each.symbol, side=Side.BUY, quantity=10) for each in engine.instruments[:HELD]]
    bought = await engine.ask_in_rounds([_intent_of(buy) for buy in buys])
    report.check("every account buys", holds=set(bought.statuses) == {HTTPStatus.CREATED})
    await engine.settled()


async def _intend(report: Report, engine: Engine, for_s: float) -> Costed:
    """Hand in intents as fast as they are answered, and report what each came to in the end."""
    before = await engine.settled()
    costed = await engine.drive(engine.intents, for_s=for_s)
    outcome = costed.outcome
    await engine.settled()
    events = await engine.events_after(before)
    answered = outcome.statuses.total()
    share = outcome.statuses[HTTPStatus.CREATED] / answered
    report.check(f"{ACCEPTED_MIN:.0%} of the intents are accepted", holds=share >= ACCEPTED_MIN)
    report.note("accepted", f"{share:.1%} of {answered:,}")
    report.note("events an intent", f"{sum(events.values()) / answered:.2f}")
    report.note("events", ", ".join(f"{name} {count:,}" for name, count in sorted(events.items())))
    return costed


async def _crowd(report: Report, engine: Engine, crowd: int, rounds: int) -> None:
    """Let so many people do what people do, all at once, and report how many of their requests failed."""
    asks = (engine.intents[0], Ask("GET", "/api/trades?limit=10"), PORTFOLIO)
    outcome = await engine.ask_in_rounds(asks, rounds=rounds, people=crowd)
    await engine.settled()
    errors = sum(count for status, count in outcome.statuses.items() if status not in _DONE)
    report.add(f"errors_{crowd}", errors, unit="errors", better="lower")
    report.note(
        f"{crowd} at once",
        f"{rounds} times an intent, one's trades and one's portfolio, without a pause: {outcome.statuses.total():,}"
        f" requests, median {outcome.latency_ms(50):,.0f} ms, 99 % within {outcome.latency_ms(99):,.0f} ms"
        + (f"; {outcome.told()}" if errors else ""),
    )


@asynccontextmanager
async def _running_engine(client: LoadClient) -> AsyncIterator[Engine]:
    """Start the engine as `khata up` does, register a crowd, and log it in."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(throwaway_home())
        settings = Settings(home=home.path, api_port=0, simulator_port=0, log_level="warning", log_format="json")
        supervisor = Supervisor(settings, logs_to_files=True, is_throwaway=True)
        await stack.enter_async_context(supervisor)
        views = await stack.enter_async_context(PostgresViews(supervisor.database_urls.projector))
        people = max(CROWDS)
        await register_people(supervisor, people)
        instruments, prices_e4 = await _prices(supervisor)
        yield Engine(
            supervisor=supervisor,
            client=client,
            views=views,
            tokens=await _log_in(client, supervisor.api_url, people),
            instruments=instruments,
            intents=[_intent_of(_resting(each, prices_e4[each.symbol])) for each in instruments],
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
                if len(found) > HELD:
                    break
                await asyncio.sleep(0.05)
    finally:
        await nats.close()
    traded = [each for each in listed if each.symbol in found]
    return traded, {symbol: mark.last_price_e4 for symbol, mark in found.items()}


def _resting(instrument: Instrument, last_e4: int) -> TradeRequest:
    limit_e4 = last_e4 * (BASIS_POINTS - AWAY_BP) // BASIS_POINTS // instrument.tick_e4 * instrument.tick_e4
    return TradeRequest(
        symbol=instrument.symbol,
        side=Side.BUY,
        quantity=10,
        order_type=OrderType.LIMIT,
        limit_price=format_e4(limit_e4),
    )


def _intent_of(body: TradeRequest) -> Ask:
    return Ask("POST", "/api/trades", msgspec.json.encode(body), is_keyed=True)
