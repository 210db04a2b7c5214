"""What a read model cannot take in is put aside by streams, and taken in, in order, once the cause is gone."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.parking import PostgresParking
from adapters.postgres.views import PostgresViews
from infra.database import DatabaseUrls
from projections.catalogue import READ_MODELS
from projections.parking import replay_stream
from projections.trades import TRADES
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.log_writing import Scribe
from tests.support.projecting import reach, running, write_lives
from tests.support.specimens import STRATEGY, strategy_drafted, strategy_paused, strategy_resumed


@pytest.fixture
async def parking(database: DatabaseUrls) -> AsyncIterator[PostgresParking]:
    async with PostgresParking(database.projector) as opened:
        yield opened


async def test_a_stream_that_a_fold_refuses_waits_and_the_others_go_on(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, parking: PostgresParking
) -> None:
    scribe = Scribe(store)
    first = await scribe.write("strategy-lost", [strategy_paused, strategy_resumed])
    last, _ = await write_lives(store, accounts=1, commands=20)
    async with running(database) as projector:
        await reach(projector, last)
        progress = projector.progress()
        assert not progress.halted
        assert {model.name: model.parked_streams for model in progress.models if model.parked_streams} == {
            "strategies": 1
        }
        [stream] = await parking.streams(READ_MODELS)
        assert (stream.model.name, stream.stream_id, stream.sequence, stream.events) == (
            "strategies",
            "strategy-lost",
            first - 1,
            2,
        )
        assert "RowMissing" in stream.error
        # What comes later of the stream waits too; a projector that starts anew remembers.
        await reach(projector, await scribe.write("strategy-lost", [strategy_paused]))
    async with running(database, "p-2") as projector:
        await reach(projector, await scribe.write("strategy-lost", [strategy_resumed]))
    [stream] = await parking.streams(READ_MODELS)
    assert (stream.events, stream.sequence) == (4, first - 1)
    found = await differences([model for model in READ_MODELS if model.name != "strategies"], log=store, views=views)
    assert found == []


async def test_a_parked_stream_is_replayed_in_order_beside_a_working_projector(
    database: DatabaseUrls, store: PostgresEventStore, views: PostgresViews, parking: PostgresParking
) -> None:
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "working")
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("ALTER TABLE views.trades_v3 ADD CONSTRAINT cause CHECK (account_id !~ '2$')")
        last, lives = await write_lives(store, accounts=3)
        await reach(projector, last)
        assert not projector.progress().halted
        [stream] = await parking.streams(READ_MODELS)
        refused = f"account-{lives[1].account_id}"
        assert (stream.model, stream.stream_id) == (TRADES, refused)
        waiting = stream.events
        assert waiting > 20

        still = await replay_stream(TRADES, refused, parking=parking, log=store)
        assert still.taken == 0
        assert still.obstacle is not None
        assert still.obstacle[0] == stream.sequence

        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("ALTER TABLE views.trades_v3 DROP CONSTRAINT cause")
        replayed = await replay_stream(TRADES, refused, parking=parking, log=store)
        assert (replayed.taken, replayed.obstacle) == (waiting, None)
        assert await parking.streams(READ_MODELS) == []

        # The projector finds the stream back in its place.
        scribe = Scribe(store)
        scribe._versions[refused] = len(lives[1].events)
        before = len(lives[1].events)
        lives[1].go_on(30)
        await reach(projector, await scribe.write(refused, lives[1].events[before:]))
        assert sum(model.parked_streams for model in projector.progress().models) == 0
    assert await differences(READ_MODELS, log=store, views=views) == []


async def test_a_replay_stops_at_the_first_event_that_still_fails(
    database: DatabaseUrls, store: PostgresEventStore, parking: PostgresParking
) -> None:
    async with running(database) as projector:
        await eventually(lambda: projector.progress().state == "working")
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("ALTER TABLE views.strategies_v2 ADD CONSTRAINT cause CHECK (status <> 'paused')")
            connection.execute("ALTER TABLE views.strategies_v2 ADD CONSTRAINT other CHECK (status <> 'draft')")
        scribe = Scribe(store)
        last = await scribe.write(f"strategy-{STRATEGY}", [strategy_drafted, strategy_paused])
        await reach(projector, last)
        with psycopg.connect(database.projector, autocommit=True) as connection:
            connection.execute("ALTER TABLE views.strategies_v2 DROP CONSTRAINT other")
        [stream] = await parking.streams(READ_MODELS)
        stopped = await replay_stream(stream.model, stream.stream_id, parking=parking, log=store)
        assert stopped.taken == 1
        assert stopped.obstacle is not None
        assert stopped.obstacle[0] == last
        [stream] = await parking.streams(READ_MODELS)
        assert (stream.sequence, stream.events) == (last, 1)
        assert "cause" in stream.error
