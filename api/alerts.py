"""What somebody should look at in an account: orders in doubt, protection that is lost, switches that block."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.openapi import answers
from api.paging import Paged
from api.services import services_of
from projections.alerts import AlertCode, AlertRow
from projections.queries import AlertState

router = APIRouter(prefix="/api/alerts", tags=["alerts"])


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    """Somebody wanted it so."""
    WARNING = "warning"
    """It may pass by itself."""
    CRITICAL = "critical"
    """It does not pass by itself."""


class _Kind(NamedTuple):
    severity: Severity
    text: str
    what_to_do: str


KINDS: Mapping[AlertCode, _Kind] = {
    AlertCode.ORDER_UNKNOWN: _Kind(
        Severity.WARNING,
        "Nobody knows whether the broker has order {order_id}.",
        "Wait: it is looked for. `GET /api/orders/in-doubt` tells how far that is.",
    ),
    AlertCode.ORDER_PRESUMED_ABSENT: _Kind(
        Severity.CRITICAL,
        "Order {order_id} was looked for in vain: the broker does not seem to have it.",
        "Look at the broker's own app, and say what you see: `POST /api/orders/{order_id}/resolve`.",
    ),
    AlertCode.PROTECTION_LAPSED: _Kind(
        Severity.WARNING,
        "The stop of trade {trade_id} ended with its session.",
        "Nothing, if the trade may stay open over night: the stop is placed again before the next session's entries.",
    ),
    AlertCode.PROTECTION_FAILED: _Kind(
        Severity.CRITICAL,
        "The stop of trade {trade_id} cannot be placed, moved or filled by rule.",
        "Set another stop (`PUT /api/trades/{trade_id}`), or close the trade.",
    ),
    AlertCode.KILL_SWITCH_ENGAGED: _Kind(
        Severity.INFO,
        "Entries are blocked by a kill switch.",
        "Release it, once its reason is gone: `DELETE /api/risk/kill-switch`.",
    ),
    AlertCode.FLATTEN_INCOMPLETE: _Kind(
        Severity.CRITICAL,
        "A kill switch could not close everything.",
        "Look at `trade_ids`: close them here, or at the broker.",
    ),
    AlertCode.INVARIANT_BREACHED: _Kind(
        Severity.CRITICAL,
        "Something that always holds of an account did not: entries are denied.",
        "Look at what `detail` names, in the engine and at the broker; then"
        " `POST /api/risk/invariants/{{invariant}}/release`.",
    ),
    AlertCode.BOOKS_DISAGREE: _Kind(
        Severity.CRITICAL,
        "The broker's books show what nothing explains: entries are denied.",
        "`khata reconcile` shows both sides; what is left a person has to explain.",
    ),
    AlertCode.BOOKS_DIFFER: _Kind(
        Severity.INFO,
        "The broker's books show something otherwise than ours, and it is known why.",
        "Wait: it closes by itself. `khata reconcile` shows both sides.",
    ),
    AlertCode.PREOPEN_CHECK_FAILING: _Kind(
        Severity.WARNING,
        "Something could keep the account from trading today.",
        "Do what `detail` says of each point.",
    ),
}
"""What an alert says to people, by its code."""


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody should look at: since `since`, until `until` (null: it goes on).

    `code` is stable, `text` and `what_to_do` are for people. `detail` is what was said: a cause, or somebody's reason.
    """

    alert_id: str
    account_id: str
    code: AlertCode
    severity: Severity
    text: str
    what_to_do: str
    detail: str | None
    order_id: str | None
    trade_id: str | None
    strategy_id: str | None
    trade_ids: list[str]
    state: AlertState
    since: Time
    until: Time | None
    sequence: Sequence

    @classmethod
    def of(cls, row: AlertRow) -> "AlertView":
        """Return what is shown of *row*."""
        kind = KINDS[row.code]
        named = {"order_id": row.order_id, "trade_id": row.trade_id}
        return cls(
            alert_id=row.alert_id,
            account_id=row.account_id,
            code=row.code,
            severity=kind.severity,
            text=kind.text.format(**named),
            what_to_do=kind.what_to_do.format(**named),
            detail=row.detail,
            order_id=row.order_id,
            trade_id=row.trade_id,
            strategy_id=row.strategy_id,
            trade_ids=list(row.trade_ids),
            state=AlertState.OPEN if row.is_open else AlertState.ENDED,
            since=time_text_us(row.since_us),
            until=time_text_us(row.until_us),
            sequence=row.sequence,
        )


class AlertsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts by when they began, newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none.
    """

    alerts: list[AlertView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence


@router.get("", responses=answers(AlertsAnswer, "A page of alerts", 401, 404, 409, 422, 503))
async def list_alerts(
    request: Request,
    caller: Viewing,
    _: Fresh,
    paging: Paged,
    *,
    state: Annotated[AlertState | None, Query(description="Only those that go on, or only those that ended")] = None,
) -> Response:
    """List what somebody should look at, and (unless `state` is `open`) what they should have looked at."""
    page = await services_of(request).queries.alerts([caller.account_id], state, paging)
    shown = AlertsAnswer(
        alerts=[AlertView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
    )
    return answer(shown)
