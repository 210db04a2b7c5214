"""Lives by seed: so many steps each, then everything comes to its end."""

import random
from dataclasses import dataclass

from domain.account import decider
from infra.oracle.judge import Mismatch
from infra.oracle.world import World

STEPS = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a life. `mismatch` says where engine and oracle disagreed, None: nowhere."""

    seed: int
    commands: int
    events: int
    mismatch: str | None


class SeededChooser:
    """Chooses by a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a life to be lived again, no secret

    def below(self, count: int) -> int:
        """Return a whole number from 0 to *count* - 1."""
        return int(self._random.random() * count)


def live(seed: int, *, steps: int = STEPS) -> Verdict:
    """Live the life of *seed*, and fold its events anew at the end."""
    world = World(SeededChooser(seed))
    mismatch = None
    try:
        for _ in range(steps):
            world.step()
        world.settle()
        if decider.fold(world.events) != world.state:
            mismatch = "the events fold to another state than was decided on"
    except Mismatch as found:
        mismatch = str(found)
    return Verdict(seed, world.commands, len(world.events), mismatch)
