"""What people do with accounts: the market is stamped by us, and the memory for accounts is bounded."""

import asyncio
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands import accounts as module
from domain.account.events import KillSwitchEngaged, OrderDenied, TradeOpened
from domain.account.refusals import AccountNotFound
from domain.ids import AccountId
from domain.instrument import InstrumentUnknown
from domain.market import Valuation
from domain.risk import DenialCode
from domain.session import Phase, SessionMoment
from tests.support.desk import Desk, buy
from tests.support.specimens import (
    ACCOUNT,
    INFY,
    NOW_NS,
    NS_PER_S,
    OWNER,
    RELIANCE,
    STRANGER,
    TODAY,
    fill,
    limits,
    mark_at,
)

buy_infy = but(buy, symbol="INFY", stop_loss_e4=None, target_e4=None)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open_account()
    return desk


async def test_the_market_is_stamped_on_an_intent_with_the_marks_of_all_that_is_open(desk: Desk) -> None:
    await desk.open_trade()
    outcome = await desk.open_trade(buy_infy)
    opened = outcome.events[0]
    assert isinstance(opened, TradeOpened)
    assert opened.market.market_time_ns == NOW_NS
    assert [mark.instrument for mark in opened.market.marks] == sorted([RELIANCE, INFY])


async def test_session_and_valuation_are_stamped_on_an_intent(desk: Desk) -> None:
    outcome = await desk.open_trade()
    order_id = outcome.events[1].order_id  # type: ignore[union-attr]
    await desk.do(replace(fill, order_id=order_id))
    desk.marks.marks[RELIANCE] = mark_at(2_860_0000)
    opened = (await desk.open_trade(buy_infy)).events[0]
    assert isinstance(opened, TradeOpened)
    assert opened.market.session == SessionMoment(phase=Phase.CONTINUOUS, trading_day=TODAY)
    assert opened.market.valuation == Valuation(
        day_result_paise=1_000_00 - 42_82,  # What the purchase was charged.
        open_result_paise=1_000_00,
        gross_exposure_paise=286_000_00,
        net_exposure_paise=286_000_00,
        oldest_mark_ns=NOW_NS,
    )


async def test_an_instrument_without_a_mark_is_not_traded(desk: Desk) -> None:
    del desk.marks.marks[INFY]
    (denied,) = (await desk.open_trade(buy_infy)).events
    assert isinstance(denied, OrderDenied)
    assert denied.code is DenialCode.MARK_MISSING


async def test_what_waits_grows_stale(desk: Desk) -> None:
    desk.marks.now_ns += 11 * NS_PER_S
    (denied,) = (await desk.open_trade()).events
    assert isinstance(denied, OrderDenied)
    assert denied.code is DenialCode.MARK_STALE


async def test_an_unknown_symbol_is_refused_and_nothing_stored(desk: Desk) -> None:
    stored = len(desk.store.events)
    with pytest.raises(InstrumentUnknown):
        await desk.open_trade(but(buy, symbol="NOSUCH"))
    assert len(desk.store.events) == stored


async def test_intents_on_two_instruments_at_once_never_pass_one_limit(desk: Desk) -> None:
    """Each is valued with the mark of the other, although neither is confirmed when they are decided."""
    one_only = replace(limits, gross_exposure_paise_max=285_000_00 + 150_000_00 - 1)
    await desk.accounts.set_risk_parameters(ACCOUNT, OWNER, one_only, desk.context())
    outcomes = await asyncio.gather(desk.open_trade(), desk.open_trade(buy_infy))
    assert [type(outcome.events[0]) for outcome in outcomes] == [TradeOpened, OrderDenied]


async def test_the_kill_switch_is_engaged_and_released(desk: Desk) -> None:
    engaged = await desk.accounts.engage_kill_switch(ACCOUNT, OWNER, "enough", desk.context())
    assert engaged.events == (KillSwitchEngaged(reason="enough"),)
    released = await desk.accounts.release_kill_switch(ACCOUNT, OWNER, desk.context())
    assert len(released.events) == 1
    with pytest.raises(AccountNotFound):
        await desk.accounts.release_kill_switch(ACCOUNT, STRANGER, desk.context())


async def test_accounts_that_rest_are_forgotten_and_found_again(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    monkeypatch.setattr(module, "LANES_MAX", 2)
    others = [AccountId(f"acc_{number}") for number in range(5)]
    for other in others:
        await desk.open_account(other)
    assert len(desk.accounts._lanes) == 2
    await desk.accounts.engage_kill_switch(ACCOUNT, OWNER, "enough", desk.context())
    assert len(desk.accounts._lanes) == 2


async def test_no_account_is_forgotten_while_it_decides(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    monkeypatch.setattr(module, "LANES_MAX", 2)
    others = [AccountId(f"acc_{number}") for number in range(5)]
    await asyncio.gather(*(desk.open_account(other) for other in others))
    assert all(desk.events(other) for other in others)
