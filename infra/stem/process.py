"""The stem process: loads all that roles are made of, then forks a process for whichever roles it is asked for.

Run by `infra.stem.stem.Stem` as `python -m infra.stem.process SOCKET SUPERVISOR`. It opens no connection, reads no key,
makes no event loop, and has no thread, for a fork carries over none: one in which a library has started another thread
by being loaded ends instead, and processes are then started anew.

A new process is forked twice. What lies between ends at once, and the supervisor, which adopts at that moment, becomes
the parent of what is left: a child like any other, that ends with it, whose exit code it reads, and that survives the
stem. The new process then tells its number on a line of its own and works only when it is told to on that line. If the
supervisor has given up waiting, the line is at its end, and so is the process: nothing runs that it does not know of.
"""

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from socket import MSG_CMSG_CLOEXEC, recv_fds, socket
from typing import NoReturn

import msgspec

from infra.settings import READY_FD_VARIABLE
from infra.stem import kernel

LOADED = b"loaded"
GO = b"go"
REQUEST_BYTES_MAX = 4_096
DESCRIPTORS_MAX = 3
EXIT_FAULT = 1
_ADOPTION_PAUSE_S = 0.000_5


Run = Callable[[Sequence[str]], NoReturn]
"""Works as roles until the process ends."""


def main(arguments: list[str], load: Callable[[], Run]) -> None:
    """Have *load* load what processes are made of, say so, and fork until the supervisor has gone."""
    requests, supervisor = socket(fileno=int(arguments[0])), int(arguments[1])
    gc.disable()  # Nothing of what is loaded is garbage.
    run = load()
    if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
        sys.exit(f"{threads} threads run: no process can be forked safely")
    gc.freeze()  # Else the first collection of each process would copy every page that it could share.
    requests.send(LOADED)
    while True:
        request, descriptors, _, _ = recv_fds(requests, REQUEST_BYTES_MAX, DESCRIPTORS_MAX, MSG_CMSG_CLOEXEC)
        if not request:
            return
        roles = msgspec.json.decode(request, type=list[str])
        _fork(partial(_become, run, roles, descriptors, requests=requests, supervisor=supervisor))
        for descriptor in descriptors:
            os.close(descriptor)


def load_roles() -> Run:
    """Load every role."""
    # Its helpers would be threads. What roles compute by it is small.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from infra.roles.process import load_every_role  # noqa: PLC0415 - behind the line above
    from infra.roles.program import run_process  # noqa: PLC0415 - likewise

    load_every_role()
    return partial(run_process, of_simulator={})


def _fork(become: Callable[[int], NoReturn]) -> None:
    """Fork twice. The second process calls *become* with the number of the first, which has ended or is about to."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    try:
        between = os.getpid()
        if os.fork() == 0:
            become(between)
    except BaseException:  # noqa: BLE001 - what goes up from here would fork on, as a second stem
        traceback.print_exc()
    finally:
        os._exit(EXIT_FAULT)


def _become(
    run: Run, roles: Sequence[str], descriptors: Sequence[int], between: int, *, requests: socket, supervisor: int
) -> NoReturn:
    """Be the process of *roles*: *descriptors* are its line, where it says that it is ready, and its log, if any."""
    requests.close()
    while os.getppid() == between:
        time.sleep(_ADOPTION_PAUSE_S)
    kernel.end_with_parent(signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(EXIT_FAULT)
    os.setsid()
    line, ready, *log = descriptors
    for descriptor in log:
        os.dup2(descriptor, sys.stdout.fileno())
        os.dup2(descriptor, sys.stderr.fileno())
        os.close(descriptor)
    with socket(fileno=line) as told:
        told.send(str(os.getpid()).encode())
        if told.recv(len(GO)) != GO:
            os._exit(EXIT_FAULT)
    gc.enable()
    os.environ[READY_FD_VARIABLE] = str(ready)
    sys.argv = ["khata", "run", *roles]
    kernel.show_as("-".join(roles), sys.argv)
    run(roles)


if __name__ == "__main__":
    main(sys.argv[1:], load_roles)
