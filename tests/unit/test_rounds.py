"""Work in rounds: when its time has come, when something has changed, and not at all while there is none."""

import asyncio
from collections.abc import Awaitable, Callable

from commands.ports import StoreUnavailable
from commands.rounds import Rounds
from infra.worlds.bare_loop import live_alone

HOUR_S = 3600.0
MINUTE_MS = 60_000


class Worker:
    """Notes at which second of the loop it was called."""

    def __init__(self, *, fails: bool = False) -> None:
        self.at_s: list[float] = []
        self.has_work = True
        self._fails = fails

    async def work(self) -> None:
        self.at_s.append(asyncio.get_running_loop().time())
        if self._fails:
            raise StoreUnavailable("away")

    def is_idle(self) -> bool:
        return not self.has_work


def lived(story: Callable[[Rounds], Awaitable[None]], every: Callable[[Rounds], Awaitable[None]]) -> None:
    """Let *story* come to pass while *every* goes on."""

    async def live() -> None:
        rounds = Rounds()
        work = asyncio.ensure_future(every(rounds))
        await story(rounds)
        work.cancel()

    live_alone(live())


def test_a_round_comes_when_its_time_has_come_whatever_changes() -> None:
    worker = Worker()

    async def story(rounds: Rounds) -> None:
        for _ in range(10):
            await asyncio.sleep(15)
            rounds.wake()

    lived(story, lambda rounds: rounds.every(MINUTE_MS, worker.work))
    assert worker.at_s == [0, 60, 120]


def test_a_change_begins_a_round_at_once_where_that_is_asked_for() -> None:
    worker = Worker()

    async def story(rounds: Rounds) -> None:
        await asyncio.sleep(15)
        rounds.wake()
        await asyncio.sleep(90)

    lived(story, lambda rounds: rounds.every(MINUTE_MS, worker.work, wake=True))
    assert worker.at_s == [0, 15, 75]


def test_a_change_during_the_work_begins_the_next_round() -> None:
    at_s: list[float] = []

    async def every(rounds: Rounds) -> None:
        async def work() -> None:
            at_s.append(asyncio.get_running_loop().time())
            if len(at_s) == 1:
                rounds.wake()

        await rounds.every(MINUTE_MS, work, wake=True)

    async def story(_: Rounds) -> None:
        await asyncio.sleep(61)

    lived(story, every)
    assert at_s == [0, 0, 60]


def test_work_that_has_nothing_to_do_rests_until_a_change_gives_it_something() -> None:
    worker = Worker()

    async def story(rounds: Rounds) -> None:
        worker.has_work = False
        await asyncio.sleep(HOUR_S)
        rounds.wake()  # Of something else: it is asked, and rests on.
        await asyncio.sleep(HOUR_S)
        worker.has_work = True
        rounds.wake()
        await asyncio.sleep(1)

    lived(story, lambda rounds: rounds.every(MINUTE_MS, worker.work, is_idle=worker.is_idle))
    assert worker.at_s == [0, 2 * HOUR_S]


def test_a_fault_that_passes_ends_no_work() -> None:
    worker = Worker(fails=True)

    async def story(_: Rounds) -> None:
        await asyncio.sleep(61)

    lived(story, lambda rounds: rounds.every(MINUTE_MS, worker.work))
    assert worker.at_s == [0, 60]


def test_whoever_waits_for_a_change_learns_of_one_that_came_before() -> None:
    async def live() -> float:
        rounds = Rounds()
        before = rounds.changes
        rounds.wake()
        await rounds.change(before)
        return asyncio.get_running_loop().time()

    assert live_alone(live()) == 0


def test_whoever_waits_for_a_change_waits_no_longer_than_was_said() -> None:
    async def live() -> tuple[float, int]:
        rounds = Rounds()
        await rounds.change(rounds.changes, within_s=5)
        waited_s = asyncio.get_running_loop().time()
        rounds.wake()
        return waited_s, rounds.changes

    assert live_alone(live()) == (5, 1)
