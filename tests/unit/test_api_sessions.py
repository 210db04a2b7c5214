"""GET /api/sessions: when each segment trades, how that is known, and which orders a phase takes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.sessions import DAYS_MAX
from domain.market import trading_day
from domain.session import PHASE_RULES
from tests.support.api import CALENDAR, ApiWorld


class Visitor:
    """Somebody logged in."""

    def __init__(self, world: ApiWorld, headers: dict[str, str]) -> None:
        self.world = world
        self.headers = headers

    async def ask(self, **query: str | int) -> dict[str, Any]:
        answer = await self.world.client.get("/api/sessions", params=query, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refused(self, **query: str | int) -> tuple[int, str, str]:
        answer = await self.world.client.get("/api/sessions", params=query, headers=self.headers)
        problem = answer.json()
        return answer.status_code, problem["code"], problem["field"]


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    world = ApiWorld()
    yield Visitor(world, await world.log_in())
    await world.client.aclose()


def hours(phases: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(each["phase"], each["starts_at"][11:16], each["ends_at"][11:16]) for each in phases]


async def test_left_out_the_day_is_today_by_the_markets_clock_in_every_segment(visitor: Visitor) -> None:
    shown = await visitor.ask()
    assert [each["segment"] for each in shown["sessions"]] == list(CALENDAR.segments)
    assert {each["day"] for each in shown["sessions"]} == {
        trading_day(visitor.world.market.market_time_ns()).isoformat()
    }
    assert shown["next_first_day"] is None
    assert shown["in_force"] is False


async def test_a_day_has_its_phases_in_both_times_with_their_source(visitor: Visitor) -> None:
    (day,) = (await visitor.ask(segment="NSE_EQ", first_day="2026-11-20"))["sessions"]
    assert (day["kind"], day["known"], day["certainty"]) == ("regular", True, "announced")
    assert hours(day["phases"]) == [
        ("pre_open", "09:00", "09:08"),
        ("continuous", "09:15", "15:30"),
        ("post_close", "15:50", "16:00"),
    ]
    assert hours(day["phases_with_derivatives"])[1:3] == [
        ("continuous", "09:15", "15:15"),
        ("closing_auction", "15:20", "15:25"),
    ]
    continuous = day["phases"][1]
    assert continuous["starts_at"] == "2026-11-20T09:15:00.000000+05:30"
    assert continuous["starts_at_utc"] == "2026-11-20T03:45:00.000000+00:00"
    assert continuous["source"]


async def test_days_out_of_the_ordinary_are_shown_as_they_are(visitor: Visitor) -> None:
    shown = {}
    for day in ("2024-11-01", "2024-03-02", "2021-02-24", "2026-12-25"):
        (session,) = (await visitor.ask(segment="NSE_EQ", first_day=day))["sessions"]
        shown[session["kind"]] = hours(session["phases"])
    assert shown == {
        "muhurat": [("continuous", "18:00", "19:00")],
        "short": [("continuous", "09:15", "10:00"), ("continuous", "11:30", "12:30")],
        "extended": [("continuous", "09:15", "17:00")],
        "holiday": [],
    }


async def test_a_day_beyond_the_lists_says_that_its_holidays_are_not_known(visitor: Visitor) -> None:
    (shown,) = (await visitor.ask(segment="NSE_EQ", first_day="2027-01-04"))["sessions"]
    assert (shown["kind"], shown["known"], shown["certainty"]) == ("regular", False, "unknown")


async def test_the_rules_of_every_phase_come_along(visitor: Visitor) -> None:
    rules = {each.pop("phase"): each for each in (await visitor.ask())["rules"]}
    assert rules.keys() == {phase.value for phase in PHASE_RULES}
    assert rules["continuous"] == {
        "order_types": ["LIMIT", "MARKET", "SL"],
        "times_in_force": ["DAY", "IOC"],
        "after_market": False,
    }
    assert rules["closed"]["after_market"] is True
    assert rules["paused"]["order_types"] == []


async def test_a_range_comes_in_pages(visitor: Visitor) -> None:
    seen: list[str] = []
    first_day: str | None = "2026-10-28"
    while first_day is not None:
        page = await visitor.ask(segment="NSE_EQ", first_day=first_day, last_day="2026-11-03", limit=3)
        seen += [each["day"] for each in page["sessions"]]
        first_day = page["next_first_day"]
    assert seen == [
        "2026-10-28", "2026-10-29", "2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03",
    ]  # fmt: skip
    page = await visitor.ask(segment="NSE_EQ", first_day="2026-01-01", last_day="2026-12-31")
    assert len(page["sessions"]) == DAYS_MAX


BAD: list[tuple[dict[str, str | int], str]] = [
    ({"segment": "NSE"}, "SEGMENT_INVALID"),
    ({"segment": "INDEX"}, "SEGMENT_INVALID"),
    ({"first_day": "27/11/2026"}, "FIRST_DAY_INVALID"),
    ({"first_day": "2026-02-30"}, "FIRST_DAY_INVALID"),
    ({"first_day": "0001-01-01"}, "FIRST_DAY_INVALID"),
    ({"first_day": "9999-12-31"}, "FIRST_DAY_INVALID"),
    ({"first_day": "1700006400"}, "FIRST_DAY_INVALID"),
    ({"first_day": "2026-11-20", "last_day": "2026-11-19"}, "LAST_DAY_INVALID"),
    ({"limit": 0}, "LIMIT_INVALID"),
    ({"limit": DAYS_MAX + 1}, "LIMIT_INVALID"),
]


async def test_what_is_no_question_is_refused(visitor: Visitor) -> None:
    for query, code in BAD:
        field = code.removesuffix("_INVALID").lower()
        assert await visitor.refused(**query) == (422, code, field), query


async def test_who_is_not_logged_in_is_told_nothing(visitor: Visitor) -> None:
    answer = await visitor.world.client.get("/api/sessions")
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_MISSING")
