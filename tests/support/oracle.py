"""An account's past by plain arithmetic over its events, written without any fold of the product's."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from domain.account.events import (
    AccountOpened,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    RiskParametersChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event, decode
from domain.market import trading_day
from domain.order import Purpose, Side
from tests.support.life_cycle import LEADS_TO, FollowedOrders

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

    # --- Trades -------------------------------------------------------------------------------------------------------

    def trades(self) -> list[dict[str, Any]]:
        """Return every trade, newest first."""
        begun = [(event, at) for event, at in self.seen if isinstance(event, TradeOpened | OrderDenied)]
        return [self._trade(event, at) for event, at in reversed(begun)]

    def _trade(self, begun: TradeOpened | OrderDenied, at: RecordedEvent) -> dict[str, Any]:
        own = [(event, each) for event, each in self.seen if getattr(event, "trade_id", None) == begun.trade_id]
        fills = [event for event, _ in own if isinstance(event, OrderFilled)]
        exits = [(event, each) for event, each in own if isinstance(event, TradeExitTriggered)]
        closed_at = [each for event, each in own if isinstance(event, TradeClosed)]
        filled_at = [each for event, each in own if isinstance(event, OrderFilled)]
        # A fill after the closing opens the trade again.
        is_closed = bool(closed_at) and not any(each.sequence > closed_at[-1].sequence for each in filled_at)
        # An exit that is asked for once more after a late fill is shown as exiting too.
        reopened_exit = exits and closed_at and exits[-1][1].sequence > closed_at[-1].sequence
        entries = [event for event in fills if event.purpose is Purpose.ENTRY]
        others = [event for event in fills if event.purpose is not Purpose.ENTRY]
        if isinstance(begun, OrderDenied):
            status = "denied"
        elif is_closed and not reopened_exit:
            status = "closed"
        elif exits:
            status = "exiting"
        else:
            status = "open" if fills else "intended"
        closed_us = closed_at[-1].recorded_at_us if is_closed else None
        return {
            "trade_id": begun.trade_id,
            "symbol": begun.symbol,
            "quantity": begun.entry.quantity,
            "status": status,
            "opened_sequence": at.sequence,
            "sequence": own[-1][1].sequence,
            "entry_quantity": sum(event.last_quantity for event in entries),
            "entry_paise": sum(event.value_paise for event in entries),
            "exit_quantity": sum(event.last_quantity for event in others),
            "exit_paise": sum(event.value_paise for event in others),
            "exit_cause": exits[-1][0].cause if exits else None,
            "net_quantity": sum(_signed(event) for event in fills),
            "cost_paise": sum(event.opened_cost_paise - event.closed_cost_paise for event in fills),
            "realised_paise": sum(event.realised_paise for event in fills),
            "denial_code": begun.code if isinstance(begun, OrderDenied) else None,
            "last_filled_at_ns": fills[-1].filled_at_ns if fills else None,
            "closed_at_us": at.recorded_at_us if status == "denied" else closed_us,
        }

    # --- Orders -------------------------------------------------------------------------------------------------------

    def orders(self, trade_id: str) -> list[dict[str, Any]]:
        """Return the orders of a trade, oldest first."""
        followed = FollowedOrders()
        followed.take(event for event, _ in self.seen)  # type: ignore[misc]
        orders = []
        for event, at in self.seen:
            if isinstance(event, OrderIntended) and event.trade_id == trade_id:
                order = followed.by_id[event.order_id]
                mine = (OrderFilled, OrderCancelRequested, OrderIntended, *LEADS_TO)
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
        """Return every position in which something was filled, by symbol."""
        fills: defaultdict[tuple[str, str, str], list[OrderFilled]] = defaultdict(list)
        names: dict[tuple[str, str, str], str] = {}
        for event, _ in self.seen:
            if isinstance(event, TradeOpened):
                key = (event.entry.instrument.segment, event.entry.instrument.security_id, event.entry.product)
                names[key] = event.symbol
            elif isinstance(event, OrderFilled):
                fills[event.instrument.segment, event.instrument.security_id, event.product].append(event)
        positions = []
        for key, own in fills.items():
            day = max(event.trading_day for event in own)
            positions.append(
                {
                    "symbol": names[key],
                    "net_quantity": sum(_signed(event) for event in own),
                    "cost_paise": sum(event.opened_cost_paise - event.closed_cost_paise for event in own),
                    "bought_quantity": sum(event.last_quantity for event in own if event.side is Side.BUY),
                    "bought_paise": sum(event.value_paise for event in own if event.side is Side.BUY),
                    "sold_quantity": sum(event.last_quantity for event in own if event.side is Side.SELL),
                    "sold_paise": sum(event.value_paise for event in own if event.side is Side.SELL),
                    "realised_paise": sum(event.realised_paise for event in own),
                    "last_filled_at_ns": own[-1].filled_at_ns,
                    "realised_day": (day, sum(e.realised_paise for e in own if e.trading_day == day)),
                }
            )
        return sorted(positions, key=lambda position: str(position["symbol"]))

    # --- Risk ---------------------------------------------------------------------------------------------------------

    def risk(self) -> dict[str, Any] | None:
        """Return the account's row, None before it was opened."""
        opened = [event for event, _ in self.seen if isinstance(event, AccountOpened)]
        if not opened:
            return None
        changes = [event.parameters for event, _ in self.seen if isinstance(event, RiskParametersChanged)]
        switches = [e for e, _ in self.seen if isinstance(e, KillSwitchEngaged | KillSwitchReleased)]
        days = [_day(event) for event, _ in self.seen]
        day = max((each for each in days if each is not None), default="")
        denials = [event for event, _ in self.seen if isinstance(event, OrderDenied)]
        trades = [event for event, _ in self.seen if isinstance(event, TradeOpened)]
        fills = [event for event, _ in self.seen if isinstance(event, OrderFilled)]
        return {
            "account_id": opened[0].account_id,
            "parameters": [opened[0].parameters, *changes][-1],
            "kill_switch_engaged": bool(switches) and isinstance(switches[-1], KillSwitchEngaged),
            "day": day,
            "trades": len(trades),
            "trades_today": sum(_day(event) == day for event in trades),
            "denials": dict(Counter(event.code.value for event in denials)),
            "denials_today": dict(Counter(event.code.value for event in denials if _day(event) == day)),
            "realised_paise": sum(event.realised_paise for event in fills),
            "realised_today_paise": sum(event.realised_paise for event in fills if _day(event) == day),
            "open_trades": {
                trade["trade_id"] for trade in self.trades() if trade["status"] not in {"closed", "denied"}
            },
        }

    def marks(self, day: str) -> dict[str, int]:
        """Return the newest price that was recorded of each instrument on *day*, by security id."""
        marks = []
        for event, _ in self.seen:
            if isinstance(event, TradeOpened | OrderDenied):
                marks += event.market.marks
            elif isinstance(event, TradeExitTriggered) and event.mark is not None:
                marks.append(event.mark)
        of_day = [mark for mark in marks if trading_day(mark.exchange_time_ns).isoformat() == day]
        ordered = sorted(of_day, key=lambda mark: mark.exchange_time_ns)
        return {mark.instrument.security_id: mark.last_price_e4 for mark in ordered}


def _signed(event: OrderFilled) -> int:
    return event.last_quantity if event.side is Side.BUY else -event.last_quantity


def _day(event: Event) -> str | None:
    match event:
        case TradeOpened() | OrderDenied():
            return trading_day(event.market.market_time_ns).isoformat()
        case OrderFilled():
            return event.trading_day
        case _:
            return None
