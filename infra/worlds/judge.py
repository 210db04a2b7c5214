"""The judge of a world: holds the log against the venue's own books, and shares no code with the engine.

What counts is what the venue's books hold when the broker's day is over. The log must tell of every order and execution
there that bears our mark, and of none that is not there; each intent must have been taken at most once, and must have a
last word that is true.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from adapters.simulator.books.account import Account, BookedExecution, Status
from infra.worlds.log_side import DOUBTFUL, FINAL, FillKey, LogSide

_E4_PER_PAISA = 100
_WORDS = {
    Status.TRADED: "filled",
    Status.CANCELLED: "canceled",
    Status.EXPIRED: "expired",
    Status.REJECTED: "rejected",
}


class Kind(StrEnum):
    """What can be wrong with a world. The last two are told apart: what they tell of is nobody's mistake here."""

    DUPLICATE = "duplicate"
    """The venue has two orders of one intent."""
    LOST = "lost"
    """The venue has an order or execution that the log does not tell of, or an intent has no last word."""
    UNRESOLVED = "unresolved"
    """The log still doubts what the venue's books decide."""
    FALSE_WORD = "false word"
    """The log tells of something that the venue's books do not hold, or otherwise than they do."""
    POSITION = "position"
    MONEY = "money"
    BROKEN = "broken"
    """A process ended by itself."""
    OVERSHOOT = "overshoot"
    """Exits executed more than their trade held."""
    TWICE_BY_BROKER = "twice by broker"
    """The venue entered one request twice."""


WRONG = frozenset(Kind) - {Kind.OVERSHOOT, Kind.TWICE_BY_BROKER}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the judge found."""

    kind: Kind
    text: str


def is_anybody_elses_unseen(log: LogSide, books: Account | None, *, mark: str) -> bool:
    """Tell whether the books hold an execution that bears no *mark* of ours, and the log does not tell of it yet."""
    return books is not None and any(
        not each.order.correlation_id.startswith(mark) and _key_of(each) not in log.foreign for each in books.executions
    )


class Judge:
    """Judges one world by its log and the venue's books.

    *books* is None where the engine never got as far as to log in. *mark* is what every id of ours begins with, *twice*
    the ids of the requests that the venue entered twice on purpose, and *broken* tells of processes that ended.
    """

    def __init__(
        self, log: LogSide, books: Account | None, *, mark: str, twice: frozenset[str], broken: list[str]
    ) -> None:
        self._log = log
        self._mark = mark
        self._twice = twice
        self._broken = broken
        self._booked = [] if books is None else list(books.orders.values())
        self._executions = [] if books is None else list(books.executions)

    def findings(self) -> list[Finding]:
        """Return what is wrong, and what is told apart."""
        self._log.catch_up()
        found = [Finding(Kind.BROKEN, text) for text in self._broken]
        found += [Finding(Kind.FALSE_WORD, text) for text in self._log.repeated]
        found += self._at_the_venue()
        found += self._in_the_log()
        if not self._twice:  # Of one that was entered twice nothing more can be told: the venue shows two of one name.
            found += self._executed()
            found += self._summed_up()
        found += self._beyond_what_was_held()
        return found

    def _at_the_venue(self) -> Iterator[Finding]:
        """Hold each order of the venue's books against the log."""
        named = {order.correlation_id: order for order in self._log.orders.values() if order.correlation_id}
        seen: Counter[str] = Counter()
        for booked in self._booked:
            ours, name = named.get(booked.correlation_id), booked.correlation_id
            if ours is None:
                if name.startswith(self._mark):
                    yield Finding(Kind.LOST, f"{booked.order_id} bears {name}, of which the log knows nothing")
                continue
            seen[name] += 1
            is_twice = name in self._twice
            if seen[name] > 1:
                kind = Kind.TWICE_BY_BROKER if is_twice else Kind.DUPLICATE
                yield Finding(kind, f"{booked.order_id} is order number {seen[name]} of {ours.order_id}")
            elif not is_twice and booked.order_id not in ours.venue_order_ids:
                said = f"{booked.order_id} ({booked.status}) is {ours.order_id}, in the log {ours.status} without it"
                yield Finding(Kind.UNRESOLVED if ours.status in DOUBTFUL else Kind.LOST, said)

    def _in_the_log(self) -> Iterator[Finding]:
        """Hold each order of the log against the venue's books."""
        booked_by_name = {booked.correlation_id: booked for booked in self._booked}
        for order in self._log.orders.values():
            if order.sends > 1:
                yield Finding(Kind.DUPLICATE, f"{order.order_id} was sent {order.sends} times")
            if order.correlation_id in self._twice:
                continue
            booked = None if order.correlation_id is None else booked_by_name.get(order.correlation_id)
            if order.status in DOUBTFUL:
                yield Finding(Kind.UNRESOLVED, f"{order.order_id} still is {order.status}")
            elif order.status not in FINAL:
                yield Finding(Kind.LOST, f"{order.order_id} has no last word: it is {order.status}")
            elif booked is not None and _WORDS.get(booked.status) != order.status:
                yield Finding(Kind.FALSE_WORD, f"{order.order_id} is {order.status}, at the venue {booked.status}")
            elif booked is None and order.venue_order_ids:
                yield Finding(Kind.FALSE_WORD, f"{order.order_id} is {order.status}, and the venue has no such order")

    def _executed(self) -> Iterator[Finding]:
        """Hold each execution of the venue's books against the log, and the other way round."""
        logged = {
            **self._log.fills,
            **{key: (self._log.foreign[key], price) for key, price in self._log.foreign_prices_e4.items()},
        }
        booked = {_key_of(each): (_signed(each), each.price_e4) for each in self._executions}
        for key in sorted(booked.keys() - logged.keys()):
            yield Finding(Kind.LOST, f"execution {key} of {booked[key]} is not in the log")
        for key in sorted(logged.keys() - booked.keys()):
            yield Finding(Kind.FALSE_WORD, f"execution {key} of {logged[key]} is not in the venue's books")
        for key in sorted(booked.keys() & logged.keys()):
            if booked[key] != logged[key]:
                yield Finding(Kind.MONEY, f"execution {key} is {logged[key]}, in the venue's books {booked[key]}")

    def _summed_up(self) -> Iterator[Finding]:
        """Hold positions and what they cost against each other."""
        held: Counter[tuple[str, str]] = Counter()
        value_e4: Counter[tuple[str, str]] = Counter()
        for each in self._executions:
            holding = (each.order.instrument.key.security_id, each.order.product)
            held[holding] += _signed(each)
            value_e4[holding] += _signed(each) * each.price_e4
        for holding in sorted({*held, *self._log.positions}):
            if held[holding] != self._log.positions[holding]:
                said = f"{holding} is {self._log.positions[holding]}, at the venue {held[holding]}"
                yield Finding(Kind.POSITION, said)
            if value_e4[holding] != self._log.value_paise[holding] * _E4_PER_PAISA:
                yield Finding(
                    Kind.MONEY, f"{holding} cost {self._log.value_paise[holding]} paise, at the venue otherwise"
                )

    def _beyond_what_was_held(self) -> Iterator[Finding]:
        """Find the trades of which exits executed more than was held at that time."""
        trades = {order.correlation_id: order for order in self._log.orders.values() if order.correlation_id}
        held: Counter[str] = Counter()
        for each in self._executions:
            order = trades.get(each.order.correlation_id)
            if order is None:
                continue
            before, quantity = held[order.trade_id], _signed(each)
            held[order.trade_id] += quantity
            if order.purpose != "entry" and (before == 0 or before * (before + quantity) < 0):
                yield Finding(Kind.OVERSHOOT, f"{order.order_id} executed {quantity} of {before} held")


def _signed(execution: BookedExecution) -> int:
    return execution.quantity * (1 if execution.order.side.value == "BUY" else -1)


def _key_of(execution: BookedExecution) -> FillKey:
    return (execution.order.order_id, execution.trade_id)
