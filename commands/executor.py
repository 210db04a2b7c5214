"""The executor: sends what is intended, finds out what became of it, and cancels what is no longer wanted.

It holds nothing that the log does not: after a crash it reads its open orders again from the low-water mark. Four loops
run side by side. One follows the log. One sends: exits before entries, each order by a task of its own. One asks the
venue's books about every account that has an order there, and records what is news (`evidence.py`). One looks for the
unknown.

In lock-step the books are asked only when the driver asks to settle, so that what is recorded after a tick does not
depend on the machine's speed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from commands.accounts import Accounts
from commands.evidence import Search, fills_to_record, order_of_row, record_of_row
from commands.lane import AccountBusy
from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import (
    AppendOutcomeUnknown,
    Broker,
    BrokerUnavailable,
    Clock,
    EventFeed,
    EventStore,
    StoreUnavailable,
    VenueOrder,
    Watermarks,
)
from commands.sender import Sender, executor_context
from domain.account.commands import AccountCommand, PresumeAbsent, RecordUnknown, RecordVenueOrder
from domain.account.events import Evidence
from domain.account.refusals import FillInvalid, OrderNotFound
from domain.ids import AccountId, OrderId
from domain.order import AT_VENUE, OrderStatus, Purpose

log = structlog.get_logger(__name__)

WATERMARK = "executor"
CLOSED_KEPT = 20_000
SETTLE_PACE_S = 0.05
"""How often settling looks again where nothing tells that something changed."""
NS_PER_MS = 1_000_000
_PASSING = (BrokerUnavailable, StoreUnavailable, AppendOutcomeUnknown, AccountBusy)
"""Faults that pass: the same step is taken again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """How the executor paces itself. Times in milliseconds."""

    poll_ms: int = 200
    retry_ms: int = 250
    lookup_ms: int = 250
    lookup_window_ms: int = 3_000
    lookups_min: int = 3
    cancel_again_ms: int = 1_000
    watermark_ms: int = 5_000
    lock_step: bool = False


class Executor:
    """Brings the venue's world and the log's together, one account at a time."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        broker: Broker,
        sender: Sender,
        store: EventStore,
        feed: EventFeed,
        clock: Clock,
        watermarks: Watermarks,
        settings: ExecutorSettings,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._sender = sender
        self._store = store
        self._feed = feed
        self._clock = clock
        self._watermarks = watermarks
        self._settings = settings
        self._orders = OpenOrders()
        self._is_caught_up = asyncio.Event()
        self._advanced = asyncio.Event()
        self._changed = asyncio.Event()
        self._sending: dict[OrderId, asyncio.Task[None]] = {}
        self._searches: dict[OrderId, Search] = {}
        self._cancels: dict[OrderId, int] = {}
        self._polling: defaultdict[AccountId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._commands = 0
        self._has_stopped = False

    async def run(self) -> None:
        """Work until canceled. Sends under way are awaited by `drain`, not here."""
        after = await self._watermarks.get(WATERMARK)
        head = (await self._store.head()).sequence
        self._orders.sequence = min(after, head)
        self._advanced.set()  # Who waits already may find that there is nothing to catch up with.
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(after, head))
                await self._is_caught_up.wait()
                group.create_task(self._every(self._settings.retry_ms, self._send_all, wake=True))
                group.create_task(self._every(self._settings.lookup_ms, self._search_all))
                group.create_task(self._every(self._settings.watermark_ms, self._keep_watermark))
                if not self._settings.lock_step:
                    group.create_task(self._every(self._settings.poll_ms, self._poll_all))
        finally:
            self._has_stopped = True
            self._advanced.set()  # Sends under way end without waiting for a log that nobody follows any more.

    async def drain(self, *, within_s: float) -> None:
        """Wait for the sends under way, *within_s* seconds at most; those left over stay `submitting` in the log."""
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=within_s)
        await self._keep_watermark()

    async def settle(self) -> dict[str, int]:
        """Return once nothing is left to do at the present market time: all sent, all books read, all recorded.

        Orders held back by our own breaker wait for time to pass, so they do not keep this from returning.
        """
        while True:
            self._changed.clear()
            await self._catch_up()
            # The log counts beside the commands: what a send in the background recorded may come into sight after the
            # books were read and before the send itself is over, and what it brought about is not read yet then.
            before = (self._commands, self._orders.sequence)
            await self._send_all()
            await self._search_all()
            await self._poll_all()
            await self._catch_up()
            moved = before != (self._commands, self._orders.sequence)
            if not moved and not any(self._is_restless(order) for order in self._orders.open()):
                return {"sequence": self._orders.sequence, "commands": self._commands}
            if not moved:
                await _wait(self._changed.wait(), SETTLE_PACE_S)

    def status(self) -> dict[str, Any]:
        """Return counts of open orders by status, for people and probes."""
        counts: dict[str, int] = defaultdict(int)
        for order in self._orders.open():
            counts[order.status.value] += 1
        return {"sequence": self._orders.sequence, "orders": dict(counts), "searches": len(self._searches)}

    # --- Following the log ---

    async def _follow(self, after: int, head: int) -> None:
        if after >= head:
            self._is_caught_up.set()
        async for batch in self._feed.follow(after_sequence=after):
            for recorded in batch:
                self._accounts.observe(recorded)
                self._orders.apply(recorded)
            if not self._is_caught_up.is_set() and self._orders.sequence >= head:
                self._is_caught_up.set()
            self._advanced.set()
            self._changed.set()

    async def _catch_up(self) -> None:
        head = (await self._store.head()).sequence
        while self._orders.sequence < head and not self._has_stopped:
            self._advanced.clear()
            await self._advanced.wait()

    def _is_restless(self, order: OpenOrder) -> bool:
        if order.status is OrderStatus.INTENDED:
            return not self._broker.is_held_back(order.account_id, order.purpose)
        waits_for_cancel = order.cancel_requested and order.venue_order_id is not None
        return order.status in {OrderStatus.SUBMITTING, OrderStatus.UNKNOWN} or waits_for_cancel

    async def _keep_watermark(self) -> None:
        self._orders.forget_closed(keep=CLOSED_KEPT)
        still_open = {order.order_id for order in self._orders.open()}
        self._cancels = {order_id: asked for order_id, asked in self._cancels.items() if order_id in still_open}
        self._searches = {order_id: search for order_id, search in self._searches.items() if order_id in still_open}
        await self._watermarks.put(WATERMARK, self._orders.low_water())

    # --- Sending ---

    async def _send_all(self) -> None:
        intended = [order for order in self._orders.open() if order.status is OrderStatus.INTENDED]
        intended.sort(key=lambda order: order.purpose is Purpose.ENTRY)  # Exits first; the sort keeps age otherwise.
        for order in intended:
            if order.order_id in self._sending or self._broker.is_held_back(order.account_id, order.purpose):
                continue
            self._sending[order.order_id] = asyncio.create_task(self._send(order))
        await asyncio.gather(*(self._cancel(order) for order in self._orders.open() if order.cancel_requested))
        for order in self._orders.open():
            if order.status is OrderStatus.SUBMITTING and order.order_id not in self._sending:
                await self._disown(order)

    async def _send(self, order: OpenOrder) -> None:
        try:
            await self._sender.send(order)
            self._commands += 1
            # Until the log has brought back what was recorded, the order must not look unsent.
            await self._catch_up()
            now = self._orders.get(order.order_id)
            if now is not None and now.status is OrderStatus.INTENDED and not self._has_stopped:
                await asyncio.sleep(self._settings.retry_ms / 1000)  # It was not sent: not at once again.
        except _PASSING as fault:
            log.warning("send interrupted", order_id=order.order_id, fault=str(fault))
        finally:
            del self._sending[order.order_id]
            self._changed.set()

    async def _disown(self, order: OpenOrder) -> None:
        """Make an unknown of an order that is submitting and that nobody in this process is sending."""
        command = RecordUnknown(order_id=order.order_id, cause="the sender stopped while sending", sent_at_ns=None)
        await self._record(order, command)

    async def _cancel(self, order: OpenOrder) -> None:
        if order.venue_order_id is None or order.status not in AT_VENUE:
            return  # Remembered: it is asked for as soon as the venue is known to have the order.
        now = self._clock.monotonic_ns()
        asked = self._cancels.get(order.order_id)
        if asked is not None and now - asked < self._settings.cancel_again_ms * NS_PER_MS:
            return
        self._cancels[order.order_id] = now
        try:
            await self._broker.cancel(order.account_id, order.venue_order_id)
        except BrokerUnavailable as fault:
            log.warning("cancel not confirmed", order_id=order.order_id, fault=str(fault))
        await self._poll(order.account_id)

    # --- Reading the venue's books ---

    async def _poll_all(self) -> None:
        watched = {
            order.account_id
            for order in self._orders.open()
            if order.status in AT_VENUE or order.status is OrderStatus.PRESUMED_ABSENT
        }
        await asyncio.gather(*(self._poll(account_id) for account_id in sorted(watched)))

    async def _poll(self, account_id: AccountId) -> None:
        async with self._polling[account_id]:
            try:
                # Executions first: what the order book counts a moment later can only be more, never less.
                fills = await self._broker.fills(account_id)
                rows = await self._broker.orders(account_id)
                # Events of our own that the log has not brought back yet would be recorded twice: wait for them.
                await self._catch_up()
                for row in rows:
                    order = order_of_row(self._orders, account_id, row)
                    if order is not None and order.venue_order_id is None:
                        await self._record_row(account_id, row, Evidence.ORDER_BOOK)
                await self._catch_up()
                for order, command in fills_to_record(self._orders, account_id, rows, fills):
                    await self._record(order, command)
                await self._catch_up()
                for row in rows:
                    await self._record_row(account_id, row, Evidence.ORDER_BOOK)
                self._note_missing(account_id, rows)
            except _PASSING as fault:
                log.warning("books not read", account_id=account_id, fault=str(fault))

    async def _record_row(self, account_id: AccountId, row: VenueOrder, evidence: Evidence) -> None:
        order = order_of_row(self._orders, account_id, row)
        command = None if order is None else record_of_row(order, row, evidence)
        if order is not None and command is not None:
            await self._record(order, command)

    async def _record(self, order: OpenOrder, command: AccountCommand) -> None:
        context = executor_context(self._clock, causation_id=order.order_id)
        try:
            outcome = await self._accounts.carry_out(order.account_id, command, context)
        except OrderNotFound:
            log.warning("order is from an earlier day", order_id=order.order_id, command=type(command).__name__)
            return
        except FillInvalid as refusal:
            log.warning("execution makes no sense", order_id=order.order_id, fault=refusal.message)
            return
        if outcome.events:
            self._commands += 1
        if isinstance(command, RecordVenueOrder):
            self._searches.pop(order.order_id, None)

    # --- Looking for the unknown ---

    def _note_missing(self, account_id: AccountId, rows: Sequence[VenueOrder]) -> None:
        shown = {row.correlation_id for row in rows}
        for order in self._orders.open():
            is_missing = order.account_id == account_id and order.correlation_id not in shown
            if order.status is OrderStatus.UNKNOWN and is_missing:
                self._search_of(order).by_order_book += 1

    def _search_of(self, order: OpenOrder) -> Search:
        return self._searches.setdefault(order.order_id, Search(began_at_ns=self._clock.monotonic_ns()))

    async def _search_all(self) -> None:
        unknown = [order for order in self._orders.open() if order.status is OrderStatus.UNKNOWN]
        await asyncio.gather(*(self._search(order) for order in unknown))

    async def _search(self, order: OpenOrder) -> None:
        if order.correlation_id is None:
            return
        search = self._search_of(order)
        now = self._clock.monotonic_ns()
        if search.asked_at_ns is not None and now - search.asked_at_ns < self._settings.lookup_ms * NS_PER_MS:
            return
        search.asked_at_ns = now
        try:
            row = await self._broker.find_order(order.account_id, order.correlation_id)
            if row is not None:
                await self._record_row(order.account_id, row, Evidence.CORRELATION_LOOKUP)
                return
            search.by_correlation += 1
            await self._poll(order.account_id)
            if search.is_exhausted(
                now_ns=self._clock.monotonic_ns(),
                window_ns=self._settings.lookup_window_ms * NS_PER_MS,
                lookups_min=self._settings.lookups_min,
            ):
                await self._record(order, PresumeAbsent(order_id=order.order_id, lookups=search.lookups))
        except _PASSING as fault:
            log.warning("look-up not answered", order_id=order.order_id, fault=str(fault))

    # --- Pace ---

    async def _every(self, interval_ms: int, work: Callable[[], Awaitable[None]], *, wake: bool = False) -> None:
        while True:
            if wake:
                self._changed.clear()  # Before the work: what changes during it wakes the next round.
            try:
                await work()
            except _PASSING as fault:
                log.warning("step postponed", fault=str(fault))
            if wake:
                await _wait(self._changed.wait(), interval_ms / 1000)
            else:
                await asyncio.sleep(interval_ms / 1000)


async def _wait(event: Awaitable[object], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event
    except TimeoutError:
        return
