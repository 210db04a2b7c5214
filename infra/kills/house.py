"""The engine that is killed: every process of `khata up` in a home of its own, people at its door, and who watches."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from adapters.clock import SystemClock
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import connect
from adapters.nats.marks import NatsMarks
from infra.home import Home
from infra.kills.broker import BrokerDoor
from infra.kills.crowd import GIVES_UP_S, SYMBOLS, Ledger, Person, Quoted
from infra.kills.evidence import Witness
from infra.kills.judge import Findings
from infra.kills.probe import Prober
from infra.kills.victims import Victim, kill
from infra.settings import Settings, override
from infra.supervisor import Command, Supervisor, role_command
from projections.tasks import end

SHARED: Sequence[tuple[str, ...]] | None = None
"""The processes of `khata up`, some of which hold two roles."""
EACH_ITS_OWN: Sequence[tuple[str, ...]] = (
    ("command-api",),
    ("query-api",),
    ("executor",),
    ("market",),
    ("relay",),
    ("projector",),
    ("simulator",),
)
_PRICES_WITHIN_S = 30.0
_LOG_INS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Kill:
    """Who was killed, and how long it took until a trader saw the engine whole again, in seconds."""

    victim: Victim
    recovery_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A running engine, the people who trade on it, and what they asked. Made by `running_house`."""

    engine: Supervisor
    broker: BrokerDoor
    people: Sequence[Person]
    ledger: Ledger
    prober: Prober
    witness: Witness
    kills: list[Kill] = field(default_factory=list)

    @asynccontextmanager
    async def load(self, random: Random, *, per_second: float) -> AsyncIterator[None]:
        """Have the people ask *per_second* requests together for as long as the block lasts; then for their answers.

        Raises:
            infra.kills.crowd.Unanswered: somebody got none.
        """
        each = per_second / len(self.people)
        # Of each a generator of its own, so that what they ask does not depend on who is answered first.
        stop = asyncio.Event()
        seeds = [random.getrandbits(64) for _ in self.people]
        trading = [
            asyncio.create_task(person.trade(Random(seed), per_second=each, until=stop))  # noqa: S311 - no secret
            for person, seed in zip(self.people, seeds, strict=True)
        ]
        try:
            yield
            stop.set()
            await asyncio.gather(*trading)
            await self.prober.done()
        finally:
            await end(*trading)
            await self.prober.stop()

    async def kill(self, victim: Victim) -> float:
        """Kill *victim*, and return how long it took until a trader saw the engine whole again, in seconds.

        Raises:
            infra.kills.probe.NeverWhole
        """
        killed_at_s = time.monotonic()
        kill(self.engine, victim)
        recovery_s = await self.prober.whole_again(killed_at_s)
        self.kills.append(Kill(victim, recovery_s))
        return recovery_s

    async def wipe_transport(self) -> float:
        """Delete all that NATS keeps and kill it; otherwise like `kill`."""
        # It goes on writing until it dies, so something may come to be while it is deleted.
        shutil.rmtree(Home(self.engine.settings.home).nats / "store", ignore_errors=True)
        return await self.kill(Victim.NATS)

    async def judged(self) -> Findings:
        """Return what is wrong once nothing is under way any more."""
        return await self.witness.findings()

    async def judged_when_closed(self) -> Findings:
        """Have everybody close what they hold, and return what is wrong then."""
        await asyncio.gather(*(person.close_everything() for person in self.people))
        return await self.witness.findings()


@asynccontextmanager
async def running_house(
    home: Home,
    *,
    people: int,
    processes: Sequence[tuple[str, ...]] | None = SHARED,
    command: Command = role_command,
    **settings: Any,
) -> AsyncIterator[House]:
    """Start an engine on *home*, register so many people and one who looks, and give everybody plenty of room.

    *settings* are those of the engine besides where it is and how it tells.
    """
    async with AsyncExitStack() as stack:
        of_house: dict[str, Any] = {"api_port": 0, "query_api_port": 0, "simulator_port": 0, "log_format": "json"}
        # Everybody comes from one address, and at once.
        of_house |= {"home": home.path, "rate_sign_ins_per_minute": 1_000, "api_apart": processes is not SHARED}
        chosen = override(Settings(), **(of_house | settings))
        engine = Supervisor(chosen, processes=processes, command=command, logs_to_files=True, is_throwaway=True)
        await stack.enter_async_context(engine)
        http = await stack.enter_async_context(_client(engine.api_url))
        queries = await stack.enter_async_context(_client(engine.query_api_url))
        quotes = await _quotes(engine)
        ledger = Ledger()
        everybody = [Person(number, http, queries, ledger, quotes) for number in range(people + 1)]
        for first in range(0, len(everybody), _LOG_INS_AT_ONCE):
            await asyncio.gather(*(person.join() for person in everybody[first : first + _LOG_INS_AT_ONCE]))
        broker = BrokerDoor(engine)
        yield House(
            engine=engine,
            broker=broker,
            people=everybody[:-1],
            ledger=ledger,
            prober=Prober(everybody[-1], quotes[0]),
            witness=Witness(engine, broker, everybody, ledger),
        )


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    return httpx.AsyncClient(base_url=url, timeout=GIVES_UP_S, limits=limits, trust_env=False)


async def _quotes(engine: Supervisor) -> list[Quoted]:
    """Return what is traded, with the first price that the market tells of each."""
    clock, master = SystemClock(), InstrumentMaster.load()
    instruments = [master.by_symbol(symbol, market_time_ns=clock.wall_ns()) for symbol in SYMBOLS]
    nats = await connect(engine.nats_url)
    try:
        async with NatsMarks(nats, clock=clock, market_clock="wall") as marks, asyncio.timeout(_PRICES_WITHIN_S):
            while True:
                found = [(each, marks.mark_of(each.key)) for each in instruments]
                quoted = [Quoted(each.symbol, mark.last_price_e4, each.tick_e4) for each, mark in found if mark]
                if len(quoted) == len(instruments):
                    return quoted
                await asyncio.sleep(0.05)
    finally:
        await nats.close()
