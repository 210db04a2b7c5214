"""How the rows of an account as of a sequence are found: a stored state before it, and a fold of what happened between.

A stored state holds the rows that could still change: of positions, of risk and of recorded prices all there are, so
these come from a state and a fold alone. A row that is over (a closed trade, a filled order) is in none:
where it never changed again, its table still has it as it was, and who asks looks there first. Where it did change once
more (a late fill), it is folded from its birth: from the newest state that is older than the row itself, which is the
beginning of the account where there is none. So what is stored decides how much is read, and never what comes out.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic

import msgspec

from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from domain.order import CLOSED
from projections.batches import read_batch
from projections.orders import ORDERS
from projections.ports import LogOfThePast, StatesReader, StoredState
from projections.positions import POSITIONS
from projections.read_model import AnyReadModel, Key, ReadModel, Row, RowMissing, RowT
from projections.recorded_marks import RECORDED_MARKS
from projections.risk import RISK
from projections.trades import TRADES, TradeStatus

Pair = tuple[Event, RecordedEvent]
_KEPT = 32
_PAGE = 512
_ENCODER = msgspec.json.Encoder()


class PastNotReadable(Exception):
    """An event between a stored state and the wanted sequence cannot be read by this release."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Past(Generic[RowT]):
    """What the past needs to know of a read model.

    `is_open`: the row may change without any doubt, so a stored state has it. `born` returns the sequence of the event
    that made a row; None where every row is open for ever.
    """

    model: ReadModel[RowT]
    is_open: Callable[[RowT], bool]
    born: Callable[[RowT], int] | None = None

    def born_at(self, row: RowT) -> int:
        """Return the sequence of the event that made *row*, which is one that can be over."""
        if self.born is None:
            raise TypeError(f"rows of {self.model.name} are never over, so nobody knows when they were born")
        return self.born(row)


def _always(_: object) -> bool:
    return True


PAST_TRADES = Past(
    model=TRADES,
    is_open=lambda row: row.status not in {TradeStatus.CLOSED, TradeStatus.DENIED},
    born=lambda row: row.opened_sequence,
)
PAST_ORDERS = Past(model=ORDERS, is_open=lambda row: row.status not in CLOSED, born=lambda row: row.intended_sequence)
# A flat position may be traded again any day, so it is never over.
PAST_POSITIONS = Past(model=POSITIONS, is_open=_always)
PAST_RISK = Past(model=RISK, is_open=_always)
PAST_MARKS = Past(model=RECORDED_MARKS, is_open=_always)

PORTFOLIO: tuple[Past[Any], ...] = (PAST_TRADES, PAST_ORDERS, PAST_POSITIONS, PAST_RISK, PAST_MARKS)
"""Every fold whose open rows are stored."""

_READ_TOGETHER = tuple(past.model for past in PORTFOLIO)
"""Who asks for one of them asks for the others."""


def stream_of(account_id: AccountId) -> str:
    """Return the stream in which an account's events lie."""
    return f"account-{account_id}"


# --- Rows and their bytes ---------------------------------------------------------------------------------------------


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Return *rows* as a stored state keeps them."""
    return _ENCODER.encode(list(rows))


def decode_rows(model: ReadModel[RowT], state: StoredState | None) -> dict[Key, RowT | None]:
    """Return the rows of a stored state by their keys; none where there is no state."""
    if state is None:
        return {}
    rows: list[RowT] = _decoder(model).decode(state.rows)
    return {model.key_of_row(row): row for row in rows}


@cache
def _decoder(model: AnyReadModel) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(list[model.row])  # type: ignore[name-defined]


# --- Folding ----------------------------------------------------------------------------------------------------------


def read_pairs(events: Sequence[RecordedEvent]) -> list[Pair]:
    """Return *events* with what they say; those that read models may ignore are left out.

    Raises:
        PastNotReadable
    """
    reading = read_batch(events)
    if reading.obstacle is not None:
        raise PastNotReadable(reading.obstacle)
    return [(each.event, each.recorded) for each in reading.decoded if each.event is not None]


def fold_open(
    model: ReadModel[RowT],
    pairs: Iterable[Pair],
    rows: dict[Key, RowT | None],
    lost: set[Key],
    *,
    only: Collection[Key] | None = None,
) -> None:
    """Fold *pairs* into the *rows* of a stored state; add to *lost* the keys of rows that changed and were not in it.

    *only*: what else the events say is passed over.
    """
    concerns = frozenset(model.concerns)
    for event, recorded in pairs:
        if type(event) not in concerns:
            continue
        for key in model.keys_of(event, recorded):
            if key in lost or (only is not None and key not in only):
                continue
            try:
                row = model.apply(event, recorded, rows.get(key))
            except RowMissing:
                lost.add(key)
            else:
                if row is not None or key in rows:
                    rows[key] = row


class AccountThen:
    """One account as of *sequence*. What is read is kept, so that several questions about one moment read it once."""

    def __init__(self, account_id: AccountId, sequence: int, *, states: StatesReader, log: LogOfThePast) -> None:
        self.account_id = account_id
        self.sequence = sequence
        self._states = states
        self._log = log
        self._known: dict[AnyReadModel, StoredState | None] = {}
        self._kept: list[Pair] = []
        self._kept_after: int | None = None

    async def rows(self, past: Past[RowT], births: Mapping[Key, int] | None = None) -> dict[Key, RowT]:
        """Return the rows that there were of a read model whose rows are never over; of another, those of *births*.

        *births* says for the key of every wanted row when it was born, which was before this moment.

        Raises:
            PastNotReadable
        """
        if (births is None) != (past.born is None):
            raise TypeError(f"expected births of {past.model.name} if its rows can be over, and only then")
        state = await self._state(past.model)
        rows = decode_rows(past.model, state)
        if births is not None:
            rows = {key: row for key, row in rows.items() if key in births}
        lost: set[Key] = set()
        async for pairs in self._pairs_after(state):
            fold_open(past.model, pairs, rows, lost, only=births)
        if births is None:
            _demand_none(past, lost)
        elif again := {key: born for key, born in births.items() if key in lost or key not in rows}:
            rows |= await self.from_birth(past, again)
        return {key: row for key, row in rows.items() if row is not None}

    async def open_rows(self, past: Past[RowT]) -> tuple[dict[Key, RowT], set[Key]]:
        """Return the rows of a read model that were open, and some that were not.

        And the keys of rows that had been over for long and changed once more: these are to be asked for by birth.

        Raises:
            PastNotReadable
        """
        state = await self._state(past.model)
        rows = decode_rows(past.model, state)
        lost: set[Key] = set()
        async for pairs in self._pairs_after(state):
            fold_open(past.model, pairs, rows, lost)
        return {key: row for key, row in rows.items() if row is not None and key not in lost}, lost

    async def unstored_rows(self, model: ReadModel[RowT], births: Mapping[Key, int]) -> dict[Key, RowT]:
        """Return rows of a read model of which no states are stored, folded from the newest place before their births.

        Raises:
            PastNotReadable
        """
        found = await self._states.newest(self.account_id, [RISK], sequence=min(births.values()) - 1)
        rows: dict[Key, RowT | None] = {}
        async for pairs in self._pairs_after(found.get(RISK)):
            fold_open(model, pairs, rows, set(), only=births)
        return {key: row for key, row in rows.items() if row is not None}

    async def from_birth(self, past: Past[RowT], births: Mapping[Key, int]) -> dict[Key, RowT | None]:
        """Return rows that are in no state near enough, folded from before the first of them was born."""
        found = await self._states.newest(self.account_id, [past.model], sequence=min(births.values()) - 1)
        state = found.get(past.model)
        rows: dict[Key, RowT | None] = {}
        lost: set[Key] = set()
        async for pairs in self._pairs_after(state):
            fold_open(past.model, pairs, rows, lost, only=births)
        _demand_none(past, lost)
        return rows

    async def _state(self, model: AnyReadModel) -> StoredState | None:
        if model not in self._known:
            found = await self._states.newest(self.account_id, _READ_TOGETHER, sequence=self.sequence)
            self._known |= {each: found.get(each) for each in _READ_TOGETHER}
        return self._known[model]

    async def _pairs_after(self, state: StoredState | None) -> AsyncIterator[list[Pair]]:
        """Yield what happened after a state, in pages; what is a page at most is kept."""
        version, sequence = (0, 0) if state is None else (state.version, state.sequence)
        if self._kept_after is not None and self._kept_after <= version:
            yield [pair for pair in self._kept if pair[1].version > version]
            return
        started_after = version
        while True:
            events = await self._log.read_span(
                stream_of(self.account_id),
                after_version=version,
                after_sequence=sequence,
                last_sequence=self.sequence,
                limit=_PAGE,
            )
            pairs = read_pairs(events)
            if version == started_after and len(events) < _PAGE:
                self._kept, self._kept_after = pairs, started_after
            yield pairs
            if len(events) < _PAGE:
                return
            version, sequence = events[-1].version, events[-1].sequence


def _demand_none(past: Past[Any], lost: Collection[Key]) -> None:
    if lost:
        raise PastNotReadable(f"{past.model.name} {sorted(lost)} changed before anything made them")


class PastAccounts:
    """Accounts as they were; the last few that were asked for are kept, for who asks about a moment asks again."""

    def __init__(self, *, states: StatesReader, log: LogOfThePast) -> None:
        self._states = states
        self._log = log
        self._kept: OrderedDict[tuple[AccountId, int], AccountThen] = OrderedDict()

    def then(self, account_id: AccountId, sequence: int) -> AccountThen:
        """Return an account as of *sequence*."""
        key = (account_id, sequence)
        found = self._kept.pop(key, None)
        if found is None:
            found = AccountThen(account_id, sequence, states=self._states, log=self._log)
        self._kept[key] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found
