"""The rate budget: never more in any window than allowed, with a reserve for what matters most."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.dhan.budget import Budget, Limit, Window
from tests.support.dhan import HandClock

S = 1_000_000_000


async def test_a_window_slides_and_never_doubles() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=10, span_s=1)], monotonic_ns=clock.monotonic_ns)
    for _ in range(10):
        assert await budget.take(within_s=0)
        clock.advance(0.05)
    assert not await budget.take(within_s=0)
    clock.advance(0.5)  # The first of them is a second old now, the second is not.
    assert await budget.take(within_s=0)
    assert not await budget.take(within_s=0)


async def test_the_reserve_is_for_what_is_urgent() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=3, span_s=1)], monotonic_ns=clock.monotonic_ns, reserve=2)
    assert await budget.take(within_s=0)
    assert not await budget.take(within_s=0)
    assert await budget.take(within_s=0, urgent=True)
    assert await budget.take(within_s=0, urgent=True)
    assert not await budget.take(within_s=0, urgent=True)


async def test_every_window_must_have_room() -> None:
    clock = HandClock()
    limits = [Limit(count=2, span_s=1), Limit(count=3, span_s=60)]
    budget = Budget(limits, monotonic_ns=clock.monotonic_ns)
    for _ in range(3):
        assert await budget.take(within_s=0)
        clock.advance(1)
    assert budget.wait_ns() == 57 * S
    assert budget.status() == {"1s": {"used": 0, "limit": 2}, "60s": {"used": 3, "limit": 3}}


async def test_a_pause_lets_nothing_through() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=5, span_s=1)], monotonic_ns=clock.monotonic_ns)
    budget.pause(2)
    assert not await budget.take(within_s=1, urgent=True)
    clock.advance(2)
    assert await budget.take(within_s=0)


@given(st.integers(1, 6), st.lists(st.integers(0, 400), max_size=60))
def test_no_span_ever_holds_more_than_its_limit(count: int, gaps_ms: list[int]) -> None:
    window = Window(Limit(count=count, span_s=1))
    now_ns = 0
    taken: list[int] = []
    for gap_ms in gaps_ms:
        now_ns += gap_ms * 1_000_000
        now_ns += window.wait_ns(now_ns, reserve=0)
        window.take(now_ns)
        taken.append(now_ns)
    for index, first in enumerate(taken):
        assert sum(1 for other in taken[index:] if other < first + S) <= count
