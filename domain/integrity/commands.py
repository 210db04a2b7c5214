"""The check of the outcomes of commands against their events, and what an anchor says of them.

Outcomes are checked in the form that PostgreSQL's binary COPY gives them (see `rows`): the number of fields, and then
first sequence, last sequence, time, scope, key, request hash and status, each behind its length. As the columns cannot
be told from the events, an anchor holds a hash over these bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from domain.integrity.chain import Run
from domain.integrity.findings import Finding, Kind
from domain.integrity.rows import US_FROM_1970_TO_2000

_FIXED = Struct(">hiqiqiq")
_FIXED_LENGTHS = (7, 8, 8, 8)
_LENGTH = Struct(">i")
_STATUS = _LENGTH.pack(len(b"appended")) + b"appended"
"""Outcomes of commands without events are not kept, so there is no other status."""


class Outcome(NamedTuple):
    """What a row says of a command, as far as its events say it too; the time in UTC microseconds."""

    first_sequence: int
    last_sequence: int
    recorded_at_us: int
    row: bytes

    def problem(self, run: Run) -> str | None:
        """Return what does not fit the events of the command, which are *run*; None where all does."""
        last_sequence, recorded_at_us = run
        if self.last_sequence != last_sequence:
            return f"it says that the events end at {self.last_sequence}, they end at {last_sequence}"
        if self.recorded_at_us != recorded_at_us:
            return "it has another time than its events"
        if not self.row.endswith(_STATUS):
            return "it has another status than 'appended'"
        return None

    def finding(self, detail: str) -> Finding:
        """Return a finding about this outcome."""
        scope, key = _texts(self.row)
        return Finding(
            kind=Kind.COMMAND_WRONG,
            place=f"command {scope}/{key}",
            detail=detail,
            first_sequence=self.first_sequence,
            last_sequence=self.first_sequence,
        )


class Digest(NamedTuple):
    """What an anchor says of the commands it covers: how many `rows`, and the hash over them in order."""

    rows: int
    hash: bytes


def encode_outcome(
    *,
    first_sequence: int,
    last_sequence: int,
    recorded_at_us: int,
    scope: str,
    key: str,
    request_hash: bytes,
    status: str,
) -> bytes:
    """Return an outcome as a row."""
    row = _FIXED.pack(7, 8, first_sequence, 8, last_sequence, 8, recorded_at_us - US_FROM_1970_TO_2000)
    for part in (scope.encode(), key.encode(), request_hash, status.encode()):
        row += _LENGTH.pack(len(part)) + part
    return row


def read_outcome(row: bytes) -> Outcome:
    """Return what *row* says."""
    _, _, first, _, last, _, at = _FIXED.unpack_from(row)
    return Outcome(first, last, at + US_FROM_1970_TO_2000, row)


def digest_of(rows: Sequence[bytes]) -> Digest:
    """Return the digest of *rows*, ordered by first sequence, scope and key."""
    # Each row has its length in it, so that no two lists of rows run together to the same bytes.
    return Digest(len(rows), sha256(b"".join(rows)).digest())


class CheckedCommands(NamedTuple):
    """What is wrong with some outcomes, those that only other events can tell of, and each one's first sequence."""

    findings: list[Finding]
    doubts: list[Outcome]
    firsts: list[int]


def check_commands(rows: Iterable[bytes], runs: Mapping[int, Run], *, first: int, last: int) -> CheckedCommands:
    """Compare *rows*, in the order of first sequences, with the *runs* of a command's events from *first* to *last*."""
    findings, doubts, firsts = [], [], []
    unpack = _FIXED.unpack_from
    before = 0
    for row in rows:
        fields, size_1, begins, size_2, ends, size_3, at = unpack(row)
        firsts.append(begins)
        run = runs.get(begins)
        if run is None or begins in (before, first) or run[0] == last:
            outcome = read_outcome(row)
            if run is None:
                findings.append(outcome.finding("no command's events begin there"))
            elif begins == before:
                findings.append(outcome.finding("another command has the same events"))
            else:
                # The events before or after this stretch may belong to the command.
                doubts.append(outcome)
        elif (
            ends != run[0]
            or at + US_FROM_1970_TO_2000 != run[1]
            or not row.endswith(_STATUS)
            or (fields, size_1, size_2, size_3) != _FIXED_LENGTHS
        ):
            outcome = read_outcome(row)
            findings.append(outcome.finding(outcome.problem(run) or "a column is empty"))
        before = begins
    return CheckedCommands(findings, doubts, firsts)


def _texts(row: bytes) -> tuple[str, str]:
    texts = []
    at = _FIXED.size
    for _ in range(2):
        (size,) = _LENGTH.unpack_from(row, at)
        texts.append(row[at + 4 : at + 4 + size].decode(errors="replace"))
        at += 4 + size
    return texts[0], texts[1]
