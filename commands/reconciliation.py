"""Reconciliation: the venue's books of an account are held against ours, and what is otherwise is recorded.

A *look* reads executions, orders, positions and holdings, in this order. The first two are read as always, by the
executor, which records whatever they prove (`evidence.py`, `adoption.py`, `outside.py`); what it repaired thereby that
nobody here had asked for is recorded as a difference that is repaired already. Then `domain.reconciliation` compares,
and what is left is a difference. What could be a matter of moments is looked at again and has to be the same twice. At
last our own sums are held against each other (`domain.account.invariants`).

An account is looked at before its first entry of this process is sent, when a book can be read again or the venue's own
word came back, every 30 s while it has anything or had it of late (every 5 min outside of the sessions of all that it
holds), and when somebody asks. Entries wait until the books were compared once and agreed, or until what does not agree
is in the log: from there the account itself holds them. Exits, stops, cancels and modifications wait for nothing here.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import structlog

from commands.accounts import Accounts, account_of
from commands.evidence import order_of_row
from commands.known_instruments import known_instrument
from commands.open_orders import OpenOrder, OpenOrders
from commands.outside import Outside
from commands.ports import (
    Broker,
    BrokerUnavailable,
    Clock,
    Ids,
    Instruments,
    Marks,
    Sessions,
    VenueFill,
    VenueOrder,
)
from commands.repairs import repair_of_fill, repairs_of
from commands.sender import executor_context
from domain.account.commands import AccountCommand, InspectAccount, RecordConversion, RecordDifferences
from domain.account.events import AccountEvent, DifferenceClosed, DifferenceFound
from domain.account.invariants import everything_broken
from domain.account.state import Account
from domain.books import VenueBooks
from domain.differences import RULES, Book, DifferenceKind, Finding
from domain.envelope import RecordedEvent
from domain.events import decode_known
from domain.ids import AccountId, CorrelationId, DifferenceId, OrderId, TradeId
from domain.instrument import Instrument, InstrumentKey
from domain.market import NS_PER_MS, NS_PER_S, NS_PER_US, trading_day
from domain.order import correlation_id_of, is_correlation_id_of_ours
from domain.reconciliation import Comparison, compare, is_sure_at_once
from domain.reconciliation.positions import needs_holdings
from domain.session import Phase

log = structlog.get_logger(__name__)

_EVENTS = "account.difference_"
_LOOKS_AT_ONCE_MAX = 24
REMEMBERED_S = 12 * 3600
"""So long an account is looked at that has nothing any more: what others do to it today still concerns it."""
_SIFTED_AGAIN_S = 60
"""So long the accounts stay what they are where the log says nothing."""
_QUIET_FACTOR = 10
"""So much rarer are looks while all that an account holds is closed."""
_IDS_KEPT = 50_000

Read = Callable[[AccountId], Awaitable[bool]]
"""Reads an account's executions and orders, records what is news, hands them to `take_books`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationSettings:
    """How often is looked. Times in milliseconds."""

    look_ms: int = 30_000
    confirm_ms: int = 2_000
    again_ms: int = 5_000
    """After a look that could not read a book."""
    unreadable_ms: int = 20_000
    """So long a book cannot be read before that is a difference itself."""
    pace_ms: int = 250
    away_ms: int = 5_000
    """From an outage this long on, executions found after it count as missed."""


PACE = ReconciliationSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw. `differences` are those in the log after it, `suspected` what is to be seen once more."""

    looked_at_ns: int
    read: frozenset[Book]
    suspected: tuple[Finding, ...]
    differences: tuple[DifferenceFound, ...]
    repaired: tuple[Finding, ...]
    is_whole: bool

    @property
    def agrees(self) -> bool:
        """Whether every book was read and nothing is otherwise."""
        return self.is_whole and not self.suspected and not self.differences


@dataclass(slots=True)
class _Watched:
    """What is known of an account's looks. Times are monotonic nanoseconds, but for those of `last`."""

    due_at_ns: int = 0
    active_at_ns: int = 0
    is_compared: bool = False
    gating: set[DifferenceId] = field(default_factory=set)
    last: Look | None = None
    seen: dict[str, Finding] = field(default_factory=dict)
    books: VenueBooks = field(default_factory=VenueBooks)
    unread_since_ns: dict[Book, int] = field(default_factory=dict)
    away_since_ns: int | None = None
    repaired: list[Finding] = field(default_factory=list)
    looking: asyncio.Task[Look] | None = None


class Reconciliation:
    """Looks at accounts, one look of an account at a time."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        broker: Broker,
        orders: OpenOrders,
        outside: Outside,
        instruments: Instruments,
        sessions: Sessions,
        marks: Marks,
        ids: Ids,
        clock: Clock,
        installation_code: str,
        read: Read,
        settings: ReconciliationSettings = PACE,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._orders = orders
        self._outside = outside
        self._instruments = instruments
        self._sessions = sessions
        self._marks = marks
        self._ids = ids
        self._clock = clock
        self._code = installation_code
        self._read = read
        self._settings = settings
        self._watched: dict[AccountId, _Watched] = {}
        self._names: OrderedDict[OrderId, CorrelationId] = OrderedDict()
        self._sifted = (-1, -1)
        self._sifted_at_ns = 0
        self._turn = asyncio.Semaphore(_LOOKS_AT_ONCE_MAX)
        self._has_stopped = False

    # --- The gate ---

    async def is_open(self, account_id: AccountId, *, within_s: float) -> bool:
        """Tell whether the account's books were compared in this process; have them compared where they were not.

        A look under way is waited for, *within_s* at most.
        """
        watched = self._of(account_id)
        if not watched.is_compared and not self._has_stopped:
            await asyncio.wait({self._begin(account_id, watched)}, timeout=within_s)
        return watched.is_compared

    def is_compared(self, account_id: AccountId) -> bool:
        """Tell whether the account's books were compared in this process, without having it done."""
        watched = self._watched.get(account_id)
        return watched is not None and watched.is_compared

    def holds(self, account_id: AccountId) -> bool:
        """Tell whether entries of an account wait for something that only the venue or a person can end."""
        watched = self._watched.get(account_id)
        return watched is not None and (bool(watched.gating) or bool(watched.unread_since_ns))

    def observe(self, recorded: RecordedEvent) -> None:
        """Take in an event of the log: differences end by the word of people in other processes, too."""
        if not recorded.name.startswith(_EVENTS):
            return
        account_id = account_of(recorded.stream_id)
        watched = None if account_id is None else self._watched.get(account_id)
        if watched is None:
            return
        match decode_known(recorded.name, recorded.payload):
            case DifferenceFound(gates=True) as found:
                watched.gating.add(found.difference_id)
            case DifferenceClosed() as closed:
                watched.gating.discard(closed.difference_id)
            case _:
                return

    # --- What the executor tells ---

    def take_books(self, account_id: AccountId, rows: Sequence[VenueOrder], fills: Sequence[VenueFill]) -> None:
        """Take in an account's books as they were just read, and recorded."""
        watched = self._of(account_id)
        watched.books = VenueBooks(fills=fills, orders=rows)
        if watched.away_since_ns is not None:
            watched.away_since_ns = None
            watched.due_at_ns = 0  # The venue is back.

    def note_unread(self, account_id: AccountId) -> None:
        """Take in that an account's books could not be read."""
        watched = self._of(account_id)
        watched.books = VenueBooks()
        if watched.away_since_ns is None:
            watched.away_since_ns = self._clock.monotonic_ns()

    def note_gap(self, account_id: AccountId) -> None:
        """Take in that the venue's own word of an account has just come back: anything may have been missed."""
        watched = self._of(account_id)
        if watched.is_compared:
            watched.due_at_ns = 0

    def note_repair(self, order: OpenOrder, command: AccountCommand, events: Sequence[AccountEvent]) -> None:
        """Take in what a command changed in our books about *order*, as it was before."""
        watched = self._of(order.account_id)
        for repair in repairs_of(order, command, events, was_away=self._was_away(watched)):
            symbol = self._symbol_of(order.instruction.instrument)
            watched.repaired.append(msgspec.structs.replace(repair, symbol=symbol))

    def note_adoption(self, account_id: AccountId, fill: VenueFill, events: Sequence[AccountEvent]) -> None:
        """Take in that an execution of somebody else's was recorded."""
        if fill.instrument is None or fill.product is None:
            return
        instrument = self._instrument_of(fill.instrument)
        moment = None if instrument is None else self._sessions.moment_of(instrument, fill.filled_at_ns)
        until_ns = None if moment is None else moment.continuous_until_ns
        repair = repair_of_fill(fill, events, continuous_until_ns=until_ns)
        if repair is not None:
            named = msgspec.structs.replace(repair, symbol=self._symbol_of(fill.instrument))
            self._of(account_id).repaired.append(named)

    async def record_repairs(self, account_id: AccountId) -> int:
        """Record what was repaired since the last time, and return how many commands changed anything.

        Raises:
            commands.lane.AccountBusy, commands.ports.StoreUnavailable, AppendOutcomeUnknown
        """
        watched = self._of(account_id)
        if not watched.repaired:
            return 0
        repaired, watched.repaired = tuple(watched.repaired), []
        await self._record(account_id, RecordDifferences(found=(), read=frozenset(), repaired=repaired))
        return 1

    def _was_away(self, watched: _Watched) -> bool:
        if not watched.is_compared:
            return True
        if watched.away_since_ns is None:
            return False
        away_ns = self._clock.monotonic_ns() - watched.away_since_ns
        return away_ns >= self._settings.away_ms * NS_PER_MS

    # --- When is looked ---

    async def run(self) -> None:
        """Look at whatever is due until canceled."""
        try:
            while True:
                self._look_at_due()
                await asyncio.sleep(self._settings.pace_ms / 1000)
        finally:
            self.stop()

    def stop(self) -> None:
        """Have the looks under way end, and begin no other."""
        self._has_stopped = True
        for watched in self._watched.values():
            if watched.looking is not None:
                watched.looking.cancel()

    async def reconcile(self, account_id: AccountId) -> Look:
        """Look at an account now, and once more where something has to be confirmed."""
        watched = self._of(account_id)
        look = await asyncio.shield(self._begin(account_id, watched))
        if look.suspected:
            await asyncio.sleep(self._settings.confirm_ms / 1000)
            look = await asyncio.shield(self._begin(account_id, watched))
        return look

    def concerned(self) -> set[AccountId]:
        """Return the accounts that have something, or had it of late."""
        now = self._clock.monotonic_ns()
        seen = (self._orders.changes, self._outside.sequence)
        if seen != self._sifted or now - self._sifted_at_ns >= _SIFTED_AGAIN_S * NS_PER_S:
            self._sifted, self._sifted_at_ns = seen, now
            self._sift(now)
        return set(self._watched)

    def _sift(self, now: int) -> None:
        """Take in who has something, and forget who has had nothing for long."""
        for account_id in self._orders.accounts() | self._outside.accounts():
            self._of(account_id).active_at_ns = now
        # Also what an earlier process looked at: a restart must not forget whose day is not over.
        wall_us = self._clock.wall_ns() // NS_PER_US
        oldest_ns = now - REMEMBERED_S * NS_PER_S
        for account_id, at_us in self._orders.active_us().items():
            active_ns = now - max(0, wall_us - at_us) * NS_PER_US
            if active_ns >= oldest_ns:
                watched = self._watched.setdefault(account_id, _Watched(active_at_ns=active_ns))
                watched.active_at_ns = max(watched.active_at_ns, active_ns)
        for account_id in [name for name, each in self._watched.items() if each.active_at_ns < oldest_ns]:
            if self._watched[account_id].looking is None:
                del self._watched[account_id]

    def status(self) -> dict[str, Any]:
        """Return how many accounts are looked at, and which do not agree, for people and probes."""
        return {
            "accounts": len(self._watched),
            "compared": sum(watched.is_compared for watched in self._watched.values()),
            "gated": sorted(name for name, watched in self._watched.items() if watched.gating),
        }

    def last_look(self, account_id: AccountId) -> Look | None:
        """Return what the last look at an account saw, None where there was none."""
        watched = self._watched.get(account_id)
        return None if watched is None else watched.last

    def _look_at_due(self) -> None:
        if not self._outside.is_caught_up:
            return
        now = self._clock.monotonic_ns()
        for account_id in sorted(self.concerned()):
            watched = self._watched[account_id]
            if watched.looking is None and watched.due_at_ns <= now:
                self._begin(account_id, watched)

    def _begin(self, account_id: AccountId, watched: _Watched) -> "asyncio.Task[Look]":
        if watched.looking is None:
            watched.looking = asyncio.create_task(self._look(account_id, watched))
            watched.looking.add_done_callback(partial(self._ended, account_id, watched))
        return watched.looking

    def _ended(self, account_id: AccountId, watched: _Watched, task: "asyncio.Task[Look]") -> None:
        watched.looking = None
        if task.cancelled():
            return
        fault = task.exception()
        if fault is not None:
            watched.due_at_ns = self._clock.monotonic_ns() + self._settings.again_ms * NS_PER_MS
            log.warning("look postponed", account_id=account_id, fault=str(fault))

    def _interval_ms(self, watched: _Watched, look: Look, account: Account) -> int:
        if look.suspected:
            return self._settings.confirm_ms
        if watched.unread_since_ns:
            return self._settings.again_ms
        return self._settings.look_ms * (_QUIET_FACTOR if self._is_quiet(account) else 1)

    def _is_quiet(self, account: Account) -> bool:
        """Tell whether everything that an account has open is closed for now."""
        now_ns = self._marks.market_time_ns()
        for key in account.open_instruments():
            instrument = self._instrument_of(key)
            moment = None if instrument is None else self._sessions.moment_of(instrument, now_ns)
            if moment is None or moment.phase is not Phase.CLOSED:
                return False
        return bool(account.open_instruments())

    # --- One look ---

    async def _look(self, account_id: AccountId, watched: _Watched) -> Look:
        # What others did may be in the log already.
        await self._outside.reach(max(self._orders.sequence, self._accounts.appended_in(account_id)))
        async with self._turn:
            before = await self._accounts.state_of(account_id)
            await self._read(account_id)
            books = await self._books(account_id, watched, before)
            now = await self._accounts.state_of(account_id)
            unreadable = self._unreadable(watched, books, now)
            known = self._comparison(books, before, now, unreadable)
            findings = compare(known)
            sure = [each for each in findings if self._is_sure(watched, each)]
            suspected = [each for each in findings if not self._is_sure(watched, each)]
            watched.seen = {each.name: each for each in findings}
            await self._repair_conversions(account_id, sure)
            repaired = tuple(each for each in sure if each.kind is DifferenceKind.HELD_BEFORE)
            left = [each for each in sure if not _is_repaired_here(each)]
            read = known.read if needs_holdings(now) else known.read | {Book.HOLDINGS}
            if left or suspected or repaired or now.differences:
                command = RecordDifferences(
                    found=tuple(left),
                    read=read,
                    repaired=repaired,
                    suspected=frozenset(each.name for each in suspected),
                )
                await self._record(account_id, command)
                now = await self._accounts.state_of(account_id)
            if next(everything_broken(now), None) is not None:
                await self._record(account_id, InspectAccount())
            return self._note_look(watched, now, read, suspected, repaired)

    async def _books(self, account_id: AccountId, watched: _Watched, account: Account) -> VenueBooks:
        """Return the books that the executor has just read, with positions and, where they matter, holdings."""
        books = watched.books
        try:
            books = replace(books, positions=await self._broker.positions(account_id))
            if needs_holdings(account):
                books = replace(books, holdings=await self._broker.holdings(account_id))
        except BrokerUnavailable as fault:
            log.warning("books not read", account_id=account_id, fault=str(fault))
        return books

    def _unreadable(self, watched: _Watched, books: VenueBooks, account: Account) -> frozenset[Book]:
        """Return the books that could not be read for too long, and remember since when each could not."""
        told: dict[Book, Sequence[object] | None] = {
            Book.EXECUTIONS: books.fills,
            Book.ORDERS: books.orders,
            Book.POSITIONS: books.positions,
        }
        if needs_holdings(account):
            told[Book.HOLDINGS] = books.holdings
        now = self._clock.monotonic_ns()
        unread = [book for book, rows in told.items() if rows is None]
        watched.unread_since_ns = {book: watched.unread_since_ns.get(book, now) for book in unread}
        longest_ns = self._settings.unreadable_ms * NS_PER_MS
        return frozenset(book for book, since_ns in watched.unread_since_ns.items() if now - since_ns >= longest_ns)

    def _comparison(self, books: VenueBooks, before: Account, now: Account, unreadable: frozenset[Book]) -> Comparison:
        account_id = now.account_id or AccountId("")
        return Comparison(
            books=books,
            before=before,
            now=now,
            day=trading_day(self._marks.market_time_ns()).isoformat(),
            order_ids={self._name_of(order_id): order_id for order_id in now.orders},
            is_ours=partial(is_correlation_id_of_ours, code=self._code),
            is_remembered=lambda row: order_of_row(self._orders, account_id, row) is not None,
            is_recorded=partial(self._outside.is_recorded, account_id),
            instrument_of=self._instrument_of,
            unreadable=unreadable,
        )

    def _is_sure(self, watched: _Watched, finding: Finding) -> bool:
        return is_sure_at_once(finding.kind) or watched.seen.get(finding.name) == finding

    def _note_look(
        self,
        watched: _Watched,
        account: Account,
        read: frozenset[Book],
        suspected: Sequence[Finding],
        repaired: tuple[Finding, ...],
    ) -> Look:
        open_ = tuple(account.differences.values())
        look = Look(
            looked_at_ns=self._clock.wall_ns(),
            read=read,
            suspected=tuple(suspected),
            differences=open_,
            repaired=repaired,
            is_whole=read == frozenset(Book),
        )
        watched.last = look
        watched.gating = {difference.difference_id for difference in open_ if difference.gates}
        if look.is_whole and not any(RULES[each.kind].gates for each in suspected):
            watched.is_compared = True
        watched.due_at_ns = self._clock.monotonic_ns() + self._interval_ms(watched, look, account) * NS_PER_MS
        return look

    # --- Recording ---

    async def _repair_conversions(self, account_id: AccountId, sure: Sequence[Finding]) -> None:
        converted: dict[InstrumentKey, list[Finding]] = {}
        for finding in sure:
            if finding.kind is DifferenceKind.POSITION_CONVERTED and finding.instrument is not None:
                converted.setdefault(finding.instrument, []).append(finding)
        for key, findings in converted.items():
            instrument = self._instrument_of(key)
            if instrument is None:
                continue
            command = RecordConversion(
                instrument=instrument,
                findings=tuple(findings),
                adopted_as=tuple(TradeId(self._ids.new("trd")) for _ in findings),
                now_ns=self._marks.market_time_ns(),
            )
            await self._record(account_id, command)

    async def _record(self, account_id: AccountId, command: AccountCommand) -> None:
        context = executor_context(self._clock, causation_id=account_id)
        outcome = await self._accounts.carry_out(account_id, command, context)
        for event in outcome.events:
            if isinstance(event, DifferenceFound):
                told = {"difference_id": event.difference_id, "kind": event.kind.value, "symbol": event.symbol}
                say = log.error if event.gates else log.warning
                say("books differ", account_id=account_id, **told, ours=event.ours, theirs=event.theirs)

    # --- Names ---

    def _of(self, account_id: AccountId) -> _Watched:
        watched = self._watched.get(account_id)
        if watched is None:
            watched = self._watched[account_id] = _Watched(active_at_ns=self._clock.monotonic_ns())
        return watched

    def _name_of(self, order_id: OrderId) -> CorrelationId:
        name = self._names.get(order_id)
        if name is None:
            name = self._names[order_id] = correlation_id_of(order_id, code=self._code)
            if len(self._names) > _IDS_KEPT:
                self._names.popitem(last=False)
        return name

    def _instrument_of(self, key: InstrumentKey) -> Instrument | None:
        return known_instrument(self._instruments, key, market_time_ns=self._marks.market_time_ns())

    def _symbol_of(self, key: InstrumentKey) -> str:
        instrument = self._instrument_of(key)
        return key.security_id if instrument is None else instrument.symbol


def _is_repaired_here(finding: Finding) -> bool:
    return finding.kind in {DifferenceKind.HELD_BEFORE, DifferenceKind.POSITION_CONVERTED}
