"""Feed packets byte by byte, and the ticks that come of them."""

import math
from struct import pack

import pytest

from adapters.dhan.streams.packets import (
    DisconnectPacket,
    FrameMalformed,
    OtherPacket,
    PacketCode,
    PreviousClosePacket,
    TradePacket,
    packets_of,
)
from adapters.dhan.streams.ticks import FeedTick, TickCleaner, snapped_e4
from domain.instrument import Segment
from tests.support.dhan import NIFTY, RELIANCE

S = 1_000_000_000
TEN_O_CLOCK_NS = 1_790_829_000 * S  # 2026-10-01 10:00:00 in India
TEN_O_CLOCK_STAMP = 1_790_829_000 + 19_800

TICKER = bytes.fromhex("02 1000 01 450b0000 cd20 3245 202fbe6a")
"""Ticker, 16 bytes, NSE_EQ, security 2885, 2850.05, 10:00:00 as Indian wall time."""


def trade(price: float = 2850.05, stamp: int = TEN_O_CLOCK_STAMP, security_id: int = 2885, segment: int = 1) -> bytes:
    return pack("<BHBifi", 2, 16, segment, security_id, price, stamp)


def ticks_of(*frames: bytes) -> tuple[list[FeedTick], TickCleaner]:
    cleaner = TickCleaner([RELIANCE, NIFTY])
    packets = [packet for frame in frames for packet in packets_of(frame)]
    ticks = [cleaner.tick_of(packet) for packet in packets if isinstance(packet, TradePacket)]
    return [tick for tick in ticks if tick is not None], cleaner


def test_a_ticker_packet_is_read_byte_by_byte() -> None:
    [packet] = packets_of(TICKER)
    assert isinstance(packet, TradePacket)
    assert (packet.code, packet.segment, packet.security_id) == (PacketCode.TICKER, Segment.NSE_EQ, "2885")
    assert packet.last_trade_time == TEN_O_CLOCK_STAMP
    assert math.isclose(packet.last_price, 2850.05, rel_tol=1e-7)


def test_a_tick_has_its_price_on_the_tick_and_its_time_in_utc() -> None:
    [tick], _ = ticks_of(TICKER)
    assert tick == FeedTick(instrument=RELIANCE.key, last_price_e4=28_500_500, exchange_time_ns=TEN_O_CLOCK_NS)


def test_a_previous_close_goes_with_the_ticks_that_follow_on_its_connection() -> None:
    [tick] = packets_of(TICKER)
    assert isinstance(tick, TradePacket)
    cleaner = TickCleaner([RELIANCE])
    for close in (
        PreviousClosePacket(segment=None, security_id="2885", price=1.0),
        PreviousClosePacket(segment=Segment.NSE_EQ, security_id="1", price=1.0),
        PreviousClosePacket(segment=Segment.NSE_EQ, security_id="2885", price=2840.05),
        PreviousClosePacket(segment=Segment.NSE_EQ, security_id="2885", price=math.nan),
        PreviousClosePacket(segment=Segment.NSE_EQ, security_id="2885", price=0.0),
    ):
        cleaner.take_close(close)
    read = cleaner.tick_of(tick)
    assert read is not None
    assert read.previous_close_e4 == 28_400_500
    cleaner.begin()
    read_again = cleaner.tick_of(tick)
    assert read_again is not None
    assert read_again.previous_close_e4 is None


def test_quote_and_full_packets_hold_a_trade_too() -> None:
    quote = pack("<BHBifhi", 4, 50, 1, 2885, 2850.1, 7, TEN_O_CLOCK_STAMP) + bytes(32)
    full = pack("<BHBifhi", 8, 162, 1, 2885, 2850.2, 7, TEN_O_CLOCK_STAMP) + bytes(144)
    ticks, _ = ticks_of(quote, full)
    assert [tick.last_price_e4 for tick in ticks] == [28_501_000, 28_502_000]


def test_many_packets_in_one_frame_are_all_read() -> None:
    previous_close = pack("<BHBifi", 6, 16, 1, 2885, 2840.0, 0)
    open_interest = pack("<BHBii", 5, 12, 2, 40472, 11_760_060)
    market_status = pack("<BHBi", 7, 8, 1, 0)
    goodbye = pack("<BHBih", 50, 10, 0, 0, 805)
    index = trade(22_952.95, segment=0, security_id=13)
    packets = list(packets_of(previous_close + TICKER + open_interest + market_status + index + goodbye))
    assert packets[0] == PreviousClosePacket(segment=Segment.NSE_EQ, security_id="2885", price=2840.0)
    assert [type(packet) for packet in packets[1:]] == [
        TradePacket,
        OtherPacket,
        OtherPacket,
        TradePacket,
        DisconnectPacket,
    ]
    assert packets[-1] == DisconnectPacket(reason=805)
    ticks, _ = ticks_of(index)
    assert (ticks[0].instrument, ticks[0].last_price_e4) == (NIFTY.key, 229_529_500)


@pytest.mark.parametrize(
    "frame",
    [TICKER[:-1], TICKER + b"\x02", pack("<BHBi", 2, 8, 1, 1), pack("<BHBi", 99, 0, 1, 1)],
    ids=["cut off", "a stray byte", "too short for its kind", "of no length"],
)
def test_a_frame_that_does_not_add_up_is_malformed(frame: bytes) -> None:
    with pytest.raises(FrameMalformed):
        list(packets_of(frame))


def test_what_stands_before_the_broken_place_is_given_out() -> None:
    packets = packets_of(TICKER + TICKER[:5])
    assert isinstance(next(packets), TradePacket)
    with pytest.raises(FrameMalformed):
        next(packets)


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (trade(stamp=0), "no_time"),
        (trade(stamp=315_532_800), "no_time"),
        (trade(price=0.0), "no_price"),
        (trade(price=-1.0), "no_price"),
        (trade(price=math.nan), "no_price"),
        (trade(price=math.inf), "no_price"),
        (trade(security_id=1), "not_subscribed"),
        (trade(segment=6), "unknown_segment"),
        (trade(security_id=13, segment=1), "not_subscribed"),
    ],
)
def test_a_packet_without_a_usable_trade_is_dropped_and_counted(frame: bytes, cause: str) -> None:
    ticks, cleaner = ticks_of(frame)
    assert ticks == []
    assert cleaner.dropped == {cause: 1}


def test_repeats_and_late_trades_are_dropped() -> None:
    ticks, cleaner = ticks_of(
        trade(2850.0), trade(2850.0), trade(2850.1), trade(2849.9, TEN_O_CLOCK_STAMP - 1), trade(2850.0)
    )
    assert [tick.last_price_e4 for tick in ticks] == [28_500_000, 28_501_000, 28_500_000]
    assert cleaner.dropped == {"repeated": 1, "late": 1}


def test_a_new_connection_may_show_another_day() -> None:
    cleaner = TickCleaner([RELIANCE])
    [today] = packets_of(trade())
    [long_ago] = packets_of(trade(stamp=TEN_O_CLOCK_STAMP - 86_400))
    assert isinstance(today, TradePacket)
    assert isinstance(long_ago, TradePacket)
    assert cleaner.tick_of(today) is not None
    assert cleaner.tick_of(long_ago) is None
    cleaner.begin()
    assert cleaner.tick_of(long_ago) is not None


@pytest.mark.parametrize(
    ("price", "tick_e4", "price_e4"),
    [(2850.05, 500, 28_500_500), (22_952.94921875, 500, 229_529_500), (82.5025, 25, 825_025), (0.001, 500, 500)],
)
def test_a_32_bit_price_becomes_the_nearest_one_on_the_tick(price: float, tick_e4: int, price_e4: int) -> None:
    assert snapped_e4(price, tick_e4=tick_e4) == price_e4
