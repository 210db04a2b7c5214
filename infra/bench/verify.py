"""`verify`: how long it takes to check a log of a million events, with the outcomes of its commands and its anchors."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg import Cursor
from rich.progress import Progress

from adapters.anchor_file import AnchorFile
from adapters.clock import SystemClock
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.database import Database
from adapters.security.anchors import AnchorKey
from domain.envelope import GENESIS_HASH, chain_hash, leaf_hash
from domain.integrity.anchors import check_anchors
from infra.bench.ground import Ground, running_servers
from infra.bench.run import Bench
from infra.database import DatabaseUrls
from infra.wiring.integrity import WORKERS, verify_log
from projections.integrity.anchoring import Anchoring

EVENTS = 1_000_000
EVENTS_QUICK = 200_000
ACCOUNTS = 200
COMMAND_EVENTS = 2
PAYLOAD_BYTES = 350
_BATCH = 50_000
_METADATA = b'{"actor":"usr_01","source":"api","received_at_ns":1795149000000000000}'
_AGO_US = 3_600_000_000
_US_PER_S = 1_000_000

# Read every byte of the events and nothing else: what any check of the log has to do at the least.
_FULL_READ = "SELECT count(*), sum(length(payload) + length(metadata)), max(hash) FROM log.events"


async def run(bench: Bench) -> None:
    """Fill a log, verify it, read it by one plain statement, and see that a touched event is found."""
    events = EVENTS_QUICK if bench.is_quick else EVENTS
    async with running_servers() as ground:
        with ground.fresh_database() as database:
            _fill(database, events, bench.progress)
            anchors = await _anchor(ground, database)
            checked = check_anchors(anchors.lines(), AnchorKey(ground.keys.signing_pem).verify)
            task = bench.progress.add_task("Verifying", total=events)
            archive = ground.home.path / "archive"

            began = time.perf_counter()
            verdict = verify_log(
                database.query,
                archive,
                anchors=checked,
                progress=lambda done, _: bench.progress.update(task, completed=done),
            )
            ours_s = time.perf_counter() - began
            bench.report.check(
                f"the log is intact: {verdict.first_finding}",
                holds=verdict.is_intact and verdict.events == events == verdict.anchored_to,
            )
            read_s = _full_read(database)
            bench.report.add("seconds", ours_s, yardstick=read_s, unit="s", better="lower")
            _check_that_it_finds(bench, database, archive, events)
    bench.report.note("events", f"{events:,} of {PAYLOAD_BYTES} bytes, {ACCOUNTS} streams, two a command")
    bench.report.note("anchors and outcomes checked", f"{len(checked.anchors):,} and {events // COMMAND_EVENTS:,}")
    bench.report.note("processes", WORKERS)
    bench.report.note("yardstick", "one SELECT that reads every event and checks nothing; no tool checks such a chain")
    if bench.is_quick:
        bench.report.note("quick", f"{events:,} events instead of {EVENTS:,}")


def _check_that_it_finds(bench: Bench, database: DatabaseUrls, archive: Path, events: int) -> None:
    touched = events // 3
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute(
            "UPDATE log.events SET payload = set_bit(payload, 7, 1 - get_bit(payload, 7)) WHERE sequence = %s",
            (touched,),
        )
    finding = verify_log(database.query, archive, anchors=None).first_finding
    bench.report.check(
        f"a flipped bit at {touched} is found there: {finding}",
        holds=finding is not None and finding.first_sequence == finding.last_sequence == touched,
    )


def _full_read(database: DatabaseUrls) -> float:
    with psycopg.connect(database.query, autocommit=True) as connection:
        began = time.perf_counter()
        connection.execute(_FULL_READ).fetchone()
        return time.perf_counter() - began


async def _anchor(ground: Ground, database: DatabaseUrls) -> AnchorFile:
    sink = AnchorFile(ground.home.anchors_file)
    async with Database(database.writer) as writer:
        anchoring = Anchoring(
            PostgresAnchoredLog(writer), sink=sink, signer=AnchorKey(ground.keys.signing_pem), clock=SystemClock()
        )
        await anchoring.anchor_now()
    sink.close()
    return sink


def _fill(database: DatabaseUrls, events: int, progress: Progress) -> None:
    """Write the log by COPY, as its owner: no append would let anybody choose times."""
    task = progress.add_task("Filling the log", total=events)
    writing = _Writing(time.time_ns() // 1_000 - _AGO_US)
    with psycopg.connect(database.owner, autocommit=True) as owner:
        # The last event lies at the edge of the first partition when there are a million: make the one behind it too.
        owner.execute("UPDATE log.head SET sequence = %s", (events,))
        owner.execute("SELECT log.prepare_partitions()")
        cursor = owner.cursor()
        for first, after in pairwise((*range(1, events + 1, _BATCH), events + 1)):
            with owner.transaction():
                writing.write_events(cursor, range(first, after))
            progress.update(task, completed=after - 1)
        with owner.transaction():
            writing.write_ends(cursor, events)
        owner.execute("VACUUM ANALYZE")


class _Writing:
    """A log in the making, as large appends would have written it from *began_us* on, a hundred microseconds apart."""

    def __init__(self, began_us: int) -> None:
        self._began_us = began_us
        self._hash = GENESIS_HASH
        self._ends: dict[str, tuple[int, bytes]] = {}

    def write_events(self, cursor: Cursor[tuple[object, ...]], sequences: range) -> None:
        with cursor.copy(
            "COPY log.events (sequence, stream_id, version, name, command_id, metadata, payload, recorded_at,"
            " previous_hash, hash) FROM STDIN"
        ) as copy:
            for sequence in sequences:
                copy.write_row(self._event(sequence))
        with cursor.copy(
            "COPY log.commands (scope, key, request_hash, status, first_sequence, last_sequence, recorded_at)"
            " FROM STDIN"
        ) as copy:
            for row in self._commands(sequences):
                copy.write_row(row)

    def write_ends(self, cursor: Cursor[tuple[object, ...]], events: int) -> None:
        with cursor.copy("COPY log.streams (stream_id, version, leaf) FROM STDIN") as copy:
            for stream_id, (version, leaf) in self._ends.items():
                copy.write_row((stream_id, version, leaf))
        cursor.execute(
            "UPDATE log.head SET sequence = %s, hash = %s, recorded_at = %s::timestamptz",
            (events, self._hash, self._time_of(events)[1]),
        )

    def _event(self, sequence: int) -> tuple[object, ...]:
        command = (sequence - 1) // COMMAND_EVENTS
        stream_id = f"account-acc_{command % ACCOUNTS:026d}"
        version = self._ends[stream_id][0] + 1 if stream_id in self._ends else 1
        payload = (b'{"order_id":"ord_%026d","price_e4":%d,"note":"' % (command, 1_000_000 + sequence % 9_973)).ljust(
            PAYLOAD_BYTES - 2, b"x"
        ) + b'"}'
        name, command_id = "order.filled.v1", f"cmd_{command:026d}"
        leaf = leaf_hash(
            stream_id=stream_id, version=version, name=name, command_id=command_id, metadata=_METADATA, payload=payload
        )
        previous = self._hash
        recorded_at_us, text = self._time_of(sequence)
        self._hash = chain_hash(previous=previous, sequence=sequence, recorded_at_us=recorded_at_us, leaf=leaf)
        self._ends[stream_id] = (version, leaf)
        return (sequence, stream_id, version, name, command_id, _METADATA, payload, text, previous, self._hash)

    def _commands(self, sequences: range) -> Iterator[tuple[object, ...]]:
        for sequence in sequences:
            if (sequence - 1) % COMMAND_EVENTS == 0:
                command = (sequence - 1) // COMMAND_EVENTS
                yield (
                    f"acc_{command % ACCOUNTS:026d}", f"key-{command:026d}", leaf_key(command), "appended",
                    sequence, sequence + COMMAND_EVENTS - 1, self._time_of(sequence)[1],
                )  # fmt: skip

    def _time_of(self, sequence: int) -> tuple[int, str]:
        # The events of a command are recorded at one time.
        command = (sequence - 1) // COMMAND_EVENTS
        at_us = self._began_us + command * 100 * COMMAND_EVENTS
        seconds, us = divmod(at_us, _US_PER_S)
        return at_us, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + f".{us:06d}+00"


def leaf_key(command: int) -> bytes:
    """Return a request hash for a command: any 32 bytes will do."""
    return chain_hash(previous=GENESIS_HASH, sequence=command, recorded_at_us=0, leaf=GENESIS_HASH)
