"""What can be asked for of orders beside placing one: slices, super orders and forever orders."""

from typing import Any

from adapters.simulator.books.account import Status
from adapters.simulator.books.standing_records import ENTRY_LEG, STOP_LOSS_LEG, TARGET_LEG
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import FaultKind, FaultTarget
from adapters.simulator.paths.asked import Asked, Write
from adapters.simulator.paths.correlation import check_correlation_id
from adapters.simulator.paths.intake import read_order
from adapters.simulator.paths.standing_intake import (
    read_forever_change,
    read_forever_order,
    read_super_change,
    read_super_order,
)
from adapters.simulator.paths.striking import strike_books
from adapters.simulator.trading.slicing import slices_of
from adapters.simulator.words.refusals import bad_input

_LEGS = frozenset({ENTRY_LEG, TARGET_LEG, STOP_LOSS_LEG})


def order_writes(desk: Desk) -> list[Write]:
    """Return the paths under which slices, super and forever orders are placed, changed and canceled."""
    paths = _OrderPaths(desk)
    return [
        Write("POST", "/v2/orders/slicing", paths.slice, FaultTarget.PLACE, has_quantity=True),
        Write("POST", "/v2/super/orders", paths.place_super, FaultTarget.PLACE, has_quantity=True),
        Write("PUT", "/v2/super/orders/{order_id}", paths.change_super, FaultTarget.MODIFY),
        Write("DELETE", "/v2/super/orders/{order_id}/{leg}", paths.cancel_super, FaultTarget.CANCEL),
        Write("POST", "/v2/forever/orders", paths.place_forever, FaultTarget.PLACE, has_quantity=True),
        Write("PUT", "/v2/forever/orders/{order_id}", paths.change_forever, FaultTarget.MODIFY),
        Write("DELETE", "/v2/forever/orders/{order_id}", paths.cancel_forever, FaultTarget.CANCEL),
    ]


class _OrderPaths:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator
        self._super_orders = desk.standing.super_orders
        self._forever_orders = desk.standing.forever_orders

    def slice(self, asked: Asked) -> Any:
        wanted = read_order(asked.body, client_id=asked.client_id, is_sliced=True, **self._market)
        check_correlation_id(self._desk, asked)
        fault = asked.fault
        orders = [
            self._simulator.accept(
                asked.client_id,
                request,
                first_execution_max=fault.quantity if fault and fault.kind is FaultKind.PARTIAL else None,
                reject_message=_reject_message(asked),
            )
            for request in slices_of(wanted)
        ]
        rows = [_row(order.order_id, Status.TRANSIT) for order in orders]
        for order in orders:
            self._desk.let_arrive(order)
        strike_books(self._desk, fault, orders[0])
        return rows

    def place_super(self, asked: Asked) -> Any:
        request, terms = read_super_order(asked.body, client_id=asked.client_id, **self._market)
        check_correlation_id(self._desk, asked)
        entry = self._super_orders.place(asked.client_id, request, terms, reject_message=_reject_message(asked))
        row = _row(entry.order_id, Status.TRANSIT)
        self._desk.let_arrive(entry)
        strike_books(self._desk, asked.fault, entry)
        return row

    def change_super(self, asked: Asked) -> Any:
        order = self._super_orders.find(asked.client_id, asked.path["order_id"])
        leg, entry_terms, terms = read_super_change(asked.body, client_id=asked.client_id, order=order)
        if entry_terms is None:
            self._super_orders.change(order, leg, terms)
            return _row(order.entry.order_id, order.entry.status)
        self._super_orders.change_entry(order, entry_terms, terms)
        row = _row(order.entry.order_id, Status.TRANSIT)
        self._desk.let_change_arrive(order.entry)
        return row

    def cancel_super(self, asked: Asked) -> Any:
        order = self._super_orders.find(asked.client_id, asked.path["order_id"])
        leg = asked.path["leg"]
        if leg not in _LEGS:
            raise bad_input()
        self._super_orders.cancel(order, leg)
        return _row(order.entry.order_id, Status.CANCELLED)

    def place_forever(self, asked: Asked) -> Any:
        request, legs = read_forever_order(
            asked.body, client_id=asked.client_id, forever_orders=self._forever_orders, **self._market
        )
        check_correlation_id(self._desk, asked)
        order = self._forever_orders.arm(
            asked.client_id,
            correlation_id=request.correlation_id,
            instrument=request.instrument,
            side=request.side,
            product=request.product,
            legs=legs,
        )
        return _row(order.order_id, Status.PENDING)

    def change_forever(self, asked: Asked) -> Any:
        order = self._forever_orders.find(asked.client_id, asked.path["order_id"])
        changed = read_forever_change(
            asked.body, client_id=asked.client_id, order=order, forever_orders=self._forever_orders
        )
        self._forever_orders.change(order, changed)
        return _row(order.order_id, Status.PENDING)

    def cancel_forever(self, asked: Asked) -> Any:
        order = self._forever_orders.find(asked.client_id, asked.path["order_id"])
        self._forever_orders.cancel(order)
        return _row(order.order_id, Status.CANCELLED)

    @property
    def _market(self) -> dict[str, Any]:
        return {"instruments": self._desk.config.instruments, "market_time_ns": self._simulator.market_time_ns}


def _reject_message(asked: Asked) -> str | None:
    return asked.fault.message if asked.fault and asked.fault.kind is FaultKind.REJECT else None


def _row(order_id: str, status: Status) -> dict[str, str]:
    return {"orderId": order_id, "orderStatus": status.value}
