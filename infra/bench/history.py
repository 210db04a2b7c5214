"""Bench `history`: whether five years of events behind make anything slower.

Two logs end with the same events of the same accounts, which have their snapshots and stored states; before one of them
lie five years of other accounts' lives, with their partitions, streams and outcomes. The same is done on both in turn,
so what the machine does meanwhile concerns both. A measure is the time on the long log by the time on the short one.

- `append`: a durable command, 64 in flight.
- `replay`: an account's whole life, read from the log and folded.
- `tail`: such an account as the engine loads it: its snapshot and the events after it.
- `asof`: an account's portfolio as of a time: the place in the log, stored states, and a fold of what happened since.

The long log is made once, under `KHATA_HOME`, by COPY, and is removed with `--clean`.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from random import Random
from statistics import median
from typing import cast

import psycopg
from msgspec.structs import replace
from psycopg import sql

from adapters.clock import SystemClock
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.reading import LogReads
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.postgres.stored_states import PostgresStates
from adapters.postgres.views import PostgresViews
from commands.accounts import ACCOUNT_STATES, stream_of
from commands.snapshots import EVERY, SnapshotCache
from domain.account import Account, decider
from domain.account.events import AccountEvent
from domain.envelope import RecordedEvent
from domain.events import decode
from domain.ids import AccountId
from domain.market import NS_PER_S
from infra.bench.events import (
    ACCOUNTS,
    DAY_NS,
    SESSION_NS,
    LifeCommand,
    account_id_of,
    days_of,
    ending_today,
    lives,
    until,
)
from infra.bench.filling import EVENT_BYTES_ON_DISK, LogFiller
from infra.bench.ground import kept_postgres, remove_kept, running_servers
from infra.bench.history_caches import keep_snapshots, store_states
from infra.bench.run import Bench
from infra.bench.store_load import Load, closed_loop
from infra.database import DATABASE, DatabaseUrls, grants
from infra.home import Home
from infra.migrations.runner import migrate
from infra.problems import OperatorProblem
from infra.settings import load
from projections.as_of import History
from projections.historical_marks import EventMarks
from projections.past import PastAccounts
from projections.portfolio import sum_portfolio

_BYTES_ASIDE = 6 * 1024**3
"""Room for the server's write-ahead log, for sorting, and for what a run appends."""
_FIRST_RECENT_ACCOUNT = 100_000
_RECENT_ACCOUNTS = range(_FIRST_RECENT_ACCOUNT, _FIRST_RECENT_ACCOUNT + ACCOUNTS)
_COMMANDS_FROM = 10**19
"""Commands of a run are numbered from here, and on by what earlier runs left: none has the name of another."""
_IN_FLIGHT = 64
_OPENED_WITHIN_NS = 600 * NS_PER_S
"""By then all accounts are open."""
_NS_PER_US = 1_000
_GIB = 1024**3
_FORM = 2
"""What the logs are made of. Whoever changes it counts on: a log of another form is not taken for one of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is made and measured: events behind and after, rounds, accounts to read, events between snapshots."""

    behind: int
    recent: int
    rounds: int
    append_s: float
    accounts: int
    snapshot_every: int = EVERY


FULL = Extent(behind=25_000_000, recent=100_000, rounds=9, append_s=2, accounts=20)
QUICK = Extent(behind=200_000, recent=20_000, rounds=3, append_s=0.6, accounts=6, snapshot_every=30)


@dataclass(slots=True, kw_only=True)
class _Log:
    """One of the two logs, and its readers. `times_s` holds what each round took, by measure."""

    name: str
    store: PostgresEventStore
    reads: LogReads
    queries: PostgresViews
    urls: DatabaseUrls
    load: Load
    recent_began_ns: int
    recent_days: int
    times_s: dict[str, list[float]] = field(default_factory=dict)

    def took(self, measure: str, seconds: float) -> None:
        self.times_s.setdefault(measure, []).append(seconds)


async def run(bench: Bench) -> None:
    """Measure on a long and a short log."""
    home = Home(load().home)
    folder = home.path / "bench" / "history"
    if bench.clean:
        removed = await asyncio.to_thread(remove_kept, folder)
        bench.report.note("clean", "the long log was removed" if removed else "there was nothing to remove")
        return
    extent = QUICK if bench.is_quick else FULL
    if not bench.is_quick:
        home.prepare()
    logs = _throwaway_logs(bench, extent) if bench.is_quick else _kept_logs(bench, extent, folder)
    async with logs as (long, short):
        await _measure(bench, extent, long, short)


# --- Making the logs --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _throwaway_logs(bench: Bench, extent: Extent) -> AsyncIterator[tuple[_Log, _Log]]:
    async with running_servers() as ground, AsyncExitStack() as stack:
        logs = []
        recent_began_ns = ending_today(extent.recent)
        for name, behind in (("long", extent.behind), ("short", 0)):
            urls = stack.enter_context(ground.fresh_database())
            await _fill(bench, urls, extent, behind, recent_began_ns)
            logs.append(await _opened(stack, name, urls, extent, recent_began_ns))
        yield logs[0], logs[1]


@asynccontextmanager
async def _kept_logs(bench: Bench, extent: Extent, folder: Path) -> AsyncIterator[tuple[_Log, _Log]]:
    async with kept_postgres(folder) as (postgres, database), AsyncExitStack() as stack:
        logs = []
        recent_began_ns = _kept_beginning(folder, extent.recent)
        for name, behind in (("long", extent.behind), ("short", 0)):
            urls = database.for_database(f"{name}_{behind + extent.recent}_{bench.seed}_form{_FORM}")
            if not _exists(database, urls):
                _demand_room(postgres.data, behind + extent.recent)
                await _make(bench, database, urls, extent, behind, recent_began_ns=recent_began_ns)
            migrate(urls.owner)
            logs.append(await _opened(stack, name, urls, extent, recent_began_ns))
        yield logs[0], logs[1]


async def _opened(stack: AsyncExitStack, name: str, urls: DatabaseUrls, extent: Extent, recent_began_ns: int) -> _Log:
    store = await stack.enter_async_context(PostgresEventStore(urls.writer))
    return _Log(
        name=name,
        store=store,
        reads=LogReads(await stack.enter_async_context(Database(urls.query))),
        queries=await stack.enter_async_context(PostgresViews(urls.query)),
        urls=urls,
        # Streams, commands and keys of this run are new ones, whatever earlier runs left.
        load=Load(f"h{(await store.head()).sequence:010d}"),
        recent_began_ns=recent_began_ns,
        recent_days=days_of(extent.recent),
    )


def _demand_room(place: Path, events: int) -> None:
    free = shutil.disk_usage(place).free
    needed = events * EVENT_BYTES_ON_DISK + _BYTES_ASIDE
    if free < needed:
        raise OperatorProblem(
            f"A log of {events:,} events takes {needed / _GIB:.0f} GiB, and {place} has {free / _GIB:.0f} GiB free.",
            remedy="Set KHATA_HOME to a folder on a larger disk, or try `khata bench history --quick`.",
        )


def _exists(database: DatabaseUrls, urls: DatabaseUrls) -> bool:
    with psycopg.connect(database.admin, autocommit=True) as admin:
        statement = "SELECT FROM pg_database WHERE datname = %s"
        return admin.execute(statement, [_name_in(urls)]).rowcount > 0


async def _make(
    bench: Bench, database: DatabaseUrls, urls: DatabaseUrls, extent: Extent, behind: int, *, recent_began_ns: int
) -> None:
    """Make the log under another name and rename it when it is whole: a log that exists is a complete one."""
    name = _name_in(urls)
    beside = f"{name}_new"
    with psycopg.connect(database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(beside)))
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(beside), sql.Identifier(DATABASE))
        )
        for statement in grants(beside):
            admin.execute(statement)
        try:
            await _fill(bench, database.for_database(beside), extent, behind, recent_began_ns)
        except BaseException:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(beside)))
            raise
        admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(beside), sql.Identifier(name)))


def _name_in(urls: DatabaseUrls) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(urls.admin)["dbname"])


async def _fill(bench: Bench, urls: DatabaseUrls, extent: Extent, behind: int, recent_began_ns: int) -> None:
    total = behind + extent.recent
    task = bench.progress.add_task(f"history: making {total:,} events", total=total)
    began = time.perf_counter()
    filler = LogFiller(urls.owner, tell=lambda done: bench.progress.update(task, completed=done))
    await asyncio.to_thread(filler.fill, _commands(bench.seed, behind, extent.recent, recent_began_ns))
    bench.report.note(
        f"log of {filler.sequence:,}",
        f"made in {time.perf_counter() - began:,.0f} s, {_bytes_of(urls) / filler.sequence:.0f} bytes an event on disk",
    )
    bench.progress.update(task, description=f"history: snapshots and states of {total:,} events", total=None)
    await _fill_caches(bench, urls, extent)
    bench.progress.remove_task(task)


async def _fill_caches(bench: Bench, urls: DatabaseUrls, extent: Extent) -> None:
    streams = [stream_of(account_id_of(number)) for number in _RECENT_ACCOUNTS]
    snapshots = await keep_snapshots(urls, streams, every=extent.snapshot_every)
    bench.report.check("some accounts have snapshots", holds=snapshots > 0)
    async with PostgresEventStore(urls.writer) as store:
        [first, *_] = await store.read_stream(streams[0])
    await store_states(urls, after_sequence=first.sequence - 1)
    bench.report.note(
        "caches",
        f"snapshots of {snapshots} accounts and stored states, for the {ACCOUNTS} accounts that both logs end with and"
        " not for those before; a portfolio of the past reads no table of a read model, so none is filled",
    )


def _commands(seed: int, behind: int, recent: int, recent_began_ns: int) -> Iterable[LifeCommand]:
    """Return what lies behind, ended by the time *recent_began_ns*, and after it what both logs end with."""
    behind_began_ns = recent_began_ns - days_of(behind) * DAY_NS
    old = until(behind, lives(seed=seed, began_ns=behind_began_ns)) if behind else iter(())
    new = lives(seed=seed + 1, first_account=_FIRST_RECENT_ACCOUNT, began_ns=recent_began_ns)
    return chain(old, until(recent, new))


def _kept_beginning(folder: Path, events: int) -> int:
    """Return when the recent events begin: for both logs at one time, on whatever day each of them is made."""
    kept = folder / "recent_began_ns"
    if not kept.exists():
        kept.write_text(str(ending_today(events)))
    return int(kept.read_text())


def _bytes_of(urls: DatabaseUrls) -> int:
    with psycopg.connect(urls.admin, autocommit=True) as admin:
        row = admin.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


# --- Measuring --------------------------------------------------------------------------------------------------------


async def _measure(bench: Bench, extent: Extent, long: _Log, short: _Log) -> None:
    logs = (long, short)
    heads = {log.name: (await log.store.head()).sequence for log in logs}
    numbers = {log.name: count(_COMMANDS_FROM + heads[log.name]) for log in logs}
    chosen = Random(bench.seed).sample(_RECENT_ACCOUNTS, extent.accounts)  # noqa: S311 - it is to be repeatable
    streams = [stream_of(account_id_of(number)) for number in chosen]
    task = bench.progress.add_task("history: measuring", total=extent.rounds * len(logs))
    for round_number in range(extent.rounds):
        for log in logs if round_number % 2 else logs[::-1]:
            rate = await closed_loop(
                log.store, log.load, numbers[log.name], in_flight=_IN_FLIGHT, warm_up_s=0.2, for_s=extent.append_s
            )
            log.took("append", 1 / rate)
            bench.progress.advance(task)
        await _read_in_turn(bench, logs, streams)
    for log in logs:
        await _check_appended(bench, log, heads[log.name])
    for measure in ("append", *_READS):
        long_ms, short_ms = (median(log.times_s[measure]) * 1000 for log in logs)
        bench.report.add(measure, long_ms, unit="ms", better="lower", yardstick=short_ms)
    bench.report.note("logs", f"{heads['long']:,} events beside {heads['short']:,}; the last of both are the same")
    bench.report.note("ratio", f"the long log's time by the short one's: medians of {extent.rounds} rounds in turn")


async def _read_in_turn(bench: Bench, logs: Sequence[_Log], streams: Sequence[str]) -> None:
    """Ask the same of both logs, stream by stream, and demand the same answer."""
    for number, stream_id in enumerate(streams):
        for measure, read in _READS.items():
            answers = []
            for log in logs if number % 2 else logs[::-1]:
                began = time.perf_counter()
                answers.append(await read(log, stream_id))
                log.took(measure, time.perf_counter() - began)
            bench.report.check(
                f"{measure} of {stream_id}: the same from both logs, and something",
                holds=answers[0] == answers[1] and answers[0] is not None,
            )


async def _replay(log: _Log, stream_id: str) -> object:
    """Return an account's state, folded from its first event on."""
    return _folded(decider.initial, await log.store.read_stream(stream_id))


async def _tail(log: _Log, stream_id: str) -> object:
    """Return an account's state as a lane that knows nothing yet comes to it."""
    snapshots = SnapshotCache(PostgresSnapshots(log.store.database), ACCOUNT_STATES)
    start = await snapshots.start_of(stream_id, log.store)
    if start is None:
        return await _replay(log, stream_id)
    return _folded(start.state, start.tail)


def _folded(state: Account, events: Iterable[RecordedEvent]) -> Account:
    for event in events:
        state = decider.evolve(state, cast("AccountEvent", decode(event.name, event.payload)))
    return state


async def _as_of(log: _Log, stream_id: str) -> object:
    """Return an account's portfolio as of a time in its life, without its places in the log, which are not the same."""
    account_id = AccountId(stream_id.removeprefix(stream_of(AccountId(""))))
    accounts = PastAccounts(states=PostgresStates(log.queries), log=log.reads)
    history = History(
        queries=log.queries, accounts=accounts, log=log.reads, marks=EventMarks(accounts), clock=SystemClock()
    )
    past = history.at(await history.moment_at(_time_us_for(log, stream_id)))
    found = (await past.portfolio(account_id)).value
    if found is None:
        return None
    day = past.day(found.risk.day)
    positions = [replace(row, sequence=0) for row in found.positions]
    return replace(found.risk, sequence=0), sum_portfolio(await past.valued(account_id, positions, day=day), day=day)


def _time_us_for(log: _Log, stream_id: str) -> int:
    """Return the time (UTC microseconds) that is asked about: the same for the same account, in a session."""
    random = Random(stream_id)  # noqa: S311 - it is to be repeatable
    day, within_ns = random.randrange(log.recent_days), random.randrange(_OPENED_WITHIN_NS, SESSION_NS)
    return (log.recent_began_ns + day * DAY_NS + within_ns) // _NS_PER_US


_READS: dict[str, Callable[[_Log, str], Awaitable[object]]] = {"replay": _replay, "tail": _tail, "asof": _as_of}
"""What is asked of an account of the recent ones, by measure."""


async def _check_appended(bench: Bench, log: _Log, head_before: int) -> None:
    """Look whether what was appended lies behind the log's former end without a hole, every command once."""
    answered = sorted(log.load.sequences)
    bench.report.check(
        f"{log.name} log: the answers name the sequences after {head_before}, each once",
        holds=answered == list(range(head_before + 1, head_before + 1 + len(answered))),
    )
    async with await psycopg.AsyncConnection.connect(log.urls.admin, autocommit=True) as connection:
        cursor = await connection.execute(_COUNT_AFTER, [head_before])
        row = await cursor.fetchone()
    bench.report.check(f"{log.name} log: every command is there once", holds=row == (len(answered), len(answered)))


_COUNT_AFTER = """
    -- Count events and commands after a sequence.
    SELECT count(*), count(DISTINCT command_id) FROM log.events WHERE sequence > %s
"""
