"""When the venue's books of an account are read.

The venue may tell of orders by itself. What it tells proves nothing and books nothing: it says that the books are worth
reading now. An account of which it is believed to tell is read at once when it tells something new, and rarely without
being told; every other account at the fast rate. However much is told, no account is read for it more often than that.

Three things can be wrong with what is told. It may not come: then the rare read finds it, and because nobody told of it
the account is *doubted*: it is read at the fast rate until the venue tells something of it again, and after a while its
connection is made anew. It may come twice, late or out of order: what the log already knows is no news. And it may come
before the books show it: then they are read again, a few times.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import Clock, OrderUpdate, OrderUpdates
from domain.ids import AccountId, VenueOrderId
from domain.market import NS_PER_MS, NS_PER_S
from domain.order import FINAL, LOOKED_FOR, OrderStatus

READS_AGAIN_MAX = 10
"""So often the books are read again for what was told and is not in them."""
_LAST_WORDS = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})

Read = Callable[[AccountId], Awaitable[bool]]
"""Reads an account's books, records what is news, and tells whether they could be read."""


@dataclass(slots=True)
class _Watched:
    """What was told of an account, and when its books were read: for that (`looked_at_ns`), and at all (`read_at_ns`).

    Times are monotonic nanoseconds.
    """

    told: dict[VenueOrderId, OrderUpdate] = field(default_factory=dict)
    has_gap: bool = False
    is_looked_at: bool = False
    has_news: bool = False
    looked_at_ns: int | None = None
    read_at_ns: int | None = None
    doubted_at_ns: int | None = None


class BookWatch:
    """Decides whose books are read when, and reads them by *read*. Without *updates* it is always at the fast rate.

    *on_gap* is called with an account of which anything may have been missed.
    """

    def __init__(
        self,
        *,
        updates: OrderUpdates | None,
        orders: OpenOrders,
        clock: Clock,
        read: Read,
        poll_ms: int,
        told_poll_ms: int,
        doubt_ms: int,
        on_gap: Callable[[AccountId], None],
    ) -> None:
        self._updates = updates
        self._orders = orders
        self._clock = clock
        self._read = read
        self._poll_ns = poll_ms * NS_PER_MS
        self._told_poll_ns = told_poll_ms * NS_PER_MS
        self._doubt_ns = doubt_ms * NS_PER_MS
        self._on_gap = on_gap
        self._followed: frozenset[AccountId] = frozenset()
        self._accounts: dict[AccountId, _Watched] = {}
        self._reads_told = 0
        self._reads_untold = 0
        self._never_told = 0

    async def run(self) -> None:
        """Read the books of whoever is told of, until canceled."""
        if self._updates is not None:
            async with asyncio.TaskGroup() as group:
                await self._updates.run(partial(self._take, group))

    def follow(self, accounts: Collection[AccountId]) -> None:
        """Have the venue tell of *accounts* from now on, and of no others."""
        if self._updates is None:
            return
        self._followed = frozenset(accounts)
        self._updates.watch(self._followed)
        for account_id in [other for other in self._accounts if other not in self._followed]:
            if not self._accounts[account_id].is_looked_at:
                del self._accounts[account_id]

    async def read_due(self, accounts: Collection[AccountId]) -> None:
        """Read the books of those of *accounts* that have waited long enough without being told of."""
        due = [account_id for account_id in sorted(accounts) if self._is_due(account_id)]
        if due:
            await asyncio.gather(*(self._read_untold(account_id) for account_id in due))

    def note_read(self, account_id: AccountId) -> None:
        """Take in that an account's books have just been read, for whatever reason."""
        if self._updates is not None:
            self._of(account_id).read_at_ns = self._clock.monotonic_ns()

    def note_news(self, account_id: AccountId) -> None:
        """Take in that the books held what the venue should have told of: a fill, or an order's last word."""
        if self._updates is not None:
            self._of(account_id).has_news = True

    def status(self) -> dict[str, Any]:
        """Return who is read at which rate, and counts, for people and probes."""
        told = sum(self._is_told(account_id) for account_id in self._followed)
        return {
            "told": told,
            "polled": len(self._followed) - told,
            "reads_told": self._reads_told,
            "reads_untold": self._reads_untold,
            "never_told": self._never_told,
            **({} if self._updates is None else {"socket": self._updates.status()}),
        }

    # --- Being told ---

    def _take(self, group: asyncio.TaskGroup, account_id: AccountId, update: OrderUpdate | None) -> None:
        watched = self._of(account_id)
        watched.doubted_at_ns = None
        if update is None:
            watched.has_gap = True
            self._on_gap(account_id)
        elif self._is_news(account_id, update):
            watched.told[update.venue_order_id] = update
        else:
            return
        if not watched.is_looked_at:
            watched.is_looked_at = True
            group.create_task(self._look(account_id, watched))

    async def _look(self, account_id: AccountId, watched: _Watched) -> None:
        """Read an account's books for as long as something is told that they have not shown yet."""
        again = 0
        try:
            while watched.has_gap or watched.told:
                await self._pause(watched)
                told, watched.told, watched.has_gap = watched.told, {}, False
                watched.looked_at_ns = self._clock.monotonic_ns()
                self._reads_told += 1
                if not await self._read(account_id):
                    watched.read_at_ns = None  # It is due at the fast rate until the books can be read again.
                    return
                missing = {name: update for name, update in told.items() if self._is_ahead(account_id, update)}
                again = again + 1 if missing else 0
                if again <= READS_AGAIN_MAX:
                    watched.told = {**missing, **watched.told}
        finally:
            watched.is_looked_at = False

    async def _pause(self, watched: _Watched) -> None:
        if watched.looked_at_ns is not None:
            left_ns = watched.looked_at_ns + self._poll_ns - self._clock.monotonic_ns()
            if left_ns > 0:  # A sleep of no time would still let everybody else go first.
                await asyncio.sleep(left_ns / NS_PER_S)

    def _is_news(self, account_id: AccountId, update: OrderUpdate) -> bool:
        """Tell whether the books may hold something that the log has not got, going by what is told."""
        order = self._order_of(account_id, update)
        if order is None:  # Somebody else's, of which executions alone concern us; or ours, a moment too early.
            return update.cumulative_quantity > 0 or update.status is None or update.status in _LAST_WORDS
        if update.status is None or _is_ahead_of(order, update):
            return True
        is_done_traveling = order.wanted is not None and update.status is not OrderStatus.SUBMITTING
        return order.status in LOOKED_FOR or is_done_traveling

    def _is_ahead(self, account_id: AccountId, update: OrderUpdate) -> bool:
        order = self._order_of(account_id, update)
        return order is not None and _is_ahead_of(order, update)

    def _order_of(self, account_id: AccountId, update: OrderUpdate) -> OpenOrder | None:
        known = self._orders.by_venue_id(account_id, update.venue_order_id)
        if known is None and update.correlation_id is not None:
            known = self._orders.by_correlation(account_id, update.correlation_id)
        return known

    # --- Not being told ---

    def _is_due(self, account_id: AccountId) -> bool:
        watched = self._accounts.get(account_id)
        if watched is None or watched.read_at_ns is None or not self._is_told(account_id):
            return True
        return self._clock.monotonic_ns() - watched.read_at_ns >= self._told_poll_ns

    def _is_told(self, account_id: AccountId) -> bool:
        """Tell whether the venue is believed to tell of an account."""
        watched = self._accounts.get(account_id)
        is_doubted = watched is not None and watched.doubted_at_ns is not None
        return self._updates is not None and not is_doubted and self._updates.is_live(account_id)

    async def _read_untold(self, account_id: AccountId) -> None:
        if self._updates is None:
            await self._read(account_id)
            return
        watched = self._of(account_id)
        was_told = self._is_told(account_id) and not watched.is_looked_at
        watched.has_news = False
        self._reads_untold += 1
        await self._read(account_id)
        if watched.has_news and was_told and not watched.is_looked_at:
            self._never_told += 1
            watched.doubted_at_ns = self._clock.monotonic_ns()
        elif watched.doubted_at_ns is not None and self._clock.monotonic_ns() - watched.doubted_at_ns > self._doubt_ns:
            watched.doubted_at_ns = None
            self._updates.doubt(account_id)

    def _of(self, account_id: AccountId) -> _Watched:
        return self._accounts.setdefault(account_id, _Watched())


def _is_ahead_of(order: OpenOrder, update: OrderUpdate) -> bool:
    """Tell whether an update tells more of an order than the log has."""
    is_over = update.status in _LAST_WORDS and order.status not in FINAL
    return is_over or update.cumulative_quantity > order.cumulative_quantity
