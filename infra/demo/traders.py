"""People who trade in the demo: each one an ordinary client of the HTTP API."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from domain.ids import AccountId

HTTP_CREATED = 201
HTTP_ACCEPTED = 202
HTTP_DENIED = 403
PAGE = 200


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
    http: httpx.AsyncClient
    account_id: AccountId | None = None
    headers: dict[str, str] = field(default_factory=dict)
    durable_ms: list[float] = field(default_factory=list)
    intents: int = 0
    sequence: int = 0

    async def join(self) -> None:
        """Register and log in."""
        person = {"name": self.name, **self._credentials}
        registered = await self._call("POST", "/api/auth/register", person, expect=201)
        self.account_id = AccountId(registered["account_id"])
        self.sequence = registered["sequence"]
        await self.log_in()

    async def log_in(self) -> None:
        """Log in, once more where the token is about to expire."""
        answer = await self._call("POST", "/api/auth/login", self._credentials)
        self.headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def intend(self, symbol: str, side: str, quantity: int, **terms: str) -> Reply:
        """Hand in an order intent."""
        self.intents += 1
        body = {"symbol": symbol, "side": side, "quantity": quantity, **terms}
        headers = self.headers | {"Idempotency-Key": f"{self.name}-{self.intents}"}
        response = await self.http.post("/api/trades", json=body, headers=headers)
        answer = response.json()
        if response.status_code not in {HTTP_CREATED, HTTP_ACCEPTED, HTTP_DENIED}:
            raise DemoBroken(f"{self.name}: {body} was answered with {response.status_code} {answer}")
        self._note_durable(response)
        self.sequence = answer["sequence"]
        denial_code = answer["code"] if response.status_code == HTTP_DENIED else None
        return Reply(trade_id=answer["trade_id"], sequence=answer["sequence"], denial_code=denial_code)

    async def close(self, position_id: str) -> None:
        """Close a position by hand."""
        self.intents += 1
        headers = self.headers | {"Idempotency-Key": f"{self.name}-{self.intents}"}
        response = await self.http.post(f"/api/positions/close/{position_id}", headers=headers)
        if response.is_error:
            raise DemoBroken(f"{self.name}: closing {position_id} was answered with {response.text}")
        self._note_durable(response)
        self.sequence = response.json()["sequence"]

    async def set_limits(self, **changes: str | int | bool) -> dict[str, Any]:
        """Change some of the limits; return all of them as they were before."""
        before: dict[str, Any] = (await self.portfolio())["parameters"]
        answer = await self._call("PUT", "/api/risk/parameters", before | changes)
        self.sequence = answer["sequence"]
        return before

    async def engage_kill_switch(self) -> None:
        """Block every entry."""
        self.sequence = (await self._call("POST", "/api/risk/kill-switch", {"reason": "a look at the news"}))[
            "sequence"
        ]

    async def release_kill_switch(self) -> None:
        """Allow entries again."""
        self.sequence = (await self._call("DELETE", "/api/risk/kill-switch"))["sequence"]

    async def trades(self) -> list[dict[str, Any]]:
        """Return all trades, newest first."""
        found: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": PAGE, "min_sequence": self.sequence}
        while True:
            page = await self._call("GET", "/api/trades", query=query)
            found += page["trades"]
            if page["next_before"] is None:
                return found
            query["before"] = page["next_before"]

    async def recent_trades(self, count: int) -> list[dict[str, Any]]:
        """Return the newest *count* trades, newest first."""
        page = await self._call("GET", "/api/trades", query={"limit": count})
        trades: list[dict[str, Any]] = page["trades"]
        return trades

    async def positions(self) -> list[dict[str, Any]]:
        """Return every position, flat ones included."""
        answer = await self._call("GET", "/api/positions", query={"min_sequence": self.sequence})
        positions: list[dict[str, Any]] = answer["positions"]
        return positions

    async def portfolio(self) -> dict[str, Any]:
        """Return the account's results, exposure and limits."""
        return await self._call("GET", "/api/risk/portfolio", query={"min_sequence": self.sequence})

    @property
    def _credentials(self) -> dict[str, str]:
        return {"email": f"{self.name.lower()}@demo.invalid", "password": f"{self.name} trades by the ledger"}

    def _note_durable(self, response: httpx.Response) -> None:
        _, _, duration = response.headers["Server-Timing"].partition("dur=")
        self.durable_ms.append(float(duration))

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str | int] | None = None,
        expect: int = 200,
    ) -> dict[str, Any]:
        response = await self.http.request(method, path, json=body, params=query, headers=self.headers)
        if response.status_code != expect:
            raise DemoBroken(f"{self.name}: {method} {path} was answered with {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer
