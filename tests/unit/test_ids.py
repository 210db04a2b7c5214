from threading import Thread

import pytest

from adapters.ids import SystemIds, made_at_ms
from tests.support.security import ManualClock


def test_ids_sort_by_the_time_of_their_making_even_within_a_millisecond() -> None:
    clock = ManualClock()
    ids = SystemIds(clock)
    made = []
    for step in range(2_000):
        clock.now_ns += 1_000_000 * (step % 2)
        made.append(ids.new("trd"))
    assert made == sorted(set(made))


def test_a_wall_clock_that_steps_back_makes_no_id_twice_and_none_earlier() -> None:
    clock = ManualClock()
    ids = SystemIds(clock)
    before = ids.new("trd")
    clock.now_ns -= 86_400_000_000_000
    assert ids.new("trd") > before


def test_an_id_is_its_prefix_and_the_time_in_crockfords_alphabet() -> None:
    prefix, _, name = SystemIds(ManualClock(1_469_918_176_385_000_000)).new("usr").partition("_")
    # The example of the ULID specification: 1469918176385 ms is 01ARYZ6S41.
    assert (prefix, name[:10], len(name)) == ("usr", "01ARYZ6S41", 26)
    assert made_at_ms(f"{prefix}_{name}") == 1_469_918_176_385


@pytest.mark.parametrize("text", ["", "cmd", "cmd_01ARYZ6S41", "cmd_01ARYZ6S41" + "U" * 16, "lib_" + "0a" * 16])
def test_what_is_no_id_has_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="expected a prefix"):
        made_at_ms(text)


def test_threads_never_make_the_same_id() -> None:
    ids = SystemIds(ManualClock())
    made: list[str] = []
    threads = [Thread(target=lambda: made.extend(ids.new("cmd") for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2_000
