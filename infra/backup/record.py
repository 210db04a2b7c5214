"""What a backup says of itself, and what is remembered of the last one."""

from pathlib import Path

import msgspec

from adapters.durable_files import write_durably
from infra.problems import OperatorProblem

RECORD = "backup.json"
DATA = "data"
KEPT = "data.before-"
"""How the names of folders begin in which a restore keeps what it replaced."""
_FORMAT = 1


class BackupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. Every event up to `sequence_min` is in it, none after `sequence_max`. Times: UTC nanoseconds."""

    format: int = _FORMAT
    installation: str
    epoch: str
    sequence_min: int
    sequence_max: int
    started_at_ns: int
    finished_at_ns: int
    path: str = ""


def read_record(folder: Path) -> BackupRecord:
    """Return what the backup in *folder* says of itself.

    Raises:
        OperatorProblem: there is no backup, or one of a later release.
    """
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=BackupRecord)
    except (OSError, msgspec.MsgspecError):
        raise OperatorProblem(
            f"{folder} holds no backup.", remedy=f"Name the folder that `khata backup` wrote: it has {RECORD} in it."
        ) from None
    if record.format != _FORMAT:
        raise OperatorProblem(f"{folder} has format {record.format}, this release knows {_FORMAT}.")
    return record


def write_record(file: Path, record: BackupRecord) -> None:
    """Put *record* at *file*, durably."""
    write_durably(file, msgspec.json.encode(record) + b"\n")


def last_backup(file: Path) -> BackupRecord | None:
    """Return the backup that *file* remembers, None where there was none or it cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=BackupRecord)
    except (OSError, msgspec.MsgspecError):
        return None
