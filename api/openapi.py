"""The OpenAPI document: bodies and answers are msgspec structs, so their schemas are put in here."""

from collections.abc import Iterable, Mapping

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import PROBLEM_JSON, Problem
from api.examples import REQUESTS, Json, complete, example_of
from api.idempotency import HEADER, KEY_LENGTH_MAX
from api.problems import STATUSES, Operation, document_of, problems_of, told_of
from api.tags import HEADER as TAG_HEADER
from api.words import WORDS

JSON = "application/json"
_OWN = "x-own-problems"
"""Where an answer keeps the problems that its route named, until the document is made."""
_TAG: Json = {
    TAG_HEADER: {"description": "Tells what is shown; hand it back as `If-None-Match`", "schema": {"type": "string"}}
}
_REF = "#/components/schemas/{name}"


def request_body(body_type: type[msgspec.Struct], *, is_key_mandatory: bool | None = None) -> Json:
    """Return what a route says of its body, and of its Idempotency-Key (None: it takes none)."""
    said: Json = {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body_type)}}}}
    return said | ({} if is_key_mandatory is None else key_header(is_mandatory=is_key_mandatory))


def optional_body(body_type: type[msgspec.Struct], *, is_key_mandatory: bool) -> Json:
    """Return likewise what a route says that takes a body or none."""
    said = request_body(body_type, is_key_mandatory=is_key_mandatory)
    said["requestBody"]["required"] = False
    return said


def key_header(*, is_mandatory: bool) -> Json:
    """Return what a route says of its Idempotency-Key."""
    parameter = {
        "name": HEADER,
        "in": "header",
        "required": is_mandatory,
        "description": "New for every new request; the same again for a repeat, which is then carried out once",
        "example": "my-first-order",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[!-~]+$"},
    }
    return {"parameters": [parameter]}


def answers(
    answer_type: type[msgspec.Struct],
    description: str,
    *problems: int | type[Exception],
    status: int = 200,
    also: Mapping[int, str] | None = None,
    is_tagged: bool = False,
) -> dict[int | str, Json]:
    """Return what a route may answer: *answer_type*, the problems named, and those that every route shares.

    A problem is a status, and then `api.problems` knows its codes, or an exception with a code of its own. *also* are
    other statuses of the same form, with their descriptions. *is_tagged*: it has an entity tag, and may be a 304.
    """
    form = {"application/json": {"schema": _ref(answer_type)}}
    said: dict[int | str, Json] = {status: {"description": description, "content": form}}
    said |= {code: {"description": text, "content": form} for code, text in (also or {}).items()}
    if is_tagged:
        said[status]["headers"] = _TAG
        said[304] = {"description": "Nothing of it changed: what you have is right", "headers": _TAG}
    own = [told_of(problem) for problem in problems if isinstance(problem, type)]
    statuses = {problem for problem in problems if isinstance(problem, int)} | {told.status for told in own}
    for code in sorted(({*statuses, 405, 413, 500}) - set(also or {})):
        content = {PROBLEM_JSON: {"schema": _ref(Problem)}}
        said[code] = {"description": STATUSES[code], "content": content}
        if named := [told for told in own if told.status == code]:
            said[code][_OWN] = named
    return said


def install(app: FastAPI, types: Iterable[type[msgspec.Struct]]) -> None:
    """Let *app* describe itself with the schemas of *types*."""
    _, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)

    def openapi() -> Json:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(components)
            complete(schemas)
            # FastAPI announces its own form of a 422; every problem here has ours.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path, methods in document["paths"].items():
                for method, said in methods.items():
                    _show(path, method.upper(), said, schemas)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _show(path: str, method: str, said: Json, schemas: Mapping[str, Json]) -> None:
    """Put examples and codes into what an operation says of itself."""
    parameters = said.get("parameters", [])
    operation = Operation(
        method=method,
        path=path,
        parameters=frozenset(parameter["name"].lower() for parameter in parameters),
        has_body="requestBody" in said,
        is_secured="security" in said,
    )
    for parameter in parameters:
        word = WORDS.get(parameter["name"])
        if word is not None:
            parameter.setdefault("description", word.meaning)
            if word.example is not None:
                parameter.setdefault("example", word.example)
    for form in said.get("requestBody", {}).get("content", {}).values():
        name = form["schema"]["$ref"].rpartition("/")[2]
        given = REQUESTS.get(name, {"what is mandatory": example_of(name, schemas)})
        form["examples"] = {title: {"value": value} for title, value in given.items()}
    for status, answered in said["responses"].items():
        own = answered.pop(_OWN, [])
        content = answered.get("content", {})
        if PROBLEM_JSON in content:
            told = {each.code: each for each in (*own, *problems_of(operation, int(status)))}
            content[PROBLEM_JSON]["examples"] = {
                code: {"value": document_of(each, operation)} for code, each in told.items()
            }
        elif JSON in content:
            name = content[JSON]["schema"]["$ref"].rpartition("/")[2]
            content[JSON]["example"] = example_of(name, schemas)


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=struct.__name__)}
