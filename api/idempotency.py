"""Idempotency keys: a request that is sent again under its key is carried out once and answered alike."""

import re
from hashlib import sha256

import msgspec
from fastapi import Request

from api.errors import BadRequest

HEADER = "Idempotency-Key"
REPLAY_HEADER = "Idempotent-Replay"
KEY_LENGTH_MAX = 128
_KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_LENGTH_MAX}}}")
_ENCODER = msgspec.json.Encoder(order="deterministic")


def mandatory_key(request: Request) -> str:
    """Return the request's key.

    Raises:
        BadRequest: there is none (`IDEMPOTENCY_KEY_MISSING`), or it is no key (`IDEMPOTENCY_KEY_INVALID`).
    """
    key = optional_key(request)
    if key is None:
        raise BadRequest(
            "IDEMPOTENCY_KEY_MISSING", f"expected a header {HEADER} with a value that is new for every new order"
        )
    return key


def optional_key(request: Request) -> str | None:
    """Return the request's key, None where it has none.

    Raises:
        BadRequest: it is no key (`IDEMPOTENCY_KEY_INVALID`).
    """
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise BadRequest(
            "IDEMPOTENCY_KEY_INVALID",
            f"expected a header {HEADER} of 1 to {KEY_LENGTH_MAX} printable ASCII characters without spaces",
        )
    return key


def request_hash(request: Request, body: msgspec.Struct | None = None) -> bytes:
    """Return what tells this request from another one under the same key.

    It covers the method, the path and the body as understood: spaces, the order of fields, and a default that is
    spelled out, make no other request.
    """
    head = f"{request.method} {request.url.path}\n".encode()
    return sha256(head + (b"" if body is None else _ENCODER.encode(body))).digest()
