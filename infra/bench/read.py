"""Bench `read`: catching up on the log, from rows in PostgreSQL to typed events in hand.

What is measured is the engine's own way: the feed that every reader of the log follows, and the decoder of every event.
The reader gives its loop a turn now and then, as one that writes what it read does, so that the next page arrives
meanwhile.
"""

import asyncio
import time
from itertools import islice

import psycopg

from adapters.postgres.log_feed import PAGE, PostgresFeed
from domain.envelope import RecordedEvent, is_intact
from domain.events import decode
from infra.bench.events import at_least, lives, mean_payload_bytes
from infra.bench.filling import LogFiller
from infra.bench.ground import running_servers
from infra.bench.run import Bench

EVENTS = 1_000_000
QUICK_EVENTS = 60_000
_SLICE = 250
_PASSES = 3
_CHECKED_EVERY = 97


async def run(bench: Bench) -> None:
    """Measure how fast the log is read."""
    wanted = QUICK_EVENTS if bench.is_quick else EVENTS
    task = bench.progress.add_task("read: filling a log", total=wanted)
    async with running_servers() as ground:
        with ground.fresh_database() as database:
            filler = LogFiller(database.owner, tell=lambda done: bench.progress.update(task, completed=done))
            await asyncio.to_thread(filler.fill, at_least(wanted, lives(seed=bench.seed)))
            bench.progress.update(task, description="read: reading", completed=0, total=_PASSES)
            rates = []
            for _ in range(_PASSES):
                rates.append(await _catch_up(bench, PostgresFeed(database.query), filler.sequence))
                bench.progress.advance(task)
            rows = await asyncio.to_thread(_raw_rows, database.query, filler.sequence)
    bench.report.add("events", max(rates), unit="1/s", better="higher")
    bench.report.note(
        "log", f"{filler.sequence:,} events, {mean_payload_bytes(seed=bench.seed):.0f} bytes of payload each"
    )
    bench.report.note(
        "passes", ", ".join(f"{rate:,.0f}/s" for rate in rates) + "; the best counts, the log being cached"
    )
    bench.report.note("the driver alone", f"{rows:,.0f}/s: the same pages as rows, nothing made of them")


async def _catch_up(bench: Bench, feed: PostgresFeed, last_sequence: int) -> float:
    """Read the whole log through *feed* and return how many events a second were decoded."""
    sample: list[RecordedEvent] = []
    count = 0
    previous = bytes(32)
    began = time.perf_counter()
    pages = feed.follow(after_sequence=0)
    async for page in pages:
        for start in range(0, len(page), _SLICE):
            for recorded in page[start : start + _SLICE]:
                decode(recorded.name, recorded.payload)
            await asyncio.sleep(0)
        count += len(page)
        bench.report.check("every page follows the one before", holds=page[0].previous_hash == previous)
        previous = page[-1].hash
        sample += islice(page, 0, None, _CHECKED_EVERY)
        if page[-1].sequence >= last_sequence:
            break
    rate = count / (time.perf_counter() - began)
    await pages.aclose()
    bench.report.check("every event was read once", holds=count == last_sequence)
    bench.report.check("what was read is what was hashed", holds=all(is_intact(recorded) for recorded in sample))
    return rate


def _raw_rows(conninfo: str, last_sequence: int) -> float:
    """Return how many rows a second the driver hands over."""
    statement = "SELECT * FROM log.events WHERE sequence > %s ORDER BY sequence LIMIT %s"
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=0) as connection:
        began = time.perf_counter()
        with connection.cursor(binary=True) as cursor:
            for after in range(0, last_sequence, PAGE):
                cursor.execute(statement, (after, PAGE)).fetchall()
        return last_sequence / (time.perf_counter() - began)
