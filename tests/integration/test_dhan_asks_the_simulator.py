"""The Dhan adapter asks the simulator for what is no order: two parts that share no code agree on every field."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

from adapters.clock import SystemClock
from adapters.dhan.account import Registration
from adapters.dhan.broker import DhanBroker
from adapters.dhan.calls import Done
from adapters.dhan.client import HttpClient
from adapters.dhan.scrip_master import read_scrip_master
from adapters.dhan.tokens import PaperLogins, PinLogin
from adapters.simulator.config import SimulatorConfig
from domain.market import EXCHANGE_ZONE, NS_PER_S
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, RELIANCE, settings_for
from tests.support.option_market import CALL, NEAR, NEXT, OPTION_MARKET, STRIKES

PRICE = 1_310_00_00
OPEN = datetime(2026, 4, 15, 9, 15, tzinfo=EXCHANGE_ZONE)
OPEN_NS = int(OPEN.timestamp()) * NS_PER_S
TAPE = (
    [(RELIANCE.key, PRICE, 10), (tape.NIFTY, 24_100_0000, 0), (CALL.key, 150_0000, 650)],
    [(RELIANCE.key, PRICE + 10_000, 30)],
)


@asynccontextmanager
async def asking(config: SimulatorConfig) -> AsyncIterator[tuple[tape.Venue, DhanBroker]]:
    async with tape.venue(config, logged_in=False) as venue:
        settings, clock = settings_for(f"http://127.0.0.1:{venue.port}"), SystemClock()
        client = HttpClient(settings, clock)
        broker = DhanBroker(settings, PaperLogins(PinLogin(client, settings, clock), tape.SECRET), client, clock)
        try:
            yield venue, broker
        finally:
            await broker.aclose()


def market() -> SimulatorConfig:
    closes = {RELIANCE.key: PRICE - 10_000}
    return tape.config_of(tape.ScriptedTape(*TAPE, previous_closes_e4=closes), instruments=OPTION_MARKET)


async def test_quotes_and_candles_are_read_as_the_tape_printed_them() -> None:
    async with asking(market()) as (venue, broker):
        await venue.step(2)
        quotes = await broker.market_data.quotes(ACCOUNT, [RELIANCE.key, CALL.key])
        candles = await broker.market_data.intraday_candles(
            ACCOUNT, RELIANCE.key, "EQUITY", OPEN, OPEN + timedelta(minutes=5), open_interest=True
        )
    share, option = quotes[RELIANCE.key], quotes[CALL.key]
    assert (share.day.last_price_e4, share.day.open_e4, share.day.previous_close_e4) == (
        PRICE + 10_000,
        PRICE,
        PRICE - 10_000,
    )
    assert (share.volume, share.last_quantity, share.last_trade_ns) == (40, 30, OPEN_NS + NS_PER_S)
    assert (len(share.bids), len(share.asks), share.open_interest) == (5, 5, 0)
    assert share.bids[0].price_e4 <= PRICE + 10_000 <= share.asks[0].price_e4
    assert option.open_interest >= option.open_interest_low > 0
    [candle] = candles
    assert (candle.opened_at_ns, candle.open_e4, candle.high_e4, candle.close_e4) == (
        OPEN_NS,
        PRICE,
        PRICE + 10_000,
        PRICE + 10_000,
    )
    assert (candle.volume, candle.open_interest) == (40, 0)


async def test_an_option_chain_is_read_strike_by_strike() -> None:
    async with asking(market()) as (venue, broker):
        await venue.step()
        expiries = await broker.market_data.expiries(ACCOUNT, tape.NIFTY)
        chain = await broker.market_data.option_chain(ACCOUNT, tape.NIFTY, expiries[0])
    assert [day.isoformat() for day in expiries] == [NEAR, NEXT]
    assert chain.last_price_e4 == 24_100_0000
    assert [strike.strike_e4 for strike in chain.strikes] == [strike * 10_000 for strike in STRIKES]
    traded = chain.strikes[2].call
    assert traded is not None
    assert (traded.last_price_e4, traded.volume, traded.security_id) == (150_0000, 650, CALL.key.security_id)
    assert all(
        side is not None and side.delta is not None and (side.bid_price_e4 or 0) < (side.ask_price_e4 or 0)
        for strike in chain.strikes
        for side in (strike.call, strike.put)
    )


async def test_margin_addresses_and_holdings_are_read(tmp_path: Path) -> None:
    async with asking(market()) as (venue, broker):
        await venue.step()
        margin = await broker.account.margin(ACCOUNT, LIMIT_BUY)
        before = await broker.account.addresses(ACCOUNT)
        registered = await broker.account.register_address(ACCOUNT, "127.0.0.1", Registration.PRIMARY)
        after = await broker.account.addresses(ACCOUNT)
        holdings = await broker.portfolio.holdings(ACCOUNT)
        listed = await venue.http.get("/api-data/api-scrip-master-detailed.csv")
    assert margin.total_paise == LIMIT_BUY.quantity * (LIMIT_BUY.limit_price_e4 or 0) // 100 // 5
    assert before is None
    assert isinstance(registered, Done)
    assert after is not None
    assert (after.primary, after.secondary, after.seen, after.is_ours_registered) == (
        "127.0.0.1",
        None,
        "127.0.0.1",
        True,
    )
    assert holdings == []
    (tmp_path / "master.csv").write_bytes(listed.content)
    read = read_scrip_master(tmp_path / "master.csv", on=date(2026, 4, 15))
    assert read.unusable == {}
    assert {CALL.symbol, "RELIANCE", "NIFTY"} <= set(read.frame["symbol"])
