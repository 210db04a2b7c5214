"""What can be asked for of alerts, and their rows."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from adapters.simulator.books.standing_books import Alert
from adapters.simulator.books.standing_records import AlertOrder
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import FaultTarget
from adapters.simulator.paths.alert_intake import read_alert
from adapters.simulator.paths.asked import Asked, Write
from adapters.simulator.standing.alerts import TRIGGERED
from adapters.simulator.words.refusals import bad_input
from adapters.simulator.words.rows import rupees, segment_word, type_word, utc_text
from domain.money import format_e4

_ONE = "/v2/alerts/orders/{alert_id}"


def alert_writes(desk: Desk) -> list[Write]:
    """Return the paths under which alerts are made, changed and canceled."""
    paths = _AlertPaths(desk)
    return [
        Write("POST", "/v2/alerts/orders", paths.set, FaultTarget.PLACE),
        Write("PUT", _ONE, paths.change, FaultTarget.MODIFY),
        Write("DELETE", _ONE, paths.cancel, FaultTarget.CANCEL),
    ]


def alert_reads(desk: Desk) -> dict[str, Callable[[Request, str], Any]]:
    """Return what is read of alerts, by path."""
    paths = _AlertPaths(desk)
    return {"/v2/alerts/orders": paths.all, _ONE: paths.one}


class _AlertPaths:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator
        self._alerts = desk.standing.alerts

    def set(self, asked: Asked) -> Any:
        condition, orders = read_alert(asked.body, client_id=asked.client_id, **self._market)
        return _status_row(self._alerts.set(asked.client_id, condition, orders))

    def change(self, asked: Asked) -> Any:
        alert = self._alerts.find(asked.client_id, asked.path["alert_id"])
        condition, orders = read_alert(
            asked.body, client_id=asked.client_id, standing_orders=alert.orders, **self._market
        )
        if str(asked.body.get("alertId", alert.alert_id)) != alert.alert_id:
            raise bad_input()
        self._alerts.change(alert, condition, orders)
        return _status_row(alert)

    def cancel(self, asked: Asked) -> Any:
        alert = self._alerts.find(asked.client_id, asked.path["alert_id"])
        self._alerts.cancel(alert)
        return _status_row(alert)

    def all(self, _: Request, client_id: str) -> Any:
        return [self._row(alert) for alert in self._alerts.of(client_id)]

    def one(self, request: Request, client_id: str) -> Any:
        return self._row(self._alerts.find(client_id, request.path_params["alert_id"]))

    def _row(self, alert: Alert) -> dict[str, Any]:
        condition = alert.condition
        last_e4 = self._simulator.last_prices_e4.get(condition.key, 0)
        return {
            **_status_row(alert),
            "createdTime": utc_text(alert.created_ns),
            "triggeredTime": utc_text(alert.updated_ns) if alert.status == TRIGGERED else None,
            "lastPrice": rupees(last_e4 if alert.fired_at_e4 is None else alert.fired_at_e4),
            "condition": {
                "comparisonType": "PRICE_WITH_VALUE",
                "exchangeSegment": segment_word(condition.key.segment),
                "securityId": condition.key.security_id,
                "operator": condition.operator,
                "comparingValue": rupees(condition.value_e4),
                "expDate": condition.expires_on,
                "frequency": "ONCE",
                "userNote": condition.note,
            },
            "orders": [_order_row(order) for order in alert.orders],
        }

    @property
    def _market(self) -> dict[str, Any]:
        return {"instruments": self._desk.config.instruments, "market_time_ns": self._simulator.market_time_ns}


def _status_row(alert: Alert) -> dict[str, Any]:
    return {"alertId": alert.alert_id, "alertStatus": alert.status}


def _order_row(order: AlertOrder) -> dict[str, Any]:
    return {
        "transactionType": order.side.value,
        "exchangeSegment": segment_word(order.instrument.key.segment),
        "productType": order.product,
        "orderType": type_word(order.order_type),
        "securityId": order.instrument.key.security_id,
        "quantity": order.quantity,
        "validity": order.time_in_force.value,
        "price": format_e4(order.limit_price_e4),
        "discQuantity": str(order.disclosed_quantity),
        "triggerPrice": format_e4(order.trigger_price_e4),
    }
