import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from infra.backup.manifest import MANIFEST, BackupDamaged, verify_backup

FILES = {"PG_VERSION": b"18\n", "base/1/1259": b"a table" * 100, "global/pg_control": bytes(8192)}


def write_manifest(data: Path, *, version: int = 2, algorithm: str = "SHA256") -> None:
    """Write it as PostgreSQL does: a line a file, and in the last line the checksum of all lines before it."""
    entries = [
        {"Path": path, "Size": len(content), "Checksum-Algorithm": algorithm, "Checksum": sha256(content).hexdigest()}
        for path, content in FILES.items()
    ]
    lines = [f'{{ "PostgreSQL-Backup-Manifest-Version": {version},', '"System-Identifier": 7,', '"Files": [']
    lines += [",\n".join(json.dumps(entry) for entry in entries), "],", '"WAL-Ranges": [', "],"]
    text = "\n".join(lines) + "\n"
    checksum = sha256(text.encode()).hexdigest()
    (data / MANIFEST).write_text(f'{text}"Manifest-Checksum": "{checksum}"}}\n')


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    write_manifest(tmp_path)
    return tmp_path


def test_a_whole_backup_passes_and_tells_its_progress(data: Path) -> None:
    told: list[tuple[int, int]] = []
    verify_backup(data, programs=data, progress=lambda done, of: told.append((done, of)))
    total = sum(map(len, FILES.values()))
    assert told[-1] == (total, total)


def test_what_changes_by_itself_may_be_there(data: Path) -> None:
    for name in ("pg_wal/000000010000000000000002", "postgresql.auto.conf", "standby.signal"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).touch()
    verify_backup(data, programs=data)


def _flip(data: Path) -> None:
    content = bytearray((data / "base/1/1259").read_bytes())
    content[300] ^= 1
    (data / "base/1/1259").write_bytes(content)


def _edit_manifest(data: Path) -> None:
    text = (data / MANIFEST).read_text()
    (data / MANIFEST).write_text(text.replace('"Size": 3', '"Size": 4'))


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("base/1/1259 has other content", _flip),
    ("base/1/1259 is missing", lambda data: (data / "base/1/1259").unlink()),
    ("global/pg_control has 1 bytes, expected 8192", lambda data: (data / "global/pg_control").write_bytes(b"x")),
    ("base/1/1 does not belong to it", lambda data: (data / "base/1/1").touch()),
    ("its manifest was changed", _edit_manifest),
    ("its manifest cannot be read (Input data was truncated)", lambda data: (data / MANIFEST).write_text("{")),
    ("its manifest cannot be read ([Errno 2]", lambda data: (data / MANIFEST).unlink()),
    ("its manifest is of version 1", lambda data: write_manifest(data, version=1)),
    ("has no SHA256 in the manifest", lambda data: write_manifest(data, algorithm="CRC32C")),
]


@pytest.mark.parametrize(("told", "damage"), DAMAGE)
def test_whatever_is_wrong_is_found_and_named(told: str, damage: Callable[[Path], object], data: Path) -> None:
    damage(data)
    with pytest.raises(BackupDamaged, match=re.escape(told)):
        verify_backup(data, programs=data)


def test_of_much_damage_the_first_is_named_and_the_rest_counted(data: Path) -> None:
    for number in range(20):
        (data / f"stray{number:02d}").touch()
    with pytest.raises(BackupDamaged, match="stray04 does not belong to it; and 15 more"):
        verify_backup(data, programs=data)
