"""The market feed's binary packets: little-endian, a header of 8 bytes, prices as 32-bit floats.

Source: the broker's live market feed, version 2. Times are seconds that print Indian wall time when read as UTC.
"""

import struct

from adapters.simulator.tape import Tick
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
_TICKER, _PREVIOUS_CLOSE, _DISCONNECT = 2, 6, 50
_TICKER_FORMAT = struct.Struct("<BHBIfi")
_DISCONNECT_FORMAT = struct.Struct("<BHBIh")


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


def previous_close_packet(key: InstrumentKey, previous_close_e4: int) -> bytes:
    """Return code 6: previous close, and an open interest of 0, 16 bytes."""
    return _TICKER_FORMAT.pack(
        _PREVIOUS_CLOSE,
        _TICKER_FORMAT.size,
        SEGMENT_CODES[key.segment],
        int(key.security_id),
        previous_close_e4 / E4_PER_RUPEE,
        0,
    )


def disconnect_packet(reason: int) -> bytes:
    """Return code 50 with its reason (805 too many connections, 809 token invalid …), 10 bytes."""
    return _DISCONNECT_FORMAT.pack(_DISCONNECT, _DISCONNECT_FORMAT.size, 0, 0, reason)
