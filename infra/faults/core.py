"""A small engine core on real servers: two writers, relay, projector, each on wires of its own that can be cut."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random

import nats.errors
import psycopg
from psycopg.conninfo import make_conninfo

from adapters.clock import SystemClock
from adapters.nats.connection import NatsConnection, connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.publisher import SINGLES_MAX
from adapters.nats.relay import Relay
from adapters.nats.stream import last_sequence, stream_name
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogReads
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls
from infra.embedded.nats import EmbeddedNats
from infra.faults.clients import Desk
from infra.faults.ledger import Ledger
from infra.faults.link import NatsLink, PostgresLink
from infra.faults.oracle import Evidence
from infra.faults.points import Point
from infra.faults.watched_views import WatchedViews
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.tasks import end

WRITERS = 2
LISTENER = "khata faults listener"
READER = "khata faults reader"
CONVERGED_WITHIN_S = 60.0
DEADLINE_S = 0.5
"""Of an append and of a publish: a fault that only a deadline ends must not make a schedule long."""
LEASE_MS = 250
_CHECK_S = 0.2
_SILENCE_S = 0.1
_POLL_S = 0.01
_ANSWER_S = 0.5


class NotConverged(Exception):
    """With every fault over, relay or projector still did not get to the end of the log."""


class RunningProjector:
    """A projector at work, and what it works with."""

    def __init__(self, owner: str, projector: Projector, kept: PostgresViewStore, views: WatchedViews) -> None:
        self.owner = owner
        self.projector = projector
        self.views = views
        self._kept = kept
        self._task = asyncio.create_task(projector.run(), name="projector")

    async def kill(self) -> None:
        """End it where it stands; nothing of what it holds is given back."""
        self.views.is_dead = True
        await end(self._task)
        await self._kept.close()

    async def stop(self) -> None:
        """Let it end well."""
        await end(self._task)
        await self._kept.close()


class Core:
    """The parts, running. Use as `async with running_core(...)`."""

    def __init__(self, database: DatabaseUrls, nats_server: EmbeddedNats, ledger: Ledger) -> None:
        self.database = database
        self.nats_server = nats_server
        self.ledger = ledger
        self.reached: Counter[Point] = Counter()
        self.desks: list[Desk] = []
        self.writer_links: list[PostgresLink] = []
        self.epoch = ""
        self._stack = AsyncExitStack()
        self._owners = count(1)
        self._relay_task: asyncio.Task[None] | None = None

    # --- Life ---

    async def start(self) -> None:
        """Start everything."""
        enter = self._stack.enter_async_context
        for _ in range(WRITERS):
            link = await enter(PostgresLink(self.database.writer))
            store = await enter(PostgresEventStore(link.conninfo, deadline_s=DEADLINE_S))
            self.writer_links.append(link)
            self.desks.append(Desk(store))
        reads = await enter(Database(make_conninfo(self.database.writer, application_name=READER)))
        self.log = LogReads(reads)
        self.all_views = await enter(PostgresViews(self.database.projector))
        self.admin = await enter(await psycopg.AsyncConnection.connect(self.database.admin, autocommit=True))
        self.epoch = (await self.log.head()).epoch

        self.relay_link = await enter(NatsLink(self.nats_server.url))
        self.reader_link = await enter(NatsLink(self.nats_server.url))
        self.projector_link = await enter(PostgresLink(self.database.projector))
        self.nats = await self._nats(self.nats_server.url)
        self._relay_nats = await self._nats(self.relay_link.url)
        self._reader_nats = await self._nats(self.reader_link.url)
        self.start_relay()
        self.running_projector = self.new_projector()

    async def stop(self) -> None:
        """Stop everything."""
        await self.stop_relay()
        await self.running_projector.stop()
        await self._stack.aclose()

    async def _nats(self, url: str) -> NatsConnection:
        nats = await connect(url)
        self._stack.push_async_callback(nats.close)
        return nats

    # --- The relay ---

    def new_relay(self, nats: NatsConnection, *, singles_max: int = SINGLES_MAX) -> Relay:
        """Return another relay, which speaks through *nats*."""
        feed = PostgresFeed(make_conninfo(self.database.writer, application_name=LISTENER))
        return Relay(nats, log=self.log, feed=feed, check_s=_CHECK_S, deadline_s=DEADLINE_S, singles_max=singles_max)

    def start_relay(self, *, singles_max: int = SINGLES_MAX) -> None:
        """Start the relay, which knows nothing of any relay before it."""
        self.relay = self.new_relay(self._relay_nats, singles_max=singles_max)
        self._relay_task = asyncio.create_task(self.relay.run(), name="relay")

    async def stop_relay(self) -> None:
        """Stop it, in the middle of whatever it does."""
        task, self._relay_task = self._relay_task, None
        if task is not None:
            await end(task)

    @asynccontextmanager
    async def second_relay(self) -> AsyncIterator[Relay]:
        """Run another relay beside the first one."""
        relay = self.new_relay(self.nats)
        task = asyncio.create_task(relay.run(), name="second relay")
        try:
            yield relay
        finally:
            await end(task)

    # --- The projector ---

    def new_projector(self, owner: str | None = None) -> RunningProjector:
        """Start another projector, under a name of its own or as *owner*."""
        owner = owner or f"projector-{next(self._owners)}"
        kept = PostgresViewStore(self.projector_link.conninfo, owner=owner)
        views = WatchedViews(kept, self.projector_link)
        feed = JetStreamFeed(self._reader_nats, self.log, silence_s=_SILENCE_S)
        projector = Projector(READ_MODELS, feed=feed, views=views, clock=SystemClock(), lease_ms=LEASE_MS)
        return RunningProjector(owner, projector, kept, views)

    # --- The servers ---

    async def terminate(self, application: str) -> int:
        """Terminate the server's processes of *application*; return how many there were, at least one.

        A fault before may have left none until they have connected again: that is waited for.
        """
        while True:
            cursor = await self.admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = %s",
                [application],
            )
            row = await cursor.fetchone()
            if row is not None and row[0] > 0:
                return int(row[0])
            await asyncio.sleep(_POLL_S)

    async def kill_nats(self) -> None:
        """Kill nats-server; nobody takes connections in its place."""
        process = self.nats_server.process
        assert process is not None, "it has been started"
        await process.stop()  # Without any step before it, this is SIGKILL.
        for link in (self.relay_link, self.reader_link):
            await link.close()

    async def start_nats(self) -> None:
        """Start it again, on what it has kept."""
        await self.nats_server.start()
        for link in (self.relay_link, self.reader_link):
            await link.listen()

    # --- What it leads to ---

    def evidence(self) -> Evidence:
        """Return where the judge looks."""
        return Evidence(log=self.log, admin=self.admin, nats=self.nats, views=self.all_views, ledger=self.ledger)

    async def mirrored(self) -> int:
        """Return the head of the log once the stream has got to it.

        Raises:
            NotConverged
        """
        head = (await self.log.head()).sequence
        try:
            async with asyncio.timeout(CONVERGED_WITHIN_S):
                while await self.stream_end() != head:  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise NotConverged(f"the log ends at {head}; relay: {self.relay.status()}") from None
        return head

    async def converged(self) -> int:
        """Return the head of the log once the stream and every read model have got to it.

        Raises:
            NotConverged
        """
        head = await self.mirrored()
        projector = self.running_projector.projector
        try:
            async with asyncio.timeout(CONVERGED_WITHIN_S):
                await projector.reach(head)
        except TimeoutError:
            raise NotConverged(f"the log ends at {head}; projector: {projector.status()}") from None
        return head

    async def stream_end(self) -> int | None:
        """Return the stream's last sequence, None where there is none or nobody answers."""
        if not self.nats.is_connected:
            return None
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await last_sequence(self.nats, self.epoch)
        except (nats.errors.Error, TimeoutError):  # Of a server that restarts, say: whoever asked asks again.
            return None

    @property
    def stream(self) -> str:
        """The stream's name."""
        return stream_name(self.epoch)


@asynccontextmanager
async def running_core(database: DatabaseUrls, nats_server: EmbeddedNats, ledger: Ledger) -> AsyncIterator[Core]:
    """Run a core on *database*, which is its own, and on a NATS server that it may kill and wipe."""
    core = Core(database, nats_server, ledger)
    try:
        await core.start()
        yield core
    finally:
        await core.stop()


def seeded(seed: int) -> Random:
    """Return the source of everything that a schedule chooses."""
    return Random(seed)  # noqa: S311 - no secret
