"""Read model `backtests`, which answers what was tried, on which source and data, and what it came to."""

from typing import get_args

import msgspec

from domain.backtest.decide import BacktestStatus
from domain.backtest.events import (
    BacktestCompleted,
    BacktestEvent,
    BacktestFailed,
    BacktestFigures,
    BacktestRequested,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import BacktestId, StrategyId, UserId
from domain.strategy.events import Parameter
from projections.read_model import BY_USER, Key, ReadModel, RowMissing


class BacktestRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One backtest. `figures` are there once it is completed, `failure` and `remark` where it failed."""

    backtest_id: BacktestId
    user_id: UserId
    strategy_id: StrategyId
    source_hash: str
    parameters: dict[str, Parameter]
    data_hash: str
    first_day: str
    last_day: str
    capital_paise: int
    seed: int
    status: BacktestStatus
    figures: BacktestFigures | None = None
    result_paise: int | None = None
    """As in the figures, to sort by."""
    events: int | None = None
    final_hash: str | None = None
    failure: str | None = None
    remark: str | None = None
    requested_at_us: int
    ended_at_us: int | None = None
    requested_sequence: int
    sequence: int


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    return (event.backtest_id,) if isinstance(event, BacktestEvent) else None


def _apply(event: Event, recorded: RecordedEvent, row: BacktestRow | None) -> BacktestRow | None:
    if isinstance(event, BacktestRequested):
        return _requested(event, recorded)
    if not isinstance(event, BacktestEvent):
        return row
    if row is None:
        raise RowMissing(event)
    match event:
        case BacktestCompleted():
            return msgspec.structs.replace(
                row,
                status=BacktestStatus.COMPLETED,
                figures=event.figures,
                result_paise=event.figures.result_paise,
                events=event.events,
                final_hash=event.final_hash,
                ended_at_us=recorded.recorded_at_us,
                sequence=recorded.sequence,
            )
        case BacktestFailed():
            return msgspec.structs.replace(
                row,
                status=BacktestStatus.FAILED,
                failure=event.reason,
                remark=event.message,
                ended_at_us=recorded.recorded_at_us,
                sequence=recorded.sequence,
            )


def _requested(event: BacktestRequested, recorded: RecordedEvent) -> BacktestRow:
    return BacktestRow(
        backtest_id=event.backtest_id,
        user_id=event.user_id,
        strategy_id=event.strategy_id,
        source_hash=event.source_hash,
        parameters=event.parameters,
        data_hash=event.data_hash,
        first_day=event.first_day,
        last_day=event.last_day,
        capital_paise=event.capital_paise,
        seed=event.seed,
        status=BacktestStatus.REQUESTED,
        requested_at_us=recorded.recorded_at_us,
        requested_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


BACKTESTS = ReadModel(
    name="backtests",
    version=2,
    row=BacktestRow,
    key=("backtest_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=get_args(BacktestEvent),
    makes=(BacktestRequested,),
    security=(BY_USER,),
    indexes=(("user_id", "requested_sequence"), ("strategy_id", "requested_sequence")),
)
