"""The risk watch: who is looked at when a mark comes, and what has to be seen twice."""

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from commands.ports import StoreUnavailable
from commands.risk_watch import WATERMARK, Holders, RiskWatch
from domain.account.commands import SetRiskParameters
from domain.account.events import KillSwitchEngaged, RiskBreached, TradeExitTriggered
from domain.risk import BreachAction, BreachKind, RiskParameters
from tests.support.desk import Desk, buy, running
from tests.support.log_writing import recorded_log
from tests.support.specimens import (
    ACCOUNT,
    INFY,
    OWNER,
    RELIANCE,
    exit_filled,
    fill,
    held,
    infy_mark,
    mark_at,
    order_filled,
)

HERE = f"account-{ACCOUNT}"


def holders_after(*events: Any) -> Holders:
    holders = Holders()
    for recorded in recorded_log((HERE, event) for event in events):
        holders.apply(recorded)
    return holders


def test_who_holds_something_is_known_until_it_is_sold() -> None:
    assert holders_after(*held).of(RELIANCE) == [ACCOUNT]
    assert holders_after(*held).of(INFY) == []
    sold = holders_after(*held, exit_filled)
    assert (sold.of(RELIANCE), len(sold)) == ([], 0)


def test_a_new_watch_reads_from_before_the_fill_that_opened_what_is_held() -> None:
    assert holders_after(*held).low_water() == len(held) - 1
    more = replace(order_filled, venue_trade_number="f-8")
    assert holders_after(*held, more).low_water() == len(held) - 1
    assert holders_after(*held, exit_filled).low_water() == len(held) + 1


class Watched:
    """A desk with a trade of 100 held at 2,850 and a watch over it."""

    def __init__(self, desk: Desk, watch: RiskWatch) -> None:
        self.desk = desk
        self.watch = watch

    async def tick(self, price_e4: int, *, later_ms: int, number: int | None = None, **changed: Any) -> list[type]:
        """Let a tick come and return the kinds of events that follow from it."""
        before = len(self.desk.events())
        mark = replace(mark_at(price_e4, later_ms=later_ms), number=later_ms if number is None else number, **changed)
        await self.watch.on_mark(mark)
        return [type(event) for event in self.desk.events()[before:]]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def watched(desk: Desk, **limits: Any) -> Watched:
    watch = RiskWatch(
        accounts=desk.accounts, store=desk.store, feed=desk.feed, clock=desk.clock, watermarks=desk.watermarks
    )
    await desk.open_account()
    parameters = RiskParameters(day_loss_paise_max=5_000_00, **limits)
    await desk.do(SetRiskParameters(user_id=OWNER, parameters=parameters))
    outcome = await desk.open_trade(dataclasses.replace(buy, stop_loss_e4=None, target_e4=None))
    order_id = outcome.events[1].order_id  # type: ignore[union-attr]
    await desk.do(replace(fill, order_id=order_id))
    return Watched(desk, watch)


async def test_a_loss_blocks_at_the_first_tick_that_shows_it(desk: Desk) -> None:
    world = await watched(desk)
    async with running(world.watch):
        await world.watch.catch_up()
        assert await world.tick(2_800_5000, later_ms=1_000) == []
        assert await world.tick(2_800_4000, later_ms=1_300) == [RiskBreached]
        assert await world.tick(2_790_0000, later_ms=1_600) == []
    assert world.watch.effects == 1
    breached = next(event for event in desk.events() if isinstance(event, RiskBreached))
    assert (breached.kind, breached.value_paise) == (BreachKind.DAY_LOSS, 4_960_00 + 42_82)
    assert [mark.last_price_e4 for mark in breached.marks] == [2_800_4000]


async def test_what_closes_trades_waits_for_a_second_tick(desk: Desk) -> None:
    world = await watched(desk, day_loss_action=BreachAction.FLATTEN)
    async with running(world.watch):
        await world.watch.catch_up()
        assert await world.tick(2_700_0000, later_ms=1_000) == []
        assert await world.tick(2_840_0000, later_ms=1_010) == []
        assert await world.tick(2_700_0000, later_ms=1_300) == []
        assert (await world.tick(2_700_0000, later_ms=1_310))[:2] == [RiskBreached, TradeExitTriggered]


async def test_a_tick_of_another_instrument_a_second_later_confirms_it_too(desk: Desk) -> None:
    world = await watched(desk, day_loss_action=BreachAction.KILL)
    async with running(world.watch):
        await world.watch.catch_up()
        assert await world.tick(2_700_0000, later_ms=1_000, number=7) == []
        other: dict[str, Any] = {"instrument": INFY, "number": 7}
        assert await world.tick(infy_mark.last_price_e4, later_ms=1_900, **other) == []
        assert (await world.tick(infy_mark.last_price_e4, later_ms=2_000, **other))[:2] == [
            RiskBreached,
            KillSwitchEngaged,
        ]


async def test_a_tick_outside_the_price_band_is_none(desk: Desk) -> None:
    world = await watched(desk)
    async with running(world.watch):
        await world.watch.catch_up()
        assert await world.tick(2_700_0000, later_ms=1_000, lower_circuit_e4=2_700_1000) == []
        assert await world.tick(2_700_0000, later_ms=2_000, lower_circuit_e4=2_700_0000) == [RiskBreached]


async def test_an_account_is_looked_at_no_more_often_than_paced(desk: Desk) -> None:
    world = await watched(desk)
    async with running(world.watch):
        await world.watch.catch_up()
        assert await world.tick(2_850_0000, later_ms=1_000) == []
        assert await world.tick(2_700_0000, later_ms=1_249) == []
        assert await world.tick(2_700_0000, later_ms=1_250) == [RiskBreached]


async def test_a_look_that_shows_nothing_appends_nothing(desk: Desk) -> None:
    world = await watched(desk)
    async with running(world.watch):
        await world.watch.catch_up()
        appends = desk.store.appends
        for number in range(1, 20):
            assert await world.tick(2_850_0000, later_ms=number * 1_000) == []
        assert desk.store.appends == appends


async def test_a_log_that_is_away_is_asked_again_at_the_next_tick(desk: Desk) -> None:
    world = await watched(desk)
    async with running(world.watch):
        await world.watch.catch_up()
        desk.store.fail_next(StoreUnavailable("away"))
        assert await world.tick(2_700_0000, later_ms=1_000) == []
        assert await world.tick(2_700_0000, later_ms=1_300) == [RiskBreached]


async def test_a_new_watch_finds_what_was_held_before_it_began(desk: Desk) -> None:
    first = await watched(desk)
    desk.watermarks.kept[WATERMARK] = 0
    second = Watched(
        desk,
        RiskWatch(
            accounts=desk.accounts, store=desk.store, feed=desk.feed, clock=desk.clock, watermarks=desk.watermarks
        ),
    )
    async with running(second.watch):
        await second.watch.catch_up()
        assert second.watch.status()["accounts"] == 1
        assert await second.tick(2_700_0000, later_ms=1_000) == [RiskBreached]
    assert first.watch.effects == 0
