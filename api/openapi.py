"""The OpenAPI document: bodies and answers are msgspec structs, so their schemas are put in here."""

from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import PROBLEM_JSON, Problem
from api.idempotency import HEADER, KEY_LENGTH_MAX

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PROBLEMS = {
    400: "The request cannot be read: no JSON, or no Idempotency-Key where one is mandatory",
    401: "No access token, or an expired or forged one",
    403: "Denied by risk (an event in the log, with the limit and the value that met it), or your role is too small",
    404: "It does not exist, or not for this user",
    405: "The path does not know this method",
    409: "The present state does not allow it, nothing is stored; or Khata-Epoch is of another history",
    413: "The body is over the limit",
    422: "A value is not allowed, or the Idempotency-Key belongs to another request; nothing is stored",
    429: "Too many requests: come again after Retry-After seconds",
    500: "A bug of ours",
    503: "Come again after Retry-After seconds; under the same Idempotency-Key nothing is done twice",
}


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
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[!-~]+$"},
    }
    return {"parameters": [parameter]}


def answers(
    answer_type: type[msgspec.Struct], description: str, *problems: int, status: int = 200
) -> dict[int | str, Json]:
    """Return what a route may answer: *answer_type*, the problems named, and those that every route shares."""
    said: dict[int | str, Json] = {
        status: {"description": description, "content": {"application/json": {"schema": _ref(answer_type)}}}
    }
    problem = {PROBLEM_JSON: {"schema": _ref(Problem)}}
    said |= {code: {"description": _PROBLEMS[code], "content": problem} for code in sorted({*problems, 405, 413, 500})}
    return said


def install(app: FastAPI, types: Iterable[type[msgspec.Struct]]) -> None:
    """Let *app* describe itself with the schemas of *types*."""
    _, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)

    def openapi() -> Json:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(components)
            # FastAPI announces its own form of a 422; every problem here has ours.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": _REF.format(name=struct.__name__)}
