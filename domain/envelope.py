"""What the log keeps of every event, and the hash chain over it.

A leaf hash covers one event's content and is computed before the log's lock is taken; the chain hash binds it to its
place and to everything before it. The same two functions stand in SQL in the append; a contract test holds the two
against each other.
"""

from hashlib import sha256

import msgspec

GENESIS_HASH = bytes(32)
"""The hash before the first event."""


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

    It holds nothing that could refer back to it, so the collector of cycles need not look at the many there are.
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
    digest = sha256()
    for part in (stream_id.encode(), version.to_bytes(8, "big"), name.encode(), command_id.encode(), metadata, payload):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def chain_hash(*, previous: bytes, sequence: int, recorded_at_us: int, leaf: bytes) -> bytes:
    """Return the hash that binds *leaf* to its *sequence*, its time and the hash before it."""
    place = sequence.to_bytes(8, "big") + recorded_at_us.to_bytes(8, "big")
    return sha256(previous + place + leaf).digest()


def is_intact(event: RecordedEvent) -> bool:
    """Tell whether the event's hash is that of its content and the hash it claims to follow."""
    leaf = leaf_hash(
        stream_id=event.stream_id,
        version=event.version,
        name=event.name,
        command_id=event.command_id,
        metadata=event.metadata,
        payload=event.payload,
    )
    expected = chain_hash(
        previous=event.previous_hash, sequence=event.sequence, recorded_at_us=event.recorded_at_us, leaf=leaf
    )
    return expected == event.hash
