"""Those who wait for the log's writer: one command, or one of many that were handed in together."""

import asyncio
from abc import ABC, abstractmethod

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


class Waiting(ABC):
    """An entry that waits to be stored, not past `deadline_s` (monotonic). It is told once; later words are lost."""

    __slots__ = ("deadline_s", "entry")

    def __init__(self, entry: Entry, deadline_s: float) -> None:
        self.entry = entry
        self.deadline_s = deadline_s

    @property
    @abstractmethod
    def is_settled(self) -> bool:
        """Tell whether it was told, or its caller has gone."""

    @abstractmethod
    def tell(self, outcome: Outcome) -> None:
        """Tell what became of it."""

    @abstractmethod
    def fail(self, fault: Exception, cause: BaseException | None = None) -> None:
        """Tell that nothing can be told, and why."""


class WaitingAlone(Waiting):
    """One command, whose caller awaits `outcome`."""

    __slots__ = ("outcome",)

    def __init__(self, entry: Entry, deadline_s: float) -> None:
        super().__init__(entry, deadline_s)
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

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


class WaitingTogether(Waiting):
    """One command of a ready batch. If one of them cannot be told its outcome, the batch fails with that."""

    __slots__ = ("_place", "batch")

    def __init__(self, entry: Entry, deadline_s: float, batch: ReadyBatch, place: int) -> None:
        super().__init__(entry, deadline_s)
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
