"""Quantiles of the newest samples."""

from projections.latency import Latencies

MS = 1_000_000


def test_nothing_measured_is_no_latency() -> None:
    summary = Latencies().summary()
    assert (summary.samples, summary.p50_ms, summary.p99_ms) == (0, None, None)


def test_quantiles_are_latencies_that_occurred() -> None:
    latencies = Latencies()
    for ms in range(100, 0, -1):
        latencies.add(ms * MS)
    summary = latencies.summary()
    assert (summary.samples, summary.p50_ms, summary.p99_ms) == (100, 50.0, 99.0)


def test_only_the_newest_count() -> None:
    latencies = Latencies(samples_max=2)
    for ms in (1_000, 1, 3):
        latencies.add(ms * MS)
    assert latencies.summary().p99_ms == 3.0
