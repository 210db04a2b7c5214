"""Orders whose answer was lost on its way from the broker, as people of the API come by them."""

from typing import Any

from commands.accounts import CommandContext
from domain.account.commands import AccountCommand, BeginSubmission, RecordUnknown
from domain.ids import AccountId, CorrelationId, OrderId
from tests.support.people import Person

PLAIN: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


async def record(person: Person, *commands: AccountCommand) -> None:
    """Let the executor record something in the person's account."""
    context = CommandContext(actor="executor", source="executor", received_at_ns=person.world.clock.wall_ns())
    for command in commands:
        await person.world.services.accounts.carry_out(AccountId(person.account_id), command, context)


async def submitting(person: Person, order_id: str) -> OrderId:
    """Let the sender begin to send an order."""
    named = OrderId(order_id)
    correlation_id = CorrelationId(f"c-{order_id}")
    begin = BeginSubmission(order_id=named, correlation_id=correlation_id, sender_epoch=1, market_time_ns=1)
    await record(person, begin)
    return named


async def lost(person: Person, order_id: str | None = None) -> OrderId:
    """Return an order (by default the entry of a new trade) whose answer was lost."""
    if order_id is None:
        order_id = (await person.done("POST", "/api/trades", PLAIN))["order_id"]
    named = await submitting(person, str(order_id))
    await record(person, RecordUnknown(order_id=named, cause="no answer within 5 s", sent_at_ns=1))
    return named
