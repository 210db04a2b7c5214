"""Many rows at once: they come by way of a stage, and into the table whole or not at all."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice

import pytest

from adapters.postgres import view_store
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.view_writes import MANY, write_of
from domain.envelope import RecordedEvent
from infra.bench.events import lives, recorded
from infra.bench.views_check import written
from infra.database import DatabaseUrls
from projections.batches import read_batch
from projections.catalogue import READ_MODELS
from projections.ports import Checkpoint, ClaimLost, Part
from projections.read_model import AnyReadModel, Key, Row, fold

EVENTS = 3_000
Rows = dict[AnyReadModel, dict[Key, Row | None]]
Advances = dict[Part, tuple[Checkpoint, Checkpoint]]


def rows_after(events: list[RecordedEvent]) -> Rows:
    pairs = [(event, each) for each, event in read_batch(events).decoded if event is not None]
    rows: Rows = {model: {} for model in READ_MODELS}
    for model in READ_MODELS:
        fold(model, pairs, rows[model])
    return {model: each for model, each in rows.items() if each}


def advances_to(checkpoints: Mapping[Part, Checkpoint], event: RecordedEvent) -> Advances:
    after = Checkpoint(sequence=event.sequence, hash=event.hash)
    return {part: (before, after) for part, before in checkpoints.items()}


def changed(after: Rows, before: Rows) -> Rows:
    return {
        model: {key: row for key, row in rows.items() if before.get(model, {}).get(key) != row}
        for model, rows in after.items()
    }


def of_models_that_change(rows: Rows) -> Rows:
    return {model: each for model, each in rows.items() if not model.only_grows}


def existing(rows: Rows) -> dict[AnyReadModel, dict[Key, Row]]:
    return {model: {key: row for key, row in each.items() if row is not None} for model, each in rows.items()}


@asynccontextmanager
async def claimed(database: DatabaseUrls) -> AsyncIterator[tuple[PostgresViewStore, Mapping[Part, Checkpoint]]]:
    kept = PostgresViewStore(database.projector, owner="p-1")
    try:
        await kept.prepare(READ_MODELS, shards=1)
        yield kept, (await kept.claim(READ_MODELS, shards=1, lease_ms=600_000)).checkpoints
    finally:
        await kept.close()


async def test_many_rows_are_made_changed_and_written_by_a_claim_that_holds_only(
    database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = list(islice(recorded(lives(seed=3, accounts=MANY + 1)), EVENTS))
    begun, ended = rows_after(events[: EVENTS // 2]), rows_after(events)
    assert len(write_of("p-1", changed(ended, begun), {}, {}).staged) > 1

    async with claimed(database) as (kept, checkpoints):
        first = advances_to(checkpoints, events[EVENTS // 2 - 1])
        await kept.save(begun, first, {})
        reached = {part: after for part, (_, after) in first.items()}
        as_begun = written(database.admin, READ_MODELS)

        stale = {part: replace(at, sequence=at.sequence - 1) for part, at in reached.items()}
        with pytest.raises(ClaimLost):
            await kept.save(changed(ended, begun), advances_to(stale, events[-1]), {})
        assert written(database.admin, READ_MODELS) == as_begun

        await kept.save(changed(ended, begun), advances_to(reached, events[-1]), {})
        expected = of_models_that_change(ended)
        assert await kept.load(expected) == existing(expected)
        monkeypatch.setattr(view_store, "PIPELINED_BYTES_MAX", 0)
        assert await kept.load(expected) == existing(expected)
    assert written(database.admin, READ_MODELS) != as_begun


async def test_a_connection_that_is_lost_has_its_stages_made_anew(database: DatabaseUrls) -> None:
    events = list(islice(recorded(lives(seed=3, accounts=MANY + 1)), EVENTS))
    rows = rows_after(events)
    async with claimed(database) as (kept, checkpoints):
        half = advances_to(checkpoints, events[EVENTS // 2])
        await kept.save(rows, half, {})
        await kept.close()
        again = of_models_that_change(rows)
        await kept.save(again, advances_to({part: at for part, (_, at) in half.items()}, events[-1]), {})
        assert await kept.load(again) == existing(again)
