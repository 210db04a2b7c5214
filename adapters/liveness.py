"""Whether a process that somebody else names is dead for certain, told from the machine it runs on.

A name holds what tells the machine's boot, the world of process ids, the process id, and when that process began. On
another machine, in another container, or where the system tells none of it, nothing is certain: then it may live.
"""

import os
from pathlib import Path
from uuid import uuid4

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")
_PARTS = 5
_STATE, _THREADS, _STARTED_AT = 0, 17, 19
"""Fields 3, 20 and 22 of a process's `stat`, counted behind its name. Source: proc(5)."""
_ENDED = {"Z", "X"}


def name_of_this_process() -> str:
    """Return a name that nobody else has: of this machine, of this process on it, and of this one use in it."""
    pid, unique = os.getpid(), uuid4().hex
    machine, stat = _machine(), _stat(pid)
    return unique if machine is None or stat is None else f"{machine}:{pid}:{stat[_STARTED_AT]}:{unique}"


def is_certainly_dead(name: str) -> bool:
    """Tell whether the process of *name* is no more. False: it lives, or nobody here can tell."""
    parts = name.split(":")
    if len(parts) != _PARTS or ":".join(parts[:2]) != _machine() or not parts[2].isdecimal():
        return False
    pid = int(parts[2])
    if not _exists(pid):
        return True
    stat = _stat(pid)
    # One whose `stat` is hidden from us may be anybody.
    return stat is not None and (stat[_STARTED_AT] != parts[3] or _has_ended(stat))


def _machine() -> str | None:
    """Return what tells this boot of this machine and this world of process ids from all others."""
    try:
        return f"{_BOOT.read_text().strip()}:{_PIDS.stat().st_ino}"
    except OSError:
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # It is somebody else's.
    return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process's `stat` behind its name, None where they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name may hold anything, parentheses and spaces too: what matters stands behind its last parenthesis.
    return text.rpartition(")")[2].split()


def _has_ended(stat: list[str]) -> bool:
    """Tell whether nothing of a process is left but its exit code: what it could send, it has sent."""
    return stat[_STATE] in _ENDED and int(stat[_THREADS]) <= 1
