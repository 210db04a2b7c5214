"""Large loads: the rules of every append, in batches, and what comes of a load that is stopped."""

import asyncio
from collections import Counter
from itertools import pairwise

import psycopg
import pytest

from adapters.postgres.batches import EVENTS_MAX
from adapters.postgres.bulk import Loaded, LoadStopped
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, Appended, EventTooLarge, NewEvent, StreamAppend
from domain.envelope import RecordedEvent, is_intact
from infra.database import DatabaseUrls
from tests.support.appends import command, on

STREAMS = 7
_BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer' AND query LIKE '%append_batch%'
"""


def history(commands: int, *, events: int = 3) -> list[Append]:
    """Return keyed commands over a few streams, each after the one before it."""
    return [
        command(on(f"account-{number % STREAMS}", number // STREAMS * events, events=events), key=f"import-{number}")
        for number in range(commands)
    ]


async def whole_log(store: PostgresEventStore) -> list[RecordedEvent]:
    log: list[RecordedEvent] = []
    while page := await store.read_all(after_sequence=len(log), limit=1000):
        log += page
    return log


async def test_a_load_appends_every_command_in_its_order_and_in_bounded_batches(store: PostgresEventStore) -> None:
    appends = history(1_500)
    told: list[Loaded] = []
    loaded = await store.append_bulk(iter(appends), tell=told.append)
    assert loaded == Loaded(commands=1_500, events=4_500, last_sequence=4_500)
    assert told[-1] == loaded
    assert len(told) == len({each.events for each in told}) > 4
    log = await whole_log(store)
    assert list(dict.fromkeys(event.command_id for event in log)) == [append.command_id for append in appends]
    assert all(is_intact(event) for event in log)
    assert all(after.previous_hash == before.hash for before, after in pairwise(log))
    assert max(Counter(event.recorded_at_us for event in log).values()) <= EVENTS_MAX


async def test_a_load_with_keys_can_be_run_again(store: PostgresEventStore) -> None:
    appends = history(500)
    await store.append_bulk(appends[:333])
    assert await store.append_bulk(appends) == Loaded(commands=167, events=501, repeated=333, last_sequence=1_500)
    assert [event.command_id for event in await whole_log(store)][::3] == [append.command_id for append in appends]


async def test_a_load_stops_at_the_batch_of_a_refused_command(store: PostgresEventStore) -> None:
    appends = history(1_000)
    stale = command(on("account-0", 1))
    with pytest.raises(LoadStopped, match=stale.command_id) as stopped:
        await store.append_bulk([*appends[:400], stale, *appends[400:]])
    assert stopped.value.refused == {stale.command_id: "conflict"}
    log = await whole_log(store)
    # Whole commands, in order, up to the end of the batch: the refused one is left out, nothing after is begun.
    assert len(log) == stopped.value.loaded.events < 3_000
    stored = [append.command_id for append in appends[: len(log) // 3]]
    assert [event.command_id for event in log][::3] == stored
    assert stored[-1] in {append.command_id for append in appends[400:]}


async def test_what_came_before_a_command_that_is_too_large_is_stored_whole(store: PostgresEventStore) -> None:
    huge = StreamAppend(
        stream_id="account-9", expected_version=0, events=(NewEvent(name="note.v1", payload=b"x" * 300_000),)
    )
    with pytest.raises(EventTooLarge):
        await store.append_bulk([*history(1_000), command(huge)])
    log = await whole_log(store)
    assert len(log) % 3 == 0
    assert all(is_intact(event) for event in log)


async def test_live_commands_are_not_held_up_by_a_load(store: PostgresEventStore) -> None:
    loading = asyncio.create_task(store.append_bulk(history(2_000)))
    live: list[Appended] = []
    while not loading.done():
        live.append(await store.append(command(on("account-live", len(live)))))
    assert (await loading).events == 6_000
    assert len(live) > 1
    sequences = [appended.last_sequence for appended in live]
    assert sequences == sorted(sequences)
    assert len(await whole_log(store)) == 6_000 + len(live)


async def test_a_load_survives_the_end_of_its_server_process(database: DatabaseUrls, store: PostgresEventStore) -> None:
    ended: set[int] = set()
    async with await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin:
        loading = asyncio.create_task(store.append_bulk(history(2_000)))
        while not loading.done():
            cursor = await admin.execute(_BACKENDS)
            for (pid,) in await cursor.fetchall():
                if len(ended) < 3 and pid not in ended:
                    await admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
                    ended.add(pid)
            await asyncio.sleep(0.01)
    loaded = await loading
    assert ended
    assert loaded.commands + loaded.repeated == 2_000
    log = await whole_log(store)
    assert [event.command_id for event in log][::3] == list(dict.fromkeys(event.command_id for event in log))
    assert len(log) == 6_000
