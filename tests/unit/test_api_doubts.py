"""Orders in doubt and alerts over HTTP: what a trader is told while nobody knows, and once somebody does."""

from collections.abc import AsyncIterator

import pytest

from api.alerts import KINDS
from commands.doubt_reports import DoubtReport, SearchReport
from commands.evidence import SearchAnswer
from domain.account.commands import (
    PresumeAbsent,
    RecordAccepted,
    RecordFill,
)
from domain.ids import OrderId, VenueFillId, VenueOrderId
from domain.market import NS_PER_S
from projections.alerts import AlertCode
from tests.support.api import ApiWorld
from tests.support.lost_orders import PLAIN, lost, record, submitting
from tests.support.people import Person, registered

ABSENT = {"resolution": "absent", "reason": "the broker's app does not show it"}
ASKED_NS = 1_795_149_000 * NS_PER_S
"""2026-11-20 10:00:00 in India."""


@pytest.fixture
async def asha() -> AsyncIterator[Person]:
    person = await registered(ApiWorld())
    yield person
    await person.world.client.aclose()


def told(order_id: OrderId) -> DoubtReport:
    search = SearchReport(
        by_correlation=2,
        by_order_book=4,
        answers_wanted=3,
        asked_at_ns=ASKED_NS,
        answer=SearchAnswer.NOT_FOUND,
        until_ns=ASKED_NS + 3 * NS_PER_S,
    )
    return DoubtReport(searches={order_id: search}, books_read_at_ns=ASKED_NS)


# --- Orders in doubt --------------------------------------------------------------------------------------------------


async def test_an_unknown_order_says_since_when_why_what_was_asked_and_what_comes_next(asha: Person) -> None:
    order_id = await lost(asha)
    asha.world.doubt_reports.report = told(order_id)
    answer = await asha.get("/api/orders/in-doubt")
    [shown] = answer["orders"]
    assert (shown["order_id"], shown["status"], shown["symbol"]) == (
        order_id,
        "unknown",
        "RELIANCE",
    )
    assert (shown["cause"], shown["next_step"], shown["successor"]) == ("no answer within 5 s", "look_up", "never")
    assert shown["search"] == {
        "by_correlation": 2,
        "by_order_book": 4,
        "answers_wanted": 3,
        "asked_at": "2026-11-20T10:00:00.000000+05:30",
        "last_answer": "not_found",
        "looked_for_until": "2026-11-20T10:00:03.000000+05:30",
    }
    assert shown["next_step_detail"] == (
        "it is looked for until 10:00:03, and 3 answers of both kinds without it, then presumed absent"
    )
    assert (shown["search_missing"], shown["lookups"], shown["presumed_absent_at"]) == (None, None, None)
    assert answer["books_read_at"] == "2026-11-20T10:00:00.000000+05:30"
    assert (answer["next_before"], answer["next_after"]) == (None, None)


async def test_its_age_grows_with_the_clock(asha: Person) -> None:
    order_id = await lost(asha)
    since_us = asha.world.store.events[-1].recorded_at_us
    asha.world.clock.advance_s(since_us / 1e6 + 7.5 - asha.world.clock.wall_ns() / 1e9)
    [shown] = (await asha.get("/api/orders/in-doubt"))["orders"]
    assert (shown["order_id"], shown["age_s"]) == (order_id, 7)


async def test_where_the_executor_does_not_tell_the_rest_is_told_and_why_it_is_not_all(asha: Person) -> None:
    await lost(asha)
    answer = await asha.get("/api/orders/in-doubt")
    [shown] = answer["orders"]
    assert (shown["search"], answer["books_read_at"]) == (None, None)
    assert shown["search_missing"] == "the executor does not tell just now: it starts"
    asha.world.doubt_reports.report = DoubtReport()
    [shown] = (await asha.get("/api/orders/in-doubt"))["orders"]
    assert shown["search_missing"] == "the executor has not begun to look for it"


async def test_an_order_presumed_absent_is_watched_and_says_what_was_asked(asha: Person) -> None:
    order_id = await lost(asha)
    await record(asha, PresumeAbsent(order_id=order_id, lookups=6))
    [shown] = (await asha.get("/api/orders/in-doubt"))["orders"]
    assert (shown["next_step"], shown["lookups"], shown["successor"]) == ("watch", 6, "never")
    assert shown["presumed_absent_at"] is not None
    assert (shown["search"], shown["search_missing"]) == (None, None)


async def test_an_exit_says_when_another_may_take_its_place(asha: Person) -> None:
    opened = await asha.done("POST", "/api/trades", PLAIN)
    entry = await submitting(asha, opened["order_id"])
    await record(asha, RecordAccepted(order_id=entry, venue_order_id=VenueOrderId("v-1"), sent_at_ns=1))
    await fill(asha, entry)
    closing = await asha.done("POST", f"/api/trades/{opened['trade_id']}/close")
    exit_id = await lost(asha, closing["closing"][0]["order_id"])
    [shown] = (await asha.get("/api/orders/in-doubt"))["orders"]
    assert shown["successor"] == "once_presumed_absent"
    await record(asha, PresumeAbsent(order_id=exit_id, lookups=6))
    [shown] = (await asha.get("/api/orders/in-doubt"))["orders"]
    assert shown["successor"] == "possible"


async def fill(person: Person, order_id: OrderId) -> None:
    executed = RecordFill(
        order_id=order_id,
        venue_fill_id=VenueFillId("f-1"),
        quantity=10,
        price_e4=2_850_0000,
        filled_at_ns=person.world.clock.wall_ns(),
    )
    await record(person, executed)


async def test_what_is_known_is_in_doubt_no_more(asha: Person) -> None:
    order_id = await lost(asha)
    await asha.done("POST", f"/api/orders/{order_id}/resolve", ABSENT)
    assert (await asha.get("/api/orders/in-doubt"))["orders"] == []


async def test_orders_in_doubt_are_paged_as_orders_are(asha: Person) -> None:
    first, second, third = [await lost(asha) for _ in range(3)]
    page = await asha.get("/api/orders/in-doubt?limit=2")
    assert [each["order_id"] for each in page["orders"]] == [third, second]
    rest = await asha.get(f"/api/orders/in-doubt?limit=2&before={page['next_before']}")
    assert [each["order_id"] for each in rest["orders"]] == [first]
    oldest = await asha.get("/api/orders/in-doubt?sort=oldest&limit=1")
    assert ([each["order_id"] for each in oldest["orders"]], oldest["next_before"]) == ([first], None)


# --- Alerts -----------------------------------------------------------------------------------------------------------


async def test_an_unknown_order_is_an_alert_until_somebody_knows(asha: Person) -> None:
    order_id = await lost(asha)
    [alert] = (await asha.get("/api/alerts"))["alerts"]
    assert alert["text"] == f"Nobody knows whether the broker has order {order_id}."
    assert (alert["code"], alert["severity"], alert["state"]) == ("ORDER_UNKNOWN", "warning", "open")
    assert (alert["order_id"], alert["trade_id"], alert["account_id"]) == (
        order_id,
        order_id.partition(".")[0],
        asha.account_id,
    )
    assert (alert["detail"], alert["until"], alert["sequence"]) == (
        "no answer within 5 s",
        None,
        await asha.world.stored(),
    )
    await record(asha, PresumeAbsent(order_id=order_id, lookups=6))
    [alert] = (await asha.get("/api/alerts?state=open"))["alerts"]
    assert (alert["code"], alert["severity"]) == ("ORDER_PRESUMED_ABSENT", "critical")
    assert f"POST /api/orders/{order_id}/resolve" in alert["what_to_do"]
    await asha.done("POST", f"/api/orders/{order_id}/resolve", ABSENT)
    assert (await asha.get("/api/alerts?state=open"))["alerts"] == []
    [alert] = (await asha.get("/api/alerts?state=ended"))["alerts"]
    assert (alert["state"], alert["until"] is not None) == ("ended", True)


async def test_a_switch_is_an_alert_and_alerts_come_newest_first_a_page_at_a_time(asha: Person) -> None:
    await asha.done("POST", "/api/risk/kill-switch", {"reason": "a look at the news"})
    await asha.done("POST", "/api/risk/kill-switch", {"reason": "odd", "scope": "strategy", "strategy_id": "str_1"})
    page = await asha.get("/api/alerts?limit=1")
    [alert] = page["alerts"]
    assert (alert["code"], alert["strategy_id"], alert["detail"]) == ("KILL_SWITCH_ENGAGED", "str_1", "odd")
    rest = await asha.get(f"/api/alerts?before={page['next_before']}")
    assert [(each["strategy_id"], each["detail"]) for each in rest["alerts"]] == [(None, "a look at the news")]
    assert rest["next_before"] is None
    await asha.done("DELETE", "/api/risk/kill-switch")
    assert len((await asha.get("/api/alerts?state=ended"))["alerts"]) == 1


async def test_a_state_that_is_none_is_refused(asha: Person) -> None:
    assert await asha.refused("GET", "/api/alerts?state=old") == (422, "STATE_INVALID")


@pytest.mark.parametrize("code", AlertCode)
def test_every_alert_has_its_words(code: AlertCode) -> None:
    kind = KINDS[code]
    for text in (kind.text, kind.what_to_do):
        assert text.format(order_id="trd_1.1", trade_id="trd_1").endswith(".")
