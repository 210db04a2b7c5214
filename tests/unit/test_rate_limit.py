from api.rate_limit import SlidingWindow
from tests.support.security import ManualClock


def test_a_key_is_free_again_when_its_oldest_event_leaves_the_window() -> None:
    clock = ManualClock()
    window = SlidingWindow(clock, limit=2, window_s=60)
    window.add("asha")
    clock.advance_s(20)
    window.add("asha")
    assert window.retry_after_s("asha") == 41
    clock.advance_s(41)
    assert window.retry_after_s("asha") is None


def test_one_keys_events_do_not_hold_up_another() -> None:
    window = SlidingWindow(ManualClock(), limit=1, window_s=60)
    window.add("asha")
    assert window.retry_after_s("ravi") is None


def test_a_cleared_key_is_free() -> None:
    window = SlidingWindow(ManualClock(), limit=1, window_s=60)
    window.add("asha")
    window.clear("asha")
    assert window.retry_after_s("asha") is None


def test_a_flood_of_keys_costs_bounded_memory() -> None:
    window = SlidingWindow(ManualClock(), limit=1, window_s=60, keys_max=10)
    for number in range(1_000):
        window.add(f"client-{number}")
    assert len(window._times) == 10
    assert window.retry_after_s("client-999") is not None
