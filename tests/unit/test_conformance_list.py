"""The list of what a broker has to do, and the cases that it names, are one and the same."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([A-Z]-\d\d) \| (.+) \|$")


def listed() -> list[tuple[str, str]]:
    lines = (ROOT / "docs" / "broker-conformance.md").read_text().splitlines()
    return [(row[1], row[2]) for line in lines if (row := ROW.match(line))]


def played() -> list[tuple[str, str]]:
    """Return number and sentence of every test in the folder of the cases."""
    modules = sorted((ROOT / "tests" / "conformance").glob("test_*.py"))
    nodes = [node for module in modules for node in ast.parse(module.read_text()).body]
    tests = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(_number_of(test), _sentence_of(test.name)) for test in tests if test.name.startswith("test_")]


def _number_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    numbers = [
        decorator.args[0].value
        for decorator in test.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "case"
        and isinstance(decorator.args[0], ast.Constant)
    ]
    return str(numbers[0]) if len(numbers) == 1 else f"{len(numbers)} numbers"


def _sentence_of(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words[0].upper()}{words[1:]}."


def test_the_list_and_the_cases_agree_one_to_one() -> None:
    assert sorted(listed()) == sorted(played())


def test_every_case_has_a_number_of_its_own_and_there_are_at_least_sixty() -> None:
    numbers = Counter(number for number, _ in played())
    assert set(numbers.values()) == {1}
    assert len(numbers) >= 60
