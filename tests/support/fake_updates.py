"""Order updates as a test tells them, or keeps them back."""

import asyncio
from collections.abc import Collection
from typing import Any

from commands.ports import OnUpdate, OrderUpdate
from domain.ids import AccountId, VenueOrderId
from domain.order import OrderStatus
from tests.support.fake_broker import Row
from tests.support.specimens import ACCOUNT


class FakeUpdates:
    """Implements `commands.ports.OrderUpdates`. `live` holds the accounts that the venue is believed to tell of."""

    def __init__(self, *live: AccountId) -> None:
        self.live = set(live)
        self.watched: frozenset[AccountId] = frozenset()
        self.rounds = 0
        """So often it was said whom to watch, which is each time before the books that are due are read."""
        self.doubted: list[AccountId] = []
        self._on_update: OnUpdate | None = None

    # --- What the test does ---

    def tell(self, row: Row, status: OrderStatus | None, cumulative_quantity: int = 0) -> None:
        """Tell of an order, truly or not."""
        update = OrderUpdate(
            venue_order_id=row.venue_order_id,
            correlation_id=row.correlation_id,
            status=status,
            cumulative_quantity=cumulative_quantity,
        )
        self._hand_on(row.account_id, update)

    def tell_what_is(self, row: Row) -> None:
        """Tell what the venue's book says of an order now."""
        self.tell(row, row.status, row.filled)

    def tell_of_another(self, cumulative_quantity: int) -> None:
        """Tell of an order that is not ours."""
        update = OrderUpdate(
            venue_order_id=VenueOrderId("by-hand"),
            correlation_id=None,
            status=OrderStatus.PARTLY_FILLED if cumulative_quantity else OrderStatus.ACKNOWLEDGED,
            cumulative_quantity=cumulative_quantity,
        )
        self._hand_on(ACCOUNT, update)

    def reconnect(self, account_id: AccountId = ACCOUNT) -> None:
        """Be live (again), and say that anything may have been missed."""
        self.live.add(account_id)
        self._hand_on(account_id, None)

    @property
    def is_running(self) -> bool:
        return self._on_update is not None

    def _hand_on(self, account_id: AccountId, update: OrderUpdate | None) -> None:
        assert self._on_update is not None, "nobody listens yet"
        self._on_update(account_id, update)

    # --- What the engine asks ---

    async def run(self, on_update: OnUpdate) -> None:
        self._on_update = on_update
        try:
            await asyncio.Event().wait()
        finally:
            self._on_update = None

    def watch(self, accounts: Collection[AccountId]) -> None:
        self.watched = frozenset(accounts)
        self.rounds += 1

    def is_live(self, account_id: AccountId) -> bool:
        return account_id in self.live

    def doubt(self, account_id: AccountId) -> None:
        self.doubted.append(account_id)
        self.live.discard(account_id)

    def status(self) -> dict[str, Any]:
        return {"live": len(self.live)}
