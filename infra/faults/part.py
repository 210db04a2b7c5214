"""One part of the engine in a process of its own, to be killed: `python -m infra.faults.part writer|relay|projector`.

Standard input says on its first line where the servers are (JSON, passwords in it), and ends the part by ending. A
writer gets the number of trades on every further line, and tells on standard output what it asks and is answered, line
by line, before anything comes of it.
"""

import asyncio
import logging
import sys
from typing import TextIO

import msgspec
import structlog

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.nats.connection import connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.relay import Relay
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogReads
from adapters.postgres.view_store import PostgresViewStore
from infra.database import DatabaseUrls
from infra.faults.clients import Account, Asking, Client, Desk
from infra.faults.core import DEADLINE_S, seeded
from infra.faults.ledger import Answer, Asked, Ledger
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.tasks import end

LEASE_MS = 500
_CHECK_S = 0.2
_SILENCE_S = 0.1
_CLIENTS = 3


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a part works. `seed` decides what the clients of a writer ask: the same again after a kill."""

    database: DatabaseUrls
    nats_url: str
    seed: int


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a writer: a request is about to be made, or was answered, or all that was wanted is done."""

    asked: Asked | None = None
    name: str = ""
    answer: Answer | None = None
    done: bool = False


class ToldLedger(Ledger):
    """A ledger that tells every entry."""

    def ask(self, asked: Asked) -> None:
        """Tell that a request is made, before it is."""
        super().ask(asked)
        _tell(Told(asked=asked))

    def answer(self, name: str, answer: Answer) -> None:
        """Tell an answer."""
        super().answer(name, answer)
        _tell(Told(name=name, answer=answer))


async def _writer(place: Place, lines: asyncio.StreamReader) -> None:
    async with PostgresEventStore(place.database.writer, deadline_s=DEADLINE_S) as store:
        asking = Asking([Desk(store)], ToldLedger(), seeded(place.seed))
        clients = [
            Client(name, Account(name), asking, is_founder=True)
            for name in (f"{place.seed}-{number}" for number in range(_CLIENTS))
        ]
        while line := await lines.readline():
            await asyncio.gather(*(client.act(int(line)) for client in clients))
            _tell(Told(done=True))


async def _relay(place: Place, lines: asyncio.StreamReader) -> None:
    nats = await connect(place.nats_url)
    async with Database(place.database.writer) as database:
        feed = PostgresFeed(place.database.writer)
        relay = Relay(nats, log=LogReads(database), feed=feed, check_s=_CHECK_S, deadline_s=DEADLINE_S)
        await _until_told(asyncio.create_task(relay.run()), lines)
    await nats.close()


async def _projector(place: Place, lines: asyncio.StreamReader) -> None:
    nats = await connect(place.nats_url)
    clock = SystemClock()
    async with Database(place.database.projector) as database:
        views = PostgresViewStore(place.database.projector, owner=SystemIds(clock).new("projector"))
        feed = JetStreamFeed(nats, LogReads(database), silence_s=_SILENCE_S)
        projector = Projector(READ_MODELS, feed=feed, views=views, clock=clock, lease_ms=LEASE_MS)
        await _until_told(asyncio.create_task(projector.run()), lines)
        await views.close()
    await nats.close()


async def _until_told(task: asyncio.Task[None], lines: asyncio.StreamReader) -> None:
    ending = asyncio.create_task(lines.read())
    await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
    await end(task, ending)


_PARTS = {"writer": _writer, "relay": _relay, "projector": _projector}


async def main(part: str, standard_input: TextIO) -> None:
    """Be *part* until *standard_input* ends."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), standard_input)
    place = msgspec.json.decode(await lines.readline(), type=Place)
    await _PARTS[part](place, lines)


def _tell(told: Told) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(main(sys.argv[1], sys.stdin))
