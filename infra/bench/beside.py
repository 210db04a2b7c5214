"""What runs beside a measurement: the engine's relay and projector in a process of their own, and steady commands."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import uvloop

from adapters.clock import SystemClock
from adapters.nats.connection import connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.relay import Relay
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.view_store import PostgresViewStore
from commands.ports import Append
from infra.bench.events import LifeCommand, append_of
from infra.database import DatabaseUrls
from infra.logs import configure
from infra.settings import Settings
from infra.wiring.collector import spare_the_collector
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.tasks import end

_JOIN_S = 10.0


@contextmanager
def projecting(database: DatabaseUrls, nats_url: str) -> Iterator[None]:
    """Run relay and projector in a process of their own, as `khata up` does, until the block ends."""
    process = multiprocessing.get_context("spawn").Process(target=_project, args=(database, nats_url), daemon=True)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise RuntimeError(f"the projecting process ended with {process.exitcode}")
    finally:
        process.terminate()
        process.join(_JOIN_S)


def _project(database: DatabaseUrls, nats_url: str) -> None:
    configure(Settings(log_level="error"))
    # The loop that the roles run on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_relay_and_project(database, nats_url))


async def _relay_and_project(database: DatabaseUrls, nats_url: str) -> None:
    spare_the_collector()
    async with AsyncExitStack() as stack:
        nats = await connect(nats_url)
        stack.push_async_callback(nats.close)
        store = await stack.enter_async_context(PostgresEventStore(database.writer))
        views = PostgresViewStore(database.projector, owner="bench")
        stack.push_async_callback(views.close)
        relay = Relay(nats, log=store, feed=PostgresFeed(database.writer))
        projector = Projector(READ_MODELS, feed=JetStreamFeed(nats, store), views=views, clock=SystemClock())
        await asyncio.gather(relay.run(), projector.run())


@dataclass(slots=True)
class Traffic:
    """What the commands came to: `answered`, their `events`, the last `sequence`; `failures` by what was raised."""

    answered: int = 0
    events: int = 0
    sequence: int = 0
    late: int = 0
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def commands(
    store: PostgresEventStore,
    coming: Iterator[LifeCommand],
    *,
    per_second: int,
    answered: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Traffic]:
    """Append so many of the commands that are *coming* a second, none waiting for another, until the block ends.

    *answered* is told the sequence of each command's last event the moment its answer is there.
    """
    traffic = Traffic()
    running: set[asyncio.Task[None]] = set()

    async def carry_out(append: Append) -> None:
        try:
            appended = await store.append(append)
        except Exception as error:  # noqa: BLE001 - the bench tells it, and its figures are void then
            traffic.failures.append(f"{type(error).__name__}: {error}")
            return
        traffic.answered += 1
        traffic.events += appended.last_sequence - appended.first_sequence + 1
        traffic.sequence = max(traffic.sequence, appended.last_sequence)
        answered(appended.last_sequence)

    async def send() -> None:
        began, number = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * per_second)
            while number < due:
                number += 1
                task = asyncio.create_task(carry_out(append_of(next(coming))))
                running.add(task)
                task.add_done_callback(running.discard)
            traffic.late = max(traffic.late, len(running))
            await asyncio.sleep(1 / per_second)

    sending = asyncio.create_task(send())
    try:
        yield traffic
    finally:
        await end(sending)
        if running:
            await asyncio.wait(running, timeout=_JOIN_S)
