"""Faults of the relay and of its transport."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from adapters.nats.publisher import MESSAGES_MAX, LogPublisher
from adapters.nats.stream import StreamLimits, create_stream
from infra.faults.clients import Asking
from infra.faults.core import LISTENER, Core
from infra.faults.injections.shared import Injection, NotReached, beside, happened, until
from infra.faults.link import Cut
from infra.faults.points import Point

_COMMIT_WORDS = b"Nats-Batch-Commit"
_SINGLE_WORDS = b"Nats-Expected-Last-Sequence: %d\r\n"
_BATCH_MIN = 12
"""So many events are a batch with a middle."""


@asynccontextmanager
async def _listener_ended(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def terminate() -> None:
        core.reached[Point.LISTENER_ENDED] += await core.terminate(LISTENER)

    async with beside(terminate()):
        yield


@asynccontextmanager
async def _relay_stopped_between_batches(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    head = (await core.log.head()).sequence
    await until("the relay rests", lambda: core.relay.status()["sequence"] >= head)
    await core.stop_relay()
    try:
        yield
    finally:
        core.start_relay()
    core.reached[Point.RELAY_STOPPED_BETWEEN_BATCHES] += 1


@asynccontextmanager
async def _relay_stopped_in_batch(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking
    async with _batch_cut(core, Point.RELAY_STOPPED_IN_BATCH, Cut.UNHEARD, random):
        yield
    await core.stop_relay()
    core.start_relay()


@asynccontextmanager
async def _relay_untold(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking
    async with _batch_cut(core, Point.RELAY_UNTOLD, Cut.UNTOLD, random):
        yield


@asynccontextmanager
async def _nats_killed_in_batch(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking
    async with _batch_cut(core, Point.NATS_KILLED_IN_BATCH, Cut.UNHEARD, random):
        yield
    await core.kill_nats()
    await core.start_nats()


@asynccontextmanager
async def _two_relays(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking
    if random.random() < 0.5:  # noqa: PLR2004 - either way has its own races
        # Both find the same events waiting, and send them in the same moment.
        await core.stop_relay()
        yield
        core.start_relay()
        async with core.second_relay() as second:
            await core.mirrored()
            await until("the second relay knows it", lambda: second.status()["state"] == "mirroring")
    else:
        async with core.second_relay() as second:
            await until("the second relay mirrors", lambda: second.status()["state"] == "mirroring")
            yield
    core.reached[Point.TWO_RELAYS] += 1


@asynccontextmanager
async def _stream_deleted(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    await core.mirrored()  # Else there may be none to delete.

    async def delete() -> None:
        await core.nats.jetstream().delete_stream(core.stream)
        core.reached[Point.STREAM_DELETED] += 1

    async with beside(delete()):
        yield


@asynccontextmanager
async def _stream_purged(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    await core.mirrored()

    async def purge() -> None:
        await core.nats.jetstream().purge_stream(core.stream)
        core.reached[Point.STREAM_PURGED] += 1

    async with beside(purge()):
        yield


@asynccontextmanager
async def _tail_truncated(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking
    head = await core.mirrored()
    await core.stop_relay()
    try:
        await core.nats.jetstream().delete_stream(core.stream)
        await create_stream(core.nats, core.epoch, first_sequence=1, limits=StreamLimits())
        events = await core.log.read_all(after_sequence=0, limit=random.randint(0, max(head - 1, 0)))
        publisher = LogPublisher(core.nats, core.epoch)
        for batch in publisher.batches(events):
            await publisher.publish(batch)
        core.reached[Point.TAIL_TRUNCATED] += 1
    finally:
        core.start_relay()
    yield


@asynccontextmanager
async def _nats_wiped(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def wipe() -> None:
        await core.kill_nats()
        await asyncio.to_thread(_empty, core.nats_server.store)
        await core.start_nats()
        core.reached[Point.NATS_WIPED] += 1

    async with beside(wipe()):
        yield


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)


@asynccontextmanager
async def _batch_cut(core: Core, point: Point, cut: Cut, random: Random) -> AsyncIterator[None]:
    """Let events pile up during the wave, then cut the wire under the batch with which the next relay sends them.

    That batch is an atomic one, or plain messages of which each says what it follows.
    """
    before = await core.mirrored()
    await core.stop_relay()
    is_atomic = random.random() < 0.5  # noqa: PLR2004 - either way has its own middle
    core.relay_link.arm(cut, _COMMIT_WORDS if is_atomic else _SINGLE_WORDS % (before + _BATCH_MIN // 2))
    try:
        yield
        piled = (await core.log.head()).sequence - before
        if piled < _BATCH_MIN:
            raise NotReached(f"{point.name}: only {piled} events to send")
    finally:
        core.start_relay(singles_max=1 if is_atomic else MESSAGES_MAX)
    try:
        await happened(point, core.relay_link.has_struck)
    finally:
        core.relay_link.disarm()
    core.reached[point] += 1


MIRRORING: dict[Point, Injection] = {
    Point.LISTENER_ENDED: _listener_ended,
    Point.RELAY_STOPPED_BETWEEN_BATCHES: _relay_stopped_between_batches,
    Point.RELAY_STOPPED_IN_BATCH: _relay_stopped_in_batch,
    Point.RELAY_UNTOLD: _relay_untold,
    Point.TWO_RELAYS: _two_relays,
    Point.STREAM_DELETED: _stream_deleted,
    Point.STREAM_PURGED: _stream_purged,
    Point.TAIL_TRUNCATED: _tail_truncated,
    Point.NATS_KILLED_IN_BATCH: _nats_killed_in_batch,
    Point.NATS_WIPED: _nats_wiped,
}
