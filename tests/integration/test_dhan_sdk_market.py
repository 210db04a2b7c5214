"""The broker's official client asks the simulator for all that is no order."""

import asyncio
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from dhanhq.auth import DhanLogin

from adapters.bars.parquet import ParquetBars
from adapters.simulator.access.clients import pin_of
from adapters.simulator.access.consents import api_key_of
from domain.market import EXCHANGE_ZONE
from projections.ports import DailyBar
from tests.support.dhan_sdk import ask, official_client, refusal
from tests.support.option_market import CALL, NEAR, NEXT, OPTION_MARKET, STRIKES
from tests.support.tape import CLIENT_ID, NIFTY, RELIANCE, SECRET, MovedClock, ScriptedTape, config_of, steady, venue

PRICE = 1_310_00_00
DAY, OPEN = "2026-04-15", int(datetime(2026, 4, 15, 9, 15, tzinfo=EXCHANGE_ZONE).timestamp())
CLOSES = {RELIANCE: PRICE - 10_000}
AWAY = "198.51.100.7"


def minutes(*prices_e4: int) -> ScriptedTape:
    """Return a tape on which RELIANCE prints one price a minute, 10 units each."""
    quiet = [[] for _ in range(59)]
    return ScriptedTape(
        *(second for price in prices_e4 for second in ([(RELIANCE, price, 10)], *quiet)), previous_closes_e4=CLOSES
    )


# --- Quotes


async def test_quotes_tell_last_prices_the_day_and_five_levels() -> None:
    tape = ScriptedTape(
        [(RELIANCE, PRICE, 10)], [(RELIANCE, PRICE + 10_000, 30)], [(RELIANCE, PRICE - 20_000, 10)],
        previous_closes_e4=CLOSES,
    )  # fmt: skip
    async with venue(config_of(tape)) as client:
        await client.step(3)
        with official_client(client) as dhan:
            asked = {"NSE_EQ": [2885], "BSE_EQ": [999]}
            ltp, ohlc, quote = [
                await ask(call, dict(asked)) for call in (dhan.ticker_data, dhan.ohlc_data, dhan.quote_data)
            ]
    assert ltp == {"data": {"NSE_EQ": {"2885": {"last_price": 1308.0}}, "BSE_EQ": {}}, "status": "success"}
    day = {"open": 1310.0, "close": 1309.0, "high": 1311.0, "low": 1308.0}
    assert ohlc["data"]["NSE_EQ"]["2885"] == {"last_price": 1308.0, "ohlc": day}
    row = quote["data"]["NSE_EQ"]["2885"]
    assert (row["last_price"], row["ohlc"], row["net_change"]) == (1308.0, day, -1.0)
    assert (row["volume"], row["average_price"], row["last_quantity"]) == (50, 1310.2, 10)
    assert row["last_trade_time"] == "15/04/2026 09:15:02"
    assert [len(row["depth"][side]) for side in ("buy", "sell")] == [5, 5]
    assert row["depth"]["buy"][0]["price"] <= 1308.0 <= row["depth"]["sell"][0]["price"]


# --- Charts


async def test_minute_charts_are_candles_of_what_was_printed() -> None:
    async with venue(config_of(minutes(*(PRICE + number * 10_000 for number in range(26))))) as client:
        await client.step(26 * 60)
        with official_client(client) as dhan:
            ones = await ask(dhan.intraday_minute_data, "2885", dhan.NSE, "EQUITY", DAY, DAY)
            longer = await ask(dhan.intraday_minute_data, "2885", dhan.NSE, "EQUITY", DAY, DAY, 25, oi=True)
            within = await ask(
                dhan.intraday_minute_data, "2885", dhan.NSE, "EQUITY", f"{DAY} 09:16:00", f"{DAY} 09:17:00"
            )
            elsewhen = await ask(dhan.intraday_minute_data, "2885", dhan.NSE, "EQUITY", "2026-04-13", "2026-04-14")
            unknown = await ask(dhan.intraday_minute_data, "1", dhan.NSE, "EQUITY", DAY, DAY)
            refused = [
                await refusal(dhan.intraday_minute_data, "2885", dhan.NSE, "EQUITY", *asked)
                for asked in (("2026-01-01", DAY), (DAY, DAY, 3), ("15.04.2026", DAY), (DAY, "2026-04-14"))
            ]
    assert ones["timestamp"] == [OPEN + 60 * number for number in range(26)]
    assert ones["close"] == [1310.0 + number for number in range(26)]
    assert longer == {
        "open": [1310.0, 1335.0],
        "high": [1334.0, 1335.0],
        "low": [1310.0, 1335.0],
        "close": [1334.0, 1335.0],
        "volume": [250.0, 10.0],
        "timestamp": [OPEN, OPEN + 1_500],
        "open_interest": [0.0, 0.0],
    }
    assert within["open"] == [1311.0, 1312.0]
    assert elsewhen == unknown == {name: [] for name in ones}
    assert {remarks["error_code"] for remarks in refused} == {"DH-905"}
    assert refused[0]["error_message"] == "Data for Intraday Charts can be fetched for 90 days at a time"


async def test_daily_charts_are_stored_days_on_the_newest_scale_and_the_tape_once_it_is_over(tmp_path: Path) -> None:
    bars = ParquetBars(tmp_path)
    day = DailyBar(
        day="2026-04-13",
        open_e4=20_000,
        high_e4=24_000,
        low_e4=18_000,
        close_e4=22_000,
        volume=7,
        adjusted_close_e4=11_000,
    )
    bars.write(RELIANCE, [day])
    async with venue(config_of(steady(PRICE, PRICE + 10_000), bars=bars)) as client:
        await client.step(2)
        with official_client(client) as dhan:

            async def days(until: str) -> list[object]:
                found = await ask(dhan.historical_daily_data, "2885", dhan.NSE, "EQUITY", "2026-04-01", until)
                names = ("open", "high", "low", "close", "volume", "timestamp")
                return list(zip(*(found[name] for name in names), strict=True))

            before = await days("2026-04-16")
            await client.step()
            after = await days("2026-04-16")
            short = await days("2026-04-15")
    midnight = OPEN - (9 * 60 + 15) * 60
    stored = (1.0, 1.2, 0.9, 1.1, 7.0, midnight - 2 * 86_400)
    assert before == short == [stored]
    assert after == [stored, (1310.0, 1311.0, 1310.0, 1311.0, 2_000_000.0, midnight)]


async def test_the_past_of_expired_options_is_empty_in_its_own_shape() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        with official_client(client) as dhan:
            found = await ask(
                dhan.expired_options_data, 13, "NSE_FNO", "OPTIDX", "WEEK", 1, "ATM", "PUT", ["open", "iv"], DAY, DAY
            )
    assert found == {"data": {"ce": None, "pe": {"iv": [], "open": [], "timestamp": []}}}


# --- Options


async def test_an_option_chain_is_priced_by_the_tape_where_it_has_a_price_and_by_the_model_elsewhere() -> None:
    tape = ScriptedTape([(NIFTY, 24_100_0000, 0), (CALL.key, 150_0000, 650)], previous_closes_e4={CALL.key: 120_0000})
    async with venue(config_of(tape, instruments=OPTION_MARKET)) as client:
        await client.step()
        with official_client(client) as dhan:
            expiries = await ask(dhan.expiry_list, 13, "IDX_I")
            chain = await ask(dhan.option_chain, 13, "IDX_I", NEAR)
            without = await ask(dhan.expiry_list, 2885, "NSE_EQ")
            wrong = [
                await client.http.post(
                    "/v2/optionchain", json={"UnderlyingScrip": scrip, "UnderlyingSeg": "IDX_I", "Expiry": day}
                )
                for scrip, day in ((1, NEAR), (13, "2026-04-17"), (13, "soon"))
            ]
    assert expiries == {"data": [NEAR, NEXT], "status": "success"}
    assert without == {"data": [], "status": "success"}
    assert [(each.status_code, list(each.json()["data"])) for each in wrong] == [
        (400, ["813"]),
        (400, ["811"]),
        (400, ["812"]),
    ]
    data = chain["data"]
    assert data["last_price"] == 24_100.0
    assert list(data["oc"]) == [f"{strike}.000000" for strike in STRIKES]
    traded, model = data["oc"]["24100.000000"]["ce"], data["oc"]["24100.000000"]["pe"]
    assert (traded["last_price"], traded["previous_close_price"], traded["volume"]) == (150.0, 120.0, 650)
    assert traded["security_id"] == int(CALL.key.security_id)
    assert traded["implied_volatility"] > model["implied_volatility"] > 0
    assert traded["greeks"]["delta"] > 0 > model["greeks"]["delta"]
    for side, is_dearer in (("ce", False), ("pe", True)):
        prices = [data["oc"][f"{strike}.000000"][side]["last_price"] for strike in STRIKES if strike != 24_100]
        assert prices == sorted(prices, reverse=not is_dearer)
        assert all(price > 0 for price in prices)


# --- The instrument master


async def test_the_master_is_downloaded_by_anybody_and_by_segment_with_a_token() -> None:
    async with venue(config_of(steady(PRICE), instruments=OPTION_MARKET)) as client:
        async with httpx.AsyncClient(base_url=client.http.base_url) as nobody:
            compact, detailed = [
                await nobody.get(f"/api-data/api-scrip-master{kind}.csv") for kind in ("", "-detailed")
            ]
            closed = await nobody.get("/v2/instrument/IDX_I")
        indices = await client.http.get("/v2/instrument/IDX_I")
        wrong = await client.http.get("/v2/instrument/NOWHERE")
    whole = 1 + len(OPTION_MARKET.all(market_time_ns=OPEN * 10**9))
    assert [len(each.text.splitlines()) for each in (compact, detailed)] == [whole, whole]
    assert compact.text.startswith("SEM_EXM_EXCH_ID,")
    assert [line.split(",")[2] for line in indices.text.splitlines()[1:]] == ["25", "13"]
    assert (closed.status_code, wrong.status_code) == (401, 400)


# --- Tokens


async def test_a_token_is_renewed_once_and_the_former_one_is_dead() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        with official_client(client):
            login = DhanLogin(CLIENT_ID)
            first = client.token
            renewed = await asyncio.to_thread(login.renew_token, first)
            profile = await asyncio.to_thread(login.user_profile, renewed["accessToken"])
            with pytest.raises(Exception, match="Invalid Token"):
                await asyncio.to_thread(login.renew_token, first)
            with pytest.raises(Exception, match="DH-901"):
                await asyncio.to_thread(login.user_profile, first)
            by_post = await client.http.post("/v2/RenewToken")
    assert renewed.keys() == {
        "dhanClientId", "dhanClientName", "dhanClientUcc", "givenPowerOfAttorney", "accessToken", "expiryTime",
    }  # fmt: skip
    assert profile["dhanClientId"] == CLIENT_ID
    assert (by_post.status_code, by_post.json()["errorCode"]) == (400, "DH-905")


async def test_a_program_gets_its_token_by_a_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    app_id, app_secret = api_key_of(CLIENT_ID, secret=SECRET)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    async with venue(config_of(steady(PRICE), consent_redirect="http://app.example/back"), logged_in=False) as client:
        with official_client(client):
            login = DhanLogin(CLIENT_ID)
            consent_id = await asyncio.to_thread(login.generate_login_session, app_id, app_secret)
            (page,) = opened
            sent_on = await client.http.get(page)
            token_id = httpx.URL(sent_on.headers["location"]).params["tokenId"]
            token = await asyncio.to_thread(login.consume_token_id, token_id, app_id, app_secret)
            profile = await asyncio.to_thread(login.user_profile, token["accessToken"])
            with pytest.raises(Exception, match="DH-905"):
                await asyncio.to_thread(login.consume_token_id, token_id, app_id, app_secret)
            with pytest.raises(Exception, match="DH-901"):
                await asyncio.to_thread(login.generate_login_session, app_id, "wrong")
    assert page.endswith(f"/login/consentApp-login?consentAppId={consent_id}")
    assert (sent_on.status_code, sent_on.headers["location"].partition("?")[0]) == (302, "http://app.example/back")
    assert profile["dhanClientId"] == CLIENT_ID


async def test_the_official_client_logs_in_with_pin_and_totp() -> None:
    async with venue(config_of(steady(PRICE)), logged_in=False) as client:
        with official_client(client):
            login = DhanLogin(CLIENT_ID)
            token = await asyncio.to_thread(login.generate_token, pin_of(CLIENT_ID, secret=SECRET), "000000")
    assert token["dhanClientId"] == CLIENT_ID


# --- Addresses


async def test_orders_come_from_the_addresses_on_the_list_alone_and_reads_from_anywhere() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            login = DhanLogin(CLIENT_ID)
            none = await ask(login.get_ip, client.token)
            saved = await ask(login.set_ip, client.token, "127.0.0.1", "PRIMARY")
            locked = [await refusal(call, client.token, AWAY, "PRIMARY") for call in (login.set_ip, login.modify_ip)]
            known = await ask(login.get_ip, client.token)
            placed = await client.place()
            await client.admin("POST", "/address", json={"client_id": CLIENT_ID, "address": AWAY})
            elsewhere = await ask(login.get_ip, client.token)
            refused = [
                await refusal(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 1, dhan.LIMIT, dhan.INTRA, 1300.0),
                await refusal(dhan.cancel_order, placed.json()["orderId"]),
                await refusal(dhan.modify_order, placed.json()["orderId"], dhan.LIMIT, None, 1, 1.0, 0, 0, dhan.DAY),
            ]
            book = await ask(dhan.get_order_list)
            await client.admin("POST", "/address", json={"client_id": CLIENT_ID, "address": None})
            again = await client.place()
    assert none == [{"message": "Something went wrong", "status": "ERROR"}]
    assert saved == {"message": "IP saved successfully", "status": "SUCCESS"}
    assert {remarks["error_code"] for remarks in locked} == {"DH-905"}
    assert (known["primaryIP"], known["secondaryIP"], known["ipMatchStatus"]) == ("127.0.0.1", "", "MATCH")
    assert (elsewhere["detectedIP"], elsewhere["ordersAllowed"]) == (AWAY, False)
    assert [remarks["error_message"] for remarks in refused] == ["Invalid IP"] * 3
    assert len(book) == 1
    assert (placed.status_code, again.status_code) == (200, 200)


# --- Margins and statements


async def test_margins_are_those_that_the_funds_are_bound_by() -> None:
    async with venue(config_of(steady(PRICE, PRICE))) as client:
        await client.step()
        with official_client(client) as dhan:
            single = await ask(dhan.margin_calculator, "2885", "NSE_EQ", "BUY", 1_000, "CNC", 1310.0)
            leg = {
                "exchangeSegment": "NSE_EQ", "transactionType": "BUY", "quantity": 10, "productType": "INTRADAY",
                "securityId": "2885", "price": 1310.0, "triggerPrice": 0,
            }  # fmt: skip
            await client.place()
            funds = await ask(dhan.get_fund_limits)
            alone = await ask(dhan.margin_calculator_multi, [leg, {**leg, "transactionType": "SELL"}])
            whole = await ask(dhan.margin_calculator_multi, [leg], include_position=True, include_order=True)
            at_the_market = await ask(dhan.margin_calculator, "2885", "NSE_EQ", "SELL", 10, "CNC", 0)
            wrong = [
                await refusal(dhan.margin_calculator, *asked)
                for asked in (
                    ("1", "NSE_EQ", "BUY", 10, "CNC", 1310.0),
                    ("1594", "NSE_EQ", "BUY", 10, "CNC", 0),
                    ("2885", "NSE_EQ", "BUY", 0, "CNC", 1310.0),
                )
            ]
    assert (single["totalMargin"], single["insufficientBalance"], single["leverage"]) == (
        1_310_000.0,
        310_000.0,
        "1.00",
    )
    assert funds["utilizedAmount"] == 2_620.0
    assert (alone["total_margin"], alone["equity_margin"], alone["fo_margin"]) == ("2620.00", "2620.00", "0.00")
    assert whole["total_margin"] == "5240.00"
    assert at_the_market["totalMargin"] == 13_100.0
    assert [remarks["error_code"] for remarks in wrong] == ["DH-905"] * 3


async def test_what_was_bought_for_delivery_on_an_earlier_day_is_a_holding(tmp_path: Path) -> None:
    journal = tmp_path / "books.jsonl"
    async with venue(config_of(steady(PRICE, PRICE), journal=journal)) as client:
        await client.step()
        with official_client(client) as dhan:
            await ask(dhan.place_order, "2885", dhan.NSE, dhan.BUY, 10, dhan.LIMIT, dhan.CNC, 1310.0)
            nothing = await refusal(dhan.get_holdings)
    tomorrow = steady(PRICE + 10_000, PRICE, start_ns=(OPEN + 86_400) * 10**9)
    async with venue(config_of(tomorrow, journal=journal)) as client:
        await client.step()
        with official_client(client) as dhan:
            (held,) = await ask(dhan.get_holdings)
            inquiry = await ask(dhan.edis_inquiry, "ALL")
            tpin = await client.http.get("/v2/edis/tpin")
            form = await client.http.post(
                "/v2/edis/form", json={"isin": "ALL", "qty": 1, "exchange": "NSE", "segment": "EQ", "bulk": True}
            )
            ledger = await ask(dhan.ledger_report, "2026-04-01", "2026-04-30")
    assert nothing["error_code"] == "DH-1111"
    assert (held["tradingSymbol"], held["totalQty"], held["availableQty"]) == ("RELIANCE", 10, 10)
    assert (held["avgCostPrice"], held["lastTradedPrice"]) == (1310.0, 1311.0)
    assert (inquiry["totalQty"], inquiry["aprvdQty"], inquiry["status"]) == (10, 10, "SUCCESS")
    assert (tpin.status_code, tpin.content) == (202, b"")
    assert form.json()["edisFormHtml"].startswith("<!DOCTYPE html>")
    assert [row["narration"] for row in ledger] == ["CLOSING BALANCE", "OPENING BALANCE"]


# --- Rates


async def test_each_family_has_its_own_limit_and_its_own_429() -> None:
    clock = MovedClock()
    clock.stands_at_ns = 0  # However long the machine takes for them, all requests come in one moment.
    async with venue(config_of(steady(PRICE), rate_limited=True, instruments=OPTION_MARKET, clock=clock)) as client:
        await client.step()

        async def twice(path: str, body: dict[str, object], *, times: int = 2) -> list[httpx.Response]:
            return list(await asyncio.gather(*(client.http.post(f"/v2{path}", json=body) for _ in range(times))))

        quotes = await twice("/marketfeed/quote", {"NSE_EQ": [2885]})
        chart = {
            "securityId": "2885",
            "exchangeSegment": "NSE_EQ",
            "instrument": "EQUITY",
            "fromDate": DAY,
            "toDate": DAY,
        }
        charts = await twice("/charts/historical", chart, times=6)
        chains = await twice("/optionchain/expirylist", {"UnderlyingScrip": 13, "UnderlyingSeg": "IDX_I"})
        another = await twice("/optionchain/expirylist", {"UnderlyingScrip": 25, "UnderlyingSeg": "IDX_I"}, times=1)
    for family, allowed in ((quotes, 1), (charts, 5), (chains, 1)):
        assert sorted(each.status_code for each in family) == [200] * allowed + [429]
    (quote,), (chart_refused,), (chain,) = (
        [each.json() for each in family if each.status_code == 429] for family in (quotes, charts, chains)
    )
    assert quote == chain
    assert quote["data"].keys() == {"805"}
    assert (chart_refused["errorCode"], chart_refused["errorType"]) == ("DH-904", "Rate_Limit")
    assert another[0].status_code == 200
