"""A small world that tests change: one trade, opened, guarded by a stop at the venue, and closed by hand."""

from dataclasses import replace
from typing import Any

from domain.order import OrderType, Product, Side
from infra.worlds.plan import Action, Deed, Entry, Plan
from infra.worlds.weather import CALM, Climate, Fate

OPENED_AT_S, CLOSED_AT_S = 1.5, 5.5
entry = Entry(
    stock=0,
    side=Side.BUY,
    quantity=10,
    order_type=OrderType.MARKET,
    product=Product.INTRADAY,
    stop_distance_e4=100_0000,
)
"""A good entry, whose stop no price of a quiet market comes near to."""
one_trade = Plan(
    seed=1,
    actions=(
        Action(at_s=OPENED_AT_S, deed=Deed.OPEN, entry=entry),
        Action(at_s=CLOSED_AT_S, deed=Deed.CLOSE),
    ),
    ends_s=30.0,
    climate=CALM,
    volatility_e4=5_000,
)
"""A good world: nothing goes wrong in it."""


def with_fates(told: dict[tuple[str, int], Fate], **changes: Any) -> Plan:
    """Return the world of one trade in which the n-th call of a name meets a fate."""
    return replace(one_trade, climate=Climate(harshness=0.0, lag_s=0.0, late_s=15.0, told=told), **changes)
