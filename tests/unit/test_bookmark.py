"""Where a fold goes on after a restart: from a snapshot that is as good as the whole log, or from further back."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace as but
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.memory.event_store import MemoryEventStore
from commands.bookmark import Bookmark, Fold
from commands.executor_log import OUTSIDE_WATERMARK, WATERMARK
from commands.open_orders import CLOSED_IN_SNAPSHOT, OpenOrders, OrdersKept
from commands.outside import Outside, OutsideKept
from commands.ports import FoldSnapshot
from commands.risk_watch import Holders, HoldingsKept
from commands.watched_trades import TradesKept, WatchedTrades
from domain.account.events import OrderFilled
from domain.envelope import RecordedEvent
from domain.ids import OrderId
from domain.order import OrderStatus, OrderType
from infra.worlds.bare_loop import live_alone
from infra.worlds.living import lived
from infra.worlds.plan import plan_of
from tests.support.desk import SETTINGS, Desk, MemoryWatermarks, buy, running
from tests.support.eventually import eventually

WORLDS = range(40, 60)
NAME = "a fold"
PRICE_E4 = 2_849_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=PRICE_E4)
AT_ONCE = but(SETTINGS, snapshot_events=1)

FOLDS: list[tuple[Callable[[], Fold[Any]], type[msgspec.Struct]]] = [
    (OpenOrders, OrdersKept),
    (Outside, OutsideKept),
    (WatchedTrades, TradesKept),
    (Holders, HoldingsKept),
]
of_each_fold = pytest.mark.parametrize(("make", "kept_type"), FOLDS, ids=[make.__name__ for make, _ in FOLDS])  # type: ignore[attr-defined]


Log = list[RecordedEvent]


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    """Return what happened in some worlds: trades, stops, doubts, executions of others, kill switches."""
    return [live_alone(lived(plan_of(seed)))[0].ground.store.events for seed in WORLDS]


def folded(make: Callable[[], Fold[Any]], events: Sequence[RecordedEvent]) -> Fold[Any]:
    fold = make()
    for recorded in events:
        fold.apply(recorded)
    return fold


class Shelf:
    """A log, and what is kept beside it of one fold."""

    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self.watermarks = MemoryWatermarks()
        self.store = MemoryEventStore(lambda: 0)
        self.store.events.extend(events)

    def bookmark(self, fold: Fold[Any], kept_type: type[msgspec.Struct], *, meaning: int = 1) -> Bookmark[Any]:
        return Bookmark(NAME, fold, kept_type, meaning=meaning, watermarks=self.watermarks, store=self.store, every=1)

    async def keep(self, make: Callable[[], Fold[Any]], kept_type: type[msgspec.Struct], *, until: int) -> None:
        await self.bookmark(folded(make, self.store.events[:until]), kept_type).keep()

    async def restored(
        self, make: Callable[[], Fold[Any]], kept_type: type[msgspec.Struct], *, meaning: int = 1
    ) -> tuple[Fold[Any], int]:
        """Return another process's fold, and after which sequence it reads."""
        fold = make()
        return fold, await self.bookmark(fold, kept_type, meaning=meaning).restore()


# --- What a snapshot has --------------------------------------------------------------------------------------------


@of_each_fold
@given(data=st.data())
async def test_a_snapshot_leads_to_what_the_whole_log_leads_to(
    make: Callable[[], Fold[Any]], kept_type: type[msgspec.Struct], logs: list[Log], data: st.DataObject
) -> None:
    events = data.draw(st.sampled_from(logs))
    until = data.draw(st.integers(1, len(events)))
    shelf = Shelf(events)
    await shelf.keep(make, kept_type, until=until)
    fold, after = await shelf.restored(make, kept_type)
    assert after == until, "the snapshot is believed, wherever the low-water mark is"
    for recorded in events[after:]:
        fold.apply(recorded)
    whole = folded(make, events)
    assert fold.kept() == whole.kept()
    assert fold.low_water() == whole.low_water()


def test_the_worlds_have_something_of_everything(logs: list[Log]) -> None:
    """What the folds keep is not empty at each of the places that are tried, or the test above would show nothing."""
    for make, kept_type in FOLDS:
        kept = [folded(make, events[:until]).kept() for events in logs for until in range(0, len(events), 3)]
        for field in msgspec.structs.fields(kept_type):
            assert any(getattr(each, field.name) for each in kept), f"{kept_type.__name__}.{field.name}"


async def test_orders_that_closed_long_ago_are_not_in_a_snapshot() -> None:
    desk = Desk()
    await desk.open_account()
    await desk.open_trade()
    orders = folded(OpenOrders, desk.store.events)
    (order,) = orders.kept().orders
    many = OrdersKept(
        tuple(
            replace(order, order_id=OrderId(f"ord_{n}"), status=OrderStatus.FILLED)
            for n in range(CLOSED_IN_SNAPSHOT + 5)
        )
    )
    orders = OpenOrders()
    orders.restore(many)
    assert [each.order_id for each in orders.kept().orders] == [f"ord_{n}" for n in range(5, CLOSED_IN_SNAPSHOT + 5)], (
        "the ones that closed last, in that order"
    )


# --- What is not believed ---------------------------------------------------------------------------------------------


@of_each_fold
async def test_a_snapshot_of_another_log_is_not_believed(
    make: Callable[[], Fold[Any]], kept_type: type[msgspec.Struct], logs: list[Log]
) -> None:
    events = logs[0]
    shelf = Shelf(events)
    await shelf.keep(make, kept_type, until=len(events))
    shelf.store.events[-1] = replace(events[-1], hash=bytes(32))
    fold, after = await shelf.restored(make, kept_type)
    assert after == shelf.watermarks.kept[NAME] == fold.sequence
    assert fold.kept() == make().kept()


@of_each_fold
async def test_a_snapshot_beyond_the_end_of_the_log_is_not_believed(
    make: Callable[[], Fold[Any]], kept_type: type[msgspec.Struct], logs: list[Log]
) -> None:
    shelf = Shelf(logs[0])
    await shelf.keep(make, kept_type, until=len(logs[0]))
    shelf.watermarks.kept[NAME] = 3
    del shelf.store.events[-1]
    assert (await shelf.restored(make, kept_type))[1] == 3


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param(lambda kept: but(kept, state=b"\xc1"), id="unreadable"),
        pytest.param(lambda kept: but(kept, state=b"\x90"), id="too short"),
        pytest.param(lambda kept: but(kept, schema="1:another shape"), id="of another shape"),
    ],
)
async def test_what_this_release_cannot_read_is_not_believed(
    spoiled: Callable[[FoldSnapshot], FoldSnapshot], logs: list[Log]
) -> None:
    events = logs[0]
    shelf = Shelf(events)
    await shelf.keep(WatchedTrades, TradesKept, until=len(events))
    shelf.watermarks.kept[NAME] = 0
    shelf.watermarks.snapshots[NAME] = spoiled(shelf.watermarks.snapshots[NAME])
    assert (await shelf.restored(WatchedTrades, TradesKept))[1] == 0


async def test_what_means_something_else_now_is_not_believed(logs: list[Log]) -> None:
    shelf = Shelf(logs[0])
    await shelf.keep(Holders, HoldingsKept, until=len(logs[0]))
    shelf.watermarks.kept[NAME] = 0
    assert (await shelf.restored(Holders, HoldingsKept, meaning=2))[1] == 0


async def test_one_is_due_after_so_many_events_or_so_long_or_at_the_end(
    logs: list[Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = max(logs, key=len)
    shelf = Shelf(events)
    kept, fold = shelf.watermarks.snapshots, OpenOrders()
    bookmark = Bookmark(NAME, fold, OrdersKept, meaning=1, watermarks=shelf.watermarks, store=shelf.store, every=10)
    await bookmark.restore()
    await bookmark.keep(is_last=True)
    assert not kept, "no event was taken in"

    async def kept_after(until: int, **named: bool) -> int | None:
        for recorded in events[fold.sequence : until]:
            fold.apply(recorded)
        await bookmark.keep(**named)
        return kept[NAME].sequence if NAME in kept else None

    assert await kept_after(9) is None
    assert await kept_after(10) == 10
    assert await kept_after(19) == 10
    assert await kept_after(19, is_last=True) == 19
    assert await kept_after(21) == 19
    monkeypatch.setattr("commands.bookmark.EVERY_S", 0.0)
    assert await kept_after(21) == 21


async def test_one_that_is_far_behind_the_mark_is_left_alone(logs: list[Log], monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(logs[0])
    await shelf.keep(Holders, HoldingsKept, until=6)
    shelf.watermarks.kept[NAME] = 12
    assert (await shelf.restored(Holders, HoldingsKept))[1] == 6, "it may have what the mark does not wait for"
    monkeypatch.setattr("commands.bookmark.BEHIND_MAX", 6)
    assert (await shelf.restored(Holders, HoldingsKept))[1] == 12


# --- A restarted executor ---------------------------------------------------------------------------------------------


class TellingFeed:
    """A desk's log, which tells from where it was followed."""

    def __init__(self, desk: Desk) -> None:
        self._feed = desk.feed
        self.followed_from: list[int] = []

    async def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        self.followed_from.append(after_sequence)
        async for batch in self._feed.follow(after_sequence=after_sequence):
            yield batch


async def test_an_executor_reads_from_its_snapshot_and_knows_the_order_that_rests_since_before_it() -> None:
    desk = Desk()
    await desk.open_account()
    await desk.open_trade(LIMIT)
    async with running(desk.executor(AT_ONCE)):
        await eventually(lambda: len(desk.broker.placed) == 1)
        desk.broker.fill_price_e4 = PRICE_E4
        for _ in range(3):
            await desk.open_trade()
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 3)
        kept = desk.watermarks.snapshots
        await eventually(lambda: kept[WATERMARK].sequence == len(desk.store.events))
        await eventually(lambda: kept[OUTSIDE_WATERMARK].sequence == len(desk.store.events))
    head = len(desk.store.events)
    assert desk.watermarks.kept[WATERMARK] < head - 10, "an order rests since before the others"
    feed = desk.feed = TellingFeed(desk)  # type: ignore[assignment]
    desk.broker.fill(desk.broker.row(0), 100, PRICE_E4)
    async with running(desk.executor(AT_ONCE)):
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 4)
    assert feed.followed_from == [head, head]
    assert len({placed.correlation_id for placed in desk.broker.placed}) == len(desk.broker.placed) == 4
    assert sum(fill.side.sign * fill.last_quantity for fill in desk.events_of(OrderFilled)) == desk.broker.net_quantity
