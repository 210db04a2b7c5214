"""A loop that jumps over time, and processes that end in it as `kill -9` ends them."""

import asyncio

import pytest

from infra.worlds.bare_loop import NothingLeft, live_alone
from infra.worlds.processes import AWAIT, Doom, Process


class Stage:
    """What processes did, in order, and which of them died where."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.deaths: list[str] = []

    def process(self) -> Process:
        return Process("a process", on_death=lambda _, where: self.deaths.append(where))

    async def work(self, process: Process) -> None:
        """Take two steps with time in between, and tidy up at the end."""
        try:
            await process.reach("first")
            self.done.append("first")
            await asyncio.sleep(3600)
            await process.reach("second")
            self.done.append("second")
        finally:
            self.done.append("tidied up")


def run(*, doom: Doom | None = None) -> Stage:
    """Let a process work, for as long as it lives, and end the loop."""
    stage = Stage()

    async def live() -> list[str]:
        process = stage.process()
        if doom is not None:
            process.doom(doom)
        process.start(stage.work(process))
        await asyncio.sleep(7200)
        return list(stage.done)

    stage.done = live_alone(live())
    return stage


def test_hours_pass_at_once_and_in_their_order() -> None:
    seen = []

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def live() -> None:
        await asyncio.gather(wait(3600.0), wait(1.0), wait(60.0))

    live_alone(live())
    assert seen == [(1.0, 1.0), (60.0, 60.0), (3600.0, 3600.0)]


def test_a_world_that_would_stand_still_says_so() -> None:

    async def live() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        live_alone(live())


def test_a_process_that_is_not_doomed_does_all_of_its_work() -> None:
    stage = run()
    assert (stage.done, stage.deaths) == (["first", "second", "tidied up"], [])


@pytest.mark.parametrize(
    ("doom", "done"),
    [
        (Doom("first"), []),
        (Doom("second"), ["first"]),
        (Doom("second", nth=2), ["first", "second", "tidied up"]),
        (Doom(AWAIT, nth=1), []),
        (Doom(AWAIT, nth=2), ["first"]),
    ],
)
def test_nothing_of_a_dead_process_runs_any_more_not_even_what_tidies_up(doom: Doom, done: list[str]) -> None:
    stage = run(doom=doom)
    assert stage.done == done
    assert stage.deaths == ([] if "tidied up" in done else [doom.step])


def test_what_a_dead_process_has_scheduled_does_not_happen() -> None:
    stage = Stage()

    async def live() -> None:
        loop, process = asyncio.get_running_loop(), stage.process()
        process.context.run(loop.call_later, 5.0, stage.done.append, "late")
        loop.call_later(5.0, stage.done.append, "another's")
        await asyncio.sleep(1)
        process.die("here")
        await asyncio.sleep(10)

    live_alone(live())
    assert (stage.done, stage.deaths) == (["another's"], ["here"])
