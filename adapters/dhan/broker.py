"""The venue as the command side knows it: `commands.ports.Broker` over Dhan's REST interface."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from adapters.dhan.client import HttpClient
from adapters.dhan.codec import (
    change_document,
    fill_of,
    in_order_of_time,
    order_document,
    order_of,
    position_of,
    rows_of,
    supported,
    venue_order_id_of,
)
from adapters.dhan.errors import VenueRefusal
from adapters.dhan.gateway import Answered, Call, CallClass, Declined, Gateway, HeldBack, Outcome, Unclear
from adapters.dhan.settings import DhanSettings
from adapters.dhan.tokens import Logins, Tokens
from commands.ports import (
    Accepted,
    BrokerUnavailable,
    Clock,
    Modification,
    ModifyAccepted,
    NotSent,
    OutcomeUnknown,
    Placement,
    Refused,
    VenueFill,
    VenueOrder,
    VenuePosition,
)
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.order import NotSentReason, OrderInstruction, Purpose, RefusalReason

T = TypeVar("T")
_NOT_FOUND = 404
_ORDER_ERROR = "DH-906"
_NOTHING_TO_CANCEL = "nothing to cancel"


class _TryAgain(Exception):
    """A read or a cancel that another attempt may mend."""


class DhanBroker:
    """Dhan, for every account of this process. Implements `commands.ports.Broker`."""

    def __init__(self, settings: DhanSettings, logins: Logins, client: HttpClient, clock: Clock) -> None:
        self._settings = settings
        self._gateway = Gateway(settings, logins, client, clock)
        self._duplicates_seen = 0

    @property
    def tokens(self) -> Tokens:
        """The sessions, for the feed of the same process."""
        return self._gateway.tokens

    # --- Writing ---

    async def place(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: CorrelationId, purpose: Purpose
    ) -> Placement:
        """Send one order, at most once, and tell what is known of it."""
        call = Call(
            call_class=_class_of(purpose),
            method="POST",
            path="/orders",
            read=venue_order_id_of,
            document=partial(order_document, instruction=instruction, correlation_id=correlation_id),
        )
        try:
            outcome = await self._gateway.call(account_id, call)
        except HeldBack as held_back:
            return NotSent(cause=held_back.cause, reason=_reason_of(held_back))
        match outcome:
            case Answered(value=venue_order_id, sent_at_ns=sent_at_ns):
                return Accepted(venue_order_id=venue_order_id, sent_at_ns=sent_at_ns)
            case Declined() | Unclear():
                return _no_yes(outcome)

    async def modify(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, purpose: Purpose
    ) -> Modification:
        """Ask once for an order to become *instruction*, its quantity in total. Never raises for a fault of the venue.

        It says what the order shall be, not by how much: asked again, it changes nothing more.
        """
        call = Call(
            call_class=_class_of(purpose),
            method="PUT",
            path=f"/orders/{venue_order_id}",
            read=venue_order_id_of,
            document=partial(change_document, venue_order_id=venue_order_id, instruction=instruction),
        )
        try:
            outcome = await self._gateway.call(account_id, call)
        except HeldBack as held_back:
            return NotSent(cause=held_back.cause, reason=_reason_of(held_back))
        match outcome:
            case Answered(sent_at_ns=sent_at_ns):
                return ModifyAccepted(sent_at_ns=sent_at_ns)
            case Declined() | Unclear():
                return _no_yes(outcome)

    def is_held_back(self, account_id: AccountId, purpose: Purpose) -> bool:
        """Tell whether an order would not be sent now because our own breaker holds it back."""
        return self._gateway.is_held_back(account_id, _class_of(purpose))

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId) -> None:
        """Ask for an order's cancellation; safe to repeat.

        Raises:
            BrokerUnavailable: it could not be asked, or the venue would not take it now.
        """
        path = f"/orders/{venue_order_id}"
        call = Call(call_class=CallClass.EXITS, method="DELETE", path=path, read=_nothing)
        await self._ask(account_id, call, on_refusal=_is_nothing_to_cancel)

    # --- Reading ---

    async def find_order(self, account_id: AccountId, correlation_id: CorrelationId) -> VenueOrder | None:
        """Return the order that carries our id, None where the venue shows none: which proves nothing.

        Raises:
            BrokerUnavailable
        """
        path = f"/orders/external/{correlation_id}"
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=_orders)
        rows = await self._ask(account_id, call, on_refusal=_is_not_found) or []
        ours = [row for row in rows if row.correlation_id == correlation_id]
        if len(ours) > 1:
            self._duplicates_seen += 1
        # The venue is not known to refuse a repeated id; of several, the one that did most is the one to know about.
        return max(ours, key=lambda row: row.cumulative_quantity, default=None)

    async def orders(self, account_id: AccountId) -> Sequence[VenueOrder]:
        """Return the day's order book, those of other platforms included.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/orders", read=_orders)
        return await self._ask(account_id, call) or []

    async def fills(self, account_id: AccountId) -> Sequence[VenueFill]:
        """Return the day's executions, oldest first.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/trades", read=_fills)
        return await self._ask(account_id, call) or []

    async def positions(self, account_id: AccountId) -> Sequence[VenuePosition]:
        """Return the venue's positions in the products that we trade.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/positions", read=_positions)
        return await self._ask(account_id, call) or []

    async def _ask(
        self, account_id: AccountId, call: Call[T], *, on_refusal: Callable[[VenueRefusal], bool] | None = None
    ) -> T | None:
        """Make a call that is safe to repeat, a few times if need be. None: refused as *on_refusal* expects."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._settings.read_attempts),
            wait=wait_random_exponential(
                multiplier=self._settings.read_backoff_s, max=self._settings.read_backoff_max_s
            ),
            retry=retry_if_exception_type(_TryAgain),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    outcome = await self._gateway.call(account_id, call)
                    return _value_of(outcome, on_refusal)
        except (_TryAgain, HeldBack) as fault:
            raise BrokerUnavailable(f"{call.method} {call.path}: {fault}") from fault
        raise AssertionError("tenacity ends with a return or an exception")

    # --- Looking ---

    async def probe(self) -> None:
        """Make the trials of open breakers that are due, and wait for those under way."""
        await self._gateway.probe()

    def status(self) -> dict[str, Any]:
        """Return breakers, counts, latencies and budgets, for people and probes."""
        return {**self._gateway.status(), "duplicates_seen": self._duplicates_seen}

    async def aclose(self) -> None:
        """Stop what runs in the background and close all connections."""
        await self._gateway.aclose()


def _class_of(purpose: Purpose) -> CallClass:
    return CallClass.EXITS if purpose.closes else CallClass.ENTRIES


def _no_yes(outcome: Declined | Unclear) -> Refused | NotSent | OutcomeUnknown:
    """Return what is known of a write that was not answered by a well-formed yes."""
    match outcome:
        case Declined(refusal=refusal, sent_at_ns=sent_at_ns):
            return Refused(reason=refusal.reason, message=_message(refusal), sent_at_ns=sent_at_ns)
        case Unclear(cause=cause, sent_at_ns=sent_at_ns):
            return NotSent(cause=cause) if sent_at_ns is None else OutcomeUnknown(cause=cause, sent_at_ns=sent_at_ns)


def _value_of(outcome: Outcome[T], on_refusal: Callable[[VenueRefusal], bool] | None) -> T | None:
    match outcome:
        case Answered(value=value):
            return value
        case Declined(refusal=refusal):
            if on_refusal is not None and on_refusal(refusal):
                return None
            if refusal.reason in {RefusalReason.TOKEN, RefusalReason.RATE_LIMIT}:
                raise _TryAgain(_message(refusal))  # The next attempt logs in again, or waits for the budget.
            raise BrokerUnavailable(_message(refusal))
        case Unclear(cause=cause):
            raise _TryAgain(cause)


def _message(refusal: VenueRefusal) -> str:
    return f"{refusal.code}: {refusal.message}"


def _is_nothing_to_cancel(refusal: VenueRefusal) -> bool:
    # The order is done already; the order book will say how.
    return refusal.status == _NOT_FOUND or _NOTHING_TO_CANCEL in refusal.message.lower()


def _is_not_found(refusal: VenueRefusal) -> bool:
    return refusal.status == _NOT_FOUND and refusal.code == _ORDER_ERROR


def _nothing(_document: Any) -> None:
    return None


def _orders(document: Any) -> list[VenueOrder]:
    return [order_of(row) for row in rows_of(document)]


def _fills(document: Any) -> list[VenueFill]:
    return in_order_of_time([fill_of(row) for row in rows_of(document)])


def _positions(document: Any) -> list[VenuePosition]:
    return list(supported(rows_of(document), position_of))


def _reason_of(held_back: HeldBack) -> NotSentReason:
    return NotSentReason.BREAKER_OPEN if held_back.breaker_open else NotSentReason.HELD_BACK
