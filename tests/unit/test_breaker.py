"""The breaker: each defect of the library behind it, closed, and the rules that replace them."""

import asyncio
import warnings

import pytest

from adapters.breaker import BreakerLimits, BreakerOpen, CircuitBreaker, Transition
from domain.venue import BreakerState
from tests.support.dhan import HandClock

S = 1_000_000_000
LIMITS = BreakerLimits(failures_max=3, reset_after_ns=5 * S, trial_deadline_ns=2 * S, pass_interval_ns=1 * S)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def breaker(clock: HandClock) -> CircuitBreaker:
    return CircuitBreaker("venue/entries", monotonic_ns=clock.monotonic_ns, limits=LIMITS)


def trip(breaker: CircuitBreaker) -> None:
    for _ in range(LIMITS.failures_max):
        breaker.acquire().failed("reset")


def is_in(breaker: CircuitBreaker, state: BreakerState) -> bool:
    return breaker.state is state


# --- The eight defects of aiobreaker 1.2.0, by their points ---
#
# 1 the tripping call is told "open" although it was sent · 2 half-open lets everybody through · 3 results of old
# calls change the new state · 4 local and universal time are mixed · 5 it opens by a deprecated call · 6 a time-out
# from outside is not counted · 7 an excluded error resets the count · 8 methods cannot be decorated, and what a
# listener raises escapes.


def test_point_1_the_call_that_trips_the_breaker_is_not_told_that_the_breaker_is_open(breaker: CircuitBreaker) -> None:
    permits = [breaker.acquire() for _ in range(3)]
    for permit in permits:
        permit.failed("ConnectionResetError")  # Does not raise, the tripping one included: each call was sent.
    assert is_in(breaker, BreakerState.OPEN)
    with pytest.raises(BreakerOpen):
        breaker.acquire()


def test_point_2_half_open_lets_one_of_fifty_through(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    clock.advance(5)
    given = 0
    for _ in range(50):
        try:
            breaker.acquire_trial()
            given += 1
        except BreakerOpen:
            pass
    assert given == 1
    with pytest.raises(BreakerOpen):
        breaker.acquire()


def test_point_3_a_success_begun_before_the_breaker_opened_does_not_close_it(
    breaker: CircuitBreaker, clock: HandClock
) -> None:
    slow = breaker.acquire()
    trip(breaker)
    clock.advance(5)
    breaker.acquire_trial().failed("still down")
    slow.succeeded()
    assert is_in(breaker, BreakerState.OPEN)


def test_point_3_late_failures_do_not_keep_the_breaker_open_longer(breaker: CircuitBreaker, clock: HandClock) -> None:
    late = [breaker.acquire() for _ in range(10)]
    trip(breaker)
    for permit in late:
        clock.advance(0.5)
        permit.failed("late")
    assert breaker.trial_wait_ns() == 0
    assert [step.to_state for step in breaker.transitions] == [BreakerState.OPEN]


def test_point_3_a_late_failure_of_an_earlier_closed_time_counts_nothing(
    breaker: CircuitBreaker, clock: HandClock
) -> None:
    late = [breaker.acquire() for _ in range(10)]
    trip(breaker)
    clock.advance(5)
    breaker.acquire_trial().succeeded()
    for permit in late:
        permit.failed("late")
    assert is_in(breaker, BreakerState.CLOSED)
    assert breaker.consecutive_failures == 0


def test_point_4_only_the_clock_that_was_handed_in_decides_when_a_trial_is_due(
    breaker: CircuitBreaker, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    trip(breaker)
    assert breaker.trial_wait_ns() == 5 * S
    clock.advance(4.5)
    with pytest.raises(BreakerOpen) as held_back:
        breaker.acquire_trial()
    assert held_back.value.retry_after_ns == S // 2
    clock.advance(0.5)
    breaker.acquire_trial()


def test_point_5_the_breaker_opens_where_warnings_are_errors(breaker: CircuitBreaker, clock: HandClock) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trip(breaker)
        clock.advance(5)
        breaker.acquire_trial().succeeded()
    assert [step.to_state for step in breaker.transitions] == [
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
        BreakerState.CLOSED,
    ]


async def test_point_6_a_time_out_put_around_the_call_from_outside_is_counted(breaker: CircuitBreaker) -> None:
    async def call() -> None:
        with breaker.acquire() as permit:
            await asyncio.Event().wait()
            permit.succeeded()

    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(), 0.001)
    assert is_in(breaker, BreakerState.OPEN)


def test_point_7_an_ignored_outcome_neither_counts_nor_resets_the_count(breaker: CircuitBreaker) -> None:
    breaker.acquire().failed("down")
    breaker.acquire().failed("down")
    breaker.acquire().ignored()
    assert is_in(breaker, BreakerState.CLOSED)
    breaker.acquire().failed("down")
    assert is_in(breaker, BreakerState.OPEN)


def test_point_8_a_listener_that_breaks_harms_nobody(clock: HandClock) -> None:
    def broken(_: Transition) -> None:
        raise ValueError("a bug of the listener")

    breaker = CircuitBreaker("venue/x", monotonic_ns=clock.monotonic_ns, limits=LIMITS, on_transition=broken)
    trip(breaker)
    assert is_in(breaker, BreakerState.OPEN)


def test_point_8_a_method_is_guarded_without_decorating_it(breaker: CircuitBreaker) -> None:
    class Caller:
        def call(self) -> str:
            with breaker.acquire() as permit:
                permit.succeeded()
                return "done"

    assert Caller().call() == "done"


# --- The rules ---


def test_a_success_resets_the_count(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        breaker.acquire().failed("down")
        breaker.acquire().failed("down")
        breaker.acquire().succeeded()
    assert is_in(breaker, BreakerState.CLOSED)


def test_a_permit_reports_once(breaker: CircuitBreaker) -> None:
    permit = breaker.acquire()
    for _ in range(5):
        permit.failed("down")
    permit.succeeded()
    assert breaker.consecutive_failures == 1


def test_a_call_that_waits_too_long_opens_the_breaker_and_its_late_answer_does_not_close_it(
    breaker: CircuitBreaker,
) -> None:
    slow = breaker.acquire()
    slow.stalled("no answer for 2 s")
    with pytest.raises(BreakerOpen):
        breaker.acquire()
    assert breaker.transitions[-1].cause == "no answer for 2 s"
    slow.succeeded()
    assert is_in(breaker, BreakerState.OPEN)


@pytest.mark.parametrize("report", ["succeeded", "ignored"])
def test_a_slow_call_among_others_that_are_answered_opens_nothing(
    breaker: CircuitBreaker, clock: HandClock, report: str
) -> None:
    slow = breaker.acquire()
    clock.advance(1)
    getattr(breaker.acquire(), report)()
    slow.stalled("no answer for 2 s")
    assert is_in(breaker, BreakerState.CLOSED)


def test_an_answer_before_it_was_asked_says_nothing_of_a_slow_call(breaker: CircuitBreaker, clock: HandClock) -> None:
    breaker.acquire().succeeded()
    clock.advance(1)
    breaker.acquire().stalled("no answer for 2 s")
    assert is_in(breaker, BreakerState.OPEN)


def test_a_call_that_was_answered_cannot_stall(breaker: CircuitBreaker, clock: HandClock) -> None:
    clock.advance(1)
    answered = breaker.acquire()
    answered.failed("HTTP 503")
    answered.stalled("no answer for 2 s")
    assert is_in(breaker, BreakerState.CLOSED)


def test_a_slow_call_of_before_does_not_keep_a_breaker_open(breaker: CircuitBreaker, clock: HandClock) -> None:
    slow = breaker.acquire()
    trip(breaker)
    clock.advance(4)
    slow.stalled("no answer for 2 s")
    assert breaker.trial_wait_ns() == 1 * S


def test_a_trial_that_fails_opens_the_breaker_for_another_time(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    clock.advance(5)
    breaker.acquire_trial().failed("still down")
    assert is_in(breaker, BreakerState.OPEN)
    assert breaker.trial_wait_ns() == 5 * S


def test_a_trial_that_never_reports_has_failed_at_its_deadline(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    clock.advance(5)
    lost = breaker.acquire_trial()
    clock.advance(2)
    with pytest.raises(BreakerOpen):
        breaker.acquire_trial()
    assert is_in(breaker, BreakerState.OPEN)
    lost.succeeded()
    assert is_in(breaker, BreakerState.OPEN)
    clock.advance(5)
    breaker.acquire_trial().succeeded()
    assert is_in(breaker, BreakerState.CLOSED)


def test_a_trial_that_said_nothing_makes_room_for_another(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    clock.advance(5)
    breaker.acquire_trial().ignored()
    assert is_in(breaker, BreakerState.HALF_OPEN)
    breaker.acquire_trial().succeeded()
    assert is_in(breaker, BreakerState.CLOSED)


def test_a_closed_breaker_has_nothing_to_try(breaker: CircuitBreaker) -> None:
    assert breaker.trial_wait_ns() is None
    with pytest.raises(BreakerOpen):
        breaker.acquire_trial()


def test_an_exit_passes_an_open_breaker_at_its_pace(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    breaker.acquire(pass_open=True).failed("still down")
    with pytest.raises(BreakerOpen) as held_back:
        breaker.acquire(pass_open=True)
    assert held_back.value.retry_after_ns == S
    clock.advance(1)
    breaker.acquire(pass_open=True)


def test_what_passed_an_open_breaker_neither_closes_nor_prolongs_it(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    breaker.acquire(pass_open=True).succeeded()
    clock.advance(1)
    breaker.acquire(pass_open=True).failed("down")
    assert is_in(breaker, BreakerState.OPEN)
    assert breaker.trial_wait_ns() == 4 * S


def test_the_pace_outlasts_a_failed_trial(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    clock.advance(5)
    breaker.acquire(pass_open=True).failed("down")
    breaker.acquire_trial().failed("down")
    with pytest.raises(BreakerOpen):
        breaker.acquire(pass_open=True)


def test_a_closed_breaker_paces_nobody(breaker: CircuitBreaker) -> None:
    for _ in range(10):
        breaker.acquire(pass_open=True).succeeded()


def test_every_transition_is_kept_with_its_cause_and_told(clock: HandClock) -> None:
    told: list[Transition] = []
    breaker = CircuitBreaker("venue/x", monotonic_ns=clock.monotonic_ns, limits=LIMITS, on_transition=told.append)
    trip(breaker)
    clock.advance(5)
    breaker.acquire_trial().failed("no answer in time")
    assert [(step.from_state.value, step.to_state.value, step.cause) for step in told] == [
        ("closed", "open", "reset"),
        ("open", "half_open", "reset time-out"),
        ("half_open", "open", "trial failed: no answer in time"),
    ]
    assert breaker.transitions == tuple(told)
    assert breaker.status()["transitions"][0]["cause"] == "reset"


def test_the_list_of_transitions_is_bounded(breaker: CircuitBreaker, clock: HandClock) -> None:
    trip(breaker)
    for _ in range(200):
        clock.advance(5)
        breaker.acquire_trial().failed("down")
    assert len(breaker.transitions) == 64
