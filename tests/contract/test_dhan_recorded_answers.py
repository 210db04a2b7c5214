"""Answers recorded from the venue itself are read as what they are."""

import json
from typing import Any

from adapters.dhan.http.errors import Ambiguous, Fine, VenueRefusal, classify
from adapters.dhan.rest.account import funds_of, margin_of, profile_of
from adapters.dhan.rest.market_data import candles_of, chain_of, quotes_of
from adapters.dhan.words.codec import (
    fill_of,
    ist_text_of,
    order_of,
    parse_document,
    position_of,
    rows_of,
    supported,
    venue_order_id_of,
)
from domain.order import OrderStatus, OrderType, Product, RefusalReason, Side
from tests.support.dhan_recordings import FOLDER, needs_recordings, recorded

pytestmark = needs_recordings


def answer_to(method: str, path: str, *, cassette: str) -> tuple[int, bytes]:
    found = [
        (pair["status"], pair["response_text"].encode())
        for pair in recorded()
        if pair["method"] == method and pair["uri"].endswith(path) and cassette in pair["cassette"]
    ]
    return found[-1]


def document_of(method: str, path: str, *, cassette: str) -> Any:
    verdict = classify(*answer_to(method, path, cassette=cassette))
    assert isinstance(verdict, Fine)
    return verdict.document


def test_every_recorded_success_is_fine_and_every_recorded_error_is_not() -> None:
    for pair in recorded():
        verdict = classify(pair["status"], pair["response_text"].encode())
        is_error = pair["status"] >= 400 or "errorCode" in pair["response_text"]
        assert isinstance(verdict, Fine) is not is_error, pair["cassette"]


def test_the_recorded_order_book_is_read() -> None:
    [order] = [order_of(row) for row in rows_of(document_of("GET", "/v2/orders", cassette="orders/all"))]
    assert (order.venue_order_id, order.correlation_id) == ("952502167319", None)
    assert (order.status, order.quantity, order.cumulative_quantity) == (OrderStatus.ACKNOWLEDGED, 20, 0)
    assert (order.order_type, order.side, order.product) == (OrderType.LIMIT, Side.BUY, Product.CNC)
    assert order.limit_price_e4 is not None
    assert order.instrument is not None


def test_the_recorded_canceled_order_is_canceled() -> None:
    [row] = rows_of(document_of("GET", "/v2/orders/952502167319", cassette="orders/update"))
    assert order_of(row).status is OrderStatus.CANCELED


def test_the_recorded_acceptance_has_its_id() -> None:
    document = document_of("POST", "/v2/orders", cassette="orders/create")
    assert venue_order_id_of(document) == "752502167405"


def test_the_recorded_trades_are_read_each_with_a_name_of_its_own() -> None:
    fills = [fill_of(row) for row in rows_of(document_of("GET", "/v2/trades", cassette="trade_today"))]
    assert len(fills) > 5
    assert len({fill.venue_fill_id for fill in fills}) == len(fills)
    assert fills[0].price_e4 == 3_920_000
    assert all(fill.quantity > 0 and fill.filled_at_ns > 0 for fill in fills)


def test_the_recorded_refusals_have_their_reasons() -> None:
    closed = classify(*answer_to("PUT", "/v2/orders/952502167319", cassette="orders/update"))
    token = classify(*answer_to("GET", "/v2/orders", cassette="error_dh_901"))
    throttled = classify(*answer_to("POST", "/v2/marketfeed/quote", cassette="error_dh_904"))
    reasons = [verdict.reason for verdict in (closed, token, throttled) if isinstance(verdict, VenueRefusal)]
    assert reasons == [RefusalReason.MARKET_CLOSED, RefusalReason.TOKEN, RefusalReason.RATE_LIMIT]
    assert isinstance(classify(*answer_to("GET", "/v2/invalid_endpoint", cassette="error_400")), Ambiguous)


def test_rows_of_the_older_form_are_read() -> None:
    lines = (FOLDER / "rest_v1_era_samples.jsonl").read_text(encoding="utf-8").splitlines()
    samples = {sample["call"]: sample["data"] for sample in map(json.loads, lines)}
    canceled = order_of(samples["GET /v2/orders"])
    assert (canceled.status, canceled.message) == (OrderStatus.CANCELED, "")
    rejected = order_of(samples["GET /v2/orders/{id}"])
    assert rejected.status is OrderStatus.REJECTED
    assert "Fund Limit Insufficient" in rejected.message
    positions = parse_document(json.dumps(samples["GET /v2/positions"]).encode())
    held = list(supported(rows_of(positions), position_of))
    assert [position.product for position in held] == [Product.MARGIN]


def test_the_recorded_money_and_margin_are_read() -> None:
    funds = funds_of(document_of("GET", "/v2/fundlimit", cassette="models/funds"))
    assert (funds.available_paise, funds.day_start_paise, funds.withdrawable_paise) == (11_564, 11_564, 11_564)
    margin = margin_of(document_of("POST", "/v2/margincalculator", cassette="margin_calculator"))
    assert (margin.total_paise, margin.leverage) == (714_000, "1X")


def test_the_recorded_profile_is_read() -> None:
    profile = profile_of(document_of("GET", "/v2/profile", cassette="models/profile"))
    assert profile.segments == ("Equity", "Derivative", "Currency", "Commodity")
    assert (profile.has_ddpi, profile.may_use_data) == (True, True)
    assert profile.token_valid_until_ns == 1_743_329_220 * 10**9


def test_the_recorded_quote_out_of_hours_has_neither_price_nor_time() -> None:
    document = document_of("POST", "/v2/marketfeed/quote", cassette="base_api/marketfeed_quote")
    [(key, quote)] = quotes_of(document).items()
    assert str(key) == "NSE_FNO:49081"
    assert (quote.day.last_price_e4, quote.last_trade_ns, quote.bids, quote.asks) == (None, None, (), ())
    assert (quote.lower_circuit_e4, quote.upper_circuit_e4) == (500, 200_500)


def test_the_recorded_candles_are_read() -> None:
    daily = candles_of(document_of("POST", "/v2/charts/historical", cassette="historical_data_daily"))
    intraday = candles_of(document_of("POST", "/v2/charts/intraday", cassette="historical_data_intraday"))
    for candles in (daily, intraday):
        assert len(candles) > 5
        assert all(candle.low_e4 <= candle.open_e4 <= candle.high_e4 for candle in candles)
        times = [candle.opened_at_ns for candle in candles]
        assert times == sorted(times)
    assert {ist_text_of(candle.opened_at_ns)[11:] for candle in daily} == {"00:00:00"}
    assert ist_text_of(intraday[0].opened_at_ns)[11:] == "09:15:00"


def test_the_recorded_option_chain_is_read_by_rising_strike() -> None:
    chain = chain_of(document_of("POST", "/v2/optionchain", cassette="resources/option_chain"))
    strikes = [strike.strike_e4 for strike in chain.strikes]
    assert len(strikes) > 50
    assert strikes == sorted(strikes)
    assert chain.last_price_e4 is not None
    quoted = [strike.call for strike in chain.strikes if strike.call is not None and strike.call.last_price_e4]
    assert quoted
    assert all(option.delta is not None for option in quoted)


def test_a_missing_data_plan_in_a_yes_is_no_answer() -> None:
    verdict = classify(*answer_to("POST", "/v2/marketfeed/ltp", cassette="error_806"))
    assert isinstance(verdict, Ambiguous)
