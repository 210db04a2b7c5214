"""The check of the audit table: one chain without holes, up to its head, and as the anchors say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.audit import RecordedEntry, is_intact
from domain.envelope import GENESIS_HASH
from domain.integrity.anchors import Anchor
from domain.integrity.findings import Finding, Kind


@dataclass(slots=True)
class AuditCheck:
    """Takes in the entries, oldest first, and finds the first that is not as it was written.

    `anchors` maps numbers of entries to the hashes that anchors say.
    """

    anchors: Mapping[int, bytes]
    number: int = 0
    hash: bytes = GENESIS_HASH
    finding: Finding | None = None

    def feed(self, entries: Iterable[RecordedEntry]) -> None:
        """Take in the next entries; behind a finding nothing is looked at."""
        for entry in entries:
            if self.finding is not None:
                return
            expected = self.number + 1
            if entry.number != expected:
                self._find(Kind.AUDIT_MISSING, expected, f"the next entry has number {entry.number}")
            elif not is_intact(entry):
                self._find(Kind.AUDIT_CHANGED, expected, "content, place or time do not fit the hash")
            elif entry.previous_hash != self.hash:
                self._find(Kind.AUDIT_CHANGED, expected, "it follows another hash than the entry before it has")
            elif self.anchors.get(expected, entry.hash) != entry.hash:
                self._find(Kind.AUDIT_CHANGED, expected, "an anchor says another hash: entries were chained anew")
            else:
                self.number, self.hash = expected, entry.hash

    def end(self, number: int, hash_: bytes) -> Finding | None:
        """Compare with the table's head, *number* and *hash_*, and return what was found first, None where nothing."""
        anchored = max(self.anchors, default=0)
        if self.finding is None and (number, hash_) != (self.number, self.hash):
            self._find(Kind.AUDIT_MISSING, self.number + 1, f"the head says that the table ends at {number}")
        if self.finding is None and anchored > self.number:
            self._find(Kind.AUDIT_MISSING, self.number + 1, f"an anchor covers the table up to {anchored}")
        return self.finding

    def _find(self, kind: Kind, number: int, detail: str) -> None:
        self.finding = Finding(kind=kind, place=f"audit entry {number}", detail=detail)


def anchored_entries(holding: Iterable[Anchor], *, epoch: str) -> dict[int, bytes]:
    """Return what the anchors of the present *epoch* say of the table.

    Those before a restore may cover entries that it took back; the first anchor after it covers what was left.
    """
    return {
        anchor.audit_number: anchor.audit_hash for anchor in holding if anchor.epoch == epoch and anchor.audit_number
    }
