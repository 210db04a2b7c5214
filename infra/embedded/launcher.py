"""Becomes another program, as another user, that ends when the one who started it ends.

Run as a script of its own (`python -I -S launcher.py PARENT SIGNAL UID GID PROGRAM ARGUMENT…`), because the steps must
happen between fork and exec in this order: the kernel forgets the death signal when the user changes, and code run
after a fork of a threaded process may hang. Only Linux has the signal; elsewhere the next start finds what was left.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_KEEP = -1


def main(arguments: list[str]) -> None:
    """Take up the new life; return only by an exception."""
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    program = arguments[4:]
    if uid != _KEEP:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        # The folder we stand in may be closed to the new user; PostgreSQL's tools insist on reading it.
        os.chdir("/")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(f"{program[0]}: the process that started it has gone")
    os.execv(program[0], program)  # noqa: S606 - the program is our caller's


if __name__ == "__main__":
    main(sys.argv[1:])
