"""Kill switches and breaches: what blocks entries, and what lets them through again."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer, command_headers
from api.bodies import read_body
from api.callers import Caller, Owning, Trading, context_of
from api.closing import Closing, ClosingPart
from api.errors import row_of
from api.fields import Sequence
from api.idempotency import mandatory_key, optional_key, request_hash
from api.openapi import answers, key_header, request_body
from api.services import services_of
from api.switch_requests import BreachReleaseRequest, KillSwitchRequest, SwitchScope, strategy_in_scope
from commands.accounts import Outcome
from commands.lane import AccountBusy
from commands.ports import AppendOutcomeUnknown, StoreUnavailable
from domain.account import Account
from domain.account.events import KillMode
from domain.account.state import WHOLE_ACCOUNT, Trade
from domain.account.trades import trades_in_scope
from domain.ids import AccountId, StrategyId
from domain.order import OrderStatus
from domain.refusals import NotFound, Refusal
from domain.risk import BreachKind

router = APIRouter(prefix="/api/risk", tags=["risk"])

_NOT_CARRIED_OUT = (Refusal, AccountBusy, StoreUnavailable, AppendOutcomeUnknown)
_UNKNOWN = frozenset({OrderStatus.UNKNOWN, OrderStatus.PRESUMED_ABSENT})


class NotDoneReason(StrEnum):
    """Why a trade is not closed, or its entry not taken back, by a kill switch yet."""

    EXTERNAL = "external"
    """It came from outside: it is closed only by `POST /api/positions/close-all` with `includes_external`."""
    ORDER_UNKNOWN = "order_unknown"
    """The venue may have one of its orders: the cancel is remembered until that is known."""
    WAITS_FOR_VENUE = "waits_for_venue"
    """Its exit takes the place of an order that the venue has not confirmed canceled."""


class NotDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a kill switch could not do (yet). `quantity` is what the trade holds, negative for a short."""

    trade_id: str
    symbol: str
    quantity: int
    reason: NotDoneReason


class AccountSwitched(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch did in one account.

    `closing`, `canceling` and `blocked` is what it began; `not_done` what stands against it at the moment of the answer
    (of a repeat: at its own moment). `refused` is the code of the problem where the account did not take the command:
    then nothing was done there, or (`OUTCOME_UNKNOWN`) nobody knows yet.
    """

    account_id: str
    closing: list[ClosingPart]
    canceling: list[str]
    blocked: list[str]
    not_done: list[NotDone]
    refused: str | None
    sequence: int | None


class KillSwitchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether entries of the scope are blocked, from `sequence` on, and what was done in which account.

    `mode` is the mode in force, null once it is released: a switch that flattens is not turned into one that halts.
    """

    engaged: bool
    scope: SwitchScope
    strategy_id: str | None
    mode: KillMode | None
    accounts: list[AccountSwitched]
    sequence: Sequence


class BreachReleased(msgspec.Struct, frozen=True, kw_only=True):
    """The limit is not latched any more, from `sequence` on. Entries are denied while the loss itself is beyond it."""

    kind: BreachKind
    sequence: Sequence


class BreachUnknown(NotFound):
    """There is no such limit. The caller sees 404; nothing is stored."""

    code = "BREACH_NOT_FOUND"


@router.post(
    "/kill-switch",
    openapi_extra=request_body(KillSwitchRequest, is_key_mandatory=False),
    responses=answers(KillSwitchAnswer, "Engaged, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def engage_kill_switch(request: Request, caller: Trading) -> Response:
    """Block entries and cancel those that rest; with mode `flatten` close what is held as well. Twice is as once.

    `flatten` needs an Idempotency-Key. Stops stay until the exit takes their place.
    """
    key = optional_key(request)
    body = await read_body(request, KillSwitchRequest)
    if body.mode is KillMode.FLATTEN:
        key = mandatory_key(request)
    strategy_id = strategy_in_scope(body.strategy_id, is_scoped=body.scope is SwitchScope.STRATEGY)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts

    async def engage(account_id: AccountId) -> Outcome:
        return await accounts.engage_kill_switch(
            account_id, caller.user_id, body.reason, context, strategy_id=strategy_id, mode=body.mode
        )

    return await _switch(request, caller, body.scope, strategy_id, engage)


@router.delete(
    "/kill-switch",
    openapi_extra=key_header(is_mandatory=False),
    responses=answers(KillSwitchAnswer, "Released, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def release_kill_switch(
    request: Request,
    caller: Owning,
    *,
    scope: SwitchScope = SwitchScope.ACCOUNT,
    strategy_id: Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[0-9A-Za-z_-]+$")] = None,
) -> Response:
    """Allow entries of the scope again. Takes no body. Twice is as once. What began to close is closed to the end."""
    key = optional_key(request)
    strategy = strategy_in_scope(strategy_id, is_scoped=scope is SwitchScope.STRATEGY)
    wanted = KillSwitchReleaseQuery(scope=scope, strategy_id=strategy_id)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, wanted))
    accounts = services_of(request).accounts

    async def release(account_id: AccountId) -> Outcome:
        return await accounts.release_kill_switch(account_id, caller.user_id, context, strategy_id=strategy)

    return await _switch(request, caller, scope, strategy, release)


class KillSwitchReleaseQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a release asks for, as it counts for its key."""

    scope: SwitchScope
    strategy_id: str | None


async def _switch(
    request: Request,
    caller: Caller,
    scope: SwitchScope,
    strategy_id: StrategyId | None,
    carry_out: Callable[[AccountId], Awaitable[Outcome]],
) -> Response:
    """Carry a switch out in every account of its scope. One that does not take it keeps none of the others from it."""
    services = services_of(request)
    account_ids = [caller.account_id]
    if scope is SwitchScope.EVERYTHING:
        account_ids = [*dict.fromkeys([caller.account_id, *await services.profiles.accounts_of(caller.user_id)])]
    outcomes: list[tuple[AccountId, Outcome]] = []
    failures: list[tuple[AccountId, Exception]] = []
    for account_id in account_ids:
        try:
            outcomes.append((account_id, await carry_out(account_id)))
        except _NOT_CARRIED_OUT as failure:
            failures.append((account_id, failure))
    if not outcomes:
        raise failures[0][1]
    headers = command_headers(request, outcomes[-1][1])
    switched = []
    modes: list[KillMode] = []
    for account_id, outcome in outcomes:
        account = await services.accounts.state_of(account_id)
        switched.append(_switched(account_id, outcome, account, strategy_id))
        mode = account.kill_switches.get(WHOLE_ACCOUNT if strategy_id is None else strategy_id)
        modes += [] if mode is None else [mode]
    switched += [_refused(account_id, failure) for account_id, failure in failures]
    shown = KillSwitchAnswer(
        engaged=bool(modes),
        scope=scope,
        strategy_id=strategy_id,
        mode=modes[0] if modes else None,
        accounts=switched,
        sequence=max(outcome.last_sequence for _, outcome in outcomes),
    )
    return answer(shown, headers=headers)


def _switched(
    account_id: AccountId, outcome: Outcome, account: Account, strategy_id: StrategyId | None
) -> AccountSwitched:
    began = Closing.of(outcome.events)
    return AccountSwitched(
        account_id=account_id,
        closing=began.closing,
        canceling=began.canceling,
        blocked=began.blocked,
        not_done=not_done_in(account, strategy_id),
        refused=None,
        sequence=outcome.last_sequence,
    )


def _refused(account_id: AccountId, failure: Exception) -> AccountSwitched:
    code = row_of(failure).code or str(getattr(failure, "code", "REFUSED"))
    return AccountSwitched(
        account_id=account_id, closing=[], canceling=[], blocked=[], not_done=[], refused=code, sequence=None
    )


def not_done_in(account: Account, strategy_id: StrategyId | None) -> list[NotDone]:
    """Return what stands against an engaged switch in *account*; nothing where none is engaged."""
    mode = account.kill_switches.get(WHOLE_ACCOUNT if strategy_id is None else strategy_id)
    if mode is None:
        return []
    trades = trades_in_scope(account, strategy_id, includes_external=True)
    return [
        NotDone(trade_id=trade.trade_id, symbol=trade.symbol, quantity=trade.holding.net_quantity, reason=reason)
        for trade in trades
        if (reason := _reason_of(account, trade, mode)) is not None
    ]


def _reason_of(account: Account, trade: Trade, mode: KillMode) -> NotDoneReason | None:
    orders = list(account.orders_of(trade.trade_id))
    if any(order.status in _UNKNOWN for order in orders):
        return NotDoneReason.ORDER_UNKNOWN
    if mode is KillMode.HALT or trade.holding.net_quantity == 0:
        return None
    if trade.is_external:
        return NotDoneReason.EXTERNAL
    covered = sum(order.leaves_quantity for order in orders if order.purpose.closes and order.is_working_exit)
    return None if covered >= abs(trade.holding.net_quantity) else NotDoneReason.WAITS_FOR_VENUE


@router.post(
    "/breaches/{kind}/release",
    openapi_extra=request_body(BreachReleaseRequest, is_key_mandatory=False),
    responses=answers(BreachReleased, "Released, and durable", 400, 401, 403, 404, 409, 422, 503),
)
async def release_breach(request: Request, caller: Owning, kind: str) -> Response:
    """Allow entries again although a limit on losses (`day_loss` or `drawdown`) was reached today."""
    key = optional_key(request)
    body = await read_body(request, BreachReleaseRequest)
    if kind not in set(BreachKind):
        raise BreachUnknown(f"received {kind[:80]!r}, expected one of {', '.join(BreachKind)}")
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    accounts = services_of(request).accounts
    outcome = await accounts.release_breach(caller.account_id, caller.user_id, BreachKind(kind), body.reason, context)
    headers = command_headers(request, outcome)
    return answer(BreachReleased(kind=BreachKind(kind), sequence=outcome.last_sequence), headers=headers)
