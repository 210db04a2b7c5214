"""What has to be watched of an account beside its open orders, folded from the log.

- **Open trades.** What a trade holds can be sold by other means, and what came from outside can be added to. So the
  books of an account that holds anything are read although no order of ours is there.
- **Foreign executions** that are recorded already, as long as the venue's book of the day may still show them.
- **Flattening switches** whose trades are being closed: when they are, the venue's positions have the last word.

Trades may stay open for months, and the executor must not read months of the log before it sends an exit. So this fold
has a watermark and a way through the log of its own, and until it has caught up only what it is for has to wait.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from msgspec import Struct

from commands.accounts import account_of
from commands.ports import EventFeed, EventStore, VenueFill
from domain.account.events import (
    FlattenFinished,
    ForeignFillAllocated,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderFilled,
    TradeAdopted,
    TradeClosed,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event, decode_known
from domain.ids import AccountId, StrategyId, TradeId, VenueFillId

_PREFIXES = ("trade.", "account.kill_switch", "account.flatten", "order.filled")
BOOK_LIFE_US = 48 * 3600 * 1_000_000
"""So long a foreign execution is remembered at least where nobody reads the book again. The venue's is of one day."""


@dataclass(frozen=True, slots=True)
class _OpenTrade:
    account_id: AccountId
    strategy_id: StrategyId | None
    is_external: bool
    first_sequence: int


@dataclass(frozen=True, slots=True)
class Switch:
    """A kill switch that closes what is held, of a strategy or (None) of the whole account."""

    account_id: AccountId
    strategy_id: StrategyId | None


class _Foreign(Struct, frozen=True, array_like=True):
    """A foreign execution that is in the log: where, and since when (UTC microseconds)."""

    sequence: int
    recorded_at_us: int


class OutsideKept(Struct, frozen=True, array_like=True):
    """What `Outside` comes to."""

    now_us: int
    trades: dict[TradeId, _OpenTrade]
    foreign: tuple[tuple[AccountId, VenueFillId, _Foreign], ...]
    flattening: tuple[tuple[Switch, int], ...]


class Outside:
    """The fold, and its way through the log."""

    def __init__(self) -> None:
        self.sequence = 0
        self.place: RecordedEvent | None = None
        self._now_us = 0
        self._trades: dict[TradeId, _OpenTrade] = {}
        self._foreign: dict[tuple[AccountId, VenueFillId], _Foreign] = {}
        self._flattening: dict[Switch, int] = {}
        self._may_be_asked = asyncio.Event()
        self.is_caught_up = False
        """Whether all that was in the log at the start has been taken in."""
        self._advanced = asyncio.Event()
        self._has_stopped = False

    async def follow(self, feed: EventFeed, store: EventStore, *, after: int) -> None:
        """Follow the log from *after* until canceled."""
        head = (await store.head()).sequence
        self.sequence = min(after, head)
        self._note_progress(head)
        async for batch in feed.follow(after_sequence=self.sequence):
            for recorded in batch:
                self.apply(recorded)
            self._note_progress(head)

    def _note_progress(self, head: int) -> None:
        if self.sequence >= head:
            self.is_caught_up = True
            self._may_be_asked.set()
        self._advanced.set()

    async def reach(self, sequence: int) -> None:
        """Return once the log has been taken in up to *sequence*."""
        await self._may_be_asked.wait()
        while self.sequence < sequence and not self._has_stopped:
            self._advanced.clear()
            await self._advanced.wait()

    def stop(self) -> None:
        """Let nobody wait any more for a log that is followed no longer."""
        self._has_stopped = True
        self._may_be_asked.set()
        self._advanced.set()

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence, self.place, self._now_us = recorded.sequence, recorded, recorded.recorded_at_us
        account_id = account_of(recorded.stream_id)
        if account_id is None or not recorded.name.startswith(_PREFIXES):
            return
        event = decode_known(recorded.name, recorded.payload)
        if event is not None:
            self._apply(account_id, event, recorded)

    def _apply(self, account_id: AccountId, event: Event, recorded: RecordedEvent) -> None:
        sequence = recorded.sequence
        match event:
            case TradeOpened():
                self._trades[event.trade_id] = _OpenTrade(account_id, event.strategy_id, False, sequence)
            case TradeAdopted():
                self._trades[event.trade_id] = _OpenTrade(account_id, None, True, sequence)
            case OrderFilled() | ForeignFillAllocated():
                # A late fill opens a trade again. Whose it was is not told then, and not needed: it is about to close.
                self._trades.setdefault(event.trade_id, _OpenTrade(account_id, None, False, sequence))
                if isinstance(event, ForeignFillAllocated):
                    self._foreign[account_id, event.venue_fill_id] = _Foreign(sequence, recorded.recorded_at_us)
            case TradeClosed():
                self._trades.pop(event.trade_id, None)
            case KillSwitchEngaged(mode=KillMode.FLATTEN):
                self._flattening.setdefault(Switch(account_id, event.strategy_id), sequence)
            case KillSwitchReleased() | FlattenFinished():
                self._flattening.pop(Switch(account_id, event.strategy_id), None)
            case _:
                return

    def accounts(self) -> set[AccountId]:
        """Return the accounts that have a trade open."""
        return {trade.account_id for trade in self._trades.values()}

    def flattening(self) -> list[Switch]:
        """Return the switches that wait for the venue's positions, oldest first."""
        return list(self._flattening)

    def holds(self, switch: Switch) -> bool:
        """Tell whether a trade that *switch* closes is still open. External ones are none of its business."""
        return any(self.is_closed_by(trade_id, switch) for trade_id in self._trades)

    def is_closed_by(self, trade_id: TradeId, switch: Switch) -> bool:
        """Tell whether the trade is open and one that *switch* closes."""
        trade = self._trades.get(trade_id)
        return trade is not None and trade.account_id == switch.account_id and _is_in_scope(trade, switch)

    def is_recorded(self, account_id: AccountId, venue_fill_id: VenueFillId) -> bool:
        """Tell whether a foreign execution is in the log."""
        return (account_id, venue_fill_id) in self._foreign

    def forget_unshown(self, account_id: AccountId, shown: Collection[VenueFill]) -> None:
        """Forget the foreign executions that the venue's book of the account no longer shows: it is of another day."""
        names = {fill.venue_fill_id for fill in shown}
        gone = [key for key in self._foreign if key[0] == account_id and key[1] not in names]
        for key in gone:
            del self._foreign[key]

    def low_water(self) -> int:
        """Return the sequence after which a new process has to read to know all this."""
        oldest_us = self._now_us - BOOK_LIFE_US
        self._foreign = {key: each for key, each in self._foreign.items() if each.recorded_at_us > oldest_us}
        firsts = [
            *(trade.first_sequence for trade in self._trades.values()),
            *(each.sequence for each in self._foreign.values()),
            *self._flattening.values(),
        ]
        return min(firsts, default=self.sequence + 1) - 1

    def kept(self) -> OutsideKept:
        """Return all that a snapshot has of it."""
        return OutsideKept(
            self._now_us,
            self._trades.copy(),
            tuple([(account_id, fill_id, each) for (account_id, fill_id), each in self._foreign.items()]),
            tuple(self._flattening.items()),
        )

    def restore(self, kept: OutsideKept) -> None:
        """Come to what a snapshot has."""
        self._now_us, self._trades = kept.now_us, kept.trades
        self._foreign = {(account_id, fill_id): each for account_id, fill_id, each in kept.foreign}
        self._flattening = dict(kept.flattening)


def _is_in_scope(trade: _OpenTrade, switch: Switch) -> bool:
    return not trade.is_external and switch.strategy_id in {None, trade.strategy_id}
