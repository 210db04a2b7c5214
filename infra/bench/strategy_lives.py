"""What a user's strategies go through in the logs of benches: drafted, tried, deployed, paused, put away; the next."""

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import NamedTuple

from domain.account.events import AccountMode
from domain.backtest.events import BacktestCompleted, BacktestFailed, BacktestFigures, BacktestRequested
from domain.events import Event
from domain.ids import AccountId, BacktestId, StrategyId, UserId
from domain.strategy.events import (
    Parameter,
    StrategyArchived,
    StrategyBacktested,
    StrategyDeployed,
    StrategyDrafted,
    StrategyPaused,
    StrategyResumed,
)

_FAILS, _IS_PAUSED = 0.1, 0.3
_PARAMETERS: dict[str, Parameter] = {"minutes": 15, "band": "0.25"}
_CAPITAL_PAISE = 10_000_000


class Step(NamedTuple):
    """What happened next: an event and its place in its stream."""

    stream_id: str
    version: int
    event: Event


class StrategyLives:
    """The strategies of the account with *number*, one after another, for ever."""

    def __init__(self, number: int, account_id: AccountId, user_id: UserId, random: Random) -> None:
        self._number = number
        self._account_id = account_id
        self._user_id = user_id
        self._random = random
        self._steps = self._live()

    def go_on(self) -> Step:
        """Return the next step."""
        return next(self._steps)

    def _live(self) -> Iterator[Step]:
        strategies = 0
        while True:
            strategies += 1
            name = f"{self._number:010d}{strategies:016d}"
            yield from self._strategy(StrategyId(f"str_{name}"), BacktestId(f"btt_{name}"), strategies)

    def _strategy(self, strategy_id: StrategyId, backtest_id: BacktestId, number: int) -> Iterator[Step]:
        source = sha256(strategy_id.encode()).hexdigest()
        user_id, stream_id = self._user_id, f"strategy-{strategy_id}"
        drafted = StrategyDrafted(
            strategy_id=strategy_id,
            user_id=user_id,
            name=f"Crossing {number}",
            source_hash=source,
            source_bytes=self._random.randrange(500, 8_000),
            parameters=_PARAMETERS,
        )
        yield Step(stream_id, 1, drafted)
        is_failing = self._random.random() < _FAILS
        yield from self._backtest(strategy_id, backtest_id, source, is_failing=is_failing)
        events: list[Event] = []
        if not is_failing:
            events += [
                StrategyBacktested(strategy_id=strategy_id, user_id=user_id, revision=1, backtest_id=backtest_id),
                StrategyDeployed(
                    strategy_id=strategy_id,
                    user_id=user_id,
                    revision=1,
                    account_id=self._account_id,
                    mode=AccountMode.PAPER,
                ),
            ]
            if self._random.random() < _IS_PAUSED:
                events += [
                    StrategyPaused(strategy_id=strategy_id, user_id=user_id, reason="a quiet week"),
                    StrategyResumed(strategy_id=strategy_id, user_id=user_id),
                ]
            # What trades is paused before it is put away.
            events.append(StrategyPaused(strategy_id=strategy_id, user_id=user_id, reason="it has had its day"))
        events.append(StrategyArchived(strategy_id=strategy_id, user_id=user_id))
        for version, event in enumerate(events, 2):
            yield Step(stream_id, version, event)

    def _backtest(
        self, strategy_id: StrategyId, backtest_id: BacktestId, source: str, *, is_failing: bool
    ) -> Iterator[Step]:
        user_id, stream_id = self._user_id, f"backtest-{backtest_id}"
        requested = BacktestRequested(
            backtest_id=backtest_id,
            user_id=user_id,
            strategy_id=strategy_id,
            source_hash=source,
            parameters=_PARAMETERS,
            data_hash=sha256(backtest_id.encode()).hexdigest(),
            first_day="2020-01-01",
            last_day="2020-06-30",
            capital_paise=_CAPITAL_PAISE,
            seed=self._random.randrange(2**31),
        )
        yield Step(stream_id, 1, requested)
        if is_failing:
            failed = BacktestFailed(
                backtest_id=backtest_id, user_id=user_id, reason="BACKTEST_ERROR", message="division by zero in line 12"
            )
            yield Step(stream_id, 2, failed)
            return
        trades = self._random.randrange(1, 400)
        won_paise, lost_paise = self._random.randrange(2_000_000), -self._random.randrange(1_000_000)
        result_paise = won_paise + lost_paise - 40 * trades
        figures = BacktestFigures(
            trades=trades,
            trades_won=self._random.randrange(trades + 1),
            result_paise=result_paise,
            won_paise=won_paise,
            lost_paise=lost_paise,
            charges_paise=40 * trades,
            equity_paise=_CAPITAL_PAISE + result_paise,
            drawdown_paise_max=-lost_paise,
            sharpe_e4=self._random.randrange(-20_000, 30_000),
            exposure_e4=self._random.randrange(10_000),
        )
        completed = BacktestCompleted(
            backtest_id=backtest_id, user_id=user_id, events=12 * trades, final_hash=source, figures=figures
        )
        yield Step(stream_id, 2, completed)
