"""Strategies as they are kept, and what was tried of them."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer
from api.bodies import read_body
from api.callers import Authenticated, context_of, is_id
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.idempotency import REPLAY_HEADER, mandatory_key, optional_key, request_hash
from api.openapi import answers, key_header, request_body
from api.paging import PagedByName
from api.requests import StrategyChangeRequest, StrategyRequest
from api.services import services_of
from api.tags import KnownTag, tagged
from commands.strategies import StrategyOutcome
from domain.account.events import AccountMode
from domain.ids import StrategyId
from domain.strategy.decide import StrategyNotFound
from domain.strategy.events import Parameter
from domain.strategy.life import StrategyStatus
from projections.strategies import StrategyRow

router = APIRouter(prefix="/api/strategies", tags=["strategies"])


class StrategyView(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy. `version` counts what you changed, `revision` the changes of source or parameters among them.

    `source_hash` is the SHA-256 of the code. `backtest_id` is the last completed backtest of this revision.
    `account_id` and `mode` say where it trades, once strategies do.
    """

    strategy_id: str
    user_id: str
    name: str
    description: str
    status: StrategyStatus
    version: int
    revision: int
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]
    backtest_id: str | None
    account_id: str | None
    mode: AccountMode | None
    paused_reason: str | None
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, row: StrategyRow) -> "StrategyView":
        """Return what is shown of *row*."""
        return cls(
            strategy_id=row.strategy_id,
            user_id=row.user_id,
            name=row.name,
            description=row.description,
            status=row.status,
            version=row.version,
            revision=row.revision,
            source_hash=row.source_hash,
            source_bytes=row.source_bytes,
            parameters=row.parameters,
            backtest_id=row.backtest_id,
            account_id=row.account_id,
            mode=row.mode,
            paused_reason=row.paused_reason,
            created_at=time_text_us(row.drafted_at_us),
            updated_at=time_text_us(row.changed_at_us),
        )


class StrategiesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Your strategies, the newest first unless `sort` says otherwise.

    `next_before` (newest first) or `next_after` (oldest first) asks, as `before` or `after`, for the page after this
    one; by name it is `next_after_name` and `next_after` together, as `after_name` and `after`. All null: there is
    none.
    """

    strategies: list[StrategyView]
    next_before: int | None
    next_after: int | None
    next_after_name: str | None
    sequence: Sequence


class StrategyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy and its source, or that of the version before whose hash was asked for.

    `code` null: nobody has it any more. Its hash stays.
    """

    strategy: StrategyView
    source_hash: str
    code: str | None
    sequence: Sequence


class StrategyKept(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy is as it was asked for, from `sequence` on. It is kept, and does not run yet."""

    strategy_id: str
    sequence: Sequence


@router.get("", responses=answers(StrategiesAnswer, "A page of strategies", 401, 409, 422, 503))
async def list_strategies(
    request: Request,
    caller: Authenticated,
    _: Fresh,
    paging: PagedByName,
    *,
    status: StrategyStatus | None = None,
) -> Response:
    """List your strategies, archived ones among them."""
    page = await services_of(request).queries.strategies(caller.user_id, paging, status=status)
    shown = StrategiesAnswer(
        strategies=[StrategyView.of(row) for row in page.rows],
        next_before=page.next_before,
        next_after=page.next_after,
        next_after_name=page.next_after_name,
        sequence=page.sequence,
    )
    return answer(shown)


@router.post(
    "",
    status_code=201,
    openapi_extra=request_body(StrategyRequest, is_key_mandatory=True),
    responses=answers(StrategyKept, "Kept, and durable", 400, 401, 422, 503, status=201),
)
async def draft_strategy(request: Request, caller: Authenticated) -> Response:
    """Keep a new strategy: a draft. Nothing of its code is run."""
    key = mandatory_key(request)
    body = await read_body(request, StrategyRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).strategies.draft(caller.user_id, body.to_wish(), context)
    return _kept(outcome, status=201, headers={"Location": f"/api/strategies/{outcome.strategy_id}"})


@router.get(
    "/{strategy_id}", responses=answers(StrategyAnswer, "The strategy", 401, 404, 409, 422, 503, is_tagged=True)
)
async def show_strategy(
    request: Request,
    caller: Authenticated,
    _: Fresh,
    strategy_id: str,
    *,
    source_hash: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Of a source of yours: the code of an earlier revision")
    ] = None,
    known: KnownTag = None,
) -> Response:
    """Show one strategy with its code. Earlier codes are kept, and found by their hash."""
    services = services_of(request)
    found = await services.queries.strategy(caller.user_id, _strategy_id(strategy_id))
    if found.value is None:
        raise StrategyNotFound
    wanted = found.value.source_hash if source_hash is None else source_hash
    code = await services.strategies.source_of(caller.user_id, wanted)
    shown = StrategyAnswer(
        strategy=StrategyView.of(found.value), source_hash=wanted, code=code, sequence=found.sequence
    )
    # A code has its hash for ever, but not for ever somebody who has it.
    return tagged(request, known, shown, found.value.sequence, wanted, "gone" if code is None else "kept")


@router.put(
    "/{strategy_id}",
    openapi_extra=request_body(StrategyChangeRequest, is_key_mandatory=False),
    responses=answers(StrategyKept, "Kept, and durable", 400, 401, 404, 409, 422, 503),
)
async def change_strategy(request: Request, caller: Authenticated, strategy_id: str) -> Response:
    """Keep another name, description, code or other parameters. Code or parameters make it a draft again."""
    key = optional_key(request)
    body = await read_body(request, StrategyChangeRequest)
    context = context_of(request, caller, key=key, request_hash=request_hash(request, body))
    outcome = await services_of(request).strategies.change(
        caller.user_id,
        _strategy_id(strategy_id),
        body.to_wish(),
        expected_version=body.expected_version,
        context=context,
    )
    return _kept(outcome)


@router.delete(
    "/{strategy_id}",
    openapi_extra=key_header(is_mandatory=False),
    responses=answers(StrategyKept, "Archived, and durable", 400, 401, 404, 409, 422, 503),
)
async def archive_strategy(
    request: Request,
    caller: Authenticated,
    strategy_id: str,
    *,
    expected_version: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> Response:
    """Put a strategy away for good; its history stays. Takes no body. Twice is as once."""
    key = optional_key(request)
    context = context_of(request, caller, key=key, request_hash=request_hash(request))
    outcome = await services_of(request).strategies.archive(
        caller.user_id, _strategy_id(strategy_id), expected_version=expected_version, context=context
    )
    return _kept(outcome)


def _strategy_id(text: str) -> StrategyId:
    if not is_id(text):
        raise StrategyNotFound
    return StrategyId(text)


def _kept(outcome: StrategyOutcome, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    told = (headers or {}) | ({REPLAY_HEADER: "true"} if outcome.repeated else {})
    kept = StrategyKept(strategy_id=outcome.strategy_id, sequence=outcome.last_sequence)
    return answer(kept, status=status, headers=told)
