"""Makes it go wrong, at each point in its own way, while clients are at work.

Every injection is a context around a wave of commands: it lets its fault come true within, heals what does not heal by
itself, and notes that the point was reached. One that is not reached is an error: the schedule would prove less than it
says.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

import psycopg

from adapters.nats.publisher import LogPublisher
from adapters.nats.stream import StreamLimits, create_stream
from infra.faults.clients import APPEND_WORDS, Asking
from infra.faults.core import LISTENER, READER, Core, RunningProjector
from infra.faults.link import Cut
from infra.faults.points import Point
from projections.tasks import end

REACHED_WITHIN_S = 30.0
_COMMIT_WORDS = b"Nats-Batch-Commit"
_POLL_S = 0.002
_HELD_S = 0.05
_BATCH_MIN = 12
"""More events than a relay sends singly."""
_LOCK_HEAD = "SELECT FROM log.head FOR UPDATE"
_WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer' AND wait_event_type = 'Lock'
"""

Injection = Callable[[Core, Asking, Random], AbstractAsyncContextManager[None]]


class NotReached(Exception):
    """A point was not got to, so nothing went wrong there."""


async def until(what: str, check: Callable[[], bool]) -> None:
    """Return once *check* holds.

    Raises:
        NotReached
    """
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            while not check():  # noqa: ASYNC110 - not everything that is waited for has an event
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotReached(what) from None


async def _happened(point: Point, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            await event.wait()
    except TimeoutError:
        raise NotReached(point.name) from None


# --- The way of an append ---


def _cut_append(point: Point, cut: Cut) -> Injection:
    @asynccontextmanager
    async def injection(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
        link = random.choice(core.writer_links)
        link.arm(cut, APPEND_WORDS)
        try:
            yield
            # The clients may have chosen the other writer every time.
            async with asyncio.timeout(REACHED_WITHIN_S):
                while not link.has_struck.is_set():
                    await asking.ask_again(asking.repeatable()[:1])
        finally:
            link.disarm()
        core.reached[point] += 1

    return injection


@asynccontextmanager
async def _caller_gone(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del random

    async def leave() -> None:
        async with _head_locked(core):
            await _a_writer_waits(core)
            for task in tuple(asking.under_way):
                task.cancel()
                core.reached[Point.CALLER_GONE] += 1

    async with _beside(leave()):
        yield


@asynccontextmanager
async def _same_command_at_once(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del random
    asking.at_once, before = True, core.ledger.repeated
    try:
        yield
    finally:
        asking.at_once = False
    core.reached[Point.SAME_COMMAND_AT_ONCE] += core.ledger.repeated > before


@asynccontextmanager
async def _same_command_again(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    yield
    names = asking.repeatable()
    await asking.ask_again(random.sample(names, min(6, len(names))))
    core.reached[Point.SAME_COMMAND_AGAIN] += 1


# --- The database ---


@asynccontextmanager
async def _writer_backend_ended(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def terminate() -> None:
        async with _head_locked(core):
            pid = await _a_writer_waits(core)
            await core.admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            core.reached[Point.WRITER_BACKEND_ENDED] += 1

    async with _beside(terminate()):
        yield


@asynccontextmanager
async def _lock_held(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def hold() -> None:
        async with _head_locked(core):
            await _a_writer_waits(core)
            await asyncio.sleep(_HELD_S)
            core.reached[Point.LOCK_HELD] += 1

    async with _beside(hold()):
        yield


@asynccontextmanager
async def _snapshot_held(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    async with await psycopg.AsyncConnection.connect(core.database.owner) as holder:
        await holder.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        before = await _head_seen_by(holder)
        yield
        if await _head_seen_by(holder) == before and (await core.log.head()).sequence > before:
            core.reached[Point.SNAPSHOT_HELD] += 1


@asynccontextmanager
async def _readers_ended(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def terminate() -> None:
        core.reached[Point.READERS_ENDED] += await core.terminate(READER)

    async with _beside(terminate()):
        yield


# --- The relay and its transport ---


@asynccontextmanager
async def _listener_ended(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def terminate() -> None:
        while not await core.terminate(LISTENER):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(_POLL_S)
        core.reached[Point.LISTENER_ENDED] += 1

    async with _beside(terminate()):
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
    del asking, random
    async with _batch_cut(core, Point.RELAY_STOPPED_IN_BATCH, Cut.UNHEARD):
        yield
    await core.stop_relay()
    core.start_relay()


@asynccontextmanager
async def _relay_untold(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    async with _batch_cut(core, Point.RELAY_UNTOLD, Cut.UNTOLD):
        yield


@asynccontextmanager
async def _nats_killed_in_batch(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    async with _batch_cut(core, Point.NATS_KILLED_IN_BATCH, Cut.UNHEARD):
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

    async with _beside(delete()):
        yield


@asynccontextmanager
async def _stream_purged(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    await core.mirrored()

    async def purge() -> None:
        await core.nats.jetstream().purge_stream(core.stream)
        core.reached[Point.STREAM_PURGED] += 1

    async with _beside(purge()):
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

    async with _beside(wipe()):
        yield


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)


@asynccontextmanager
async def _batch_cut(core: Core, point: Point, cut: Cut) -> AsyncIterator[None]:
    """Let events pile up during the wave, then cut the wire under the batch with which the next relay sends them."""
    before = await core.mirrored()
    await core.stop_relay()
    core.relay_link.arm(cut, _COMMIT_WORDS)
    try:
        yield
        piled = (await core.log.head()).sequence - before
        if piled < _BATCH_MIN:
            raise NotReached(f"{point.name}: only {piled} events to send")
    finally:
        core.start_relay()
    try:
        await _happened(point, core.relay_link.has_struck)
    finally:
        core.relay_link.disarm()
    core.reached[point] += 1


# --- The projector ---


def _projector_killed_at(point: Point) -> Injection:
    @asynccontextmanager
    async def injection(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
        del asking, random
        running = core.running_projector
        running.views.hold_at = point
        yield
        await _happened(point, running.views.is_held)
        await running.kill()
        core.running_projector = core.new_projector()
        core.reached[point] += 1

    return injection


@asynccontextmanager
async def _projector_untold(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    core.running_projector.views.hold_at = Point.PROJECTOR_UNTOLD
    try:
        yield
        await _happened(Point.PROJECTOR_UNTOLD, core.running_projector.views.is_held)
        await _happened(Point.PROJECTOR_UNTOLD, core.projector_link.has_struck)
    finally:
        core.projector_link.disarm()
    core.running_projector.views.is_held.clear()
    core.reached[Point.PROJECTOR_UNTOLD] += 1


@asynccontextmanager
async def _two_projectors(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    both = (core.running_projector, core.new_projector())

    def waiting() -> list[RunningProjector]:
        return [each for each in both if each.projector.progress().state == "waiting for the claim"]

    await until("one of two projectors waits", lambda: len(waiting()) == 1)
    try:
        yield
    finally:
        # Mostly the first one works; but who was slow for as long as its lease had it taken away.
        second = (waiting() or both[1:])[-1]
        first = both[0] if second is both[1] else both[1]
        await first.kill()
        core.running_projector = second
    core.reached[Point.TWO_PROJECTORS] += 1


@asynccontextmanager
async def _one_claim(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    first = core.running_projector
    await until("the first projector works", lambda: first.projector.progress().claims > 0)
    second = core.new_projector(first.owner)
    try:
        await until("the second one works as well", lambda: second.projector.progress().claims > 0)
        yield
        claims = first.projector.progress().claims
    finally:
        await second.stop()  # It gives back what the other one believes to have.
    await until("the first one claims anew", lambda: first.projector.progress().claims > claims)
    core.reached[Point.ONE_CLAIM] += 1


@asynccontextmanager
async def _projector_hangs(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    first = core.running_projector
    first.views.hold_at = Point.PROJECTOR_HANGS
    yield
    await _happened(Point.PROJECTOR_HANGS, first.views.is_held)
    core.running_projector = second = core.new_projector()
    try:
        await until("the second one takes over", lambda: second.projector.progress().claims > 0)
        faults = first.projector.progress().faults
        first.views.let_go()
        await until("the first one finds its claim gone", lambda: first.projector.progress().faults > faults)
    finally:
        await first.kill()
    core.reached[Point.PROJECTOR_HANGS] += 1


# --- Shared ---


@asynccontextmanager
async def _beside(what: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run something beside the wave, and see to it that it ends with it."""
    task = asyncio.ensure_future(what)
    try:
        yield
        await task
    finally:
        await end(task)


@asynccontextmanager
async def _head_locked(core: Core) -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(core.database.owner) as owner:
        await owner.execute(_LOCK_HEAD)
        yield


async def _a_writer_waits(core: Core) -> int:
    async with asyncio.timeout(REACHED_WITHIN_S):
        while True:
            row = await (await core.admin.execute(_WAITING)).fetchone()
            if row is not None:
                return int(row[0])
            await asyncio.sleep(_POLL_S)


async def _head_seen_by(connection: psycopg.AsyncConnection[tuple[int]]) -> int:
    row = await (await connection.execute("SELECT sequence FROM log.head")).fetchone()
    return row[0] if row else 0


INJECTIONS: dict[Point, Injection] = {
    Point.APPEND_UNHEARD: _cut_append(Point.APPEND_UNHEARD, Cut.UNHEARD),
    Point.APPEND_HEARD: _cut_append(Point.APPEND_HEARD, Cut.HEARD),
    Point.APPEND_UNTOLD: _cut_append(Point.APPEND_UNTOLD, Cut.UNTOLD),
    Point.APPEND_SILENT: _cut_append(Point.APPEND_SILENT, Cut.SILENT),
    Point.CALLER_GONE: _caller_gone,
    Point.SAME_COMMAND_AT_ONCE: _same_command_at_once,
    Point.SAME_COMMAND_AGAIN: _same_command_again,
    Point.WRITER_BACKEND_ENDED: _writer_backend_ended,
    Point.LOCK_HELD: _lock_held,
    Point.SNAPSHOT_HELD: _snapshot_held,
    Point.READERS_ENDED: _readers_ended,
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
    Point.PROJECTOR_KILLED_BEFORE_COMMIT: _projector_killed_at(Point.PROJECTOR_KILLED_BEFORE_COMMIT),
    Point.PROJECTOR_KILLED_AFTER_COMMIT: _projector_killed_at(Point.PROJECTOR_KILLED_AFTER_COMMIT),
    Point.PROJECTOR_UNTOLD: _projector_untold,
    Point.TWO_PROJECTORS: _two_projectors,
    Point.ONE_CLAIM: _one_claim,
    Point.PROJECTOR_HANGS: _projector_hangs,
}
