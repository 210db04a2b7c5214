"""Anchors in a file: a line each, only ever added, each synced before it counts."""

import errno
import fcntl
import os
from pathlib import Path

from adapters.durable_files import sync_path
from domain.integrity.anchors import SignedAnchor

_MODE = 0o600
_END = b"\n"


class AnchorFile:
    """Implements `projections.integrity.ports.AnchorSink` at *path*, whose folder is made when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def lines(self) -> list[bytes]:
        """Return the anchors' lines, oldest first; what a crash left unfinished is no line."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return content.split(_END)[:-1]

    def claim(self) -> None:
        """Be the only one to add anchors until this process ends. Raises OSError while another process is."""
        if self._lock is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise OSError(errno.EAGAIN, "another process adds anchors", str(self.path)) from None
        self._lock = lock

    def close(self) -> None:
        """Let another process add anchors."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def append(self, anchor: SignedAnchor) -> None:
        """Add an anchor, durably."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
        with os.fdopen(descriptor, "r+b") as file:
            content_end = _end_of_lines(file.read())
            # A crash in the middle of a write left part of a line, which never counted.
            file.truncate(content_end)
            file.write(anchor.line() + _END)  # In append mode: at the end, wherever reading left off.
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_path(self.path.parent)


def _end_of_lines(content: bytes) -> int:
    return content.rfind(_END) + 1
