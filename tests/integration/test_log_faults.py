"""What the log answers when the database fails under it: the truth, or that it does not know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from adapters.postgres.entries import Part, Tracked, TrackingStale, new_entry
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, Appended, AppendOutcomeUnknown, NewEvent, StoreUnavailable, StreamAppend
from infra.database import DatabaseUrls
from infra.faults.link import Cut, PostgresLink
from tests.support.appends import command, new_event, on
from tests.support.eventually import eventually

_WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer' AND wait_event_type = 'Lock'
"""


@pytest.fixture
async def admin(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def link(database: DatabaseUrls) -> AsyncIterator[PostgresLink]:
    async with PostgresLink(database.writer) as listening:
        yield listening


async def waiting_backend(admin: AsyncConnection[Any]) -> int | None:
    row = await (await admin.execute(_WAITING)).fetchone()
    return row[0] if row else None


async def stored(database: DatabaseUrls) -> list[tuple[str, int]]:
    async with await AsyncConnection.connect(database.writer) as connection:
        return await (
            await connection.execute("SELECT stream_id, version FROM log.events ORDER BY sequence")
        ).fetchall()


async def test_what_a_killed_backend_had_not_committed_is_sent_again(
    database: DatabaseUrls, admin: AsyncConnection[Any]
) -> None:
    async with (
        PostgresEventStore(database.writer) as store,
        await AsyncConnection.connect(database.owner) as owner,
    ):
        await owner.execute("SELECT FROM log.head FOR UPDATE")
        keyed = asyncio.create_task(store.append(command(on("account-1"), key="k")))
        plain = asyncio.create_task(store.append(command(on("account-2", events=2))))
        pid = await eventually(lambda: waiting_backend(admin))
        await admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        # The new backend waits in its turn, so the answer was looked for and nothing was found.
        await eventually(lambda: waiting_backend(admin))
        await owner.rollback()
        assert await keyed == Appended(first_sequence=1, last_sequence=1)
        assert await plain == Appended(first_sequence=2, last_sequence=3)
    assert await stored(database) == [("account-1", 1), ("account-2", 1), ("account-2", 2)]


@pytest.mark.parametrize("events", [0, 2])
async def test_tracking_whose_answer_was_lost_is_found_and_not_taken_for_stale(
    database: DatabaseUrls, link: PostgresLink, events: int
) -> None:
    tracked = Tracked(tracker="followers", application_name="upstream", notification_id=7)
    parts = (Part(stream_id="account-1", first_version=1, events=(new_event(),) * events),) if events else ()
    async with PostgresEventStore(link.conninfo) as store:
        await store.append(command(on("account-0")))
        link.arm(Cut.UNTOLD, b"upstream")
        entry = new_entry(command_id="lib_1", metadata=b"{}", parts=parts, tracked=tracked)
        appended = await store.append_entry(entry)
        assert (appended.last_sequence, appended.repeated) == (1 + events, False)
        with pytest.raises(TrackingStale):
            await store.append_entry(new_entry(command_id="lib_2", metadata=b"{}", parts=(), tracked=tracked))
    assert len(await stored(database)) == 1 + events


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(
    database: DatabaseUrls, link: PostgresLink, key: str | None
) -> None:
    async with PostgresEventStore(link.conninfo) as store:
        await store.append(command(on("account-0")))
        link.arm(Cut.UNTOLD, b"account-1")
        assert await store.append(command(on("account-1", events=2), key=key)) == Appended(
            first_sequence=2, last_sequence=3
        )
        assert link.has_struck.is_set()
        assert await store.append(command(on("account-1", 2))) == Appended(first_sequence=4, last_sequence=4)
    assert len(await stored(database)) == 4


async def test_a_whole_batch_whose_answer_was_lost_is_found(database: DatabaseUrls, link: PostgresLink) -> None:
    async with PostgresEventStore(link.conninfo) as store:
        await store.append(command(on("account-0")))
        link.arm(Cut.UNTOLD, b"account-1")
        appends = [
            command(on(f"account-{number}"), key=f"k{number}" if number % 2 else None) for number in range(1, 30)
        ]
        done = await asyncio.gather(*(store.append(append) for append in appends))
    assert [outcome.last_sequence for outcome in done] == list(range(2, 31))
    assert len(await stored(database)) == 30


async def test_an_answer_that_does_not_come_in_time_is_unknown_and_the_key_finds_it_later(
    database: DatabaseUrls, link: PostgresLink
) -> None:
    async with PostgresEventStore(link.conninfo, deadline_s=0.3) as store:
        await store.append(command(on("account-0")))
        link.arm(Cut.SILENT, b"account-1")
        with pytest.raises(AppendOutcomeUnknown):
            await store.append(command(on("account-1"), key="k"))
        again = await store.append(command(on("account-1"), key="k"))
    assert again == Appended(first_sequence=2, last_sequence=2, repeated=True)
    assert await stored(database) == [("account-0", 1), ("account-1", 1)]


async def test_a_server_that_refuses_is_unavailable_and_takes_appends_when_it_is_back(
    database: DatabaseUrls, link: PostgresLink
) -> None:
    async with PostgresEventStore(link.conninfo, deadline_s=0.4) as store:
        await store.append(command(on("account-1")))
        await link.close()
        # The first may have been sent before the break was noticed; the second was not.
        with pytest.raises((AppendOutcomeUnknown, StoreUnavailable)):
            await store.append(command(on("account-1", 1)))
        with pytest.raises(StoreUnavailable):
            await store.append(command(on("account-1", 1)))
        with pytest.raises(StoreUnavailable):
            await store.head()
        await link.listen()
        assert await store.append(command(on("account-1", 1))) == Appended(first_sequence=2, last_sequence=2)
        assert (await store.head()).sequence == 2
    assert await stored(database) == [("account-1", 1), ("account-1", 2)]


async def test_a_store_does_not_start_without_a_server(link: PostgresLink) -> None:
    await link.close()
    with pytest.raises(StoreUnavailable):
        await PostgresEventStore(link.conninfo, deadline_s=0.2).start()


async def test_a_lock_held_for_too_long_is_waited_for_again(
    database: DatabaseUrls, admin: AsyncConnection[Any]
) -> None:
    async with (
        PostgresEventStore(database.writer) as store,
        await AsyncConnection.connect(database.owner) as owner,
    ):
        await owner.execute("SELECT FROM log.head FOR UPDATE")
        appending = asyncio.create_task(store.append(command(on("account-1"))))
        await eventually(lambda: waiting_backend(admin))
        pid = await waiting_backend(admin)
        # As the lock's time-out does, but at once: the statement fails, the connection stays.
        await admin.execute("SELECT pg_cancel_backend(%s)", (pid,))
        await eventually(lambda: waiting_backend(admin))
        assert not appending.done()
        await owner.rollback()
        assert await appending == Appended(first_sequence=1, last_sequence=1)


async def test_an_entry_that_the_log_cannot_hold_fails_alone(database: DatabaseUrls) -> None:
    part = StreamAppend(stream_id="a\0b", expected_version=0, events=(NewEvent(name="x", payload=b""),))
    async with PostgresEventStore(database.writer) as store:
        done = await asyncio.gather(
            store.append(command(on("account-1"))),
            store.append(command(part)),
            store.append(command(on("account-1", 1))),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in done] == [Appended, ValueError, Appended]
    assert await stored(database) == [("account-1", 1), ("account-1", 2)]


async def test_closing_finishes_what_waits_and_takes_nothing_more(database: DatabaseUrls) -> None:
    store = PostgresEventStore(database.writer, commands_max=3)
    await store.start()
    appends = [asyncio.create_task(store.append(command(on("account-1", version)))) for version in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert [(await outcome).last_sequence for outcome in appends] == list(range(1, 21))
    with pytest.raises(StoreUnavailable):
        await store.append(command(on("account-1", 20)))


async def test_a_caller_who_leaves_before_the_command_was_sent_takes_it_along(
    database: DatabaseUrls, admin: AsyncConnection[Any]
) -> None:
    async def append(store: PostgresEventStore, what: Append) -> Appended:
        return await store.append(what)

    async with (
        PostgresEventStore(database.writer, commands_max=1) as store,
        await AsyncConnection.connect(database.owner) as owner,
    ):
        await owner.execute("SELECT FROM log.head FOR UPDATE")
        first, second, third = (
            asyncio.create_task(append(store, command(on(f"account-{number}")))) for number in (1, 2, 3)
        )
        await eventually(lambda: waiting_backend(admin))
        second.cancel()
        await owner.rollback()
        assert await first == Appended(first_sequence=1, last_sequence=1)
        assert await third == Appended(first_sequence=2, last_sequence=2)
    assert await stored(database) == [("account-1", 1), ("account-3", 1)]
