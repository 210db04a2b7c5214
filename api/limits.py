"""Which limits an account has, and which it had when."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.callers import Viewing
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.moments import Then, as_of_text
from api.openapi import answers
from api.paging import Before, PageLimit
from api.requests import RiskLimits
from api.services import services_of
from api.standing import AccountNotOpenYet
from api.tags import KnownTag, tagged
from projections.limit_changes import LimitChangeRow
from projections.queries import ReadModelBehind

router = APIRouter(prefix="/api/risk", tags=["risk"])


class LimitChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that were in force from `sequence` on. `changed_by` set them through the door `source`; null: nobody said.

    The first are those that the account was opened with.
    """

    parameters: RiskLimits
    changed_by: str | None
    source: str | None
    changed_at: Time
    sequence: Sequence

    @classmethod
    def of(cls, row: LimitChangeRow) -> "LimitChangeView":
        """Return what is shown of *row*."""
        return cls(
            parameters=RiskLimits.of(row.parameters),
            changed_by=row.changed_by,
            source=row.source,
            changed_at=time_text_us(row.changed_at_us),
            sequence=row.sequence,
        )


class LimitHistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The limits in force, and all that were, newest first: what is in force is the first of the first page.

    `next_before` asks, as `before`, for the page after this one; null: there is none. `as_of` is the time of the past
    that the answer stands for, null: now.
    """

    account_id: str
    parameters: RiskLimits
    history: list[LimitChangeView]
    next_before: int | None
    sequence: Sequence
    as_of: Time | None


@router.get(
    "/parameters",
    responses=answers(LimitHistoryAnswer, "Limits and their history", 401, 404, 409, 422, 503, is_tagged=True),
)
async def show_parameters(
    request: Request,
    caller: Viewing,
    _: Fresh,
    moment: Then,
    *,
    before: Before = None,
    limit: PageLimit = 50,
    known: KnownTag = None,
) -> Response:
    """Show the limits in force, and who changed them when."""
    services = services_of(request)
    queries = services.past(moment) or services.queries
    page = await queries.limit_changes(caller.account_id, before=before, limit=limit)
    newest = page.changes if before is None else (await queries.limit_changes(caller.account_id, limit=1)).changes
    if not newest:
        if moment is None:
            # The log knows the account, or its owner were no caller: the view does not yet.
            raise ReadModelBehind(wanted=page.sequence + 1, sequence=page.sequence)
        raise AccountNotOpenYet(f"at sequence {page.sequence} your account was not open yet")
    shown = LimitHistoryAnswer(
        account_id=caller.account_id,
        parameters=RiskLimits.of(newest[0].parameters),
        history=[LimitChangeView.of(row) for row in page.changes],
        next_before=page.next_before,
        sequence=page.sequence,
        as_of=as_of_text(moment),
    )
    # Limits that were set stay: the newest, and what was asked, tell the whole page.
    return tagged(request, known, shown, newest[0].sequence)
