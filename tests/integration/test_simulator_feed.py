"""The simulator's market feed over a real websocket: exact bytes, subscriptions, ends."""

import json
import struct
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.simulator.sockets.packets import ticker_packet
from adapters.simulator.tapes.tape import Tick
from domain.instrument import InstrumentKey, Segment
from tests.support.tape import (
    CLIENT_ID,
    NIFTY,
    OTHER_CLIENT_ID,
    RELIANCE,
    MovedClock,
    ScriptedTape,
    Venue,
    config_of,
    steady,
    venue,
)

PRICE = 1_310_00_00
MARKET_STATUS = 7
LTT = 1_776_244_500  # 2026-04-15 09:15:00, Indian wall time read as UTC.


def feed_of(client: Venue, token: str | None = None, client_id: str = CLIENT_ID) -> connect:
    query = f"version=2&token={token or client.token}&clientId={client_id}&authType=2"
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


async def test_the_market_tells_each_segment_of_the_tape_that_it_opens_and_closes() -> None:
    tape = ScriptedTape([(RELIANCE, PRICE, 10), (NIFTY, 24_100_0000, 0)], previous_closes_e4={RELIANCE: PRICE})
    async with venue(config_of(tape)) as client, feed_of(client) as feed:
        await ask(feed, 15, ("NSE_EQ", "2885"))
        assert (await feed.recv())[0] == 6
        await client.step(2)
        frames = [await feed.recv() for _ in range(5)]
    opened = [struct.pack("<BHBI", 7, 8, segment, 0) for segment in (1, 0)]
    assert frames[:2] == frames[3:] == opened
    assert (frames[2][0], len(frames[2])) == (2, 16)


async def test_each_mode_has_its_own_packet_and_two_modes_have_two() -> None:
    tape = ScriptedTape([(RELIANCE, PRICE, 10)], [(RELIANCE, PRICE, 10)], previous_closes_e4={RELIANCE: PRICE - 1_000})
    async with venue(config_of(tape)) as client, feed_of(client) as feed:
        for code in (15, 17, 21, 23):
            await ask(feed, code, ("NSE_EQ", "2885"))
            assert (await packet(feed))[0] == 6
        await client.step()
        packets = [await packet(feed) for _ in range(4)]
        for code in (16, 18, 22):
            await ask(feed, code, ("NSE_EQ", "2885"))
        await ask(feed, 15, ("IDX_I", "13"), ("NSE_EQ", "2885"))
        # To subscribe again tells what there is at once: the close before and the last price.
        assert [(await packet(feed))[0] for _ in range(2)] == [6, 2]
        await client.step()
        left = [(await packet(feed))[0] for _ in range(2)]
    assert [(each[0], len(each)) for each in packets] == [(2, 16), (4, 50), (8, 162), (3, 112)]
    assert left == [3, 2]


async def test_packets_that_wait_together_are_glued_where_that_was_asked_for() -> None:
    tape = ScriptedTape([(RELIANCE, PRICE, 10)], previous_closes_e4={RELIANCE: PRICE})
    async with venue(config_of(tape, feed_glues=True)) as client, feed_of(client) as feed:
        await client.step()
        await ask(feed, 15, *(("NSE_EQ", "2885") for _ in range(3)))
        frame = b""
        while len(frame) < 16 * 6:
            piece = await packet(feed)
            assert len(piece) % 16 == 0
            frame += piece
    assert [frame[at] for at in range(0, len(frame), 16)] == [6, 2] * 3


async def test_handshakes_are_refused_as_often_as_was_asked_for() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.admin("POST", "/feed", json={"refuse_handshakes": 2})
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                await feed_of(client)
            assert refused.value.response.status_code == 429
            assert list(json.loads(refused.value.response.body)["data"]) == ["805"]
        async with feed_of(client) as feed:
            await feed.ping()


async def test_whoever_comes_with_a_wrong_token_is_told_what_is_wrong_with_it() -> None:
    clock = MovedClock()
    async with venue(config_of(steady(PRICE), clock=clock)) as client:
        async with feed_of(client, client_id=OTHER_CLIENT_ID) as feed:
            assert await feed.recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 808)
        clock.ahead_ns = 86_401 * 1_000_000_000
        async with feed_of(client) as feed:
            assert await feed.recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 807)


async def test_a_disconnect_for_one_client_leaves_the_others_connected() -> None:
    async with venue(config_of(steady(PRICE))) as client, feed_of(client) as mine:
        token = await client.log_in(OTHER_CLIENT_ID)
        async with feed_of(client, token, OTHER_CLIENT_ID) as theirs:
            await client.admin("POST", "/feed", json={"disconnect": 806, "client_id": OTHER_CLIENT_ID})
            assert await theirs.recv() == struct.pack("<BHBIh", 50, 10, 0, 0, 806)
            with pytest.raises(ConnectionClosed):
                await theirs.recv()
            await ask(mine, 15, ("NSE_EQ", "2885"))
            await client.step()
            assert (await packet(mine))[0] == 2


async def test_more_than_five_thousand_instruments_are_too_many_for_a_connection() -> None:
    async with venue(config_of(steady(PRICE))) as client, feed_of(client) as feed:
        for first in range(1, 5_001, 100):
            await ask(feed, 15, *(("NSE_FNO", str(number)) for number in range(first, first + 100)))
        await ask(feed, 17, ("NSE_FNO", "5000"))
        await ask(feed, 15, ("NSE_FNO", "5001"))
        assert await packet(feed) == struct.pack("<BHBIh", 50, 10, 0, 0, 804)
