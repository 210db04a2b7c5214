"""Lanes of several processes over one log, which start from snapshots while there are any."""

from itertools import count

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.snapshots import PostgresSnapshots
from commands.accounts import ACCOUNT_STATES, AccountLane, stream_of
from commands.lane import Lane, Request
from commands.snapshots import SnapshotCache
from domain.account import Account, decider
from domain.account.commands import AccountCommand
from domain.events import decode
from tests.support.specimens import ACCOUNT, engage, open_account, release

STREAM = stream_of(ACCOUNT)
EVERY = 10
numbers = count(1)


class Process:
    """One process's lane on the account, and its snapshots."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.cache = SnapshotCache(PostgresSnapshots(store.database), ACCOUNT_STATES, every=EVERY)
        self.lane: AccountLane = Lane(STREAM, decider, store, self.cache)

    async def ask(self, command: AccountCommand) -> None:
        async def command_on(_: Account) -> AccountCommand:
            return command

        await self.lane.execute(command_on, Request(command_id=f"cmd_{next(numbers)}", metadata=b"{}"))

    async def live(self, commands: int) -> None:
        """Engage and release the kill switch, one event each."""
        for _ in range(commands):
            await self.ask(release if (await self.lane.state()).kill_switch_engaged else engage)
        await self.cache.close()


async def whole_fold(store: PostgresEventStore) -> Account:
    recorded = await store.read_stream(STREAM)
    return decider.fold(decode(event.name, event.payload) for event in recorded)  # type: ignore[misc]


async def test_a_new_process_starts_from_the_snapshot_of_another_one(store: PostgresEventStore) -> None:
    first = Process(store)
    await first.ask(open_account)
    await first.live(25)
    kept = await PostgresSnapshots(store.database).find(STREAM)
    assert kept is not None
    assert kept.version > EVERY
    second = Process(store)
    start = await second.cache.start_of(STREAM, store)
    assert start is not None
    assert [event.version for event in start.tail] == list(range(kept.version + 1, 27))
    assert await second.lane.state() == await whole_fold(store)
    # Both go on, one after the other: each learns of the other's events by its conflicts.
    for process in (second, first, second):
        await process.live(4)
        assert await process.lane.state() == await whole_fold(store)


async def test_deleting_all_snapshots_changes_nothing(store: PostgresEventStore) -> None:
    first = Process(store)
    await first.ask(open_account)
    await first.live(25)
    await store.database.execute("DELETE FROM log.snapshots")
    second = Process(store)
    assert await second.cache.start_of(STREAM, store) is None
    assert await second.lane.state() == await whole_fold(store)
    await second.live(3)
    assert await second.lane.state() == await whole_fold(store)
    assert [event.version for event in await store.read_stream(STREAM)] == list(range(1, 30))
