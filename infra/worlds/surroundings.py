"""What the command side needs beside log and venue: names, marks, sessions, watermarks, and the right to send.

All of it outlives the processes, as the database and the market do.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from itertools import count

import msgspec

from adapters.memory.event_store import MemoryEventStore
from commands.ports import (
    Append,
    Appended,
    AppendOutcomeUnknown,
    Clock,
    FoldSnapshot,
    Head,
    StoreUnavailable,
    VenueOrder,
)
from domain.envelope import RecordedEvent
from domain.ids import AccountId
from domain.instrument import Instrument, InstrumentKey
from domain.market import NS_PER_S, Mark, trading_day
from domain.session import Phase, SessionMoment
from infra.wiring.trading import LEASE_MARGIN_S, LEASE_S
from infra.worlds.processes import Process
from infra.worlds.story import Story
from infra.worlds.weather import LogFate, Weather

LEASE_RENEWED_S = LEASE_S / 3
LEASE_ASKED_S = 0.25


class CountingIds:
    """Names in the order in which they are asked for. Implements `commands.ports.Ids`."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self, prefix: str) -> str:
        """Return a name that was never given before."""
        return f"{prefix}_{next(self._numbers):026d}"


class WorldMarks:
    """The newest marks. Implements `commands.ports.Marks`."""

    def __init__(self, clock: Clock) -> None:
        self.marks: dict[InstrumentKey, Mark] = {}
        self._clock = clock

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the newest mark."""
        return self.marks.get(instrument)

    def market_time_ns(self) -> int:
        """Return the market's time, which goes with everybody's clock."""
        return self._clock.wall_ns()


class OneSession:
    """Continuous trading until `until_ns`, nothing afterwards. Implements `commands.ports.Sessions`."""

    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:  # noqa: ARG002 - the port's shape
        """Return where the day is."""
        is_open = market_time_ns < self.until_ns
        return SessionMoment(
            phase=Phase.CONTINUOUS if is_open else Phase.CLOSED,
            trading_day=trading_day(market_time_ns).isoformat(),
            continuous_until_ns=self.until_ns if is_open else None,
        )


class KeptWatermarks:
    """How far processes were, as the database keeps it."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.snapshots: dict[str, FoldSnapshot] = {}


class WatermarksLink:
    """A process's way to them. Implements `commands.ports.Watermarks`."""

    def __init__(self, watermarks: KeptWatermarks, process: Process) -> None:
        self._watermarks = watermarks
        self._process = process

    async def get(self, name: str) -> int:
        """Return the watermark of that name."""
        await self._process.reach("before reading a watermark")
        return self._watermarks.kept.get(name, 0)

    async def put(self, name: str, sequence: int) -> None:
        """Keep a watermark."""
        await self._process.reach("before keeping a watermark")
        self._watermarks.kept[name] = sequence
        await self._process.reach("after keeping a watermark")

    async def find(self, name: str) -> FoldSnapshot | None:
        """Return the snapshot of that name."""
        await self._process.reach("before reading a snapshot")
        return self._watermarks.snapshots.get(name)

    async def keep(self, snapshot: FoldSnapshot) -> None:
        """Keep a snapshot."""
        await self._process.reach("before keeping a snapshot")
        self._watermarks.snapshots[snapshot.name] = snapshot
        await self._process.reach("after keeping a snapshot")


class KeptBooks:
    """The day's last books, in memory. Implements `commands.ports.BookArchive`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[AccountId, date], Sequence[VenueOrder]] = {}

    async def keep(self, account_id: AccountId, day: date, rows: Sequence[VenueOrder]) -> None:
        """Keep an account's book."""
        self.kept[account_id, day] = rows


class LogLink:
    """A process's way to the log, on which an append or its answer may be lost. Implements `commands.ports.EventStore`.

    Of an append, the steps are named by the events in it: `before order.filled`, `after order.filled`.
    """

    def __init__(self, store: MemoryEventStore, process: Process, weather: Weather, story: Story) -> None:
        self._store = store
        self._process = process
        self._weather = weather
        self._story = story

    async def append(self, append: Append) -> Appended:
        """Append, or lose it, or lose the answer."""
        steps = [event.name.rpartition(".")[0] for part in append.streams for event in part.events]
        if not steps:
            return await self._store.append(append)
        for step in steps:
            await self._process.reach(f"before {step}")
        fate = self._weather.of_append()
        if fate is LogFate.LOST:
            raise StoreUnavailable("the connection was lost before the append")
        appended = await self._store.append(append)
        if self._story.is_listening:
            self._story.tell(
                f"{self._process.name} appends {_told(append)}{'' if fate is LogFate.FINE else f', {fate}'}"
            )
        for step in steps:
            await self._process.reach(f"after {step}")
        if fate is LogFate.UNTOLD:
            raise AppendOutcomeUnknown("the connection was lost after the append")
        return appended

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        """Return a stream's events."""
        return await self._store.read_stream(stream_id, after_version=after_version)

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        """Return events."""
        return await self._store.read_all(after_sequence=after_sequence, limit=limit)

    async def head(self) -> Head:
        """Return the end of the log."""
        return await self._store.head()

    async def find_claim(self, kind: str, key_hash: bytes) -> str | None:
        """Return who owns a claimed value."""
        return await self._store.find_claim(kind, key_hash)


def _told(append: Append) -> str:
    """Return what is appended, for people: names, and the order or trade that each concerns."""
    told = []
    for part in append.streams:
        for event in part.events:
            fields = msgspec.json.decode(event.payload)
            told.append(f"{event.name} {fields.get('order_id') or fields.get('trade_id') or ''}".strip())
    return ", ".join(told)


class LeaseOffice:
    """Who may send, by the database's own word: one holder at a time, each with an epoch of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch = 0
        self._until_ns = 0

    def take(self) -> int | None:
        """Return the epoch of a new holder, None while there is another one."""
        if self._clock.monotonic_ns() < self._until_ns:
            return None
        self._epoch += 1
        self.renew(self._epoch)
        return self._epoch

    def renew(self, epoch: int) -> bool:
        """Let the lease of *epoch* last anew; return whether it still was the newest."""
        if epoch != self._epoch:
            return False
        self._until_ns = self._clock.monotonic_ns() + int(LEASE_S * NS_PER_S)
        return True


class LeaseLink:
    """A process's lease. Implements `commands.ports.Lease`. While `is_cut` it is not renewed, and so it is lost."""

    def __init__(self, office: LeaseOffice, clock: Clock) -> None:
        self.epoch = 0
        self.is_cut = False
        self._office = office
        self._clock = clock
        self._until_ns = 0

    def is_held(self) -> bool:
        """Tell, by the clock alone, whether the lease still is ours."""
        return self._clock.monotonic_ns() < self._until_ns

    async def take(self) -> None:
        """Wait until it is ours."""
        while (epoch := self._office.take()) is None:  # noqa: ASYNC110 - the database tells nobody either
            await asyncio.sleep(LEASE_ASKED_S)
        self.epoch = epoch
        self._note_renewed()

    async def keep(self) -> None:
        """Renew it until it is lost."""
        while self.is_held():
            await asyncio.sleep(LEASE_RENEWED_S)
            if not self.is_cut and self._office.renew(self.epoch):
                self._note_renewed()

    def _note_renewed(self) -> None:
        self._until_ns = self._clock.monotonic_ns() + int((LEASE_S - LEASE_MARGIN_S) * NS_PER_S)
