"""People under whose load an engine is killed: they open, close and take back, and ask again until they are answered.

Each does one thing after another, at a pace of their own. Whoever gets no answer, or "come again", asks again under the
same key; now and then somebody asks twice at once, as an impatient hand does. Every answer is written down for the
judge. What people ask is made by seed; when they ask it depends on how soon they were answered.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

import httpx

from infra.kills.judge import Answer, Request

SYMBOLS = ("RELIANCE", "INFY", "TCS", "SBIN", "ITC")
_PASSWORD = "the ledger shows it all"  # noqa: S105 - of people who are made up
PATIENCE_S = 120.0
"""So long somebody asks again: longer than any kill keeps the engine from answering."""
GIVES_UP_S = 3.0
"""So long an answer is waited for before the same is asked again."""
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.05, 0.5
_TWICE = 0.05
"""Share of requests that are sent twice at once."""
_CLOSES, _TAKES_BACK, _RESTS = 0.35, 0.1, 0.15
_LOTS_MAX = 9
_STOP_BP = 9_300
"""The first stop of a person lies so far below the market, each later one a tick lower: no two are the same."""
_RESTS_BP = 9_850
_BASIS = 10_000
_LIMITS: dict[str, Any] = {
    "open_trades_max": 100_000,
    "open_orders_max": 100_000,
    "trades_per_day_max": 100_000,
    "orders_per_second_max": 1_000,
    "orders_per_minute_max": 60_000,
    "orders_per_hour_max": 1_000_000,
    "orders_per_day_max": 1_000_000,
    "position_quantity_max": 1_000_000,
    "position_value_max": "100000000000.00",
    "gross_exposure_max": "1000000000000.00",
    "net_exposure_max": "1000000000000.00",
    "day_loss_max": "100000000000.00",
    "drawdown_max": "100000000000.00",
    "duplicate_window_ms": 0,
}
"""Enough for all that is asked: what denies entries here is the engine's state, never how much was traded."""


class Unanswered(Exception):
    """Somebody got no answer for longer than any kill may last."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """An instrument that is traded: its last price when the people came, and its tick (both in 1/10,000 rupee)."""

    symbol: str
    last_price_e4: int
    tick_e4: int


@dataclass(slots=True)
class Ledger:
    """What everybody asked and was answered. `retries` counts the times that something was asked again."""

    requests: list[Request] = field(default_factory=list)
    retries: int = 0

    def statuses(self) -> Counter[int]:
        """Return how many requests were answered with what."""
        return Counter(request.answers[0].status for request in self.requests if request.answers)

    def accepted(self) -> int:
        """Return how many requests were answered with a yes."""
        return sum(count for status, count in self.statuses().items() if status < HTTPStatus.BAD_REQUEST)


class Person:
    """Somebody with an account, who asks one thing after another."""

    def __init__(
        self, number: int, http: httpx.AsyncClient, queries: httpx.AsyncClient, ledger: Ledger, quotes: Sequence[Quoted]
    ) -> None:
        self.number = number
        self.account_id = ""
        self._http = http
        self._queries = queries
        self._ledger = ledger
        self._quotes = quotes
        self._headers: dict[str, str] = {}
        self._keys = (f"person-{number}-{count}" for count in itertools.count(1))
        self._ticks_below = itertools.count()
        self._open: list[str] = []
        self._resting: list[str] = []
        self._bodies: dict[str, Mapping[str, Any] | None] = {}

    async def join(self) -> None:
        """Register, log in, and set limits that nothing here meets."""
        login = {"email": f"trader-{self.number}@bench.invalid", "password": _PASSWORD}
        made = await self._http.post("/api/auth/register", json={**login, "name": "A trader"})
        made.raise_for_status()
        self.account_id = made.json()["account_id"]
        answer = await self._http.post("/api/auth/login", json=login)
        answer.raise_for_status()
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        portfolio = await self.read("/api/risk/portfolio", min_sequence=made.json()["sequence"])
        portfolio.raise_for_status()
        limits = portfolio.json()["parameters"] | _LIMITS
        headers = {**self._headers, "Idempotency-Key": next(self._keys)}
        (await self._http.put("/api/risk/parameters", json=limits, headers=headers)).raise_for_status()

    async def trade(self, random: Random, *, per_second: float, until: asyncio.Event) -> None:
        """Ask for things, so many a second at most, *until* it is over; what was asked by then is answered."""
        loop = asyncio.get_running_loop()
        while not until.is_set():
            next_at_s = loop.time() + random.uniform(0.5, 1.5) / per_second
            await self.ask_for_something(random)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_at_s):
                    await until.wait()

    async def ask_for_something(self, random: Random) -> None:
        """Open a trade, close one or take an entry back."""
        chance = random.random()
        twice = random.random() < _TWICE
        if chance < _CLOSES and self._open:
            trade_id = self._open.pop(random.randrange(len(self._open)))
            await self.ask("POST", f"/api/trades/{trade_id}/close", twice=twice)
        elif chance < _CLOSES + _TAKES_BACK and self._resting:
            trade_id = self._resting.pop(random.randrange(len(self._resting)))
            await self.ask("POST", f"/api/trades/{trade_id}/cancel", twice=twice)
        else:
            rests = random.random() < _RESTS
            quoted, quantity = random.choice(self._quotes), random.randint(1, _LOTS_MAX)
            opened = await self.enter(quoted, quantity, rests=rests, twice=twice)
            if opened is not None:
                (self._resting if rests else self._open).append(opened)

    async def enter(
        self,
        quoted: Quoted,
        quantity: int,
        *,
        rests: bool = False,
        twice: bool = False,
        protection: str = "resting",
        patience_s: float = PATIENCE_S,
    ) -> str | None:
        """Hand in an entry with a stop that no other one of this person has; return its trade, None where denied.

        Raises:
            Unanswered
        """
        stop_e4 = _on_tick(quoted.last_price_e4 * _STOP_BP // _BASIS, quoted) - next(self._ticks_below) * quoted.tick_e4
        body: dict[str, Any] = {
            "symbol": quoted.symbol,
            "side": "BUY",
            "quantity": quantity,
            "stop_loss": _decimal(stop_e4),
            "protection": protection,
        }
        if rests:
            limit_e4 = _on_tick(quoted.last_price_e4 * _RESTS_BP // _BASIS, quoted)
            body |= {"order_type": "LIMIT", "limit_price": _decimal(limit_e4)}
        answer = await self.ask("POST", "/api/trades", body, stop_e4=stop_e4, twice=twice, patience_s=patience_s)
        return str(answer.body["trade_id"]) if answer.status == HTTPStatus.CREATED else None

    async def close_everything(self) -> None:
        """Take back every entry that rests, and close every trade."""
        for trade_id in self._resting:
            await self.ask("POST", f"/api/trades/{trade_id}/cancel")
        await self.ask("POST", "/api/positions/close-all", {"scope": "account"})
        self._resting.clear()
        self._open.clear()

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        stop_e4: int | None = None,
        twice: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Answer:
        """Ask under a fresh key until there is an answer, and return it; *twice* at once, if wanted.

        Raises:
            Unanswered
        """
        request = Request(next(self._keys), self.account_id, stop_e4)
        self._ledger.requests.append(request)
        self._bodies[request.key] = body
        asking = [self._until_answered(request, method, path, body, patience_s) for _ in range(1 + twice)]
        await asyncio.gather(*asking)
        return request.answers[0]

    def accepted(self) -> list[Request]:
        """Return the entries of this person that became trades."""
        return [
            request
            for request in self._ledger.requests
            if request.account_id == self.account_id
            and request.stop_e4 is not None
            and any(answer.status == HTTPStatus.CREATED for answer in request.answers)
        ]

    async def ask_again(self, request: Request) -> Request:
        """Ask an entry that was answered once more, under its key, and return it with both answers."""
        await self._until_answered(request, "POST", "/api/trades", self._bodies[request.key], PATIENCE_S)
        return request

    async def read(self, path: str, **query: str | int) -> httpx.Response:
        """Return what is shown, or why it is not."""
        return await _sent(self._queries, "GET", path, params=query, headers=self._headers)

    async def _until_answered(
        self, request: Request, method: str, path: str, body: Mapping[str, Any] | None, patience_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline_s, pause_s = loop.time() + patience_s, _PAUSE_FIRST_S
        headers = {**self._headers, "Idempotency-Key": request.key}
        while True:
            try:
                response = await _sent(self._http, method, path, json=body, headers=headers)
            except httpx.TransportError:
                response = None
            if response is not None and not _is_to_come_again(response):
                request.answers.append(Answer(response.status_code, response.json()))
                return
            if loop.time() > deadline_s:
                said = "nothing" if response is None else response.text
                raise Unanswered(f"{request.key}: {method} {path} got {said} for {patience_s:.0f} s")
            self._ledger.retries += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)


async def _sent(http: httpx.AsyncClient, method: str, path: str, **arguments: Any) -> httpx.Response:
    """Send a request and return its answer. Raises httpx.TransportError where none comes."""
    try:
        return await http.request(method, path, **arguments)
    except AttributeError as error:
        # What the driver below says, on our loop, of a connection that was closed the moment it was made.
        raise httpx.ConnectError(str(error)) from error


def _is_to_come_again(response: httpx.Response) -> bool:
    # A token that is not good by the API's clock was not looked at further: it may be good again.
    return response.is_server_error or response.status_code in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED}


def _on_tick(price_e4: int, quoted: Quoted) -> int:
    return price_e4 // quoted.tick_e4 * quoted.tick_e4


def _decimal(price_e4: int) -> str:
    return f"{price_e4 // _BASIS}.{price_e4 % _BASIS:04d}"
