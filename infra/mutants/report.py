"""What a sample of mutants says: the share that was killed, by module, and each that survived."""

from collections import Counter
from math import sqrt

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.mutants.session import Outcome

_STANDARD_DEVIATIONS = 1.96
"""Within so many of them a normal variable lies 95 times of 100."""


def share(killed: int, drawn: int) -> float:
    """Return the share of the killed, in per cent."""
    return 100 * killed / drawn


def interval(killed: int, drawn: int) -> tuple[float, float]:
    """Return between what the share of all mutants lies, in per cent, 95 times of 100.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    square = _STANDARD_DEVIATIONS**2
    part = killed / drawn
    middle = (part + square / (2 * drawn)) / (1 + square / drawn)
    half = _STANDARD_DEVIATIONS * sqrt(part * (1 - part) / drawn + square / (4 * drawn**2)) / (1 + square / drawn)
    return 100 * (middle - half), 100 * (middle + half)


def as_rich(outcomes: list[Outcome], *, possible: int) -> RenderableType:
    """Return the table, and below it the survivors. *possible*: how many mutations could have been drawn."""
    table = Table("module", box=None)
    for heading in ("killed", "survived", "share"):
        table.add_column(heading, justify="right")
    killed = Counter(each.mutation.module for each in outcomes if each.is_killed)
    drawn = Counter(each.mutation.module for each in outcomes)
    for module in sorted(drawn):
        _row(table, module, killed[module], drawn[module])
    _row(table, "all", killed.total(), drawn.total())
    low, high = interval(killed.total(), drawn.total())
    timeouts = sum(each.is_timeout for each in outcomes)
    words = [
        f"Drawn: {drawn.total():,} of {possible:,}; of all, {low:.0f} to {high:.0f} % would be killed (95 % sure).",
        f"Killed because they came to no end in time: {timeouts}.",
    ]
    for each in outcomes:
        if not each.is_killed:
            where = f"{each.mutation.module}:{each.mutation.line}"
            words += ["", f"{where} {each.mutation.function or ''}".rstrip(), *each.diff]
    return Group(table, Text("\n".join(words)))


def _row(table: Table, name: str, killed: int, drawn: int) -> None:
    table.add_row(name, str(killed), str(drawn - killed), f"{share(killed, drawn):.0f} %")
