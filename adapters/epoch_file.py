"""The highest epoch seen, kept outside the database: a database that was put back does not know what it lost."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.durable_files import write_durably
from domain.epoch import Epoch


class EpochFile:
    """The epoch at *path*, shared by every process of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Epoch | None:
        """Return the highest epoch seen, None before the first.

        Raises:
            domain.epoch.EpochInvalid: the file is damaged.
        """
        try:
            return Epoch.parse(self._path.read_text().strip())
        except FileNotFoundError:
            return None

    def see(self, found: Epoch) -> Epoch:
        """Remember *found* where it is the first or comes after the one seen, and return the highest."""
        known = self.read()
        if known is not None and not known.is_before(found):
            return known
        with self._locked():
            known = self.read()
            if known is None or known.is_before(found):
                self.accept(found)
                return found
            return known

    def accept(self, epoch: Epoch) -> None:
        """Remember *epoch* whatever was seen before: an operator says that it is the one."""
        write_durably(self._path, f"{epoch}\n".encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._path.with_name(f".{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
