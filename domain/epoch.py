"""The epoch: what the sequences of a log belong to.

It is made of the database cluster's system identifier, its timeline (which a promoted standby begins anew) and how
often its log was put back to an older state. Two epochs may give one sequence to two different events.
"""

import re

import msgspec

CELL = "1"
"""The one cell there is: a PostgreSQL with its stream, in which accounts live whole."""
_TEXT = re.compile(r"([0-9a-f]+)t([0-9a-f]+)r([0-9]+)")
_HEX = 16


class EpochInvalid(ValueError):
    """A text that names no epoch."""


class Epoch(msgspec.Struct, frozen=True):
    """One epoch. Its text is lower-case letters and digits, fit for the name of a stream."""

    system: str
    timeline: int
    restores: int

    @classmethod
    def parse(cls, text: str) -> "Epoch":
        """Return the epoch that *text* names.

        Raises:
            EpochInvalid
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise EpochInvalid(f"received epoch {text[:80]!r}, expected one such as '6f3a5c1d2e4b7a90t1r0'")
        return cls(found[1], int(found[2], _HEX), int(found[3]))

    def __str__(self) -> str:
        return f"{self.system}t{self.timeline:x}r{self.restores}"

    def is_before(self, other: "Epoch") -> bool:
        """Tell whether *other*, of the same cluster, came later: a restore comes after every timeline before it."""
        return self.system == other.system and (self.restores, self.timeline) < (other.restores, other.timeline)
