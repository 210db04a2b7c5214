"""The check of the audit table names the first entry that is not as it was written."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from msgspec.structs import replace

from domain.audit import AuditEntry, AuditKind, RecordedEntry, encode
from domain.envelope import GENESIS_HASH, chain_hash
from domain.integrity.audit import AuditCheck
from domain.integrity.findings import Kind


def chained(bodies: list[bytes], *, after: RecordedEntry | None = None) -> list[RecordedEntry]:
    entries: list[RecordedEntry] = []
    number, previous = (0, GENESIS_HASH) if after is None else (after.number, after.hash)
    for body in bodies:
        number += 1
        own = chain_hash(previous=previous, sequence=number, recorded_at_us=number, leaf=sha256(body).digest())
        entries.append(RecordedEntry(number=number, body=body, recorded_at_us=number, previous_hash=previous, hash=own))
        previous = own
    return entries


ENTRIES = chained([encode(AuditEntry(kind=AuditKind.REFUSED, code=f"CODE_{number}")) for number in range(1, 21)])
ANCHORS = {10: ENTRIES[9].hash, 20: ENTRIES[19].hash}


def rechained(entries: list[RecordedEntry], place: int) -> list[RecordedEntry]:
    tail = [b"{}", *(entry.body for entry in entries[place + 1 :])]
    return [*entries[:place], *chained(tail, after=entries[place - 1])]


def without(entries: list[RecordedEntry], place: int) -> list[RecordedEntry]:
    return [*entries[:place], *entries[place + 1 :]]


def changed(entries: list[RecordedEntry], place: int) -> list[RecordedEntry]:
    return [*entries[:place], replace(entries[place], body=b"{}"), *entries[place + 1 :]]


def swapped(entries: list[RecordedEntry], place: int) -> list[RecordedEntry]:
    one, other = entries[place], entries[place + 1]
    numbered = [replace(other, number=one.number), replace(one, number=other.number)]
    return [*entries[:place], *numbered, *entries[place + 2 :]]


def test_what_was_written_passes_page_by_page() -> None:
    check = AuditCheck(ANCHORS)
    for start in range(0, 20, 7):
        check.feed(ENTRIES[start : start + 7])
    assert check.end(20, ENTRIES[-1].hash) is None
    assert check.number == 20


@pytest.mark.parametrize("place", [1, 5, 12, 17])
@pytest.mark.parametrize(
    ("touch", "kind"), [(without, Kind.AUDIT_MISSING), (changed, Kind.AUDIT_CHANGED), (swapped, Kind.AUDIT_CHANGED)]
)
def test_the_first_entry_that_was_touched_is_named(
    touch: Callable[[list[RecordedEntry], int], list[RecordedEntry]], kind: Kind, place: int
) -> None:
    check = AuditCheck({})
    check.feed(touch(ENTRIES, place))
    finding = check.end(20, ENTRIES[-1].hash)
    assert finding is not None
    assert (finding.kind, finding.place) == (kind, f"audit entry {place + 1}")


def test_a_tail_that_was_chained_anew_shows_at_the_next_anchor() -> None:
    touched = rechained(ENTRIES, 12)
    check = AuditCheck(ANCHORS)
    check.feed(touched)
    finding = check.end(20, touched[-1].hash)
    assert finding is not None
    assert (finding.kind, finding.place) == (Kind.AUDIT_CHANGED, "audit entry 20")


def test_an_end_that_is_gone_shows_by_the_head_or_by_the_anchor() -> None:
    check = AuditCheck({})
    check.feed(ENTRIES[:15])
    by_head = check.end(20, ENTRIES[-1].hash)
    anchored = AuditCheck(ANCHORS)
    anchored.feed(ENTRIES[:15])
    by_anchor = anchored.end(15, ENTRIES[14].hash)
    for finding in (by_head, by_anchor):
        assert finding is not None
        assert (finding.kind, finding.place) == (Kind.AUDIT_MISSING, "audit entry 16")
