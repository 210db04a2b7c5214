"""The stem as the supervisor has it: started, asked for processes, given up when it does not answer."""

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import msgspec

from infra.embedded.process import AdoptedChild, ChildProcess
from infra.stem import kernel
from infra.stem.process import GO, LOADED

FORKED_WITHIN_S = 2.0
"""A fork takes some milliseconds. What takes this long is stuck, and to start anew is as quick."""
_ANSWER_BYTES_MAX = 32


OURS = (sys.executable, "-m", "infra.stem.process")
"""The command of a stem, but for the last two words of it, which are added here."""


class StemGone(Exception):
    """The stem did not fork. It is being ended; whoever is needed has to be started anew."""


class Stem:
    """A running stem. It works from its start on; ask it once it `is_loaded`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, log: IO[bytes] | None) -> None:
        """Start it by *command*. *environment* is that of the processes, too, *log* its own (None: as our output)."""
        # Whole messages, each with its descriptors; and an end that shows.
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setblocking(False)
        self._is_loaded = False
        with theirs:
            self.process = ChildProcess(
                (*command, str(theirs.fileno()), str(os.getpid())),
                name="stem",
                environment=environment,
                log=log,
                inherit=(theirs.fileno(),),
            )

    @property
    def is_loaded(self) -> bool:
        """Whether it has loaded everything, and lives."""
        if not self._is_loaded:
            try:
                self._is_loaded = self._requests.recv(len(LOADED)) == LOADED
            except OSError:
                return False
        return self._is_loaded and self.process.exit_code() is None

    def fork(self, roles: Sequence[str], *, name: str, ready_fd: int, log: IO[bytes] | None) -> ChildProcess:
        """Return a new process of *roles*, a child of ours like any other.

        Raises:
            StemGone
        """
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(FORKED_WITHIN_S)
        descriptors = [theirs.fileno(), ready_fd, *(() if log is None else (log.fileno(),))]
        with line:
            try:
                with kernel.adopting():
                    with theirs:
                        socket.send_fds(self._requests, [msgspec.json.encode(roles)], descriptors)
                    pid = int(line.recv(_ANSWER_BYTES_MAX))
            except (OSError, ValueError) as fault:  # It does not answer in time, or the line is at its end.
                self.end()
                raise StemGone(str(fault)) from fault
            with suppress(OSError):  # It has ended already, as any process may.
                line.send(GO)
        return AdoptedChild(pid, name=name)

    def end(self) -> None:
        """End it at once: it has nothing to lose. The processes that it forked go on."""
        self.process.send(signal.SIGKILL)
        self._requests.close()
