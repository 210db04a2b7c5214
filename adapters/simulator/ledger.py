"""The books of all clients, made of records alone: the same records lead to the same books after any restart."""

from datetime import datetime
from typing import assert_never

from adapters.simulator.books import Account, BookedExecution, BookedOrder, Holding, Status
from adapters.simulator.records import (
    AccountOpened,
    BooksOpened,
    OrderAccepted,
    OrderClosed,
    OrderExecuted,
    OrderPriced,
    OrderWorking,
    Record,
)
from domain.market import EXCHANGE_ZONE, NS_PER_S

_TRADE_ID_BASE = 200_000_000
_DATE_LENGTH = len("11yymmdd")


def order_id_of(number: int, *, time_ns: int) -> str:
    """Return the id of the order with this number, accepted at *time_ns* (UTC nanoseconds)."""
    return f"11{datetime.fromtimestamp(time_ns // NS_PER_S, EXCHANGE_ZONE):%y%m%d}{number:07d}"


def trade_id_of(number: int) -> str:
    """Return the id of the trade with this number."""
    return str(_TRADE_ID_BASE + number)


class Ledger:
    """Accounts and orders. `working` holds the orders at the exchange, in the order in which they arrived there."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, BookedOrder] = {}
        self.working: dict[str, BookedOrder] = {}
        self.next_order_number = 1
        self.next_trade_number = 1

    def apply(self, record: Record) -> None:
        """Enter what happened. Records come in the order in which they were made."""
        match record:
            case BooksOpened():
                self.next_order_number = max(self.next_order_number, record.next_order_number)
                self.next_trade_number = max(self.next_trade_number, record.next_trade_number)
            case AccountOpened():
                self._open(record)
            case OrderAccepted():
                self._accept(record)
            case OrderWorking():
                self._reach(record)
            case OrderPriced():
                self.orders[record.order_id].limit_price_e4 = record.limit_price_e4
            case OrderExecuted():
                self._execute(record)
            case OrderClosed():
                self._close(record)
            case _:
                assert_never(record)

    def _open(self, record: AccountOpened) -> None:
        account = self.accounts[record.client_id] = Account(record.client_id, record.balance_paise)
        for carried in record.holdings:
            holding = Holding(carried.instrument, carried.product)
            holding.carry(carried.quantity, carried.value_e4)
            account.holdings[carried.instrument.key, carried.product] = holding

    def _accept(self, record: OrderAccepted) -> None:
        order = BookedOrder(
            order_id=record.order_id,
            client_id=record.client_id,
            correlation_id=record.correlation_id,
            instrument=record.instrument,
            side=record.side,
            order_type=record.order_type,
            product=record.product,
            time_in_force=record.time_in_force,
            quantity=record.quantity,
            limit_price_e4=record.limit_price_e4,
            accepted_step=record.step,
            created_ns=record.time_ns,
            updated_ns=record.time_ns,
            first_execution_max=record.first_execution_max,
            reject_message=record.reject_message,
        )
        self.orders[order.order_id] = order
        self.accounts[order.client_id].add(order)
        self.next_order_number = max(self.next_order_number, _number_of(order.order_id) + 1)

    def _reach(self, record: OrderWorking) -> None:
        order = self.orders[record.order_id]
        order.status = Status.PENDING
        order.reached_ns = order.updated_ns = record.time_ns
        order.limit_price_e4 = record.limit_price_e4
        order.exchange_order_id = f"11{_number_of(order.order_id):014d}"
        order.description = "CONFIRMED"
        self.working[order.order_id] = order

    def _execute(self, record: OrderExecuted) -> None:
        order = self.orders[record.order_id]
        order.updated_ns = record.time_ns
        order.description = "TRADE CONFIRMED"
        self.accounts[order.client_id].execute(
            BookedExecution(
                trade_id=record.trade_id,
                order=order,
                quantity=record.quantity,
                price_e4=record.price_e4,
                time_ns=record.time_ns,
                step=record.step,
            )
        )
        if order.status is Status.TRADED:
            self.working.pop(order.order_id)
        self.next_trade_number = max(self.next_trade_number, int(record.trade_id) - _TRADE_ID_BASE + 1)

    def _close(self, record: OrderClosed) -> None:
        order = self.orders[record.order_id]
        order.updated_ns = record.time_ns
        if record.description is not None:
            order.description = record.description
        self.accounts[order.client_id].close(order, record.status)
        self.working.pop(order.order_id, None)


def _number_of(order_id: str) -> int:
    return int(order_id[_DATE_LENGTH:])
