"""Getting out of a trade: what its stops and exits shall be, and the steps from what they are.

Everything here follows from one comparison, `pursue`, made whenever something changed: how much of what the trade holds
shall be closed, how much of it live exits cover, and how much a resting stop guards. The rules:

1. **Never more than is held.** What live and unknown exits and stops may fill is at most what the trade holds. A
   modification under way counts with the larger of its quantities.
2. **One stop, sized to the holding.** It grows and shrinks by modification. A stop larger than the venue's freeze
   quantity is several orders.
3. **An exit takes its room from the stop.** For the whole trade the stop itself becomes a market order by modification;
   where the venue's word on the stop is outstanding, or no modification is left, it is canceled and the exit waits for
   the final word. For a part of the trade the stop shrinks first (of several, some are canceled), and the exit follows
   when the venue has confirmed it.
4. **What is asked of an order the venue has not confirmed is remembered** and taken up at its next word.
5. **Nothing is tried without end.** A failed exit is tried again by later ticks up to `EXITS_MAX` times, a failed stop
   up to `STOPS_FAILED_MAX` times; then a person is called. What a person asks for is always tried.
6. **What was looked for in vain is not replaced by guess.** As long as an exit or stop of a trade is presumed absent,
   nothing is added to those that are there, whoever asks, but a successor of it (`succession.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import msgspec

from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderBlocked,
    OrderCancelRequested,
    OrderIntended,
    OrderModifyRequested,
    ProtectionFailed,
    ProtectionMode,
    TradeClosed,
    TradeExitTriggered,
    TradeReductionAsked,
)
from domain.account.evolve import evolve
from domain.account.state import Account, Order, Trade
from domain.ids import OrderId, TradeId
from domain.market import Mark
from domain.order import (
    AT_VENUE,
    CLOSED,
    MODIFICATIONS_MAX,
    ModifyCause,
    OrderInstruction,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
)
from domain.risk import BASIS_POINTS

EXITS_MAX = 10
"""After so many exit orders of one trade the engine stops trying by itself: a person has to look."""
STOPS_FAILED_MAX = 3
"""After so many stops in a row that the venue would not have, the engine watches the level itself, and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """What may be added in the place of an order that is presumed absent: *quantity* units at most.

    `lost_quantity` is what exits of a part of the trade, presumed absent and not succeeded yet, would have closed.
    """

    predecessor: OrderId
    quantity: int
    lost_quantity: int


def order_id_of(trade_id: TradeId, number: int) -> OrderId:
    """Return the name of a trade's order, which no other order ever has."""
    return OrderId(f"{trade_id}.{number}")


def slices(quantity: int, freeze_quantity: int | None) -> list[int]:
    """Return *quantity* in parts that the venue takes, all but the last as large as it allows."""
    if freeze_quantity is None or quantity <= freeze_quantity:
        return [quantity]
    whole, rest = divmod(quantity, freeze_quantity)
    return [freeze_quantity] * whole + ([rest] if rest else [])


# --- What is asked ----------------------------------------------------------------------------------------------------


def free_quantity(state: Account, trade: Trade) -> int:
    """Return how many units of what *trade* holds are not being closed yet."""
    working = sum(o.leaves_quantity for o in state.orders_of(trade.trade_id) if o.purpose.closes and o.is_working_exit)
    return max(0, abs(trade.holding.net_quantity) - trade.reduction - working)


def begin_exit(
    state: Account, trade: Trade, cause: ExitCause, *, mark: Mark | None = None, quantity: int | None = None
) -> list[AccountEvent]:
    """Begin to close *trade*, or *quantity* units of it; and where it is being closed, go on with that.

    What of the entry has not filled is taken back, unless only a part shall be closed.
    """
    events: list[AccountEvent] = []
    held = abs(trade.holding.net_quantity)
    if quantity is not None and quantity < held:
        if trade.exit_cause is None:
            events.append(TradeReductionAsked(trade_id=trade.trade_id, quantity=quantity, cause=cause))
    else:
        if trade.exit_cause is None:
            events.append(TradeExitTriggered(trade_id=trade.trade_id, cause=cause, mark=mark))
        events += withdraw_entries(state, trade)
    is_asked = cause not in {ExitCause.STOP_LOSS, ExitCause.TARGET}
    return events + _pursued(state, events, trade.trade_id, is_asked=is_asked)


def _pursued(state: Account, events: list[AccountEvent], trade_id: TradeId, *, is_asked: bool) -> list[AccountEvent]:
    after = reduce(evolve, events, state)
    return pursue(after, after.trades[trade_id], is_asked=is_asked)


def withdraw_entries(state: Account, trade: Trade) -> list[AccountEvent]:
    """Take back what of the trade's entry has not filled: never sent, or canceled as soon as the venue has it."""
    return [
        event
        for order in state.orders_of(trade.trade_id)
        if order.purpose is Purpose.ENTRY
        for event in withdraw(order)
    ]


def withdraw(order: Order) -> list[AccountEvent]:
    """Take an order back: not sent if it was not, else canceled as soon as the venue is known to have it."""
    if order.status is OrderStatus.INTENDED:
        return [OrderBlocked(order_id=order.order_id, trade_id=order.trade_id)]
    if order.status in AT_VENUE | {OrderStatus.PRESUMED_ABSENT} and not order.cancel_requested:
        return [OrderCancelRequested(order_id=order.order_id, trade_id=order.trade_id)]
    return []


# --- What follows from it ---------------------------------------------------------------------------------------------


def absent_exits(state: Account, trade_id: TradeId) -> list[Order]:
    """Return the exits and stops of a trade that are presumed absent, oldest first."""
    return [o for o in state.orders_of(trade_id) if o.purpose.closes and o.status is OrderStatus.PRESUMED_ABSENT]


def pursue(
    state: Account,
    trade: Trade,
    *,
    is_asked: bool = False,
    places: bool = True,
    succession: Succession | None = None,
) -> list[AccountEvent]:
    """Return the next steps that bring the trade's exits and stops to what they shall be.

    *is_asked*: a person or a rule that nothing may hold up asks for it, so `EXITS_MAX` does not count. Without *places*
    no order is added to those that are there: one has just failed, and the next is not sent at once. While one is
    presumed absent, nothing is added but by *succession*.
    """
    events = withdraw_surplus(state, trade)
    if events:  # Too much is under way: nothing is added before that is taken back.
        return events
    if trade.holding.net_quantity == 0:
        return []
    wanted = _wanted_exit(state, trade, is_asked=is_asked)
    if succession is not None and trade.exit_cause is None:
        wanted += succession.lost_quantity
    room = abs(trade.holding.net_quantity) - state.closing_leaves(trade.trade_id)
    if succession is not None:
        room = min(room, succession.quantity)
    elif absent_exits(state, trade.trade_id):
        room = min(room, 0)
    predecessor = None if succession is None else succession.predecessor
    if wanted > 0:
        return _exit(state, trade, wanted, room, is_asked=is_asked, places=places, predecessor=predecessor)
    return _guard(state, trade, room, places=places, predecessor=predecessor)


def _wanted_exit(state: Account, trade: Trade, *, is_asked: bool) -> int:
    """Return how many units shall be closed beyond what working exits cover."""
    if trade.exit_cause is None:
        return trade.reduction
    covered = sum(
        order.leaves_quantity
        for order in state.orders_of(trade.trade_id)
        if order.purpose.closes and _covers(order, is_asked=is_asked)
    )
    return abs(trade.holding.net_quantity) - covered


def _covers(order: Order, *, is_asked: bool) -> bool:
    """Tell whether an exit or stop closes what it stands for. To whom asks, one at a limit does not do so yet."""
    return order.is_working_exit and (order.is_at_market or not is_asked)


def _exit(
    state: Account,
    trade: Trade,
    wanted: int,
    room: int,
    *,
    is_asked: bool,
    places: bool,
    predecessor: OrderId | None,
) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    now = min(room, wanted)
    if now > 0 and places and (is_asked or trade.exit_count < EXITS_MAX):
        events += _intend(trade, now, purpose=Purpose.EXIT, stop_price_e4=None, buffer_bp=0, successor_of=predecessor)
    missing = wanted - max(now, 0)
    for stop in _resting_stops(state, trade, is_asked=is_asked):
        if missing <= 0:
            break
        taken = min(missing, stop.leaves_quantity)
        missing -= taken
        events += _take_from(stop, taken, is_part=trade.exit_cause is None)
    if places and any(isinstance(event, OrderBlocked) for event in events):
        # A stop that was never sent gives its room at once: no word of the venue follows that could.
        events += _pursued(state, events, trade.trade_id, is_asked=is_asked)
    return events


def _resting_stops(state: Account, trade: Trade, *, is_asked: bool = False) -> list[Order]:
    """Return the live stops that do not work as exits yet, newest first."""
    orders = [o for o in state.orders_of(trade.trade_id) if o.purpose is Purpose.STOP and o.leaves_quantity]
    return [order for order in reversed(orders) if not _covers(order, is_asked=is_asked)]


def _take_from(stop: Order, quantity: int, *, is_part: bool) -> list[AccountEvent]:
    """Make *quantity* units of a resting stop an exit: the whole of it at the market, of a part by shrinking it.

    *is_part*: only a part of the trade shall be closed. Then the stop gives its room to exits of their own: what fills
    under its name closes the whole trade.
    """
    if stop.wanted is not None or stop.cancel_requested:
        return []  # Its next word is outstanding.
    if not _may_be_modified(stop):
        return withdraw(stop)
    if quantity >= stop.leaves_quantity:
        if is_part:
            return withdraw(stop)
        at_market = msgspec.structs.replace(
            stop.instruction, order_type=OrderType.MARKET, limit_price_e4=None, trigger_price_e4=None
        )
        return [_modify(stop, at_market, ModifyCause.EXIT)]
    smaller = msgspec.structs.replace(stop.instruction, quantity=stop.instruction.quantity - quantity)
    return [_modify(stop, smaller, ModifyCause.SIZE)]


def _modify(
    order: Order, instruction: OrderInstruction, cause: ModifyCause, *, mark: Mark | None = None
) -> OrderModifyRequested:
    return OrderModifyRequested(
        order_id=order.order_id,
        trade_id=order.trade_id,
        number=order.modifications + 1,
        instruction=instruction,
        cause=cause,
        mark=mark,
    )


def modify(
    order: Order, instruction: OrderInstruction, cause: ModifyCause, *, mark: Mark | None = None
) -> list[AccountEvent]:
    """Ask for *order* to become *instruction*, where it may be asked for and changes anything."""
    if not order.is_modifiable or instruction == order.instruction or order.modifications >= MODIFICATIONS_MAX:
        return []
    return [_modify(order, instruction, cause, mark=mark)]


def withdraw_surplus(state: Account, trade: Trade) -> list[AccountEvent]:
    """Take back live exits and stops that could fill more than the trade holds: stops first, then the older ones.

    They come about when an exit that was given up for absent turns up beside its successor, when one fills late after
    it was canceled and another took its place, or when somebody outside closed what a stop guards.
    """
    held = trade.holding.net_quantity
    room = abs(held)
    closing = [o for o in state.orders_of(trade.trade_id) if o.purpose.closes and o.leaves_quantity]
    events: list[AccountEvent] = []
    closing.reverse()  # Of each kind the newest keeps its room.
    for order in sorted(closing, key=lambda o: not o.is_working_exit):
        is_right = order.instruction.side.sign * held < 0
        if is_right and order.leaves_quantity <= room:
            room -= order.leaves_quantity
        elif is_right and room > 0 and order.purpose is Purpose.STOP and _may_be_modified(order):
            quantity = order.cumulative_quantity + room
            smaller = msgspec.structs.replace(order.instruction, quantity=quantity)
            events.append(_modify(order, smaller, ModifyCause.SIZE))
            room = 0
        elif order.wanted is None or not (is_right and room > 0):
            events += withdraw(order)
        else:
            room = 0  # It is being made smaller already; the venue's word is outstanding.
    return events


def _may_be_modified(order: Order) -> bool:
    return order.is_modifiable and order.modifications < MODIFICATIONS_MAX and not order.refused_modifications


# --- The resting stop -------------------------------------------------------------------------------------------------


def _guard(
    state: Account, trade: Trade, uncovered: int, *, places: bool, predecessor: OrderId | None
) -> list[AccountEvent]:
    """Return what brings the resting stop to the size of the holding and to its level.

    *uncovered* units are held that no exit or stop stands for, as far as any may be added for them.
    """
    stops = _resting_stops(state, trade)
    if trade.protection is not ProtectionMode.RESTING or trade.exit_cause is not None:
        return []
    if trade.stop_loss_e4 is None:
        return [event for stop in stops for event in withdraw(stop)]
    may_place = places and not trade.is_lapsed and not trade.has_failed_protection
    if not stops:
        return _place_stop(state, trade, uncovered, predecessor) if may_place and uncovered > 0 else []
    return _resize(state, trade, stops, uncovered, may_place=may_place, predecessor=predecessor)


def _place_stop(state: Account, trade: Trade, quantity: int, predecessor: OrderId | None) -> list[AccountEvent]:
    failed = _stops_failed(state, trade)
    if failed >= STOPS_FAILED_MAX:
        reason = f"the venue would not have {failed} stops; the engine watches the level itself"
        return [ProtectionFailed(trade_id=trade.trade_id, order_id=None, reason=reason)]
    return _intend(
        trade,
        quantity,
        purpose=Purpose.STOP,
        stop_price_e4=trade.stop_loss_e4,
        buffer_bp=state.parameters.stop_limit_buffer_bp,
        successor_of=predecessor,
    )


def _stops_failed(state: Account, trade: Trade) -> int:
    """Return how many of the trade's newest stops came to nothing, one after another."""
    failed = 0
    stops = [o for o in state.orders_of(trade.trade_id) if o.purpose is Purpose.STOP]
    for order in reversed(stops[trade.stops_forgiven :]):
        is_failed = order.status is OrderStatus.REJECTED or (
            order.status is OrderStatus.CANCELED and not order.cancel_requested
        )
        if not is_failed:
            break
        failed += 1
    return failed


def _resize(
    state: Account,
    trade: Trade,
    stops: list[Order],
    uncovered: int,
    *,
    may_place: bool,
    predecessor: OrderId | None,
) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    for stop in stops:
        told = stop_instruction(
            trade,
            stop.instruction.quantity,
            stop_price_e4=trade.stop_loss_e4 or 0,
            buffer_bp=state.parameters.stop_limit_buffer_bp,
        )
        if not stop.is_modifiable:
            if stop.status is OrderStatus.INTENDED and (told != stop.instruction or uncovered > 0):
                events += withdraw(stop)  # It was not sent yet: one of the right size takes its place.
                return events + _pursued(state, events, trade.trade_id, is_asked=False)
            continue
        grown = uncovered
        if trade.freeze_quantity is not None:
            grown = min(uncovered, trade.freeze_quantity - stop.instruction.quantity)
        grown = max(grown, 0)
        is_trailed_out = trade.trailing is not None and stop.modifications >= (
            state.parameters.trailing_modifications_max
        )
        level = stop.instruction if is_trailed_out else told
        wanted = msgspec.structs.replace(level, quantity=stop.instruction.quantity + grown)
        if wanted == stop.instruction:
            continue
        if not _may_be_modified(stop):
            events += withdraw(stop)  # Another one follows when the venue has canceled it.
            continue
        uncovered -= grown
        events.append(_modify(stop, wanted, ModifyCause.SIZE if grown else ModifyCause.LEVEL))
    is_full = trade.freeze_quantity is not None and all(
        stop.instruction.quantity >= trade.freeze_quantity for stop in stops
    )
    if uncovered > 0 and is_full and may_place:
        events += _place_stop(state, trade, uncovered, predecessor)
    return events


def stop_instruction(trade: Trade, quantity: int, *, stop_price_e4: int, buffer_bp: int) -> OrderInstruction:
    """Return the stop order for *quantity* units at *stop_price_e4*, its limit *buffer_bp* behind, on the tick."""
    side = trade.exit_side
    buffer = stop_price_e4 * buffer_bp // BASIS_POINTS
    return OrderInstruction(
        instrument=trade.entry.instrument,
        side=side,
        quantity=quantity,
        order_type=OrderType.SL,
        limit_price_e4=on_tick(stop_price_e4 + side.sign * buffer, tick_e4=trade.tick_e4, side=side),
        trigger_price_e4=stop_price_e4,
        product=trade.entry.product,
    )


def on_tick(price_e4: int, *, tick_e4: int, side: Side) -> int:
    """Return *price_e4* moved to a tick, the way that lets an order on *side* execute sooner; one tick at least."""
    lower = price_e4 // tick_e4 * tick_e4
    if side is Side.BUY and lower != price_e4:
        lower += tick_e4
    return max(lower, tick_e4)


def _intend(
    trade: Trade,
    quantity: int,
    *,
    purpose: Purpose,
    stop_price_e4: int | None,
    buffer_bp: int,
    successor_of: OrderId | None,
) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    for number, part in enumerate(slices(quantity, trade.freeze_quantity), trade.order_count + 1):
        if stop_price_e4 is None:
            instruction = OrderInstruction(
                instrument=trade.entry.instrument,
                side=trade.exit_side,
                quantity=part,
                order_type=OrderType.MARKET,
                limit_price_e4=None,
                product=trade.entry.product,
            )
        else:
            instruction = stop_instruction(trade, part, stop_price_e4=stop_price_e4, buffer_bp=buffer_bp)
        events.append(
            OrderIntended(
                order_id=order_id_of(trade.trade_id, number),
                trade_id=trade.trade_id,
                purpose=purpose,
                instruction=instruction,
                not_after_ns=None,
                successor_of=successor_of,
            )
        )
    return events


# --- The end ----------------------------------------------------------------------------------------------------------


def with_closings(
    state: Account, events: Iterable[AccountEvent], trade_ids: Iterable[TradeId]
) -> tuple[AccountEvent, ...]:
    """Return *events*, and after them a `TradeClosed` for each of the trades that they leave with nothing to come."""
    decided, touched = tuple(events), tuple(trade_ids)
    if not touched:
        return decided
    after = reduce(evolve, decided, state)
    closings = tuple(closing(after.trades[trade_id]) for trade_id in touched if is_done(after, trade_id))
    return decided + closings


def is_done(state: Account, trade_id: TradeId) -> bool:
    """Tell whether a trade that is not closed yet holds nothing, and nothing of it can fill or is still to come."""
    trade = state.trades[trade_id]
    return (
        not trade.is_closed
        and trade.holding.net_quantity == 0
        and (trade.order_count > 0 or trade.exit_cause is not None)
        and all(order.status in CLOSED for order in state.orders_of(trade_id))
    )


def closing(trade: Trade) -> TradeClosed:
    """Return the event that ends *trade*."""
    return TradeClosed(
        trade_id=trade.trade_id,
        cause=trade.exit_cause,
        entry_quantity=trade.entry_quantity,
        realised_paise=trade.holding.realised_paise,
    )
