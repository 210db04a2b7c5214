"""Names of things: one type per kind, so that two of them are never swapped."""

from typing import NewType

UserId = NewType("UserId", str)
AccountId = NewType("AccountId", str)
TradeId = NewType("TradeId", str)
OrderId = NewType("OrderId", str)
"""An order's own name for ever: its trade's id, a dot, and its number within the trade."""
CorrelationId = NewType("CorrelationId", str)
"""The name under which the venue knows an order of ours: 25 characters, `[A-Za-z0-9]`."""
VenueOrderId = NewType("VenueOrderId", str)
VenueFillId = NewType("VenueFillId", str)
"""What tells one execution from another, for ever: segment, the venue's number and its order id, joined by colons."""
StrategyId = NewType("StrategyId", str)
BacktestId = NewType("BacktestId", str)
BasketId = NewType("BasketId", str)
DifferenceId = NewType("DifferenceId", str)
"""A difference's own name for ever: its account's id, `.d`, and its number within the account."""


def split_fill_id(fill_id: VenueFillId) -> tuple[str | None, str, VenueOrderId | None]:
    """Return segment, trade number and order id of a fill.

    An id that is no such triple is a number alone: `joined_fill_id` makes the same id of it again.
    """
    parts = fill_id.split(":")
    if len(parts) != 3:  # noqa: PLR2004 - a triple
        return None, fill_id, None
    return parts[0], parts[1], VenueOrderId(parts[2])


def joined_fill_id(segment: str | None, trade_number: str, venue_order_id: VenueOrderId | None) -> VenueFillId:
    """Return the id of a fill from what `split_fill_id` made of it."""
    if segment is None or venue_order_id is None:
        return VenueFillId(trade_number)
    return VenueFillId(f"{segment}:{trade_number}:{venue_order_id}")
