"""Anchoring the real log: when, and what it refuses to sign."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.anchor_file import AnchorFile
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.security.anchors import AnchorKey
from domain.audit import AuditEntry, AuditKind, encode
from domain.integrity.findings import Kind
from infra.continuity import FoundLog, LastKnown, anchor_witness, contradiction
from infra.database import DatabaseUrls
from infra.settings import load, override
from infra.wiring.integrity import verify_audit, verify_log
from projections.integrity.anchoring import Anchoring, AnchorsNotValid, LogNotAsAnchored
from tests.support.anchored_logs import LogWriter, anchors_in
from tests.support.servers import Servers

NS_PER_S = 1_000_000_000


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 1_795_149_000 * NS_PER_S

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns


class Ground:
    """A log, and where its anchors go."""

    def __init__(self, database: DatabaseUrls, servers: Servers, folder: Path, store: PostgresEventStore) -> None:
        self.database = database
        self.keys = servers.keys
        self.path = folder / "anchors.jsonl"
        self.store = store
        self.writer = LogWriter(store)
        self.watch = Watch()

    @asynccontextmanager
    async def anchoring(self) -> AsyncIterator[Anchoring]:
        """A process that anchors every 100 events and every 60 s."""
        sink = AnchorFile(self.path)
        async with Database(self.database.writer) as writer:
            yield Anchoring(
                PostgresAnchoredLog(writer),
                sink=sink,
                signer=AnchorKey(self.keys.signing_pem),
                clock=self.watch,
                every_events=100,
            )
        sink.close()

    def anchored(self) -> list[int]:
        checked = anchors_in(self.keys, self.path)
        assert checked.findings == ()
        return [anchor.sequence for anchor in checked.anchors]

    def by_sql(self, statement: str) -> None:
        with psycopg.connect(self.database.admin, autocommit=True) as admin:
            admin.execute(statement.encode())


@pytest.fixture
async def ground(database: DatabaseUrls, servers: Servers, tmp_path: Path) -> AsyncIterator[Ground]:
    async with PostgresEventStore(database.writer) as store:
        yield Ground(database, servers, tmp_path, store)


async def test_an_anchor_is_made_of_so_many_events_and_after_so_much_time(ground: Ground) -> None:
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_what_is_due()
        assert ground.anchored() == []
        await ground.writer.write_to(250)
        await anchoring.anchor_what_is_due()
        assert ground.anchored() == [100, 200]
        ground.watch.now_ns += 59 * NS_PER_S
        await anchoring.anchor_what_is_due()
        assert ground.anchored() == [100, 200]
        ground.watch.now_ns += NS_PER_S
        await anchoring.anchor_what_is_due()
        assert ground.anchored() == [100, 200, 250]
        ground.watch.now_ns += 60 * NS_PER_S
        await anchoring.anchor_what_is_due()
        assert ground.anchored() == [100, 200, 250]
        assert anchoring.status()["sequence"] == 250


async def test_a_start_learns_how_far_the_log_went(ground: Ground) -> None:
    settings = override(load({}), anchors_file=ground.path)
    witness = anchor_witness(settings, ground.keys)
    assert await witness() == []
    await ground.writer.write_to(130)
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_now()

    epoch = (await ground.store.head()).epoch
    assert await witness() == [LastKnown(source="anchor 2", epoch=epoch, sequence=130)]
    # A log that ends before is refused by a start.
    assert contradiction(FoundLog(sequence=129, epoch=epoch), await witness()) is not None
    assert contradiction(FoundLog(sequence=130, epoch=epoch), await witness()) is None


async def test_anchors_that_cannot_be_believed_bear_no_witness(ground: Ground) -> None:
    settings = override(load({}), anchors_file=ground.path)
    await ground.writer.write_to(130)
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_now()
    ground.path.write_bytes(ground.path.read_bytes().replace(b'"number":1', b'"number":7'))
    assert await anchor_witness(settings, ground.keys)() == []


async def test_the_next_process_goes_on_where_the_last_one_ended(ground: Ground) -> None:
    for end in (120, 260):
        await ground.writer.write_to(end)
        async with ground.anchoring() as anchoring:
            await anchoring.anchor_now()

    assert ground.anchored() == [100, 120, 220, 260]
    verdict = verify_log(ground.database.query, ground.path.parent, anchors=anchors_in(ground.keys, ground.path))
    assert (verdict.findings, verdict.anchored_to) == ((), 260)


async def test_a_log_that_lost_its_anchored_event_is_not_anchored_on(ground: Ground) -> None:
    await ground.writer.write_to(150)
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_now()
        ground.by_sql("UPDATE log.events SET hash = sha256(hash) WHERE sequence = 150")
        await ground.writer.write_to(300)

        with pytest.raises(LogNotAsAnchored, match="150"):
            await anchoring.anchor_what_is_due()

    assert ground.anchored() == [100, 150]


async def test_in_a_new_epoch_the_first_anchor_says_which_older_ones_hold(ground: Ground) -> None:
    await ground.writer.write_to(250)
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_now()
    # As a restore would leave it: the log as it was at 220, one more restore counted, and then it grows another way.
    ground.by_sql("DELETE FROM log.events WHERE sequence > 220")
    ground.by_sql("DELETE FROM log.commands WHERE last_sequence > 220")
    ground.by_sql(
        "UPDATE log.head SET restore_count = 1, (sequence, hash, recorded_at) ="
        " (SELECT sequence, hash, recorded_at FROM log.events WHERE sequence = 220)"
    )
    ground.by_sql(
        "UPDATE log.streams SET (version, leaf) = ("
        "  SELECT version, sha256('x') FROM log.events"
        "  WHERE stream_id = streams.stream_id ORDER BY sequence DESC LIMIT 1"
        ")"
    )

    async with ground.anchoring() as anchoring:
        await anchoring.anchor_what_is_due()

    checked = anchors_in(ground.keys, ground.path)
    assert [anchor.sequence for anchor in checked.anchors] == [100, 200, 250, 220]
    assert [anchor.sequence for anchor in checked.holding] == [100, 200, 220]
    verdict = verify_log(ground.database.query, ground.path.parent, anchors=checked)
    # Only the leaves, which the statement above made up, are wrong: everything that anchors say fits.
    assert {finding.kind for finding in verdict.findings} == {Kind.STREAM_WRONG}
    assert verdict.notes == ("1 anchors were made void by a restore of the log",)


async def test_anchors_that_are_gone_are_not_begun_anew(ground: Ground) -> None:
    await ground.writer.write_to(150)
    async with ground.anchoring() as anchoring:
        await anchoring.anchor_now()
    ground.path.write_bytes(b"")

    async with ground.anchoring() as anchoring:
        with pytest.raises(AnchorsNotValid, match="2 were made"):
            await anchoring.anchor_now()


async def test_the_audit_table_is_anchored_with_the_log_and_verified_with_it(ground: Ground) -> None:
    async with Database(ground.database.writer) as writer:
        audit = PostgresAudit(writer)
        for number in range(30):
            await audit.append([encode(AuditEntry(kind=AuditKind.REFUSED, code=f"CODE_{number}"))])
        await ground.writer.write_to(130)
        async with ground.anchoring() as anchoring:
            await anchoring.anchor_now()
        await audit.append([encode(AuditEntry(kind=AuditKind.LOGGED_IN))])
    anchors = anchors_in(ground.keys, ground.path)
    assert [anchor.audit_number for anchor in anchors.anchors] == [30, 30]
    verdict = await verify_audit(ground.database.writer, anchors=anchors)
    assert (verdict.entries, verdict.finding) == (31, None)

    async with await psycopg.AsyncConnection.connect(ground.database.admin, autocommit=True) as admin:
        await admin.execute("UPDATE audit.entries SET body = set_byte(body, 12, 88) WHERE number = 7")
    touched = await verify_audit(ground.database.writer, anchors=anchors)
    assert touched.finding is not None
    assert (touched.finding.kind, touched.finding.place) == (Kind.AUDIT_CHANGED, "audit entry 7")
