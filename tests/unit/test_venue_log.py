"""Breakers that opened, were tried and closed are remembered in the log, in batches and without anybody waiting."""

import asyncio
from collections.abc import Sequence

from adapters.memory.event_store import MemoryEventStore
from commands.ports import AppendOutcomeUnknown, StoreUnavailable
from commands.venue_log import KEPT_MAX, VenueLog
from domain.events import decode
from domain.venue import BreakerChanged, BreakerState
from tests.support.dhan import HandClock


class NumberedIds:
    """Ids one after another. Implements `commands.ports.Ids`."""

    def __init__(self, process: str = "ours") -> None:
        self._process = process
        self._last = 0

    def new(self, prefix: str) -> str:
        self._last += 1
        return f"{prefix}_{self._process}_{self._last}"


class ScriptedWatch:
    """Implements `commands.ports.BreakerWatch`."""

    def __init__(self) -> None:
        self.changes: list[BreakerChanged] = []

    def take_breaker_changes(self) -> Sequence[BreakerChanged]:
        taken, self.changes = self.changes, []
        return taken


def change(number: int, *, host: str = "api.dhan.co") -> BreakerChanged:
    return BreakerChanged(
        host=host,
        call_class="entries",
        from_state=BreakerState.CLOSED,
        to_state=BreakerState.OPEN,
        cause="ConnectError",
        changed_at_ns=number,
    )


def parts() -> tuple[VenueLog, ScriptedWatch, MemoryEventStore]:
    watch, store = ScriptedWatch(), MemoryEventStore()
    return VenueLog(watch=watch, store=store, ids=NumberedIds(), clock=HandClock()), watch, store


async def recorded(store: MemoryEventStore, host: str = "api.dhan.co") -> list[int]:
    events = [decode(event.name, event.payload) for event in await store.read_stream(f"venue-{host}")]
    return [event.changed_at_ns for event in events if isinstance(event, BreakerChanged)]


async def test_what_changed_lies_in_a_stream_of_the_host_in_one_append_a_batch() -> None:
    venue_log, watch, store = parts()
    watch.changes = [change(1), change(2), change(3, host="auth.dhan.co")]
    await venue_log.record()
    watch.changes = [change(4)]
    await venue_log.record()
    await venue_log.record()
    assert await recorded(store) == [1, 2, 4]
    assert await recorded(store, "auth.dhan.co") == [3]
    assert store.appends == 3


async def test_while_the_log_is_away_changes_wait_and_come_in_order() -> None:
    venue_log, watch, store = parts()
    store.fail_next(StoreUnavailable("down"))
    watch.changes = [change(1)]
    await venue_log.record()
    assert await recorded(store) == []
    watch.changes = [change(2)]
    await venue_log.record()
    await venue_log.record()
    assert await recorded(store) == [1, 2]


async def test_an_append_whose_outcome_was_lost_is_not_stored_twice() -> None:
    venue_log, watch, store = parts()
    store.fail_next(AppendOutcomeUnknown("lost"), is_stored=True)
    watch.changes = [change(1)]
    await venue_log.record()
    watch.changes = [change(2)]
    for _ in range(3):
        await venue_log.record()
    assert await recorded(store) == [1, 2]


async def test_two_processes_append_one_after_the_other() -> None:
    venue_log, watch, store = parts()
    other_watch = ScriptedWatch()
    other = VenueLog(watch=other_watch, store=store, ids=NumberedIds("theirs"), clock=HandClock())
    for number in range(3):
        watch.changes, other_watch.changes = [change(number)], [change(number + 10)]
        await asyncio.gather(venue_log.record(), other.record())
    assert sorted(await recorded(store)) == [0, 1, 2, 10, 11, 12]


async def test_a_log_that_stays_away_does_not_fill_the_memory() -> None:
    venue_log, watch, store = parts()
    store.fail_next(StoreUnavailable("down"))
    watch.changes = [change(0)]
    await venue_log.record()
    store.fail_next(StoreUnavailable("down"))
    watch.changes = [change(number) for number in range(1, KEPT_MAX + 11)]
    await venue_log.record()
    await venue_log.record()
    await venue_log.record()
    assert await recorded(store) == [0, *range(11, KEPT_MAX + 11)]
