"""What an order binds: its value, or a part of it where the broker lends. One rule for funds and calculator."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.instrument import InstrumentKey
from domain.order import Side

LENT_ON = "INTRADAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One order that somebody wonders about. `price_e4` is in 1/10,000 rupee."""

    instrument: InstrumentKey
    product: str
    side: Side
    quantity: int
    price_e4: int


def leverage_of(product: str, *, intraday_leverage: int) -> int:
    """Return how many rupees of value a rupee of margin carries."""
    return intraday_leverage if product == LENT_ON else 1


def margin_e4(product: str, *, quantity: int, price_e4: int, intraday_leverage: int) -> int:
    """Return what *quantity* at a price binds, in quantity x 1/10,000 rupee."""
    return quantity * price_e4 // leverage_of(product, intraday_leverage=intraday_leverage)


def margin_together_e4(legs: Iterable[Leg], *, intraday_leverage: int) -> int:
    """Return what *legs* bind together: of each instrument and product the larger side alone, at its dearest price."""
    sides: dict[tuple[InstrumentKey, str], dict[Side, int]] = {}
    dearest_e4: dict[tuple[InstrumentKey, str], int] = {}
    for leg in legs:
        key = (leg.instrument, leg.product)
        quantities = sides.setdefault(key, {Side.BUY: 0, Side.SELL: 0})
        quantities[leg.side] += leg.quantity
        dearest_e4[key] = max(dearest_e4.get(key, 0), leg.price_e4)
    return sum(
        margin_e4(
            key[1],
            quantity=max(quantities.values()),
            price_e4=dearest_e4[key],
            intraday_leverage=intraday_leverage,
        )
        for key, quantities in sides.items()
    )
