"""What the venue's websockets share: connections that leak no token, and pauses that grow while none holds."""

import logging
import random
from http import HTTPStatus

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from adapters.dhan.access.tokens import LoginRefused, LoginUnavailable, Session, Tokens
from adapters.dhan.settings import DhanSettings
from domain.ids import AccountId

_JITTER = 0.25
_PING_S = 20.0

# The library logs the request line and what is sent, and with them the token, at debug level.
_library_log = logging.getLogger("adapters.dhan.streams.sockets.websocket")
_library_log.setLevel(logging.WARNING)


class Dropped(Exception):
    """A connection ended, or came to nothing. `status` is that of a handshake that was refused.

    `is_refused`: because the venue does not want us just now. `is_ours`: because we wanted another.
    """

    def __init__(
        self, cause: str, *, status: int | None = None, is_refused: bool = False, is_ours: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
        self.is_refused = is_refused or status == HTTPStatus.TOO_MANY_REQUESTS
        self.is_ours = is_ours


class Pauses:
    """The pauses before connecting again: each twice as long as the last, up to a longest, with some jitter."""

    def __init__(self, *, first_s: float, longest_s: float, refused_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._refused_s = refused_s
        self._next_s = first_s

    def begin_anew(self) -> None:
        """Let the next pause be a first one again."""
        self._next_s = self._first_s

    def after(self, dropped: Dropped) -> float:
        """Return how long to wait after a connection that *dropped*, in seconds."""
        pause_s = max(self._next_s, self._refused_s) if dropped.is_refused else self._next_s
        self._next_s = min(pause_s * 2, self._longest_s)
        # Jitter only spreads reconnects; nothing depends on it being unpredictable.
        return pause_s * (1 + _JITTER * random.random())  # noqa: S311


async def session_of_account(tokens: Tokens, account_id: AccountId) -> Session:
    """Return a live session to connect with. Raises Dropped."""
    try:
        return await tokens.session(account_id)
    except (LoginUnavailable, LoginRefused) as fault:
        raise Dropped(f"no token: {fault}") from fault


async def open_socket(url: str, settings: DhanSettings, *, ping_s: float = _PING_S) -> ClientConnection:
    """Connect to *url*; the connection ends when a ping is not answered in *ping_s* seconds.

    Raises:
        Dropped: it came to nothing. The cause is left behind, for it knows the address, which may hold the token.
    """
    try:
        return await connect(
            url,
            compression=None,
            open_timeout=settings.connect_timeout_s + settings.read_timeout_s,
            close_timeout=settings.connect_timeout_s,
            ping_interval=ping_s,
            ping_timeout=ping_s,
            proxy=None,
            logger=_library_log,
        )
    except InvalidStatus as refusal:
        status = refusal.response.status_code
        raise Dropped(f"HTTP {status}", status=status) from None
    except (OSError, TimeoutError, WebSocketException) as fault:
        raise Dropped(type(fault).__name__) from None
