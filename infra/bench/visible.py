"""Bench `visible`: from a command's answer to its rows in every read model, at 500 commands a second."""

import asyncio
import time

import numpy as np

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from infra.bench.beside import commands, projecting
from infra.bench.events import ending_today, lives, until
from infra.bench.filling import LogFiller
from infra.bench.ground import running_servers, sync_ms
from infra.bench.run import Bench
from projections.queries import ReadModelBehind

PER_SECOND = 500
SECONDS, SECONDS_QUICK = 60.0, 8.0
EVENTS_BEFORE = 5_000
WARM_S = 2.0
_CAUGHT_UP_S = 60.0


async def run(bench: Bench) -> None:
    """Measure."""
    seconds = SECONDS_QUICK if bench.is_quick else SECONDS
    task = bench.progress.add_task("starting servers", total=seconds)
    waits_ms: list[float] = []
    behind = 0
    async with running_servers() as ground:
        with ground.fresh_database() as database:
            coming = lives(seed=bench.seed, began_ns=ending_today(EVENTS_BEFORE))
            filler = LogFiller(database.owner, tell=lambda _: None)
            await asyncio.to_thread(filler.fill, until(EVENTS_BEFORE, coming))
            async with PostgresEventStore(database.writer) as store, PostgresViews(database.query) as queries:
                with projecting(database, ground.nats_url):
                    await queries.wait_for(filler.sequence, timeout_s=_CAUGHT_UP_S)
                    waiting: set[asyncio.Task[None]] = set()
                    measured_from = time.perf_counter() + WARM_S

                    async def see(sequence: int, answered_at: float) -> None:
                        nonlocal behind
                        try:
                            await queries.wait_for(sequence)
                        except ReadModelBehind:
                            behind += 1
                        if answered_at >= measured_from:
                            waits_ms.append((time.perf_counter() - answered_at) * 1_000)

                    def answered(sequence: int) -> None:
                        seeing = asyncio.create_task(see(sequence, time.perf_counter()))
                        waiting.add(seeing)
                        seeing.add_done_callback(waiting.discard)

                    async with commands(store, coming, per_second=PER_SECOND, answered=answered) as traffic:
                        while time.perf_counter() < measured_from + seconds:
                            await asyncio.sleep(0.2)
                            done = time.perf_counter() - measured_from
                            bench.progress.update(task, description="commands", completed=max(0.0, done))
                    if waiting:
                        await asyncio.wait(waiting)
        median, p99 = sync_ms(ground.home.path)
    report = bench.report
    p50, p99_ms = (float(each) for each in np.percentile(np.asarray(waits_ms), [50, 99]))
    report.add("p50_ms", p50, unit="ms", better="lower")
    report.add("p99_ms", p99_ms, unit="ms", better="lower")
    report.check("every command was answered", holds=not traffic.failures)
    report.check("every answer became visible within two seconds", holds=behind == 0)
    report.note(
        "commands",
        f"{traffic.answered:,} answered at {PER_SECOND} a second, of {traffic.events:,} events;"
        f" {len(waits_ms):,} measured",
    )
    report.note("failures", traffic.failures[:3] or "none")
    report.note("way", "log, relay, JetStream, projector in a process of its own, notification to the reader")
    report.note("sync", f"median {median:.2f} ms, p99 {p99:.2f} ms")
