"""What a simulator is told at its start."""

from dataclasses import dataclass, field
from pathlib import Path

from adapters.clock import SystemClock
from adapters.simulator.faults.fault_plan import FaultPlan
from adapters.simulator.market.listing import Listing
from adapters.simulator.market.market_model import PLAIN_MARKET, MarketModel
from adapters.simulator.tapes.tape import Tape
from commands.ports import Clock
from projections.ports import Bars

RUPEES_10_LAKH_PAISE = 10_00_000_00


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Everything the simulator depends on; nothing is read from anywhere else.

    `secret` derives the clients' PINs, signs their tokens and, as hex, opens `/admin`. `lock_step`: market time moves
    by `POST /admin/step` alone; else the tape plays `speed` of its seconds in one of ours (0: as many as go), on the
    `market` that says how orders are taken. `transit_ms` is how long an accepted order stays in
    TRANSIT (None: 0 in lock-step, 20 else). `rate_limited`: the broker's rate limits hold, times `rate_scale` (None:
    not in lock-step). `dead_token_is_order_error`: a dead token is answered as 400 DH-906 instead of 401 DH-901 (both
    were seen). `first_number` is where order and trade numbers begin: a simulator that starts again must not give an
    old number to a new order (None: 1 in lock-step, else derived from the time of day; what the journal knows counts
    too). `journal` is the file that keeps the books from one start to the next, in a folder that is there (None: they
    are kept in memory alone). `bars` are stored days that charts go back to (None: they know the tape alone). A
    person who gave a program consent is sent to `consent_redirect`. `feed_glues`: feed packets that wait together go in
    one frame, which the broker's own client does not stand. `fault_plan` lets faults come by rates and
    a seed from the start on. Tokens end and rates are counted by `clock`.
    """

    secret: bytes
    tape: Tape
    instruments: Listing
    lock_step: bool
    opening_balance_paise: int = RUPEES_10_LAKH_PAISE
    intraday_leverage: int = 5
    participation_bp: int = 2_500
    protection_bp: int = 100
    market: MarketModel = PLAIN_MARKET
    speed: float = 1.0
    transit_ms: int | None = None
    rate_limited: bool | None = None
    rate_scale: float = 1.0
    duplicate_correlation_ids_allowed: bool = True
    dead_token_is_order_error: bool = False
    first_number: int | None = None
    journal: Path | None = None
    bars: Bars | None = None
    consent_redirect: str = "http://127.0.0.1/"
    feed_glues: bool = False
    fault_plan: FaultPlan | None = None
    clock: Clock = field(default_factory=SystemClock)

    @property
    def transit_s(self) -> float:
        """How long an accepted order stays in TRANSIT, in seconds."""
        return (self.transit_ms if self.transit_ms is not None else 0 if self.lock_step else 20) / 1000

    @property
    def limits_rates(self) -> bool:
        """Whether the broker's rate limits hold."""
        return self.rate_limited if self.rate_limited is not None else not self.lock_step
