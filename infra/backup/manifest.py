"""Whether a backup is whole: every file against the manifest that PostgreSQL wrote while it handed the files out.

This is what `pg_verifybackup` does, done here because that program of the wheel does not start everywhere. The
write-ahead log is read through by `pg_waldump`, which knows its checksums.

Source: PostgreSQL 18 documentation, chapter "Backup Manifest Format" and `pg_verifybackup`.
"""

import subprocess
from collections.abc import Callable, Iterator
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Annotated

import msgspec

from infra.problems import OperatorProblem

MANIFEST = "backup_manifest"
_NOT_IN_IT = ("pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal", MANIFEST)
"""Left out by PostgreSQL as well: these change by themselves, or are checked otherwise."""
_VERSION = 2
_PROBLEMS_SHOWN = 5


class BackupDamaged(OperatorProblem):
    """The backup is not what was backed up. Nothing was put back."""

    def __init__(self, problems: list[str]) -> None:
        more = len(problems) - _PROBLEMS_SHOWN
        told = "; ".join(problems[:_PROBLEMS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"The backup is damaged: {told}.", remedy="Use another one.")


class _File(msgspec.Struct, frozen=True, rename="pascal"):
    size: int
    path: str = ""
    checksum: str = ""
    algorithm: Annotated[str, msgspec.Meta(description="SHA256, the only one we ask for")] = msgspec.field(
        default="", name="Checksum-Algorithm"
    )


class _WalRange(msgspec.Struct, frozen=True):
    timeline: int = msgspec.field(name="Timeline")
    start: str = msgspec.field(name="Start-LSN")
    end: str = msgspec.field(name="End-LSN")


class _Manifest(msgspec.Struct, frozen=True):
    version: int = msgspec.field(name="PostgreSQL-Backup-Manifest-Version")
    files: list[_File] = msgspec.field(name="Files")
    ranges: list[_WalRange] = msgspec.field(name="WAL-Ranges")
    checksum: str = msgspec.field(name="Manifest-Checksum")
    system: int = msgspec.field(name="System-Identifier", default=0)


def verify_backup(data: Path, *, programs: Path, progress: Callable[[int, int], None] = lambda _, __: None) -> None:
    """Read the whole backup in *data* and compare it with its manifest; *progress* is told bytes done and in all.

    Raises:
        BackupDamaged
    """
    manifest = _read(data / MANIFEST)
    problems = list(_problems_of_files(data, manifest.files, progress))
    problems += _problems_of_wal(data, manifest.ranges, programs)
    if problems:
        raise BackupDamaged(problems)


def _read(path: Path) -> _Manifest:
    try:
        content = path.read_bytes()
        manifest = msgspec.json.decode(content, type=_Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupDamaged([f"its manifest cannot be read ({error})"]) from None
    # The last line holds the checksum of all lines before it.
    lines = content[: content.rstrip(b"\n").rfind(b"\n") + 1]
    if sha256(lines).hexdigest() != manifest.checksum:
        raise BackupDamaged(["its manifest was changed"])
    if manifest.version != _VERSION:
        raise BackupDamaged([f"its manifest is of version {manifest.version}, expected {_VERSION}"])
    return manifest


def _problems_of_files(data: Path, files: list[_File], progress: Callable[[int, int], None]) -> Iterator[str]:
    total, done = sum(file.size for file in files), 0
    known = set()
    for wanted in files:
        known.add(wanted.path)
        file = data / wanted.path
        if not file.is_file() or file.is_symlink():
            yield f"{wanted.path} is missing"
        elif file.stat().st_size != wanted.size:
            yield f"{wanted.path} has {file.stat().st_size} bytes, expected {wanted.size}"
        elif wanted.algorithm != "SHA256":
            yield f"{wanted.path} has no SHA256 in the manifest"
        else:
            with file.open("rb") as content:
                if file_digest(content, "sha256").hexdigest() != wanted.checksum:
                    yield f"{wanted.path} has other content"
        done += wanted.size
        progress(done, total)
    for file in sorted(path for path in data.rglob("*") if not path.is_dir()):
        name = str(file.relative_to(data))
        if name not in known and name.partition("/")[0] not in _NOT_IN_IT:
            yield f"{name} does not belong to it"


def _problems_of_wal(data: Path, ranges: list[_WalRange], programs: Path) -> Iterator[str]:
    for each in ranges:
        command = (
            *(str(programs / "pg_waldump"), "--quiet", f"--path={data / 'pg_wal'}", f"--timeline={each.timeline}"),
            *(f"--start={each.start}", f"--end={each.end}"),
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a program of the wheel
        if done.returncode != 0:
            yield f"its write-ahead log cannot be read ({done.stderr.strip() or done.returncode})"
