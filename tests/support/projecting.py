"""Projectors on a real database, and lives for them to project."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from adapters.clock import SystemClock
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.view_store import PostgresViewStore
from domain.envelope import RecordedEvent
from infra.database import DatabaseUrls
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.read_model import AnyReadModel
from projections.tasks import end
from tests.support.happenings import Happenings
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.specimens import (
    BACKTEST,
    STRATEGY,
    backtest_completed,
    backtest_requested,
    strategy_backtested,
    strategy_drafted,
    strategy_on_paper,
    user_registered,
)


class SmallBatches:
    """A feed that hands on few events at a time, so that there are many places to stop at."""

    def __init__(self, feed: PostgresFeed, size: int) -> None:
        self._feed = feed
        self._size = size

    async def follow(self, *, after_sequence: int) -> AsyncIterator[list[RecordedEvent]]:
        async for batch in self._feed.follow(after_sequence=after_sequence):
            for start in range(0, len(batch), self._size):
                yield batch[start : start + self._size]


def projector_of(
    database: DatabaseUrls,
    owner: str,
    *,
    batch: int = 1_000,
    lease_ms: int = 3_000,
    shards: int = 1,
    models: tuple[AnyReadModel, ...] = READ_MODELS,
) -> tuple[Projector, PostgresViewStore]:
    kept = PostgresViewStore(database.projector, owner=owner)
    feed = SmallBatches(PostgresFeed(database.projector), batch)
    return Projector(
        models, feed=feed, views=kept, clock=SystemClock(), shards=shards, lease_ms=lease_ms, batch_max=batch
    ), kept


@asynccontextmanager
async def running(database: DatabaseUrls, owner: str = "p-1", **options: int) -> AsyncIterator[Projector]:
    projector, kept = projector_of(database, owner, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await end(task)
        await kept.close()


async def reach(projector: Projector, sequence: int) -> None:
    async with asyncio.timeout(10):
        await projector.reach(sequence)


async def write_lives(
    store: PostgresEventStore, *, accounts: int = 3, commands: int = 60
) -> tuple[int, list[Life | Happenings]]:
    """Write the lives of accounts, every third one of happenings, and return the last sequence and the lives."""
    scribe = Scribe(store)
    kinds = [Happenings, Life, Life]
    lives = [kinds[number % 3](Random(number), number).go_on(commands) for number in range(1, accounts + 1)]  # noqa: S311 - no secret
    await scribe.write(f"user-{user_registered.user_id}", [user_registered])
    await scribe.write(f"strategy-{STRATEGY}", [strategy_drafted, strategy_backtested, strategy_on_paper])
    await scribe.write(f"backtest-{BACKTEST}", [backtest_requested, backtest_completed])
    last = 0
    for life in lives:
        last = await scribe.write(f"account-{life.account_id}", life.events)
    return last, lives


async def write_new_lives(store: PostgresEventStore, *, first: int, accounts: int = 5, commands: int = 30) -> int:
    """Write the lives of more accounts, numbered from *first* on, and return the last sequence."""
    scribe = Scribe(store)
    last = 0
    for number in range(first, first + accounts):
        life = Life(Random(number), number).go_on(commands)  # noqa: S311 - no secret
        last = await scribe.write(f"account-{life.account_id}", life.events)
    return last
