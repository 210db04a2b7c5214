"""A small file system for what the database keeps, which fills up."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.process import ServerUser


class MountRefused(Exception):
    """Nobody like us may mount a file system here."""


@contextmanager
def small_file_system(folder: Path, user: ServerUser | None, mebibytes: int) -> Iterator[None]:
    """Mount one of *mebibytes* on *folder*, which is made, for the server's *user* (None: ours).

    Raises:
        MountRefused
    """
    folder.mkdir()
    owner = f",uid={user.uid},gid={user.gid}" if user else ""
    done = subprocess.run(  # noqa: S603 - words of our own
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700{owner}", "tmpfs", folder],  # noqa: S607 - the system's
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MountRefused(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S603, S607 - likewise


def fill_up(filler: Path, *, leave_bytes: int = 0) -> None:
    """Leave no more than *leave_bytes* of room beside *filler*, a file that is made. Unlinking it gives room again."""
    free = shutil.disk_usage(filler.parent).free
    filler.write_bytes(bytes(max(free - leave_bytes, 0)))
