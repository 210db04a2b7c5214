"""Good specimens and small parts for tests of the Dhan adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import LoginUnavailable, PaperLogins, PinLogin, Session, session_of
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.secret import Secret
from adapters.dhan.settings import DhanSettings
from domain.ids import AccountId, CorrelationId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.order import OrderInstruction, OrderType, Product, Side, TimeInForce
from tests.support.venue import Venue, answer

ACCOUNT = AccountId("acc_01HZY0000000000000000000AA")
OTHER_ACCOUNT = AccountId("acc_01HZY0000000000000000000BB")
CORRELATION = CorrelationId("Ab1aaaaaaaaaaaaaaaaaaaa9Z")
SIMULATOR_KEY = bytes(range(32))

RELIANCE = Instrument(
    key=InstrumentKey(Segment.NSE_EQ, "2885"),
    symbol="RELIANCE",
    name="Reliance Industries",
    tradable=True,
    tick_e4=500,
    lot=1,
)
NIFTY = Instrument(
    key=InstrumentKey(Segment.INDEX, "13"), symbol="NIFTY", name="Nifty 50", tradable=False, tick_e4=500, lot=1
)

LIMIT_BUY = OrderInstruction(
    instrument=RELIANCE.key,
    side=Side.BUY,
    quantity=5,
    order_type=OrderType.LIMIT,
    limit_price_e4=28_500_500,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
)
MARKET_SELL = OrderInstruction(
    instrument=RELIANCE.key,
    side=Side.SELL,
    quantity=5,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
)
STOP_SELL = OrderInstruction(
    instrument=RELIANCE.key,
    side=Side.SELL,
    quantity=5,
    order_type=OrderType.SL,
    limit_price_e4=28_490_000,
    product=Product.INTRADAY,
    trigger_price_e4=28_500_000,
)

TOKEN_PATH = "/app/generateAccessToken"
ORDERS_PATH = "/v2/orders"
PROFILE_PATH = "/v2/profile"
ACCEPTED = {"orderId": "112111182198", "orderStatus": "TRANSIT"}
INVALID_TOKEN = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Invalid Token"}
UNHEALTHY = {"errorType": "Internal_Server_Error", "errorCode": "DH-908", "errorMessage": "Internal error"}

ORDER_ROW: dict[str, Any] = {
    "dhanClientId": "1000000001",
    "orderId": "112111182198",
    "exchangeOrderId": "1100000012345678",
    "correlationId": CORRELATION,
    "orderStatus": "PENDING",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "tradingSymbol": "RELIANCE",
    "securityId": "2885",
    "quantity": 5,
    "price": 2850.05,
    "omsErrorCode": "0",
    "omsErrorDescription": "CONFIRMED",
    "remainingQuantity": 5,
    "averageTradedPrice": 0.0,
    "filledQty": 0,
}
TRADE_ROW: dict[str, Any] = {
    "dhanClientId": "1000000001",
    "orderId": "112111182198",
    "exchangeOrderId": "1100000012345678",
    "exchangeTradeId": "200764585",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "securityId": "2885",
    "tradedQuantity": 2,
    "tradedPrice": 2850.05,
    "createTime": "2026-10-01 10:00:00",
    "updateTime": "2026-10-01 10:00:01",
    "exchangeTime": "2026-10-01 10:00:01",
}
POSITION_ROW: dict[str, Any] = {
    "securityId": "2885",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "positionType": "LONG",
    "buyQty": 7,
    "sellQty": 2,
    "netQty": 5,
}


class HandClock:
    """A clock that moves only when told."""

    def __init__(self, now_ns: int = 1_760_000_000_000_000_000) -> None:
        self._now_ns = now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 1e9)

    def wall_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns


class CountingLogins:
    """Log-ins that always work, each with a token of its own."""

    def __init__(self) -> None:
        self.count = 0
        self.is_down = False

    async def log_in(self, account_id: AccountId) -> Session:  # noqa: ARG002 - all accounts are alike here
        self.count += 1
        if self.is_down:
            raise LoginUnavailable("down")
        return session_of("1000000001", Secret(f"token-{self.count}"), now_ns=SystemClock().wall_ns(), renew_before_s=0)


def token_answer(token: str) -> dict[str, Any]:
    return {"dhanClientId": "1000000001", "accessToken": token, "expiryTime": "2099-01-01T09:00:00.000"}


def settings_for(venue_url: str, **changes: Any) -> DhanSettings:
    """Return settings with pauses small enough for tests.

    Time-outs are long, so that a busy machine makes nothing fail; a test that waits for one shortens it.
    """
    quick = DhanSettings(
        base_url=f"{venue_url}/v2",
        auth_url=venue_url,
        connect_timeout_s=2.0,
        read_timeout_s=2.0,
        call_timeout_s=4.0,
        probe_timeout_s=2.0,
        budget_wait_s=0.05,
        rate_limit_pause_s=0.05,
        breaker_reset_s=0.05,
        breaker_stall_s=None,
        exit_pace_s=0.02,
        read_backoff_s=0.001,
        read_backoff_max_s=0.01,
        login_pause_s=0.05,
        requests_per_minute=1_000,
        burst_limit=500,
        reads_per_second=500,
        feed_backoff_s=0.01,
        feed_backoff_max_s=0.05,
        feed_refused_backoff_s=0.02,
        updates_settle_s=0.05,
        updates_backoff_s=0.01,
        updates_backoff_max_s=0.05,
    )
    return msgspec.structs.replace(quick, **changes)


def broker_at(settings: DhanSettings) -> DhanBroker:
    """Return a broker of paper accounts."""
    clock = SystemClock()
    client = HttpClient(settings, clock)
    logins = PaperLogins(PinLogin(client, settings, clock), SIMULATOR_KEY)
    return DhanBroker(settings, logins, client, clock)


@asynccontextmanager
async def venue_and_broker(**changes: Any) -> AsyncIterator[tuple[Venue, DhanBroker]]:
    """Yield a venue that lets everybody log in, and a broker for it."""
    async with Venue() as venue:
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("token-1")))
        venue.on("GET", PROFILE_PATH, answer(200, {"dhanClientId": "1000000001", "tokenValidity": "01/01/2099 09:00"}))
        broker = broker_at(settings_for(venue.url, **changes))
        try:
            yield venue, broker
        finally:
            await broker.aclose()
