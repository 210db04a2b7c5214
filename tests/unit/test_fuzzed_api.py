"""Whatever is asked of the API in memory is answered as its OpenAPI document says."""

import asyncio

import httpx
import pytest

from tests.support.api import ApiWorld
from tests.support.fuzzing import Operation, cases_each, fuzz, operations_of, sent

FEW = 6
OPERATIONS = operations_of(ApiWorld().app.openapi())
ORDER = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800.00"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=[each.label for each in OPERATIONS])
def test_whatever_is_asked_has_a_declared_answer(operation: Operation) -> None:
    with asyncio.Runner() as runner:
        world = ApiWorld()
        people = [runner.run(world.log_in(f"{name}@example.in")) for name in ("asha", "bala")]
        placed = runner.run(
            world.client.post("/api/trades", json=ORDER, headers=people[0] | {"Idempotency-Key": "before"})
        )
        there = {
            "trade_id": placed.json()["trade_id"],
            "order_id": placed.json()["order_id"],
            "difference_id": "acc_1.d1",
            "position_id": "NSE_EQ-2885-INTRADAY",
            "kind": "day_loss",
        }

        def ask(request: httpx.Request) -> httpx.Response:
            world.clock.advance_s(1)  # Nobody here is asked more than once a second.
            return runner.run(sent(world.client, request))

        fuzz(operation, cases=cases_each(OPERATIONS, few=FEW), people=[*people, {}], there=there, ask=ask)
        runner.run(world.client.aclose())
