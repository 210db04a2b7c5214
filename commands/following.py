"""Following the log on behalf of a fold that a process manager decides by."""

import asyncio
from typing import Protocol

from commands.accounts import Accounts
from commands.ports import EventFeed, EventStore
from domain.envelope import RecordedEvent


class Fold(Protocol):
    """What is kept of the log, and how far it has come."""

    sequence: int

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        ...


class LogFollower:
    """Takes every event into a fold and into the accounts in memory, and lets others wait for it."""

    def __init__(self, fold: Fold, *, accounts: Accounts, store: EventStore, feed: EventFeed) -> None:
        self._fold = fold
        self._accounts = accounts
        self._store = store
        self._feed = feed
        self._advanced = asyncio.Event()

    def begin(self, after: int) -> None:
        """Take everything up to *after* as taken in."""
        self._fold.sequence = after
        self._advanced.set()  # Who waits already may find that there is nothing to catch up with.

    async def follow(self, after: int) -> None:
        """Follow the log from *after* until canceled."""
        async for batch in self._feed.follow(after_sequence=after):
            for recorded in batch:
                self._accounts.observe(recorded)
                self._fold.apply(recorded)
            self._advanced.set()

    async def catch_up(self) -> None:
        """Return once every event that is in the log now has been taken in."""
        head = (await self._store.head()).sequence
        while self._fold.sequence < head:
            self._advanced.clear()
            await self._advanced.wait()
