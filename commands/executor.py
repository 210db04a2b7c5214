"""The executor: sends what is intended, finds out what became of it, and cancels what is no longer wanted.

It holds nothing that the log does not: after a crash it knows its open orders again from there, and what it appends it
knows at once (`executor_log.py`). Loops run side by side. One follows the log. One asks the venue for what the log
wants: cancels first, then exits and stops, then modifications, then entries, each by a task of its own; no entry of an
account begins while an exit or stop of it waits to be sent. One reads the venue's books of every account that has an
order there, and records what is news (`evidence.py`), when the venue tells of something and now and then besides
(`book_watch.py`); another, slower, those of accounts that only hold something (`outside.py`). One looks for the
unknown, one has exits succeeded that are nowhere (`successors.py`), and one has flattened accounts confirmed.

A modification says what the order shall be, so asking again harms nothing; but the venue counts how often it is asked.
Whatever it answers, its book decides: once the book shows what is wanted, that is recorded. A refusal is recorded where
the book, read after it, still shows otherwise. An answer that was lost is no reason to ask again before the book was
read and some time has passed. What the venue took several times and never did counts as refused.

In lock-step the books are asked only when the driver asks to settle, so that what is recorded after a tick does not
depend on the machine's speed; what the venue tells by itself is not listened to.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from commands import faults
from commands.accounts import Accounts
from commands.adoption import Adoption
from commands.book_watch import BookWatch
from commands.bookmark import EVERY
from commands.closing_time import ClosingTime
from commands.day_end import BrokerDay, DayEnd
from commands.doubt_reports import DoubtReport, Timeline
from commands.evidence import (
    Search,
    SearchAnswer,
    Terms,
    fills_to_record,
    order_of_row,
    record_of_row,
    record_of_terms,
    terms_of_row,
)
from commands.executor_log import ExecutorFold, ExecutorLog
from commands.flattening import Flattening
from commands.lane import DecisionStopped
from commands.open_orders import OpenOrder, OpenOrders
from commands.operators_word import OperatorsWord
from commands.outside import Outside
from commands.ports import (
    Broker,
    BrokerUnavailable,
    Clock,
    EventFeed,
    EventStore,
    Ids,
    Instruments,
    Marks,
    ModifyAccepted,
    NotSent,
    OrderInTransit,
    OrderUpdates,
    Refused,
    RequestBudget,
    Sessions,
    VenueOrder,
    Watermarks,
)
from commands.reconciliation import PACE, REMEMBERED_S, Reconciliation, ReconciliationSettings
from commands.rounds import Rounds
from commands.sender import Sender, executor_context
from commands.spending import Spending
from commands.successors import ExitSuccessor, Successors
from domain.account.commands import (
    AccountCommand,
    PresumeAbsent,
    RecordFill,
    RecordModifyRefused,
    RecordUnknown,
    RecordVenueOrder,
)
from domain.account.events import AccountEvent, Evidence, OrderFilled
from domain.account.refusals import FillInvalid, OrderNotFound
from domain.ids import AccountId, OrderId
from domain.market import NS_PER_MS, NS_PER_S, NS_PER_US, trading_day
from domain.order import AT_VENUE, CLOSED, OrderStatus, RefusalReason

log = structlog.get_logger(__name__)

CLOSED_KEPT = 20_000
FIRST_LOOK_S = 1.0
"""So long an entry waits in one go for the first look at its account's books."""
SETTLE_PACE_S = 0.05
"""How often settling looks again where nothing tells that something changed."""
MODIFY_ASKS_MAX = 3
"""So often the venue takes a modification that its book does not show afterwards; then it counts as refused."""
_PASSING_REFUSALS = frozenset({RefusalReason.TOKEN, RefusalReason.RATE_LIMIT})
"""Refusals that are about the moment: a modification is asked for again later, for nothing of it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """How the executor paces itself. Times in milliseconds."""

    poll_ms: int = 200
    told_poll_ms: int = 2_000
    """As `poll_ms`, where the venue is believed to tell of an account by itself."""
    doubt_ms: int = 5_000
    """So long the next word is waited for of an account that it was found not to tell of, before it is asked anew."""
    retry_ms: int = 250
    lookup_ms: int = 250
    lookup_window_ms: int = 3_000
    lookups_min: int = 3
    cancel_again_ms: int = 1_000
    modify_again_ms: int = 1_000
    idle_poll_ms: int = 2_000
    flat_again_ms: int = 1_000
    succeed_ms: int = 250
    succeed_again_ms: int = 1_000
    exit_successor: ExitSuccessor = "auto"
    day_end_ms: int = 5_000
    flat_patience_ms: int = 30_000
    watermark_ms: int = 5_000
    snapshot_events: int = EVERY
    entries_at_once_max: int = 24
    """So many entries are sent at the same time; more would take each other's time and an exit's connection."""
    reconciliation: ReconciliationSettings = PACE
    lock_step: bool = False


@dataclass(slots=True)
class _Asked:
    """How a modification was asked for: `at_ns` is monotonic, `accepted` how often without a trace in the book."""

    number: int
    at_ns: int
    accepted: int = 0


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
        instruments: Instruments,
        sessions: Sessions,
        marks: Marks,
        ids: Ids,
        installation_code: str,
        settings: ExecutorSettings,
        updates: OrderUpdates | None = None,
        budget: RequestBudget | None = None,
        broker_day: BrokerDay | None = None,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._sender = sender
        self._clock = clock
        self._settings = settings
        self._orders = OpenOrders()
        self._outside = Outside()
        self.reconciliation = Reconciliation(
            accounts=accounts,
            broker=broker,
            orders=self._orders,
            outside=self._outside,
            instruments=instruments,
            sessions=sessions,
            marks=marks,
            ids=ids,
            clock=clock,
            installation_code=installation_code,
            read=self._poll,
            settings=settings.reconciliation,
        )
        self._adoption = Adoption(
            accounts=accounts,
            orders=self._orders,
            outside=self._outside,
            instruments=instruments,
            ids=ids,
            clock=clock,
            installation_code=installation_code,
            on_adopted=self.reconciliation.note_adoption,
        )
        self._flattening = Flattening(
            accounts=accounts,
            broker=broker,
            orders=self._orders,
            outside=self._outside,
            clock=clock,
            patience_ms=settings.flat_patience_ms,
        )
        self._watch = BookWatch(
            updates=updates,
            orders=self._orders,
            clock=clock,
            read=self._poll,
            poll_ms=settings.poll_ms,
            told_poll_ms=settings.told_poll_ms,
            doubt_ms=settings.doubt_ms,
            on_gap=self.reconciliation.note_gap,
        )
        self._spending = (
            None
            if budget is None
            else Spending(store=store, clock=clock, budget=budget, version_of=self._orders.version_of)
        )
        self._day_end = (
            None
            if broker_day is None
            else DayEnd(
                accounts=accounts,
                broker=broker,
                orders=self._orders,
                store=store,
                instruments=instruments,
                clock=clock,
                day=broker_day,
                window_ms=settings.lookup_window_ms,
                reads_min=settings.lookups_min,
            )
        )
        self._said = OperatorsWord(
            orders=self._orders,
            clock=clock,
            window_ms=settings.lookup_window_ms,
            reads_min=settings.lookups_min,
        )
        self._rounds = Rounds()
        self._log = ExecutorLog(
            ExecutorFold(
                accounts=accounts,
                orders=self._orders,
                reconciliation=self.reconciliation,
                day_end=self._day_end,
            ),
            accounts=accounts,
            orders=self._orders,
            outside=self._outside,
            store=store,
            feed=feed,
            watermarks=watermarks,
            on_news=self._rounds.wake,
            snapshot_events=settings.snapshot_events,
            lock_step=settings.lock_step,
        )
        closing_time = ClosingTime(instruments=instruments, sessions=sessions)
        self._successors = Successors(
            accounts=accounts,
            broker=broker,
            orders=self._orders,
            clock=clock,
            catch_up=self._log.catch_up,
            is_over=lambda key: closing_time.is_over(key, marks.market_time_ns()),
            mode=settings.exit_successor,
            again_ms=settings.succeed_again_ms,
        )
        self._sending: dict[OrderId, asyncio.Task[None]] = {}
        self._entering: set[OrderId] = set()
        self._followed_at = (-1, -1)
        self._followed: set[AccountId] = set()
        self._accounts_at_venue: set[AccountId] = set()
        self._searches: dict[OrderId, Search] = {}
        self._asking: dict[OrderId, asyncio.Task[None]] = {}
        self._cancels: dict[OrderId, int] = {}
        self._modifies: dict[OrderId, _Asked] = {}
        self._in_transit: set[OrderId] = set()
        self._told: dict[OrderId, tuple[Terms | None, int, bool]] = {}
        self._books_read_at_ns: dict[AccountId, int] = {}
        self._polling: defaultdict[AccountId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._commands = 0
        self._overshoot = 0

    async def run(self) -> None:
        """Work until canceled. Sends under way are awaited by `drain`, not here."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._log.follow_outside())
                group.create_task(self._log.follow())
                await self._log.caught_up()
                every, settings = self._rounds.every, self._settings
                group.create_task(every(settings.retry_ms, self._send_all, wake=True, is_idle=self._orders.is_at_rest))
                group.create_task(every(settings.lookup_ms, self._search_all, is_idle=self._has_nothing_to_find))
                group.create_task(every(settings.succeed_ms, self._succeed_all, is_idle=self._successors.is_idle))
                group.create_task(every(settings.watermark_ms, self._keep_place))
                if self._day_end is not None:
                    group.create_task(every(settings.day_end_ms, self._end_day))
                if not settings.lock_step:
                    group.create_task(self.reconciliation.run())
                    group.create_task(self._watch.run())
                    group.create_task(every(settings.poll_ms, self._poll_due))
                    group.create_task(every(settings.idle_poll_ms, self._poll_idle))
                    group.create_task(every(settings.flat_again_ms, self._confirm_flat))
        finally:
            self._log.stop()
            self.reconciliation.stop()

    async def drain(self, *, within_s: float) -> None:
        """Wait for the requests under way, *within_s* seconds at most; sends left over stay `submitting` in the log."""
        under_way = [*self._sending.values(), *self._asking.values()]
        if under_way:
            await asyncio.wait(under_way, timeout=within_s)
        await self._keep_place(is_last=True)

    async def settle(self) -> dict[str, int]:
        """Return once nothing is left to do at the present market time: all sent, all books read, all recorded.

        Orders held back by our own breaker wait for time to pass, so they do not keep this from returning.
        """
        is_first = True
        while True:
            changes = self._rounds.changes
            await self._log.catch_up()
            # The log counts beside the commands: what a send in the background recorded may come into sight after the
            # books were read and before the send itself is over, and what it brought about is not read yet then.
            before = (self._commands, self._orders.sequence)
            await self._send_all()
            await asyncio.gather(*self._asking.values())
            await self._search_all()
            await self._succeed_all()
            await self._poll_all()
            if is_first:  # What others did meanwhile. What came of it here is looked after by the rounds that follow.
                await self._poll_idle()
            await self._confirm_flat()
            await self._log.catch_up()
            is_first = False
            moved = before != (self._commands, self._orders.sequence)
            if not moved and not any(self._is_restless(order) for order in self._orders.moving()):
                return {"sequence": self._orders.sequence, "commands": self._commands}
            if not moved:
                await self._rounds.change(changes, within_s=SETTLE_PACE_S)

    def status(self) -> dict[str, Any]:
        """Return counts of open orders by status, for people and probes."""
        counts: dict[str, int] = defaultdict(int)
        for order in self._orders.open():
            counts[order.status.value] += 1
        return {
            "sequence": self._orders.sequence,
            "orders": dict(counts),
            "searches": len(self._searches),
            "passed_over": len(self._adoption.passed_over),
            "exits_waiting_for_a_person": sorted(self._successors.waiting),
            "overshoot": self._overshoot,
            "books": self._watch.status(),
            "reconciliation": self.reconciliation.status(),
        }

    def doubts_of(self, account_id: AccountId) -> DoubtReport:
        """Return what there is to tell of an account's orders in doubt, beside what the log has of them."""
        timeline = Timeline(self._clock)
        window_ns, lookups_min = self._settings.lookup_window_ms * NS_PER_MS, self._settings.lookups_min
        read_at_ns = self._books_read_at_ns.get(account_id)
        return DoubtReport(
            searches={
                order.order_id: timeline.report_of(search, window_ns=window_ns, lookups_min=lookups_min)
                for order in self._orders.open()
                if order.account_id == account_id and (search := self._searches.get(order.order_id)) is not None
            },
            books_read_at_ns=None if read_at_ns is None else timeline.utc_ns(read_at_ns),
        )

    def accounts(self) -> set[AccountId]:
        """Return the accounts that have an order open or hold something."""
        return self._orders.accounts() | self._outside.accounts()

    def _is_restless(self, order: OpenOrder) -> bool:
        if order.status is OrderStatus.INTENDED:
            # An entry that waits for an exit is no more restless than the exit is.
            is_entry = not order.purpose.closes
            waits = is_entry and order.account_id in _accounts_with_closing(self._orders.moving())
            waits = waits or (is_entry and self.reconciliation.holds(order.account_id))
            return not waits and not self._broker.is_held_back(order.account_id, order.purpose)
        if order.is_to_be_modified:
            return not self._broker.is_held_back(order.account_id, order.purpose)
        waits_for_cancel = order.cancel_requested and order.venue_order_id is not None
        return order.status in {OrderStatus.SUBMITTING, OrderStatus.UNKNOWN} or waits_for_cancel

    async def _keep_place(self, *, is_last: bool = False) -> None:
        self._orders.forget_absent(before=trading_day(self._clock.wall_ns()).isoformat())
        self._orders.forget_closed(keep=CLOSED_KEPT)
        self._orders.forget_quiet(before_us=(self._clock.wall_ns() - REMEMBERED_S * NS_PER_S) // NS_PER_US)
        still_open = {order.order_id for order in self._orders.open()}
        self._cancels = {order_id: asked for order_id, asked in self._cancels.items() if order_id in still_open}
        self._modifies = {order_id: asked for order_id, asked in self._modifies.items() if order_id in still_open}
        self._told = {order_id: told for order_id, told in self._told.items() if order_id in still_open}
        self._in_transit &= still_open
        self._said.forget_all_but(still_open)
        await self._log.keep_place(is_last=is_last)

    # --- Asking the venue ---

    async def _send_all(self) -> None:
        """Begin all that the log wants of the venue, what takes risk away first."""
        orders = self._orders.moving()
        intended = [order for order in orders if order.status is OrderStatus.INTENDED]
        self._ask(self._cancel, (order for order in orders if order.cancel_requested and self._may_cancel(order)))
        self._begin_sending(order for order in intended if order.purpose.closes)
        self._ask(self._modify, (order for order in orders if order.is_to_be_modified and self._may_modify(order)))
        # What adds risk goes after all that takes it away: a stop may lose a race for its place in the log, and waits.
        closing = _accounts_with_closing(intended)
        self._begin_sending(order for order in intended if not order.purpose.closes and order.account_id not in closing)
        for order in self._orders.moving():
            if order.status is OrderStatus.SUBMITTING and order.order_id not in self._sending:
                await self._disown(order)

    def _begin_sending(self, orders: Iterable[OpenOrder]) -> None:
        for order in orders:
            if order.order_id in self._sending or self._broker.is_held_back(order.account_id, order.purpose):
                continue
            # One that has to wait for the first look at its account's books takes no turn from those that need not.
            if not order.purpose.closes and self.reconciliation.is_compared(order.account_id):
                if not self._may_enter_now():
                    continue  # Whoever is done wakes the next round.
                self._entering.add(order.order_id)
            self._sending[order.order_id] = asyncio.create_task(self._send(order))

    def _may_enter_now(self) -> bool:
        return len(self._entering) < self._settings.entries_at_once_max

    def _ask(self, step: Callable[[OpenOrder], Awaitable[None]], orders: Iterable[OpenOrder]) -> None:
        """Take *step* for each of *orders* in the background, so that a slow answer holds up no other order."""

        async def ask(order: OpenOrder) -> None:
            try:
                await self._recall_spending(order)
                await step(order)
            except faults.OF_LOG_OR_VENUE as fault:
                log.warning("request not confirmed", order_id=order.order_id, fault=str(fault))
            finally:
                del self._asking[order.order_id]
                self._rounds.wake()

        for order in orders:
            if order.order_id not in self._asking:
                self._asking[order.order_id] = asyncio.create_task(ask(order))

    async def _send(self, order: OpenOrder) -> None:
        try:
            await self._recall_spending(order)
            may_enter = order.purpose.closes or await self._is_compared(order.account_id)
            if not order.purpose.closes and order.order_id not in self._entering:
                if may_enter:
                    return  # It was waited for: from the next round on it takes its turn.
                if not self._may_enter_now():
                    await asyncio.sleep(self._settings.retry_ms / 1000)
                    return
                self._entering.add(order.order_id)
            await self._sender.send(order, may_enter=may_enter)
            self._commands += 1
            self._entering.discard(order.order_id)
            self._rounds.wake()
            # Until what was recorded is known here, the order must not look unsent.
            await self._log.catch_up_with_ours(order.account_id)
            now = self._orders.get(order.order_id)
            if now is not None and now.status is OrderStatus.INTENDED and not self._log.has_stopped:
                await asyncio.sleep(self._settings.retry_ms / 1000)  # It was not sent: not at once again.
        except DecisionStopped as fault:
            log.warning("send stopped", order_id=order.order_id, fault=str(fault))
            await asyncio.sleep(self._settings.retry_ms / 1000)  # It would be again, and nothing waits for it.
        except faults.OF_LOG_OR_VENUE as fault:
            log.warning("send interrupted", order_id=order.order_id, fault=str(fault))
        finally:
            del self._sending[order.order_id]
            self._entering.discard(order.order_id)
            self._rounds.wake()

    async def _is_compared(self, account_id: AccountId) -> bool:
        """Tell whether the venue's books of an account were held against ours since this process began."""
        return await self.reconciliation.is_open(account_id, within_s=FIRST_LOOK_S)

    async def _recall_spending(self, order: OpenOrder) -> None:
        if self._spending is not None:
            await self._spending.recall(order.account_id)

    async def _disown(self, order: OpenOrder) -> None:
        """Make an unknown of an order that is submitting and that nobody in this process is sending."""
        command = RecordUnknown(order_id=order.order_id, cause="the sender stopped while sending", sent_at_ns=None)
        await self._record(order, command)

    def _may_cancel(self, order: OpenOrder) -> bool:
        """Tell whether it is time to ask for a cancel. It is remembered until the venue is known to have the order."""
        if order.venue_order_id is None or order.status not in AT_VENUE or not self._said.is_to_be_believed(order):
            return False
        return self._is_due(self._cancels.get(order.order_id), self._settings.cancel_again_ms)

    def _is_due(self, asked_at_ns: int | None, again_ms: int) -> bool:
        return asked_at_ns is None or self._clock.monotonic_ns() - asked_at_ns >= again_ms * NS_PER_MS

    async def _cancel(self, order: OpenOrder) -> None:
        assert order.venue_order_id is not None, "an order is canceled where the venue knows it"
        self._cancels[order.order_id] = self._clock.monotonic_ns()
        try:
            await self._broker.cancel(order.account_id, order.venue_order_id)
        except OrderInTransit:
            # It gets where it can be canceled in a moment: asked for again as soon as a send would be.
            early_ms = self._settings.cancel_again_ms - self._settings.retry_ms
            self._cancels[order.order_id] -= early_ms * NS_PER_MS
        except BrokerUnavailable as fault:
            log.warning("cancel not confirmed", order_id=order.order_id, fault=str(fault))
        await self._poll(order.account_id)

    def _may_modify(self, order: OpenOrder) -> bool:
        """Tell whether it is time to ask for a modification: not while one travels, nor while it is held back."""
        if not self._said.is_to_be_believed(order):
            return False
        asked = self._modifies.get(order.order_id)
        was_asked = asked is not None and asked.number == order.number
        if was_asked and order.order_id in self._in_transit:
            return False
        if asked is not None and was_asked and not self._is_due(asked.at_ns, self._settings.modify_again_ms):
            return False
        return not self._broker.is_held_back(order.account_id, order.purpose)

    async def _modify(self, order: OpenOrder) -> None:
        asked = self._modifies.get(order.order_id)
        if asked is None or asked.number != order.number:
            asked = self._modifies[order.order_id] = _Asked(order.number, 0)
        if asked.accepted >= MODIFY_ASKS_MAX:
            message = f"the venue took it {asked.accepted} times and did not do it"
            await self._record_modify_refused(order, RefusalReason.OTHER, message)
            return
        asked.at_ns = self._clock.monotonic_ns()
        outcome = await self._sender.modify(order)
        if isinstance(outcome, NotSent) or (isinstance(outcome, Refused) and outcome.reason in _PASSING_REFUSALS):
            log.warning("modification not done", order_id=order.order_id, outcome=str(outcome))
            return
        is_read = await self._poll(order.account_id)
        now = self._orders.get(order.order_id)
        is_still_wanted = now is not None and now.is_to_be_modified and now.number == order.number
        if not is_read or not is_still_wanted:
            return  # Without its book nothing that the venue answers counts.
        if isinstance(outcome, Refused):
            await self._record_modify_refused(order, outcome.reason, outcome.message)
        asked.accepted += isinstance(outcome, ModifyAccepted)

    async def _record_modify_refused(self, order: OpenOrder, reason: RefusalReason, message: str) -> None:
        command = RecordModifyRefused(order_id=order.order_id, number=order.number, reason=reason, message=message)
        await self._record(order, command)
        await self._log.catch_up_with_ours(order.account_id)  # Until then the modification must not look wanted.

    # --- Reading the venue's books ---

    async def _poll_all(self) -> None:
        await asyncio.gather(*(self._poll(account_id) for account_id in sorted(self._at_venue())))

    async def _poll_due(self) -> None:
        seen = (self._orders.changes, self._outside.sequence)
        if self._followed_at != seen:  # Else the log has said nothing since, and nothing can have become otherwise.
            self._followed_at = seen
            # The connection is made while an order is on its way, so the venue can tell of it from the beginning.
            self._followed = self._orders.accounts() | self._quiet_accounts()
            self._accounts_at_venue = self._at_venue()
        self._watch.follow(self._followed)
        await self._watch.read_due(self._accounts_at_venue)

    def _at_venue(self) -> set[AccountId]:
        """Return the accounts that have an order at the venue, or may have."""
        return {
            order.account_id
            for order in self._orders.open()
            if order.status in AT_VENUE or order.status is OrderStatus.PRESUMED_ABSENT
        }

    async def _confirm_flat(self) -> None:
        self._commands += await self._flattening.confirm()

    async def _poll_idle(self) -> None:
        """Read the books of accounts that have no order open, for what others do to what they hold.

        And for what an operator said to be absent.
        """
        busy = self._orders.accounts()
        idle = (self._quiet_accounts() | self._adoption.owed) - busy
        await asyncio.gather(*(self._poll(account_id) for account_id in sorted(idle)))

    def _quiet_accounts(self) -> set[AccountId]:
        """Return the accounts that hold something, or of which an order is said to be absent."""
        return self._outside.accounts() | {order.account_id for order in self._orders.absent()}

    async def _poll(self, account_id: AccountId) -> bool:
        """Read an account's books, record what is news, and tell whether they could be read."""
        async with self._polling[account_id]:
            try:
                # Executions first: what the order book counts a moment later can only be more, never less.
                fills = await self._broker.fills(account_id)
                rows = await self._broker.orders(account_id)
                # Events of our own that the log has not brought back yet would be recorded twice: wait for them.
                await self._log.catch_up_with_ours(account_id)
                for said, doubt in self._said.hold_against(account_id, rows):
                    await self._record(said, doubt)
                await self._log.catch_up_with_ours(account_id)
                await self._record_rows(account_id, rows, are_unnamed=True)
                await self._log.catch_up_with_ours(account_id)
                for row in rows:
                    await self._record_terms(account_id, row)
                await self._log.catch_up_with_ours(account_id)
                await self._position_by_position(
                    (order, partial(self._record, order, command))
                    for order, command in fills_to_record(self._orders, account_id, rows, fills)
                    if self._said.is_to_be_believed(order)
                )
                await self._log.catch_up_with_ours(account_id)
                await self._record_rows(account_id, rows)
                self._note_missing(account_id, rows)
                self._commands += await self._adoption.record(account_id, rows, fills)
                self._commands += await self.reconciliation.record_repairs(account_id)
            except faults.OF_LOG_OR_VENUE as fault:
                log.warning("books not read", account_id=account_id, fault=str(fault))
                self.reconciliation.note_unread(account_id)
                return False
            self.reconciliation.take_books(account_id, rows, fills)
            self._watch.note_read(account_id)
            self._books_read_at_ns[account_id] = self._clock.monotonic_ns()
            return True

    async def _record_rows(
        self, account_id: AccountId, rows: Iterable[VenueOrder], *, are_unnamed: bool = False
    ) -> None:
        """Record what is news in *rows*; with *are_unnamed* only of orders whose id at the venue is not known."""
        news: list[tuple[OpenOrder, Callable[[], Awaitable[None]]]] = []
        for row in rows:
            order = order_of_row(self._orders, account_id, row)
            if order is None or (are_unnamed and order.venue_order_id is not None):
                continue
            if record_of_row(order, row, Evidence.ORDER_BOOK) is not None:
                news.append((order, partial(self._record_row, account_id, row, Evidence.ORDER_BOOK)))
        await self._position_by_position(news)

    async def _position_by_position(self, steps: Iterable[tuple[OpenOrder, Callable[[], Awaitable[None]]]]) -> None:
        """Take *steps*: those about one position in their order, positions side by side, so they are appended together.

        What a position earned depends on the order of its executions, whichever trades they belong to; the venue's is
        kept. In lock-step all keep their order, for what is recorded must not depend on how soon the log answers.
        """
        by_position: defaultdict[object, list[Callable[[], Awaitable[None]]]] = defaultdict(list)
        for order, step in steps:
            position = (order.instruction.instrument, order.instruction.product)
            by_position[None if self._settings.lock_step else position].append(step)

        async def take(of_position: Iterable[Callable[[], Awaitable[None]]]) -> None:
            for step in of_position:
                await step()

        # All are waited for: what one of them failed to record does not leave the others at work unseen.
        outcomes = await asyncio.gather(*map(take, by_position.values()), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _record_terms(self, account_id: AccountId, row: VenueOrder) -> None:
        """Record what an order has become at the venue, once for each thing that it becomes."""
        order = order_of_row(self._orders, account_id, row)
        if order is None:
            return
        if row.status is OrderStatus.SUBMITTING:
            self._in_transit.add(order.order_id)
        else:
            self._in_transit.discard(order.order_id)
        command = record_of_terms(order, row)
        told = (terms_of_row(row), order.number, order.wanted is None)
        if command is not None and self._told.get(order.order_id) != told:
            await self._record(order, command)
            self._told[order.order_id] = told

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
        except DecisionStopped as fault:
            # What else the books say of the account is recorded all the same.
            log.warning("not recorded", order_id=order.order_id, command=type(command).__name__, fault=str(fault))
            return
        if outcome.events:
            self._commands += 1
            self.reconciliation.note_repair(order, command, outcome.events)
            is_last_word = isinstance(command, RecordVenueOrder) and command.status in CLOSED
            if is_last_word or isinstance(command, RecordFill):
                self._watch.note_news(order.account_id)
            self._note_overshoot(order, outcome.events)
        if isinstance(command, RecordVenueOrder):
            self._searches.pop(order.order_id, None)

    def _note_overshoot(self, order: OpenOrder, events: Iterable[AccountEvent]) -> None:
        """Say what an exit filled beyond what was held: it and the order whose place it took both came alive."""
        for event in events:
            if isinstance(event, OrderFilled) and event.purpose.closes and event.closed_quantity < event.last_quantity:
                beyond = event.last_quantity - event.closed_quantity
                self._overshoot += beyond
                log.error("more was closed than was held", order_id=order.order_id, quantity=beyond)

    # --- Looking for the unknown ---

    def _note_missing(self, account_id: AccountId, rows: Sequence[VenueOrder]) -> None:
        shown = {row.correlation_id for row in rows}
        for order in self._orders.moving():
            is_missing = order.account_id == account_id and order.correlation_id not in shown
            if order.status is OrderStatus.UNKNOWN and is_missing:
                search = self._search_of(order)
                search.by_order_book += 1
                search.answer = SearchAnswer.NOT_IN_BOOK

    def _search_of(self, order: OpenOrder) -> Search:
        return self._searches.setdefault(order.order_id, Search(began_at_ns=self._clock.monotonic_ns()))

    async def _search_all(self) -> None:
        unknown = [order for order in self._orders.moving() if order.status is OrderStatus.UNKNOWN]
        sought = {order.order_id for order in unknown}
        # What is not unknown any more may become so again, and then the search begins anew.
        self._searches = {order_id: search for order_id, search in self._searches.items() if order_id in sought}
        if unknown:
            await asyncio.gather(*(self._search(order) for order in unknown))

    def _has_nothing_to_find(self) -> bool:
        return not self._searches and not any(order.status is OrderStatus.UNKNOWN for order in self._orders.moving())

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
            search.answer = SearchAnswer.NOT_FOUND
            await self._poll(order.account_id)
            if search.is_exhausted(
                now_ns=self._clock.monotonic_ns(),
                window_ns=self._settings.lookup_window_ms * NS_PER_MS,
                lookups_min=self._settings.lookups_min,
            ):
                await self._record(order, PresumeAbsent(order_id=order.order_id, lookups=search.lookups))
        except faults.OF_LOG_OR_VENUE as fault:
            search.answer = SearchAnswer.NO_ANSWER
            log.warning("look-up not answered", order_id=order.order_id, fault=str(fault))

    async def _succeed_all(self) -> None:
        self._commands += await self._successors.place()

    async def _end_day(self) -> None:
        assert self._day_end is not None, "it is begun where there is one"
        if await self._day_end.tend():
            await self._log.catch_up()  # Until the log has brought it back, what ended must not look open.


def _accounts_with_closing(orders: Iterable[OpenOrder]) -> set[AccountId]:
    """Return the accounts of which an exit or a stop waits to be sent."""
    return {order.account_id for order in orders if order.status is OrderStatus.INTENDED and order.purpose.closes}
