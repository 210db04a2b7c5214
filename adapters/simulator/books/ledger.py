"""The books of all clients, made of records alone: the same records lead to the same books after any restart."""

from datetime import datetime
from typing import assert_never

from adapters.simulator.books.account import Account, BookedExecution, BookedOrder, Holding, Status
from adapters.simulator.books.kept_trades import TradeKept
from adapters.simulator.books.records import (
    AccountOpened,
    BooksOpened,
    OrderAccepted,
    OrderClosed,
    OrderExecuted,
    OrderModified,
    OrderModifying,
    OrderPriced,
    OrderQueued,
    OrderTriggered,
    OrderUnmodified,
    OrderWorking,
    Record,
)
from adapters.simulator.books.standing_books import StandingBooks
from adapters.simulator.books.standing_records import AlertSet, ForeverArmed, StandingRecord
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
        self.kept_trades: dict[str, list[TradeKept]] = {}
        self.standing = StandingBooks(self.accounts, self.orders)

    def apply(self, record: Record) -> None:  # noqa: C901, PLR0912 - one arm per record
        """Enter what happened. Records come in the order in which they were made."""
        if isinstance(record, StandingRecord):
            self.standing.apply(record)
            if isinstance(record, ForeverArmed | AlertSet):
                self.next_order_number = max(self.next_order_number, _number_of(record.order_id) + 1)
            return
        match record:
            case BooksOpened():
                self.next_order_number = max(self.next_order_number, record.next_order_number)
                self.next_trade_number = max(self.next_trade_number, record.next_trade_number)
            case AccountOpened():
                self._open(record)
            case TradeKept():
                self.kept_trades.setdefault(record.client_id, []).append(record)
            case OrderAccepted():
                self._accept(record)
            case OrderQueued():
                self._queue(record)
            case OrderWorking():
                self._reach(record)
            case OrderPriced():
                self.orders[record.order_id].limit_price_e4 = record.limit_price_e4
            case OrderTriggered():
                self._trigger(record)
            case OrderModifying():
                self._begin_change(record)
            case OrderModified():
                self._change(record)
            case OrderUnmodified():
                self._drop_change(record)
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
            trigger_price_e4=record.trigger_price_e4,
            disclosed_quantity=record.disclosed_quantity,
            amo_time=record.amo_time,
            leg=record.leg,
            parent_id=record.parent_id,
            first_execution_max=record.first_execution_max,
            reject_message=record.reject_message,
        )
        self.orders[order.order_id] = order
        self.accounts[order.client_id].add(order)
        self.standing.link(order)
        self.next_order_number = max(self.next_order_number, _number_of(order.order_id) + 1)

    def _queue(self, record: OrderQueued) -> None:
        order = self.orders[record.order_id]
        order.status = order.open_status
        order.updated_ns = record.time_ns

    def _reach(self, record: OrderWorking) -> None:
        order = self.orders[record.order_id]
        order.status = order.open_status
        order.awaits_trigger = record.awaits_trigger
        order.reached_ns = order.updated_ns = record.time_ns
        order.limit_price_e4 = record.limit_price_e4
        order.exchange_order_id = f"11{_number_of(order.order_id):014d}"
        order.description = "CONFIRMED"
        self.working[order.order_id] = order

    def _trigger(self, record: OrderTriggered) -> None:
        order = self.orders[record.order_id]
        order.awaits_trigger = False
        order.updated_ns = record.time_ns
        self._move_to_the_back(order)

    def _begin_change(self, record: OrderModifying) -> None:
        order = self.orders[record.order_id]
        order.changes.append(record.terms)
        order.modifications += 1
        order.status = order.open_status
        order.updated_ns = record.time_ns

    def _change(self, record: OrderModified) -> None:
        order = self.orders[record.order_id]
        terms = order.changes.pop(0)
        order.order_type, order.time_in_force = terms.order_type, terms.time_in_force
        order.quantity, order.disclosed_quantity = terms.quantity, terms.disclosed_quantity
        order.limit_price_e4, order.trigger_price_e4 = record.limit_price_e4, terms.trigger_price_e4
        order.awaits_trigger = record.awaits_trigger
        order.status = order.open_status
        order.updated_ns = record.time_ns
        if not record.keeps_place:
            self._move_to_the_back(order)

    def _drop_change(self, record: OrderUnmodified) -> None:
        order = self.orders[record.order_id]
        order.changes.pop(0)
        order.status = order.open_status
        order.description = record.description
        order.updated_ns = record.time_ns

    def _move_to_the_back(self, order: BookedOrder) -> None:
        if self.working.pop(order.order_id, None) is not None:
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
