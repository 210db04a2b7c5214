"""Daily bars that come to those that are stored: one series, on one scale.

A split or bonus moves the scale of everything before it, and no source has all of it: an exchange's file knows what was
traded and nothing of later splits, a broker's history is on its newest scale and has forgotten what was traded. Where
two have the same day, the adjusted close of the one beside that of the other tells by how much the scale has moved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from adapters.bars.reading import Scale
from projections.ports import DailyBar

_SAME_PER_MILLE = 10
"""So far two adjusted closes of one day may differ and be on one scale: each source rounds for itself."""
_JUMP_PERCENT = 35


class OnAnotherScale(Exception):
    """Stored bars are newer than those that come, and on another scale: what comes is older than a split or bonus."""

    def __init__(self, day: str) -> None:
        super().__init__(
            f"received an adjusted close of {day} on another scale than the stored one, and newer days are stored"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The adjusted close of `day` is so far from that of the day before that a split may be missing between them."""

    day: str
    percent: int


def merged(stored: Sequence[DailyBar], coming: Sequence[DailyBar], *, scale: Scale) -> list[DailyBar]:
    """Return *stored* with *coming* (oldest first, as the result), of which *scale* says what its closes are.

    Of a day that both have, prices that were traded replace those that are stored and take over their adjusted close;
    adjusted prices replace the adjusted close alone; bars with both replace the whole. Stored days before all that
    comes move to its scale, where that is another one by now.

    Raises:
        OnAnotherScale
    """
    known = {bar.day: bar for bar in stored}
    if scale is Scale.TRADED:
        return _in_order([*stored, *_with_known_scale(known, coming)])
    both = [bar for bar in coming if bar.day in known]
    up, down = 1, 1
    if both:
        first, last = both[0], both[-1]
        if stored[-1].day > coming[-1].day and not _is_same(last, known[last.day]):
            raise OnAnotherScale(last.day)
        if not _is_same(first, known[first.day]):
            up, down = first.adjusted_close_e4, known[first.day].adjusted_close_e4
    before = [_scaled(bar, bar.adjusted_close_e4, up, down) for bar in stored if bar.day < coming[0].day]
    if scale is Scale.ADJUSTED:
        coming = [replace(known.get(bar.day, bar), adjusted_close_e4=bar.adjusted_close_e4) for bar in coming]
    return _in_order([*stored, *before, *coming])


def jumps(bars: Sequence[DailyBar]) -> list[Jump]:
    """Return where the adjusted close moves by more than a third in a day: value at risk would take it for a loss."""
    found = []
    for before, after in pairwise(bars):
        percent = round((after.adjusted_close_e4 / before.adjusted_close_e4 - 1) * 100)
        if abs(percent) >= _JUMP_PERCENT:
            found.append(Jump(day=after.day, percent=percent))
    return found


def _with_known_scale(known: dict[str, DailyBar], coming: Sequence[DailyBar]) -> list[DailyBar]:
    """Return what was traded with adjusted closes: those that are *known*, else on the scale of the next known day."""
    traded = {bar.day: bar for bar in coming}
    up, down = 1, 1
    found = []
    for day in sorted(known.keys() | traded.keys(), reverse=True):
        bar = traded.get(day)
        if (other := known.get(day)) is not None:
            # What is stored may be adjusted already: only beside what was traded does it tell the scale.
            up, down = other.adjusted_close_e4, (other if bar is None else bar).close_e4
        if bar is not None:
            found.append(_scaled(bar, bar.close_e4, up, down))
    return found


def _in_order(bars: Iterable[DailyBar]) -> list[DailyBar]:
    """Return *bars* by day; of two of one day the later one stands."""
    by_day = {bar.day: bar for bar in bars}
    return [by_day[day] for day in sorted(by_day)]


def _is_same(one: DailyBar, other: DailyBar) -> bool:
    difference = abs(one.adjusted_close_e4 - other.adjusted_close_e4)
    return difference * 1_000 <= other.adjusted_close_e4 * _SAME_PER_MILLE


def _scaled(bar: DailyBar, close_e4: int, up: int, down: int) -> DailyBar:
    return replace(bar, adjusted_close_e4=max(1, close_e4 * up // down))
