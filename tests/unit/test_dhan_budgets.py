"""The budgets of accounts: what the venue counts apart, what is kept for exits, and what is left."""

import msgspec

from adapters.dhan.guard.budgets import Budgets, RateClass
from adapters.dhan.settings import DhanSettings
from domain.ids import VenueOrderId
from tests.support.dhan import ACCOUNT, OTHER_ACCOUNT, HandClock

AT_ONCE = DhanSettings(budget_wait_s=0.0, data_wait_s=0.0)


def budgets_of(settings: DhanSettings = AT_ONCE) -> tuple[Budgets, HandClock]:
    clock = HandClock()
    return Budgets(settings, monotonic_ns=clock.monotonic_ns), clock


async def taken(budgets: Budgets, rate: RateClass, key: str = "", *, urgent: bool = False) -> bool:
    slot = await budgets.take(ACCOUNT, rate, key, urgent=urgent)
    if slot is not None:
        slot.end()
    return slot is not None


def test_every_limit_of_the_venue_is_a_gauge_before_anything_was_used() -> None:
    budgets, _ = budgets_of()
    shown = {rate: budgets.of(ACCOUNT, rate).status() for rate in RateClass}
    limits = {rate: {span: gauge["limit"] for span, gauge in windows.items()} for rate, windows in shown.items()}
    assert limits == {
        RateClass.ORDERS: {"1s": 9, "60s": 250, "3600s": 1_000, "86400s": 7_000},
        RateClass.READS: {"1s": 18},
        RateClass.DATA: {"1s": 5, "86400s": 100_000},
        RateClass.QUOTES: {"1s": 1},
        RateClass.OPTION_CHAIN: {"3s": 1},
    }
    kept = {span: gauge["reserve"] for span, gauge in shown[RateClass.ORDERS].items()}
    assert kept == {"1s": 2, "60s": 25, "3600s": 100, "86400s": 700}


async def test_a_minute_keeps_a_tenth_for_exits_and_cancels() -> None:
    budgets, clock = budgets_of(msgspec.structs.replace(AT_ONCE, requests_per_minute=20, order_reserve=1))
    entries = 0
    while await taken(budgets, RateClass.ORDERS):
        entries += 1
        clock.advance(1)
    assert entries == 18
    assert budgets.of(ACCOUNT, RateClass.ORDERS).shortage() == (
        "60 s: 18 of 20 used with 2 kept for exits and cancels, 42.0 s to wait"
    )
    assert [await taken(budgets, RateClass.ORDERS, urgent=True) for _ in range(3)] == [True, True, False]


async def test_classes_and_accounts_are_counted_apart() -> None:
    budgets, _ = budgets_of()
    assert [await taken(budgets, RateClass.QUOTES) for _ in range(2)] == [True, False]
    assert await taken(budgets, RateClass.DATA)
    assert budgets.of(OTHER_ACCOUNT, RateClass.QUOTES).wait_ns() == 0


async def test_a_chain_is_counted_for_each_underlying_and_expiry() -> None:
    budgets, clock = budgets_of()
    assert [await taken(budgets, RateClass.OPTION_CHAIN, "NIFTY") for _ in range(2)] == [True, False]
    assert await taken(budgets, RateClass.OPTION_CHAIN, "BANKNIFTY")
    clock.advance(3)
    assert await taken(budgets, RateClass.OPTION_CHAIN, "NIFTY")
    assert set(budgets.status()[ACCOUNT]["option_chain"]) == {"NIFTY", "BANKNIFTY"}


async def test_chains_that_nobody_asks_for_any_more_are_forgotten() -> None:
    budgets, clock = budgets_of()
    for number in range(1_000):
        await taken(budgets, RateClass.OPTION_CHAIN, f"old-{number}")
    clock.advance(3)
    await taken(budgets, RateClass.OPTION_CHAIN, "new")
    assert set(budgets.status()[ACCOUNT]["option_chain"]) == {"new"}


async def test_of_many_budgets_the_fullest_are_shown() -> None:
    budgets, _ = budgets_of()
    for number in range(150):
        await taken(budgets, RateClass.OPTION_CHAIN, f"key-{number}")
    await taken(budgets, RateClass.READS)
    assert len(budgets.status()[ACCOUNT]["option_chain"]) == 100
    assert "reads" not in budgets.status()[ACCOUNT]


def test_changes_are_counted_by_order_and_shown_once_half_are_used() -> None:
    budgets, _ = budgets_of()
    order, other = VenueOrderId("1"), VenueOrderId("2")
    budgets.count_change(ACCOUNT, other)
    for _ in range(13):
        budgets.count_change(ACCOUNT, order)
    assert (budgets.changes_left(ACCOUNT, order), budgets.changes_left(ACCOUNT, other)) == (12, 24)
    assert budgets.status() == {ACCOUNT: {"modifications": {order: {"used": 13, "limit": 25}}}}
