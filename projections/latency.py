"""How long things take, from the newest samples."""

from collections import deque

import msgspec

SAMPLES_MAX = 20_000
NS_PER_MS = 1_000_000


class LatencySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles in milliseconds, None where nothing was measured; `samples` is how many they are of."""

    samples: int
    p50_ms: float | None
    p99_ms: float | None


class Latencies:
    """Keeps the newest `samples_max` latencies."""

    def __init__(self, samples_max: int = SAMPLES_MAX) -> None:
        self._samples: deque[int] = deque(maxlen=samples_max)

    def add(self, latency_ns: int) -> None:
        """Keep one latency, in nanoseconds."""
        self._samples.append(latency_ns)

    def summary(self) -> LatencySummary:
        """Return the quantiles, each a latency that occurred (nearest rank)."""
        ordered = sorted(self._samples)
        return LatencySummary(samples=len(ordered), p50_ms=_quantile(ordered, 50), p99_ms=_quantile(ordered, 99))


def _quantile(ordered: list[int], percent: int) -> float | None:
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[rank - 1] / NS_PER_MS
