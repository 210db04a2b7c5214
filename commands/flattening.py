"""Kill switches that flatten: when they have done what they can, the venue's own positions have the last word.

A switch has done so when no trade that it closes is open, or when for a while no order of such a trade has been: then
what is left cannot be closed by rule, and is listed for a person. An order that is presumed absent is watched to the
end of the day, but nobody waits so long for it here: its trade is listed too.
"""

import structlog

from commands import faults
from commands.accounts import Accounts
from commands.open_orders import OpenOrders
from commands.outside import Outside, Switch
from commands.ports import Broker, Clock
from commands.sender import executor_context
from domain.account.commands import ConfirmFlat
from domain.market import NS_PER_MS
from domain.order import OrderStatus

log = structlog.get_logger(__name__)


class Flattening:
    """Has flattening switches confirmed."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        broker: Broker,
        orders: OpenOrders,
        outside: Outside,
        clock: Clock,
        patience_ms: int,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._orders = orders
        self._outside = outside
        self._clock = clock
        self._patience_ns = patience_ms * NS_PER_MS
        self._busy_at_ns: dict[Switch, int] = {}

    async def confirm(self) -> int:
        """Have every switch confirmed that has done what it can, and return how many were."""
        if not self._outside.is_caught_up:
            return 0
        await self._outside.reach(self._orders.sequence)
        switches = self._outside.flattening()
        self._busy_at_ns = {switch: at_ns for switch, at_ns in self._busy_at_ns.items() if switch in switches}
        confirmed = 0
        for switch in switches:
            if self._has_done_what_it_can(switch):
                confirmed += await self._confirm(switch)
        return confirmed

    def _has_done_what_it_can(self, switch: Switch) -> bool:
        now = self._clock.monotonic_ns()
        is_busy = any(
            order.account_id == switch.account_id
            and order.status is not OrderStatus.PRESUMED_ABSENT
            and self._outside.is_closed_by(order.trade_id, switch)
            for order in self._orders.open()
        )
        if is_busy:
            self._busy_at_ns[switch] = now
            return False
        quiet_ns = now - self._busy_at_ns.setdefault(switch, now)
        return not self._outside.holds(switch) or quiet_ns >= self._patience_ns

    async def _confirm(self, switch: Switch) -> bool:
        try:
            positions = await self._broker.positions(switch.account_id)
            shown = sorted((position.instrument, position.product, position.net_quantity) for position in positions)
            command = ConfirmFlat(strategy_id=switch.strategy_id, net_quantities=tuple(shown))
            context = executor_context(self._clock, causation_id=switch.account_id)
            outcome = await self._accounts.carry_out(switch.account_id, command, context)
        except faults.OF_LOG_OR_VENUE as fault:
            log.warning("not confirmed to be flat", account_id=switch.account_id, fault=str(fault))
            return False
        return bool(outcome.events)
