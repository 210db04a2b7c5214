"""Every step at which the trading process can die, one after another, under every fault of the broker's.

One life in which everything comes to pass that the executor does is lived again and again. The process dies at a named
step; the next one dies at another; and the broker answers in one wrong way wherever it matters. Nothing is left to
chance: what is not reached by any of these lives is a step of which nobody knows what a death there would do.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from domain.account.events import KillMode, ProtectionMode, Trailing
from domain.order import OrderType, Product, Side
from infra.worlds.instruments import TICK_E4
from infra.worlds.judge import WRONG, Finding
from infra.worlds.living import live
from infra.worlds.plan import Action, Deed, Entry, Plan, crash_at
from infra.worlds.story import Story
from infra.worlds.weather import Climate, Fate

POINTS = (
    "before order.intended",
    "after order.intended",
    "before order.submitting",
    "after order.submitting",
    "before place",
    "during place",
    "after place",
    "before order.acknowledged",
    "after order.acknowledged",
    "before order.not_sent",
    "after order.not_sent",
    "before order.rejected",
    "before order.outcome_unknown",
    "after order.outcome_unknown",
    "during look-up",
    "after look-up",
    "before order.presumed_absent",
    "after order.presumed_absent",
    "after positions",
    "after orders",
    "after trades",
    "before order.filled",
    "after order.filled",
    "before modify",
    "during modify",
    "after modify",
    "before order.modified",
    "during cancel",
    "after cancel",
    "before order.canceled",
    "before order.expired",
    "after trade.closed",
    "after keeping a watermark",
)
"""Where a process may die first: around each kind of append, in each phase of each call, around its watermark."""
AT_A_START = ("before taking the lease", "after taking the lease", "before reading a watermark")
"""Where the one after it may die besides."""
FAULTS = (
    Fate.NOT_SENT,
    Fate.REQUEST_LOST,
    Fate.REQUEST_LATE,
    Fate.ANSWER_LOST,
    Fate.ANSWER_NEVER,
    Fate.ANSWER_TORN,
    Fate.UNAVAILABLE,
    Fate.BROKEN_AFTER,
    Fate.BAD_GATEWAY,
    Fate.THROTTLED,
    Fate.REFUSED,
    Fate.NO_ID,
)
_SOME = (
    Fate.REQUEST_LOST,
    Fate.REQUEST_LATE,
    Fate.ANSWER_LOST,
    Fate.ANSWER_TORN,
    Fate.UNAVAILABLE,
    Fate.BROKEN_AFTER,
    Fate.BAD_GATEWAY,
    Fate.NO_ID,
)
_ABSENT = (Fate.REQUEST_LOST, Fate.UNAVAILABLE)
_UNDER: Mapping[str, tuple[Fate, ...]] = {
    "order.not_sent": (Fate.NOT_SENT,),
    "order.rejected": (Fate.THROTTLED, Fate.REFUSED),
    "order.outcome_unknown": _SOME,
    "look-up": _ABSENT,
    "order.presumed_absent": _ABSENT,
    "order.expired": _ABSENT,
    "cancel": (Fate.REFUSED,),
    "order.canceled": (Fate.REFUSED,),
}
"""The faults under which a life comes to some of the steps; to the others it comes under each."""
_STRUCK = (("place", 1), ("place", 4), ("place", 6), ("modify", 1), ("cancel", 1), ("look-up", 1))
"""The calls that meet the fault: an entry, exits and stops, a change, a cancel, and a look-up."""
USUAL = "during place"
"""The death that comes before or after each of the others where not all of them are paired."""


@dataclass(frozen=True, slots=True)
class Case:
    """One life: the steps at which processes die, and what the broker does wrong."""

    first: str
    second: str
    fault: Fate

    def __str__(self) -> str:
        return f"{self.first}, then {self.second}, {self.fault}"


@dataclass(frozen=True, slots=True)
class Lived:
    """What became of a case. `deaths` are the steps at which processes died, in order."""

    case: Case
    deaths: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Tally:
    """What cases came to. `first` and `second` count the deaths at each step, `faults` the lives under each fault."""

    lives: int = 0
    in_full: int = 0
    """Lives in which both deaths came."""
    first: Counter[str] = field(default_factory=Counter)
    second: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fate] = field(default_factory=Counter)
    wrong: list[Lived] = field(default_factory=list)

    def take(self, lived: Lived) -> None:
        """Count one."""
        self.lives += 1
        self.faults[lived.case.fault] += 1
        if lived.deaths:
            self.first[lived.deaths[0]] += 1
        if len(lived.deaths) > 1:
            self.in_full += 1
            self.second[lived.deaths[1]] += 1
        if any(finding.kind in WRONG for finding in lived.findings):
            self.wrong.append(lived)

    @property
    def unreached(self) -> list[str]:
        """The steps at which no process died first, or second."""
        return [
            *(f"first {point}" for point in POINTS if not self.first[point]),
            *(f"second {point}" for point in (*POINTS, *AT_A_START) if not self.second[point]),
            *(f"under {fault}" for fault in FAULTS if not self.faults[fault]),
        ]


def _opens(at_s: float, stock: int, **changes: object) -> Action:
    entry = Entry(
        stock=stock,
        side=Side.BUY,
        quantity=10,
        order_type=OrderType.MARKET,
        product=Product.INTRADAY,
        stop_distance_e4=200 * TICK_E4,
    )
    return Action(at_s=at_s, deed=Deed.OPEN, entry=replace(entry, **changes))  # type: ignore[arg-type]


LIFE = Plan(
    seed=1,
    actions=(
        _opens(0.6, 0),
        _opens(1.2, 1, trailing=Trailing(distance_e4=200 * TICK_E4, step_e4=10 * TICK_E4)),
        _opens(2.0, 0, protection=ProtectionMode.ENGINE),
        Action(at_s=3.0, deed=Deed.CHANGE, which=0.4, level_shift_e4=-20 * TICK_E4),
        Action(at_s=4.0, deed=Deed.CLOSE, which=0.9),
        Action(at_s=5.0, deed=Deed.CLOSE_PART, which=0.4),
        _opens(8.0, 1, side=Side.SELL),
        Action(at_s=11.0, deed=Deed.KILL, kill_mode=KillMode.FLATTEN),
    ),
    ends_s=24.0,
    volatility_e4=2_0000,
)
"""Trades are opened, trailed, changed, closed in part and whole, and flattened in the end."""


def every_case() -> Iterator[Case]:
    """Yield every step as the first, with every step as the second, under every fault."""
    return (Case(first, second, fault) for first in POINTS for second in (*POINTS, *AT_A_START) for fault in FAULTS)


def a_share() -> Iterator[Case]:
    """Yield cases in which a process dies at each step first, and second, and in which each fault comes."""
    for number, point in enumerate((*POINTS, *AT_A_START)):
        faults = _UNDER.get(point.partition(" ")[2], FAULTS)
        fault = faults[number % len(faults)]
        if point in POINTS:
            yield Case(point, USUAL, fault)
        yield Case(USUAL, point, fault)


def spread(cases: int) -> Iterator[Case]:
    """Yield so many of all cases, evenly spread over them."""
    everything = list(every_case())
    return (everything[number * len(everything) // cases] for number in range(cases))


def live_case(case: Case) -> Lived:
    """Let a case come to pass and be judged."""
    plan = replace(
        LIFE,
        crashes=(crash_at(case.first), crash_at(case.second)),
        climate=Climate(harshness=0.0, lag_s=0.5, late_s=12.0, told=dict.fromkeys(_STRUCK, case.fault)),
    )
    story = Story(is_listening=True)
    verdict = live(plan, story=story)
    deaths = tuple(line.partition(" dies: ")[2] for _, line in story.lines if " dies: " in line)
    return Lived(case, deaths, verdict.findings)


def tally_of(cases: Iterable[Case]) -> Tally:
    """Live *cases* and count what they came to."""
    tally = Tally()
    for case in cases:
        tally.take(live_case(case))
    return tally
