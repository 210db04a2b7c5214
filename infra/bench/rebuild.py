"""Bench `rebuild`: a read model filled anew from a long log, compared and switched to, beside commands and reads."""

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

import msgspec
import psycopg
import uvloop

from adapters.clock import SystemClock
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.rebuilding import PostgresEditions
from adapters.postgres.view_tables import CHANNEL
from adapters.postgres.views import PostgresViews
from domain.ids import AccountId
from infra.bench.beside import commands, projecting
from infra.bench.events import ACCOUNTS, account_id_of, ending_today, lives, until
from infra.bench.filling import LogFiller
from infra.bench.ground import running_servers, sync_ms
from infra.bench.run import Bench
from infra.bench.views_check import folded, written
from infra.database import DatabaseUrls
from infra.logs import configure
from infra.settings import Settings
from projections.catalogue import READ_MODELS
from projections.queries import QueriesUnavailable
from projections.read_model import AnyReadModel
from projections.rebuild import Rebuild
from projections.tasks import end
from projections.trades import TRADES

EVENTS, EVENTS_QUICK = 1_000_000, 40_000
COMMANDS_PER_S, COMMANDS_PER_S_QUICK = 500, 200
READS_PER_S = 50
MODEL = TRADES
SETTLE_S = 3.0
_CAUGHT_UP_S = 600.0


class _Outcome(msgspec.Struct, frozen=True):
    seconds: float = 0.0
    generation: int = 0
    compared_rows: int = 0
    error: str = ""


async def run(bench: Bench) -> None:
    """Measure."""
    events = EVENTS_QUICK if bench.is_quick else EVENTS
    per_second = COMMANDS_PER_S_QUICK if bench.is_quick else COMMANDS_PER_S
    task = bench.progress.add_task("filling the log", total=events)
    async with running_servers() as ground:
        with ground.fresh_database() as database:
            coming = lives(seed=bench.seed, began_ns=ending_today(events))
            filler = LogFiller(database.owner, tell=lambda done: bench.progress.update(task, completed=done))
            await asyncio.to_thread(filler.fill, until(events, coming))
            accounts = [account_id_of(number) for number in range(ACCOUNTS)]
            async with PostgresEventStore(database.writer) as store, PostgresViews(database.query) as queries:
                with projecting(database, ground.nats_url):
                    bench.progress.update(task, description="projecting it")
                    await queries.wait_for(filler.sequence, timeout_s=_CAUGHT_UP_S)
                    reads, gaps = _Reads(queries, accounts), _Gaps(database.projector, MODEL)
                    tasks = [asyncio.create_task(reads.run()), asyncio.create_task(gaps.run())]
                    async with commands(store, coming, per_second=per_second) as traffic:
                        await asyncio.sleep(SETTLE_S)
                        gaps.reset()
                        await asyncio.sleep(SETTLE_S)
                        before_ms = gaps.reset()
                        bench.progress.update(task, description="rebuilding")
                        outcome = await asyncio.to_thread(_rebuild_elsewhere, database)
                        await asyncio.sleep(SETTLE_S)
                        pause_ms = gaps.reset()
                    await end(*tasks)
                    await queries.wait_for(traffic.sequence, timeout_s=_CAUGHT_UP_S)
                bench.progress.update(task, description="checking")
                used = MODEL.in_generation(outcome.generation) if outcome.generation else MODEL
                expected = folded(database.admin, [used])
                is_right = written(database.admin, [used]) == expected
        median, p99 = sync_ms(ground.home.path)
    report = bench.report
    report.add("seconds", outcome.seconds, unit="s", better="lower")
    report.add("pause_ms", pause_ms, unit="ms", better="lower")
    report.add("failed_reads", float(len(reads.failures)), unit="reads", better="lower")
    report.check(f"the rebuild ended well {outcome.error}".strip(), holds=not outcome.error)
    report.check("readers were switched", holds=outcome.generation > 1)
    report.check("the new rows are those of a fold", holds=is_right)
    report.check("every command was answered", holds=not traffic.failures)
    report.note("log", f"{filler.sequence:,} events before")
    report.note("commands", f"{traffic.answered:,} meanwhile at {per_second} a second, of {traffic.events:,} events")
    report.note("reads", f"{reads.done:,} at {READS_PER_S} a second, slowest {reads.slowest_ms:.0f} ms")
    report.note("read model", f"{MODEL.name}, {outcome.compared_rows:,} rows compared before the switch")
    report.note("pause", f"longest time without news in the read model; {before_ms:.0f} ms without a rebuild")
    report.note("failures", (reads.failures + traffic.failures)[:3] or "none")
    report.note("sync", f"median {median:.2f} ms, p99 {p99:.2f} ms")


class _Reads:
    """Reads at a steady rate, each of another account."""

    def __init__(self, queries: PostgresViews, accounts: list[AccountId]) -> None:
        self._queries = queries
        self._accounts = accounts
        self.done = 0
        self.slowest_ms = 0.0
        self.failures: list[str] = []

    async def run(self) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            for number in range(10**9):
                task = asyncio.create_task(self._read(self._accounts[number % len(self._accounts)]))
                running.add(task)
                task.add_done_callback(running.discard)
                await asyncio.sleep(1 / READS_PER_S)
        finally:
            if running:
                await asyncio.wait(running)

    async def _read(self, account: AccountId) -> None:
        began = time.perf_counter()
        try:
            page = await self._queries.trades([account])
            if not page.rows:
                self.failures.append(f"no trades of {account}")
        except QueriesUnavailable as error:
            self.failures.append(str(error))
        self.done += 1
        self.slowest_ms = max(self.slowest_ms, (time.perf_counter() - began) * 1_000)


class _Gaps:
    """The longest time between two advances of a read model, whichever edition advances."""

    def __init__(self, conninfo: str, model: AnyReadModel) -> None:
        self._conninfo = conninfo
        self._prefix = f"{model.name}_v{model.version}"
        self._live = f"{model.table_name}:0"
        self._last = time.perf_counter()
        self._longest = 0.0

    async def run(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            async for notification in connection.notifies():
                moved = msgspec.json.decode(notification.payload, type=dict[str, int])
                # A filling advances by itself; what readers see advances with the first generation beside it.
                if self._live in moved:
                    now = time.perf_counter()
                    self._longest = max(self._longest, now - self._last)
                    self._last = now

    def reset(self) -> float:
        """Return the longest gap since the last call, in milliseconds, that which is still open included."""
        longest, self._longest = max(self._longest, time.perf_counter() - self._last), 0.0
        return longest * 1_000


def _rebuild_elsewhere(database: DatabaseUrls) -> _Outcome:
    """Rebuild in a process of its own, as `khata rebuild` does."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_rebuild, args=(database, there), daemon=True)
    process.start()
    there.close()
    try:
        return msgspec.json.decode(here.recv_bytes(), type=_Outcome)
    except EOFError:
        return _Outcome(error="the rebuild's process died")
    finally:
        process.join()


def _rebuild(database: DatabaseUrls, outcome: Connection) -> None:
    configure(Settings(log_level="error"))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            done = runner.run(_rebuilt(database))
    except Exception as error:  # noqa: BLE001 - told to the bench, whose figures are void then
        done = _Outcome(error=f"{type(error).__name__}: {error}")
    outcome.send_bytes(msgspec.json.encode(done))


async def _rebuilt(database: DatabaseUrls) -> _Outcome:
    async with (
        PostgresEventStore(database.writer) as log,
        PostgresEditions(database.projector, owner="bench-rebuild") as editions,
    ):
        done = await Rebuild(MODEL, READ_MODELS, log=log, editions=editions, clock=SystemClock()).run()
    return _Outcome(seconds=done.seconds, generation=done.edition.generation, compared_rows=done.compared_rows)
