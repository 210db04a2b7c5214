"""The market feed's binary packets: little-endian, a header of 8 bytes, prices as 32-bit floats.

Source: the broker's live market feed, version 2. Times are seconds that print Indian wall time when read as UTC. What
does not fit its field (a volume beyond 32 bits) is told as the largest number that does.
"""

import struct

from adapters.simulator.market.depth import Depth
from adapters.simulator.market.quotes import Quote
from adapters.simulator.tapes.tape import Tick
from domain.instrument import InstrumentKey, Segment
from domain.market import NS_PER_S
from domain.money import E4_PER_RUPEE

IST_SHIFT_S = 19_800

SEGMENT_CODES = {
    Segment.INDEX: 0,
    Segment.NSE_EQ: 1,
    Segment.NSE_FNO: 2,
    Segment.NSE_CURRENCY: 3,
    Segment.BSE_EQ: 4,
    Segment.MCX_COMM: 5,
    Segment.BSE_CURRENCY: 7,
    Segment.BSE_FNO: 8,
}
_TICKER, _DEPTH, _QUOTE, _OPEN_INTEREST, _PREVIOUS_CLOSE, _MARKET_STATUS, _FULL, _DISCONNECT = 2, 3, 4, 5, 6, 7, 8, 50
_HEADER_FORMAT = struct.Struct("<BHBI")
_TICKER_FORMAT = struct.Struct("<BHBIfi")
_DEPTH_FORMAT = struct.Struct("<BHBIf")
_QUOTE_FORMAT = struct.Struct("<BHBIfhifiiiffff")
_OPEN_INTEREST_FORMAT = struct.Struct("<BHBIi")
_FULL_FORMAT = struct.Struct("<BHBIfhifiiiiiiffff")
_LEVEL_FORMAT = struct.Struct("<IIHHff")
_DISCONNECT_FORMAT = struct.Struct("<BHBIh")
_LEVELS_SIZE = 5 * _LEVEL_FORMAT.size
_INT16_MAX, _UINT16_MAX, _INT32_MAX, _UINT32_MAX = 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1


def ticker_packet(tick: Tick) -> bytes:
    """Return code 2: last price and last trade time, 16 bytes."""
    key = tick.instrument
    return _TICKER_FORMAT.pack(
        _TICKER,
        _TICKER_FORMAT.size,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        tick.last_price_e4 / E4_PER_RUPEE,
        tick.exchange_time_ns // NS_PER_S + IST_SHIFT_S,
    )


def depth_packet(tick: Tick, quote: Quote) -> bytes:
    """Return code 3: last price and five levels of depth, 112 bytes."""
    key = tick.instrument
    head = _DEPTH_FORMAT.pack(
        _DEPTH,
        _DEPTH_FORMAT.size + _LEVELS_SIZE,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        tick.last_price_e4 / E4_PER_RUPEE,
    )
    return head + _levels(quote.depth)


def quote_packet(tick: Tick, quote: Quote) -> bytes:
    """Return code 4: the trade and the day's figures, 50 bytes. The close is that of the day before."""
    key = tick.instrument
    return _QUOTE_FORMAT.pack(
        _QUOTE,
        _QUOTE_FORMAT.size,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        *_traded(tick, quote),
        *_day_prices(quote),
    )


def open_interest_packet(quote: Quote) -> bytes:
    """Return code 5: open interest, 12 bytes."""
    key = quote.instrument.key
    return _OPEN_INTEREST_FORMAT.pack(
        _OPEN_INTEREST,
        _OPEN_INTEREST_FORMAT.size,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        min(quote.open_interest.now, _INT32_MAX),
    )


def previous_close_packet(key: InstrumentKey, previous_close_e4: int, previous_open_interest: int = 0) -> bytes:
    """Return code 6: what the day before ended with, 16 bytes."""
    return _TICKER_FORMAT.pack(
        _PREVIOUS_CLOSE,
        _TICKER_FORMAT.size,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        previous_close_e4 / E4_PER_RUPEE,
        min(previous_open_interest, _INT32_MAX),
    )


def market_status_packet(segment: Segment) -> bytes:
    """Return code 7: the market of a segment has opened or closed, a header of 8 bytes that does not say which."""
    return _HEADER_FORMAT.pack(_MARKET_STATUS, _HEADER_FORMAT.size, SEGMENT_CODES[segment], 0)


def full_packet(tick: Tick, quote: Quote) -> bytes:
    """Return code 8: the quote, open interest and five levels of depth, 162 bytes."""
    key, interest = tick.instrument, quote.open_interest
    head = _FULL_FORMAT.pack(
        _FULL,
        _FULL_FORMAT.size + _LEVELS_SIZE,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        *_traded(tick, quote),
        min(interest.now, _INT32_MAX),
        min(interest.high, _INT32_MAX),
        min(interest.low, _INT32_MAX),
        *_day_prices(quote),
    )
    return head + _levels(quote.depth)


def disconnect_packet(reason: int) -> bytes:
    """Return code 50 with its reason (805 too many connections, 809 token invalid …), 10 bytes."""
    return _DISCONNECT_FORMAT.pack(_DISCONNECT, _DISCONNECT_FORMAT.size, 0, 0, reason)


def _traded(tick: Tick, quote: Quote) -> tuple[float, int, int, float, int, int, int]:
    """Return price, quantity and time of the trade, then average, volume, and what is for sale and for purchase."""
    return (
        tick.last_price_e4 / E4_PER_RUPEE,
        min(tick.volume or quote.last_quantity, _INT16_MAX),
        tick.exchange_time_ns // NS_PER_S + IST_SHIFT_S,
        quote.average_e4 / E4_PER_RUPEE,
        min(quote.volume, _INT32_MAX),
        min(quote.depth.ask_quantity, _INT32_MAX),
        min(quote.depth.bid_quantity, _INT32_MAX),
    )


def _day_prices(quote: Quote) -> tuple[float, float, float, float]:
    prices_e4 = (quote.open_e4, quote.previous_close_e4, quote.high_e4, quote.low_e4)
    opened, closed, highest, lowest = (price_e4 / E4_PER_RUPEE for price_e4 in prices_e4)
    return opened, closed, highest, lowest


def _levels(depth: Depth) -> bytes:
    return b"".join(
        _LEVEL_FORMAT.pack(
            min(bid.quantity, _UINT32_MAX),
            min(ask.quantity, _UINT32_MAX),
            min(bid.orders, _UINT16_MAX),
            min(ask.orders, _UINT16_MAX),
            bid.price_e4 / E4_PER_RUPEE,
            ask.price_e4 / E4_PER_RUPEE,
        )
        for bid, ask in zip(depth.bids, depth.asks, strict=True)
    )
