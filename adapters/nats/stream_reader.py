"""Reading the mirror: one short-lived pull consumer, whose messages are taken as they come.

The driver's own `fetch` waits for a full batch or its time-out and takes several refusals for an empty stream, so the
pull requests are made here. The consumer has no state worth keeping: there are no acknowledgements, and a reader that
lost it makes another one where it stands.
"""

import asyncio
import re
from collections import deque
from contextlib import suppress

import msgspec
import nats.errors
from nats.aio.subscription import Subscription
from nats.js import api

from adapters.nats.connection import NatsConnection
from adapters.nats.stream import API_TIMEOUT_S, stream_name

PULL = 500
PULL_EXPIRES_S = 10.0
_INACTIVE_S = 60.0
_NS_PER_S = 1_000_000_000
_EXPIRED = b"408"
_HEARTBEAT = b"100"
_BATCH_COMPLETED = b"Batch Completed"
_STATUS = re.compile(rb"NATS/1\.0 (?P<code>[0-9]+)(?P<description>[^\r]*)\r\n")
"""The first line of headers in which the server speaks itself; those of a message have no code in it."""
_PENDING = re.compile(rb"\r\nNats-Pending-Messages: *([0-9]+)\r\n", re.IGNORECASE)


class StreamLost(Exception):
    """The consumer or its stream is gone, or refuses us. Another consumer may work."""


class StreamReader:
    """Messages of the stream of *epoch* from *first_sequence* on."""

    def __init__(self, nats: NatsConnection, epoch: str, *, first_sequence: int) -> None:
        self._nats = nats
        self._stream = stream_name(epoch)
        self._first_sequence = first_sequence
        self._name = ""
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._bodies: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._wanted = 0
        self._lost: str | None = None

    async def open(self) -> None:
        """Make the consumer.

        Raises:
            nats.errors.Error, TimeoutError: there is no such stream, or the server does not answer.
        """
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._first_sequence,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=_INACTIVE_S,
            mem_storage=True,
        )
        self._inbox = self._nats.new_inbox()
        self._subscription = await self._nats.tap(self._inbox, self._take)
        try:
            info = await self._nats.jetstream(timeout=API_TIMEOUT_S).add_consumer(self._stream, config)
            self._name = info.name
            await self._pull()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the consumer."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(nats.errors.Error):
                await self._nats.untap(subscription)
        name, self._name = self._name, ""
        if name and self._nats.is_connected:
            # Without waiting for an answer: a consumer that stays behind ends by itself.
            with suppress(nats.errors.Error):
                await self._nats.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}")

    async def next(self, *, timeout_s: float) -> list[bytes]:
        """Return the bodies that arrived, oldest first; none where nothing does within *timeout_s*.

        Raises:
            StreamLost
        """
        if not self._bodies and self._lost is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
        self._arrived.clear()
        bodies = list(self._bodies)
        self._bodies.clear()
        if not bodies and self._lost is not None:
            raise StreamLost(self._lost)
        if self._wanted < PULL // 2:
            await self._pull()
        return bodies

    async def _pull(self) -> None:
        wanted = PULL - self._wanted
        self._wanted += wanted
        request = {"batch": wanted, "expires": int(PULL_EXPIRES_S * _NS_PER_S)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        try:
            await self._nats.publish(subject, msgspec.json.encode(request), reply=self._inbox)
        except nats.errors.Error as error:
            raise StreamLost(f"no message can be asked for: {error}") from error

    def _take(self, headers: bytes | None, body: bytes) -> None:
        status = _STATUS.match(headers) if headers else None
        if status is None:
            self._wanted = max(0, self._wanted - 1)
            self._bodies.append(body)
        elif status["code"] != _HEARTBEAT:
            description = status["description"].strip()
            if status["code"] == _EXPIRED or description == _BATCH_COMPLETED:
                pending = _PENDING.search(headers or b"")
                self._wanted = max(0, self._wanted - (int(pending[1]) if pending else PULL))
            else:
                self._lost = f"{status['code'].decode()} {description.decode()}"
        self._arrived.set()
