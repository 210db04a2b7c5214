"""Has exits and stops succeeded that are presumed absent (`domain/account/succession.py` has the rules).

The venue's positions are read for it, each time anew, right before the account decides; what could not be read is read
again, and nothing is sent meanwhile. Nor is it when trading is over, for nothing could come of it: the end of the day
ends the doubt (`day_end.py`). Where a person shall decide (`ask`), nothing is sent until they have given their word on
the order that is missing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from commands import faults
from commands.accounts import Accounts
from commands.open_orders import OpenOrders
from commands.ports import Broker, Clock
from commands.sender import executor_context
from domain.account.commands import SucceedExit
from domain.account.state import Trade
from domain.account.succession import owed_successors
from domain.ids import AccountId, TradeId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_MS

log = structlog.get_logger(__name__)

ExitSuccessor = Literal["auto", "ask"]
"""Who has an exit succeeded that is presumed absent: the engine, or nobody before a person spoke on the first."""


class Successors:
    """Sees to it that what is presumed absent is succeeded. `waiting` are the trades for which a person is waited."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        broker: Broker,
        orders: OpenOrders,
        clock: Clock,
        catch_up: Callable[[], Awaitable[None]],
        is_over: Callable[[InstrumentKey], bool],
        mode: ExitSuccessor,
        again_ms: int,
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._orders = orders
        self._clock = clock
        self._catch_up = catch_up
        self._is_over = is_over
        self._mode = mode
        self._again_ns = again_ms * NS_PER_MS
        self._asked_at_ns: dict[TradeId, int] = {}
        self.waiting: frozenset[TradeId] = frozenset()

    async def place(self) -> int:
        """Have every successor placed that is owed, and return how many commands changed anything."""
        in_doubt = sorted(self._in_doubt())
        if not in_doubt:
            self._asked_at_ns, self.waiting = {}, frozenset()
            return 0
        if self._mode == "ask":
            await self._wait_for_a_person(in_doubt)
            return 0
        return sum(await asyncio.gather(*(self._place(account_id) for account_id in in_doubt)))

    def is_idle(self) -> bool:
        """Tell whether no exit is presumed absent, and nothing is remembered of any that was."""
        return not self._asked_at_ns and not self.waiting and not self._in_doubt()

    def _in_doubt(self) -> set[AccountId]:
        return {order.account_id for order in self._orders.presumed_absent() if order.purpose.closes}

    async def _wait_for_a_person(self, in_doubt: list[AccountId]) -> None:
        owed = {
            trade.trade_id
            for account_id in in_doubt
            for trade in owed_successors(await self._accounts.state_of(account_id))
        }
        for trade_id in sorted(owed - self.waiting):
            log.warning("an exit is presumed absent, and waits for a person's word on it", trade_id=trade_id)
        self.waiting = frozenset(owed)

    async def _place(self, account_id: AccountId) -> int:
        try:
            trades = [
                trade for trade in owed_successors(await self._accounts.state_of(account_id)) if self._is_due(trade)
            ]
            if not trades:
                return 0
            shown = await self._broker.positions(account_id)
            placed = 0
            for trade in trades:
                self._asked_at_ns[trade.trade_id] = self._clock.monotonic_ns()
                net = sum(p.net_quantity for p in shown if (p.instrument, p.product) == trade.position)
                command = SucceedExit(trade_id=trade.trade_id, net_quantity=net)
                context = executor_context(self._clock, causation_id=trade.trade_id)
                outcome = await self._accounts.carry_out(account_id, command, context)
                placed += bool(outcome.events)
        except faults.OF_LOG_OR_VENUE as fault:
            log.warning("successor not placed", account_id=account_id, fault=str(fault))
            return 0
        await self._catch_up()  # Until the log has brought them back, they must not look missing.
        return placed

    def _is_due(self, trade: Trade) -> bool:
        if self._is_over(trade.entry.instrument):
            return False
        asked_at_ns = self._asked_at_ns.get(trade.trade_id)
        return asked_at_ns is None or self._clock.monotonic_ns() - asked_at_ns >= self._again_ns
