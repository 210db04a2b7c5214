"""Where the broker's books differ from ours, and a person's word that what they show is taken as it is."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Owning, Viewing, context_of
from api.closing import Closing, ClosingPart
from api.fields import Price, Sequence, Time, price_e4, time_text_us
from api.freshness import Fresh
from api.idempotency import mandatory_key, request_hash
from api.openapi import answers, request_body
from api.services import services_of
from commands.looks import LookReport
from domain.account.events import DifferenceFound, ForeignFillAllocated
from domain.account.refusals import DifferenceNotFound
from domain.differences import Book, DifferenceKind
from domain.ids import DifferenceId
from domain.order import Product

router = APIRouter(prefix="/api/reconciliation", tags=["reconciliation"])

_NS_PER_US = 1_000
_DIFFERENCE_ID = re.compile(r"[0-9A-Za-z_]{1,64}\.d[0-9]{1,9}", re.ASCII)
DifferenceReason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        description="Why it is right as the broker has it; it stays in the log for ever, so no personal data",
        examples=["ten shares came in by a transfer from another broker"],
    ),
]


class ResolveDifferenceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take what the broker shows as it is. A position goes into the external trade at `price`, null: the last price."""

    reason: DifferenceReason
    price: Price | None = None


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True):
    """One difference that is open. While one that `gates` is, entries are denied with `BOOKS_DISAGREE`."""

    difference_id: str
    kind: DifferenceKind
    subject: str | None
    symbol: str | None
    product: Product | None
    ours: str
    theirs: str
    difference: int | None
    cause: str
    repair: str
    gates: bool

    @classmethod
    def of(cls, found: DifferenceFound) -> "DifferenceView":
        """Return what is shown of a difference."""
        return cls(
            difference_id=found.difference_id,
            kind=found.kind,
            subject=found.subject or None,
            symbol=found.symbol or None,
            product=found.product,
            ours=found.ours,
            theirs=found.theirs,
            difference=found.quantity,
            cause=found.cause,
            repair=found.repair,
            gates=found.gates,
        )


class LookView(msgspec.Struct, frozen=True, kw_only=True):
    """The last look at the broker's books since the executor started.

    `agrees`: every book was read and nothing was otherwise. `suspected` counts what has to be seen once more before it
    is recorded.
    """

    looked_at: Time
    read: list[Book]
    agrees: bool
    suspected: int

    @classmethod
    def of(cls, look: LookReport) -> "LookView":
        """Return what is shown of a look."""
        return cls(
            looked_at=time_text_us(look.looked_at_ns // _NS_PER_US),
            read=list(look.read),
            agrees=look.agrees,
            suspected=len(look.suspected),
        )


class ReconciliationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is otherwise at the broker, oldest first; the answer holds every event up to `sequence`.

    `last_look` is null where the executor has not looked yet, or does not answer.
    """

    account_id: str
    gated: bool
    differences: list[DifferenceView]
    last_look: LookView | None
    sequence: Sequence


class DifferenceResolvedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The difference is over, from `sequence` on.

    `trade_ids` are the trades that took what the broker shows, `closing` and `canceling` what followed for orders.
    """

    difference_id: str
    trade_ids: list[str]
    closing: list[ClosingPart]
    canceling: list[str]
    sequence: Sequence


@router.get("", responses=answers(ReconciliationAnswer, "Open differences and the last look", 401, 404, 409, 422, 503))
async def show_reconciliation(request: Request, caller: Viewing, _: Fresh) -> Response:
    """Show where the broker's books differ from ours. Of now: no `as_of`."""
    services = services_of(request)
    present = await services.accounts.present(caller.account_id)
    look = await services.last_look(caller.account_id)
    shown = ReconciliationAnswer(
        account_id=caller.account_id,
        gated=present.account.gating_difference is not None,
        differences=[DifferenceView.of(each) for each in present.account.differences.values()],
        last_look=None if look is None else LookView.of(look),
        sequence=present.sequence,
    )
    return answer(shown)


@router.post(
    "/{difference_id}/resolve",
    openapi_extra=request_body(ResolveDifferenceRequest, is_key_mandatory=True),
    responses=answers(DifferenceResolvedAnswer, "Resolved, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def resolve_difference(request: Request, caller: Owning, difference_id: str) -> Response:
    """Take what the broker shows as it is. A position is adopted into the external trade; exits and stops follow."""
    key = mandatory_key(request)
    body = await read_body(request, ResolveDifferenceRequest)
    if not _DIFFERENCE_ID.fullmatch(difference_id):
        raise DifferenceNotFound(f"received difference {difference_id[:80]!r}, expected one that is open")
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).accounts.resolve_difference(
        caller.account_id,
        caller.user_id,
        DifferenceId(difference_id),
        reason=body.reason,
        price_e4=price_e4(body.price, field="price"),
        context=context,
    )
    headers = command_headers(request, outcome)
    began = Closing.of(outcome.events)
    trades = [event.trade_id for event in outcome.events if isinstance(event, ForeignFillAllocated)]
    shown = DifferenceResolvedAnswer(
        difference_id=difference_id,
        trade_ids=[*dict.fromkeys(trades)],
        closing=began.closing,
        canceling=began.canceling,
        sequence=outcome.last_sequence,
    )
    return answer(shown, headers=headers)
