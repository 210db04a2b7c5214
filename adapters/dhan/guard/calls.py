"""How a call is made: questions a few times if need be, everything that changes something once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from adapters.dhan.guard.gateway import Answered, Call, Declined, Gateway, HeldBack, Outcome, Unclear
from adapters.dhan.http.errors import VenueRefusal
from adapters.dhan.settings import DhanSettings
from commands.ports import BrokerUnavailable, NotSent, OrderInTransit, OutcomeUnknown, Refused
from domain.ids import AccountId
from domain.order import NotSentReason, RefusalReason

T = TypeVar("T")
U = TypeVar("U")
_IN_TRANSIT = "in transit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T]):
    """The venue's well-formed yes, and what it said. `sent_at_ns`: UTC when the request's head had been written."""

    value: T
    sent_at_ns: int


Written = Done[T] | Refused | NotSent | OutcomeUnknown
"""What is known of a call that changes something: done, refused, proven not sent, or nothing."""


class _TryAgain(Exception):
    """A question that another attempt may mend."""


class Caller:
    """Makes calls through the gateway, the way that what they do allows."""

    def __init__(self, gateway: Gateway, settings: DhanSettings) -> None:
        self._gateway = gateway
        self._settings = settings

    async def write(self, account_id: AccountId, call: Call[T]) -> Written[T]:
        """Make a call that changes something, once, and tell what is known of it. The venue's faults raise nothing."""
        try:
            outcome = await self._gateway.call(account_id, call)
        except HeldBack as held_back:
            reason = NotSentReason.BREAKER_OPEN if held_back.breaker_open else NotSentReason.HELD_BACK
            return NotSent(cause=held_back.cause, reason=reason)
        match outcome:
            case Answered(value=value, sent_at_ns=sent_at_ns):
                return Done(value=value, sent_at_ns=sent_at_ns)
            case Declined(refusal=refusal, sent_at_ns=sent_at_ns):
                return Refused(reason=refusal.reason, message=message_of(refusal), sent_at_ns=sent_at_ns)
            case Unclear(cause=cause, sent_at_ns=None):
                return NotSent(cause=cause)
            case Unclear(cause=cause, sent_at_ns=int(sent_at_ns)):
                return OutcomeUnknown(cause=cause, sent_at_ns=sent_at_ns)
        raise AssertionError("an outcome is one of the three")

    async def ask(self, account_id: AccountId, call: Call[T]) -> T:
        """Make a call that is safe to repeat, a few times if need be, and return its answer.

        Raises:
            BrokerUnavailable: it could not be asked, or the venue refused it.
        """
        return await self._asked(account_id, call, _answer_of)

    async def ask_or(
        self, account_id: AccountId, call: Call[T], *, on_refusal: Callable[[VenueRefusal], bool]
    ) -> T | None:
        """Make a call that is safe to repeat. None: refused in a way that *on_refusal* expects.

        Raises:
            BrokerUnavailable: it could not be asked, or the venue refused it otherwise.
        """
        return await self._asked(account_id, call, partial(_answer_or_none, on_refusal))

    async def _asked(self, account_id: AccountId, call: Call[T], take: Callable[[Outcome[T]], U]) -> U:
        first: Exception
        try:
            # Nearly every question is answered at once, and the library would cost as much as all else of it.
            return take(await self._gateway.call(account_id, call))
        except HeldBack as fault:
            raise _unavailable(call, fault) from fault
        except _TryAgain as fault:
            first = fault
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
                    if attempt.retry_state.attempt_number == 1:
                        raise first
                    return take(await self._gateway.call(account_id, call))
        except (_TryAgain, HeldBack) as fault:
            raise _unavailable(call, fault) from fault
        raise AssertionError("tenacity ends with a return or an exception")


def _unavailable(call: Call[Any], fault: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(f"{call.method} {call.path}: {fault}")


def message_of(refusal: VenueRefusal) -> str:
    """Return the venue's own words of a refusal, its code first."""
    return f"{refusal.code}: {refusal.message}"


def _answer_of(outcome: Outcome[T]) -> T:
    match outcome:
        case Answered(value=value):
            return value
        case Declined(refusal=refusal):
            if refusal.reason in {RefusalReason.TOKEN, RefusalReason.RATE_LIMIT}:
                raise _TryAgain(message_of(refusal))  # The next attempt logs in again, or waits for the budget.
            is_in_transit = _IN_TRANSIT in refusal.message.lower()
            raise (OrderInTransit if is_in_transit else BrokerUnavailable)(message_of(refusal))
        case Unclear(cause=cause):
            raise _TryAgain(cause)


def _answer_or_none(is_expected: Callable[[VenueRefusal], bool], outcome: Outcome[T]) -> T | None:
    if isinstance(outcome, Declined) and is_expected(outcome.refusal):
        return None
    return _answer_of(outcome)
