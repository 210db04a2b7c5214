"""Those who wait for the log's writer: one command, or one of many that were handed in together."""

import asyncio
from typing import Protocol

import msgspec

from adapters.postgres.arrays import BinaryArray
from adapters.postgres.entries import Entry, parameters_of


class Outcome(msgspec.Struct, frozen=True):
    """What became of an entry, and where it lies.

    `status` is `appended`, `repeated`, `key_reused`, `claim_taken`, `tracking_stale` or `conflict`.
    """

    status: str
    first_sequence: int
    last_sequence: int


class Waiting(Protocol):
    """An entry that waits to be stored, not past `deadline_s` (monotonic). It is told once; later words are lost."""

    entry: Entry
    deadline_s: float

    @property
    def batch(self) -> "ReadyBatch | None":
        """The ready batch that it belongs to, if any."""

    @property
    def is_settled(self) -> bool:
        """Tell whether it was told, or its caller has gone."""

    def tell(self, outcome: Outcome) -> None:
        """Tell what became of it."""

    def fail(self, fault: Exception, cause: BaseException | None = None) -> None:
        """Tell that nothing can be told, and why."""


class WaitingAlone:
    """One command, whose caller awaits `outcome`."""

    __slots__ = ("batch", "deadline_s", "entry", "outcome")

    def __init__(self, entry: Entry, deadline_s: float, outcome: asyncio.Future[Outcome]) -> None:
        self.entry = entry
        self.deadline_s = deadline_s
        self.outcome = outcome
        self.batch: ReadyBatch | None = None

    @property
    def is_settled(self) -> bool:
        """Tell whether it was told, or its caller has gone."""
        return self.outcome.done()

    def tell(self, outcome: Outcome) -> None:
        """Tell what became of it."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, fault: Exception, cause: BaseException | None = None) -> None:
        """Tell that nothing can be told, and why."""
        if not self.outcome.done():
            fault.__cause__ = cause
            self.outcome.set_exception(fault)


class ReadyBatch:
    """Entries that go together as a batch of their own, with the statement's parameters made beforehand.

    It may be made in any thread; `hand_in` belongs to the loop's, and its caller awaits `outcomes`, one for each entry.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.parameters: list[BinaryArray] = parameters_of(entries)
        self.outcomes: asyncio.Future[list[Outcome]]
        self.found: list[Outcome | None] = [None] * len(entries)
        self.missing = len(entries)

    def hand_in(self, deadline_s: float) -> "list[WaitingTogether]":
        """Return those who wait, in order."""
        self.outcomes = asyncio.get_running_loop().create_future()
        return [WaitingTogether(entry, deadline_s, self, place) for place, entry in enumerate(self.entries)]


class WaitingTogether:
    """One command of a ready batch. If one of them cannot be told its outcome, the batch fails with that."""

    __slots__ = ("_place", "batch", "deadline_s", "entry")

    def __init__(self, entry: Entry, deadline_s: float, batch: ReadyBatch, place: int) -> None:
        self.entry = entry
        self.deadline_s = deadline_s
        self.batch = batch
        self._place = place

    @property
    def is_settled(self) -> bool:
        """Tell whether it was told, or its caller has gone."""
        return self.batch.found[self._place] is not None or self.batch.outcomes.done()

    def tell(self, outcome: Outcome) -> None:
        """Tell what became of it."""
        batch = self.batch
        if self.is_settled:
            return
        batch.found[self._place] = outcome
        batch.missing -= 1
        if not batch.missing:
            batch.outcomes.set_result([found for found in batch.found if found is not None])

    def fail(self, fault: Exception, cause: BaseException | None = None) -> None:
        """Tell that nothing can be told, and why."""
        if not self.batch.outcomes.done():
            fault.__cause__ = cause
            self.batch.outcomes.set_exception(fault)
