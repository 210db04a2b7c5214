"""What verification and anchoring need of the world: each port is implemented in `adapters/`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from domain.integrity.anchors import Anchor, SignedAnchor


class LastAnchor(NamedTuple):
    """What the database remembers of the last anchor."""

    number: int
    sequence: int
    digest: bytes


class LogState(NamedTuple):
    """The log at one moment; times in UTC microseconds.

    `sequence` is what the head says, `last_sequence` that of the last event there is; the two agree unless somebody
    touched one of them. `first_recorded_at_us` is None in an empty log. Outcomes of commands recorded at or after
    `commands_since_us` are all still kept. `anchored` is None where no anchor was made. `audit_number` and `audit_hash`
    are the audit table's head.
    """

    sequence: int
    last_sequence: int
    hash: bytes
    recorded_at_us: int
    epoch: str
    first_recorded_at_us: int | None
    commands_since_us: int
    anchored: LastAnchor | None
    audit_number: int
    audit_hash: bytes


class StreamRow(NamedTuple):
    """Where a stream ends, as the database has it. `stream_id` is in UTF-8.

    `snapshot_sequence` lies just before the last event that a snapshot covers; 0: there never was one.
    """

    stream_id: bytes
    version: int
    leaf: bytes
    snapshot_sequence: int


class LogSource(Protocol):
    """The whole log, hot and archived, as verification reads it. Each call may see a later state than the one before.

    Everything raises `domain.integrity.findings.Touched` where an archive is not what was archived.
    """

    def state(self) -> LogState:
        """Return what there is of the log."""
        ...

    def rows(self, first: int, last: int | None) -> Iterator[Sequence[bytes]]:
        """Yield pages of events from *first* to *last* as rows (`domain.integrity.rows`), in the order of sequences.

        *last* None: whatever there is. *first* 1: whatever there is before, too.
        """
        ...

    def commands(self, first: int, last: int) -> list[bytes]:
        """Return the outcomes whose first event lies from *first* to *last*, by first sequence, scope and key.

        They are rows as `domain.integrity.commands` has them.
        """
        ...

    def stray_commands(self, last: int) -> list[bytes]:
        """Return the outcomes whose first event lies before 1 or after *last*, rows likewise."""
        ...

    def streams(self, named: Collection[bytes] | None = None) -> Iterator[StreamRow]:
        """Yield where streams end: those *named*, or all."""
        ...

    def snapshots(self) -> frozenset[int]:
        """Return the sequences at which streams are said to have a snapshot."""
        ...

    def at_rest(self) -> AbstractContextManager[None]:
        """Show everything as it is at one moment, within the block. It must be left within seconds."""
        ...


class LogUnavailable(Exception):
    """The log cannot be read at present. Whoever anchors tries again."""


class AnchoredLog(Protocol):
    """The log as anchoring reads it."""

    async def state(self) -> LogState:
        """Return what there is of the log. Raises LogUnavailable, as everything here does."""
        ...

    async def event_at(self, sequence: int) -> tuple[bytes, int] | None:
        """Return hash and time (UTC microseconds) of an event, None where there is none."""
        ...

    async def commands(self, first: int, last: int) -> list[bytes]:
        """Return the outcomes whose first event lies from *first* to *last*; see `LogSource.commands`."""
        ...

    async def remember(self, anchor: LastAnchor) -> None:
        """Keep what shows when the last anchor is gone."""
        ...


class AnchorSink(Protocol):
    """Where anchors are kept: outside of the database, only ever added to. Everything may raise OSError."""

    def lines(self) -> list[bytes]:
        """Return the anchors' lines, oldest first; what a crash left unfinished is no line."""
        ...

    def claim(self) -> None:
        """Be the only one to add anchors from now on. Raises OSError while another process is."""
        ...

    def append(self, anchor: SignedAnchor) -> None:
        """Add an anchor, durably."""
        ...


class AnchorSigner(Protocol):
    """The key that anchors are signed with."""

    def sign(self, anchor: Anchor) -> SignedAnchor:
        """Return *anchor* signed."""
        ...

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature is by this key."""
        ...
