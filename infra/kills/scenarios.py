"""Troubles that last, each under load: the broker is away, the transport is wiped, a disk is full, clocks step.

Each is played on an engine of its own and judged like a killed one. What a scenario has to have seen besides, so that
it cannot pass by nothing having happened, it returns as problems, in words.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from infra.home import Home
from infra.kills.house import EACH_ITS_OWN, House, running_house
from infra.kills.judge import Findings
from infra.kills.small_disk import MountRefused, fill_up, small_file_system
from infra.kills.victims import Victim
from infra.problems import OperatorProblem
from infra.supervisor import Command, role_command

AWAY_S, AWAY_S_QUICK = 60.0, 12.0
WIPES, WIPES_QUICK = 5, 2
FULL_S, FULL_S_QUICK = 20.0, 5.0
STEP_S = 3_600
"""An hour, forth and back."""
STEPPED_S, STEPPED_S_QUICK = 15.0, 5.0
_STEPPED_ROLES = {"command-api", "query-api", "executor"}
_DISK_MEBIBYTES = 64
_ROOM_BYTES = 200_000
_WARM_UP_S = 2.0
_MS_PER_S = 1_000
_LEASE = """
    -- Read who of all senders there were is the present one.
    SELECT epoch FROM ops.leases WHERE name = 'sender'
"""
_PARTITIONS = """
    -- List the parts of the log.
    SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log.events'::regclass
"""


@dataclass(slots=True)
class Played:
    """What came of a scenario: how soon a trader saw the engine whole once it was over, and what was wrong."""

    recovery_s: float = 0.0
    requests: int = 0
    retries: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    events: dict[str, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A trouble: *strike* brings it about and takes it away again, and returns what it missed.

    `processes` and `settings` are those of the engine.
    """

    summary: str
    strike: Callable[[House, "Place"], Awaitable[Sequence[str]]]
    processes: Sequence[tuple[str, ...]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a scenario is played: what lasts as long as it does, and a folder of its own."""

    stack: AsyncExitStack
    folder: Path
    is_quick: bool

    @property
    def clock(self) -> Path:
        """The file that says by how many seconds clocks are wrong."""
        return self.folder / "clock"

    def set_clock(self, offset_s: int) -> None:
        """Make clocks wrong by so many seconds, at once."""
        beside = self.folder / "clock.new"
        beside.write_text(str(offset_s))
        beside.replace(self.clock)


async def play(home: Home, name: str, random: Random, *, people: int, per_second: float, is_quick: bool) -> Played:
    """Play the scenario *name* on an engine of its own, under load, and judge it.

    Raises:
        OperatorProblem: there is no such scenario, or this user may not play it.
    """
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise OperatorProblem(f"There is no scenario {name!r}.", remedy=f"There are: {', '.join(sorted(SCENARIOS))}.")
    played = Played()
    place = Place(stack=AsyncExitStack(), folder=home.path.parent, is_quick=is_quick)
    place.set_clock(0)
    async with place.stack as stack:
        house = await stack.enter_async_context(
            running_house(
                home,
                people=people,
                processes=scenario.processes,
                command=_stepped(place.clock),
                log_level="warning",
                **scenario.settings,
            )
        )
        async with house.load(random, per_second=per_second):
            await asyncio.sleep(_WARM_UP_S)
            played.problems += await scenario.strike(house, place)
            played.recovery_s = await house.prober.whole_again(time.monotonic())
        played.requests, played.retries = len(house.ledger.requests), house.ledger.retries
        played.answers = house.ledger.statuses()
        played.findings.add(await house.judged())
        played.events = {kind: house.witness.count(kind) for kind in _TOLD}
        played.findings.add(await house.judged_when_closed())
    return played


_TOLD = ("order.submitting", "order.lapsed", "order.not_sent", "order.outcome_unknown", "order.denied")


def _stepped(clock: Path) -> Command:
    def command(roles: Sequence[str]) -> Sequence[str]:
        if _STEPPED_ROLES.isdisjoint(roles):
            return role_command(roles)
        return (sys.executable, "-m", "infra.kills.stepped_clock", str(clock), *roles)

    return command


# --- The broker is away -----------------------------------------------------------------------------------------------


async def _broker_away(house: House, place: Place) -> Sequence[str]:
    """Let the broker be silent for half of the time, and nobody listen at its port for the other."""
    away_s = AWAY_S_QUICK if place.is_quick else AWAY_S
    simulator = house.engine.process_of("simulator")
    before = await _counts(house)
    simulator.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(away_s / 2)
    finally:
        simulator.send(signal.SIGCONT)
    await house.broker.order_fault(kind="refuse_connection", delay_ms=int(away_s / 2 * _MS_PER_S))
    await asyncio.sleep(away_s / 2)
    after = await _counts(house)
    felt = after - before
    return [] if felt["order.lapsed"] + felt["order.outcome_unknown"] else ["nobody felt that the broker was away"]


async def _counts(house: House) -> Counter[str]:
    await house.witness.read_on()
    return Counter({kind: house.witness.count(kind) for kind in _TOLD})


# --- The transport is wiped -------------------------------------------------------------------------------------------


async def _nats_wiped(house: House, place: Place) -> Sequence[str]:
    """Delete all that the transport keeps and kill it, again and again; the last time its mirror dies with it."""
    for _ in range(WIPES_QUICK if place.is_quick else WIPES):
        await house.wipe_transport()
    await house.kill(Victim.RELAY)
    await house.wipe_transport()
    return []


# --- A disk is full ---------------------------------------------------------------------------------------------------


async def _disk_full(house: House, place: Place) -> Sequence[str]:
    """Move the log's tables to a small disk, fill that, and give it room again."""
    small = place.folder / "small"
    try:
        place.stack.enter_context(small_file_system(small, house.engine.server_user, _DISK_MEBIBYTES))
    except MountRefused as refused:
        raise OperatorProblem(f"No small disk can be mounted here: {refused}", remedy="Play it as root.") from refused
    # The engine stops before the disk goes: what is left behind is read for the last time then.
    place.stack.push_async_callback(house.engine.stop)
    async with await psycopg.AsyncConnection.connect(house.engine.database_urls.admin, autocommit=True) as admin:
        await admin.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(small))))
        for (partition,) in await (await admin.execute(_PARTITIONS)).fetchall():
            await admin.execute(sql.SQL("ALTER TABLE {} SET TABLESPACE small").format(sql.SQL(partition)))
    before = house.ledger.retries
    filler = small / "filler"
    fill_up(filler, leave_bytes=_ROOM_BYTES)
    await asyncio.sleep(FULL_S_QUICK if place.is_quick else FULL_S)
    is_felt = house.ledger.retries > before
    filler.unlink()
    return [] if is_felt else ["nobody was told that the disk is full"]


# --- Clocks step ------------------------------------------------------------------------------------------------------


async def _clock_steps(house: House, place: Place) -> Sequence[str]:
    """Set the wall clock of the API and of the executor an hour forth and back, and an hour back and forth."""
    problems: list[str] = []
    stepped_s = STEPPED_S_QUICK if place.is_quick else STEPPED_S
    epoch = await _sender_epoch(house)
    for offset_s in (STEP_S, 0, -STEP_S, 0):
        place.set_clock(offset_s)
        await asyncio.sleep(stepped_s)
    if (now := await _sender_epoch(house)) != epoch:
        problems.append(f"the sender's lease went from epoch {epoch} to {now}, and nobody died")
    return problems


async def _sender_epoch(house: House) -> int:
    async with await psycopg.AsyncConnection.connect(house.engine.database_urls.admin) as admin:
        row = await (await admin.execute(_LEASE)).fetchone()
    return 0 if row is None else int(row[0])


SCENARIOS: dict[str, Scenario] = {
    "broker-away": Scenario(
        summary="the broker is silent for half a minute, then nobody listens at its port",
        strike=_broker_away,
    ),
    "nats-wiped": Scenario(summary="all that NATS keeps is deleted under a kill", strike=_nats_wiped),
    "disk-full": Scenario(summary="the disk under the log's tables has no room", strike=_disk_full),
    "clock-steps": Scenario(
        summary="the wall clock of API and executor steps by an hour, both ways",
        strike=_clock_steps,
        processes=EACH_ITS_OWN,
    ),
}
"""Every scenario there is, by name."""
