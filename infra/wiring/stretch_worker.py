"""The process that checks stretches of the log beside another one. It loads nothing else, to start at once."""

import atexit
from contextlib import ExitStack
from pathlib import Path

from adapters.archive.parquet import ParquetArchive
from adapters.postgres.log_source import PostgresLogSource
from domain.integrity.joining import Stretch
from projections.integrity.stretches import Plan, check_stretch

_open = ExitStack()
_sources: list[PostgresLogSource] = []
"""The process's source: one connection for all of its stretches, closed when it ends."""


def begin(conninfo: str, folder: Path) -> None:
    """Connect; called once, when the process has started."""
    _sources.append(_open.enter_context(PostgresLogSource.connect(conninfo, ParquetArchive(folder))))
    atexit.register(_open.close)


def check(plan: Plan) -> Stretch:
    """Return what *plan*'s events are found to be."""
    return check_stretch(_sources[0], plan)
