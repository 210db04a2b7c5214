"""A world: one account's engine and its venue, from the first intent to the end of the broker's day.

All of it is the production code with the settings of production, over a log in memory, in virtual time. Processes die
where the plan says so and begin again with nothing but the log, each with the next epoch of the lease.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random

from adapters.memory.event_store import MemoryEventStore
from adapters.simulator.tapes.tape import TapeSecond, Tick
from commands.accounts import Accounts
from domain.market import NS_PER_S, Mark
from infra.worlds.instruments import MASTER, STOCKS, TARIFFS
from infra.worlds.judge import is_anybody_elses_unseen
from infra.worlds.log_side import LogSide
from infra.worlds.person import Person
from infra.worlds.plan import Crash, Plan, prices
from infra.worlds.processes import NOBODYS, Process
from infra.worlds.story import UNTOLD, Story
from infra.worlds.surroundings import (
    CountingIds,
    KeptBooks,
    KeptWatermarks,
    LeaseOffice,
    LogLink,
    OneSession,
    WorldMarks,
)
from infra.worlds.trading import CODE, Ground, MakeExecutor, Trading, production_executor
from infra.worlds.venue import ComingTape, Venue
from infra.worlds.virtual_time import LoopClock
from infra.worlds.weather import Weather
from infra.worlds.wire import Counter as VenueCounter

BEGAN_NS = 1_795_149_000 * NS_PER_S
"""2026-11-20 10:00:00 in India."""
VOLUME = 1_000_000
ENTRY_LIFE_MS = 5_000
_SETTLED_LOOK_S = 1.0
_SETTLED_FOR_S = 3.0
_AFTER_THE_END_S = 120.0
_OTHERS_FOUND_WITHIN_S = 60.0
_STANDS_IN_AFTER_S = 0.1


class World:
    """One world. `crashes` counts the processes that died, `reached` the steps that processes came to, by name.

    `broken` tells which processes ended by themselves, and why: production would start them again, and so does this.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        make_executor: MakeExecutor = production_executor,
        story: Story = UNTOLD,
        counter_at: Callable[[Venue], VenueCounter] | None = None,
    ) -> None:
        """Make the world of *plan*. What is sent arrives where *counter_at* says, None: at the venue itself."""
        clock = LoopClock(BEGAN_NS)
        weather = Weather(plan.climate, Random(f"weather {plan.seed}"))  # noqa: S311 - it is to be repeatable
        venue = Venue(ComingTape([stock.key for stock in STOCKS], BEGAN_NS), clock, weather)
        self.plan = plan
        self.ground = Ground(
            clock=clock,
            store=MemoryEventStore(clock.wall_ns),
            venue=venue,
            counter=venue if counter_at is None else counter_at(venue),
            weather=weather,
            marks=WorldMarks(clock),
            sessions=OneSession(BEGAN_NS + int(plan.ends_s * NS_PER_S)),
            ids=CountingIds(),
            watermarks=KeptWatermarks(),
            books=KeptBooks(),
            leases=LeaseOffice(clock),
            story=story,
        )
        self.log_side = LogSide(self.ground.store)
        self.crashes = 0
        self.reached: Counter[str] = Counter()
        self.broken: list[str] = []
        self._make_executor = make_executor
        self._trading: list[Trading] = []
        self._names = count(1)
        self._crashes_to_come: list[Crash] = []
        self._down_s: dict[Process, float] = {}
        self._is_over = False
        self._prices = prices(plan)

    # --- From the beginning to the end ---

    async def run(self) -> None:
        """Let everything come to pass, up to the end of the broker's day and until all is settled."""
        ground = self.ground
        api = Process("api", on_death=lambda _process, _where: None)
        accounts = self._accounts_over(LogLink(ground.store, api, ground.weather, ground.story))
        person = Person(self.plan, accounts, ground.marks, ground.clock, ground.story)
        await person.open_account()
        self._print()
        self._start_trading()
        await asyncio.gather(person.act(), self._market(), self._crash())
        self.ground.story.tell("the session is over")
        ground.venue.close()
        ground.weather.clear_up()
        await self._settle()
        self._is_over = True
        for trading in self._trading:
            self.reached.update(trading.process.reached)
        ground.venue.desk.close()

    def _accounts_over(self, store: LogLink) -> Accounts:
        ground = self.ground
        return Accounts(
            store=store,
            clock=ground.clock,
            ids=ground.ids,
            marks=ground.marks,
            instruments=MASTER,
            sessions=ground.sessions,
            tariffs=TARIFFS,
            entry_life_ms=ENTRY_LIFE_MS,
        )

    async def _market(self) -> None:
        while self.ground.clock.wall_ns() + NS_PER_S < self.ground.sessions.until_ns:
            await asyncio.sleep(1)
            self._print()
        await asyncio.sleep(1)

    def _print(self) -> None:
        now_ns = self.ground.clock.wall_ns()
        ticks = [Tick(key, price_e4, VOLUME, now_ns) for key, price_e4 in next(self._prices).items()]
        self.ground.venue.play(TapeSecond(now_ns, ticks))
        marks = [
            Mark(
                instrument=tick.instrument,
                last_price_e4=tick.last_price_e4,
                exchange_time_ns=now_ns,
                received_at_ns=now_ns,
                number=now_ns // NS_PER_S,
            )
            for tick in ticks
        ]
        self.ground.marks.marks.update({mark.instrument: mark for mark in marks})
        for trading in self._trading:
            trading.marks.put_nowait(marks)

    async def _settle(self) -> None:
        """Wait until nothing has happened for a while and nothing is on its way, for a bounded time.

        What others did is found within a minute, as is promised, and so long the engine has for it here, too.
        """
        waited_s, quiet_s, seen = 0.0, 0.0, 0
        while waited_s < _AFTER_THE_END_S and quiet_s < _SETTLED_FOR_S:
            await asyncio.sleep(_SETTLED_LOOK_S)
            waited_s += _SETTLED_LOOK_S
            self.log_side.catch_up()
            is_quiet = seen == self.log_side.sequence and not self.log_side.restless()
            if is_quiet and waited_s < _OTHERS_FOUND_WITHIN_S:
                books = self.ground.venue.books
                is_quiet = not is_anybody_elses_unseen(self.log_side, books, mark=CODE)
            quiet_s = quiet_s + _SETTLED_LOOK_S if is_quiet else 0.0
            seen = self.log_side.sequence

    # --- Trading processes ---

    def _start_trading(self) -> None:
        if self._is_over:
            return
        process = Process(f"trading-{next(self._names)}", on_death=self._on_death)
        self.ground.story.tell(f"{process.name} starts")
        trading = process.context.copy().run(Trading, self.ground, process, self._accounts_over)
        self._trading.append(trading)
        self._doom_next(process)
        process.start(self._work(trading))

    async def _work(self, trading: Trading) -> None:
        try:
            await trading.work(self._make_executor)
        except ExceptionGroup as faults:
            self.broken += [f"{trading.process.name} ended by itself: {fault!r}" for fault in faults.exceptions]
            trading.process.die("a fault of its own")

    def _on_death(self, process: Process, where: str) -> None:
        self.ground.story.tell(f"{process.name} dies: {where}")
        self.crashes += 1
        self.reached.update(process.reached)
        dead = self._of(process)
        self._trading.remove(dead)
        self.ground.venue.forget(dead.line)
        if not self._trading:
            self._later(self._down_s.get(process, 0.5), self._start_trading)

    def _of(self, process: Process) -> Trading:
        return next(trading for trading in self._trading if trading.process is process)

    # --- Crashes ---

    async def _crash(self) -> None:
        """Have each crash of the plan be due at its time."""
        loop = asyncio.get_running_loop()
        for crash in sorted(self.plan.crashes, key=lambda each: each.after_s):
            await asyncio.sleep(max(0.0, crash.after_s - loop.time()))
            self._crashes_to_come.append(crash)
            if self._trading:
                self._doom_next(self._trading[-1].process)

    def _doom_next(self, process: Process) -> None:
        """Have the crash that is due be this process's, unless one is to come already."""
        if not self._crashes_to_come or process.is_doomed:
            return
        crash = self._crashes_to_come.pop(0)
        self._down_s[process] = crash.down_s
        if crash.stalls_s is None:
            process.doom(crash.doom)
            return
        self.ground.story.tell(f"{process.name} is cut off from its lease")
        self._of(process).lease.is_cut = True
        self._later(crash.stalls_s, partial(process.die, "its end, late"))
        self._later(_STANDS_IN_AFTER_S, self._start_trading)

    @staticmethod
    def _later(seconds: float, do: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, do, context=NOBODYS)
