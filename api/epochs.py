"""Which history the sequences of answers belong to, so that a client of an older one is told instead of misled.

Every answer carries a token in the header `Khata-Epoch`: the cell (one PostgreSQL with its stream; there is one today)
and its epoch. Whoever hands a `min_sequence`, or another sequence of ours, to a query may send the token of the answer
that it came from; without one everything works, and a sequence is taken for one of the present history.
"""

from fastapi import Request

from api.errors import EpochChanged
from api.services import services_of
from domain.epoch import CELL

HEADER = "Khata-Epoch"


def epoch_token(epoch: str) -> str:
    """Return the token for *epoch*, empty where that is not known yet. Clients compare it and hand it back."""
    return f"{CELL}.{epoch}" if epoch else ""


def demand_present_epoch(request: Request, token: str | None) -> None:
    """Accept a request that carries *token*; None, or none known here, is no obstacle.

    Raises:
        EpochChanged: it is of another history: what its client read may never have happened in this one.
    """
    present = epoch_token(services_of(request).epoch())
    if token is not None and present and token != present:
        raise EpochChanged(
            "EPOCH_CHANGED",
            f"{HEADER}: received {token[:80]!r}, expected {present!r}: the log was put back or moved, read anew",
        )
