"""How much of its limits an account uses: what it holds and what the day brought, beside what is allowed."""

from dataclasses import dataclass
from enum import StrEnum

from domain.risk import BASIS_POINTS
from projections.exposure import Exposures, worth_of_position
from projections.portfolio import Portfolio
from projections.risk import RiskRow


class Unit(StrEnum):
    """What a limit counts in."""

    COUNT = "count"
    UNITS = "units"
    PAISE = "paise"
    BASIS_POINTS = "basis_points"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """One limit, by the name of its field in the limits, and what of it is used; `used` is None where nobody knows."""

    name: str
    unit: Unit
    limit: int
    used: int | None

    @property
    def share(self) -> float | None:
        """What of the limit is used, 1 and more where it is reached; None where the limit is 0 or the use unknown."""
        return self.used / self.limit if self.used is not None and self.limit else None


def margin_used_paise(risk: RiskRow, portfolio: Portfolio) -> int:
    """Return what of the funds is bound by what is held, at cost. What live entries bind besides is not in it."""
    limits = risk.parameters
    return sum(
        abs(each.row.cost_paise) * limits.margin_bp_of(each.row.product) // BASIS_POINTS for each in portfolio.positions
    )


def drawdown_paise(risk: RiskRow, portfolio: Portfolio) -> int:
    """Return how far the net result lies below its highest: what a limit on the drawdown is held against."""
    return max(0, risk.peak_net_paise - risk.net_paise - portfolio.open_result_paise)


def limit_uses(risk: RiskRow, portfolio: Portfolio, exposures: Exposures, *, is_known: bool = True) -> list[LimitUse]:
    """Return the use of every limit that what is held, or the day, uses up; of one that is off there is none.

    What live entries may add is not in it. Unless marks *is_known*, uses that need them are None.
    """
    limits = risk.parameters
    held = [each for each in portfolio.positions if each.row.net_quantity]
    largest = max((abs(worth_of_position(each)) for each in held), default=0)
    symbol = exposures.by_symbol[0].exposure.gross_paise if exposures.by_symbol else 0
    capital, gross_max = limits.capital_paise, limits.gross_exposure_paise_max

    def at_mark(used: int) -> int | None:
        return used if is_known else None

    uses: list[tuple[str, Unit, int | None, int | None]] = [
        ("open_trades_max", Unit.COUNT, limits.open_trades_max, len(risk.open_trades)),
        ("open_positions_max", Unit.COUNT, limits.open_positions_max, len(held)),
        ("trades_per_day_max", Unit.COUNT, limits.trades_per_day_max, risk.trades_today),
        (
            "position_quantity_max",
            Unit.UNITS,
            limits.position_quantity_max,
            max((abs(each.row.net_quantity) for each in held), default=0),
        ),
        ("position_value_max", Unit.PAISE, limits.position_value_paise_max, at_mark(largest)),
        (
            "position_share_bp_max",
            Unit.BASIS_POINTS,
            limits.position_share_bp_max if capital else None,
            at_mark(largest * BASIS_POINTS // capital if capital else 0),
        ),
        ("gross_exposure_max", Unit.PAISE, gross_max, at_mark(exposures.total.gross_paise)),
        ("net_exposure_max", Unit.PAISE, limits.net_exposure_paise_max, at_mark(abs(exposures.total.net_paise))),
        (
            "concentration_bp_max",
            Unit.BASIS_POINTS,
            limits.concentration_bp_max if gross_max else None,
            at_mark(symbol * BASIS_POINTS // gross_max if gross_max else 0),
        ),
        ("day_loss_max", Unit.PAISE, limits.day_loss_paise_max, at_mark(max(0, -portfolio.day_result_paise))),
        ("drawdown_max", Unit.PAISE, limits.drawdown_paise_max, at_mark(drawdown_paise(risk, portfolio))),
    ]
    return [
        LimitUse(name=name, unit=unit, limit=limit, used=used) for name, unit, limit, used in uses if limit is not None
    ]
