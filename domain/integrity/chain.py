"""The check of the events themselves, one after another: places, hashes, links, times, versions, anchors.

What each rule can name exactly, and what it cannot:

- An event that does not fit its own hash was changed, and so was one that is missing or one too many: that sequence.
- An event that fits its own hash and is not the one that the next event names was changed together with its hash, and
  perhaps events before it: something between the last anchor that fitted and the broken link.
- A tail that was chained anew from some event on shows nothing of that. It ends in another hash than an anchor says:
  something between that anchor and the one before it.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct

from domain.integrity.findings import Finding, Kind, Touched
from domain.integrity.rows import AFTER_STREAM, CONTENT_AT, FIXED, FIXED_LENGTHS, US_FROM_1970_TO_2000

_LINK = Struct(">32sqq32s")
"""What a chain hash is taken of: the hash before, sequence, time (microseconds since 1970), leaf."""
_LENGTH = Struct(">i")
_BEFORE_TIME_US = -(2**63)
_VERSION_BYTES = 8

StreamStart = tuple[int, int]
"""Where a stream is first met: version, sequence."""
StreamEnd = tuple[int, bytes, int]
"""Where a stream was last met: version, leaf, sequence."""
Run = tuple[int, int]
"""Events of one command that follow each other: the last one's sequence, the first one's time (UTC microseconds)."""


@dataclass(slots=True, kw_only=True)
class ChainCheck:
    """Takes in rows (see `rows`), oldest first, from the event after `sequence` on, and keeps what follows from them.

    The rows are a stretch of the log; what came before it is for `Joined` to compare. `anchors` maps sequences to the
    hashes that anchors say, `anchored` is the last of them that is known to fit. `snapshots` are sequences at which
    streams are said to have a snapshot; `seen` has the stream of each that is an event. `starts` and `streams` say
    where each stream is met first and last, `runs` maps the first sequence of a command's events to the run.
    """

    anchors: Mapping[int, bytes]
    sequence: int
    anchored: int
    snapshots: frozenset[int] = frozenset()
    first_previous_hash: bytes | None = None
    first_recorded_at_us: int = _BEFORE_TIME_US
    hash: bytes | None = None
    recorded_at_us: int = _BEFORE_TIME_US
    starts: dict[bytes, StreamStart] = field(default_factory=dict)
    streams: dict[bytes, StreamEnd] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    seen: dict[int, bytes] = field(default_factory=dict)
    first_command: bytes = b""
    last_command: bytes = b""
    _run_first: int = 0
    _run_at_us: int = 0

    def feed(self, rows: Iterable[bytes]) -> None:  # noqa: C901, PLR0912, PLR0915 - one rule after another, on purpose
        """Take in the next rows.

        Raises:
            Touched: one of them is not as it was written. Everything before it is taken in.
        """
        # Every event of the log goes through this one loop: names are local, and nothing is called that need not be.
        unpack_fixed, unpack_after, unpack_length = FIXED.unpack_from, AFTER_STREAM.unpack_from, _LENGTH.unpack_from
        pack_link, fixed_size, after_size = _LINK.pack, FIXED.size, AFTER_STREAM.size
        starts, streams, anchors, snapshots = self.starts, self.streams, self.anchors, self.snapshots
        marked = snapshots | anchors.keys()
        sequence, last_hash, last_at = self.sequence, self.hash, self.recorded_at_us
        run_command = self.last_command
        try:
            for row in rows:
                expected = sequence + 1
                (count, size_1, found, size_2, at, size_3, previous, size_4, own, empty, stream_size) = unpack_fixed(
                    row
                )
                if found != expected:
                    raise _out_of_place(expected, found)
                if (count, size_1, size_2, size_3, size_4, empty) != FIXED_LENGTHS:
                    raise _unreadable(expected)
                at += US_FROM_1970_TO_2000
                leaf = sha256(row[CONTENT_AT:]).digest()
                if own != sha256(pack_link(previous, expected, at, leaf)).digest():
                    raise event_finding(Kind.EVENT_CHANGED, expected, "content, place or time do not fit the hash")
                if previous != last_hash:
                    if last_hash is not None:
                        raise broken(expected, anchored=self.anchored)
                    self.first_previous_hash, self.first_recorded_at_us = previous, at
                if at < last_at:
                    raise event_finding(Kind.TIME_FELL, expected, "recorded before the event that it follows")

                after = fixed_size + stream_size
                stream = row[fixed_size:after]
                version_size, version, name_size = unpack_after(row, after)
                end = streams.get(stream)
                if end is None:
                    starts[stream] = (version, expected)
                elif version != end[0] + 1:
                    raise version_wrong(expected, stream, version, end[0])
                if version_size != _VERSION_BYTES:
                    raise _unreadable(expected)
                streams[stream] = (version, leaf, expected)

                command_at = after + after_size + name_size + 4
                command_end = command_at + 4 + unpack_length(row, command_at)[0]
                command = row[command_at + 4 : command_end]
                if command != run_command:
                    if self._run_first:
                        self.runs[self._run_first] = (sequence, self._run_at_us)
                    else:
                        self.first_command = command
                    self._run_first, self._run_at_us, run_command = expected, at, command
                if expected in marked:
                    if anchors.get(expected, own) != own:
                        raise rehashed(expected, anchored=self.anchored)
                    if expected in anchors:
                        self.anchored = expected
                    if expected in snapshots:
                        self.seen[expected] = stream
                sequence, last_hash, last_at = expected, own, at
        except struct.error:
            raise _unreadable(sequence + 1) from None
        finally:
            self.sequence, self.hash, self.recorded_at_us, self.last_command = sequence, last_hash, last_at, run_command

    def end(self) -> None:
        """Say that no more rows come: the last run ends here."""
        if self._run_first:
            self.runs[self._run_first] = (self.sequence, self._run_at_us)


def broken(sequence: int, *, anchored: int) -> Touched:
    """Return what a link that does not hold before *sequence* says, where *anchored* is the last anchor that fits."""
    return Touched(
        Finding(
            kind=Kind.CHAIN_BROKEN,
            place="event",
            detail=f"event {sequence} follows another hash than event {sequence - 1} has: an event was rewritten"
            " together with its hash",
            first_sequence=anchored + 1,
            last_sequence=sequence,
        )
    )


def rehashed(sequence: int, *, anchored: int) -> Touched:
    """Return what an anchor at *sequence* that does not fit says, where *anchored* is the last that does."""
    return Touched(
        Finding(
            kind=Kind.REHASHED,
            place="event",
            detail=f"the anchor at {sequence} has another hash: after {anchored} the log was chained anew",
            first_sequence=anchored + 1,
            last_sequence=sequence,
        )
    )


def version_wrong(sequence: int, stream: bytes, version: int, before: int | None) -> Touched:
    """Return what a version that does not follow the one *before* it in its stream says (None: it is the first)."""
    name = stream.decode(errors="replace")
    expected = "0 or 1" if before is None else str(before + 1)
    return event_finding(Kind.VERSION_WRONG, sequence, f"stream {name} has version {version} here, expected {expected}")


def event_finding(kind: Kind, sequence: int, detail: str) -> Touched:
    """Return a finding at exactly *sequence*."""
    return Touched(Finding(kind=kind, place="event", detail=detail, first_sequence=sequence, last_sequence=sequence))


def _unreadable(sequence: int) -> Touched:
    return event_finding(Kind.EVENT_UNREADABLE, sequence, "a column is empty or has another length than an event's has")


def _out_of_place(expected: int, found: int) -> Touched:
    if found < expected:
        return event_finding(Kind.EVENT_EXTRA, found, "there is an event too many")
    return event_finding(Kind.EVENT_MISSING, expected, f"the next event has sequence {found}")
