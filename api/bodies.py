"""Reading request bodies: JSON, of exactly the declared fields and kinds, or refused with the field that was wrong."""

import re
from typing import TypeVar

import msgspec
from fastapi import Request

from api.errors import BadRequest, FieldInvalid

T = TypeVar("T", bound=msgspec.Struct)

_ECHO_MAX = 120
"""So much of what was sent is repeated in a problem."""
_AT_FIELD = re.compile(r" - at `\$\.(\w+)")
_MISSING_FIELD = re.compile(r"missing required field `(.+)`")
_UNKNOWN_FIELD = re.compile(r"unknown field `(.+)`", re.DOTALL)


async def read_body(request: Request, body_type: type[T]) -> T:
    """Return the request's body.

    Raises:
        BadRequest: it is no JSON (`BODY_NOT_JSON`).
        FieldInvalid: `FIELD_MISSING`, `FIELD_UNKNOWN`, or `<FIELD>_INVALID`, such as `QUANTITY_INVALID`.
        BodyTooLarge: it is over the limit; raised while it comes in.
    """
    raw = await request.body()
    try:
        return msgspec.json.decode(raw, type=body_type)
    except msgspec.ValidationError as error:
        _demand_json(raw)  # The decoder stops at the first wrong field; what follows may be no JSON at all.
        raise _field_invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_json() from None


async def read_optional_body(request: Request, body_type: type[T]) -> T:
    """Return the request's body, or *body_type* with its defaults where there is none. Raises as `read_body` does."""
    return await read_body(request, body_type) if await request.body() else body_type()


def _demand_json(raw: bytes) -> None:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_json() from None


def _not_json() -> BadRequest:
    return BadRequest("BODY_NOT_JSON", "the body is no JSON, expected one JSON object")


def _field_invalid(message: str) -> FieldInvalid:
    if found := _MISSING_FIELD.search(message):
        return FieldInvalid("FIELD_MISSING", f"expected a field {found[1]!r}", field=found[1])
    if found := _UNKNOWN_FIELD.search(message):
        name = found[1][:_ECHO_MAX]
        return FieldInvalid("FIELD_UNKNOWN", f"received a field {name!r} that does not exist here", field=name)
    if found := _AT_FIELD.search(message):
        said = message[: found.start()][:_ECHO_MAX]
        return FieldInvalid(f"{found[1].upper()}_INVALID", f"{found[1]}: {said}", field=found[1])
    return FieldInvalid("BODY_INVALID", message[:_ECHO_MAX])
