"""Every bench there is, by name."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A bench: what it measures, and the module that does."""

    summary: str
    module: str


BENCHES: dict[str, Entry] = {
    "history": Entry("whether five years of events behind make anything slower", "infra.bench.history"),
    "read": Entry("catching up on the log: events read, checked and decoded", "infra.bench.read"),
    "relay": Entry("the log's way from PostgreSQL into JetStream", "infra.bench.relay"),
    "store": Entry(
        "appends of single commands: as many as go, on schedule, beside an open snapshot", "infra.bench.store"
    ),
}
