"""Large loads: many commands in large batches, encoded and hashed while the batch before them is being stored.

A load goes the way of every append (`group_commit`): the same statement with the same checks, in batches of at most
1,000 events a hold of the log's lock, the writer's own recovery, and live commands in between. What makes it fast is
that a batch comes ready: its arrays were made in a thread while the one before it was being stored.

COPY would save the server the arrays, but it can only fill a table: the rows would be written once to stage them and
once more under the lock, where the chain is made. Measured against each other, one statement with arrays wins.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from adapters.postgres.batches import Room
from adapters.postgres.entries import Entry, entry_of
from adapters.postgres.group_commit import GroupCommit
from adapters.postgres.waiting import Outcome, ReadyBatch
from commands.ports import Append


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a load has stored so far. `repeated`: commands that an earlier run of the load had carried out already."""

    commands: int = 0
    events: int = 0
    repeated: int = 0
    last_sequence: int = 0


class LoadStopped(Exception):
    """A command of the load was refused, and nothing after its batch was sent.

    `refused` has, by command id, why (`conflict`, `key_reused`, `claim_taken`); `loaded` what is stored, the others of
    that batch included. Commands with keys make a load that can be run again from its beginning.
    """

    def __init__(self, refused: dict[str, str], loaded: Loaded) -> None:
        first, reason = next(iter(refused.items()))
        super().__init__(f"{len(refused)} commands were refused, command {first} the first: {reason}")
        self.refused = refused
        self.loaded = loaded


async def load(
    writer: GroupCommit, appends: Iterable[Append], *, tell: Callable[[Loaded], None] | None = None
) -> Loaded:
    """Append the commands of *appends*, in their order, and return what was stored; *tell* hears of every batch.

    *appends* is iterated in a thread, a batch ahead of what is stored.

    Raises:
        LoadStopped: a command was refused.
        commands.ports.EventTooLarge, StoreUnavailable, AppendOutcomeUnknown, ValueError: what was stored is stored;
            which that is can be read from the log, or is told by running a load with keys again.
    """
    batches = _batches_of(appends)
    loaded = Loaded()
    batch = await asyncio.to_thread(next, batches, None)
    while batch is not None:
        outcomes = writer.submit_ready(batch)
        try:
            following = await asyncio.to_thread(next, batches, None)
        except Exception:
            await asyncio.wait({outcomes})  # What was handed in is decided before anybody hears that there is no more.
            raise
        loaded = _counted(loaded, batch.entries, await outcomes)
        if tell is not None:
            tell(loaded)
        batch = following
    return loaded


def _batches_of(appends: Iterable[Append]) -> Iterator[ReadyBatch]:
    entries: list[Entry] = []
    room = Room()
    for append in appends:
        entry = entry_of(append)
        if not room.take(entry):
            yield ReadyBatch(entries)
            entries, room = [], Room()
            room.take(entry)
        entries.append(entry)
    if entries:
        yield ReadyBatch(entries)


def _counted(loaded: Loaded, entries: list[Entry], outcomes: list[Outcome]) -> Loaded:
    refused = {}
    events = repeated = 0
    last = loaded.last_sequence
    for entry, outcome in zip(entries, outcomes, strict=True):
        match outcome.status:
            case "appended":
                events += entry.events
            case "repeated":
                repeated += 1
            case status:
                refused[entry.command_id] = status
                continue
        last = max(last, outcome.last_sequence)
    loaded = replace(
        loaded,
        commands=loaded.commands + len(entries) - len(refused) - repeated,
        events=loaded.events + events,
        repeated=loaded.repeated + repeated,
        last_sequence=last,
    )
    if refused:
        raise LoadStopped(refused, loaded)
    return loaded
