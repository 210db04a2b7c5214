"""What an account asked of the venue before this process began, told to the budgets: a restart makes none of them anew.

The venue counts by the minute, the hour and the day, whoever asked. So before the first request of an account the last
day of its stream is read, from its end backwards: every order that was sent, and every change and cancel that was asked
for. How often the venue was asked again for one of those stands in no log; what is kept back of each limit covers it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from commands.accounts import stream_of
from commands.ports import Clock, EventStore, RequestBudget
from domain.account.events import OrderCancelRequested, OrderModifyRequested, OrderNotSent, OrderSubmitting
from domain.envelope import RecordedEvent
from domain.events import decode_known
from domain.ids import AccountId, OrderId

DAY_US = 24 * 3600 * 1_000_000
_SPAN = 1_000
_GROWTH = 4
_NS_PER_US = 1_000
_COUNTED = ("order.submitting.", "order.not_sent.", "order.modify_requested.", "order.cancel_requested.")


class Spending:
    """Has each account's budget told once what was spent of it. *version_of* tells how far an account's stream goes."""

    def __init__(
        self, *, store: EventStore, clock: Clock, budget: RequestBudget, version_of: Callable[[AccountId], int]
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget = budget
        self._version_of = version_of
        self._told: set[AccountId] = set()
        self._locks: defaultdict[AccountId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def recall(self, account_id: AccountId) -> None:
        """Return once the account's budget knows what was spent before; ask before every request, it is done once.

        Raises:
            commands.ports.StoreUnavailable
        """
        if account_id in self._told:
            return
        async with self._locks[account_id]:
            if account_id in self._told:
                return
            since_us = self._clock.wall_ns() // _NS_PER_US - DAY_US
            events = await self._read_back(account_id, since_us=since_us)
            self._budget.count_earlier(account_id, requests_of(events))
            self._told.add(account_id)

    async def _read_back(self, account_id: AccountId, *, since_us: int) -> list[RecordedEvent]:
        """Return the events of an account's stream since a time, oldest first."""
        version, span = self._version_of(account_id), _SPAN
        while True:
            after = max(0, version - span)
            events = await self._store.read_stream(stream_of(account_id), after_version=after)
            if after == 0 or (events and events[0].recorded_at_us < since_us):
                return [event for event in events if event.recorded_at_us >= since_us]
            span *= _GROWTH  # Few accounts have a day so long; of one that has, a part is read twice.


def requests_of(events: Iterable[RecordedEvent]) -> list[int]:
    """Return when *events*, oldest first, say that the venue was asked to change something (UTC nanoseconds)."""
    requests: list[tuple[int, OrderId]] = []
    for recorded in events:
        if not recorded.name.startswith(_COUNTED):
            continue
        at_ns = recorded.recorded_at_us * _NS_PER_US
        match decode_known(recorded.name, recorded.payload):
            case OrderSubmitting(order_id=order_id) | OrderModifyRequested(order_id=order_id):
                requests.append((at_ns, order_id))
            case OrderCancelRequested(order_id=order_id):
                requests.append((at_ns, order_id))
            case OrderNotSent(order_id=order_id):
                last = next((request for request in reversed(requests) if request[1] == order_id), None)
                if last is not None:
                    requests.remove(last)
            case _:
                continue
    return [at_ns for at_ns, _ in requests]
