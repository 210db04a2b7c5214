"""The exchange, and the broker before it: an order from its acceptance to its end. Knows no HTTP."""
