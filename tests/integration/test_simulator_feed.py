"""The simulator's market feed over a real websocket: exact bytes, subscriptions, ends."""

import json
import struct
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.simulator.packets import ticker_packet
from adapters.simulator.tape import Tick
from domain.instrument import InstrumentKey, Segment
from tests.support.tape import CLIENT_ID, NIFTY, RELIANCE, ScriptedTape, Venue, config_of, steady, venue

PRICE = 1_310_00_00
MARKET_STATUS = 7
LTT = 1_776_244_500  # 2026-04-15 09:15:00, Indian wall time read as UTC.


def feed_of(client: Venue, token: str | None = None) -> connect:
    query = f"version=2&token={token or client.token}&clientId={CLIENT_ID}&authType=2"
    return connect(f"ws://127.0.0.1:{client.port}/feed?{query}", proxy=None)


async def packet(feed: ClientConnection) -> bytes:
    """Return the next packet that tells of an instrument: the market may open or close at any time."""
    while True:
        frame = await feed.recv()
        assert isinstance(frame, bytes)
        if frame[0] != MARKET_STATUS:
            return frame


async def ask(feed: ClientConnection, code: int, *instruments: tuple[str, str]) -> None:
    entries = [{"ExchangeSegment": segment, "SecurityId": security_id} for segment, security_id in instruments]
    request: dict[str, Any] = {"RequestCode": code, "InstrumentCount": len(entries), "InstrumentList": entries}
    await feed.send(json.dumps(request))


def test_a_ticker_packet_is_these_sixteen_bytes() -> None:
    tick = Tick(InstrumentKey(Segment.NSE_EQ, "2885"), 13_105_000, 7, (LTT - 19_800) * 1_000_000_000)
    assert ticker_packet(tick) == bytes.fromhex("02 1000 01 450b0000 00d0a344 1457df69")


async def test_a_subscriber_gets_previous_close_then_every_tick_one_packet_a_frame() -> None:
    tape = ScriptedTape(
        [(RELIANCE, PRICE, 10), (NIFTY, 24_100_05_00, 0)],
        [(RELIANCE, PRICE + 1_000, 5)],
        previous_closes_e4={RELIANCE: PRICE - 1_000},
    )
    async with venue(config_of(tape)) as client, feed_of(client) as feed:
        await ask(feed, 15, ("NSE_EQ", "2885"), ("IDX_I", "13"))
        assert struct.unpack("<BHBIfi", await packet(feed)) == (6, 16, 1, 2885, pytest.approx(1309.9), 0)
        progress = await client.step()
        assert progress["packets"] == 2
        assert struct.unpack("<BHBIfi", await packet(feed)) == (2, 16, 1, 2885, 1310.0, LTT)
        assert struct.unpack("<BHBIfi", await packet(feed)) == (2, 16, 0, 13, pytest.approx(24100.05), LTT)
        await ask(feed, 16, ("IDX_I", "13"))
        await client.step()
        assert struct.unpack("<BHBIfi", await packet(feed)) == (2, 16, 1, 2885, pytest.approx(1310.1), LTT + 1)


async def test_a_late_subscriber_gets_the_last_tick_at_once() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        async with feed_of(client) as feed:
            await ask(feed, 15, ("NSE_EQ", "2885"))
            assert struct.unpack("<BHBIfi", await packet(feed)) == (2, 16, 1, 2885, 1310.0, LTT)
        assert (await client.admin("GET", "/session"))["feeds"] == {CLIENT_ID: 1}


async def test_a_bad_token_gets_a_disconnect_packet_and_the_end() -> None:
    async with venue(config_of(steady(PRICE))) as client, feed_of(client, "nonsense") as feed:
        assert await feed.recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 809)
        with pytest.raises(ConnectionClosed):
            await feed.recv()


async def test_a_sixth_connection_ends_the_oldest() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        feeds = [await feed_of(client) for _ in range(6)]
        assert await feeds[0].recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 805)
        with pytest.raises(ConnectionClosed):
            await feeds[0].recv()
        for feed in feeds[1:]:
            await feed.close()


async def test_the_feed_stands_what_the_official_client_sends_at_its_end() -> None:
    async with venue(config_of(steady(PRICE))) as client, feed_of(client) as feed:
        await feed.send(b"\x0c\x53\x00" + bytes(80))
        await feed.send("no json")
        await ask(feed, 15, ("NOWHERE", "1"), ("NSE_EQ", "2885"))
        await client.step()
        assert (await packet(feed))[0] == 2
        await feed.send('{"RequestCode": 12}')
        with pytest.raises(ConnectionClosed):
            await feed.recv()


async def test_more_instruments_in_a_message_than_allowed_end_the_connection() -> None:
    async with venue(config_of(steady(PRICE))) as client, feed_of(client) as feed:
        await ask(feed, 15, *(("NSE_EQ", str(number)) for number in range(1, 102)))
        assert await feed.recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 804)


async def test_a_feed_cut_on_request_can_be_opened_again() -> None:
    async with venue(config_of(steady(PRICE, PRICE, PRICE))) as client:
        async with feed_of(client) as feed:
            await ask(feed, 15, ("NSE_EQ", "2885"))
            await client.step()
            assert (await packet(feed))[0] == 2
            await client.fault("cut_feed")
            with pytest.raises(ConnectionClosed):
                await feed.recv()
            assert (await client.step())["packets"] == 1, "what nobody hears any more does not count"
        async with feed_of(client) as feed:
            await ask(feed, 15, ("NSE_EQ", "2885"))
            assert (await feed.recv())[0] == 2
            assert (await client.step())["packets"] == 2, "a new connection counts from its own beginning"
