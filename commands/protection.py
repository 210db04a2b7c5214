"""Protection: watches the marks and the clock on behalf of every trade, and proposes what they call for.

What is watched is folded from the log (`watched_trades.py`), so a restart forgets nothing. A tick or a moment only
proposes: the account decides on its own state, and the event keeps the tick. What is proposed, the first that applies:

1. **An exit that was begun goes on** where nothing under way would close all that is held (`TriggerExit`).
2. **A level that is reached closes the trade** (`TriggerExit`): a target always, a stop loss only where no stop rests
   at it for all that is held; where one rests, it is the venue's to execute.
3. **A stop that the price went through** and that did not fill for `reprice_after_ms` gets another limit
   (`RepriceStop`), again and again until it fills or the account calls a person.
4. **A stop that is missing is placed** (`ProtectTrade`): it failed, or lapsed with the session before and the next one
   is open.
5. **A trailing stop follows** (`TrailStop`), a step at least. What came meanwhile is left out: one proposal of a trade
   is under way at most, and none while the venue has not answered the last modification.

By the clock alone, so that an instrument that does not trade is no exception: 1 and 4 again, and **square-off** of
INTRADAY trades (`SquareOff`) so long before the end of continuous trading in *their* instrument that the venue's limits
on orders leave time for all of the account's exits. Other products are never squared off.

Pace is counted in the exchange's time: the same is proposed for a trade once in `retry_ms` at most.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from commands import faults
from commands.accounts import Accounts, CommandContext
from commands.bookmark import EVERY, Bookmark
from commands.following import LogFollower
from commands.known_instruments import known_instrument
from commands.ports import (
    Clock,
    EventFeed,
    EventStore,
    Instruments,
    Sessions,
    Watermarks,
)
from commands.watched_trades import TradesKept, WatchedTrade, WatchedTrades
from domain.account.commands import ProtectTrade, RepriceStop, SquareOff, TrailStop, TriggerExit
from domain.account.events import ExitCause, StopTrailed
from domain.account.exits import slices
from domain.account.protection import cause_of_exit, trailed_stop_e4
from domain.ids import AccountId, OrderId, TradeId
from domain.instrument import Instrument, InstrumentKey
from domain.market import NS_PER_MS, NS_PER_S, Mark, trading_day
from domain.order import Product
from domain.session import Phase, SessionMoment

log = structlog.get_logger(__name__)

WATERMARK = "protection"
SOURCE = "protection"
CLOSED_KEPT = 20_000
MINUTE_NS, HOUR_NS = 60 * NS_PER_S, 3600 * NS_PER_S
_SQUARED_OFF_IN = frozenset({Phase.CONTINUOUS, Phase.CLOSING_AUCTION})

Proposal = TriggerExit | TrailStop | RepriceStop | ProtectTrade | SquareOff


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionSettings:
    """How protection paces itself. Times in milliseconds of the exchange's time.

    `orders_per_second`, `orders_per_minute` and `orders_per_hour` are what the venue takes of one account, less a
    reserve for what people do meanwhile: square-off starts so early that they leave time for all of it.
    """

    retry_ms: int = 1_000
    reprice_after_ms: int = 3_000
    square_off_lead_ms: int = 60_000
    orders_per_second: int = 8
    orders_per_minute: int = 240
    orders_per_hour: int = 950
    snapshot_events: int = EVERY


class Protection:
    """Watches marks and the clock on behalf of every account."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        store: EventStore,
        feed: EventFeed,
        clock: Clock,
        watermarks: Watermarks,
        sessions: Sessions,
        instruments: Instruments,
        settings: ProtectionSettings,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._sessions = sessions
        self._instruments = instruments
        self._settings = settings
        self._retry_ns = settings.retry_ms * NS_PER_MS
        self._trades = WatchedTrades()
        bookmark = Bookmark(
            WATERMARK,
            self._trades,
            TradesKept,
            meaning=1,
            watermarks=watermarks,
            store=store,
            every=settings.snapshot_events,
        )
        self._log = LogFollower(self._trades, bookmark, accounts=accounts, store=store, feed=feed)
        self._asked: dict[tuple[TradeId, type[Proposal]], int] = {}
        self._under_way: dict[TradeId, int | None] = {}
        self._passed_since: dict[OrderId, int] = {}
        self._passed: set[TradeId] = set()
        self._requests: dict[TradeId, tuple[WatchedTrade, int]] = {}
        self._marks: dict[InstrumentKey, Mark] = {}
        self._now_ns = 0
        self._looked_at_ns: int | None = None
        self.effects = 0

    async def run(self) -> None:
        """Follow the log until canceled."""
        await self._log.run(before_kept=self._forget)

    async def catch_up(self) -> None:
        """Return once every event that is in the log now has been taken in."""
        await self._log.catch_up()

    def status(self) -> dict[str, Any]:
        """Return what is watched, for people and probes."""
        lacking = sum(1 for trade in self._trades.unclosed() if trade.lacks_stop)
        return {
            "sequence": self._trades.sequence,
            "trades": len(self._trades),
            "lacking_stops": lacking,
            "effects": self.effects,
        }

    # --- By the mark ---

    async def on_mark(self, mark: Mark) -> None:
        """Propose what *mark* calls for, for every trade in its instrument."""
        self._marks[mark.instrument] = mark
        for trade in self._trades.stirred_by(mark, always=self._passed):
            proposal = self._by_mark(trade, mark)
            if proposal is not None:
                await self._propose(trade, proposal, at_ns=mark.exchange_time_ns)

    def _by_mark(self, trade: WatchedTrade, mark: Mark) -> Proposal | None:
        if trade.net_quantity == 0:
            return None
        is_passed_too_long = self._is_passed_too_long(trade, mark)
        if _calls_for_exit(trade, mark):
            return TriggerExit(trade_id=trade.trade_id, mark=mark)
        if is_passed_too_long:
            return RepriceStop(trade_id=trade.trade_id, mark=mark)
        if self._may_place_stop(trade, mark.exchange_time_ns, has_mark=True):
            return ProtectTrade(trade_id=trade.trade_id, mark=mark)
        if _trails(trade, mark):
            return TrailStop(trade_id=trade.trade_id, mark=mark)
        return None

    def _is_passed_too_long(self, trade: WatchedTrade, mark: Mark) -> bool:
        """Tell whether the price has been beyond a stop's limit for long enough, and note since when it is."""
        since = []
        for stop in trade.stops:
            if stop.is_passed_by(mark):
                since.append(self._passed_since.setdefault(stop.order_id, mark.exchange_time_ns))
            else:
                self._passed_since.pop(stop.order_id, None)
        if since:
            self._passed.add(trade.trade_id)
        else:
            self._passed.discard(trade.trade_id)
        longest_ns = mark.exchange_time_ns - min(since, default=mark.exchange_time_ns)
        return bool(since) and not trade.has_failed and longest_ns >= self._settings.reprice_after_ms * NS_PER_MS

    # --- By the clock ---

    async def on_time(self, now_ns: int) -> None:
        """Propose what is due at *now_ns* (market clock). Once a second is enough; more often does nothing."""
        self._now_ns = now_ns
        self._trades.learn_time(now_ns)
        if self._looked_at_ns is not None and 0 <= now_ns - self._looked_at_ns < NS_PER_S:
            return
        self._looked_at_ns = now_ns
        due = self._to_square_off(now_ns)
        for trade in self._trades.waiting():
            proposal = self._by_time(trade, now_ns)
            if proposal is not None:
                await self._propose(trade, proposal, at_ns=now_ns)
        for trade in due:
            await self._propose(trade, SquareOff(trade_id=trade.trade_id), at_ns=now_ns)

    def _by_time(self, trade: WatchedTrade, now_ns: int) -> Proposal | None:
        mark = self._marks.get(trade.instrument)
        if trade.is_to_go_on and mark is not None:
            return TriggerExit(trade_id=trade.trade_id, mark=mark)
        if not self._may_place_stop(trade, now_ns, has_mark=False):
            return None
        if mark is not None and trading_day(mark.exchange_time_ns) != trading_day(now_ns):
            mark = None  # Yesterday's price says nothing about a gap.
        return ProtectTrade(trade_id=trade.trade_id, mark=mark)

    def _may_place_stop(self, trade: WatchedTrade, now_ns: int, *, has_mark: bool) -> bool:
        if not trade.lacks_stop:
            return False
        moment = self._moment_of(trade.instrument, now_ns)
        if moment is None or not moment.day_known:
            return has_mark  # Where no table tells the session, a price that is printed does.
        return moment.phase is Phase.CONTINUOUS

    def _to_square_off(self, now_ns: int) -> list[WatchedTrade]:
        """Return the intraday trades whose time has come, those whose session ends first before the others."""
        by_account: defaultdict[AccountId, list[WatchedTrade]] = defaultdict(list)
        for trade in self._trades.unclosed():
            if trade.product is Product.INTRADAY and not trade.is_exiting and not trade.is_external:
                by_account[trade.account_id].append(trade)
        ends_ns: dict[InstrumentKey, int | None] = {}
        due: list[tuple[int, WatchedTrade]] = []
        for account_id, intraday in by_account.items():
            lead_ns = self._lead_ns(account_id, intraday, now_ns)
            for trade in intraday:
                if trade.instrument not in ends_ns:
                    ends_ns[trade.instrument] = self._end_of_continuous_ns(trade.instrument, now_ns)
                end_ns = ends_ns[trade.instrument]
                if end_ns is not None and now_ns >= end_ns - lead_ns:
                    due.append((end_ns, trade))
        return [trade for _, trade in sorted(due, key=lambda pair: (pair[0], pair[1].first_sequence))]

    def _end_of_continuous_ns(self, key: InstrumentKey, now_ns: int) -> int | None:
        """Return when continuous trading in an instrument ends, or ended, None while nothing is squared off in it."""
        moment = self._moment_of(key, now_ns)
        return None if moment is None or moment.phase not in _SQUARED_OFF_IN else moment.continuous_until_ns

    def _lead_ns(self, account_id: AccountId, trades: Iterable[WatchedTrade], now_ns: int) -> int:
        """Return how long before its end a session has to be left by all of *trades*."""
        orders = sum(self._requests_to_close(trade, now_ns) for trade in trades)
        sent = self._trades.sent_at_ns(account_id)
        settings = self._settings
        wait_ns = max(
            orders * NS_PER_S // settings.orders_per_second,
            wait_for_room_ns(orders, sent, limit=settings.orders_per_minute, window_ns=MINUTE_NS, now_ns=now_ns),
            wait_for_room_ns(orders, sent, limit=settings.orders_per_hour, window_ns=HOUR_NS, now_ns=now_ns),
        )
        return settings.square_off_lead_ms * NS_PER_MS + wait_ns

    def _requests_to_close(self, trade: WatchedTrade, now_ns: int) -> int:
        known = self._requests.get(trade.trade_id)
        if (
            known is not None and known[0] is trade
        ):  # The same trade, unchanged: a thousand are asked about each second.
            return known[1]
        instrument = self._instrument_of(trade.instrument, now_ns)
        freeze_quantity = None if instrument is None else instrument.freeze_quantity
        exits = len(slices(abs(trade.net_quantity), freeze_quantity)) if trade.net_quantity else 0
        requests = len(trade.entries) + max(exits, len(trade.stops))
        self._requests[trade.trade_id] = (trade, requests)
        return requests

    # --- Proposing ---

    async def _propose(self, trade: WatchedTrade, proposal: Proposal, *, at_ns: int) -> None:
        key = (trade.trade_id, type(proposal))
        if not isinstance(proposal, TriggerExit | SquareOff) and self._is_under_way(trade.trade_id):
            return
        if not isinstance(proposal, TrailStop) and 0 <= at_ns - self._asked.get(key, -self._retry_ns) < self._retry_ns:
            return
        self._asked[key] = at_ns
        self._under_way[trade.trade_id] = None
        context = CommandContext(
            actor=SOURCE, source=SOURCE, received_at_ns=self._clock.wall_ns(), correlation_id=trade.trade_id
        )
        try:
            outcome = await self._accounts.carry_out(trade.account_id, proposal, context)
        except faults.OF_THE_LOG as fault:
            log.warning("not decided", trade_id=trade.trade_id, asked=type(proposal).__name__, fault=str(fault))
            self._asked.pop(key, None)  # The next tick asks again.
            self._under_way.pop(trade.trade_id, None)
            return
        self._under_way[trade.trade_id] = outcome.last_sequence
        self.effects += len(outcome.events)
        for event in outcome.events:
            if isinstance(event, StopTrailed):
                self._trades.learn_stop(event)
        if isinstance(proposal, RepriceStop):
            for stop in trade.stops:
                self._passed_since.pop(stop.order_id, None)  # The next step gets as long as this one.

    def _is_under_way(self, trade_id: TradeId) -> bool:
        """Tell whether the last proposal of a trade is not decided yet, or not seen in the log."""
        if trade_id not in self._under_way:
            return False
        sequence = self._under_way[trade_id]
        if sequence is None or self._trades.sequence < sequence:
            return True
        del self._under_way[trade_id]
        return False

    def _moment_of(self, key: InstrumentKey, now_ns: int) -> SessionMoment | None:
        instrument = self._instrument_of(key, now_ns)
        return None if instrument is None else self._sessions.moment_of(instrument, now_ns)

    def _instrument_of(self, key: InstrumentKey, now_ns: int) -> Instrument | None:
        return known_instrument(self._instruments, key, market_time_ns=now_ns)

    # --- Following the log ---

    def _forget(self) -> None:
        """Keep the memory bounded."""
        self._asked = {key: asked for key, asked in self._asked.items() if key[0] in self._trades}
        self._under_way = {name: place for name, place in self._under_way.items() if name in self._trades}
        resting = {stop.order_id for trade in self._trades.unclosed() for stop in trade.stops}
        self._passed_since = {name: since for name, since in self._passed_since.items() if name in resting}
        self._passed &= {trade.trade_id for trade in self._trades.unclosed()}
        # Known anew each time, for an instrument's largest quantity is another one on another day.
        self._requests.clear()
        self._trades.forget_past(keep=CLOSED_KEPT, market_time_ns=self._now_ns)


def _calls_for_exit(trade: WatchedTrade, mark: Mark) -> bool:
    if trade.is_exiting:
        return trade.is_to_go_on
    cause = cause_of_exit(
        side=trade.side,
        stop_loss_e4=trade.stop_loss_e4,
        target_e4=trade.target_e4,
        last_price_e4=mark.last_price_e4,
    )
    return cause is ExitCause.TARGET or (cause is ExitCause.STOP_LOSS and not trade.is_guarded)


def _trails(trade: WatchedTrade, mark: Mark) -> bool:
    if trade.trailing is None or trade.is_exiting or any(stop.wanted is not None for stop in trade.stops):
        return False
    moved = trailed_stop_e4(
        side=trade.side,
        stop_loss_e4=trade.stop_loss_e4,
        distance_e4=trade.trailing.distance_e4,
        step_e4=trade.trailing.step_e4,
        last_price_e4=mark.last_price_e4,
    )
    return moved is not None


def wait_for_room_ns(orders: int, sent_at_ns: list[int], *, limit: int, window_ns: int, now_ns: int) -> int:
    """Return how long it takes until *orders* more have fitted into a limit of *limit* in any *window_ns*.

    *sent_at_ns* is when orders were sent so far, oldest first.
    """
    recent = sent_at_ns[bisect_right(sent_at_ns, now_ns - window_ns) :]
    missing = len(recent) + orders - limit
    if missing <= 0:
        return 0
    if missing <= len(recent):
        return recent[missing - 1] + window_ns - now_ns
    # More than one window's worth: whole windows follow upon the one that is under way.
    return window_ns * (-(-orders // limit))
