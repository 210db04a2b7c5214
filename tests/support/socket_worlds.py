"""Worlds whose bytes go through sockets: HTTP as the engine speaks it, and the simulator's own server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from adapters.dhan.http.client import HttpAnswer, HttpClient, HttpRequest
from adapters.simulator.server import _listen, _serve
from infra.worlds.bare_loop import bury
from infra.worlds.living import Verdict, verdict_of
from infra.worlds.plan import Plan
from infra.worlds.processes import NOBODYS, PROCESS
from infra.worlds.trading import SETTINGS
from infra.worlds.venue import Venue
from infra.worlds.virtual_time import VirtualLoop
from infra.worlds.wire import Answer
from infra.worlds.world import World


class MortalLoop(VirtualLoop):
    """A loop of virtual time with sockets, in which nothing of a dead process runs any more."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped: list[Any] = []

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle: asyncio.Handle = super()._call_soon(*self._guarded(callback, args, context), context)  # type: ignore[misc]
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        callback, args = self._guarded(callback, args, context)
        return super().call_at(when, callback, *args, context=context)

    def _guarded(self, callback: Any, args: Any, context: Context) -> tuple[Any, Any]:
        process = context.get(PROCESS)
        if process is None:
            return callback, args

        def go_on() -> None:
            if process.may_go_on():
                callback(*args)
            else:
                self._dropped.append((callback, args))

        return go_on, ()


class Served:
    """The venue behind its server. Implements `infra.worlds.wire.Counter`. `carried` counts what went through."""

    def __init__(self, venue: Venue) -> None:
        self.carried = 0
        self._venue = venue
        self._client = HttpClient(SETTINGS, venue.desk.config.clock)
        self._url = ""
        self._carrying: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(_serve(self._venue.desk, _listen("127.0.0.1", 0), port.set_result))
        self._url = f"http://127.0.0.1:{await port}"
        try:
            yield
        finally:
            await asyncio.gather(*self._carrying)
            await self._client.aclose()
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)

    def take(self, request: HttpRequest, answered: Callable[[Answer], None], *, is_late: bool) -> None:
        task = asyncio.get_running_loop().create_task(
            self._carry(self._venue.let_in(request, is_late=is_late), answered), context=NOBODYS.copy()
        )
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, request: HttpRequest, answered: Callable[[Answer], None]) -> None:
        path = urlsplit(request.url).path
        answer = await self._client.send(replace(request, url=self._url + path))
        assert isinstance(answer, HttpAnswer), answer
        self.carried += 1
        answered(self._venue.shown(path, (answer.status, answer.body)))


def live_over_sockets(plan: Plan) -> tuple[Verdict, int]:
    """Let the world of *plan* come to pass over sockets; return the verdict, and how many calls went through them."""
    loop = MortalLoop()
    made: list[Served] = []

    def counter_at(venue: Venue) -> Served:
        made.append(Served(venue))
        return made[0]

    async def live() -> Verdict:
        world = World(plan, counter_at=counter_at)
        async with made[0].listening():
            await world.run()
        return verdict_of(world, loop.time())

    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(live()), made[0].carried
    finally:
        bury(loop)
        loop.close()
        asyncio.set_event_loop(None)
