"""What always holds of an account, looked at on every append: beside the decider, and without its reasoning.

`watched` stands between a decision and the log. It takes the events of the decision one by one, holds each against the
state before it, and at the end the sums of what they touched against the state they lead to. It calls nothing that
decides: what an order may fill, what a trade holds and what a fill is worth are reckoned here once more, in plain
arithmetic. `domain.risk.Invariant` lists what is looked at.

What breaks an invariant is of two kinds:

1. **What happened.** A fill, or a word of the venue, is kept whatever it breaks. Behind it, in the same append, lies
   `InvariantBreached`.
2. **What we decided**: an order, a modification, a submission, a fill booked again. It is never stored. Where nothing
   else was decided the breach alone is stored in its place and the command fails; where something happened as well,
   that is kept, and the decisions beside it that break nothing are too.

A breach that is recorded and not released is not recorded again; a decision that would break the same is refused. These
look like breaches and are none, because no client can prevent them and the engine is at work on each:

- Exits above what is held, while what is too much is being canceled or made smaller: an exit that was given up for
  absent turned up beside its successor, one filled late after another took its place, somebody outside closed what a
  stop guards, or a corporate action cut the holding.
- A holding on the other side, after such an exit has filled as well (an overshoot): it is closed like any other.
- A fill of an order that was held for unsent, canceled, expired or rejected: the venue's execution outweighs what we
  were told before.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from domain.account.commands import AccountCommand, InspectAccount
from domain.account.events import (
    AccountEvent,
    CorporateActionApplied,
    ForeignFillAllocated,
    InvariantBreached,
    OrderAcknowledged,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderSubmitting,
    TradeAdopted,
    TradeClosed,
    TradeOpened,
)
from domain.account.evolve import evolve
from domain.account.holding import Holding
from domain.account.refusals import DecisionBreaksInvariant
from domain.account.state import Account, Order, Trade, exposure_key
from domain.ids import OrderId, TradeId
from domain.instrument import InstrumentKey
from domain.market import trading_day
from domain.money import E4_PER_PAISA
from domain.order import OrderStatus, Product, Purpose
from domain.risk import Invariant

ACCOUNT = "account"
"""The subject of a breach that is of no trade, order or position alone."""
UNRELEASED_MAX = 50
"""So many breaches wait for a release at most: entries are denied by the first, and a person has enough to look at."""

_S = OrderStatus
CANNOT_FILL = frozenset(
    {_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.LAPSED, _S.BLOCKED, _S.PRESUMED_ABSENT, _S.ABSENT}
)
_HAPPENED = frozenset(
    {
        OrderFilled,
        ForeignFillAllocated,
        TradeAdopted,
        CorporateActionApplied,
        OrderAcknowledged,
        OrderRejected,
        OrderOutcomeUnknown,
        OrderPresumedAbsent,
        OrderNotSent,
        OrderCanceled,
        OrderExpired,
        OrderModified,
        OrderModifyRefused,
    }
)
"""What somebody else did or said. It is kept whatever stands beside it."""
_MOVES = frozenset(
    {
        OrderFilled,
        ForeignFillAllocated,
        CorporateActionApplied,
        OrderAcknowledged,
        OrderModified,
        OrderModifyRefused,
        OrderNotSent,
    }
)
"""After these a trade may hold something else, or its exits may fill more, than before."""
_Fill = OrderFilled | ForeignFillAllocated
_Freeing = OrderAcknowledged | OrderModified | OrderModifyRefused | OrderNotSent
"""Words after which an exit may fill again, or for more."""


class Found(NamedTuple):
    """An invariant that does not hold of *subject*. *is_ours*: a decision would break it, and nothing has happened."""

    invariant: Invariant
    subject: str
    expected: str
    seen: str
    is_ours: bool
    trade_ids: tuple[TradeId, ...] = ()
    order_ids: tuple[OrderId, ...] = ()


class Placed(NamedTuple):
    """What was found, and how many of the events that are kept lead up to it (the one that broke it included)."""

    events: int
    found: Found


def watched(
    command: AccountCommand, before: Account, version: int, events: tuple[AccountEvent, ...]
) -> tuple[tuple[AccountEvent, ...], Account]:
    """Return what may be stored of *events*, with the breaches they come to, and the account that it leads to.

    Raises:
        DecisionBreaksInvariant: nothing may be stored, and the breach is recorded already.
    """
    kept, after, found = _walked(before, events, drops=True)
    if found and _HAPPENED.isdisjoint(map(type, kept)):
        kept, after = (), before
        found = [Placed(0, each.found) for each in found]
    if not _MOVES.isdisjoint(map(type, kept)):
        found += [Placed(len(kept), each) for each in _sums_broken(before, after, kept)]
    if type(command) is InspectAccount:
        found += [Placed(len(kept), each) for each in everything_broken(after)]
    if not found:
        return kept, after
    breaches = tuple(_breaches(before, version, found))
    if not kept and not breaches and events:
        first = found[0].found
        raise DecisionBreaksInvariant(in_words(first))
    for breach in breaches:
        after = evolve(after, breach)
    return kept + breaches, after


def looked_at(before: Account, events: Sequence[AccountEvent]) -> tuple[list[Placed], Account]:
    """Return what stored *events* of one append broke, each with its place among them, and the account after them."""
    kept, after, found = _walked(before, events, drops=False)
    return [*found, *(Placed(len(kept), each) for each in _sums_broken(before, after, kept))], after


def is_stopped(events: Iterable[AccountEvent]) -> InvariantBreached | None:
    """Return the breach that stands in the place of a whole decision, None where something else was stored."""
    first: InvariantBreached | None = None
    for event in events:
        if not isinstance(event, InvariantBreached) or not event.is_prevented:
            return None
        first = first or event
    return first


def _breaches(before: Account, version: int, found: Iterable[Placed]) -> Iterator[InvariantBreached]:
    """Yield the event of each breach that is not recorded yet."""
    recorded = {(each.invariant, each.subject) for each in before.broken}
    for events, each in found:
        name = each.invariant, each.subject
        if name in recorded or len(recorded) >= UNRELEASED_MAX:
            continue
        recorded.add(name)
        yield InvariantBreached(
            invariant=each.invariant,
            subject=each.subject,
            expected=each.expected,
            seen=each.seen,
            version=version + events,
            is_prevented=each.is_ours,
            trade_ids=each.trade_ids,
            order_ids=each.order_ids,
        )


def in_words(found: Found | InvariantBreached) -> str:
    """Return a breach in words."""
    return f"{found.invariant.value} of {found.subject}: expected {found.expected}, saw {found.seen}"


def _walked(
    before: Account, events: Sequence[AccountEvent], *, drops: bool
) -> tuple[tuple[AccountEvent, ...], Account, list[Placed]]:
    """Hold each event against the account before it. With *drops*, decisions of ours that break something are left out.

    What names an order that was left out is left out with it.
    """
    state = before
    found: list[Placed] = []
    left_out: set[OrderId | None] = set()
    kept: list[AccountEvent] = []
    for event in events:
        look = _LOOKS.get(type(event))
        broken = None if look is None else look(event, state)
        if broken is not None:
            is_left_out = drops and broken.is_ours
            found.append(Placed(len(kept) + (not is_left_out), broken))
            if is_left_out:
                left_out.add(getattr(event, "order_id", None))
                continue
        elif left_out and getattr(event, "order_id", ACCOUNT) in left_out:
            continue
        state = evolve(state, event)
        kept.append(event)
    return tuple(kept) if found else tuple(events), state, found


# --- One event --------------------------------------------------------------------------------------------------------


def _trade_opened(event: TradeOpened, state: Account) -> Found | None:
    """Hold an opened trade against what no check lets pass: switches, latches, and the largest order."""
    is_shut = state.kill_switches or state.breaches or state.broken
    seen = _shut_by(state, event) if is_shut else None
    largest = state.parameters.order_quantity_max
    if seen is None and 0 < event.entry.quantity <= largest and event.market.instrument is not None:
        return None
    if seen is None:
        seen = f"{event.entry.quantity} units, of {largest} at most"
    return Found(
        Invariant.ORDER_WITHOUT_CHECK,
        event.trade_id,
        "an intent that passed every check",
        seen,
        is_ours=True,
        trade_ids=(event.trade_id,),
    )


def _shut_by(state: Account, event: TradeOpened) -> str | None:
    """Return what stands against every entry of the trade's owner, None where nothing does."""
    if state.is_killed(event.strategy_id):
        return "an engaged kill switch"
    if state.broken:
        return f"a breach of {state.broken[0].invariant.value} that nobody has released"
    if state.breaches and trading_day(event.market.market_time_ns).isoformat() <= state.day:
        return f"a latched limit: {', '.join(sorted(state.breaches))}"
    return None


def _intended(event: OrderIntended, state: Account) -> Found | None:
    trade, told = state.trades.get(event.trade_id), event.instruction
    if event.order_id in state.orders:
        return _of_order(event, Invariant.SENT_TWICE, "an order's name used once", "it is another order's already")
    if event.purpose is Purpose.ENTRY:
        return _entry_intended(event, state, trade)
    if trade is None or told.quantity <= 0:
        return _of_order(event, Invariant.EXIT_WITHOUT_HOLDING, "a trade that holds something", "no such trade")
    held = trade.holding.net_quantity
    is_of_trade = (told.instrument, told.product) == (trade.entry.instrument, trade.entry.product)
    if held * told.side.sign >= 0 or not is_of_trade:
        seen = f"{told.side.value} {told.quantity} {told.product.value} where the trade holds {held}"
        return _of_order(event, Invariant.EXIT_WITHOUT_HOLDING, "an order that takes away from what is held", seen)
    has_closing = trade.exit_count or trade.stop_count
    room = told.quantity + (sum(map(_may_fill, _closing(state, event.trade_id))) if has_closing else 0)
    if room > abs(held):
        return _above_holding(state, event.trade_id, room, held, event.order_id)
    return None


def _entry_intended(event: OrderIntended, state: Account, trade: Trade | None) -> Found | None:
    told = event.instruction
    if trade is None or trade.is_external:
        seen = "no such trade" if trade is None else "a trade that came from outside"
        return Found(
            Invariant.ORDER_WITHOUT_CHECK,
            event.trade_id,
            "an entry of a trade that passed every check",
            seen,
            is_ours=True,
            trade_ids=(event.trade_id,),
            order_ids=(event.order_id,),
        )
    entry, quantity = trade.entry, told.quantity
    if trade.order_count:
        quantity += sum(order.instruction.quantity for order in _entries(state, event.trade_id))
    checked = (entry.instrument, entry.product, entry.side)
    if quantity > entry.quantity or (told.instrument, told.product, told.side) != checked or trade.exit_cause:
        seen = f"{told.side.value} {quantity} {told.product.value}"
        expected = f"what passed the checks: {entry.side.value} {entry.quantity} {entry.product.value}, once"
        return _of_order(event, Invariant.ORDER_WITHOUT_CHECK, expected, seen)
    if state.kill_switches and state.is_killed(trade.strategy_id):
        return _of_order(event, Invariant.ORDER_WITHOUT_CHECK, "no entry", "an engaged kill switch")
    return None


def _submitting(event: OrderSubmitting, state: Account) -> Found | None:
    order = state.orders.get(event.order_id)
    if order is None:
        return _of_order(event, Invariant.SENT_TWICE, "an order that was intended", "no such order")
    if order.status is not OrderStatus.INTENDED:
        seen = f"it is {order.status.value}"
        return _of_order(event, Invariant.SENT_TWICE, "an order of which nothing was sent", seen)
    is_shut = state.broken or state.kill_switches
    if is_shut and order.purpose is Purpose.ENTRY:
        killed = state.is_killed(state.trades[order.trade_id].strategy_id)
        if state.broken or killed:
            seen = "an engaged kill switch" if killed else "a breach that nobody has released"
            return _of_order(event, Invariant.ORDER_WITHOUT_CHECK, "no entry sent", seen)
    return None


def _not_sent(event: OrderNotSent, state: Account) -> Found | None:
    """After any other word the proof that nothing was sent is worth nothing: it would let the order be sent again."""
    order = state.orders.get(event.order_id)
    if order is not None and order.status is OrderStatus.SUBMITTING:
        return None
    seen = "no such order" if order is None else f"it is {order.status.value}"
    return _of_order(event, Invariant.SENT_TWICE, "an order that is being sent", seen)


def _modify_requested(event: OrderModifyRequested, state: Account) -> Found | None:
    order = state.orders.get(event.order_id)
    if order is None or not order.purpose.closes or event.instruction.quantity <= order.instruction.quantity:
        return None
    others = sum(_may_fill(each) for each in _closing(state, order.trade_id) if each.order_id != event.order_id)
    room = others + event.instruction.quantity - order.cumulative_quantity
    held = state.trades[order.trade_id].holding.net_quantity
    if room > abs(held):
        return _above_holding(state, order.trade_id, room, held, event.order_id)
    return None


def _filled(event: OrderFilled, state: Account) -> Found | None:
    order = state.orders.get(event.order_id)
    fill = f"{event.side.value} {event.last_quantity} {event.product.value} as {event.purpose.value}"
    if order is None or order.trade_id != event.trade_id:
        return _of_order(event, Invariant.FILL_WITHOUT_ORDER, "a fill of an order of ours", f"{fill}, of no such order")
    told = order.instruction
    is_of_order = (told.instrument, told.product, told.side) == (event.instrument, event.product, event.side)
    if not is_of_order or order.purpose is not event.purpose:
        expected = f"{told.side.value} {told.product.value} as {order.purpose.value}"
        return _of_order(event, Invariant.FILL_WITHOUT_ORDER, expected, fill)
    if event.venue_fill_id in order.fills:
        return _of_order(event, Invariant.FILL_BOOKED_TWICE, "an execution booked once", event.venue_fill_id)
    largest = told.quantity if order.wanted is None else max(told.quantity, order.wanted.quantity)
    cumulative = order.cumulative_quantity + event.last_quantity
    if event.last_quantity <= 0 or event.cumulative_quantity != cumulative or cumulative > largest:
        return _of_order(
            event,
            Invariant.FILL_BEYOND_ORDER,
            f"{cumulative} filled, {largest} at most",
            f"{event.cumulative_quantity} after a fill of {event.last_quantity}",
            is_ours=False,
        )
    return _worth(event, state.trades[event.trade_id], (event.order_id,))


def _foreign(event: ForeignFillAllocated, state: Account) -> Found | None:
    is_of_today = event.trading_day <= state.day
    if is_of_today and event.part == 1 and event.venue_fill_id in state.foreign_fills:
        return Found(
            Invariant.FILL_BOOKED_TWICE,
            event.trade_id,
            "an execution booked once",
            event.venue_fill_id,
            is_ours=True,
            trade_ids=(event.trade_id,),
        )
    trade = state.trades.get(event.trade_id)
    if trade is None or (trade.entry.instrument, trade.entry.product) != (event.instrument, event.product):
        return Found(
            Invariant.FILL_WITHOUT_ORDER,
            event.trade_id,
            "a trade in the instrument and product of the fill",
            "no such trade" if trade is None else f"{trade.entry.instrument} {trade.entry.product.value}",
            is_ours=True,
            trade_ids=(event.trade_id,),
        )
    return _worth(event, trade, ())


def _worth(event: _Fill, trade: Trade, order_ids: tuple[OrderId, ...]) -> Found | None:
    """Hold what a fill says it was worth, opened and closed against its price and what the trade holds."""
    held, sign = trade.holding.net_quantity, event.side.sign
    closed = min(event.last_quantity, abs(held)) if held * sign < 0 else 0
    e4 = event.last_price_e4 * event.last_quantity * trade.multiplier
    is_worth = abs(e4 - event.value_paise * E4_PER_PAISA) < E4_PER_PAISA
    # What a fill costs or brings is split into cost opened, cost closed and result, and none of it is lost.
    is_split = event.opened_cost_paise - event.closed_cost_paise - event.realised_paise == sign * event.value_paise
    if is_worth and is_split and event.closed_quantity == closed:
        return None
    return Found(
        Invariant.RESULT_SUMS,
        event.trade_id,
        f"{closed} closed, and {sign * event.value_paise} paise in cost and result",
        f"{event.closed_quantity} closed, {event.opened_cost_paise} opened, {event.closed_cost_paise} of cost closed, "
        f"{event.realised_paise} realised, for a fill worth {event.value_paise}",
        is_ours=False,
        trade_ids=(event.trade_id,),
        order_ids=order_ids,
    )


def _closed(event: TradeClosed, state: Account) -> Found | None:
    trade = state.trades.get(event.trade_id)
    if (
        trade is not None
        and trade.holding.net_quantity == 0
        and trade.holding.cost_paise == 0
        and trade.holding.realised_paise == event.realised_paise
        and all(order.status in CANNOT_FILL for order in state.orders_of(event.trade_id))
    ):
        return None
    holding = Holding() if trade is None else trade.holding
    return Found(
        Invariant.POSITION_SUMS,
        event.trade_id,
        f"a trade that holds nothing, can fill no more and realised {event.realised_paise}",
        f"{holding.net_quantity} held at {holding.cost_paise}, realised {holding.realised_paise}",
        is_ours=True,
        trade_ids=(event.trade_id,),
    )


_LOOKS: dict[type[AccountEvent], Callable[[Any, Account], Found | None]] = {
    TradeOpened: _trade_opened,
    OrderIntended: _intended,
    OrderSubmitting: _submitting,
    OrderNotSent: _not_sent,
    OrderModifyRequested: _modify_requested,
    OrderFilled: _filled,
    ForeignFillAllocated: _foreign,
    TradeClosed: _closed,
}
"""What is held against the account before it, and how."""


# --- What the events come to ------------------------------------------------------------------------------------------


def _sums_broken(before: Account, after: Account, events: Sequence[AccountEvent]) -> Iterator[Found]:
    """Hold what *events* touched against *after*: results, holdings, positions, and the room of exits."""
    fills = [event for event in events if isinstance(event, _Fill)]
    adjusted = [each for event in events if isinstance(event, CorporateActionApplied) for each in event.trades]
    moved = dict.fromkeys([*(fill.trade_id for fill in fills), *(each.trade_id for each in adjusted)])
    if moved:
        yield from _results_broken(before, after, fills)
        yield from _holdings_broken(before, after, events, moved)
        yield from _positions_broken(after, dict.fromkeys(after.trades[name].position for name in moved))
    for event in events:
        if isinstance(event, _Freeing):
            moved[event.trade_id] = None
    yield from _surplus_broken(after, moved)


def everything_broken(state: Account) -> Iterator[Found]:
    """Hold every trade and every position of *state* against the invariants."""
    positions = dict.fromkeys(trade.position for trade in state.trades.values())
    yield from _positions_broken(state, positions)
    known = {exposure_key(*position) for position in positions}
    for name in state.totals.exposures:
        if name not in known:
            yield Found(Invariant.POSITION_SUMS, name, "a position in which there is a trade", "none", is_ours=False)
    yield from _surplus_broken(state, state.trades)


def _results_broken(before: Account, after: Account, fills: Sequence[_Fill]) -> Iterator[Found]:
    realised = sum(fill.realised_paise for fill in fills)
    charges = sum(fill.charges.total_paise for fill in fills)
    ours = (after.realised_paise - before.realised_paise, after.charges_paise - before.charges_paise)
    if ours != (realised, charges):
        expected = f"{realised} realised and {charges} charged, in paise, by {len(fills)} fills"
        yield Found(Invariant.RESULT_SUMS, ACCOUNT, expected, f"{ours[0]} and {ours[1]}", is_ours=False)


def _holdings_broken(
    before: Account, after: Account, events: Sequence[AccountEvent], trade_ids: Iterable[TradeId]
) -> Iterator[Found]:
    """Hold what each trade holds against what it held, and its fills."""
    books: dict[TradeId, tuple[int, int, int]] = {}
    for trade_id in trade_ids:
        was = before.trades.get(trade_id)
        holding = Holding() if was is None else was.holding
        books[trade_id] = holding.net_quantity, holding.cost_paise, holding.realised_paise
    for event in events:
        if isinstance(event, _Fill):
            net, cost, realised = books[event.trade_id]
            books[event.trade_id] = (
                net + event.side.sign * event.last_quantity,
                cost + event.opened_cost_paise - event.closed_cost_paise,
                realised + event.realised_paise,
            )
        elif isinstance(event, CorporateActionApplied):
            for each in event.trades:
                books[each.trade_id] = each.net_quantity, *books[each.trade_id][1:]
    for trade_id, (net, cost, realised) in books.items():
        holding = after.trades[trade_id].holding
        seen = holding.net_quantity, holding.cost_paise, holding.realised_paise
        if seen != (net, cost, realised) or (net == 0 and cost != 0):
            yield Found(
                Invariant.RESULT_SUMS,
                trade_id,
                f"{net} held at {cost} paise, {realised} realised",
                f"{seen[0]} held at {seen[1]}, {seen[2]} realised",
                is_ours=False,
                trade_ids=(trade_id,),
            )


def _positions_broken(state: Account, positions: Iterable[tuple[InstrumentKey, Product]]) -> Iterator[Found]:
    """Hold what the account says it has in each position against what its trades hold."""
    for instrument, product in positions:
        long = short = cost = 0
        trade_ids = []
        for trade in state.trades.values():
            entry = trade.entry
            if entry.instrument != instrument or entry.product is not product:
                continue
            net = trade.holding.net_quantity
            long, short = (long + net, short) if net > 0 else (long, short - net)
            cost += abs(trade.holding.cost_paise)
            trade_ids.append(trade.trade_id)
        exposure = state.exposure(instrument, product)
        seen = exposure.long_quantity, exposure.short_quantity, exposure.cost_paise
        if seen != (long, short, cost):
            yield Found(
                Invariant.POSITION_SUMS,
                exposure_key(instrument, product),
                f"{long} long and {short} short at {cost} paise, the sum of its trades",
                f"{seen[0]} long and {seen[1]} short at {seen[2]}",
                is_ours=False,
                trade_ids=tuple(trade_ids),
            )


def _surplus_broken(state: Account, trade_ids: Iterable[TradeId]) -> Iterator[Found]:
    """Demand that exits above a holding are being taken back: what nobody is at work on may be no more than is held."""
    for trade_id in trade_ids:
        trade = state.trades[trade_id]
        if not trade.exit_count and not trade.stop_count:
            continue
        held = trade.holding.net_quantity
        right = wrong = 0
        for order in _closing(state, trade_id):
            if order.wanted is not None or order.cancel_requested:
                continue  # The venue's next word is awaited, and what is too much is looked at again then.
            if order.instruction.side.sign * held < 0:
                right += _may_fill(order)
            else:
                wrong += _may_fill(order)
        if right > abs(held) or wrong:
            yield _above_holding(state, trade_id, right + wrong, held, None)


# --- Words ------------------------------------------------------------------------------------------------------------


def _may_fill(order: Order) -> int:
    """Return how many units of an order may still fill, at most: unknown or not, and however it is being changed."""
    if order.status in CANNOT_FILL:
        return 0
    largest = order.instruction.quantity
    if order.wanted is not None and order.wanted.quantity > largest:
        largest = order.wanted.quantity
    return max(0, largest - order.cumulative_quantity)


def _closing(state: Account, trade_id: TradeId) -> list[Order]:
    return [o for o in state.orders.values() if o.trade_id == trade_id and o.purpose is not Purpose.ENTRY]


def _entries(state: Account, trade_id: TradeId) -> list[Order]:
    return [o for o in state.orders.values() if o.trade_id == trade_id and o.purpose is Purpose.ENTRY]


def _of_order(
    event: OrderIntended | OrderSubmitting | OrderNotSent | OrderFilled,
    invariant: Invariant,
    expected: str,
    seen: str,
    *,
    is_ours: bool = True,
) -> Found:
    return Found(
        invariant,
        event.order_id,
        expected,
        seen,
        is_ours=is_ours,
        trade_ids=(event.trade_id,),
        order_ids=(event.order_id,),
    )


def _above_holding(state: Account, trade_id: TradeId, room: int, held: int, order_id: OrderId | None) -> Found:
    """Return that a trade's exits may fill more than it holds: by a decision on *order_id*, None: by what happened."""
    live = [order.order_id for order in _closing(state, trade_id) if _may_fill(order)]
    return Found(
        Invariant.EXITS_ABOVE_HOLDING,
        trade_id,
        f"exits and stops for {abs(held)} units at most",
        f"{room} that live ones may fill",
        is_ours=order_id is not None,
        trade_ids=(trade_id,),
        order_ids=tuple(dict.fromkeys([*live, *([] if order_id is None else [order_id])])),
    )
