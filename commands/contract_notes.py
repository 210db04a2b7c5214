"""Contract notes: what the broker says that it charged on a day is recorded beside what we booked.

The broker's statement has a day's executions some hours after it. From a set time of the next day on it is asked for
each account and day on which something executed, until it has all that we have; days that were missed, because nobody
ran or the broker had nothing yet, are caught up with for `days_max` days. As long it is asked once more each morning: a
statement that was corrected, or executions that we came to know later, make another note, which replaces the one
before.

A note is named by its day, its number, and a fingerprint of what was compared. It is recorded under that name as an
idempotency key, so one that was recorded, but whose answer was lost, is not recorded again.

Which days there are is folded from the log, and nobody waits for that. So the log is not followed: it is read when a
day falls due, in pages, from a watermark on. What we booked is added up from the account's own stream then.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import msgspec
import structlog

from commands import faults
from commands.accounts import Accounts, CommandContext, account_of, stream_of
from commands.known_instruments import known_instrument
from commands.ports import (
    Clock,
    EventStore,
    Instruments,
    KeyReused,
    Marks,
    Statements,
    StoreUnavailable,
    Tariffs,
    Watermarks,
)
from domain.account.commands import RecordContractNote
from domain.account.events import ContractNoteReceived, ForeignFillAllocated, OrderFilled
from domain.contract_note import ChargedOrder, NotedFill, Rates
from domain.envelope import RecordedEvent
from domain.events import decode_known
from domain.ids import AccountId, VenueOrderId
from domain.market import NS_PER_MS, NS_PER_S, trading_day
from domain.money import format_e4

log = structlog.get_logger(__name__)

WATERMARK = "contract_notes"
SOURCE = "contract_notes"
_FILLS = ("order.filled.", "trade.foreign_fill.")
_NOTES = "account.contract_note."
_PAGE, _PAUSE_S = 250, 0.01
"""How the log is read that has grown: beside a process that sends orders, which come first."""

Fill = OrderFilled | ForeignFillAllocated


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNoteSettings:
    """When statements are asked for: from so many minutes after midnight in India on, again after `retry_ms`.

    A day that lies more than `days_max` days back is asked for no more. Whether something is due is looked at every
    `pace_ms`.
    """

    from_minute: int = 360
    retry_ms: int = 15 * 60_000
    days_max: int = 7
    pace_ms: int = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """A day on which an account traded: where its first fill lies, and the last note of it."""

    first_sequence: int
    first_version: int
    number: int = 0
    fingerprint: str = ""


class ChargedDays:
    """Who traded on which days, folded from the log."""

    def __init__(self) -> None:
        self.sequence = 0
        self._days: defaultdict[AccountId, dict[str, _Day]] = defaultdict(dict)

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence = recorded.sequence
        account_id = account_of(recorded.stream_id)
        if account_id is None or not recorded.name.startswith((*_FILLS, _NOTES)):
            return
        days = self._days[account_id]
        match decode_known(recorded.name, recorded.payload):
            case OrderFilled(trading_day=day) | ForeignFillAllocated(trading_day=day):
                here = _Day(first_sequence=recorded.sequence, first_version=recorded.version)
                days.setdefault(day, here)
            case ContractNoteReceived() as note if note.trading_day in days:
                known = days[note.trading_day]
                days[note.trading_day] = replace(known, number=note.number, fingerprint=note.fingerprint)

    def forget_before(self, day: str) -> None:
        """Forget the days before *day*."""
        for account_id, days in list(self._days.items()):
            kept = {name: each for name, each in days.items() if name >= day}
            if kept:
                self._days[account_id] = kept
            else:
                del self._days[account_id]

    def accounts(self) -> set[AccountId]:
        """Return the accounts that traded on a day that is remembered."""
        return set(self._days)

    def until(self, last_day: str) -> list[tuple[AccountId, str]]:
        """Return which accounts traded on which days up to *last_day*."""
        return sorted((account_id, day) for account_id, days in self._days.items() for day in days if day <= last_day)

    def of(self, account_id: AccountId, day: str) -> _Day:
        """Return a day that is known."""
        return self._days[account_id][day]

    def low_water(self) -> int:
        """Return the sequence after which a new process has to read to know all this."""
        firsts = (day.first_sequence for days in self._days.values() for day in days.values())
        return min(firsts, default=self.sequence + 1) - 1


class ContractNotes:
    """Asks for the broker's statements and records them beside our charges."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        statements: Statements,
        store: EventStore,
        marks: Marks,
        clock: Clock,
        watermarks: Watermarks,
        instruments: Instruments,
        tariffs: Tariffs,
        settings: ContractNoteSettings,
    ) -> None:
        self._accounts = accounts
        self._statements = statements
        self._store = store
        self._marks = marks
        self._clock = clock
        self._watermarks = watermarks
        self._instruments = instruments
        self._tariffs = tariffs
        self._settings = settings
        self._days = ChargedDays()
        self._is_begun = False
        self._looked_for: str | None = None
        self._looked_at_ns = 0
        self._awaited: set[tuple[AccountId, str]] = set()
        self.recorded = 0

    async def run(self) -> None:
        """Look whenever something is due, until canceled."""
        while True:
            # The first look waits too: a process that starts has more urgent things to do.
            await asyncio.sleep(self._settings.pace_ms * NS_PER_MS / NS_PER_S)
            try:
                await self.look_if_due()
            except StoreUnavailable as fault:
                log.warning("contract notes not looked for", fault=str(fault))

    async def look_if_due(self) -> None:
        """Look if another day has fallen due since the last look, or if one is awaited and it is time to ask again.

        Raises:
            StoreUnavailable
        """
        since_ns = self._clock.monotonic_ns() - self._looked_at_ns
        is_again = bool(self._awaited) and since_ns >= self._settings.retry_ms * NS_PER_MS
        due = self._last_due_day().isoformat()
        if due == self._looked_for and not is_again:
            return
        await self._catch_up()
        wanted = self._days.until(due) if due != self._looked_for else sorted(self._awaited)
        self._awaited = {each for each in wanted if not await self._look(*each)}
        self._looked_for, self._looked_at_ns = due, self._clock.monotonic_ns()

    def status(self) -> dict[str, Any]:
        """Return what is waited for, for people and probes."""
        return {"looked_for": self._looked_for, "awaited": len(self._awaited), "recorded": self.recorded}

    def accounts(self) -> set[AccountId]:
        """Return the accounts that traded lately, as far as that was looked at."""
        return self._days.accounts()

    def _last_due_day(self) -> date:
        """Return the last of the exchange's days that the broker may have a statement of by now."""
        return trading_day(self._marks.market_time_ns() - self._settings.from_minute * 60 * NS_PER_S) - timedelta(
            days=1
        )

    async def _catch_up(self) -> None:
        """Take in what the log has gained, and forget what is too old to be asked for."""
        if not self._is_begun:
            self._days.sequence = await self._watermarks.get(WATERMARK)
            self._is_begun = True
        while batch := await self._store.read_all(after_sequence=self._days.sequence, limit=_PAGE):
            for recorded in batch:
                self._days.apply(recorded)
            await asyncio.sleep(_PAUSE_S)
        oldest = self._last_due_day() - timedelta(days=self._settings.days_max - 1)
        self._days.forget_before(oldest.isoformat())
        self._awaited = {each for each in self._awaited if each[1] >= oldest.isoformat()}
        await self._watermarks.put(WATERMARK, self._days.low_water())

    async def _look(self, account_id: AccountId, day: str) -> bool:
        """Record what the broker says of a day, if that is news, and tell whether it has all that we have."""
        try:
            told = await self._statements.charged_fills(account_id, date.fromisoformat(day))
            booked = await self._booked(account_id, day)
            if told:
                await self._record(account_id, day, booked, told)
        except (*faults.OF_LOG_OR_VENUE, KeyReused) as fault:
            log.warning("no contract note yet", account_id=account_id, day=day, fault=str(fault))
            return False
        except Exception:  # A remark on yesterday must not end the process that sends today's orders.
            log.exception("no contract note can be made", account_id=account_id, day=day)
            return False
        return _has_all(told, booked)

    async def _booked(self, account_id: AccountId, day: str) -> list["_Booked"]:
        """Return what the log has of an account's day, by order."""
        known = self._days.of(account_id, day)
        stream = await self._store.read_stream(stream_of(account_id), after_version=known.first_version - 1)
        orders: dict[VenueOrderId, _Booked] = {}
        for recorded in stream:
            event = decode_known(recorded.name, recorded.payload) if recorded.name.startswith(_FILLS) else None
            if isinstance(event, OrderFilled | ForeignFillAllocated) and event.trading_day == day:
                name = _order_of(event)
                orders[name] = _Booked.of(event, name) if name not in orders else orders[name].with_fill(event)
        return list(orders.values())

    async def _record(
        self, account_id: AccountId, day: str, booked: Sequence["_Booked"], told: Sequence[NotedFill]
    ) -> None:
        known = self._days.of(account_id, day)
        orders = tuple(each.order for each in booked)
        fingerprint = fingerprint_of(orders, told)
        if fingerprint == known.fingerprint:
            return
        number = known.number + 1
        told_of = {row.venue_order_id for row in told}
        command = RecordContractNote(
            trading_day=day,
            number=number,
            fingerprint=fingerprint,
            booked=orders,
            told=tuple(told),
            rates={
                each.order.venue_order_id: rates
                for each in booked
                if each.order.venue_order_id in told_of and (rates := self._rates_of(each, day)) is not None
            },
        )
        context = CommandContext(
            actor=SOURCE,
            source=SOURCE,
            received_at_ns=self._clock.wall_ns(),
            idempotency_key=f"{WATERMARK}:{day}:{number}:{fingerprint}",
        )
        outcome = await self._accounts.carry_out(account_id, command, context)
        self.recorded += not outcome.repeated
        notes = [event for event in outcome.events if isinstance(event, ContractNoteReceived)]
        unexplained_e4 = sum(order.unexplained_e4 for note in notes for order in note.orders)
        if unexplained_e4:
            rupees = format_e4(unexplained_e4)
            log.warning("the broker charged what nothing explains", account_id=account_id, day=day, rupees=rupees)

    def _rates_of(self, booked: "_Booked", day: str) -> Rates | None:
        order = booked.order
        instrument = known_instrument(self._instruments, order.instrument, market_time_ns=booked.filled_at_ns)
        if instrument is None:
            return None  # It was not charged either: that is said in the log.
        return Rates(
            tariff=self._tariffs.tariff_of(instrument, order.product, order.side, day=day),
            of_other_days=self._tariffs.lines_of_other_days(instrument, order.product, order.side, day=day),
            multiplier=instrument.multiplier,
        )


@dataclass(frozen=True, slots=True)
class _Booked:
    """What the log has of an order on one day, and when its first execution was."""

    order: ChargedOrder
    filled_at_ns: int

    @classmethod
    def of(cls, fill: Fill, name: VenueOrderId) -> "_Booked":
        """Return what its first fill makes of an order."""
        order = ChargedOrder(
            venue_order_id=name,
            instrument=fill.instrument,
            product=fill.product,
            side=fill.side,
            quantity=fill.last_quantity,
            values_paise=(fill.value_paise,),
            charges=fill.charges,
        )
        return cls(order, fill.filled_at_ns)

    def with_fill(self, fill: Fill) -> "_Booked":
        """Return this with one more fill."""
        order = msgspec.structs.replace(
            self.order,
            quantity=self.order.quantity + fill.last_quantity,
            values_paise=(*self.order.values_paise, fill.value_paise),
            charges=self.order.charges + fill.charges,
        )
        return replace(self, order=order)


def fingerprint_of(booked: Iterable[ChargedOrder], told: Iterable[NotedFill]) -> str:
    """Return what names both books of a day, in whatever order they came."""
    lines = [*sorted(map(msgspec.json.encode, booked)), b"", *sorted(map(msgspec.json.encode, told))]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


def _order_of(fill: Fill) -> VenueOrderId:
    """Return the venue's name of a fill's order; where it names none, the fill's own, which no statement has."""
    return fill.venue_order_id or VenueOrderId(fill.venue_fill_id)


def _has_all(told: Iterable[NotedFill], booked: Iterable[_Booked]) -> bool:
    """Tell whether the broker tells of all that we have."""
    quantities: defaultdict[VenueOrderId, int] = defaultdict(int)
    for row in told:
        quantities[row.venue_order_id] += row.quantity
    return all(quantities[each.order.venue_order_id] >= each.order.quantity for each in booked)
