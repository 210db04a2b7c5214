"""An account's past by plain arithmetic over its events, written without any fold of the product's."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from domain.account.events import (
    AccountOpened,
    BasketCompleted,
    BasketFailed,
    BasketPolicy,
    CashMoved,
    CorporateActionApplied,
    ForeignFillAllocated,
    IntentsSuppressed,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderAcknowledged,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderModifyRequested,
    OrderRejected,
    RiskBreached,
    RiskBreachReleased,
    RiskParametersChanged,
    StopTrailed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.charges import sum_of
from domain.envelope import RecordedEvent
from domain.events import Event, decode
from domain.market import trading_day
from domain.order import Purpose, Side
from domain.risk import BreachKind, DenialCode, RiskParameters
from tests.support.life_cycle import LEADS_TO, WITHOUT_A_STEP, FollowedOrders

Fill = OrderFilled | ForeignFillAllocated
Seen = list[tuple[Event, RecordedEvent]]


class Oracle:
    """What an account's screens showed after the event with *sequence*, in plain values. `seen`: its events so far."""

    def __init__(self, account_id: str, log: Sequence[RecordedEvent], sequence: int) -> None:
        stream = f"account-{account_id}"
        self.seen: Seen = [
            (decode(each.name, each.payload), each)
            for each in log
            if each.stream_id == stream and each.sequence <= sequence
        ]

    @cached_property
    def _followed(self) -> FollowedOrders:
        followed = FollowedOrders()
        followed.take(event for event, _ in self.seen)  # type: ignore[misc]
        return followed

    # --- Trades -------------------------------------------------------------------------------------------------------

    def trades(self) -> list[dict[str, Any]]:
        """Return every trade, newest first."""
        return self._trades

    @cached_property
    def _trades(self) -> list[dict[str, Any]]:
        begun = [(event, at) for event, at in self.seen if isinstance(event, TradeOpened | OrderDenied | TradeAdopted)]
        return [self._trade(event, at) for event, at in reversed(begun)]

    def _of_trade(self, trade_id: str) -> Seen:
        return [
            (event, each)
            for event, each in self.seen
            if getattr(event, "trade_id", None) == trade_id
            or (isinstance(event, CorporateActionApplied) and trade_id in {left.trade_id for left in event.trades})
        ]

    def _trade(self, begun: TradeOpened | OrderDenied | TradeAdopted, at: RecordedEvent) -> dict[str, Any]:
        own = self._of_trade(begun.trade_id)
        fills = [event for event, _ in own if isinstance(event, Fill)]
        ours = [event for event in fills if isinstance(event, OrderFilled)]
        foreign = [event for event in fills if isinstance(event, ForeignFillAllocated)]
        exits = [(event, each) for event, each in own if isinstance(event, TradeExitTriggered)]
        closed_at = [each for event, each in own if isinstance(event, TradeClosed)]
        filled_at = [each for event, each in own if isinstance(event, Fill)]
        # A fill after the closing opens the trade again.
        is_closed = bool(closed_at) and not any(each.sequence > closed_at[-1].sequence for each in filled_at)
        # An exit that is asked for once more after a late fill is shown as exiting too.
        reopened_exit = exits and closed_at and exits[-1][1].sequence > closed_at[-1].sequence
        entries = [event for event in ours if event.purpose is Purpose.ENTRY]
        others = [event for event in ours if event.purpose is not Purpose.ENTRY]
        if isinstance(begun, OrderDenied):
            status = "denied"
        elif is_closed and not reopened_exit:
            status = "closed"
        elif exits:
            status = "exiting"
        else:
            status = "open" if fills or isinstance(begun, TradeAdopted) else "intended"
        closed_us = closed_at[-1].recorded_at_us if is_closed else None
        changes = [event for event, _ in own if isinstance(event, TradeChanged)]
        return {
            "trade_id": begun.trade_id,
            "symbol": begun.symbol,
            "is_external": isinstance(begun, TradeAdopted),
            "strategy_id": None if isinstance(begun, TradeAdopted) else begun.strategy_id,
            "quantity": self._wanted(begun),
            "status": status,
            "entry_venue_order_id": _entry_venue_order_id(own),
            "opened_sequence": at.sequence,
            "sequence": own[-1][1].sequence,
            "version": changes[-1].version if changes else 1,
            "stop_loss_e4": _stop_loss_e4(own),
            "trail_count": sum(isinstance(event, StopTrailed) for event, _ in own),
            "entry_quantity": sum(event.last_quantity for event in entries)
            + sum(event.last_quantity - event.closed_quantity for event in foreign),
            "entry_paise": sum(event.value_paise for event in entries)
            + sum(abs(event.opened_cost_paise) for event in foreign),
            "exit_quantity": sum(event.last_quantity for event in others)
            + sum(event.closed_quantity for event in foreign),
            "exit_paise": sum(event.value_paise for event in others)
            + sum(event.value_paise - abs(event.opened_cost_paise) for event in foreign),
            "exit_cause": exits[-1][0].cause if exits else None,
            "net_quantity": _held(begun.trade_id, own),
            "cost_paise": sum(event.opened_cost_paise - event.closed_cost_paise for event in fills),
            "realised_paise": sum(event.realised_paise for event in fills),
            "charges": sum_of(event.charges for event in fills),
            "guarded_quantity": self._guarded(begun.trade_id),
            "denial_code": begun.code if isinstance(begun, OrderDenied) else None,
            "last_filled_at_ns": fills[-1].filled_at_ns if fills else None,
            "closed_at_us": at.recorded_at_us if status == "denied" else closed_us,
        }

    def _wanted(self, begun: TradeOpened | OrderDenied | TradeAdopted) -> int:
        """Return what an entry wants by now: what it wanted, and what modifications of its orders changed in that."""
        if isinstance(begun, TradeAdopted):
            return 0
        wanted = begun.entry.quantity
        told: dict[str, int] = {}
        for event, _ in self.seen:
            if isinstance(event, OrderIntended) and event.purpose is Purpose.ENTRY and event.trade_id == begun.trade_id:
                told[event.order_id] = event.instruction.quantity
            elif isinstance(event, OrderModified) and event.order_id in told:
                wanted += event.instruction.quantity - told[event.order_id]
                told[event.order_id] = event.instruction.quantity
        return wanted

    def _guarded(self, trade_id: str) -> int:
        """Return how many units the trade's stops guard that rest at the venue."""
        stops = [
            order
            for order in self._followed.of(trade_id)  # type: ignore[arg-type]
            if order.purpose is Purpose.STOP and order.status in {"acknowledged", "partly_filled"}
        ]
        return sum(max(0, order.quantity - order.filled) for order in stops)

    # --- Orders -------------------------------------------------------------------------------------------------------

    def orders(self, trade_id: str) -> list[dict[str, Any]]:
        """Return the orders of a trade, oldest first."""
        orders = []
        for event, at in self.seen:
            if isinstance(event, OrderIntended) and event.trade_id == trade_id:
                order = self._followed.by_id[event.order_id]
                mine = (*WITHOUT_A_STEP, OrderIntended, *LEADS_TO)
                own = [
                    (each, recorded)
                    for each, recorded in self.seen
                    if isinstance(each, mine) and each.order_id == event.order_id  # type: ignore[union-attr]
                ]
                orders.append(
                    {
                        "order_id": event.order_id,
                        "status": order.status,
                        "quantity": order.quantity,
                        "modifications": sum(isinstance(each, OrderModifyRequested) for each, _ in own),
                        "is_modifying": order.wanted_quantity is not None,
                        "cumulative_quantity": order.filled,
                        "leaves_quantity": order.leaves,
                        "cancel_requested": order.cancel_requested,
                        "submissions": order.submissions,
                        "filled_paise": sum(each.value_paise for each, _ in own if isinstance(each, OrderFilled)),
                        "intended_sequence": at.sequence,
                        "sequence": own[-1][1].sequence,
                    }
                )
        return orders

    # --- Positions ----------------------------------------------------------------------------------------------------

    def positions(self) -> list[dict[str, Any]]:
        """Return every position in which something was filled, by symbol and product."""
        fills: defaultdict[tuple[str, str, str], list[Fill]] = defaultdict(list)
        names: dict[tuple[str, str, str], str] = {}
        for event, _ in self.seen:
            if isinstance(event, TradeOpened):
                key = (event.entry.instrument.segment, event.entry.instrument.security_id, event.entry.product)
                names[key] = event.symbol
            elif isinstance(event, TradeAdopted):
                names[event.instrument.segment, event.instrument.security_id, event.product] = event.symbol
            elif isinstance(event, Fill):
                fills[event.instrument.segment, event.instrument.security_id, event.product].append(event)
        positions = []
        for key, own in sorted(fills.items(), key=lambda item: (names[item[0]], item[0][2])):
            day = max(event.trading_day for event in own)
            positions.append(
                {
                    "symbol": names[key],
                    "net_quantity": sum(
                        _held(trade_id, self._of_trade(trade_id)) for trade_id in {event.trade_id for event in own}
                    ),
                    "cost_paise": sum(event.opened_cost_paise - event.closed_cost_paise for event in own),
                    "bought_quantity": sum(event.last_quantity for event in own if event.side is Side.BUY),
                    "bought_paise": sum(event.value_paise for event in own if event.side is Side.BUY),
                    "sold_quantity": sum(event.last_quantity for event in own if event.side is Side.SELL),
                    "sold_paise": sum(event.value_paise for event in own if event.side is Side.SELL),
                    "realised_paise": sum(event.realised_paise for event in own),
                    "last_filled_at_ns": own[-1].filled_at_ns,
                    "charges_paise": sum(map(_charged, own)),
                    "of_day": (
                        day,
                        sum(e.realised_paise for e in own if e.trading_day == day),
                        sum(_charged(e) for e in own if e.trading_day == day),
                    ),
                }
            )
        return positions

    # --- Risk ---------------------------------------------------------------------------------------------------------

    def risk(self) -> dict[str, Any] | None:
        """Return the account's row, None before it was opened."""
        opened = [event for event, _ in self.seen if isinstance(event, AccountOpened)]
        if not opened:
            return None
        changes = [event.parameters for event, _ in self.seen if isinstance(event, RiskParametersChanged)]
        switches = [e for e, _ in self.seen if isinstance(e, KillSwitchEngaged | KillSwitchReleased)]
        engaged = {each.strategy_id: each for each in switches}
        still = [each for each in engaged.values() if isinstance(each, KillSwitchEngaged)]
        days = [_day(event) for event, _ in self.seen]
        day = max((each for each in days if each is not None), default="")
        denials = [event for event, _ in self.seen if isinstance(event, OrderDenied)]
        trades = [event for event, _ in self.seen if isinstance(event, TradeOpened)]
        fills = [event for event, _ in self.seen if isinstance(event, Fill)]
        sums = list(accumulate((event.realised_paise - _charged(event) for event in fills), initial=0))
        return {
            "account_id": opened[0].account_id,
            "parameters": [opened[0].parameters, *changes][-1],
            "kill_switch_engaged": isinstance(engaged.get(None), KillSwitchEngaged),
            "switches": {(each.strategy_id, each.mode, each.reason) for each in still},
            "day": day,
            "latched": self._latched(day),
            "breaches": dict(Counter(e.kind.value for e, _ in self.seen if isinstance(e, RiskBreached))),
            "trades": len(trades),
            "trades_today": sum(_day(event) == day for event in trades),
            "denials": dict(Counter(event.code.value for event in denials)),
            "denials_today": dict(Counter(event.code.value for event in denials if _day(event) == day)),
            "suppressed": sum(event.count for event, _ in self.seen if isinstance(event, IntentsSuppressed)),
            "realised_paise": sum(event.realised_paise for event in fills),
            "charges_paise": sum(map(_charged, fills)),
            "charges_today_paise": sum(_charged(event) for event in fills if _day(event) == day),
            "peak_net_paise": max(sums),
            "realised_today_paise": sum(event.realised_paise for event in fills if _day(event) == day),
            "cash_moved_paise": sum(event.amount_paise for event, _ in self.seen if isinstance(event, CashMoved)),
            "corporate_actions": sum(isinstance(event, CorporateActionApplied) for event, _ in self.seen),
            "baskets_completed": sum(isinstance(event, BasketCompleted) for event, _ in self.seen),
            "baskets_failed": sum(
                isinstance(event, BasketFailed) and event.policy is not BasketPolicy.CONTINUE for event, _ in self.seen
            ),
            "open_trades": {
                trade["trade_id"] for trade in self.trades() if trade["status"] not in {"closed", "denied"}
            },
        }

    def limits(self) -> list[RiskParameters]:
        """Return the limits that were in force, newest first."""
        kinds = AccountOpened | RiskParametersChanged
        return [event.parameters for event, _ in reversed(self.seen) if isinstance(event, kinds)]

    def _latched(self, day: str) -> set[str]:
        """Return which limits on losses were reached on *day* and not released since."""
        codes = {
            DenialCode.DAY_LOSS_LIMIT_REACHED: BreachKind.DAY_LOSS,
            DenialCode.DRAWDOWN_LIMIT_REACHED: BreachKind.DRAWDOWN,
        }
        latched: set[str] = set()
        for event, _ in self.seen:
            if isinstance(event, RiskBreached) and event.trading_day == day:
                latched.add(event.kind)
            elif isinstance(event, OrderDenied) and event.code in codes and _day(event) == day:
                latched.add(codes[event.code])
            elif isinstance(event, RiskBreachReleased):
                latched.discard(event.kind)
        return latched

    # --- Days ---------------------------------------------------------------------------------------------------------

    def daily_results(self) -> dict[tuple[str, str], dict[str, int]]:
        """Return by day and security id what was realised, and what was held at the day's end in all products."""
        dated = [(event, at, _day_of_holding(event)) for event, at in self.seen]
        results = {}
        for day in sorted({day for _, _, day in dated if day is not None}):
            then = [(event, at) for event, at, own_day in dated if own_day is not None and own_day <= day]
            fills = [event for event, _ in then if isinstance(event, Fill)]
            splits = [event for event, _ in then if isinstance(event, CorporateActionApplied)]
            for instrument in {event.instrument for event in (*fills, *splits)}:
                own = [event for event in fills if event.instrument == instrument]
                trade_ids = {event.trade_id for event in own}
                results[day, instrument.security_id] = {
                    "realised_paise": sum(event.realised_paise for event in own if _day(event) == day),
                    "charges_paise": sum(_charged(event) for event in own if _day(event) == day),
                    "net_quantity": sum(_held(trade_id, then) for trade_id in trade_ids),
                    "cost_paise": sum(event.opened_cost_paise - event.closed_cost_paise for event in own),
                }
        return results

    def marks(self, day: str) -> dict[str, int]:
        """Return the newest price that was recorded of each instrument on *day*, by security id.

        Once a price of a later day was recorded, nothing of this one is told, though no trade or denial began that.
        """
        marks = []
        for event, _ in self.seen:
            if isinstance(event, TradeOpened | OrderDenied):
                marks += event.market.marks
            elif isinstance(event, RiskBreached):
                marks += event.marks
            elif isinstance(event, TradeExitTriggered | StopTrailed | OrderModifyRequested) and event.mark is not None:
                marks.append(event.mark)
        days = [trading_day(mark.exchange_time_ns).isoformat() for mark in marks]
        of_day = [mark for mark, its_day in zip(marks, days, strict=True) if its_day == day == max(days)]
        ordered = sorted(of_day, key=lambda mark: mark.exchange_time_ns)
        return {mark.instrument.security_id: mark.last_price_e4 for mark in ordered}


def _held(trade_id: str, own: Seen) -> int:
    """Return what a trade held after *own*: fills add to it, a corporate action says it anew."""
    held = 0
    for event, _ in own:
        if isinstance(event, Fill) and event.trade_id == trade_id:
            held += event.last_quantity if event.side is Side.BUY else -event.last_quantity
        elif isinstance(event, CorporateActionApplied):
            for left in event.trades:
                held = left.net_quantity if left.trade_id == trade_id else held
    return held


def _entry_venue_order_id(own: Seen) -> str | None:
    """Return the venue's newest name of the first order of a trade's entry, None before it told any."""
    entries = [e.order_id for e, _ in own if isinstance(e, OrderIntended) and e.purpose is Purpose.ENTRY]
    told = [
        event.venue_order_id
        for event, _ in own
        if isinstance(event, OrderAcknowledged | OrderRejected) and event.order_id in entries[:1]
    ]
    return next((name for name in reversed(told) if name is not None), None)


def _stop_loss_e4(own: Seen) -> int | None:
    """Return the stop after *own*, the events of one trade: the newest word on it."""
    trade_id = getattr(own[0][0], "trade_id", None)
    for event, _ in reversed(own):
        if isinstance(event, TradeOpened | OrderDenied | TradeChanged | StopTrailed):
            return event.stop_loss_e4
        if isinstance(event, CorporateActionApplied):
            return next(left.stop_loss_e4 for left in event.trades if left.trade_id == trade_id)
    return None


def _day_of_holding(event: Event) -> str | None:
    """Return on which day an event changed what is held, None where it did not."""
    match event:
        case OrderFilled() | ForeignFillAllocated():
            return event.trading_day
        case CorporateActionApplied():
            return event.effective_on
        case _:
            return None


def _charged(event: Fill) -> int:
    return event.charges.total_paise


def _day(event: Event) -> str | None:
    match event:
        case TradeOpened() | OrderDenied():
            return trading_day(event.market.market_time_ns).isoformat()
        case OrderFilled() | ForeignFillAllocated() | RiskBreached() | CashMoved() | TradeAdopted():
            return event.trading_day
        case _:
            return None
