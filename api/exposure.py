"""What an account is exposed to, by what it is exposed through."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Amount, Sequence, SignedAmount, Time, amount_text
from api.freshness import Fresh
from api.moments import Then
from api.openapi import answers
from api.standing import standing_of
from projections.exposure import Exposure, Group

router = APIRouter(prefix="/api/risk", tags=["risk"])


class ExposureView(msgspec.Struct, frozen=True, kw_only=True):
    """What is held for a rise and for a fall, both together, and the one less the other."""

    long: Amount
    short: Amount
    gross: Amount
    net: SignedAmount

    @classmethod
    def of(cls, exposure: Exposure) -> "ExposureView":
        """Return what is shown of *exposure*."""
        return cls(
            long=amount_text(exposure.long_paise),
            short=amount_text(exposure.short_paise),
            gross=amount_text(exposure.gross_paise),
            net=amount_text(exposure.net_paise),
        )


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """The exposure through one of a kind. By strategy, `name` is null for what a person traded or came from outside."""

    name: str | None
    is_external: bool
    exposure: ExposureView


class ExposureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Exposures, largest first, at the last prices.

    By symbol, segment, product and direction they are those of positions, in which trades of one direction meet those
    of the other; by strategy they are those of trades, whatever others hold against them. Symbols in `mark_missing`
    have no price and count at cost: of now as of the past. `as_of` is the time of the past that the answer stands for,
    null: now.
    """

    account_id: str
    day: str
    total: ExposureView
    by_symbol: list[GroupView]
    by_segment: list[GroupView]
    by_product: list[GroupView]
    by_strategy: list[GroupView]
    by_direction: list[GroupView]
    mark_missing: list[str]
    sequence: Sequence
    as_of: Time | None


@router.get("/exposure", responses=answers(ExposureAnswer, "Exposures in groups", 401, 404, 409, 422, 503))
async def show_exposure(request: Request, caller: Viewing, _: Fresh, moment: Then) -> Response:
    """Show what the account is exposed to by symbol, segment, product, strategy and direction."""
    standing = await standing_of(request, caller.account_id, moment)
    exposures = standing.exposures
    total = exposures.total
    directions = [
        Group(name="long", exposure=Exposure(long_paise=total.long_paise)),
        Group(name="short", exposure=Exposure(short_paise=total.short_paise)),
    ]
    shown = ExposureAnswer(
        account_id=standing.risk.account_id,
        day=standing.risk.day,
        total=ExposureView.of(total),
        by_symbol=_views(exposures.by_symbol),
        by_segment=_views(exposures.by_segment),
        by_product=_views(exposures.by_product),
        by_strategy=_views(exposures.by_strategy),
        by_direction=_views(directions),
        mark_missing=standing.portfolio.mark_missing,
        sequence=standing.sequence,
        as_of=standing.as_of,
    )
    return answer(shown)


def _views(groups: list[Group]) -> list[GroupView]:
    return [
        GroupView(name=group.name, is_external=group.is_external, exposure=ExposureView.of(group.exposure))
        for group in groups
    ]
