"""Every bench there is, by name."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A bench: what it measures, and the module that does."""

    summary: str
    module: str


BENCHES: dict[str, Entry] = {
    "faults": Entry("seeded faults at named points, and whether anything is lost by them", "infra.bench.faults"),
}
