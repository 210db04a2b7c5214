"""From exceptions to answers: every fault and refusal that a client can meet, and the document that tells it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.audit import note_refusal
from api.codes import title_of, type_of
from commands.intake import IntentStorm
from commands.lane import AccountBusy, DecisionStopped
from commands.log_ins import RefreshTokenInvalid, RefreshTokenReused
from commands.ports import (
    AppendOutcomeUnknown,
    HasherBusy,
    KeyReused,
    LogFull,
    StoreUnavailable,
    TokenExpired,
    TokenInvalid,
)
from commands.users import CredentialsWrong
from domain.refusals import Conflict, Forbidden, InvalidInput, NotFound, Refusal
from domain.user.decide import UserUnknown
from projections.ports import BarsUnreadable, InstrumentsUnreadable
from projections.queries import QueriesUnavailable, ReadModelBehind

PROBLEM_JSON = "application/problem+json"
_BEARER = 'Bearer realm="khata"'


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong (RFC 9457). `code` is stable: clients may depend on it, and on no other text here.

    `type` says where the code is explained, with cause and remedy: a reference relative to the API itself.

    `field` names the part of the body or query that was wrong. `limit`, `value`, `passing` (what would have passed),
    `trade_id` and `sequence` are those of a denial by risk, which is an event in the log.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str = ""
    field: str | None = None
    limit: str | None = None
    value: str | None = None
    passing: str | None = None
    trade_id: str | None = None
    sequence: int | None = None


class ApiRefusal(Exception):
    """A request that the API turns away before anything of the engine saw it. Nothing is stored.

    `field` names the part that was wrong, None where it is the whole. `retry_after_s` tells when to come again.
    """

    def __init__(self, code: str, detail: str, *, field: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class BadRequest(ApiRefusal):
    """What was sent is no request of ours at all. The caller sees 400."""


class Unauthenticated(ApiRefusal):
    """Nobody asks. The caller sees 401."""


class EpochChanged(ApiRefusal):
    """A sequence of another history of the log. The caller sees 409 and reads anew, without it."""


class BodyTooLarge(ApiRefusal):
    """More than a request may weigh. The caller sees 413."""


class NotServedHere(ApiRefusal):
    """The other half of the API answers this. The caller sees 421."""


class FieldInvalid(ApiRefusal):
    """A value of the wrong kind or range. The caller sees 422."""


class RateLimited(ApiRefusal):
    """Too many requests. The caller sees 429 and when to come again."""


class Row(NamedTuple):
    """How one kind of exception is answered. Without `code` and `detail`, the exception's own are told."""

    status: int
    code: str | None = None
    detail: str | None = None
    retry_after_s: int | None = None


TABLE: dict[type[Exception], Row] = {
    # The API's own, before the engine is asked.
    BadRequest: Row(400),
    Unauthenticated: Row(401),
    EpochChanged: Row(409),
    BodyTooLarge: Row(413),
    NotServedHere: Row(421),
    FieldInvalid: Row(422),
    RateLimited: Row(429),
    # Who is asking.
    TokenInvalid: Row(401, "TOKEN_INVALID", "the access token is not one of ours"),
    TokenExpired: Row(401, "TOKEN_EXPIRED", "the access token is over ten minutes old"),
    UserUnknown: Row(401, "TOKEN_INVALID", "the access token names nobody"),
    RefreshTokenInvalid: Row(401, "REFRESH_TOKEN_INVALID", "this refresh token is over, or not ours"),
    RefreshTokenReused: Row(
        401,
        "REFRESH_TOKEN_REUSED",
        "this refresh token was used before, so somebody else may have it: the log-in that it came from has ended",
    ),
    CredentialsWrong: Row(401, "CREDENTIALS_WRONG", "this e-mail address and password are nobody's"),
    IntentStorm: Row(429, "INTENT_STORM", "the account hands in more intents than are taken", 1),
    HasherBusy: Row(429, "LOGIN_BUSY", "too many people log in at once", 1),
    # Refusals: the same request can never succeed, or not now.
    Refusal: Row(409),
    InvalidInput: Row(422),
    NotFound: Row(404),
    Forbidden: Row(403),
    Conflict: Row(409),
    KeyReused: Row(422, "IDEMPOTENCY_KEY_REUSED", "the same key came with another body before"),
    # Faults: ask again.
    AccountBusy: Row(503, "ACCOUNT_BUSY", "others kept changing the account: ask again", 1),
    DecisionStopped: Row(503, "DECISION_STOPPED"),
    StoreUnavailable: Row(503, "STORE_UNAVAILABLE", "nothing was stored: ask again", 1),
    LogFull: Row(503, "LOG_FULL", "its disk has no room, and nothing was stored: ask later", 30),
    AppendOutcomeUnknown: Row(
        503,
        "OUTCOME_UNKNOWN",
        "it may have been stored: ask again under the same Idempotency-Key, which cannot do it twice",
        1,
    ),
    ReadModelBehind: Row(503, "READ_MODEL_BEHIND", None, 1),
    BarsUnreadable: Row(503, "BARS_UNREADABLE", None, 60),
    InstrumentsUnreadable: Row(503, "INSTRUMENTS_UNREADABLE", None, 60),
    QueriesUnavailable: Row(503, "VIEWS_UNAVAILABLE", "the views cannot be read: ask again", 1),
}


def install(app: FastAPI) -> None:
    """Let *app* answer every exception of the table, and the framework's own, with a problem document."""
    for exception_type in TABLE:
        app.add_exception_handler(exception_type, answer_exception)
    app.add_exception_handler(RequestValidationError, _answer_parameters)
    app.add_exception_handler(HTTPException, _answer_http)


def row_of(exception: Exception) -> Row:
    """Return the row of the nearest class in the table."""
    return row_of_kind(type(exception))


def row_of_kind(exception_type: type[Exception]) -> Row:
    """Return likewise how exceptions of a class are answered."""
    return next(TABLE[kind] for kind in exception_type.__mro__ if kind in TABLE)


def problem_of(code: str, detail: str, *, status: int, instance: str = "", **said: Any) -> Problem:
    """Return the document of a problem; *said* are the fields that not every problem has."""
    return Problem(
        type=type_of(code),
        title=title_of(code, status),
        status=status,
        code=code,
        detail=detail,
        instance=instance,
        **said,
    )


def problem_response(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **said: Any,
) -> Response:
    """Return a problem document as an answer; *said* are the fields that not every problem has."""
    problem = problem_of(code, detail, status=status, instance=request.url.path, **said)
    return Response(msgspec.json.encode(problem), status, headers, PROBLEM_JSON)


async def answer_exception(request: Request, exception: Exception) -> Response:
    """Return the answer to an exception of the table."""
    row = row_of(exception)
    own = exception if isinstance(exception, ApiRefusal) else None
    code = row.code or str(getattr(exception, "code", "REFUSED"))
    if row.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        note_refusal(request, code, is_login=isinstance(exception, CredentialsWrong))
    retry_after_s = row.retry_after_s if own is None else own.retry_after_s
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if row.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _BEARER
    return problem_response(
        request,
        status=row.status,
        code=code,
        detail=row.detail or str(exception),
        headers=headers,
        field=None if own is None else own.field,
    )


async def _answer_parameters(request: Request, exception: Exception) -> Response:
    """Answer a query parameter that is of the wrong kind; bodies never come here, they are read by `api.bodies`."""
    first = exception.errors()[0] if isinstance(exception, RequestValidationError) else {}
    field = str(first.get("loc", ("", "query"))[-1])
    return problem_response(
        request,
        status=422,
        code=f"{field.upper()}_INVALID",
        detail=f"{field}: {first.get('msg', 'not allowed')}",
        field=field,
    )


async def _answer_http(request: Request, exception: Exception) -> Response:
    status = HTTPStatus(exception.status_code if isinstance(exception, HTTPException) else 500)
    return problem_response(
        request,
        status=status,
        code=status.name,
        detail=f"{request.method} {request.url.path}: {status.phrase}",
        headers=getattr(exception, "headers", None),
    )
