"""What a batch does to the parts it is shared out to, and what becomes of the events that cannot be taken in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import islice

import msgspec
import pytest

from domain.envelope import GENESIS_HASH, RecordedEvent
from domain.events import Event
from domain.ids import TradeId
from infra.bench.events import lives, recorded
from projections.batches import Decoded, Projection, project, read_batch
from projections.catalogue import READ_MODELS
from projections.order_doubts import ORDER_DOUBTS
from projections.ports import Checkpoint, Part
from projections.positions import POSITIONS
from projections.prefetch import prefetched
from projections.read_model import AnyReadModel, Key, Row, fold
from projections.row_cache import RowCache
from projections.shards import SHARDS_MAX, fair_share, shard_of
from projections.strategies import STRATEGIES
from projections.trades import TRADES
from tests.support.log_writing import recorded_log
from tests.support.specimens import (
    ACCOUNT,
    ENTRY,
    OTHER_TRADE,
    account_opened,
    corporate_action_applied,
    order_acknowledged,
    order_filled,
    order_intended,
    order_outcome_unknown,
    order_submitting,
    strategy_drafted,
    strategy_paused,
    strategy_resumed,
    trade_opened,
)

START = Checkpoint(sequence=0, hash=GENESIS_HASH)
MINE, LOST = f"account-{ACCOUNT}", "strategy-lost"


def decoded(*pairs: tuple[str, Event]) -> list[Decoded]:
    return read_batch(recorded_log(pairs)).decoded


def projected(
    model: AnyReadModel, batch: list[Decoded], *, parked: str | None = None, may_park: bool = True
) -> Projection:
    waiting = {} if parked is None else {model: frozenset({parked})}
    [projection] = project({Part(model, 0): START}, batch, parked=waiting, may_park=may_park)
    rows: dict[Key, Row | None] = {}
    projection.fold(rows)
    return projection


@pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
def test_rows_folded_each_for_itself_are_those_of_the_log_in_its_order(model: AnyReadModel) -> None:
    batch = read_batch(list(islice(recorded(lives(seed=5, accounts=12)), 2_000))).decoded
    in_order: dict[Key, Row | None] = {}
    fold(model, [(each.event, each.recorded) for each in batch if each.event is not None], in_order)
    # A stream that waits, of which the batch has an event, lets the rest be folded in the log's order.
    waiting = batch[-1].recorded.stream_id
    assert projected(model, batch).changes == in_order
    one_by_one = projected(model, batch, parked=waiting)
    others = [each for each in batch if each.recorded.stream_id != waiting]
    without: dict[Key, Row | None] = {}
    fold(model, [(each.event, each.recorded) for each in others if each.event is not None], without)
    assert one_by_one.changes == without


def test_a_stream_is_parked_from_the_event_that_cannot_be_taken_in() -> None:
    batch = decoded(
        (LOST, strategy_paused),
        ("strategy-1", strategy_drafted),
        (LOST, strategy_resumed),
        ("strategy-1", strategy_paused),
    )
    projection = projected(STRATEGIES, batch)
    assert [(each.sequence, each.error is None) for each in projection.parked] == [(1, False), (3, True)]
    assert projection.after == Checkpoint(sequence=4, hash=batch[-1].recorded.hash)
    assert len(projection.changes) == 1


def test_what_follows_in_a_parked_stream_waits_though_it_could_be_taken_in() -> None:
    projection = projected(STRATEGIES, decoded((LOST, strategy_drafted)), parked=LOST)
    assert [(each.sequence, each.error) for each in projection.parked] == [(1, None)]
    assert not projection.changes


def test_a_read_model_that_halts_stops_before_the_event() -> None:
    batch = decoded((MINE, account_opened), (MINE, order_filled), (MINE, trade_opened))
    projection = projected(POSITIONS, batch)
    assert projection.after.sequence == 1
    assert projection.after.hash == batch[0].recorded.hash
    assert "POISON_EVENT: sequence 2" in str(projection.after.halted)
    assert not projection.parked


def test_a_halt_at_the_first_event_stays_where_it_was() -> None:
    projection = projected(POSITIONS, decoded((MINE, order_filled)))
    assert projection.after.sequence == 0
    assert projection.after.halted


def test_what_may_not_park_halts() -> None:
    projection = projected(STRATEGIES, decoded((LOST, strategy_paused)), may_park=False)
    assert projection.after.halted
    assert not projection.parked


def test_an_event_that_concerns_several_rows_changes_all_of_them_or_none() -> None:
    delivery = msgspec.structs.replace(trade_opened, trade_id=OTHER_TRADE)
    mine = [(MINE, event) for event in (account_opened, trade_opened, delivery)]
    left = corporate_action_applied.trades[0]
    other, lost = (msgspec.structs.replace(left, trade_id=trade_id) for trade_id in (OTHER_TRADE, TradeId("trd_lost")))
    both = msgspec.structs.replace(corporate_action_applied, trades=(left, other))
    projection = projected(TRADES, decoded(*mine, (MINE, both)))
    assert [row.net_quantity for row in projection.changes.values() if row is not None] == [200, 200]
    half_lost = msgspec.structs.replace(corporate_action_applied, trades=(left, lost))
    projection = projected(TRADES, decoded(*mine, (MINE, half_lost)))
    assert [row.net_quantity for row in projection.changes.values() if row is not None] == [0, 0]
    assert [each.sequence for each in projection.parked] == [len(mine) + 1]


def test_an_event_whose_row_cannot_be_named_is_poison_too() -> None:
    def nameless(_: Event, __: RecordedEvent) -> Key:
        raise KeyError("no name")

    projection = projected(replace(STRATEGIES, key_of=nameless), decoded((LOST, strategy_drafted)))
    assert [(each.sequence, each.error) for each in projection.parked] == [(1, "KeyError: 'no name'")]


def test_every_event_goes_to_the_shard_of_its_stream_and_every_part_moves() -> None:
    batch = decoded(*[(f"strategy-{number}", strategy_drafted) for number in range(40)])
    parts = {Part(STRATEGIES, shard): START for shard in range(3)}
    projections = project(parts, batch, shards=3)
    places = [[each.recorded.stream_id for each in projection.concerned] for projection in projections]
    assert sorted(stream for streams in places for stream in streams) == sorted(e.recorded.stream_id for e in batch)
    for projection, streams in zip(projections, places, strict=True):
        assert {shard_of(stream, 3) for stream in streams} == {projection.part.shard}
        projection.fold({})
        assert projection.after.sequence == 40


def test_a_part_that_is_ahead_stays_there() -> None:
    batch = decoded((MINE, trade_opened), (MINE, order_intended))
    ahead = Checkpoint(sequence=7, hash=b"h")
    first, second = project({Part(TRADES, 0): ahead, Part(POSITIONS, 0): START}, batch)
    for projection in (first, second):
        projection.fold({})
    assert (first.after, first.changes) == (ahead, {})
    assert second.after.sequence == 2


def test_rows_that_an_event_makes_are_not_asked_for() -> None:
    batch = decoded((MINE, trade_opened), (MINE, order_intended))
    wanted = {
        projection.part.model.name: list(projection.wanted())
        for projection in project({Part(model, 0): START for model in READ_MODELS}, batch)
    }
    assert wanted["trades"] == wanted["orders"] == wanted["audit_trail"] == []
    assert wanted["positions"] == [(ACCOUNT, "NSE_EQ", "2885", "INTRADAY")]


@pytest.mark.parametrize("shards", range(1, SHARDS_MAX + 1))
def test_every_stream_has_a_shard(shards: int) -> None:
    found = {shard_of(f"account-{number}", shards) for number in range(500)}
    assert found == set(range(shards))


def test_shards_are_shared_out_whole() -> None:
    for shards in range(1, SHARDS_MAX + 1):
        for projectors in range(1, 8):
            assert fair_share(shards, projectors) * projectors >= shards
            assert (fair_share(shards, projectors) - 1) * projectors < shards


# --- What is remembered, what is read ahead ---


def test_the_cache_knows_what_was_put_and_forgets_what_was_not_used() -> None:
    cache = RowCache(rows_max=10)
    for number in range(12):
        cache.put({(str(number),): None})
        rows: dict[Key, Row | None] = {}
        assert cache.take([("0",)], rows) == [], "what is used stays"
        assert rows == {("0",): None}
    assert len(cache) <= 12
    assert cache.take([("1",), ("11",)], {}) == [("1",)]


async def pages(*sizes: int) -> AsyncIterator[list[RecordedEvent]]:
    log = recorded_log((MINE, account_opened) for _ in range(sum(sizes)))
    start = 0
    for size in sizes:
        yield log[start : start + size]
        start += size


async def test_batches_that_wait_become_one_and_none_is_lost() -> None:
    taken: list[list[int]] = []
    async with prefetched(pages(3, 3, 3, 3, 3, 3), events_max=7) as batches:
        async for batch in batches:
            taken.append([each.recorded.sequence for each in batch.decoded])
            await asyncio.sleep(0)  # Others read ahead meanwhile.
            await asyncio.sleep(0)
    assert [sequence for batch in taken for sequence in batch] == list(range(1, 19))
    assert all(len(batch) <= 7 for batch in taken)
    assert any(len(batch) > 3 for batch in taken)


async def test_what_the_feed_raises_comes_after_what_it_gave() -> None:
    async def broken() -> AsyncIterator[list[RecordedEvent]]:
        async for page in pages(2, 2):
            yield page
        raise RuntimeError("the feed broke")

    taken: list[int] = []

    async def take() -> None:
        async with prefetched(broken(), events_max=100) as batches:
            async for batch in batches:
                taken.extend(each.recorded.sequence for each in batch.decoded)

    with pytest.raises(RuntimeError, match="the feed broke"):
        await take()
    assert taken == [1, 2, 3, 4]


def test_of_a_row_that_was_forgotten_the_table_is_asked_again() -> None:
    cache = RowCache()
    cache.put({("a",): None, ("b",): None})
    cache.forget([("a",), ("c",)])
    rows: dict[Key, Row | None] = {}
    assert cache.take([("a",), ("b",)], rows) == [("a",)]
    assert rows == {("b",): None}


def test_what_never_was_is_neither_asked_for_nor_written_and_what_ends_is_kept() -> None:
    """Orders are many and those in doubt are few: the others cost their read model no question and no row."""
    sent = [(MINE, event) for event in (account_opened, trade_opened, order_intended, order_submitting)]
    acknowledged, unknown = (MINE, order_acknowledged), (MINE, order_outcome_unknown)
    [usual] = project({Part(ORDER_DOUBTS, 0): START}, decoded(*sent, acknowledged))
    rows: dict[Key, Row | None] = {}
    assert not list(usual.wanted())
    usual.fold(rows)
    assert (usual.changes, rows) == ({}, {(ENTRY,): None})
    lost = projected(ORDER_DOUBTS, decoded(*sent, unknown, acknowledged))
    assert [row.until_us is not None for row in lost.changes.values() if row is not None] == [True]
    [later] = project({Part(ORDER_DOUBTS, 0): START}, decoded(acknowledged))
    assert list(later.wanted()) == [(ENTRY,)], "of an order that was intended before, it is not known"
