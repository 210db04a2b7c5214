"""Every bench there is, by name."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A bench: what it measures, and the module that does."""

    summary: str
    module: str


BENCHES: dict[str, Entry] = {
    "projection": Entry(
        "events a second into all read models, from the stream and from the log", "infra.bench.projection"
    ),
    "rebuild": Entry("a read model filled anew beside commands and reads", "infra.bench.rebuild"),
    "visible": Entry("from a command's answer to its rows, at 500 commands a second", "infra.bench.visible"),
}
