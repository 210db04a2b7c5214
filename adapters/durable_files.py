"""Small files that survive a crash: written whole or not at all, and there once a call has returned."""

import os
import tempfile
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Put *content* at *path* (mode 0600): a reader sees the old file or the new one."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".new-{path.name}-")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Make durable what the file *path* holds, or what was created, renamed or removed in the folder *path*."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
