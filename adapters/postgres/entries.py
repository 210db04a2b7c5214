"""What goes into a batch: entries, checked and hashed before they wait, and the batch as the statement's parameters."""

from collections.abc import Sequence

import msgspec

from adapters.postgres.arrays import BinaryArray, BytesArray, Elements, Int4Array, Int8Array, TextArray
from commands.ports import Append, Claim, EventTooLarge, NewEvent, VersionConflict
from domain.envelope import leaf_hashes

EVENT_BYTES_MAX = 256 * 1024
"""Of one event's metadata and payload together."""
ENTRY_EVENTS_MAX = 5_000
"""A command with more would hold the log's lock for too long."""
ENTRY_BYTES_MAX = 16 * 1024 * 1024
_CONTINUES = -1

APPEND = """
    -- Append a batch.
    SELECT statuses, first_sequences, last_sequences, head_sequence
    FROM log.append_batch(
        %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b
    )
"""
"""Takes what `parameters_of` returns."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Events for one stream. The first gets `first_version`, which must follow the stream's last one (new: 0 or 1).

    `leaf`, where given, is the leaf hash that the stream's last event must have. A stream that the entry names again,
    further on, continues what the entry has of it before.
    """

    stream_id: str
    first_version: int
    events: tuple[NewEvent, ...]
    leaf: bytes | None = None


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """How far an application of the `eventsourcing` library has come with one that it follows.

    Kept in the transaction of the events that came of it. It only grows: an entry whose *notification_id* is not beyond
    what is kept for the *tracker* and *application_name* fails alone.
    """

    tracker: str
    application_name: str
    notification_id: int


class TrackingStale(Exception):
    """The tracker has come as far before, or further. Nothing was stored."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One command, ready to be appended: `leaves` has the hash of each event, in order; `size` is in bytes."""

    command_id: str
    metadata: bytes
    parts: tuple[Part, ...]
    scope: str
    key: str | None
    request_hash: bytes
    claim: Claim | None
    tracked: Tracked | None
    leaves: tuple[bytes, ...]
    size: int


def entry_of(append: Append) -> Entry:
    """Return the entry for *append*; raises as `new_entry` does."""
    parts = tuple(
        Part(
            stream_id=part.stream_id,
            first_version=part.expected_version + 1,
            events=part.events,
            leaf=part.expected_leaf,
        )
        for part in append.streams
    )
    return new_entry(
        command_id=append.command_id,
        metadata=append.metadata,
        parts=parts,
        scope=append.scope,
        key=append.key,
        request_hash=append.request_hash,
        claim=append.claim,
    )


def new_entry(
    *,
    command_id: str,
    metadata: bytes,
    parts: tuple[Part, ...],
    scope: str = "",
    key: str | None = None,
    request_hash: bytes = b"",
    claim: Claim | None = None,
    tracked: Tracked | None = None,
) -> Entry:
    """Return a checked and hashed entry.

    Raises:
        EventTooLarge: an event, or all of them together, is more than an append takes.
        VersionConflict: a stream that is named again does not continue what the entry has of it before.
        ValueError: there are more than `ENTRY_EVENTS_MAX` events.
    """
    leaves: list[bytes] = []
    size = len(metadata)
    next_versions: dict[str, int] = {}
    for part in parts:
        if next_versions.get(part.stream_id, part.first_version) != part.first_version:
            raise VersionConflict(f"command {command_id} has two events for one version of {part.stream_id}, or a gap")
        next_versions[part.stream_id] = part.first_version + len(part.events)
        for event in part.events:
            event_size = len(metadata) + len(event.payload)
            if event_size > EVENT_BYTES_MAX:
                raise EventTooLarge(f"event {event.name} has {event_size} bytes, expected {EVENT_BYTES_MAX} at most")
            size += event_size
        leaves += leaf_hashes(
            stream_id=part.stream_id,
            first_version=part.first_version,
            events=[(event.name, event.payload) for event in part.events],
            command_id=command_id,
            metadata=metadata,
        )
    if len(leaves) > ENTRY_EVENTS_MAX:
        raise ValueError(f"command {command_id} has {len(leaves)} events, expected {ENTRY_EVENTS_MAX} at most")
    if size > ENTRY_BYTES_MAX:
        raise EventTooLarge(f"the events of one command have {size} bytes, expected {ENTRY_BYTES_MAX} at most")
    return Entry(
        command_id=command_id,
        metadata=metadata,
        parts=parts,
        scope=scope,
        key=key,
        request_hash=request_hash,
        claim=claim,
        tracked=tracked,
        leaves=tuple(leaves),
        size=size,
    )


def parameters_of(entries: Sequence[Entry]) -> list[BinaryArray]:
    """Return the batch as the parameters of `log.append_batch`, in their order."""
    places: dict[str, int] = {}
    part_streams: list[int] = []
    part_versions: list[int] = []
    part_leaves: list[bytes | None] = []
    part_events: list[int] = []
    stream_ids, names, command_ids, metadata = Elements(), Elements(), Elements(), Elements()
    versions: list[int] = []
    payloads: list[bytes] = []
    leaves: list[bytes] = []
    for entry in entries:
        named: set[str] = set()
        for part in entry.parts:
            count = len(part.events)
            part_streams.append(places.setdefault(part.stream_id, len(places) + 1))
            part_versions.append(_CONTINUES if part.stream_id in named else part.first_version)
            named.add(part.stream_id)
            part_leaves.append(part.leaf)
            part_events.append(count)
            stream_ids.add(part.stream_id.encode(), times=count)
            versions += range(part.first_version, part.first_version + count)
            for event in part.events:
                names.add(event.name.encode())
                payloads.append(event.payload)
        command_ids.add(entry.command_id.encode(), times=len(entry.leaves))
        metadata.add(entry.metadata, times=len(entry.leaves))
        leaves += entry.leaves
    keyed = entries if any(entry.key is not None for entry in entries) else ()
    tracked = [entry.tracked for entry in entries] if any(entry.tracked is not None for entry in entries) else []
    claims = [entry.claim for entry in entries] if any(entry.claim is not None for entry in entries) else []
    return [
        Int4Array.of([len(entry.parts) for entry in entries]),
        TextArray.of([entry.scope for entry in keyed]),
        TextArray.of([entry.key for entry in keyed]),
        BytesArray.of([entry.request_hash for entry in keyed]),
        TextArray.of([None if claim is None else claim.kind for claim in claims]),
        BytesArray.of([None if claim is None else claim.key_hash for claim in claims]),
        TextArray.of([None if claim is None else claim.owner for claim in claims]),
        TextArray.of(list(places)),
        Int4Array.of(part_streams),
        Int8Array.of(part_versions),
        BytesArray.of(part_leaves),
        Int4Array.of(part_events),
        TextArray.of_elements(stream_ids),
        Int8Array.of(versions),
        TextArray.of_elements(names),
        TextArray.of_elements(command_ids),
        BytesArray.of_elements(metadata),
        BytesArray.of(payloads),
        BytesArray.of(leaves),
        TextArray.of([None if each is None else each.tracker for each in tracked]),
        TextArray.of([None if each is None else each.application_name for each in tracked]),
        Int8Array.of([0 if each is None else each.notification_id for each in tracked]),
        TextArray.of([entry.command_id for entry in entries] if tracked else []),
    ]
