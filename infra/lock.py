"""The lock of a home: one engine, or one command that needs the engine's own servers to itself, at a time."""

import fcntl
import os
from typing import IO

from infra.home import Home
from infra.problems import OperatorProblem


class AlreadyRunning(OperatorProblem):
    """Somebody else holds the home folder. Nothing was started."""


class HomeLock:
    """Held until it is released or the process ends, however it ends."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file: IO[str] | None = None

    @property
    def is_held(self) -> bool:
        """Tell whether it is ours."""
        return self._file is not None

    def take(self) -> None:
        """Take the lock of a home whose folders are there.

        Raises:
            AlreadyRunning
        """
        lock = self._home.lock_file.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise AlreadyRunning(
                f"The engine of {self._home.path} already runs (process {holder}).",
                remedy="Stop it, or set KHATA_HOME to another folder.",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._file = lock
        # One left by a supervisor that was killed speaks of processes that may be anybody's by now.
        self._home.runtime_file.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of it; nothing happens where it is not ours."""
        lock, self._file = self._file, None
        if lock is not None:
            self._home.runtime_file.unlink(missing_ok=True)
            lock.close()
