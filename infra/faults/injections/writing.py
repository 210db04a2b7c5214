"""Faults on the way of an append, and of the database under it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import psycopg

from infra.faults.clients import APPEND_WORDS, Asking
from infra.faults.core import READER, Core
from infra.faults.injections.shared import POLL_S, REACHED_WITHIN_S, Injection, beside
from infra.faults.link import Cut
from infra.faults.points import Point

_HELD_S = 0.05
_LOCK_HEAD = "SELECT FROM log.head FOR UPDATE"
_WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer' AND wait_event_type = 'Lock'
"""


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

    async with beside(leave()):
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

    async with beside(terminate()):
        yield


@asynccontextmanager
async def _lock_held(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random

    async def hold() -> None:
        async with _head_locked(core):
            await _a_writer_waits(core)
            await asyncio.sleep(_HELD_S)
            core.reached[Point.LOCK_HELD] += 1

    async with beside(hold()):
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

    async with beside(terminate()):
        yield


# --- Shared ---


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
            await asyncio.sleep(POLL_S)


async def _head_seen_by(connection: psycopg.AsyncConnection[tuple[int]]) -> int:
    row = await (await connection.execute("SELECT sequence FROM log.head")).fetchone()
    return row[0] if row else 0


WRITING: dict[Point, Injection] = {
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
}
