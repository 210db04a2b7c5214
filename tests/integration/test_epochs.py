"""Every connection is looked at: a server of an epoch that is over is treated as if it were away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import psycopg
import pytest

from adapters.epoch_file import EpochFile
from adapters.nats.connection import connect
from adapters.nats.relay import Relay
from adapters.postgres.database import Database
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from commands.ports import StoreUnavailable
from domain.epoch import Epoch
from domain.ids import UserId
from infra.continuity import HistoryChanged, check_continuity, mirror_witness
from infra.database import DatabaseUrls
from infra.home import Home
from infra.problems import OperatorProblem
from projections.catalogue import READ_MODELS
from projections.ports import ViewsUnavailable
from projections.queries import QueriesUnavailable
from projections.tasks import end
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe


def epoch_of(database: DatabaseUrls) -> Epoch:
    with psycopg.connect(database.owner) as connection:
        row = connection.execute("SELECT log.current_epoch()").fetchone()
    assert row is not None
    return Epoch.parse(row[0])


@pytest.fixture
def file(tmp_path: Path) -> EpochFile:
    return EpochFile(tmp_path / "epoch")


async def test_whoever_connects_remembers_the_epoch(database: DatabaseUrls, file: EpochFile) -> None:
    watch = EpochWatch(file)
    async with PostgresEventStore(database.writer, watch=watch):
        assert watch.current == str(epoch_of(database)) == str(file.read())


async def _append(database: DatabaseUrls, watch: EpochWatch) -> None:
    async with PostgresEventStore(database.writer, watch=watch, deadline_s=0.3):
        pass


async def _ask(database: DatabaseUrls, watch: EpochWatch) -> None:
    async with Database(database.writer, patience_s=0.3, watch=watch) as asked:
        await asked.fetch("SELECT 1")


async def _look(database: DatabaseUrls, watch: EpochWatch) -> None:
    async with PostgresViews(database.query, watch=watch) as views:
        await views.user(UserId("usr_1"))


async def _project(database: DatabaseUrls, watch: EpochWatch) -> None:
    await PostgresViewStore(database.projector, owner="one", watch=watch).prepare(READ_MODELS, shards=1)


@pytest.mark.parametrize("connecting", [_append, _ask, _look, _project])
async def test_nobody_works_with_a_primary_that_was_replaced(
    connecting: Callable[[DatabaseUrls, EpochWatch], Awaitable[None]], database: DatabaseUrls, file: EpochFile
) -> None:
    present = epoch_of(database)
    file.accept(Epoch(present.system, present.timeline + 1, present.restores))
    with pytest.raises((StoreUnavailable, ViewsUnavailable, QueriesUnavailable)):
        await connecting(database, EpochWatch(file))


async def test_nobody_works_with_another_cluster(database: DatabaseUrls, file: EpochFile) -> None:
    file.accept(Epoch("abc", 1, 0))
    with pytest.raises(StoreUnavailable):
        await _append(database, EpochWatch(file))


async def test_a_feed_waits_until_the_present_primary_is_there(database: DatabaseUrls, file: EpochFile) -> None:
    present = epoch_of(database)
    file.accept(Epoch(present.system, present.timeline, present.restores + 1))
    async with PostgresEventStore(database.writer) as store:
        await Scribe(store).write("account-acc_1", Life(Random(1)).go_on(3).events)  # noqa: S311 - no secret
    feed = PostgresFeed(database.query, watch=EpochWatch(file)).follow(after_sequence=0)
    first = asyncio.create_task(anext(feed))
    done, _ = await asyncio.wait({first}, timeout=0.3)
    assert not done
    with psycopg.connect(database.owner) as owner:
        owner.execute("UPDATE log.head SET restore_count = restore_count + 1")
    assert (await first)[0].sequence == 1
    await feed.aclose()


async def test_a_start_refuses_a_log_that_ends_before_its_mirror(
    database: DatabaseUrls, nats_url: str, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    witnesses = [mirror_witness(nats_url)]
    nats = await connect(nats_url)
    async with PostgresEventStore(database.writer) as store:
        head = await Scribe(store).write("account-acc_1", Life(Random(1)).go_on(20).events)  # noqa: S311 - no secret
        relay = Relay(nats, log=store, feed=PostgresFeed(database.query))
        relaying = asyncio.create_task(relay.run())
        await eventually(lambda: relay.status()["sequence"] == head)
        await end(relaying)
    await nats.close()
    await check_continuity(home, database.writer, witnesses)
    assert EpochFile(home.epoch_file).read() == epoch_of(database)

    with psycopg.connect(database.owner) as owner:
        owner.execute("DELETE FROM log.events WHERE sequence = %s", [head])
        owner.execute("UPDATE log.head SET sequence = %s", [head - 1])
    with pytest.raises(HistoryChanged, match=f"ends at sequence {head - 1}, and JetStream has seen {head}"):
        await check_continuity(home, database.writer, witnesses)

    # An operator accepts it: the epoch is another one, of which nobody has seen more.
    with psycopg.connect(database.owner) as owner:
        owner.execute("UPDATE log.head SET restore_count = restore_count + 1")
    with pytest.raises(HistoryChanged, match="the last one seen here"):
        await check_continuity(home, database.writer, witnesses)
    EpochFile(home.epoch_file).accept(epoch_of(database))
    await check_continuity(home, database.writer, witnesses)


async def test_an_epoch_file_that_is_damaged_lets_nobody_work(database: DatabaseUrls, tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("nonsense")
    with pytest.raises(StoreUnavailable):
        await _append(database, EpochWatch(EpochFile(tmp_path / "epoch")))
    assert (tmp_path / "epoch").read_text() == "nonsense"
    home = Home(tmp_path / "home")
    home.prepare()
    home.epoch_file.write_text("nonsense")
    with pytest.raises(OperatorProblem, match="damaged"):
        await check_continuity(home, database.writer, [])
