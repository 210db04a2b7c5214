"""What the log keeps of every event, and the hash chain over it.

A leaf hash covers one event's content and is computed before the log's lock is taken; the chain hash binds it to its
place and to everything before it. The same two functions stand in SQL in the append; a contract test holds the two
against each other.
"""

from hashlib import sha256
from struct import Struct

import msgspec

# As the log's SQL writes a bigint, so that whatever a row holds can be hashed.
_number = Struct(">q").pack
_NUMBER_BYTES = 8
_VERSION = Struct(">qqq").pack
"""A version with its length before it, and the length of what follows."""
GENESIS_HASH = bytes(32)
"""The hash before the first event."""

_PLACE = Struct(">qq").pack


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked for an event, from where and why.

    `received_at_ns` is when the command reached us (UTC nanoseconds). `actor` is a user id or the name of a process
    manager; `source` names the door (`api`, `executor`, `protection` …).
    """

    actor: str = ""
    source: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    received_at_ns: int = 0


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as it lies in the log. `recorded_at_us` (UTC microseconds) never falls from one event to the next.

    Its fields refer to nothing, so the collector need not look at the hundred thousands that a reader has in hand.
    """

    sequence: int
    stream_id: str
    version: int
    name: str
    command_id: str
    metadata: bytes
    payload: bytes
    recorded_at_us: int
    previous_hash: bytes
    hash: bytes


def leaf_hash(*, stream_id: str, version: int, name: str, command_id: str, metadata: bytes, payload: bytes) -> bytes:
    """Return the hash of one event's content: every part prefixed by its length, so that no two contents collide."""
    stream, named, command = stream_id.encode(), name.encode(), command_id.encode()
    # Every reader of the stream does this for each event: with a piece made for each part it took a third longer.
    return sha256(
        b"".join(
            (
                _number(len(stream)),
                stream,
                _VERSION(_NUMBER_BYTES, version, len(named)),
                named,
                _number(len(command)),
                command,
                _number(len(metadata)),
                metadata,
                _number(len(payload)),
                payload,
            )
        )
    ).digest()


def chain_hash(*, previous: bytes, sequence: int, recorded_at_us: int, leaf: bytes) -> bytes:
    """Return the hash that binds *leaf* to its *sequence*, its time and the hash before it."""
    return sha256(previous + _PLACE(sequence, recorded_at_us) + leaf).digest()


def leaf_of(event: RecordedEvent) -> bytes:
    """Return the hash of an event's content, whatever hash it bears."""
    return leaf_hash(
        stream_id=event.stream_id,
        version=event.version,
        name=event.name,
        command_id=event.command_id,
        metadata=event.metadata,
        payload=event.payload,
    )


def is_intact(event: RecordedEvent) -> bool:
    """Tell whether the event's hash is that of its content and the hash it claims to follow."""
    leaf = leaf_of(event)
    expected = chain_hash(
        previous=event.previous_hash, sequence=event.sequence, recorded_at_us=event.recorded_at_us, leaf=leaf
    )
    return expected == event.hash
