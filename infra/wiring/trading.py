"""What the executor and market roles are made of."""

import msgspec

from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.readiness import DhanReadiness
from adapters.dhan.settings import DhanSettings
from adapters.dhan.streams.feed import DhanFeed
from adapters.dhan.streams.order_updates import DhanOrderUpdates
from adapters.nats.marks import MarksPublisher
from adapters.order_book_files import OrderBookFiles
from adapters.postgres.database import Database
from adapters.postgres.leases import PostgresLease
from adapters.postgres.watermarks import PostgresWatermarks
from commands.contract_notes import ContractNotes, ContractNoteSettings
from commands.day_end import BrokerDay
from commands.executor import Executor, ExecutorSettings
from commands.preopen import PreopenChecks, PreopenSettings
from commands.protection import Protection, ProtectionSettings
from commands.risk_watch import RiskWatch
from commands.sender import Sender
from commands.venue_log import VenueLog
from domain.ids import AccountId
from domain.order import installation_code
from infra.home import Home
from infra.instruments import ImportedMasterDay, watched
from infra.wiring.process import Wiring

FEED_ACCOUNT = AccountId("acc_market_feed")
"""The market feed logs in at the broker as a client of its own, which never trades."""
SENDER_LEASE = "sender"
LEASE_S = 5.0
"""So long nobody sends after a sender was killed, exits included; a loop that stalls this long loses its lease."""
LEASE_MARGIN_S = 1.0
MS_PER_S = 1000
UNPACED = 1_000_000


def dhan_settings(wiring: Wiring) -> DhanSettings:
    """Where the broker is, and how patiently it is asked."""
    url = wiring.runtime.broker_url
    socket_url = url.replace("http", "ws", 1)
    settings = DhanSettings(
        base_url=f"{url}/v2",
        auth_url=url,
        feed_url=f"{socket_url}/feed",
        updates_url=f"{socket_url}/order-updates",
        breaker_failures_max=wiring.settings.breaker_failures_max,
        breaker_reset_s=wiring.settings.breaker_reset_ms / MS_PER_S,
        breaker_stall_s=None if wiring.settings.lock_step else DhanSettings().breaker_stall_s,
        feed_stale_after_s=None if wiring.settings.lock_step else DhanSettings().feed_stale_after_s,
        feed_backoff_s=0.2,
        feed_backoff_max_s=5.0,
        feed_refused_backoff_s=5.0,
        updates_backoff_s=0.2,
        updates_backoff_max_s=5.0,
    )
    return _unpaced(settings) if wiring.settings.lock_step else settings


async def make_broker(wiring: Wiring) -> DhanBroker:
    """The broker of paper accounts: Dhan's API, spoken to our simulator."""
    settings = dhan_settings(wiring)
    client = HttpClient(settings, wiring.clock)
    wiring.stack.push_async_callback(client.aclose)
    logins = PaperLogins(PinLogin(client, settings, wiring.clock), wiring.runtime.keys.simulator)
    broker = DhanBroker(settings, logins, client, wiring.clock)
    wiring.stack.push_async_callback(broker.aclose)
    return broker


async def make_lease(wiring: Wiring) -> PostgresLease:
    """The right to send, waited for. It has a connection of its own, so that no crowd keeps it from being renewed."""
    database = Database(wiring.runtime.database.writer, size=1, watch=wiring.epochs)
    await wiring.stack.enter_async_context(database)
    lease = PostgresLease(database, SENDER_LEASE, duration_s=LEASE_S, margin_s=LEASE_MARGIN_S)
    return await wiring.stack.enter_async_context(lease)


async def make_executor(wiring: Wiring, broker: DhanBroker, lease: PostgresLease) -> Executor:
    """The executor, which sends while *lease* is held."""
    store, settings = await wiring.store(), wiring.settings
    accounts = await wiring.accounts()
    sender = Sender(
        accounts=accounts,
        broker=broker,
        marks=await wiring.marks(),
        clock=wiring.clock,
        lease=lease,
        installation_code=installation_code(wiring.runtime.keys.installation),
    )
    return Executor(
        accounts=accounts,
        broker=broker,
        sender=sender,
        store=store,
        feed=await wiring.feed(),
        clock=wiring.clock,
        watermarks=PostgresWatermarks(store.database),
        instruments=wiring.instruments,
        sessions=wiring.sessions(),
        marks=await wiring.marks(),
        ids=wiring.ids,
        installation_code=installation_code(wiring.runtime.keys.installation),
        settings=ExecutorSettings(
            told_poll_ms=settings.order_updates_poll_ms,
            idle_poll_ms=settings.idle_poll_ms,
            lookup_window_ms=settings.order_lookup_window_ms,
            lookups_min=settings.order_lookups_min,
            exit_successor=settings.exit_successor,
            lock_step=settings.lock_step,
        ),
        updates=None if settings.lock_step else _make_updates(wiring, broker),
        budget=None if settings.lock_step else broker,
        broker_day=BrokerDay(
            marks=await wiring.marks(),
            sessions=wiring.sessions(),
            history=broker,
            archive=OrderBookFiles(Home(settings.home).order_books),
        ),
    )


async def make_contract_notes(wiring: Wiring, broker: DhanBroker) -> ContractNotes:
    """The record of what the broker charged."""
    store, settings = await wiring.store(), wiring.settings
    return ContractNotes(
        accounts=await wiring.accounts(),
        statements=broker,
        store=store,
        marks=await wiring.marks(),
        clock=wiring.clock,
        watermarks=PostgresWatermarks(store.database),
        instruments=wiring.instruments,
        tariffs=wiring.tariffs,
        settings=ContractNoteSettings(
            from_minute=settings.contract_notes_from_minute,
            retry_ms=settings.contract_notes_retry_ms,
            days_max=settings.contract_notes_days_max,
        ),
    )


async def make_preopen_checks(
    wiring: Wiring, broker: DhanBroker, executor: Executor, notes: ContractNotes
) -> PreopenChecks:
    """The look at every account before the market opens: at those that are at work, and those that traded lately."""
    return PreopenChecks(
        accounts=await wiring.accounts(),
        readiness=DhanReadiness(broker),
        days=wiring.trading_days(),
        master=ImportedMasterDay(wiring.settings),
        marks=await wiring.marks(),
        clock=wiring.clock,
        at_work=lambda: executor.accounts() | notes.accounts(),
        settings=PreopenSettings(),
    )


async def make_venue_log(wiring: Wiring, broker: DhanBroker) -> VenueLog:
    """The record of the breakers before the venue."""
    return VenueLog(watch=broker, store=await wiring.store(), ids=wiring.ids, clock=wiring.clock)


def _make_updates(wiring: Wiring, broker: DhanBroker) -> DhanOrderUpdates | None:
    return DhanOrderUpdates(dhan_settings(wiring), broker.tokens) if wiring.settings.order_updates else None


async def make_protection(wiring: Wiring) -> Protection:
    """The watch over stops, targets and the end of sessions."""
    store, settings = await wiring.store(), wiring.settings
    return Protection(
        accounts=await wiring.accounts(),
        store=store,
        feed=await wiring.feed(),
        clock=wiring.clock,
        watermarks=PostgresWatermarks(store.database),
        sessions=wiring.sessions(),
        instruments=wiring.instruments,
        settings=ProtectionSettings(
            reprice_after_ms=settings.stop_reprice_after_ms, square_off_lead_ms=settings.square_off_lead_ms
        ),
    )


async def make_risk_watch(wiring: Wiring) -> RiskWatch:
    """The watch over losses."""
    store = await wiring.store()
    return RiskWatch(
        accounts=await wiring.accounts(),
        store=store,
        feed=await wiring.feed(),
        clock=wiring.clock,
        watermarks=PostgresWatermarks(store.database),
    )


async def make_market_feed(wiring: Wiring) -> DhanFeed:
    """The broker's ticks of what is watched."""
    broker = await make_broker(wiring)
    instruments = watched(wiring.instruments, wiring.settings.feed_symbols, market_time_ns=wiring.clock.wall_ns())
    return DhanFeed(dhan_settings(wiring), broker.tokens, FEED_ACCOUNT, instruments)


async def make_marks_publisher(wiring: Wiring) -> MarksPublisher:
    """Where marks go out."""
    return await wiring.stack.enter_async_context(MarksPublisher(await wiring.nats()))


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
