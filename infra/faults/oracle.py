"""The judge: what clients were told, the log, its mirror and the read models have to be one story.

| Finding | What it means |
|---|---|
| lost | an answered command is not in the log as it was answered, or the log or its mirror lacks something |
| duplicated | a command is in the log twice, a key has two outcomes or another one than was told |
| reordered | sequences, versions, times or a client's own commands do not follow each other |
| differences | a hash, a head, a message of the mirror or a row of a read model is not what the log leads to |
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
from psycopg import AsyncConnection

from adapters.nats.connection import NatsConnection
from adapters.nats.stream import decode, stream_name
from adapters.nats.stream_reader import StreamReader
from adapters.postgres.reading import LogReads
from adapters.postgres.views import PostgresViews
from domain.envelope import GENESIS_HASH, Metadata, RecordedEvent, is_intact, leaf_of
from infra.faults.ledger import Ledger
from projections.catalogue import READ_MODELS
from projections.verification import differences

_PAGE = 1_000
_MESSAGE_WITHIN_S = 10.0
_STREAMS = "SELECT stream_id, version, leaf FROM log.streams"
_COMMANDS = "SELECT scope, key, status, first_sequence, last_sequence FROM log.commands"
_HEAD = "SELECT sequence, hash FROM log.head"
_NOT_AT_THE_END = "SELECT name, sequence, halted FROM views.checkpoints WHERE sequence <> %s OR halted IS NOT NULL"


@dataclass(slots=True)
class Findings:
    """What is wrong, each finding in words; all empty: nothing is."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return any(getattr(self, each.name) for each in fields(self))

    def __str__(self) -> str:
        lines = [f"{each.name}: {text}" for each in fields(self) for text in getattr(self, each.name)]
        return "\n".join(lines) or "nothing is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where the judge looks, past everything that can be cut."""

    log: LogReads
    admin: AsyncConnection[Any]
    nats: NatsConnection
    views: PostgresViews
    ledger: Ledger


async def judge(evidence: Evidence) -> Findings:
    """Return what is wrong now that every fault is over and relay and projector have converged."""
    findings = Findings()
    events = await _read(evidence.log)
    await check_log(evidence.admin, events, findings)
    check_answers(evidence.ledger, events, findings)
    await check_commands(evidence.admin, evidence.ledger, findings)
    await check_mirror(evidence.nats, (await evidence.log.head()).epoch, events, findings)
    findings.differences += map(str, await differences(READ_MODELS, log=evidence.log, views=evidence.views))
    stopped = await (await evidence.admin.execute(_NOT_AT_THE_END, [len(events)])).fetchall()
    findings.differences += [f"{model} stands at {sequence}: {halted}" for model, sequence, halted in stopped]
    return findings


async def _read(log: LogReads) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    while page := await log.read_all(after_sequence=len(events), limit=_PAGE):
        events += page
    return events


async def check_log(connection: AsyncConnection[Any], events: Sequence[RecordedEvent], findings: Findings) -> None:
    """Check sequences, versions, times and the chain of hashes, and what the log says of its own ends."""
    previous, at_us = GENESIS_HASH, 0
    ends: dict[str, tuple[int, bytes]] = {}
    for sequence, event in enumerate(events, 1):
        if event.sequence != sequence:
            findings.lost.append(f"sequence {sequence}: the log has {event.sequence} there")
        if event.version != ends.get(event.stream_id, (0, b""))[0] + 1:
            findings.reordered.append(f"sequence {event.sequence}: version {event.version} of {event.stream_id}")
        if event.recorded_at_us < at_us:
            findings.reordered.append(f"sequence {event.sequence}: recorded before the event that it follows")
        if event.previous_hash != previous or not is_intact(event):
            findings.differences.append(f"sequence {event.sequence}: its hash is not that of its content and place")
        previous, at_us = event.hash, event.recorded_at_us
        ends[event.stream_id] = (event.version, leaf_of(event))
    head = await (await connection.execute(_HEAD)).fetchone()
    if head != (len(events), previous):
        findings.differences.append(f"the head is {head}, the log ends at {len(events)}")
    rows = await (await connection.execute(_STREAMS)).fetchall()
    if {stream_id: (version, bytes(leaf)) for stream_id, version, leaf in rows} != ends:
        findings.differences.append("the ends of the streams are not those of their events")


def check_answers(ledger: Ledger, events: Sequence[RecordedEvent], findings: Findings) -> None:
    """Check that every request led to what was told of it, once."""
    findings.duplicated += ledger.contradictions
    by_name: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        by_name[msgspec.json.decode(event.metadata, type=Metadata).correlation_id].append(event)
    findings.differences += [f"{name}: nobody asked for it" for name in by_name.keys() - ledger.asked.keys()]
    last_of: dict[str, int] = {}
    for name, asked in ledger.asked.items():
        there = by_name.get(name, [])
        if len({event.command_id for event in there}) > 1:
            findings.duplicated.append(f"{name}: carried out {len({event.command_id for event in there})} times")
        answer = ledger.answers.get(name)
        if answer is None:
            continue
        stored = tuple((event.name, event.payload) for event in there)
        told = answer.events
        if asked.is_keyed or told:
            if stored != told:
                findings.lost.append(f"{name}: told {len(told)} events, the log has {len(stored)} or others")
            elif told and (there[0].sequence, there[-1].sequence) != (answer.first_sequence, answer.last_sequence):
                findings.lost.append(f"{name}: told {answer.first_sequence}, found at {there[0].sequence}")
        if told:
            if answer.first_sequence <= last_of.get(asked.client, 0):
                findings.reordered.append(f"{name}: lies before what {asked.client} had been told earlier")
            last_of[asked.client] = answer.last_sequence


async def check_commands(connection: AsyncConnection[Any], ledger: Ledger, findings: Findings) -> None:
    """Check that every key has one outcome, the one that was told."""
    rows = await (await connection.execute(_COMMANDS)).fetchall()
    kept = {(scope, key): (status, first, last) for scope, key, status, first, last in rows}
    for name, asked in ledger.asked.items():
        if not asked.is_keyed or (answer := ledger.answers.get(name)) is None:
            continue
        told = ("appended", answer.first_sequence, answer.last_sequence) if answer.events else None
        found = kept.get((asked.scope, name))
        if found != told:
            findings.duplicated.append(f"{name}: told {told}, remembered {found}")


async def check_mirror(nats: NatsConnection, epoch: str, events: Sequence[RecordedEvent], findings: Findings) -> None:
    """Check that the stream holds the log's tail, each event at its own sequence."""
    state = (await nats.jetstream().stream_info(stream_name(epoch))).state
    if state.last_seq != len(events):
        findings.lost.append(f"the stream ends at {state.last_seq}, the log at {len(events)}")
    # As many messages as sequences, in order and without one deleted: each lies at its event's sequence.
    expected = events[state.first_seq - 1 :]
    if state.messages != len(expected) or state.num_deleted:
        findings.lost.append(f"the stream has {state.messages} messages, expected {len(expected)}")
        return
    found = [decode(body) for body in await _bodies(nats, epoch, state.first_seq, len(expected))]
    if len(found) < len(expected):
        findings.lost.append(f"the stream handed out {len(found)} messages, expected {len(expected)}")
    for event, right in zip(found, expected, strict=False):
        if event.sequence != right.sequence:
            findings.reordered.append(f"the stream has {event.sequence} where the log has {right.sequence}")
        elif event != right:
            findings.differences.append(f"the stream has another event at {right.sequence}")


async def _bodies(nats: NatsConnection, epoch: str, first_sequence: int, count: int) -> list[bytes]:
    if not count:
        return []
    reader = StreamReader(nats, epoch, first_sequence=first_sequence)
    await reader.open()
    try:
        bodies: list[bytes] = []
        while len(bodies) < count and (more := await reader.next(timeout_s=_MESSAGE_WITHIN_S)):
            bodies += more
    finally:
        await reader.close()
    return bodies


def total(findings: Iterable[Findings]) -> dict[str, int]:
    """Return how many findings of each kind there are."""
    kept = list(findings)
    return {each.name: sum(len(getattr(one, each.name)) for one in kept) for each in fields(Findings)}
