"""A log's content in memory, to be touched in any way and verified by the product's own verification."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.envelope import RecordedEvent, chain_hash, leaf_of
from domain.integrity.commands import read_outcome
from domain.integrity.joining import Stretch
from domain.integrity.rows import US_FROM_1970_TO_2000
from projections.integrity.ports import LogSource, LogState, StreamRow
from projections.integrity.stretches import Plan, check_stretch

COLUMNS = {
    "sequence": 0, "recorded_at": 1, "previous_hash": 2, "hash": 3, "stream_id": 5, "version": 7, "name": 9,
    "command_id": 11, "metadata": 13, "payload": 15,
}  # fmt: skip
"""Which field of a row has which column."""
COMMAND_COLUMNS = ("first_sequence", "last_sequence", "recorded_at", "scope", "key", "request_hash", "status")


def field_of(row: bytes, number: int) -> slice:
    """Return where a row has the value of its field *number*."""
    at = 2
    for _ in range(number):
        at += 4 + int.from_bytes(row[at : at + 4], "big")
    return slice(at + 4, at + 4 + int.from_bytes(row[at : at + 4], "big"))


def flipped(content: bytes, bit: int) -> bytes:
    """Return *content* with one bit flipped."""
    return content[: bit // 8] + bytes([content[bit // 8] ^ (1 << bit % 8)]) + content[bit // 8 + 1 :]


def sequence_of(row: bytes) -> int:
    return int.from_bytes(row[6:14], "big", signed=True)


def decoded(row: bytes) -> RecordedEvent:
    """Return the event of a row."""
    value = {column: row[field_of(row, number)] for column, number in COLUMNS.items()}
    return RecordedEvent(
        sequence=int.from_bytes(value["sequence"], "big", signed=True),
        stream_id=value["stream_id"].decode(),
        version=int.from_bytes(value["version"], "big", signed=True),
        name=value["name"].decode(),
        command_id=value["command_id"].decode(),
        metadata=value["metadata"],
        payload=value["payload"],
        recorded_at_us=int.from_bytes(value["recorded_at"], "big", signed=True) + US_FROM_1970_TO_2000,
        previous_hash=value["previous_hash"],
        hash=value["hash"],
    )


def rehashed(event: RecordedEvent, **changes: object) -> RecordedEvent:
    """Return *event* with *changes* and a hash that fits them."""
    content = {name: getattr(event, name) for name in RecordedEvent.__struct_fields__} | changes
    changed = RecordedEvent(**content)  # type: ignore[arg-type]
    own = chain_hash(
        previous=changed.previous_hash,
        sequence=changed.sequence,
        recorded_at_us=changed.recorded_at_us,
        leaf=leaf_of(changed),
    )
    return RecordedEvent(**(content | {"hash": own}))  # type: ignore[arg-type]


def rehashed_tail(events: Sequence[RecordedEvent], **changes: object) -> list[RecordedEvent]:
    """Return *events* with *changes* to the first and every hash from there on made to fit."""
    tail = [rehashed(events[0], **changes)]
    for event in events[1:]:
        tail.append(rehashed(event, previous_hash=tail[-1].hash))
    return tail


@dataclass(slots=True)
class MutableLog:
    """Implements `LogSource` over rows in memory. `dirty` says which sequences were touched, for `Rechecking`."""

    log_state: LogState
    event_rows: list[bytes]
    command_rows: list[bytes]
    stream_rows: list[StreamRow]
    command_firsts: list[int]
    dirty: list[int] = field(default_factory=list)

    @classmethod
    def copy_of(cls, source: LogSource) -> "MutableLog":
        """Return what *source* has."""
        state = source.state()
        rows = [row for page in source.rows(1, None) for row in page]
        commands = list(source.commands(1, state.sequence))
        firsts = [read_outcome(row).first_sequence for row in commands]
        return cls(state, rows, commands, list(source.streams()), firsts)

    def copy(self) -> "MutableLog":
        return MutableLog(
            self.log_state,
            list(self.event_rows),
            list(self.command_rows),
            list(self.stream_rows),
            list(self.command_firsts),
        )

    def sort_events(self) -> None:
        """Put events into the order in which a database would return them."""
        self.event_rows.sort(key=sequence_of)

    def sort_commands(self) -> None:
        """Put outcomes into the order in which a database would return them."""
        self.command_rows.sort(key=lambda row: read_outcome(row).first_sequence)
        self.command_firsts = [read_outcome(row).first_sequence for row in self.command_rows]

    def state(self) -> LogState:
        return self.log_state

    def rows(self, first: int, last: int | None) -> Iterator[Sequence[bytes]]:
        begin = 0 if first == 1 else self._place(first)
        end = len(self.event_rows) if last is None else self._place(last + 1)
        yield self.event_rows[begin:end]

    def commands(self, first: int, last: int) -> list[bytes]:
        return self.command_rows[bisect_left(self.command_firsts, first) : bisect_right(self.command_firsts, last)]

    def stray_commands(self, last: int) -> list[bytes]:
        return (
            self.command_rows[: bisect_left(self.command_firsts, 1)]
            + self.command_rows[bisect_right(self.command_firsts, last) :]
        )

    def streams(self, named: Collection[bytes] | None = None) -> Iterator[StreamRow]:
        return (row for row in self.stream_rows if named is None or row.stream_id in named)

    def snapshots(self) -> frozenset[int]:
        return frozenset(row.snapshot_sequence + 1 for row in self.stream_rows if row.snapshot_sequence)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        yield

    def _place(self, sequence: int) -> int:
        # Rows lie nearly at their index: only what was put in or taken out moves them.
        place = min(max(sequence - 1, 0), len(self.event_rows))
        while place > 0 and sequence_of(self.event_rows[place - 1]) >= sequence:
            place -= 1
        while place < len(self.event_rows) and sequence_of(self.event_rows[place]) < sequence:
            place += 1
        return place


class Rechecking:
    """Checks stretches that hold something touched, and remembers what the others were found to be."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int | None], tuple[Plan, Stretch]] = {}

    def learn(self, source: LogSource, wanted: Iterator[Plan]) -> Iterator[Stretch]:
        """Check all of them, of a log that nobody touched."""
        for plan in wanted:
            stretch = check_stretch(source, plan)
            self._known[plan.first, plan.last] = (plan, stretch)
            yield stretch

    def check(self, source: LogSource, dirty: Sequence[int], wanted: Iterator[Plan]) -> Iterator[Stretch]:
        """Check those that hold one of *dirty*, or are planned otherwise than before."""
        for plan in wanted:
            known = self._known.get((plan.first, plan.last))
            is_touched = any(plan.first <= sequence <= (plan.last or sequence) for sequence in dirty)
            if known is None or known[0] != plan or is_touched:
                yield check_stretch(source, plan)
            else:
                yield known[1]
