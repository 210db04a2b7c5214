"""Asking a running role something, and answering: JSON over request and reply."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from projections.tasks import end

log = structlog.get_logger(__name__)

_ERROR = "error"
Handler = Callable[[dict[str, Any]], Awaitable[Mapping[str, Any] | msgspec.Struct]]


class RoleSilent(Exception):
    """No role answers under this subject, or not in time."""


class RoleFailed(Exception):
    """The role answered that it could not do it."""


@asynccontextmanager
async def serve(nats: Client, subject: str, handler: Handler) -> AsyncIterator[None]:
    """Answer requests to *subject* with what *handler* returns, several at once, while the block runs."""
    running: set[asyncio.Task[None]] = set()

    async def answer(message: Msg) -> None:
        try:
            payload = msgspec.json.decode(message.data, type=dict[str, Any]) if message.data else {}
            reply = msgspec.json.encode(await handler(payload))
        except Exception as error:
            # Whatever it is, the one who asked gets to know, and the role goes on.
            log.exception("request failed", subject=subject)
            reply = msgspec.json.encode({_ERROR: f"{type(error).__name__}: {error}"})
        with suppress(NatsError):
            await message.respond(reply)

    async def receive(message: Msg) -> None:
        # A task each: the driver calls us with one message after the other, and an answer may take its time.
        task = asyncio.create_task(answer(message))
        running.add(task)
        task.add_done_callback(running.discard)

    subscription = await nats.subscribe(subject, cb=receive)
    try:
        yield
    finally:
        with suppress(NatsError):
            await subscription.unsubscribe()
        await end(*running)


async def request(
    nats: Client, subject: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float = 2.0
) -> dict[str, Any]:
    """Ask who answers under *subject*.

    Raises:
        RoleSilent, RoleFailed
    """
    try:
        message = await nats.request(subject, msgspec.json.encode(payload or {}), timeout=timeout_s)
    except (NatsError, TimeoutError) as error:
        raise RoleSilent(f"nobody answers under {subject}: {type(error).__name__}") from error
    answer = msgspec.json.decode(message.data, type=dict[str, Any])
    if set(answer) == {_ERROR}:
        raise RoleFailed(f"{subject}: {answer[_ERROR]}")
    return answer
