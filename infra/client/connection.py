"""Sending calls: the token, the key, reading one's own writes, and coming again where that is safe.

What is answered with "come again", and what is not answered at all, is sent again after a pause, but for calls without
a key that change something. A connection remembers the sequence of the newest command that it sent, and reads from
there on: whoever asks sees what they did. Should the log have been put back meanwhile, the first read says so
(`NotPossible` with `EPOCH_CHANGED`), and the next begins anew.

An access token is good for minutes, a refresh token for days, and once. A call that meets an expired access token gets
the next pair and is sent again; its caller does not notice. One call at a time does so, because a refresh token that
comes twice ends its log-in: the others wait, and find the new token.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from api.requests import LoginRequest, RefreshRequest
from infra.client.calls import Call, login, logout, refresh
from infra.client.problems import NotNow, Unauthorised, Unreachable, problem_answered

Answer = TypeVar("Answer", bound=msgspec.Struct)
OnAnswer = Callable[[httpx.Response], None]
OnLogIn = Callable[[LoginAnswer], None]

TIMEOUT_S = 30.0
ATTEMPTS_MAX = 5
PAUSE_MAX_S = 10.0
_EPOCH_CHANGED = "EPOCH_CHANGED"
_TO_BE_RENEWED = frozenset({"TOKEN_EXPIRED", "TOKEN_MISSING"})
"""What is answered to who has a refresh token and no good access token, or none yet."""
_LOG_IN_ENDED = frozenset({"REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED"})
_BACKOFF = wait_random_exponential(multiplier=0.1, max=PAUSE_MAX_S)


class _Connection:
    """What a connection knows between two calls, and how calls and answers look on the wire."""

    sequence: int
    """The place in the log from which on it reads: that of the newest command; 0 before the first.

    It may be set to what somebody else wrote.
    """

    def __init__(
        self, *, token: str, refresh_token: str, query_url: str, on_answer: OnAnswer | None, on_log_in: OnLogIn | None
    ) -> None:
        self.sequence = 0
        self._token = token
        self._refresh_token = refresh_token
        self._query_url = query_url
        self._epoch = ""
        self._on_answer = on_answer
        self._on_log_in = on_log_in

    def _request(self, call: Call[Any]) -> dict[str, Any]:
        """Return the arguments of the HTTP request for *call*."""
        query = {name: value for name, value in call.query.items() if value is not None}
        headers = {} if call.is_public or not self._token else {"Authorization": f"Bearer {self._token}"}
        if call.key is not None:
            headers[KEY_HEADER] = call.key
        if call.is_read and call.is_of_log and self.sequence and not _looks_back(query):
            query.setdefault("min_sequence", self.sequence)
            if self._epoch:
                headers[EPOCH_HEADER] = self._epoch
        content = None if call.body is None else msgspec.json.encode(call.body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = self._query_url + call.path if call.is_read else call.path
        return {"method": call.method, "url": url, "params": query, "headers": headers, "content": content}

    def _answer(self, call: Call[Answer], response: httpx.Response) -> Answer:
        """Return what *response* says.

        Raises:
            ProblemAnswered: it says no.
            Unreachable: it is no answer of ours.
        """
        if self._on_answer is not None:
            self._on_answer(response)
        if response.is_success or response.status_code in call.also:
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
        if problem.code in _LOG_IN_ENDED:
            self._refresh_token = ""
        retry_after = response.headers.get("Retry-After", "")
        raise problem_answered(problem, retry_after_s=float(retry_after) if retry_after.isdecimal() else None)

    def _remember(self, response: httpx.Response, sequence: int | None) -> None:
        if sequence is not None:
            self.sequence = max(self.sequence, sequence)
            self._epoch = response.headers.get(EPOCH_HEADER, "")

    def _become(self, answer: LoginAnswer) -> None:
        """Speak as whom *answer* is for."""
        self._token, self._refresh_token = answer.access_token, answer.refresh_token
        if self._on_log_in is not None:
            self._on_log_in(answer)

    def _become_nobody(self) -> None:
        self._token = self._refresh_token = ""

    def _wants_renewal(self, call: Call[Any], refused: Unauthorised) -> bool:
        """Whether *call* is worth another try with a new token. It was not carried out, so it needs no key for that."""
        return not call.is_public and refused.code in _TO_BE_RENEWED and bool(self._refresh_token)

    def _renewal(self, token: str) -> Call[LoginAnswer] | None:
        """Return what gets a token in place of *token*; None where somebody did so while we waited."""
        if self._token != token or not self._refresh_token:
            return None
        return refresh(RefreshRequest(refresh_token=self._refresh_token))


def _looks_back(query: dict[str, Any]) -> bool:
    return "as_of" in query or "at_sequence" in query


def _is_worth_another_try(call: Call[Any]) -> Callable[[BaseException], bool]:
    return lambda error: call.may_be_repeated and isinstance(error, (NotNow, Unreachable))


def _pause_s(state: RetryCallState) -> float:
    """Wait as long as the answer says, or a little longer each time."""
    error = state.outcome.exception() if state.outcome is not None else None
    told = error.retry_after_s if isinstance(error, NotNow) else None
    return min(PAUSE_MAX_S, told or 0.0) + _BACKOFF(state)


@contextmanager
def _reaching(call: Call[Any]) -> Iterator[None]:
    """Say of what fails on the way that nobody was reached. Raises Unreachable."""
    try:
        yield
    except httpx.TransportError as error:
        raise Unreachable(f"{call.method} {call.path}: {type(error).__name__}: {error}") from error


def _policy(call: Call[Any]) -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_is_worth_another_try(call)),
        "stop": stop_after_attempt(ATTEMPTS_MAX),
        "wait": _pause_s,
        "reraise": True,
    }


class Khata(_Connection):
    """A connection for programs that do one thing after another, or several in threads.

    Closed at the end of its `with` block.
    """

    def __init__(
        self,
        url: str,
        *,
        query_url: str = "",
        token: str = "",
        refresh_token: str = "",
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        on_answer: OnAnswer | None = None,
        on_log_in: OnLogIn | None = None,
    ) -> None:
        """Prepare to speak to the API at *url*; to its query half at *query_url*, if that runs apart.

        *on_answer* is shown every answer as it comes, *on_log_in* every new pair of tokens, for who wants to keep them.
        """
        super().__init__(
            token=token, refresh_token=refresh_token, query_url=query_url, on_answer=on_answer, on_log_in=on_log_in
        )
        self._http = httpx.Client(base_url=url, timeout=timeout_s, transport=transport)
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The log-in goes on."""
        self._http.close()

    def log_in(self, email: str, password: str) -> LoginAnswer:
        """Log in; what is sent from now on is sent as this user. Raises as `send` does."""
        answer = self.send(login(LoginRequest(email=email, password=password)))
        self._become(answer)
        return answer

    def log_out(self) -> None:
        """End the log-in; what is sent from now on is sent as nobody. Raises as `send` does."""
        with self._renewing:
            if self._refresh_token:
                self.send(logout(RefreshRequest(refresh_token=self._refresh_token)))
            self._become_nobody()

    def send(self, call: Call[Answer]) -> Answer:
        """Send *call* and return its answer.

        Raises:
            infra.client.problems.ProblemAnswered: the API says no, in the subclass of its kind.
            infra.client.problems.Unreachable: nobody answered.
        """
        return Retrying(**_policy(call))(lambda: self._try(call))

    def _try(self, call: Call[Answer]) -> Answer:
        token = self._token
        try:
            return self._ask(call)
        except Unauthorised as refused:
            if not self._wants_renewal(call, refused):
                raise
        with self._renewing:
            if (renewal := self._renewal(token)) is not None:
                self._become(self._ask(renewal))
        return self._ask(call)

    def _ask(self, call: Call[Answer]) -> Answer:
        with _reaching(call):
            response = self._http.request(**self._request(call))
        return self._answer(call, response)


class AsyncKhata(_Connection):
    """A connection for programs on an event loop. Closed at the end of its `async with` block."""

    def __init__(
        self,
        url: str = "",
        *,
        query_url: str = "",
        token: str = "",
        refresh_token: str = "",
        timeout_s: float = TIMEOUT_S,
        http: httpx.AsyncClient | None = None,
        on_answer: OnAnswer | None = None,
        on_log_in: OnLogIn | None = None,
    ) -> None:
        """Prepare to speak to the API at *url*, or through *http*, which several may share and its owner closes.

        `http` may be replaced: whoever started an engine again finds it at another address. The rest is as of `Khata`.
        """
        super().__init__(
            token=token, refresh_token=refresh_token, query_url=query_url, on_answer=on_answer, on_log_in=on_log_in
        )
        self._is_owner = http is None
        self.http = httpx.AsyncClient(base_url=url, timeout=timeout_s) if http is None else http
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up, unless others own the connection. The log-in goes on."""
        if self._is_owner:
            await self.http.aclose()

    async def log_in(self, email: str, password: str) -> LoginAnswer:
        """Log in; what is sent from now on is sent as this user. Raises as `send` does."""
        answer = await self.send(login(LoginRequest(email=email, password=password)))
        self._become(answer)
        return answer

    async def log_out(self) -> None:
        """End the log-in; what is sent from now on is sent as nobody. Raises as `send` does."""
        async with self._renewing:
            if self._refresh_token:
                await self.send(logout(RefreshRequest(refresh_token=self._refresh_token)))
            self._become_nobody()

    async def send(self, call: Call[Answer]) -> Answer:
        """Send *call* and return its answer. Raises as `Khata.send` does."""
        return await AsyncRetrying(**_policy(call))(self._try, call)

    async def _try(self, call: Call[Answer]) -> Answer:
        token = self._token
        try:
            return await self._ask(call)
        except Unauthorised as refused:
            if not self._wants_renewal(call, refused):
                raise
        async with self._renewing:
            if (renewal := self._renewal(token)) is not None:
                self._become(await self._ask(renewal))
        return await self._ask(call)

    async def _ask(self, call: Call[Answer]) -> Answer:
        with _reaching(call):
            response = await self.http.request(**self._request(call))
        return self._answer(call, response)
