"""An answer as it comes over a connection: when it is whole, and whether a byte more than it came."""

import re
from collections.abc import Callable

import httptools

BODY_BYTES_MAX = 32 * 1024 * 1024
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_KEPT_BYTES_MAX = 1024 * 1024
"""Of a longer answer nobody knows where it ends; its connection is not used again."""
_INFORMATION_BELOW = 200
_SUCCESS_BELOW = 300
_BOUNDED = frozenset({b"content-length", b"transfer-encoding"})
"""Fields of a head that say where the body ends; without them it ends with the connection."""

Take = Callable[[bytes], object]
"""Takes a piece of an answer's body."""


class NoWholeAnswer(Exception):
    """A request got no whole answer. `cause` is a word, free of what was asked."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Answer:
    """The answer to one request. With *take* the body of a yes goes there as it comes, and `body` stays empty."""

    def __init__(self, take: Take | None = None) -> None:
        self._take = take
        self._parser = httptools.HttpResponseParser(self)
        self._received = bytearray()
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._is_bounded = False
        self._is_kept_alive = False
        self.status = 0
        self.is_whole = False

    @property
    def body(self) -> bytes:
        """What came of the body."""
        return b"".join(self._pieces)

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection tells where it ends."""
        return bool(self.status) and not self._is_bounded

    @property
    def lets_another_follow(self) -> bool:
        """Whether the connection may be used again: it is to stay, and what came is this answer and not a byte more."""
        return self._is_kept_alive and end_of_answer(self._received) == len(self._received)

    def feed(self, data: bytes) -> None:
        """Take in what came.

        Raises:
            NoWholeAnswer: it makes no sense, or is longer than any answer has reason to be.
            Exception: what *take* raised.
        """
        if len(self._received) <= _KEPT_BYTES_MAX:
            self._received += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.is_whole:  # What comes behind an answer does it no harm.
                raise NoWholeAnswer("RemoteProtocolError") from None
        if self._take is not None and self.status:
            pieces, self._pieces = self._pieces, []
            for piece in pieces if self.status < _SUCCESS_BELOW else ():
                self._take(piece)
        elif self._bytes > BODY_BYTES_MAX:
            raise NoWholeAnswer("BodyTooLarge")

    # --- As the parser sees it ---

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Take in a field of the head."""
        if not self.is_whole and name.lower() in _BOUNDED:
            self._is_bounded = True

    def on_headers_complete(self) -> None:
        """Take in that the head is there, unless it only says that another is coming."""
        status = self._parser.get_status_code()
        if status >= _INFORMATION_BELOW and not self.status:
            self.status = status

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        if not self.is_whole:
            self._bytes += len(body)
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Take in that all of it is there."""
        if self.status and not self.is_whole:
            self.is_whole = True
            self._is_kept_alive = bool(self._parser.should_keep_alive())


def end_of_answer(received: bytes | bytearray) -> int:
    """Return how many of the *received* bytes are the first answer; -1 where they do not hold its end."""
    head = received.find(_HEAD_END)
    if head < 0:
        return -1
    body = head + len(_HEAD_END)
    if _CHUNKED.search(received, 0, head):
        return _end_of_chunks(received, body)
    length = _LENGTH.search(received, 0, head)
    return body + (int(length[1]) if length else 0)


def _end_of_chunks(received: bytes | bytearray, start: int) -> int:
    """Return where chunks that begin at *start* end. Fields after the last one are taken for more than the answer."""
    while (line_end := received.find(_LINE_END, start)) >= 0:
        try:
            size = int(received[start:line_end].partition(b";")[0], 16)
        except ValueError:
            return -1
        start = line_end + len(_LINE_END) + size + len(_LINE_END)
        if size == 0:
            return start
    return -1
