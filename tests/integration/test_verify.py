"""`khata verify` over the real log."""

from pathlib import Path

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from infra.database import DatabaseUrls
from infra.wiring.integrity import verify_log
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


async def test_a_part_of_the_log_can_be_checked_alone(log: DatabaseUrls, tmp_path: Path) -> None:
    with psycopg.connect(log.admin, autocommit=True) as admin:
        admin.execute("UPDATE log.events SET payload = 'x' WHERE sequence = 20")

    assert verify_log(log.query, tmp_path, anchors=None, first=21, last=100).findings == ()
    broken = verify_log(log.query, tmp_path, anchors=None, first=10, last=100)
    assert broken.first_finding is not None
    assert broken.first_finding.first_sequence == broken.first_finding.last_sequence == 20
