"""An operator's word over HTTP: what is asked, what is answered, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.account.commands import PresumeAbsent
from domain.account.events import OrderCancelRequested, OrderResolution, OrderResolved, TradeClosed
from domain.events import decode
from domain.ids import OrderId, VenueOrderId
from tests.support.api import ApiWorld
from tests.support.lost_orders import PLAIN, lost, record
from tests.support.people import Person, registered

REASON = "the broker's app does not show it"
ABSENT = {"resolution": "absent", "reason": REASON}
THERE = {"resolution": "at_broker", "venue_order_id": "112111182198", "reason": "the broker's app shows it"}


@pytest.fixture
async def asha() -> AsyncIterator[Person]:
    person = await registered(ApiWorld())
    yield person
    await person.world.client.aclose()


def path_of(order_id: str) -> str:
    return f"/api/orders/{order_id}/resolve"


async def test_an_order_that_is_absent_ends_with_its_trade(asha: Person) -> None:
    order_id = await lost(asha)
    answer = await asha.done("POST", path_of(order_id), ABSENT)
    assert answer == {
        "order_id": order_id,
        "trade_id": order_id.partition(".")[0],
        "resolution": "absent",
        "venue_order_id": None,
        "status": "absent",
        "closing": [],
        "canceling": [order_id],
        "order_ids": [],
        "sequence": await asha.world.stored(),
    }
    events = [decode(event.name, event.payload) for event in asha.world.store.events[-3:]]
    assert [type(event) for event in events] == [OrderCancelRequested, OrderResolved, TradeClosed]
    resolved = events[1]
    assert isinstance(resolved, OrderResolved)
    assert (resolved.user_id, resolved.reason, resolved.resolution) == (asha.user_id, REASON, OrderResolution.ABSENT)
    (shown,) = (await asha.get("/api/orders?status=absent"))["orders"]
    assert (shown["order_id"], shown["remark"], shown["leaves_quantity"]) == (order_id, REASON, 0)
    trade = await asha.get(f"/api/trades/{order_id.partition('.')[0]}")
    assert (trade["trade"]["status"], trade["trade"]["entry_status"]) == ("closed", "absent")


async def test_an_order_that_the_broker_has_is_acknowledged_under_its_id(asha: Person) -> None:
    order_id = await lost(asha)
    await record(asha, PresumeAbsent(order_id=OrderId(order_id), lookups=6))
    answer = await asha.done("POST", path_of(order_id), THERE)
    assert (answer["status"], answer["venue_order_id"]) == ("acknowledged", "112111182198")
    assert (answer["canceling"], answer["closing"], answer["order_ids"]) == ([], [], [])
    (shown,) = (await asha.get("/api/orders"))["orders"]
    assert (shown["status"], shown["venue_order_id"]) == ("acknowledged", "112111182198")


async def test_the_same_key_gets_the_first_answer_and_nothing_is_done_twice(asha: Person) -> None:
    order_id = await lost(asha)
    first = await asha.ask("POST", path_of(order_id), ABSENT, key="one")
    stored = await asha.world.stored()
    again = await asha.ask("POST", path_of(order_id), ABSENT, key="one")
    assert (again.status_code, again.json()) == (200, first.json())
    assert await asha.world.stored() == stored
    other = await asha.ask("POST", path_of(order_id), THERE, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_what_is_known_is_not_resolved(asha: Person) -> None:
    order_id = await lost(asha)
    await asha.done("POST", path_of(order_id), ABSENT)
    for body in (ABSENT, THERE):
        assert await asha.refused("POST", path_of(order_id), body) == (409, "ORDER_NOT_IN_DOUBT")
    fresh = (await asha.done("POST", "/api/trades", PLAIN))["order_id"]
    assert await asha.refused("POST", path_of(fresh), ABSENT) == (409, "ORDER_NOT_IN_DOUBT")


async def test_an_id_that_another_order_has_is_refused(asha: Person) -> None:
    await asha.done("POST", path_of(await lost(asha)), THERE)
    other = await lost(asha)
    assert await asha.refused("POST", path_of(other), THERE) == (409, "VENUE_ORDER_TAKEN")
    there = await asha.done("POST", path_of(other), THERE | {"venue_order_id": "112111182199"})
    assert there["venue_order_id"] == VenueOrderId("112111182199")


async def test_an_order_of_nobody_is_not_found(asha: Person) -> None:
    for name in ("trd_1.1", "trd_1", "%20", "ü.1", "trd_1.1.1", f"{'x' * 65}.1", f"trd_1.{'1' * 7}"):
        assert await asha.refused("POST", path_of(name), ABSENT) == (404, "ORDER_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"reason": "x"}, "FIELD_MISSING", "resolution"),
        ({"resolution": "absent"}, "FIELD_MISSING", "reason"),
        (ABSENT | {"resolution": "filled"}, "RESOLUTION_INVALID", "resolution"),
        (ABSENT | {"reason": ""}, "REASON_INVALID", "reason"),
        (ABSENT | {"reason": "x" * 501}, "REASON_INVALID", "reason"),
        (ABSENT | {"venue_order_id": "1"}, "VENUE_ORDER_ID_INVALID", "venue_order_id"),
        (THERE | {"venue_order_id": None}, "FIELD_MISSING", "venue_order_id"),
        (THERE | {"venue_order_id": ""}, "VENUE_ORDER_ID_INVALID", "venue_order_id"),
        (THERE | {"venue_order_id": "1 2"}, "VENUE_ORDER_ID_INVALID", "venue_order_id"),
        (THERE | {"venue_order_id": "1\n"}, "VENUE_ORDER_ID_INVALID", "venue_order_id"),
        (THERE | {"venue_order_id": "1" * 65}, "VENUE_ORDER_ID_INVALID", "venue_order_id"),
        (ABSENT | {"note": "x"}, "FIELD_UNKNOWN", "note"),
    ],
)
async def test_a_word_that_says_nothing_is_refused(asha: Person, body: dict[str, Any], code: str, field: str) -> None:
    order_id = await lost(asha)
    stored = await asha.world.stored()
    answer = await asha.ask("POST", path_of(order_id), body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)
    assert await asha.world.stored() == stored


async def test_a_word_needs_a_key(asha: Person) -> None:
    order_id = await lost(asha)
    answer = await asha.world.client.post(path_of(order_id), json=ABSENT, headers=asha.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert (await asha.done("POST", path_of(order_id), ABSENT | {"reason": "x" * 500}))["status"] == "absent"
