"""Entity tags: who names the tag of what they have gets it again only if something of it changed."""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import httpx
import pytest

from domain.ids import UserId
from tests.support.api import ApiWorld
from tests.support.people import Person, registered

CODE = "def on_bar(bar):\n    return None\n"
DRAFT = {"name": "Opening range", "code": CODE}
INTENT = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
LIMITS = "/api/risk/parameters"
RELIANCE = "/api/instruments/NSE_EQ/2885"


async def of_strategy(asha: Person) -> str:
    return f"/api/strategies/{(await asha.done('POST', '/api/strategies', DRAFT))['strategy_id']}"


async def of_trade(asha: Person) -> str:
    return f"/api/trades/{(await asha.done('POST', '/api/trades', INTENT))['trade_id']}"


async def of_limits(_: Person) -> str:
    return LIMITS


async def of_instrument(_: Person) -> str:
    return RELIANCE


async def revise(asha: Person, path: str) -> None:
    await asha.done("PUT", path, {**DRAFT, "name": "Another", "expected_version": 1})


async def cancel(asha: Person, path: str) -> None:
    await asha.done("POST", f"{path}/cancel")


async def set_limits(asha: Person, path: str) -> None:
    limits = (await asha.get(path))["parameters"]
    await asha.done("PUT", path, {**limits, "order_quantity_max": 7})


Make = Callable[[Person], Awaitable[str]]
Change = Callable[[Person, str], Awaitable[None]]
every_tagged = pytest.mark.parametrize("make", [of_strategy, of_trade, of_limits, of_instrument])


async def asked(asha: Person, path: str, known: str) -> httpx.Response:
    return await asha.world.client.get(path, headers={**asha.headers, "If-None-Match": known})


async def tag_of(asha: Person, path: str) -> str:
    answer = await asha.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


@every_tagged
async def test_what_did_not_change_is_not_sent_again(make: Make) -> None:
    asha = await registered(ApiWorld())
    path = await make(asha)
    tag = await tag_of(asha, path)
    assert tag.startswith('W/"')
    # What others do moves how far the views are, and nothing else of the answer.
    await (await registered(asha.world, "ravi")).done("POST", "/api/trades", INTENT)
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        answer = await asked(asha, path, known)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    for known in ('W/"other"', tag.strip('W/"'), ""):
        answer = await asked(asha, path, known)
        assert (answer.status_code, answer.headers["ETag"]) == (200, tag)
        assert answer.json()


@pytest.mark.parametrize(
    ("make", "change"),
    [(of_strategy, revise), (of_trade, cancel), (of_limits, set_limits)],
    ids=lambda each: each.__name__,
)
async def test_what_changed_is_sent_under_another_tag(make: Make, change: Change) -> None:
    asha = await registered(ApiWorld())
    path = await make(asha)
    tag = await tag_of(asha, path)
    await change(asha, path)
    answer = await asked(asha, path, tag)
    assert answer.status_code == 200
    assert answer.headers["ETag"] != tag
    assert (await asked(asha, path, answer.headers["ETag"])).status_code == 304


@every_tagged
async def test_in_another_epoch_every_tag_is_another(make: Make) -> None:
    epochs = ["abct1r0"]
    asha = await registered(ApiWorld(epoch=lambda: epochs[0]))
    path = await make(asha)
    tag = await tag_of(asha, path)
    epochs[0] = "abct1r1"
    assert (await asked(asha, path, tag)).status_code == 200


async def test_a_code_that_nobody_has_any_more_is_missed() -> None:
    asha = await registered(ApiWorld())
    path = await of_strategy(asha)
    earlier = f"{path}?source_hash={sha256(CODE.encode()).hexdigest()}"
    tag = await tag_of(asha, earlier)
    await asha.world.sources.drop_all(UserId(asha.user_id))
    answer = await asked(asha, earlier, tag)
    assert (answer.status_code, answer.json()["code"]) == (200, None)


async def test_a_trade_as_it_was_keeps_its_tag_whatever_becomes_of_it() -> None:
    asha = await registered(ApiWorld())
    path = await of_trade(asha)
    then = f"{path}?at_sequence={await asha.world.stored()}"
    tag = await tag_of(asha, then)
    await cancel(asha, path)
    assert (await asked(asha, then, tag)).status_code == 304


async def test_nobody_is_told_by_a_tag_what_they_may_not_see() -> None:
    asha = await registered(ApiWorld())
    path = await of_trade(asha)
    tag = await tag_of(asha, path)
    ravi = await registered(asha.world, "ravi")
    assert (await asked(ravi, path, tag)).status_code == 404
    assert (await asha.world.client.get(path, headers={"If-None-Match": "*"})).status_code == 401


async def test_a_page_of_another_origin_may_send_and_read_tags() -> None:
    world = ApiWorld(cors_origins=("https://desk.example",))
    asha = await registered(world)
    origin = {"Origin": "https://desk.example"}
    wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "If-None-Match"}
    assert (await world.client.options(RELIANCE, headers=origin | wanted)).status_code == 200
    shown = await world.client.get(RELIANCE, headers=origin | asha.headers)
    assert "ETag" in shown.headers["Access-Control-Expose-Headers"]
