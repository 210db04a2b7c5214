"""What a fill does to a holding: quantity, cost and realised result, exact to the paisa."""

import msgspec

from domain.order import Side


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Units held and what they cost: both positive for a long, both negative for a short. Amounts in paise."""

    net_quantity: int = 0
    cost_paise: int = 0
    realised_paise: int = 0


class FillEffect(msgspec.Struct, frozen=True, kw_only=True):
    """How a fill splits into what it closed and what it opened. Costs are signed like a holding's."""

    opened_cost_paise: int
    closed_quantity: int
    closed_cost_paise: int
    realised_paise: int


def effect_of_fill(holding: Holding, *, side: Side, quantity: int, value_paise: int) -> FillEffect:
    """Return what *quantity* units worth *value_paise* do to *holding*, at its average cost.

    Cost leaves in proportion, cut to a whole paisa; what is cut stays with the units that remain, so that a holding
    that is closed in any number of parts realises exactly what it was sold for less what it cost.
    """
    held = abs(holding.net_quantity)
    closes = holding.net_quantity * side.sign < 0
    closed = min(quantity, held) if closes else 0
    closed_value = value_paise * closed // quantity
    if closed:
        direction = 1 if holding.net_quantity > 0 else -1
        closed_cost = direction * (abs(holding.cost_paise) * closed // held)
    else:
        closed_cost = 0
    return FillEffect(
        opened_cost_paise=side.sign * (value_paise - closed_value),
        closed_quantity=closed,
        closed_cost_paise=closed_cost,
        realised_paise=-side.sign * closed_value - closed_cost,
    )


def after_fill(holding: Holding, effect: FillEffect, *, side: Side, quantity: int) -> Holding:
    """Return *holding* after a fill with this *effect*."""
    return Holding(
        net_quantity=holding.net_quantity + side.sign * quantity,
        cost_paise=holding.cost_paise + effect.opened_cost_paise - effect.closed_cost_paise,
        realised_paise=holding.realised_paise + effect.realised_paise,
    )


def scaled_quantity(quantity: int, *, numerator: int, denominator: int) -> int:
    """Return what a split or bonus makes of *quantity* (signed): what is left of a unit is cut off, short or long."""
    units = abs(quantity) * numerator // denominator
    return units if quantity >= 0 else -units


def open_result_paise(holding: Holding, *, mark_value_paise: int) -> int:
    """Return the open result of *holding*, whose units are worth *mark_value_paise* (positive) at the mark."""
    signed_value = mark_value_paise if holding.net_quantity >= 0 else -mark_value_paise
    return signed_value - holding.cost_paise
