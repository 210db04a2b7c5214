"""A backtest is requested once and ends once."""

import pytest
from msgspec.structs import replace

from domain.backtest.decide import (
    BacktestCommand,
    BacktestInvalid,
    BacktestNotFound,
    BacktestOver,
    BacktestStatus,
    decider,
)
from domain.backtest.events import BacktestEvent
from domain.refusals import Refusal
from tests.support.scenario import scenario as scenario_of
from tests.support.specimens import (
    backtest_completed,
    backtest_failed,
    backtest_requested,
    complete_backtest,
    fail_backtest,
    request_backtest,
)

scenario = scenario_of(decider)


def test_a_backtest_runs_to_its_end() -> None:
    assert scenario.given().after(request_backtest, complete_backtest).history == (
        backtest_requested,
        backtest_completed,
    )


def test_a_backtest_that_fails_says_why() -> None:
    scenario.given(backtest_requested).when(fail_backtest).then(backtest_failed)


def test_a_long_message_is_cut() -> None:
    [failed] = scenario.given(backtest_requested).when(replace(fail_backtest, message="x" * 9_999)).events
    assert failed == replace(backtest_failed, message="x" * 2_000)


@pytest.mark.parametrize(
    ("history", "command"),
    [
        ((backtest_requested,), request_backtest),
        ((backtest_requested, backtest_completed), complete_backtest),
        ((backtest_requested, backtest_failed), fail_backtest),
    ],
)
def test_saying_it_again_changes_nothing(history: tuple[BacktestEvent, ...], command: BacktestCommand) -> None:
    scenario.given(*history).when(command).then_nothing()


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        ((), complete_backtest, BacktestNotFound),
        ((), fail_backtest, BacktestNotFound),
        ((backtest_requested, backtest_completed), fail_backtest, BacktestOver),
        ((backtest_requested, backtest_completed), replace(complete_backtest, events=1), BacktestOver),
        ((backtest_requested, backtest_failed), complete_backtest, BacktestOver),
        ((backtest_requested,), replace(complete_backtest, final_hash="no hash"), BacktestInvalid),
        ((), replace(request_backtest, source_hash=""), BacktestInvalid),
        ((), replace(request_backtest, data_hash="Z" * 64), BacktestInvalid),
        ((), replace(request_backtest, first_day="yesterday"), BacktestInvalid),
        ((), replace(request_backtest, last_day="2025-12-31"), BacktestInvalid),
        ((), replace(request_backtest, capital_paise=0), BacktestInvalid),
    ],
)
def test_what_makes_no_sense_is_refused(
    history: tuple[BacktestEvent, ...], command: BacktestCommand, refusal: type[Refusal]
) -> None:
    scenario.given(*history).when(command).then_refused(refusal)


def test_the_status_follows_the_outcome() -> None:
    ends: list[tuple[tuple[BacktestEvent, ...], BacktestStatus]] = [
        ((), BacktestStatus.REQUESTED),
        ((backtest_completed,), BacktestStatus.COMPLETED),
        ((backtest_failed,), BacktestStatus.FAILED),
    ]
    for end, status in ends:
        assert decider.fold([backtest_requested, *end]).status is status
