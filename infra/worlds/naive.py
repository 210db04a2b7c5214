"""An executor that does what many do: it asks again where it doubts. Put in the same worlds it has to be caught.

It sends what is intended, three more times where the answer leaves open what was done, and what was not acknowledged
when it starts again. That nobody answered is no proof of anything, so some of what it sends is there already.
"""

import asyncio

from commands import faults
from commands.accounts import account_of
from commands.open_orders import OpenOrder, OpenOrders
from commands.ports import (
    Accepted,
    NotSent,
    OutcomeUnknown,
    Placement,
    Refused,
)
from commands.sender import executor_context
from domain.account.commands import AccountCommand, BeginSubmission, RecordAccepted, RecordFill, RecordRefused
from domain.ids import AccountId, OrderId
from domain.order import OrderStatus, correlation_id_of
from infra.worlds.person import ACCOUNT
from infra.worlds.trading import CODE, Trading

ATTEMPTS = 4
_PAUSE_S = 0.5
_POLL_S = 1.0
_UNACKNOWLEDGED = frozenset({OrderStatus.INTENDED, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN})


class NaiveExecutor:
    """Sends until somebody says yes or no. Implements `infra.worlds.trading.Executing`."""

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        self._orders = OpenOrders()
        self._sending: dict[OrderId, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow the log and send."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            async for batch in self._trading.feed.follow(after_sequence=0):
                for recorded in batch:
                    if account_of(recorded.stream_id) is not None:
                        self._trading.accounts.observe(recorded)
                    self._orders.apply(recorded)
                for order in self._orders.open():
                    if order.status in _UNACKNOWLEDGED and order.order_id not in self._sending:
                        self._sending[order.order_id] = group.create_task(self._send(order))

    async def _send(self, order: OpenOrder) -> None:
        correlation_id = correlation_id_of(order.order_id, code=CODE)
        begin = BeginSubmission(
            order_id=order.order_id,
            correlation_id=correlation_id,
            sender_epoch=self._trading.lease.epoch,
            market_time_ns=self._trading.ground.marks.market_time_ns(),
        )
        await self._record(order.account_id, begin)
        for _ in range(ATTEMPTS):
            placement = await self._trading.broker.place(
                order.account_id, order.instruction, correlation_id, order.purpose
            )
            if not isinstance(placement, OutcomeUnknown | NotSent):
                break
            await asyncio.sleep(_PAUSE_S)
        command = _word_of(order, placement)
        if command is not None:
            await self._record(order.account_id, command)

    async def _poll(self) -> None:
        """Record the executions of what was acknowledged."""
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                fills = await self._trading.broker.fills(ACCOUNT)
            except faults.OF_LOG_OR_VENUE:
                continue
            for fill in fills:
                order = self._orders.by_venue_id(ACCOUNT, fill.venue_order_id)
                if order is None or fill.venue_fill_id in order.fills:
                    continue
                command = RecordFill(
                    order_id=order.order_id,
                    venue_fill_id=fill.venue_fill_id,
                    quantity=fill.quantity,
                    price_e4=fill.price_e4,
                    filled_at_ns=fill.filled_at_ns,
                )
                await self._record(ACCOUNT, command)

    async def _record(self, account_id: AccountId, command: AccountCommand) -> None:
        context = executor_context(self._trading.ground.clock, causation_id="naive")
        for _ in range(ATTEMPTS):
            try:
                await self._trading.accounts.carry_out(account_id, command, context)
            except faults.OF_LOG_OR_VENUE:
                continue
            return


def _word_of(order: OpenOrder, placement: Placement) -> AccountCommand | None:
    match placement:
        case Accepted(venue_order_id=venue_order_id, sent_at_ns=sent_at_ns):
            return RecordAccepted(order_id=order.order_id, venue_order_id=venue_order_id, sent_at_ns=sent_at_ns)
        case Refused(reason=reason, message=message):
            return RecordRefused(order_id=order.order_id, reason=reason, message=message)
        case _:
            return None
