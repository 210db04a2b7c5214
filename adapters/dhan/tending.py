"""What has to be looked after although nobody calls: tokens that end, addresses that may be good again."""

import asyncio

import structlog

from adapters.dhan.guard.gateway import Gateway
from adapters.dhan.rest.account import AccountCalls
from adapters.dhan.settings import DhanSettings
from commands.ports import BrokerUnavailable, Clock
from domain.ids import AccountId
from domain.market import NS_PER_S

log = structlog.get_logger(__name__)


class Tending:
    """Looks after the sessions and latches of a gateway."""

    def __init__(self, gateway: Gateway, account: AccountCalls, settings: DhanSettings, clock: Clock) -> None:
        self._gateway = gateway
        self._account = account
        self._settings = settings
        self._clock = clock
        self._checked_at_ns: dict[AccountId, int] = {}

    async def run(self) -> None:
        """Tend until canceled."""
        while True:
            await self.once()
            await asyncio.sleep(self._settings.tend_s)

    async def once(self) -> None:
        """Renew tokens that are due, and ask about the addresses of accounts whose writes are held back."""
        await self._gateway.tokens.renew_due()
        shut = self._gateway.addresses.shut
        for account_id in shut:
            if self._is_due(account_id):
                self._checked_at_ns[account_id] = self._clock.monotonic_ns()
                await self.check_address(account_id)
        for account_id in set(self._checked_at_ns) - set(shut):
            del self._checked_at_ns[account_id]

    async def check_address(self, account_id: AccountId) -> bool:
        """Ask the venue whether our address is registered, let writes through if it is, and return whether it said so.

        An answer that does not tell leaves things as they are.
        """
        try:
            addresses = await self._account.addresses(account_id)
        except BrokerUnavailable as fault:
            log.info("address not checked", account_id=account_id, fault=str(fault))
            return False
        if addresses is None or addresses.is_ours_registered is not True:
            return False
        self._gateway.addresses.release(account_id, cause="the venue has our address registered")
        return True

    def _is_due(self, account_id: AccountId) -> bool:
        checked_at_ns = self._checked_at_ns.get(account_id)
        pause_ns = int(self._settings.address_check_s * NS_PER_S)
        return checked_at_ns is None or self._clock.monotonic_ns() - checked_at_ns >= pause_ns
