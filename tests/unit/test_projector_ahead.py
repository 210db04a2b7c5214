"""A projector folds a batch while the one before it is written: what becomes of it where that one comes to nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from adapters.clock import SystemClock
from domain.envelope import RecordedEvent
from domain.events import Event, decode
from projections.orders import ORDERS, OrderRow
from projections.ports import ClaimLost, ViewsRefused, ViewsUnavailable
from projections.positions import POSITIONS
from projections.projector import AHEAD_MIN, GATHER_S, REST_MAX_S, Projector, _rest_s
from projections.read_model import AnyReadModel, Key, Row, fold
from projections.risk import RISK
from projections.tasks import end
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import recorded_log
from tests.support.memory_views import Advances, Changes, MemoryViews

MODELS: tuple[AnyReadModel, ...] = (ORDERS, POSITIONS, RISK)
BATCH = AHEAD_MIN
LOG = recorded_log(
    [
        (f"account-{life.account_id}", event)
        for number in range(1, 9)
        for life in [Life(Random(number), number).go_on(120)]  # noqa: S311 - no secret
        for event in life.events
    ]
)
LAST = LOG[-1].sequence


class Batches:
    """A feed of large batches."""

    async def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        for start in range(after_sequence, LAST, BATCH):
            yield LOG[start : start + BATCH]
        await asyncio.Event().wait()


@asynccontextmanager
async def projecting(views: MemoryViews) -> AsyncIterator[Projector]:
    projector = Projector(MODELS, feed=Batches(), views=views, clock=SystemClock(), batch_max=BATCH)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await end(task)


def expected(model: AnyReadModel, *, without: str | None = None) -> dict[Key, Row]:
    pairs: list[tuple[Event, RecordedEvent]] = [
        (decode(each.name, each.payload), each) for each in LOG if each.stream_id != without
    ]
    rows: dict[Key, Row | None] = {}
    fold(model, pairs, rows)
    return {key: row for key, row in rows.items() if row is not None}


async def test_a_large_batch_is_folded_while_the_one_before_it_is_written() -> None:
    views = MemoryViews(MODELS)
    views.may_save.clear()
    async with projecting(views) as projector:
        later = {each.stream_id.removeprefix("account-") for each in LOG[BATCH : 2 * BATCH]}
        earlier = {each.stream_id.removeprefix("account-") for each in LOG[:BATCH]}
        new = min(later - earlier)
        await eventually(lambda: any(new in key for key in views.wanted))
        assert projector.progress().sequence == 0
        views.may_save.set()
        await eventually(lambda: projector.progress().sequence == LAST)
    assert all(views.rows[model] == expected(model) for model in MODELS)


@pytest.mark.parametrize("fault", [ClaimLost("taken"), ViewsUnavailable("away")])
async def test_what_was_folded_on_top_of_a_batch_that_was_not_written_is_folded_again(fault: Exception) -> None:
    faults = [fault]

    def fail_once(_: Changes, advances: Advances) -> None:
        if faults and min(before.sequence for before, _ in advances.values()) >= BATCH:
            raise faults.pop()

    views = MemoryViews(MODELS, fail_once)
    async with projecting(views) as projector:
        await eventually(lambda: projector.progress().sequence == LAST)
        assert projector.progress().claims == 2
    assert not faults
    assert all(views.rows[model] == expected(model) for model in MODELS)


async def test_an_event_that_the_database_refuses_is_found_though_others_are_folded_on_top_of_it() -> None:
    poison = next(each for each in LOG[BATCH:] if each.name.startswith("order.filled"))
    key = ORDERS.key_of(decode(poison.name, poison.payload), poison)
    assert key is not None

    def refuse(changes: Changes, _: Advances) -> None:
        row = changes.get(ORDERS, {}).get(key)
        if isinstance(row, OrderRow) and row.sequence >= poison.sequence:
            raise ViewsRefused("it will not have it")

    views = MemoryViews(MODELS, refuse)
    async with projecting(views) as projector:
        await eventually(lambda: projector.progress().sequence == LAST, within_s=20.0)
    assert views.parked[ORDERS][0].sequence == poison.sequence
    assert {each.stream_id for each in views.parked[ORDERS]} == {poison.stream_id}
    assert views.rows[POSITIONS] == expected(POSITIONS)
    assert views.rows[RISK] == expected(RISK)
    account = poison.stream_id.removeprefix("account-")
    others = {key: row for key, row in views.rows[ORDERS].items() if getattr(row, "account_id", None) != account}
    assert others == expected(ORDERS, without=poison.stream_id)


@pytest.mark.parametrize(
    ("took_s", "rest_s"),
    [(0.0, GATHER_S), (GATHER_S / 4, GATHER_S * 3 / 4), (GATHER_S, GATHER_S), (0.007, 0.007), (1.0, REST_MAX_S)],
)
def test_a_small_batch_is_followed_by_what_is_left_to_gather_or_by_a_rest_as_long(took_s: float, rest_s: float) -> None:
    assert _rest_s(took_s) == pytest.approx(rest_s)
