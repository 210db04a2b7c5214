"""Whoever touches the log is found, and the place that is named is right: 2,000 seeded mutations and more.

All go through `Verification`, the code behind `khata verify`, over one log of 11,000 events in three partitions, the
first of them archived. 1,300 are made in memory to what the real source read of the real log; 380 by SQL as superuser,
in a transaction that is rolled back, and read by the real source; 220 in real Parquet files and in what the database
keeps of them, 160 in the anchors. What a mutation cannot have changed is not hashed again: `Rechecking` keeps the
stretches of the log that hold nothing that was touched. Every twentieth mutation by SQL is verified from end to end all
the same.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from adapters.anchor_file import AnchorFile
from adapters.archive.parquet import ParquetArchive
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_source import PostgresLogSource
from adapters.security.anchors import AnchorKey
from domain.envelope import RecordedEvent, leaf_of
from domain.integrity.anchors import CheckedAnchors, check_anchors
from domain.integrity.commands import encode_outcome, read_outcome
from domain.integrity.findings import Finding, Kind
from domain.integrity.rows import encode_row
from infra.database import DatabaseUrls
from infra.wiring.integrity import archive_log
from projections.integrity.ports import LastAnchor, LogSource
from projections.integrity.verifier import Verdict, Verification
from tests.support.anchored_logs import LogWriter, anchor
from tests.support.mutable_log import (
    COLUMNS,
    COMMAND_COLUMNS,
    MutableLog,
    Rechecking,
    decoded,
    field_of,
    flipped,
    rehashed,
    rehashed_tail,
    sequence_of,
)
from tests.support.servers import Servers, fresh_database
from tests.support.small_partitions import make_partitions_small

WIDTH = 4_000
EVENTS = 11_000
STRETCH = 500
FILE_EVENTS = 500
ARCHIVED = WIDTH - 1


@dataclass(frozen=True, slots=True)
class Subject:
    """The log that is touched, and what of it nobody touched."""

    database: DatabaseUrls
    folder: Path
    key: AnchorKey
    lines: list[bytes]
    anchors: CheckedAnchors
    known: Rechecking
    content: MutableLog

    def verify(self, source: LogSource, *, dirty: list[int] | None, anchors: CheckedAnchors | None = None) -> Verdict:
        """Verify *source*; *dirty* None: from the first event to the last."""
        check = None if dirty is None else partial(self.known.check, source, dirty)
        return Verification(source=source, anchors=anchors or self.anchors, check=check, stretch=STRETCH).run()


@pytest.fixture(scope="module")
def subject(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("touched")
    with fresh_database(servers) as database:
        make_partitions_small(database, WIDTH)
        asyncio.run(_write(database))
        path = folder / "anchors.jsonl"
        anchors = asyncio.run(anchor(database, servers.keys, path, every_events=STRETCH))
        archive_log(database.owner, folder / "archive", anchors=anchors, keep=1, file_events=FILE_EVENTS)
        known = Rechecking()
        with PostgresLogSource.connect(database.admin, ParquetArchive(folder / "archive")) as source:
            content = MutableLog.copy_of(source)
            learn = partial(known.learn, source)
            verdict = Verification(source=source, anchors=anchors, check=learn, stretch=STRETCH).run()
        assert (verdict.findings, verdict.events, verdict.anchored_to) == ((), EVENTS, EVENTS)
        key = AnchorKey(servers.keys.signing_pem)
        yield Subject(database, folder / "archive", key, AnchorFile(path).lines(), anchors, known, content)


async def _write(database: DatabaseUrls) -> None:
    async with PostgresEventStore(database.writer) as store:
        writer = LogWriter(store)
        for sequence in range(WIDTH // 2, EVENTS, WIDTH // 2):
            await writer.write_to(sequence, most=12)
            await store.database.fetch("SELECT log.prepare_partitions()")
        await writer.write_to(EVENTS, most=12)


# --- What is expected -------------------------------------------------------------------------------------------------

Expect = Callable[[Finding], bool]


def exactly(sequence: int) -> Expect:
    return lambda finding: finding.place == "event" and finding.first_sequence == finding.last_sequence == sequence


def between_anchors_around(sequence: int, anchors: CheckedAnchors) -> Expect:
    places = {0, *anchors.hashes()}

    def expect(finding: Finding) -> bool:
        first, last = finding.first_sequence, finding.last_sequence
        assert first is not None
        assert last is not None
        is_tight = first - 1 == max(place for place in places if place < sequence)
        return is_tight and first <= sequence <= last and (last in places or last <= sequence + 1)

    return expect


def at_place(place: str, kind: Kind) -> Expect:
    return lambda finding: (finding.place, finding.kind) == (place, kind)


def commands_around(*sequences: int) -> Expect:
    def expect(finding: Finding) -> bool:
        first, last = finding.first_sequence, finding.last_sequence
        assert first is not None
        assert last is not None
        is_of_commands = finding.kind in (Kind.COMMAND_WRONG, Kind.COMMANDS_CHANGED)
        return is_of_commands and any(first <= sequence <= last for sequence in sequences)

    return expect


def assert_found(verdict: Verdict, expect: Expect, what: str) -> None:
    finding = verdict.first_finding
    assert finding is not None, f"not found: {what}"
    assert expect(finding), f"{what}: {finding}"


# --- In memory --------------------------------------------------------------------------------------------------------

Mutation = Callable[[Random, Subject, MutableLog], tuple[Expect, str]]


def flip_a_bit_of_an_event(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    place = random.randrange(len(log.event_rows))
    row = log.event_rows[place]
    column = random.choice(sorted(COLUMNS))
    where = field_of(row, COLUMNS[column])
    changed = row[: where.start] + flipped(row[where], random.randrange(8 * len(row[where]))) + row[where.stop :]
    log.event_rows[place] = changed
    if column == "sequence":
        log.sort_events()
    sequence, now = place + 1, sequence_of(changed)
    log.dirty = [max(1, min(now, EVENTS)), sequence]
    # An event that is moved before where it was is one too many there; moved behind, it is missing where it was.
    return exactly(min(sequence, now)), f"{column} of {sequence}"


def delete_an_event(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    sequence = random.randrange(1, EVENTS)
    del log.event_rows[sequence - 1]
    log.dirty = [sequence]
    return exactly(sequence), f"deleted {sequence}"


def insert_an_event(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    like = decoded(log.event_rows[random.randrange(len(log.event_rows))])
    sequence = random.randrange(1, EVENTS)
    before = decoded(log.event_rows[sequence - 1])
    forged = rehashed(like, sequence=sequence, previous_hash=before.hash, recorded_at_us=before.recorded_at_us)
    # Before or behind the event that has this sequence: a query may return two of one sequence in either order.
    log.event_rows.insert(sequence - random.randrange(2), encode_row(forged))
    log.dirty = [sequence]
    # Where the forged one comes first, it is the one that follows another hash.
    return lambda finding: finding.last_sequence == sequence, f"inserted {sequence}"


def swap_two_events(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    one, other = sorted(random.sample(range(1, EVENTS + 1), 2))
    first, second = decoded(log.event_rows[one - 1]), decoded(log.event_rows[other - 1])
    log.event_rows[one - 1] = encode_row(msgspec.structs.replace(second, sequence=one))
    log.event_rows[other - 1] = encode_row(msgspec.structs.replace(first, sequence=other))
    log.dirty = [one, other]
    return exactly(one), f"swapped {one} and {other}"


def rewrite_an_event_and_its_hash(random: Random, subject: Subject, log: MutableLog) -> tuple[Expect, str]:
    sequence = random.randrange(1, EVENTS)
    event = decoded(log.event_rows[sequence - 1])
    log.event_rows[sequence - 1] = encode_row(rehashed(event, payload=event.payload + b" "))
    log.dirty = [sequence, sequence + 1]
    return between_anchors_around(sequence, subject.anchors), f"rewritten {sequence}"


def chain_the_tail_anew(random: Random, subject: Subject, log: MutableLog) -> tuple[Expect, str]:
    sequence = random.randrange(EVENTS - 1_500, EVENTS + 1)
    events = [decoded(row) for row in log.event_rows[sequence - 1 :]]
    tail = rehashed_tail(events, payload=b'{"quantity":1000000}')
    log.event_rows[sequence - 1 :] = [encode_row(event) for event in tail]
    leaves = {event.stream_id.encode(): leaf_of(event) for event in tail}
    log.stream_rows = [row._replace(leaf=leaves.get(row.stream_id, row.leaf)) for row in log.stream_rows]
    log.log_state = log.log_state._replace(hash=tail[-1].hash)
    log.dirty = list(range(sequence, EVENTS + 1))
    return between_anchors_around(sequence, subject.anchors), f"chained anew from {sequence}"


def change_the_head(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    state = log.log_state
    column = random.choice(("sequence", "hash", "recorded_at_us", "epoch"))
    match column:
        case "hash":
            changed: Any = flipped(state.hash, random.randrange(256))
        case "epoch":
            changed = state.epoch + str(random.randrange(10))
        case "sequence":
            # Down, and up by less than what is read again; far up is in what SQL does.
            changed = state.sequence ^ (1 << random.randrange(14))
        case _:
            changed = state.recorded_at_us ^ (1 << random.randrange(40))
    log.log_state = state._replace(**{column: changed})
    log.dirty = [EVENTS]

    def expect(finding: Finding) -> bool:
        if column == "sequence":
            # Where the head says more than there is, an event is missing; less, and there are events behind it.
            return finding.first_sequence == min(changed, EVENTS) + 1
        return finding.place == "head"

    return expect, f"head's {column}: {changed!r}"


def change_where_a_stream_ends(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    place = random.randrange(len(log.stream_rows))
    row = log.stream_rows[place]
    kind = random.choice(("version", "leaf", "snapshot", "gone", "extra", "renamed"))
    named = row.stream_id
    match kind:
        case "version":
            log.stream_rows[place] = row._replace(version=row.version ^ (1 << random.randrange(62)))
        case "leaf":
            log.stream_rows[place] = row._replace(leaf=flipped(row.leaf, random.randrange(256)))
        case "snapshot":
            some = random.sample(log.event_rows, 20)
            # The landmark lies just before the event that it speaks of.
            foreign = [sequence_of(event) - 1 for event in some if event[field_of(event, 5)] != row.stream_id]
            foreign = [landmark for landmark in foreign if landmark]
            log.stream_rows[place] = row._replace(snapshot_sequence=random.choice([*foreign, -1, EVENTS + 5]))
        case "gone":
            del log.stream_rows[place]
        case "extra":
            named = b"account-nobody"
            log.stream_rows.append(row._replace(stream_id=named))
        case _:
            log.stream_rows[place] = row._replace(stream_id=row.stream_id + b"x")
    # The new snapshot places are looked for anew.
    log.dirty = [row.snapshot_sequence + 1 for row in log.stream_rows if row.snapshot_sequence > 0]
    names = (f"stream {named.decode()}", f"stream {named.decode()}x")
    return lambda finding: finding.kind == Kind.STREAM_WRONG and finding.place in names, f"{kind} of {named!r}"


def change_an_outcome(random: Random, _: Subject, log: MutableLog) -> tuple[Expect, str]:
    place = random.randrange(len(log.command_rows))
    row = log.command_rows[place]
    first = read_outcome(row).first_sequence
    kind = random.choice((*COMMAND_COLUMNS, "gone", "extra", "swapped"))
    touched = [first]
    match kind:
        case "gone":
            del log.command_rows[place]
        case "extra":
            log.command_rows.append(_like(row, key="forged"))
        case "swapped":
            other = log.command_rows[place - 1]
            log.command_rows[place] = _like(row, key=f"{random.random()}")
            log.command_rows[place - 1] = _like(other, key=f"{random.random()}")
            touched.append(read_outcome(other).first_sequence)
        case column:
            where = field_of(row, COMMAND_COLUMNS.index(column))
            changed = (
                row[: where.start] + flipped(row[where], random.randrange(8 * len(row[where]))) + row[where.stop :]
            )
            log.command_rows[place] = changed
            touched.append(read_outcome(changed).first_sequence)
    log.sort_commands()
    log.dirty = [max(1, min(sequence, EVENTS)) for sequence in touched]
    return commands_around(*touched), f"outcome's {kind} at {first}"


def _like(row: bytes, *, key: str) -> bytes:
    outcome = read_outcome(row)
    return encode_outcome(
        first_sequence=outcome.first_sequence,
        last_sequence=outcome.last_sequence,
        recorded_at_us=outcome.recorded_at_us,
        scope="acc_1",
        key=key,
        request_hash=b"request",
        status="appended",
    )


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (flip_a_bit_of_an_event, 500),
    (delete_an_event, 100),
    (insert_an_event, 100),
    (swap_two_events, 100),
    (rewrite_an_event_and_its_hash, 100),
    (chain_the_tail_anew, 40),
    (change_the_head, 80),
    (change_where_a_stream_ends, 120),
    (change_an_outcome, 200),
)


@pytest.mark.parametrize(("mutate", "times"), MUTATIONS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_is_touched_in_memory_is_found_where_it_is(subject: Subject, mutate: Mutation, times: int) -> None:
    random = Random(f"{mutate.__name__} 1")  # noqa: S311 - seeded, no secret
    for _ in range(times):
        log = subject.content.copy()
        expect, what = mutate(random, subject, log)
        assert_found(subject.verify(log, dirty=log.dirty), expect, what)


# --- Anchors ----------------------------------------------------------------------------------------------------------


def test_anchors_that_are_touched_are_found_by_the_public_key_alone(subject: Subject) -> None:
    random = Random("anchors 1")  # noqa: S311 - seeded, no secret
    for _ in range(120):
        lines = list(subject.lines)
        place = random.randrange(len(lines))
        kind = random.choice(("flip", "flip", "flip", "gone", "twice", "swapped", "foreign"))
        line = place + 1
        match kind:
            case "flip":
                content = b"\n".join(lines) + b"\n"
                begin = sum(len(before) + 1 for before in lines[:place])
                content = flipped(content, 8 * begin + random.randrange(8 * (len(lines[place]) + 1)))
                lines = content.split(b"\n")[:-1]
            case "gone":
                del lines[place]
            case "twice":
                lines.insert(place, lines[place])
                line += 1
            case "swapped":
                place = min(place, len(lines) - 2)
                line = place + 1
                lines[place], lines[place + 1] = lines[place + 1], lines[place]
            case _:
                other = msgspec.structs.replace(subject.anchors.anchors[place], sequence=1 + random.randrange(EVENTS))
                lines[place] = msgspec.json.encode({"anchor": other, "signature": random.randbytes(64)})
        checked = check_anchors(lines, subject.key.verify)
        verdict = subject.verify(subject.content, dirty=[], anchors=checked)
        # One that is gone from the end shows by what the database remembers.
        found = [f for f in verdict.findings if f.kind in (Kind.ANCHOR_INVALID, Kind.ANCHOR_MISSING)]
        assert found, f"not found: {kind} in line {line}"
        assert found[0].place == f"anchor line {line}", f"{kind} in line {line}: {found[0]}"
        assert all(f.first_sequence is None for f in found)


def test_what_the_database_remembers_of_the_last_anchor_cannot_be_changed(subject: Subject) -> None:
    random = Random("remembered 1")  # noqa: S311 - seeded, no secret
    remembered = subject.content.log_state.anchored
    assert remembered is not None
    for _ in range(40):
        log = subject.content.copy()
        changed: LastAnchor | None = random.choice(
            (
                None,
                remembered._replace(number=remembered.number ^ (1 << random.randrange(20))),
                remembered._replace(sequence=remembered.sequence ^ (1 << random.randrange(60))),
                remembered._replace(digest=flipped(remembered.digest, random.randrange(256))),
            )
        )
        log.log_state = log.log_state._replace(anchored=changed)
        finding = subject.verify(log, dirty=[]).first_finding
        assert finding is not None, changed
        assert finding.kind == Kind.ANCHOR_MISSING


# --- By SQL -----------------------------------------------------------------------------------------------------------

Sql = psycopg.Connection[Any]
Act = Callable[[Random, Subject, Sql], tuple[Expect, str, list[int]]]
_FLIPS = {
    "bytea": "set_bit({column}, {bit}, 1 - get_bit({column}, {bit}))",
    "bigint": "{column} # (1::bigint << {bit})",
    "text": "overlay({column} PLACING chr(ascii(substr({column}, {place}, 1)) # {small}) FROM {place})",
    "timestamptz": "{column} + {sign} * (1::bigint << {bit}) * interval '1 microsecond'",
}
_EVENT_TYPES = {
    "sequence": "bigint", "stream_id": "text", "version": "bigint", "name": "text", "command_id": "text",
    "metadata": "bytea", "payload": "bytea", "recorded_at": "timestamptz", "previous_hash": "bytea", "hash": "bytea",
}  # fmt: skip


def flip(random: Random, connection: Sql, table: str, column: str, kind: str, where: str) -> bool:  # noqa: PLR0917
    """Flip a bit of one row's column, another one where a constraint guards the first; False where all are guarded."""
    size = f"8 * octet_length({column})" if kind == "bytea" else f"length({column}::text)"
    measured = connection.execute(f"SELECT {size} FROM {table} WHERE {where}".encode())  # noqa: S608 - names of ours
    (length,) = measured.fetchone() or (0,)
    for bit in random.sample(range(length if kind == "bytea" else 40), min(length, 40) if kind == "bytea" else 40):
        place = 1 + random.randrange(length) if kind == "text" else 0
        expression = _FLIPS[kind].format(
            column=column, bit=bit, place=place, small=1 << random.randrange(3), sign=random.choice((-1, 1))
        )
        try:
            with connection.transaction():
                statement = f"UPDATE {table} SET {column} = {expression} WHERE {where}"  # noqa: S608 - likewise
                connection.execute(statement.encode())
        except (psycopg.IntegrityError, psycopg.DataError):
            continue
        return True
    return False


def sql_flip_an_event(random: Random, _: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    sequence = random.randrange(WIDTH, EVENTS + 1)
    column = random.choice(sorted(_EVENT_TYPES))
    if not flip(random, connection, "log.events", column, _EVENT_TYPES[column], f"sequence = {sequence}"):
        column = "payload"
        flip(random, connection, "log.events", column, "bytea", f"sequence = {sequence}")
    if column != "sequence":
        return exactly(sequence), f"{column} of {sequence}", [sequence]
    # The bit moved it to a sequence that was free: behind the end.
    is_last = sequence == EVENTS
    return (
        lambda finding: (
            finding.first_sequence == finding.last_sequence == sequence and (is_last or finding.place == "event")
        ),
        f"sequence of {sequence}",
        [sequence],
    )


def sql_delete(random: Random, _: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    sequence = random.randrange(WIDTH, EVENTS + 1)
    connection.execute("DELETE FROM log.events WHERE sequence = %s", (sequence,))
    return lambda finding: finding.first_sequence == sequence, f"deleted {sequence}", [sequence]


def sql_insert(random: Random, subject: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    """Put an event at the end, chained as it should be, or where archives took over."""
    is_behind = random.random() < 0.5
    last = decoded(subject.content.event_rows[-1])
    ends = {row.stream_id.decode(): row.version for row in subject.content.stream_rows}
    version = ends[last.stream_id] + 1
    if is_behind:
        forged = rehashed(last, sequence=EVENTS + 1, version=version, previous_hash=last.hash)
    else:
        forged = rehashed(last, sequence=random.randrange(1, WIDTH), version=version)
        connection.execute(f"CREATE TABLE log.forged PARTITION OF log.events FOR VALUES FROM (0) TO ({WIDTH})".encode())
    connection.execute(
        "INSERT INTO log.events VALUES (%s, %s, %s, %s, %s, %s, %s,"
        " 'epoch'::timestamptz + %s * interval '1 microsecond', %s, %s)",
        msgspec.structs.astuple(forged),
    )
    return lambda finding: finding.first_sequence == forged.sequence, f"inserted {forged.sequence}", [1, EVENTS]


def sql_swap(random: Random, _: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    one, other = sorted(random.sample(range(WIDTH, EVENTS + 1), 2))
    aside = EVENTS + 500
    for old, new in ((one, aside), (other, one), (aside, other)):
        connection.execute("UPDATE log.events SET sequence = %s WHERE sequence = %s", (new, old))
    return exactly(one), f"swapped {one} and {other}", [one, other]


def sql_chain_the_tail_anew(random: Random, subject: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    sequence = random.randrange(EVENTS - 1_500, EVENTS + 1)
    events = [decoded(row) for row in subject.content.event_rows[sequence - 1 :]]
    tail = rehashed_tail(events, payload=b'{"quantity":1000000}')
    connection.execute("UPDATE log.events SET payload = %s WHERE sequence = %s", (tail[0].payload, sequence))
    connection.execute(
        "UPDATE log.events AS events SET previous_hash = new.previous_hash, hash = new.hash"
        " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS new (sequence, previous_hash, hash)"
        " WHERE events.sequence = new.sequence",
        ([e.sequence for e in tail], [e.previous_hash for e in tail], [e.hash for e in tail]),
    )
    connection.execute("UPDATE log.head SET hash = %s", (tail[-1].hash,))
    for event in {event.stream_id: event for event in tail}.values():
        connection.execute("UPDATE log.streams SET leaf = %s WHERE stream_id = %s", (leaf_of(event), event.stream_id))
    dirty = list(range(sequence, EVENTS + 1))
    return between_anchors_around(sequence, subject.anchors), f"chained anew from {sequence}", dirty


def sql_change_the_head(random: Random, _: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    columns = {"sequence": "bigint", "hash": "bytea", "recorded_at": "timestamptz", "restore_count": "integer"}
    column = random.choice(sorted(columns))
    if column == "restore_count":
        connection.execute("UPDATE log.head SET restore_count = restore_count + %s", (1 + random.randrange(9),))
    else:
        flip(random, connection, "log.head", column, columns[column], "only_row")
    (now,) = connection.execute("SELECT sequence FROM log.head").fetchone() or (0,)
    if column == "sequence":
        return lambda finding: finding.first_sequence == min(now, EVENTS) + 1, f"head at {now}", [EVENTS]
    return lambda finding: finding.place == "head", f"head's {column}", [EVENTS]


def sql_change_a_stream(random: Random, subject: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    stream = random.choice(subject.content.stream_rows).stream_id.decode()
    where = f"stream_id = '{stream}'"
    kind = random.choice(("version", "leaf", "snapshot_sequence", "stream_id", "gone"))
    match kind:
        case "gone":
            connection.execute("DELETE FROM log.streams WHERE stream_id = %s", (stream,))
        case "snapshot_sequence":
            connection.execute(
                "UPDATE log.streams SET snapshot_sequence = ("
                "  SELECT sequence - 1 FROM log.events WHERE stream_id <> %s AND sequence > 1"
                "  ORDER BY sequence LIMIT 1 OFFSET %s"
                ") WHERE stream_id = %s",
                (stream, random.randrange(1_000), stream),
            )
        case column:
            types = {"version": "bigint", "leaf": "bytea", "stream_id": "text"}
            flip(random, connection, "log.streams", column, types[column], where)
    if kind == "stream_id":
        return lambda finding: finding.kind == Kind.STREAM_WRONG, f"renamed {stream}", []
    return at_place(f"stream {stream}", Kind.STREAM_WRONG), f"{kind} of {stream}", []


def sql_change_an_outcome(random: Random, subject: Subject, connection: Sql) -> tuple[Expect, str, list[int]]:
    outcome = read_outcome(random.choice(subject.content.command_rows))
    first = outcome.first_sequence
    where = f"first_sequence = {first}"
    types = {
        "scope": "text", "key": "text", "request_hash": "bytea", "status": "text", "first_sequence": "bigint",
        "last_sequence": "bigint", "recorded_at": "timestamptz",
    }  # fmt: skip
    kind = random.choice((*sorted(types), "gone", "extra"))
    touched = [first]
    match kind:
        case "gone":
            connection.execute("DELETE FROM log.commands WHERE first_sequence = %s", (first,))
        case "extra":
            connection.execute(
                "INSERT INTO log.commands"
                " SELECT scope, key || 'x', request_hash, status, first_sequence, last_sequence, recorded_at"
                " FROM log.commands WHERE first_sequence = %s",
                (first,),
            )
        case column:
            flip(random, connection, "log.commands", column, types[column], where)
    if kind == "first_sequence":
        known = {read_outcome(row).first_sequence for row in subject.content.command_rows}
        rows = connection.execute("SELECT first_sequence FROM log.commands").fetchall()
        counts = Counter(sequence for (sequence,) in rows)
        # Where it went to: a place of its own, or one that another one has, too.
        touched += [sequence for sequence, count in counts.items() if sequence not in known or count > 1]
    return commands_around(*touched), f"outcome's {kind} at {first}", [min(EVENTS, max(1, one)) for one in touched]


ACTS: tuple[tuple[Act, int], ...] = (
    (sql_flip_an_event, 140),
    (sql_delete, 30),
    (sql_insert, 20),
    (sql_swap, 30),
    (sql_chain_the_tail_anew, 10),
    (sql_change_the_head, 40),
    (sql_change_a_stream, 40),
    (sql_change_an_outcome, 70),
)


@pytest.mark.parametrize(("act", "times"), ACTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_is_touched_by_sql_is_found_where_it_is(subject: Subject, act: Act, times: int) -> None:
    random = Random(f"{act.__name__} 1")  # noqa: S311 - seeded, no secret
    with psycopg.connect(subject.database.admin) as connection:
        source = PostgresLogSource(connection, ParquetArchive(subject.folder))
        for number in range(times):
            expect, what, dirty = act(random, subject, connection)
            # Every twentieth time nothing is taken for known.
            verdict = subject.verify(source, dirty=None if number % 20 == 0 else dirty)
            assert_found(verdict, expect, what)
            connection.rollback()
        assert subject.verify(source, dirty=None).findings == ()


# --- In archives ------------------------------------------------------------------------------------------------------


def _archives(connection: Sql) -> list[tuple[int, int, str]]:
    return connection.execute(
        "SELECT first_sequence, last_sequence, file FROM log.archives ORDER BY first_sequence"
    ).fetchall()


def in_archive(first: int, last: int, file: str) -> Expect:
    return lambda finding: (
        (finding.place, finding.first_sequence, finding.last_sequence) == (f"archive {file}", first, last)
    )


def test_a_flipped_bit_in_an_archive_file_is_found(subject: Subject) -> None:
    random = Random("bits of files 1")  # noqa: S311 - seeded, no secret
    with psycopg.connect(subject.database.admin) as connection:
        source = PostgresLogSource(connection, ParquetArchive(subject.folder))
        for number in range(100):
            first, last, file = random.choice(_archives(connection))
            path = subject.folder / file
            content = path.read_bytes()
            damaged = content[:-1] if number % 10 == 0 else flipped(content, random.randrange(8 * len(content)))
            path.write_bytes(damaged)
            try:
                verdict = subject.verify(source, dirty=list(range(first, last + 1, STRETCH // 2)))
                assert_found(verdict, in_archive(first, last, file), f"{file} of {len(content)} bytes")
            finally:
                path.write_bytes(content)
        assert subject.verify(source, dirty=None).findings == ()


def test_an_archive_file_that_was_written_anew_is_found_by_its_chain(subject: Subject) -> None:
    """Whoever rewrites a file rewrites its checksum and its index, too: the events themselves have to tell."""
    random = Random("rewritten files 1")  # noqa: S311 - seeded, no secret
    with psycopg.connect(subject.database.admin) as connection:
        for number in range(40):
            first, last, file = random.choice(_archives(connection))
            content = (subject.folder / file).read_bytes()
            archive = ParquetArchive(subject.folder)
            events = [decoded(row) for row in subject.content.event_rows[first - 1 : last]]
            place = random.randrange(1, len(events) - 1)
            expect, what = _rewrite(random, subject, events, place, is_rehashed=number % 5 == 0)
            try:
                written = archive.write(events)
                connection.execute(
                    "UPDATE log.archives SET checksum = %s, byte_count = %s WHERE first_sequence = %s",
                    (written.checksum, written.byte_count, first),
                )
                source = PostgresLogSource(connection, archive)
                assert_found(subject.verify(source, dirty=list(range(first, last + 1, STRETCH // 2))), expect, what)
            finally:
                (subject.folder / file).write_bytes(content)
                connection.rollback()


def _rewrite(
    random: Random, subject: Subject, events: list[RecordedEvent], place: int, *, is_rehashed: bool
) -> tuple[Expect, str]:
    event = events[place]
    if is_rehashed:
        events[place] = rehashed(event, payload=event.payload + b" ")
        return between_anchors_around(event.sequence, subject.anchors), f"rewritten {event.sequence}"
    column = random.choice(("payload", "metadata", "name", "command_id", "recorded_at_us", "hash"))
    value: Any = getattr(event, column)
    match value:
        case bytes():
            value = flipped(value, random.randrange(8 * len(value)))
        case str():
            value += "x"
        case _:
            value += 1
    events[place] = msgspec.structs.replace(event, **{column: value})
    return exactly(event.sequence), f"{column} of {event.sequence}"


def test_what_the_database_keeps_of_archives_cannot_be_changed(subject: Subject) -> None:
    random = Random("rows of archives 1")  # noqa: S311 - seeded, no secret
    types = {
        "byte_count": "bigint", "checksum": "bytea", "row_count": "bigint", "first_previous_hash": "bytea",
        "last_hash": "bytea", "first_recorded_at": "timestamptz", "last_recorded_at": "timestamptz", "file": "text",
        "last_sequence": "bigint",
    }  # fmt: skip
    spans = {
        "first_version": "bigint", "last_version": "bigint", "first_sequence": "bigint", "last_sequence": "bigint",
        "stream_id": "text",
    }  # fmt: skip
    with psycopg.connect(subject.database.admin) as connection:
        source = PostgresLogSource(connection, ParquetArchive(subject.folder))
        for number in range(80):
            first, last, file = random.choice(_archives(connection))
            dirty = list(range(first, last + 1, STRETCH // 2))
            streams = connection.execute(
                "SELECT stream_id FROM log.archive_streams WHERE archive = %s ORDER BY 1", (first,)
            ).fetchall()
            stream = random.choice(streams)[0]
            span = f"archive = {first} AND stream_id = '{stream}'"
            match number % 4:
                case 0 | 1:
                    column = random.choice(sorted(types))
                    flip(random, connection, "log.archives", column, types[column], f"first_sequence = {first}")
                    what = f"{column} of {file}"
                case 2:
                    column = random.choice(sorted(spans))
                    flip(random, connection, "log.archive_streams", column, spans[column], span)
                    what = f"index of {file}: {column} of {stream}"
                case _:
                    table, where = random.choice(
                        (("log.archives", f"first_sequence = {first}"), ("log.archive_streams", span))
                    )
                    connection.execute(f"DELETE FROM {table} WHERE {where}".encode())  # noqa: S608 - names of ours
                    what = f"{where} deleted from {table}"
            finding = subject.verify(source, dirty=dirty).first_finding
            assert finding is not None, f"not found: {what}"
            assert finding.first_sequence == first, f"{what}: {finding}"
            assert finding.kind.startswith("ARCHIVE"), f"{what}: {finding}"
            connection.rollback()
        for archived_to in (0, 17, ARCHIVED - FILE_EVENTS, ARCHIVED - 1, ARCHIVED + 1, ARCHIVED + WIDTH):
            connection.execute(sql.SQL("UPDATE log.layout SET archived_to = {}").format(archived_to))
            finding = subject.verify(source, dirty=None).first_finding
            assert finding is not None, f"not found: archived to {archived_to}"
            assert finding.first_sequence == min(archived_to, ARCHIVED) + 1, f"archived to {archived_to}: {finding}"
            connection.rollback()


# --- What is not promised ---------------------------------------------------------------------------------------------


def test_behind_the_last_anchor_a_tail_that_is_chained_anew_does_not_show_and_the_verdict_says_how_far_it_goes(
    subject: Subject,
) -> None:
    kept = subject.anchors.anchors[:-1]
    checked = CheckedAnchors(anchors=kept, holding=kept, findings=())
    log = subject.content.copy()
    events = [decoded(row) for row in log.event_rows[kept[-1].sequence :]]
    tail = rehashed_tail(events, payload=b"{}")
    log.event_rows[kept[-1].sequence :] = [encode_row(event) for event in tail]
    leaves = {event.stream_id.encode(): leaf_of(event) for event in tail}
    log.stream_rows = [row._replace(leaf=leaves.get(row.stream_id, row.leaf)) for row in subject.content.stream_rows]
    log.log_state = subject.content.log_state._replace(
        hash=tail[-1].hash, anchored=LastAnchor(kept[-1].number, kept[-1].sequence, kept[-1].digest())
    )

    verdict = subject.verify(log, dirty=list(range(kept[-1].sequence + 1, EVENTS + 1)), anchors=checked)

    assert verdict.findings == ()
    assert verdict.anchored_to == kept[-1].sequence < EVENTS
