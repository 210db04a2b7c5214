"""What lies beside the events: outcomes by week, and landmarks in streams that snapshots set."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.reading import _READ_STREAM
from adapters.postgres.snapshots import PostgresSnapshots
from commands.ports import Appended, KeyReused, Snapshot
from domain.envelope import leaf_of
from infra.database import DatabaseUrls
from tests.support.appends import command, on

STREAM = "account-1"
WIDTH = 1_000_000
_WEEKS = """
    SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = 'log.commands'::regclass ORDER BY 1
"""


@pytest.fixture
async def admin(database: DatabaseUrls) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
        yield connection


async def age(admin: AsyncConnection[Any], key: str, interval: str) -> None:
    """Let the outcome under *key* be so much older."""
    await admin.execute("SELECT log.prepare_week(clock_timestamp() - %s::interval)", (interval,))
    await admin.execute(
        "UPDATE log.commands SET recorded_at = recorded_at - %s::interval WHERE key = %s", (interval, key)
    )


async def weeks(admin: AsyncConnection[Any]) -> list[str]:
    return [name for (name,) in await (await admin.execute(_WEEKS)).fetchall()]


def week_of(moment: datetime) -> str:
    return f"commands_{moment.date() - timedelta(days=moment.weekday()):%Y%m%d}"


# --- Outcomes ---------------------------------------------------------------------------------------------------------


async def test_a_key_is_honoured_for_fourteen_days(store: PostgresEventStore, admin: AsyncConnection[Any]) -> None:
    await store.append(command(on(STREAM), key="old"))
    await store.append(command(on(STREAM, 1), key="young"))
    await age(admin, "old", "14 days 1 minute")
    await age(admin, "young", "13 days 23 hours")
    again = await store.append(command(on(STREAM, 2), key="young"))
    assert again == Appended(first_sequence=2, last_sequence=2, repeated=True)
    with pytest.raises(KeyReused):
        await store.append(command(on(STREAM, 2), key="young", request=b"another"))
    anew = await store.append(command(on(STREAM, 2), key="old"))
    assert anew == Appended(first_sequence=3, last_sequence=3)
    # Both outcomes of the key are there now, and the younger one is the answer.
    assert await store.append(command(on(STREAM, 3), key="old")) == Appended(
        first_sequence=3, last_sequence=3, repeated=True
    )


async def test_old_weeks_are_dropped_whole_and_honoured_ones_are_not(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    for key, interval in (("ancient", "35 days"), ("old", "22 days"), ("young", "13 days"), ("new", "0 days")):
        await store.append(command(on(f"account-{key}"), key=key))
        await age(admin, key, interval)
    await store.database.fetch("SELECT log.forget_commands()")
    cursor = await admin.execute("SELECT key FROM log.commands ORDER BY key")
    assert [key for (key,) in await cursor.fetchall()] == ["new", "young"]
    now = datetime.now(UTC)
    left = await weeks(admin)
    assert {week_of(now), week_of(now - timedelta(days=13)), week_of(now + timedelta(days=7))} <= set(left)
    assert not {week_of(now - timedelta(days=days)) for days in (22, 35)} & set(left)


async def test_a_week_that_nobody_prepared_is_made_by_the_append_that_needs_it(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    for week in await weeks(admin):
        await admin.execute(f"DROP TABLE log.{week}".encode())
    assert not (await store.append(command(on(STREAM), key="k"))).repeated
    assert (await store.append(command(on(STREAM, 1), key="k"))).repeated
    assert len(await weeks(admin)) == 2


async def test_an_append_looks_into_the_honoured_weeks_only(admin: AsyncConnection[Any]) -> None:
    for days in range(0, 400, 7):
        await admin.execute("SELECT log.prepare_week(clock_timestamp() - %s * interval '1 day')", (days,))
    await admin.execute("SET plan_cache_mode = force_generic_plan")
    await admin.execute(
        "PREPARE find (text, text, timestamptz) AS SELECT FROM log.commands"
        " WHERE scope = $1 AND key = $2 AND recorded_at > $3 - interval '14 days' AND recorded_at <= $3"
    )
    cursor = await admin.execute("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE find ('s', 'k', clock_timestamp())")
    plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert len(set(re.findall(r"on (commands_\d+)", plan))) <= 3
    assert "Seq Scan" not in plan or "never executed" in plan


async def test_an_outcome_is_found_by_its_command_id_when_its_key_is_forgotten(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    ids = SystemIds(SystemClock())
    asked = msgspec.structs.replace(command(on(STREAM, events=2), on("account-2"), key="k"), command_id=ids.new("cmd"))
    await store.append(command(on("account-0")))
    await store.append(asked)
    await store.append(command(on("account-3")))
    await age(admin, "k", "40 days")
    await store.database.fetch("SELECT log.forget_commands()")
    assert await store.find_outcome(asked.command_id) == Appended(first_sequence=2, last_sequence=4, repeated=True)
    assert await store.find_outcome(ids.new("cmd")) is None
    with pytest.raises(ValueError, match="import-7"):
        await store.find_outcome("import-7")


# --- Landmarks --------------------------------------------------------------------------------------------------------


async def five_partitions(store: PostgresEventStore, admin: AsyncConnection[Any]) -> Snapshot:
    """Let a stream have two events in each of five partitions; return a snapshot of the first seven."""
    for number in range(5):
        if number:
            await admin.execute("UPDATE log.head SET sequence = %s", (number * WIDTH,))
        await store.append(command(on(STREAM, 2 * number, events=2)))
    last = (await store.read_stream(STREAM, after_version=6))[0]
    return Snapshot(
        stream_id=STREAM, version=7, sequence=last.sequence, leaf=leaf_of(last), schema="account.v1", state=b"{}"
    )


async def partitions_read(admin: AsyncConnection[Any], *, after_version: int) -> list[str]:
    await admin.execute("ANALYZE log.events")
    cursor = await admin.execute(
        f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {_READ_STREAM}",
        (STREAM, after_version, STREAM, after_version, 1_000),
    )
    lines = [line for (line,) in await cursor.fetchall()]
    return sorted(
        {found[1] for line in lines if (found := re.search(r"on (events_\d+)", line)) and "never executed" not in line}
    )


async def test_who_wants_the_whole_stream_gets_it_whatever_snapshots_there_are(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    snapshot = await five_partitions(store, admin)
    whole = await store.read_stream(STREAM)
    assert [event.version for event in whole] == list(range(1, 11))
    await PostgresSnapshots(store.database).keep(snapshot)
    assert await store.read_stream(STREAM) == whole
    for after_version in range(12):
        assert await store.read_stream(STREAM, after_version=after_version) == whole[after_version:]
    await store.database.execute("DELETE FROM log.snapshots")
    assert await store.read_stream(STREAM) == whole


async def test_only_who_starts_from_the_snapshot_skips_older_partitions(
    store: PostgresEventStore, admin: AsyncConnection[Any]
) -> None:
    snapshot = await five_partitions(store, admin)
    assert len(await partitions_read(admin, after_version=6)) >= 5
    await PostgresSnapshots(store.database).keep(snapshot)
    behind = {f"events_{number * WIDTH:015d}" for number in range(3)}
    # The snapshot's last event is read again, to hold the snapshot against it.
    assert not behind & set(await partitions_read(admin, after_version=6))
    assert [event.version for event in await store.read_stream(STREAM, after_version=6)] == [7, 8, 9, 10]
    assert behind <= set(await partitions_read(admin, after_version=5))


async def test_the_landmark_goes_forward_only(store: PostgresEventStore, admin: AsyncConnection[Any]) -> None:
    snapshots = PostgresSnapshots(store.database)
    newest = await five_partitions(store, admin)
    first = (await store.read_stream(STREAM))[0]
    older = Snapshot(stream_id=STREAM, version=1, sequence=1, leaf=leaf_of(first), schema="account.v0", state=b"{}")
    for snapshot in (newest, older):
        await snapshots.keep(snapshot)
    cursor = await admin.execute(
        "SELECT snapshot_version, snapshot_sequence FROM log.streams WHERE stream_id = %s", (STREAM,)
    )
    assert await cursor.fetchone() == (6, newest.sequence - 1)


async def test_a_snapshot_under_way_does_not_hold_up_an_append(
    store: PostgresEventStore, database: DatabaseUrls, admin: AsyncConnection[Any]
) -> None:
    """Its transaction does not wait for the disk; what an append waits for is over in no time."""
    snapshot = await five_partitions(store, admin)
    async with await AsyncConnection.connect(database.writer) as keeping:
        await keeping.execute(
            "SELECT log.keep_snapshot(%s, %s, %s, %s, %s, %s)",
            (STREAM, snapshot.version, snapshot.sequence, snapshot.leaf, snapshot.schema, snapshot.state),
        )
        cursor = await keeping.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == ("off",)
    async with await AsyncConnection.connect(database.writer) as another:
        cursor = await another.execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == ("on",)
