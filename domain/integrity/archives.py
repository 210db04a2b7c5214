"""What is known of an archive file, and the check of the file's rows against it."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from domain.envelope import RecordedEvent
from domain.integrity.findings import Finding, Kind, Touched


class StreamSpan(NamedTuple):
    """Where events of a stream lie in an archive file: the side index has one for each stream of the file."""

    stream_id: str
    first_version: int
    last_version: int
    first_sequence: int
    last_sequence: int


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """One archive file. `file` is its name in the archive folder, `checksum` the SHA-256 of it; times in UTC µs."""

    first_sequence: int
    last_sequence: int
    file: str
    byte_count: int
    checksum: bytes
    row_count: int
    first_previous_hash: bytes
    last_hash: bytes
    first_recorded_at_us: int
    last_recorded_at_us: int

    def touched(self, kind: Kind, detail: str) -> Touched:
        """Return a finding that holds for the whole file."""
        return Touched(
            Finding(
                kind=kind,
                place=f"archive {self.file}",
                detail=detail,
                first_sequence=self.first_sequence,
                last_sequence=self.last_sequence,
            )
        )

    def check_rows(self, events: list[RecordedEvent]) -> None:
        """Compare what is kept of the file with the *events* in it, whose own chain is checked elsewhere.

        Raises:
            Touched: something differs.
        """
        expected = self.last_sequence - self.first_sequence + 1
        if not events or len(events) != self.row_count or self.row_count != expected:
            raise self.touched(
                Kind.ARCHIVE_ROW_WRONG,
                f"the file has {len(events)} events, log.archives says {self.row_count} in {expected} places",
            )
        first, last = events[0], events[-1]
        said = (
            self.first_sequence, self.last_sequence, self.first_previous_hash, self.last_hash,
            self.first_recorded_at_us, self.last_recorded_at_us,
        )  # fmt: skip
        found = (
            first.sequence, last.sequence, first.previous_hash, last.hash, first.recorded_at_us, last.recorded_at_us,
        )  # fmt: skip
        if said != found:
            raise self.touched(Kind.ARCHIVE_ROW_WRONG, "log.archives says otherwise of the first or the last event")

    def check_index(self, spans: Iterable[StreamSpan], events: list[RecordedEvent]) -> None:
        """Compare the side index of the file, *spans*, with the *events* in it.

        Raises:
            Touched: a stream is missing, too many, or lies elsewhere.
        """
        said, found = set(spans), set(spans_of(events))
        if wrong := sorted(said ^ found):
            raise self.touched(
                Kind.ARCHIVE_INDEX_WRONG, f"the index says otherwise of stream {wrong[0].stream_id}, and perhaps others"
            )


def spans_of(events: Iterable[RecordedEvent]) -> list[StreamSpan]:
    """Return where each stream lies in *events*, which are in the order of the log."""
    spans: dict[str, StreamSpan] = {}
    for event in events:
        span = spans.get(event.stream_id)
        spans[event.stream_id] = (
            StreamSpan(event.stream_id, event.version, event.version, event.sequence, event.sequence)
            if span is None
            else span._replace(last_version=event.version, last_sequence=event.sequence)
        )
    return list(spans.values())
