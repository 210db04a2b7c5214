"""Simulated worlds: the same for the same seed, nothing wrong under faults and crashes, a judge who finds things."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from infra.worlds.judge import Finding, Kind
from infra.worlds.living import Verdict, live
from infra.worlds.naive import NaiveExecutor
from infra.worlds.plan import crash_at, plan_of
from infra.worlds.story import Story
from infra.worlds.weather import Fate
from tests.support.worlds import OPENED_AT_S, one_trade, with_fates

CHUNK = 20
"""So many worlds a test: they are spread over the processes of the suite."""
SEEDS = [range(first, first + CHUNK) for first in range(1, 241, CHUNK)]
NAIVE_SEEDS = range(1, 21)
ANYWHERE = (
    "from infra.worlds.living import live; from infra.worlds.plan import plan_of;"
    "print(*(live(plan_of(seed)).digest for seed in range({0.start}, {0.stop})))"
)


def wrong(verdict: Verdict) -> list[Finding]:
    """Return what the judge found that must not be."""
    return [finding for finding in verdict.findings if finding.kind not in {Kind.OVERSHOOT, Kind.TWICE_BY_BROKER}]


@pytest.mark.timeout(240)  # Twenty days of work, on a machine that may be busy with other tests.
@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"from {seeds.start}")
def test_no_order_is_doubled_or_lost_whatever_goes_wrong(seeds: range) -> None:
    verdicts = [live(plan_of(seed)) for seed in seeds]
    assert {verdict.seed: wrong(verdict) for verdict in verdicts if verdict.is_wrong} == {}
    # A crash waits at a step that may not come: the fewer steps the executor takes, the fewer crashes there are.
    assert sum(verdict.crashes for verdict in verdicts) > len(seeds) / 2
    assert sum(verdict.struck.total() for verdict in verdicts) > 3 * len(seeds)


@pytest.mark.timeout(240)  # Likewise.
def test_a_naive_executor_is_caught_in_the_same_worlds() -> None:
    verdicts = [live(plan_of(seed), make_executor=NaiveExecutor) for seed in NAIVE_SEEDS]
    assert sum(verdict.count(Kind.DUPLICATE) for verdict in verdicts) > len(NAIVE_SEEDS) / 2


@pytest.mark.timeout(240)  # Likewise, and a process of its own loads everything.
def test_a_seed_is_the_same_world_bit_for_bit_whoever_lives_it() -> None:
    seeds = range(1, 9)
    ours = [live(plan_of(seed)).digest for seed in reversed(seeds)][::-1]
    theirs = subprocess.run(
        [sys.executable, "-c", ANYWHERE.format(seeds)],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert ours == theirs[-len(seeds) :]
    assert len(set(ours)) == len(seeds)


def test_a_story_told_changes_nothing_in_its_world() -> None:
    story = Story(is_listening=True)
    assert live(plan_of(2), story=story).digest == live(plan_of(2)).digest
    assert story.lines


def test_a_story_tells_what_is_appended_sent_and_answered() -> None:
    story = Story(is_listening=True)
    live(one_trade, story=story)
    told = [line for _, line in story.lines]
    assert {"trading-1 starts", "trading-1: place sent", "trading-1: place: 200", "the session is over"} <= set(told)
    assert any(line.startswith("trading-1 appends order.submitting.v1 trd_") for line in told)


@pytest.mark.parametrize("seed", [1_005_241, 1_005_287])
def test_what_others_trade_right_after_the_last_trade_is_closed_is_found_within_the_minute(seed: int) -> None:
    assert wrong(live(plan_of(seed))) == []


def test_a_world_in_which_nothing_goes_wrong_opens_guards_and_closes_a_trade() -> None:
    verdict = live(one_trade)
    assert verdict.findings == ()
    assert (verdict.crashes, verdict.intents) == (0, 2)
    assert not verdict.struck
    assert {"during place", "during modify", "after order.filled", "after trade.closed"} <= verdict.reached.keys()


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("name", ["place", "modify", "trades", "orders", "look-up"])
def test_every_fate_of_a_call_leaves_the_books_in_agreement(name: str, fate: Fate) -> None:
    told = {(name, 1): fate} if name != "look-up" else {("place", 1): Fate.ANSWER_LOST, (name, 1): fate}
    assert live(with_fates(told)).findings == ()


@pytest.mark.parametrize("step", ["before place", "during place", "after place", "after order.submitting"])
def test_a_crash_comes_at_the_step_that_it_is_planted_at(step: str) -> None:
    story = Story(is_listening=True)
    verdict = live(replace(one_trade, crashes=(crash_at(step, after_s=OPENED_AT_S - 0.1),)), story=story)
    assert verdict.crashes == 1
    assert [line for _, line in story.lines if "dies" in line] == [f"trading-1 dies: {step}"]
    assert wrong(verdict) == []


def test_whoever_stalls_past_the_end_of_its_lease_stands_in_nobodys_way() -> None:
    crash = replace(crash_at("never", after_s=OPENED_AT_S), stalls_s=8.0)
    story = Story(is_listening=True)
    verdict = live(replace(one_trade, crashes=(crash,)), story=story)
    told = [line for _, line in story.lines if line.startswith("trading-") and "trades" not in line]
    assert "trading-2 starts" in told
    assert "trading-1 dies: its end, late" in told
    assert verdict.findings == ()
