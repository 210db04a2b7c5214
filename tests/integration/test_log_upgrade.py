"""A log that the first release wrote, under this release's schema: nothing is lost, and both can write for a while."""

from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from psycopg import AsyncConnection

from adapters.postgres.arrays import register_arrays
from adapters.postgres.entries import entry_of, parameters_of
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, Appended, KeyReused
from domain.envelope import is_intact
from infra.database import DatabaseUrls
from infra.migrations.runner import migrate
from tests.support.appends import command, on

_FIRST_PARAMETERS = 19
_PLACES = ", ".join(["%b"] * _FIRST_PARAMETERS)
_FIRST_APPEND = f"SELECT statuses, first_sequences, last_sequences FROM log.append_batch({_PLACES})"  # noqa: S608 - no input


@pytest.fixture
async def first_writer(first_release: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(first_release.writer, autocommit=True) as connection:
        register_arrays(connection)
        yield connection


async def append_as_first(writer: AsyncConnection[Any], append: Append) -> tuple[str, int, int]:
    """Append with the statement of the first release."""
    cursor = await writer.execute(_FIRST_APPEND, parameters_of([entry_of(append)])[:_FIRST_PARAMETERS])
    row = await cursor.fetchone()
    assert row is not None
    ((status,), (first,), (last,)) = row
    return status, first, last


async def test_outcomes_and_events_are_taken_over(
    first_release: DatabaseUrls, first_writer: AsyncConnection[Any]
) -> None:
    assert await append_as_first(first_writer, command(on("account-1", events=2), key="k")) == ("appended", 1, 2)
    assert await append_as_first(first_writer, command(on("account-1", 2), key="old")) == ("appended", 3, 3)
    async with await AsyncConnection.connect(first_release.admin, autocommit=True) as admin:
        await admin.execute("UPDATE log.commands SET recorded_at = recorded_at - interval '15 days' WHERE key = 'old'")
    migrate(first_release.owner)
    async with PostgresEventStore(first_release.writer) as store:
        again = await store.append(command(on("account-1", 3), key="k"))
        assert again == Appended(first_sequence=1, last_sequence=2, repeated=True)
        with pytest.raises(KeyReused):
            await store.append(command(on("account-1", 3), key="k", request=b"another"))
        assert await store.append(command(on("account-1", 3), key="old")) == Appended(first_sequence=4, last_sequence=4)
        log = await store.read_all(after_sequence=0)
    assert [event.version for event in log] == [1, 2, 3, 4]
    assert all(is_intact(event) for event in log)
    assert all(after.previous_hash == before.hash for before, after in pairwise(log))


async def test_a_process_of_the_first_release_goes_on_beside_this_one(
    first_release: DatabaseUrls, first_writer: AsyncConnection[Any]
) -> None:
    append = partial(append_as_first, first_writer)
    await append(command(on("account-1"), key="before"))
    migrate(first_release.owner)
    async with PostgresEventStore(first_release.writer) as store:
        assert await append(command(on("account-1", 1), key="theirs")) == ("appended", 2, 2)
        assert await store.append(command(on("account-1", 2), key="ours")) == Appended(
            first_sequence=3, last_sequence=3
        )
        assert await append(command(on("account-1", 3), key="ours")) == ("repeated", 3, 3)
        assert (await store.append(command(on("account-1", 3), key="theirs"))).repeated
        assert (await append(command(on("account-1", 1), key="new")))[0] == "conflict"
        assert [event.sequence for event in await store.read_all(after_sequence=0)] == [1, 2, 3]
