"""Whole lives of accounts, decided by the account itself on made-up commands: events that could have happened."""

from random import Random

from msgspec.structs import replace

from domain.account import Account, decider
from domain.account.commands import AccountCommand
from domain.account.events import AccountEvent
from domain.ids import AccountId, OrderId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.order import LIVE, OrderStatus, Side, correlation_id_of
from domain.refusals import Refusal
from tests.support.specimens import (
    CODE,
    DAY_NS,
    NOW_NS,
    NS_PER_S,
    accepted,
    begin,
    canceled_by_venue,
    close,
    engage,
    fill,
    infy,
    infy_mark,
    mark,
    market,
    open_account,
    open_trade,
    refused,
    release,
    session_at,
    stop_hit,
    unknown,
    wide_limits,
)

LOOSE = replace(wide_limits, trades_per_day_max=6)


class Life:
    """One account's events, growing by commands. `random` chooses; the account decides."""

    def __init__(self, random: Random, number: int = 1) -> None:
        self.account_id = AccountId(f"acc_{number:026d}")
        self.owner_id = UserId(f"usr_{number:026d}")
        self.events: list[AccountEvent] = []
        self._random = random
        self._number = number
        self._state: Account = decider.initial
        self._count = 0
        self._now_ns = NOW_NS
        opening = replace(open_account, account_id=self.account_id, owner_id=self.owner_id, parameters=LOOSE)
        self._carry_out(opening)

    def go_on(self, commands: int) -> "Life":
        """Carry out so many more commands."""
        for _ in range(commands):
            step = self._random.choice(
                [self._open, self._open, self._send, self._send, self._fill, self._fill, self._more]
            )
            step()
        return self

    def _carry_out(self, command: AccountCommand) -> None:
        try:
            events = decider.decide(command, self._state)
        except Refusal:
            return
        self._state = decider.fold(events, self._state)
        self.events += events

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _open(self) -> None:
        side = self._random.choice(list(Side))
        is_infy = self._random.random() < 0.4
        instrument, last = (infy, infy_mark) if is_infy else (market.instrument, mark)
        self._now_ns += NS_PER_S  # More at a time would be a storm.
        marks = tuple(replace(each, exchange_time_ns=self._now_ns) for each in (mark, infy_mark))
        below, above = (last.last_price_e4 * 9 // 10_000 * 1_000, last.last_price_e4 * 11 // 10_000 * 1_000)
        self._carry_out(
            replace(
                open_trade,
                trade_id=TradeId(f"trd_{self._number:013d}{self._next():013d}"),
                user_id=self.owner_id,
                side=side,
                quantity=self._random.randint(1, 30),
                stop_loss_e4=below if side is Side.BUY else above,
                target_e4=above if side is Side.BUY else below,
                market=replace(
                    market,
                    market_time_ns=self._now_ns,
                    instrument=instrument,
                    marks=marks,
                    session=session_at(self._now_ns),
                ),
            )
        )

    def _order(self, *statuses: OrderStatus) -> OrderId | None:
        names = sorted(name for name, order in self._state.orders.items() if order.status in statuses)
        return self._random.choice(names) if names else None

    def _send(self) -> None:
        order_id = self._order(OrderStatus.INTENDED)
        if order_id is None:
            return
        self._carry_out(
            replace(
                begin,
                order_id=order_id,
                correlation_id=correlation_id_of(order_id, code=CODE),
                market_time_ns=self._now_ns,
            )
        )
        venue_order_id = VenueOrderId(f"v-{self._next()}")
        outcomes: list[AccountCommand] = [
            replace(accepted, order_id=order_id, venue_order_id=venue_order_id),
            replace(accepted, order_id=order_id, venue_order_id=venue_order_id),
            replace(unknown, order_id=order_id),
            replace(refused, order_id=order_id),
        ]
        self._carry_out(self._random.choice(outcomes))

    def _fill(self) -> None:
        order_id = self._order(*LIVE - {OrderStatus.INTENDED}, OrderStatus.CANCELED)
        if order_id is None:
            return
        order = self._state.orders[order_id]
        leaves = order.instruction.quantity - order.cumulative_quantity
        if leaves <= 0:
            return
        self._carry_out(
            replace(
                fill,
                order_id=order_id,
                venue_fill_id=VenueFillId(f"f-{self._next()}"),
                quantity=self._random.randint(1, leaves),
                price_e4=mark.last_price_e4 + self._random.randint(-500, 500) * 137,
                filled_at_ns=self._now_ns,
            )
        )

    def _more(self) -> None:
        trade_ids = sorted(self._state.trades)
        trade_id = self._random.choice(trade_ids) if trade_ids else TradeId("trd_none")
        order_id = self._order(OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED) or OrderId("none")
        commands: list[AccountCommand] = [
            replace(stop_hit, trade_id=trade_id),
            replace(stop_hit, trade_id=trade_id, mark=replace(mark, last_price_e4=1)),
            replace(stop_hit, trade_id=trade_id, mark=replace(mark, last_price_e4=10**9)),
            replace(close, user_id=self.owner_id),
            replace(canceled_by_venue, order_id=order_id, venue_order_id=VenueOrderId(f"v-{self._next()}")),
            replace(engage, user_id=self.owner_id),
            replace(release, user_id=self.owner_id),
            replace(release, user_id=self.owner_id),
        ]
        self._carry_out(self._random.choice(commands))
        if self._random.random() < 0.1:
            self._now_ns += DAY_NS
