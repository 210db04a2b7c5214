"""The state of an aggregate at any point of its life, and each step on the way there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args

from domain.account import decider as account_decider
from domain.account.events import AccountEvent
from domain.decider import Decider
from domain.user.decide import decider as user_decider
from domain.user.events import UserEvent
from projections.replay.selection import HistoryReader, ReadEvent, Selection, select
from projections.replay.trees import Change, Tree, changes, tree_of


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What folds the streams of one category. `events` are the types that its decider knows."""

    decider: Decider[Any, Any, Any]
    events: tuple[type, ...]


def _types(union: Any) -> tuple[type, ...]:
    return get_args(union) or (union,)  # A union of one is that one.


AGGREGATES: dict[str, Aggregate] = {
    "account": Aggregate(account_decider, _types(AccountEvent)),
    "user": Aggregate(user_decider, _types(UserEvent)),
}
"""By the category of a stream: what stands before the first hyphen of its name."""


class NoAggregate(Exception):
    """No state of ours is folded from this stream: its category is foreign, as that of a library's application is."""

    def __init__(self, stream_id: str) -> None:
        known = ", ".join(f"{name}-…" for name in AGGREGATES)
        super().__init__(f"received stream {stream_id!r}, expected one of {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event and what it did to the state. An opaque event changes nothing."""

    read: ReadEvent
    before: Tree
    after: Tree

    @property
    def changes(self) -> list[Change]:
        """What differs between the two."""
        return changes(self.before, self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """An aggregate as it was. `version` and `sequence` are those of its last event then, 0 where it had none."""

    stream_id: str
    version: int
    sequence: int
    recorded_at_us: int
    opaque: int
    """How many of its events this release could not read: the state knows nothing of them."""
    state: Tree


def aggregate_of(stream_id: str) -> Aggregate:
    """Return what folds *stream_id*.

    Raises:
        NoAggregate: nothing of ours does.
    """
    category = stream_id.partition("-")[0]
    if category not in AGGREGATES:
        raise NoAggregate(stream_id)
    return AGGREGATES[category]


async def steps(log: HistoryReader, stream_id: str, selection: Selection) -> AsyncIterator[Step]:
    """Yield each event of *stream_id* that *selection* wants, with the whole aggregate's state before and after it.

    Raises:
        NoAggregate
    """
    aggregate = aggregate_of(stream_id)
    state = aggregate.decider.initial
    async for read in select(log, Selection(stream_id=stream_id)):
        if selection.is_past(read.recorded):
            return
        after = _after(aggregate, state, read)
        if selection.takes(read.recorded) is not None:
            yield Step(read=read, before=tree_of(state), after=tree_of(after))
        state = after


async def rebuild(
    log: HistoryReader, stream_id: str, *, at_sequence: int | None = None, as_of_us: int | None = None
) -> Rebuilt:
    """Return the aggregate of *stream_id* as it was at a sequence or a time (UTC microseconds), else as it is.

    Raises:
        NoAggregate
    """
    aggregate = aggregate_of(stream_id)
    state = aggregate.decider.initial
    version = sequence = recorded_at_us = opaque = 0
    wanted = Selection(stream_id=stream_id, last_sequence=at_sequence, until_us=as_of_us)
    async for read in select(log, wanted):
        state = _after(aggregate, state, read)
        opaque += not isinstance(read.event, aggregate.events)
        version, sequence = read.recorded.version, read.recorded.sequence
        recorded_at_us = read.recorded.recorded_at_us
    return Rebuilt(
        stream_id=stream_id,
        version=version,
        sequence=sequence,
        recorded_at_us=recorded_at_us,
        opaque=opaque,
        state=tree_of(state),
    )


def _after(aggregate: Aggregate, state: Any, read: ReadEvent) -> Any:
    return aggregate.decider.evolve(state, read.event) if isinstance(read.event, aggregate.events) else state
