"""What the command side needs of the world: each port is implemented in `adapters/`."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from domain import books
from domain.charges import Tariff, TariffLine
from domain.contract_note import NotedFill
from domain.envelope import RecordedEvent
from domain.ids import AccountId, CorrelationId, UserId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey
from domain.market import Mark
from domain.order import (
    NotSentReason,
    OrderInstruction,
    OrderStatus,
    Product,
    Purpose,
    RefusalReason,
    Side,
)
from domain.session import SessionMoment
from domain.venue import BreakerChanged

# --- The log ----------------------------------------------------------------------------------------------------------


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be appended: its stored name and its bytes."""

    name: str
    payload: bytes


class StreamAppend(msgspec.Struct, frozen=True, kw_only=True):
    """Events for one stream. `expected_version` is the version of its last event so far, 0 for a new stream.

    Without events it only demands that the stream still is at that version. `expected_leaf`, where given, is the leaf
    hash (`domain.envelope.leaf_hash`) of that last event: a version alone does not tell whether the event there is the
    one that the decision was made on, when decisions are appended one upon another before the first is confirmed.
    """

    stream_id: str
    expected_version: int
    events: tuple[NewEvent, ...]
    expected_leaf: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A value that only one owner may have, taken in the same transaction as the events."""

    kind: str
    key_hash: bytes
    owner: str


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """One command's events: all of them are appended, or none.

    `command_id` names the command in each of its events. `scope` and `key` make it idempotent (None: not): the same
    pair is carried out once, `request_hash` tells the same request from another one under the same key.
    """

    command_id: str
    streams: tuple[StreamAppend, ...]
    metadata: bytes
    scope: str = ""
    key: str | None = None
    request_hash: bytes = b""
    claim: Claim | None = None


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command's events lie: sequences `first_sequence` … `last_sequence`; both the head where there are none.

    `repeated` tells that the command had been carried out before and this is its first outcome.
    """

    first_sequence: int
    last_sequence: int
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of the log. `epoch` changes when a sequence could mean another event than before (restore, failover)."""

    sequence: int
    hash: bytes
    epoch: str


class VersionConflict(Exception):
    """Another command came first: load again and decide again. Nothing was stored."""


class KeyReused(Exception):
    """The idempotency key belongs to another request. Nothing was stored; the caller sees 422."""


class ClaimTaken(Exception):
    """The claimed value has another owner. Nothing was stored; the caller sees 409."""


class EventTooLarge(Exception):
    """An event is over 256 KiB. Nothing was stored."""


class StoreUnavailable(Exception):
    """The log cannot be reached, and it is known that nothing was stored, or nothing was asked to be."""


class LogFull(StoreUnavailable):
    """The log's disk is full. Nothing was stored; it takes appends again as soon as somebody has made room."""


class AppendOutcomeUnknown(Exception):
    """The connection was lost and the outcome could not be looked up in time. Ask again under the same key."""


class EventStore(Protocol):
    """The log."""

    async def append(self, append: Append) -> Appended:
        """Append one command's events, durable when this returns.

        Raises:
            VersionConflict, KeyReused, ClaimTaken, EventTooLarge, StoreUnavailable, LogFull, AppendOutcomeUnknown
        """
        ...

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events after *after_version*, oldest first."""
        ...

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole."""
        ...

    async def head(self) -> Head:
        """Return the end of the log."""
        ...

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value, None where nobody does."""
        ...


class EventFeed(Protocol):
    """The log as it grows: every event after a sequence, in order, without a hole, for ever."""

    def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        """Yield events in batches as they are recorded, starting after *after_sequence*."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state that the first `version` events of a stream lead to, as bytes that `schema` names the meaning of.

    `sequence` and `leaf` (`domain.envelope.leaf_hash`) are those of the last of these events.
    """

    stream_id: str
    version: int
    sequence: int
    leaf: bytes
    schema: str
    state: bytes


class Snapshots(Protocol):
    """A cache of states. What is in it may vanish at any time, and is held against the log before it is believed."""

    async def find(self, stream_id: str) -> Snapshot | None:
        """Return the newest snapshot that is kept of a stream. Raises StoreUnavailable."""
        ...

    async def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, unless a newer one is kept already. Raises StoreUnavailable."""
        ...


# --- Time and names ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, in nanoseconds."""

    def wall_ns(self) -> int:
        """Return UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Return a time that never steps: for time-outs, leases and latencies."""
        ...


class Ids(Protocol):
    """Fresh names."""

    def new(self, prefix: str) -> str:
        """Return a fresh id, *prefix* and an underscore first; later ones sort later."""
        ...


# --- The market -------------------------------------------------------------------------------------------------------


class Marks(Protocol):
    """The market as this process knows it."""

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the last mark of *instrument*."""
        ...

    def market_time_ns(self) -> int:
        """Return the market clock (UTC nanoseconds)."""
        ...


class Instruments(Protocol):
    """The instrument master."""

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:
        """Return the definition of *symbol* in force.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this symbol.
        """
        ...

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:
        """Return the definition of *key* in force; raises likewise."""
        ...


class Sessions(Protocol):
    """The session table: when what may be traded."""

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        """Return where *instrument* is in its session, None where no table has its segment's hours."""
        ...


class Tariffs(Protocol):
    """What is charged for orders, by day."""

    def tariff_of(self, instrument: Instrument, product: Product, side: Side, *, day: str) -> Tariff:
        """Return what is charged for an order in *instrument* on the exchange's *day* (ISO); no lines: nothing is."""
        ...

    def lines_of_other_days(
        self, instrument: Instrument, product: Product, side: Side, *, day: str
    ) -> tuple[TariffLine, ...]:
        """Return the lines for such orders that were in force before *day* or are after it."""
        ...


# --- Users ------------------------------------------------------------------------------------------------------------


class HasherBusy(Exception):
    """Too many passwords wait to be hashed. The caller sees 429 and may come again in a second."""


class PasswordHasher(Protocol):
    """Hashes passwords, off the event loop, a bounded number at once."""

    async def hash(self, password: str) -> str:
        """Return the hash to keep. Raises HasherBusy."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether *password* is the one; takes as long for None (no such user) as for a wrong one.

        Raises:
            HasherBusy
        """
        ...


class TokenInvalid(Exception):
    """The access token is not one of ours, or not for us. The caller sees 401."""


class TokenExpired(TokenInvalid):
    """The access token was ours and its time is over. The caller sees 401 and logs in again."""


class AccessTokens(Protocol):
    """Short-lived proofs of who is asking."""

    def issue(self, user_id: UserId) -> tuple[str, int]:
        """Return a token for the user and the seconds it is good for."""
        ...

    def verify(self, token: str) -> UserId:
        """Return whom *token* was issued to.

        Raises:
            TokenInvalid, TokenExpired
        """
        ...


class Passwords(Protocol):
    """Password hashes, beside the log."""

    async def keep(self, user_id: UserId, password_hash: str) -> None:
        """Keep the hash of a user's password."""
        ...

    async def find(self, user_id: UserId) -> str | None:
        """Return the kept hash."""
        ...

    async def drop(self, user_id: UserId) -> None:
        """Forget the hash."""
        ...


class RotationOutcome(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    """It is spent, and its successor is good."""
    UNKNOWN = "unknown"
    """It is none of ours, or its time is over, or its family has ended."""
    REUSED = "reused"
    """It was spent before: somebody else has it as well. Its family has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What became of a refresh token, and whose it was; None where it is unknown."""

    outcome: RotationOutcome
    user_id: UserId | None = None
    ends_at_us: int = 0
    """When the successor's time is over (UTC microseconds)."""


class RefreshTokens(Protocol):
    """Refresh tokens by their hashes, beside the log. A family is what one log-in led to, one token after another.

    Times are UTC microseconds. Everything raises StoreUnavailable.
    """

    async def begin(
        self,
        family_id: str,
        user_id: UserId,
        token_hash: bytes,
        *,
        now_us: int,
        ends_at_us: int,
        family_ends_at_us: int,
    ) -> None:
        """Begin a family with its first token, and forget the families whose time is over."""
        ...

    async def rotate(
        self, token_hash: bytes, successor_hash: bytes, *, now_us: int, ends_at_us: int, grace_us: int
    ) -> Rotation:
        """Spend a token and make its successor good until *ends_at_us*, or the family's end if that is sooner.

        A token that was spent *grace_us* ago at most, and whose successor is not spent, is answered as the first time.
        """
        ...

    async def end_family(self, token_hash: bytes) -> None:
        """End the family that a token belongs to; of an unknown one there is none."""
        ...

    async def end_all(self, user_id: UserId) -> None:
        """End every family of a user."""
        ...


class BrokerCredentials(Protocol):
    """What accounts log in to the broker with: sealed so that only the executor can open it. It is never read here.

    Everything raises StoreUnavailable.
    """

    async def keep(self, user_id: UserId, account_id: AccountId, credentials: bytes) -> None:
        """Keep an account's credentials in place of older ones, whose key is destroyed."""
        ...

    async def drop(self, account_id: AccountId) -> None:
        """Destroy an account's credentials; none is no fault."""
        ...

    async def drop_all(self, user_id: UserId) -> None:
        """Destroy the credentials of every account of a user."""
        ...


class StrategySources(Protocol):
    """Sources of strategies by their hash, beside the log, each kept for its author.

    Everything raises StoreUnavailable.
    """

    async def keep(self, user_id: UserId, source_hash: str, source: str) -> None:
        """Keep a source; the same again is no fault."""
        ...

    async def find(self, user_id: UserId, source_hash: str) -> str | None:
        """Return a source of a user, None where none is kept."""
        ...

    async def drop_all(self, user_id: UserId) -> None:
        """Destroy every source of a user."""
        ...


class PersonalData(Protocol):
    """Seals personal fields under the user's own key, which can be destroyed."""

    async def create_key(self, user_id: UserId) -> None:
        """Make the user's key."""
        ...

    async def seal(self, user_id: UserId, field: str, text: str) -> tuple[bytes, bytes]:
        """Return nonce and ciphertext of *text*, bound to the user and the field."""
        ...

    async def unseal(self, user_id: UserId, field: str, nonce: bytes, ciphertext: bytes) -> str | None:
        """Return the text, None where the key was destroyed: the field is erased."""
        ...

    async def destroy_key(self, user_id: UserId) -> None:
        """Destroy the user's key: what it sealed is erased, everywhere."""
        ...

    def lookup_hash(self, kind: str, text: str) -> bytes:
        """Return the keyed hash under which *text* is found again without being stored."""
        ...


class Erasures(Protocol):
    """The list of erased users, outside the database."""

    async def record(self, user_id: UserId, *, erased_at_ns: int) -> None:
        """Put a user on the list, durable when this returns. Raises StoreUnavailable."""
        ...


class Claims(Protocol):
    """Values that only one owner may have."""

    async def release(self, owner: str) -> None:
        """Give back what *owner* had claimed."""
        ...


class ParkedViews(Protocol):
    """Versions of the read models that nobody keeps up to date."""

    async def erase(self, user_id: UserId) -> None:
        """Empty the sealed fields of a user in them."""
        ...


# --- The broker -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The venue took the order and named it. `sent_at_ns`: UTC when the request's head had been written."""

    venue_order_id: VenueOrderId
    sent_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The venue's well-formed no."""

    reason: RefusalReason
    message: str
    sent_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Proven by the transport, or by never having come to it: no byte of the request left. `cause` is for people."""

    cause: str
    reason: NotSentReason = NotSentReason.TRANSPORT

    @property
    def breaker_open(self) -> bool:
        """Tell whether our own breaker held it back."""
        return self.reason is NotSentReason.BREAKER_OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """A byte may have left, and no well-formed answer came."""

    cause: str
    sent_at_ns: int


Placement = Accepted | Refused | NotSent | OutcomeUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyAccepted:
    """The venue took the change and will try it. Whether it came to be, the order book tells."""

    sent_at_ns: int


Modification = ModifyAccepted | Refused | NotSent | OutcomeUnknown


VenueOrder = books.VenueOrder
VenueFill = books.VenueFill
VenuePosition = books.VenuePosition
VenueHolding = books.VenueHolding
"""Rows of the venue's books: values of the domain, which holds them against ours."""


class BrokerUnavailable(Exception):
    """The broker could not be asked, or its answer was no answer. Nothing is known; ask again later."""


class OrderInTransit(BrokerUnavailable):
    """The order is on its way through the venue, which cancels none there: ask again in a moment."""


class Broker(Protocol):
    """The venue, for one account at a time. Reads retry by themselves; placing and modifying never do."""

    async def place(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: CorrelationId, purpose: Purpose
    ) -> Placement:
        """Send one order, at most once, and tell what is known of it. Never raises for a fault of the venue."""
        ...

    async def modify(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, purpose: Purpose
    ) -> Modification:
        """Ask once for an order to become *instruction*, its quantity in total. Never raises for a fault of the venue.

        It says what the order shall be, not by how much: asked again, it changes nothing more.
        """
        ...

    def is_held_back(self, account_id: AccountId, purpose: Purpose) -> bool:
        """Tell whether an order would not be sent now because our own breaker holds it back."""
        ...

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId) -> None:
        """Ask for an order's cancellation; safe to repeat. Its outcome is read from the order book.

        Raises:
            BrokerUnavailable
        """
        ...

    async def find_order(self, account_id: AccountId, correlation_id: CorrelationId) -> VenueOrder | None:
        """Return the order that carries our id, None where the venue shows none: which proves nothing.

        Raises:
            BrokerUnavailable
        """
        ...

    async def orders(self, account_id: AccountId) -> Sequence[VenueOrder]:
        """Return the day's order book. Raises BrokerUnavailable."""
        ...

    async def fills(self, account_id: AccountId) -> Sequence[VenueFill]:
        """Return the day's executions, oldest first. Raises BrokerUnavailable."""
        ...

    async def positions(self, account_id: AccountId) -> Sequence[VenuePosition]:
        """Return the venue's positions. Raises BrokerUnavailable."""
        ...

    async def holdings(self, account_id: AccountId) -> Sequence[VenueHolding]:
        """Return what is held for delivery since earlier days. Raises BrokerUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PastExecution:
    """An execution of a day that is over, as the venue's statement has it. `executed_at_ns`: UTC, None: not told."""

    venue_order_id: VenueOrderId
    instrument: InstrumentKey
    product: Product
    side: Side
    quantity: int
    executed_at_ns: int | None


class TradeHistory(Protocol):
    """What was executed on days that are over."""

    async def executed_on(self, account_id: AccountId, day: date) -> Sequence[PastExecution]:
        """Return an account's executions of the exchange's *day*. Raises BrokerUnavailable."""
        ...


class BookArchive(Protocol):
    """Where the venue's last order book of each day is kept: it forgets it over night."""

    async def keep(self, account_id: AccountId, day: date, rows: Sequence[VenueOrder]) -> None:
        """Keep an account's book, durable when this returns. Raises StoreUnavailable."""
        ...


class RequestBudget(Protocol):
    """What the venue allows an account to ask for, as far as it is counted on our side."""

    def count_earlier(self, account_id: AccountId, sent_at_ns: Sequence[int]) -> None:
        """Count requests that an earlier process made (UTC nanoseconds, oldest first)."""
        ...


class Statements(Protocol):
    """What the venue says that it charged, some hours after the end of a day."""

    async def charged_fills(self, account_id: AccountId, day: date) -> Sequence[NotedFill]:
        """Return the rows of one of the exchange's days, as far as the venue has them by now: none yet proves nothing.

        Raises:
            BrokerUnavailable
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueStanding:
    """How an account stands at the venue before the market opens.

    Its token ends at `token_ends_at_ns` (UTC) and is renewed before; `token_trouble` says why that failed last, empty:
    it did not. `available_paise` is what new orders may use.
    """

    token_ends_at_ns: int
    token_trouble: str
    available_paise: int


class Readiness(Protocol):
    """What the venue says of an account before the market opens."""

    async def standing(self, account_id: AccountId) -> VenueStanding:
        """Return how token and money stand. Raises BrokerUnavailable: it did not tell."""
        ...

    async def is_address_registered(self, account_id: AccountId) -> bool | None:
        """Tell whether orders may come from this machine, None: the venue does not say. Raises BrokerUnavailable."""
        ...


class TradingDays(Protocol):
    """On which days the exchange trades."""

    def closes_at_ns(self, market_time_ns: int) -> int | None:
        """Return when trading ends on the day of *market_time_ns* (UTC nanoseconds), None: there is none that day."""
        ...


class MasterDay(Protocol):
    """How old the instrument master in use is."""

    def day(self) -> str | None:
        """Return the exchange's day that it is of (ISO), None where the table that is shipped is in use."""
        ...


class BreakerWatch(Protocol):
    """Who sees the breakers before a venue change."""

    def take_breaker_changes(self) -> Sequence[BreakerChanged]:
        """Return what changed since the last call, oldest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """What the venue tells of an order by itself. It may come late, twice, out of order or never, so it proves nothing.

    `status` is None where the venue's word tells of a change without saying what the order is now, or is unknown.
    """

    venue_order_id: VenueOrderId
    correlation_id: CorrelationId | None
    status: OrderStatus | None
    cumulative_quantity: int


OnUpdate = Callable[[AccountId, OrderUpdate | None], None]
"""Takes an account's next update; None: any number of them may have been missed."""


class OrderUpdates(Protocol):
    """The venue's own word of what happens to the orders of accounts: a hint where to look, and when."""

    async def run(self, on_update: OnUpdate) -> None:
        """Hand to *on_update* what the venue tells of the accounts watched, until canceled."""
        ...

    def watch(self, accounts: Collection[AccountId]) -> None:
        """Say of which accounts it shall be told from now on. Not all of them may find room."""
        ...

    def is_live(self, account_id: AccountId) -> bool:
        """Tell whether the venue is believed to tell of an account now."""
        ...

    def doubt(self, account_id: AccountId) -> None:
        """Connect anew for an account of which the venue was found not to tell."""
        ...

    def status(self) -> dict[str, Any]:
        """Return the state of the connections and counts, for people and probes."""
        ...


class Lease(Protocol):
    """The right to be the only sender. `epoch` grows with every holder."""

    @property
    def epoch(self) -> int:
        """The holder's number."""
        ...

    def is_held(self) -> bool:
        """Tell, by the monotonic clock and without asking anybody, whether the lease still is ours."""
        ...


class AuditStore(Protocol):
    """Log-ins and refusals, chained, beside the log."""

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries (`domain.audit.encode`), durable when this returns.

        Raises:
            StoreUnavailable: nothing is known of them; adding them again may repeat them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSnapshot:
    """What a process manager knew of the log when it had read up to `sequence`, as bytes `schema` names the meaning of.

    `hash` is that of the event at `sequence`: it tells whether the log still is the one that was read.
    """

    name: str
    sequence: int
    hash: bytes
    schema: str
    state: bytes


class Watermarks(Protocol):
    """Where a process manager starts to read after a restart: after a sequence, or from what it knew later.

    Snapshots are a cache: what is in it may vanish at any time, and is held against the log before it is believed.
    """

    async def get(self, name: str) -> int:
        """Return the kept sequence, 0 where none was kept."""
        ...

    async def put(self, name: str, sequence: int) -> None:
        """Keep a sequence."""
        ...

    async def find(self, name: str) -> FoldSnapshot | None:
        """Return the kept snapshot, None where none was kept."""
        ...

    async def keep(self, snapshot: FoldSnapshot) -> None:
        """Keep a snapshot instead of the one before."""
        ...
