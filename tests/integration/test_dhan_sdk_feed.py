"""The broker's official feed client listens to the simulator. Its calls block, so it lives on a thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dhanhq import DhanContext
from dhanhq.marketfeed import MarketFeed

from domain.instrument import InstrumentKey, Segment
from tests.support.dhan_sdk import official_client
from tests.support.option_market import CALL, OPTION_MARKET
from tests.support.tape import CLIENT_ID, NIFTY, RELIANCE, ScriptedTape, Venue, config_of, venue

PRICE = 1_310_00_00
INFY = InstrumentKey(Segment.NSE_EQ, "1594")
TAPE = (
    [(RELIANCE, PRICE, 10), (NIFTY, 24_100_0000, 0), (CALL.key, 150_0000, 650), (INFY, 1_277_00_00, 5)],
    [(RELIANCE, PRICE + 10_000, 30), (INFY, 1_277_00_00, 5)],
    [(RELIANCE, PRICE - 20_000, 0)],
)
CLOSES = {RELIANCE: PRICE - 10_000, NIFTY: 24_000_0000, CALL.key: 120_0000, INFY: 1_270_00_00}
RELIANCE_AT, INFY_AT, NIFTY_AT, CALL_AT = (1, "2885"), (1, "1594"), (0, "13"), (2, CALL.key.security_id)
TICKER, QUOTE, FULL = MarketFeed.Ticker, MarketFeed.Quote, MarketFeed.Full


class Listener:
    """The official client, told to connect and to read one packet after another."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.client: MarketFeed | None = None
        self.closed = 0

    async def listen(self, token: str, instruments: list[Any]) -> None:
        def start() -> None:
            self.client = MarketFeed(DhanContext(CLIENT_ID, token), instruments, on_close=self._close)
            self.client.run_forever()

        await self._do(start)

    async def read(self, count: int) -> list[Any]:
        """Read *count* packets."""
        assert self.client is not None
        return [await self._do(self.client.get_data) for _ in range(count)]

    async def subscribe(self, symbols: list[Any]) -> None:
        assert self.client is not None
        await self._do(self.client.subscribe_symbols, symbols)

    async def unsubscribe(self, symbols: list[Any]) -> None:
        assert self.client is not None
        await self._do(self.client.unsubscribe_symbols, symbols)

    async def leave(self) -> None:
        def stop() -> None:
            if self.client is not None:
                self.client.close_connection()
                self.client.loop.close()
            asyncio.set_event_loop(None)

        await self._do(stop)

    def _close(self, _: MarketFeed) -> None:
        self.closed += 1

    async def _do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)


@asynccontextmanager
async def listening(client: Venue, *instruments: Any) -> AsyncIterator[Listener]:
    with ThreadPoolExecutor(max_workers=1) as pool, official_client(client):
        listener = Listener(pool)
        try:
            await listener.listen(client.token, list(instruments))
            yield listener
        finally:
            await listener.leave()


def market(**changes: Any) -> Any:
    return config_of(ScriptedTape(*TAPE, previous_closes_e4=CLOSES), instruments=OPTION_MARKET, **changes)


def of_type(packets: list[Any], kind: str) -> dict[int, Any]:
    return {each["security_id"]: each for each in packets if isinstance(each, dict) and each["type"] == kind}


async def test_the_official_client_reads_every_kind_of_packet() -> None:
    async with (
        venue(market()) as client,
        listening(client, (*RELIANCE_AT, TICKER), (*INFY_AT, QUOTE), (*NIFTY_AT, FULL), (*CALL_AT, QUOTE)) as listener,
    ):
        closes = of_type(await listener.read(4), "Previous Close")
        await client.step()
        # The market of three segments opens, then four instruments print, one of them with its open interest.
        packets = await listener.read(8)
    assert {key: row["prev_close"] for key, row in closes.items()} == {
        2885: "1309.00",
        1594: "1270.00",
        13: "24000.00",
        int(CALL.key.security_id): "120.00",
    }
    assert packets[:3] == ["Markets Open"] * 3
    assert of_type(packets, "Ticker Data") == {
        2885: {"type": "Ticker Data", "exchange_segment": 1, "security_id": 2885, "LTP": "1310.00", "LTT": "09:15:00"}
    }
    quotes, interest = of_type(packets, "Quote Data"), of_type(packets, "OI Data")
    assert quotes.keys() == {1594, int(CALL.key.security_id)}
    assert interest.keys() == {int(CALL.key.security_id)}
    assert interest[int(CALL.key.security_id)]["OI"] > 0
    assert of_type(packets, "Full Data").keys() == {13}


async def test_a_quote_has_the_figures_of_the_day() -> None:
    async with venue(market()) as client, listening(client, (*RELIANCE_AT, QUOTE)) as listener:
        await listener.read(1)
        await client.step(3)
        *_, quote = await listener.read(3 + 3)
    told = {name: quote[name] for name in ("LTP", "LTQ", "LTT", "avg_price", "volume", "open", "high", "low", "close")}
    assert told == {
        "LTP": "1308.00",
        "LTQ": 30,
        "LTT": "09:15:02",
        "avg_price": "1310.75",
        "volume": 40,
        "open": "1310.00",
        "high": "1311.00",
        "low": "1308.00",
        "close": "1309.00",
    }
    assert min(quote["total_buy_quantity"], quote["total_sell_quantity"]) > 0


async def test_the_full_packet_has_five_levels_around_the_last_price() -> None:
    async with venue(market()) as client, listening(client, (*RELIANCE_AT, FULL)) as listener:
        await listener.read(1)
        await client.step()
        *_, full = await listener.read(3 + 1)
    assert (full["LTP"], full["volume"], full["OI"]) == ("1310.00", 10, 0)
    bids, asks = ([float(level[f"{side}_price"]) for level in full["depth"]] for side in ("bid", "ask"))
    assert (bids, asks) == (sorted(bids, reverse=True), sorted(asks))
    assert len(bids) == 5
    assert bids[0] <= 1310.0 <= asks[0]
    assert 1310.0 in {bids[0], asks[0]}
    assert all(level["bid_quantity"] >= level["bid_orders"] > 0 for level in full["depth"])


async def test_what_is_unsubscribed_is_told_no_more_and_what_is_subscribed_later_is() -> None:
    async with venue(market()) as client, listening(client, (*RELIANCE_AT, TICKER)) as listener:
        await listener.read(1)
        await listener.unsubscribe([(*RELIANCE_AT, TICKER)])
        await listener.subscribe([(*INFY_AT, TICKER)])
        (close,) = await listener.read(1)
        await client.step(2)
        packets = await listener.read(3 + 2)
    assert close["security_id"] == 1594
    assert [each["security_id"] for each in packets[3:]] == [1594, 1594]


@pytest.mark.parametrize("reason", [805, 806, 807, 808, 809])
async def test_the_official_client_understands_why_it_is_disconnected(
    reason: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with venue(market()) as client, listening(client, (*RELIANCE_AT, TICKER)) as listener:
        await listener.read(1)
        await client.admin("POST", "/feed", json={"disconnect": reason})
        assert await listener.read(1) == [None]
        assert listener.closed == 1
        assert "Disconnected: " in capsys.readouterr().out
