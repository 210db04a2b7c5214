"""`append`: bulk appends by the log's rules, against raw COPY of the finished rows into the same table.

The yardstick only moves bytes: its rows are encoded beforehand, chain included, and nothing is checked. Both sides run
in this process on one connection, commit every 1,000 events, and fill a fresh log with all of its indexes. They take
turns, because the disk of a shared machine has its moods.
"""

import time
from collections.abc import Sequence
from itertools import pairwise

from psycopg import AsyncConnection

from adapters.postgres.batches import EVENTS_MAX
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, NewEvent, StreamAppend
from domain.envelope import RecordedEvent, is_intact
from infra.bench.ground import running_servers, sync_ms
from infra.bench.run import Bench
from infra.bench.yardstick import within
from infra.database import DatabaseUrls

_EVENTS = 200_000
_EVENTS_QUICK = 30_000
_ROUNDS = 3
_YARDSTICK_S = 120
_PAYLOAD = b'{"note":"%s"}' % (b"x" * 339)
_METADATA = b'{"actor":"usr_01J0000000000000000000ASHA","source":"import","received_at_ns":1795149000000000000}'
_STREAMS = 200
_EVENTS_A_COMMAND = 20
_COLUMNS = "sequence, stream_id, version, name, command_id, metadata, payload, recorded_at, previous_hash, hash"
_COPY_OUT = f"COPY (SELECT {_COLUMNS} FROM log.events ORDER BY sequence) TO STDOUT (FORMAT BINARY)"  # noqa: S608
_COPY_IN = f"COPY log.events ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


async def run(bench: Bench) -> None:
    """Measure events a second, ours and the yardstick's."""
    events = _EVENTS_QUICK if bench.is_quick else _EVENTS
    appends = _appends(events)
    ours_s = 0.0
    yardstick_s: float | None = 0.0
    async with running_servers() as ground:
        task = bench.progress.add_task("appending", total=2 * _ROUNDS)
        for _ in range(_ROUNDS):
            with ground.fresh_database() as database:
                ours_s += await _append(bench, database, appends)
                rows = await _rows_of(database)
            bench.progress.advance(task)
            with ground.fresh_database() as database:
                took_s = await within(bench.report, "a yardstick", _copy(bench, database, rows), seconds=_YARDSTICK_S)
                yardstick_s = None if yardstick_s is None or took_s is None else yardstick_s + took_s
            bench.progress.advance(task)
        median_ms, p99_ms = sync_ms(ground.home.path)
    total = events * _ROUNDS
    yardstick = None if yardstick_s is None else total / yardstick_s
    bench.report.add("events", total / ours_s, unit="1/s", better="higher", yardstick=yardstick)
    bench.report.note("payload", f"{len(_PAYLOAD)} bytes, metadata {len(_METADATA)}")
    bench.report.note("commands", f"{_EVENTS_A_COMMAND} events each, round {_STREAMS} streams")
    bench.report.note("events", f"{events:,} in each of {_ROUNDS} rounds, {EVENTS_MAX:,} a commit on both sides")
    bench.report.note("sync", f"median {median_ms:.2f} ms, 99th percentile {p99_ms:.2f} ms")


def _appends(events: int) -> list[Append]:
    event = NewEvent(name="order.filled.v2", payload=_PAYLOAD)
    return [
        Append(
            command_id=f"cmd_{number:026d}",
            streams=(
                StreamAppend(
                    stream_id=f"account-acc_{number % _STREAMS:026d}",
                    expected_version=number // _STREAMS * _EVENTS_A_COMMAND,
                    events=(event,) * _EVENTS_A_COMMAND,
                ),
            ),
            metadata=_METADATA,
        )
        for number in range(events // _EVENTS_A_COMMAND)
    ]


async def _append(bench: Bench, database: DatabaseUrls, appends: Sequence[Append]) -> float:
    async with PostgresEventStore(database.writer) as store:
        began_s = time.perf_counter()
        loaded = await store.append_bulk(appends)
        took_s = time.perf_counter() - began_s
        events: list[RecordedEvent] = []
        while page := await store.read_all(after_sequence=len(events)):
            events += page
    bench.report.check("every event was appended", holds=loaded.events == len(events))
    bench.report.check("every event's hash is that of its content", holds=all(map(is_intact, events)))
    bench.report.check(
        "every event follows the one before it",
        holds=all(after.previous_hash == before.hash for before, after in pairwise(events)),
    )
    return took_s


async def _rows_of(database: DatabaseUrls) -> list[bytes]:
    """Return the log's rows as COPY writes them."""
    async with (
        await AsyncConnection.connect(database.owner, autocommit=True) as connection,
        connection.cursor().copy(_COPY_OUT) as copy,
    ):
        rows = [bytes(row) async for row in copy]
    rows[0] = rows[0].removeprefix(_COPY_HEADER)
    return [row for row in rows if row not in (b"", _COPY_TRAILER)]


async def _copy(bench: Bench, database: DatabaseUrls, rows: Sequence[bytes]) -> float:
    batches = [
        b"".join((_COPY_HEADER, *rows[start : start + EVENTS_MAX], _COPY_TRAILER))
        for start in range(0, len(rows), EVENTS_MAX)
    ]
    async with await AsyncConnection.connect(database.owner, autocommit=True) as connection:
        began_s = time.perf_counter()
        for batch in batches:
            async with connection.cursor().copy(_COPY_IN) as copy:
                await copy.write(batch)
        took_s = time.perf_counter() - began_s
        cursor = await connection.execute("SELECT count(*) FROM log.events")
        bench.report.check("the yardstick has every row", holds=await cursor.fetchone() == (len(rows),))
    return took_s
