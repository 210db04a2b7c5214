"""Sending calls: the token, the key, reading one's own writes, and coming again where that is safe.

What is answered with "come again", and what is not answered at all, is sent again after a pause, but for calls without
a key that change something. A connection remembers the sequence of the newest command that it sent, and reads from
there on: whoever asks sees what they did. Should the log have been put back meanwhile, the first read says so
(`NotPossible` with `EPOCH_CHANGED`), and the next begins anew.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from api.auth import LoginAnswer
from api.epochs import HEADER as EPOCH_HEADER
from api.errors import Problem
from api.idempotency import HEADER as KEY_HEADER
from api.requests import LoginRequest
from infra.client.calls import Call, login
from infra.client.problems import NotNow, Unreachable, problem_answered

Answer = TypeVar("Answer", bound=msgspec.Struct)
OnAnswer = Callable[[httpx.Response], None]

TIMEOUT_S = 30.0
ATTEMPTS_MAX = 5
PAUSE_MAX_S = 10.0
_EPOCH_CHANGED = "EPOCH_CHANGED"
_BACKOFF = wait_random_exponential(multiplier=0.1, max=PAUSE_MAX_S)


class _Session:
    """What a connection knows of itself between two calls, and how calls and answers look on the wire."""

    def __init__(self, on_answer: OnAnswer | None) -> None:
        self.token = ""
        self.sequence = 0
        self._epoch = ""
        self._on_answer = on_answer

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return the arguments of the HTTP request for *call*."""
        query = {name: value for name, value in call.query.items() if value is not None}
        headers = {} if call.is_public or not self.token else {"Authorization": f"Bearer {self.token}"}
        if call.key is not None:
            headers[KEY_HEADER] = call.key
        if call.is_read and self.sequence and not _looks_back(query):
            query.setdefault("min_sequence", self.sequence)
            if self._epoch:
                headers[EPOCH_HEADER] = self._epoch
        content = None if call.body is None else msgspec.json.encode(call.body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        return {"method": call.method, "url": call.path, "params": query, "headers": headers, "content": content}

    def answer(self, call: Call[Answer], response: httpx.Response) -> Answer:
        """Return what *response* says.

        Raises:
            ProblemAnswered: it says no.
            Unreachable: it is no answer of ours.
        """
        if self._on_answer is not None:
            self._on_answer(response)
        if response.is_success:
            decoded = msgspec.json.decode(response.content, type=call.answer)
            if not call.is_read:
                self._remember(response, getattr(decoded, "sequence", None))
            return decoded
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except msgspec.MsgspecError:
            raise Unreachable(f"{call.method} {call.path}: {response.status_code} from something in between") from None
        if problem.sequence is not None:
            self._remember(response, problem.sequence)
        if problem.code == _EPOCH_CHANGED:
            self.sequence, self._epoch = 0, ""
        retry_after = response.headers.get("Retry-After", "")
        raise problem_answered(problem, retry_after_s=float(retry_after) if retry_after.isdecimal() else None)

    def _remember(self, response: httpx.Response, sequence: int | None) -> None:
        if sequence is not None:
            self.sequence = max(self.sequence, sequence)
            self._epoch = response.headers.get(EPOCH_HEADER, "")


def _looks_back(query: dict[str, Any]) -> bool:
    return "as_of" in query or "at_sequence" in query


def _is_worth_another_try(call: Call[Any]) -> Callable[[BaseException], bool]:
    return lambda error: call.may_be_repeated and isinstance(error, (NotNow, Unreachable))


def _pause_s(state: RetryCallState) -> float:
    """Wait as long as the answer says, or a little longer each time."""
    error = state.outcome.exception() if state.outcome is not None else None
    told = error.retry_after_s if isinstance(error, NotNow) else None
    return min(PAUSE_MAX_S, told or 0.0) + _BACKOFF(state)


def _policy(call: Call[Any]) -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_is_worth_another_try(call)),
        "stop": stop_after_attempt(ATTEMPTS_MAX),
        "wait": _pause_s,
        "reraise": True,
    }


class Khata:
    """A connection for programs that do one thing after another. Closed at the end of its `with` block."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        on_answer: OnAnswer | None = None,
    ) -> None:
        """Prepare to speak to the API at *url*. *on_answer* is shown every answer as it comes."""
        self._http = httpx.Client(base_url=url, timeout=timeout_s, transport=transport)
        self._session = _Session(on_answer)
        self._session.token = token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    @property
    def sequence(self) -> int:
        """The place in the log from which on it reads: that of the newest command; 0 before the first.

        It may be set to what somebody else wrote.
        """
        return self._session.sequence

    @sequence.setter
    def sequence(self, sequence: int) -> None:
        self._session.sequence = sequence

    def log_in(self, email: str, password: str) -> LoginAnswer:
        """Log in; what is sent from now on is sent as this user. Raises as `send` does."""
        answer = self.send(login(LoginRequest(email=email, password=password)))
        self._session.token = answer.access_token
        return answer

    def send(self, call: Call[Answer]) -> Answer:
        """Send *call* and return its answer.

        Raises:
            infra.client.problems.ProblemAnswered: the API says no, in the subclass of its kind.
            infra.client.problems.Unreachable: nobody answered.
        """

        def once() -> Answer:
            try:
                response = self._http.request(**self._session.request(call))
            except httpx.TransportError as error:
                raise Unreachable(f"{call.method} {call.path}: {type(error).__name__}: {error}") from error
            return self._session.answer(call, response)

        return Retrying(**_policy(call))(once)


class AsyncKhata:
    """A connection for programs on an event loop. Closed at the end of its `async with` block."""

    def __init__(
        self,
        url: str = "",
        *,
        token: str = "",
        timeout_s: float = TIMEOUT_S,
        http: httpx.AsyncClient | None = None,
        on_answer: OnAnswer | None = None,
    ) -> None:
        """Prepare to speak to the API at *url*, or through *http*, which several may share and its owner closes.

        `http` may be replaced: whoever started an engine again finds it at another address.
        """
        self._is_owner = http is None
        self.http = httpx.AsyncClient(base_url=url, timeout=timeout_s) if http is None else http
        self._session = _Session(on_answer)
        self._session.token = token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up, unless others own the connection."""
        if self._is_owner:
            await self.http.aclose()

    @property
    def sequence(self) -> int:
        """The place in the log from which on it reads: that of the newest command; 0 before the first.

        It may be set to what somebody else wrote.
        """
        return self._session.sequence

    @sequence.setter
    def sequence(self, sequence: int) -> None:
        self._session.sequence = sequence

    async def log_in(self, email: str, password: str) -> LoginAnswer:
        """Log in; what is sent from now on is sent as this user. Raises as `send` does."""
        answer = await self.send(login(LoginRequest(email=email, password=password)))
        self._session.token = answer.access_token
        return answer

    async def send(self, call: Call[Answer]) -> Answer:
        """Send *call* and return its answer. Raises as `Khata.send` does."""

        async def once() -> Answer:
            try:
                response = await self.http.request(**self._session.request(call))
            except httpx.TransportError as error:
                raise Unreachable(f"{call.method} {call.path}: {type(error).__name__}: {error}") from error
            return self._session.answer(call, response)

        return await AsyncRetrying(**_policy(call))(once)
