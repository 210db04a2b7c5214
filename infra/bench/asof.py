"""Bench `asof`: a portfolio as of a random time of a long log, nothing of it in memory.

A question goes from the time to its place in the log, reads the account's tables and its stored states, and folds what
lies between. The yardstick is the same question without stored states: folded from the account's beginning.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import psycopg

from adapters.clock import SystemClock
from adapters.postgres.database import Database
from adapters.postgres.reading import LogReads
from adapters.postgres.stored_states import PostgresStates, PostgresStatesStore
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from domain.envelope import RecordedEvent
from domain.ids import AccountId
from infra.bench.ground import Ground, running_servers
from infra.bench.made_up_log import account_of, load, made_up_events, time_of
from infra.bench.run import Bench
from infra.database import DatabaseUrls
from projections.as_of import History
from projections.catalogue import READ_MODELS
from projections.historical_marks import EventMarks
from projections.past import PastAccounts
from projections.portfolio import Portfolio, sum_portfolio
from projections.ports import StatesReader, StoredState
from projections.projector import Projector
from projections.queries import PortfolioRows
from projections.read_model import AnyReadModel
from projections.state_keeper import EVENTS_MAX, StateKeeper
from projections.tasks import end

MS_PER_S = 1_000
_PAGE = 10_000
_POLL_S = 0.2
_PER_ROUND = 50


@dataclass(frozen=True, slots=True)
class _Size:
    events: int
    accounts: int
    days: int
    questions: int
    from_start: int


_FULL = _Size(events=1_000_000, accounts=100, days=60, questions=500, from_start=30)
_QUICK = _Size(events=20_000, accounts=4, days=10, questions=100, from_start=10)


class _Pages:
    """The log in large pages. Implements `projections.ports.EventFeed` for a log that does not grow."""

    def __init__(self, log: LogReads) -> None:
        self._log = log

    async def follow(self, *, after_sequence: int) -> AsyncGenerator[list[RecordedEvent], None]:
        while events := await self._log.read_all(after_sequence=after_sequence, limit=_PAGE):
            yield events
            after_sequence = events[-1].sequence
        await asyncio.Event().wait()


class _NoStates:
    """Implements `projections.ports.StatesReader` where nothing is stored."""

    async def newest(
        self,
        account_id: AccountId,  # noqa: ARG002 - of nobody
        models: Sequence[AnyReadModel],  # noqa: ARG002 - of none
        *,
        sequence: int,  # noqa: ARG002 - at no time
    ) -> dict[AnyReadModel, StoredState]:
        return {}


@dataclass(frozen=True, slots=True)
class _Answer:
    took_ms: float
    rows: PortfolioRows | None
    portfolio: Portfolio | None


async def run(bench: Bench) -> None:
    """Measure."""
    size = _QUICK if bench.is_quick else _FULL
    async with running_servers() as ground:
        database = ground.database
        load(
            database.admin,
            made_up_events(events=size.events, accounts=size.accounts, days=size.days, seed=bench.seed),
            events=size.events,
            progress=bench.progress,
        )
        await _project(bench, database, size)
        await _keep(bench, database, size)
        await _ask(bench, ground, database, size)
    bench.report.note("log", f"{size.events} events of {size.accounts} accounts over {size.days} days")
    bench.report.note("states", f"stored at the end of every day and every {EVENTS_MAX} events of an account")


async def _project(bench: Bench, database: DatabaseUrls, size: _Size) -> None:
    task = bench.progress.add_task("projecting", total=size.events)
    views = PostgresViewStore(database.projector, owner="bench")
    async with Database(database.projector, size=1) as connections:
        projector = Projector(READ_MODELS, feed=_Pages(LogReads(connections)), views=views, clock=SystemClock())
        running = asyncio.create_task(projector.run())
        try:
            reaching = asyncio.create_task(projector.reach(size.events))
            while not (await asyncio.wait({reaching, running}, timeout=_POLL_S, return_when="FIRST_COMPLETED"))[0]:
                bench.progress.update(task, completed=projector.progress().sequence)
            await end(reaching)
            bench.report.check("no read model halted", holds=not projector.progress().halted)
        finally:
            await end(running)
            await views.close()
    bench.progress.remove_task(task)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        for model in READ_MODELS:
            connection.execute(f"VACUUM (ANALYZE) views.{model.table_name}".encode())


async def _keep(bench: Bench, database: DatabaseUrls, size: _Size) -> None:
    task = bench.progress.add_task("storing states", total=size.events)
    states = PostgresStatesStore(database.projector)
    async with Database(database.projector, size=1) as connections:
        keeper = StateKeeper(log=LogReads(connections), states=states, clock=SystemClock())
        began = time.perf_counter()
        keeping = asyncio.create_task(keeper.catch_up())
        try:
            while not (await asyncio.wait({keeping}, timeout=_POLL_S))[0]:
                bench.progress.update(task, completed=keeper.sequence)
            await keeping
        finally:
            await end(keeping)
            await states.close()
        bench.report.note("storing states", f"{size.events / (time.perf_counter() - began):,.0f} events a second")
    bench.progress.remove_task(task)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) views.stored_states")
        row = connection.execute(
            "SELECT count(*), pg_total_relation_size('views.stored_states') FROM views.stored_states"
        ).fetchone()
    if row is not None:
        bench.report.note("stored states", f"{row[0]} rows, {row[1] / 1_000_000:.0f} MB with their index")


async def _ask(bench: Bench, ground: Ground, database: DatabaseUrls, size: _Size) -> None:
    random = Random(bench.seed)  # noqa: S311 - no secret
    first, last = (time_of(sequence, events=size.events, days=size.days) for sequence in (1, size.events))
    questions = [
        (account_of(random.randrange(size.accounts)), random.randint(first, last)) for _ in range(size.questions)
    ]
    task = bench.progress.add_task("asking", total=size.questions + size.from_start)
    answers: list[_Answer] = []
    for start in range(0, size.questions, _PER_ROUND):
        await _make_cold(ground)
        for account_id, time_us in questions[start : start + _PER_ROUND]:
            answers.append(await _question(database, account_id, time_us))
            bench.progress.update(task, advance=1)
    folded: list[_Answer] = []
    await _make_cold(ground)
    for account_id, time_us in questions[: size.from_start]:
        folded.append(await _question(database, account_id, time_us, states=_NoStates()))
        bench.progress.update(task, advance=1)
    bench.progress.remove_task(task)
    same = all((a.rows, a.portfolio) == (b.rows, b.portfolio) for a, b in zip(answers, folded, strict=False))
    bench.report.check("an answer from stored states is that of a fold from the beginning", holds=same)
    bench.report.check(
        "accounts were there and held something", holds=any(a.rows and a.rows.positions for a in answers)
    )
    ours = np.asarray([answer.took_ms for answer in answers])
    yardstick = np.asarray([answer.took_ms for answer in folded])
    p99_ms, slow_ms = float(np.percentile(ours, 99)), float(np.percentile(yardstick, 99))
    bench.report.add("p99_ms", p99_ms, unit="ms", better="lower", yardstick=slow_ms)
    bench.report.note("p50 ms", f"{float(np.percentile(ours, 50)):.1f}, the longest {float(ours.max()):.1f}")
    bench.report.note("yardstick", f"the same without stored states, {size.from_start} questions, p99")
    bench.report.note(
        "cold",
        f"a fresh connection for every question; before every {_PER_ROUND} the server was started anew, so that its"
        " buffers were empty, and its files were dropped from the page cache of the system",
    )


async def _question(
    database: DatabaseUrls, account_id: AccountId, time_us: int, *, states: StatesReader | None = None
) -> _Answer:
    """Ask for an account's portfolio as of a time, by connections that have asked for nothing yet."""
    async with AsyncExitStack() as stack:
        queries = await stack.enter_async_context(PostgresViews(database.query, size=1))
        log = LogReads(await stack.enter_async_context(Database(database.query, size=1)))
        await queries.wait_for(1)
        async with queries.reading([account_id]):
            pass  # Every connection stands, the one that listens too: nothing else goes on while the question is timed.
        accounts = PastAccounts(states=states or PostgresStates(queries), log=log)
        history = History(queries=queries, accounts=accounts, log=log, marks=EventMarks(accounts), clock=SystemClock())
        began = time.perf_counter()
        past = history.at(await history.moment_at(time_us))
        found = (await past.portfolio(account_id)).value
        portfolio = None
        if found is not None:
            day = past.day(found.risk.day)
            portfolio = sum_portfolio(await past.valued(account_id, found.positions, day=day), day=day)
        return _Answer((time.perf_counter() - began) * MS_PER_S, found, portfolio)


async def _make_cold(ground: Ground) -> None:
    await ground.postgres.stop()
    for file in await asyncio.to_thread(lambda: [path for path in ground.postgres.data.rglob("*") if path.is_file()]):
        _forget(file)
    await ground.postgres.start()


def _forget(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
