"""What can happen to a strategy. Its source is named by hash and lies beside the log, where it can be destroyed.

Every event says whose strategy it is, so that each can be shown to its owner without the events before it.
"""

import msgspec

from domain.account.events import AccountMode
from domain.ids import AccountId, BacktestId, StrategyId, UserId

Parameter = bool | int | str
"""A parameter's value. What is not whole is text ("0.25"): the log holds no binary fraction."""


class StrategyDrafted(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.drafted.v1"):
    """A strategy came to be. `source_hash` is the SHA-256 of its source, in hex, `source_bytes` the source's size."""

    strategy_id: StrategyId
    user_id: UserId
    name: str
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]


class StrategyDescribed(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.described.v1"):
    """What people call it and say of it, whole. It changes nothing of what it does."""

    strategy_id: StrategyId
    user_id: UserId
    name: str
    description: str


class StrategyRevised(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.revised.v1"):
    """Another source or other parameters, whole. What was proven of the revision before does not hold for this one."""

    strategy_id: StrategyId
    user_id: UserId
    revision: int
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]


class StrategyBacktested(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.backtested.v1"):
    """A backtest of this very revision was completed."""

    strategy_id: StrategyId
    user_id: UserId
    revision: int
    backtest_id: BacktestId


class StrategyDeployed(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.deployed.v1"):
    """The strategy trades in an account from now on, on paper or live."""

    strategy_id: StrategyId
    user_id: UserId
    revision: int
    account_id: AccountId
    mode: AccountMode


class StrategyPaused(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.paused.v1"):
    """It opens no trades until it is resumed; what it holds goes on under its stops and targets."""

    strategy_id: StrategyId
    user_id: UserId
    reason: str


class StrategyResumed(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.resumed.v1"):
    """It trades again where it traded before."""

    strategy_id: StrategyId
    user_id: UserId


class StrategyArchived(msgspec.Struct, frozen=True, kw_only=True, tag="strategy.archived.v1"):
    """It never trades again. Its history stays."""

    strategy_id: StrategyId
    user_id: UserId


StrategyEvent = (
    StrategyDrafted
    | StrategyDescribed
    | StrategyRevised
    | StrategyBacktested
    | StrategyDeployed
    | StrategyPaused
    | StrategyResumed
    | StrategyArchived
)
