"""What a call raises: one class for each kind of problem, each with the problem document that was answered."""

from http import HTTPStatus

from api.errors import Problem


class Unreachable(Exception):
    """Nobody answered, or not in time, as often as it was tried. A command may have been carried out.

    Send the same call again: its key makes that safe.
    """


class ProblemAnswered(Exception):
    """The API answered with a problem. `problem.code` is stable; `retry_after_s` says when to come again."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> str:
        """What went wrong, for programs."""
        return self.problem.code


class Unauthorised(ProblemAnswered):
    """No token, an expired one, or wrong credentials: log in."""


class Denied(ProblemAnswered):
    """Risk denied it, or it is not for this user. Of a denial the problem has the limit and the value that met it."""


class NotThere(ProblemAnswered):
    """It does not exist, or not for this user."""


class NotPossible(ProblemAnswered):
    """The present state does not allow it; nothing was stored."""


class ValueRefused(ProblemAnswered):
    """A value is not allowed (`problem.field`), or the request cannot be read; nothing was stored."""


class NotNow(ProblemAnswered):
    """Too many requests, or a part of the engine is away: come again, a command under the same key."""


_BY_STATUS: dict[int, type[ProblemAnswered]] = {
    HTTPStatus.BAD_REQUEST: ValueRefused,
    HTTPStatus.UNAUTHORIZED: Unauthorised,
    HTTPStatus.FORBIDDEN: Denied,
    HTTPStatus.NOT_FOUND: NotThere,
    HTTPStatus.CONFLICT: NotPossible,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ValueRefused,
    HTTPStatus.UNPROCESSABLE_ENTITY: ValueRefused,
    HTTPStatus.TOO_MANY_REQUESTS: NotNow,
    HTTPStatus.SERVICE_UNAVAILABLE: NotNow,
}


def problem_answered(problem: Problem, *, retry_after_s: float | None) -> ProblemAnswered:
    """Return the exception of a problem, by its status."""
    return _BY_STATUS.get(problem.status, ProblemAnswered)(problem, retry_after_s=retry_after_s)
