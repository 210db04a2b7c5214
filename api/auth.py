"""Registering, logging in, and who one is."""

import msgspec
from fastapi import APIRouter, Request, Response
from limits import RateLimitItemPerMinute

from api.answers import answer
from api.audit import note_login
from api.bodies import read_body
from api.callers import SOURCE, Authenticated
from api.fields import Sequence, Time, time_text_us
from api.freshness import Fresh
from api.openapi import answers, request_body
from api.rate_limit import Quota, address_of
from api.requests import LoginRequest, RegisterRequest
from api.services import Services, services_of
from commands.users import CredentialsWrong
from domain.envelope import Metadata
from projections.queries import ReadModelBehind

FAILURES_WINDOW_MINUTES = 30

router = APIRouter(prefix="/api/auth", tags=["auth"])


class RegisteredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A new user and the paper account that came with them."""

    user_id: str
    account_id: str
    sequence: Sequence


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the header `Authorization: Bearer …`, and the seconds it is good for."""

    access_token: str
    token_type: str
    expires_in: int


class ProfileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The user behind the token. `email` and `name` are null where they were erased."""

    user_id: str
    account_id: str
    email: str | None
    name: str | None
    registered_at: Time
    sequence: Sequence


class AuthLimits:
    """How often one client may fail to be somebody."""

    def __init__(self, services: Services) -> None:
        self._failures = Quota(
            RateLimitItemPerMinute(services.rates.failed_sign_ins_max, FAILURES_WINDOW_MINUTES),
            services.clock,
            detail="too many log-ins failed for this e-mail address",
        )

    def demand_chance(self, client: str, email: str) -> None:
        """Let a client try to log in as *email*. Raises RateLimited."""
        self._failures.demand(_pair(client, email))

    def count_failure(self, client: str, email: str) -> None:
        """Remember that a client failed to log in as *email*."""
        self._failures.count(_pair(client, email))

    def forgive(self, client: str, email: str) -> None:
        """Forget a client's failures: it proved to be *email*."""
        self._failures.clear(_pair(client, email))


@router.post(
    "/register",
    status_code=201,
    openapi_extra=request_body(RegisterRequest),
    responses=answers(RegisteredAnswer, "Registered", 400, 409, 422, 429, 503, status=201),
)
async def register(request: Request) -> Response:
    """Register a person and open their paper account."""
    services = services_of(request)
    body = await read_body(request, RegisterRequest)
    metadata = Metadata(
        source=SOURCE, correlation_id=request.state.request_id, received_at_ns=request.state.received_at_ns
    )
    registered = await services.users.register(
        email=body.email, name=body.name, password=body.password, metadata=metadata
    )
    body_out = RegisteredAnswer(
        user_id=registered.user_id, account_id=registered.account_id, sequence=registered.last_sequence
    )
    return answer(body_out, status=201, headers={"Location": "/api/auth/profile"})


@router.post(
    "/login",
    openapi_extra=request_body(LoginRequest),
    responses=answers(LoginAnswer, "Logged in", 400, 401, 422, 429, 503),
)
async def login(request: Request) -> Response:
    """Exchange e-mail address and password for an access token."""
    services, limits, client = services_of(request), _limits_of(request), address_of(request)
    body = await read_body(request, LoginRequest)
    limits.demand_chance(client, body.email)
    try:
        user_id = await services.users.authenticate(email=body.email, password=body.password)
    except CredentialsWrong:
        limits.count_failure(client, body.email)
        raise
    limits.forgive(client, body.email)
    note_login(request, user_id)
    token, expires_in = services.tokens.issue(user_id)
    return answer(LoginAnswer(access_token=token, token_type="Bearer", expires_in=expires_in))  # noqa: S106 - a word


@router.get("/profile", responses=answers(ProfileAnswer, "The user behind the token", 401, 409, 422, 503))
async def profile(request: Request, caller: Authenticated, _: Fresh) -> Response:
    """Tell who is asking."""
    services = services_of(request)
    found = await services.queries.user(caller.user_id)
    if found.value is None:
        # The log knows the user, or they were no caller: the view does not yet.
        raise ReadModelBehind(wanted=found.sequence + 1, sequence=found.sequence)
    row, unseal = found.value, services.personal_data.unseal
    shown = ProfileAnswer(
        user_id=row.user_id,
        account_id=row.account_id,
        email=await unseal(row.user_id, "email", row.email_nonce, row.email_ciphertext),
        name=await unseal(row.user_id, "name", row.name_nonce, row.name_ciphertext),
        registered_at=time_text_us(row.registered_at_us),
        sequence=found.sequence,
    )
    return answer(shown)


def _limits_of(request: Request) -> AuthLimits:
    limits: AuthLimits = request.app.state.auth_limits
    return limits


def _pair(client: str, email: str) -> str:
    return f"{client} {email.strip().casefold()}"
