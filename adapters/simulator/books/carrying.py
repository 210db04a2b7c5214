"""From one life of the simulator to the next: which records it begins with.

- **DAY ends with the day.** An order that rests since another exchange day has expired, a stop too. One of today rests
  on. What an IOC order left at the exchange can only be the trace of a broken write; it is canceled, unless it still
  awaits its trigger. An after market order that has not reached the exchange waits on for the session that comes.
- **A row is shown on the day of its last change,** and while something may still come of it. An order that closed on
  another day goes, with its executions; one that expires at this start is shown today, or nobody would ever hear of its
  end.
- **What goes leaves holdings and money.** Of each holding the closed quantity becomes money (day averages, whole paise,
  rounded down) and the open quantity is carried on at its cost. What rounding took from the money stays in the cost.
- **A trade stays on the statement** for a month when it has left the trade book.
- **A standing instruction** goes on where it is made for days: a forever order or an alert until it ends, and it is
  shown on the day on which it does. A super order's day ends with its entry's, and its row goes with the entry's. The
  kill switch and the exit by profit or loss are off on a new day.
- **A conversion** is part of what is left of its day, unless an order is still shown whose executions it moved.
- **Numbers go on.** They are kept apart from the orders that used them, so that none comes twice.

Today is the day on which the tape starts. A tape of the past may follow one of the present; then the days between are
"another day" too.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from adapters.simulator.books.account import Account, BookedOrder, Holding, Status
from adapters.simulator.books.kept_trades import KEPT_DAYS, KEPT_MAX, TradeKept, kept_of
from adapters.simulator.books.ledger import Ledger
from adapters.simulator.books.records import AccountOpened, BooksOpened, CarriedHolding, OrderClosed, Record
from adapters.simulator.books.standing_records import (
    KillSwitchTurned,
    PositionConverted,
    ProfitExitEnded,
    ProfitExitSet,
    SuperOrderExpired,
)
from domain.market import trading_day
from domain.money import E4_PER_PAISA
from domain.order import TimeInForce


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a simulator begins with: *records*, and the *ledger* that they make."""

    records: tuple[Record, ...]
    ledger: Ledger


def carried_over(records: Sequence[Record], *, now_ns: int, first_number: int) -> Beginning:
    """Return what is left of *records* at the market time *now_ns*: equal books, without the days that are over.

    Order and trade numbers go on from *first_number* at least.
    """
    today = trading_day(now_ns)
    before = _ledger_of(records)
    ended: tuple[OrderClosed | SuperOrderExpired, ...] = (
        *(
            OrderClosed(order_id=order.order_id, status=end, time_ns=now_ns)
            for order in before.orders.values()
            if (end := _end_at_start(order, today)) is not None
        ),
        *(
            SuperOrderExpired(order_id=order.entry.order_id, time_ns=now_ns)
            for order in before.standing.supers.values()
            if not order.is_over and trading_day(order.entry.created_ns) != today
        ),
    )
    for end_record in ended:
        before.apply(end_record)
    shown = {
        order.order_id for order in before.orders.values() if order.is_open or trading_day(order.updated_ns) == today
    }
    kept = shown | before.standing.kept_ids(today)
    past: list[Record] = []
    present: list[Record] = []
    for record in (*records, *ended):
        if isinstance(record, BooksOpened | TradeKept):
            continue
        (present if _is_present(record, kept, today, before) else past).append(record)
    over = _ledger_of(past)
    begun = (
        BooksOpened(
            next_order_number=max(first_number, before.next_order_number),
            next_trade_number=max(first_number, before.next_trade_number),
        ),
        *(_settled(account) for account in over.accounts.values()),
        *_kept_trades(before, over, today),
        *present,
    )
    return Beginning(begun, _ledger_of(begun))


def _ledger_of(records: Sequence[Record]) -> Ledger:
    ledger = Ledger()
    for record in records:
        ledger.apply(record)
    return ledger


def _is_present(record: Record, kept: Collection[str], today: date, ledger: Ledger) -> bool:
    """Tell whether the next life still shows what a record says; else what it left of money and holdings goes on."""
    match record:
        case AccountOpened() | BooksOpened() | TradeKept():
            return False
        case PositionConverted():
            return trading_day(record.time_ns) == today or any(
                order.order_id in kept
                and (order.instrument.key, order.product) == (record.instrument.key, record.from_product)
                for order in ledger.accounts[record.client_id].orders.values()
            )
        case KillSwitchTurned() | ProfitExitSet() | ProfitExitEnded():
            return trading_day(record.time_ns) == today
        case _:
            return record.order_id in kept


def _end_at_start(order: BookedOrder, today: date) -> Status | None:
    """Return how an order ended while nobody ran, None where it goes on or had ended before."""
    has_reached = order.reached_ns is not None
    if not order.is_open or (order.amo_time and not has_reached):
        return None
    if order.time_in_force is TimeInForce.IOC and has_reached and not order.awaits_trigger:
        return Status.CANCELLED
    return Status.EXPIRED if trading_day(order.reached_ns or order.created_ns) != today else None


def _kept_trades(before: Ledger, over: Ledger, today: date) -> Iterator[TradeKept]:
    """Yield what was kept of earlier days, and what is from now on; the oldest go."""
    for account in over.accounts.values():
        trades = [*before.kept_trades.get(account.client_id, ()), *map(kept_of, account.executions)]
        recent = [trade for trade in trades if (today - trading_day(trade.time_ns)).days <= KEPT_DAYS]
        yield from recent[-KEPT_MAX:]


def _settled(account: Account) -> AccountOpened:
    balance_paise = account.opening_balance_paise
    carried: list[CarriedHolding] = []
    for holding in account.holdings.values():
        realised_paise = holding.realised_e4 // E4_PER_PAISA
        balance_paise += realised_paise
        if holding.net_quantity:
            carried.append(_carried(holding, realised_paise * E4_PER_PAISA))
    return AccountOpened(client_id=account.client_id, balance_paise=balance_paise, holdings=tuple(carried))


def _carried(holding: Holding, realised_e4: int) -> CarriedHolding:
    paid_e4 = holding.bought_value_e4 - holding.sold_value_e4 + realised_e4
    return CarriedHolding(
        instrument=holding.instrument,
        product=holding.product,
        quantity=holding.net_quantity,
        value_e4=paid_e4 if holding.net_quantity > 0 else -paid_e4,
    )
