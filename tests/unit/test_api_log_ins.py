"""Staying logged in over HTTP: refresh tokens, each good once, and everything that ends them."""

from tests.support.api import PASSWORD, ApiWorld
from tests.support.people import Person, registered

NEW_PASSWORD = "first rain on hot stone"


async def refreshed(person: Person, token: str) -> tuple[int, dict[str, str]]:
    answer = await person.world.client.post("/api/auth/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json()


async def test_a_refresh_token_is_exchanged_for_an_access_token_and_the_next_one() -> None:
    asha = await registered(ApiWorld())
    status, tokens = await refreshed(asha, asha.refresh_token)
    assert (status, tokens["token_type"], tokens["expires_in"]) == (200, "Bearer", 600)
    assert tokens["refresh_token"] != asha.refresh_token
    asha.access_token = tokens["access_token"]
    assert (await asha.get("/api/auth/profile"))["user_id"] == asha.user_id
    assert (await refreshed(asha, tokens["refresh_token"]))[0] == 200


async def test_no_refresh_token_is_kept_as_it_is() -> None:
    asha = await registered(ApiWorld())
    [family] = asha.world.refresh_tokens.families.values()
    assert [len(token_hash) for token_hash in family.tokens] == [32]
    assert asha.refresh_token.encode() not in family.tokens


async def test_an_answer_that_was_lost_is_given_again_for_ten_seconds() -> None:
    asha = await registered(ApiWorld())
    _, first = await refreshed(asha, asha.refresh_token)
    asha.world.clock.advance_s(10)
    status, again = await refreshed(asha, asha.refresh_token)
    assert (status, again["refresh_token"]) == (200, first["refresh_token"])


async def test_a_token_that_comes_again_later_ends_its_log_in() -> None:
    asha = await registered(ApiWorld())
    _, first = await refreshed(asha, asha.refresh_token)
    asha.world.clock.advance_s(11)
    status, problem = await refreshed(asha, asha.refresh_token)
    assert (status, problem["code"]) == (401, "REFRESH_TOKEN_REUSED")
    status, problem = await refreshed(asha, first["refresh_token"])
    assert (status, problem["code"]) == (401, "REFRESH_TOKEN_INVALID")


async def test_a_token_whose_successor_was_used_ends_its_log_in_at_once() -> None:
    asha = await registered(ApiWorld())
    _, first = await refreshed(asha, asha.refresh_token)
    _, second = await refreshed(asha, first["refresh_token"])
    status, problem = await refreshed(asha, asha.refresh_token)
    assert (status, problem["code"]) == (401, "REFRESH_TOKEN_REUSED")
    assert (await refreshed(asha, second["refresh_token"]))[0] == 401


async def test_a_reuse_is_in_the_audit_book_with_whose_token_it_was() -> None:
    asha = await registered(ApiWorld())
    _, first = await refreshed(asha, asha.refresh_token)
    await refreshed(asha, first["refresh_token"])
    await refreshed(asha, asha.refresh_token)
    await asha.world.services.audit.flush()
    entry = asha.world.audit_store.entries[-1]
    assert (entry.code, entry.actor) == ("REFRESH_TOKEN_REUSED", asha.user_id)


async def test_a_reuse_ends_no_other_log_in_of_the_user() -> None:
    asha = await registered(ApiWorld())
    login = {"email": asha.email, "password": PASSWORD}
    elsewhere = (await asha.world.client.post("/api/auth/login", json=login)).json()
    _, first = await refreshed(asha, asha.refresh_token)
    await refreshed(asha, first["refresh_token"])
    assert (await refreshed(asha, asha.refresh_token))[0] == 401
    assert (await refreshed(asha, elsewhere["refresh_token"]))[0] == 200


async def test_who_stays_away_for_a_week_logs_in_again() -> None:
    asha = await registered(ApiWorld())
    asha.world.clock.advance_s(7 * 24 * 3600 - 1)
    status, tokens = await refreshed(asha, asha.refresh_token)
    assert status == 200
    asha.world.clock.advance_s(7 * 24 * 3600)
    status, problem = await refreshed(asha, tokens["refresh_token"])
    assert (status, problem["code"]) == (401, "REFRESH_TOKEN_INVALID")


async def test_everybody_logs_in_again_after_a_month() -> None:
    asha = await registered(ApiWorld())
    token = asha.refresh_token
    for _ in range(5):
        asha.world.clock.advance_s(6 * 24 * 3600 - 1)
        status, tokens = await refreshed(asha, token)
        assert status == 200
        token = tokens["refresh_token"]
    asha.world.clock.advance_s(5)
    assert (await refreshed(asha, token))[0] == 401


async def test_logging_out_ends_the_log_in_and_twice_is_as_once() -> None:
    asha = await registered(ApiWorld())
    for _ in range(2):
        answer = await asha.world.client.post("/api/auth/logout", json={"refresh_token": asha.refresh_token})
        assert (answer.status_code, answer.json()) == (200, {"ended": True})
    assert (await refreshed(asha, asha.refresh_token))[0] == 401


async def test_a_text_that_is_no_token_of_ours_logs_nobody_in() -> None:
    asha = await registered(ApiWorld())
    for text in ("", "khr_", "khr_" + "A" * 43, "रिफ्रेश"):
        status, problem = await refreshed(asha, text)
        assert (status, problem["code"]) == (401, "REFRESH_TOKEN_INVALID")
    lone = b'{"refresh_token": "\\ud800"}'
    answer = await asha.world.client.post("/api/auth/refresh", content=lone)
    assert answer.status_code in {400, 401, 422}


async def test_a_new_password_takes_the_present_one_and_ends_every_log_in() -> None:
    asha = await registered(ApiWorld())
    body = {"new_password": NEW_PASSWORD, "present_password": PASSWORD}
    answer = await asha.done("PUT", "/api/auth/profile", body)
    assert answer["log_ins_ended"] is True
    assert (await refreshed(asha, asha.refresh_token))[0] == 401
    for password, status in ((PASSWORD, 401), (NEW_PASSWORD, 200)):
        login = {"email": asha.email, "password": password}
        assert (await asha.world.client.post("/api/auth/login", json=login)).status_code == status


async def test_a_new_password_without_the_present_one_changes_nothing() -> None:
    asha = await registered(ApiWorld())
    before = await asha.world.stored()
    for body, refused in (
        ({"new_password": NEW_PASSWORD}, (422, "FIELD_MISSING")),
        ({"new_password": NEW_PASSWORD, "present_password": "another long one"}, (403, "PASSWORD_WRONG")),
        ({"new_password": "short", "present_password": PASSWORD}, (422, "PASSWORD_INVALID")),
        ({"new_password": "ASHA@example.in", "present_password": PASSWORD}, (422, "PASSWORD_INVALID")),
    ):
        assert await asha.refused("PUT", "/api/auth/profile", body) == refused
    assert await asha.world.stored() == before
    assert (await refreshed(asha, asha.refresh_token))[0] == 200


async def test_the_present_password_cannot_be_guessed_for_ever() -> None:
    asha = await registered(ApiWorld())
    body = {"new_password": NEW_PASSWORD, "present_password": "another long one"}
    for _ in range(10):
        assert (await asha.refused("PUT", "/api/auth/profile", body))[0] == 403
    body["present_password"] = PASSWORD
    assert await asha.refused("PUT", "/api/auth/profile", body) == (429, "RATE_LIMITED")
