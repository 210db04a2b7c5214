"""Roles whose wall clock is wrong: `python -m infra.kills.stepped_clock FILE ROLE…` runs them as `khata run` does.

FILE holds the seconds by which it is wrong, and may change at any time, as the clock of a machine that somebody sets.
The monotonic clock goes on as it was: the kernel does not step it either.
"""

import runpy
import sys
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

NS_PER_S = 1_000_000_000
_LOOK_EVERY_NS = 20_000_000


class SteppedClock:
    """The wall clock, wrong by what *file* says."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._true_ns = time.time_ns
        self._offset_ns = 0
        self._looked_at_ns = 0

    def time_ns(self) -> int:
        """Return what stands for UTC in nanoseconds."""
        now_ns = time.monotonic_ns()
        if now_ns - self._looked_at_ns >= _LOOK_EVERY_NS:
            self._looked_at_ns = now_ns
            self._offset_ns = int(self._file.read_text()) * NS_PER_S
        return self._true_ns() + self._offset_ns

    def time(self) -> float:
        """Return what stands for UTC in seconds."""
        return self.time_ns() / NS_PER_S


def step_times_of_tokens(clock: SteppedClock) -> None:
    """Have the driver that reads tokens ask *clock* what time it is, where it asks `datetime` by itself."""
    import jwt.api_jwt  # noqa: PLC0415 - not before the clock

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(clock.time(), tz)

    jwt.api_jwt.datetime = Stepped  # type: ignore[attr-defined]


def main(file: Path, roles: list[str]) -> None:
    """Run *roles* on the clock of *file*."""
    clock = SteppedClock(file)
    # Before anything of ours or of a driver is loaded, which may take hold of these functions.
    time.time_ns, time.time = clock.time_ns, clock.time
    step_times_of_tokens(clock)
    sys.argv = ["khata", "run", *roles]
    runpy.run_module("infra.cli", run_name="__main__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
