"""A process that is no more, under the name that it gave itself."""

import subprocess
import sys

_PROGRAM = "from adapters.liveness import name_of_this_process; print(name_of_this_process())"


def name_of_a_dead_process() -> str:
    """Run a process that says its name, and return that."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    return done.stdout.strip()
