"""What is held against each other once a killed engine rests: read past the engine, but for what it shows."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from adapters.postgres.database import Database
from adapters.postgres.reading import LogReads
from adapters.postgres.views import PostgresViews
from infra.kills.broker import BrokerDoor
from infra.kills.crowd import Ledger, Person
from infra.kills.judge import Event, Findings, Story, judge, unsettled
from infra.settings import PREFIX
from infra.supervisor import Supervisor
from projections.catalogue import READ_MODELS
from projections.verification import differences

AT_REST_WITHIN_S = 180.0
_LOOK_S = 0.25
_PAGE = 200
_EVENTS = """
    -- Read the log after a sequence.
    SELECT sequence, stream_id, name, payload FROM log.events WHERE sequence > %s ORDER BY sequence
"""


class NeverAtRest(Exception):
    """Orders stayed in doubt, or the log went on, long after the last request."""


class Witness:
    """Reads the evidence of one engine: its log by SQL, the simulator's books, and what each of *people* is shown."""

    def __init__(self, engine: Supervisor, broker: BrokerDoor, people: Sequence[Person], ledger: Ledger) -> None:
        self._engine = engine
        self._broker = broker
        self._people = people
        self._ledger = ledger
        self._events: list[Event] = []

    async def findings(self) -> Findings:
        """Wait until the engine rests, and return what is wrong then. Nobody may ask for anything meanwhile.

        Raises:
            NeverAtRest
        """
        story = await self._story()
        # A large log is folded and compared: the engine's own loop of this process goes on meanwhile.
        findings = await asyncio.to_thread(judge, story)
        findings.differences += await self._views_not_as_the_log()
        findings.differences += await self._not_verified()
        return findings

    async def _story(self) -> Story:
        """Return what the log, the broker and the engine say of one moment.

        The market goes on: an order that rests may fill while it is asked what is shown. Then all is read again.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + AT_REST_WITHIN_S
        while True:
            events, books = await self._at_rest()
            count, head = len(events), events[-1].sequence
            orders = {person.account_id: await self._orders_of(person, head) for person in self._people}
            positions = {person.account_id: await self._positions_of(person, head) for person in self._people}
            await self.read_on()
            if len(self._events) == count and await self._broker.books() == books:
                return Story(
                    requests=self._ledger.requests, events=events, books=books, orders=orders, positions=positions
                )
            if loop.time() > deadline_s:
                raise NeverAtRest("the log or the broker's books went on")

    def count(self, kind: str) -> int:
        """Return how many events of *kind*, a name without its version, the log had when it was last looked at."""
        return sum(event.name.startswith(f"{kind}.v") for event in self._events)

    async def _at_rest(self) -> tuple[list[Event], dict[str, Any]]:
        """Return log and books of a moment at which nothing was under way: neither changed while both were read."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + AT_REST_WITHIN_S
        before: tuple[int, Mapping[str, Any]] | None = None
        while True:
            await self.read_on()
            books = await self._broker.books()
            now = (len(self._events), books)
            waiting = unsettled(self._events)
            if now == before and not waiting:
                return self._events, books
            if loop.time() > deadline_s:
                raise NeverAtRest(f"{len(waiting)} orders are in doubt, such as {waiting[:3]}")
            before = now
            await asyncio.sleep(_LOOK_S)

    async def read_on(self) -> None:
        """Read what the log has got since it was last looked at."""
        after = self._events[-1].sequence if self._events else 0
        async with await psycopg.AsyncConnection.connect(self._engine.database_urls.admin) as connection:
            rows = await (await connection.execute(_EVENTS, [after])).fetchall()
        # Some streams hold what is sealed or meant for others: their payloads are read as well, and nobody asks.
        self._events += [Event(sequence, stream, name, json.loads(payload)) for sequence, stream, name, payload in rows]

    async def _orders_of(self, person: Person, head: int) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        query: dict[str, str | int] = {"limit": _PAGE, "min_sequence": head}
        while True:
            page = await _shown(person, "/api/orders", query)
            found += page["orders"]
            if page["next_before"] is None:
                return found
            query["before"] = page["next_before"]

    async def _positions_of(self, person: Person, head: int) -> list[Mapping[str, Any]]:
        positions: list[Mapping[str, Any]] = (await _shown(person, "/api/positions", {"min_sequence": head}))[
            "positions"
        ]
        return positions

    async def _views_not_as_the_log(self) -> list[str]:
        """Return the rows of read models that are not what a fold of the whole log gives, by the engine's own check."""
        urls = self._engine.database_urls
        async with Database(urls.writer) as reads, PostgresViews(urls.projector) as views:
            return [str(each) for each in await differences(READ_MODELS, log=LogReads(reads), views=views)]

    async def _not_verified(self) -> list[str]:
        """Return what `khata verify` says of the log where it is not whole."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.cli", "verify", "--json"),
            env={f"{PREFIX}HOME": str(self._engine.settings.home)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await process.communicate()
        return [] if process.returncode == 0 else [f"khata verify: {said.decode()}{complained.decode()}"]


async def _shown(person: Person, path: str, query: Mapping[str, str | int]) -> Mapping[str, Any]:
    """Return what is shown as soon as it is: views may have to catch up first."""
    async with asyncio.timeout(AT_REST_WITHIN_S):
        while True:
            answer = await person.read(path, **query)
            if not answer.is_server_error:
                break
            await asyncio.sleep(_LOOK_S)
    answer.raise_for_status()
    body: Mapping[str, Any] = answer.json()
    return body
