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
StrategyId = NewType("StrategyId", str)
BacktestId = NewType("BacktestId", str)
