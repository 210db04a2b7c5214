"""SQL is written down, never put together from values: what varies is a bound parameter, or a name that psycopg quotes.

Two ways lead past that, and both are looked for in every module. Text that is SQL and has a value put into it: of the
pieces only constants of the code are allowed. And bytes: where psycopg is typed to take literal text, it takes any
bytes.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "commands", "projections", "adapters", "infra")
SQL = re.compile(
    r"\s*(--[^\n]*\s*)*"
    r"(SELECT|SHOW|INSERT INTO|UPDATE|DELETE FROM|WITH|COPY|CREATE|ALTER|DROP|TRUNCATE|GRANT|REVOKE|LOCK|SET|LISTEN"
    r"|UNLISTEN|NOTIFY|VACUUM|ANALYZE|BEGIN|COMMIT|DECLARE|FETCH|CALL|DO|EXPLAIN|REFRESH|REINDEX|CLUSTER) "
)
RUNNING = frozenset({"execute", "executemany", "fetch", "copy", "text", "exec_driver_sql"})
PREPARING = frozenset({"send_prepare", "send_query", "send_query_params"})
"""What takes bytes whatever it is typed to take: libpq, where a statement goes out without the driver."""

_LOG_SOURCE = "adapters/postgres/log_source.py"
_FILLING = "infra/bench/filling.py"
PUT_TOGETHER = {
    (_LOG_SOURCE, "rows"): "integers of ours: COPY takes no parameters",
    (_LOG_SOURCE, "commands"): "likewise",
    (_LOG_SOURCE, "stray_commands"): "likewise",
    (_FILLING, "narrow_partitions"): "a partition's name, as the catalogue quotes it",
    (_FILLING, "_fill_partition"): "names and keys of the catalogue",
}
"""Where SQL is put together from more than constants, and why nothing of anybody's gets into it."""
BYTES = {
    (_LOG_SOURCE, "_copy"): "runs what the places above put together",
    (_FILLING, "narrow_partitions"): "a partition's name, as the catalogue quotes it",
    (_FILLING, "_fill_partition"): "the definitions of indexes, as the catalogue writes them",
    ("infra/migrations/statements.py", "run_files"): "files of the package",
    ("adapters/postgres/lines.py", "_name_of"): "what SQLAlchemy made, with a place for each value",
}
"""Likewise where text becomes bytes on its way to the server."""


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def places(path: Path, tree: ast.AST) -> Iterator[tuple[tuple[str, str], ast.AST]]:
    """Yield every node of a module with the function it stands in, "" at the top."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[tuple[str, str], ast.AST]]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            yield (str(path.relative_to(ROOT)), inner), child
            yield from walk(child, inner)

    return walk(tree, "")


class Judge:
    """Judges the nodes of one module, whose texts it knows by their names."""

    def __init__(self, tree: ast.Module) -> None:
        self._texts: dict[str, str] = {}
        for statement in tree.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=str(name))], value=ast.Constant(value=str(text)))
                    | ast.AnnAssign(target=ast.Name(id=str(name)), value=ast.Constant(value=str(text)))
                ):
                    self._texts[name] = text

    def is_put_together(self, node: ast.AST) -> bool:
        """Return whether *node* is SQL with a value in it that is no constant of the code."""
        match node:
            case ast.JoinedStr(values=pieces) if SQL.match(self._text_of(pieces[0]) if pieces else ""):
                values = [piece.value for piece in pieces if isinstance(piece, ast.FormattedValue)]
            case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right) if SQL.match(self._text_of(left)):
                values = [right]
            case ast.Call(func=ast.Attribute(value=text, attr="format")) if SQL.match(self._text_of(text)):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
            case ast.Call(func=ast.Attribute(attr=str(name)), args=[ast.JoinedStr(values=pieces), *_]):
                values = [piece.value for piece in pieces if isinstance(piece, ast.FormattedValue)]
                return name in RUNNING and not all(map(is_constant, values))
            case _:
                return False
        return not all(map(is_constant, values))

    def _text_of(self, node: ast.AST) -> str:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self._texts.get(name, "")
            case _:
                return ""

    def runs_bytes(self, node: ast.AST) -> bool:
        """Return whether *node* runs text that was turned into bytes, and is no literal."""
        match node:
            case ast.Call(func=ast.Attribute(attr=str(name)), args=args) if name in RUNNING | PREPARING:
                return any(map(is_turned_into_bytes, args))
            case _:
                return False


def is_turned_into_bytes(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=text, attr="encode")):
            return not is_constant(text)
        case _:
            return False


def is_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


Question = Callable[[Judge, ast.AST], bool]


def found(question: Question) -> set[tuple[str, str]]:
    """Return the places, in all modules, of which the answer is yes."""
    answered = set()
    for path in modules():
        tree = ast.parse(path.read_text())
        judge = Judge(tree)
        answered |= {place for place, node in places(path, tree) if question(judge, node)}
    return answered


def is_in(question: Question, source: str) -> bool:
    tree = ast.parse(source)
    judge = Judge(tree)
    return any(question(judge, node) for node in ast.walk(tree))


def test_no_value_is_put_into_a_statement() -> None:
    assert found(Judge.is_put_together) == set(PUT_TOGETHER), "bind it, or let psycopg.sql quote the name"


def test_no_statement_gets_past_the_types_as_bytes() -> None:
    assert found(Judge.runs_bytes) == set(BYTES), "pass the text itself: psycopg takes literals and what it composed"


@pytest.mark.parametrize(
    "source",
    [
        'db.execute(f"SELECT * FROM log.events WHERE name = {name}")',
        'db.execute(f"""\n    -- Read one.\n    SELECT {COLUMNS} FROM {table}\n""")',
        "db.execute(\"DELETE FROM views.trades WHERE trade_id = '%s'\" % trade_id)",
        'db.execute("DROP TABLE " + table)',
        'db.execute("LISTEN {}".format(channel))',
        '_READ = "SELECT * FROM log.events WHERE {}"\ndb.execute(_READ.format(condition))',
        'db.execute(f"{_HEAD} WHERE name = {name}")',
    ],
)
def test_what_is_looked_for_is_found(source: str) -> None:
    assert is_in(Judge.is_put_together, source)


@pytest.mark.parametrize("source", ["db.execute(statement.encode())", 'db.copy(f"COPY {table}".encode())'])
def test_bytes_are_found(source: str) -> None:
    assert is_in(Judge.runs_bytes, source)


@pytest.mark.parametrize(
    "source",
    [
        'db.execute("SELECT %s", (value,))',
        'db.execute(f"SELECT {COLUMNS} FROM log.events WHERE sequence > %s", (sequence,))',
        'db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))',
        'log.info(f"SELECTED {name}")',
    ],
)
def test_what_is_bound_or_quoted_is_let_through(source: str) -> None:
    assert not is_in(Judge.is_put_together, source)
    assert not is_in(Judge.runs_bytes, source)
