"""Quotes, candles, option chains and the scrip master at Dhan, over the wire, both ways."""

import asyncio
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import SystemClock
from adapters.dhan.http.client import HttpClient
from adapters.dhan.rest.market_data import Candle, DayPrices, Level
from adapters.dhan.rest.scrip_files import ScripFiles, ScripLayout
from commands.ports import BrokerUnavailable
from domain.instrument import InstrumentKey, Segment
from tests.support.dhan import ACCOUNT, NIFTY, RELIANCE, settings_for, venue_and_broker
from tests.support.venue import Venue, answer, cut_short

OPTION = InstrumentKey(Segment.NSE_FNO, "49081")
NO_DATA_PLAN = {"data": {"806": "Data APIs not subscribed"}, "status": "failed"}
OPTION_ROW = {
    "average_price": 146.99,
    "greeks": {"delta": 0.53871, "theta": -15.1539, "gamma": 0.00132, "vega": 12.18593},
    "implied_volatility": 9.789193798280868,
    "last_price": 134,
    "oi": 3786445,
    "previous_close_price": 244.85,
    "previous_oi": 402220,
    "previous_volume": 31931705,
    "security_id": 42528,
    "top_ask_price": 134,
    "top_ask_quantity": 1365,
    "top_bid_price": 133.55,
    "top_bid_quantity": 1625,
    "volume": 117567970,
}


def under(segments: dict[str, Any]) -> dict[str, Any]:
    return {"data": segments, "status": "success"}


async def test_prices_are_asked_for_by_segment_and_unknown_ones_are_left_out() -> None:
    async with venue_and_broker() as (venue, broker):
        rows = {"NSE_EQ": {"2885": {"last_price": 2850.05}, "7": {"last_price": 0}}, "NSE_FNO": {}}
        venue.on("POST", "/v2/marketfeed/ltp", answer(200, under(rows)))
        prices = await broker.market_data.last_prices(ACCOUNT, [RELIANCE.key, OPTION, NIFTY.key])
        [request] = venue.requests("POST", "/v2/marketfeed/ltp")
    assert request.json() == {"NSE_EQ": [2885], "NSE_FNO": [49081], "IDX_I": [13]}
    assert request.headers["client-id"]
    assert prices == {RELIANCE.key: 28_500_500}


async def test_a_quote_has_its_book_and_no_time_where_nothing_was_traded() -> None:
    empty = {"quantity": 0, "orders": 0, "price": 0}
    row = {
        "average_price": 2849.87,
        "buy_quantity": 1200,
        "depth": {"buy": [{"quantity": 30, "orders": 2, "price": 2850}, empty], "sell": [empty, empty]},
        "last_price": 2850.05,
        "last_quantity": 5,
        "last_trade_time": "01/10/2026 10:00:00",
        "lower_circuit_limit": 2565.1,
        "ohlc": {"open": 2840, "close": 2838.3, "high": 2855, "low": 2835.5},
        "oi": 0,
        "upper_circuit_limit": 3135.1,
        "volume": 1_234_567,
    }
    never = {**row, "last_trade_time": "01/01/1980 00:00:00", "depth": None, "ohlc": None}
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/marketfeed/quote", answer(200, under({"NSE_EQ": {"2885": row, "7": never}})))
        quotes = await broker.market_data.quotes(ACCOUNT, [RELIANCE.key])
    quote, quiet = quotes[RELIANCE.key], quotes[InstrumentKey(Segment.NSE_EQ, "7")]
    assert quote.bids == (Level(price_e4=28_500_000, quantity=30, orders=2),)
    assert (quote.asks, quote.volume, quote.total_bid) == ((), 1_234_567, 1_200)
    assert (quote.lower_circuit_e4, quote.upper_circuit_e4) == (25_651_000, 31_351_000)
    assert (quote.last_trade_ns, quote.day.previous_close_e4) == (1_790_829_000 * 10**9, 28_383_000)
    assert (quiet.last_trade_ns, quiet.bids, quiet.day.open_e4) == (None, (), None)


async def test_a_second_question_for_quotes_waits_for_its_second() -> None:
    async with venue_and_broker(data_wait_s=0.0) as (venue, broker):
        prices = {"last_price": 1, "ohlc": {"open": 1, "high": 2, "low": 0, "close": "NA"}}
        venue.on("POST", "/v2/marketfeed/ohlc", answer(200, under({"NSE_EQ": {"2885": prices}})))
        told = await broker.market_data.day_prices(ACCOUNT, [RELIANCE.key])
        with pytest.raises(BrokerUnavailable, match="budget of quotes: 1 s: 1 of 1 used"):
            await broker.market_data.day_prices(ACCOUNT, [RELIANCE.key])
        assert broker.status()["budgets"][ACCOUNT]["quotes"]["1s"]["used"] == 1
    assert told[RELIANCE.key] == DayPrices(
        last_price_e4=10_000, open_e4=10_000, high_e4=20_000, low_e4=None, previous_close_e4=None
    )


async def test_a_missing_data_plan_is_told_and_not_asked_for_again() -> None:
    async with venue_and_broker() as (venue, broker):
        # It was recorded as a 200 as well.
        in_a_yes = {"errorCode": 806, "errorMessage": "Data APIs not subscribed"}
        venue.on("POST", "/v2/marketfeed/ltp", answer(401, NO_DATA_PLAN))
        venue.on("POST", "/v2/optionchain/expirylist", answer(200, in_a_yes))
        with pytest.raises(BrokerUnavailable, match="806: Data APIs not subscribed"):
            await broker.market_data.last_prices(ACCOUNT, [RELIANCE.key])
        with pytest.raises(BrokerUnavailable, match="806: Data APIs not subscribed"):
            await broker.market_data.expiries(ACCOUNT, NIFTY.key)
        assert len(venue.received) == 3  # A log-in, and each was asked once.
        assert broker.status()["breakers"]["data"]["consecutive_failures"] == 0
        with pytest.raises(ValueError, match="1001 instruments"):
            await broker.market_data.last_prices(ACCOUNT, [RELIANCE.key] * 1001)


async def test_candles_are_read_from_lists_and_exponents() -> None:
    columns = {
        "open": [3978.0, 3856.0],
        "high": [3978, 3925],
        "low": [3861, 3856],
        "close": [3879.85, "3915.9"],
        "volume": [3.937092e6, 1906106],
        "timestamp": [1.7260263e9, 1726054200],
    }
    with_interest = {**columns, "open_interest": [10, 11]}
    async with venue_and_broker(data_per_second=500) as (venue, broker):
        venue.on("POST", "/v2/charts/historical", answer(200, columns), answer(200, {"open": [], "timestamp": []}))
        venue.on("POST", "/v2/charts/intraday", answer(200, with_interest), answer(200, {**columns, "open": [1]}))
        days = [date(2024, 9, 11), date(2024, 9, 13)]
        daily = await broker.market_data.daily_candles(ACCOUNT, RELIANCE.key, "EQUITY", *days)
        assert await broker.market_data.daily_candles(ACCOUNT, RELIANCE.key, "EQUITY", *days) == []
        span = [datetime(2024, 9, 11, 9, 15), datetime(2024, 9, 11, 15, 30)]  # noqa: DTZ001 - Indian, as the venue has it
        intraday = await broker.market_data.intraday_candles(
            ACCOUNT, OPTION, "OPTIDX", *span, minutes=5, open_interest=True
        )
        with pytest.raises(BrokerUnavailable):
            await broker.market_data.intraday_candles(ACCOUNT, OPTION, "OPTIDX", *span)
        with pytest.raises(ValueError, match="candles of 3 minutes"):
            await broker.market_data.intraday_candles(ACCOUNT, OPTION, "OPTIDX", *span, minutes=3)
        asked_daily = venue.requests("POST", "/v2/charts/historical")[0].json()
        asked_intraday = venue.requests("POST", "/v2/charts/intraday")[0].json()
    assert daily[0] == Candle(
        opened_at_ns=1_726_026_300 * 10**9,
        open_e4=39_780_000,
        high_e4=39_780_000,
        low_e4=38_610_000,
        close_e4=38_798_500,
        volume=3_937_092,
    )
    assert [candle.open_interest for candle in intraday] == [10, 11]
    assert asked_daily == {
        "securityId": "2885",
        "exchangeSegment": "NSE_EQ",
        "instrument": "EQUITY",
        "expiryCode": 0,
        "oi": False,
        "fromDate": "2024-09-11",
        "toDate": "2024-09-13",
    }
    assert (asked_intraday["interval"], asked_intraday["fromDate"]) == ("5", "2024-09-11 09:15:00")


async def test_an_option_chain_is_read_by_rising_strike() -> None:
    chain = {
        "last_price": 25642.8,
        "oc": {"25700.000000": {"ce": OPTION_ROW, "pe": None}, "25650.000000": {"pe": OPTION_ROW}},
    }
    async with venue_and_broker(data_wait_s=0.0) as (venue, broker):
        venue.on("POST", "/v2/optionchain", answer(200, under(chain)))
        read = await broker.market_data.option_chain(ACCOUNT, NIFTY.key, date(2026, 10, 6))
        with pytest.raises(BrokerUnavailable, match="3 s: 1 of 1 used"):
            await broker.market_data.option_chain(ACCOUNT, NIFTY.key, date(2026, 10, 6))
        await broker.market_data.option_chain(ACCOUNT, NIFTY.key, date(2026, 10, 13))  # Another expiry counts apart.
        asked = venue.requests("POST", "/v2/optionchain")[0].json()
    assert asked == {"UnderlyingScrip": 13, "UnderlyingSeg": "IDX_I", "Expiry": "2026-10-06"}
    assert [strike.strike_e4 for strike in read.strikes] == [256_500_000, 257_000_000]
    low, high = read.strikes
    assert (low.call, high.put) == (None, None)
    assert high.call is not None
    assert (high.call.security_id, high.call.last_price_e4, high.call.bid_price_e4) == ("42528", 1_340_000, 1_335_500)
    assert high.call.delta == Decimal("0.53871")
    assert high.call.implied_volatility == Decimal("9.789193798280868")


async def test_expiries_are_days_and_a_bad_underlying_is_told() -> None:
    bad = {"data": {"813": "Invalid SecurityId"}, "status": "failed"}
    async with venue_and_broker(data_wait_s=0.0) as (venue, broker):
        days = {"data": ["2026-10-13", "2026-10-06"], "status": "success"}
        venue.on("POST", "/v2/optionchain/expirylist", answer(200, days), answer(400, bad))
        assert await broker.market_data.expiries(ACCOUNT, NIFTY.key) == [date(2026, 10, 6), date(2026, 10, 13)]
        with pytest.raises(BrokerUnavailable, match="813: Invalid SecurityId"):
            await broker.market_data.expiries(ACCOUNT, RELIANCE.key)


async def test_the_scrip_master_is_downloaded_whole_or_not_at_all(tmp_path: Path) -> None:
    path = "/files/api-scrip-master.csv"
    async with Venue() as venue:
        settings = settings_for(venue.url, files_url=f"{venue.url}/files")
        client = HttpClient(settings, SystemClock())
        files = ScripFiles(client, settings)
        venue.on("GET", path, answer(200, body=b"A,B\n1,2\n"))
        file = await files.download(ScripLayout.COMPACT, tmp_path)
        for torn in (cut_short(200, {"a": "long enough to be cut"}), answer(404), answer(200, body=b"")):
            venue.on("GET", path, torn)
            with pytest.raises(BrokerUnavailable):
                await files.download(ScripLayout.COMPACT, tmp_path)
        await client.aclose()
    assert await asyncio.to_thread(_contents, tmp_path) == {file.name: b"A,B\n1,2\n"}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
