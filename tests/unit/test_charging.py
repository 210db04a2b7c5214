"""What an account books for its fills, and what its limits make of it."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.account import Account, decider
from domain.account.checks.size import free_funds_paise
from domain.account.commands import AccountCommand, ObserveResult, RecordForeignFill, SetRiskParameters
from domain.account.events import (
    AccountEvent,
    ForeignFillAllocated,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    RiskBreached,
    TradeOpened,
)
from domain.account.valuation import valuation_of
from domain.charges import NO_CHARGES, Charges, Tariff, charges_of_order, sum_of
from domain.ids import TradeId, VenueFillId
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown
from domain.order import Product, Side
from domain.risk import DenialCode, RiskParameters
from tests.support.desk import Desk
from tests.support.scenario import Given
from tests.support.specimens import (
    DAY_NS,
    NOW_NS,
    OTHER_TRADE,
    OWNER,
    accepted,
    account_opened,
    begin,
    fill,
    infy,
    mark,
    open_trade,
    reliance,
)
from tests.support.tariffs import TARIFFS

WORTH = 285_000_00
"""What the specimen's hundred shares cost."""
empty = Given(decider, (account_opened,))
intended = empty.after(open_trade, begin, accepted)


def tariff(product: Product = Product.INTRADAY, side: Side = Side.BUY, *, day: str = "2026-11-20") -> Tariff:
    return TARIFFS.tariff_of(reliance, product, side, day=day)


charged_fill = replace(fill, tariff=tariff())
held = intended.after(charged_fill)
CHARGED = charges_of_order(tariff(), value_paise=WORTH)


def state_of(given: Given[AccountCommand, Account, AccountEvent]) -> Account:
    return decider.fold(given.history)


def bookings(events: tuple[AccountEvent, ...]) -> list[Charges]:
    return [event.charges for event in events if isinstance(event, OrderFilled | ForeignFillAllocated)]


# --- Orders -----------------------------------------------------------------------------------------------------------


def test_the_fills_of_an_order_are_charged_what_the_order_comes_to() -> None:
    first = replace(charged_fill, quantity=40)
    second = replace(charged_fill, quantity=60, venue_fill_id=VenueFillId("f-2"))
    booked = bookings(intended.after(first, second).history)
    assert sum_of(booked) == CHARGED
    assert [charges.brokerage_paise for charges in booked] == [20_00, 0]
    assert min(charges.exchange_paise for charges in booked) > 0


def test_the_same_fill_again_is_not_charged_again() -> None:
    held.when(charged_fill).then_nothing()


def test_an_order_is_charged_as_a_whole_by_the_tariff_of_its_last_fill() -> None:
    first = replace(charged_fill, quantity=40, tariff=tariff(day="2024-01-02"))
    second = replace(charged_fill, quantity=60, venue_fill_id=VenueFillId("f-2"))
    assert sum_of(bookings(intended.after(first, second).history)) == CHARGED


def test_a_fill_without_a_tariff_is_charged_nothing_and_takes_nothing_back() -> None:
    assert bookings(intended.after(fill).history) == [NO_CHARGES]
    first = replace(charged_fill, quantity=40)
    second = replace(fill, quantity=60, venue_fill_id=VenueFillId("f-2"))
    assert bookings(intended.after(first, second).history)[1] == NO_CHARGES


def test_what_was_booked_is_folded_whatever_the_tariff_says_today() -> None:
    assert state_of(held).charges_paise == CHARGED.total_paise
    (booked,) = (event for event in held.history if isinstance(event, OrderFilled))
    corrected = replace(booked, charges=Charges(stt_paise=7))
    assert decider.fold([corrected if event is booked else event for event in held.history]).charges_paise == 7


# --- Executions of others ---------------------------------------------------------------------------------------------


def foreign(number: int, side: Side, quantity: int, *, order: int | None = None, day: int = 0, **changed: Any) -> Any:
    """Return an execution of somebody else's order number *order* (None: its own), *day* days after today."""
    product = changed.get("product", Product.INTRADAY)
    command = RecordForeignFill(
        adopted_as=TradeId(f"trd_external_{number}"),
        venue_fill_id=VenueFillId(f"NSE_EQ:{number}:{number if order is None else order}"),
        instrument=reliance,
        product=product,
        side=side,
        quantity=quantity,
        price_e4=2_850_0000,
        filled_at_ns=NOW_NS + day * DAY_NS,
        tariff=tariff(product, side),
    )
    return replace(command, **changed)


def test_foreign_fills_of_one_order_share_its_brokerage() -> None:
    one = empty.after(foreign(1, Side.BUY, 20, order=9), foreign(2, Side.BUY, 20, order=9))
    assert [charges.brokerage_paise for charges in bookings(one.history)] == [17_10, 2_90]
    two = empty.after(foreign(1, Side.BUY, 20), foreign(2, Side.BUY, 20))
    assert [charges.brokerage_paise for charges in bookings(two.history)] == [17_10, 17_10]


def test_a_foreign_fill_that_falls_to_several_trades_is_charged_once() -> None:
    events = held.when(foreign(1, Side.SELL, 130)).events
    booked = bookings(events)
    assert len(booked) == 2
    assert sum_of(booked) == charges_of_order(tariff(side=Side.SELL), value_paise=130 * 2_850_00)


# --- The demat account ------------------------------------------------------------------------------------------------

CNC = Product.CNC


def debits(*commands: AccountCommand) -> list[int]:
    return [charges.dp_paise for charges in bookings(empty.after(*commands).history)]


def test_what_is_bought_and_sold_on_one_day_leaves_no_demat_account() -> None:
    assert debits(foreign(1, Side.BUY, 50, product=CNC), foreign(2, Side.SELL, 50, product=CNC)) == [0, 0]


def test_a_debit_is_charged_once_a_day() -> None:
    bought = foreign(1, Side.BUY, 50, product=CNC)
    sold = [foreign(number, Side.SELL, 10, product=CNC, day=1) for number in (2, 3)]
    later = foreign(4, Side.SELL, 10, product=CNC, day=2)
    assert debits(bought, *sold, later) == [0, 14_75, 0, 14_75]


def test_a_debit_is_charged_for_what_was_not_bought_today() -> None:
    first = foreign(1, Side.BUY, 50, product=CNC)
    today = [foreign(2, Side.BUY, 20, product=CNC, day=1), foreign(3, Side.SELL, 20, product=CNC, day=1)]
    assert debits(first, *today, foreign(4, Side.SELL, 1, product=CNC, day=1)) == [0, 0, 0, 14_75]


def test_each_scrip_is_a_debit_of_its_own() -> None:
    sold = [foreign(1, Side.SELL, 10, product=CNC), foreign(2, Side.SELL, 10, product=CNC, instrument=infy)]
    assert debits(*sold) == [14_75, 14_75]


def test_an_intraday_sale_debits_nothing() -> None:
    assert debits(foreign(1, Side.SELL, 10)) == [0]


# --- Results and limits -----------------------------------------------------------------------------------------------


def test_charges_are_summed_by_day_and_lower_the_net_result() -> None:
    state = state_of(held)
    assert (state.charges_today_paise, state.charges_paise) == (CHARGED.total_paise, CHARGED.total_paise)
    assert (state.realised_paise, state.net_paise, state.peak_net_paise) == (0, -CHARGED.total_paise, 0)
    tomorrow = state_of(held.after(foreign(1, Side.BUY, 1, day=1)))
    of_tomorrow = charges_of_order(tariff(), value_paise=2_850_00).total_paise
    assert tomorrow.charges_today_paise == of_tomorrow
    assert tomorrow.charges_paise == CHARGED.total_paise + of_tomorrow


def limited(**limits: int) -> Given[AccountCommand, Account, AccountEvent]:
    """Return the account that holds what it bought at the present price, with other limits."""
    return held.after(SetRiskParameters(user_id=OWNER, parameters=replace(RiskParameters(), **limits)))


def seen(given: Given[AccountCommand, Account, AccountEvent]) -> Any:
    """Return the market with what the account is worth in it."""
    valued = valuation_of(state_of(given), {mark.instrument: mark}.get, market_time_ns=NOW_NS)
    return replace(open_trade.market, valuation=valued)


@pytest.mark.parametrize("name", ["day_loss_paise_max", "drawdown_paise_max"])
def test_charges_alone_reach_a_limit_on_losses(name: str) -> None:
    reached, not_quite = limited(**{name: CHARGED.total_paise}), limited(**{name: CHARGED.total_paise + 1})
    for given, kinds in ((reached, [RiskBreached]), (not_quite, [])):
        events = given.when(ObserveResult(market=seen(given), is_confirmed=False)).events
        assert [type(event) for event in events] == kinds
    intent = replace(open_trade, trade_id=OTHER_TRADE, quantity=1)
    (denied,) = reached.when(replace(intent, market=seen(reached))).events
    assert isinstance(denied, OrderDenied)
    assert denied.code in {DenialCode.DAY_LOSS_LIMIT_REACHED, DenialCode.DRAWDOWN_LIMIT_REACHED}
    assert denied.value in {"-42.82", "42.82"}
    not_quite.when(replace(intent, market=seen(not_quite))).then_kinds(TradeOpened, OrderIntended)


def test_charges_are_paid_from_the_funds() -> None:
    capital = 1_000_000_00
    given = limited(capital_paise=capital)
    margin = WORTH * RiskParameters().margin_bp_intraday // 10_000
    assert free_funds_paise(state_of(given)) == capital - margin - CHARGED.total_paise


# --- The handler ------------------------------------------------------------------------------------------------------


async def test_the_handler_charges_by_the_tariff_of_the_fill_s_day() -> None:
    desk = Desk()
    await desk.open_account()
    order_id = (await desk.open_trade()).events[1].order_id  # type: ignore[union-attr]
    await desk.do(replace(fill, order_id=order_id))
    await desk.do(foreign(1, Side.BUY, 10, tariff=None))
    assert bookings(tuple(desk.events())) == [CHARGED, charges_of_order(tariff(), value_paise=28_500_00)]


class LostInstruments:
    """An instrument master that has lost everything. Implements `commands.ports.Instruments`."""

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - the port's shape
        raise InstrumentUnknown(f"no instrument is {symbol}")

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - the port's shape
        raise InstrumentUnknown(f"no instrument is {key}")


async def test_a_fill_is_kept_although_nobody_knows_its_instrument_any_more() -> None:
    desk = Desk()
    await desk.open_account()
    order_id = (await desk.open_trade()).events[1].order_id  # type: ignore[union-attr]
    desk.instruments = LostInstruments()
    await desk.another_process().carry_out(account_opened.account_id, replace(fill, order_id=order_id), desk.context())
    assert bookings(tuple(desk.events())) == [NO_CHARGES]
