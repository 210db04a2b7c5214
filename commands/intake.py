"""The intake limit: a storm of intents is turned away before the log, and leaves one event that sums it up."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from commands import faults
from commands.ports import Clock
from domain.account.commands import RecordSuppressedIntents
from domain.ids import AccountId
from domain.market import NS_PER_S

log = structlog.get_logger(__name__)

ACCOUNTS_MAX = 10_000
STORM_S = 5.0
"""A storm is summed up so long after its first intent that was turned away; what comes later is the next one."""

Record = Callable[[AccountId, RecordSuppressedIntents], Awaitable[object]]


class IntentStorm(Exception):
    """The account hands in more intents than are taken. Nothing is stored of this one; the caller sees 429."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_ns: int


@dataclass(slots=True)
class _Storm:
    count: int
    since_ns: int


class IntakeLimit:
    """A bucket of tokens an account, which holds two seconds' worth; *record* stores the sum of a storm."""

    def __init__(self, *, clock: Clock, per_second: int, record: Record, storm_s: float = STORM_S) -> None:
        self._clock = clock
        self._per_second = per_second
        self._record = record
        self._storm_s = storm_s
        self._buckets: OrderedDict[AccountId, _Bucket] = OrderedDict()
        self._storms: dict[AccountId, _Storm] = {}
        self._summing: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def admit(self, account_id: AccountId) -> None:
        """Take one intent in.

        Raises:
            IntentStorm: there were too many of this account.
        """
        now_ns = self._clock.monotonic_ns()
        most = 2.0 * self._per_second
        bucket = self._buckets.get(account_id)
        if bucket is None:
            bucket = self._buckets[account_id] = _Bucket(most, now_ns)
            if len(self._buckets) > ACCOUNTS_MAX:
                self._buckets.popitem(last=False)  # The one that rested longest is full again anyway.
        self._buckets.move_to_end(account_id)
        grown = (now_ns - bucket.filled_at_ns) / NS_PER_S * self._per_second
        bucket.tokens, bucket.filled_at_ns = min(most, bucket.tokens + grown), now_ns
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return
        self._turn_away(account_id)
        raise IntentStorm(f"more than {self._per_second} intents a second")

    def _turn_away(self, account_id: AccountId) -> None:
        storm = self._storms.get(account_id)
        if storm is not None:
            storm.count += 1
            return
        self._storms[account_id] = _Storm(1, self._clock.wall_ns())
        task = asyncio.create_task(self._sum_up(account_id), name="storm of intents")
        self._summing.add(task)
        task.add_done_callback(self._summing.discard)

    async def _sum_up(self, account_id: AccountId) -> None:
        try:
            async with asyncio.timeout(self._storm_s):
                await self._closing.wait()
        except TimeoutError:
            pass
        storm = self._storms.pop(account_id)
        command = RecordSuppressedIntents(count=storm.count, since_ns=storm.since_ns, until_ns=self._clock.wall_ns())
        try:
            await self._record(account_id, command)
        except faults.OF_THE_LOG as fault:
            log.warning("storm of intents not recorded", account_id=account_id, count=storm.count, fault=str(fault))

    async def close(self) -> None:
        """Sum up what storms there are, at once."""
        self._closing.set()
        await asyncio.gather(*self._summing)
