"""Loads on an event store: single-event commands, each with a key, from many streams at once.

Each stream has one command under way at a time, as an account has; so the streams are what is in flight. The client
runs in the store's own process and on its loop, which is the engine's shape: whoever decides and the writer that
commits in groups are tasks of one loop. Making a command is thus part of what is measured.
"""

import asyncio
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np
import psycopg

from commands.ports import (
    Append,
    Appended,
    AppendOutcomeUnknown,
    EventStore,
    NewEvent,
    StoreUnavailable,
    StreamAppend,
)
from domain.account.events import KillSwitchEngaged
from domain.events import encode, name_of
from infra.bench.events import METADATA
from infra.bench.report import Report
from infra.bench.schedule import on_schedule

PAYLOAD_BYTES = 350
_REQUEST_HASH = bytes(range(32))


def _event_of(size: int) -> NewEvent:
    """Return an event whose payload has exactly *size* bytes."""

    def engaged(reason: str) -> KillSwitchEngaged:
        return KillSwitchEngaged(reason=reason)

    event = engaged("-" * (size - len(encode(engaged("")))))
    return NewEvent(name=name_of(event), payload=encode(event))


EVENT = _event_of(PAYLOAD_BYTES)
"""What every command appends."""


@dataclass(slots=True)
class Load:
    """What was stored: the sequence of each command, and by stream how many there are.

    `retries` counts the answers that told nothing, after which the command was sent again under its key.
    """

    prefix: str
    retries: int = 0
    sequences: "array[int]" = field(default_factory=lambda: array("q"))
    versions: dict[str, int] = field(default_factory=dict)

    def command(self, stream_id: str, number: int) -> Append:
        """Return the stream's next command, *number* among all."""
        part = StreamAppend(stream_id=stream_id, expected_version=self.versions[stream_id], events=(EVENT,))
        return Append(
            command_id=f"cmd_{number:026d}",
            streams=(part,),
            metadata=METADATA,
            scope=stream_id,
            key=f"key-{number:020d}",
            request_hash=_REQUEST_HASH,
        )

    async def append(self, store: EventStore, stream_id: str, number: int) -> Appended:
        """Carry a command out, as often as it takes: its key makes that safe."""
        command = self.command(stream_id, number)
        while True:
            try:
                appended = await store.append(command)
                break
            except (StoreUnavailable, AppendOutcomeUnknown):
                self.retries += 1
        self.versions[stream_id] += 1
        self.sequences.append(appended.first_sequence)
        return appended

    def streams(self, amount: int) -> list[str]:
        """Return *amount* streams, new ones at their beginning."""
        names = [f"account-acc_{self.prefix}{number:06d}" for number in range(amount)]
        for name in names:
            self.versions.setdefault(name, 0)
        return names


async def closed_loop(
    store: EventStore, load: Load, numbers: Iterator[int], *, in_flight: int, warm_up_s: float, for_s: float
) -> float:
    """Keep *in_flight* commands under way and return how many were stored a second, after the warm-up."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + warm_up_s + for_s

    async def work(stream_id: str) -> None:
        while loop.time() < ends:
            await load.append(store, stream_id, next(numbers))

    async def measure() -> float:
        await asyncio.sleep(warm_up_s)
        began, before = loop.time(), len(load.sequences)
        await asyncio.sleep(for_s)
        return (len(load.sequences) - before) / (loop.time() - began)

    async with asyncio.TaskGroup() as group:
        measured = group.create_task(measure())
        for stream_id in load.streams(in_flight):
            group.create_task(work(stream_id))
    return measured.result()


async def open_loop(
    store: EventStore, load: Load, numbers: Iterator[int], *, in_flight: int, rate: float, for_s: float
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Let commands arrive at *rate* a second whatever becomes of those before; return each one's latency in ms.

    How it counts is told by `on_schedule`.
    """
    works = [partial(_append_next, store, load, numbers, stream_id) for stream_id in load.streams(in_flight)]
    return await on_schedule(works, rate=rate, total=int(rate * for_s))


async def _append_next(store: EventStore, load: Load, numbers: Iterator[int], stream_id: str, _: int) -> None:
    await load.append(store, stream_id, next(numbers))


def command_numbers() -> Iterator[int]:
    """Return numbers for commands, no two alike."""
    return count(1)


async def check_log(report: Report, what: str, store: EventStore, admin_url: str, load: Load) -> None:
    """Look whether the log holds what *load* was told: contiguous, chained, every command once; and answers again."""
    stored = len(load.sequences)
    answered = np.sort(np.frombuffer(load.sequences, dtype=np.int64))
    report.check(
        f"{what}: the answers name the sequences 1 to {stored}, each once",
        holds=bool(np.array_equal(answered, np.arange(1, stored + 1))),
    )
    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as connection:
        cursor = await connection.execute(_COUNT_EVENTS)
        events, first, last, commands, broken_links = await cursor.fetchone() or (0, 0, 0, 0, 0)
        cursor = await connection.execute("SELECT count(*) FROM log.commands")
        (outcomes,) = await cursor.fetchone() or (0,)
        cursor = await connection.execute("SELECT stream_id, version FROM log.streams")
        versions: dict[str, int] = dict(await cursor.fetchall())
    report.check(
        f"{what}: {stored} events without a hole, each command once, with its outcome",
        holds=(events, first, last, commands, outcomes) == (stored, 1, stored, stored, stored),
    )
    report.check(f"{what}: every event names the hash before it", holds=broken_links == 0)
    wanted = {stream_id: version for stream_id, version in load.versions.items() if version}
    report.check(f"{what}: every stream is as long as was answered", holds=versions == wanted)
    await _check_repeat(report, what, store, load)


async def _check_repeat(report: Report, what: str, store: EventStore, load: Load) -> None:
    [last] = await store.read_all(after_sequence=len(load.sequences) - 1, limit=1)
    number = int(last.command_id.removeprefix("cmd_"))
    again = await store.append(load.command(last.stream_id, number))
    report.check(
        f"{what}: a command sent again has its first answer",
        holds=again.repeated and again.first_sequence == last.sequence,
    )


_COUNT_EVENTS = """
    -- Count the log, and its events that do not name the hash before them.
    SELECT
        count(*), min(sequence), max(sequence), count(DISTINCT command_id),
        count(*) FILTER (WHERE previous_hash <> hash_before)
    FROM (
        SELECT sequence, command_id, previous_hash, lag(hash) OVER (ORDER BY sequence) AS hash_before FROM log.events
    ) AS linked
"""
