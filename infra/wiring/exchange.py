"""What the simulator role is made of."""

from pathlib import Path

from adapters.simulator.config import SimulatorConfig
from adapters.simulator.recorded import read_recording
from adapters.simulator.synthetic import SyntheticTape
from adapters.simulator.tape import Tape
from infra.wiring.process import Wiring

SYNTHETIC = "synthetic"


def make_simulator(wiring: Wiring) -> SimulatorConfig:
    """The exchange of our own and the tape that it plays."""
    return SimulatorConfig(
        secret=wiring.runtime.keys.simulator,
        tape=_tape(wiring),
        instruments=wiring.instruments,
        lock_step=wiring.settings.lock_step,
    )


def _tape(wiring: Wiring) -> Tape:
    settings = wiring.settings
    if settings.tape != SYNTHETIC:
        return read_recording(Path(settings.tape), wiring.instruments)
    if settings.tape_seconds:
        return SyntheticTape(instruments=wiring.instruments, seed=settings.tape_seed, seconds=settings.tape_seconds)
    return SyntheticTape(
        instruments=wiring.instruments, seed=settings.tape_seed, start_ns=wiring.clock.wall_ns(), seconds=None
    )
