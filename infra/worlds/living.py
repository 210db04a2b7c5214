"""Worlds from their plans to their verdicts, one after another, each on a loop of its own."""

import asyncio
import gc
import random
from collections import Counter
from dataclasses import dataclass, field

from infra.worlds.bare_loop import live_alone
from infra.worlds.judge import WRONG, Finding, Judge, Kind
from infra.worlds.plan import Plan
from infra.worlds.story import UNTOLD, Story
from infra.worlds.trading import CODE, MakeExecutor, production_executor
from infra.worlds.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a world. `digest` is the last hash of its log: equal only where every event is equal.

    `reached` counts the steps that processes came to, `struck` what the weather did, both by name.
    """

    seed: int
    digest: str
    events: int
    intents: int
    crashes: int
    lasted_s: float
    findings: tuple[Finding, ...]
    reached: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)

    @property
    def is_wrong(self) -> bool:
        """Whether the judge found what must not be."""
        return any(finding.kind in WRONG for finding in self.findings)

    def count(self, kind: Kind) -> int:
        """Return how many findings of a kind there are."""
        return sum(finding.kind is kind for finding in self.findings)


def live(plan: Plan, *, make_executor: MakeExecutor = production_executor, story: Story = UNTOLD) -> Verdict:
    """Let the world of *plan* come to pass and judge it.

    The module `random` is seeded anew: whatever production draws from it, it draws the same every time.
    """
    before = random.getstate()
    random.seed(f"production {plan.seed}")
    was_collecting = gc.isenabled()
    gc.disable()  # What is destroyed when would depend on what was destroyed before.
    try:
        world, lasted_s = live_alone(lived(plan, make_executor=make_executor, story=story))
    finally:
        random.setstate(before)
        if was_collecting:
            gc.enable()
    return verdict_of(world, lasted_s)


async def lived(
    plan: Plan, *, make_executor: MakeExecutor = production_executor, story: Story = UNTOLD
) -> tuple[World, float]:
    """Return the world of *plan*, lived to its end on the running loop, and how many seconds that took there."""
    world = World(plan, make_executor=make_executor, story=story)
    await world.run()
    return world, asyncio.get_running_loop().time()


def verdict_of(world: World, lasted_s: float) -> Verdict:
    """Return what became of *world*, which lasted so many seconds."""
    ground = world.ground
    judge = Judge(
        world.log_side,
        ground.venue.books,
        mark=CODE,
        twice=frozenset(ground.venue.entered_twice),
        broken=world.broken,
    )
    findings = tuple(judge.findings())
    events = ground.store.events
    return Verdict(
        seed=world.plan.seed,
        digest=events[-1].hash.hex() if events else "",
        events=len(events),
        intents=len(world.log_side.orders),
        crashes=world.crashes,
        lasted_s=lasted_s,
        findings=findings,
        reached=world.reached,
        struck=ground.weather.struck,
    )
