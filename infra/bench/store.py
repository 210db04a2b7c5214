"""Bench `store`: appends of single-event commands, in a closed loop beside the library's recorder, and on schedule.

- `commands_1024`: 1,024 commands in flight, as many a second as go. The yardstick does the same with its best number of
  threads.
- `p99_ms_64`: commands arrive on schedule, 64 at most are in flight, a CHECKPOINT comes half way.
- `p99_ms_snapshot`: likewise, while another session has held a snapshot open for long, so that no version of the
  head's row could be cleared away. What is measured is the last part of that time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import psycopg

from adapters.postgres.event_store import PostgresEventStore
from infra.bench import library
from infra.bench.ground import Ground, running_servers, sync_ms
from infra.bench.run import Bench
from infra.bench.store_load import EVENT, Load, check_log, closed_loop, command_numbers, open_loop
from infra.bench.yardstick import in_thread, within

IN_FLIGHT = 1_024
IN_FLIGHT_ON_SCHEDULE = 64
RATE = 8_000
PATIENCE_S = 120
"""So much longer than it is to measure the yardstick may take, to begin and to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How long everything takes, in seconds."""

    warm_up_s: float
    closed_s: float
    library_s: float
    library_threads: tuple[int, ...]
    on_schedule_s: float
    snapshot_before_s: float


FULL = Extent(
    warm_up_s=3,
    closed_s=20,
    library_s=10,
    library_threads=(1, 4, 8, 16, 32, 64),
    on_schedule_s=60,
    snapshot_before_s=540,
)
QUICK = Extent(warm_up_s=0.5, closed_s=3, library_s=1.5, library_threads=(4, 16), on_schedule_s=3, snapshot_before_s=3)


async def run(bench: Bench) -> None:
    """Measure appends."""
    extent = QUICK if bench.is_quick else FULL
    task = bench.progress.add_task("store", total=4)
    async with running_servers() as ground:
        median, p99 = sync_ms(ground.postgres.data)
        bench.report.note("sync of 8 KiB", f"{median:.2f} ms in the median, {p99:.2f} ms at the 99th percentile")
        bench.report.note("payload", f"{len(EVENT.payload)} bytes")
        bench.report.note("client", "in the store's process and on its event loop, as the engine's deciders are")
        bench.progress.update(task, description="store: commands in flight")
        ours = await _commands(bench, ground, extent)
        bench.progress.update(task, advance=1, description="store: the library's recorder")
        theirs = await _library_commands(bench, ground, extent)
        bench.report.add("commands_1024", ours, unit="1/s", better="higher", yardstick=theirs)
        bench.progress.update(task, advance=1, description="store: on schedule")
        await _on_schedule(bench, ground, extent)
        bench.progress.update(task, advance=1, description="store: beside an open snapshot")
        await _beside_snapshot(bench, ground, extent)
        bench.progress.update(task, advance=1)


async def _commands(bench: Bench, ground: Ground, extent: Extent) -> float:
    load = Load("a")
    with ground.fresh_database() as database:
        async with PostgresEventStore(database.writer) as store:
            rate = await closed_loop(
                store,
                load,
                command_numbers(),
                in_flight=IN_FLIGHT,
                warm_up_s=extent.warm_up_s,
                for_s=extent.closed_s,
            )
            await check_log(bench.report, "commands_1024", store, database.admin, load)
    return rate


async def _library_commands(bench: Bench, ground: Ground, extent: Extent) -> float | None:
    """Return the best rate of the library's recorder over several numbers of threads; None where none came to one."""

    async def rate(measure: Callable[..., float], threads: int) -> float | None:
        coming = in_thread(
            partial(
                measure,
                database.admin,
                threads=threads,
                in_flight=IN_FLIGHT,
                warm_up_s=extent.warm_up_s,
                for_s=extent.library_s,
            )
        )
        what = f"the library with {threads} threads"
        return await within(bench.report, what, coming, seconds=extent.warm_up_s + extent.library_s + PATIENCE_S)

    rates: dict[int, float] = {}
    with ground.fresh_database() as database:
        for threads in extent.library_threads:
            if (found := await rate(library.recorder_commands, threads)) is not None:
                rates[threads] = found
        if not rates:
            return None
        best = max(rates, key=rates.__getitem__)
        saves = await rate(library.application_commands, best)
    bench.report.note(
        "the library's recorder",
        ", ".join(f"{rate:,.0f}/s with {threads} threads" for threads, rate in rates.items())
        + "; its default locking, a pool as large as the threads",
    )
    if saves is not None:
        bench.report.note("the library's Application.save", f"{saves:,.0f}/s with {best} threads")
    return rates[best]


async def _on_schedule(bench: Bench, ground: Ground, extent: Extent) -> None:
    load = Load("b")
    numbers = command_numbers()
    with ground.fresh_database() as database:
        async with PostgresEventStore(database.writer) as store:
            await open_loop(store, load, numbers, in_flight=IN_FLIGHT_ON_SCHEDULE, rate=RATE, for_s=extent.warm_up_s)
            async with _checkpoint_after(database.admin, extent.on_schedule_s / 2):
                latencies_ms = await open_loop(
                    store, load, numbers, in_flight=IN_FLIGHT_ON_SCHEDULE, rate=RATE, for_s=extent.on_schedule_s
                )
            await check_log(bench.report, "p99_ms_64", store, database.admin, load)
    _add_latencies(bench, "p99_ms_64", latencies_ms, load)


async def _beside_snapshot(bench: Bench, ground: Ground, extent: Extent) -> None:
    load = Load("c")
    numbers = command_numbers()
    with ground.fresh_database() as database:
        async with PostgresEventStore(database.writer) as store:
            await open_loop(store, load, numbers, in_flight=IN_FLIGHT_ON_SCHEDULE, rate=RATE, for_s=extent.warm_up_s)
            async with _open_snapshot(database.admin):
                before = open_loop(
                    store, load, numbers, in_flight=IN_FLIGHT_ON_SCHEDULE, rate=RATE, for_s=extent.snapshot_before_s
                )
                first_ms = (await before)[: int(RATE * extent.on_schedule_s)]
                async with _checkpoint_after(database.admin, extent.on_schedule_s / 2):
                    latencies_ms = await open_loop(
                        store, load, numbers, in_flight=IN_FLIGHT_ON_SCHEDULE, rate=RATE, for_s=extent.on_schedule_s
                    )
            await check_log(bench.report, "p99_ms_snapshot", store, database.admin, load)
    _add_latencies(bench, "p99_ms_snapshot", latencies_ms, load)
    held_s = extent.snapshot_before_s + extent.on_schedule_s
    bench.report.note(
        "snapshot",
        f"held open for {held_s:,.0f} s under load, measured in the last {extent.on_schedule_s:,.0f} s"
        f" (in the first {min(extent.on_schedule_s, extent.snapshot_before_s):,.0f} s: {_spread(first_ms)})",
    )


@asynccontextmanager
async def _checkpoint_after(admin_url: str, seconds: float) -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as connection:

        async def checkpoint() -> None:
            await asyncio.sleep(seconds)
            await connection.execute("CHECKPOINT")

        async with asyncio.TaskGroup() as group:
            group.create_task(checkpoint())
            yield


@asynccontextmanager
async def _open_snapshot(admin_url: str) -> AsyncIterator[None]:
    """Hold a snapshot open, as a forgotten session or a dump would."""
    async with await psycopg.AsyncConnection.connect(admin_url) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.execute("SELECT count(*) FROM log.head")
        yield
        await connection.rollback()


def _add_latencies(
    bench: Bench, name: str, latencies_ms: "np.ndarray[tuple[int], np.dtype[np.float64]]", load: Load
) -> None:
    bench.report.add(name, float(np.percentile(latencies_ms, 99)), unit="ms", better="lower")
    bench.report.note(
        name,
        f"{RATE:,}/s for {len(latencies_ms) / RATE:,.0f} s on schedule, one CHECKPOINT inside; {_spread(latencies_ms)}"
        + (f"; {load.retries:,} sent again" if load.retries else ""),
    )


def _spread(latencies_ms: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    p50, p99, p999, highest = np.percentile(latencies_ms, [50, 99, 99.9, 100])
    return f"p50 {p50:.1f}, p99 {p99:.1f}, p99.9 {p999:.1f}, at most {highest:.1f} ms"
