"""Asking the executor over NATS what it saw of the broker's books, and letting it look."""

import msgspec
from nats.aio.client import Client

from adapters.nats.control import RoleFailed, RoleSilent, request
from commands.looks import LookReport, LookReports
from domain.ids import AccountId

RECONCILE = "khata.reconcile.executor"
LAST_LOOK = "khata.last_look.executor"
_WITHIN_S = 0.5
"""So long an answer to a client may wait for what is told beside the log."""


class NatsLooks:
    """What the executor tells of its looks."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def last(self, account_id: AccountId) -> LookReport | None:
        """Return the last look at an account, None where there was none or the executor does not tell just now."""
        try:
            answer = await request(self._nats, LAST_LOOK, {"account_id": account_id}, timeout_s=_WITHIN_S)
            return next(iter(msgspec.convert(answer, LookReports).looks), None)
        except (RoleSilent, RoleFailed, msgspec.ValidationError):
            return None
