"""Protection: watches the marks of every open trade and has it closed when its stop loss or target is reached.

What is watched is folded from the log, so a restart forgets nothing. A tick only proposes: the account decides on its
own state whether the trade still is open and the level reached, and the event keeps the tick. Where an exit came to
nothing (refused, canceled by the venue), later ticks propose the next one, not more often than once in `retry_ms` of
the exchange's time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import structlog

from commands.accounts import Accounts, CommandContext, account_of
from commands.lane import AccountBusy
from commands.ports import AppendOutcomeUnknown, Clock, EventFeed, EventStore, StoreUnavailable, Watermarks
from domain.account.commands import TriggerExit
from domain.account.events import (
    OrderBlocked,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderRejected,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.protection import cause_of_exit
from domain.envelope import RecordedEvent
from domain.events import Event, decode_known
from domain.ids import AccountId, OrderId, TradeId
from domain.instrument import InstrumentKey
from domain.market import Mark
from domain.order import Purpose, Side

log = structlog.get_logger(__name__)

WATERMARK = "protection"
SOURCE = "protection"
WATERMARK_S = 5.0
CLOSED_KEPT = 20_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTrade:
    """A trade as protection sees it. `live_exits` are exit orders of which the last word has not come."""

    account_id: AccountId
    trade_id: TradeId
    instrument: InstrumentKey
    side: Side
    stop_loss_e4: int | None
    target_e4: int | None
    first_sequence: int
    net_quantity: int = 0
    is_exiting: bool = False
    is_closed: bool = False
    live_exits: frozenset[OrderId] = frozenset()


class WatchedTrades:
    """Every trade that is not closed, by instrument. Closed ones are remembered: a late fill opens a trade again."""

    def __init__(self) -> None:
        self.sequence = 0
        self._trades: dict[TradeId, WatchedTrade] = {}
        self._in: defaultdict[InstrumentKey, set[TradeId]] = defaultdict(set)

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence = recorded.sequence
        account_id = account_of(recorded.stream_id)
        if account_id is not None and recorded.name.startswith(("trade.", "order.")):
            event = decode_known(recorded.name, recorded.payload)
            if event is not None:
                self._apply(account_id, event, recorded.sequence)

    def _apply(self, account_id: AccountId, event: Event, sequence: int) -> None:
        if isinstance(event, TradeOpened):
            self._trades[event.trade_id] = WatchedTrade(
                account_id=account_id,
                trade_id=event.trade_id,
                instrument=event.entry.instrument,
                side=event.entry.side,
                stop_loss_e4=event.stop_loss_e4,
                target_e4=event.target_e4,
                first_sequence=sequence,
            )
            self._in[event.entry.instrument].add(event.trade_id)
            return
        trade = self._trades.get(getattr(event, "trade_id", TradeId("")))
        if trade is None:
            return
        match event:
            case TradeClosed():
                trade = replace(trade, is_closed=True)
                self._in[trade.instrument].discard(trade.trade_id)
            case TradeExitTriggered():
                trade = replace(trade, is_exiting=True)
            case OrderIntended(purpose=Purpose.EXIT):
                trade = replace(trade, live_exits=trade.live_exits | {event.order_id})
            case OrderFilled():
                held = trade.net_quantity + event.side.sign * event.last_quantity
                done = {event.order_id} if event.leaves_quantity == 0 else frozenset()
                trade = replace(trade, net_quantity=held, live_exits=trade.live_exits - done, is_closed=False)
                self._in[trade.instrument].add(trade.trade_id)
            case OrderRejected() | OrderCanceled() | OrderExpired() | OrderLapsed() | OrderBlocked():
                trade = replace(trade, live_exits=trade.live_exits - {event.order_id})
            case _:
                return
        self._trades[trade.trade_id] = trade

    def reached_by(self, mark: Mark) -> list[WatchedTrade]:
        """Return the trades that *mark* has to close: level reached, or an exit begun of which nothing lives."""
        trades = [self._trades[trade_id] for trade_id in sorted(self._in[mark.instrument])]
        return [trade for trade in trades if trade.net_quantity and not trade.live_exits and _is_reached(trade, mark)]

    def low_water(self) -> int:
        """Return the sequence after which a new process has to read to find every trade that is not closed."""
        return min((trade.first_sequence - 1 for trade in self._unclosed()), default=self.sequence)

    def forget_closed(self, *, keep: int) -> None:
        """Forget the oldest closed trades beyond *keep* of them."""
        closed = [trade.trade_id for trade in self._trades.values() if trade.is_closed]
        for trade_id in closed[: max(0, len(closed) - keep)]:
            del self._trades[trade_id]

    def _unclosed(self) -> Iterator[WatchedTrade]:
        return (trade for trade in self._trades.values() if not trade.is_closed)

    def __len__(self) -> int:
        return sum(1 for _ in self._unclosed())

    def __contains__(self, trade_id: TradeId) -> bool:
        trade = self._trades.get(trade_id)
        return trade is not None and not trade.is_closed


def _is_reached(trade: WatchedTrade, mark: Mark) -> bool:
    if trade.is_exiting:
        return True
    cause = cause_of_exit(
        side=trade.side,
        stop_loss_e4=trade.stop_loss_e4,
        target_e4=trade.target_e4,
        last_price_e4=mark.last_price_e4,
    )
    return cause is not None


class Protection:
    """Watches marks on behalf of every account."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        store: EventStore,
        feed: EventFeed,
        clock: Clock,
        watermarks: Watermarks,
        retry_ms: int = 1_000,
    ) -> None:
        self._accounts = accounts
        self._store = store
        self._feed = feed
        self._clock = clock
        self._watermarks = watermarks
        self._retry_ns = retry_ms * NS_PER_MS
        self._trades = WatchedTrades()
        self._advanced = asyncio.Event()
        self._asked: dict[TradeId, int] = {}
        self.effects = 0

    async def run(self) -> None:
        """Follow the log until canceled."""
        after = await self._watermarks.get(WATERMARK)
        self._trades.sequence = after
        self._advanced.set()  # Who waits already may find that there is nothing to catch up with.
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(after))
            group.create_task(self._keep_watermark())

    async def catch_up(self) -> None:
        """Return once every event that is in the log now has been taken in."""
        head = (await self._store.head()).sequence
        while self._trades.sequence < head:
            self._advanced.clear()
            await self._advanced.wait()

    async def on_mark(self, mark: Mark) -> None:
        """Have every trade closed whose level *mark* reached."""
        for trade in self._trades.reached_by(mark):
            asked = self._asked.get(trade.trade_id)
            if asked is not None and mark.exchange_time_ns - asked < self._retry_ns:
                continue
            self._asked[trade.trade_id] = mark.exchange_time_ns
            await self._trigger(trade, mark)

    async def _trigger(self, trade: WatchedTrade, mark: Mark) -> None:
        context = CommandContext(
            actor=SOURCE, source=SOURCE, received_at_ns=self._clock.wall_ns(), correlation_id=trade.trade_id
        )
        command = TriggerExit(trade_id=trade.trade_id, mark=mark)
        try:
            outcome = await self._accounts.carry_out(trade.account_id, command, context)
        except (StoreUnavailable, AppendOutcomeUnknown, AccountBusy) as fault:
            log.warning("exit not decided", trade_id=trade.trade_id, fault=str(fault))
            self._asked.pop(trade.trade_id, None)  # The next tick asks again.
            return
        self.effects += len(outcome.events)

    def status(self) -> dict[str, Any]:
        """Return what is watched, for people and probes."""
        return {"sequence": self._trades.sequence, "trades": len(self._trades), "effects": self.effects}

    async def _follow(self, after: int) -> None:
        async for batch in self._feed.follow(after_sequence=after):
            for recorded in batch:
                self._accounts.observe(recorded)
                self._trades.apply(recorded)
            self._advanced.set()

    async def _keep_watermark(self) -> None:
        while True:
            await asyncio.sleep(WATERMARK_S)
            self._asked = {trade_id: asked for trade_id, asked in self._asked.items() if trade_id in self._trades}
            self._trades.forget_closed(keep=CLOSED_KEPT)
            await self._watermarks.put(WATERMARK, self._trades.low_water())
