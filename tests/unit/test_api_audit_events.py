"""What happened, as everybody may see it of themselves and of their accounts."""

import msgspec

from domain.envelope import GENESIS_HASH
from domain.market import trading_day
from tests.support.api import PASSWORD, ApiWorld
from tests.support.people import Person, registered

TRADE = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}


async def names(person: Person, query: str = "") -> list[str]:
    return [event["name"] for event in (await person.get(f"/api/audit/events{query}"))["events"]]


async def test_everybody_sees_what_happened_to_them_and_in_their_accounts_and_nothing_else() -> None:
    world = ApiWorld()
    asha, ravi = await registered(world), await registered(world, "ravi")
    await asha.done("POST", "/api/trades", TRADE)
    await asha.done("POST", "/api/strategies", {"name": "Range", "code": "pass"})
    assert await names(ravi) == ["account.opened.v1", "user.registered.v1"]
    assert await names(asha) == [
        "strategy.drafted.v1",
        "order.intended.v1",
        "trade.opened.v1",
        "account.opened.v1",
        "user.registered.v1",
    ]


async def test_a_member_sees_what_happened_in_the_account_and_not_to_its_owner() -> None:
    world = ApiWorld()
    asha, ravi = await registered(world), await registered(world, "ravi")
    await asha.done("PUT", f"/api/accounts/{asha.account_id}/members/{ravi.user_id}", {"role": "viewer"})
    seen = await names(ravi, f"?account_id={asha.account_id}")
    assert seen == ["account.member_set.v1", "account.opened.v1"]
    assert (await names(ravi)).count("user.registered.v1") == 1
    await asha.done("DELETE", f"/api/accounts/{asha.account_id}/members/{ravi.user_id}")
    assert await ravi.refused("GET", f"/api/audit/events?account_id={asha.account_id}") == (404, "ACCOUNT_NOT_FOUND")
    assert await names(ravi) == ["account.opened.v1", "user.registered.v1"]


async def test_events_are_found_by_type_stream_sequence_and_day() -> None:
    asha = await registered(ApiWorld())
    opened = await asha.done("POST", "/api/trades", TRADE)
    assert await names(asha, "?type=trade.opened.v1") == ["trade.opened.v1"]
    assert await names(asha, f"?stream=user-{asha.user_id}") == ["user.registered.v1"]
    assert await names(asha, f"?first_sequence={opened['sequence']}") == ["order.intended.v1"]
    assert await names(asha, "?last_sequence=1") == ["user.registered.v1"]
    [event] = (await asha.get("/api/audit/events?last_sequence=1"))["events"]
    day = event["recorded_at"][:10]
    assert len(await names(asha, f"?day={day}")) == 4
    assert await names(asha, "?day=2001-01-01") == []
    assert await asha.refused("GET", "/api/audit/events?day=2026-02-30") == (422, "DAY_INVALID")
    assert await asha.refused("GET", "/api/audit/events?day=yesterday") == (422, "DAY_INVALID")
    assert day == trading_day((await asha.world.log.read_all(after_sequence=0))[0].recorded_at_us * 1_000).isoformat()


async def test_pages_repeat_and_miss_nothing() -> None:
    asha = await registered(ApiWorld())
    await asha.done("POST", "/api/trades", TRADE)
    seen, before = [], ""
    while True:
        page = await asha.get(f"/api/audit/events?limit=1{before}")
        seen += [event["sequence"] for event in page["events"]]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == [4, 3, 2, 1]
    first = await asha.get("/api/audit/events?sort=oldest&limit=3")
    rest = await asha.get(f"/api/audit/events?sort=oldest&limit=3&after={first['next_after']}")
    assert [event["sequence"] for event in first["events"] + rest["events"]] == [1, 2, 3, 4]
    assert (first["next_before"], rest["next_after"]) == (None, None)


async def test_one_event_has_its_hash_and_the_hash_that_it_follows() -> None:
    asha = await registered(ApiWorld())
    recorded = await asha.world.log.read_all(after_sequence=0)
    first, second = [await asha.get(f"/api/audit/events/{sequence}") for sequence in (1, 2)]
    assert first["previous_hash"] == GENESIS_HASH.hex()
    assert second["previous_hash"] == first["hash"] == recorded[0].hash.hex()
    assert second["payload"]["account_id"] == asha.account_id
    assert second["event"]["actor"] == asha.user_id


async def test_what_is_sealed_is_not_shown_even_sealed() -> None:
    asha = await registered(ApiWorld())
    dhan = {"client_id": "1000000009", "access_token": "token-of-dhan"}
    await asha.done("PUT", "/api/auth/profile", {"dhan": dhan, "present_password": PASSWORD})
    shown = [await asha.get(f"/api/audit/events/{sequence}") for sequence in range(1, 6)]
    assert shown[0]["payload"]["email"] == "sealed"
    text = msgspec.json.encode(shown).decode()
    assert "ciphertext" not in text
    assert "token-of-dhan" not in text
    assert {each["event"]["name"] for each in shown} >= {"user.account_added.v1", "user.broker_linked.v1"}


async def test_an_event_that_concerns_somebody_else_is_not_there() -> None:
    world = ApiWorld()
    asha, ravi = await registered(world), await registered(world, "ravi")
    for sequence in (1, 2, 99):
        assert await ravi.refused("GET", f"/api/audit/events/{sequence}") == (404, "AUDIT_EVENT_NOT_FOUND")
    assert (await asha.get("/api/audit/events/1"))["event"]["name"] == "user.registered.v1"
