"""The journal of the books: a file that is only ever appended to, one record a line, as JSON.

A record is handed to the operating system before its effect is answered. Then a killed process loses nothing. A power
cut may lose the last seconds, for nobody waits for the disk: this is an exchange on paper. A last line without its end
is one whose effect was never answered, and is ignored.

Each start writes the file anew with what is left of it (`carrying`): beside the old one, onto the disk, then in its
place, so that a crash leaves either of the two, whole. One simulator at a time holds the folder; it is locked through
the folder itself, because the file is replaced.

A write that fails ends the journal: the books in memory are ahead of it by what could not be written, so no later
record may follow. Who serves is told by `on_failure`, stops, and starts again from what was written.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from adapters.simulator.books.records import Record

_MODE = 0o600
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class JournalUnreadable(Exception):
    """A line that was ended is no record. The simulator does not start, or it would forget what the line said."""

    def __init__(self, path: Path, line: int, cause: str) -> None:
        super().__init__(f"line {line} of {path} is no record of the books: {cause}")
        self.path = path


class JournalInUse(Exception):
    """Another simulator holds the journal. It can be opened when that one has ended."""


class JournalBroken(Exception):
    """A record could not be written. Nothing more is; what was asked for is answered as a fault of the server."""


def _do_nothing() -> None:
    """Be told of a failure where nobody serves."""


class Journal:
    """The file, held and open. Read it, `begin` it anew, then write."""

    def __init__(self, path: Path) -> None:
        """Hold the journal at *path*; its folder has to be there.

        Raises:
            JournalInUse: another simulator holds it.
        """
        self._path = path
        self._folder: int | None = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._file: int | None = None
        self.failure: JournalBroken | None = None
        self.on_failure: Callable[[], None] = _do_nothing
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise JournalInUse(f"another simulator holds {path}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> list[Record]:
        """Return the records so far, oldest first; none where there is no file yet.

        Raises:
            JournalUnreadable: a line is no record.
        """
        try:
            *lines, _torn = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        records: list[Record] = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise JournalUnreadable(self._path, number, str(error)) from error
        return records

    def begin(self, records: Iterable[Record]) -> None:
        """Replace the file by one with *records*, and be ready to write."""
        assert self._folder is not None, "the journal was closed"
        beside = self._path.with_name(f"{self._path.name}.new")
        self._file = os.open(beside, _FRESH, _MODE)
        _write_all(self._file, _lines(records))
        os.fsync(self._file)
        beside.replace(self._path)
        os.fsync(self._folder)

    def write(self, records: Iterable[Record]) -> None:
        """Append *records*.

        Raises:
            JournalBroken: they could not be written, now or at an earlier call.
        """
        if self.failure is not None:
            raise self.failure
        assert self._file is not None, "the journal was not begun, or was closed"
        try:
            _write_all(self._file, _lines(records))
        except OSError as error:
            self.failure = JournalBroken(f"{self._path} cannot be written: {error.strerror}")
            self.on_failure()
            raise self.failure from error

    def close(self) -> None:
        """Let go of it; safe to repeat."""
        for descriptor in (self._file, self._folder):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._folder = None


def _lines(records: Iterable[Record]) -> bytes:
    return b"".join(_encoder.encode(record) + b"\n" for record in records)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
