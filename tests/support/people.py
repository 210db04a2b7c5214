"""People who use the API: each registers, logs in, and asks with a key of its own wherever one is mandatory."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.api import PASSWORD, ApiWorld


@dataclass
class Person:
    """Somebody who is logged in."""

    world: ApiWorld
    email: str
    user_id: str
    account_id: str
    access_token: str
    refresh_token: str
    _asked: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """Return what proves who asks."""
        return {"Authorization": f"Bearer {self.access_token}"}

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """Send a request; without *key* under a fresh one."""
        self._asked += 1
        named = {"Idempotency-Key": key or f"key-{self.user_id}-{self._asked}"} if method != "GET" else {}
        return await self.world.client.request(method, path, json=body, headers={**self.headers, **named})

    async def get(self, path: str) -> dict[str, Any]:
        """Return what is there, which is to be there."""
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask for something that is to be done."""
        answer = await self.ask(method, path, body)
        assert answer.status_code in {200, 201, 202}, answer.text
        return dict(answer.json())

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Return status and code of a request that is to be refused."""
        answer = await self.ask(method, path, body)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["code"]


async def registered(world: ApiWorld, name: str = "asha") -> Person:
    """Return somebody who just registered and logged in."""
    email = f"{name}@example.in"
    body = {"email": email, "name": name.title(), "password": PASSWORD}
    made = await world.client.post("/api/auth/register", json=body)
    assert made.status_code == 201, made.text
    tokens = (await world.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})).json()
    return Person(
        world,
        email,
        made.json()["user_id"],
        made.json()["account_id"],
        tokens["access_token"],
        tokens["refresh_token"],
    )
