"""What holds for every request and answer: a size limit, an id, headers, a deadline, and a last word on bugs.

Plain ASGI around the whole application: the size of a body is counted while it comes in, before anything reads it, and
an answer leaves with its headers whoever made it.
"""

import asyncio
import traceback
from collections.abc import Callable, Mapping

import msgspec
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.codes import PROBLEMS
from api.errors import PROBLEM_JSON, BodyTooLarge, problem_of
from api.rate_limit import rate_headers
from commands.ports import Clock, Ids

BODY_BYTES_MAX = 64 * 1024
REQUEST_ID_HEADER = "X-Request-Id"
INTERNAL_ERROR = "INTERNAL_ERROR"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
_TOO_LATE = "a command goes on: ask again under the same Idempotency-Key, which cannot do it twice"
_CONTENT_LENGTH_DIGITS = 18

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
    ),
}
_DOCS_PATH = "/docs"
_DOCS_POLICY = (
    # Swagger UI, from files of ours: its script stands in none of our pages, but it writes styles into its own.
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
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
        answer_within_s: float,
        body_bytes_max: int = BODY_BYTES_MAX,
        roomy: Mapping[str, int] | None = None,
        shown: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._app = app
        self._clock = clock
        self._ids = ids
        self._answer_within_s = answer_within_s
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
        answer = _Answer(send, scope, self._shown)
        deadline = asyncio.get_running_loop().call_later(self._answer_within_s, answer.give_up)
        try:
            await self._app(scope, self._limited(scope, receive), answer.send)
        except ClientDisconnect:
            return  # Nobody is left to be answered; a command that was under way has run to its end.
        except Exception as error:
            # As plain text: a renderer that adds the values of local variables would write passwords into the log.
            cause = "".join(traceback.format_exception(error))
            _log.error("request failed", request_id=request_id, method=scope["method"], path=scope["path"], cause=cause)
            if answer.is_given_up:
                return
            if answer.is_begun:
                raise  # Half an answer is out: the server cuts the connection, so that nobody takes it for whole.
            await answer.tell(INTERNAL_ERROR, f"the cause is in our log under {request_id}")
        finally:
            deadline.cancel()

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


class _Answer:
    """What goes out to one request: with its headers, and once.

    When it is given up, the client is told so and whatever comes later is dropped, but nothing is canceled: an append
    that is under way is durable or is not, and the same key tells which.
    """

    def __init__(self, send: Send, scope: Scope, shown: Callable[[], Mapping[str, str]]) -> None:
        self._send = send
        self._scope = scope
        self._shown = shown
        self._telling: asyncio.Task[None] | None = None
        self.is_begun = False

    @property
    def is_given_up(self) -> bool:
        """Whether the client was told that it takes too long."""
        return self._telling is not None

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if not self.is_given_up:
            await self._send_on(message)

    async def _send_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            headers = MutableHeaders(scope=message)
            _complete(headers, self._scope["path"], self._scope["state"]["request_id"])
            headers.update(rate_headers(self._scope["state"]))
            headers.update({name: value for name, value in self._shown().items() if value})
        await self._send(message)

    def give_up(self) -> None:
        """Tell the client that it takes too long, unless an answer is on its way."""
        if not self.is_begun:
            self._telling = asyncio.create_task(self.tell(DEADLINE_EXCEEDED, _TOO_LATE))

    async def tell(self, code: str, detail: str) -> None:
        """Answer with a problem."""
        status = PROBLEMS[code].status
        problem = problem_of(code, detail, status=status, instance=self._scope["path"])
        headers = [(b"content-type", PROBLEM_JSON.encode())]
        if code == DEADLINE_EXCEEDED:
            headers.append((b"retry-after", b"1"))
        await self._send_on({"type": "http.response.start", "status": status, "headers": headers})
        await self._send_on({"type": "http.response.body", "body": msgspec.json.encode(problem)})


def _complete(headers: MutableHeaders, path: str, request_id: str) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers[REQUEST_ID_HEADER] = request_id
    if path == _DOCS_PATH:
        headers["Content-Security-Policy"] = _DOCS_POLICY
    if path.startswith("/api/"):
        headers["Cache-Control"] = "no-store"
