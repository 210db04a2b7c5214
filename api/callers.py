"""Who is asking: the access token, the user it names, and the account their requests act on."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.errors import Unauthenticated
from api.rate_limit import count_user
from api.services import services_of
from commands.accounts import CommandContext
from domain.ids import AccountId, UserId

SOURCE = "api"
_bearer = HTTPBearer(auto_error=False, description="The access token of POST /api/auth/login", bearerFormat="JWT")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user and their default account."""

    user_id: UserId
    account_id: AccountId


async def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    if credentials is None:
        raise Unauthenticated("TOKEN_MISSING", "expected a header 'Authorization: Bearer <access token>'")
    services = services_of(request)
    user_id = services.tokens.verify(credentials.credentials)
    request.state.user_id = user_id  # For the audit book, should the request be turned away.
    count_user(request, user_id)
    return Caller(user_id, await services.users.default_account(user_id))


Authenticated = Annotated[Caller, Depends(_caller)]
"""A route that takes one is open to logged-in users only, and acts on their account."""


def context_of(request: Request, caller: Caller, *, key: str | None, request_hash: bytes) -> CommandContext:
    """Return the context of a command, as it will stand beside its events.

    The key is kept with the route in front, so that the same key on two routes names two requests.
    """
    return CommandContext(
        actor=caller.user_id,
        source=SOURCE,
        received_at_ns=request.state.received_at_ns,
        correlation_id=request.state.request_id,
        idempotency_key=None if key is None else f"{request.method} {request.scope['route'].path} {key}",
        request_hash=request_hash,
    )
