"""What goes into a batch: entries, checked and hashed before they wait, and the batch as the statement's parameters.

An entry brings its elements of the statement's arrays ready made, so that a batch is put together by joining them: what
is done for each command is done while the server works on the batch before, and not while it waits for the next one.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

import msgspec

from adapters.postgres.arrays import (
    NULL,
    BinaryArray,
    BytesArray,
    Int4Array,
    Int8Array,
    TextArray,
    bytes_element,
    int8_element,
)
from commands.ports import Append, Claim, EventTooLarge, NewEvent, VersionConflict

EVENT_BYTES_MAX = 256 * 1024
"""Of one event's metadata and payload together."""
ENTRY_EVENTS_MAX = 5_000
"""A command with more would hold the log's lock for too long."""
ENTRY_BYTES_MAX = 16 * 1024 * 1024
_CONTINUES = -1
_FOUR_ZEROS = bytes(4)

APPEND = """
    -- Append a batch.
    SELECT statuses, first_sequences, last_sequences, head_sequence
    FROM log.append_batch(
        %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b
    )
"""
"""Takes what `parameters_of` returns."""
APPEND_NAME = b"append"
PREPARE_APPEND = """
    -- Name the append of a batch, for this session.
    PREPARE append AS
    SELECT statuses, first_sequences, last_sequences, head_sequence
    FROM log.append_batch(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23
    )
"""


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
    """One command, ready to be appended: `events` is how many it has, `size` is in bytes.

    `parts` has, for each part, the element of its stream, the version that the statement is to demand, the leaf and the
    number of events. The fields `…_elements` have one element for each event, joined.
    """

    command_id: str
    scope: str
    key: str | None
    request_hash: bytes
    claim: Claim | None
    tracked: Tracked | None
    alone_with: tuple[tuple[str, ...] | tuple[str, bytes], ...]
    """What no other entry of a batch may have, because the statement looks it up once, at its start."""
    parts: tuple[tuple[bytes, int, bytes | None, int], ...]
    events: int
    size: int
    scope_element: bytes
    key_element: bytes
    request_hash_element: bytes
    stream_elements: bytes
    version_elements: bytes
    name_elements: bytes
    command_elements: bytes
    metadata_elements: bytes
    payload_elements: bytes
    leaf_elements: bytes


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
    size = len(metadata)
    next_versions: dict[str, int] = {}
    command, about = bytes_element(command_id.encode()), bytes_element(metadata)
    heads: list[tuple[bytes, int, bytes | None, int]] = []
    streams: list[bytes] = []
    versions: list[bytes] = []
    names: list[bytes] = []
    payloads: list[bytes] = []
    leaves: list[bytes] = []
    for part in parts:
        stream_id, first_version, count = part.stream_id, part.first_version, len(part.events)
        if next_versions.get(stream_id, first_version) != first_version:
            raise VersionConflict(f"command {command_id} has two events for one version of {stream_id}, or a gap")
        stream = bytes_element(stream_id.encode())
        heads.append((stream, _CONTINUES if stream_id in next_versions else first_version, part.leaf, count))
        next_versions[stream_id] = first_version + count
        streams.append(stream * count)
        for version, event in enumerate(part.events, first_version):
            event_size = len(metadata) + len(event.payload)
            if event_size > EVENT_BYTES_MAX:
                raise EventTooLarge(f"event {event.name} has {event_size} bytes, expected {EVENT_BYTES_MAX} at most")
            size += event_size
            number, name, payload = int8_element(version), _name_element(event.name), bytes_element(event.payload)
            versions.append(number)
            names.append(name)
            payloads.append(payload)
            # The leaf hash (`domain.envelope.leaf_hash`) covers each part with its length before it, as an element has
            # it; but a length has eight bytes there, and four here.
            covered = _FOUR_ZEROS.join((b"", stream, number, name, command, about, payload))
            leaves.append(bytes_element(sha256(covered).digest()))
    events = len(leaves)
    if events > ENTRY_EVENTS_MAX:
        raise ValueError(f"command {command_id} has {events} events, expected {ENTRY_EVENTS_MAX} at most")
    if size > ENTRY_BYTES_MAX:
        raise EventTooLarge(f"the events of one command have {size} bytes, expected {ENTRY_BYTES_MAX} at most")
    return Entry(
        command_id=command_id,
        scope=scope,
        key=key,
        request_hash=request_hash,
        claim=claim,
        tracked=tracked,
        alone_with=_alone_with(scope, key, claim, tracked),
        parts=tuple(heads),
        events=events,
        size=size,
        scope_element=bytes_element(scope.encode()),
        key_element=NULL if key is None else bytes_element(key.encode()),
        request_hash_element=bytes_element(request_hash),
        stream_elements=b"".join(streams),
        version_elements=b"".join(versions),
        name_elements=b"".join(names),
        command_elements=command * events,
        metadata_elements=about * events,
        payload_elements=b"".join(payloads),
        leaf_elements=b"".join(leaves),
    )


@lru_cache(maxsize=1024)
def _name_element(name: str) -> bytes:
    return bytes_element(name.encode())


def _alone_with(
    scope: str, key: str | None, claim: Claim | None, tracked: Tracked | None
) -> tuple[tuple[str, ...] | tuple[str, bytes], ...]:
    names: tuple[tuple[str, ...] | tuple[str, bytes], ...] = () if key is None else (("key", scope, key),)
    if claim is not None:
        names += ((claim.kind, claim.key_hash),)
    if tracked is not None:
        names += (("tracking", tracked.tracker, tracked.application_name),)
    return names


def parameters_of(entries: Sequence[Entry]) -> list[BinaryArray]:
    """Return the batch as the parameters of `log.append_batch`, in their order."""
    places: dict[bytes, int] = {}
    part_streams: list[int] = []
    part_versions: list[int] = []
    part_leaves: list[bytes | None] = []
    part_events: list[int] = []
    for entry in entries:
        for stream, version, leaf, count in entry.parts:
            part_streams.append(places.setdefault(stream, len(places) + 1))
            part_versions.append(version)
            part_leaves.append(leaf)
            part_events.append(count)
    events = sum(part_events)
    keyed = entries if any(entry.key is not None for entry in entries) else ()
    keys = [entry.key_element for entry in keyed]
    tracked = [entry.tracked for entry in entries] if any(entry.tracked is not None for entry in entries) else []
    claims = [entry.claim for entry in entries] if any(entry.claim is not None for entry in entries) else []
    return [
        Int4Array.of([len(entry.parts) for entry in entries]),
        TextArray.of_elements(len(keyed), [entry.scope_element for entry in keyed]),
        TextArray.of_elements(len(keyed), keys, has_null=NULL in keys),
        BytesArray.of_elements(len(keyed), [entry.request_hash_element for entry in keyed]),
        TextArray.of([None if claim is None else claim.kind for claim in claims]),
        BytesArray.of([None if claim is None else claim.key_hash for claim in claims]),
        TextArray.of([None if claim is None else claim.owner for claim in claims]),
        TextArray.of_elements(len(places), list(places)),
        Int4Array.of(part_streams),
        Int8Array.of(part_versions),
        BytesArray.of(part_leaves),
        Int4Array.of(part_events),
        TextArray.of_elements(events, [entry.stream_elements for entry in entries]),
        Int8Array.of_elements(events, [entry.version_elements for entry in entries]),
        TextArray.of_elements(events, [entry.name_elements for entry in entries]),
        TextArray.of_elements(events, [entry.command_elements for entry in entries]),
        BytesArray.of_elements(events, [entry.metadata_elements for entry in entries]),
        BytesArray.of_elements(events, [entry.payload_elements for entry in entries]),
        BytesArray.of_elements(events, [entry.leaf_elements for entry in entries]),
        TextArray.of([None if each is None else each.tracker for each in tracked]),
        TextArray.of([None if each is None else each.application_name for each in tracked]),
        Int8Array.of([0 if each is None else each.notification_id for each in tracked]),
        TextArray.of([entry.command_id for entry in entries] if tracked else []),
    ]
