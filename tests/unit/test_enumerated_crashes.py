"""Every named step at which the trading process can die is died at, first and second, and every fault comes with it."""

from collections import Counter

import pytest

from infra.worlds.enumeration import (
    AT_A_START,
    FAULTS,
    POINTS,
    USUAL,
    Case,
    Lived,
    Tally,
    a_share,
    every_case,
    live_case,
    spread,
    tally_of,
)
from infra.worlds.judge import Finding, Kind
from infra.worlds.weather import Fate

POINTS_MIN, FAULTS_NUMBER = 25, 12


SHARE = tuple(a_share())
CHUNK = 6
"""So many lives a test: they are spread over the processes of the suite, and none takes long."""


@pytest.mark.parametrize("begin", range(0, len(SHARE), CHUNK))
def test_a_process_dies_at_each_step_and_nothing_is_wrong(begin: int) -> None:
    for case in SHARE[begin : begin + CHUNK]:
        tally = tally_of([case])
        assert [str(lived) for lived in tally.wrong] == []
        # Each step is first in a case of its own, and second in another.
        is_second = case.first == USUAL
        died_at = tally.second if is_second else tally.first
        assert died_at[case.second if is_second else case.first] == 1, f"{case}: nobody came to it"


def test_each_step_is_first_and_second_and_each_fault_comes() -> None:
    assert {case.first for case in SHARE} == set(POINTS)
    assert {case.second for case in SHARE if case.first == USUAL} == {*POINTS, *AT_A_START}
    assert {case.fault for case in SHARE} == set(FAULTS)
    assert len(POINTS) == len(set(POINTS)) >= POINTS_MIN
    assert len(FAULTS) == len(set(FAULTS)) == FAULTS_NUMBER


def test_every_step_is_paired_with_every_other_under_every_fault() -> None:
    cases = list(every_case())
    assert len(cases) == len(set(cases)) == len(POINTS) * (len(POINTS) + len(AT_A_START)) * len(FAULTS)
    assert set(a_share()) <= set(cases)


@pytest.mark.parametrize("number", [1, 7, 500])
def test_a_spread_is_of_so_many_different_cases(number: int) -> None:
    assert len(set(spread(number))) == number


def test_two_processes_die_where_they_are_to() -> None:
    case = Case("before order.submitting", "after place", Fate.ANSWER_LOST)
    assert live_case(case) == Lived(case, (case.first, case.second), ())


def test_what_nobody_reached_is_told() -> None:
    tally = Tally()
    assert len(tally.unreached) == len(POINTS) + len(POINTS) + len(AT_A_START) + len(FAULTS)
    first, second = POINTS[3], POINTS[4]
    tally.take(Lived(Case(first, second, FAULTS[0]), (first,), ()))
    assert f"first {first}" not in tally.unreached
    assert f"second {second}" in tally.unreached
    assert f"under {FAULTS[0]}" not in tally.unreached
    assert tally.in_full == 0


def test_a_finding_of_the_judge_is_a_life_gone_wrong() -> None:
    tally = Tally()
    case = Case(POINTS[0], POINTS[1], FAULTS[0])
    for kind, count in ((Kind.OVERSHOOT, 0), (Kind.LOST, 1)):
        tally.take(Lived(case, (case.first, case.second), (Finding(kind, "x"),)))
        assert len(tally.wrong) == count
    assert Counter({POINTS[1]: 2}) == tally.second
