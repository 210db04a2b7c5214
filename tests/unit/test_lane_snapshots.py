"""A lane that starts from a snapshot decides as one that folds the whole stream; any snapshot may be gone or wrong."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from adapters.memory.event_store import MemoryEventStore
from commands.accounts import ACCOUNT_STATES, AccountLane, stream_of
from commands.lane import Decided, Lane, Request
from commands.ports import Snapshot
from commands.snapshots import SnapshotCache
from domain.account import Account, decider
from domain.account.commands import AccountCommand
from domain.account.events import AccountEvent
from domain.envelope import RecordedEvent
from domain.events import decode
from tests.support.eventually import eventually
from tests.support.memory_snapshots import MemorySnapshots
from tests.support.specimens import ACCOUNT, engage, open_account, release

STREAM = stream_of(ACCOUNT)
EVERY = 10
numbers = count(1)


class WatchedStore(MemoryEventStore):
    """Remembers from where streams were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_after: list[int] = []

    async def read_stream(self, stream_id: str, *, after_version: int = 0) -> list[RecordedEvent]:
        self.read_after.append(after_version)
        return await super().read_stream(stream_id, after_version=after_version)


class World:
    """A store, its snapshots, and lanes on them, each as a fresh process would make it."""

    def __init__(self) -> None:
        self.store = WatchedStore()
        self.snapshots = MemorySnapshots()

    def lane(self, *, every: int = EVERY) -> AccountLane:
        self.cache = SnapshotCache(self.snapshots, ACCOUNT_STATES, every=every)
        return Lane(STREAM, decider, self.store, self.cache)

    async def live(self, lane: AccountLane, commands: int) -> None:
        """Engage and release the kill switch, one event each."""
        for _ in range(commands):
            engaged = (await lane.state()).kill_switch_engaged
            await ask(lane, release if engaged else engage)

    async def kept(self, version: int) -> Snapshot:
        return await eventually(lambda: self._kept(version))

    def _kept(self, version: int) -> Snapshot | None:
        found = self.snapshots.kept.get(STREAM)
        return found if found is not None and found.version >= version else None

    def whole_fold(self) -> Account:
        return decider.fold(decode(event.name, event.payload) for event in self.store.events)  # type: ignore[misc]


async def ask(lane: AccountLane, command: AccountCommand) -> Decided[AccountEvent]:
    async def command_on(_: Account) -> AccountCommand:
        return command

    return await lane.execute(command_on, Request(command_id=f"cmd_{next(numbers)}", metadata=b"{}"))


@pytest.fixture
async def world() -> World:
    world = World()
    lane = world.lane()
    await ask(lane, open_account)
    await world.live(lane, 24)
    await world.kept(20)
    await world.cache.close()
    world.store.read_after.clear()
    return world


async def test_a_lane_starts_from_the_newest_snapshot(world: World) -> None:
    kept = world.snapshots.kept[STREAM]
    lane = world.lane()
    assert await lane.state() == world.whole_fold()
    assert world.store.read_after == [kept.version - 1]
    await world.live(lane, 3)
    assert await lane.state() == world.whole_fold()


async def test_a_snapshot_is_taken_every_so_many_events_and_not_at_each(world: World) -> None:
    before = world.snapshots.kept[STREAM].version
    lane = world.lane()
    await world.live(lane, EVERY - (25 - before) - 1)
    await world.cache.close()
    assert world.snapshots.kept[STREAM].version == before
    await world.live(lane, 1)
    assert (await world.kept(before + 1)).version == before + EVERY


async def test_a_lane_that_had_to_fold_much_has_a_snapshot_taken(world: World) -> None:
    world.snapshots.kept.clear()
    lane = world.lane()
    assert await lane.state() == world.whole_fold()
    assert (await world.kept(25)).version == 25


async def test_what_another_process_appended_counts_too(world: World) -> None:
    watching = world.lane()
    await watching.state()
    seen = len(world.store.events)
    await world.live(world.lane(every=1_000), 12)
    world.snapshots.kept.clear()
    for recorded in world.store.events[seen:]:
        watching.observe(recorded)
    kept = await world.kept(1)
    assert (
        ACCOUNT_STATES.decode(kept.state)
        == decider.fold(
            decode(event.name, event.payload)  # type: ignore[misc]
            for event in world.store.events[: kept.version]
        )
    )


WRONG: dict[str, Callable[[Snapshot], Snapshot]] = {
    "of another schema": lambda kept: replace(kept, schema="account.v0"),
    "no state": lambda kept: replace(kept, state=b"{"),
    "of another shape": lambda kept: replace(kept, state=b'{"trades": 7}'),
    "of another event": lambda kept: replace(kept, leaf=bytes(32)),
    "of another place": lambda kept: replace(kept, sequence=kept.sequence + 1),
    "from after the end": lambda kept: replace(kept, version=kept.version + 1_000),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_snapshot_is_passed_over(world: World, wrong: str) -> None:
    world.snapshots.kept[STREAM] = WRONG[wrong](world.snapshots.kept[STREAM])
    lane = world.lane()
    assert await lane.state() == world.whole_fold()
    assert world.store.read_after[-1] == 0
    await world.live(lane, 2)


async def test_snapshots_that_cannot_be_asked_change_nothing(world: World) -> None:
    world.snapshots.is_away = True
    lane = world.lane()
    assert await lane.state() == world.whole_fold()
    await world.live(lane, 2 * EVERY)
    await world.cache.close()
    assert await lane.state() == world.whole_fold()


async def test_deleting_snapshots_at_any_time_changes_nothing() -> None:
    with_snapshots, without = World(), World()
    chance = random.Random(11)  # noqa: S311 - no secret
    lanes = (with_snapshots.lane(every=3), Lane(STREAM, decider, without.store))
    for lane in lanes:
        await ask(lane, open_account)
    for _ in range(60):
        command = chance.choice((engage, release))
        if chance.random() < 0.3:  # Another process takes over.
            await with_snapshots.cache.close()
            lanes = (with_snapshots.lane(every=3), Lane(STREAM, decider, without.store))
        if chance.random() < 0.2:
            with_snapshots.snapshots.kept.clear()
        for lane in lanes:
            await ask(lane, command)
        assert await lanes[0].state() == await lanes[1].state()
    assert [event.payload for event in with_snapshots.store.events] == [event.payload for event in without.store.events]
