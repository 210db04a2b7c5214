"""What the API tells the audit book: log-ins and commands that were turned away, and nothing of those who only read."""

from collections.abc import AsyncIterator

import pytest

from domain.audit import AuditEntry, AuditKind
from tests.support.api import PASSWORD, ApiWorld


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    world = ApiWorld()
    yield world
    await world.client.aclose()


async def written(world: ApiWorld) -> list[AuditEntry]:
    await world.services.audit.flush()
    return world.audit_store.entries


async def test_log_ins_are_written_down_with_who_they_were(world: ApiWorld) -> None:
    await world.log_in()
    wrong = {"email": "asha@example.in", "password": "not the right one at all"}
    assert (await world.client.post("/api/auth/login", json=wrong)).status_code == 401
    good, bad = await written(world)
    assert (good.kind, good.route) == (AuditKind.LOGGED_IN, "POST /api/auth/login")
    assert good.actor.startswith("usr_")
    assert (bad.kind, bad.code, bad.actor) == (AuditKind.LOGIN_FAILED, "CREDENTIALS_WRONG", "")
    assert good.client == bad.client == f"client-{len('127.0.0.1')}"
    assert "asha" not in repr(bad)
    assert PASSWORD not in repr(good)


async def test_a_refused_command_is_written_down_and_a_refused_question_is_not(world: ApiWorld) -> None:
    headers = await world.log_in()
    stored = await world.stored()
    body = {"symbol": "NOSUCH", "side": "BUY", "quantity": 1}
    refused = await world.client.post("/api/trades", json=body, headers=headers | {"Idempotency-Key": "a"})
    assert refused.status_code >= 400
    assert (await world.client.get("/api/trades/trd_nothing", headers=headers)).status_code == 404
    assert (await world.client.get("/api/trades")).status_code == 401
    _, entry = await written(world)
    assert (entry.kind, entry.code, entry.route) == (AuditKind.REFUSED, refused.json()["code"], "POST /api/trades")
    assert entry.actor.startswith("usr_")
    assert entry.correlation_id == refused.headers["X-Request-Id"]
    assert await world.stored() == stored


async def test_the_same_key_with_another_body_is_written_down(world: ApiWorld) -> None:
    headers = await world.log_in() | {"Idempotency-Key": "a"}
    body = {"symbol": "RELIANCE", "side": "BUY", "quantity": 1}
    assert (await world.client.post("/api/trades", json=body, headers=headers)).status_code == 201
    assert (await world.client.post("/api/trades", json=body | {"quantity": 2}, headers=headers)).status_code == 422
    entries = await written(world)
    assert [entry.code for entry in entries] == ["", "IDEMPOTENCY_KEY_REUSED"]
