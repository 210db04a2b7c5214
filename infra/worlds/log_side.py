"""What the log says, read by the judge's own eyes: stored names and bytes, and none of the engine's code.

An event's payload is read as the JSON that it is. So a mistake in how the engine folds its events is no mistake here.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.memory.event_store import MemoryEventStore

_CLOSING = {
    "order.canceled": "canceled",
    "order.expired": "expired",
    "order.rejected": "rejected",
    "order.lapsed": "lapsed",
    "order.blocked": "blocked",
    "order.resolved": "resolved",
}
_GOING_ON = {
    "order.submitting": "submitting",
    "order.not_sent": "intended",
    "order.outcome_unknown": "unknown",
    "order.presumed_absent": "presumed absent",
}
FINAL = frozenset({*_CLOSING.values(), "filled"})
DOUBTFUL = frozenset({"submitting", "unknown", "presumed absent"})

FillKey = tuple[str, str]
"""The venue's id of the order, and its number of the execution."""


@dataclass(slots=True)
class LoggedOrder:
    """An order as the log tells of it."""

    order_id: str
    trade_id: str
    purpose: str
    quantity: int
    status: str = "intended"
    correlation_id: str | None = None
    venue_order_ids: set[str] = field(default_factory=set)
    sends: int = 0
    filled: int = 0


class LogSide:
    """The account's orders and executions as the log has them. Quantities of executions are signed: bought is positive.

    `fills` and `foreign` hold quantity and price by execution; of a foreign one its parts are summed up.
    """

    def __init__(self, store: MemoryEventStore) -> None:
        self.sequence = 0
        self.orders: dict[str, LoggedOrder] = {}
        self.fills: dict[FillKey, tuple[int, int]] = {}
        self.foreign: Counter[FillKey] = Counter()
        self.foreign_prices_e4: dict[FillKey, int] = {}
        self.positions: Counter[tuple[str, str]] = Counter()
        self.value_paise: Counter[tuple[str, str]] = Counter()
        self.repeated: list[str] = []
        self._store = store

    def catch_up(self) -> None:
        """Take in what was recorded since."""
        for recorded in self._store.events[self.sequence :]:
            self._take(recorded.name.rpartition(".")[0], msgspec.json.decode(recorded.payload))
            self.sequence = recorded.sequence

    def restless(self) -> list[LoggedOrder]:
        """Return the orders of which a word is still to come."""
        return [order for order in self.orders.values() if order.status not in FINAL]

    def _take(self, name: str, event: dict[str, Any]) -> None:
        if name == "order.intended":
            quantity = event["instruction"]["quantity"]
            order = LoggedOrder(event["order_id"], event["trade_id"], event["purpose"], quantity)
            self.orders[order.order_id] = order
        elif name == "order.filled":
            self._fill(event)
        elif name == "trade.foreign_fill":
            key = self._key(event)
            self.foreign[key] += self._count(event)
            self.foreign_prices_e4[key] = event["last_price_e4"]
        elif name.startswith("order.") and event.get("order_id") in self.orders:
            self._happen(name, event, self.orders[event["order_id"]])

    def _happen(self, name: str, event: dict[str, Any], order: LoggedOrder) -> None:
        if name == "order.submitting":
            order.correlation_id = event["correlation_id"]
            order.sends += 1
        elif name == "order.not_sent":
            order.sends -= 1
        elif name == "order.acknowledged":
            order.status = "acknowledged"
            order.venue_order_ids.add(event["venue_order_id"])
        elif name == "order.rejected" and event.get("venue_order_id"):
            order.venue_order_ids.add(event["venue_order_id"])
        elif name == "order.modified":
            order.quantity = event["instruction"]["quantity"]
        order.status = _GOING_ON.get(name) or _CLOSING.get(name) or order.status
        if name in {"order.modified", "order.modify_refused"} and order.filled >= order.quantity:
            order.status = "filled"  # While it may have become larger, what had filled was not all of it.

    def _fill(self, event: dict[str, Any]) -> None:
        key = self._key(event)
        quantity = self._count(event)
        if key in self.fills:
            self.repeated.append(f"execution {key} is in the log twice")
        self.fills[key] = (quantity, event["last_price_e4"])
        order = self.orders[event["order_id"]]
        order.filled += event["last_quantity"]
        if event["leaves_quantity"] == 0 and order.status not in FINAL:
            order.status = "filled"
        elif order.status not in FINAL:
            order.status = "partly filled"

    def _count(self, event: dict[str, Any]) -> int:
        """Count an execution in its position, and return its signed quantity."""
        sign = 1 if event["side"] == "BUY" else -1
        holding = (event["instrument"]["security_id"], event["product"])
        self.positions[holding] += sign * event["last_quantity"]
        self.value_paise[holding] += sign * event["value_paise"]
        return sign * int(event["last_quantity"])

    @staticmethod
    def _key(event: dict[str, Any]) -> FillKey:
        return (event.get("venue_order_id") or "", event["venue_trade_number"])
