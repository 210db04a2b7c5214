"""What is mutated, which sentences are run for it, and which mutations are left out.

Left out is what no sentence can find, and what every sentence finds:

- what annotations, the keywords of a class and those of a decorator say: the type checker holds them, and a decision
  does not depend on them;
- an identity that becomes an equality, and the other way: for the members of an enum, None and small numbers it is the
  same;
- signs that are no operators to Python (the bare star before keywords), shifts and bit operators in place of
  arithmetic, powers, and an order in place of an identity: a syntax error, a type error, a number beyond all bounds or
  an endless loop. They die of any call, and would only lift the share.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

MUTATED = ("domain/account", "domain/order.py")
NOT_MUTATED = (
    "domain/account/__init__.py",
    "domain/account/budgets.py",  # Shown to people; no decision reads it.
    "domain/account/commands.py",  # Declarations.
    "domain/account/events.py",  # Declarations.
    "domain/account/past_events.py",  # What is read of stored events: the contract tests hold it.
    "domain/account/snapshot.py",  # Likewise.
)
SENTENCES = (  # The quickest first: the first that fails ends the run.
    "tests/unit/test_opening.py",
    "tests/unit/test_fast_checks.py",
    "tests/unit/test_stops.py",
    "tests/unit/test_exits.py",
    "tests/unit/test_asking.py",
    "tests/unit/test_sending_and_outcomes.py",
    "tests/unit/test_changes.py",
    "tests/unit/test_shown_orders.py",
    "tests/unit/test_valuation.py",
    "tests/unit/test_members.py",
    "tests/unit/test_session_orders.py",
    "tests/unit/test_life_cycle.py",
    "tests/unit/test_values.py",
    "tests/property/test_values.py",
    "tests/property/test_rates.py",
    "tests/property/test_totals.py",
    "tests/property/test_account.py",  # Lives of `infra.oracle`, by seed and as Hypothesis chooses.
    "tests/property/test_fast_checks.py",
)

_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod"}
_OF_SETS = {"BitOr", "BitAnd", "BitXor"}
_IDENTITY = {"Is", "IsNot"}
_BINARY, _COMPARISON = "core/ReplaceBinaryOperator_", "core/ReplaceComparisonOperator_"


class Mutation(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One change of one place: the how-manieth place of `operator` in `module`. Lines count from 1, columns from 0."""

    module: str
    line: int
    column: int
    operator: str
    occurrence: int
    function: str | None
    job_id: str


class Places:
    """Where in a module a mutation can matter."""

    def __init__(self, source: str) -> None:
        tree = ast.parse(source)
        self._declared = [_span(node) for node in _declarations(tree)]
        self._operators = [
            (_end(node.left), _start(node.right))
            for node in ast.walk(tree)
            if isinstance(node, ast.BinOp) and not _is_optional(node)
        ]

    @classmethod
    def of(cls, module: Path) -> "Places":
        """Return those of the file *module*."""
        return cls(module.read_text(encoding="utf-8"))

    def matters(self, mutation: Mutation) -> bool:
        """Tell whether *mutation* belongs to those that are drawn from."""
        at = (mutation.line, mutation.column)
        if _within(at, self._declared):
            return False
        if mutation.operator.startswith(_BINARY):
            before, after = mutation.operator.removeprefix(_BINARY).split("_")
            among = {before, after}
            is_plausible = among <= _ARITHMETIC or among <= _OF_SETS or (before, after) == ("BitOr", "Sub")
            return is_plausible and _within(at, self._operators)
        if mutation.operator.startswith(_COMPARISON):
            before, after = mutation.operator.removeprefix(_COMPARISON).split("_")
            return {before, after} == _IDENTITY or not {before, after} & _IDENTITY
        return True


_Place = tuple[int, int]


def _declarations(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                yield annotation
            case ast.FunctionDef(returns=ast.expr() as returns):
                yield returns
            case ast.ClassDef():
                decorators = [each for each in node.decorator_list if isinstance(each, ast.Call)]
                yield from (each.value for each in (*node.keywords, *(k for d in decorators for k in d.keywords)))
            case _:
                pass


def _is_optional(node: ast.BinOp) -> bool:
    """Tell whether it is a type (`Denial | None`) outside of an annotation: an alias."""
    return isinstance(node.op, ast.BitOr) and isinstance(node.right, ast.Constant) and node.right.value is None


def _start(node: ast.expr) -> _Place:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> _Place:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _span(node: ast.expr) -> tuple[_Place, _Place]:
    return _start(node), _end(node)


def _within(at: _Place, spans: list[tuple[_Place, _Place]]) -> bool:
    return any(start <= at < end for start, end in spans)
