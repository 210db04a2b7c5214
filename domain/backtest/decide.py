"""A backtest: what can be asked, what must be remembered for it, and every decision."""

import re
from datetime import date
from enum import StrEnum
from typing import assert_never

import msgspec

from domain.backtest.events import (
    BacktestCompleted,
    BacktestEvent,
    BacktestFailed,
    BacktestFigures,
    BacktestRequested,
)
from domain.decider import Decider
from domain.ids import BacktestId, StrategyId, UserId
from domain.refusals import Conflict, InvalidInput, NotFound
from domain.strategy.events import Parameter

MESSAGE_LENGTH_MAX = 2_000
_HASH = re.compile(r"[0-9a-f]{64}")


class BacktestStatus(StrEnum):
    """Where a backtest is."""

    REQUESTED = "requested"
    COMPLETED = "completed"
    FAILED = "failed"


# --- Refusals ---------------------------------------------------------------------------------------------------------


class BacktestNotFound(NotFound):
    """There is no such backtest. The caller sees 404; nothing is stored."""

    code = "BACKTEST_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such backtest")


class BacktestInvalid(InvalidInput):
    """No backtest can be run like this. The caller sees 422; nothing is stored."""

    code = "BACKTEST_INVALID"


class BacktestOver(Conflict):
    """The backtest has ended otherwise. The caller sees 409; nothing is stored."""

    code = "BACKTEST_OVER"

    def __init__(self, status: BacktestStatus) -> None:
        super().__init__(f"the backtest is {status} already, with another outcome")


# --- Commands ---------------------------------------------------------------------------------------------------------


class RequestBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """Try a strategy's source on the market data of some days (ISO, both included)."""

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


class CompleteBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """Say what it came to."""

    events: int
    final_hash: str
    figures: BacktestFigures


class FailBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """Say why it did not run to its end."""

    reason: str
    message: str


BacktestCommand = RequestBacktest | CompleteBacktest | FailBacktest

# --- State ------------------------------------------------------------------------------------------------------------


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest's later decisions need. `outcome` is the event that ended it."""

    backtest_id: BacktestId | None = None
    user_id: UserId | None = None
    outcome: BacktestCompleted | BacktestFailed | None = None

    @property
    def status(self) -> BacktestStatus:
        """Where it is."""
        match self.outcome:
            case None:
                return BacktestStatus.REQUESTED
            case BacktestCompleted():
                return BacktestStatus.COMPLETED
            case BacktestFailed():
                return BacktestStatus.FAILED


def evolve(state: Backtest, event: BacktestEvent) -> Backtest:
    """Return the state after *event*."""
    match event:
        case BacktestRequested():
            return Backtest(backtest_id=event.backtest_id, user_id=event.user_id)
        case BacktestCompleted() | BacktestFailed():
            return msgspec.structs.replace(state, outcome=event)
        case _:
            assert_never(event)


# --- Decisions --------------------------------------------------------------------------------------------------------


def decide(command: BacktestCommand, state: Backtest) -> tuple[BacktestEvent, ...]:
    """Return what happens when *command* meets *state*; nothing where it changes nothing.

    Raises:
        domain.refusals.Refusal: the command makes no sense in *state*.
    """
    match command:
        case RequestBacktest():
            return _request(command, state)
        case CompleteBacktest():
            return _end(_completed(command, state), state)
        case FailBacktest():
            return _end(_failed(command, state), state)
        case _:
            assert_never(command)


def _request(command: RequestBacktest, state: Backtest) -> tuple[BacktestEvent, ...]:
    if state.backtest_id is not None:
        return ()  # Asked again: the first request stands.
    for name, value in (("source", command.source_hash), ("data", command.data_hash)):
        if _HASH.fullmatch(value) is None:
            raise BacktestInvalid(f"expected the SHA-256 of the {name} as 64 hexadecimal digits in lower case")
    if _day(command.first_day) > _day(command.last_day):
        raise BacktestInvalid(
            f"received days {command.first_day} to {command.last_day}, expected the earlier one first"
        )
    if command.capital_paise <= 0:
        raise BacktestInvalid(f"received a capital of {command.capital_paise} paise, expected more than none")
    return (
        BacktestRequested(
            backtest_id=command.backtest_id,
            user_id=command.user_id,
            strategy_id=command.strategy_id,
            source_hash=command.source_hash,
            parameters=command.parameters,
            data_hash=command.data_hash,
            first_day=command.first_day,
            last_day=command.last_day,
            capital_paise=command.capital_paise,
            seed=command.seed,
        ),
    )


def _completed(command: CompleteBacktest, state: Backtest) -> BacktestCompleted:
    if state.backtest_id is None or state.user_id is None:
        raise BacktestNotFound
    if _HASH.fullmatch(command.final_hash) is None:
        raise BacktestInvalid("expected the last hash of the run's log as 64 hexadecimal digits in lower case")
    return BacktestCompleted(
        backtest_id=state.backtest_id,
        user_id=state.user_id,
        events=command.events,
        final_hash=command.final_hash,
        figures=command.figures,
    )


def _failed(command: FailBacktest, state: Backtest) -> BacktestFailed:
    if state.backtest_id is None or state.user_id is None:
        raise BacktestNotFound
    return BacktestFailed(
        backtest_id=state.backtest_id,
        user_id=state.user_id,
        reason=command.reason,
        message=command.message[:MESSAGE_LENGTH_MAX],
    )


def _end(outcome: BacktestCompleted | BacktestFailed, state: Backtest) -> tuple[BacktestEvent, ...]:
    if state.outcome is None:
        return (outcome,)
    if state.outcome == outcome:
        return ()  # Told again.
    raise BacktestOver(state.status)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BacktestInvalid(f"received day {text[:20]!r}, expected one like 2026-11-20") from None


decider: Decider[BacktestCommand, Backtest, BacktestEvent] = Decider(initial=Backtest(), decide=decide, evolve=evolve)
