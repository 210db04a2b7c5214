"""Following the log on behalf of a fold that a process manager decides by."""

import asyncio
from collections.abc import Callable
from typing import Any

from commands.accounts import Accounts
from commands.bookmark import Bookmark, Fold
from commands.ports import EventFeed, EventStore

KEPT_EVERY_S = 5.0


class LogFollower:
    """Takes every event into a fold and into the accounts in memory, and lets others wait for it."""

    def __init__(
        self, fold: Fold[Any], bookmark: Bookmark[Any], *, accounts: Accounts, store: EventStore, feed: EventFeed
    ) -> None:
        self._fold = fold
        self._bookmark = bookmark
        self._accounts = accounts
        self._store = store
        self._feed = feed
        self._advanced = asyncio.Event()

    async def run(self, *, before_kept: Callable[[], None]) -> None:
        """Follow the log until canceled, and keep the fold's place now and then, each time after *before_kept*."""
        after = await self._bookmark.restore()
        self._advanced.set()  # Who waits already may find that there is nothing to catch up with.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(after))
            group.create_task(self._keep(before_kept))

    async def _follow(self, after: int) -> None:
        async for batch in self._feed.follow(after_sequence=after):
            for recorded in batch:
                self._accounts.observe(recorded)
                self._fold.apply(recorded)
            self._advanced.set()

    async def _keep(self, before_kept: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(KEPT_EVERY_S)
            before_kept()
            await self._bookmark.keep_or_say()

    async def catch_up(self) -> None:
        """Return once every event that is in the log now has been taken in."""
        head = (await self._store.head()).sequence
        while self._fold.sequence < head:
            self._advanced.clear()
            await self._advanced.wait()
