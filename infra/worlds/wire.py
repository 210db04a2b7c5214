"""The way between the adapter and the venue: bytes there, bytes back, and whatever becomes of them in between.

It stands where the adapter has its HTTP client. What was sent is the venue's business from then on: it arrives although
the sender has died meanwhile, and perhaps long after the sender gave up.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from adapters.dhan.http.client import HttpAnswer, HttpRequest, NoAnswer
from commands.ports import Clock
from infra.worlds.processes import NOBODYS, Process
from infra.worlds.story import Story
from infra.worlds.weather import Fate, Weather

READ_TIMEOUT_S = 5.0
"""So long nothing is heard before the client gives up: the adapter's own setting."""
_LATENCY_S = (0.005, 0.06)
_SLOW_S = (0.2, 4.0)
_LATE_S_MIN = 0.5
_PAGE = b"<!DOCTYPE html><html><body>We will be back soon.</body></html>"
_THROTTLED = (
    b'{"errorType":"Rate_Limit","errorCode":"DH-904",'
    b'"errorMessage":"Too many requests on server from single user breaching rate limits."}'
)
_REFUSED = (
    b'{"errorType":"Order_Error","errorCode":"DH-906",'
    b'"errorMessage":"Incorrect request for order and cannot be processed"}'
)
_BROKEN = b'{"errorType":"Internal_Server_Error","errorCode":"DH-908","errorMessage":"Internal server error"}'
_NO_ID = b'{"orderStatus":"TRANSIT"}'

Answer = tuple[int, bytes]
_INSTEAD: dict[Fate, Answer] = {
    Fate.UNAVAILABLE: (503, _PAGE),
    Fate.BROKEN_BEFORE: (500, _BROKEN),
    Fate.BROKEN_AFTER: (500, _BROKEN),
    Fate.BAD_GATEWAY: (502, _PAGE),
    Fate.THROTTLED: (429, _THROTTLED),
    Fate.THROTTLED_BARE_BEFORE: (429, _PAGE),
    Fate.THROTTLED_BARE_AFTER: (429, _PAGE),
    Fate.REFUSED: (400, _REFUSED),
    Fate.NO_ID: (200, _NO_ID),
    Fate.PAGE: (200, _PAGE),
}
"""What is answered in place of the truth."""
_NOT_DONE = frozenset(
    {
        Fate.REQUEST_LOST,
        Fate.UNAVAILABLE,
        Fate.BROKEN_BEFORE,
        Fate.THROTTLED,
        Fate.THROTTLED_BARE_BEFORE,
        Fate.REFUSED,
        Fate.PAGE,
    }
)
"""Fates under which the venue never hears of it."""
_NEVER_HEARD = frozenset({Fate.REQUEST_LOST, Fate.ANSWER_NEVER})
_CUT = {
    Fate.REQUEST_LATE: "ReadError",
    Fate.ANSWER_LOST: "RemoteProtocolError",
    Fate.ANSWER_TORN: "RemoteProtocolError",
}
_NAMES = {
    ("POST", "orders"): "place",
    ("PUT", "orders"): "modify",
    ("DELETE", "orders"): "cancel",
    ("GET", "orders"): "orders",
    ("GET", "trades"): "trades",
    ("GET", "positions"): "positions",
    ("GET", "profile"): "probe",
    ("POST", "generateAccessToken"): "log-in",
}
_LOOKUP = "/orders/external/"


class Counter(Protocol):
    """Where requests arrive."""

    def take(self, request: HttpRequest, answered: Callable[[Answer], None], *, is_late: bool) -> None:
        """Do what is asked, and hand *answered* the answer when it is there. A late request was let in long ago."""
        ...


def name_of(request: HttpRequest) -> str:
    """Return what a request asks for, in a word."""
    path = urlsplit(request.url).path
    if _LOOKUP in path:
        return "look-up"
    parts = path.split("/")
    # An order's path has its id at the end, /v2/orders/123; the log-in's is /app/generateAccessToken.
    noun = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - the leading slash makes an empty part
    return _NAMES.get((request.method, noun), f"{request.method} {noun}")


class Wire:
    """A process's connections. Implements `adapters.dhan.http.client.Transport`.

    The steps of a call are `before place` (nothing has left), `during place` (it is on its way) and `after place` (the
    answer, or that there is none, has come, and nothing was done about it).
    """

    def __init__(self, counter: Counter, process: Process, weather: Weather, clock: Clock, story: Story) -> None:
        self._counter = counter
        self._process = process
        self._weather = weather
        self._clock = clock
        self._story = story

    async def send(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        """Send *request* once and return the answer, or that there is none."""
        name = name_of(request)
        await self._process.reach(f"before {name}")
        loop = asyncio.get_running_loop()
        fate = self._weather.of_call(name, now_s=loop.time())
        if fate is Fate.NOT_SENT:
            self._tell(f"{name}: {fate}")
            await asyncio.sleep(self._weather.between(0.001, 0.05))
            return NoAnswer(cause="ConnectError", sent_at_ns=None)
        sent_at_ns = self._clock.wall_ns()
        answered: asyncio.Future[Answer] = loop.create_future()
        latency_s = self._weather.between(*_LATENCY_S)
        self._deliver(request, name, fate, latency_s, answered)
        await self._process.reach(f"during {name}")
        answer = await self._heard(fate, answered, latency_s)
        await self._process.reach(f"after {name}")
        if isinstance(answer, str):
            return NoAnswer(cause=answer, sent_at_ns=sent_at_ns)
        status, body = answer
        latency_ns = self._clock.wall_ns() - sent_at_ns
        return HttpAnswer(status=status, body=body, sent_at_ns=sent_at_ns, latency_ns=latency_ns)

    def _deliver(
        self, request: HttpRequest, name: str, fate: Fate, latency_s: float, answered: asyncio.Future[Answer]
    ) -> None:
        loop = asyncio.get_running_loop()
        late_s = 0.0
        if fate is Fate.REQUEST_LATE:
            late_s = self._weather.between(_LATE_S_MIN, max(_LATE_S_MIN, self._weather.climate.late_s))

        def arrive() -> None:
            if fate in _NOT_DONE:
                hear(_INSTEAD[fate])
            else:
                self._counter.take(request, hear, is_late=late_s > 0)

        def hear(answer: Answer) -> None:
            self._tell(f"{name}: {answer[0]}{f' {late_s:.1f} s late' if late_s else ''}")
            if not answered.done():
                answered.set_result(answer)

        self._tell(f"{name} sent{'' if fate is Fate.FINE else f', {fate}'}")
        if fate is not Fate.REQUEST_LOST:
            # It is the venue's from here on: the sender's death does not stop it.
            loop.call_later(latency_s + late_s, arrive, context=NOBODYS)

    async def _heard(self, fate: Fate, answered: "asyncio.Future[Answer]", latency_s: float) -> Answer | str:
        """Return the answer, or why there is none."""
        if fate in _NEVER_HEARD:
            await asyncio.sleep(READ_TIMEOUT_S)
            return "ReadTimeout"
        if fate is Fate.REQUEST_LATE:
            await asyncio.sleep(self._weather.between(latency_s, READ_TIMEOUT_S))
            return _CUT[fate]
        answer = await answered
        if fate in _CUT:
            return _CUT[fate]
        if fate is Fate.SLOW:
            await asyncio.sleep(self._weather.between(*_SLOW_S))
            return answer
        await asyncio.sleep(latency_s)
        return _INSTEAD.get(fate, answer)

    def _tell(self, text: str) -> None:
        if self._story.is_listening:
            self._story.tell(f"{self._process.name}: {text}")

    async def aclose(self) -> None:
        """There are no connections to close."""
