"""One trader's desk: the command side whole, over a log in memory and a venue in memory, with time that tests move."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

from msgspec.structs import replace

from adapters.memory.event_store import MemoryEventStore, MemoryFeed
from adapters.sessions import OpenSessions
from commands.accounts import Accounts, CommandContext, Outcome, TradeIntent, stream_of
from commands.day_end import BrokerDay
from commands.executor import Executor, ExecutorSettings
from commands.ports import FoldSnapshot, Instruments, OrderUpdates, RequestBudget
from commands.protection import Protection, ProtectionSettings
from commands.reconciliation import ReconciliationSettings
from commands.risk_watch import RiskWatch
from commands.sender import Sender
from domain.account.commands import AccountCommand
from domain.account.events import AccountEvent, ProtectionMode
from domain.events import decode
from domain.ids import AccountId
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown
from domain.market import Mark
from domain.order import OrderType, Product, Side, TimeInForce
from domain.session import SessionMoment
from tests.support.fake_broker import FakeBroker
from tests.support.specimens import (
    ACCOUNT,
    CODE,
    NOW_NS,
    NS_PER_MS,
    OWNER,
    RELIANCE,
    infy,
    infy_mark,
    mark,
    open_account,
    reliance,
)
from tests.support.tariffs import TARIFFS

Kind = TypeVar("Kind", bound=AccountEvent)


class SteppingClock:
    """Moves on by a millisecond whenever it is asked for monotonic time. Implements `commands.ports.Clock`."""

    def __init__(self) -> None:
        self.tick_ns = 0
        self.step_ns = NS_PER_MS

    def wall_ns(self) -> int:
        return NOW_NS

    def monotonic_ns(self) -> int:
        self.tick_ns += self.step_ns
        return self.tick_ns


class CountingIds:
    """Implements `commands.ports.Ids`."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):026d}"


class SetMarks:
    """The market as the test sets it. Implements `commands.ports.Marks`."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS
        self.marks = {mark.instrument: mark, infy_mark.instrument: infy_mark}

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        return self.marks.get(instrument)

    def market_time_ns(self) -> int:
        return self.now_ns


class TwoInstruments:
    """Implements `commands.ports.Instruments`."""

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - the port's shape
        for instrument in (reliance, infy):
            if instrument.symbol == symbol:
                return instrument
        raise InstrumentUnknown(f"no instrument is called {symbol}")

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:  # noqa: ARG002
        for instrument in (reliance, infy):
            if instrument.key == key:
                return instrument
        raise InstrumentUnknown(f"no instrument is {key}")


class SetSessions:
    """Sessions as the test sets them, by instrument; others are not known. Implements `commands.ports.Sessions`."""

    def __init__(self) -> None:
        self.moments: dict[InstrumentKey, SessionMoment] = {}

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:  # noqa: ARG002
        return self.moments.get(instrument.key)


class SetLease:
    """A lease that the test takes away. Implements `commands.ports.Lease`."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self.held = True

    @property
    def epoch(self) -> int:
        return self._epoch

    def is_held(self) -> bool:
        return self.held


class MemoryWatermarks:
    """Implements `commands.ports.Watermarks`."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.snapshots: dict[str, FoldSnapshot] = {}

    async def get(self, name: str) -> int:
        return self.kept.get(name, 0)

    async def put(self, name: str, sequence: int) -> None:
        self.kept[name] = sequence

    async def find(self, name: str) -> FoldSnapshot | None:
        return self.snapshots.get(name)

    async def keep(self, snapshot: FoldSnapshot) -> None:
        self.snapshots[snapshot.name] = snapshot


buy = TradeIntent(
    symbol="RELIANCE",
    side=Side.BUY,
    quantity=100,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
    stop_loss_e4=2_800_0000,
    target_e4=2_900_0000,
    protection=ProtectionMode.ENGINE,
)
"""A good intent. No stop of its trade rests, unless a test asks for one."""

SETTINGS = ExecutorSettings(
    poll_ms=2,
    retry_ms=2,
    lookup_ms=2,
    lookup_window_ms=20,
    lookups_min=2,
    cancel_again_ms=10,
    modify_again_ms=10,
    idle_poll_ms=2,
    flat_again_ms=2,
    watermark_ms=5,
    reconciliation=ReconciliationSettings(confirm_ms=10, again_ms=10, pace_ms=2),
)


class Desk:
    """An account and everything that works for it. Processes come and go; log and venue stay."""

    def __init__(self, *, page: int = 1_000, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = MemoryEventStore(wall_ns)
        self.feed = MemoryFeed(self.store, page=page)
        self.broker = FakeBroker()
        self.clock = SteppingClock()
        self.marks = SetMarks()
        self.instruments: Instruments = TwoInstruments()
        self.ids = CountingIds()
        self.watermarks = MemoryWatermarks()
        self.sessions = SetSessions()
        self.tariffs = TARIFFS
        self.accounts = self.another_process()
        self.lease = SetLease(1)
        self.updates: OrderUpdates | None = None
        self.budget: RequestBudget | None = None
        self.broker_day: BrokerDay | None = None

    def another_process(self) -> Accounts:
        return Accounts(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            marks=self.marks,
            instruments=self.instruments,
            sessions=OpenSessions(),
            tariffs=self.tariffs,
            entry_life_ms=5_000,
        )

    # --- What a person does ---

    def context(self, key: str | None = None) -> CommandContext:
        return CommandContext(actor=OWNER, source="api", received_at_ns=NOW_NS, idempotency_key=key)

    async def open_account(self, account_id: AccountId = ACCOUNT) -> None:
        await self.do(replace(open_account, account_id=account_id), account_id=account_id)

    async def do(self, command: AccountCommand, *, account_id: AccountId = ACCOUNT) -> Outcome:
        return await self.accounts.carry_out(account_id, command, self.context())

    async def open_trade(self, intent: TradeIntent = buy, *, account_id: AccountId = ACCOUNT) -> Outcome:
        return await self.accounts.open_trade(account_id, OWNER, intent, self.context())

    async def close(self) -> Outcome:
        return await self.accounts.close_position(ACCOUNT, OWNER, RELIANCE, Product.INTRADAY, self.context())

    # --- What the machinery does ---

    def executor(self, settings: ExecutorSettings = SETTINGS) -> Executor:
        """Return a new executor process: nothing is left in it of the last one."""
        accounts = self.another_process()
        self.lease.held = False
        self.lease = SetLease(self.lease.epoch + 1)
        sender = Sender(
            accounts=accounts,
            broker=self.broker,
            marks=self.marks,
            clock=self.clock,
            lease=self.lease,
            installation_code=CODE,
        )
        return Executor(
            accounts=accounts,
            broker=self.broker,
            sender=sender,
            store=self.store,
            feed=self.feed,
            clock=self.clock,
            watermarks=self.watermarks,
            instruments=self.instruments,
            sessions=self.sessions,
            marks=self.marks,
            ids=self.ids,
            installation_code=CODE,
            settings=settings,
            updates=self.updates,
            budget=self.budget,
            broker_day=self.broker_day,
        )

    def protection(self, settings: ProtectionSettings | None = None) -> Protection:
        """Return a new protection process."""
        return Protection(
            accounts=self.another_process(),
            store=self.store,
            feed=self.feed,
            clock=self.clock,
            watermarks=self.watermarks,
            sessions=self.sessions,
            instruments=self.instruments,
            settings=settings or ProtectionSettings(),
        )

    # --- What the log says ---

    def events(self, account_id: AccountId = ACCOUNT) -> list[AccountEvent]:
        """Return the account's events, oldest first."""
        stream_id = stream_of(account_id)
        recorded = [event for event in self.store.events if event.stream_id == stream_id]
        return [decode(event.name, event.payload) for event in recorded]  # type: ignore[misc]

    def events_of(self, kind: type[Kind]) -> list[Kind]:
        """Return the account's events of one kind."""
        return [event for event in self.events() if isinstance(event, kind)]


@asynccontextmanager
async def running(process: Executor | Protection | RiskWatch) -> AsyncIterator[None]:
    """Run an executor or protection meanwhile, and kill it at the end as a crash would."""
    task = asyncio.create_task(process.run())
    try:
        yield
        assert not task.done(), "it stopped by itself"
    finally:
        if task.done() and not task.cancelled() and (fault := task.exception()):
            raise fault
        await kill(process, task)


async def kill(process: Executor | Protection | RiskWatch, *tasks_of_it: asyncio.Task[Any]) -> None:
    """End a process at once, with all that it was sending."""
    for task in tasks_of_it:
        task.cancel()
    await asyncio.gather(*tasks_of_it, return_exceptions=True)
    if isinstance(process, Executor):  # Its loops may have begun to send until they heard of their end.
        under_way = [*process._sending.values(), *process._asking.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
