"""What anchoring, verification and the archive are made of."""

import atexit
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from adapters.anchor_file import AnchorFile
from adapters.archive.parquet import ParquetArchive
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.log_source import PostgresLogSource
from adapters.security.anchors import AnchorKey
from domain.integrity.anchors import CheckedAnchors
from domain.integrity.joining import Stretch
from infra.home import Home
from infra.settings import Settings
from infra.wiring.process import Wiring
from projections.integrity.anchoring import Anchoring
from projections.integrity.stretches import Plan, check_stretch
from projections.integrity.verifier import STRETCH, Progress, Verdict, Verification

WORKERS = 2
"""Processes that check a long log: one alone keeps a core busy with hashing while the other one idles."""


def anchors_path(settings: Settings) -> Path:
    """Return where the anchors of the log are."""
    return settings.anchors_file or Home(settings.home).anchors_file


def archive_folder(settings: Settings) -> Path:
    """Return where the archived part of the log is."""
    return settings.archive_folder or Home(settings.home).archive


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


def verify_log(
    conninfo: str,
    folder: Path,
    *,
    anchors: CheckedAnchors | None,
    progress: Progress = lambda _done, _total: None,
    first: int = 1,
    last: int | None = None,
    workers: int = WORKERS,
) -> Verdict:
    """Verify the log that *conninfo* reaches, its archived part in *folder*, against *anchors* (None: none are known).

    Raises:
        psycopg.OperationalError: the database cannot be reached.
    """
    with PostgresLogSource.connect(conninfo, ParquetArchive(folder)) as source:
        if workers == 1 or source.state().sequence < 2 * STRETCH:
            check = None
        else:
            check = partial(_check_in_processes, conninfo, folder, workers)
        verification = Verification(source=source, anchors=anchors, check=check, progress=progress)
        return verification.run(first=first, last=last)


def _check_in_processes(conninfo: str, folder: Path, workers: int, wanted: list[Plan]) -> Iterator[Stretch]:
    # Started afresh: a fork would take along this process's connection and whatever threads its libraries started.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(conninfo, folder),
    )
    try:
        yield from pool.map(_check_in_worker, wanted)
    finally:
        pool.shutdown(cancel_futures=True)


_worker = ExitStack()
_sources: list[PostgresLogSource] = []
"""The source of a worker process: one connection for all of its stretches, closed when the process ends."""


def _begin_worker(conninfo: str, folder: Path) -> None:
    _sources.append(_worker.enter_context(PostgresLogSource.connect(conninfo, ParquetArchive(folder))))
    atexit.register(_worker.close)


def _check_in_worker(plan: Plan) -> Stretch:
    return check_stretch(_sources[0], plan)
