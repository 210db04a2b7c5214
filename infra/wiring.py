"""Which implementation stands behind which port. Nothing else chooses: read this to know what runs.

A process makes only the parts that its roles ask for, each once, and lets go of them in reverse order.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from adapters.clock import SystemClock
from adapters.dhan.broker import DhanBroker
from adapters.dhan.client import HttpClient
from adapters.dhan.feed import DhanFeed
from adapters.dhan.settings import DhanSettings
from adapters.dhan.tokens import PaperLogins, PinLogin
from adapters.ids import SystemIds
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import NatsConnection, connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.marks import MarksPublisher, NatsMarks
from adapters.nats.relay import Relay
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLease
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from adapters.postgres.watermarks import PostgresWatermarks
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.recorded import read_recording
from adapters.simulator.synthetic import SyntheticTape
from adapters.simulator.tape import Tape
from api.services import Services
from commands.accounts import Accounts
from commands.executor import Executor, ExecutorSettings
from commands.protection import Protection
from commands.sender import Sender
from commands.users import Users
from domain.ids import AccountId
from domain.order import installation_code
from infra.runtime import Runtime
from infra.settings import Settings
from projections.catalogue import READ_MODELS
from projections.projector import Projector

FEED_ACCOUNT = AccountId("acc_market_feed")
"""The market feed logs in at the broker as a client of its own, which never trades."""
SENDER_LEASE = "sender"
SYNTHETIC = "synthetic"
MS_PER_S = 1000
UNPACED = 1_000_000


class Wiring:
    """The parts of one process."""

    def __init__(self, runtime: Runtime, stack: AsyncExitStack) -> None:
        self.runtime = runtime
        self._stack = stack
        self.clock = SystemClock()
        self.ids = SystemIds(self.clock)
        self.instruments = InstrumentMaster.load()
        self._nats: NatsConnection | None = None
        self._store: PostgresEventStore | None = None
        self._marks: NatsMarks | None = None
        self._accounts: Accounts | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.runtime.settings

    # --- Shared by the roles of a process ---

    async def nats(self) -> NatsConnection:
        """NATS, connected."""
        if self._nats is None:
            self._nats = await connect(self.runtime.nats_url)
            self._stack.push_async_callback(self._nats.close)
        return self._nats

    async def store(self) -> PostgresEventStore:
        """The log, for those who append."""
        if self._store is None:
            self._store = await self._stack.enter_async_context(PostgresEventStore(self.runtime.database.writer))
        return self._store

    async def feed(self) -> JetStreamFeed:
        """The log as it grows: JetStream first, PostgreSQL wherever it falls short."""
        return JetStreamFeed(await self.nats(), await self.store())

    async def marks(self) -> NatsMarks:
        """The market as the market role publishes it."""
        if self._marks is None:
            marks = NatsMarks(await self.nats(), clock=self.clock, market_clock=self.settings.market_clock)
            self._marks = await self._stack.enter_async_context(marks)
        return self._marks

    async def accounts(self) -> Accounts:
        """The commands on accounts."""
        if self._accounts is None:
            self._accounts = Accounts(
                store=await self.store(),
                clock=self.clock,
                ids=self.ids,
                marks=await self.marks(),
                instruments=self.instruments,
                entry_life_ms=self.settings.entry_not_after_ms,
            )
        return self._accounts

    def dhan_settings(self) -> DhanSettings:
        """Where the broker is, and how patiently it is asked."""
        url = self.runtime.broker_url
        settings = DhanSettings(
            base_url=f"{url}/v2",
            auth_url=url,
            feed_url=url.replace("http", "ws", 1) + "/feed",
            breaker_failures_max=self.settings.breaker_failures_max,
            breaker_reset_s=self.settings.breaker_reset_ms / MS_PER_S,
            feed_stale_after_s=None if self.settings.lock_step else DhanSettings().feed_stale_after_s,
            feed_backoff_s=0.2,
            feed_backoff_max_s=5.0,
            feed_refused_backoff_s=5.0,
        )
        return _unpaced(settings) if self.settings.lock_step else settings

    # --- Roles ---

    async def services(self) -> Services:
        """What the API needs."""
        store, nats = await self.store(), await self.nats()
        personal_data = SealedPersonalData(
            master_key=self.runtime.keys.master,
            lookup_key=self.runtime.keys.lookup,
            keys=PostgresUserKeys(store.database),
            clock=self.clock,
        )
        hasher = Argon2Hasher()
        self._stack.callback(hasher.close)
        users = Users(
            store=store,
            ids=self.ids,
            hasher=hasher,
            passwords=PostgresPasswords(store.database),
            personal_data=personal_data,
        )
        queries = await self._stack.enter_async_context(PostgresViews(self.runtime.database.query))

        async def log_answers() -> bool:
            return bool((await store.head()).epoch)

        async def transport_answers() -> bool:
            return nats.is_connected

        return Services(
            clock=self.clock,
            ids=self.ids,
            users=users,
            accounts=await self.accounts(),
            tokens=Ed25519Tokens(self.runtime.keys.signing_pem, clock=self.clock),
            queries=queries,
            marks=await self.marks(),
            personal_data=personal_data,
            readiness={"log": log_answers, "transport": transport_answers},
        )

    async def broker(self) -> DhanBroker:
        """The broker of paper accounts: Dhan's API, spoken to our simulator."""
        settings = self.dhan_settings()
        client = HttpClient(settings, self.clock)
        self._stack.push_async_callback(client.aclose)
        logins = PaperLogins(PinLogin(client, settings, self.clock), self.runtime.keys.simulator)
        broker = DhanBroker(settings, logins, client, self.clock)
        self._stack.push_async_callback(broker.aclose)
        return broker

    async def lease(self) -> PostgresLease:
        """The right to send, waited for."""
        store = await self.store()
        return await self._stack.enter_async_context(PostgresLease(store.database, SENDER_LEASE))

    async def executor(self, broker: DhanBroker) -> Executor:
        """The executor, once it is the only one."""
        store, settings = await self.store(), self.settings
        accounts = await self.accounts()
        sender = Sender(
            accounts=accounts,
            broker=broker,
            marks=await self.marks(),
            clock=self.clock,
            lease=await self.lease(),
            installation_code=installation_code(self.runtime.keys.installation),
        )
        return Executor(
            accounts=accounts,
            broker=broker,
            sender=sender,
            store=store,
            feed=await self.feed(),
            clock=self.clock,
            watermarks=PostgresWatermarks(store.database),
            settings=ExecutorSettings(
                lookup_window_ms=settings.order_lookup_window_ms,
                lookups_min=settings.order_lookups_min,
                lock_step=settings.lock_step,
            ),
        )

    async def protection(self) -> Protection:
        """The watch over stops and targets."""
        store = await self.store()
        return Protection(
            accounts=await self.accounts(),
            store=store,
            feed=await self.feed(),
            clock=self.clock,
            watermarks=PostgresWatermarks(store.database),
        )

    async def market_feed(self) -> DhanFeed:
        """The broker's ticks of every instrument we know."""
        broker = await self.broker()
        return DhanFeed(self.dhan_settings(), broker.tokens, FEED_ACCOUNT, self.instruments.finest())

    async def marks_publisher(self) -> MarksPublisher:
        """Where marks go out."""
        return await self._stack.enter_async_context(MarksPublisher(await self.nats()))

    async def relay(self) -> Relay:
        """The mirror of the log in JetStream."""
        feed = PostgresFeed(self.runtime.database.writer, poll_s=self.settings.relay_poll_ms / MS_PER_S)
        return Relay(await self.nats(), log=await self.store(), feed=feed)

    async def projector(self) -> Projector:
        """The writer of the read models."""
        views = PostgresViewStore(self.runtime.database.projector, owner=self.ids.new("projector"))
        self._stack.push_async_callback(views.close)
        return Projector(READ_MODELS, feed=await self.feed(), views=views, clock=self.clock)

    def simulator(self) -> SimulatorConfig:
        """The exchange of our own and the tape that it plays."""
        return SimulatorConfig(
            secret=self.runtime.keys.simulator,
            tape=self._tape(),
            instruments=self.instruments,
            lock_step=self.settings.lock_step,
        )

    def _tape(self) -> Tape:
        settings = self.settings
        if settings.tape != SYNTHETIC:
            return read_recording(Path(settings.tape), self.instruments)
        if settings.tape_seconds:
            return SyntheticTape(instruments=self.instruments, seed=settings.tape_seed, seconds=settings.tape_seconds)
        return SyntheticTape(
            instruments=self.instruments, seed=settings.tape_seed, start_ns=self.clock.wall_ns(), seconds=None
        )


def _unpaced(settings: DhanSettings) -> DhanSettings:
    """Return *settings* without budgets: a tape that waits for us has no use for limits by real seconds."""
    return msgspec.structs.replace(
        settings,
        burst_limit=UNPACED,
        requests_per_minute=UNPACED,
        requests_per_hour=UNPACED,
        requests_per_day=UNPACED,
        reads_per_second=UNPACED,
    )
