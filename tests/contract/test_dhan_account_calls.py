"""Portfolio, money, kill switch, profile and addresses at Dhan, over the wire, both ways."""

from datetime import date

import pytest

from adapters.dhan.guard.calls import Done
from adapters.dhan.rest.account import Registration
from commands.ports import BrokerUnavailable, Refused, VenuePosition
from domain.order import Product, RefusalReason
from tests.support.dhan import ACCOUNT, LIMIT_BUY, MARKET_SELL, POSITION_ROW, RELIANCE, venue_and_broker
from tests.support.venue import answer

NO_HOLDINGS = {"errorType": "HOLDING_ERROR", "errorCode": "DH-1111", "errorMessage": "No holdings available"}
NONE_SET = [{"message": "Something went wrong", "status": "ERROR"}]
REGISTERED = {"primaryIP": "203.0.113.7", "secondaryIP": "NA", "modifyDatePrimary": "2026-09-30"}
HELD = VenuePosition(
    instrument=RELIANCE.key, product=Product.INTRADAY, net_quantity=-5, bought_quantity=0, sold_quantity=5
)


async def test_holdings_are_read_and_none_is_no_error() -> None:
    row = {
        "exchange": "ALL",
        "tradingSymbol": "RELIANCE",
        "securityId": 2885,
        "isin": "INE002A01018",
        "totalQty": "12",
        "dpQty": 10,
        "t1Qty": 2,
        "availableQty": 10,
        "collateralQty": None,
        "avgCostPrice": 2655.0,
    }
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/holdings", answer(200, [row]), answer(500, NO_HOLDINGS))
        [holding] = await broker.portfolio.holdings(ACCOUNT)
        assert await broker.portfolio.holdings(ACCOUNT) == []
        assert len(venue.requests("GET", "/v2/holdings")) == 2
    assert (holding.security_id, holding.quantity, holding.available, holding.unsettled) == ("2885", 12, 10, 2)
    assert (holding.pledged, holding.average_cost_e4, holding.last_price_e4) == (0, 26_550_000, None)


async def test_positions_come_with_the_venues_own_averages_and_results() -> None:
    row = {
        **POSITION_ROW,
        "buyAvg": 2850.05,
        "sellAvg": 0.0,
        "realizedProfit": -12.5,
        "unrealizedProfit": "3.75",
        "multiplier": 1,
        "dayBuyQty": 7,
        "carryForwardSellQty": 2,
    }
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/positions", answer(200, [row, {**row, "productType": "CO"}]))
        [detail] = await broker.portfolio.positions(ACCOUNT)
    assert (detail.position.net_quantity, detail.bought_average_e4, detail.sold_average_e4) == (5, 28_500_500, None)
    assert (detail.realized_paise, detail.unrealized_paise) == (-1_250, 375)
    assert (detail.day_bought, detail.carried_sold, detail.carried_bought) == (7, 2, 0)


@pytest.mark.parametrize(("status", "document"), [(202, None), (200, {"status": "success"})])
async def test_a_position_is_converted_where_the_venue_says_yes_without_a_word(status: int, document: object) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/positions/convert", answer(status, document))
        done = await broker.portfolio.convert(ACCOUNT, HELD, to_product=Product.CNC, quantity=3)
        assert isinstance(done, Done)
        [request] = venue.requests("POST", "/v2/positions/convert")
    body = request.json()
    assert body.pop("dhanClientId")
    assert body == {
        "fromProductType": "INTRADAY",
        "exchangeSegment": "NSE_EQ",
        "positionType": "SHORT",
        "securityId": "2885",
        "convertQty": 3,
        "toProductType": "CNC",
    }


async def test_funds_and_margins_are_exact_paise() -> None:
    funds = {
        "dhanClientId": "1000000001",
        "availabelBalance": 98440.01,
        "sodLimit": 113642,
        "receiveableAmount": 0.0,
        "utilizedAmount": "15202.29",
    }
    margin = {"totalMargin": 2850.055, "availableBalance": 98440.0, "insufficientBalance": 0.0, "leverage": "5.00"}
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/fundlimit", answer(200, funds))
        venue.on("POST", "/v2/margincalculator", answer(200, margin))
        money = await broker.account.funds(ACCOUNT)
        needed = await broker.account.margin(ACCOUNT, LIMIT_BUY)
        await broker.account.margin(ACCOUNT, MARKET_SELL)
        limit, market = [request.json() for request in venue.requests("POST", "/v2/margincalculator")]
        venue.on("GET", "/v2/fundlimit", answer(200, {"sodLimit": 1}))
        with pytest.raises(BrokerUnavailable):
            await broker.account.funds(ACCOUNT)
    assert (money.available_paise, money.day_start_paise, money.utilized_paise) == (9_844_001, 11_364_200, 1_520_229)
    assert (needed.total_paise, needed.available_paise, needed.leverage) == (285_006, 9_844_000, "5.00")
    assert (limit["price"], limit["triggerPrice"], market["price"]) == (2850.05, 0, 0)


async def test_the_kill_switch_is_asked_in_the_query_and_told_in_words() -> None:
    async with venue_and_broker() as (venue, broker):
        told = {"dhanClientId": "1000000001", "killSwitchStatus": "Kill Switch has been successfully activated"}
        refusal = {"errorCode": "DH-906", "errorMessage": "Close all positions first"}
        venue.on("POST", "/v2/killswitch", answer(200, told), answer(400, refusal))
        venue.on("GET", "/v2/killswitch", answer(200, {"killSwitchStatus": "ACTIVATE"}))
        killed = await broker.account.kill(ACCOUNT)
        revived = await broker.account.revive(ACCOUNT)
        assert await broker.account.is_killed(ACCOUNT)
        queries = [(request.query, request.body) for request in venue.requests("POST", "/v2/killswitch")]
    assert isinstance(killed, Done)
    assert killed.value == told["killSwitchStatus"]
    assert isinstance(revived, Refused)
    assert queries == [({"killSwitchStatus": "ACTIVATE"}, b""), ({"killSwitchStatus": "DEACTIVATE"}, b"")]


async def test_the_profile_tells_what_a_token_may_do() -> None:
    live = {
        "dhanClientId": "1000000001",
        "tokenValidity": "30/03/2026 15:37",
        "activeSegment": "E, D, C, M, ",
        "ddpi": "Deactive",
        "mtf": "Active",
        "dataPlan": "Active",
        "dataValidity": "2026-12-05 09:37:52.0",
    }
    sandbox = {"dhanClientId": "1000000001", "tokenValidity": "30/03/2026 15:37", "activeSegment": "Equity"}
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/profile", answer(200, live), answer(200, sandbox))
        full, short = await broker.account.profile(ACCOUNT), await broker.account.profile(ACCOUNT)
    assert full.token_valid_until_ns == 1_774_865_220 * 10**9
    assert (full.segments, full.has_ddpi, full.may_use_data) == (("E", "D", "C", "M"), False, True)
    assert (short.segments, short.has_margin_funding, short.data_valid_until_ns) == (("Equity",), None, None)


async def test_addresses_are_registered_and_changed() -> None:
    saved = {"message": "IP saved successfully", "status": "SUCCESS"}
    locked = {"errorCode": "DH-905", "errorMessage": "IP can be modified after 7 days"}
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", "/v2/ip/setIP", answer(200, saved))
        venue.on("PUT", "/v2/ip/modifyIP", answer(400, locked))
        done = await broker.account.register_address(ACCOUNT, "203.0.113.7", Registration.PRIMARY)
        refused = await broker.account.change_address(ACCOUNT, "203.0.113.8", Registration.SECONDARY)
        [first], [second] = venue.requests("POST", "/v2/ip/setIP"), venue.requests("PUT", "/v2/ip/modifyIP")
    assert isinstance(done, Done)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.INPUT
    assert (first.json()["ip"], first.json()["ipFlag"]) == ("203.0.113.7", "PRIMARY")
    assert (second.json()["ip"], second.json()["ipFlag"]) == ("203.0.113.8", "SECONDARY")


@pytest.mark.parametrize(
    ("more", "is_ours"),
    [
        ({}, None),
        ({"detectedIP": "203.0.113.7"}, True),
        ({"detectedIP": "198.51.100.1"}, False),
        ({"ipMatchStatus": "MATCH", "detectedIP": "198.51.100.1"}, True),
        ({"ipMatchStatus": "MISMATCH"}, False),
        ({"ipMatchStatus": "MATCH", "ordersAllowed": False}, False),
        ({"ordersAllowed": True}, True),
    ],
)
async def test_whether_our_address_is_registered_is_told_as_far_as_the_venue_tells_it(
    more: dict[str, object],
    is_ours: bool | None,  # noqa: FBT001 - a parameter of the table
) -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", "/v2/ip/getIP", answer(200, {**REGISTERED, **more}))
        addresses = await broker.account.addresses(ACCOUNT)
    assert addresses is not None
    assert (addresses.primary, addresses.secondary) == ("203.0.113.7", None)
    assert (addresses.primary_changed_on, addresses.secondary_changed_on) == (date(2026, 9, 30), None)
    assert addresses.is_ours_registered is is_ours


async def test_no_registered_address_comes_as_an_error_in_a_yes_and_harms_no_breaker() -> None:
    async with venue_and_broker(breaker_failures_max=1) as (venue, broker):
        venue.on("GET", "/v2/ip/getIP", answer(200, NONE_SET))
        assert await broker.account.addresses(ACCOUNT) is None
        assert len(venue.requests("GET", "/v2/ip/getIP")) == 1
        assert broker.status()["breakers"]["lookups"]["state"] == "closed"
