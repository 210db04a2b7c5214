"""The standing instructions of all clients, made of records alone, as the ledger is.

Nothing here is told of an execution: what a leg may still do follows from what its entry and its exits have done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import assert_never

from adapters.simulator.books.account import Account, BookedOrder, Status
from adapters.simulator.books.conversion import convert
from adapters.simulator.books.standing_records import (
    STOP_LOSS_LEG,
    TARGET_LEG,
    AlertCondition,
    AlertEnded,
    AlertOrder,
    AlertRecord,
    AlertSet,
    ClientRecord,
    ForeverArmed,
    ForeverChanged,
    ForeverEnded,
    ForeverLeg,
    ForeverRecord,
    KillSwitchTurned,
    PositionConverted,
    ProfitExitEnded,
    ProfitExitSet,
    StandingRecord,
    SuperLegCanceled,
    SuperOrderChanged,
    SuperOrderExpired,
    SuperOrderPlaced,
    SuperRecord,
    SuperTerms,
)
from domain.instrument import Instrument, InstrumentKey
from domain.market import trading_day
from domain.order import Side

ACTIVE = "ACTIVE"
"""The status of an alert that waits."""


@dataclass(slots=True)
class SuperOrder:
    """An entry, the prices at which it is exited, and the orders that exit it.

    `anchor_e4` is where the trail goes on from, 0 for what the entry cost. `modifications` counts those of exit legs;
    the entry counts its own. `canceled` are the legs canceled alone.
    """

    entry: BookedOrder
    terms: SuperTerms
    anchor_e4: int = 0
    modifications: int = 0
    canceled: set[str] = field(default_factory=set)
    exits: list[BookedOrder] = field(default_factory=list)
    has_expired: bool = False

    @property
    def held_quantity(self) -> int:
        """What the entry has filled and no exit has."""
        return self.entry.filled_quantity - sum(order.filled_quantity for order in self.exits)

    @property
    def is_over(self) -> bool:
        """Whether it waits for nothing any more."""
        return self.has_expired or (not self.entry.is_open and self.held_quantity == 0)

    @property
    def is_closed(self) -> bool:
        """Whether all that it entered is exited."""
        return self.entry.filled_quantity > 0 and not self.entry.is_open and self.held_quantity == 0

    def price_of(self, leg: str) -> int:
        """Return the price of an exit leg, 0 where there is no such leg."""
        return self.terms.target_price_e4 if leg == TARGET_LEG else self.terms.stop_loss_price_e4

    def exit_of(self, leg: str) -> BookedOrder | None:
        """Return the order that a leg made, None before it was triggered."""
        return next((order for order in self.exits if order.leg == leg), None)

    def waits(self, leg: str) -> bool:
        """Tell whether a leg may still make its order. Each makes one."""
        is_there = self.price_of(leg) > 0 and leg not in self.canceled and self.exit_of(leg) is None
        # Behind a stop nothing waits: its order is on the way out at any price.
        return is_there and not self.is_over and self.exit_of(STOP_LOSS_LEG) is None


@dataclass(slots=True)
class ForeverOrder:
    """Legs that wait for their triggers, and the order that the first of them made. `end` is set where none was."""

    order_id: str
    client_id: str
    correlation_id: str
    instrument: Instrument
    side: Side
    product: str
    legs: dict[str, ForeverLeg]
    created_ns: int
    updated_ns: int
    modifications: int = 0
    made: BookedOrder | None = None
    end: Status | None = None

    @property
    def is_armed(self) -> bool:
        """Whether it still waits."""
        return self.made is None and self.end is None


@dataclass(slots=True)
class Alert:
    """A condition and the orders that it makes. `status` is the broker's word; `fired_at_e4` the price that met it."""

    alert_id: str
    client_id: str
    condition: AlertCondition
    orders: tuple[AlertOrder, ...]
    created_ns: int
    updated_ns: int
    status: str = ACTIVE
    fired_at_e4: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether it still waits."""
        return self.status == ACTIVE


class StandingBooks:
    """Super and forever orders and alerts by id, and the clients' controls."""

    def __init__(self, accounts: Mapping[str, Account], orders: Mapping[str, BookedOrder]) -> None:
        """Stand beside these books, which have to know an order before it is spoken of here."""
        self._accounts = accounts
        self._orders = orders
        self.supers: dict[str, SuperOrder] = {}
        self.forevers: dict[str, ForeverOrder] = {}
        self.supers_in: dict[InstrumentKey, dict[str, SuperOrder]] = {}
        self.forevers_in: dict[InstrumentKey, dict[str, ForeverOrder]] = {}
        self.alerts: dict[str, Alert] = {}
        self.alerts_on: dict[InstrumentKey, dict[str, Alert]] = {}
        self.killed: set[str] = set()
        self.profit_exits: dict[str, ProfitExitSet] = {}

    def apply(self, record: StandingRecord) -> None:
        """Enter what happened."""
        if isinstance(record, SuperRecord):
            self._apply_to_super(record)
        elif isinstance(record, ForeverRecord):
            self._apply_to_forever(record)
        elif isinstance(record, AlertRecord):
            self._apply_to_alert(record)
        else:
            self._apply_to_client(record)

    def link(self, order: BookedOrder) -> None:
        """Let the instruction that made *order*, if one did and is still known, know of it."""
        if (parent := self.supers.get(order.parent_id)) is not None:
            parent.exits.append(order)
        elif (forever := self.forevers.get(order.parent_id)) is not None:
            forever.made = order
            forever.updated_ns = order.created_ns
            self._forget(forever)

    def waits_for(self, key: InstrumentKey) -> bool:
        """Tell whether a print of an instrument may concern anybody."""
        return bool(
            self.supers_in.get(key) or self.forevers_in.get(key) or self.alerts_on.get(key) or self.profit_exits
        )

    def kept_ids(self, today: date) -> set[str]:
        """Return the ids of the forever orders and the alerts that wait, or ended today."""
        forevers = {
            order.order_id
            for order in self.forevers.values()
            if order.is_armed or trading_day(order.updated_ns) == today
        }
        return forevers | {
            alert.alert_id
            for alert in self.alerts.values()
            if alert.is_active or trading_day(alert.updated_ns) == today
        }

    def _apply_to_super(self, record: SuperRecord) -> None:
        match record:
            case SuperOrderPlaced():
                entry = self._orders[record.order_id]
                order = self.supers[record.order_id] = SuperOrder(entry, record.terms)
                self.supers_in.setdefault(entry.instrument.key, {})[record.order_id] = order
            case SuperOrderChanged():
                order = self.supers[record.order_id]
                order.terms, order.anchor_e4 = record.terms, record.anchor_e4
                order.modifications += record.is_asked
            case SuperLegCanceled():
                self.supers[record.order_id].canceled.add(record.leg)
            case SuperOrderExpired():
                self.supers[record.order_id].has_expired = True
            case _:
                assert_never(record)

    def _apply_to_forever(self, record: ForeverRecord) -> None:
        match record:
            case ForeverArmed():
                order = self.forevers[record.order_id] = ForeverOrder(
                    order_id=record.order_id,
                    client_id=record.client_id,
                    correlation_id=record.correlation_id,
                    instrument=record.instrument,
                    side=record.side,
                    product=record.product,
                    legs={leg.leg: leg for leg in record.legs},
                    created_ns=record.time_ns,
                    updated_ns=record.time_ns,
                )
                self.forevers_in.setdefault(record.instrument.key, {})[record.order_id] = order
            case ForeverChanged():
                order = self.forevers[record.order_id]
                order.legs[record.leg.leg] = record.leg
                order.updated_ns = record.time_ns
                order.modifications += 1
            case ForeverEnded():
                order = self.forevers[record.order_id]
                order.end = record.status
                order.updated_ns = record.time_ns
                self._forget(order)
            case _:
                assert_never(record)

    def _apply_to_alert(self, record: AlertRecord) -> None:
        match record:
            case AlertSet():
                known = self.alerts.get(record.order_id)
                if known is not None:
                    self.alerts_on[known.condition.key].pop(record.order_id, None)
                alert = self.alerts[record.order_id] = Alert(
                    alert_id=record.order_id,
                    client_id=record.client_id,
                    condition=record.condition,
                    orders=record.orders,
                    created_ns=known.created_ns if known else record.time_ns,
                    updated_ns=record.time_ns,
                )
                self.alerts_on.setdefault(record.condition.key, {})[record.order_id] = alert
            case AlertEnded():
                alert = self.alerts[record.order_id]
                alert.status, alert.fired_at_e4 = record.status, record.price_e4
                alert.updated_ns = record.time_ns
                self.alerts_on[alert.condition.key].pop(record.order_id, None)
            case _:
                assert_never(record)

    def _apply_to_client(self, record: ClientRecord) -> None:
        match record:
            case PositionConverted():
                convert(self._accounts[record.client_id], record)
            case KillSwitchTurned():
                (self.killed.add if record.is_active else self.killed.discard)(record.client_id)
            case ProfitExitSet():
                self.profit_exits[record.client_id] = record
            case ProfitExitEnded():
                self.profit_exits.pop(record.client_id, None)
            case _:
                assert_never(record)

    def _forget(self, order: ForeverOrder) -> None:
        """Look at it no more when its instrument prints."""
        self.forevers_in[order.instrument.key].pop(order.order_id, None)
