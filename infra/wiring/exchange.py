"""What the simulator role is made of."""

from pathlib import Path

from adapters.bars.parquet import ParquetBars
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.recorded import read_recording
from adapters.simulator.synthetic import SyntheticTape
from adapters.simulator.tape import Tape
from infra.home import Home
from infra.settings import SYNTHETIC
from infra.wiring.process import Wiring


def make_simulator(wiring: Wiring) -> SimulatorConfig:
    """The exchange of our own and the tape that it plays.

    Its books outlive it, but not in lock-step: there a session is played from its start, on empty books.
    """
    home = Home(wiring.settings.home)
    return SimulatorConfig(
        secret=wiring.runtime.keys.simulator,
        tape=_tape(wiring),
        instruments=wiring.instruments,
        lock_step=wiring.settings.lock_step,
        bars=ParquetBars(home.daily_bars),
        journal=None if wiring.settings.lock_step else home.simulator_books,
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
