"""Who is asking: the access token, the user it names, and the account their requests act on."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from api.errors import Unauthenticated
from api.rate_limit import count_user
from api.services import services_of
from api.shortcut import without_query
from commands.accounts import CommandContext
from domain.account.events import Role
from domain.account.refusals import AccountNotFound
from domain.ids import AccountId, UserId

SOURCE = "api"
ID_PATTERN = "^[0-9A-Za-z_-]{1,64}$"
_ID = re.compile("[0-9A-Za-z_-]{1,64}", re.ASCII)
_bearer = HTTPBearer(auto_error=False, description="The access token of POST /api/auth/login", bearerFormat="JWT")


def is_id(text: str) -> bool:
    """Tell whether *text* could be the id of anything."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user and the account they act on: their default account, unless they named another one."""

    user_id: UserId
    account_id: AccountId
    is_default: bool = True


async def _authenticated(request: Request) -> Caller:
    """Return who asks, and their own account."""
    # As the scheme below reads it: that one describes it, and fits whatever it is given into a model first.
    scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("TOKEN_MISSING", "expected a header 'Authorization: Bearer <access token>'")
    services = services_of(request)
    user_id = services.tokens.verify(token)
    request.state.user_id = user_id  # For the audit book, should the request be turned away.
    count_user(request, user_id)
    return Caller(user_id, await services.users.default_account(user_id))


@without_query(_authenticated)
async def _caller(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    return await _authenticated(request)


Authenticated = Annotated[Caller, Depends(_caller)]
"""A route that takes one is open to logged-in users only."""


async def member(request: Request, caller: Caller, account_id: str, demanded: Role) -> Caller:
    """Return *caller*, acting on an account of which they are a member in the role *demanded* at least.

    Raises:
        AccountNotFound: there is no such account, or none of theirs: which of the two, nobody is told.
        domain.account.refusals.RoleInsufficient
    """
    if account_id == caller.account_id:
        return caller  # Theirs since they registered, and for good.
    if not is_id(account_id):
        raise AccountNotFound("no such account")
    named = AccountId(account_id)
    await services_of(request).accounts.demand_role(named, caller.user_id, demanded)
    return replace(caller, account_id=named, is_default=False)


def _acting(demanded: Role) -> Callable[..., Awaitable[Caller]]:
    @without_query(_authenticated)
    async def acting(
        request: Request,
        caller: Authenticated,
        account_id: Annotated[
            str | None,
            Query(
                pattern=ID_PATTERN,
                description=f"The account to act on, of which you are {demanded.value} at least. Without it: your own,"
                " which came with your registration.",
            ),
        ] = None,
    ) -> Caller:
        return caller if account_id is None else await member(request, caller, account_id, demanded)

    return acting


Viewing = Annotated[Caller, Depends(_acting(Role.VIEWER))]
"""A route that takes one takes `account_id`, and is open to every member of that account."""
Trading = Annotated[Caller, Depends(_acting(Role.TRADER))]
"""Likewise, to those who may trade in it."""
Owning = Annotated[Caller, Depends(_acting(Role.OWNER))]
"""Likewise, to its owners."""


def context_of(request: Request, caller: Caller, *, key: str | None, request_hash: bytes) -> CommandContext:
    """Return the context of a command, as it will stand beside its events.

    The key is kept with the route in front, so that the same key on two routes names two requests; and with the user,
    where an account has several who might choose the same.
    """
    named = f"{request.method} {request.scope['route'].path} {key}"
    return CommandContext(
        actor=caller.user_id,
        source=SOURCE,
        received_at_ns=request.state.received_at_ns,
        correlation_id=request.state.request_id,
        idempotency_key=None if key is None else named if caller.is_default else f"{caller.user_id} {named}",
        request_hash=request_hash,
    )
