"""What the venue's books said last: they are read time and again, and nearly always nothing has happened since."""

from typing import Any

from adapters.dhan.http.client import HttpAnswer
from domain.ids import AccountId

_OK = 200


class KnownBooks:
    """The newest answer of every book, with what was read of it. What is kept must not be changed by anybody."""

    def __init__(self) -> None:
        self._books: dict[tuple[AccountId, str], tuple[bytes, Any]] = {}

    def recall(self, account_id: AccountId, path: str, answer: HttpAnswer) -> Any | None:
        """Return what was read of the book at *path* when it had the very same bytes; None: it had others."""
        body, value = self._books.get((account_id, path), (None, None))
        return value if answer.status == _OK and answer.body == body else None

    def keep(self, account_id: AccountId, path: str, answer: HttpAnswer, value: Any) -> None:
        """Keep what was read of an answer."""
        if answer.status == _OK:
            self._books[account_id, path] = answer.body, value
