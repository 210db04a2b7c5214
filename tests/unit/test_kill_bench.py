"""What `khata bench kill` says of a good run, and of one in which something was lost or never came back."""

import io

from rich.console import Console
from rich.progress import Progress

from infra.bench import kill
from infra.bench.report import Report
from infra.bench.run import Bench
from infra.kills.house import Kill
from infra.kills.judge import Findings
from infra.kills.lives import Life
from infra.kills.victims import Victim

KILLS = [Kill(victim, 1.0 + place) for place, victim in enumerate(Victim)]


def handed_in(life: Life) -> tuple[Report, str]:
    console = Console(file=io.StringIO(), width=200)
    bench = Bench(report=Report(bench="kill"), progress=Progress(console=console), console=console)
    kill._hand_in(bench, [Life(kills=KILLS, requests=700, accepted=600, orders=900, seconds=14.0), life])
    return bench.report, console.file.getvalue()  # type: ignore[attr-defined]


def test_a_good_run_counts_kills_and_says_how_long_a_trader_waited() -> None:
    report, said = handed_in(Life(kills=[Kill(Victim.NATS, 9.0)], requests=50, seconds=1.0))
    measures = {name: measure.ours for name, measure in report.measures.items()}
    assert (measures["runs"], measures["lost"], measures["duplicates"], measures["differences"]) == (8, 0, 0, 0)
    assert (measures["recovery_p50_s"], round(measures["recovery_s"], 2)) == (4.5, 8.86)
    assert measures["recovery_s_command_api"] == 1.0
    assert {f"recovery_s_{victim.value.replace('-', '_')}" for victim in Victim} <= set(measures)
    assert report.notes["requests"] == "750, 50 a second with the outages, wanted 50"
    assert not report.broken
    assert said == ""


def test_what_is_wrong_at_the_end_breaks_the_run_and_is_told() -> None:
    findings = Findings(lost=["t1 is gone"], duplicates=["t2 twice", "t3 twice"])
    report, said = handed_in(Life(findings=findings, seconds=1.0))
    assert [report.measures[name].ours for name in ("lost", "duplicates", "differences")] == [1, 2, 0]
    assert [claim.partition(":")[0] for claim in report.broken] == ["nothing is lost", "nothing is duplicated"]
    assert "lost: t1 is gone" in said
    assert "duplicate: t3 twice" in said


def test_an_engine_that_does_not_come_back_breaks_the_run() -> None:
    report, _ = handed_in(Life(never_whole=Victim.EXECUTOR, seconds=1.0))
    assert report.broken == ["the engine comes back after executor was killed"]
