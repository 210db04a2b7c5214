"""What comes to pass in a world, decided by its seed before it begins: who asks for what, prices, crashes, weather."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from domain.account.events import KillMode, ProtectionMode, Trailing
from domain.instrument import InstrumentKey
from domain.order import OrderType, Product, Side
from infra.worlds.instruments import PRICE_E4, STOCKS, TICK_E4
from infra.worlds.processes import AWAIT, Doom
from infra.worlds.weather import Climate

INTENTS = 5
SQUARE_OFF_LEAD_S = 6.0
LATE_S, LATE_S_MAX = 15.0, 90.0
_LONG = 0.04
"""So many worlds go on for long enough that the latest requests arrive while the venue still trades."""
_STALLS = 0.2


class Deed(StrEnum):
    """What a person may ask for."""

    OPEN = "open"
    CLOSE = "close"
    CLOSE_PART = "close a part of"
    CLOSE_POSITION = "close the position of"
    CHANGE = "change"
    CANCEL = "cancel"
    CLOSE_ALL = "close all"
    KILL = "engage the kill switch"
    RELEASE = "release the kill switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trade that is to be opened. Distances of stop and target from the price in 1/10,000 rupee."""

    stock: int
    side: Side
    quantity: int
    order_type: OrderType
    product: Product
    stop_distance_e4: int
    target_distance_e4: int | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.RESTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a person asks for at a time. `which` picks among the open trades, from 0 to 1.

    `is_repeated`: the client asks again under the same key although it was answered.
    """

    at_s: float
    deed: Deed
    which: float = 0.0
    entry: Entry | None = None
    kill_mode: KillMode = KillMode.HALT
    level_shift_e4: int = 0
    is_repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The trading process dies: at *doom*, counted from *after_s* on, or it begins to stall then and dies later.

    `down_s` is how long it takes until the next one is started. While one stalls, its lease is not renewed, and the
    next one is started beside it.
    """

    after_s: float
    doom: Doom
    down_s: float = 0.5
    stalls_s: float | None = None


def crash_at(step: str, nth: int = 1, *, after_s: float = 0.0) -> Crash:
    """Return the crash at the *nth* time that the process comes to *step*, counted from *after_s* on."""
    return Crash(after_s=after_s, doom=Doom(step, nth))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole world. The session ends at `ends_s`."""

    seed: int
    actions: tuple[Action, ...]
    ends_s: float
    crashes: tuple[Crash, ...] = ()
    climate: Climate = field(default_factory=Climate)
    volatility_e4: int = 3_0000
    """How far a price moves in a second, at most."""


def plan_of(seed: int, *, late_s: float | None = None) -> Plan:
    """Return the world of *seed*; with *late_s* requests arrive no later than that."""
    random = Random(f"world {seed}")  # noqa: S311 - it is to be repeatable
    actions = tuple(_actions(random))
    last_s = actions[-1].at_s
    is_long = random.random() < _LONG
    longest_s = LATE_S_MAX if is_long else LATE_S
    ends_s = last_s + SQUARE_OFF_LEAD_S + (random.uniform(60, 100) if is_long else 2 + min(random.expovariate(0.3), 20))
    climate = Climate(
        harshness=random.choice((0.3, 1.0, 1.0, 2.0)),
        late_s=longest_s if late_s is None else late_s,
        outages_s=tuple(_outages(random, last_s)),
    )
    return Plan(
        seed=seed,
        actions=actions,
        ends_s=float(round(ends_s)),
        crashes=tuple(_crashes(random, actions, ends_s)),
        climate=climate,
        volatility_e4=random.choice((1_0000, 3_0000, 8_0000)),
    )


def prices(plan: Plan) -> Iterator[dict[InstrumentKey, int]]:
    """Yield the prices of each second of a world, without end."""
    random = Random(f"prices {plan.seed}")  # noqa: S311 - likewise
    now = {stock.key: PRICE_E4 for stock in STOCKS}
    while True:
        yield dict(now)
        for key, price_e4 in now.items():
            step_e4 = random.randint(-plan.volatility_e4, plan.volatility_e4)
            now[key] = max(PRICE_E4 // 2, (price_e4 + step_e4) // TICK_E4 * TICK_E4)


_DEEDS = {
    Deed.OPEN: 10,
    Deed.CLOSE: 4,
    Deed.CLOSE_PART: 2,
    Deed.CLOSE_POSITION: 1,
    Deed.CHANGE: 3,
    Deed.CANCEL: 2,
    Deed.CLOSE_ALL: 1,
    Deed.KILL: 1,
    Deed.RELEASE: 1,
}


def _actions(random: Random) -> Iterator[Action]:
    at_s = random.uniform(0.5, 1.5)
    for number in range(INTENTS):
        deed = Deed.OPEN if number == 0 else random.choices([*_DEEDS], weights=[*_DEEDS.values()])[0]
        yield Action(
            at_s=at_s,
            deed=deed,
            which=random.random(),
            entry=_entry(random) if deed is Deed.OPEN else None,
            kill_mode=random.choice((KillMode.HALT, KillMode.FLATTEN)),
            level_shift_e4=random.choice((-1, 1)) * random.randint(1, 40) * TICK_E4,
            is_repeated=random.random() < 0.1,  # noqa: PLR2004 - now and then
        )
        at_s += min(random.expovariate(1.0), 8.0)


def _entry(random: Random) -> Entry:
    product = random.choice((Product.INTRADAY, Product.INTRADAY, Product.INTRADAY, Product.CNC))
    side = Side.BUY if product is Product.CNC else random.choice((Side.BUY, Side.BUY, Side.SELL))
    trails = random.random() < 0.3  # noqa: PLR2004 - now and then
    distance_e4 = random.randint(10, 200) * TICK_E4
    return Entry(
        stock=random.randrange(len(STOCKS)),
        side=side,
        quantity=random.randint(1, 40),
        order_type=random.choice((OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT)),
        product=product,
        stop_distance_e4=distance_e4,
        target_distance_e4=random.choice((None, random.randint(10, 200) * TICK_E4)),
        trailing=Trailing(distance_e4=distance_e4, step_e4=20 * TICK_E4) if trails else None,
        protection=random.choice((*(ProtectionMode.RESTING,) * 4, ProtectionMode.ENGINE)),
    )


def _outages(random: Random, last_s: float) -> Iterator[tuple[float, float]]:
    if random.random() < 0.2:  # noqa: PLR2004 - now and then
        began_s = random.uniform(1.0, last_s + 5.0)
        yield began_s, began_s + random.uniform(1.0, 12.0)


_STEPS = (
    "before order.submitting",
    "after order.submitting",
    "before place",
    "during place",
    "after place",
    "before order.acknowledged",
    "after order.acknowledged",
    "before order.filled",
    "after order.filled",
    "before order.outcome_unknown",
    "after order.outcome_unknown",
    "during modify",
    "after modify",
    "during cancel",
    "after cancel",
    "after look-up",
    "after orders",
)
_AWAITS_MAX = 120


def _crashes(random: Random, actions: tuple[Action, ...], ends_s: float) -> Iterator[Crash]:
    for _ in range(random.choice((0, 1, 1, 2, 2, 3, 4))):
        near = random.choice(actions).at_s
        after_s = near + random.uniform(-0.1, 0.5) if random.random() < 0.7 else random.uniform(0.5, ends_s)  # noqa: PLR2004
        at_await = random.random() < 0.5  # noqa: PLR2004 - half of them
        doom = Doom(AWAIT, random.randint(1, _AWAITS_MAX)) if at_await else Doom(random.choice(_STEPS))
        stalls = random.random() < _STALLS
        yield Crash(
            after_s=max(after_s, 0.0),
            doom=doom,
            down_s=random.uniform(0.1, 2.0),
            stalls_s=random.uniform(3.0, 9.0) if stalls else None,
        )
