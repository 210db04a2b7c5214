"""A strategy's way from a draft to live trading, and what is refused on it."""

import pytest
from msgspec.structs import replace

from domain.ids import AccountId
from domain.refusals import Refusal
from domain.strategy.decide import (
    RevisionOutdated,
    StrategyCommand,
    StrategyInvalid,
    StrategyNotFound,
    StrategyNotPausable,
    StrategyOver,
    StrategyTrading,
    StrategyUntested,
    StrategyVersionMismatch,
    decider,
)
from domain.strategy.events import StrategyEvent
from tests.support.scenario import scenario as scenario_of
from tests.support.specimens import (
    OTHER_SOURCE_HASH,
    STRANGER,
    archive_strategy,
    deploy_live,
    deploy_on_paper,
    draft_strategy,
    pause_strategy,
    record_backtest,
    resume_strategy,
    revise_strategy,
    strategy_archived,
    strategy_backtested,
    strategy_described,
    strategy_drafted,
    strategy_live,
    strategy_on_paper,
    strategy_paused,
    strategy_resumed,
    strategy_revised,
)

scenario = scenario_of(decider)
tested = (strategy_drafted, strategy_backtested)
on_paper = (*tested, strategy_on_paper)
live = (*on_paper, strategy_live)


def test_the_whole_life_of_a_strategy() -> None:
    commands: list[StrategyCommand] = [
        draft_strategy,
        record_backtest,
        deploy_on_paper,
        deploy_live,
        pause_strategy,
        resume_strategy,
        pause_strategy,
        archive_strategy,
    ]
    assert scenario.given().after(*commands).history == (
        *live,
        strategy_paused,
        strategy_resumed,
        strategy_paused,
        strategy_archived,
    )


@pytest.mark.parametrize(
    ("history", "command"),
    [
        ((strategy_drafted,), draft_strategy),
        (on_paper, deploy_on_paper),
        (live, deploy_live),
        ((*live, strategy_paused), pause_strategy),
        (live, resume_strategy),
        ((strategy_drafted, strategy_archived), archive_strategy),
    ],
)
def test_asking_again_changes_nothing(history: tuple[StrategyEvent, ...], command: StrategyCommand) -> None:
    scenario.given(*history).when(command).then_nothing()


def test_the_same_source_and_parameters_are_no_revision() -> None:
    same = replace(revise_strategy, source_hash=strategy_drafted.source_hash)
    scenario.given(*tested).when(same).then_nothing()


def test_a_revision_begins_as_a_draft_again() -> None:
    revised = scenario.given(*live, strategy_paused).after(revise_strategy)
    assert revised.history[-1] == strategy_revised
    revised.when(deploy_on_paper).then_refused(StrategyUntested)
    revised.when(resume_strategy).then_refused(StrategyNotPausable)
    anew = replace(record_backtest, source_hash=OTHER_SOURCE_HASH)
    revised.after(anew).when(deploy_on_paper).then(replace(strategy_on_paper, revision=2))


def test_other_parameters_are_a_revision_too() -> None:
    other = replace(revise_strategy, source_hash=strategy_drafted.source_hash, parameters={"minutes": 30})
    scenario.given(*tested).when(other).then(
        replace(
            strategy_revised,
            source_hash=strategy_drafted.source_hash,
            parameters={"minutes": 30},
        )
    )


def test_a_paused_strategy_resumes_where_it_was() -> None:
    scenario.given(*on_paper, strategy_paused, strategy_resumed).when(deploy_live).then(strategy_live)


def test_a_strategy_on_trial_may_be_backtested_again_and_goes_on() -> None:
    again = scenario.given(*live).after(record_backtest)
    again.when(pause_strategy).then(strategy_paused)


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        ((), revise_strategy, StrategyNotFound),
        (live, replace(pause_strategy, user_id=STRANGER), StrategyNotFound),
        ((strategy_drafted,), deploy_on_paper, StrategyUntested),
        (tested, deploy_live, StrategyUntested),
        (live, deploy_on_paper, StrategyUntested),
        (live, replace(deploy_live, account_id=AccountId("acc_other")), StrategyUntested),
        (live, revise_strategy, StrategyTrading),
        (on_paper, archive_strategy, StrategyTrading),
        (tested, pause_strategy, StrategyNotPausable),
        (tested, resume_strategy, StrategyNotPausable),
        ((strategy_drafted, strategy_archived), deploy_on_paper, StrategyOver),
        ((strategy_drafted, strategy_revised), record_backtest, RevisionOutdated),
        ((strategy_drafted,), replace(record_backtest, parameters={}), RevisionOutdated),
        ((), replace(draft_strategy, name=" "), StrategyInvalid),
        ((), replace(draft_strategy, name="a\nb"), StrategyInvalid),
        ((), replace(draft_strategy, source_hash="A1" * 32), StrategyInvalid),
        ((), replace(draft_strategy, source_bytes=0), StrategyInvalid),
        ((), replace(draft_strategy, source_bytes=128 * 1024 + 1), StrategyInvalid),
        ((), replace(draft_strategy, parameters={"no name": 1}), StrategyInvalid),
        ((), replace(draft_strategy, parameters={"text": "x" * 201}), StrategyInvalid),
        ((), replace(draft_strategy, parameters={f"p{number}": 0 for number in range(65)}), StrategyInvalid),
        ((strategy_drafted,), replace(revise_strategy, source_hash="?"), StrategyInvalid),
        (live, replace(pause_strategy, reason="x" * 201), StrategyInvalid),
    ],
)
def test_what_makes_no_sense_is_refused(
    history: tuple[StrategyEvent, ...], command: StrategyCommand, refusal: type[Refusal]
) -> None:
    scenario.given(*history).when(command).then_refused(refusal)


# --- What people call it ----------------------------------------------------------------------------------------------


def test_another_name_or_description_is_no_revision_and_may_come_while_it_trades() -> None:
    described = replace(
        revise_strategy,
        source_hash=draft_strategy.source_hash,
        name=strategy_described.name,
        description=strategy_described.description,
    )
    for history in ((strategy_drafted,), on_paper):
        scenario.given(*history).when(described).then(strategy_described)
    scenario.given(strategy_drafted, strategy_described).when(described).then_nothing()


def test_a_draft_with_a_description_says_it() -> None:
    described = replace(draft_strategy, description="Buys the break.")
    scenario.given().when(described).then(
        strategy_drafted, replace(strategy_described, name=draft_strategy.name, description="Buys the break.")
    )


def test_what_was_changed_meanwhile_is_not_changed_unseen() -> None:
    for command in (replace(revise_strategy, expected_version=1), replace(archive_strategy, expected_version=1)):
        scenario.given(strategy_drafted, strategy_described).when(command).then_refused(StrategyVersionMismatch)
        assert scenario.given(strategy_drafted).when(command).events


@pytest.mark.parametrize("changed", [{"name": ""}, {"name": "x" * 101}, {"description": "x" * 2_001}])
def test_a_name_or_description_that_nobody_could_show_is_refused(changed: dict[str, str]) -> None:
    scenario.given(strategy_drafted).when(replace(revise_strategy, **changed)).then_refused(StrategyInvalid)
    scenario.given().when(replace(draft_strategy, **changed)).then_refused(StrategyInvalid)
