"""Where the trades that make up a position trail their stops: what can be said of the position as a whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.ids import TradeId
from projections.positions import PositionRow
from projections.trades import TradeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailed:
    """A position's trailing stop and the best price that it has seen, in 1/10,000 rupee.

    The best price is the highest for a long and the lowest for a short. Each is None where the trades that hold
    something of the position do not all say the same, as where only one of them trails.
    """

    stop_e4: int | None
    best_price_e4: int | None


def trailed(row: PositionRow, trades: Mapping[TradeId, TradeRow]) -> Trailed:
    """Return what *trades* say of *row*. A trade that does not trail, or is not there, says nothing."""
    said = [_said_by(trades.get(trade_id)) for trade_id in row.holdings]
    return Trailed(
        stop_e4=_agreed(each.stop_e4 for each in said), best_price_e4=_agreed(each.best_price_e4 for each in said)
    )


def _said_by(trade: TradeRow | None) -> Trailed:
    if trade is None or trade.trailing is None:
        return Trailed(stop_e4=None, best_price_e4=None)
    return Trailed(stop_e4=trade.stop_loss_e4, best_price_e4=trade.best_price_e4)


def _agreed(said: Iterable[int | None]) -> int | None:
    values = set(said)
    return values.pop() if len(values) == 1 else None
