"""The simulator's feed packets: what the adapter reads of them, and what does not fit into them."""

import struct

from adapters.dhan.streams.packets import OtherPacket, PacketCode, PreviousClosePacket, TradePacket, packets_of
from adapters.simulator.market.market_record import MarketRecord
from adapters.simulator.market.quotes import Quote, QuoteBoard
from adapters.simulator.sockets.packets import (
    depth_packet,
    full_packet,
    market_status_packet,
    open_interest_packet,
    previous_close_packet,
    quote_packet,
    ticker_packet,
)
from adapters.simulator.tapes.tape import Tick
from domain.instrument import Segment
from domain.matching import Depth, Level
from tests.support.option_market import CALL, OPTION_MARKET

TIME_NS = 1_776_224_700_000_000_000
LTT = 1_776_244_500
"""The same moment, 2026-04-15 09:15:00, as Indian wall time read as UTC."""


def printed(*, volume: int, depth: Depth | None = None) -> tuple[Tick, Quote]:
    record = MarketRecord({CALL.key: 120_0000})
    tick = Tick(CALL.key, 150_5000, volume, TIME_NS, depth)
    record.add(tick)
    quote = QuoteBoard(record, OPTION_MARKET).quote_of(CALL.key, market_time_ns=TIME_NS)
    assert quote is not None
    return tick, quote


def test_the_adapter_reads_the_same_trade_in_every_packet_that_tells_one() -> None:
    tick, quote = printed(volume=650)
    frame = b"".join(
        (
            previous_close_packet(CALL.key, quote.previous_close_e4),
            ticker_packet(tick),
            quote_packet(tick, quote),
            open_interest_packet(quote),
            full_packet(tick, quote),
            depth_packet(tick, quote),
            market_status_packet(Segment.NSE_FNO),
        )
    )
    close, *rest = packets_of(frame)
    assert close == PreviousClosePacket(Segment.NSE_FNO, CALL.key.security_id, 120.0)
    trades = [each for each in rest if isinstance(each, TradePacket)]
    assert [each.code for each in trades] == [PacketCode.TICKER, PacketCode.QUOTE, PacketCode.FULL]
    assert {(each.segment, each.security_id, each.last_price, each.last_trade_time) for each in trades} == {
        (Segment.NSE_FNO, CALL.key.security_id, 150.5, LTT)
    }
    assert [each.code for each in rest if isinstance(each, OtherPacket)] == [5, 3, 7]


def test_the_full_packet_has_each_figure_where_the_broker_has_it() -> None:
    bids = (Level(150_0000, 65, 1), Level(149_5000, 130, 2))
    tick, quote = printed(volume=650, depth=Depth(bids, (Level(151_0000, 195, 3),)))
    packet = full_packet(tick, quote)
    interest = quote.open_interest
    assert struct.unpack("<BHBIfhifiiiiiiffff", packet[:62]) == (
        8, 162, 2, int(CALL.key.security_id), 150.5, 650, LTT, 150.5, 650, 195, 195,
        interest.now, interest.high, interest.low, 150.5, 120.0, 150.5, 150.5,
    )  # fmt: skip
    assert struct.unpack("<IIHHff", packet[62:82]) == (65, 195, 1, 3, 150.0, 151.0)
    assert struct.unpack("<IIHHff", packet[82:102]) == (130, 0, 2, 0, 149.5, 0.0)
    assert packet[102:] == bytes(60)


def test_what_does_not_fit_is_told_as_the_largest_number_that_does() -> None:
    crowd = Level(150_0000, 2**40, 2**20)
    tick, quote = printed(volume=2**40, depth=Depth((crowd,), (crowd,)))
    packet = full_packet(tick, quote)
    _, _, _, _, _, last, _, _, volume, selling, buying = struct.unpack("<BHBIfhifiii", packet[:34])
    assert (last, volume, selling, buying) == (2**15 - 1, *(2**31 - 1,) * 3)
    assert struct.unpack("<IIHH", packet[62:74]) == (2**32 - 1, 2**32 - 1, 2**16 - 1, 2**16 - 1)
    assert struct.unpack("<i", open_interest_packet(quote)[8:]) == (2**31 - 1,)
