"""`khata bench kill`: a whole engine under load, whose processes and servers are killed by turns, and then judged."""

import itertools
from collections.abc import Sequence
from random import Random

import numpy as np

from infra.bench.ground import throwaway_home
from infra.bench.run import Bench
from infra.kills import scenarios
from infra.kills.house import Kill
from infra.kills.judge import Findings
from infra.kills.lives import KILLS_A_LIFE, Life, play, turns
from infra.kills.victims import Victim

RUNS, RUNS_QUICK = 200, 7
PEOPLE, PEOPLE_QUICK = 24, 12
PER_SECOND = 50.0
_SHOWN = 10


async def run(bench: Bench) -> None:
    """Kill so often as is wanted, up to the first engine at whose end something is wrong; or play a scenario."""
    if bench.scenario is not None:
        await _play_scenario(bench, bench.scenario)
        return
    runs = bench.runs or (RUNS_QUICK if bench.is_quick else RUNS)
    random = Random(bench.seed)  # noqa: S311 - no secret
    victims = list(itertools.islice(turns(random), runs))
    task = bench.progress.add_task("killing", total=runs)
    lives: list[Life] = []
    for number, first in enumerate(range(0, runs, KILLS_A_LIFE)):
        with throwaway_home() as home:
            life = await play(
                home,
                random,
                victims[first : first + KILLS_A_LIFE],
                people=PEOPLE_QUICK if bench.is_quick else PEOPLE,
                per_second=PER_SECOND,
                is_shared=number % 2 == 0,
                tell=lambda: bench.progress.advance(task),
            )
        lives.append(life)
        if life.findings or life.never_whole:
            break
    _hand_in(bench, lives)


def _hand_in(bench: Bench, lives: Sequence[Life]) -> None:
    report, findings = bench.report, Findings()
    for life in lives:
        findings.add(life.findings)
    kills = [kill for life in lives for kill in life.kills]
    report.add("runs", len(kills), unit="kills", better="higher")
    _hand_in_findings(bench, findings)
    if kills:
        report.add("recovery_s", _percentile(kills, 99), unit="s", better="lower")
        report.add("recovery_p50_s", _percentile(kills, 50), unit="s", better="lower")
    for victim in Victim:
        if own := [kill for kill in kills if kill.victim is victim]:
            name = victim.value.replace("-", "_")
            report.add(f"recovery_s_{name}", _percentile(own, 99), unit="s", better="lower")
            report.note(f"{victim.value} killed", f"{len(own)} times, median {_percentile(own, 50):.2f} s to recover")
    seconds = sum(life.seconds for life in lives)
    requests = sum(life.requests for life in lives)
    report.note("recovered", "an entry handed in after the kill is accepted, the broker's, and shown; 99 % within")
    report.note(
        "requests", f"{requests:,}, {requests / seconds:.0f} a second with the outages, wanted {PER_SECOND:.0f}"
    )
    report.note("accepted", f"{sum(life.accepted for life in lives):,}")
    report.note("asked again", f"{sum(life.retries for life in lives):,} times, under the same key")
    report.note("orders", f"{sum(life.orders for life in lives):,} at the broker")
    report.note("engines", f"{len(lives)}: by turns as under `khata up`, and each role in a process of its own")
    for life in lives:
        if life.never_whole is not None:
            report.check(f"the engine comes back after {life.never_whole.value} was killed", holds=False)


async def _play_scenario(bench: Bench, name: str) -> None:
    """Play the scenario *name*."""
    with throwaway_home() as home:
        played = await scenarios.play(
            home,
            name,
            Random(bench.seed),  # noqa: S311 - no secret
            people=PEOPLE_QUICK if bench.is_quick else PEOPLE,
            per_second=PER_SECOND,
            is_quick=bench.is_quick,
        )
    report = bench.report
    _hand_in_findings(bench, played.findings)
    report.add("recovery_s", played.recovery_s, unit="s", better="lower")
    report.note("scenario", f"{name}: {scenarios.SCENARIOS[name].summary}")
    report.note("recovered", "an entry that is handed in when it is over is accepted, the broker's, and shown")
    report.note("requests", f"{played.requests:,}, asked again {played.retries:,} times")
    report.note("answers", ", ".join(f"{status}: {count:,}" for status, count in sorted(played.answers.items())))
    report.note("events", ", ".join(f"{kind} {count:,}" for kind, count in played.events.items()))
    for problem in played.problems:
        report.check(f"the scenario was what it says: {problem}", holds=False)


def _hand_in_findings(bench: Bench, findings: Findings) -> None:
    report = bench.report
    report.add("lost", len(findings.lost), unit="findings", better="lower")
    report.add("duplicates", len(findings.duplicates), unit="findings", better="lower")
    report.add("differences", len(findings.differences), unit="findings", better="lower")
    if findings:
        bench.console.print("\n".join(str(findings).splitlines()[:_SHOWN]), style="bold red", markup=False)
    report.check(f"nothing is lost: {len(findings.lost)} findings, seed {bench.seed}", holds=not findings.lost)
    report.check(
        f"nothing is duplicated: {len(findings.duplicates)} findings, seed {bench.seed}", holds=not findings.duplicates
    )
    report.check(
        f"nothing is different: {len(findings.differences)} findings, seed {bench.seed}",
        holds=not findings.differences,
    )


def _percentile(kills: Sequence[Kill], percentile: float) -> float:
    return float(np.percentile([kill.recovery_s for kill in kills], percentile))
