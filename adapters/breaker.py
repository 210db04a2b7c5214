"""A circuit breaker whose word can be trusted: permits, generations, one trial, one clock.

The state and the count of failures live in an `aiobreaker.CircuitBreaker`; what it would do by itself is not used,
because it cannot be relied on where money moves. The rules that replace it:

1. `BreakerOpen` is raised when a permit is asked for and never later, so it always means that nothing was sent. A call
   that trips the breaker reports its own outcome to its own caller.
2. While the breaker is not closed, ordinary calls get no permit. One *trial* at a time does, by `acquire_trial`, and
   the caller makes it a harmless request. A trial that does not report by its deadline has failed.
3. Every permit belongs to the *generation* in which it was given. The generation changes with the state, and the report
   of a permit of an older generation changes nothing: a slow success cannot close a breaker that opened meanwhile, and
   late failures cannot keep it open.
4. Time is the monotonic clock that is handed in, everywhere.
5. A permit reports once: `succeeded`, `failed` or `ignored`. Ignored outcomes (a business refusal) change nothing: they
   neither count nor reset the count. Used as a context manager, a permit that is left by an exception, cancellation
   included, has failed: a time-out put around the call from outside is counted like one inside.
6. `acquire(pass_open=True)` gives a permit even when the breaker is not closed, at most one per pass interval: for
   exits and cancels, which are tried whatever happened before. Its report is of no generation: only trials close a
   breaker.
7. `Permit.stalled` says that a call waits for its answer for too long, well before its time-out. Unless another call
   was answered since its permit was given, the breaker opens at once. The call goes on and reports its own outcome,
   which changes nothing any more: it is of an older generation.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any, Self

import aiobreaker  # type: ignore[import-untyped] # it ships no types
import structlog
from aiobreaker.state import CircuitBreakerState  # type: ignore[import-untyped] # likewise
from aiobreaker.storage.memory import CircuitMemoryStorage  # type: ignore[import-untyped] # likewise

from domain.venue import BreakerState

log = structlog.get_logger(__name__)

NS_PER_S = 1_000_000_000
_TRANSITIONS_KEPT = 64


_LIBRARY_STATES = {
    BreakerState.CLOSED: CircuitBreakerState.CLOSED,
    BreakerState.OPEN: CircuitBreakerState.OPEN,
    BreakerState.HALF_OPEN: CircuitBreakerState.HALF_OPEN,
}


class BreakerOpen(Exception):
    """The breaker gives no permit now. Nothing was sent. `retry_after_ns`: how long at least it will stay so."""

    def __init__(self, name: str, retry_after_ns: int) -> None:
        super().__init__(f"breaker {name} is open, retry after {retry_after_ns / NS_PER_S:.3f} s")
        self.name = name
        self.retry_after_ns = retry_after_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """When a breaker opens and how it finds back. Times in nanoseconds."""

    failures_max: int = 5
    reset_after_ns: int = 5 * NS_PER_S
    trial_deadline_ns: int = 5 * NS_PER_S
    pass_interval_ns: int = NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of state. `at_ns` is the monotonic clock."""

    from_state: BreakerState
    to_state: BreakerState
    at_ns: int
    cause: str


TransitionListener = Callable[[Transition], None]


class _Outcome(Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"


class Permit:
    """The right to make one call, and the duty to report how it went. The first report counts."""

    __slots__ = ("_is_reported", "_report_to", "_stall_of")

    def __init__(self, report_to: Callable[[_Outcome, str], None], stall_of: Callable[[str], None]) -> None:
        self._report_to = report_to
        self._stall_of = stall_of
        self._is_reported = False

    def succeeded(self) -> None:
        """Report that the other side works."""
        self._report(_Outcome.SUCCEEDED)

    def failed(self, cause: str) -> None:
        """Report that the other side does not work."""
        self._report(_Outcome.FAILED, cause)

    def ignored(self) -> None:
        """Report an outcome that says nothing about the other side: nothing is counted, nothing is reset."""
        self._report(_Outcome.IGNORED)

    def stalled(self, cause: str) -> None:
        """Say that the call waits for its answer for too long; what becomes of it is still to be reported."""
        if not self._is_reported:
            self._stall_of(cause)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.ignored()
        else:
            self.failed(kind.__name__)

    def _report(self, outcome: _Outcome, cause: str = "") -> None:
        if not self._is_reported:
            self._is_reported = True
            self._report_to(outcome, cause)


class CircuitBreaker:
    """Counts consecutive failures of one kind of call and holds further ones back. Not for use by several threads."""

    def __init__(
        self,
        name: str,
        *,
        monotonic_ns: Callable[[], int],
        limits: BreakerLimits | None = None,
        on_transition: TransitionListener | None = None,
    ) -> None:
        self.name = name
        self.limits = limits or BreakerLimits()
        self._monotonic_ns = monotonic_ns
        self._on_transition = on_transition
        self._counts = CircuitMemoryStorage(CircuitBreakerState.CLOSED)
        self._holder = aiobreaker.CircuitBreaker(
            fail_max=self.limits.failures_max,
            timeout_duration=timedelta(microseconds=self.limits.reset_after_ns / 1_000),
            state_storage=self._counts,
            name=name,
        )
        self._state = BreakerState.CLOSED
        self._generation = 0
        self._opened_at_ns = 0
        self._answered_at_ns: int | None = None
        self._trial_deadline_ns: int | None = None
        self._passed_at_ns: int | None = None
        self._transitions: deque[Transition] = deque(maxlen=_TRANSITIONS_KEPT)

    # --- Looking ---

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands."""
        return self._state

    @property
    def consecutive_failures(self) -> int:
        """How many failures came since the last success or change of state."""
        return int(self._holder.fail_counter)

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """The last changes of state, oldest first."""
        return tuple(self._transitions)

    def trial_wait_ns(self) -> int | None:
        """Return how long until a trial may be made (0: now), None while the breaker is closed."""
        now = self._monotonic_ns()
        match self.state:
            case BreakerState.CLOSED:
                return None
            case BreakerState.OPEN:
                return max(0, self._opened_at_ns + self.limits.reset_after_ns - now)
            case BreakerState.HALF_OPEN:
                return 0 if self._trial_deadline_ns is None else max(0, self._trial_deadline_ns - now)

    def pass_wait_ns(self) -> int:
        """Return how long until `acquire(pass_open=True)` gives a permit (0: now)."""
        if self.state is BreakerState.CLOSED or self._passed_at_ns is None:
            return 0
        return max(0, self._passed_at_ns + self.limits.pass_interval_ns - self._monotonic_ns())

    # --- Asking ---

    def acquire(self, *, pass_open: bool = False) -> Permit:
        """Return a permit for one call.

        With *pass_open* the state does not matter, only the time since the last call that passed likewise.

        Raises:
            BreakerOpen: the breaker is not closed, or the last call that passed it was too short ago.
        """
        if self.state is BreakerState.CLOSED:
            return self._permit(self._generation)
        if not pass_open:
            raise BreakerOpen(self.name, self.trial_wait_ns() or 0)
        wait_ns = self.pass_wait_ns()
        if wait_ns > 0:
            raise BreakerOpen(self.name, wait_ns)
        self._passed_at_ns = self._monotonic_ns()
        return self._permit(None)

    def acquire_trial(self) -> Permit:
        """Return the permit for the one trial that may close the breaker again.

        Raises:
            BreakerOpen: it is too early, another trial is under way, or there is nothing to try (closed).
        """
        now = self._monotonic_ns()
        if self._trial_deadline_ns is not None and now >= self._trial_deadline_ns:
            self._open("trial did not report in time")
        wait_ns = self.trial_wait_ns()
        if wait_ns is None or wait_ns > 0:
            raise BreakerOpen(self.name, wait_ns or 0)
        if self.state is BreakerState.OPEN:
            self._change(BreakerState.HALF_OPEN, "reset time-out")
        self._trial_deadline_ns = now + self.limits.trial_deadline_ns
        return self._permit(self._generation)

    # --- Hearing reports ---

    def _permit(self, generation: int | None) -> Permit:
        return Permit(
            partial(self._hear, generation), partial(self._hear_stall, generation, given_at_ns=self._monotonic_ns())
        )

    def _hear_stall(self, generation: int | None, cause: str, *, given_at_ns: int) -> None:
        if generation != self._generation or self.state is not BreakerState.CLOSED:
            return  # A trial has a deadline of its own.
        if self._answered_at_ns is None or self._answered_at_ns < given_at_ns:
            self._open(cause)

    def _hear(self, generation: int | None, outcome: _Outcome, cause: str) -> None:
        if generation != self._generation:
            return
        if outcome is not _Outcome.FAILED:
            self._answered_at_ns = self._monotonic_ns()
        is_trial = self.state is BreakerState.HALF_OPEN
        match outcome:
            case _Outcome.SUCCEEDED if is_trial:
                self._trial_deadline_ns = None
                self._change(BreakerState.CLOSED, "trial succeeded")
            case _Outcome.SUCCEEDED:
                self._counts.reset_counter()
            case _Outcome.FAILED if is_trial:
                self._open(f"trial failed: {cause}")
            case _Outcome.FAILED:
                self._counts.increment_counter()
                if self.consecutive_failures >= self.limits.failures_max:
                    self._open(cause)
            case _Outcome.IGNORED:
                self._trial_deadline_ns = None  # A trial that said nothing: another one may be made at once.

    def _open(self, cause: str) -> None:
        self._opened_at_ns = self._monotonic_ns()
        self._trial_deadline_ns = None
        self._change(BreakerState.OPEN, cause)

    def _change(self, to_state: BreakerState, cause: str) -> None:
        transition = Transition(from_state=self.state, to_state=to_state, at_ns=self._monotonic_ns(), cause=cause)
        # The holder's own open() reads the deprecated datetime.utcnow(), an error in strict runs; its setters do not.
        self._counts.state = _LIBRARY_STATES[to_state]
        self._holder.state = _LIBRARY_STATES[to_state]
        self._state = to_state
        self._counts.reset_counter()
        self._generation += 1
        self._transitions.append(transition)
        if self._on_transition is None:
            return
        try:
            self._on_transition(transition)
        except Exception:  # A listener's bug must not look like a fault of the venue, nor undo the transition.
            log.exception("breaker listener failed", breaker=self.name)

    def status(self) -> dict[str, Any]:
        """Return state, count and transitions, for people and probes."""
        return {
            "state": self.state.value,
            "consecutive_failures": self.consecutive_failures,
            "transitions": [
                {"from": step.from_state.value, "to": step.to_state.value, "at_ns": step.at_ns, "cause": step.cause}
                for step in self._transitions
            ],
        }
