"""One guarded call to the venue: token, budget, breaker, request, meaning, report.

Breakers are kept per host and class of call, so that trouble with entries never keeps an exit, a cancel or a look-up
from being tried. Budgets are kept per account and by what the venue counts apart (`budgets.py`). While a breaker is
open nothing of a customer's is used to find out whether the venue is back: a *trial* is `GET /profile`, made in the
background once the reset time-out has passed, and made before the call where one comes first. Exits and cancels do not
wait for it: they pass an open breaker, paced. Trouble with a token or an address is the account's own and opens none.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from adapters.breaker import BreakerLimits, BreakerOpen, CircuitBreaker, Permit, TransitionListener
from adapters.dhan.access.tokens import LoginRefused, Logins, LoginUnavailable, Session, Tokens
from adapters.dhan.guard.address_gate import AddressGate
from adapters.dhan.guard.breaker_changes import BreakerChanges
from adapters.dhan.guard.budget import Slot
from adapters.dhan.guard.budgets import Budgets, RateClass
from adapters.dhan.guard.gauges import Gauge
from adapters.dhan.guard.known_books import KnownBooks
from adapters.dhan.guard.prober import Prober
from adapters.dhan.http.client import HttpAnswer, HttpRequest, Lane, NoAnswer, Transport
from adapters.dhan.http.errors import Ambiguous, Fine, VenueRefusal, classify
from adapters.dhan.settings import DhanSettings
from adapters.dhan.words.codec import AnswerMalformed, render_document
from commands.ports import Clock
from domain.ids import AccountId, VenueOrderId
from domain.market import NS_PER_S
from domain.order import RefusalReason
from domain.venue import BreakerState

T = TypeVar("T")
_TIMER_SLACK_S = 0.001
"""A timer may fire a little before the clock that is asked afterwards is there."""


class CallClass(StrEnum):
    """Kinds of calls that fail, and are held back, apart from one another. Cancels go with exits."""

    ENTRIES = "entries"
    EXITS = "exits"
    LOOKUPS = "lookups"
    DATA = "data"
    LOGIN = "login"


CALL_CLASSES = (CallClass.ENTRIES, CallClass.EXITS, CallClass.LOOKUPS, CallClass.DATA)
"""The classes that are called through the gateway; log-ins have theirs in `Tokens`."""
_READING = frozenset({CallClass.LOOKUPS, CallClass.DATA})
_RATES = {
    CallClass.ENTRIES: RateClass.ORDERS,
    CallClass.EXITS: RateClass.ORDERS,
    CallClass.LOOKUPS: RateClass.READS,
    CallClass.DATA: RateClass.DATA,
}


class HeldBack(Exception):
    """Nothing was sent: no token, no budget, or a breaker held the call back."""

    def __init__(self, cause: str, *, breaker_open: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.breaker_open = breaker_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """What to ask, and how its answer is read. `document` is completed with the client id of the session.

    `rate` is what the venue counts it as, None: as others of its class; `rate_key` what it counts apart within that.
    `changes` is the order that it changes: of that the venue takes only so many. `is_book`: it asks for a whole book,
    which is read time and again; `read` makes a tuple of it, a value a row, that must not be changed by anybody.
    """

    call_class: CallClass
    method: str
    path: str
    read: Callable[[Any], T]
    document: Callable[[str], Mapping[str, Any]] | None = None
    rate: RateClass | None = None
    rate_key: str = ""
    changes: VenueOrderId | None = None
    is_book: bool = False

    @property
    def counts_as(self) -> RateClass:
        """What the venue counts the call as."""
        return self.rate or _RATES[self.call_class]

    @property
    def is_order_write(self) -> bool:
        """Whether it places, changes or cancels an order: the venue takes those from registered addresses alone."""
        return self.counts_as is RateClass.ORDERS and self.method != "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[T]):
    """A well-formed yes. `sent_at_ns`: UTC when the request's head had been written."""

    value: T
    sent_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A well-formed no."""

    refusal: VenueRefusal
    sent_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Neither. `sent_at_ns` is None where it is proven that no byte left."""

    cause: str
    sent_at_ns: int | None


Outcome = Answered[T] | Declined | Unclear


class Gateway:
    """Makes guarded calls for all accounts at one host. Use it on one event loop."""

    def __init__(self, settings: DhanSettings, logins: Logins, client: Transport, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._host = urlsplit(settings.base_url).netloc
        self.breaker_changes = BreakerChanges(clock)
        limits = BreakerLimits(
            failures_max=settings.breaker_failures_max,
            reset_after_ns=int(settings.breaker_reset_s * NS_PER_S),
            # Of a probe its own time-out is the end; a log-in that is its breaker's trial may take a whole call.
            trial_deadline_ns=int((settings.probe_timeout_s + settings.call_timeout_s) * NS_PER_S),
            pass_interval_ns=int(settings.exit_pace_s * NS_PER_S),
        )
        self._probers = {
            call_class: Prober(
                f"{self._host}/{call_class.value}",
                self._try_host,
                limits=limits,
                clock=clock,
                on_transition=self._listener(settings.base_url, call_class),
            )
            for call_class in CALL_CLASSES
        }
        self._breakers = {call_class: prober.breaker for call_class, prober in self._probers.items()}
        self._login_breaker = CircuitBreaker(
            f"{urlsplit(settings.auth_url).netloc}/{CallClass.LOGIN.value}",
            monotonic_ns=clock.monotonic_ns,
            limits=limits,
            on_transition=self._listener(settings.auth_url, CallClass.LOGIN),
        )
        self.tokens = Tokens(logins, clock, settings, self._login_breaker)
        self.budgets = Budgets(settings, monotonic_ns=clock.monotonic_ns)
        self.addresses = AddressGate(
            wall_ns=clock.wall_ns, monotonic_ns=clock.monotonic_ns, retry_s=settings.address_retry_s
        )
        self._gauges = {call_class: Gauge() for call_class in CALL_CLASSES}
        self._last_account: AccountId | None = None
        self._known_books = KnownBooks()

    def _listener(self, url: str, call_class: CallClass) -> TransitionListener:
        # Without the port: that of a simulator is another one at every start, and it is the same venue.
        return self.breaker_changes.listener(urlsplit(url).hostname or "", call_class.value)

    # --- Calling ---

    async def call(self, account_id: AccountId, call: Call[T]) -> Outcome[T]:
        """Make *call* once and return what came of it.

        Raises:
            HeldBack: nothing was sent.
        """
        self._last_account = account_id
        gauge = self._gauges[call.call_class]
        try:
            self._refuse_early(account_id, call)
            session = await self._session(account_id)
            with await self._spend(account_id, call), await self._permit(call.call_class) as permit:
                outcome = await self._send(account_id, session, call, permit)
        except HeldBack as held_back:
            gauge.outcomes["held_back_by_breaker" if held_back.breaker_open else "held_back"] += 1
            raise
        gauge.outcomes[_name_of(outcome)] += 1
        if call.changes is not None and not (isinstance(outcome, Unclear) and outcome.sent_at_ns is None):
            self.budgets.count_change(account_id, call.changes)
        return outcome

    def is_held_back(self, account_id: AccountId, call_class: CallClass) -> bool:
        """Tell whether a breaker, a refused address or the pause after a failed log-in would hold an order back now."""
        breaker = self._breakers[call_class]
        if self.addresses.holds_back(account_id, is_exit=call_class is CallClass.EXITS):
            return True
        if call_class is CallClass.EXITS:
            is_blocked = breaker.pass_wait_ns() > 0
        else:
            is_blocked = breaker.state is not BreakerState.CLOSED
        return is_blocked or self.tokens.is_held_back(account_id)

    def _refuse_early(self, account_id: AccountId, call: Call[Any]) -> None:
        # Before a log-in and a place in the budget are spent on a call that cannot be made.
        prober = self._probers[call.call_class]
        breaker = prober.breaker
        wait_ns = breaker.trial_wait_ns()
        is_exit = call.call_class is CallClass.EXITS
        if not is_exit and wait_ns and not prober.is_trying:
            raise HeldBack(str(BreakerOpen(breaker.name, wait_ns)), breaker_open=True)
        if call.is_order_write:
            if self.addresses.holds_back(account_id, is_exit=is_exit):
                raise HeldBack(self.addresses.why(account_id))
            self.addresses.try_once(account_id)
        if call.changes is not None and self.budgets.changes_left(account_id, call.changes) == 0:
            raise HeldBack(f"budget of modifications: order {call.changes} was changed as often as the venue takes")

    async def _session(self, account_id: AccountId) -> Session:
        try:
            return await self.tokens.session(account_id)
        except (LoginUnavailable, LoginRefused) as fault:
            raise HeldBack(f"no token: {fault}") from fault

    async def _spend(self, account_id: AccountId, call: Call[Any]) -> Slot:
        rate, key = call.counts_as, call.rate_key
        is_urgent = call.call_class is CallClass.EXITS
        slot = await self.budgets.take(account_id, rate, key, urgent=is_urgent)
        if slot is None:
            raise HeldBack(
                f"budget of {rate.value}: {self.budgets.of(account_id, rate, key).shortage(urgent=is_urgent)}"
            )
        return slot

    async def _permit(self, call_class: CallClass) -> Permit:
        breaker = self._breakers[call_class]
        if call_class is CallClass.EXITS:
            return await self._permit_to_pass(breaker)
        await self._probers[call_class].settle()
        try:
            return breaker.acquire()
        except BreakerOpen as held_back:
            raise HeldBack(str(held_back), breaker_open=True) from held_back

    async def _permit_to_pass(self, breaker: CircuitBreaker) -> Permit:
        # One pace is waited for; whoever still finds no gap is in a crowd and comes again.
        if (wait_ns := breaker.pass_wait_ns()) > 0:
            await asyncio.sleep(wait_ns / NS_PER_S + _TIMER_SLACK_S)
        try:
            return breaker.acquire(pass_open=True)
        except BreakerOpen as held_back:
            raise HeldBack(str(held_back), breaker_open=True) from held_back

    async def _send(self, account_id: AccountId, session: Session, call: Call[T], permit: Permit) -> Outcome[T]:
        document = None if call.document is None else call.document(session.client_id)
        request = HttpRequest(
            method=call.method,
            url=self._settings.base_url + call.path,
            lane=Lane.READS if call.call_class in _READING else Lane.ORDERS,
            headers=_headers(session),
            body=None if document is None else render_document(document),
        )
        with self._watching_for_stall(call, permit):
            answer = await self._client.send(request)
        if isinstance(answer, NoAnswer):
            permit.failed(answer.cause)
            return Unclear(cause=answer.cause, sent_at_ns=answer.sent_at_ns)
        self._gauges[call.call_class].latencies_ns.append(answer.latency_ns)
        known = self._known_books.recall(account_id, call.path, answer, call.read) if call.is_book else None
        if known is not None:
            permit.succeeded()
            return Answered(value=known, sent_at_ns=answer.sent_at_ns)
        return self._understand(account_id, session, call, permit, answer)

    @contextmanager
    def _watching_for_stall(self, call: Call[Any], permit: Permit) -> Iterator[None]:
        """Have the breaker told of an entry that waits for its answer for too long, so that no others follow it.

        Exits are tried whatever happens, and what only asks may take longer.
        """
        stall_s = self._settings.breaker_stall_s
        if stall_s is None or call.call_class is not CallClass.ENTRIES:
            yield
            return
        timer = asyncio.get_running_loop().call_later(stall_s, permit.stalled, f"no answer for {stall_s:g} s")
        try:
            yield
        finally:
            timer.cancel()

    def _understand(
        self, account_id: AccountId, session: Session, call: Call[T], permit: Permit, answer: HttpAnswer
    ) -> Outcome[T]:
        match classify(answer.status, answer.body):
            case Fine(document=document):
                try:
                    value = call.read(document)
                except AnswerMalformed as error:
                    permit.failed("malformed answer")
                    return Unclear(cause=f"HTTP {answer.status}: {error}", sent_at_ns=answer.sent_at_ns)
                permit.succeeded()
                if call.is_book:
                    self._known_books.keep(account_id, call.path, answer, value)
                if call.is_order_write:
                    self.addresses.release(account_id, cause="the venue took a write")
                return Answered(value=value, sent_at_ns=answer.sent_at_ns)
            case VenueRefusal() as refusal:
                permit.ignored()  # A business refusal says nothing about the venue's health.
                self._heed(account_id, session, call, refusal)
                return Declined(refusal=refusal, sent_at_ns=answer.sent_at_ns)
            case Ambiguous(refusal=VenueRefusal() as refusal) if call.call_class in _READING:
                permit.ignored()
                self._heed(account_id, session, call, refusal)
                return Declined(refusal=refusal, sent_at_ns=answer.sent_at_ns)
            case Ambiguous(cause=cause, is_throttled=is_throttled):
                if is_throttled:
                    permit.ignored()
                    self._pause(account_id, call)
                else:
                    permit.failed(f"HTTP {answer.status}")  # Not the venue's words: it is recorded for ever.
                return Unclear(cause=cause, sent_at_ns=answer.sent_at_ns)

    def _heed(self, account_id: AccountId, session: Session, call: Call[Any], refusal: VenueRefusal) -> None:
        match refusal.reason:
            case RefusalReason.TOKEN:
                self.tokens.mark_dead(account_id, session, cause=refusal.message)
            case RefusalReason.RATE_LIMIT:
                self._pause(account_id, call)
            case RefusalReason.IP if call.is_order_write:
                self.addresses.shut_for(account_id, refusal.message)

    def _pause(self, account_id: AccountId, call: Call[Any]) -> None:
        budget = self.budgets.of(account_id, call.counts_as, call.rate_key)
        budget.pause(self._settings.rate_limit_pause_s)

    def count_earlier(self, account_id: AccountId, sent_at_ns: Sequence[int]) -> None:
        """Count order requests that an earlier process made (UTC nanoseconds, oldest first)."""
        budget = self.budgets.of(account_id, RateClass.ORDERS)
        begun_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
        budget.count_earlier([at_ns - begun_ns for at_ns in sent_at_ns])

    async def probe(self) -> None:
        """Make the trials that are due, and wait for those under way."""
        await asyncio.gather(*(prober.settle() for prober in self._probers.values()))

    async def _try_host(self, permit: Permit) -> None:
        """Ask the host for the least it can tell, without logging in: any well-formed answer is a sign of life."""
        account_id = self._last_account
        session = None if account_id is None else self.tokens.held(account_id)
        answer = await self._client.send(
            HttpRequest(
                method="GET",
                url=f"{self._settings.base_url}/profile",
                timeout_s=self._settings.probe_timeout_s,
                headers={} if session is None else _headers(session),
            )
        )
        if isinstance(answer, NoAnswer):
            permit.failed(answer.cause)
            return
        verdict = classify(answer.status, answer.body)
        if isinstance(verdict, Ambiguous):
            permit.failed(f"HTTP {answer.status}")
            return
        is_token_refused = isinstance(verdict, VenueRefusal) and verdict.reason is RefusalReason.TOKEN
        if isinstance(verdict, VenueRefusal) and is_token_refused and account_id is not None and session is not None:
            self.tokens.mark_dead(account_id, session, cause=verdict.message)
        permit.succeeded()

    # --- Looking ---

    def status(self) -> dict[str, Any]:
        """Return breakers, counts, latencies and budgets, for people and probes."""
        breakers = {call_class.value: self._breakers[call_class].status() for call_class in CALL_CLASSES}
        breakers[CallClass.LOGIN.value] = self._login_breaker.status()
        return {
            "host": self._host,
            "breakers": breakers,
            "calls": {call_class.value: gauge.status() for call_class, gauge in self._gauges.items()},
            "logins": self.tokens.logins,
            "tokens": self.tokens.status(),
            "writes_held_back": self.addresses.status(),
            "budgets": self.budgets.status(),
        }

    async def aclose(self) -> None:
        """Stop trials and close all connections."""
        for prober in self._probers.values():
            await prober.aclose()
        await self._client.aclose()


def _headers(session: Session) -> dict[str, str]:
    return {"access-token": session.token.reveal(), "client-id": session.client_id}


def _name_of(outcome: Outcome[Any]) -> str:
    match outcome:
        case Answered():
            return "answered"
        case Declined(refusal=refusal):
            return f"refused_{refusal.reason.value}"
        case Unclear(sent_at_ns=None):
            return "not_sent"
        case Unclear():
            return "unknown"
