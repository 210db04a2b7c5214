"""The parts that the roles of a process share: each is made once, and let go of in reverse order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any, TypeVar, cast

from adapters.archive.parquet import ParquetArchive
from adapters.clock import SystemClock
from adapters.epoch_file import EpochFile
from adapters.ids import SystemIds
from adapters.nats.connection import NatsConnection, connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.marks import NatsMarks
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_reader import PostgresLogReader
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.sessions import CalendarFile, CalendarUnreadable, ExchangeSessions, OpenSessions
from adapters.shared_feed import SharedFeed
from adapters.tariffs import TariffTable
from commands.accounts import ACCOUNT_STATES, Accounts
from commands.ports import EventStore, Sessions, TradingDays
from commands.snapshots import SnapshotCache
from domain.account import Account
from infra.home import Home
from infra.instruments import load_master
from infra.places import archive_folder
from infra.runtime import Runtime
from infra.session_calendar import unreadable
from infra.settings import SYNTHETIC, Settings

Part = TypeVar("Part")


class Wiring:
    """The parts of one process. `stack` is closed when the process ends. *gather_s* as in `GroupCommit`.

    Roles start side by side and may ask for a part at the same moment: the first to ask makes it, the others wait.
    """

    def __init__(self, runtime: Runtime, stack: AsyncExitStack, *, gather_s: float = 0.0) -> None:
        self.runtime = runtime
        self.stack = stack
        self._gather_s = gather_s
        self.clock = SystemClock()
        self.ids = SystemIds(self.clock)
        self.instruments = load_master(runtime.settings)
        self.tariffs = TariffTable.load()
        self.epochs = EpochWatch(EpochFile(Home(runtime.settings.home).epoch_file))
        self.archive = ParquetArchive(archive_folder(runtime.settings))
        self._parts: dict[str, asyncio.Future[Any]] = {}

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.runtime.settings

    async def nats(self) -> NatsConnection:
        """NATS, connected."""

        async def make() -> NatsConnection:
            nats = await connect(self.runtime.nats_url)
            self.stack.push_async_callback(nats.close)
            return nats

        return await self._once("nats", make)

    async def store(self) -> PostgresEventStore:
        """The log, for those who append."""

        async def make() -> PostgresEventStore:
            store = PostgresEventStore(
                self.runtime.database.writer, gather_s=self._gather_s, watch=self.epochs, archive=self.archive
            )
            return await self.stack.enter_async_context(store)

        return await self._once("store", make)

    async def log_reader(self) -> PostgresLogReader:
        """The log, for those who must not append: as a role that has no right to."""

        async def make() -> PostgresLogReader:
            reader = PostgresLogReader(self.runtime.database.query, watch=self.epochs, archive=self.archive)
            return await self.stack.enter_async_context(reader)

        return await self._once("log reader", make)

    async def feed(self) -> SharedFeed:
        """The log as it grows, read once for all: JetStream first, PostgreSQL wherever it falls short."""

        async def make() -> SharedFeed:
            return SharedFeed(JetStreamFeed(await self.nats(), await self.store()))

        return await self._once("feed", make)

    async def marks(self) -> NatsMarks:
        """The market as the market role publishes it."""

        async def make() -> NatsMarks:
            marks = NatsMarks(await self.nats(), clock=self.clock, market_clock=self.settings.market_clock)
            return await self.stack.enter_async_context(marks)

        return await self._once("marks", make)

    def sessions(self) -> Sessions:
        """When the market trades: at any time on a tape of our own making, else as the exchanges do."""
        return self.exchange_sessions if self.follows_exchanges else OpenSessions()

    def trading_days(self) -> TradingDays:
        """On which days the market trades: none has an opening on a tape of our own making."""
        return self.exchange_sessions if self.follows_exchanges else OpenSessions()

    @property
    def follows_exchanges(self) -> bool:
        """Whether trading keeps the hours of the exchanges: on a tape of our own making, only if that is asked for."""
        settings = self.settings
        return settings.dhan_url is not None or settings.tape != SYNTHETIC or settings.simulator_sessions

    @cached_property
    def exchange_sessions(self) -> ExchangeSessions:
        """The hours of the exchanges.

        Raises:
            OperatorProblem: the lists that were brought in cannot be read.
        """
        try:
            return ExchangeSessions(CalendarFile(Home(self.settings.home).calendar_file), self.clock)
        except CalendarUnreadable as error:
            raise unreadable(error) from error

    async def accounts(self) -> Accounts:
        """The commands on accounts: one lane an account, whichever role of the process asks."""

        async def make() -> Accounts:
            return await self._make_accounts(await self.store(), await self._account_snapshots())

        return await self._once("accounts", make)

    async def accounts_to_read(self) -> Accounts:
        """The accounts as the log has them, for a process that must not append. Snapshots are not its to read."""

        async def make() -> Accounts:
            return await self._make_accounts(await self.log_reader())

        return await self._once("accounts to read", make)

    async def _make_accounts(self, store: EventStore, snapshots: SnapshotCache[Account] | None = None) -> Accounts:
        accounts = Accounts(
            store=store,
            clock=self.clock,
            ids=self.ids,
            marks=await self.marks(),
            instruments=self.instruments,
            sessions=self.sessions(),
            tariffs=self.tariffs,
            entry_life_ms=self.settings.entry_not_after_ms,
            intents_per_second_max=self.settings.intents_per_second_max,
            snapshots=snapshots,
        )
        self.stack.push_async_callback(accounts.close)
        return accounts

    async def _account_snapshots(self) -> SnapshotCache[Account]:
        cache = SnapshotCache(PostgresSnapshots((await self.store()).database), ACCOUNT_STATES)
        self.stack.push_async_callback(cache.close)
        return cache

    async def _once(self, name: str, make: Callable[[], Awaitable[Part]]) -> Part:
        made = self._parts.get(name)
        if made is None:
            made = self._parts[name] = asyncio.ensure_future(make())
        # Shielded: if the role that asked first is canceled, the part still comes to be for the others, and is closed.
        return cast("Part", await asyncio.shield(made))
