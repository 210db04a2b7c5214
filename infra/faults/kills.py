"""Real kills: the parts run in processes of their own, one of them or a server dies by SIGKILL, and the judge looks."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

import msgspec
import nats.errors
import psycopg

from adapters.nats.connection import connect
from adapters.nats.stream import last_sequence
from adapters.postgres.database import Database
from adapters.postgres.reading import LogReads
from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls
from infra.embedded.nats import EmbeddedNats
from infra.faults.ledger import Ledger
from infra.faults.oracle import Evidence, Findings, judge
from infra.faults.part import Place, Told

WITHIN_S = 60.0
TRADES = 2
_POLL_S = 0.01
_ANSWERS_BEFORE_A_KILL = 12
_LINE_BYTES_MAX = 1024 * 1024
_WORKING_BACKEND = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer'
    ORDER BY state = 'active' DESC, query_start DESC
    LIMIT 1
"""


class Victim(StrEnum):
    """Who may be killed."""

    WRITER = "writer"
    RELAY = "relay"
    PROJECTOR = "projector"
    NATS = "nats-server"
    BACKEND = "a server process of PostgreSQL, which makes it restart all of them and recover"


class Part:
    """A running part."""

    def __init__(self, process: Process, ledger: Ledger) -> None:
        self._process = process
        self._ledger = ledger
        self._done = asyncio.Event()
        self._done.set()
        self.answers = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, place: Place, ledger: Ledger) -> "Part":
        """Start the part *name*."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "infra.faults.part", name, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES_MAX
        )
        part = cls(process, ledger)
        part.say(msgspec.json.encode(place))
        return part

    def say(self, line: bytes) -> None:
        """Send it a line."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(line + b"\n")

    def want(self, trades: int) -> None:
        """Have the clients of a writer open so many trades each."""
        self._done.clear()
        self.say(b"%d" % trades)

    async def done(self) -> None:
        """Return once all that was wanted is done."""
        async with asyncio.timeout(WITHIN_S):
            await self._done.wait()

    async def kill(self) -> None:
        """Kill it, and take in what it had told before."""
        self._process.send_signal(signal.SIGKILL)
        await self._over()

    async def stop(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.close()
        await self._over()

    async def _over(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            await self._reading
            await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None, "it is a pipe"
        while (line := await self._process.stdout.readline()).endswith(b"\n"):
            told = msgspec.json.decode(line, type=Told)
            if told.asked is not None:
                self._ledger.ask(told.asked)
            if told.answer is not None:
                self.answers += 1
                self._ledger.answer(told.name, told.answer)
            if told.done:
                self._done.set()


class Family:
    """A writer, a relay and a projector, each a process, on servers that may be killed as well."""

    def __init__(self, database: DatabaseUrls, nats_server: EmbeddedNats, *, seed: int) -> None:
        self._nats_server = nats_server
        self._place = Place(database=database, nats_url=nats_server.url, seed=seed)
        self._parts: dict[str, Part] = {}
        self._wanted = 0
        self.ledger = Ledger()

    async def start(self) -> None:
        """Start everybody."""
        for name in (Victim.WRITER, Victim.RELAY, Victim.PROJECTOR):
            await self._start(name)

    async def stop(self) -> None:
        """Let everybody end."""
        for part in self._parts.values():
            await part.stop()

    async def kill_under_load(self, victim: Victim) -> Findings:
        """Kill *victim* while clients work, see to it that it runs again, and return what is wrong then."""
        writer = self._parts[Victim.WRITER]
        before = writer.answers
        writer.want(TRADES)
        self._wanted += TRADES
        async with asyncio.timeout(WITHIN_S):
            while writer.answers < before + _ANSWERS_BEFORE_A_KILL:  # noqa: ASYNC110 - it comes line by line
                await asyncio.sleep(_POLL_S)
        match victim:
            case Victim.NATS:
                process = self._nats_server.process
                assert process is not None, "it has been started"
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                await self._nats_server.start()
            case Victim.BACKEND:
                await self._kill_backend()
            case Victim.WRITER:
                await writer.kill()
                # It knows nothing of the one before it, so everything is asked again, from the first request on.
                await self._start(victim)
                self._parts[victim].want(self._wanted)
            case _:
                await self._parts[victim].kill()
                await self._start(victim)
        await self._parts[Victim.WRITER].done()
        return await self._judged()

    async def _start(self, name: str) -> None:
        self._parts[name] = await Part.start(name, self._place, self.ledger)

    async def _kill_backend(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._place.database.admin, autocommit=True) as admin:
            row = await (await admin.execute(_WORKING_BACKEND)).fetchone()
            assert row is not None, "a writer is connected"
            os.kill(row[0], signal.SIGKILL)
            try:
                async with asyncio.timeout(WITHIN_S):
                    while True:  # Until the server has thrown this connection out with all the others.
                        await admin.execute("SELECT")
                        await asyncio.sleep(_POLL_S)
            except psycopg.OperationalError:
                pass

    async def _judged(self) -> Findings:
        async with _evidence(self._place, self.ledger) as evidence:
            head = await evidence.log.head()
            async with asyncio.timeout(WITHIN_S):
                while True:
                    try:
                        async with asyncio.timeout(1):
                            if await last_sequence(evidence.nats, head.epoch) == head.sequence:
                                break
                    except (nats.errors.Error, TimeoutError):
                        pass
                    await asyncio.sleep(_POLL_S)
            await evidence.views.wait_for(head.sequence, timeout_s=WITHIN_S)
            return await judge(evidence)


@asynccontextmanager
async def _evidence(place: Place, ledger: Ledger) -> AsyncIterator[Evidence]:
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(await _connected(place.database.admin))
        reads = await stack.enter_async_context(Database(place.database.writer))
        views = await stack.enter_async_context(PostgresViews(place.database.projector))
        client = await connect(place.nats_url)
        stack.push_async_callback(client.close)
        yield Evidence(log=LogReads(reads), admin=admin, nats=client, views=views, ledger=ledger)


async def _connected(conninfo: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """Return a connection; a server that recovers is waited for."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
            except psycopg.OperationalError:
                await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def running_family(database: DatabaseUrls, nats_server: EmbeddedNats, *, seed: int) -> AsyncIterator[Family]:
    """Run a family on *database*, which is its own."""
    family = Family(database, nats_server, seed=seed)
    try:
        await family.start()
        yield family
    finally:
        await family.stop()
