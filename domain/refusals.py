"""Refusals: commands that make no sense in the present state. The caller is told; nothing is stored."""

from typing import ClassVar


class Refusal(Exception):
    """A command that was not carried out.

    `code` is stable: clients may depend on it. `message` says what was received and what was expected.
    """

    code: ClassVar[str] = "REFUSED"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(Refusal):
    """A value that can never be right. The caller sees 422; nothing is stored."""

    code = "INVALID_INPUT"


class NotFound(Refusal):
    """What the command speaks of does not exist, or not for this user. The caller sees 404; nothing is stored."""

    code = "NOT_FOUND"


class Forbidden(Refusal):
    """The user sees the thing, and may not do this with it. The caller sees 403; nothing is stored."""

    code = "FORBIDDEN"


class Conflict(Refusal):
    """The present state does not allow it. The caller sees 409; nothing is stored."""

    code = "CONFLICT"
