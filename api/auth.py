"""Registering, logging in, staying logged in, and logging out."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.audit import note_login
from api.bodies import read_body
from api.callers import SOURCE
from api.errors import RateLimited
from api.fields import Sequence
from api.openapi import answers, request_body
from api.rate_limit import SlidingWindow
from api.requests import LoginRequest, RefreshRequest, RegisterRequest
from api.services import Services, services_of
from commands.log_ins import Issued, RefreshTokenReused
from commands.users import CredentialsWrong
from domain.envelope import Metadata
from domain.ids import UserId

FAILURES_MAX = 10
FAILURES_WINDOW_S = 30 * 60
"""Source: PCI DSS 8.3.4, here for one address and one client, so that nobody can lock another person out."""

router = APIRouter(prefix="/api/auth", tags=["auth"])


class RegisteredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A new user and the paper account that came with them."""

    user_id: str
    account_id: str
    sequence: Sequence


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the header `Authorization: Bearer …`, and the seconds it is good for.

    `refresh_token` is good once, for `POST /api/auth/refresh`, within `refresh_expires_in` seconds.
    """

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class LoggedOutAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The log-in has ended: its refresh token is good for nothing. Its access token ends within ten minutes."""

    ended: bool


class AuthLimits:
    """How often one client may try."""

    def __init__(self, services: Services) -> None:
        self._requests = SlidingWindow(services.clock, limit=services.auth_requests_per_minute, window_s=60)
        self._failures = SlidingWindow(services.clock, limit=FAILURES_MAX, window_s=FAILURES_WINDOW_S)

    def count_request(self, client: str) -> None:
        """Let one request of a client pass. Raises RateLimited."""
        self._demand(self._requests, client, "too many registrations and log-ins from this address")
        self._requests.add(client)

    def demand_chance(self, client: str, email: str) -> None:
        """Let a client try to log in as *email*. Raises RateLimited."""
        self._demand(self._failures, _pair(client, email), "too many log-ins failed for this e-mail address")

    def count_failure(self, client: str, email: str) -> None:
        """Remember that a client failed to log in as *email*."""
        self._failures.add(_pair(client, email))

    def forgive(self, client: str, email: str) -> None:
        """Forget a client's failures: it proved to be *email*."""
        self._failures.clear(_pair(client, email))

    @staticmethod
    def _demand(window: SlidingWindow, key: str, detail: str) -> None:
        if (seconds := window.retry_after_s(key)) is not None:
            raise RateLimited("RATE_LIMITED", detail, retry_after_s=seconds)


@router.post(
    "/register",
    status_code=201,
    openapi_extra=request_body(RegisterRequest),
    responses=answers(RegisteredAnswer, "Registered", 400, 409, 422, 429, 503, status=201),
)
async def register(request: Request) -> Response:
    """Register a person and open their paper account."""
    services = services_of(request)
    limits_of(request).count_request(client_of(request))
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
    services, limits, client = services_of(request), limits_of(request), client_of(request)
    limits.count_request(client)
    body = await read_body(request, LoginRequest)
    limits.demand_chance(client, body.email)
    try:
        user_id = await services.users.authenticate(email=body.email, password=body.password)
    except CredentialsWrong:
        limits.count_failure(client, body.email)
        raise
    limits.forgive(client, body.email)
    note_login(request, user_id)
    return _logged_in(request, user_id, await services.log_ins.begin(user_id))


@router.post(
    "/refresh",
    openapi_extra=request_body(RefreshRequest),
    responses=answers(LoginAnswer, "Logged in for longer", 400, 401, 422, 429, 503),
)
async def refresh(request: Request) -> Response:
    """Exchange a refresh token, once, for an access token and the next refresh token.

    One that comes a second time ends its log-in; only within ten seconds, where an answer was lost on its way, it is
    answered again.
    """
    services = services_of(request)
    limits_of(request).count_request(client_of(request))
    body = await read_body(request, RefreshRequest)
    try:
        user_id, refreshed = await services.log_ins.renew(body.refresh_token)
    except RefreshTokenReused as reused:
        request.state.user_id = reused.user_id  # For the audit book: it is theirs that was stolen.
        raise
    return _logged_in(request, user_id, refreshed)


@router.post(
    "/logout",
    openapi_extra=request_body(RefreshRequest),
    responses=answers(LoggedOutAnswer, "Logged out", 400, 422, 429, 503),
)
async def logout(request: Request) -> Response:
    """End the log-in that a refresh token belongs to. Twice is as once."""
    limits_of(request).count_request(client_of(request))
    body = await read_body(request, RefreshRequest)
    await services_of(request).log_ins.end(body.refresh_token)
    return answer(LoggedOutAnswer(ended=True))


def _logged_in(request: Request, user_id: UserId, refreshed: Issued) -> Response:
    token, expires_in = services_of(request).tokens.issue(user_id)
    return answer(
        LoginAnswer(
            access_token=token,
            token_type="Bearer",  # noqa: S106 - a word
            expires_in=expires_in,
            refresh_token=refreshed.token,
            refresh_expires_in=refreshed.expires_in_s,
        )
    )


def limits_of(request: Request) -> AuthLimits:
    """Return how often clients of this API may try."""
    limits: AuthLimits = request.app.state.auth_limits
    return limits


def client_of(request: Request) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "unknown"


def _pair(client: str, email: str) -> str:
    return f"{client} {email.strip().casefold()}"
