"""An answer that takes too long: the client is told, and what was begun goes on to its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from adapters.memory.event_store import MemoryEventStore
from api.app import create_app
from commands.ports import Append, Appended
from tests.support.api import ApiWorld

ORDER = {"symbol": "RELIANCE", "side": "BUY", "quantity": 1}
PATIENCE_S = 30.0


class Exchange:
    """One request as a server hands it over, and what was sent in answer."""

    def __init__(self, app: FastAPI, headers: dict[str, str]) -> None:
        self.sent: list[Any] = []
        self.is_answered = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/api/trades",
            "raw_path": b"/api/trades",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "scheme": "http",
        }
        self.serving = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        return {"type": "http.request", "body": json.dumps(ORDER).encode(), "more_body": False}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.is_answered.set()

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.sent[1]["body"])
        return answer


class HeldLog(MemoryEventStore):
    """A log whose appends can be held up, and then fail."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.fault: Exception | None = None

    async def append(self, append: Append) -> Appended:
        await self.may_go_on.wait()
        if self.fault is not None:
            raise self.fault
        return await super().append(append)


@pytest.fixture
def log() -> HeldLog:
    return HeldLog()


@pytest.fixture
async def world(log: HeldLog) -> AsyncIterator[ApiWorld]:
    made = ApiWorld(log=log)
    yield made
    await made.client.aclose()


def in_a_hurry(world: ApiWorld) -> FastAPI:
    """Return an API over the same services that gives up soon."""
    return create_app(replace(world.services, answer_within_s=0.05))


async def test_a_command_goes_on_when_its_client_is_told_that_it_takes_too_long(world: ApiWorld, log: HeldLog) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    before = await world.stored()
    log.may_go_on.clear()
    exchange = Exchange(in_a_hurry(world), headers)
    async with asyncio.timeout(PATIENCE_S):
        await exchange.is_answered.wait()
        assert exchange.sent[0]["status"] == 504
        assert exchange.body["code"] == "DEADLINE_EXCEEDED"
        assert "Idempotency-Key" in exchange.body["detail"]
        assert exchange.headers["content-type"] == "application/problem+json"
        assert exchange.headers["retry-after"] == "1"
        assert exchange.headers["x-request-id"].startswith("req_")
        assert await world.stored() == before
        log.may_go_on.set()
        await exchange.serving
    assert len(exchange.sent) == 2, "it is answered once"
    stored = await world.stored()
    assert stored == before + 2
    again = Exchange(world.app, headers)
    await again.serving
    assert (again.sent[0]["status"], again.headers["idempotent-replay"]) == (201, "true")
    assert await world.stored() == stored, "the same key tells the outcome, and nothing is done twice"


async def test_what_fails_after_its_client_was_told_is_logged_and_sends_nothing_more(
    world: ApiWorld, log: HeldLog
) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    log.may_go_on.clear()
    log.fault = ValueError("a bug")
    exchange = Exchange(in_a_hurry(world), headers)
    with capture_logs() as logs:
        async with asyncio.timeout(PATIENCE_S):
            await exchange.is_answered.wait()
            log.may_go_on.set()
            await exchange.serving
    assert len(exchange.sent) == 2
    assert [entry["event"] for entry in logs] == ["request failed"]
