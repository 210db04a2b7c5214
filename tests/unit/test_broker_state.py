"""What the doctor makes of how it stands with the broker: each trouble has a remedy."""

from typing import Any

from infra.broker_state import checks_of
from infra.check import Check

CLOSED = {"state": "closed", "transitions": []}
WELL: dict[str, Any] = {
    "host": "api.dhan.co",
    "tokens": {"acc_1": {"state": "live", "seconds_left": 7_200.0, "cause": ""}},
    "writes_held_back": {},
    "breakers": {"entries": CLOSED, "exits": CLOSED},
    "budgets": {"acc_1": {"orders": {"60s": {"used": 10, "limit": 250, "reserve": 25, "free_in_s": 0.0}}}},
}


def found(**changes: Any) -> dict[str, Check]:
    checks = checks_of({**WELL, **changes})
    assert all(bool(check.remedy) is not check.ok for check in checks)
    return {check.name.removeprefix("broker "): check for check in checks}


def test_all_is_well() -> None:
    checks = found()
    assert all(check.ok for check in checks.values())
    assert checks["tokens"].detail == "live, the first ends in 2.0 h"
    assert checks["budgets"].detail == "orders of acc_1: 10 of 250 in 60s (4%)"


def test_before_anything_was_sent_there_is_nothing_to_say() -> None:
    checks = found(tokens={}, budgets={})
    assert [checks[name].detail for name in ("tokens", "budgets")] == ["none in use", "nothing was sent"]


def test_a_token_that_ends_soon_is_told_and_is_trouble_once_it_cannot_be_renewed() -> None:
    ending = {"state": "ending", "seconds_left": 1_800.0, "cause": ""}
    assert found(tokens={"acc_1": ending})["tokens"].detail == "acc_1 is ending, 0.5 h left"
    refused = found(tokens={"acc_1": {**ending, "cause": "renewal refused"}})["tokens"]
    assert not refused.ok
    assert refused.detail == "acc_1 is ending, 0.5 h left: renewal refused"


def test_of_several_tokens_the_worst_is_told() -> None:
    dead = {"state": "dead", "seconds_left": 0, "cause": "Invalid Token"}
    ended = {"state": "ended", "seconds_left": 0, "cause": ""}
    check = found(tokens={**WELL["tokens"], "acc_2": ended, "acc_3": dead, "acc_4": dead})["tokens"]
    assert not check.ok
    assert check.detail == "acc_3 is dead: Invalid Token (2 accounts)"


def test_held_back_writes_name_their_code_and_how_to_let_them_through() -> None:
    latch = {"code": "VENUE_ADDRESS_REFUSED", "message": "Invalid IP", "since_ns": 1}
    check = found(writes_held_back={"acc_1": latch})["writes"]
    assert not check.ok
    assert check.detail.startswith("VENUE_ADDRESS_REFUSED: those of acc_1 are held back")
    assert "khata broker release acc_1" in check.remedy


def test_a_breaker_that_is_not_closed_is_told_with_its_cause() -> None:
    half_open = {"state": "half_open", "transitions": [{"cause": "reset time-out"}]}
    check = found(breakers={"entries": half_open, "exits": CLOSED})["breakers"]
    assert not check.ok
    assert check.detail == "not closed before api.dhan.co: entries (reset time-out)"


def test_a_budget_whose_reserve_is_reached_says_how_long_entries_wait() -> None:
    short = {"used": 225, "limit": 250, "reserve": 25, "free_in_s": 12.0}
    check = found(budgets={"acc_1": {"orders": {"60s": short}}, "acc_2": {"reads": {}}})["budgets"]
    assert not check.ok
    assert check.remedy.startswith("Entries wait 12 s")
