"""Every fault in every phase of every call to the venue, and what the adapter says of it.

A cell of the table: what is said (n not sent, u unknown, v the venue's own word) and whether the venue did it (+ or -).
"""

import pytest

from infra.faults.venue_link import Phase, WireFault
from infra.faults.venue_trials import Asked, Case, Trial, Verdict, every_case, running_trials

TABLE = """
                connect  request-head  request-body  waiting  answer-head  answer-body
close           n-       u-            u-            u+       u+           u+
reset           u-       u-            u-            u+       u+           u+
half open       u-       u-            u-            u+       u+           u+
drop request    u-       u-            u-            v+       v+           v+
drop answer     u+       u+            u+            u+       u+           u+
delay           v+       v+            v+            v+       v+           v+
late            u+       u+            u+            u+       u+           u+
drip            v+       v+            v+            v+       v+           v+
garbage         u-       u-            u-            u+       u+           u+
duplicate       v+       v+            v+            v+       v+           v+
miscount        r-       r-            r-            u+       u+           u+
bad gateway     u-       u-            u-            u+       u+           u+
"""
_SAID = {Verdict.NOT_SENT: "n", Verdict.UNKNOWN: "u"}


def expected(case: Case) -> str:
    """Return the cell of the table that a case belongs to, as it reads for its call."""
    _, *lines = TABLE.strip().splitlines()
    cells = {line[:16].strip(): line[16:].split() for line in lines}
    cell = cells[case.strike.fault.value][list(Phase).index(case.strike.phase)]
    if cell == "r-":
        # A body that was cut is refused; where there is none, nothing was cut.
        return "r-" if case.asked.has_body else "a+"
    said, did = cell
    if case.asked is Asked.PLACE_REFUSED:
        return f"{'r' if said == 'v' else said}-"
    if said == "n" and not case.asked.has_body:
        said = "u"  # Of what may be repeated the port tells only that it was not answered.
    if case.asked is Asked.READ:
        did = "+"
    return f"{'a' if said == 'v' else said}{did}"


def shown(trial: Trial) -> str:
    said = {**_SAID, Verdict.ACCEPTED: "a", Verdict.REFUSED: "r"}[trial.said.verdict]
    return f"{said}{'+' if trial.happened else '-'}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("asked", Asked)
async def test_what_is_said_of_a_call_is_what_the_venue_knows_of_it(asked: Asked) -> None:
    cases = [case for case in every_case() if case.asked is asked]
    async with running_trials() as trials:
        played = await trials.play(cases)
    assert [f"{trial.case}: {problem}" for trial in played for problem in trial.problems] == []
    assert {str(trial.case): shown(trial) for trial in played} == {str(case): expected(case) for case in cases}


def test_the_table_is_of_twelve_faults_in_six_phases_of_five_calls() -> None:
    cases = every_case()
    assert (len(WireFault), len(Phase), len(Asked)) == (12, 6, 5)
    assert len(cases) == len(set(cases)) == 12 * (6 * 3 + 5 * 2)
