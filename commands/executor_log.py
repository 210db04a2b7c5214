"""What the executor knows of the log: how it follows it, waits for it, and goes on with it after a restart.

Two ways lead through the log side by side. One brings the open orders, and nothing is sent before it has come to where
the log ended at the start. The other brings what is held since long ago (`outside.py`), and only what that is for has
to wait for it.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from commands.accounts import Accounts, OwnEvents
from commands.bookmark import Bookmark
from commands.day_end import DayEnd, DayKept
from commands.open_orders import OpenOrders, OrdersKept
from commands.outside import Outside, OutsideKept
from commands.ports import EventFeed, EventStore, Watermarks
from commands.reconciliation import Reconciliation
from commands.shared_read import SharedRead
from domain.envelope import RecordedEvent
from domain.ids import AccountId

WATERMARK = "executor"
OUTSIDE_WATERMARK = "executor.outside"


class ExecutorKept(Struct, frozen=True, array_like=True):
    """What an executor has come to know of the log."""

    orders: OrdersKept
    day: DayKept


class ExecutorFold:
    """All that the executor folds from the log on the way that it waits for."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        orders: OpenOrders,
        reconciliation: Reconciliation,
        day_end: DayEnd | None,
    ) -> None:
        self.sequence = 0
        self.place: RecordedEvent | None = None
        self._accounts = accounts
        self._orders = orders
        self._reconciliation = reconciliation
        self._day_end = day_end

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence, self.place = recorded.sequence, recorded
        self._accounts.observe(recorded)
        self._orders.apply(recorded)
        self._reconciliation.observe(recorded)
        if self._day_end is not None:
            self._day_end.observe(recorded)

    def low_water(self) -> int:
        """Return the sequence after which a new executor has to read to find every open order."""
        return self._orders.low_water()

    def kept(self) -> ExecutorKept:
        """Return all that a snapshot has of it."""
        return ExecutorKept(
            self._orders.kept(),
            DayKept() if self._day_end is None else self._day_end.kept(),
        )

    def restore(self, kept: ExecutorKept) -> None:
        """Come to what a snapshot has."""
        self._orders.restore(kept.orders)
        if self._day_end is not None:
            self._day_end.restore(kept.day)


class ExecutorLog:
    """Follows the log for the executor, and lets others wait for it. `on_news` is told of every batch."""

    def __init__(
        self,
        fold: ExecutorFold,
        *,
        accounts: Accounts,
        orders: OpenOrders,
        outside: Outside,
        store: EventStore,
        feed: EventFeed,
        watermarks: Watermarks,
        on_news: Callable[[], None],
        snapshot_events: int,
        lock_step: bool,
    ) -> None:
        self._fold = fold
        self._accounts = accounts
        self._orders = orders
        self._outside = outside
        self._store = store
        self._feed = feed
        self._on_news = on_news
        self._lock_step = lock_step
        self._bookmark = Bookmark(
            WATERMARK, fold, ExecutorKept, meaning=1, watermarks=watermarks, store=store, every=snapshot_events
        )
        self._outside_bookmark = Bookmark(
            OUTSIDE_WATERMARK,
            outside,
            OutsideKept,
            meaning=1,
            watermarks=watermarks,
            store=store,
            every=snapshot_events,
        )
        self._start_head = 0
        self._is_caught_up = asyncio.Event()
        self._advanced = asyncio.Event()
        self._head = SharedRead(store.head)
        self._settled_doubts = 0
        accounts.tell_of_own(self._take_own)
        self.has_stopped = False
        """Whether nobody follows the log any more."""

    # --- Following it ---

    async def follow(self) -> None:
        """Follow the log from where an earlier executor was until canceled."""
        after = await self._bookmark.restore()
        self._start_head = (await self._store.head()).sequence
        self._orders.sequence = min(after, self._start_head)
        self._note_progress()
        async for batch in self._feed.follow(after_sequence=after):
            for recorded in batch:
                self._fold.apply(recorded)
            self._note_progress()
            self._on_news()

    def _note_progress(self) -> None:
        if self._orders.sequence >= self._start_head:
            self._is_caught_up.set()
        self._advanced.set()  # Who waits may find that there is nothing to catch up with.

    def _take_own(self, own: OwnEvents) -> None:
        """Know what was appended here as soon as it is durable: what follows from it need not wait for its way back."""
        if self._orders.take_own(own):
            self._advanced.set()
            self._on_news()

    async def follow_outside(self) -> None:
        """Follow it likewise for what is held since long ago."""
        await self._outside.follow(self._feed, self._store, after=await self._outside_bookmark.restore())

    def stop(self) -> None:
        """Let nobody wait any more: sends under way end without waiting for a log that is followed no longer."""
        self.has_stopped = True
        self._outside.stop()
        self._advanced.set()

    async def keep_place(self, *, is_last: bool = False) -> None:
        """Keep where another executor can go on. A later place is as good, so a log that is away costs nothing."""
        await self._bookmark.keep_or_say(is_last=is_last)
        if self._outside.is_caught_up:
            await self._outside_bookmark.keep_or_say(is_last=is_last)

    # --- Waiting for it ---

    async def caught_up(self) -> None:
        """Return once everything is known that was in the log at the start."""
        await self._is_caught_up.wait()

    async def catch_up(self) -> None:
        """Return once everything is known that is in the log now."""
        await self._reach((await self._head()).sequence)

    async def catch_up_with_ours(self, account_id: AccountId) -> None:
        """Wait until everything is known that this process appended to an account; that asks nothing of the log.

        Of other accounts, and of what others appended meanwhile, nothing is needed to read books. In lock-step all of
        it is, and so it is where an append of ours may or may not have been.
        """
        in_doubt = self._accounts.in_doubt
        if self._lock_step or in_doubt != self._settled_doubts:
            await self.catch_up()
            self._settled_doubts = in_doubt
        else:
            await self._reach_in(account_id, self._accounts.appended_in(account_id))

    async def _reach(self, sequence: int) -> None:
        """Wait until the log has brought everything up to *sequence*."""
        while self._orders.sequence < sequence and not self.has_stopped:
            self._advanced.clear()
            await self._advanced.wait()
        if self._lock_step:
            await self._outside.reach(sequence)

    async def _reach_in(self, account_id: AccountId, sequence: int) -> None:
        """Wait until everything up to *sequence* is known of an account."""
        while self._orders.known_of(account_id) < sequence and not self.has_stopped:
            self._advanced.clear()
            await self._advanced.wait()
