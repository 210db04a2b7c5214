"""What the simulator role is made of."""

from datetime import date
from pathlib import Path

from adapters.bars.parquet import ParquetBars
from adapters.simulator.candle_tape import holds_candles, read_candles
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.fault_plan import FaultPlan, PlanInvalid, plan_from
from adapters.simulator.market_model import MarketModel
from adapters.simulator.recorded import OPEN_S, midnight_ns, read_recording
from adapters.simulator.synthetic import DEMO_START_NS, ClosingAuction, SyntheticTape
from adapters.simulator.tape import Tape
from domain.instrument import Segment
from domain.market import NS_PER_S
from domain.matching import OfPrint, OfSession, ProportionalSlippage, Slippage, SquareRootSlippage, TickSlippage
from domain.session import Phase
from domain.session_table import SessionTable
from infra.home import Home
from infra.problems import OperatorProblem
from infra.settings import SYNTHETIC, Settings, variable_of
from infra.wiring.process import Wiring

_LAST_S = 16 * 60 * 60
"""A synthetic session of a given day goes on until 16:00, the end of the post-close."""
_OUTCOME_AFTER_S = 120
"""So long after order entry the closing auction prints its outcome: at 15:30."""


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
        participation_bp=wiring.settings.simulator_participation_bp,
        market=_market(wiring),
        speed=wiring.settings.tape_speed,
    )


def _market(wiring: Wiring) -> MarketModel:
    settings = wiring.settings
    return MarketModel(
        participation=OfSession() if settings.simulator_participation == "session" else OfPrint(),
        slippage=slippage_of(settings.simulator_slippage),
        sessions=wiring.exchange_sessions if settings.simulator_sessions else None,
    )


def slippage_of(words: str) -> Slippage | None:
    """Return what taking costs by the words of the setting `simulator_slippage`, None where it costs nothing."""
    name, _, size = words.partition(":")
    match name:
        case "ticks":
            return TickSlippage(int(size))
        case "bp":
            return ProportionalSlippage(int(size))
        case "sqrt":
            return SquareRootSlippage(int(size))
        case _:
            return None


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
    day = tape_day_of(settings)
    if settings.tape != SYNTHETIC:
        folder = Path(settings.tape)
        if holds_candles(folder):
            return read_candles(folder, wiring.instruments, first_day=day)
        return read_recording(folder, wiring.instruments)
    start_ns, seconds = DEMO_START_NS, settings.tape_seconds or None
    if day is not None:
        start_ns, seconds = midnight_ns(day) + OPEN_S * NS_PER_S, seconds or _LAST_S - OPEN_S
    elif seconds is None:
        start_ns = wiring.clock.wall_ns()
    return SyntheticTape(
        instruments=wiring.instruments,
        seed=settings.tape_seed,
        start_ns=start_ns,
        seconds=seconds,
        depth=settings.tape_depth,
        closing_auction=closing_auction_of(wiring.exchange_sessions.table, day)
        if day is not None and settings.simulator_sessions
        else None,
    )


def tape_day_of(settings: Settings) -> date | None:
    """Return the day that the tape shall be of, or begin with, None where none is asked for.

    Raises:
        infra.problems.OperatorProblem: it is no day.
    """
    if not settings.tape_day:
        return None
    try:
        return date.fromisoformat(settings.tape_day)
    except ValueError:
        raise OperatorProblem(
            f"{variable_of('tape_day')} is {settings.tape_day}, which is no day.",
            remedy="Set it to a day such as 2026-11-20.",
        ) from None


def closing_auction_of(table: SessionTable, day: date) -> ClosingAuction | None:
    """Return when the stocks of the synthetic session close on *day*, None where they have no auction then."""
    found = table.day_of(Segment.NSE_EQ, day, derivatives=True)
    ends_ns = {} if found is None else {phase.phase: phase.ends_at_ns for phase in found.phases}
    post_close = (
        None if found is None else next((each for each in found.phases if each.phase is Phase.POST_CLOSE), None)
    )
    if Phase.CLOSING_AUCTION_END not in ends_ns or Phase.CONTINUOUS not in ends_ns or post_close is None:
        return None
    open_ns = midnight_ns(day) + OPEN_S * NS_PER_S
    return ClosingAuction(
        ends_s=(ends_ns[Phase.CONTINUOUS] - open_ns) // NS_PER_S,
        outcome_s=(ends_ns[Phase.CLOSING_AUCTION_END] - open_ns) // NS_PER_S + _OUTCOME_AFTER_S,
        post_close_s=(post_close.starts_at_ns - open_ns) // NS_PER_S,
    )
