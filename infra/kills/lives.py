"""Lives of engines that are killed again and again under load, by seed, each judged at its end."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from infra.home import Home
from infra.kills.house import EACH_ITS_OWN, SHARED, House, Kill, running_house
from infra.kills.judge import Findings
from infra.kills.probe import NeverWhole
from infra.kills.victims import Victim

KILLS_A_LIFE = 25
"""So many kills an engine lives through: the broker lets an account send a thousand orders an hour."""
_CALM_S = (0.3, 1.5)
"""How long, by seed, people trade on a whole engine before the next kill."""
_WARM_UP_S = 2.0


@dataclass(slots=True)
class Life:
    """What an engine lived through: kills, what was wrong at its end, and how much people asked of it meanwhile.

    `never_whole` is the victim after whose kill it did not come back.
    """

    kills: list[Kill] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    requests: int = 0
    retries: int = 0
    accepted: int = 0
    orders: int = 0
    seconds: float = 0.0
    never_whole: Victim | None = None


def turns(random: Random) -> Iterator[Victim]:
    """Yield victims for ever: each of them once, in some order, and again."""
    while True:
        yield from random.sample(list(Victim), len(Victim))


async def play(
    home: Home,
    random: Random,
    victims: Sequence[Victim],
    *,
    people: int,
    per_second: float,
    is_shared: bool,
    tell: Callable[[], None],
) -> Life:
    """Start an engine on *home*, kill *victims* one after another under load, let it settle, and judge it.

    `is_shared`: some roles share a process, as under `khata up`; else each has its own. *tell* is called after each
    kill.
    """
    life = Life()
    layout = SHARED if is_shared else EACH_ITS_OWN
    async with running_house(home, people=people, processes=layout, log_level="warning") as house:
        began = time.monotonic()
        try:
            async with house.load(random, per_second=per_second):
                await asyncio.sleep(_WARM_UP_S)
                await _kill(house, life, victims, random, tell)
        except NeverWhole:
            return life
        finally:
            life.seconds = time.monotonic() - began
            life.kills = house.kills
        life.requests, life.retries = len(house.ledger.requests), house.ledger.retries
        life.accepted = house.ledger.accepted()
        life.findings.add(await house.judged())
        life.orders = house.witness.count("order.submitting")
        life.findings.add(await house.judged_when_closed())
    return life


async def _kill(house: House, life: Life, victims: Sequence[Victim], random: Random, tell: Callable[[], None]) -> None:
    for victim in victims:
        await asyncio.sleep(random.uniform(*_CALM_S))
        try:
            await house.kill(victim)
        except NeverWhole:
            life.never_whole = victim
            raise
        tell()
