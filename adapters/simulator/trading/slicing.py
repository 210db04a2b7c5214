"""An order above the freeze quantity as several that the exchange takes."""

from collections.abc import Iterator
from dataclasses import replace

from adapters.simulator.trading.simulator import OrderRequest
from domain.instrument import Instrument


def parts_of(quantity: int, instrument: Instrument) -> list[int]:
    """Return *quantity* in parts of whole lots, each as large as the exchange takes, the rest last."""
    freeze = instrument.freeze_quantity
    most = quantity if freeze is None else max(freeze - freeze % instrument.lot, instrument.lot)
    full, rest = divmod(quantity, most)
    return [most] * full + ([rest] if rest else [])


def slices_of(request: OrderRequest) -> Iterator[OrderRequest]:
    """Yield the orders that *request* becomes: each shows the same part of itself, and all have its correlation id."""
    for quantity in parts_of(request.quantity, request.instrument):
        shown = -(-request.disclosed_quantity * quantity // request.quantity)
        yield replace(request, quantity=quantity, disclosed_quantity=shown)
