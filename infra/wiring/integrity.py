"""What anchoring, verification and the archive are made of."""

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from adapters.anchor_file import AnchorFile
from adapters.archive.parquet import ParquetArchive
from adapters.postgres import archiver
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.archiver import FILE_EVENTS
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.database import Database
from adapters.postgres.log_source import PostgresLogSource
from adapters.postgres.reading import LogReads
from adapters.security.anchors import AnchorKey
from domain.integrity.anchors import CheckedAnchors
from domain.integrity.audit import AuditCheck, anchored_entries
from domain.integrity.findings import Finding
from domain.integrity.joining import Stretch
from infra.places import anchors_path
from infra.wiring import stretch_worker
from infra.wiring.process import Wiring
from projections.integrity.anchoring import Anchoring
from projections.integrity.stretches import Plan
from projections.integrity.verifier import STRETCH, Progress, Verdict, Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """How many entries of the audit table are as they were written, and the first that is not (None: all are)."""

    entries: int
    finding: Finding | None


AUDIT_PAGE = 1_000
WORKERS = 2
"""Processes that check a long log: one alone keeps a core busy with hashing while the other one idles."""


async def make_anchoring(wiring: Wiring) -> Anchoring:
    """The maker of anchors."""
    store = await wiring.store()
    sink = AnchorFile(anchors_path(wiring.settings))
    wiring.stack.callback(sink.close)
    return Anchoring(
        PostgresAnchoredLog(store.database),
        sink=sink,
        signer=AnchorKey(wiring.runtime.keys.signing_pem),
        clock=wiring.clock,
    )


async def verify_audit(conninfo: str, *, anchors: CheckedAnchors) -> AuditVerdict:
    """Verify the audit table that the writer's *conninfo* reaches, against *anchors*.

    Raises:
        commands.ports.StoreUnavailable
    """
    async with Database(conninfo, size=1) as database:
        audit = PostgresAudit(database)
        epoch = (await LogReads(database).head()).epoch
        check = AuditCheck(anchored_entries(anchors.holding, epoch=epoch))
        # The head first: what is added meanwhile lies behind it.
        number, hash_ = await audit.head()
        while check.number < number and check.finding is None:
            page = await audit.read(after_number=check.number, limit=min(AUDIT_PAGE, number - check.number))
            check.feed(page)
            if not page:
                break
        return AuditVerdict(entries=check.number, finding=check.end(number, hash_))


def archive_log(
    conninfo: str,
    folder: Path,
    *,
    anchors: CheckedAnchors,
    keep: int,
    file_events: int = FILE_EVENTS,
    progress: archiver.Progress = lambda _partition, _sequence: None,
) -> archiver.Outcome:
    """Archive what is closed of the log that the owner's *conninfo* reaches, but the newest *keep* partitions of it.

    Raises:
        adapters.postgres.archiver.ArchiveBusy, adapters.postgres.archiver.ArchiveRefused
        OSError, psycopg.OperationalError: it broke off; the next run goes on.
    """
    with archiver.Archiver.connect(
        conninfo, ParquetArchive(folder), anchors=anchors.hashes(), file_events=file_events, progress=progress
    ) as archiving:
        return archiving.run(keep=keep)


def verify_log(
    conninfo: str,
    folder: Path,
    *,
    anchors: CheckedAnchors | None,
    progress: Progress = lambda _done, _total: None,
    first: int = 1,
    last: int | None = None,
    workers: int = WORKERS,
    stretch: int = STRETCH,
) -> Verdict:
    """Verify the log that *conninfo* reaches, its archived part in *folder*, against *anchors* (None: none are known).

    Raises:
        psycopg.OperationalError: the database cannot be reached.
    """
    with PostgresLogSource.connect(conninfo, ParquetArchive(folder)) as source:
        if workers == 1 or source.state().last_sequence < 2 * stretch:
            check = None
        else:
            check = partial(_check_in_processes, conninfo, folder, workers)
        verification = Verification(source=source, anchors=anchors, check=check, progress=progress, stretch=stretch)
        return verification.run(first=first, last=last)


def _check_in_processes(conninfo: str, folder: Path, workers: int, wanted: Iterator[Plan]) -> Iterator[Stretch]:
    # Started afresh: a fork would take along this process's connection and whatever threads its libraries started.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=stretch_worker.begin,
        initargs=(conninfo, folder),
    )
    try:
        # A few at a time: plans are made as they are asked for, and what comes back is let go of again.
        running: deque[Future[Stretch]] = deque(
            pool.submit(stretch_worker.check, plan) for plan in islice(wanted, 2 * workers)
        )
        while running:
            yield running.popleft().result()
            running.extend(pool.submit(stretch_worker.check, plan) for plan in islice(wanted, 1))
    finally:
        pool.shutdown(cancel_futures=True)
