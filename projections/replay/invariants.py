"""An account's past held against what always holds, append by append, as the watch held it when it was written."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import get_args

from domain.account import decider
from domain.account.events import AccountEvent
from domain.account.invariants import Found, looked_at
from domain.account.state import Account
from domain.envelope import RecordedEvent
from projections.replay.aggregates import NoAggregate
from projections.replay.selection import HistoryReader, Selection, select

_EVENTS = get_args(AccountEvent)


@dataclass(frozen=True, slots=True)
class Broken:
    """What was found, and the event of the log that broke it."""

    recorded: RecordedEvent
    found: Found


@dataclass(slots=True)
class HeldAgainst:
    """How much was looked at so far."""

    events: int = 0
    broken: int = 0


async def broken_in(log: HistoryReader, stream_id: str, so_far: HeldAgainst) -> AsyncIterator[Broken]:
    """Yield what the events of an account broke, oldest first, and count in *so_far* what was looked at.

    Raises:
        NoAggregate: it is no account's stream.
    """
    if stream_id.partition("-")[0] != "account":
        raise NoAggregate(stream_id)
    state = decider.initial
    batch: list[tuple[RecordedEvent, AccountEvent]] = []
    async for read in select(log, Selection(stream_id=stream_id)):
        if not isinstance(read.event, _EVENTS):
            continue  # Opaque to this release: the account knows nothing of it.
        if batch and batch[0][0].command_id != read.recorded.command_id:
            found, state = _held(state, batch, so_far)
            batch = []
            for each in found:
                yield each
        batch.append((read.recorded, read.event))
    found, _ = _held(state, batch, so_far)
    for each in found:
        yield each


def _held(
    state: Account, batch: list[tuple[RecordedEvent, AccountEvent]], so_far: HeldAgainst
) -> tuple[list[Broken], Account]:
    """Hold the events of one append against the account before them."""
    placed, after = looked_at(state, [event for _, event in batch])
    so_far.events += len(batch)
    so_far.broken += len(placed)
    return [Broken(batch[each.events - 1][0], each.found) for each in placed], after
