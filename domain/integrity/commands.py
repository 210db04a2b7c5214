"""The check of the outcomes of commands against their events, and what an anchor says of them."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from domain.integrity.chain import Run
from domain.integrity.findings import Finding, Kind

APPENDED = "appended"


class CommandRow(NamedTuple):
    """One row of outcomes; the time in UTC microseconds."""

    first_sequence: int
    scope: str
    key: str
    request_hash: bytes
    status: str
    last_sequence: int
    recorded_at_us: int

    def encoded(self) -> bytes:
        """Return the row as bytes, every part prefixed by its length."""
        parts = (self.scope.encode(), self.key.encode(), self.request_hash, self.status.encode())
        numbers = (self.first_sequence, self.last_sequence, self.recorded_at_us)
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts) + b"".join(
            number.to_bytes(8, "big", signed=True) for number in numbers
        )

    def problem(self, run: Run) -> str | None:
        """Return what does not fit the events of the command, which are *run*; None where all does."""
        last_sequence, recorded_at_us = run
        if self.status != APPENDED:
            return f"its status is {self.status!r}, expected {APPENDED!r}"
        if self.last_sequence != last_sequence:
            return f"it says that the events end at {self.last_sequence}, they end at {last_sequence}"
        if self.recorded_at_us != recorded_at_us:
            return "it has another time than its events"
        return None


class Digest(NamedTuple):
    """What an anchor says of the commands it covers: how many `rows`, and the hash over them in order."""

    rows: int
    hash: bytes


def digest_of(rows: Iterable[CommandRow]) -> Digest:
    """Return the digest of *rows*, ordered by first sequence, scope and key."""
    digest, count = sha256(), 0
    for row in rows:
        digest.update(row.encoded())
        count += 1
    return Digest(count, digest.digest())


def command_finding(row: CommandRow, detail: str) -> Finding:
    """Return a finding about *row*."""
    return Finding(
        kind=Kind.COMMAND_WRONG,
        place=f"command {row.scope}/{row.key}",
        detail=detail,
        first_sequence=row.first_sequence,
        last_sequence=row.first_sequence,
    )


def check_commands(
    rows: Iterable[CommandRow], runs: Mapping[int, Run], *, first: int, last: int
) -> tuple[list[Finding], list[CommandRow]]:
    """Return what is wrong with *rows*, and those that only the stretches beside *first* to *last* can tell of."""
    findings, doubts = [], []
    taken: set[int] = set()
    for row in rows:
        run = runs.get(row.first_sequence)
        if run is None:
            findings.append(command_finding(row, "no command's events begin there"))
        elif row.first_sequence in taken:
            findings.append(command_finding(row, "another command has the same events"))
        elif row.first_sequence == first or run[0] == last:
            doubts.append(row)
        elif (problem := row.problem(run)) is not None:
            findings.append(command_finding(row, problem))
        taken.add(row.first_sequence)
    return findings, doubts
