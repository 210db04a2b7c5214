"""`khata verify` over the real log."""

import asyncio
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.snapshots import PostgresSnapshots
from commands.ports import Snapshot
from domain.envelope import leaf_of
from infra.database import DatabaseUrls
from infra.wiring.integrity import verify_log
from projections.integrity.verifier import Verdict
from tests.support.anchored_logs import LogWriter
from tests.support.appends import command, on
from tests.support.small_partitions import make_partitions_small

WIDTH = 40


async def written(database: DatabaseUrls, events: int) -> None:
    """Write a log of so many events: commands of one to three events, in four streams, most of them with a key."""
    ends = dict.fromkeys(("account-a", "account-b", "account-c", "user-d"), 0)
    async with PostgresEventStore(database.writer) as store:
        done = number = 0
        while done < events:
            number += 1
            stream = sorted(ends)[number % len(ends)]
            count = min(1 + number % 3, events - done)
            key = f"key-{number}" if number % 5 else None
            await store.append(command(on(stream, ends[stream], events=count), key=key))
            ends[stream] += count
            done += count


@pytest.fixture
async def log(database: DatabaseUrls) -> DatabaseUrls:
    make_partitions_small(database, WIDTH)
    await written(database, 3 * WIDTH + 7)
    return database


async def test_a_log_that_nobody_touched_is_intact(log: DatabaseUrls, tmp_path: Path) -> None:
    verdict = verify_log(log.query, tmp_path, anchors=None)

    assert verdict.findings == ()
    assert (verdict.events, verdict.streams, verdict.anchored_to) == (3 * WIDTH + 7, 4, 0)


async def test_an_empty_log_is_intact(database: DatabaseUrls, tmp_path: Path) -> None:
    verdict = verify_log(database.query, tmp_path, anchors=None)

    assert (verdict.findings, verdict.events) == ((), 0)


async def test_a_log_whose_streams_have_snapshots_is_intact(log: DatabaseUrls, tmp_path: Path) -> None:
    async with PostgresEventStore(log.writer) as store:
        snapshots = PostgresSnapshots(store.database)
        for before, event in pairwise(await store.read_all(after_sequence=0)):
            if before.stream_id == event.stream_id:
                continue
            covered = Snapshot(
                stream_id=event.stream_id,
                version=event.version,
                sequence=event.sequence,
                leaf=leaf_of(event),
                schema="account.v0",
                state=b"{}",
            )
            await snapshots.keep(covered)
    with psycopg.connect(log.admin) as admin:
        rows = admin.execute("SELECT snapshot_sequence FROM log.streams WHERE snapshot_sequence <> 0").fetchall()

    assert len(rows) == 4
    assert verify_log(log.query, tmp_path, anchors=None).findings == ()


async def test_several_processes_find_what_one_finds(log: DatabaseUrls, tmp_path: Path) -> None:
    def verdict(workers: int) -> Verdict:
        return verify_log(log.query, tmp_path, anchors=None, workers=workers, stretch=20)

    assert verdict(workers=2) == verdict(workers=1)
    with psycopg.connect(log.admin, autocommit=True) as admin:
        admin.execute("UPDATE log.events SET metadata = 'x' WHERE sequence IN (77, 111)")
    assert verdict(workers=2).findings == verdict(workers=1).findings != ()


async def test_a_log_that_grows_meanwhile_is_verified_to_its_new_end(database: DatabaseUrls, tmp_path: Path) -> None:
    async with PostgresEventStore(database.writer) as store:
        writer = LogWriter(store)
        await writer.write_to(500)
        verifying = asyncio.create_task(asyncio.to_thread(verify_log, database.query, tmp_path, anchors=None))
        while not verifying.done():
            await writer.write_to(writer.sequence + 50)
        verdict = await verifying

    assert verdict.findings == ()
    assert verdict.last_sequence >= 500


async def test_a_head_that_says_far_too_much_does_not_keep_verification_busy(log: DatabaseUrls, tmp_path: Path) -> None:
    with psycopg.connect(log.admin, autocommit=True) as admin:
        admin.execute("UPDATE log.head SET sequence = 4611686018427387904")

    finding = verify_log(log.query, tmp_path, anchors=None).first_finding

    assert finding is not None
    assert (finding.place, finding.first_sequence) == ("head", 3 * WIDTH + 8)


async def test_a_part_of_the_log_can_be_checked_alone(log: DatabaseUrls, tmp_path: Path) -> None:
    with psycopg.connect(log.admin, autocommit=True) as admin:
        admin.execute("UPDATE log.events SET payload = 'x' WHERE sequence = 20")

    assert verify_log(log.query, tmp_path, anchors=None, first=21, last=100).findings == ()
    broken = verify_log(log.query, tmp_path, anchors=None, first=10, last=100)
    assert broken.first_finding is not None
    assert broken.first_finding.first_sequence == broken.first_finding.last_sequence == 20
