"""What a look at an account's books saw, as the executor tells it to others."""

import msgspec

from commands.reconciliation import Look
from domain.account.events import DifferenceFound
from domain.differences import Book, Finding
from domain.ids import AccountId


class LookReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `differences` are open in the log after it, `repaired` were taken into our books by it.

    `suspected` is what it saw and the next look has to confirm. `read` are the books that were read, `is_whole` tells
    whether that were all. `looked_at_ns` is UTC.
    """

    account_id: AccountId
    looked_at_ns: int
    read: tuple[Book, ...]
    is_whole: bool
    agrees: bool
    differences: tuple[DifferenceFound, ...]
    repaired: tuple[Finding, ...]
    suspected: tuple[Finding, ...]

    @classmethod
    def of(cls, account_id: AccountId, look: Look) -> "LookReport":
        """Return what is told of *look*."""
        return cls(
            account_id=account_id,
            looked_at_ns=look.looked_at_ns,
            read=tuple(sorted(look.read)),
            is_whole=look.is_whole,
            agrees=look.agrees,
            differences=look.differences,
            repaired=look.repaired,
            suspected=look.suspected,
        )


class LookReports(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at several accounts."""

    looks: tuple[LookReport, ...]
