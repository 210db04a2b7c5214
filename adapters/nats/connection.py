"""The connection to NATS: it never gives up, notices a dead server within seconds, and tells who wants to know."""

from collections.abc import Awaitable, Callable, Sequence

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

log = structlog.get_logger(__name__)

Tap = Callable[[bytes | None, bytes], None]
"""Takes a message: its headers as on the wire, None where it has none, and its body."""

PING_S = 5
_PINGS_UNANSWERED_MAX = 2
_RECONNECT_WAIT_S = 0.25
_CONNECT_TIMEOUT_S = 3
_FOR_EVER = -1
_REFUSED = "authorization violation"
_PENDING_BYTES = 8 * 1024 * 1024


class NatsConnection(Client):
    """A client that lets many listen to its reconnects: after one, whatever was published meanwhile was missed."""

    def __init__(self) -> None:
        super().__init__()
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self._taps: dict[int, Tap] = {}

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call *callback* after every reconnect from now on."""
        self._on_reconnect.append(callback)

    def off_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Do not call *callback* any more."""
        self._on_reconnect.remove(callback)

    async def reconnected(self) -> None:
        """Tell all that the server is back."""
        for callback in tuple(self._on_reconnect):
            await callback()

    async def tap(self, subject: str, take: Tap) -> Subscription:
        """Subscribe to *subject*, and have every message handed to *take* as it comes from the wire.

        The driver's own way to a callback, by way of parsed headers, a message, a queue and a task, costs a reader of
        the log more than decoding and checking the event does.
        """
        subscription = await self.subscribe(subject, cb=_taken_before)
        self._taps[subscription._id] = take  # noqa: SLF001 - the driver is pinned to one minor version
        return subscription

    async def untap(self, subscription: Subscription) -> None:
        """End a subscription that `tap` made."""
        self._taps.pop(subscription._id, None)  # noqa: SLF001 - as above
        await subscription.unsubscribe()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        take = self._taps.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        take(headers, data)

    async def publish_many(self, messages: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        """Publish messages at once, in their order: each its subject, its headers as on the wire, its body.

        The driver's own `publish` checks and builds every header of every message, which for the log's mirror is most
        of the work. Subjects and headers are taken as they are, so they must be the caller's own. Nothing is kept for a
        server that is away.

        Raises:
            nats.errors.ConnectionReconnectingError: the server is away.
        """
        if not self.is_connected:
            raise nats.errors.ConnectionReconnectingError
        pieces: list[bytes] = []
        for subject, headers, body in messages:
            size = len(headers)
            pieces += (b"HPUB %b %d %d\r\n" % (subject, size, size + len(body)), headers, body, b"\r\n")
        self.stats["out_msgs"] += len(messages)
        self.stats["out_bytes"] += sum(len(body) for _, _, body in messages)
        # What the driver's `publish` does with the command it has built; the driver is pinned to one minor version.
        await self._send_command(b"".join(pieces))
        await self._flush_pending()


async def connect(url: str, *, name: str = "khata") -> NatsConnection:
    """Return a connection to *url* (`nats://user:password@host:port`, or several with commas between them).

    It waits for a server that is not there yet, and comes back to one that went away, for ever.
    """
    connection = NatsConnection()

    async def reconnected() -> None:
        log.info("nats is back")
        await connection.reconnected()

    await connection.connect(
        servers=url.split(","),
        name=name,
        error_cb=_error,
        disconnected_cb=_disconnected,
        reconnected_cb=reconnected,
        connect_timeout=_CONNECT_TIMEOUT_S,
        reconnect_time_wait=_RECONNECT_WAIT_S,  # type: ignore[arg-type]  # a fraction is slept as well
        max_reconnect_attempts=_FOR_EVER,
        ping_interval=PING_S,
        max_outstanding_pings=_PINGS_UNANSWERED_MAX,
        pending_size=_PENDING_BYTES,
    )
    return connection


async def _taken_before(message: Msg) -> None:
    """Take nothing: what comes for a tap does not get as far as here."""


async def _error(error: Exception) -> None:
    # The driver reports here what it goes on to handle by itself; the URL, and so the password, is never in it.
    if _REFUSED in str(error).lower():
        # Waiting does not mend a wrong credential: somebody has to be told.
        log.warning("nats refuses our credential", detail=str(error))
        return
    log.debug("nats reports", error=type(error).__name__, detail=str(error))


async def _disconnected() -> None:
    log.info("nats is away")
