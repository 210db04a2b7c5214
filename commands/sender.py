"""Sending one order: durable intent first, then at most one request, then what is known of it; and changing one."""

from commands.accounts import Accounts, CommandContext
from commands.open_orders import OpenOrder
from commands.ports import Accepted, Broker, Clock, Lease, Marks, Modification, NotSent, OutcomeUnknown, Refused
from domain.account.commands import (
    AccountCommand,
    BeginSubmission,
    RecordAccepted,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
)
from domain.account.events import OrderSubmitting
from domain.order import NotSentReason, correlation_id_of

SOURCE = "executor"
_LEASE_LOST = NotSent(cause="the sender's lease ran out", reason=NotSentReason.LEASE_LOST)


def executor_context(clock: Clock, *, causation_id: str) -> CommandContext:
    """Return the context of a command that the executor gives by itself."""
    return CommandContext(
        actor=SOURCE,
        source=SOURCE,
        received_at_ns=clock.wall_ns(),
        causation_id=causation_id,
        correlation_id=causation_id,
    )


class Sender:
    """Sends orders, each at most once: `submitting` is in the log before the first byte leaves."""

    def __init__(
        self, *, accounts: Accounts, broker: Broker, marks: Marks, clock: Clock, lease: Lease, installation_code: str
    ) -> None:
        self._accounts = accounts
        self._broker = broker
        self._marks = marks
        self._clock = clock
        self._lease = lease
        self._installation_code = installation_code

    async def send(self, order: OpenOrder, *, may_enter: bool = True) -> None:
        """Send *order* if it still may be sent, and record what is known of it.

        Without *may_enter* an entry waits, as long as it may.

        Once the log says *submitting*, only a word about the request may end it; whatever stops this process in between
        leaves the order submitting, and the next sender makes an unknown of it.
        """
        if not self._lease.is_held():
            return
        correlation_id = correlation_id_of(order.order_id, code=self._installation_code)
        begin = BeginSubmission(
            order_id=order.order_id,
            correlation_id=correlation_id,
            sender_epoch=self._lease.epoch,
            market_time_ns=self._marks.market_time_ns(),
            may_enter=may_enter,
        )
        context = executor_context(self._clock, causation_id=order.order_id)
        outcome = await self._accounts.carry_out(order.account_id, begin, context)
        if not any(isinstance(event, OrderSubmitting) for event in outcome.events):
            return  # It lapsed, was blocked, or somebody else has it.
        if self._lease.is_held():
            placement = await self._broker.place(order.account_id, order.instruction, correlation_id, order.purpose)
        else:
            placement = _LEASE_LOST
        await self._accounts.carry_out(order.account_id, _record_of(order, placement), context)

    async def modify(self, order: OpenOrder) -> Modification:
        """Ask the venue once to make *order* what is wanted of it, and tell what is known of that."""
        assert order.venue_order_id is not None, "an order is modified where the venue knows it"
        assert order.wanted is not None, "an order is modified where something is wanted of it"
        if not self._lease.is_held():
            return _LEASE_LOST  # Another sender may know of a later wish.
        return await self._broker.modify(order.account_id, order.venue_order_id, order.wanted, order.purpose)


def _record_of(order: OpenOrder, placement: Accepted | Refused | NotSent | OutcomeUnknown) -> AccountCommand:
    match placement:
        case Accepted(venue_order_id=venue_order_id, sent_at_ns=sent_at_ns):
            return RecordAccepted(order_id=order.order_id, venue_order_id=venue_order_id, sent_at_ns=sent_at_ns)
        case Refused(reason=reason, message=message):
            return RecordRefused(order_id=order.order_id, reason=reason, message=message)
        case NotSent(cause=cause, reason=why):
            return RecordNotSent(order_id=order.order_id, reason=why, detail=cause)
        case OutcomeUnknown(cause=cause, sent_at_ns=sent_at_ns):
            return RecordUnknown(order_id=order.order_id, cause=cause, sent_at_ns=sent_at_ns)
