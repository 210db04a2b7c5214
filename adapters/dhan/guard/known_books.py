"""What the venue's books said last: they are read time and again, and nearly always little has happened since.

A day's book of a busy account has hundreds of rows, of which a look finds one or two new or changed. Those are read; of
the others it is known what their bytes mean. Whatever is not plainly a list of rows is left to whoever reads all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from adapters.dhan.http.client import HttpAnswer
from adapters.dhan.http.errors import Fine, classify
from adapters.dhan.words.codec import AnswerMalformed
from domain.ids import AccountId

ReadRows = Callable[[Any], Any]
"""Makes of a document, a list of rows, a tuple of one value a row in their order; raises AnswerMalformed."""


@dataclass(frozen=True, slots=True)
class _Book:
    body: bytes
    values: tuple[Any, ...]
    by_row: Mapping[bytes, Any]


class KnownBooks:
    """The newest answer of every book, with what was read of it. What is kept must not be changed by anybody."""

    def __init__(self) -> None:
        self._books: dict[tuple[AccountId, str], _Book] = {}

    def recall(self, account_id: AccountId, path: str, answer: HttpAnswer, read: ReadRows) -> Any | None:
        """Return what the book at *path* says, with *read* for the rows that it did not have before.

        None: it has to be read whole, and then kept.
        """
        book = self._books.get((account_id, path))
        if book is None or answer.status != HTTPStatus.OK:
            return None
        if book.body == answer.body:
            return book.values
        rows = _rows_in(answer.body)
        news = [row for row in rows if row not in book.by_row]
        if len(news) == len(rows):
            return None
        verdict = classify(HTTPStatus.OK, b"[" + b",".join(news) + b"]")
        if not isinstance(verdict, Fine):
            return None
        try:
            read_of_news = dict(zip(news, read(verdict.document), strict=True))
        except AnswerMalformed:
            return None
        by_row = {row: read_of_news[row] if row in read_of_news else book.by_row[row] for row in rows}
        values = tuple(by_row[row] for row in rows)
        self._books[account_id, path] = _Book(answer.body, values, by_row)
        return values

    def keep(self, account_id: AccountId, path: str, answer: HttpAnswer, values: Any) -> None:
        """Keep what was read of a whole answer, a value a row."""
        if answer.status != HTTPStatus.OK:
            return
        rows = _rows_in(answer.body)
        by_row = dict(zip(rows, values, strict=True)) if len(rows) == len(values) else {}
        self._books[account_id, path] = _Book(answer.body, values, by_row)


def _rows_in(body: bytes) -> list[bytes]:
    """Return the bytes of each row, none where the body is no list."""
    try:
        return [bytes(row) for row in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
