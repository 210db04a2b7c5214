"""Trades of days that are over, which leave the trade book and stay on the statement."""

import msgspec

from adapters.simulator.books.account import BookedExecution
from domain.instrument import Instrument
from domain.order import Side

KEPT_DAYS = 31
KEPT_MAX = 10_000
"""How many of a client's are kept at most, the newest: every start reads and writes them all."""


class TradeKept(msgspec.Struct, frozen=True, tag="trade_kept", kw_only=True):
    """A client traded on an earlier day."""

    client_id: str
    order_id: str
    exchange_order_id: str
    trade_id: str
    instrument: Instrument
    side: Side
    product: str
    quantity: int
    price_e4: int
    time_ns: int


def kept_of(execution: BookedExecution) -> TradeKept:
    """Return what stays of an execution when its day is over."""
    order = execution.order
    return TradeKept(
        client_id=order.client_id,
        order_id=order.order_id,
        exchange_order_id=order.exchange_order_id,
        trade_id=execution.trade_id,
        instrument=order.instrument,
        side=order.side,
        product=order.product,
        quantity=execution.quantity,
        price_e4=execution.price_e4,
        time_ns=execution.time_ns,
    )
