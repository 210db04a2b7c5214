"""How much what an account holds may lose in a day."""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence as Place
from api.fields import Share, SignedAmount, Time, optional_amount_text, optional_share_text
from api.freshness import Fresh
from api.moments import Then
from api.openapi import answers
from api.services import services_of
from api.standing import standing_of
from domain.instrument import InstrumentKey
from domain.money import value_paise
from domain.risk import BASIS_POINTS
from projections.exposure import worth_of_position
from projections.portfolio import ValuedPosition
from projections.ports import DailyBar
from projections.value_at_risk import HISTORY_DAYS, AtRisk, RiskLevel, WhyUnknown, value_at_risk

router = APIRouter(prefix="/api/risk", tags=["risk"])


class RiskLevelView(msgspec.Struct, frozen=True, kw_only=True):
    """The figures at one confidence, positive for a loss; null with the reason."""

    confidence: Share
    value_at_risk: SignedAmount | None
    expected_shortfall: SignedAmount | None
    reason: WhyUnknown | None

    @classmethod
    def of(cls, level: RiskLevel) -> "RiskLevelView":
        """Return what is shown of *level*."""
        return cls(
            confidence=optional_share_text(level.confidence_bp / BASIS_POINTS) or "",
            value_at_risk=optional_amount_text(level.value_at_risk_paise),
            expected_shortfall=optional_amount_text(level.expected_shortfall_paise),
            reason=level.reason,
        )


class ValueAtRiskAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a day ahead may cost, by historical simulation from stored daily bars.

    Each of `scenarios` past days between two days is applied to what is held now. In the share `confidence` of them the
    loss is no larger than `value_at_risk`; in the others it is `expected_shortfall` on average. `bars_missing` names
    the symbols of which no bars are stored.
    """

    account_id: str
    day: str
    horizon_days: int
    levels: list[RiskLevelView]
    scenarios: int
    first_day: str | None
    last_day: str | None
    bars_missing: list[str]
    sequence: Place
    as_of: Time | None


@router.get(
    "/value-at-risk",
    responses=answers(ValueAtRiskAnswer, "The figures, or why there are none", 401, 404, 409, 422, 503),
)
async def show_value_at_risk(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """Show value at risk and expected shortfall of what the account holds, one day ahead, at 95 % and 99 %."""
    standing = await standing_of(request, caller.account_id, moment)
    today = date.fromisoformat(standing.risk.day)
    first, last = (today - timedelta(days=days) for days in (HISTORY_DAYS, 1))  # Today's bar is not over.
    held = [each for each in standing.portfolio.positions if each.row.net_quantity]
    bars = {
        instrument: await services_of(request).bars.daily(
            instrument, first_day=first.isoformat(), last_day=last.isoformat()
        )
        for instrument in {each.row.instrument for each in held}
    }
    holdings: dict[InstrumentKey, AtRisk] = {}
    for each in held:
        # Of two products of one instrument the price is one.
        before = holdings.get(each.row.instrument)
        worth = _worth_paise(each, bars[each.row.instrument]) + (0 if before is None else before.value_paise)
        holdings[each.row.instrument] = AtRisk(symbol=each.row.symbol, value_paise=worth)
    found = value_at_risk(holdings, bars, day=standing.risk.day)
    shown = ValueAtRiskAnswer(
        account_id=standing.risk.account_id,
        day=standing.risk.day,
        horizon_days=1,
        levels=[RiskLevelView.of(level) for level in found.levels],
        scenarios=found.scenarios,
        first_day=found.first_day,
        last_day=found.last_day,
        bars_missing=found.missing,
        sequence=standing.sequence,
        as_of=standing.as_of,
    )
    return answer(shown)


def _worth_paise(position: ValuedPosition, bars: Sequence[DailyBar]) -> int:
    """Return what a position is worth at its mark, where it has none at the newest close; negative for a short."""
    row = position.row
    if position.value_paise is not None or not bars:
        return worth_of_position(position)
    worth = value_paise(price_e4=bars[-1].close_e4, quantity=abs(row.net_quantity), multiplier=row.multiplier)
    return worth if row.net_quantity >= 0 else -worth
