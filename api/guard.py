"""What holds for every request and answer: a size limit, an id, headers, and a last word on bugs.

Plain ASGI around the whole application: the size of a body is counted while it comes in, before anything reads it, and
an answer leaves with its headers whoever made it.
"""

import traceback
from collections.abc import Callable, Mapping

import msgspec
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import PROBLEM_JSON, BodyTooLarge, Problem
from commands.ports import Clock, Ids

BODY_BYTES_MAX = 64 * 1024
REQUEST_ID_HEADER = "X-Request-Id"
_CONTENT_LENGTH_DIGITS = 18

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_DOCS_PATH = "/docs"
_DOCS_POLICY = (
    # The page that FastAPI serves there loads Swagger UI from this one host and starts it by an inline script.
    "default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

_log = structlog.get_logger(__name__)


class Guard:
    """The outermost layer of the API.

    It puts into `request.state` the `request_id`, `received_at_ns` (UTC) and `received_tick_ns` (monotonic). *shown*
    returns headers of the moment, which every answer gets; those that are empty are left out. *roomy* names beginnings
    of paths whose bodies may be larger, and how large.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        ids: Ids,
        body_bytes_max: int = BODY_BYTES_MAX,
        roomy: Mapping[str, int] | None = None,
        shown: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._app = app
        self._clock = clock
        self._ids = ids
        self._body_bytes_max = body_bytes_max
        self._roomy = roomy or {}
        self._shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._ids.new("req")
        scope.setdefault("state", {}).update(
            request_id=request_id,
            received_at_ns=self._clock.wall_ns(),
            received_tick_ns=self._clock.monotonic_ns(),
        )
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                _complete(headers, scope["path"], request_id)
                headers.update({name: value for name, value in self._shown().items() if value})
            await send(message)

        try:
            await self._app(scope, self._limited(scope, receive), send_guarded)
        except ClientDisconnect:
            return  # Nobody is left to be answered; a command that was under way has run to its end.
        except Exception as error:
            # As plain text: a renderer that adds the values of local variables would write passwords into the log.
            cause = "".join(traceback.format_exception(error))
            _log.error("request failed", request_id=request_id, method=scope["method"], path=scope["path"], cause=cause)
            if started:
                raise  # Half an answer is out: the server cuts the connection, so that nobody takes it for whole.
            await _send_internal_error(send_guarded, scope["path"], request_id)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Return *receive* with a body that is too large cut off, by what it says it weighs and by what comes."""
        announced = Headers(scope=scope).get("content-length", "")
        allowed = next(
            (size for start, size in self._roomy.items() if scope["path"].startswith(start)), self._body_bytes_max
        )
        is_announced_too_large = _number(announced) > allowed
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            if is_announced_too_large:
                raise _too_large(allowed)
            message = await receive()
            received += len(message.get("body", b""))
            if received > allowed:
                raise _too_large(allowed)
            return message

        return receive_limited


def _too_large(allowed: int) -> BodyTooLarge:
    return BodyTooLarge("BODY_TOO_LARGE", f"expected a body of at most {allowed} bytes")


def _number(digits: str) -> int:
    """Return what a Content-Length says, 0 where it is no number: the server has its own opinion of that."""
    return int(digits[:_CONTENT_LENGTH_DIGITS]) if digits.isdecimal() else 0


def _complete(headers: MutableHeaders, path: str, request_id: str) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers[REQUEST_ID_HEADER] = request_id
    headers["Content-Security-Policy"] = _DOCS_POLICY if path == _DOCS_PATH else _POLICY
    if path.startswith("/api/"):
        headers["Cache-Control"] = "no-store"


async def _send_internal_error(send: Send, path: str, request_id: str) -> None:
    """Answer 500 and tell nothing but the request's id, under which the cause stands in our own log."""
    problem = Problem(
        type="urn:khata:problem:internal-error",
        title="Something is wrong on our side",
        status=500,
        code="INTERNAL_ERROR",
        detail=f"the cause is in our log under {request_id}",
        instance=path,
    )
    headers = [(b"content-type", PROBLEM_JSON.encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(problem)})
