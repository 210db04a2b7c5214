"""Stores states of accounts, so that a question about the past folds few events however long the account has lived.

It walks the log behind the projector and stores an account's open rows in two places: after every `events_max` events
of the account, and at the end of every trading day on which something happened to it. What it stores is folded from
the last stored state and the log alone, so it belongs to exactly one event whatever the tables show meanwhile; a log
that was there before it, or a new version of a read model, is walked from its beginning in the same way.

Only its progress is kept, once a day and for just these versions of the read models: after a restart it walks the day
again and finds what is stored already, and with a new version it walks the whole log.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self

import structlog

from domain.envelope import RecordedEvent
from domain.ids import AccountId
from domain.market import trading_day
from projections.past import (
    PORTFOLIO,
    AccountThen,
    Pair,
    Past,
    PastNotReadable,
    decode_rows,
    encode_rows,
    fold_open,
    read_pairs,
    stream_of,
)
from projections.ports import Clock, LogOfThePast, StatesStore, StoredState, ViewsUnavailable
from projections.read_model import AnyReadModel, Key
from projections.recorded_marks import RECORDED_MARKS

log = structlog.get_logger(__name__)

EVENTS_MAX = 64
"""A question about the past folds about so many events at most. Each is a page of the log to be read from the disk."""
PAGE = 1_000
_WALKS_KEPT = 256
_POLL_S = 1.0
_PAUSE_S = 2.0
_STOPPED_S = 60.0
_REST_SHARE = 4.0
_REST_MAX_S = 0.1
"""Beside a projector the keeper rests after each account, so many times as long as that took: nobody waits for it."""
_NS_PER_US = 1_000
_PREFIX = stream_of(AccountId(""))
MODELS: tuple[AnyReadModel, ...] = tuple(past.model for past in PORTFOLIO)
TABLES: tuple[AnyReadModel, ...] = tuple(model for model in MODELS if model is not RECORDED_MARKS)
"""Those of them that have a table."""


class StateKeeper:
    """Keeps *states* of the accounts in *log*."""

    def __init__(self, *, log: LogOfThePast, states: StatesStore, clock: Clock, events_max: int = EVENTS_MAX) -> None:
        self._log = log
        self._states = states
        self._clock = clock
        self._events_max = events_max
        self.is_prepared = False
        self._sequence = -1
        self._day = ""
        self._stored: dict[AccountId, int] = {}
        self._walks: OrderedDict[AccountId, _Walk] = OrderedDict()
        self._pending: dict[AccountId, RecordedEvent] = {}
        """Accounts of this day with the last event of each that no state covers."""

    @property
    def sequence(self) -> int:
        """How far the log was walked."""
        return max(self._sequence, 0)

    async def run(self) -> None:
        """Work until canceled."""
        while True:
            try:
                await self._states.prepare()
                self.is_prepared = True
                while not await self._states.claim():  # noqa: ASYNC110 - the other keeper is another process
                    await asyncio.sleep(_PAUSE_S)
                self._begin_at(await self._states.progress(MODELS))
                while True:
                    if not await self.step(rests=True):
                        await asyncio.sleep(_POLL_S)
            except ViewsUnavailable as fault:
                log.warning("keeper of states retries", detail=str(fault))
                await asyncio.sleep(_PAUSE_S)
            except PastNotReadable as fault:
                # Only a cache is missing; the log is for verification to judge.
                log.exception("keeper of states stopped", detail=str(fault))
                await asyncio.sleep(_STOPPED_S)

    async def catch_up(self) -> None:
        """Store what is due up to where the tables are, and return."""
        await self._states.prepare()
        if self._sequence < 0:
            self._begin_at(await self._states.progress(MODELS))
        while await self.step():
            pass

    async def step(self, *, rests: bool = False) -> bool:
        """Take in a page of the log; return False where there is nothing to take in."""
        reached = await self._states.reached(TABLES)
        limit = min(PAGE, reached - self._sequence)
        page = [] if limit <= 0 else await self._log.read_all(after_sequence=self._sequence, limit=limit)
        if not page:
            await self._end_day_by_clock()
            return False
        for recorded in page:
            day = trading_day(recorded.recorded_at_us * _NS_PER_US).isoformat()
            if day != self._day:
                await self._end_day(recorded.sequence - 1)
                self._day = day
            if recorded.stream_id.startswith(_PREFIX):
                self._pending[AccountId(recorded.stream_id.removeprefix(_PREFIX))] = recorded
            self._sequence = recorded.sequence
        await self._learn()
        for account_id, recorded in list(self._pending.items()):
            if recorded.version - self._stored[account_id] >= self._events_max:
                began_s = asyncio.get_running_loop().time()
                await self._store(account_id, recorded, is_day_over=False)
                if rests:
                    took_s = asyncio.get_running_loop().time() - began_s
                    await asyncio.sleep(min(_REST_SHARE * took_s, _REST_MAX_S))
        return True

    def _begin_at(self, sequence: int) -> None:
        self._sequence = sequence
        self._day = ""
        self._stored.clear()
        self._pending.clear()
        self._walks.clear()

    async def _learn(self) -> None:
        """Find out what is stored of accounts that are met for the first time."""
        if fresh := sorted(self._pending.keys() - self._stored.keys()):
            self._stored.update(await self._states.versions(fresh, MODELS))

    async def _end_day_by_clock(self) -> None:
        """End the day that is over by the clock, though nothing has happened since."""
        today = trading_day(self._clock.wall_ns()).isoformat()
        if self._day and self._day < today:
            await self._end_day(self._sequence)
            self._day = ""

    async def _end_day(self, sequence: int) -> None:
        """Store the open rows of every account to which something happened; *sequence* ends the day."""
        if not self._day:
            return
        for account_id, recorded in list(self._pending.items()):
            await self._store(account_id, recorded, is_day_over=True)
        await self._states.move_to(MODELS, sequence)
        # Accounts that stay quiet are not kept in mind.
        self._stored.clear()
        log.info("states of the day are stored", day=self._day, sequence=sequence)

    async def _store(self, account_id: AccountId, last: RecordedEvent, *, is_day_over: bool) -> None:
        """Store what is due of an account up to its event *last*."""
        # Taken out while it walks: one that was interrupted does not know where it stands.
        walk = self._walks.pop(account_id, None)
        if walk is None:
            walk = await _Walk.begin(account_id, last.sequence, log=self._log, states=self._states)
        await walk.go(last.sequence, events_max=self._events_max, is_day_over=is_day_over)
        self._stored[account_id] = walk.version
        self._walks[account_id] = walk
        if len(self._walks) > _WALKS_KEPT:
            self._walks.popitem(last=False)
        if self._stored[account_id] >= last.version:
            self._pending.pop(account_id)


class _Walk:
    """From the stored states of an account along its events, with a stop wherever a state is due."""

    def __init__(
        self, account_id: AccountId, found: dict[AnyReadModel, StoredState], *, log: LogOfThePast, states: StatesStore
    ) -> None:
        self._account_id = account_id
        self._log = log
        self._states = states
        self._found = found
        self._rows: dict[AnyReadModel, dict[Key, Any]] = {
            model: decode_rows(model, found.get(model)) for model in MODELS
        }
        self.version = 0
        """Up to which every read model has a state."""
        self._sequence = 0
        if len(found) == len(MODELS):
            self.version, self._sequence = min((state.version, state.sequence) for state in found.values())

    @classmethod
    async def begin(cls, account_id: AccountId, sequence: int, *, log: LogOfThePast, states: StatesStore) -> Self:
        """Return a walk that begins at the newest states before *sequence*."""
        return cls(account_id, await states.newest(account_id, MODELS, sequence=sequence), log=log, states=states)

    async def go(self, last_sequence: int, *, events_max: int, is_day_over: bool) -> None:
        """Store what is due up to *last_sequence*."""
        while True:
            events = await self._log.read_span(
                stream_of(self._account_id),
                after_version=self.version,
                after_sequence=self._sequence,
                last_sequence=last_sequence,
                limit=events_max,
            )
            if not events or (len(events) < events_max and not is_day_over):
                return
            await self._take(events)
            self.version, self._sequence = events[-1].version, events[-1].sequence

    async def _take(self, events: Sequence[RecordedEvent]) -> None:
        """Fold *events* and store what is open after the last of them."""
        pairs, end = read_pairs(events), events[-1]
        states = []
        for past in PORTFOLIO:
            known = self._found.get(past.model)
            # One read model may have states where another, of a newer version, has none.
            if known is None or known.version < end.version:
                fresh = [pair for pair in pairs if known is None or pair[1].version > known.version]
                await self._fold(past, fresh, end)
                states.append((past.model, self._state(past, end)))
                await asyncio.sleep(0)  # Many trades take milliseconds, and others have their turn in between.
        await self._states.save(states)

    async def _fold(self, past: Past[Any], pairs: Sequence[Pair], end: RecordedEvent) -> None:
        rows = self._rows[past.model]
        lost: set[Key] = set()
        fold_open(past.model, pairs, rows, lost)
        if lost:
            # They were over, and changed all the same. The tables, which are ahead, know when they were born.
            now = await self._states.rows_now(past.model, lost)
            if past.born is None or now.keys() != lost:
                raise PastNotReadable(f"{past.model.name} {sorted(lost)} changed before anything made them")
            then = AccountThen(self._account_id, end.sequence, states=self._states, log=self._log)
            rows |= await then.from_birth(past, {key: past.born(row) for key, row in now.items()})
        self._rows[past.model] = {key: row for key, row in rows.items() if row is not None and past.is_open(row)}

    def _state(self, past: Past[Any], end: RecordedEvent) -> StoredState:
        rows = encode_rows(row for _, row in sorted(self._rows[past.model].items()))
        return StoredState(account_id=self._account_id, sequence=end.sequence, version=end.version, rows=rows)
