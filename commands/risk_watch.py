"""Risk watch: holds what every account made against its limits on losses, as the marks move.

It knows from the log who holds what, and looks at an account when a mark of something it holds came, at most once in
`pace_ms` of the exchange's time. The account decides. Blocking entries follows from one look; what closes trades asks
for a second one: another tick that still shows the breach, or the same a second later. Ticks outside the day's price
band are no ticks. A look appends nothing unless something follows from it.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec import Struct

from commands import faults
from commands.accounts import Accounts, CommandContext, account_of
from commands.bookmark import Bookmark
from commands.following import LogFollower
from commands.ports import Clock, EventFeed, EventStore, Watermarks
from domain.account import decider
from domain.account.events import ForeignFillAllocated, OrderFilled
from domain.envelope import RecordedEvent
from domain.events import decode_known
from domain.ids import AccountId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_MS, Mark

log = structlog.get_logger(__name__)

WATERMARK = "risk_watch"
SOURCE = "risk_watch"
_FILLS = ("order.filled.", "trade.foreign_fill.")


class _Holding(Struct, frozen=True, array_like=True):
    """What an account holds of an instrument, net, and the sequence of the fill that opened it."""

    net_quantity: int
    since: int


class HoldingsKept(Struct, frozen=True, array_like=True):
    """What `Holders` come to."""

    holdings: tuple[tuple[InstrumentKey, AccountId, _Holding], ...]


class Holders:
    """Who holds what, folded from the log. What nets to nothing moves no result, so it needs no watching."""

    def __init__(self) -> None:
        self.sequence = 0
        self.place: RecordedEvent | None = None
        self._of: defaultdict[InstrumentKey, dict[AccountId, _Holding]] = defaultdict(dict)

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence, self.place = recorded.sequence, recorded
        account_id = account_of(recorded.stream_id)
        if account_id is None or not recorded.name.startswith(_FILLS):
            return
        event = decode_known(recorded.name, recorded.payload)
        if not isinstance(event, OrderFilled | ForeignFillAllocated):
            return
        holders = self._of[event.instrument]
        before = holders.get(account_id, _Holding(0, recorded.sequence))
        net = before.net_quantity + event.side.sign * event.last_quantity
        if net:
            holders[account_id] = _Holding(net, before.since)
        else:
            holders.pop(account_id, None)

    def of(self, instrument: InstrumentKey) -> list[AccountId]:
        """Return the accounts that hold *instrument*."""
        return sorted(self._of[instrument])

    def low_water(self) -> int:
        """Return the sequence after which a new process has to read to know what is held."""
        return min((held.since - 1 for each in self._of.values() for held in each.values()), default=self.sequence)

    def kept(self) -> HoldingsKept:
        """Return all that a snapshot has of it."""
        return HoldingsKept(
            tuple([(key, account_id, held) for key, of in self._of.items() for account_id, held in of.items()])
        )

    def restore(self, kept: HoldingsKept) -> None:
        """Come to what a snapshot has."""
        for key, account_id, held in kept.holdings:
            self._of[key][account_id] = held

    def __len__(self) -> int:
        return len({account_id for each in self._of.values() for account_id in each})


@dataclass(frozen=True, slots=True)
class _Seen:
    """The mark at which a breach was first seen."""

    number: int
    exchange_time_ns: int


class RiskWatch:
    """Watches marks on behalf of every account that holds something."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        store: EventStore,
        feed: EventFeed,
        clock: Clock,
        watermarks: Watermarks,
        pace_ms: int = 250,
        confirm_ms: int = 1_000,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._pace_ns = pace_ms * NS_PER_MS
        self._confirm_ns = confirm_ms * NS_PER_MS
        self._holders = Holders()
        bookmark = Bookmark(WATERMARK, self._holders, HoldingsKept, meaning=1, watermarks=watermarks, store=store)
        self._log = LogFollower(self._holders, bookmark, accounts=accounts, store=store, feed=feed)
        self._marks: dict[InstrumentKey, Mark] = {}
        self._market_time_ns = 0
        self._looked_at: dict[AccountId, int] = {}
        self._seen: dict[AccountId, _Seen] = {}
        self.effects = 0

    async def run(self) -> None:
        """Follow the log until canceled."""
        await self._log.run(before_kept=self._forget)

    async def catch_up(self) -> None:
        """Return once every event that is in the log now has been taken in."""
        await self._log.catch_up()

    async def on_mark(self, mark: Mark) -> None:
        """Look at the accounts that *mark* concerns: who holds it, and where a breach waits to be confirmed."""
        if not _is_inside(mark):
            return
        self._marks[mark.instrument] = mark
        self._market_time_ns = max(self._market_time_ns, mark.exchange_time_ns)
        concerned = self._holders.of(mark.instrument)
        waiting = [each for each, seen in self._seen.items() if self._is_late(seen)]
        for account_id in dict.fromkeys([*concerned, *waiting]):
            looked_at = self._looked_at.get(account_id)
            is_paced = looked_at is not None and self._market_time_ns - looked_at < self._pace_ns
            if is_paced and account_id not in self._seen:
                continue
            self._looked_at[account_id] = self._market_time_ns
            await self._look(account_id, mark)
            # A look at what is in memory never waits, and hundreds may hold the same: others have their turn.
            await asyncio.sleep(0)

    def _is_late(self, seen: _Seen) -> bool:
        return self._market_time_ns - seen.exchange_time_ns >= self._confirm_ns

    async def _look(self, account_id: AccountId, mark: Mark) -> None:
        context = CommandContext(actor=SOURCE, source=SOURCE, received_at_ns=self._clock.wall_ns())
        try:
            account = await self._accounts.state_of(account_id)
            observe = self._accounts.observation(
                account, self._marks.get, market_time_ns=self._market_time_ns, is_confirmed=True
            )
            if not decider.decide(observe, account):
                self._seen.pop(account_id, None)
                return
            seen = self._seen.setdefault(account_id, _Seen(mark.number, mark.exchange_time_ns))
            outcome = await self._accounts.observe_result(
                account_id,
                self._marks.get,
                market_time_ns=self._market_time_ns,
                is_confirmed=mark.number > seen.number or self._is_late(seen),
                context=context,
            )
        except faults.OF_THE_LOG as fault:
            log.warning("result not observed", account_id=account_id, fault=str(fault))
            return  # The next tick looks again.
        self.effects += len(outcome.events)

    def status(self) -> dict[str, Any]:
        """Return what is watched, for people and probes."""
        return {"sequence": self._holders.sequence, "accounts": len(self._holders), "effects": self.effects}

    def _forget(self) -> None:
        """Keep the memory bounded."""
        oldest_ns = self._market_time_ns - self._pace_ns
        self._looked_at = {each: at_ns for each, at_ns in self._looked_at.items() if at_ns > oldest_ns}


def _is_inside(mark: Mark) -> bool:
    """Tell whether the price lies within the day's band: one outside was never traded."""
    low, high = mark.lower_circuit_e4, mark.upper_circuit_e4
    price = mark.last_price_e4
    return price > 0 and (low is None or price >= low) and (high is None or price <= high)
