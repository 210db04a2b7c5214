"""Accounts and their members over HTTP, and the link to the broker."""

import asyncio

import msgspec

from adapters.security.broker_credentials import CredentialsOpener
from commands.ports import AppendOutcomeUnknown
from domain.ids import AccountId
from tests.support.api import PASSWORD, ApiWorld
from tests.support.people import Person, registered

TRADE = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
TOKEN = "eyJ0b2tlbiI.of-dhan.0123456789"


def link(client_id: str = "1000000009", token: str = TOKEN) -> dict[str, object]:
    return {"dhan": {"client_id": client_id, "access_token": token}, "present_password": PASSWORD}


async def shared(role: str) -> tuple[Person, Person]:
    """Return an owner, and somebody who is a member of the owner's account as *role*."""
    world = ApiWorld()
    asha, ravi = await registered(world), await registered(world, "ravi")
    await asha.done("PUT", f"/api/accounts/{asha.account_id}/members/{ravi.user_id}", {"role": role})
    return asha, ravi


# --- Accounts ---------------------------------------------------------------------------------------------------------


async def test_who_registers_has_one_paper_account_and_owns_it() -> None:
    asha = await registered(ApiWorld())
    [account] = (await asha.get("/api/accounts"))["accounts"]
    assert account["account_id"] == asha.account_id
    assert (account["mode"], account["role"], account["gate"]) == ("paper", "owner", "open")
    assert account["is_default"] is True


async def test_another_paper_account_has_books_of_its_own() -> None:
    asha = await registered(ApiWorld())
    made = await asha.done("POST", "/api/accounts")
    await asha.done("POST", f"/api/trades?account_id={made['account_id']}", TRADE)
    assert (await asha.get("/api/trades"))["trades"] == []
    assert len((await asha.get(f"/api/trades?account_id={made['account_id']}"))["trades"]) == 1
    shown = (await asha.get("/api/accounts"))["accounts"]
    assert [(each["account_id"], each["is_default"]) for each in shown] == [
        (asha.account_id, True),
        (made["account_id"], False),
    ]


async def test_an_account_that_is_asked_for_twice_under_one_key_is_one() -> None:
    asha = await registered(ApiWorld())
    first, again = [await asha.ask("POST", "/api/accounts", key="one") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert len((await asha.get("/api/accounts"))["accounts"]) == 2


async def test_a_live_account_is_made_by_nothing_but_a_link() -> None:
    asha = await registered(ApiWorld())
    assert await asha.refused("POST", "/api/accounts", {"mode": "live"}) == (422, "MODE_INVALID")


async def test_accounts_without_end_are_refused() -> None:
    asha = await registered(ApiWorld())
    for _ in range(19):
        await asha.done("POST", "/api/accounts")
    assert await asha.refused("POST", "/api/accounts") == (409, "ACCOUNTS_TOO_MANY")


# --- Members ----------------------------------------------------------------------------------------------------------


async def test_a_trader_trades_in_the_account_and_the_trade_says_who_asked() -> None:
    asha, ravi = await shared("trader")
    await ravi.done("POST", f"/api/trades?account_id={asha.account_id}", TRADE)
    assert len((await asha.get("/api/trades"))["trades"]) == 1
    assert (await ravi.get("/api/trades"))["trades"] == []
    [opened] = (await asha.get("/api/audit/events?type=trade.opened.v1"))["events"]
    assert opened["actor"] == ravi.user_id


async def test_keys_of_two_members_name_two_requests() -> None:
    asha, ravi = await shared("trader")
    path = f"/api/trades?account_id={asha.account_id}"
    await asha.world.client.post(path, json=TRADE, headers={**asha.headers, "Idempotency-Key": "mine"})
    answer = await ravi.ask("POST", path, TRADE, key="mine")
    assert answer.status_code == 201, answer.text
    assert "Idempotent-Replay" not in answer.headers
    assert len((await asha.get("/api/trades"))["trades"]) == 2


async def test_a_viewer_sees_everything_and_moves_nothing() -> None:
    asha, ravi = await shared("viewer")
    await asha.done("POST", "/api/trades", TRADE)
    named = f"account_id={asha.account_id}"
    assert len((await ravi.get(f"/api/trades?{named}"))["trades"]) == 1
    assert await ravi.refused("POST", f"/api/trades?{named}", TRADE) == (403, "ROLE_INSUFFICIENT")
    cash = {"amount": "-1000.00", "reason": "mine"}
    assert await ravi.refused("POST", f"/api/funds/movements?{named}", cash) == (403, "ROLE_INSUFFICIENT")


async def test_a_trader_stops_trading_and_only_an_owner_lets_it_go_on() -> None:
    asha, ravi = await shared("trader")
    named = f"account_id={asha.account_id}"
    await ravi.done("POST", f"/api/risk/kill-switch?{named}", {"reason": "the feed is odd"})
    assert await ravi.refused("DELETE", f"/api/risk/kill-switch?{named}") == (403, "ROLE_INSUFFICIENT")
    assert (await asha.done("DELETE", "/api/risk/kill-switch"))["engaged"] is False


async def test_a_switch_for_everything_reaches_every_account_that_one_opened() -> None:
    asha, ravi = await shared("trader")
    second = await ravi.done("POST", "/api/accounts")
    switched = await ravi.done("POST", "/api/risk/kill-switch", {"reason": "enough", "scope": "everything"})
    assert {each["account_id"] for each in switched["accounts"]} == {ravi.account_id, second["account_id"]}
    assert (await asha.get("/api/accounts"))["accounts"][0]["kill_switch_engaged"] is False


async def test_a_member_is_shown_given_another_role_and_let_go() -> None:
    asha, ravi = await shared("viewer")
    path = f"/api/accounts/{asha.account_id}"
    await asha.done("PUT", f"{path}/members/{ravi.user_id}", {"role": "trader"})
    members = (await ravi.get(path))["members"]
    assert [(each["user_id"], each["role"], each["is_opener"]) for each in members] == [
        (asha.user_id, "owner", True),
        (ravi.user_id, "trader", False),
    ]
    await asha.done("DELETE", f"{path}/members/{ravi.user_id}")
    assert await ravi.refused("GET", path) == (404, "ACCOUNT_NOT_FOUND")
    assert [each["account_id"] for each in (await ravi.get("/api/accounts"))["accounts"]] == [ravi.account_id]


async def test_everybody_may_leave_but_who_opened_the_account() -> None:
    asha, ravi = await shared("viewer")
    path = f"/api/accounts/{asha.account_id}/members"
    await ravi.done("DELETE", f"{path}/{ravi.user_id}")
    for method, body in (("DELETE", None), ("PUT", {"role": "viewer"})):
        assert await asha.refused(method, f"{path}/{asha.user_id}", body) == (409, "OPENER_STAYS_OWNER")


async def test_only_who_is_registered_becomes_a_member() -> None:
    asha = await registered(ApiWorld())
    for nobody in ("usr_01J00000000000000000000000", "no one"):
        path = f"/api/accounts/{asha.account_id}/members/{nobody}"
        assert await asha.refused("PUT", path, {"role": "viewer"}) == (404, "USER_NOT_FOUND")
        assert await asha.refused("DELETE", path) == (404, "MEMBER_NOT_FOUND")


async def test_a_member_who_is_an_owner_says_who_the_members_are() -> None:
    asha, ravi = await shared("owner")
    mira = await registered(asha.world, "mira")
    path = f"/api/accounts/{asha.account_id}/members/{mira.user_id}"
    await ravi.done("PUT", path, {"role": "viewer"})
    assert await mira.refused("PUT", path, {"role": "owner"}) == (403, "ROLE_INSUFFICIENT")


# --- The profile and the link to the broker ---------------------------------------------------------------------------


async def test_a_profile_is_changed_in_what_is_named() -> None:
    asha = await registered(ApiWorld())
    before = await asha.get("/api/auth/profile")
    assert (before["risk_profile"], before["dhan_client_id"], before["credentials_set"]) == (None, None, False)
    await asha.done("PUT", "/api/auth/profile", {"name": "Asha R.", "risk_profile": "balanced"})
    await asha.done("PUT", "/api/auth/profile", {"risk_profile": "conservative"})
    after = await asha.get("/api/auth/profile")
    assert (after["name"], after["risk_profile"]) == ("Asha R.", "conservative")
    assert after["email"] == asha.email
    assert after["registered_at"] == before["registered_at"]


async def test_linking_dhan_makes_the_live_account_and_shows_the_client_id_alone() -> None:
    asha = await registered(ApiWorld())
    await asha.done("PUT", "/api/auth/profile", link())
    profile = await asha.get("/api/auth/profile")
    assert (profile["dhan_client_id"], profile["credentials_set"]) == ("1000000009", True)
    live = (await asha.get("/api/accounts"))["accounts"][1]
    assert (live["account_id"], live["mode"], live["gate"]) == (profile["live_account_id"], "live", "shut")
    assert TOKEN not in str(profile)


async def test_credentials_lie_nowhere_in_clear_and_only_the_executor_opens_them() -> None:
    asha = await registered(ApiWorld())
    await asha.done("PUT", "/api/auth/profile", link())
    world = asha.world
    account_id = AccountId((await asha.get("/api/auth/profile"))["live_account_id"])
    log = b"".join(event.payload + event.metadata for event in await world.log.read_all(after_sequence=0))
    kept = [sealed.ciphertext for sealed in world.sealed_rows.rows.values()]
    for secret in (TOKEN.encode(), b"1000000009"):
        assert not [place for place in (log, *kept, *world.user_keys.wrapped.values()) if secret in place]
    opener = CredentialsOpener(private_key=world.executor_key, rows=world.sealed_rows, keys=world.user_keys)
    opened = await opener.open(account_id)
    assert opened is not None
    assert msgspec.json.decode(opened) == {"client_id": "1000000009", "access_token": TOKEN}


async def test_every_order_in_a_live_account_is_denied_and_says_why() -> None:
    asha = await registered(ApiWorld())
    await asha.done("PUT", "/api/auth/profile", link())
    live = (await asha.get("/api/auth/profile"))["live_account_id"]
    assert await asha.refused("POST", f"/api/trades?account_id={live}", TRADE) == (403, "ACCOUNT_GATE_SHUT")


async def test_credentials_are_replaced_in_the_same_account() -> None:
    asha = await registered(ApiWorld())
    world = asha.world
    await asha.done("PUT", "/api/auth/profile", link())
    live = AccountId((await asha.get("/api/auth/profile"))["live_account_id"])
    keys = set(world.user_keys.wrapped)
    await asha.done("PUT", "/api/auth/profile", link(token="another-token"))
    assert (await asha.get("/api/auth/profile"))["live_account_id"] == live
    assert len((await asha.get("/api/accounts"))["accounts"]) == 2
    assert len(set(world.user_keys.wrapped) - keys) == len(keys - set(world.user_keys.wrapped)) == 1
    opener = CredentialsOpener(private_key=world.executor_key, rows=world.sealed_rows, keys=world.user_keys)
    assert b"another-token" in (await opener.open(live) or b"")


async def test_credentials_that_are_removed_are_destroyed_and_may_be_set_again() -> None:
    asha = await registered(ApiWorld())
    await asha.done("PUT", "/api/auth/profile", link())
    live = (await asha.get("/api/auth/profile"))["live_account_id"]
    for _ in range(2):
        await asha.done("PUT", "/api/auth/profile", {"dhan": None})
        profile = await asha.get("/api/auth/profile")
        assert (profile["credentials_set"], profile["live_account_id"]) == (False, live)
        assert asha.world.sealed_rows.rows == {}
        assert [purpose for _, purpose in asha.world.user_keys.wrapped] == ["personal"]
    await asha.done("PUT", "/api/auth/profile", link())
    assert (await asha.get("/api/auth/profile"))["credentials_set"] is True


async def test_linking_takes_the_present_password() -> None:
    asha = await registered(ApiWorld())
    body = link()
    for wrong, refused in ((None, (422, "FIELD_MISSING")), ("another long one", (403, "PASSWORD_WRONG"))):
        assert await asha.refused("PUT", "/api/auth/profile", {**body, "present_password": wrong}) == refused
    assert asha.world.sealed_rows.rows == {}


async def test_one_client_id_belongs_to_one_account() -> None:
    world = ApiWorld()
    asha, ravi = await registered(world), await registered(world, "ravi")
    await asha.done("PUT", "/api/auth/profile", link())
    assert await ravi.refused("PUT", "/api/auth/profile", link()) == (409, "DHAN_CLIENT_TAKEN")
    assert await asha.refused("PUT", "/api/auth/profile", link("1000000010")) == (409, "DHAN_CLIENT_OTHER")
    assert len((await ravi.get("/api/accounts"))["accounts"]) == 1
    assert len(world.sealed_rows.rows) == 1


async def test_of_several_who_link_one_client_id_at_once_one_wins() -> None:
    world = ApiWorld()
    people = [await registered(world, name) for name in ("asha", "ravi", "mira")]
    answers = await asyncio.gather(*(person.ask("PUT", "/api/auth/profile", link()) for person in people))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(world.sealed_rows.rows) == 1
    assert [purpose for _, purpose in world.user_keys.wrapped].count("personal") == 3
    assert len(world.user_keys.wrapped) == 4


async def test_who_links_twice_at_once_has_one_live_account() -> None:
    asha = await registered(ApiWorld())
    answers = await asyncio.gather(*(asha.ask("PUT", "/api/auth/profile", link()) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len((await asha.get("/api/accounts"))["accounts"]) == 2
    assert set(asha.world.sealed_rows.rows) == {(await asha.get("/api/auth/profile"))["live_account_id"]}


async def test_a_link_that_was_stored_although_its_answer_was_lost_is_mended_by_asking_again() -> None:
    asha = await registered(ApiWorld())
    world = asha.world
    world.store.fail_next(AppendOutcomeUnknown(), is_stored=True)
    assert await asha.refused("PUT", "/api/auth/profile", link()) == (503, "OUTCOME_UNKNOWN")
    await asha.done("PUT", "/api/auth/profile", link())
    assert len((await asha.get("/api/accounts"))["accounts"]) == 2
    assert len(world.sealed_rows.rows) == 1


async def test_names_and_tokens_of_another_form_are_refused() -> None:
    asha = await registered(ApiWorld())
    for dhan, code in (
        ({"client_id": "12", "access_token": TOKEN}, "DHAN_INVALID"),
        ({"client_id": "1000000009\n", "access_token": TOKEN}, "DHAN_INVALID"),
        ({"client_id": "1000000009", "access_token": ""}, "DHAN_INVALID"),
        ({"client_id": "1000000009", "access_token": "two words"}, "DHAN_INVALID"),
        ({"client_id": "1000000009"}, "FIELD_MISSING"),
        ({"client_id": "1000000009", "access_token": TOKEN, "pin": "1"}, "FIELD_UNKNOWN"),
    ):
        body = {"dhan": dhan, "present_password": PASSWORD}
        answer = await asha.ask("PUT", "/api/auth/profile", body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert TOKEN not in answer.text
