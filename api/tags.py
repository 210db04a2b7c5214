"""Entity tags: who asks again and names the tag of what they have is told that nothing changed, without a body.

A tag is made of the place in the log, or the version, of everything that an answer shows, of the log's epoch and of the
release: after a restore a place may mean something else, and another release may show more of the same. It is weak:
`sequence`, how far the views are, moves with every event of anybody and is left out.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from fastapi import Header, Request, Response

from api.answers import answer
from api.epochs import epoch_token
from api.services import services_of

HEADER = "ETag"
ASKED_HEADER = "If-None-Match"
_LENGTH = 32

KnownTag = Annotated[
    str | None,
    Header(
        alias=ASKED_HEADER,
        description="The `ETag` of an answer that you have: 304, without a body, as long as nothing of it changed",
        examples=['W/"5f2b1c0d9e8a7b6c5d4e3f2a1b0c9d8e"'],
    ),
]


def tagged(request: Request, known: str | None, body: msgspec.Struct, *made_of: int | str | None) -> Response:
    """Return *body* with the tag of what it is *made_of*, or 304 where *known* names that tag."""
    parts = (request.app.version, epoch_token(services_of(request).epoch()), *made_of)
    opaque = sha256(msgspec.json.encode(parts)).hexdigest()[:_LENGTH]
    headers = {HEADER: f'W/"{opaque}"'}
    if known is not None and _names(known, f'"{opaque}"'):
        return Response(status_code=304, headers=headers)
    return answer(body, headers=headers)


def _names(known: str, opaque: str) -> bool:
    """Tell whether a header names a tag, weak or not. Source: RFC 9110, 13.1.2 and 8.8.3.2."""
    return known.strip() == "*" or opaque in {each.strip().removeprefix("W/") for each in known.split(",")}
