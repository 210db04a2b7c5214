"""The list of erased users, outside the database: one that is put back to an older state knows nothing of them.

It only grows, a line a user, and holds an id and a time: nothing of the person.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from adapters.durable_files import sync_path
from domain.ids import UserId


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One user who was erased, and when (UTC nanoseconds)."""

    user_id: UserId
    erased_at_ns: int


class ErasuresDamaged(Exception):
    """A line of the list cannot be read. Nothing was changed."""


class ErasureList:
    """The list at *path*. Raises OSError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, user_id: UserId, *, erased_at_ns: int) -> None:
        """Put a user on the list, durable when this returns; one who is on it stays there once."""
        with self._opened() as descriptor:
            content = self._path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if any(each.user_id == user_id for each in _parsed(content[:whole])):
                return
            os.ftruncate(descriptor, whole)  # A line that a crash cut short was never acted on.
            line = msgspec.json.encode(Erasure(user_id=user_id, erased_at_ns=erased_at_ns)) + b"\n"
            os.write(descriptor, line)
            os.fsync(descriptor)

    def read(self) -> list[Erasure]:
        """Return everybody on the list, the first erased first.

        Raises:
            ErasuresDamaged
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return []
        return _parsed(content[: content.rfind(b"\n") + 1])

    def users(self) -> frozenset[str]:
        """Return the ids of everybody on the list; raises as `read` does."""
        return frozenset(each.user_id for each in self.read())

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            sync_path(self._path.parent)
            yield descriptor
        finally:
            os.close(descriptor)


def _parsed(content: bytes) -> list[Erasure]:
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=Erasure))
        except msgspec.MsgspecError as error:
            raise ErasuresDamaged(f"line {number} of the list of erasures cannot be read: {error}") from None
    return found
