"""The account: its limits, trades, orders and fills, and every decision about them."""

from domain.account.decide import decider
from domain.account.state import Account

__all__ = ["Account", "decider"]
