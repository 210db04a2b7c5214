"""A wall clock that somebody sets while it runs."""

import time
from pathlib import Path

import pytest

from infra.kills import stepped_clock
from infra.kills.stepped_clock import NS_PER_S, SteppedClock

HOUR_S = 3_600


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stepped_clock, "_LOOK_EVERY_NS", 0)
    path = tmp_path / "clock"
    path.write_text("0")
    return path


@pytest.mark.parametrize("offset_s", [0, HOUR_S, -HOUR_S])
def test_it_is_wrong_by_what_the_file_says_from_then_on(file: Path, offset_s: int) -> None:
    clock = SteppedClock(file)
    clock.time_ns()
    file.write_text(f"{offset_s}")
    before_ns = time.time_ns()
    told_ns = clock.time_ns() - offset_s * NS_PER_S
    assert before_ns <= told_ns <= time.time_ns()


def test_seconds_are_those_of_its_nanoseconds(file: Path) -> None:
    file.write_text(f"{HOUR_S}")
    clock = SteppedClock(file)
    before_ns = clock.time_ns()
    assert before_ns / NS_PER_S <= clock.time() <= clock.time_ns() / NS_PER_S
