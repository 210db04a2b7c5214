"""What is answered to an intent: a trade, what it closes first, or the denial."""

import msgspec
from fastapi import Request, Response

from api.answers import answer
from api.closing import ClosingPart, parts_of
from api.errors import problem_response
from api.fields import Sequence
from commands.accounts import Outcome
from domain.account.events import OrderDenied, OrderIntended, TradeOpened
from domain.order import Purpose


class DenialTold(msgspec.Struct, frozen=True, kw_only=True):
    """Why risk denied what was left of an intent after its exits. `passing` says what would have passed."""

    trade_id: str
    code: str
    limit: str
    value: str
    passing: str


class TradeAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an intent that was not denied whole; all of it is durable.

    201: it passed every check as trade `trade_id`, and its entry orders (`order_id` is the first of `order_ids`: more
    than one where the exchange's freeze quantity demands it) are on their way.

    `closing`: what it undoes of trades that are held the other way is closed first, as an exit, which faces no limit.
    202 with `trade_id` null: it undoes no less than it asks for, or the rest was denied, and then `denial` says why. A
    denial of the whole intent is a problem, 403.
    """

    trade_id: str | None
    order_id: str | None
    order_ids: list[str]
    closing: list[ClosingPart]
    denial: DenialTold | None
    sequence: Sequence


def answer_to_intent(request: Request, outcome: Outcome, headers: dict[str, str]) -> Response:
    """Return the answer to an intent that led to *outcome*."""
    closing = parts_of(outcome.events)
    denied = next((event for event in outcome.events if isinstance(event, OrderDenied)), None)
    if denied is not None and not closing:
        return denied_answer(request, denied, outcome, headers)
    opened = next((event for event in outcome.events if isinstance(event, TradeOpened)), None)
    entries = entry_orders_of(outcome, None if opened is None else opened.trade_id)
    accepted = TradeAccepted(
        trade_id=None if opened is None else opened.trade_id,
        order_id=entries[0] if entries else None,
        order_ids=entries,
        closing=closing,
        denial=None if denied is None else _told(denied),
        sequence=outcome.last_sequence,
    )
    if opened is None:
        return answer(accepted, status=202, headers=headers)
    return answer(accepted, status=201, headers=headers | {"Location": f"/api/trades/{opened.trade_id}"})


def entry_orders_of(outcome: Outcome, trade_id: str | None) -> list[str]:
    """Return the entry orders that a command intended for a trade."""
    return [
        event.order_id
        for event in outcome.events
        if isinstance(event, OrderIntended) and event.purpose is Purpose.ENTRY and event.trade_id == trade_id
    ]


def denied_answer(request: Request, denied: OrderDenied, outcome: Outcome, headers: dict[str, str]) -> Response:
    """Return the problem that tells of a denial."""
    return problem_response(
        request,
        status=403,
        code=denied.code.value,
        detail=f"the limit is {denied.limit}, the intent came to {denied.value}",
        headers=headers,
        limit=denied.limit,
        value=denied.value,
        passing=denied.passing or None,
        trade_id=denied.trade_id,
        sequence=outcome.last_sequence,
    )


def _told(denied: OrderDenied) -> DenialTold:
    return DenialTold(
        trade_id=denied.trade_id,
        code=denied.code.value,
        limit=denied.limit,
        value=denied.value,
        passing=denied.passing,
    )
