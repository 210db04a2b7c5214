"""What goes wrong in a world, call by call and append by append: by chance from a seed, or as it is told.

Rates are those that security research took for bad days, multiplied by how harsh a world is. What a fate means is in
`wire.py`, where it strikes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Generic, TypeVar

from adapters.simulator.faults.call_faults import Fault, FaultKind, FaultTarget

Outcome = TypeVar("Outcome")


class Fate(StrEnum):
    """What becomes of one call to the venue."""

    FINE = "fine"
    SLOW = "slow"
    """The answer takes up to four seconds."""
    NOT_SENT = "not sent"
    """The connection is refused: no byte leaves."""
    REQUEST_LOST = "request lost"
    """It never arrives, and nothing is ever heard."""
    REQUEST_LATE = "request late"
    """The connection breaks, and the request arrives all the same, long after the client gave up."""
    ANSWER_LOST = "answer lost"
    """It is done, and the connection breaks before the answer."""
    ANSWER_NEVER = "answer never"
    """It is done, and nothing is ever heard."""
    ANSWER_TORN = "answer torn"
    """It is done, and half of the answer comes."""
    UNAVAILABLE = "503 before"
    BROKEN_BEFORE = "500 before"
    BROKEN_AFTER = "500 after"
    BAD_GATEWAY = "502 after"
    THROTTLED = "429"
    """Well-formed: nothing was done."""
    THROTTLED_BARE_BEFORE = "bare 429 before"
    THROTTLED_BARE_AFTER = "bare 429 after"
    REFUSED = "refused"
    NO_ID = "200 without id"
    """It is done, and the answer does not say what."""
    PAGE = "200 that is a page"


class LogFate(StrEnum):
    """What becomes of an append."""

    FINE = "fine"
    LOST = "lost"
    UNTOLD = "untold"


class WordFate(StrEnum):
    """What becomes of an order update."""

    FINE = "fine"
    LOST = "lost"
    DOUBLED = "doubled"
    LATE = "late"


_WRITES: Mapping[Fate, float] = {
    Fate.SLOW: 0.04,
    Fate.NOT_SENT: 0.02,
    Fate.REQUEST_LOST: 0.03,
    Fate.REQUEST_LATE: 0.04,
    Fate.ANSWER_LOST: 0.04,
    Fate.ANSWER_NEVER: 0.02,
    Fate.ANSWER_TORN: 0.01,
    Fate.UNAVAILABLE: 0.01,
    Fate.BROKEN_BEFORE: 0.01,
    Fate.BROKEN_AFTER: 0.01,
    Fate.BAD_GATEWAY: 0.02,
    Fate.THROTTLED: 0.01,
    Fate.THROTTLED_BARE_BEFORE: 0.005,
    Fate.THROTTLED_BARE_AFTER: 0.005,
    Fate.REFUSED: 0.02,
    Fate.NO_ID: 0.01,
    Fate.PAGE: 0.005,
}
_READS: Mapping[Fate, float] = {
    Fate.SLOW: 0.02,
    Fate.NOT_SENT: 0.01,
    Fate.REQUEST_LOST: 0.004,
    Fate.ANSWER_LOST: 0.01,
    Fate.ANSWER_TORN: 0.005,
    Fate.UNAVAILABLE: 0.01,
    Fate.BAD_GATEWAY: 0.01,
    Fate.THROTTLED: 0.005,
    Fate.PAGE: 0.005,
}
_WRITING = frozenset({"place", "modify", "cancel"})
_BOOKS: Mapping[FaultKind, float] = {
    FaultKind.REJECT: 0.03,
    FaultKind.PARTIAL: 0.05,
    FaultKind.ACCEPT_TWICE: 0.004,
    FaultKind.KILL_TOKEN: 0.004,
    FaultKind.TRADE_BY_HAND: 0.01,
}
_WORDS: Mapping[WordFate, float] = {WordFate.LOST: 0.04, WordFate.DOUBLED: 0.05, WordFate.LATE: 0.06}
_APPENDS: Mapping[LogFate, float] = {LogFate.LOST: 0.01, LogFate.UNTOLD: 0.01}


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """How bad it is. `late_s` is how late a request may arrive, `lag_s` how long books may hide an order.

    `told` says what becomes of the n-th call of a name (1 is the first) instead of chance. Times in seconds.
    """

    harshness: float = 1.0
    late_s: float = 15.0
    lag_s: float = 3.0
    outages_s: tuple[tuple[float, float], ...] = ()
    told: Mapping[tuple[str, int], Fate] = field(default_factory=dict)


CALM = Climate(harshness=0.0, late_s=0.0, lag_s=0.0)


class Weather:
    """What strikes next. Also the simulator's source of faults that strike inside its books.

    Implements `adapters.simulator.faults.call_faults.FaultSource`. `struck` counts what came of it, by name.
    """

    def __init__(self, climate: Climate, random: Random) -> None:
        self.climate = climate
        self.struck: Counter[str] = Counter()
        self._random = random
        self._calls: Counter[str] = Counter()
        harshness = climate.harshness
        self._writes, self._reads = _Dice(_WRITES, harshness, random), _Dice(_READS, harshness, random)
        self._words, self._appends = _Dice(_WORDS, harshness, random), _Dice(_APPENDS, harshness, random)
        self._books = _Dice(_BOOKS, harshness, random)

    def clear_up(self) -> None:
        """Let nothing more go wrong by chance; what is on its way already is."""
        for dice in (self._writes, self._reads, self._words, self._appends, self._books):
            dice.lay_down()

    def of_call(self, name: str, *, now_s: float) -> Fate:
        """Return what becomes of the next call of this name."""
        self._calls[name] += 1
        fate = self.climate.told.get((name, self._calls[name]))
        if fate is None and any(begin <= now_s < end for begin, end in self.climate.outages_s):
            fate = self._random.choice((Fate.NOT_SENT, Fate.NOT_SENT, Fate.REQUEST_LOST, Fate.UNAVAILABLE))
        if fate is None:
            fate = (self._writes if name in _WRITING else self._reads).throw() or Fate.FINE
        if fate is not Fate.FINE:
            self.struck[f"{name}: {fate}"] += 1
        return fate

    def of_append(self) -> LogFate:
        """Return what becomes of the next append of a process that may lose one."""
        fate = self._appends.throw()
        if fate is None:
            return LogFate.FINE
        self.struck[f"append: {fate}"] += 1
        return fate

    def of_word(self) -> WordFate:
        """Return what becomes of the next order update."""
        fate = self._words.throw()
        if fate is None:
            return WordFate.FINE
        self.struck[f"update: {fate}"] += 1
        return fate

    def next(self, target: FaultTarget, *, client_id: str, path: str) -> Fault | None:  # noqa: ARG002 - the port's shape
        """Return what strikes inside the venue's books, None mostly."""
        kind = self._books.throw() if target is FaultTarget.PLACE else None
        if kind is None:
            return None
        self.struck[f"books: {kind}"] += 1
        return Fault(kind=kind, target=target, quantity=self._random.randint(1, 3))

    def between(self, shortest_s: float, longest_s: float) -> float:
        """Return a time between the two."""
        return self._random.uniform(shortest_s, longest_s)

    def chance(self, probability: float) -> bool:
        """Tell whether something comes to pass that does with this probability."""
        return self._random.random() < probability


class _Dice(Generic[Outcome]):
    """Faces with the probability of each; what is left is no face at all."""

    def __init__(self, faces: Mapping[Outcome, float], harshness: float, random: Random) -> None:
        self._faces = tuple(faces.items())
        self._harshness = harshness
        self._all = sum(faces.values()) * harshness
        self._random = random

    def lay_down(self) -> None:
        """Show no face any more."""
        self._all = 0.0

    def throw(self) -> Outcome | None:
        """Return the face that lies on top, None where none does."""
        thrown = self._random.random()
        if thrown >= self._all:
            return None
        for face, probability in self._faces:
            thrown -= probability * self._harshness
            if thrown < 0:
                return face
        return None
