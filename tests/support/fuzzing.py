"""Made-up requests by everything that the OpenAPI document says, from people who are logged in.

Every answer has to be one that the operation declares, of the declared form, and never a bug of ours. A share of the
requests is broken on purpose, and a share speaks of what is really there. `FUZZ_CASES` asks for so many in all, made
anew each time; without it they are few, and always the same.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CASES_WANTED = int(os.environ.get("FUZZ_CASES", "0"))
_SEED = int(os.environ.get("FUZZ_SEED", "0"))
_NO_TIME = timedelta()
_BASE = "http://khata.test"

Operation = APIOperation[Any, Any, Any, Any]
Answer = Callable[[httpx.Request], httpx.Response]
"""Hands a request in and returns what is answered."""


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """Return every operation of an OpenAPI document."""
    generation = GenerationConfig(with_security_parameters=False)
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
    schema = schemathesis.openapi.from_dict(document, config=config)
    return [found.ok() for found in schema.get_all_operations()]


def cases_each(operations: Sequence[Operation], *, few: int) -> int:
    """Return how many requests there are to be of each operation."""
    return -(-CASES_WANTED // len(operations)) if CASES_WANTED else few


def fuzz(
    operation: Operation, *, cases: int, people: Sequence[Mapping[str, str]], there: Mapping[str, str], ask: Answer
) -> None:
    """Ask so many requests of an operation and check every answer.

    *people* are headers of those who ask. *there* names, by path parameter, what is really there.
    """
    made = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @seed(_SEED)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=made, who=st.sampled_from(people), speaks_of_what_is_there=st.booleans())
    def ask_and_check(case: Case, who: Mapping[str, str], *, speaks_of_what_is_there: bool) -> None:
        if speaks_of_what_is_there:
            known = {name: there[name] for name in case.path_parameters or {} if name in there}
            case.path_parameters = {**(case.path_parameters or {}), **known}
        request = _request_of(case, who)
        if request is None:
            return  # No client can send it: a header with a line break, say.
        answer = ask(request)
        case.validate_response(answer, checks=CHECKS)

    ask_and_check()


def _request_of(case: Case, who: Mapping[str, str]) -> httpx.Request | None:
    """Return the request as it goes over the wire."""
    arguments = case.as_transport_kwargs(base_url=_BASE)
    arguments["headers"] = {**dict(arguments.get("headers") or {}), **who}
    known = ("method", "url", "headers", "params", "data", "json", "cookies", "files")
    try:
        prepared = requests.Request(**{name: arguments[name] for name in known if name in arguments}).prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        return httpx.Request(str(prepared.method), str(prepared.url), headers=dict(prepared.headers), content=body)
    except (ValueError, UnicodeError, httpx.InvalidURL):
        return None


async def sent(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a made-up request to where *client* speaks to."""
    path = request.url.raw_path.decode("ascii")
    url = client.base_url.copy_with(raw_path=path.encode("ascii"))
    answer = await client.send(httpx.Request(request.method, url, headers=request.headers, content=request.content))
    answer.elapsed = answer.elapsed if hasattr(answer, "_elapsed") else _NO_TIME
    return answer
