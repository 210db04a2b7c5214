"""Bench `execute`: from an intent over HTTP to the broker, and from the broker back to who looks, all roles running."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from itertools import count
from typing import Any, NamedTuple

import msgspec
import psutil

from adapters.nats.connection import connect
from adapters.nats.control import request
from adapters.simulator.faults.call_faults import FaultKind
from api.requests import RiskLimits, TradeRequest
from domain.ids import CorrelationId
from domain.market import NS_PER_S
from domain.money import format_e4
from domain.order import OrderStatus, Side, installation_code
from domain.risk import BASIS_POINTS
from domain.venue import BreakerState
from infra.bench.broker_side import BrokerSide, BrokerStamps
from infra.bench.ground import sync_ms
from infra.bench.http_load import Ask, Load, Outcome, load_client
from infra.bench.order_ways import OrderWays, percentile
from infra.bench.report import Report
from infra.bench.run import Bench
from infra.bench.whole_engine import LIMITS, WholeEngine, intent_of, running_engine
from infra.roles.executor import STATUS
from infra.supervisor import processes_of
from projections.queries import ReadModelBehind
from projections.tasks import end

ACCOUNTS = 40
INSTRUMENTS = 4
STOP_AWAY_BP = 500
SLOW, FAST = 10, 100
"""Orders a second at the broker: of each intent its entry and its stop."""
ORDERS_AN_INTENT = 2
WARM_UP_S = 1.0
NEVER_MS = 5_000.0
"""What an order counts that never came to the broker: so old an entry lapses."""
_HEALED_S = 30.0
_STRUCK_S = 4.0
_LOOK_S = 0.1
_MS_PER_S = 1_000
_ANSWER_S = 10.0
_ENTRIES = "entries"
_IN_DOUBT = {OrderStatus.SUBMITTING.value, OrderStatus.UNKNOWN.value}
_ORDER_EVENTS = """
    -- Read what the log tells of orders above a sequence.
    SELECT sequence, name, payload FROM log.events WHERE sequence > %s AND name LIKE 'order.%%' ORDER BY sequence
"""


Look = Callable[[], Awaitable[dict[str, Any]]]
"""Asks the executor how it stands."""


class Extent(NamedTuple):
    """How long each load lasts, in seconds, and how often an answer is lost meanwhile."""

    slow_s: float
    fast_s: float
    doubt_s: float
    bare_s: float


FULL = Extent(slow_s=60.0, fast_s=20.0, doubt_s=60.0, bare_s=10.0)
QUICK = Extent(slow_s=12.0, fast_s=6.0, doubt_s=12.0, bare_s=3.0)
LOST_EVERY_S = 0.7
"""Between two lost answers others arrive, so that the breaker stays closed."""


class Played(NamedTuple):
    """A load that is over: what was answered, what the broker noted, the ways of the orders, and when views knew.

    `cpu_ms` is the CPU time that each process spent for one order that came to the broker.
    """

    outcome: Outcome
    stamps: BrokerStamps
    ways: OrderWays
    visible_ns: dict[int, int]
    cpu_ms: dict[str, float]


class _Seen:
    """Notes when every read model shows what the log told, as a reader of the query API gets to know of it."""

    def __init__(self, engine: WholeEngine, after: int) -> None:
        self.at_ns: dict[int, int] = {}
        self._engine = engine
        self._after = after
        self._noted = asyncio.Event()

    async def until(self, sequence: int) -> None:
        """Return once *sequence* is noted."""
        while sequence not in self.at_ns:
            self._noted.clear()
            await self._noted.wait()

    async def run(self) -> None:
        """Watch until canceled."""
        for sequence in count(self._after + 1):
            while True:
                with suppress(ReadModelBehind):
                    await self._engine.views.wait_for(sequence)
                    break
            self.at_ns[sequence] = time.monotonic_ns()
            self._noted.set()


async def run(bench: Bench) -> None:
    """Measure."""
    extent = QUICK if bench.is_quick else FULL
    task = bench.progress.add_task("starting the engine", total=6)

    def begin(phase: str) -> None:
        bench.progress.update(task, description=phase, advance=1)

    report = bench.report
    with load_client() as client:
        async with (
            running_engine(client, ACCOUNTS) as engine,
            BrokerSide(engine.supervisor.simulator_url, engine.supervisor.keys.simulator) as broker,
        ):
            intents = _intents(engine)
            await _prepare(report, engine, intents)
            begin(f"{SLOW} orders a second")
            slow = await _play(engine, broker, intents, rate=SLOW, for_s=extent.slow_s)
            _tell_way(report, slow, SLOW)
            begin(f"{FAST} orders a second")
            fast = await _play(engine, broker, intents, rate=FAST, for_s=extent.fast_s)
            bare = await _bare(engine, broker, for_s=extent.bare_s)
            _tell_way(report, fast, FAST, bare)
            _tell_back(report, slow, fast)
            async with _executor(engine) as look:
                begin("answers that are lost")
                await _doubt(report, engine, broker, intents, look, for_s=extent.doubt_s)
                begin("a broker that fails")
                await _break(report, engine, broker, intents, look)
            median, p99 = sync_ms(engine.supervisor.settings.home)
    report.note("intents", f"MARKET entries with a stop {STOP_AWAY_BP} bp away, {ACCOUNTS} accounts on schedule")
    report.note("orders", "entries and their stops: every other order that comes to the broker is a stop")
    report.note("from intent to broker", "from when it was due over HTTP until the broker began to read the order")
    report.note("from fill to view", "from the broker's fill until every read model showed it to a reader")
    report.note("yardstick", f"{ACCOUNTS} clients post the same order bare to the same simulator, round trip")
    report.note("machine", f"{os.cpu_count()} cores for the client, every role and the servers")
    report.note("sync", f"8 KiB in {median:.2f} ms, 99 % in {p99:.2f} ms")


def _intents(engine: WholeEngine) -> list[Ask]:
    asks = []
    for instrument in engine.instruments[:INSTRUMENTS]:
        price_e4 = engine.prices_e4[instrument.symbol]
        stop_e4 = price_e4 * (BASIS_POINTS - STOP_AWAY_BP) // BASIS_POINTS // instrument.tick_e4 * instrument.tick_e4
        body = TradeRequest(symbol=instrument.symbol, side=Side.BUY, quantity=1, stop_loss=format_e4(stop_e4))
        asks.append(intent_of(body))
    return asks


async def _prepare(report: Report, engine: WholeEngine, intents: Sequence[Ask]) -> None:
    """Give every account limits, and let each trade once: it is logged in at the broker then, and told of its fills."""
    body = msgspec.json.encode(RiskLimits.of(LIMITS))
    limited = await engine.drive([Ask("PUT", "/api/risk/parameters", body)], people=ACCOUNTS, rounds=1)
    report.check("every account has its limits", holds=set(limited.statuses) == {HTTPStatus.OK})
    bought = await engine.drive(intents[:1], people=ACCOUNTS, rounds=1)
    report.check("every account trades", holds=set(bought.statuses) == {HTTPStatus.CREATED})
    await engine.settled()


# --- Loads ------------------------------------------------------------------------------------------------------------


async def _play(
    engine: WholeEngine,
    broker: BrokerSide,
    intents: Sequence[Ask],
    *,
    rate: int,
    for_s: float,
    until: Callable[[], Awaitable[None]] | None = None,
) -> Played:
    """Let orders arrive at *rate*, and return what came of them once nothing moves any more, and not before *until*."""
    before = await engine.settled()
    arrived_before = len((await broker.stamps()).arrivals)
    spent_before_s = _cpu_s(engine)
    seen = _Seen(engine, before)
    watching = asyncio.create_task(seen.run())
    try:
        outcome = await engine.drive(
            intents,
            people=ACCOUNTS,
            rate=rate / ORDERS_AN_INTENT,
            for_s=for_s,
            warm_up_s=WARM_UP_S,
            keeps_answers=True,
        )
        if until is not None:
            await until()
        head = await engine.settled()
        spent_s = _cpu_s(engine)
        await seen.until(head)
    finally:
        await end(watching)
    stamps = await broker.stamps()
    orders = len(stamps.arrivals) - arrived_before
    return Played(
        outcome=outcome,
        stamps=stamps,
        ways=OrderWays(
            (
                (int(sequence), str(name), bytes(payload))
                for sequence, name, payload in await _order_events(engine, before)
            ),
            installation_code=installation_code(engine.supervisor.keys.installation),
        ),
        visible_ns=seen.at_ns,
        cpu_ms={name: (spent_s[name] - spent_before_s[name]) * _MS_PER_S / max(orders, 1) for name in spent_s},
    )


async def _order_events(engine: WholeEngine, after: int) -> list[tuple[Any, ...]]:
    return await engine.fetch(_ORDER_EVENTS, [after])


async def _bare(engine: WholeEngine, broker: BrokerSide, *, for_s: float) -> Outcome:
    """Post the same order to the same broker without us."""
    callers = await broker.bare_callers(ACCOUNTS, engine.instruments[0].key)
    load = Load(url=engine.supervisor.simulator_url, callers=callers, rate=float(FAST), for_s=for_s)
    return await engine.client.drive(load)


def _cpu_s(engine: WholeEngine) -> dict[str, float]:
    """Return the CPU time that each process of the engine and its servers has spent, in seconds."""
    spent = {}
    for roles in processes_of(engine.supervisor.settings):
        times = psutil.Process(engine.supervisor.process_of(roles[0]).pid).cpu_times()
        spent[" ".join(roles)] = times.user + times.system
    for server in ("postgres", "nats-server"):
        spent[server] = 0.0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() == server:
                    times = process.cpu_times()
                    # A backend that ended counts with its parent.
                    spent[server] += times.user + times.system + times.children_user + times.children_system
    return spent


# --- What came of them ------------------------------------------------------------------------------------------------


def _tell_way(report: Report, played: Played, rate: int, bare: Outcome | None = None) -> None:
    accepted = [each for each in played.outcome.answered if each.status == HTTPStatus.CREATED]
    report.check(
        f"every intent is accepted at {rate} a second",
        holds=set(played.outcome.statuses) == {HTTPStatus.CREATED}
        and len(accepted) == len(played.outcome.latencies_ms),
    )
    waits_ms = played.ways.to_broker_ms(accepted, played.stamps, never_ms=NEVER_MS)
    for percent in (50, 99):
        yardstick = None if bare is None else bare.latency_ms(percent)
        name = f"intent_to_broker_p{percent}_ms_{rate}"
        report.add(name, percentile(waits_ms, percent), unit="ms", better="lower", yardstick=yardstick)
    stops_ms = played.ways.fill_to_stop_ms(played.stamps, never_ms=NEVER_MS)
    report.note(
        f"at {rate} a second",
        f"{len(waits_ms):,} entries, {sum(wait == NEVER_MS for wait in waits_ms):,} of them never came;"
        f" from a fill to its stop at the broker {percentile(stops_ms, 50):.0f} ms,"
        f" 99 % in {percentile(stops_ms, 99):.0f} ms",
    )
    costs = ", ".join(f"{name} {cost_ms:.2f}" for name, cost_ms in played.cpu_ms.items())
    report.note(f"CPU ms an order at {rate} a second", f"{costs}; all {sum(played.cpu_ms.values()):.2f}")


def _tell_back(report: Report, slow: Played, fast: Played) -> None:
    for played, suffix in ((slow, f"_{SLOW}"), (fast, "")):
        waits_ms = played.ways.fill_to_view_ms(played.stamps, played.visible_ns)
        for percent in (50, 99):
            name = f"fill_to_view_p{percent}_ms{suffix}"
            report.add(name, percentile(waits_ms, percent), unit="ms", better="lower")


async def _doubt(
    report: Report, engine: WholeEngine, broker: BrokerSide, intents: Sequence[Ask], look: Look, *, for_s: float
) -> None:
    """Lose answers, in turns before and after the broker has the order, and see how long orders are in doubt."""
    kinds = (FaultKind.LOSE_ANSWER_AFTER_ACCEPTANCE, FaultKind.LOSE_ANSWER_BEFORE_ACCEPTANCE)

    async def lose() -> None:
        for number in count():
            await broker.lose_next_answer(kinds[number % len(kinds)])
            await asyncio.sleep(LOST_EVERY_S)

    losing = asyncio.create_task(lose())

    async def known() -> None:
        await end(losing)
        await broker.heal()
        while _IN_DOUBT & (await look())["orders"].keys():  # noqa: ASYNC110 - another process knows it
            await asyncio.sleep(_LOOK_S)

    try:
        played = await _play(engine, broker, intents, rate=ORDERS_AN_INTENT * SLOW, for_s=for_s, until=known)
    finally:
        await end(losing)
    had, absent = [await broker.struck(kind) for kind in kinds]
    doubts = played.ways.doubts_ms([*had, *absent], played.stamps, played.visible_ns)
    known_ms = [known for _, known in doubts if known is not None]
    report.check("every order whose answer was lost is known in the end", holds=0 < len(known_ms) == len(doubts))
    report.add(
        "unknown_shown_p99_s", percentile([shown for shown, _ in doubts], 99) / _MS_PER_S, unit="s", better="lower"
    )
    report.add("unknown_resolved_p99_s", percentile(known_ms, 99) / _MS_PER_S, unit="s", better="lower")
    report.note("answers lost", _told_of_doubts(played, had, absent))


def _told_of_doubts(played: Played, had: Sequence[CorrelationId], absent: Sequence[CorrelationId]) -> str:
    told = []
    for words, lost in (("of orders that the broker had", had), ("of orders that never came to be", absent)):
        doubts = played.ways.doubts_ms(lost, played.stamps, played.visible_ns)
        known_ms = [known for _, known in doubts if known is not None]
        told.append(f"{len(doubts)} {words}, known after {percentile(known_ms, 50) / _MS_PER_S:.2f} s at the median")
    return "; ".join(told)


# --- A broker that fails ----------------------------------------------------------------------------------------------


async def _break(report: Report, engine: WholeEngine, broker: BrokerSide, intents: Sequence[Ask], look: Look) -> None:
    """Let the broker fail, and then hang, and see how soon the breaker before entries opens."""
    opened_ns, arrivals = await _opened(engine, broker, intents, look, FaultKind.UNAVAILABLE)
    failures = sum(at_ns <= opened_ns for _, at_ns in arrivals)
    opened_ns, arrivals = await _opened(engine, broker, intents, look, FaultKind.HANG_BEFORE_ACCEPTANCE)
    stall_s = (opened_ns - min(at_ns for _, at_ns in arrivals)) / NS_PER_S
    report.add("breaker_failures", failures, unit="orders", better="lower")
    report.add("breaker_stall_s", stall_s, unit="s", better="lower")


async def _opened(
    engine: WholeEngine, broker: BrokerSide, intents: Sequence[Ask], look: Look, kind: FaultKind
) -> tuple[int, list[tuple[CorrelationId, int]]]:
    """Return when the breaker before entries opened once every order met *kind*, and the orders that came meanwhile."""
    known = len((await broker.stamps()).arrivals)
    began_ns = time.monotonic_ns()
    await broker.strike_all(kind)
    try:
        await engine.drive(intents, people=ACCOUNTS, rate=float(SLOW), for_s=_STRUCK_S)
        opened_ns = [
            step["at_ns"]
            for step in (await _breaker(look))["transitions"]
            if step["to"] == BreakerState.OPEN and step["at_ns"] > began_ns
        ]
    finally:
        await broker.heal()
    async with asyncio.timeout(_HEALED_S):
        while (await _breaker(look))["state"] != BreakerState.CLOSED:  # noqa: ASYNC110 - another process knows it
            await asyncio.sleep(_LOOK_S)
    if not opened_ns:
        raise RuntimeError(f"the breaker did not open within {_STRUCK_S} s of {kind}")
    return min(opened_ns), list((await broker.stamps()).arrivals[known:])


async def _breaker(look: Look) -> Any:
    return (await look())["broker"]["breakers"][_ENTRIES]


@asynccontextmanager
async def _executor(engine: WholeEngine) -> AsyncIterator[Look]:
    """Yield what asks the executor how it stands."""
    nats = await connect(engine.supervisor.nats_url)

    async def look() -> dict[str, Any]:
        return await request(nats, STATUS, timeout_s=_ANSWER_S)

    try:
        yield look
    finally:
        await nats.close()
