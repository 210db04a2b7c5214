"""Making answers: JSON of a declared shape, and what every answer to a command carries in its headers."""

from collections.abc import Mapping

import msgspec
from fastapi import Request, Response

from api.idempotency import REPLAY_HEADER
from api.services import services_of
from commands.accounts import Outcome

_NS_PER_MS = 1_000_000
JSON = "application/json"


def answer(body: msgspec.Struct, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return *body* as an answer."""
    return Response(msgspec.json.encode(body), status, headers, JSON)


def command_headers(request: Request, outcome: Outcome) -> dict[str, str]:
    """Return the headers of an answer to a command: what it took from receipt to durable, and whether it is a repeat.

    To be called as soon as the outcome is known: the clock is read here.
    """
    durable_ns = services_of(request).clock.monotonic_ns() - request.state.received_tick_ns
    headers = {"Server-Timing": f"durable;dur={durable_ns / _NS_PER_MS:.3f}"}
    if outcome.repeated:
        headers[REPLAY_HEADER] = "true"
    return headers
