"""The cashier: what orders come to in charges, from lists of what executed and a price list written down by hand.

The lives of the oracle are lived in shares on the NSE from 2026-11-20 on. What an order owes is reckoned anew from all
of its executions, in decimal numbers, and held against all that was booked for it.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from domain.account.events import ForeignFillAllocated, OrderFilled
from domain.instrument import InstrumentKey
from domain.order import Product, Side

_BROKERAGE_MOST = 20_00
_DEBIT = 14_75
_LINES = ("brokerage", "exchange", "ipft", "sebi", "stt", "ctt", "stamp_duty", "gst")


@dataclass(slots=True)
class _Account:
    """One order's executions, in paise, and what was booked for it, by line."""

    worth: list[int] = field(default_factory=list)
    booked: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


class Cashier:
    """What was charged, and what should have been. Amounts in paise."""

    def __init__(self) -> None:
        self.total = 0
        self.by_day: defaultdict[str, int] = defaultdict(int)
        self._orders: defaultdict[str, _Account] = defaultdict(_Account)
        self._delivered: defaultdict[tuple[str, InstrumentKey, Product], int] = defaultdict(int)
        self._debited: set[tuple[str, InstrumentKey]] = set()

    def take(self, event: OrderFilled | ForeignFillAllocated, worth: int) -> str | None:
        """Book the charges of a fill that is worth so much, and say what is wrong with them, if anything is."""
        order = self._orders[event.order_id if isinstance(event, OrderFilled) else event.venue_fill_id]
        order.worth.append(worth)
        for line in _LINES:
            order.booked[line] += getattr(event.charges, f"{line}_paise")
        owed = _bill(event.product, event.side, sum(order.worth))
        wrong = {line: (order.booked[line], owed.get(line, 0)) for line in _LINES}
        wrong = {line: pair for line, pair in wrong.items() if pair[0] != pair[1]}
        debit = self._debit(event)
        if event.charges.dp_paise != debit:
            wrong["dp"] = (event.charges.dp_paise, debit)
        paid = sum(getattr(event.charges, f"{line}_paise") for line in (*_LINES, "dp"))
        self.total += paid
        self.by_day[event.trading_day] += paid
        return f"charged (booked, owed): {wrong}" if wrong else None

    def _debit(self, event: OrderFilled | ForeignFillAllocated) -> int:
        """Return what the fill owes for taking the day's first shares out of the demat account."""
        if event.product is not Product.CNC:
            return 0
        holding = (event.trading_day, event.instrument, event.product)
        self._delivered[holding] += event.last_quantity if event.side is Side.BUY else -event.last_quantity
        debit = (event.trading_day, event.instrument)
        if event.side is Side.BUY or self._delivered[holding] >= 0 or debit in self._debited:
            return 0
        self._debited.add(debit)
        return _DEBIT


def _bill(product: Product, side: Side, worth: int) -> dict[str, int]:
    """Return what an order in shares owes that executed for *worth*."""
    bill = {"exchange": _part(worth, "0.00297"), "ipft": _part(worth, "0.0001"), "sebi": _part(worth, "0.0001")}
    if product is Product.CNC:
        bill["stt"] = _part(worth, "0.1")
    else:
        bill["brokerage"] = min(_BROKERAGE_MOST, _part(worth, "0.03"))
    bill["gst"] = _part(sum(bill.values()) - bill.get("stt", 0), "18")
    if side is Side.BUY:
        bill["stamp_duty"] = _part(worth, "0.015" if product is Product.CNC else "0.003")
    elif product is not Product.CNC:
        bill["stt"] = _part(worth, "0.025")
    return bill


def _part(worth: int, percent: str) -> int:
    return int((Decimal(worth) * Decimal(percent) / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
