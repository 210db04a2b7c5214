"""The rate budget: never more in any window than allowed, with a reserve for what matters most."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.dhan.guard.budget import ON_ITS_WAY_S, Budget, Limit, Slot, Window
from tests.support.dhan import HandClock

S = 1_000_000_000


async def requested(budget: Budget, *, within_s: float, urgent: bool = False) -> bool:
    """Make a request that is answered at once, if the budget lets it through."""
    slot = await budget.take(within_s=within_s, urgent=urgent)
    if slot is not None:
        slot.end()
    return slot is not None


async def test_a_window_slides_and_never_doubles() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=10, span_s=1)], monotonic_ns=clock.monotonic_ns)
    for _ in range(10):
        assert await requested(budget, within_s=0)
        clock.advance(0.05)
    assert not await requested(budget, within_s=0)
    clock.advance(0.5)  # The first of them is a second old now, the second is not.
    assert await requested(budget, within_s=0)
    assert not await requested(budget, within_s=0)


async def test_the_reserve_is_for_what_is_urgent() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=3, span_s=1, reserve=2)], monotonic_ns=clock.monotonic_ns)
    assert await requested(budget, within_s=0)
    assert not await requested(budget, within_s=0)
    assert await requested(budget, within_s=0, urgent=True)
    assert await requested(budget, within_s=0, urgent=True)
    assert not await requested(budget, within_s=0, urgent=True)


async def test_every_window_must_have_room() -> None:
    clock = HandClock()
    limits = [Limit(count=2, span_s=1), Limit(count=3, span_s=60)]
    budget = Budget(limits, monotonic_ns=clock.monotonic_ns)
    for _ in range(3):
        assert await requested(budget, within_s=0)
        clock.advance(1)
    assert budget.wait_ns() == 57 * S
    assert budget.status() == {
        "1s": {"used": 0, "limit": 2, "reserve": 0, "free_in_s": 0},
        "60s": {"used": 3, "limit": 3, "reserve": 0, "free_in_s": 57},
    }
    assert budget.shortage() == "60 s: 3 of 3 used, 57.0 s to wait"


async def test_a_pause_lets_nothing_through() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=5, span_s=1)], monotonic_ns=clock.monotonic_ns)
    budget.pause(2)
    assert not await requested(budget, within_s=1, urgent=True)
    clock.advance(2)
    assert await requested(budget, within_s=0)


async def test_a_request_that_was_held_up_on_its_way_keeps_its_place_from_its_answer_on() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=2, span_s=1)], monotonic_ns=clock.monotonic_ns)
    held_up = await budget.take(within_s=0)
    assert held_up is not None
    clock.advance(0.9)
    held_up.end()  # The venue may have counted it just now.
    assert await requested(budget, within_s=0)
    clock.advance(0.2)
    assert not await requested(budget, within_s=0)
    clock.advance(0.8)
    assert await requested(budget, within_s=0)


async def test_a_request_that_is_never_answered_does_not_keep_its_place_for_ever() -> None:
    clock = HandClock()
    budget = Budget([Limit(count=1, span_s=1)], monotonic_ns=clock.monotonic_ns)
    assert await budget.take(within_s=0) is not None
    clock.advance(ON_ITS_WAY_S + 0.9)
    assert not await requested(budget, within_s=0)
    clock.advance(0.1)
    assert await requested(budget, within_s=0)


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 900)), max_size=60))
def test_whenever_requests_arrive_no_span_holds_more_than_its_limit(
    count: int, gaps_and_ways_ms: list[tuple[int, int]]
) -> None:
    clock = HandClock(0)
    window = Window(Limit(count=count, span_s=1))
    under_way: list[tuple[int, Slot]] = []
    arrived: list[int] = []

    def let_arrive() -> None:
        for due in sorted(under_way, key=lambda each: each[0]):
            if due[0] <= clock.monotonic_ns():
                due[1].counted_ns = min(due[1].counted_ns, due[0])
                arrived.append(due[0])
                under_way.remove(due)

    for gap_ms, way_ms in gaps_and_ways_ms:
        clock.advance(gap_ms / 1000)
        let_arrive()
        while (wait_ns := window.wait_ns(clock.monotonic_ns(), urgent=False)) > 0:
            clock.advance(wait_ns / S)
            let_arrive()
        slot = Slot(clock.monotonic_ns)
        window.take(slot)
        under_way.append((clock.monotonic_ns() + way_ms * 1_000_000, slot))
    clock.advance(ON_ITS_WAY_S)
    let_arrive()
    arrived.sort()
    assert len(arrived) == len(gaps_and_ways_ms)
    for index, first in enumerate(arrived):
        assert sum(1 for other in arrived[index:] if other < first + S) <= count
