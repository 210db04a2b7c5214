"""People who trade in the demo: each one an ordinary client of the HTTP API."""

from dataclasses import InitVar, dataclass, field
from typing import Any

import httpx
import msgspec

from api.requests import RegisterRequest, RiskLimits, TradeRequest
from api.switch_requests import KillSwitchRequest
from domain.ids import AccountId
from infra.client import (
    AsyncKhata,
    Call,
    Denied,
    ProblemAnswered,
    Unreachable,
    close_position,
    engage_kill_switch,
    list_positions,
    list_trades,
    open_trade,
    register,
    release_kill_switch,
    set_parameters,
    show_portfolio,
)
from infra.client.calls import Answer

PAGE = 200
_OF_INTENTS = ("/api/trades", "/api/positions")


class DemoBroken(Exception):
    """The engine answered what the demo cannot go on from."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API to an intent: the trade it became (None: it only closed), or why it was denied."""

    trade_id: str | None
    sequence: int
    denial_code: str | None


@dataclass(slots=True)
class Trader:
    """One user of the API."""

    name: str
    http: InitVar[httpx.AsyncClient]
    account_id: AccountId | None = None
    headers: dict[str, str] = field(default_factory=dict)
    durable_ms: list[float] = field(default_factory=list)
    intents: int = 0
    _khata: AsyncKhata = field(init=False)

    def __post_init__(self, http: httpx.AsyncClient) -> None:
        self._khata = AsyncKhata(http=http, on_answer=self._note_durable)

    @property
    def sequence(self) -> int:
        """The place in the log from which on this trader reads."""
        return self._khata.sequence

    @sequence.setter
    def sequence(self, sequence: int) -> None:
        self._khata.sequence = sequence

    def speak_through(self, http: httpx.AsyncClient) -> None:
        """Go on through another connection: the engine was started again, at another address."""
        self._khata.http = http

    async def join(self) -> None:
        """Register and log in."""
        person = RegisterRequest(email=self._email, name=self.name, password=self._password)
        self.account_id = AccountId((await self._sent(register(person))).account_id)
        await self.log_in()

    async def log_in(self) -> None:
        """Log in, once more where the token is about to expire."""
        answer = await self._khata.log_in(self._email, self._password)
        self.headers = {"Authorization": f"Bearer {answer.access_token}"}

    async def intend(self, symbol: str, side: str, quantity: int, **terms: str) -> Reply:
        """Hand in an order intent."""
        self.intents += 1
        body = msgspec.convert({"symbol": symbol, "side": side, "quantity": quantity, **terms}, TradeRequest)
        try:
            accepted = await self._sent(open_trade(body))
        except Denied as denied:
            problem = denied.problem
            return Reply(trade_id=problem.trade_id, sequence=problem.sequence or 0, denial_code=problem.code)
        return Reply(trade_id=accepted.trade_id, sequence=accepted.sequence, denial_code=None)

    async def close(self, position_id: str) -> None:
        """Close a position by hand."""
        self.intents += 1
        await self._sent(close_position(position_id))

    async def set_limits(self, **changes: str | int | bool) -> dict[str, Any]:
        """Change some of the limits; return all of them as they were before."""
        before: dict[str, Any] = (await self.portfolio())["parameters"]
        await self._sent(set_parameters(msgspec.convert(before | changes, RiskLimits)))
        return before

    async def engage_kill_switch(self) -> None:
        """Block every entry."""
        await self._sent(engage_kill_switch(KillSwitchRequest(reason="a look at the news")))

    async def release_kill_switch(self) -> None:
        """Allow entries again."""
        await self._sent(release_kill_switch())

    async def trades(self) -> list[dict[str, Any]]:
        """Return all trades, newest first."""
        found: list[dict[str, Any]] = []
        before: int | None = None
        while True:
            page = await self._sent(list_trades(limit=PAGE, before=before))
            found += msgspec.to_builtins(page.trades)
            if page.next_before is None:
                return found
            before = page.next_before

    async def recent_trades(self, count: int) -> list[dict[str, Any]]:
        """Return the newest *count* trades, newest first."""
        trades: list[dict[str, Any]] = msgspec.to_builtins((await self._sent(list_trades(limit=count))).trades)
        return trades

    async def positions(self) -> list[dict[str, Any]]:
        """Return every position, flat ones included."""
        positions: list[dict[str, Any]] = msgspec.to_builtins((await self._sent(list_positions())).positions)
        return positions

    async def portfolio(self) -> dict[str, Any]:
        """Return the account's results, exposure and limits."""
        portfolio: dict[str, Any] = msgspec.to_builtins(await self._sent(show_portfolio()))
        return portfolio

    @property
    def _email(self) -> str:
        return f"{self.name.lower()}@demo.invalid"

    @property
    def _password(self) -> str:
        return f"{self.name} trades by the ledger"

    def _note_durable(self, response: httpx.Response) -> None:
        _, _, duration = response.headers.get("Server-Timing", "").partition("dur=")
        if duration and response.request.url.path.startswith(_OF_INTENTS):
            self.durable_ms.append(float(duration))

    async def _sent(self, call: Call[Answer]) -> Answer:
        try:
            return await self._khata.send(call)
        except Denied:
            raise
        except (ProblemAnswered, Unreachable) as problem:
            raise DemoBroken(f"{self.name}: {call.method} {call.path} was answered with {problem}") from problem
