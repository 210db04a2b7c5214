"""How the simulated market takes orders, as far as that is a matter of choice."""

from dataclasses import dataclass

from commands.ports import Sessions
from domain.matching import OfPrint, Participation, Slippage

_OF_PRINT = OfPrint()


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketModel:
    """`participation` is the way in which orders share in what trades, `slippage` what taking costs without depth.

    `sessions` lets the market keep the exchange's day, None: it trades whenever the tape plays.
    """

    participation: Participation = _OF_PRINT
    slippage: Slippage | None = None
    sessions: Sessions | None = None


PLAIN_MARKET = MarketModel()
