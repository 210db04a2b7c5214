"""What never becomes an event and is kept all the same: log-ins and refusals, chained like the log and beside it."""

from enum import StrEnum
from hashlib import sha256

import msgspec

from domain.envelope import chain_hash


class AuditKind(StrEnum):
    """What happened at the door."""

    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    REFUSED = "refused"
    """A command that made no sense, or came too often."""
    SUPPRESSED = "suppressed"
    """`count` more than are written down happened meanwhile."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened at the door, without personal data.

    `actor` is a user id, empty where nobody proved to be anybody; `client` a keyed hash of the address that asked.
    `received_at_ns` is UTC.
    """

    kind: AuditKind
    code: str = ""
    actor: str = ""
    client: str = ""
    route: str = ""
    correlation_id: str = ""
    count: int = 1
    received_at_ns: int = 0


class RecordedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it lies in the table: its number (from 1, without holes), bytes, time (UTC microseconds), hashes."""

    number: int
    body: bytes
    recorded_at_us: int
    previous_hash: bytes
    hash: bytes


_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode(entry: AuditEntry) -> bytes:
    """Return the bytes that are kept and hashed."""
    return _ENCODER.encode(entry)


def decode(body: bytes) -> AuditEntry:
    """Return the entry in *body*. Raises msgspec.DecodeError where it is none."""
    return msgspec.json.decode(body, type=AuditEntry)


def is_intact(entry: RecordedEntry) -> bool:
    """Tell whether the entry's hash is that of its bytes, its place, its time and the hash it claims to follow."""
    expected = chain_hash(
        previous=entry.previous_hash,
        sequence=entry.number,
        recorded_at_us=entry.recorded_at_us,
        leaf=sha256(entry.body).digest(),
    )
    return expected == entry.hash
