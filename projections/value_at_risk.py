"""How much what is held may lose in a day, told from what the days of the past would have done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from domain.instrument import InstrumentKey
from domain.statistics import scenario_results, tail_loss
from projections.ports import DailyBar

CONFIDENCES_BP = (9_500, 9_900)
SCENARIOS_MAX = 250
"""A year of trading days. Source: Basel Committee, "Minimum capital requirements for market risk" (2019), MAR 33.4."""
SCENARIOS_MIN = {9_500: 60, 9_900: 100}
"""Fewer days would leave nothing in the tail but their worst."""
HISTORY_DAYS = 2 * 365
"""So many calendar days are looked back for scenarios."""
BARS_AGE_DAYS_MAX = 10


class WhyUnknown(StrEnum):
    """Why there is no figure."""

    BARS_MISSING = "bars_missing"
    """Of something held no daily bars are stored."""
    BARS_OUTDATED = "bars_outdated"
    """The newest bars are too old to say something of today."""
    HISTORY_TOO_SHORT = "history_too_short"
    """There are too few days of which every bar is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """One holding: what it is called and what it is worth now, in paise, negative for a short."""

    symbol: str
    value_paise: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLevel:
    """The figures at one confidence (in basis points), positive for a loss; None with the reason."""

    confidence_bp: int
    value_at_risk_paise: int | None
    expected_shortfall_paise: int | None
    reason: WhyUnknown | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAtRisk:
    """The figures of one day ahead, from so many `scenarios` between two days. `missing` names what has no bars."""

    levels: list[RiskLevel]
    scenarios: int
    first_day: str | None
    last_day: str | None
    missing: list[str]


def value_at_risk(
    holdings: Mapping[InstrumentKey, AtRisk], bars: Mapping[InstrumentKey, Sequence[DailyBar]], *, day: str
) -> ValueAtRisk:
    """Return the figures for what is held on the exchange's *day* (ISO), from *bars* of days before, oldest first."""
    if not holdings:
        return _answer(
            [
                RiskLevel(confidence_bp=c, value_at_risk_paise=0, expected_shortfall_paise=0, reason=None)
                for c in CONFIDENCES_BP
            ]
        )
    missing = sorted({each.symbol for key, each in holdings.items() if not bars.get(key)})
    if missing:
        return _unknown(WhyUnknown.BARS_MISSING, missing=missing)
    closes = {key: {bar.day: bar.adjusted_close_e4 for bar in bars[key]} for key in holdings}
    days = sorted(set.intersection(*(set(each) for each in closes.values())))[-SCENARIOS_MAX - 1 :]
    if not days:
        return _unknown(WhyUnknown.HISTORY_TOO_SHORT)
    if date.fromisoformat(day) - date.fromisoformat(days[-1]) > timedelta(days=BARS_AGE_DAYS_MAX):
        return _unknown(WhyUnknown.BARS_OUTDATED, days=days)
    results = scenario_results(
        [each.value_paise for each in holdings.values()],
        [[closes[key][one] for one in days] for key in holdings],
    )
    return _answer([_level(results, confidence_bp) for confidence_bp in CONFIDENCES_BP], days=days)


def _level(results: Sequence[float], confidence_bp: int) -> RiskLevel:
    if len(results) < SCENARIOS_MIN[confidence_bp]:
        return RiskLevel(
            confidence_bp=confidence_bp,
            value_at_risk_paise=None,
            expected_shortfall_paise=None,
            reason=WhyUnknown.HISTORY_TOO_SHORT,
        )
    loss = tail_loss(results, confidence_bp=confidence_bp)
    return RiskLevel(
        confidence_bp=confidence_bp,
        value_at_risk_paise=loss.value_at_risk_paise,
        expected_shortfall_paise=loss.expected_shortfall_paise,
        reason=None,
    )


def _unknown(reason: WhyUnknown, *, missing: Sequence[str] = (), days: Sequence[str] = ()) -> ValueAtRisk:
    levels = [
        RiskLevel(confidence_bp=each, value_at_risk_paise=None, expected_shortfall_paise=None, reason=reason)
        for each in CONFIDENCES_BP
    ]
    return _answer(levels, missing=missing, days=days)


def _answer(levels: list[RiskLevel], *, missing: Sequence[str] = (), days: Sequence[str] = ()) -> ValueAtRisk:
    return ValueAtRisk(
        levels=levels,
        scenarios=max(0, len(days) - 1),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        missing=list(missing),
    )
