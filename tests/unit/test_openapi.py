"""What the API says of itself: every operation, field and problem, with examples that are true."""

from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from api.errors import PROBLEM_JSON
from api.openapi import JSON
from api.problems import TABLE, Operation, told_of
from api.words import WORDS
from domain.account.refusals import PositionNotOpen
from tests.support.api import ApiWorld

Json = dict[str, Any]
DOCUMENT: Json = ApiWorld().app.openapi()
SCHEMAS: dict[str, Json] = DOCUMENT["components"]["schemas"]
OPERATIONS: list[tuple[str, str, Json]] = [
    (method.upper(), path, said) for path, methods in DOCUMENT["paths"].items() for method, said in methods.items()
]
every_operation = pytest.mark.parametrize(
    ("method", "path", "said"), OPERATIONS, ids=[f"{method} {path}" for method, path, _ in OPERATIONS]
)


def operation_of(method: str, path: str, said: Json) -> Operation:
    names = frozenset(parameter["name"].lower() for parameter in said.get("parameters", []))
    return Operation(method, path, names, has_body="requestBody" in said, is_secured="security" in said)


@cache
def validator_of(reference: str) -> Any:
    return jsonschema_rs.validator_for({"$ref": reference, "components": DOCUMENT["components"]})


def demand_valid(reference: str, value: Any) -> None:
    validator_of(reference).validate(value)


def problems_in(said: Json) -> Iterator[tuple[int, Json]]:
    for status, answered in said["responses"].items():
        if PROBLEM_JSON in answered.get("content", {}):
            yield int(status), answered["content"][PROBLEM_JSON]


@every_operation
def test_an_operation_says_what_it_does_and_what_it_takes(method: str, path: str, said: Json) -> None:  # noqa: ARG001
    assert said["summary"]
    assert said["description"].endswith((".", "`."))
    assert said["tags"]
    assert [each["name"] for each in said.get("parameters", []) if not each.get("description")] == []


@every_operation
def test_an_operation_shows_true_examples(method: str, path: str, said: Json) -> None:  # noqa: ARG001
    forms = [said["requestBody"]["content"][JSON]] if "requestBody" in said else []
    for status, answered in said["responses"].items():
        # What did not change is not sent again: nothing else is without a body.
        assert ("content" in answered) == (status != "304")
        forms += answered.get("content", {}).values()
    for form in forms:
        shown = [each["value"] for each in form.get("examples", {}).values()] or [form["example"]]
        for value in shown:
            demand_valid(form["schema"]["$ref"], value)


@every_operation
def test_an_operation_tells_every_problem_with_its_codes(method: str, path: str, said: Json) -> None:
    told = {status: form["examples"] for status, form in problems_in(said)}
    for status, examples in told.items():
        assert examples, f"{status} is declared, and no code of it is told"
        for code, example in examples.items():
            assert (example["value"]["status"], example["value"]["code"]) == (status, code)
    operation = operation_of(method, path, said)
    untold = [(row.status, row.code) for row in TABLE if row.when(operation) and row.status not in told]
    assert untold == []


@every_operation
def test_an_operation_that_may_find_nothing_changed_says_by_which_tag(method: str, path: str, said: Json) -> None:  # noqa: ARG001
    takes_one = "If-None-Match" in [each["name"] for each in said.get("parameters", [])]
    assert takes_one == ("304" in said["responses"]) == ("ETag" in said["responses"].get("200", {}).get("headers", {}))


def test_operations_have_names_of_their_own() -> None:
    names = [said["operationId"] for _, _, said in OPERATIONS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_every_field_says_what_it_means() -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert silent == [], "say it in api/words.py, or where the field is declared"


def test_every_field_of_one_value_has_an_example() -> None:
    scalars = {"string", "integer", "number", "boolean"}
    without = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, described in schema.get("properties", {}).items()
        if described.get("type") in scalars and not described.get("examples")
    ]
    assert without == [], "give one in api/words.py, or where the field is declared"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schemas_examples_are_of_its_shape(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["description"]
    assert "enum" in schema or schema["examples"]
    for example in schema.get("examples", []):
        demand_valid(f"#/components/schemas/{name}", example)


def test_a_route_may_name_an_exception_with_its_code() -> None:
    told = told_of(PositionNotOpen)
    assert (told.status, told.code) == (409, "POSITION_NOT_OPEN")
    assert told.detail == "Nothing is held in this instrument and product"


# --- Examples of requests, handed in ----------------------------------------------------------------------------------

STOPPED = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800.00", "target": "2900.50"}
BODIES = [
    (method, path, title, example["value"])
    for method, path, said in OPERATIONS
    if "requestBody" in said
    for title, example in said["requestBody"]["content"][JSON]["examples"].items()
]
OF_NOBODY = {path for _, path, said in OPERATIONS if "security" not in said}


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [(method, path, body) for method, path, _, body in BODIES],
    ids=[f"{method} {path}, {title}" for method, path, title, _ in BODIES],
)
async def test_an_example_of_a_request_is_understood(world: ApiWorld, method: str, path: str, body: Json) -> None:
    headers = await world.log_in("somebody@example.in")
    placed = await world.client.post("/api/trades", json=STOPPED, headers=headers | {"Idempotency-Key": "before"})
    me = (await world.client.get("/api/auth/profile", headers=headers)).json()
    there = {
        "trade_id": placed.json()["trade_id"],
        "order_id": placed.json()["order_id"],
        "difference_id": f"{me['account_id']}.d1",
        "position_id": "NSE_EQ-2885-INTRADAY",
        "kind": "day_loss",
    }
    values = me | there | {name: WORDS[name].example for name in ("strategy_id", "invariant")}
    if path in OF_NOBODY:
        headers = {}
    if path == "/api/auth/login":
        person = body | {"name": "Asha Rao"}
        assert (await world.client.post("/api/auth/register", json=person)).status_code == 201
    answer = await world.client.request(
        method, path.format_map(values), json=body, headers=headers | {"Idempotency-Key": "an-example"}
    )
    # What is not possible now is understood as well, and so is a token or password of somebody else.
    refused = {401, 404, 409} if path in OF_NOBODY else {403, 404, 409}
    assert answer.is_success or answer.status_code in refused, answer.text
