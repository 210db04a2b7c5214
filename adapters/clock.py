"""The machine's clocks."""

import time


class SystemClock:
    """Time as the operating system tells it."""

    def wall_ns(self) -> int:
        """Return UTC in nanoseconds."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return nanoseconds since an arbitrary moment; never steps."""
        return time.monotonic_ns()
