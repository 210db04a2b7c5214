"""Bench `api`: order intents and portfolio reads over HTTP, all roles running, beside a bare echo."""

import os
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec
import psutil

from api.requests import RiskLimits, TradeRequest
from domain.instrument import Instrument
from domain.money import format_e4
from domain.order import OrderType, Side
from domain.risk import BASIS_POINTS
from infra.bench.echo import PATH as ECHO_PATH
from infra.bench.echo import echoing
from infra.bench.ground import sync_ms
from infra.bench.http_load import Ask, Caller, Load, LoadClient, Outcome, load_client
from infra.bench.report import Report
from infra.bench.run import Bench
from infra.bench.whole_engine import LIMITS, WholeEngine, intent_of, running_engine

ACCOUNTS = 200
CROWDS = (100, 1_000)
ACCEPTED_MIN = 0.9
AWAY_BP = 300
"""How far below the market the orders rest."""
HELD = 2
"""Positions of every account, so that a portfolio has something to value."""
SECONDS, SECONDS_QUICK = 15.0, 3.0
WARM_UP_S = 1.0
CROWD_ROUNDS, CROWD_ROUNDS_QUICK = 5, 1
_DONE = {HTTPStatus.OK, HTTPStatus.CREATED}
PORTFOLIO = Ask("GET", "/api/risk/portfolio")


class Costed(NamedTuple):
    """What came of a load, and the CPU time that one answer cost the process that gave it, in milliseconds."""

    outcome: Outcome
    cpu_ms: float


async def run(bench: Bench) -> None:
    """Measure."""
    for_s = SECONDS_QUICK if bench.is_quick else SECONDS
    task = bench.progress.add_task("starting the engine", total=6)

    def begin(phase: str) -> None:
        bench.progress.update(task, description=phase, advance=1)

    report = bench.report
    with load_client() as client:
        async with running_engine(client, max(CROWDS)) as engine:
            intents = [intent_of(_resting(each, engine.prices_e4[each.symbol])) for each in engine.instruments]
            begin("the yardstick")
            echo_before = await _echo(client, intents[0], for_s)
            begin("portfolio reads")
            await _fill_portfolios(report, engine)
            queries = await _drive(engine, [PORTFOLIO], for_s=for_s)
            report.check("every portfolio is read", holds=set(queries.outcome.statuses) == {HTTPStatus.OK})
            begin("order intents")
            closed = await _intend(report, engine, intents, for_s)
            begin("order intents on schedule")
            on_schedule = await _drive(engine, intents, for_s=for_s, rate=closed.outcome.per_second / 2)
            await engine.settled()
            begin("crowds")
            rounds = CROWD_ROUNDS_QUICK if bench.is_quick else CROWD_ROUNDS
            for crowd in CROWDS:
                await _crowd(report, engine, intents[0], crowd, rounds)
            median, p99 = sync_ms(engine.supervisor.settings.home)
        begin("the yardstick again")
        echo_after = await _echo(client, intents[0], for_s)
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


async def _drive(engine: WholeEngine, asks: Sequence[Ask], *, for_s: float, rate: float | None = None) -> Costed:
    """Let every account's owner ask *asks* for so long, as fast as they are answered or at *rate*."""
    driving = engine.drive(asks, people=ACCOUNTS, for_s=for_s, warm_up_s=WARM_UP_S, rate=rate)
    return await _costed(driving, engine.supervisor.process_of("api").pid)


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


async def _fill_portfolios(report: Report, engine: WholeEngine) -> None:
    """Give every account limits that hold for the whole bench, and positions."""
    body = msgspec.json.encode(RiskLimits.of(LIMITS))
    limited = await engine.drive([Ask("PUT", "/api/risk/parameters", body)], people=max(CROWDS), rounds=1)
    report.check("every account has its limits", holds=set(limited.statuses) == {HTTPStatus.OK})
    buys = [TradeRequest(symbol=each.symbol, side=Side.BUY, quantity=10) for each in engine.instruments[:HELD]]
    bought = await engine.drive([intent_of(buy) for buy in buys], people=ACCOUNTS, rounds=1)
    report.check("every account buys", holds=set(bought.statuses) == {HTTPStatus.CREATED})
    await engine.settled()


async def _intend(report: Report, engine: WholeEngine, intents: Sequence[Ask], for_s: float) -> Costed:
    """Hand in intents as fast as they are answered, and report what each came to in the end."""
    before = await engine.settled()
    costed = await _drive(engine, intents, for_s=for_s)
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


async def _crowd(report: Report, engine: WholeEngine, intent: Ask, crowd: int, rounds: int) -> None:
    """Let so many people do what people do, all at once, and report how many of their requests failed."""
    asks = (intent, Ask("GET", "/api/trades?limit=10"), PORTFOLIO)
    outcome = await engine.drive(asks, rounds=rounds, people=crowd)
    await engine.settled()
    errors = sum(count for status, count in outcome.statuses.items() if status not in _DONE)
    report.add(f"errors_{crowd}", errors, unit="errors", better="lower")
    report.note(
        f"{crowd} at once",
        f"{rounds} times an intent, one's trades and one's portfolio, without a pause: {outcome.statuses.total():,}"
        f" requests, median {outcome.latency_ms(50):,.0f} ms, 99 % within {outcome.latency_ms(99):,.0f} ms"
        + (f"; {outcome.told()}" if errors else ""),
    )


def _resting(instrument: Instrument, last_e4: int) -> TradeRequest:
    limit_e4 = last_e4 * (BASIS_POINTS - AWAY_BP) // BASIS_POINTS // instrument.tick_e4 * instrument.tick_e4
    return TradeRequest(
        symbol=instrument.symbol,
        side=Side.BUY,
        quantity=10,
        order_type=OrderType.LIMIT,
        limit_price=format_e4(limit_e4),
    )
