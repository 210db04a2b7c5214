"""What the simulator role is made of."""

from pathlib import Path

from adapters.bars.parquet import ParquetBars
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.fault_plan import FaultPlan, PlanInvalid, plan_from
from adapters.simulator.recorded import read_recording
from adapters.simulator.synthetic import SyntheticTape
from adapters.simulator.tape import Tape
from infra.home import Home
from infra.problems import OperatorProblem
from infra.settings import SYNTHETIC, Settings, variable_of
from infra.wiring.process import Wiring


def make_simulator(wiring: Wiring) -> SimulatorConfig:
    """The exchange of our own and the tape that it plays.

    Its books outlive it, but not in lock-step: there a session is played from its start, on empty books.

    Raises:
        infra.problems.OperatorProblem: the faults that are asked for are no plan, or cannot be.
    """
    home = Home(wiring.settings.home)
    return SimulatorConfig(
        secret=wiring.runtime.keys.simulator,
        tape=_tape(wiring),
        instruments=wiring.instruments,
        lock_step=wiring.settings.lock_step,
        bars=ParquetBars(home.daily_bars),
        journal=None if wiring.settings.lock_step else home.simulator_books,
        fault_plan=fault_plan_of(wiring.settings),
    )


def fault_plan_of(settings: Settings) -> FaultPlan | None:
    """Return the faults that the simulator is to make, None where none are asked for.

    Raises:
        infra.problems.OperatorProblem: they are no plan, or cannot be.
    """
    if not settings.simulator_faults:
        return None
    variable = variable_of("simulator_faults")
    try:
        plan = plan_from(settings.simulator_faults)
    except PlanInvalid as error:
        raise OperatorProblem(
            f"The simulator's faults cannot be planned: {error}.",
            remedy=f"Set {variable} to words such as: seed=7 delay=0.02 (docs/simulator-faults.md lists the kinds).",
        ) from error
    if plan.needs_journal and settings.lock_step:
        raise OperatorProblem(
            "A simulator in lock-step keeps no journal that it could come back on after a restart.",
            remedy=f"Take restart out of {variable}, or unset {variable_of('lock_step')}.",
        )
    return plan


def _tape(wiring: Wiring) -> Tape:
    settings = wiring.settings
    if settings.tape != SYNTHETIC:
        return read_recording(Path(settings.tape), wiring.instruments)
    if settings.tape_seconds:
        return SyntheticTape(instruments=wiring.instruments, seed=settings.tape_seed, seconds=settings.tape_seconds)
    return SyntheticTape(
        instruments=wiring.instruments, seed=settings.tape_seed, start_ns=wiring.clock.wall_ns(), seconds=None
    )
