"""Every bench there is, by name."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A bench: what it measures, and the module that does."""

    summary: str
    module: str


BENCHES: dict[str, Entry] = {
    "adapter": Entry(
        "an order through the broker's adapter beside a bare POST, and feed packets read a second",
        "infra.bench.adapter",
    ),
    "api": Entry(
        "order intents and portfolio reads over HTTP, all roles running, beside a bare echo", "infra.bench.api"
    ),
    "append": Entry("bulk appends by the log's rules, against raw COPY", "infra.bench.append"),
    "history": Entry("whether five years of events behind make anything slower", "infra.bench.history"),
    "read": Entry("catching up on the log: events read, checked and decoded", "infra.bench.read"),
    "relay": Entry("the log's way from PostgreSQL into JetStream", "infra.bench.relay"),
    "store": Entry(
        "appends of single commands: as many as go, on schedule, beside an open snapshot", "infra.bench.store"
    ),
    "asof": Entry("a portfolio as of a random time of a long log, cold, and most of it archived", "infra.bench.asof"),
    "verify": Entry("checking that nobody touched a log of a million events", "infra.bench.verify"),
    "decide": Entry("intents decided by every check, on an account with fifty trades open", "infra.bench.decide"),
    "kill": Entry(
        "a whole engine killed part by part under load: what is lost, what is doubled, how soon it is back",
        "infra.bench.kill",
    ),
    "execute": Entry(
        "from an intent to the broker and from a fill to who looks, with lost answers and a broker that fails",
        "infra.bench.execute",
    ),
    "matching": Entry(
        "prints and orders that the matching of one instrument takes, beside a plain list", "infra.bench.matching"
    ),
    "exactly-once": Entry(
        "whole days of the trading path in made-up time, under faults and crashes, judged by the venue's own books",
        "infra.bench.exactly_once",
    ),
    "faults": Entry("seeded faults at named points, and whether anything is lost by them", "infra.bench.faults"),
    "oracle": Entry("made-up lives of accounts, judged by plain arithmetic on their fills", "infra.bench.oracle"),
    "instruments": Entry(
        "an instrument master of 181,900 rows: read, opened, looked up and searched", "infra.bench.instruments"
    ),
    "projection": Entry(
        "events a second into all read models, from the stream and from the log", "infra.bench.projection"
    ),
    "rebuild": Entry("a read model filled anew beside commands and reads", "infra.bench.rebuild"),
    "venue": Entry("calls to the venue over a wire that faults strike, and what is said of them", "infra.bench.venue"),
    "visible": Entry("from a command's answer to its rows, at 500 commands a second", "infra.bench.visible"),
}
