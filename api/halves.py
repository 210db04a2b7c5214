"""The API whole, or the half of it that a process answers: commands, or queries."""

from enum import Enum

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import NotServedHere, answer_exception
from api.rates import is_about_the_process, is_reading


class Half(Enum):
    """What a process answers. A query is what changes nothing: GET, HEAD and OPTIONS."""

    WHOLE = "everything"
    COMMANDS = "commands"
    QUERIES = "queries"

    def answers(self, method: str, path: str) -> bool:
        """Return whether a process of this half answers such a request; health and documentation every one does."""
        if self is Half.WHOLE or is_about_the_process(path):
            return True
        return is_reading(method) is (self is Half.QUERIES)


class OneHalf:
    """The layer that turns away what the other half answers, before anybody looks at it."""

    def __init__(self, app: ASGIApp, *, half: Half) -> None:
        self._app = app
        self._half = half

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 421."""
        if scope["type"] == "http" and not self._half.answers(scope["method"], scope["path"]):
            other = Half.COMMANDS if self._half is Half.QUERIES else Half.QUERIES
            refused = NotServedHere(
                "NOT_SERVED_HERE", f"this process answers {self._half.value}: ask the one that answers {other.value}"
            )
            await (await answer_exception(Request(scope), refused))(scope, receive, send)
            return
        await self._app(scope, receive, send)
