"""What happened, by whom, from where and why: the log as far as it concerns who asks."""

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from api.answers import answer
from api.callers import ID_PATTERN, Authenticated, Caller, member
from api.fields import Sequence, Time, time_text_ns, time_text_us
from api.freshness import SEQUENCE_MAX, Fresh
from api.moments import parse_time_us
from api.openapi import answers
from api.paging import DAY_PATTERN, NameFilter, Paged, day_invalid, parse_day
from api.services import services_of
from domain.account.events import Role
from domain.ids import AccountId
from domain.refusals import NotFound
from projections.audit_trail import AuditTrailRow
from projections.queries import AuditFilter

router = APIRouter(prefix="/api/audit", tags=["audit"])

SEALED = "sealed"
_SEALED_FIELDS = {"nonce", "ciphertext"}
SequenceBound = Annotated[int | None, Query(ge=1, le=SEQUENCE_MAX)]


class AuditEventNotFound(NotFound):
    """No such event, or none that concerns the caller. The caller sees 404."""

    code = "AUDIT_EVENT_NOT_FOUND"


class AuditEventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `actor` asked for it through the door `source`; null: nobody said.

    `correlation_id` names the workflow, `causation_id` what made it happen.
    """

    sequence: int
    stream_id: str
    version: int
    name: str
    account_id: str | None
    user_id: str | None
    trade_id: str | None
    order_id: str | None
    actor: str | None
    source: str | None
    correlation_id: str | None
    causation_id: str | None
    command_id: str
    received_at: Time | None
    recorded_at: Time

    @classmethod
    def of(cls, row: AuditTrailRow) -> "AuditEventView":
        """Return what is shown of *row*."""
        return cls(
            sequence=row.sequence,
            stream_id=row.stream_id,
            version=row.version,
            name=row.name,
            account_id=row.account_id,
            user_id=row.user_id,
            trade_id=row.trade_id,
            order_id=row.order_id,
            actor=row.actor,
            source=row.source,
            correlation_id=row.correlation_id,
            causation_id=row.causation_id,
            command_id=row.command_id,
            received_at=time_text_ns(row.received_at_ns),
            recorded_at=time_text_us(row.recorded_at_us),
        )


class AuditEventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none.
    """

    events: list[AuditEventView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence


class AuditEventAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One event with what it says, as the log keeps it (docs/events.md); what is sealed is not shown.

    `hash` covers its content, its place and `previous_hash`, that of the event before (SHA-256, hex).
    """

    event: AuditEventView
    payload: dict[str, Any]
    previous_hash: str
    hash: str
    sequence: Sequence


@router.get("/events", responses=answers(AuditEventsAnswer, "A page of events", 401, 404, 409, 422, 503))
async def list_events(
    request: Request,
    caller: Authenticated,
    _: Fresh,
    paging: Paged,
    *,
    account_id: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only this account's; without it all that concern you")
    ] = None,
    type: Annotated[str | None, Query(pattern=r"^[a-z_.0-9]{1,80}$", examples=["order.denied.v1"])] = None,  # noqa: A002 - the word that the API uses
    stream: NameFilter = None,
    day: Annotated[str | None, Query(pattern=DAY_PATTERN, description="Recorded on this day in India (ISO)")] = None,
    first_sequence: SequenceBound = None,
    last_sequence: SequenceBound = None,
) -> Response:
    """List what happened to you and in the accounts that you are a member of."""
    from_us, until_us = (None, None) if day is None else _bounds_of(day)
    wanted = AuditFilter(
        name=type,
        stream_id=stream,
        first_sequence=first_sequence,
        last_sequence=last_sequence,
        from_us=from_us,
        until_us=until_us,
    )
    queries = services_of(request).queries
    if account_id is None:
        page = await queries.audit(caller.user_id, await _accounts_of(request, caller), wanted, paging)
    else:
        acting = await member(request, caller, account_id, Role.VIEWER)
        page = await queries.audit(None, [acting.account_id], wanted, paging)
    shown = AuditEventsAnswer(
        events=[AuditEventView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
    )
    return answer(shown)


@router.get("/events/{sequence}", responses=answers(AuditEventAnswer, "The event", 401, 404, 409, 422, 503))
async def show_event(
    request: Request, caller: Authenticated, _: Fresh, sequence: Annotated[int, Path(ge=1, le=SEQUENCE_MAX)]
) -> Response:
    """Show one event, its hash and the hash that it follows."""
    services = services_of(request)
    wanted = AuditFilter(first_sequence=sequence, last_sequence=sequence)
    page = await services.queries.audit(caller.user_id, await _accounts_of(request, caller), wanted)
    if not page.rows:
        raise AuditEventNotFound(f"received sequence {sequence}, expected one that concerns you")
    [recorded] = await services.log.read_all(after_sequence=sequence - 1, limit=1)
    shown = AuditEventAnswer(
        event=AuditEventView.of(page.rows[0]),
        payload=_without_sealed(msgspec.json.decode(recorded.payload)),
        previous_hash=recorded.previous_hash.hex(),
        hash=recorded.hash.hex(),
        sequence=page.sequence,
    )
    return answer(shown)


async def _accounts_of(request: Request, caller: Caller) -> list[AccountId]:
    memberships = await services_of(request).queries.memberships_of(caller.user_id)
    return [row.account_id for row in memberships.value]


def _bounds_of(day: str) -> tuple[int, int]:
    """Return the first and the last microsecond of a day in India."""
    try:
        after = parse_day(day) + timedelta(days=1)
    except OverflowError:  # The last that a date can be.
        raise day_invalid(day) from None
    return parse_time_us(f"{day}T00:00:00+05:30"), parse_time_us(f"{after.isoformat()}T00:00:00+05:30") - 1


def _without_sealed(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == _SEALED_FIELDS:
            return SEALED
        return {name: _without_sealed(each) for name, each in value.items()}
    return [_without_sealed(each) for each in value] if isinstance(value, list) else value
