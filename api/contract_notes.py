"""What the broker charged on a day, beside what was booked."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import FineAmount, Sequence, Time, fine_amount_text, time_text_us
from api.freshness import Fresh
from api.openapi import answers
from api.paging import Paged
from api.services import services_of
from api.tags import KnownTag, tagged
from domain.contract_note import Cause, LineDifference, Match, NotedOrder, NoteLine
from domain.money import E4_PER_PAISA
from domain.refusals import NotFound
from projections.contract_notes import ContractNoteRow

router = APIRouter(prefix="/api/contract-notes", tags=["risk"])


class ContractNoteNotFound(NotFound):
    """No note of this day. The caller sees 404: nothing was traded, or the broker has not told its charges yet."""

    code = "CONTRACT_NOTE_NOT_FOUND"


class ContractNoteView(msgspec.Struct, frozen=True, kw_only=True):
    """A day's charges in both books. `number` counts the notes of the day: each replaces the one before.

    `difference` is what the broker charged more. `unexplained` adds up what no cause accounts for, order by order.
    """

    day: str
    number: int
    order_count: int
    ours: FineAmount
    brokers: FineAmount
    difference: FineAmount
    unexplained: FineAmount
    recorded_at: Time

    @classmethod
    def of(cls, row: ContractNoteRow) -> "ContractNoteView":
        """Return what is shown of *row*."""
        return cls(
            day=row.day,
            number=row.number,
            order_count=row.order_count,
            ours=fine_amount_text(row.ours_e4),
            brokers=fine_amount_text(row.theirs_e4),
            difference=fine_amount_text(row.theirs_e4 - row.ours_e4),
            unexplained=fine_amount_text(row.unexplained_e4),
            recorded_at=time_text_us(row.recorded_at_us),
        )


class CauseView(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a difference, and what it is put down to; docs/charges.md says what each cause means."""

    cause: Cause
    difference: FineAmount


class NoteLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the day. Its causes add up to its difference."""

    line: NoteLine
    ours: FineAmount
    brokers: FineAmount
    difference: FineAmount
    causes: list[CauseView]

    @classmethod
    def of(cls, line: LineDifference) -> "NoteLineView":
        """Return what is shown of *line*."""
        return cls(
            line=line.line,
            ours=fine_amount_text(line.ours_e4),
            brokers=fine_amount_text(line.theirs_e4),
            difference=fine_amount_text(line.difference_e4),
            causes=[
                CauseView(cause=share.cause, difference=fine_amount_text(share.amount_e4)) for share in line.shares
            ],
        )


class NotedOrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order in both books: `quantity` and `brokers` are the broker's, `our_quantity` and `ours` ours."""

    venue_order_id: str
    segment: str
    security_id: str
    product: str
    side: str
    match: Match
    quantity: int
    our_quantity: int
    ours: FineAmount
    brokers: FineAmount
    unexplained: FineAmount

    @classmethod
    def of(cls, order: NotedOrder) -> "NotedOrderView":
        """Return what is shown of *order*."""
        return cls(
            venue_order_id=order.venue_order_id,
            segment=order.instrument.segment.value,
            security_id=order.instrument.security_id,
            product=order.product.value,
            side=order.side.value,
            match=order.match,
            quantity=order.quantity,
            our_quantity=order.our_quantity,
            ours=fine_amount_text(order.our_charges_paise * E4_PER_PAISA),
            brokers=fine_amount_text(order.charges.total_e4),
            unexplained=fine_amount_text(order.unexplained_e4),
        )


class ContractNotesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Days of which the broker told its charges, the newest note first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; both null: there is none.
    """

    contract_notes: list[ContractNoteView]
    next_before: int | None
    next_after: int | None
    sequence: Sequence


class ContractNoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A day line by line, and the orders of which something is to be said: not in both books alike, or unexplained."""

    contract_note: ContractNoteView
    lines: list[NoteLineView]
    orders: list[NotedOrderView]
    sequence: Sequence


@router.get("", responses=answers(ContractNotesAnswer, "A page of notes", 401, 404, 409, 422, 503))
async def list_contract_notes(request: Request, caller: Viewing, _: Fresh, paging: Paged) -> Response:
    """List the days of which the broker told what it charged: in all, beside what was booked."""
    page = await services_of(request).queries.contract_notes(caller.account_id, paging)
    shown = ContractNotesAnswer(
        contract_notes=[ContractNoteView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        sequence=page.sequence,
    )
    return answer(shown)


@router.get("/{day}", responses=answers(ContractNoteAnswer, "The note", 401, 404, 409, 422, 503, is_tagged=True))
async def show_contract_note(
    request: Request,
    caller: Viewing,
    _: Fresh,
    day: Annotated[str, Path(description="The exchange's day (ISO)", examples=["2026-11-20"])],
    *,
    known: KnownTag = None,
) -> Response:
    """Show what the broker charged on a day line by line, and why it is another amount than was booked."""
    found = await services_of(request).queries.contract_note(caller.account_id, day)
    if found.value is None:
        raise ContractNoteNotFound(f"received day {day[:40]!r}, expected one of which the broker told its charges")
    shown = ContractNoteAnswer(
        contract_note=ContractNoteView.of(found.value),
        lines=[NoteLineView.of(line) for line in found.value.lines],
        orders=[NotedOrderView.of(order) for order in found.value.orders],
        sequence=found.sequence,
    )
    return tagged(request, known, shown, found.value.sequence)
