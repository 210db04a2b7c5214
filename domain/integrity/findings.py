"""What a check of the log may find, and where."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What is wrong. The names are stable."""

    EVENT_UNREADABLE = "EVENT_UNREADABLE"
    EVENT_MISSING = "EVENT_MISSING"
    EVENT_EXTRA = "EVENT_EXTRA"
    EVENT_CHANGED = "EVENT_CHANGED"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    TIME_FELL = "TIME_FELL"
    VERSION_WRONG = "VERSION_WRONG"
    REHASHED = "REHASHED"
    HEAD_WRONG = "HEAD_WRONG"
    EPOCH_NOT_ANCHORED = "EPOCH_NOT_ANCHORED"
    STREAM_WRONG = "STREAM_WRONG"
    COMMAND_WRONG = "COMMAND_WRONG"
    COMMANDS_CHANGED = "COMMANDS_CHANGED"
    ANCHOR_INVALID = "ANCHOR_INVALID"
    ANCHOR_MISSING = "ANCHOR_MISSING"
    ARCHIVE_MISSING = "ARCHIVE_MISSING"
    ARCHIVE_CHANGED = "ARCHIVE_CHANGED"
    ARCHIVE_ROW_WRONG = "ARCHIVE_ROW_WRONG"
    ARCHIVE_INDEX_WRONG = "ARCHIVE_INDEX_WRONG"
    AUDIT_MISSING = "AUDIT_MISSING"
    AUDIT_CHANGED = "AUDIT_CHANGED"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written.

    `place` names it: `event`, `head`, `stream <id>`, `command <scope>/<key>`, `anchor line <n>`, `archive <file>`,
    `audit entry <n>`.
    The first sequence that was touched lies between `first_sequence` and `last_sequence`, both included; the two are
    equal where it is known exactly. Both are None where no sequence was touched: an anchor's line is no event.
    """

    kind: Kind
    place: str
    detail: str
    first_sequence: int | None = None
    last_sequence: int | None = None

    def __str__(self) -> str:
        if self.first_sequence is None:
            where = self.place
        elif self.first_sequence == self.last_sequence:
            where = f"{self.place} at sequence {self.first_sequence}"
        else:
            where = f"{self.place} between sequences {self.first_sequence} and {self.last_sequence}"
        return f"{self.kind}: {where}: {self.detail}"


class Touched(Exception):
    """The check cannot go on behind what it found."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding
