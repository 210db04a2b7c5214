"""Filling a log by COPY: millions of events, chained as appends would have chained them.

Partitions are filled before they get their indexes and are attached last, so the log has to be empty and nobody may
write to it meanwhile. What appends leave beside the events is made too: the heads of the streams, the outcomes of
commands whose keys are still honoured, and the head of the log, so that a log filled like this passes verification.
Partitions are as wide as the log's layout has it; `narrow_partitions` makes them narrower in a log that is empty.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

import psycopg
from psycopg import sql

from domain.envelope import GENESIS_HASH, chain_hash, leaf_hash
from domain.events import encode, name_of
from infra.bench.events import METADATA, LifeCommand

EVENT_BYTES_ON_DISK = 1_000
"""What an event of a bench takes with its share of indexes, rounded up; the log written before a checkpoint aside."""

_HONOURED_US = 14 * 24 * 3600 * 1_000_000
_WEEK_US = 7 * 24 * 3600 * 1_000_000
_US_FROM_1970_TO_2000 = 946_684_800_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK_BYTES = 1 << 20

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_LENGTH = Struct(">i").pack
_BEGINNING = Struct(">hiq").pack
_NUMBER = Struct(">iq").pack
_HASHES = Struct(">i32si32s").pack
_COLUMNS = 10
_INT8_BYTES, _HASH_BYTES = 8, 32

_WIDTH = "SELECT partition_width FROM log.layout"
_CREATE = "CREATE TABLE log.{} (LIKE log.events INCLUDING ALL)"
_COPY = """
    COPY log.{} (
        sequence, stream_id, version, name, command_id, metadata, payload, recorded_at, previous_hash, hash
    ) FROM STDIN (FORMAT binary, FREEZE)
"""
_ATTACH = "ALTER TABLE log.events ATTACH PARTITION log.{} FOR VALUES FROM ({}) TO ({})"
_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log.events'::regclass"
_INDEXES_OF = """
    -- Read which indexes a partition has: their statements, and the constraint where one is a primary key.
    SELECT pg_get_indexdef(indexes.indexrelid), pg_get_constraintdef(keys.oid), indexes.indexrelid::regclass::text
    FROM pg_index AS indexes
    LEFT JOIN pg_constraint AS keys ON keys.conindid = indexes.indexrelid AND keys.contype = 'p'
    WHERE indexes.indrelid = %s::regclass
    ORDER BY indexes.indexrelid
"""
_COPY_STREAMS = "COPY log.streams (stream_id, version, leaf) FROM STDIN"
_COPY_COMMANDS = """
    COPY log.commands (scope, key, request_hash, status, first_sequence, last_sequence, recorded_at) FROM STDIN
"""
_PREPARE_WEEK = "SELECT log.prepare_week(timestamptz 'epoch' + %s * interval '1 microsecond')"
_SET_HEAD = """
    -- Put the log's end where the last event is.
    UPDATE log.head
    SET sequence = %s, hash = %s, recorded_at = timestamptz 'epoch' + %s * interval '1 microsecond'
"""


def narrow_partitions(owner_url: str, width: int) -> None:
    """Let each partition of the empty log of *owner_url* hold *width* sequences."""
    with psycopg.connect(owner_url) as connection:
        for (partition,) in connection.execute(_PARTITIONS).fetchall():
            connection.execute(f"DROP TABLE {partition}".encode())
        connection.execute("UPDATE log.layout SET partition_width = %s", [width])
        connection.execute("SELECT log.prepare_partitions()")


class LogFiller:
    """Fills the empty log of *owner_url* as its owner. *tell* hears how many events there are, now and then.

    `sequence` and `recorded_at_us` are those of the last event.
    """

    def __init__(self, owner_url: str, *, tell: Callable[[int], None]) -> None:
        self._url = owner_url
        self._tell = tell
        self._hash = GENESIS_HASH
        self.recorded_at_us = 0
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._keyed: deque[tuple[int, str, str, int, int]] = deque()
        self._width = 0
        self.sequence = 0

    def fill(self, commands: Iterable[LifeCommand]) -> None:
        """Make *commands* the whole log.

        Raises:
            psycopg.Error: the log is not empty, say, or the disk is full. Drop the database then.
        """
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '256MB'")
            [[self._width]] = connection.execute(_WIDTH).fetchall()
            indexes = connection.execute(_INDEXES_OF, [f"log.{self._partition(0)}"]).fetchall()
            rows = self._rows(commands)
            row = next(rows, None)
            while row is not None:
                row = self._fill_partition(connection, row, rows, indexes)
            self._finish(connection)

    def _fill_partition(
        self, connection: psycopg.Connection[Any], row: bytes, rows: Iterator[bytes], indexes: list[Any]
    ) -> bytes | None:
        """Make the partition that *row* belongs to; return the first row of the next one, None where there is none."""
        number = self.sequence // self._width
        end = (number + 1) * self._width
        name = sql.Identifier(self._partition(number))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS log.{}").format(name))
        with connection.transaction(), connection.cursor() as cursor:
            # Copied into a table of the same transaction, the rows are frozen from the start.
            cursor.execute(sql.SQL(_CREATE).format(name))
            following: bytes | None = None
            with cursor.copy(sql.SQL(_COPY).format(name)) as copy:
                chunk = bytearray(_SIGNATURE)
                chunk += row
                for coming in rows:
                    if self.sequence == end:
                        following = coming
                        break
                    chunk += coming
                    if len(chunk) >= _CHUNK_BYTES:
                        copy.write(bytes(chunk))
                        chunk.clear()
                        self._tell(self.sequence)
                copy.write(bytes(chunk) + _END)
        for definition, key, index_name in indexes:
            if key is not None:
                statement = f"ALTER TABLE log.{self._partition(number)} ADD {key}"
            else:
                # The index gets the name that PostgreSQL would give it.
                statement = definition.replace(f" {index_name.removeprefix('log.')} ON ", " ON ").replace(
                    self._partition(0), self._partition(number)
                )
            connection.execute(statement.encode())
        connection.execute(sql.SQL(_ATTACH).format(name, number * self._width, end))
        return following

    def _partition(self, number: int) -> str:
        return f"events_{number * self._width:015d}"

    def _finish(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy(_COPY_STREAMS) as copy:
                for stream_id, (version, leaf) in self._heads.items():
                    copy.write_row((stream_id, version, leaf))
            if self._keyed:
                first_us, last_us = self._keyed[0][0], self._keyed[-1][0]
                for at_us in [*range(first_us, last_us, _WEEK_US), last_us]:
                    cursor.execute(_PREPARE_WEEK, [at_us])
            with cursor.copy(_COPY_COMMANDS) as copy:
                for at_us, scope, key, first, last in self._keyed:
                    at = _EPOCH + timedelta(microseconds=at_us)
                    copy.write_row((scope, key, b"bench", "appended", first, last, at))
            cursor.execute(_SET_HEAD, [self.sequence, self._hash, self.recorded_at_us])
            cursor.execute("SELECT log.prepare_partitions()")
        connection.execute("VACUUM (ANALYZE) log.events, log.streams, log.commands, log.head")
        self._tell(self.sequence)

    def _rows(self, commands: Iterable[LifeCommand]) -> Iterator[bytes]:
        """Yield each event as a row in COPY's binary form."""
        metadata = _with_length(METADATA)
        texts: dict[str, bytes] = {}
        for command in commands:
            at_us = self.recorded_at_us = command.at_ns // 1_000
            stream_id, command_id = command.stream_id, command.command_id
            at = _NUMBER(_INT8_BYTES, at_us - _US_FROM_1970_TO_2000)
            first_sequence = self.sequence + 1
            for version, event in enumerate(command.events, command.first_version):
                name, payload = name_of(event), encode(event)
                leaf = leaf_hash(
                    stream_id=stream_id,
                    version=version,
                    name=name,
                    command_id=command_id,
                    metadata=METADATA,
                    payload=payload,
                )
                self.sequence = sequence = self.sequence + 1
                previous = self._hash
                self._hash = own = chain_hash(previous=previous, sequence=sequence, recorded_at_us=at_us, leaf=leaf)
                self._heads[stream_id] = (version, leaf)
                yield b"".join(
                    (
                        _BEGINNING(_COLUMNS, _INT8_BYTES, sequence),
                        texts.get(stream_id) or texts.setdefault(stream_id, _with_length(stream_id.encode())),
                        _NUMBER(_INT8_BYTES, version),
                        texts.get(name) or texts.setdefault(name, _with_length(name.encode())),
                        _with_length(command_id.encode()),
                        metadata,
                        _LENGTH(len(payload)),
                        payload,
                        at,
                        _HASHES(_HASH_BYTES, previous, _HASH_BYTES, own),
                    )
                )
            if command.key is not None:
                self._remember(command, command.key, first_sequence, at_us)

    def _remember(self, command: LifeCommand, key: str, first_sequence: int, at_us: int) -> None:
        while self._keyed and self._keyed[0][0] < at_us - _HONOURED_US:
            self._keyed.popleft()
        self._keyed.append((at_us, command.stream_id, key, first_sequence, self.sequence))


def _with_length(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value
