"""What the query side needs of the world: each port is implemented in `adapters/`."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from domain.envelope import RecordedEvent
from domain.ids import AccountId, UserId
from domain.instrument import DatedDefinition, Instrument, InstrumentKey, InstrumentKind, Segment
from domain.market import Mark
from projections.read_model import AnyReadModel, Key, Row

# --- The log ----------------------------------------------------------------------------------------------------------


class EventFeed(Protocol):
    """The log as it grows: every event after a sequence, in order, without a hole, for ever."""

    def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        """Yield events in batches as they are recorded, starting after *after_sequence*."""
        ...


class LogHead(Protocol):
    """The end of the log. `epoch` changes when a sequence could mean another event than before."""

    @property
    def sequence(self) -> int:
        """The last event's sequence, 0 in an empty log."""
        ...

    @property
    def epoch(self) -> str:
        """Which history the sequences belong to."""
        ...


class LogReader(Protocol):
    """The log as it lies."""

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return at most *limit* events after *after_sequence*, in sequence order, without a hole."""
        ...

    async def head(self) -> LogHead:
        """Return the end of the log."""
        ...


class LogOfThePast(LogReader, Protocol):
    """The log as questions about the past look into it, whether a part of it is archived or not."""

    async def sequence_at(self, time_us: int) -> int:
        """Return the last sequence recorded at or before *time_us* (UTC microseconds), 0 where there is none."""
        ...

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        """Return a stream's events after *after_version* up to *last_sequence*, oldest first, at most *limit*.

        *after_sequence* is the sequence of the event at *after_version*, or any lower one: nothing before it is read.
        What is read grows with what is returned, not with what the stream holds after it.
        """
        ...


# --- The world outside ------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, in nanoseconds."""

    def wall_ns(self) -> int:
        """Return UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Return a time that never steps."""
        ...


class Marks(Protocol):
    """The market as this process knows it."""

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the last mark of *instrument*."""
        ...


class PersonalDataReader(Protocol):
    """Opens what a user's key sealed."""

    async def unseal(self, user_id: UserId, field: str, nonce: bytes, ciphertext: bytes) -> str | None:
        """Return the text, None where the key was destroyed: the field is erased."""
        ...


# --- The views --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a read model has taken in: every event up to `sequence`, whose hash is `hash`.

    `halted` says why it goes no further, None where it does.
    """

    sequence: int
    hash: bytes
    halted: str | None = None


class Part(NamedTuple):
    """The share of one shard in an edition of a read model: the smallest thing that is claimed and has a checkpoint."""

    model: AnyReadModel
    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedEvent:
    """An event that a read model could not take in (`error` says why), or one of its stream that waits behind it."""

    sequence: int
    stream_id: str
    event_name: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a projector works on. The log is shared out to `shards`, of which these are some.

    `parked` names the streams that wait, by read model. `is_resharding`: the number of shards is to change as soon as
    all of them have the same checkpoint, and all of them are ours for that.
    """

    checkpoints: Mapping[Part, Checkpoint]
    shards: int
    parked: Mapping[AnyReadModel, frozenset[str]]
    is_resharding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The world at a renewal: `head` of the log; `is_due` where another claim would take other shards or editions.

    `is_outlived`: there are editions to drop.
    """

    head: int
    is_due: bool
    is_outlived: bool


class ViewsUnavailable(Exception):
    """The views' database cannot be reached or asked to try again. Nothing was changed, or it is not known whether."""


class ViewsRefused(Exception):
    """The database will never take these rows: trying again gives the same answer. Nothing was changed."""


class ClaimHeld(Exception):
    """Another projector works on these read models. Try again when its lease may have run out."""


class ClaimLost(Exception):
    """Our lease ran out and another projector took the read models over. Nothing was changed."""


class ViewWriter(Protocol):
    """Where rows and checkpoints are written. Every method raises ViewsUnavailable where the database is away."""

    async def load(self, wanted: Mapping[AnyReadModel, Iterable[Key]]) -> dict[AnyReadModel, dict[Key, Row]]:
        """Return the rows that exist under the wanted keys.

        They are what a later `save` finds: it fails if anybody else has written since the claim.
        """
        ...

    async def save(
        self,
        changes: Mapping[AnyReadModel, Mapping[Key, Row | None]],
        advances: Mapping[Part, tuple[Checkpoint, Checkpoint]],
        parked: Mapping[AnyReadModel, Sequence[ParkedEvent]],
    ) -> None:
        """Write rows (None: there is none any more), put events aside, and move checkpoints from old place to new.

        All of it is there afterwards, or nothing.

        Raises:
            ClaimLost: a checkpoint is not where it was left, or not ours.
            ViewsRefused: the database will never take what was written.
        """
        ...


class ViewStore(ViewWriter, Protocol):
    """Where read models are kept."""

    async def prepare(self, models: Sequence[AnyReadModel], *, shards: int) -> None:
        """Make the editions of *models* that are missing: live ones in fresh views, else ones to be filled beside."""
        ...

    async def claim(self, models: Sequence[AnyReadModel], *, shards: int, lease_ms: int) -> Claimed:
        """Take over a fair share of the shards of every live edition of *models*, until the lease runs out.

        *shards* is how many there shall be; there may be others as long as a change is not possible.

        Raises:
            ClaimHeld: others have them all, or a later release has taken the place of these read models.
        """
        ...

    async def renew(self, models: Sequence[AnyReadModel], parts: Sequence[Part], *, lease_ms: int) -> Renewed:
        """Keep the claim on *parts* for another lease.

        Raises:
            ClaimLost
        """
        ...

    async def release(self, models: Sequence[AnyReadModel]) -> None:
        """Give the claim back at once, for the next projector not to wait for the lease."""
        ...

    async def drop_due(self, models: Sequence[AnyReadModel]) -> None:
        """Drop the editions of *models*, and of their earlier versions, whose time is over."""
        ...

    async def hash_at(self, sequence: int) -> bytes | None:
        """Return the hash that the log has at *sequence*, None where the log does not reach so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSnapshot:
    """One read model whole, at one moment: every row by its key, and the checkpoint they belong to."""

    checkpoint: int
    rows: Mapping[Key, Any]


class ViewsReader(Protocol):
    """Reads whole read models, past row security: for verification."""

    async def snapshot(self, model: AnyReadModel) -> ViewSnapshot:
        """Return every row of *model* and its checkpoint, as of one moment."""
        ...


# --- The past ---------------------------------------------------------------------------------------------------------


class MarkSource(StrEnum):
    """Where a price that is shown comes from."""

    MARKET = "market"
    """The market now, as it was last published."""
    EVENT = "event"
    """An event of the account, which recorded it."""
    BAR = "bar"
    """A stored bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricalMark:
    """A price of the past and where it comes from."""

    mark: Mark
    source: MarkSource


class HistoricalMarks(Protocol):
    """The market as it was."""

    async def marks_at(
        self,
        instruments: Collection[InstrumentKey],
        *,
        account_id: AccountId,
        sequence: int,
        day: str,
        market_time_ns: int | None,
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        """Return the marks that stood at *sequence*, as far as *account_id* may see them; none for who has none.

        *day* is the exchange's day then (ISO), *market_time_ns* the market's time (None: it is not known).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBar:
    """One day of an instrument, in 1/10,000 rupee as it was traded then. `volume` is in units.

    `adjusted_close_e4` is the close on the scale of the newest bar, whatever splits and bonuses came since: what
    returns are computed from.
    """

    day: str
    open_e4: int
    high_e4: int
    low_e4: int
    close_e4: int
    volume: int
    adjusted_close_e4: int


class BarsUnreadable(Exception):
    """The stored bars of an instrument are there and cannot be read. The caller sees 503."""


class Bars(Protocol):
    """Stored bars of instruments."""

    async def daily(self, instrument: InstrumentKey, *, first_day: str, last_day: str) -> Sequence[DailyBar]:
        """Return the daily bars from *first_day* to *last_day* (ISO, both included) that are stored, oldest first.

        Raises:
            BarsUnreadable
        """
        ...


class InstrumentsUnreadable(Exception):
    """The imported instrument master is there and cannot be searched. The caller sees 503."""


class InstrumentDirectory(Protocol):
    """The instrument master, for looking things up in it."""

    @property
    def version(self) -> int:
        """Which version of the master it is, 0 the table that is shipped."""
        ...

    def definitions(self, key: InstrumentKey) -> Sequence[DatedDefinition]:
        """Return all definitions of *key*, oldest first, none where it is unknown."""
        ...

    async def search(
        self, query: str, *, market_time_ns: int, segment: Segment | None, kind: InstrumentKind | None, limit: int
    ) -> Sequence[Instrument]:
        """Return what *query* finds among the definitions in force, the most likely first.

        Raises:
            InstrumentsUnreadable
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """The rows of one read model and one account that could still change, after an event of the account.

    That event has `sequence` and, in the account's stream, `version`. `rows` is how `projections.past` encodes them. It
    is a cache: what it says can always be folded anew.
    """

    account_id: AccountId
    sequence: int
    version: int
    rows: bytes


class StatesReader(Protocol):
    """Reads stored states."""

    async def newest(
        self, account_id: AccountId, models: Sequence[AnyReadModel], *, sequence: int
    ) -> dict[AnyReadModel, StoredState]:
        """Return of each of *models* the newest state at or before *sequence*, where there is one."""
        ...


class StatesStore(StatesReader, Protocol):
    """Keeps stored states. Every method raises ViewsUnavailable where the database is away."""

    async def prepare(self) -> None:
        """Make the tables where they are missing."""
        ...

    async def claim(self) -> bool:
        """Tell whether the keeping is ours alone; once it is, it stays ours as long as the connection lives."""
        ...

    async def reached(self, models: Sequence[AnyReadModel]) -> int:
        """Return the sequence that the tables of all *models* have reached."""
        ...

    async def progress(self, models: Sequence[AnyReadModel]) -> int:
        """Return up to which sequence everything that was due is stored of just these *models*, 0 for a new set."""
        ...

    async def versions(self, accounts: Sequence[AccountId], models: Sequence[AnyReadModel]) -> dict[AccountId, int]:
        """Return for each account the version up to which all *models* have a state, 0 where one has none."""
        ...

    async def rows_now(self, model: AnyReadModel, keys: Iterable[Key]) -> dict[Key, Row]:
        """Return the rows of the table of *model* that exist under *keys* now."""
        ...

    async def save(self, states: Sequence[tuple[AnyReadModel, StoredState]]) -> None:
        """Store states; those that are there already stay."""
        ...

    async def move_to(self, models: Sequence[AnyReadModel], sequence: int) -> None:
        """Note that everything due of *models* up to *sequence* is stored."""
        ...
