"""The money of an account, and the shares that it holds."""

from enum import StrEnum

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Amount, PositionId, Price, Sequence, SignedAmount, Time, amount_text, optional_amount_text
from api.freshness import Fresh
from api.moments import Then
from api.openapi import answers
from api.standing import Standing, standing_of
from api.views import PositionView
from domain.account.events import AccountMode
from domain.order import Product
from projections.limit_use import margin_used_paise

router = APIRouter(prefix="/api", tags=["funds"])

_KEPT = frozenset({Product.CNC, Product.MTF})


class Missing(StrEnum):
    """Why a figure is null."""

    BROKER_NOT_ASKED = "BROKER_NOT_ASKED"
    """Only the broker knows it, and live trading does not run yet: it was never asked."""
    CAPITAL_NOT_SET = "CAPITAL_NOT_SET"
    """The account's limits name no capital (`PUT /api/risk/parameters`): nothing is held against one."""


class FundsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The money of an account as its own books have it.

    `capital` is what the limits name, `cash_moved` what came in less what went out, `realised` the result so far.
    `blocked` is what binds margin: what is held, at cost. What live entries bind besides is not in it, and charges are
    not in `realised`. `available` is capital, cash and result less what is blocked.
    `missing` says why figures are null.
    """

    account_id: str
    mode: AccountMode
    currency: str
    capital: Amount | None
    cash_moved: SignedAmount
    realised: SignedAmount | None
    blocked: Amount | None
    available: SignedAmount | None
    missing: dict[str, Missing]
    sequence: Sequence
    as_of: Time | None


class HoldingView(msgspec.Struct, frozen=True, kw_only=True):
    """Shares that are held for longer than a day (CNC, MTF), those bought today among them.

    `mark`, `value` and `open_result` are null where no price is known.
    """

    position_id: PositionId
    symbol: str
    product: str
    quantity: int
    average_price: Price | None
    cost: SignedAmount
    mark: Price | None
    mark_time: Time | None
    value: SignedAmount | None
    open_result: SignedAmount | None

    @classmethod
    def of(cls, position: PositionView) -> "HoldingView":
        """Return what is shown of a position of which something is held."""
        return cls(
            position_id=position.position_id,
            symbol=position.symbol,
            product=position.product,
            quantity=position.net_quantity,
            average_price=position.average_price,
            cost=position.cost,
            mark=position.mark,
            mark_time=position.mark_time,
            value=position.value,
            open_result=position.open_result,
        )


class HoldingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Holdings by symbol; null, with the reason in `missing`, where only the broker knows them."""

    account_id: str
    holdings: list[HoldingView] | None
    missing: dict[str, Missing]
    sequence: Sequence
    as_of: Time | None


@router.get("/funds", responses=answers(FundsAnswer, "The account's money", 401, 404, 409, 422, 503))
async def show_funds(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """Show the money of the account: what there is, what is bound, what is free."""
    standing = await standing_of(request, caller.account_id, moment)
    return answer(_funds(standing))


@router.get("/holdings", responses=answers(HoldingsAnswer, "The account's holdings", 401, 404, 409, 422, 503))
async def list_holdings(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """List the shares that the account holds for longer than a day."""
    standing = await standing_of(request, caller.account_id, moment)
    is_live = standing.risk.mode is AccountMode.LIVE
    kept = [
        HoldingView.of(each)
        for each in PositionView.all_of(standing, open_only=True)
        if each.product in _KEPT and each.net_quantity > 0
    ]
    shown = HoldingsAnswer(
        account_id=standing.risk.account_id,
        holdings=None if is_live else kept,
        missing={"holdings": Missing.BROKER_NOT_ASKED} if is_live else {},
        sequence=standing.sequence,
        as_of=standing.as_of,
    )
    return answer(shown)


def _funds(standing: Standing) -> FundsAnswer:
    risk = standing.risk
    capital, blocked = risk.parameters.capital_paise, margin_used_paise(risk, standing.portfolio)
    available = None if capital is None else capital + risk.cash_moved_paise + risk.realised_paise - blocked
    missing = {} if capital is not None else {"capital": Missing.CAPITAL_NOT_SET, "available": Missing.CAPITAL_NOT_SET}
    is_live = risk.mode is AccountMode.LIVE
    if is_live:
        missing = dict.fromkeys(("capital", "realised", "blocked", "available"), Missing.BROKER_NOT_ASKED)
    return FundsAnswer(
        account_id=risk.account_id,
        mode=risk.mode,
        currency=risk.currency,
        capital=None if is_live else optional_amount_text(capital),
        cash_moved=amount_text(risk.cash_moved_paise),
        realised=None if is_live else amount_text(risk.realised_paise),
        blocked=None if is_live else amount_text(blocked),
        available=None if is_live else optional_amount_text(available),
        missing=missing,
        sequence=standing.sequence,
        as_of=standing.as_of,
    )
