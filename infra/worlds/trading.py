"""The trading process of a world: what it is made of, and how it works until it dies."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.settings import DhanSettings
from adapters.memory.event_store import MemoryEventStore, MemoryFeed
from commands.accounts import Accounts
from commands.day_end import BrokerDay
from commands.executor import Executor, ExecutorSettings
from commands.ports import Clock
from commands.protection import Protection, ProtectionSettings
from commands.sender import Sender
from domain.market import Mark
from domain.order import installation_code
from infra.worlds.instruments import MASTER
from infra.worlds.plan import SQUARE_OFF_LEAD_S
from infra.worlds.processes import Process
from infra.worlds.story import Story
from infra.worlds.surroundings import (
    CountingIds,
    KeptBooks,
    KeptWatermarks,
    LeaseLink,
    LeaseOffice,
    LogLink,
    OneSession,
    WatermarksLink,
    WorldMarks,
)
from infra.worlds.venue import SECRET, Line, Venue
from infra.worlds.weather import Weather
from infra.worlds.wire import Counter, Wire

CODE = installation_code("a simulated world")
HOST = "http://broker.invalid"
SETTINGS = DhanSettings(base_url=f"{HOST}/v2", auth_url=HOST)
TIME_TOLD_S = 1.0
SNAPSHOT_EVENTS = 1
"""So few that each time a place is kept there is a snapshot: most restarts of a world go on from one."""


class Executing(Protocol):
    """Who brings orders to the venue: the engine's executor, or one that is to be caught."""

    async def run(self) -> None:
        """Work until killed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What processes come to and leave behind: log, venue, market, names, the right to send."""

    clock: Clock
    store: MemoryEventStore
    venue: Venue
    counter: Counter
    weather: Weather
    marks: WorldMarks
    sessions: OneSession
    ids: CountingIds
    watermarks: KeptWatermarks
    books: KeptBooks
    leases: LeaseOffice
    story: Story


class Trading:
    """A trading process. To be made in the process's own context: whatever it schedules dies with it."""

    def __init__(self, ground: Ground, process: Process, accounts_over: Callable[[LogLink], Accounts]) -> None:
        self.ground = ground
        self.process = process
        self.lease = LeaseLink(ground.leases, ground.clock)
        self.store = LogLink(ground.store, process, ground.weather, ground.story)
        self.feed = MemoryFeed(ground.store)
        self.watermarks = WatermarksLink(ground.watermarks, process)
        self.accounts = accounts_over(self.store)
        self.client = Wire(ground.counter, process, ground.weather, ground.clock, ground.story)
        logins = PaperLogins(PinLogin(self.client, SETTINGS, ground.clock), SECRET)
        self.broker = DhanBroker(SETTINGS, logins, self.client, ground.clock)
        self.line = Line(ground.venue, process, ground.weather)
        self.marks: asyncio.Queue[list[Mark]] = asyncio.Queue()

    async def work(self, make_executor: "MakeExecutor") -> None:
        """Wait for the lease, then trade until dead.

        Raises:
            Exception: whatever a part of it ended with; production would start the process again.
        """
        await self.process.reach("before taking the lease")
        await self.lease.take()
        await self.process.reach("after taking the lease")
        protection = self._protection()
        async with asyncio.TaskGroup() as group:
            group.create_task(make_executor(self).run())
            group.create_task(protection.run())
            group.create_task(self._act(protection))
            group.create_task(self._tell_time(protection))
            group.create_task(self.broker.tend())
            group.create_task(self._keep_lease())

    def _protection(self) -> Protection:
        return Protection(
            accounts=self.accounts,
            store=self.store,
            feed=self.feed,
            clock=self.ground.clock,
            watermarks=self.watermarks,
            sessions=self.ground.sessions,
            instruments=MASTER,
            settings=ProtectionSettings(
                square_off_lead_ms=int(SQUARE_OFF_LEAD_S * 1_000), snapshot_events=SNAPSHOT_EVENTS
            ),
        )

    async def _act(self, protection: Protection) -> None:
        while True:
            for mark in await self.marks.get():
                await protection.on_mark(mark)

    async def _tell_time(self, protection: Protection) -> None:
        while True:
            await protection.on_time(self.ground.clock.wall_ns())
            await asyncio.sleep(TIME_TOLD_S)

    async def _keep_lease(self) -> None:
        await self.lease.keep()
        # The role would end by itself now. A process that stalls hears of it when it goes on again: too late.
        if not self.lease.is_cut:
            self.process.die("its lease ran out")


MakeExecutor = Callable[[Trading], Executing]


def production_executor(trading: Trading) -> Executing:
    """Return the engine's own executor."""
    ground = trading.ground
    sender = Sender(
        accounts=trading.accounts,
        broker=trading.broker,
        marks=ground.marks,
        clock=ground.clock,
        lease=trading.lease,
        installation_code=CODE,
    )
    return Executor(
        accounts=trading.accounts,
        broker=trading.broker,
        sender=sender,
        store=trading.store,
        feed=trading.feed,
        clock=ground.clock,
        watermarks=trading.watermarks,
        instruments=MASTER,
        sessions=ground.sessions,
        marks=ground.marks,
        ids=ground.ids,
        installation_code=CODE,
        settings=ExecutorSettings(snapshot_events=SNAPSHOT_EVENTS),
        updates=trading.line,
        budget=trading.broker,
        broker_day=BrokerDay(
            marks=ground.marks, sessions=ground.sessions, history=trading.broker, archive=ground.books
        ),
    )
