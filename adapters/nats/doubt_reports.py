"""Asking the executor over NATS what it can tell of an account's orders in doubt, and letting it answer."""

from typing import Any

import msgspec
from nats.aio.client import Client

from adapters.nats.control import RoleFailed, RoleSilent, request
from commands.doubt_reports import DoubtReport, ReportMissing
from domain.ids import AccountId

SUBJECT = "khata.doubts.executor"
_WITHIN_S = 0.5
"""So long an answer to a client may wait for what is told beside the log."""


def account_of(asked: dict[str, Any]) -> AccountId:
    """Return the account that a request is about."""
    return AccountId(asked["account_id"])


class NatsDoubtReports:
    """Implements `commands.doubt_reports.DoubtReports`."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats

    async def of(self, account_id: AccountId) -> DoubtReport:
        """Return what the executor tells of an account. Raises ReportMissing."""
        try:
            answer = await request(self._nats, SUBJECT, {"account_id": account_id}, timeout_s=_WITHIN_S)
            return msgspec.convert(answer, DoubtReport)
        except (RoleSilent, RoleFailed) as fault:
            raise ReportMissing(f"the executor does not tell just now: {fault}") from fault
        except msgspec.ValidationError as error:
            raise ReportMissing(f"the executor is of another release: {error}") from error
