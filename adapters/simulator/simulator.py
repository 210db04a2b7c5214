"""The exchange and broker behind the paths: tape, matching, every client's books. Knows no HTTP and no event loop.

An accepted order is in TRANSIT until somebody calls `arrive` for it (the server does, after the configured delay).
Only then the risk desk looks at it and the exchange gets it; so an order can be accepted and rejected a moment later,
as with the real broker.

Whatever happens to the books is made a record first, written to the journal (where there is one), and only then
entered. A simulator that starts on the books of an earlier one puts the resting orders back into the matching, in their
old order; orders that were in TRANSIT arrive with the first second of the tape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.simulator.books import Account, BookedOrder, Status
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.history import PrintHistory, PrintRange
from adapters.simulator.journal import Journal
from adapters.simulator.ledger import Ledger, order_id_of, trade_id_of
from adapters.simulator.records import (
    AccountOpened,
    OrderAccepted,
    OrderClosed,
    OrderExecuted,
    OrderPriced,
    OrderWorking,
    Record,
)
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

    def __init__(self, config: SimulatorConfig, ledger: Ledger, journal: Journal | None = None) -> None:
        """Begin with the books in *ledger*; what happens to them is written to *journal*."""
        self._config = config
        self._ledger = ledger
        self._journal = journal
        self._seconds = config.tape.play()
        self._matching: dict[InstrumentKey, Matching] = {}
        self._unpriced: dict[InstrumentKey, list[BookedOrder]] = {}
        self._history: dict[InstrumentKey, PrintHistory] = {}
        self._is_open = False
        self.last_ticks: dict[InstrumentKey, Tick] = {}
        self.last_prices_e4: dict[InstrumentKey, int] = {}
        self.previous_closes_e4: Mapping[InstrumentKey, int] = config.tape.previous_closes_e4
        self.step = 0
        self.market_time_ns = config.tape.start_ns
        self.executions = 0
        self.done = False
        for order in ledger.working.values():
            self._rest_again(order)
        self._late = [order for order in ledger.orders.values() if order.status is Status.TRANSIT]

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every client's books."""
        return self._ledger.accounts

    @property
    def is_open(self) -> bool:
        """Whether the market trades: from the first second of the tape until the last is over."""
        return self._is_open

    @property
    def next_order_number(self) -> int:
        """The number that the next order's id will end in."""
        return self._ledger.next_order_number

    def account_of(self, client_id: str) -> Account:
        """Return a client's books, opened with the default balance at the first look."""
        if client_id not in self.accounts:
            self._enter(AccountOpened(client_id=client_id, balance_paise=self._config.opening_balance_paise))
        return self.accounts[client_id]

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
        while self._late:
            self.arrive(self._late.pop(0))
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
        self.account_of(client_id)
        order_id = order_id_of(self._ledger.next_order_number, time_ns=self.market_time_ns)
        self._enter(
            OrderAccepted(
                order_id=order_id,
                client_id=client_id,
                correlation_id=request.correlation_id,
                instrument=request.instrument,
                side=request.side,
                order_type=request.order_type,
                product=request.product,
                time_in_force=request.time_in_force,
                quantity=request.quantity,
                limit_price_e4=request.limit_price_e4,
                time_ns=self.market_time_ns,
                step=self.step,
                first_execution_max=first_execution_max,
                reject_message=reject_message,
            )
        )
        return self._ledger.orders[order_id]

    def arrive(self, order: BookedOrder) -> None:
        """Let an order out of TRANSIT: the risk desk rejects it, or the exchange gets it."""
        if order.status is not Status.TRANSIT:
            return
        refusal = self._risk_desk(self.accounts[order.client_id], order)
        if refusal is not None:
            self._enter(self._end_of(order, Status.REJECTED, f"RMS:{order.order_id}:{refusal}"))
            return
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
        records: list[Record] = [
            OrderWorking(
                order_id=order.order_id,
                limit_price_e4=submission.limit_price_e4 or 0,
                time_ns=self.market_time_ns,
            ),
            *self._trades_of(submission.executions),
        ]
        if submission.canceled_quantity:
            records.append(self._end_of(order, Status.CANCELLED))
        self._enter(*records)
        if order.is_open and submission.limit_price_e4 is None:
            self._unpriced.setdefault(order.instrument.key, []).append(order)

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
        if not order.is_open:
            raise order_error(NOTHING_TO_CANCEL)
        if not self._is_open:
            raise order_error(MARKET_CLOSED_CANCEL)
        self._enter(self._end_of(order, Status.CANCELLED))
        self._matching_of(order.instrument).cancel(order_id)
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
        unpriced = self._unpriced.pop(key, None)
        if unpriced or executions:
            self._enter(*self._limits_of(unpriced or [], matching), *self._trades_of(executions))

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

    def _enter(self, *records: Record) -> None:
        """Write down what happened, then let the books know."""
        if self._journal is not None:
            self._journal.write(records)
        for record in records:
            self._ledger.apply(record)
            self.executions += isinstance(record, OrderExecuted)

    def _limits_of(self, unpriced: Sequence[BookedOrder], matching: Matching) -> list[Record]:
        """Return the limits of MARKET orders that waited for the print that has just come."""
        limits = [(order, matching.protection_limit_e4(order.side)) for order in unpriced if order.is_open]
        return [OrderPriced(order_id=order.order_id, limit_price_e4=limit or 0) for order, limit in limits]

    def _trades_of(self, executions: Sequence[Execution]) -> list[Record]:
        return [
            OrderExecuted(
                order_id=execution.order_id,
                trade_id=trade_id_of(number),
                quantity=execution.quantity,
                price_e4=execution.price_e4,
                time_ns=execution.time_ns,
                step=self.step,
            )
            for number, execution in enumerate(executions, start=self._ledger.next_trade_number)
        ]

    def _end_of(self, order: BookedOrder, status: Status, description: str | None = None) -> OrderClosed:
        return OrderClosed(order_id=order.order_id, status=status, time_ns=self.market_time_ns, description=description)

    def _rest_again(self, order: BookedOrder) -> None:
        """Put an order of an earlier life back into the matching. There is no print yet that it could meet."""
        limit = order.limit_price_e4 or None
        self._matching_of(order.instrument).submit(
            MatchingOrder(
                order_id=order.order_id,
                side=order.side,
                order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
                quantity=order.leaves_quantity,
                limit_price_e4=limit,
                first_execution_max=order.first_execution_max if order.filled_quantity == 0 else None,
            ),
            time_ns=self.market_time_ns,
        )
        if limit is None:
            self._unpriced.setdefault(order.instrument.key, []).append(order)

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
            expired = [self._ledger.orders[withdrawn.order_id] for withdrawn in matching.expire()]
            self._enter(*(self._end_of(order, Status.EXPIRED) for order in expired))
