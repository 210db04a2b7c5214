"""The exchange and broker behind the paths: tape, matching, every client's books. Knows no HTTP and no event loop.

An accepted order is in TRANSIT until somebody calls `arrive` for it (the server does, after the configured delay).
Only then the risk desk looks at it and the exchange gets it; so an order can be accepted and rejected a moment later,
as with the real broker. A modification goes the same way (`arrive_change`): until it arrives the row is in TRANSIT and
the order stands at the exchange as it was, where it can still execute. One that the risk desk turns down, or that comes
too late, changes nothing and is no end of the order.

An after market order is taken while the market is closed alone. It waits at the broker, PENDING, and goes to the
exchange with the first second of the next session, or half an hour or an hour into it, as it asks.

Whatever happens to the books is made a record first, written to the journal (where there is one), and only then
entered. A simulator that starts on the books of an earlier one puts the resting orders back into the matching, in their
old order; orders and modifications that were in TRANSIT arrive with the first second of the tape.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from adapters.simulator.books.account import DELIVERY, Account, BookedOrder, OrderTerms, Status
from adapters.simulator.books.journal import Journal
from adapters.simulator.books.kept_trades import TradeKept, kept_of
from adapters.simulator.books.ledger import Ledger, order_id_of, trade_id_of
from adapters.simulator.books.records import (
    AccountOpened,
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
from adapters.simulator.books.standing_records import StandingRecord
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.market.history import PrintHistory, PrintRange
from adapters.simulator.market.market_record import MarketRecord
from adapters.simulator.tapes.tape import TapeSecond, Tick
from adapters.simulator.trading.circuits import circuit_refusal
from adapters.simulator.trading.exchange import Book, Exchange
from adapters.simulator.words.refusals import (
    IN_TRANSIT,
    INCORRECT_REQUEST,
    KILL_SWITCH_ACTIVE,
    MARKET_CLOSED,
    MARKET_CLOSED_CANCEL,
    MARKET_OPEN,
    MODIFICATIONS_EXHAUSTED,
    NOTHING_TO_CANCEL,
    QUANTITY_EXECUTED,
    bad_input,
    insufficient_funds,
    order_error,
)
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import NS_PER_S
from domain.matching import Execution, Happening, MatchingOrder, Rejection, Triggered, Withdrawn
from domain.order import MODIFICATIONS_MAX, OrderType, Side, TimeInForce

AMO_DELAYS_S = {"PRE_OPEN": 0, "OPEN": 0, "OPEN_30": 1_800, "OPEN_60": 3_600}
"""How long into the session an after market order waits, by the broker's word for it."""
_CASH_SEGMENTS = frozenset({Segment.NSE_EQ, Segment.BSE_EQ})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A new order, its input checked. Prices are 0 where it has none, `amo_time` is empty where it is for now.

    `leg` and `parent_id` name the super or forever order that it is a part of, and are empty elsewhere.
    """

    correlation_id: str
    instrument: Instrument
    side: Side
    order_type: OrderType
    product: str
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int
    trigger_price_e4: int = 0
    disclosed_quantity: int = 0
    amo_time: str = ""
    leg: str = ""
    parent_id: str = ""


class Watcher(Protocol):
    """Who waits for a price at the broker, and acts on it."""

    def on_print(self, key: InstrumentKey, price_e4: int, before_e4: int | None) -> None:
        """Take note of a print that the exchange has matched, and of the one before it."""
        ...

    def on_close(self) -> None:
        """Take note that the session is over. It may be told again."""
        ...


class Simulator:
    """One market, one broker, many clients."""

    def __init__(self, config: SimulatorConfig, ledger: Ledger, journal: Journal | None = None) -> None:
        """Begin with the books in *ledger*; what happens to them is written to *journal*."""
        self._config = config
        self._ledger = ledger
        self._journal = journal
        self._seconds = config.tape.play()
        self._unpriced: dict[InstrumentKey, dict[str, BookedOrder]] = {}
        self._history: dict[InstrumentKey, PrintHistory] = {}
        self.record = MarketRecord(config.tape.previous_closes_e4)
        self._is_open = False
        self.last_ticks: dict[InstrumentKey, Tick] = {}
        self.last_prices_e4: dict[InstrumentKey, int] = {}
        self.previous_closes_e4: Mapping[InstrumentKey, int] = config.tape.previous_closes_e4
        self.exchange = Exchange(config)
        self.step = 0
        self.market_time_ns = config.tape.start_ns
        self.executions = 0
        self.done = False
        self.watchers: list[Watcher] = []
        self.on_record: Callable[[Record], None] | None = None
        """Is told of everything that happened, as soon as the books show it, whoever brought it about."""
        for order in ledger.working.values():
            self._rest_again(order)
        unsent = [order for order in ledger.orders.values() if order.is_open and order.reached_ns is None]
        self._queued = {order.order_id: order for order in unsent if order.is_queued}
        self._late = [order for order in unsent if not order.is_queued]
        self._late_changes = [order for order in ledger.orders.values() if order.is_open and order.changes]

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Every client's books."""
        return self._ledger.accounts

    @property
    def standing(self) -> StandingBooks:
        """The instructions that lie at the broker until a price comes."""
        return self._ledger.standing

    @property
    def orders(self) -> Mapping[str, BookedOrder]:
        """Every client's orders, by their ids."""
        return self._ledger.orders

    @property
    def is_open(self) -> bool:
        """Whether the market trades: from the first second of the tape until the last is over."""
        return self._is_open

    @property
    def next_order_number(self) -> int:
        """The number that the next order's id will end in."""
        return self._ledger.next_order_number

    @property
    def next_order_id(self) -> str:
        """The id that the next order gets, if it is accepted now."""
        return order_id_of(self._ledger.next_order_number, time_ns=self.market_time_ns)

    def account_of(self, client_id: str) -> Account:
        """Return a client's books, opened with the default balance at the first look."""
        if client_id not in self.accounts:
            self._enter(AccountOpened(client_id=client_id, balance_paise=self._config.opening_balance_paise))
        return self.accounts[client_id]

    def traded_by(self, client_id: str) -> list[TradeKept]:
        """Return what a client traded on earlier days, as far as it is kept, and today: oldest first."""
        executions = self.account_of(client_id).executions
        return [*self._ledger.kept_trades.get(client_id, ()), *map(kept_of, executions)]

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
        self._move_on()
        for tick in second.ticks:
            self._print(tick)
        while self._late:
            self.arrive(self._late.pop(0))
        while self._late_changes:
            order = self._late_changes.pop(0)
            while order.is_open and order.changes:
                self.arrive_change(order)
        self._send_what_was_queued()
        return second

    def accept(
        self,
        client_id: str,
        request: OrderRequest,
        *,
        first_execution_max: int | None = None,
        reject_message: str | None = None,
        along: Iterable[StandingRecord] = (),
        withdrawing: Iterable[BookedOrder] = (),
    ) -> BookedOrder:
        """Enter a new order in TRANSIT, with what happens *along* with it and the orders that it takes the place of.

        The first two options are faults to come: a cap on the first execution, a rejection by the risk desk with this
        message.

        Raises:
            Refusal: the market is closed, or open for an after market order, or the client
                has switched trading off.
        """
        if client_id in self.standing.killed:
            raise order_error(KILL_SWITCH_ACTIVE)
        if self._is_open is bool(request.amo_time):
            raise order_error(MARKET_OPEN if self._is_open else MARKET_CLOSED)
        self.account_of(client_id)
        order_id = self.next_order_id
        ended = tuple(withdrawing)
        self._enter(
            *(self._end_of(order, Status.CANCELLED) for order in ended),
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
                trigger_price_e4=request.trigger_price_e4,
                disclosed_quantity=request.disclosed_quantity,
                amo_time=request.amo_time,
                leg=request.leg,
                parent_id=request.parent_id,
                first_execution_max=first_execution_max,
                reject_message=reject_message,
            ),
            *along,
        )
        self._take_from_exchange(ended)
        return self._ledger.orders[order_id]

    def arrive(self, order: BookedOrder) -> None:
        """Let an order out of TRANSIT: the risk desk rejects it, the exchange gets it, or it waits for a session."""
        if not order.is_open or order.reached_ns is not None or order.is_queued:
            return
        if order.amo_time:
            self._enter(OrderQueued(order_id=order.order_id, time_ns=self.market_time_ns))
            self._queued[order.order_id] = order
        else:
            self._send(order)

    def modify(self, client_id: str, order_id: str, terms: OrderTerms) -> BookedOrder:
        """Take in what an order shall be; it is in TRANSIT until `arrive_change`.

        Raises:
            Refusal: it is not this client's, done, or was modified too often, or the market
                is closed.
        """
        order = self._open_order(client_id, order_id, refusal=INCORRECT_REQUEST)
        if order.modifications >= MODIFICATIONS_MAX:
            raise order_error(MODIFICATIONS_EXHAUSTED)
        if terms.quantity <= order.filled_quantity:
            raise order_error(QUANTITY_EXECUTED)
        self._enter(OrderModifying(order_id=order_id, terms=terms, time_ns=self.market_time_ns))
        return order

    def arrive_change(self, order: BookedOrder) -> None:
        """Let the oldest modification of an order arrive, if the order is still there to be modified."""
        if not order.is_open or not order.changes:
            return
        terms = order.changes[0]
        refusal = self._change_refusal(order, terms)
        if refusal is not None:
            description = f"RMS:{order.order_id}:{refusal}"
            self._enter(OrderUnmodified(order_id=order.order_id, time_ns=self.market_time_ns, description=description))
        elif order.reached_ns is None:
            self._enter(
                OrderModified(order_id=order.order_id, limit_price_e4=terms.limit_price_e4, time_ns=self.market_time_ns)
            )
        else:
            self._change(order, terms)

    def _change(self, order: BookedOrder, terms: OrderTerms) -> None:
        submission = self._matching_of(order.instrument).modify(
            _as_matched(order.changed(terms)), time_ns=self.market_time_ns
        )
        if submission.rejection is not None:
            description = self._rejected(order, submission.rejection)
            self._enter(OrderUnmodified(order_id=order.order_id, time_ns=self.market_time_ns, description=description))
            return
        records: list[Record] = [
            OrderModified(
                order_id=order.order_id,
                limit_price_e4=submission.limit_price_e4 or 0,
                time_ns=self.market_time_ns,
                awaits_trigger=submission.awaits_trigger,
                keeps_place=submission.keeps_place,
            ),
            *self._records_of(submission.executions),
        ]
        if submission.canceled_quantity:
            records.append(self._end_of(order, Status.CANCELLED))
        self._enter(*records)
        self._note_unpriced(order)

    def _send(self, order: BookedOrder) -> None:
        refusal = self._risk_desk(order)
        if refusal is not None:
            self._enter(self._end_of(order, Status.REJECTED, f"RMS:{order.order_id}:{refusal}"))
            return
        submission = self._matching_of(order.instrument).submit(_as_matched(order), time_ns=self.market_time_ns)
        if submission.rejection is not None:
            self._enter(self._end_of(order, Status.REJECTED, self._rejected(order, submission.rejection)))
            return
        records: list[Record] = [
            OrderWorking(
                order_id=order.order_id,
                limit_price_e4=submission.limit_price_e4 or 0,
                time_ns=self.market_time_ns,
                awaits_trigger=submission.awaits_trigger,
            ),
            *self._records_of(submission.executions),
        ]
        if submission.canceled_quantity:
            records.append(self._end_of(order, Status.CANCELLED))
        self._enter(*records)
        self._note_unpriced(order)

    def _send_what_was_queued(self) -> None:
        elapsed_ns = self.market_time_ns - self._config.tape.start_ns
        for order in list(self._queued.values()):
            if not order.is_open:
                del self._queued[order.order_id]
            elif elapsed_ns >= AMO_DELAYS_S[order.amo_time] * NS_PER_S:
                del self._queued[order.order_id]
                self._send(order)

    def _note_unpriced(self, order: BookedOrder) -> None:
        if order.has_no_limit_yet:
            self._unpriced.setdefault(order.instrument.key, {})[order.order_id] = order

    def cancel(self, client_id: str, order_id: str) -> BookedOrder:
        """Cancel what is left of an order.

        Raises:
            Refusal: it is not this client's, in TRANSIT or done, or the market is closed.
        """
        order = self._open_order(client_id, order_id, refusal=NOTHING_TO_CANCEL)
        if order.status is Status.TRANSIT:
            raise order_error(IN_TRANSIT)
        self.withdraw([order])
        return order

    def withdraw(self, orders: Iterable[BookedOrder], *, along: Iterable[StandingRecord] = ()) -> None:
        """Cancel open orders on the broker's own account, in TRANSIT too, with what happens *along* with it."""
        ended = tuple(orders)
        self._enter(*(self._end_of(order, Status.CANCELLED) for order in ended), *along)
        self._take_from_exchange(ended)

    def note(self, *records: StandingRecord) -> None:
        """Enter what happened to standing instructions alone."""
        self._enter(*records)

    def _take_from_exchange(self, orders: Iterable[BookedOrder]) -> None:
        for order in orders:
            self._matching_of(order.instrument).cancel(order.order_id)

    def _open_order(self, client_id: str, order_id: str, *, refusal: str) -> BookedOrder:
        order = self.account_of(client_id).orders.get(order_id)
        if order is None:
            raise bad_input()
        if not order.is_open:
            raise order_error(refusal)
        if not self._is_open and not (order.amo_time and order.reached_ns is None):
            raise order_error(MARKET_CLOSED_CANCEL)
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
        before_e4 = self.last_prices_e4.get(key)
        self.last_ticks[key] = tick
        self.last_prices_e4[key] = tick.last_price_e4
        self.record.add(tick)
        history = self._history.get(key)
        if history is None:
            history = self._history[key] = PrintHistory()
        history.add(self.step, tick.last_price_e4)
        matching = self.exchange.books.get(key)
        if matching is None:
            instrument = self._config.instruments.by_key(key, market_time_ns=self.market_time_ns)
            matching = self._matching_of(instrument)
        happened = matching.on_print(
            price_e4=tick.last_price_e4, volume=tick.volume, time_ns=tick.exchange_time_ns, depth=tick.depth
        )
        if happened or key in self._unpriced:
            self._enter(*self._limits_of(key, matching), *self._records_of(happened))
        if self._ledger.standing.waits_for(key):
            for watcher in self.watchers:
                watcher.on_print(key, tick.last_price_e4, before_e4)

    def _move_on(self) -> None:
        """Let the exchange's day go on to the second that is played."""
        for moved in self.exchange.move_to(self.market_time_ns):
            limits = self._limits_of(moved.instrument, self.exchange.books[moved.instrument])
            expired = [self._ledger.orders[withdrawn.order_id] for withdrawn in moved.expired]
            ends = [self._end_of(order, Status.EXPIRED) for order in expired]
            self._enter(*limits, *self._records_of(moved.happened), *ends)

    def _matching_of(self, instrument: Instrument) -> Book:
        return self.exchange.book_of(instrument, market_time_ns=self.market_time_ns)

    def _rejected(self, order: BookedOrder, rejection: Rejection) -> str:
        why = self.exchange.refusal_of(rejection, order.instrument, market_time_ns=self.market_time_ns)
        return f"RMS:{order.order_id}:{why}"

    def _enter(self, *records: Record) -> None:
        """Write down what happened, then let the books know."""
        if self._journal is not None:
            self._journal.write(records)
        for record in records:
            self._ledger.apply(record)
            self.executions += isinstance(record, OrderExecuted)
            if self.on_record is not None:
                self.on_record(record)

    def _limits_of(self, key: InstrumentKey, matching: Book) -> list[Record]:
        """Return the limits that MARKET orders have got which waited for a print, or for an auction's price."""
        records: list[Record] = []
        for order in self._unpriced.pop(key, {}).values():
            limit = matching.limit_of(order.order_id)
            if limit is None and matching.leaves_quantity(order.order_id):
                self._note_unpriced(order)  # An auction collects it.
            elif order.has_no_limit_yet:
                limit = limit or matching.protection_limit_e4(order.side) or 0
                records.append(OrderPriced(order_id=order.order_id, limit_price_e4=limit))
        return records

    def _records_of(self, happened: Iterable[Happening]) -> list[Record]:
        """Return what the books make of what the matching did."""
        records: list[Record] = []
        trade_number = self._ledger.next_trade_number
        for happening in happened:
            match happening:
                case Execution():
                    records.append(
                        OrderExecuted(
                            order_id=happening.order_id,
                            trade_id=trade_id_of(trade_number),
                            quantity=happening.quantity,
                            price_e4=happening.price_e4,
                            time_ns=happening.time_ns,
                            step=self.step,
                        )
                    )
                    trade_number += 1
                case Triggered():
                    records.append(OrderTriggered(order_id=happening.order_id, time_ns=self.market_time_ns))
                case Withdrawn():
                    records.append(self._end_of(self._ledger.orders[happening.order_id], Status.CANCELLED))
        return records

    def _end_of(self, order: BookedOrder, status: Status, description: str | None = None) -> OrderClosed:
        return OrderClosed(order_id=order.order_id, status=status, time_ns=self.market_time_ns, description=description)

    def _rest_again(self, order: BookedOrder) -> None:
        """Put an order of an earlier life back into the matching. There is no print yet that it could meet."""
        self._matching_of(order.instrument).restore(_as_matched(order), time_ns=self.market_time_ns)
        self._note_unpriced(order)

    def _change_refusal(self, order: BookedOrder, terms: OrderTerms) -> str | None:
        """Return why a modification changes nothing, None where it may."""
        if terms.quantity <= order.filled_quantity:
            return QUANTITY_EXECUTED  # It executed while the modification was on its way.
        return None if order.reached_ns is None else self._risk_desk(order, changed=order.changed(terms))

    def _risk_desk(self, order: BookedOrder, *, changed: BookedOrder | None = None) -> str | None:
        """Return why an order, or what it shall be changed to, may not reach the exchange, None where it may."""
        if changed is None and order.reject_message is not None:
            return order.reject_message
        if not self._is_open:
            return MARKET_CLOSED
        is_cash = order.instrument.key.segment in _CASH_SEGMENTS
        if order.product == "MARGIN" if is_cash else order.product in DELIVERY:
            return f"Product {order.product} is not allowed in {order.instrument.key.segment.value}."
        if (refusal := circuit_refusal(changed or order)) is not None:
            return refusal
        account = self.accounts[order.client_id]
        return _holdings_refusal(account, order, changed or order) or self._funds_refusal(account, order, changed)

    def _funds_refusal(self, account: Account, order: BookedOrder, changed: BookedOrder | None) -> str | None:
        prices, leverage = self.last_prices_e4, self._config.intraday_leverage
        standing = account.available_paise(prices, leverage=leverage)
        if changed is None:
            before, after = account.available_paise(prices, leverage=leverage, without=order), standing
        else:
            after = account.available_paise(prices, leverage=leverage, without=order, instead=changed)
            before = standing
        if after < 0 and after < before:
            return insufficient_funds(-after)
        return None

    def _close_session(self) -> None:
        self.done = True
        self._is_open = False
        for matching in self.exchange.books.values():
            expired = [self._ledger.orders[withdrawn.order_id] for withdrawn in matching.expire()]
            self._enter(*(self._end_of(order, Status.EXPIRED) for order in expired))
        for watcher in self.watchers:
            watcher.on_close()


def _holdings_refusal(account: Account, order: BookedOrder, wanted: BookedOrder) -> str | None:
    """Return why a delivery product cannot be sold: less is held than open sells would take."""
    if order.product not in DELIVERY or order.side is not Side.SELL:
        return None
    holding = account.holdings.get((order.instrument.key, order.product))
    held = holding.net_quantity if holding else 0
    promised = wanted.leaves_quantity + sum(
        other.leaves_quantity
        for other in account.open_orders.values()
        if other.order_id != order.order_id
        and (other.side, other.product, other.instrument.key) == (Side.SELL, order.product, order.instrument.key)
    )
    return None if promised <= held else f"Insufficient holdings. Available quantity {held}, required {promised}."


def _as_matched(order: BookedOrder) -> MatchingOrder:
    """Return the order as the matching takes it. A MARKET order that had its limit goes on as the LIMIT it became."""
    limit = order.limit_price_e4 or None
    is_priced = limit is not None and order.order_type is OrderType.MARKET
    return MatchingOrder(
        order_id=order.order_id,
        side=order.side,
        order_type=OrderType.LIMIT if is_priced else order.order_type,
        quantity=order.quantity,
        limit_price_e4=limit,
        trigger_price_e4=order.trigger_price_e4 or None,
        time_in_force=order.time_in_force,
        disclosed_quantity=order.disclosed_quantity,
        filled_quantity=order.filled_quantity,
        has_triggered=order.reached_ns is not None and not order.awaits_trigger,
        first_execution_max=order.first_execution_max if order.filled_quantity == 0 else None,
    )
