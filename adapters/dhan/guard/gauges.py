"""What happened to the calls of one class: counts and latencies."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

_LATENCIES_KEPT = 1_000
_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Gauge:
    """Counts of outcomes by name, and the last latencies of answered calls in nanoseconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    latencies_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    def status(self) -> dict[str, Any]:
        """Return the counts, and the median and 99th percentile in milliseconds."""
        ordered = sorted(self.latencies_ns)
        last = len(ordered) - 1
        shares = (("p50", 50), ("p99", 99)) if ordered else ()
        latency_ms = {name: ordered[last * share // 100] / _NS_PER_MS for name, share in shares}
        return {"outcomes": dict(self.outcomes), "latency_ms": latency_ms}
