"""The adapter makes the call behind each answer that was recorded from the venue itself, and is given that answer.

Of the 35 recorded pairs 20 are genuine: they came straight from the server. The others were built on the samples of the
documentation, edited by hand, or may have been, and prove nothing of the venue; `test_dhan_recorded_answers.py` reads
what stands in them nevertheless.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

import pytest

from adapters.dhan.broker import DhanBroker
from adapters.dhan.rest.market_data import DayPrices
from commands.ports import Accepted, BrokerUnavailable, OutcomeUnknown, Refused, VenueOrder
from domain.ids import VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderStatus, OrderType, Product, Purpose, RefusalReason, Side
from tests.support.dhan import ACCOUNT, CORRELATION, LIMIT_BUY, ORDERS_PATH, venue_and_broker
from tests.support.dhan_recordings import Pair, genuine, needs_recordings
from tests.support.venue import answer

pytestmark = needs_recordings
Check = Callable[[DhanBroker, Pair], Awaitable[None]]
ORDER_ID = VenueOrderId("952502167319")
OPTION = InstrumentKey(Segment.NSE_FNO, "49081")
HDFCBANK = InstrumentKey(Segment.NSE_EQ, "1333")
NIFTY = InstrumentKey(Segment.INDEX, "13")
NEVER_TRADED = DayPrices(last_price_e4=None, open_e4=None, high_e4=None, low_e4=None, previous_close_e4=None)
RESTING = VenueOrder(
    venue_order_id=ORDER_ID,
    correlation_id=None,
    status=OrderStatus.ACKNOWLEDGED,
    quantity=20,
    cumulative_quantity=0,
    message="",
    instrument=InstrumentKey(Segment.BSE_EQ, "539310"),
    product=Product.CNC,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    limit_price_e4=3_600,
)


def name_of(pair: Pair) -> str:
    return f"{pair['method']} {pair['cassette'].removesuffix('.yml')}"


def utc_ns(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[arg-type, misc] # year to second


async def quotes_nothing_of_what_was_not_asked_for(broker: DhanBroker, _: Pair) -> None:
    assert await broker.market_data.last_prices(ACCOUNT, [OPTION]) == {}


async def has_no_day_prices_of_it_either(broker: DhanBroker, _: Pair) -> None:
    assert await broker.market_data.day_prices(ACCOUNT, [OPTION]) == {}


async def takes_prices_of_nothing_for_none(broker: DhanBroker, _: Pair) -> None:
    assert await broker.market_data.day_prices(ACCOUNT, [OPTION]) == {OPTION: NEVER_TRADED}


async def reads_a_quote_outside_the_session(broker: DhanBroker, _: Pair) -> None:
    quote = (await broker.market_data.quotes(ACCOUNT, [OPTION]))[OPTION]
    assert (quote.day, quote.volume, quote.last_trade_ns, quote.bids) == (NEVER_TRADED, 0, None, ())
    assert (quote.lower_circuit_e4, quote.upper_circuit_e4) == (500, 200_500)


async def reads_the_money(broker: DhanBroker, _: Pair) -> None:
    funds = await broker.account.funds(ACCOUNT)
    assert (funds.available_paise, funds.day_start_paise, funds.withdrawable_paise) == (11_564, 11_564, 11_564)
    assert (funds.utilized_paise, funds.collateral_paise) == (0, 0)


async def reads_the_book(broker: DhanBroker, _: Pair) -> None:
    assert list(await broker.orders(ACCOUNT)) == [RESTING]


async def reads_an_order(broker: DhanBroker, _: Pair) -> None:
    assert await broker.order_calls.order(ACCOUNT, ORDER_ID) == RESTING


async def reads_that_it_is_canceled(broker: DhanBroker, _: Pair) -> None:
    canceled = replace(RESTING, status=OrderStatus.CANCELED)
    assert await broker.order_calls.order(ACCOUNT, ORDER_ID) == canceled


async def reads_an_acceptance(broker: DhanBroker, _: Pair) -> None:
    placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
    assert isinstance(placement, Accepted)
    assert placement.venue_order_id == "752502167405"


async def reads_why_a_change_is_refused(broker: DhanBroker, _: Pair) -> None:
    refused = await broker.modify(ACCOUNT, ORDER_ID, LIMIT_BUY, Purpose.ENTRY)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.MARKET_CLOSED


async def reads_the_executions(broker: DhanBroker, pair: Pair) -> None:
    fills = await broker.fills(ACCOUNT)
    rows = json.loads(pair["response_text"])
    assert sorted((fill.venue_order_id, fill.quantity) for fill in fills) == sorted(
        (row["orderId"], row["tradedQuantity"]) for row in rows
    )
    assert {fill.price_e4 for fill in fills} == {round(row["tradedPrice"] * 10_000) for row in rows}
    assert len({fill.venue_fill_id for fill in fills}) == len(fills) == 35
    assert {fill.product for fill in fills} == {Product.CNC, Product.MARGIN}
    times = [fill.filled_at_ns for fill in fills]
    assert times == sorted(times)
    assert times[0] == utc_ns(2025, 7, 7, 3, 46, 26)  # 09:16:26 in India.


async def reads_that_nothing_is_held(broker: DhanBroker, _: Pair) -> None:
    assert await broker.positions(ACCOUNT) == []
    assert await broker.portfolio.positions(ACCOUNT) == []


async def reads_a_candle_a_day(broker: DhanBroker, _: Pair) -> None:
    candles = await broker.market_data.daily_candles(ACCOUNT, HDFCBANK, "EQUITY", date(2022, 1, 8), date(2022, 2, 8))
    assert len(candles) == 20
    first = candles[0]
    assert (first.open_e4, first.high_e4, first.low_e4, first.volume) == (15_580_000, 15_720_000, 15_455_000, 4_428_248)
    assert first.opened_at_ns == utc_ns(2022, 1, 9, 18, 30, 0)  # Midnight of the tenth in India.


async def reads_a_candle_a_minute(broker: DhanBroker, _: Pair) -> None:
    begin, end = datetime(2024, 9, 11), datetime(2024, 9, 15)  # noqa: DTZ001 - Indian times, as the call wants them
    candles = await broker.market_data.intraday_candles(ACCOUNT, HDFCBANK, "EQUITY", begin, end)
    assert len(candles) == 1_125  # Three sessions of 375 minutes.
    assert candles[0].opened_at_ns == utc_ns(2024, 9, 11, 3, 45, 0)
    assert candles[-1].opened_at_ns == utc_ns(2024, 9, 13, 9, 59, 0)


async def reads_the_option_chain(broker: DhanBroker, _: Pair) -> None:
    chain = await broker.market_data.option_chain(ACCOUNT, NIFTY, date(2025, 1, 30))
    assert (chain.last_price_e4, len(chain.strikes)) == (229_529_492, 249)
    (strike,) = [strike for strike in chain.strikes if strike.strike_e4 == 238_000_000]
    assert strike.call is not None
    assert (strike.call.last_price_e4, strike.call.open_interest, strike.call.bid_quantity) == (
        21_000,
        6_081_025,
        23_175,
    )


async def concludes_nothing_from_the_gateways_own_404(broker: DhanBroker, _: Pair) -> None:
    with pytest.raises(BrokerUnavailable):
        await broker.find_order(ACCOUNT, CORRELATION)
    placement = await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)
    assert isinstance(placement, OutcomeUnknown)


GATEWAY_404 = ("GET client/error_400", "GET client/error_500", "GET client/error_unknown")
CALLS: dict[str, Check] = {
    "POST base_api/marketfeed_ltp": quotes_nothing_of_what_was_not_asked_for,
    "POST client/marketfeed_ohlc": has_no_day_prices_of_it_either,
    "POST base_api/marketfeed_ohlc": takes_prices_of_nothing_for_none,
    "POST base_api/marketfeed_quote": reads_a_quote_outside_the_session,
    "GET models/funds": reads_the_money,
    "GET models/orders/all": reads_the_book,
    "GET models/orders/order": reads_an_order,
    "GET models/orders/update": reads_that_it_is_canceled,
    "POST models/orders/create": reads_an_acceptance,
    "PUT models/orders/update": reads_why_a_change_is_refused,
    "GET models/trade_today": reads_the_executions,
    "GET resources/positions": reads_that_nothing_is_held,
    "POST resources/historical_data_daily": reads_a_candle_a_day,
    "POST resources/historical_data_intraday": reads_a_candle_a_minute,
    "POST resources/option_chain": reads_the_option_chain,
    **dict.fromkeys(GATEWAY_404, concludes_nothing_from_the_gateways_own_404),
}
"""What the adapter makes of each genuine answer."""

LEFT_OUT = {
    "GET dhan_hq_get_request": "a path without /v2, which the adapter never asks for",
    "GET models/ledger_entry": "the ledger, which nothing of ours asks for: charges are booked from a tariff",
}
"""The genuine pairs that no call of the adapter's stands behind, and why."""


@pytest.mark.parametrize("name", CALLS)
async def test_the_adapter_makes_of_a_recorded_answer_what_it_says(name: str) -> None:
    (pair,) = [pair for pair in genuine() if name_of(pair) == name]
    recorded = answer(pair["status"], body=pair["response_text"].encode())
    async with venue_and_broker() as (venue, broker):
        if name in GATEWAY_404:
            venue.on("GET", f"{ORDERS_PATH}/external/{CORRELATION}", recorded)
            venue.on("POST", ORDERS_PATH, recorded)
            await CALLS[name](broker, pair)
        else:
            path = urlsplit(pair["uri"]).path
            venue.on(pair["method"], path, recorded)
            await CALLS[name](broker, pair)
            assert venue.requests(pair["method"], path)  # It is this call that the venue answered so.


def test_every_genuine_answer_is_read_or_left_out_for_a_reason() -> None:
    names = [name_of(pair) for pair in genuine()]
    assert len(names) == 20
    assert sorted(names) == sorted([*CALLS, *LEFT_OUT])
