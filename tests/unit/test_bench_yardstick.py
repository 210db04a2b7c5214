"""A yardstick has a deadline: one that hangs leaves the bench without a ratio, and never without an end."""

import asyncio
import threading

import pytest

from infra.bench.report import Report
from infra.bench.yardstick import in_thread, within


async def test_a_yardstick_that_ends_is_one() -> None:
    report = Report(bench="store")
    assert await within(report, "a yardstick", in_thread(lambda: 800.0), seconds=60) == 800
    assert not report.notes


async def test_a_yardstick_that_hangs_is_told_and_left() -> None:
    report = Report(bench="store")
    hanging = asyncio.get_running_loop().create_future()
    assert await within(report, "a yardstick", hanging, seconds=0) is None
    assert report.notes == {"without a yardstick": "it had not ended after 0 s"}
    assert hanging.cancelled()


async def test_a_thread_that_was_left_may_end_later() -> None:
    report, released, ended = Report(bench="store"), threading.Event(), threading.Event()

    def measure() -> float:
        released.wait()
        ended.set()
        return 1.0

    assert await within(report, "a yardstick", in_thread(measure), seconds=0) is None
    released.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_what_a_yardstick_raises_is_raised() -> None:
    def measure() -> float:
        raise ValueError("the recorder lost a command")

    with pytest.raises(ValueError, match="lost a command"):
        await within(Report(bench="store"), "a yardstick", in_thread(measure), seconds=60)
