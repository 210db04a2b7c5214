"""Faults of the projector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from infra.faults.clients import Asking
from infra.faults.core import Core, RunningProjector
from infra.faults.injections.shared import Injection, happened, until
from infra.faults.points import Point


def _projector_killed_at(point: Point) -> Injection:
    @asynccontextmanager
    async def injection(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
        del asking, random
        running = core.running_projector
        running.views.hold_at = point
        yield
        await happened(point, running.views.is_held)
        await running.kill()
        core.running_projector = core.new_projector()
        core.reached[point] += 1

    return injection


@asynccontextmanager
async def _projector_untold(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    core.running_projector.views.hold_at = Point.PROJECTOR_UNTOLD
    try:
        yield
        await happened(Point.PROJECTOR_UNTOLD, core.running_projector.views.is_held)
        await happened(Point.PROJECTOR_UNTOLD, core.projector_link.has_struck)
    finally:
        core.projector_link.disarm()
    core.running_projector.views.is_held.clear()
    core.reached[Point.PROJECTOR_UNTOLD] += 1


@asynccontextmanager
async def _two_projectors(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    both = (core.running_projector, core.new_projector())

    def waiting() -> list[RunningProjector]:
        return [each for each in both if each.projector.progress().state == "waiting for the claim"]

    await until("one of two projectors waits", lambda: len(waiting()) == 1)
    try:
        yield
    finally:
        # Mostly the first one works; but who was slow for as long as its lease had it taken away.
        second = (waiting() or both[1:])[-1]
        first = both[0] if second is both[1] else both[1]
        await first.kill()
        core.running_projector = second
    core.reached[Point.TWO_PROJECTORS] += 1


@asynccontextmanager
async def _one_claim(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    first = core.running_projector
    await until("the first projector works", lambda: first.projector.progress().claims > 0)
    second = core.new_projector(first.owner)
    try:
        await until("the second one works as well", lambda: second.projector.progress().claims > 0)
        yield
        claims = first.projector.progress().claims
    finally:
        await second.stop()  # It gives back what the other one believes to have.
    await until("the first one claims anew", lambda: first.projector.progress().claims > claims)
    core.reached[Point.ONE_CLAIM] += 1


@asynccontextmanager
async def _projector_hangs(core: Core, asking: Asking, random: Random) -> AsyncIterator[None]:
    del asking, random
    first = core.running_projector
    first.views.hold_at = Point.PROJECTOR_HANGS
    yield
    await happened(Point.PROJECTOR_HANGS, first.views.is_held)
    core.running_projector = second = core.new_projector()
    try:
        await until("the second one takes over", lambda: second.projector.progress().claims > 0)
        faults = first.projector.progress().faults
        first.views.let_go()
        await until("the first one finds its claim gone", lambda: first.projector.progress().faults > faults)
    finally:
        await first.kill()
    core.reached[Point.PROJECTOR_HANGS] += 1


PROJECTING: dict[Point, Injection] = {
    Point.PROJECTOR_KILLED_IN_BATCH: _projector_killed_at(Point.PROJECTOR_KILLED_IN_BATCH),
    Point.PROJECTOR_KILLED_AFTER_COMMIT: _projector_killed_at(Point.PROJECTOR_KILLED_AFTER_COMMIT),
    Point.PROJECTOR_UNTOLD: _projector_untold,
    Point.TWO_PROJECTORS: _two_projectors,
    Point.ONE_CLAIM: _one_claim,
    Point.PROJECTOR_HANGS: _projector_hangs,
}
