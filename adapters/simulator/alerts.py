"""Alerts, which the broker calls conditional triggers: orders that a price makes, of whatever instrument it is a price.

An alert lies at the broker over days, until its condition holds at a print, once; on the day after its last it has
expired. To cross a value the price has to come from its other side, so a first print crosses nothing.
"""

from collections.abc import Callable

import msgspec

from adapters.simulator.books import FROM_ELSEWHERE
from adapters.simulator.refusals import INCORRECT_REQUEST, NOTHING_TO_CANCEL, Refusal, bad_input, order_error
from adapters.simulator.simulator import OrderRequest, Simulator
from adapters.simulator.standing_books import Alert
from adapters.simulator.standing_records import AlertCondition, AlertEnded, AlertOrder, AlertSet
from domain.instrument import InstrumentKey
from domain.market import trading_day

TRIGGERED = "TRIGGERED"
EXPIRED = "EXPIRED"
CANCELLED = "CANCELLED"


def _crosses_up(price_e4: int, before_e4: int | None, value_e4: int) -> bool:
    return before_e4 is not None and before_e4 < value_e4 <= price_e4


def _crosses_down(price_e4: int, before_e4: int | None, value_e4: int) -> bool:
    return before_e4 is not None and before_e4 > value_e4 >= price_e4


_HOLDS: dict[str, Callable[[int, int | None, int], bool]] = {
    "CROSSING_UP": _crosses_up,
    "CROSSING_DOWN": _crosses_down,
    "CROSSING_ANY_SIDE": lambda price, before, value: (
        _crosses_up(price, before, value) or _crosses_down(price, before, value)
    ),
    "GREATER_THAN": lambda price, _, value: price > value,
    "GREATER_THAN_EQUAL": lambda price, _, value: price >= value,
    "LESS_THAN": lambda price, _, value: price < value,
    "LESS_THAN_EQUAL": lambda price, _, value: price <= value,
    "EQUAL": lambda price, _, value: price == value,
    "NOT_EQUAL": lambda price, _, value: price != value,
}
OPERATORS = frozenset(_HOLDS)
"""What a condition may say of a price and its value, in the broker's words."""


class Alerts:
    """What clients ask of their alerts, and what prices make of them. Implements `simulator.Watcher`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._books = simulator.standing

    def of(self, client_id: str) -> list[Alert]:
        """Return a client's alerts, oldest first."""
        return [alert for alert in self._books.alerts.values() if alert.client_id == client_id]

    def find(self, client_id: str, alert_id: str) -> Alert:
        """Return one of a client's alerts.

        Raises:
            adapters.simulator.refusals.Refusal: there is no such alert.
        """
        alert = self._books.alerts.get(alert_id)
        if alert is None or alert.client_id != client_id:
            raise bad_input()
        return alert

    def set(self, client_id: str, condition: AlertCondition, orders: tuple[AlertOrder, ...]) -> Alert:
        """Let a new alert wait; the market may be closed."""
        self._simulator.account_of(client_id)
        alert_id = self._simulator.next_order_id
        self._note(alert_id, client_id, condition, orders)
        return self._books.alerts[alert_id]

    def change(self, alert: Alert, condition: AlertCondition, orders: tuple[AlertOrder, ...]) -> None:
        """Let an alert wait for another condition, to make other orders.

        Raises:
            adapters.simulator.refusals.Refusal: it waits no more.
        """
        if not alert.is_active:
            raise order_error(INCORRECT_REQUEST)
        self._note(alert.alert_id, alert.client_id, condition, orders)

    def cancel(self, alert: Alert) -> None:
        """Let an alert wait no more.

        Raises:
            adapters.simulator.refusals.Refusal: it does not.
        """
        if not alert.is_active:
            raise order_error(NOTHING_TO_CANCEL)
        self._simulator.note(self._ended(alert, CANCELLED))

    def on_print(self, key: InstrumentKey, price_e4: int, before_e4: int | None) -> None:
        """Hold a print against every alert on its instrument."""
        for alert in tuple(self._books.alerts_on.get(key, {}).values()):
            if trading_day(self._simulator.market_time_ns).isoformat() > alert.condition.expires_on:
                self._simulator.note(self._ended(alert, EXPIRED))
            elif _HOLDS[alert.condition.operator](price_e4, before_e4, alert.condition.value_e4):
                self._fire(alert, price_e4)

    def on_close(self) -> None:
        """Do nothing: the alert waits for the next session."""

    def _fire(self, alert: Alert, price_e4: int) -> None:
        """Make the orders of an alert. What is written first ends it, so that a crash makes no order twice."""
        self._simulator.note(self._ended(alert, TRIGGERED, price_e4))
        for order in alert.orders:
            parts = msgspec.structs.asdict(order)
            request = OrderRequest(correlation_id=FROM_ELSEWHERE, parent_id=alert.alert_id, **parts)
            try:
                made = self._simulator.accept(alert.client_id, request)
            except Refusal:
                return  # Trading is switched off: nobody is there to hear of the refusal.
            self._simulator.arrive(made)

    def _note(self, alert_id: str, client_id: str, condition: AlertCondition, orders: tuple[AlertOrder, ...]) -> None:
        self._simulator.note(
            AlertSet(
                order_id=alert_id,
                client_id=client_id,
                condition=condition,
                orders=orders,
                time_ns=self._simulator.market_time_ns,
            )
        )

    def _ended(self, alert: Alert, status: str, price_e4: int | None = None) -> AlertEnded:
        return AlertEnded(
            order_id=alert.alert_id, status=status, price_e4=price_e4, time_ns=self._simulator.market_time_ns
        )
