"""Baskets: several trades checked together, sent rank by rank, with a policy for a leg that fails."""

from functools import reduce

from domain.account.commands import OpenBasket
from domain.account.events import (
    AccountEvent,
    BasketCompleted,
    BasketFailed,
    BasketLeg,
    BasketOpened,
    BasketPolicy,
    ExitCause,
    OrderDenied,
    Role,
    TradeExitTriggered,
)
from domain.account.evolve import evolve, on_day
from domain.account.exits import begin_exit, with_closings
from domain.account.refusals import BasketInvalid, demand_role
from domain.account.state import Account, Basket, Trade
from domain.account.trades import demand_well_formed, entry_orders, open_entry
from domain.ids import TradeId
from domain.market import trading_day
from domain.order import CLOSED, Purpose
from domain.refusals import InvalidInput

LEGS_MAX = 20


def open_basket(command: OpenBasket, state: Account) -> tuple[AccountEvent, ...]:
    """Open every leg and send the first rank, or deny the basket with the first denial that a leg meets.

    Each leg is checked on the account as the legs before it leave it, so that together they pass no limit either.
    """
    demand_role(state, command.user_id, Role.TRADER)
    _demand_basket(command)
    if command.basket_id in state.baskets or any(leg.trade_id in state.trades for leg in command.legs):
        return ()  # The same basket again: the first decision stands.
    state = on_day(state, trading_day(command.legs[0].market.market_time_ns).isoformat())
    in_turn = sorted(zip(command.legs, command.ranks, strict=True), key=lambda pair: pair[1])
    opened = BasketOpened(
        basket_id=command.basket_id,
        user_id=command.user_id,
        legs=tuple(BasketLeg(trade_id=leg.trade_id, rank=rank) for leg, rank in in_turn),
        policy=command.policy,
    )
    events: list[AccountEvent] = []
    after = state
    for leg, rank in in_turn:
        instrument = leg.market.instrument
        if instrument is None:
            raise InvalidInput("a leg names no instrument")
        demand_well_formed(leg, instrument)
        decided = open_entry(leg, after, instrument, basket_id=command.basket_id, sends=rank == 0)
        if isinstance(decided[0], OrderDenied):
            return (decided[0],)
        events += decided
        after = reduce(evolve, decided, after)
    return (*events, opened)  # Last, so that the day of its legs has begun when it comes to be.


def _demand_basket(command: OpenBasket) -> None:
    if not 2 <= len(command.legs) <= LEGS_MAX:  # noqa: PLR2004 - one leg is a trade
        raise BasketInvalid(f"received {len(command.legs)} legs, expected 2 to {LEGS_MAX}")
    if len(command.ranks) != len(command.legs) or sorted(set(command.ranks)) != list(range(len(set(command.ranks)))):
        raise BasketInvalid(f"received ranks {list(command.ranks)}, expected one a leg, 0 first and none left out")
    if len({leg.trade_id for leg in command.legs}) != len(command.legs):
        raise BasketInvalid("two legs have the same name")


def with_basket(state: Account, events: tuple[AccountEvent, ...]) -> tuple[AccountEvent, ...]:
    """Return *events*, and what follows from them for the baskets of the trades that they speak of."""
    if not state.baskets:
        return events
    touched = {getattr(event, "trade_id", None) for event in events}
    basket_ids = [
        basket.basket_id for basket in state.baskets.values() if any(leg.trade_id in touched for leg in basket.legs)
    ]
    after = reduce(evolve, events, state)
    decided = list(events)
    for basket_id in basket_ids:
        further = _advance(after, after.baskets[basket_id])
        decided += further
        after = reduce(evolve, further, after)
    return tuple(decided)


def _advance(state: Account, basket: Basket) -> list[AccountEvent]:
    legs = [(leg, state.trades[leg.trade_id]) for leg in basket.legs if leg.trade_id in state.trades]
    for leg, trade in legs:
        if leg.trade_id not in basket.failed and _has_failed(state, trade):
            return _failed(state, basket, leg.trade_id)
    for rank in sorted({leg.rank for leg, _ in legs}):
        of_rank = [trade for leg, trade in legs if leg.rank == rank]
        if any(trade.order_count == 0 and not trade.is_closed for trade in of_rank):
            return _sent(state, of_rank)
        if not all(_is_through(state, trade) for trade in of_rank):
            return []  # Its turn is not over.
    return [BasketCompleted(basket_id=basket.basket_id)]


def _is_filled(trade: Trade) -> bool:
    return trade.entry_quantity >= trade.entry.quantity


def _has_failed(state: Account, trade: Trade) -> bool:
    """Tell whether the trade's entry is over and has not filled whole."""
    if _is_filled(trade):
        return False
    entries = [order for order in state.orders_of(trade.trade_id) if order.purpose is Purpose.ENTRY]
    if not entries:
        return trade.is_closed or trade.exit_cause is not None
    return all(order.status in CLOSED for order in entries)


def _is_through(state: Account, trade: Trade) -> bool:
    return _is_filled(trade) or _has_failed(state, trade)


def _sent(state: Account, trades: list[Trade]) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    for trade in trades:
        if trade.order_count == 0 and not trade.is_closed and not state.is_killed(trade.strategy_id):
            events += entry_orders(trade.trade_id, trade.entry, trade.freeze_quantity, not_after_ns=None)
    return events


def _failed(state: Account, basket: Basket, failed: TradeId) -> list[AccountEvent]:
    """Apply the basket's policy to the legs that did not fail, and go on from there."""
    events: list[AccountEvent] = [
        BasketFailed(basket_id=basket.basket_id, failed_trade_id=failed, policy=basket.policy)
    ]
    after = reduce(evolve, events, state)
    if basket.policy is BasketPolicy.CONTINUE:
        return events + _advance(after, after.baskets[basket.basket_id])
    touched = []
    for leg in basket.legs:
        trade = after.trades.get(leg.trade_id)
        if trade is None or trade.is_closed or trade.exit_cause is not None:
            continue
        if trade.order_count == 0:
            events.append(TradeExitTriggered(trade_id=trade.trade_id, cause=ExitCause.BASKET, mark=None))
        elif basket.policy is BasketPolicy.UNWIND:
            events += begin_exit(after, trade, ExitCause.BASKET)
        touched.append(trade.trade_id)
    return list(with_closings(state, events, touched))
