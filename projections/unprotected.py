"""Which trades hold more than their stops guard, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.account.events import ProtectionMode
from projections.trades import ProtectionLoss, TradeRow, TradeStatus


class WhyUnprotected(StrEnum):
    """Why a trade is not protected."""

    EXTERNAL = "external"
    """It came from outside and has no levels."""
    NO_STOP_LOSS = "no_stop_loss"
    """Nobody asked for one."""
    FAILED = "failed"
    """Its stop cannot be placed, moved or filled by rule: a person has to look."""
    LAPSED = "lapsed"
    """Its stop ended with its session and is to be placed again."""
    EXITING = "exiting"
    """Its stop gave way to an exit that is under way."""
    NOT_RESTING = "not_resting"
    """The venue has not confirmed its stop (for all of it) yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unprotected:
    """A trade of which `quantity` units are held that no stop guards; `remark` says more, for people."""

    trade: TradeRow
    quantity: int
    why: WhyUnprotected
    remark: str | None = None


def unprotected(trades: Iterable[TradeRow]) -> list[Unprotected]:
    """Return those of *trades* that hold more than is guarded, oldest first.

    A trade whose stop the engine watches counts as guarded as long as nothing said that this failed.
    """
    found = []
    for trade in sorted(trades, key=lambda each: each.opened_sequence):
        why = _why(trade)
        if why is not None:
            quantity = abs(trade.net_quantity) - (0 if why is WhyUnprotected.FAILED else trade.guarded_quantity)
            found.append(Unprotected(trade=trade, quantity=quantity, why=why, remark=trade.protection_remark))
    return found


def _why(trade: TradeRow) -> WhyUnprotected | None:  # noqa: PLR0911 - one return per reason
    if not trade.net_quantity:
        return None
    if trade.protection_lost is ProtectionLoss.FAILED:
        return WhyUnprotected.FAILED
    if trade.guarded_quantity >= abs(trade.net_quantity):
        return None
    if trade.is_external:
        return WhyUnprotected.EXTERNAL
    if trade.status is TradeStatus.EXITING:
        return WhyUnprotected.EXITING
    if trade.stop_loss_e4 is None:
        return WhyUnprotected.NO_STOP_LOSS
    if trade.protection_lost is ProtectionLoss.LAPSED:
        return WhyUnprotected.LAPSED
    return WhyUnprotected.NOT_RESTING if trade.protection is ProtectionMode.RESTING else None
