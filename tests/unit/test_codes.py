"""Every code that an answer can have is explained, and no other is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.codes import DENIED, FIELD_INVALID, PROBLEMS, anchor_of, entry_of, title_of, type_of
from api.errors import TABLE, ApiRefusal, row_of_kind
from domain.refusals import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from domain.risk import DenialCode
from infra.cli.docs import ERRORS_PAGE, errors_page
from infra.edge import DETAILS as ANSWERED_BY_THE_EDGE
from projections.as_of import MomentRefused
from tests.support.api import ApiWorld

ROOT = Path(__file__).parents[2]
TOLD_BY_THE_FRAMEWORK = {"NOT_FOUND", "METHOD_NOT_ALLOWED"}
NEVER_TOLD = {
    "CONFLICT": "a kind of refusal, which is never raised itself",
    "FORBIDDEN": "likewise",
    "REFUSED": "likewise",
    "MOMENT_REFUSED": "likewise",
    "USER_UNKNOWN": "told as TOKEN_INVALID",
    "FILL_INVALID": "likewise",
    "DECISION_BREAKS_INVARIANT": "told as DECISION_STOPPED",
    "RATIO_INVALID": "met by the operator's command line alone",
}
KINDS = (Refusal, InvalidInput, NotFound, Forbidden, Conflict)


def kinds_below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds_below(each)


def codes_of_refusals() -> dict[str, int]:
    """Return the code of every refusal of the engine, with the status that the table of exceptions gives it."""
    import infra.wiring.api  # noqa: F401, PLC0415 - loads all that the API can meet

    engine = {kind.code: row_of_kind(kind).status for kind in (Refusal, *kinds_below(Refusal))}  # type: ignore[attr-defined]
    moments = {kind.code: 422 for kind in (MomentRefused, *kinds_below(MomentRefused))}  # type: ignore[attr-defined]
    return engine | moments


def codes_in_the_source() -> dict[str, int | None]:
    """Return the codes that the API names where it turns a request away; with their status, where a class tells it."""
    statuses = {kind.__name__: row_of_kind(kind).status for kind in kinds_below(ApiRefusal)}
    found: dict[str, int | None] = {row.code: row.status for row in TABLE.values() if row.code is not None}
    found |= dict.fromkeys(ANSWERED_BY_THE_EDGE)
    for path in (ROOT / "api").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=str(name)), args=[ast.Constant(value=str(code)), *_]):
                    if name in statuses:
                        found[code] = statuses[name]
                case ast.Assign(value=ast.Constant(value=str(code))) if code in PROBLEMS and code.isupper():
                    found.setdefault(code, None)
    return found


def test_every_code_is_in_the_table_with_the_status_that_it_is_answered_with() -> None:
    emitted = codes_of_refusals() | codes_in_the_source()
    for code in NEVER_TOLD:
        del emitted[code]
    unexplained = {code for code in emitted if entry_of(code) is None}
    assert unexplained == set(), "add them to PROBLEMS of api/codes.py, with cause and remedy"
    explained = {code: PROBLEMS[entry_of(code) or ""].status for code, status in emitted.items() if status is not None}
    assert explained == {code: status for code, status in emitted.items() if status is not None}


def test_every_entry_of_the_table_can_be_met() -> None:
    emitted = codes_of_refusals().keys() | codes_in_the_source().keys() | TOLD_BY_THE_FRAMEWORK
    assert PROBLEMS.keys() - {FIELD_INVALID, DENIED} - emitted == set()
    assert not PROBLEMS.keys() & NEVER_TOLD.keys()


def test_kinds_of_refusals_have_codes_that_nobody_else_means() -> None:
    assert {kind.code for kind in KINDS} & PROBLEMS.keys() == {"INVALID_INPUT", "NOT_FOUND"}


@pytest.mark.parametrize("code", DenialCode)
def test_a_denial_is_explained_by_the_table_of_checks(code: DenialCode) -> None:
    assert entry_of(code.value) == DENIED
    assert type_of(code.value) == "/docs/errors#denied"


def test_a_field_has_its_own_code_and_a_shared_entry() -> None:
    assert type_of("DAY_LOSS_MAX_INVALID") == "/docs/errors#field_invalid"
    assert type_of("PRICE_INVALID") == "/docs/errors#price_invalid"


def test_a_code_that_is_nowhere_says_no_more_than_its_status() -> None:
    assert (type_of("IM_A_TEAPOT"), title_of("IM_A_TEAPOT", 418)) == ("about:blank", "I'm a Teapot")


def test_the_page_about_errors_is_up_to_date_and_has_a_place_for_every_type() -> None:
    page = errors_page()
    assert (ROOT / ERRORS_PAGE).read_text() == page, "run `make docs`"
    headings = {re.sub(r"[^a-z_]", "", line.lower()) for line in page.splitlines() if line.startswith("## ")}
    assert headings == {anchor_of(entry) for entry in PROBLEMS}
    assert len(headings) == len(PROBLEMS)


async def test_the_type_of_an_answer_leads_to_its_entry_on_the_api_itself() -> None:
    world = ApiWorld()
    problem = (await world.client.get("/api/trades")).json()
    page = await world.client.get(problem["type"])
    anchor = problem["type"].partition("#")[2]
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert f'<h2 id="{anchor}"><code>{problem["code"]}</code></h2>' in page.text
    assert "<FIELD>" not in page.text
    await world.client.aclose()
