"""Bench `asof`: a portfolio as of a random time of a long log, nothing of it in memory.

A question goes from the time to its place in the log, reads the account's stored states, and folds what happened since.
The yardstick is the same question without stored states: folded from the account's beginning. Then most of the log goes
into the archive, and the same questions are asked again; there the yardstick is what they took before.
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
from psycopg import sql

from adapters.anchor_file import AnchorFile
from adapters.archive.parquet import ParquetArchive
from adapters.clock import SystemClock
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.database import Database
from adapters.postgres.reading import LogReads
from adapters.postgres.stored_states import PostgresStates, PostgresStatesStore
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from adapters.security.anchors import AnchorKey
from domain.envelope import RecordedEvent
from domain.ids import AccountId
from domain.integrity.anchors import CheckedAnchors, check_anchors
from infra.bench.events import BEGAN_NS, account_id_of, lives, until
from infra.bench.filling import LogFiller, narrow_partitions
from infra.bench.ground import Ground, running_servers
from infra.bench.run import Bench
from infra.database import DatabaseUrls
from infra.wiring.integrity import archive_log
from projections.as_of import History
from projections.catalogue import READ_MODELS
from projections.historical_marks import EventMarks
from projections.integrity.anchoring import Anchoring
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
_TRADES_AT_ONCE = 4
_PARTITIONS = 4
"""So many are full; all but the newest of them are archived."""
_ARCHIVED_MIN = 0.5
_NS_PER_US = 1_000


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
class _Question:
    account_id: AccountId
    time_us: int


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
        filler = await _fill(bench, database, size)
        await _project(bench, database, filler.sequence)
        await _keep(bench, database, filler.sequence)
        random = Random(bench.seed)  # noqa: S311 - no secret
        questions = [
            _Question(
                account_id_of(random.randrange(size.accounts)),
                random.randint(BEGAN_NS // _NS_PER_US, filler.recorded_at_us),
            )
            for _ in range(size.questions)
        ]
        answers = await _ask_the_database(bench, ground, questions, size.from_start)
        folder = ground.home.path / "archive"
        await _archive(bench, ground, folder, filler.sequence)
        await _ask_the_archive(bench, ground, folder, questions, answers)
    bench.report.note("log", f"{filler.sequence:,} events of {size.accounts} accounts over {size.days} days")
    bench.report.note("states", f"stored at the end of every day and every {EVENTS_MAX} events of an account")


async def _fill(bench: Bench, database: DatabaseUrls, size: _Size) -> LogFiller:
    task = bench.progress.add_task("filling the log", total=size.events)
    narrow_partitions(database.owner, size.events // _PARTITIONS)
    filler = LogFiller(database.owner, tell=lambda done: bench.progress.update(task, completed=done))
    coming = lives(
        seed=bench.seed,
        accounts=size.accounts,
        events_a_day=size.events // size.days,
        trades_at_once=_TRADES_AT_ONCE,
    )
    await asyncio.to_thread(filler.fill, until(size.events, coming))
    bench.progress.remove_task(task)
    return filler


async def _project(bench: Bench, database: DatabaseUrls, last: int) -> None:
    task = bench.progress.add_task("projecting", total=last)
    views = PostgresViewStore(database.projector, owner="bench")
    async with Database(database.projector, size=1) as connections:
        projector = Projector(READ_MODELS, feed=_Pages(LogReads(connections)), views=views, clock=SystemClock())
        running = asyncio.create_task(projector.run())
        try:
            reaching = asyncio.create_task(projector.reach(last))
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
            connection.execute(sql.SQL("VACUUM (ANALYZE) views.{}").format(sql.Identifier(model.table_name)))


async def _keep(bench: Bench, database: DatabaseUrls, last: int) -> None:
    task = bench.progress.add_task("storing states", total=last)
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
        bench.report.note("storing states", f"{last / (time.perf_counter() - began):,.0f} events a second")
    bench.progress.remove_task(task)
    with psycopg.connect(database.projector, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) views.stored_states")
        row = connection.execute(
            "SELECT count(*), pg_total_relation_size('views.stored_states') FROM views.stored_states"
        ).fetchone()
    if row is not None:
        bench.report.note("stored states", f"{row[0]} rows, {row[1] / 1_000_000:.0f} MB with their index")


async def _ask_the_database(
    bench: Bench, ground: Ground, questions: Sequence[_Question], from_start: int
) -> list[_Answer]:
    answers = await _ask(bench, ground, questions)
    folded = await _ask(bench, ground, questions[:from_start], states=_NoStates())
    bench.report.check(
        "an answer from stored states is that of a fold from the beginning", holds=_same(answers, folded)
    )
    bench.report.check(
        "accounts were there and held something", holds=any(a.rows and a.rows.positions for a in answers)
    )
    took_ms = [answer.took_ms for answer in answers]
    p50_ms, p99_ms = np.percentile(took_ms, [50, 99])
    slow_ms = float(np.percentile([answer.took_ms for answer in folded], 99))
    bench.report.add("p99_ms", float(p99_ms), unit="ms", better="lower", yardstick=slow_ms)
    bench.report.note("p50 ms", f"{p50_ms:.1f}, the longest {max(took_ms):.1f}")
    bench.report.note("yardstick", f"the same without stored states, {from_start} questions, p99")
    bench.report.note(
        "cold",
        f"a fresh connection for every question; before every {_PER_ROUND} the server was started anew, so that its"
        " buffers were empty, and its files were dropped from the page cache of the system",
    )
    return answers


async def _ask_the_archive(
    bench: Bench, ground: Ground, folder: Path, questions: Sequence[_Question], before: Sequence[_Answer]
) -> None:
    answers = await _ask(bench, ground, questions, folder=folder)
    bench.report.check("the answers are those from before the archive", holds=_same(answers, before))
    took_ms = [answer.took_ms for answer in answers]
    p50_ms, p99_ms = np.percentile(took_ms, [50, 99])
    before_ms = float(np.percentile([answer.took_ms for answer in before], 99))
    bench.report.add("p99_ms_archived", float(p99_ms), unit="ms", better="lower", yardstick=before_ms)
    bench.report.note("p50 ms, archived", f"{p50_ms:.1f}, the longest {max(took_ms):.1f}")
    bench.report.note("yardstick, archived", "the same questions while all of it was in the database, p99")


def _same(some: Sequence[_Answer], others: Sequence[_Answer]) -> bool:
    """Tell whether the answers are the same, as far as there are some from both."""
    return all((a.rows, a.portfolio) == (b.rows, b.portfolio) for a, b in zip(some, others, strict=False))


async def _ask(
    bench: Bench,
    ground: Ground,
    questions: Sequence[_Question],
    *,
    states: StatesReader | None = None,
    folder: Path | None = None,
) -> list[_Answer]:
    """Ask all *questions*; *states* instead of those that are stored, and with the archive in *folder*."""
    task = bench.progress.add_task("asking", total=len(questions))
    answers = []
    for number, question in enumerate(questions):
        if number % _PER_ROUND == 0:
            await _make_cold(ground, folder)
        answers.append(await _answer(ground.database, question, states=states, folder=folder))
        bench.progress.advance(task)
    bench.progress.remove_task(task)
    return answers


async def _answer(
    database: DatabaseUrls, question: _Question, *, states: StatesReader | None, folder: Path | None
) -> _Answer:
    """Ask for an account's portfolio as of a time, by connections that have asked for nothing yet."""
    archive = None if folder is None else ParquetArchive(folder)
    async with AsyncExitStack() as stack:
        queries = await stack.enter_async_context(PostgresViews(database.query, size=1))
        log = LogReads(await stack.enter_async_context(Database(database.query, size=1)), archive)
        await queries.wait_for(1)
        async with queries.reading([question.account_id]):
            pass  # Every connection stands, the one that listens too: nothing else goes on while the question is timed.
        accounts = PastAccounts(states=states or PostgresStates(queries), log=log)
        history = History(queries=queries, accounts=accounts, log=log, marks=EventMarks(accounts), clock=SystemClock())
        began = time.perf_counter()
        past = history.at(await history.moment_at(question.time_us))
        found = (await past.portfolio(question.account_id)).value
        portfolio = None
        if found is not None:
            day = past.day(found.risk.day)
            portfolio = sum_portfolio(await past.valued(question.account_id, found.positions, day=day), day=day)
        return _Answer((time.perf_counter() - began) * MS_PER_S, found, portfolio)


# --- The archive ------------------------------------------------------------------------------------------------------


async def _archive(bench: Bench, ground: Ground, folder: Path, last: int) -> None:
    """Put all full partitions but the newest one into the archive, as `khata archive` does."""
    task = bench.progress.add_task("archiving", total=last)
    anchors = await _anchored(ground)
    outcome = await asyncio.to_thread(
        archive_log,
        ground.database.owner,
        folder,
        anchors=anchors,
        keep=1,
        progress=lambda _partition, sequence: bench.progress.update(task, completed=sequence),
    )
    bench.progress.remove_task(task)
    archived_to = max((partition.last for partition in outcome.archived), default=0)
    bench.report.check("half of the log or more is archived", holds=archived_to >= last * _ARCHIVED_MIN)
    size = sum(file.stat().st_size for file in await asyncio.to_thread(_files_in, folder))
    bench.report.note("archive", f"events 1 to {archived_to:,}, {size / 1_000_000:.0f} MB of files")


async def _anchored(ground: Ground) -> CheckedAnchors:
    """Anchor the log to its end: what no anchor confirms stays in the database."""
    sink, key = AnchorFile(ground.home.path / "anchors.jsonl"), AnchorKey(ground.keys.signing_pem)
    async with Database(ground.database.writer, size=1) as writer:
        anchoring = Anchoring(PostgresAnchoredLog(writer), sink=sink, signer=key, clock=SystemClock())
        await anchoring.anchor_now()
    sink.close()
    return check_anchors(sink.lines(), key.verify)


# --- Cold caches ------------------------------------------------------------------------------------------------------


async def _make_cold(ground: Ground, archive: Path | None) -> None:
    await ground.postgres.stop()
    for folder in [ground.postgres.data] if archive is None else [ground.postgres.data, archive]:
        for file in await asyncio.to_thread(_files_in, folder):
            _forget(file)
    await ground.postgres.start()


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _forget(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
