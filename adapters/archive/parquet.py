"""Archive files: written once, durably, and believed only with their checksum.

Polars takes a while to load and starts threads, so it is imported when the first file is touched: most processes never
read an archive.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.durable_files import sync_path
from commands.ports import StoreUnavailable
from domain.envelope import RecordedEvent
from domain.integrity.archives import Archive
from domain.integrity.findings import Kind

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP = 5_000
"""Events in a row group: what a reader of few events has to decode."""
_GROUPS_KEPT = 4
_FOLDER_MODE = 0o700
_COMPRESSION_LEVEL = 3
_COLUMNS = (
    "sequence", "stream_id", "version", "name", "command_id", "metadata", "payload", "recorded_at_us",
    "previous_hash", "hash",
)  # fmt: skip


class ArchiveUnreadable(StoreUnavailable):
    """An archive file cannot be read, or is not one. Readers wait for it as they do for the database."""


class ParquetArchive:
    """The archive files in *folder*, written in row groups of *row_group* events and read by as many at a time."""

    def __init__(self, folder: Path, *, row_group: int = ROW_GROUP) -> None:
        self._folder = folder
        self._row_group = row_group
        self._kept: OrderedDict[tuple[str, int], list[RecordedEvent]] = OrderedDict()

    def path_of(self, file: str) -> Path:
        """Return where the archive file of that name lies."""
        return self._folder / file

    def write(self, events: Sequence[RecordedEvent]) -> Archive:
        """Write *events*, which follow each other, to a file, durably, and return what is to be kept of it.

        The file appears at once and whole; one of the same events is replaced.

        Raises:
            OSError: there is no room, or the folder cannot be written to.
        """
        first, last = events[0], events[-1]
        file = f"events-{first.sequence:015d}-{last.sequence:015d}.parquet"
        content = _encode(events, self._row_group)
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        beside = self.path_of(f".{file}.new")
        with beside.open("wb") as unfinished:
            unfinished.write(content)
            unfinished.flush()
            os.fsync(unfinished.fileno())
        beside.replace(self.path_of(file))
        sync_path(self._folder)
        return Archive(
            first_sequence=first.sequence,
            last_sequence=last.sequence,
            file=file,
            byte_count=len(content),
            checksum=sha256(content).digest(),
            row_count=len(events),
            first_previous_hash=first.previous_hash,
            last_hash=last.hash,
            first_recorded_at_us=first.recorded_at_us,
            last_recorded_at_us=last.recorded_at_us,
        )

    def read_whole(self, archive: Archive) -> list[RecordedEvent]:
        """Return every event of the file, after comparing its checksum and then its rows with what is kept of it.

        Raises:
            domain.integrity.findings.Touched: it is gone, or not the file that was written.
        """
        try:
            content = self.path_of(archive.file).read_bytes()
        except (OSError, ValueError) as error:
            raise archive.touched(Kind.ARCHIVE_MISSING, f"it cannot be read: {error}") from None
        if len(content) != archive.byte_count or sha256(content).digest() != archive.checksum:
            # What is not the file that was written is not decoded: a decoder is no judge of hostile bytes.
            raise archive.touched(Kind.ARCHIVE_CHANGED, "its checksum is not the one in log.archives")
        events = _decode(_polars().read_parquet(BytesIO(content)))
        archive.check_rows(events)
        return events

    def read_from(self, archive: Archive, first_sequence: int) -> list[RecordedEvent]:
        """Return events of the file from *first_sequence* on, at least one and at most those of one row group.

        The checksum is not compared (`khata verify` does that); readers check the chain as they go.

        Raises:
            ArchiveUnreadable
        """
        group = (first_sequence - archive.first_sequence) // self._row_group
        events = self._kept.get((archive.file, group))
        if events is None:
            with _readable(archive):
                scan = _polars().scan_parquet(self.path_of(archive.file))
                events = _decode(scan.slice(group * self._row_group, self._row_group).collect())
            if not events or events[0].sequence != archive.first_sequence + group * self._row_group:
                raise ArchiveUnreadable(f"{archive.file} has other events than were archived: `khata verify` says more")
            self._kept[archive.file, group] = events
            with suppress(KeyError):  # Another thread may have been quicker.
                while len(self._kept) > _GROUPS_KEPT:
                    self._kept.popitem(last=False)
        return events[first_sequence - events[0].sequence :]

    def read_stream(
        self, archive: Archive, stream_id: str, *, first_sequence: int, last_sequence: int
    ) -> list[RecordedEvent]:
        """Return a stream's events of the file between two sequences; row groups beside them are not decoded.

        Raises:
            ArchiveUnreadable
        """
        pl = _polars()
        first_group = (first_sequence - archive.first_sequence) // self._row_group
        last_group = (last_sequence - archive.first_sequence) // self._row_group
        with _readable(archive):
            scan = pl.scan_parquet(self.path_of(archive.file)).slice(
                first_group * self._row_group, (last_group - first_group + 1) * self._row_group
            )
            events: list[RecordedEvent] = _decode(scan.filter(pl.col("stream_id") == stream_id).collect())
        return [event for event in events if first_sequence <= event.sequence <= last_sequence]

    def sequence_at(self, archive: Archive, time_us: int) -> int:
        """Return the last sequence of the file recorded at or before *time_us*, which is not before its first event.

        Raises:
            ArchiveUnreadable
        """
        pl = _polars()
        with _readable(archive):
            scan = pl.scan_parquet(self.path_of(archive.file)).filter(pl.col("recorded_at_us") <= time_us)
            found = scan.select(pl.col("sequence").max()).collect().item()
        if found is None:
            raise ArchiveUnreadable(f"{archive.file} has other events than were archived: `khata verify` says more")
        return int(found)


@contextmanager
def _readable(archive: Archive) -> Iterator[None]:
    try:
        yield
    except (OSError, _polars().exceptions.PolarsError, msgspec.MsgspecError) as error:
        raise ArchiveUnreadable(f"{archive.file} cannot be read: {type(error).__name__}") from error


def _encode(events: Sequence[RecordedEvent], row_group: int) -> bytes:
    pl = _polars()
    types = {
        "sequence": pl.Int64, "stream_id": pl.String, "version": pl.Int64, "name": pl.String, "command_id": pl.String,
        "metadata": pl.Binary, "payload": pl.Binary, "recorded_at_us": pl.Int64, "previous_hash": pl.Binary,
        "hash": pl.Binary,
    }  # fmt: skip
    columns = {column: [getattr(event, column) for event in events] for column in _COLUMNS}
    buffer = BytesIO()
    pl.DataFrame(columns, schema=types).write_parquet(
        buffer, compression="zstd", compression_level=_COMPRESSION_LEVEL, row_group_size=row_group, statistics=True
    )
    return buffer.getvalue()


def _decode(frame: "pl.DataFrame") -> list[RecordedEvent]:
    columns = [frame[column].to_list() for column in _COLUMNS]
    return [RecordedEvent(**dict(zip(_COLUMNS, values, strict=True))) for values in zip(*columns, strict=True)]


def _polars() -> Any:
    import polars as pl  # noqa: PLC0415 - see the module's docstring

    return pl
