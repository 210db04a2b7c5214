"""What Dhan says before the market opens: `commands.ports.Readiness` over the calls about the account."""

from adapters.dhan.access.tokens import LoginRefused, LoginUnavailable
from adapters.dhan.broker import DhanBroker
from commands.ports import BrokerUnavailable, VenueStanding
from domain.ids import AccountId


class DhanReadiness:
    """Asks for token, money and address. Implements `commands.ports.Readiness`."""

    def __init__(self, broker: DhanBroker) -> None:
        self._broker = broker

    async def standing(self, account_id: AccountId) -> VenueStanding:
        """Return how token and money stand; asking for the money tries the token.

        Raises:
            BrokerUnavailable
        """
        funds = await self._broker.account.funds(account_id)
        tokens = self._broker.tokens
        try:
            session = await tokens.session(account_id)
        except (LoginUnavailable, LoginRefused) as fault:
            raise BrokerUnavailable(f"the log-in: {fault}") from fault
        trouble = tokens.status().get(account_id, {}).get("cause", "")
        return VenueStanding(
            token_ends_at_ns=session.expires_at_ns, token_trouble=trouble, available_paise=funds.available_paise
        )

    async def is_address_registered(self, account_id: AccountId) -> bool | None:
        """Tell whether orders may come from this machine's address, None where the broker does not say.

        Raises:
            BrokerUnavailable
        """
        addresses = await self._broker.account.addresses(account_id)
        return None if addresses is None else addresses.is_ours_registered
