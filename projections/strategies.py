"""Read model `strategies`, which answers which strategies a user has, in which revision, and whether they trade."""

from typing import get_args

import msgspec

from domain.account.events import AccountMode
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, BacktestId, StrategyId, UserId
from domain.strategy.decide import Strategy, evolve
from domain.strategy.events import (
    Parameter,
    StrategyBacktested,
    StrategyDeployed,
    StrategyDescribed,
    StrategyDrafted,
    StrategyEvent,
    StrategyPaused,
    StrategyResumed,
    StrategyRevised,
)
from domain.strategy.life import StrategyStatus
from projections.read_model import BY_USER, Key, ReadModel, RowMissing


class StrategyRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One strategy.

    `version` counts what its owner changed. `backtest_id` is the last completed backtest of this revision,
    `resumes_as` where a paused one goes back to.
    """

    strategy_id: StrategyId
    user_id: UserId
    name: str
    description: str = ""
    version: int
    status: StrategyStatus
    revision: int
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]
    backtest_id: BacktestId | None = None
    account_id: AccountId | None = None
    mode: AccountMode | None = None
    resumes_as: StrategyStatus | None = None
    paused_reason: str | None = None
    drafted_at_us: int
    changed_at_us: int
    drafted_sequence: int
    sequence: int


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    return (event.strategy_id,) if isinstance(event, StrategyEvent) else None


def _apply(event: Event, recorded: RecordedEvent, row: StrategyRow | None) -> StrategyRow | None:
    if not isinstance(event, StrategyEvent):
        return row
    if isinstance(event, StrategyDrafted):
        return _drafted(event, recorded)
    if row is None:
        raise RowMissing(event)
    # The status follows from the aggregate's own rules.
    state = evolve(Strategy(status=row.status, resumes_as=row.resumes_as, version=row.version), event)
    return msgspec.structs.replace(
        _changed(event, row),
        status=state.status,
        version=state.version,
        resumes_as=state.resumes_as,
        changed_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


def _drafted(event: StrategyDrafted, recorded: RecordedEvent) -> StrategyRow:
    return StrategyRow(
        strategy_id=event.strategy_id,
        user_id=event.user_id,
        name=event.name,
        version=1,
        status=StrategyStatus.DRAFT,
        revision=1,
        source_hash=event.source_hash,
        source_bytes=event.source_bytes,
        parameters=event.parameters,
        drafted_at_us=recorded.recorded_at_us,
        changed_at_us=recorded.recorded_at_us,
        drafted_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


def _changed(event: StrategyEvent, row: StrategyRow) -> StrategyRow:  # noqa: PLR0911 - one arm per event
    change = msgspec.structs.replace
    match event:
        case StrategyDescribed():
            return change(row, name=event.name, description=event.description)
        case StrategyRevised():
            return change(
                row,
                revision=event.revision,
                source_hash=event.source_hash,
                source_bytes=event.source_bytes,
                parameters=event.parameters,
                backtest_id=None,
                account_id=None,
                mode=None,
                paused_reason=None,
            )
        case StrategyBacktested():
            return change(row, backtest_id=event.backtest_id)
        case StrategyDeployed():
            return change(row, account_id=event.account_id, mode=event.mode)
        case StrategyPaused():
            return change(row, paused_reason=event.reason)
        case StrategyResumed():
            return change(row, paused_reason=None)
        case _:
            return row


STRATEGIES = ReadModel(
    name="strategies",
    version=2,
    row=StrategyRow,
    key=("strategy_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=get_args(StrategyEvent),
    makes=(StrategyDrafted,),
    security=(BY_USER,),
    indexes=(("user_id", "drafted_sequence"),),
)
