"""What the query side needs of the world: each port is implemented in `adapters/`."""

from collections.abc import AsyncIterator
from typing import Protocol

from domain.envelope import RecordedEvent
from domain.ids import UserId
from domain.instrument import InstrumentKey
from domain.market import Mark


class EventFeed(Protocol):
    """The log as it grows: every event after a sequence, in order, without a hole, for ever."""

    def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        """Yield events in batches as they are recorded, starting after *after_sequence*."""
        ...


class LogReader(Protocol):
    """The log as it lies."""

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole."""
        ...


class Marks(Protocol):
    """The market as this process knows it."""

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the last mark of *instrument*."""
        ...


class PersonalDataReader(Protocol):
    """Opens what a user's key sealed."""

    async def unseal(self, user_id: UserId, field: str, nonce: bytes, ciphertext: bytes) -> str | None:
        """Return the text, None where the key was destroyed: the field is erased."""
        ...
