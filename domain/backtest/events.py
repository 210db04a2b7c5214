"""What can happen to a backtest. The orders and fills it brings about are events of its own log, not of this one."""

import msgspec

from domain.ids import BacktestId, StrategyId, UserId
from domain.strategy.events import Parameter


class BacktestFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest came to. Amounts in paise; `_e4` are parts in 10,000; all of it exact.

    `result_paise` is after charges. `drawdown_paise_max` is the deepest fall below the highest equity before it.
    `sharpe_e4` is yearly and rounded, None where the days are too few or all alike; `exposure_e4` the share of time in
    which something was held.
    """

    trades: int
    trades_won: int
    result_paise: int
    won_paise: int
    lost_paise: int
    charges_paise: int
    equity_paise: int
    drawdown_paise_max: int
    sharpe_e4: int | None
    exposure_e4: int


class BacktestRequested(msgspec.Struct, frozen=True, kw_only=True, tag="backtest.requested.v1"):
    """A strategy's source shall be tried. With `data_hash` and `seed` the run can be repeated to the last event.

    `data_hash` is the SHA-256, in hex, of the manifest of the market data. The days are the exchange's (ISO).
    """

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


class BacktestCompleted(msgspec.Struct, frozen=True, kw_only=True, tag="backtest.completed.v1"):
    """It ran to its end. `events` and `final_hash` (hex) are the length and the last hash of the run's own log."""

    backtest_id: BacktestId
    user_id: UserId
    events: int
    final_hash: str
    figures: BacktestFigures


class BacktestFailed(msgspec.Struct, frozen=True, kw_only=True, tag="backtest.failed.v1"):
    """It did not run to its end. `reason` is a stable code, `message` is for people."""

    backtest_id: BacktestId
    user_id: UserId
    reason: str
    message: str


BacktestEvent = BacktestRequested | BacktestCompleted | BacktestFailed
