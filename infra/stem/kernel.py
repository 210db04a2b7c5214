"""What Linux is asked for so that a fork of a fork is a child of ours, ends with us, and is called what it is."""

import ctypes
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

IS_SUPPORTED = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_NAME_BYTES_MAX = 15
_ARGUMENTS_START, _ARGUMENTS_END = 45, 46
"""Fields 48 and 49 of a process's `stat`, counted behind its name. Source: proc(5)."""


@contextmanager
def adopting() -> Iterator[None]:
    """Become the parent, as long as the block lasts, of every descendant whose parent ends.

    No longer, because whoever adopts must bury, too: what our children leave behind at other times is init's.
    """
    was = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(was))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, was.value)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process *number* when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, int(number))


def show_as(name: str, words: Sequence[str]) -> None:
    """Have `top` show this process by *name*, and `ps` by the *words* of a command, as far as there is room."""
    called = ctypes.create_string_buffer(name.encode()[:_NAME_BYTES_MAX])
    _prctl(_PR_SET_NAME, ctypes.addressof(called))
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
    if start:  # It is hidden from us otherwise.
        # What the process was started with lies there; Python has copied it, and only those outside look at it there.
        room = end - start
        ctypes.memmove(start, "\0".join(words).encode()[: room - 1].ljust(room, b"\0"), room)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"the kernel refuses prctl {option}")
