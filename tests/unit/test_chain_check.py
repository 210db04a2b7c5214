"""The check of the log, on logs made in memory: rules that a hash does not show, and stretches cut anywhere."""

from itertools import count
from random import Random

import msgspec
import pytest

from domain.envelope import GENESIS_HASH, RecordedEvent, leaf_of
from domain.integrity.commands import encode_outcome, read_outcome
from domain.integrity.findings import Finding, Kind
from domain.integrity.rows import encode_row
from projections.integrity.ports import LogState, StreamRow
from projections.integrity.verifier import Verification
from tests.support.mutable_log import MutableLog, field_of, flipped, rehashed

EVENTS = 60


def new_log(seed: int = 1) -> list[RecordedEvent]:
    """Return a log of commands with one to five events each, in three streams."""
    random = Random(seed)  # noqa: S311 - seeded, no secret
    versions = dict.fromkeys("abc", 0)
    log: list[RecordedEvent] = []
    for command in count(1):
        stream = random.choice("abc")
        for _ in range(random.randint(1, 5)):
            versions[stream] += 1
            log.append(
                rehashed(
                    RecordedEvent(
                        sequence=len(log) + 1,
                        stream_id=stream,
                        version=versions[stream],
                        name="thing.happened.v1",
                        command_id=f"cmd_{command}",
                        metadata=b"{}",
                        payload=b"%d" % command,
                        recorded_at_us=1_795_149_000_000_000 + command,
                        previous_hash=log[-1].hash if log else GENESIS_HASH,
                        hash=b"",
                    )
                )
            )
            if len(log) == EVENTS:
                return log
    raise AssertionError("unreachable")


def as_source(events: list[RecordedEvent]) -> MutableLog:
    """Return a source of *events* in which everything else says the same."""
    ends = {event.stream_id: event for event in events}
    runs: dict[str, list[RecordedEvent]] = {}
    for event in events:
        runs.setdefault(event.command_id, []).append(event)
    outcomes = [
        encode_outcome(
            first_sequence=run[0].sequence,
            last_sequence=run[-1].sequence,
            recorded_at_us=run[0].recorded_at_us,
            scope="acc_1",
            key=command_id,
            request_hash=b"request",
            status="appended",
        )
        for command_id, run in runs.items()
    ]
    last = events[-1]
    state = LogState(
        sequence=last.sequence,
        last_sequence=last.sequence,
        hash=last.hash,
        recorded_at_us=last.recorded_at_us,
        epoch="aat1r0",
        first_recorded_at_us=events[0].recorded_at_us,
        commands_since_us=0,
        anchored=None,
        audit_number=0,
        audit_hash=bytes(32),
    )
    streams = [
        StreamRow(stream.encode(), end.version, leaf_of(end), snapshot_sequence=0)
        for stream, end in sorted(ends.items())
    ]
    firsts = [read_outcome(row).first_sequence for row in outcomes]
    return MutableLog(state, [encode_row(event) for event in events], outcomes, streams, firsts)


def findings_of(source: MutableLog, *, stretch: int = EVENTS) -> tuple[Finding, ...]:
    return Verification(source=source, stretch=stretch).run().findings


def rechained(events: list[RecordedEvent], place: int, **changes: object) -> list[RecordedEvent]:
    """Return *events* with one changed and every hash from there on made to fit, as if it had been appended so."""
    chained = events[:place]
    for event in events[place:]:
        own = changes if event is events[place] else {}
        chained.append(rehashed(event, previous_hash=chained[-1].hash, **own))
    return chained


@pytest.mark.parametrize("stretch", range(1, EVENTS + 2))
def test_wherever_the_log_is_cut_an_intact_one_has_no_findings(stretch: int) -> None:
    for seed in range(1, 4):
        assert findings_of(as_source(new_log(seed)), stretch=stretch) == ()


@pytest.mark.parametrize("stretch", [1, 2, 3, 5, 8, 13, 21, 60])
def test_wherever_the_log_is_cut_a_wrong_outcome_is_found(stretch: int) -> None:
    source = as_source(new_log())
    for place, row in enumerate(source.command_rows):
        outcome = read_outcome(row)
        for field, kind in ((1, "last_sequence"), (2, "recorded_at"), (6, "status")):
            where = field_of(row, field)
            touched = source.copy()
            touched.command_rows[place] = (
                row[: where.start] + flipped(row[where], 57 % (8 * len(row[where]))) + row[where.stop :]
            )
            found = findings_of(touched, stretch=stretch)
            assert [finding.first_sequence for finding in found] == [outcome.first_sequence], kind
            assert found[0].kind == Kind.COMMAND_WRONG


@pytest.mark.parametrize("stretch", [1, 2, 7, 60])
def test_an_outcome_that_begins_within_the_events_of_another_command_is_found(stretch: int) -> None:
    events = new_log()
    inside = next(
        e.sequence for e, before in zip(events[1:], events, strict=False) if e.command_id == before.command_id
    )
    source = as_source(events)
    source.command_rows.append(
        encode_outcome(
            first_sequence=inside,
            last_sequence=inside,
            recorded_at_us=events[inside - 1].recorded_at_us,
            scope="acc_1",
            key="forged",
            request_hash=b"",
            status="appended",
        )
    )
    source.sort_commands()

    assert [finding.first_sequence for finding in findings_of(source, stretch=stretch)] == [inside]


@pytest.mark.parametrize("stretch", [1, 4, 60])
@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"version": 40}, Kind.VERSION_WRONG), ({"recorded_at_us": 1}, Kind.TIME_FELL)],
    ids=["a version left out", "a time that fell"],
)
def test_what_was_appended_against_the_rules_is_found_though_its_hash_fits(
    changes: dict[str, int], kind: Kind, stretch: int
) -> None:
    for place in (7, 30, EVENTS - 1):
        found = findings_of(as_source(rechained(new_log(), place, **changes)), stretch=stretch)
        assert (found[0].kind, found[0].first_sequence, found[0].last_sequence) == (kind, place + 1, place + 1)


@pytest.mark.parametrize("stretch", [1, 4, 60])
def test_a_stream_begins_at_0_or_1(stretch: int) -> None:
    events = new_log()
    first = next(place for place, event in enumerate(events) if event.stream_id == "b")
    begun_late = [
        msgspec.structs.replace(event, version=event.version + 1) if event.stream_id == "b" else event
        for event in events
    ]

    found = findings_of(as_source(rechained(begun_late, first)), stretch=stretch)

    assert (found[0].kind, found[0].first_sequence) == (Kind.VERSION_WRONG, first + 1)


@pytest.mark.parametrize("field", range(16))
@pytest.mark.parametrize("value", [None, b"", b"x" * 7, b"x" * 40], ids=["null", "empty", "short", "long"])
def test_a_column_that_is_null_or_has_another_length_is_found(field: int, value: bytes | None) -> None:
    source = as_source(new_log())
    row = source.event_rows[24]
    where = field_of(row, field)
    if value == row[where]:
        return  # The fields between the parts of the content are empty.
    size = -1 if value is None else len(value)
    source.event_rows[24] = (
        row[: where.start - 4] + size.to_bytes(4, "big", signed=True) + (value or b"") + row[where.stop :]
    )

    (finding,) = findings_of(source)

    assert finding.last_sequence == 25
