"""Every bench there is, by name."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A bench: what it measures, and the module that does."""

    summary: str
    module: str


BENCHES: dict[str, Entry] = {
    "asof": Entry("a portfolio as of a random time of a long log, cold", "infra.bench.asof"),
}
