"""A log filled by COPY is one that appends could have made, and appends go on from there."""

import time
from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from commands.ports import VersionConflict
from domain.envelope import is_intact
from infra.bench.events import DAY_NS, append_of, at_least, lives, recorded
from infra.bench.filling import LogFiller, narrow_partitions
from infra.database import DatabaseUrls

BEFORE = 999_200
"""The log begins behind this sequence, so that it soon reaches its second partition."""
COMMANDS = at_least(2_000, lives(seed=3, accounts=20, instruments=5, began_ns=time.time_ns() - DAY_NS))
LIVED, NEXT = COMMANDS[:-100], COMMANDS[-100:]
COMING = list(recorded(LIVED, after_sequence=BEFORE))

_INDEXES = """
    SELECT tablename, replace(indexdef, tablename, '') FROM pg_indexes
    WHERE schemaname = 'log' AND tablename LIKE 'events\\_%%' ORDER BY 1, 2
"""


@pytest.fixture
async def filled(database: DatabaseUrls) -> AsyncIterator[PostgresEventStore]:
    told: list[int] = []
    filler = LogFiller(database.owner, tell=told.append)
    filler.sequence = BEFORE
    filler.fill(LIVED)
    assert told[-1] == filler.sequence == COMING[-1].sequence > 1_000_000
    async with PostgresEventStore(database.writer) as store:
        yield store


async def test_it_holds_the_events_over_two_partitions(filled: PostgresEventStore) -> None:
    events = await filled.read_all(after_sequence=BEFORE, limit=10_000)
    assert events == COMING
    assert all(is_intact(event) for event in events)
    head = await filled.head()
    assert (head.sequence, head.hash) == (events[-1].sequence, events[-1].hash)


async def test_appends_go_on_where_it_ends(filled: PostgresEventStore) -> None:
    sequence = COMING[-1].sequence
    for command in NEXT:
        appended = await filled.append(append_of(command))
        assert (appended.first_sequence, appended.repeated) == (sequence + 1, False)
        sequence = appended.last_sequence
    [first, *_] = await filled.read_all(after_sequence=COMING[-1].sequence, limit=1)
    assert first.previous_hash == COMING[-1].hash
    assert is_intact(first)


async def test_its_commands_are_answered_as_carried_out(filled: PostgresEventStore) -> None:
    keyed = [command for command in LIVED if command.key is not None]
    again = await filled.append(append_of(keyed[-1]))
    assert again.repeated
    assert [event.sequence for event in COMING if event.command_id == keyed[-1].command_id] == list(
        range(again.first_sequence, again.last_sequence + 1)
    )
    unkeyed = next(command for command in LIVED if command.key is None)
    with pytest.raises(VersionConflict):
        await filled.append(append_of(unkeyed))


async def test_its_partitions_have_the_indexes_of_the_others(
    filled: PostgresEventStore, database: DatabaseUrls
) -> None:
    await filled.head()
    indexes: dict[str, list[str]] = {}
    with psycopg.connect(database.admin) as admin:
        for table, definition in admin.execute(_INDEXES):
            indexes.setdefault(table, []).append(" ".join(definition.split(" ON ")[1:]))
    # Two were filled, and the one after them was made by the log itself.
    assert len(indexes) == 3
    assert indexes["events_000000000000000"] == indexes["events_000000001000000"] == indexes["events_000000002000000"]


async def test_in_narrow_partitions_it_is_the_same_log_and_appends_go_on(database: DatabaseUrls) -> None:
    width = 500
    narrow_partitions(database.owner, width)
    LogFiller(database.owner, tell=lambda _: None).fill(LIVED)
    wanted = list(recorded(LIVED))
    async with PostgresEventStore(database.writer) as store:
        assert await store.read_all(after_sequence=0, limit=10_000) == wanted
        appended = await store.append(append_of(NEXT[0]))
        assert appended.first_sequence == wanted[-1].sequence + 1
    with psycopg.connect(database.admin) as admin:
        partitions = [(table, index) for table, index in admin.execute(_INDEXES)]
    # Those that are filled or begun, and the one after them.
    assert len({table for table, _ in partitions}) == wanted[-1].sequence // width + 2
    assert len({index for _, index in partitions}) * len({table for table, _ in partitions}) == len(partitions)
