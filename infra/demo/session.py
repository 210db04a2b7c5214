"""A whole demo: start the engine, play the script, judge, stop the engine."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.http.client import HttpClient
from adapters.dhan.settings import DhanSettings
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import connect
from adapters.nats.control import request
from adapters.nats.marks import NatsMarks
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from domain.instrument import Instrument, InstrumentKey, Segment
from infra.demo.board import Board
from infra.demo.history import History, read_history
from infra.demo.lock_step import Exchange, LockStep
from infra.demo.script import NAMES, Stage, play
from infra.demo.summary import Latency, Summary, latency_of
from infra.demo.traders import DemoBroken, Trader
from infra.demo.verdict import (
    Check,
    Transition,
    fills_agree,
    planned_outcomes,
    positions_agree,
    prices_lie_on_the_tape,
    prices_occur_in_files,
)
from infra.home import TRAVERSABLE
from infra.settings import Settings
from infra.supervisor import Supervisor
from projections.catalogue import READ_MODELS
from projections.verification import differences

ASK_S = 60.0
BREAKER_S = 20.0
LOG_PAGE = 1_000
SYNTHETIC_SECONDS = 3_600
REFRESH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What to play: a folder of recorded ticks, or (None) a synthetic session from *seed*."""

    ticks: Path | None = None
    seed: int = 1


def demo_settings(options: DemoOptions, home: Path) -> Settings:
    """Return the settings of an engine in lock-step that touches nothing outside *home*."""
    return Settings(
        home=home,
        api_port=0,
        simulator_port=0,
        market_clock="tape",
        tape="synthetic" if options.ticks is None else str(options.ticks.resolve()),
        tape_seed=options.seed,
        tape_seconds=SYNTHETIC_SECONDS,
        lock_step=True,
        order_lookup_window_ms=500,
        breaker_reset_ms=1_500,
        log_format="json",
    )


async def run_demo(options: DemoOptions, console: Console, *, is_quiet: bool) -> Summary:
    """Play the demo and return its summary.

    Raises:
        infra.problems.OperatorProblem: the engine could not be started.
        DemoBroken: the engine did what no trader could go on from.
    """
    board = Board(console, is_live=console.is_terminal and not is_quiet, is_quiet=is_quiet)
    async with AsyncExitStack() as stack:
        home = stack.enter_context(_temporary_home())
        began_s = time.monotonic()
        board.tell("starting PostgreSQL, NATS and the engine's processes")
        supervisor = Supervisor(demo_settings(options, home), logs_to_files=True, is_throwaway=True)
        await stack.enter_async_context(supervisor)
        started_s = time.monotonic() - began_s
        board.tell(f"the engine is up after {started_s:.1f} s: {supervisor.api_url}")
        theatre = await stack.enter_async_context(_theatre(supervisor, board))
        with board.shown():
            refreshing = asyncio.create_task(_refresh(board, theatre))
            try:
                await play(theatre.stage)
            finally:
                refreshing.cancel()
                await asyncio.gather(refreshing, return_exceptions=True)
        elapsed_s = time.monotonic() - began_s - started_s
        return await _judged(theatre, options, started_s=started_s, elapsed_s=elapsed_s)


@contextmanager
def _temporary_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="khata-demo-") as name:
        home = Path(name)
        home.chmod(TRAVERSABLE)  # Run by root, PostgreSQL is another user's process and has to pass through.
        yield home


@dataclass(frozen=True, slots=True, kw_only=True)
class Theatre:
    """The stage, and what the verdict looks at besides. `ask` gets the status of a role."""

    stage: Stage
    store: PostgresEventStore
    views: PostgresViews
    ask: Callable[[str], Awaitable[dict[str, Any]]]
    seconds: int


@asynccontextmanager
async def _theatre(supervisor: Supervisor, board: Board) -> AsyncIterator[Theatre]:
    """Connect to a running engine as its traders, its exchange's hand and its auditor."""
    async with AsyncExitStack() as stack:
        nats = await connect(supervisor.nats_url)
        stack.push_async_callback(nats.close)
        marks = await stack.enter_async_context(NatsMarks(nats, clock=SystemClock(), market_clock="tape"))
        store = await stack.enter_async_context(PostgresEventStore(supervisor.database_urls.writer))
        views = await stack.enter_async_context(PostgresViews(supervisor.database_urls.projector))
        api = await stack.enter_async_context(httpx.AsyncClient(base_url=supervisor.api_url, timeout=ASK_S))
        secret = {"x-simulator-secret": supervisor.keys.simulator.hex()}
        venue = httpx.AsyncClient(base_url=supervisor.simulator_url, timeout=ASK_S, headers=secret)
        exchange = Exchange(await stack.enter_async_context(venue))

        async def ask(role: str, question: dict[str, Any]) -> dict[str, Any]:
            return await request(nats, f"khata.settle.{role}", question, timeout_s=ASK_S)

        async def status(role: str) -> dict[str, Any]:
            return await request(nats, f"khata.status.{role}", {}, timeout_s=ASK_S)

        lock_step = LockStep(exchange, ask)
        board.follow(lock_step)
        clock, settings = SystemClock(), DhanSettings(auth_url=supervisor.simulator_url)
        client = HttpClient(settings, clock)
        stack.push_async_callback(client.aclose)
        logins = PaperLogins(PinLogin(client, settings, clock), supervisor.keys.simulator)
        traders = [Trader(name=name, http=api) for name in NAMES]
        for trader in traders:
            await trader.join()
        session = await exchange.session()
        tradable, index = _instruments(session)

        def client_of(trader: Trader) -> str:
            assert trader.account_id is not None, "traders have joined"
            return logins.client_id(trader.account_id)

        def price_of(instrument: Instrument) -> int:
            mark = marks.mark_of(instrument.key)
            if mark is None:
                raise DemoBroken(f"{instrument.symbol} has no price yet")
            return mark.last_price_e4

        async def breaker_state() -> str:
            return str(_entries_breaker(await status("executor"))["state"])

        async def wait_for_breaker(state: str) -> None:
            async with asyncio.timeout(BREAKER_S):
                while await breaker_state() != state:  # noqa: ASYNC110 - the breaker is another process's
                    await asyncio.sleep(0.05)

        stage = Stage(
            traders=traders,
            instruments=tradable,
            index=index,
            exchange=exchange,
            lock_step=lock_step,
            price_of=price_of,
            client_of=client_of,
            breaker_state=breaker_state,
            wait_for_breaker=wait_for_breaker,
            tell=board.tell,
        )
        yield Theatre(stage=stage, store=store, views=views, ask=status, seconds=session["seconds"])


def _instruments(session: dict[str, Any]) -> tuple[list[Instrument], Instrument]:
    master = InstrumentMaster.load()
    keys = [InstrumentKey(Segment(row["segment"]), row["security_id"]) for row in session["instruments"]]
    known = [master.by_key(key, market_time_ns=session["start_ns"]) for key in keys]
    tradable = [instrument for instrument in known if instrument.tradable]
    index = next(instrument for instrument in known if not instrument.tradable)
    return tradable, index


def _entries_breaker(status: dict[str, Any]) -> dict[str, Any]:
    breakers: dict[str, dict[str, Any]] = status["broker"]["breakers"]
    return next(breaker for name, breaker in breakers.items() if name.endswith("entries"))


async def _refresh(board: Board, theatre: Theatre) -> None:
    while True:
        await board.refresh(theatre.stage.traders, await _latencies(theatre))
        await asyncio.sleep(REFRESH_S)


async def _latencies(theatre: Theatre) -> list[Latency]:
    """Return how fast the engine is so far, as its parts and its clients measured."""
    durable = [sample for trader in theatre.stage.traders for sample in trader.durable_ms]
    calls = (await theatre.ask("executor"))["broker"]["calls"]["entries"]["latency_ms"]
    seen = (await theatre.ask("projector"))["event_to_view"]
    return [
        latency_of("intent to durable", durable),
        Latency("broker's answer", calls.get("p50", 0.0), calls.get("p99", 0.0), 0),
        Latency("event to view", seen["p50_ms"] or 0.0, seen["p99_ms"] or 0.0, seen["samples"]),
    ]


async def _judged(theatre: Theatre, options: DemoOptions, *, started_s: float, elapsed_s: float) -> Summary:
    stage = theatre.stage
    history = await _history(theatre.store)
    books = await stage.exchange.books()
    ours = {stage.client_of(trader): await trader.positions() for trader in stage.traders}
    breaker = _entries_breaker(await theatre.ask("executor"))
    # The breaker keeps the monotonic clock, which is the same in every process of a machine; events keep the wall's.
    wall_less_monotonic_ns = time.time_ns() - time.monotonic_ns()
    transitions = [Transition(step["to"], step["at_ns"] + wall_less_monotonic_ns) for step in breaker["transitions"]]
    checks = [
        *planned_outcomes(history, transitions),
        await _views_agree(theatre),
        positions_agree(ours, books),
        fills_agree(history, books),
        await prices_lie_on_the_tape(stage.exchange, books),
    ]
    if options.ticks is not None:
        checks.append(prices_occur_in_files(options.ticks, books))
    seen = (await theatre.ask("projector"))["event_to_view"]
    return Summary(
        tape="synthetic" if options.ticks is None else options.ticks.name,
        tape_seconds=stage.lock_step.now.step,
        history=history,
        latencies=(
            latency_of("intent to durable", [sample for trader in stage.traders for sample in trader.durable_ms]),
            latency_of("intent to broker", history.intent_to_broker_ms),
            Latency("event to view", seen["p50_ms"], seen["p99_ms"], seen["samples"]),
        ),
        checks=tuple(checks),
        started_s=started_s,
        elapsed_s=elapsed_s,
    )


async def _history(store: PostgresEventStore) -> History:
    log, after = [], 0
    while page := await store.read_all(after_sequence=after, limit=LOG_PAGE):
        log += page
        after = page[-1].sequence
    return read_history(log)


async def _views_agree(theatre: Theatre) -> Check:
    found = await differences(READ_MODELS, log=theatre.store, views=theatre.views)
    text = "; ".join(map(str, found[:3])) or f"{len(READ_MODELS)} read models"
    return Check("every read model equals a fold of the log", not found, text)
