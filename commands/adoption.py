"""What others trade in our accounts, with the broker's own app or by any other means, is recorded as theirs.

Nobody is locked out by it, and nothing is matched by guess: `evidence.py` says what proves that an execution is not
ours. What proves nothing is passed over, and said once, for a person to look at.
"""

from collections.abc import Callable, Sequence

import structlog

from commands.accounts import Accounts
from commands.evidence import foreign_fills
from commands.lane import DecisionStopped
from commands.open_orders import OpenOrders
from commands.outside import Outside
from commands.ports import Clock, Ids, Instruments, VenueFill, VenueOrder
from commands.sender import executor_context
from domain.account.commands import RecordForeignFill
from domain.account.events import AccountEvent
from domain.account.refusals import FillInvalid
from domain.ids import AccountId, TradeId, VenueFillId
from domain.instrument import InstrumentUnknown

log = structlog.get_logger(__name__)

OnAdopted = Callable[[AccountId, VenueFill, Sequence[AccountEvent]], None]
"""Takes an execution of somebody else's in an account, and the events that record it."""


class Adoption:
    """Records foreign executions, each once.

    `passed_over` holds those of which nothing can be made, `owed` the accounts whose books were read too early.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        orders: OpenOrders,
        outside: Outside,
        instruments: Instruments,
        ids: Ids,
        clock: Clock,
        installation_code: str,
        on_adopted: OnAdopted,
    ) -> None:
        self._accounts = accounts
        self._orders = orders
        self._outside = outside
        self._instruments = instruments
        self._ids = ids
        self._clock = clock
        self._installation_code = installation_code
        self._on_adopted = on_adopted
        self.passed_over: set[VenueFillId] = set()
        self.owed: set[AccountId] = set()

    async def record(self, account_id: AccountId, rows: Sequence[VenueOrder], fills: Sequence[VenueFill]) -> int:
        """Record what an account's books, read just now, show of others, and return how many commands changed anything.

        Raises:
            commands.lane.AccountBusy, commands.ports.StoreUnavailable, AppendOutcomeUnknown
        """
        if not self._outside.is_caught_up:
            # Not before it is known what was recorded earlier. By then the account may hold nothing any more.
            self.owed.add(account_id)
            return 0
        named = {row.venue_order_id for row in rows}
        for fill in fills:
            if fill.venue_order_id not in named and self._orders.by_venue_id(account_id, fill.venue_order_id) is None:
                self._pass_over(account_id, fill, "its order is in no book")
        foreign = foreign_fills(self._orders, account_id, rows, fills, installation_code=self._installation_code)
        if foreign:  # Some of it may be in the log by now, by our own hand or a moment ago.
            await self._outside.reach(max(self._orders.sequence, self._accounts.appended_in(account_id)))
        news = [fill for fill in foreign if not self._outside.is_recorded(account_id, fill.venue_fill_id)]
        changed = 0
        for fill in news:
            changed += await self._adopt(account_id, fill)
        self._outside.forget_unshown(account_id, fills)
        self.owed.discard(account_id)
        return changed

    async def _adopt(self, account_id: AccountId, fill: VenueFill) -> bool:
        if fill.instrument is None or fill.product is None or fill.side is None:
            return self._pass_over(account_id, fill, "it is of a kind that we do not trade")
        try:
            instrument = self._instruments.by_key(fill.instrument, market_time_ns=fill.filled_at_ns)
            command = RecordForeignFill(
                adopted_as=TradeId(self._ids.new("trd")),
                venue_fill_id=fill.venue_fill_id,
                instrument=instrument,
                product=fill.product,
                side=fill.side,
                quantity=fill.quantity,
                price_e4=fill.price_e4,
                filled_at_ns=fill.filled_at_ns,
            )
            context = executor_context(self._clock, causation_id=fill.venue_fill_id)
            outcome = await self._accounts.carry_out(account_id, command, context)
        except (InstrumentUnknown, FillInvalid) as refusal:
            return self._pass_over(account_id, fill, refusal.message)
        except DecisionStopped as fault:
            return self._pass_over(account_id, fill, str(fault))
        self._on_adopted(account_id, fill, outcome.events)
        return bool(outcome.events)

    def _pass_over(self, account_id: AccountId, fill: VenueFill, reason: str) -> bool:
        if fill.venue_fill_id not in self.passed_over:
            self.passed_over.add(fill.venue_fill_id)
            log.error("execution passed over", account_id=account_id, fill=fill.venue_fill_id, reason=reason)
        return False
