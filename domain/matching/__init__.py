"""Matching our orders against a tape of what the market traded. Shared by the simulator, paper trading and backtests.

`book` has the rules of continuous trading, `auction` those of a call auction, `phased` which of the two an order meets
in each phase of the session.
"""

from domain.matching.auction import Equilibrium, Interest, equilibrium
from domain.matching.book import Matching, MatchingRules
from domain.matching.depth import Depth, Level
from domain.matching.models import (
    OfPrint,
    OfSession,
    Participation,
    ProportionalSlippage,
    Slippage,
    SquareRootSlippage,
    TickSlippage,
)
from domain.matching.orders import (
    CannotModify,
    Execution,
    Happening,
    MatchingOrder,
    Rejection,
    Submission,
    Triggered,
    Withdrawn,
)
from domain.matching.phased import AuctionRules, PhasedMatching

__all__ = [
    "AuctionRules",
    "CannotModify",
    "Depth",
    "Equilibrium",
    "Execution",
    "Happening",
    "Interest",
    "Level",
    "Matching",
    "MatchingOrder",
    "MatchingRules",
    "OfPrint",
    "OfSession",
    "Participation",
    "PhasedMatching",
    "ProportionalSlippage",
    "Rejection",
    "Slippage",
    "SquareRootSlippage",
    "Submission",
    "TickSlippage",
    "Triggered",
    "Withdrawn",
    "equilibrium",
]
