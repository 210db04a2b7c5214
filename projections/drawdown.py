"""An account's equity day by day, and how far and for how long it lay below its peak.

Money that came in or went out is no result: the drawdown is told of results alone, and its share is of what the account
would have been worth at the peak with the money that is in it on the day.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.account.holding import Holding, open_result_paise
from domain.instrument import InstrumentKey
from domain.money import value_paise
from domain.statistics import drawdowns
from projections.ports import DailyBar
from projections.queries import DailyRows

CARRIED_DAYS_MAX = 10
"""For so many days a close stands for a price where no newer one is stored: longer than any row of holidays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an instrument is called, how many units of the underlying one unit is, and its stored bars, oldest first."""

    symbol: str
    multiplier: int
    bars: Sequence[DailyBar] = ()

    def close_e4(self, day: str) -> int | None:
        """Return the close that stood at the end of *day* (ISO), None where none is stored near enough."""
        place = bisect_right(self.bars, day, key=lambda bar: bar.day)
        if place == 0:
            return None
        bar = self.bars[place - 1]
        age = date.fromisoformat(day) - date.fromisoformat(bar.day)
        return bar.close_e4 if age <= timedelta(days=CARRIED_DAYS_MAX) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The end of one day, in paise. What needs a price that is not known is None, and `mark_missing` names the symbols.

    `realised_paise` is the day's, before `charges_paise`; `result_paise` is all that was ever realised, less all
    charges, and the open result; `equity_paise` is that with capital and cash. `drawdown_paise` is what `result_paise`
    lies below its peak, `drawdown_share` that as a share of the equity that the peak would mean on this day (None:
    there would be none).
    """

    day: str
    realised_paise: int
    charges_paise: int
    cash_moved_paise: int
    open_result_paise: int | None
    result_paise: int | None
    equity_paise: int | None
    drawdown_paise: int | None
    drawdown_share: float | None
    mark_missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trough:
    """A drawdown: since `peak_day` (None: since the beginning), deepest or standing on `day`."""

    amount_paise: int
    share: float | None
    peak_day: str | None
    day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownReport:
    """The curve, where it stands now and how deep it ever was; None where no day's equity is known.

    `under_water_days` counts the calendar days since the last peak, `under_water_days_max` those of the longest time
    below one. `is_complete`: no day's equity is missing.
    """

    points: list[CurvePoint]
    current: Trough | None
    deepest: Trough | None
    under_water_days: int
    under_water_days_max: int
    is_complete: bool


def drawdown_report(
    rows: DailyRows,
    listings: Mapping[InstrumentKey, Listing],
    *,
    capital_paise: int,
    today: str,
    open_today_paise: int | None,
    missing_today: Sequence[str] = (),
) -> DrawdownReport:
    """Return the equity of every day up to *today* (ISO), whose open result is known or None.

    A day is in it if something was filled or moved on it, or if a close is stored of what was held over it.
    """
    days = _days(rows, listings, today)
    open_results = _open_results(rows, listings, days)
    open_results[today] = (open_today_paise, tuple(missing_today))
    realised = _by_day((row.day, row.realised_paise) for row in rows.results)
    charged = _by_day((row.day, row.charges_paise) for row in rows.results)
    moved = _by_day((row.day, row.amount_paise) for row in rows.cash)

    known: list[tuple[str, int]] = []
    sums: dict[str, tuple[int, int]] = {}
    net_so_far = moved_so_far = 0
    for day in days:
        net_so_far += realised.get(day, 0) - charged.get(day, 0)
        moved_so_far += moved.get(day, 0)
        sums[day] = (net_so_far, moved_so_far)
        open_paise, _ = open_results[day]
        if open_paise is not None:
            known.append((day, net_so_far + open_paise))
    depths = dict(zip((day for day, _ in known), drawdowns([result for _, result in known]), strict=True))
    results = dict(known)

    points = []
    for day in days:
        result, depth = results.get(day), depths.get(day)
        base = capital_paise + sums[day][1]
        open_paise, missing = open_results[day]
        points.append(
            CurvePoint(
                day=day,
                realised_paise=realised.get(day, 0),
                charges_paise=charged.get(day, 0),
                cash_moved_paise=moved.get(day, 0),
                open_result_paise=open_paise,
                result_paise=result,
                equity_paise=None if result is None else base + result,
                drawdown_paise=depth,
                drawdown_share=None if result is None or depth is None else _share(depth, base + result + depth),
                mark_missing=missing,
            )
        )
    return _report(points)


def _days(rows: DailyRows, listings: Mapping[InstrumentKey, Listing], today: str) -> list[str]:
    days = {row.day for row in rows.results} | {row.day for row in rows.cash}
    first = min(days, default=today)
    for instrument in {row.instrument for row in rows.results}:
        if (listing := listings.get(instrument)) is not None:
            held_from = min(row.day for row in rows.results if row.instrument == instrument)
            days |= {bar.day for bar in listing.bars if max(first, held_from) <= bar.day}
    return sorted({day for day in days if day < today} | {today})


def _open_results(
    rows: DailyRows, listings: Mapping[InstrumentKey, Listing], days: Sequence[str]
) -> dict[str, tuple[int | None, tuple[str, ...]]]:
    """Return for each of *days* the open result at its end, or None with the symbols that have no price."""
    changes = defaultdict(list)
    for row in rows.results:
        changes[row.day].append(row)
    held: dict[InstrumentKey, Holding] = {}
    results: dict[str, tuple[int | None, tuple[str, ...]]] = {}
    for day in days:
        for row in changes[day]:
            before = held.get(row.instrument, Holding())
            start = before.net_quantity if row.adjusted_to is None else row.adjusted_to
            held[row.instrument] = Holding(
                net_quantity=start + row.quantity_change, cost_paise=before.cost_paise + row.cost_change_paise
            )
        total, missing = 0, []
        for instrument, holding in held.items():
            # Long and short of one instrument in two products may cancel out in units and not in cost.
            if not holding.net_quantity and not holding.cost_paise:
                continue
            listing = listings.get(instrument)
            close_e4 = None if listing is None else listing.close_e4(day)
            if listing is None or (close_e4 is None and holding.net_quantity):
                missing.append(instrument.security_id if listing is None else listing.symbol)
                continue
            worth = value_paise(
                price_e4=close_e4 or 0, quantity=abs(holding.net_quantity), multiplier=listing.multiplier
            )
            total += open_result_paise(holding, mark_value_paise=worth)
        results[day] = (None if missing else total, tuple(sorted(missing)))
    return results


def _by_day(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for day, amount in amounts:
        sums[day] += amount
    return sums


def _share(depth_paise: int, peak_equity_paise: int) -> float | None:
    return depth_paise / peak_equity_paise if peak_equity_paise > 0 else None


def _report(points: list[CurvePoint]) -> DrawdownReport:
    current: Trough | None = None
    deepest: Trough | None = None
    peak_day: str | None = None
    under_water = longest = 0
    began = points[0].day
    for point in points:
        if point.drawdown_paise is None:
            continue
        if point.drawdown_paise == 0:
            peak_day = point.day
        # A time below the peak lasts to the day on which it is over.
        since = date.fromisoformat(began if peak_day is None else peak_day)
        under_water = (date.fromisoformat(point.day) - since).days if point.drawdown_paise else 0
        longest = max(longest, under_water)
        current = Trough(
            amount_paise=point.drawdown_paise, share=point.drawdown_share, peak_day=peak_day, day=point.day
        )
        if deepest is None or point.drawdown_paise > deepest.amount_paise:
            deepest = current
    return DrawdownReport(
        points=points,
        current=current,
        deepest=deepest,
        under_water_days=under_water,
        under_water_days_max=longest,
        is_complete=all(point.equity_paise is not None for point in points),
    )
