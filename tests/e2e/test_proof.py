"""The running engine anchors its log, and the commands prove beside it that nobody touched it."""

import asyncio
import json
import sys
from typing import Any

import psycopg

from adapters.nats.connection import connect
from adapters.nats.control import request
from tests.support.eventually import eventually
from tests.support.onlooker import looking_at
from tests.support.running import RunningEngine

CREDENTIALS = {"email": "proof@example.in", "password": "correct horse battery", "name": "Proof"}


async def khata(engine: RunningEngine, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a command on the home of *engine*; return its exit code and the document that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", *arguments, "--json", env=engine._environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return process.returncode or 0, json.loads(said)


async def test_a_running_engine_anchors_its_log_and_is_verified_beside_its_work(engine: RunningEngine) -> None:
    async with looking_at(engine) as onlooker:
        (await onlooker.api.post("/api/auth/register", json=CREDENTIALS)).raise_for_status()
        nats = await connect(engine.runtime.nats_url)
        try:

            async def anchored() -> bool:
                status = await request(nats, "khata.status.relay")
                return status["anchoring"]["state"] == "anchoring" and status["anchoring"]["sequence"] > 0

            await eventually(anchored, within_s=20)
        finally:
            await nats.close()

    code, verdict = await khata(engine, "verify")
    assert (code, verdict["findings"], verdict["intact"]) == (0, [], True)
    assert verdict["anchored_to"] > 0
    assert await khata(engine, "archive") == (0, {"archived": [], "waiting": []})

    with psycopg.connect(engine.runtime.database.admin, autocommit=True) as admin:
        (payload,) = admin.execute("SELECT payload FROM log.events WHERE sequence = 1").fetchone() or (b"",)
        admin.execute("UPDATE log.events SET payload = payload || ' ' WHERE sequence = 1")
        try:
            code, verdict = await khata(engine, "verify")
        finally:
            admin.execute("UPDATE log.events SET payload = %s WHERE sequence = 1", (payload,))
    assert (code, verdict["intact"]) == (1, False)
    assert verdict["first_finding"]["first_sequence"] == verdict["first_finding"]["last_sequence"] == 1
