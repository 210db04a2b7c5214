"""The account: its limits, trades, orders and fills, and every decision about them."""
