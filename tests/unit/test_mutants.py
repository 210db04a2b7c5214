"""What `make mutants` draws from, and how it tells what it found."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from infra.mutants.report import as_rich, interval, share
from infra.mutants.scope import MUTATED, NOT_MUTATED, SENTENCES, Mutation, Places
from infra.mutants.session import Outcome, changed_lines, drawn

ROOT = Path(__file__).parents[2]
SOURCE = """
class Lot(Struct, frozen=True):
    size: int | None = 1

@dataclass(frozen=True)
class Row:
    lots: int

Rule = Callable[[Lot], Row | None]

def worth(lots: set[int] | None, *, price: int = 2) -> int | None:
    if lots is None or price == 0:
        return None
    return price * len(lots | {1})
"""


def mutation(place: str, operator: str) -> Mutation:
    """Return the mutation by *operator* at the mark (^) in *place*, a part of the source that is there once."""
    text = place.replace("^", "")
    assert SOURCE.count(text) == 1
    before = SOURCE[: SOURCE.index(text) + place.index("^")]
    return Mutation(
        module="lots.py",
        line=before.count("\n") + 1,
        column=len(before) - before.rindex("\n") - 1,
        operator=f"core/{operator}",
        occurrence=0,
        function="worth",
        job_id=operator,
    )


@pytest.mark.parametrize(
    ("place", "operator"),
    [
        ("size: int | None = ^1", "NumberReplacer"),
        ("price: int = ^2", "NumberReplacer"),
        ("None ^or price", "ReplaceOrWithAnd"),
        ("lots ^is None", "ReplaceComparisonOperator_Is_IsNot"),
        ("price ^== 0", "ReplaceComparisonOperator_Eq_LtE"),
        ("price ^* len", "ReplaceBinaryOperator_Mul_FloorDiv"),
        ("lots ^| {1}", "ReplaceBinaryOperator_BitOr_BitAnd"),
        ("lots ^| {1}", "ReplaceBinaryOperator_BitOr_Sub"),
    ],
)
def test_what_a_decision_may_depend_on_is_drawn_from(place: str, operator: str) -> None:
    assert Places(SOURCE).matters(mutation(place, operator))


@pytest.mark.parametrize(
    ("place", "operator"),
    [
        ("Struct, frozen=^True", "ReplaceTrueWithFalse"),
        ("@dataclass(frozen=^True", "ReplaceTrueWithFalse"),
        ("size: int ^| None", "ReplaceBinaryOperator_BitOr_Sub"),
        ("Row ^| None]", "ReplaceBinaryOperator_BitOr_BitAnd"),
        ("set[int] ^| None", "ReplaceBinaryOperator_BitOr_Sub"),
        ("-> int ^| None", "ReplaceBinaryOperator_BitOr_Sub"),
        ("None, ^*, price", "ReplaceBinaryOperator_Mul_Sub"),
        ("lots ^is None", "ReplaceComparisonOperator_Is_Eq"),
        ("price ^== 0", "ReplaceComparisonOperator_Eq_Is"),
        ("price ^* len", "ReplaceBinaryOperator_Mul_Pow"),
        ("price ^* len", "ReplaceBinaryOperator_Mul_BitOr"),
        ("lots ^| {1}", "ReplaceBinaryOperator_BitOr_Mul"),
    ],
)
def test_what_no_sentence_or_every_sentence_finds_is_left_out(place: str, operator: str) -> None:
    assert not Places(SOURCE).matters(mutation(place, operator))


def test_a_sample_is_drawn_again_by_its_seed_and_another_by_another() -> None:
    mutations = [mutation("price ^== 0", f"{number:04}") for number in range(500)]
    sample = drawn(mutations, seed=1, size=40)
    assert drawn(mutations, seed=1, size=40) == sample
    assert drawn(mutations, seed=2, size=40) != sample
    assert len({each.job_id for each in sample}) == 40
    assert sorted(drawn(mutations, seed=1, size=None)) == sorted(mutations)
    assert len(drawn(mutations, seed=1, size=1_000)) == 500


def test_a_diff_is_told_by_its_changed_lines() -> None:
    diff = "--- mutation diff ---\n--- a/lots.py\n+++ b/lots.py\n@@ -1,2 +1,2 @@\n one\n-    a = 1\n+    a = 2\n"
    assert changed_lines(diff) == ("-    a = 1", "+    a = 2")


def test_the_report_counts_by_module_and_shows_what_survived() -> None:
    lived = Outcome(
        mutation=mutation("price ^== 0", "A"), is_killed=False, is_timeout=False, diff=("- price == 0", "+ price <= 0")
    )
    killed = [
        Outcome(mutation=mutation("price ^* len", name), is_killed=True, is_timeout=name == "B", diff=())
        for name in ("B", "C", "D")
    ]
    console = Console(width=120, file=StringIO(), record=True)
    console.print(as_rich([*killed, lived], possible=5_000))
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert [line.split() for line in lines if line.endswith("%")] == [
        ["lots.py", "3", "1", "75", "%"],
        ["all", "3", "1", "75", "%"],
    ]
    assert any(line.startswith("Drawn: 4 of 5,000;") for line in lines)
    assert any(line.endswith("no end in time: 1.") for line in lines)
    assert lines[-3:] == [f"lots.py:{lived.mutation.line} worth", "- price == 0", "+ price <= 0"]


def test_a_share_is_told_with_what_a_sample_of_its_size_can_say() -> None:
    assert share(85, 100) == 85
    low, high = interval(85, 100)  # As tables of Wilson's interval have it.
    assert (round(low, 1), round(high, 1)) == (76.7, 90.7)
    assert interval(850, 1_000)[0] > low


@pytest.mark.parametrize("path", [*MUTATED, *NOT_MUTATED, *SENTENCES])
def test_every_path_of_the_scope_is_there(path: str) -> None:
    assert (ROOT / path).exists()
