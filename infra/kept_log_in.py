"""The log-in of the command line: its tokens under the home folder, and asking the API with them.

Whoever can read the tokens is that user for as long as they are good, so nobody else can. A refresh token is good once,
and one that comes twice ends its log-in: commands that ask at the same time take turns.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from adapters.durable_files import write_durably
from api.auth import LoginAnswer
from infra.client import Call, Khata, ProblemAnswered, Unauthorised, Unreachable
from infra.home import Home
from infra.problems import OperatorProblem
from infra.runtime import running_engine
from infra.settings import Settings

Answer = TypeVar("Answer", bound=msgspec.Struct)

_HOW_TO_LOG_IN = "`khata login EMAIL` logs in."


class KeptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a log-in."""

    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return "KeptTokens(…)"


def api_addresses(settings: Settings) -> tuple[str, str]:
    """Return where the API answers commands, and where queries: those of the engine that runs here, or as set.

    Raises:
        OperatorProblem: none runs here, and the settings leave the port to it.
    """
    running = running_engine(Home(settings.home))
    if running is not None:
        return running.api_url, running.query_api_url or running.api_url
    query_port = settings.query_api_port if settings.api_apart else settings.api_port
    if not settings.api_port or not query_port:
        raise OperatorProblem(f"No engine runs on {settings.home}.", remedy="Start it by `khata up`.")
    return f"http://{settings.api_host}:{settings.api_port}", f"http://{settings.api_host}:{query_port}"


def log_in(settings: Settings, email: str, password: str) -> LoginAnswer:
    """Log in and keep the tokens, in place of those of an earlier log-in.

    Raises:
        OperatorProblem: the API says no, or nobody answers.
    """
    home = Home(settings.home)
    home.prepare()
    url, _ = api_addresses(settings)
    with _turn(home), _telling_operators(url, remedy=""), Khata(url) as khata:
        answer = khata.log_in(email, password)
        _keep(home, answer)
        return answer


def log_out(settings: Settings) -> None:
    """End the log-in and forget its tokens.

    Raises:
        OperatorProblem: nobody is logged in, or nobody answers.
    """
    with _logged_in(settings) as khata:
        khata.log_out()
        Home(settings.home).log_in_file.unlink()


def ask(settings: Settings, call: Call[Answer]) -> Answer:
    """Send *call* as who is logged in, and return its answer.

    Raises:
        OperatorProblem: nobody is logged in, the API says no, or nobody answers.
    """
    with _logged_in(settings) as khata:
        return khata.send(call)


@contextmanager
def _logged_in(settings: Settings) -> Iterator[Khata]:
    home = Home(settings.home)
    with _turn(home):
        kept = _kept(home.log_in_file)
        url, query_url = api_addresses(settings)
        khata = Khata(
            url,
            query_url=query_url,
            token=kept.access_token,
            refresh_token=kept.refresh_token,
            on_log_in=lambda answer: _keep(home, answer),
        )
        with _telling_operators(url, remedy=_HOW_TO_LOG_IN), khata:
            yield khata


@contextmanager
def _turn(home: Home) -> Iterator[None]:
    """Let one command of this home after another have the tokens."""
    try:
        lock = home.log_in_lock.open("w")
    except FileNotFoundError:
        raise OperatorProblem("Nobody is logged in.", remedy=_HOW_TO_LOG_IN) from None
    except OSError as error:
        raise OperatorProblem(
            f"The log-in in {home.log_in} cannot be used: {error.strerror}.",
            remedy="Set KHATA_HOME to a folder that you may write to.",
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _kept(path: Path) -> KeptTokens:
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeptTokens)
    except FileNotFoundError:
        raise OperatorProblem("Nobody is logged in.", remedy=_HOW_TO_LOG_IN) from None
    except msgspec.MsgspecError:
        raise OperatorProblem(f"{path} holds no tokens.", remedy=_HOW_TO_LOG_IN) from None


def _keep(home: Home, answer: LoginAnswer) -> None:
    kept = KeptTokens(access_token=answer.access_token, refresh_token=answer.refresh_token)
    write_durably(home.log_in_file, msgspec.json.encode(kept))


@contextmanager
def _telling_operators(url: str, *, remedy: str) -> Iterator[None]:
    """Say what the API says, and what to do about it: *remedy*, where it does not believe who is asking."""
    try:
        yield
    except Unreachable as unreachable:
        raise OperatorProblem(
            f"Nobody answers at {url}: {unreachable}.",
            remedy="Start the engine by `khata up`; of one elsewhere, KHATA_API_HOST and KHATA_API_PORT tell where.",
        ) from None
    except Unauthorised as refused:
        raise OperatorProblem(f"{refused}.", remedy=remedy) from None
    except ProblemAnswered as answered:
        raise OperatorProblem(f"{answered}.", remedy=f"docs/errors.md says more of {answered.code}.") from None
