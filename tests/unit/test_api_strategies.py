"""Strategies and backtests over HTTP: kept, served, changed and put away, and never run."""

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from commands.ports import Append, NewEvent, StreamAppend
from domain.events import encode, name_of
from domain.ids import StrategyId, UserId
from tests.support.api import ApiWorld
from tests.support.people import Person, registered
from tests.support.specimens import BACKTEST, backtest_completed, backtest_requested

CODE = "def on_bar(bar):\n    return None\n"
OTHER_CODE = "def on_bar(bar):\n    return bar\n"
DRAFT = {"name": "Opening range", "description": "Buys the break.", "code": CODE, "parameters": {"minutes": 15}}


async def drafted(**changed: Any) -> tuple[Person, str]:
    """Return somebody and the path of their strategy."""
    asha = await registered(ApiWorld())
    made = await asha.done("POST", "/api/strategies", {**DRAFT, **changed})
    return asha, f"/api/strategies/{made['strategy_id']}"


async def test_a_strategy_is_kept_under_the_hash_of_its_code_and_served() -> None:
    asha, path = await drafted()
    shown = await asha.get(path)
    assert shown["code"] == CODE
    strategy = shown["strategy"]
    assert strategy["source_hash"] == shown["source_hash"] == sha256(CODE.encode()).hexdigest()
    assert {name: strategy[name] for name in ("name", "description", "parameters", "status", "revision")} == {
        "name": "Opening range",
        "description": "Buys the break.",
        "parameters": {"minutes": 15},
        "status": "draft",
        "revision": 1,
    }
    assert strategy["user_id"] == asha.user_id


async def test_the_log_names_a_code_and_does_not_hold_it() -> None:
    asha, _ = await drafted()
    log = b"".join(event.payload for event in await asha.world.log.read_all(after_sequence=0))
    assert sha256(CODE.encode()).hexdigest().encode() in log
    assert b"on_bar" not in log


async def test_another_code_is_another_revision_and_the_one_before_stays() -> None:
    asha, path = await drafted()
    version = (await asha.get(path))["strategy"]["version"]
    await asha.done("PUT", path, {**DRAFT, "code": OTHER_CODE, "expected_version": version})
    shown = await asha.get(path)
    assert (shown["code"], shown["strategy"]["revision"], shown["strategy"]["status"]) == (OTHER_CODE, 2, "draft")
    before = await asha.get(f"{path}?source_hash={sha256(CODE.encode()).hexdigest()}")
    assert before["code"] == CODE


async def test_another_name_is_no_other_revision() -> None:
    asha, path = await drafted()
    strategy = (await asha.get(path))["strategy"]
    await asha.done("PUT", path, {**DRAFT, "name": "Range", "expected_version": strategy["version"]})
    changed = (await asha.get(path))["strategy"]
    assert (changed["name"], changed["description"]) == ("Range", "Buys the break.")
    assert (changed["revision"], changed["version"]) == (1, strategy["version"] + 1)


async def test_a_change_of_what_somebody_changed_meanwhile_is_refused() -> None:
    asha, path = await drafted()
    version = (await asha.get(path))["strategy"]["version"]
    change = {**DRAFT, "code": OTHER_CODE, "expected_version": version}
    await asha.done("PUT", path, change)
    assert await asha.refused("PUT", path, change) == (409, "STRATEGY_VERSION_MISMATCH")
    assert await asha.refused("DELETE", f"{path}?expected_version={version}") == (409, "STRATEGY_VERSION_MISMATCH")


async def test_a_change_that_is_sent_again_under_its_key_is_answered_alike() -> None:
    asha, path = await drafted()
    version = (await asha.get(path))["strategy"]["version"]
    change = {**DRAFT, "code": OTHER_CODE, "expected_version": version}
    first, again = [await asha.ask("PUT", path, change, key="one") for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replay"] == "true"


async def test_a_strategy_that_is_drafted_twice_under_one_key_is_one() -> None:
    asha = await registered(ApiWorld())
    first, again = [await asha.ask("POST", "/api/strategies", DRAFT, key="one") for _ in range(2)]
    assert first.json() == again.json()
    assert len((await asha.get("/api/strategies"))["strategies"]) == 1


async def test_one_that_is_put_away_is_still_shown_and_never_changed() -> None:
    asha, path = await drafted()
    for _ in range(2):
        await asha.done("DELETE", path)
    strategy = (await asha.get(path))["strategy"]
    assert strategy["status"] == "archived"
    change = {**DRAFT, "code": OTHER_CODE, "expected_version": strategy["version"]}
    assert await asha.refused("PUT", path, change) == (409, "STRATEGY_ARCHIVED")


async def test_a_list_comes_by_name_and_oldest_first_in_pages() -> None:
    asha, _ = await drafted()
    for name in ("opening RANGE", "breakout"):
        await asha.done("POST", "/api/strategies", {**DRAFT, "name": name})
    for sort, expected in (
        ("name", ["breakout", "Opening range", "opening RANGE"]),
        ("oldest", ["Opening range", "opening RANGE", "breakout"]),
    ):
        shown, follow = [], ""
        for _ in expected:
            page = await asha.get(f"/api/strategies?sort={sort}&limit=1{follow}")
            shown += [each["name"] for each in page["strategies"]]
            assert page["next_before"] is None
            follow = f"&after={page['next_after']}"
            if sort == "name":
                follow += f"&after_name={page['next_after_name']}"
        assert shown == expected
        assert (page["next_after"], page["next_after_name"]) == (None, None)
    assert await asha.refused("GET", "/api/strategies?sort=size") == (422, "SORT_INVALID")
    assert await asha.refused("GET", "/api/strategies?sort=name&after_name=a%00") == (422, "AFTER_NAME_INVALID")


async def test_a_list_comes_in_pages_and_by_status() -> None:
    asha, path = await drafted()
    for name in ("Second", "Third"):
        await asha.done("POST", "/api/strategies", {**DRAFT, "name": name})
    await asha.done("DELETE", path)
    first = await asha.get("/api/strategies?limit=2")
    rest = await asha.get(f"/api/strategies?limit=2&before={first['next_before']}")
    assert [each["name"] for each in first["strategies"] + rest["strategies"]] == ["Third", "Second", "Opening range"]
    assert rest["next_before"] is None
    archived = (await asha.get("/api/strategies?status=archived"))["strategies"]
    assert [each["name"] for each in archived] == ["Opening range"]


async def test_a_code_of_the_largest_size_is_taken_and_one_beyond_is_not() -> None:
    largest = "#\n" * (64 * 1024)
    asha, path = await drafted(code=largest)
    assert (await asha.get(path))["code"] == largest
    assert await asha.refused("POST", "/api/strategies", {**DRAFT, "code": largest + "#"}) == (422, "CODE_INVALID")
    wide = "# " + "र" * (64 * 1024)
    assert await asha.refused("POST", "/api/strategies", {**DRAFT, "code": wide}) == (422, "SOURCE_INVALID")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code": ""}, "SOURCE_INVALID"),
        ({"code": " \n"}, "SOURCE_INVALID"),
        ({"code": "a = 1\x00"}, "SOURCE_INVALID"),
        ({"name": " "}, "STRATEGY_INVALID"),
        ({"name": "a\nb"}, "STRATEGY_INVALID"),
        ({"description": "x" * 2_001}, "STRATEGY_INVALID"),
        ({"parameters": {"not a name": 1}}, "STRATEGY_INVALID"),
        ({"parameters": {"share": 0.5}}, "PARAMETERS_INVALID"),
        ({"status": "live"}, "FIELD_UNKNOWN"),
    ],
)
async def test_what_no_strategy_can_be_is_refused(changed: dict[str, Any], code: str) -> None:
    asha = await registered(ApiWorld())
    before = await asha.world.stored()
    assert await asha.refused("POST", "/api/strategies", {**DRAFT, **changed}) == (422, code)
    assert await asha.world.stored() == before


async def test_who_may_not_change_a_strategy_leaves_no_code_behind() -> None:
    asha, path = await drafted()
    ravi = await registered(asha.world, "ravi")
    change = {**DRAFT, "code": OTHER_CODE, "expected_version": 2}
    assert await ravi.refused("PUT", path, change) == (404, "STRATEGY_NOT_FOUND")
    assert set(asha.world.sources.sources) == {(UserId(asha.user_id), sha256(CODE.encode()).hexdigest())}


async def test_backtests_are_shown_to_their_owner_with_money_as_text() -> None:
    asha, path = await drafted()
    requested = replace(
        backtest_requested, user_id=UserId(asha.user_id), strategy_id=StrategyId(path.rpartition("/")[2])
    )
    completed = replace(backtest_completed, user_id=UserId(asha.user_id))
    stored = tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in (requested, completed))
    part = StreamAppend(stream_id=f"backtest-{BACKTEST}", expected_version=0, events=stored)
    await asha.world.store.append(Append(command_id="cmd_backtest", streams=(part,), metadata=b"{}"))
    [listed] = (await asha.get(f"/api/backtests?strategy_id={requested.strategy_id}"))["backtests"]
    shown = (await asha.get(f"/api/backtests/{BACKTEST}"))["backtest"]
    assert listed == shown
    assert (shown["status"], shown["capital"], shown["figures"]["result"]) == ("completed", "1000000.00", "52310.00")
    assert (await asha.get("/api/backtests?strategy_id=str_other"))["backtests"] == []
    ravi = await registered(asha.world, "ravi")
    assert await ravi.refused("GET", f"/api/backtests/{BACKTEST}") == (404, "BACKTEST_NOT_FOUND")
