"""How long the supervisor waits before it starts something again."""

from infra.supervisor import PAUSE_FIRST_S, PAUSE_MAX_S, STEADY_S, _Pauses


def test_what_ends_for_the_first_time_is_not_waited_for() -> None:
    assert _Pauses().after(0.0) == 0.0


def test_what_ends_again_and_again_is_waited_for_longer_each_time_up_to_a_limit() -> None:
    pauses = _Pauses()
    waited_s = [pauses.after(0.0) for _ in range(12)]
    assert waited_s[:4] == [0.0, PAUSE_FIRST_S, 2 * PAUSE_FIRST_S, 4 * PAUSE_FIRST_S]
    assert waited_s[-2:] == [PAUSE_MAX_S, PAUSE_MAX_S]


def test_what_ran_steadily_has_recovered() -> None:
    pauses = _Pauses()
    for _ in range(5):
        pauses.after(0.0)
    assert [pauses.after(STEADY_S), pauses.after(0.0)] == [0.0, PAUSE_FIRST_S]
