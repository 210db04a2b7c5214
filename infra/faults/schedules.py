"""Schedules: which faults come at which points while which clients work, decided by a seed alone.

The seed decides what goes wrong, where, in which order, and what the clients ask. How fast the servers are, it does
not: the same seed meets the same faults, at moments that may differ by milliseconds.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from infra.faults.clients import Account, Asking, Client
from infra.faults.core import Core, seeded
from infra.faults.injections import INJECTIONS
from infra.faults.injections.shared import NotReached
from infra.faults.oracle import Findings, judge
from infra.faults.points import EVERY_POINT, GROUPS, Point

WAVES = 2
SEEDS_FOR_EVERY_POINT = -(-len(EVERY_POINT) // WAVES)
"""So many seeds in a row meet every point."""
_TOGETHER = 0.3
"""How probable it is that a further fault, of another group, comes together with the first."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What goes wrong in each wave of commands."""

    seed: int
    waves: tuple[tuple[Point, ...], ...]

    def __str__(self) -> str:
        waves = "; ".join(", ".join(point.name for point in wave) for wave in self.waves)
        return f"seed {self.seed} ({waves})"


class ScheduleFailed(Exception):
    """A schedule found something wrong, or could not be played to its end."""

    def __init__(self, schedule: Schedule, problem: str) -> None:
        super().__init__(f"{schedule}\nagain: khata bench faults --runs 1 --seed {schedule.seed}\n{problem}")
        self.schedule = schedule


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of *seed*: its first points follow from the number itself, so that none is left out."""
    random = seeded(seed)
    return Schedule(
        seed, tuple(_wave(EVERY_POINT[(WAVES * seed + wave) % len(EVERY_POINT)], random) for wave in range(WAVES))
    )


def _wave(first: Point, random: Random) -> tuple[Point, ...]:
    others = [random.choice(group) for group in GROUPS if first not in group]
    return (first, *(point for point in others if random.random() < _TOGETHER))


async def play(core: Core, seed: int) -> Findings:
    """Play the schedule of *seed* on a running core and return what is wrong afterwards.

    Raises:
        ScheduleFailed: it could not be played to its end.
    """
    schedule = schedule_of(seed)
    random = seeded(seed)
    asking = Asking(core.desks, core.ledger, random)
    shared, alone = Account(f"{seed} shared"), Account(f"{seed} alone")
    clients = [
        Client(f"{seed}-asha", shared, asking, is_founder=True),
        Client(f"{seed}-bala", shared, asking, is_founder=False),
        Client(f"{seed}-chitra", alone, asking, is_founder=True),
    ]
    try:
        for points in schedule.waves:
            await _play_wave(core, points, asking, random, clients)
        await core.converged()
        return await judge(core.evidence())
    except Exception as error:
        raise ScheduleFailed(schedule, f"{type(error).__name__}: {error}") from error


async def _play_wave(
    core: Core, points: Sequence[Point], asking: Asking, random: Random, clients: Sequence[Client]
) -> None:
    before = core.reached.copy()
    async with AsyncExitStack() as stack:
        for point in points:
            await stack.enter_async_context(INJECTIONS[point](core, asking, random))
        await asyncio.gather(*(client.act() for client in clients))
    if missed := [point.name for point in points if core.reached[point] <= before[point]]:
        raise NotReached(", ".join(missed))
