"""Writes of an account, held back since the venue refused the address that they came from.

The venue takes orders from registered addresses alone, and a changed registration is locked for seven days: once it
said "Invalid IP", asking again with every entry changes nothing and fills the log. So entries are held back until the
venue takes a write again, its own page on addresses says that ours is good, or an operator says so. An exit is tried
nevertheless, paced: nothing of ours shall be what keeps a trader in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from domain.ids import AccountId
from domain.market import NS_PER_S

log = structlog.get_logger(__name__)

ADDRESS_REFUSED = "VENUE_ADDRESS_REFUSED"
"""The stable code of a latch, in status and at the head of why an order was not sent."""


@dataclass(slots=True, kw_only=True)
class _Latch:
    message: str
    since_ns: int
    tried_at_ns: int


class AddressGate:
    """Which accounts' writes are held back. Times are UTC for people, monotonic for the pace."""

    def __init__(self, *, wall_ns: Callable[[], int], monotonic_ns: Callable[[], int], retry_s: float) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._retry_ns = int(retry_s * NS_PER_S)
        self._latches: dict[AccountId, _Latch] = {}

    @property
    def shut(self) -> tuple[AccountId, ...]:
        """The accounts whose writes are held back."""
        return tuple(self._latches)

    def shut_for(self, account_id: AccountId, message: str) -> None:
        """Hold an account's writes back, because the venue said *message*."""
        now_ns = self._monotonic_ns()
        held = self._latches.get(account_id)
        if held is not None:
            held.message, held.tried_at_ns = message, now_ns
            return
        self._latches[account_id] = _Latch(message=message, since_ns=self._wall_ns(), tried_at_ns=now_ns)
        log.error("writes held back", code=ADDRESS_REFUSED, account_id=account_id, venue=message)

    def release(self, account_id: AccountId, *, cause: str) -> bool:
        """Let an account's writes through again; return whether they were held back."""
        if self._latches.pop(account_id, None) is None:
            return False
        log.warning("writes let through again", code=ADDRESS_REFUSED, account_id=account_id, cause=cause)
        return True

    def holds_back(self, account_id: AccountId, *, is_exit: bool) -> bool:
        """Tell whether a write would be held back now."""
        held = self._latches.get(account_id)
        if held is None:
            return False
        return not is_exit or self._monotonic_ns() - held.tried_at_ns < self._retry_ns

    def try_once(self, account_id: AccountId) -> None:
        """Say that an exit is tried now, so that the next waits for its turn."""
        held = self._latches.get(account_id)
        if held is not None:
            held.tried_at_ns = self._monotonic_ns()

    def why(self, account_id: AccountId) -> str:
        """Return why an account's writes are held back, for people."""
        return f"{ADDRESS_REFUSED}: the venue said {self._latches[account_id].message!r}"

    def status(self) -> dict[str, Any]:
        """Return what is held back since when (UTC nanoseconds) and why, by account."""
        return {
            account_id: {"code": ADDRESS_REFUSED, "message": held.message, "since_ns": held.since_ns}
            for account_id, held in self._latches.items()
        }
