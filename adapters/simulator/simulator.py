"""The exchange and broker behind the paths: tape, matching, every client's books. Knows no HTTP and no event loop.

An accepted order is in TRANSIT until somebody calls `arrive` for it (the server does, after the configured delay).
Only then the risk desk looks at it and the exchange gets it; so an order can be accepted and rejected a moment later,
as with the real broker.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.simulator.books import OPEN, Account, BookedExecution, BookedOrder, Status
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.history import PrintHistory, PrintRange
from adapters.simulator.refusals import (
    IN_TRANSIT,
    MARKET_CLOSED,
    MARKET_CLOSED_CANCEL,
    NOTHING_TO_CANCEL,
    bad_input,
    order_error,
)
from adapters.simulator.tape import TapeSecond, Tick
from domain.instrument import Instrument, InstrumentKey
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.matching import Execution, Matching, MatchingOrder
from domain.money import format_paise
from domain.order import OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A new order, its input checked. `limit_price_e4` is 0 for MARKET."""

    correlation_id: str
    instrument: Instrument
    side: Side
    order_type: OrderType
    product: str
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int


class Simulator:
    """One market, one broker, many clients."""

    def __init__(self, config: SimulatorConfig, *, first_number: int = 1) -> None:
        self._config = config
        self._seconds = config.tape.play()
        self._numbers = first_number
        self._trade_numbers = first_number
        self._matching: dict[InstrumentKey, Matching] = {}
        self._orders: dict[str, BookedOrder] = {}
        self._history: dict[InstrumentKey, PrintHistory] = {}
        self._is_open = False
        self.accounts: dict[str, Account] = {}
        self.last_ticks: dict[InstrumentKey, Tick] = {}
        self.last_prices_e4: dict[InstrumentKey, int] = {}
        self.previous_closes_e4: Mapping[InstrumentKey, int] = config.tape.previous_closes_e4
        self.step = 0
        self.market_time_ns = config.tape.start_ns
        self.executions = 0
        self.done = False

    @property
    def is_open(self) -> bool:
        """Whether the market trades: from the first second of the tape until the last is over."""
        return self._is_open

    @property
    def next_order_number(self) -> int:
        """The number that the next order's id will end in."""
        return self._numbers

    def account_of(self, client_id: str) -> Account:
        """Return a client's books, opened with the default balance at the first look."""
        account = self.accounts.get(client_id)
        if account is None:
            account = self.accounts[client_id] = Account(client_id, self._config.opening_balance_paise)
        return account

    def advance(self) -> TapeSecond | None:
        """Play the next second of the tape and match what it prints; None when there is none left.

        The market trades through the last second; asking for one more closes the session, and what still rests expires.
        """
        second = next(self._seconds, None)
        if second is None:
            self._close_session()
            return None
        self._is_open = True
        self.step += 1
        self.market_time_ns = second.market_time_ns
        for tick in second.ticks:
            self._print(tick)
        return second

    def accept(
        self,
        client_id: str,
        request: OrderRequest,
        *,
        first_execution_max: int | None = None,
        reject_message: str | None = None,
    ) -> BookedOrder:
        """Enter a new order in TRANSIT.

        The last two are faults to come: a cap on the first execution, a rejection by the risk desk with this message.

        Raises:
            adapters.simulator.refusals.Refusal: the market is closed.
        """
        if not self._is_open:
            raise order_error(MARKET_CLOSED)
        number, self._numbers = self._numbers, self._numbers + 1
        order = BookedOrder(
            order_id=f"11{datetime.fromtimestamp(self.market_time_ns // NS_PER_S, EXCHANGE_ZONE):%y%m%d}{number:07d}",
            client_id=client_id,
            correlation_id=request.correlation_id,
            instrument=request.instrument,
            side=request.side,
            order_type=request.order_type,
            product=request.product,
            time_in_force=request.time_in_force,
            quantity=request.quantity,
            limit_price_e4=request.limit_price_e4,
            accepted_step=self.step,
            created_ns=self.market_time_ns,
            updated_ns=self.market_time_ns,
            first_execution_max=first_execution_max,
            reject_message=reject_message,
        )
        self.account_of(client_id).add(order)
        self._orders[order.order_id] = order
        return order

    def arrive(self, order: BookedOrder) -> None:
        """Let an order out of TRANSIT: the risk desk rejects it, or the exchange gets it."""
        if order.status is not Status.TRANSIT:
            return
        account = self.accounts[order.client_id]
        order.updated_ns = self.market_time_ns
        refusal = self._risk_desk(account, order)
        if refusal is not None:
            order.description = f"RMS:{order.order_id}:{refusal}"
            account.close(order, Status.REJECTED)
            return
        order.status = Status.PENDING
        order.reached_ns = self.market_time_ns
        order.exchange_order_id = f"11{int(order.order_id[8:]):014d}"
        order.description = "CONFIRMED"
        submission = self._matching_of(order.instrument).submit(
            MatchingOrder(
                order_id=order.order_id,
                side=order.side,
                order_type=order.order_type,
                quantity=order.quantity,
                limit_price_e4=order.limit_price_e4 if order.order_type is OrderType.LIMIT else None,
                time_in_force=order.time_in_force,
                first_execution_max=order.first_execution_max,
            ),
            time_ns=self.market_time_ns,
        )
        order.limit_price_e4 = submission.limit_price_e4 or 0
        for execution in submission.executions:
            self._book(execution)
        if submission.canceled_quantity:
            account.close(order, Status.CANCELLED)

    def cancel(self, client_id: str, order_id: str) -> BookedOrder:
        """Cancel what is left of an order.

        Raises:
            adapters.simulator.refusals.Refusal: it is not this client's, in TRANSIT or done, or the market is closed.
        """
        account = self.account_of(client_id)
        order = account.orders.get(order_id)
        if order is None:
            raise bad_input()
        if order.status is Status.TRANSIT:
            raise order_error(IN_TRANSIT)
        if order.status not in OPEN:
            raise order_error(NOTHING_TO_CANCEL)
        if not self._is_open:
            raise order_error(MARKET_CLOSED_CANCEL)
        self._matching_of(order.instrument).cancel(order_id)
        order.updated_ns = self.market_time_ns
        account.close(order, Status.CANCELLED)
        return order

    def available_paise(self, account: Account) -> int:
        """Return what a client's new orders may use."""
        return account.available_paise(self.last_prices_e4, leverage=self._config.intraday_leverage)

    def prints(self, key: InstrumentKey, *, first_step: int, last_step: int) -> PrintRange | None:
        """Return the range of an instrument's prints in force from *first_step* to *last_step*."""
        history = self._history.get(key)
        return history.between(first_step, last_step) if history else None

    def _print(self, tick: Tick) -> None:
        key = tick.instrument
        self.last_ticks[key] = tick
        self.last_prices_e4[key] = tick.last_price_e4
        history = self._history.get(key)
        if history is None:
            history = self._history[key] = PrintHistory()
        history.add(self.step, tick.last_price_e4)
        matching = self._matching.get(key)
        if matching is None:
            instrument = self._config.instruments.by_key(key, market_time_ns=self.market_time_ns)
            matching = self._matching_of(instrument)
        executions = matching.on_print(price_e4=tick.last_price_e4, volume=tick.volume, time_ns=tick.exchange_time_ns)
        for execution in executions:
            self._book(execution)

    def _matching_of(self, instrument: Instrument) -> Matching:
        matching = self._matching.get(instrument.key)
        if matching is None:
            matching = self._matching[instrument.key] = Matching(
                tick_e4=instrument.tick_e4,
                lot=instrument.lot,
                participation_bp=self._config.participation_bp,
                protection_bp=self._config.protection_bp,
            )
        return matching

    def _book(self, execution: Execution) -> None:
        order = self._orders[execution.order_id]
        number, self._trade_numbers = self._trade_numbers, self._trade_numbers + 1
        self.executions += 1
        order.updated_ns = execution.time_ns
        order.description = "TRADE CONFIRMED"
        if order.limit_price_e4 == 0:
            order.limit_price_e4 = execution.price_e4  # It waited for a first print, and this is that print.
        self.accounts[order.client_id].execute(
            BookedExecution(
                trade_id=str(200_000_000 + number),
                order=order,
                quantity=execution.quantity,
                price_e4=execution.price_e4,
                time_ns=execution.time_ns,
                step=self.step,
            )
        )

    def _risk_desk(self, account: Account, order: BookedOrder) -> str | None:
        """Return why an order may not reach the exchange, None where it may."""
        if order.reject_message is not None:
            return order.reject_message
        if not self._is_open:
            return MARKET_CLOSED
        if order.product == "CNC" and order.side is Side.SELL:
            holding = account.holdings.get((order.instrument.key, order.product))
            held = holding.net_quantity if holding else 0
            promised = sum(
                other.leaves_quantity
                for other in account.open_orders.values()
                if other.side is Side.SELL and other.product == "CNC" and other.instrument.key == order.instrument.key
            )
            if promised > held:
                return f"Insufficient holdings. Available quantity {held}, required {promised}."
        leverage = self._config.intraday_leverage
        before = account.available_paise(self.last_prices_e4, leverage=leverage, without=order)
        after = account.available_paise(self.last_prices_e4, leverage=leverage)
        if after < 0 and after < before:
            return f"You have insufficient funds. Please add Rs.{format_paise(-after)} to trade."
        return None

    def _close_session(self) -> None:
        self.done = True
        self._is_open = False
        for matching in self._matching.values():
            for withdrawn in matching.expire():
                order = self._orders[withdrawn.order_id]
                order.updated_ns = self.market_time_ns
                self.accounts[order.client_id].close(order, Status.EXPIRED)
