"""The binary packets of the market feed: little-endian, an eight-byte header, several to a frame where the venue likes.

`struct` reads what stands there; what it means (Indian wall time in the stamps, prices that are 32-bit floats) is put
right in `ticks.py` and nowhere else.
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct

import msgspec

from domain.instrument import Segment

_HEADER = Struct("<BHBi")  # code, length of the whole packet, segment, security id
_TICKER = Struct("<BHBifi")  # header; last price, last trade time
_QUOTE = Struct("<BHBifhi")  # header; last price, last quantity, last trade time; averages, volumes, day prices follow
_PREVIOUS_CLOSE = Struct("<BHBifi")  # header; price, open interest
_DISCONNECT = Struct("<BHBih")  # header; reason

SEGMENT_CODES: dict[int, Segment] = {
    0: Segment.INDEX,
    1: Segment.NSE_EQ,
    2: Segment.NSE_FNO,
    3: Segment.NSE_CURRENCY,
    4: Segment.BSE_EQ,
    5: Segment.MCX_COMM,
    7: Segment.BSE_CURRENCY,
    8: Segment.BSE_FNO,
}


class PacketCode(IntEnum):
    """Kinds of packets that we read; others are passed over by their length."""

    TICKER = 2
    QUOTE = 4
    PREVIOUS_CLOSE = 6
    FULL = 8
    DISCONNECT = 50


PACKET_LENGTHS: dict[int, int] = {
    PacketCode.TICKER.value: 16,
    PacketCode.QUOTE.value: 50,
    PacketCode.PREVIOUS_CLOSE.value: 16,
    PacketCode.FULL.value: 162,
    PacketCode.DISCONNECT.value: 10,
}


# Compared a million times a second: plain integers are a third faster than members of an enumeration.
_TICKER_CODE = PacketCode.TICKER.value
_PREVIOUS_CLOSE_CODE = PacketCode.PREVIOUS_CLOSE.value
_DISCONNECT_CODE = PacketCode.DISCONNECT.value
_QUOTE_CODES: dict[int, PacketCode] = {code.value: code for code in (PacketCode.QUOTE, PacketCode.FULL)}
_TICKER_KIND = PacketCode.TICKER
_segment_of = SEGMENT_CODES.get
_unpack_ticker = _TICKER.unpack_from
_unpack_quote = _QUOTE.unpack_from


class FrameMalformed(Exception):
    """A frame whose packets do not add up. What stood before the broken place has been given out."""


class TradePacket(msgspec.Struct, frozen=True, gc=False):
    """The last trade of an instrument, from a ticker, quote or full packet, as it stands on the wire.

    `last_price` is a 32-bit float in rupees, `last_trade_time` seconds that show Indian wall time when read as UTC.
    `segment` is None where its code is unknown.
    """

    # Made by place: keywords would cost a third of the time that a packet takes.
    code: PacketCode
    segment: Segment | None
    security_id: str
    last_price: float
    last_trade_time: int


class PreviousClosePacket(msgspec.Struct, frozen=True, gc=False):
    """The previous session's close."""

    segment: Segment | None
    security_id: str
    price: float


class DisconnectPacket(msgspec.Struct, frozen=True, gc=False):
    """The venue's goodbye: 805 too many connections, 806 no data plan, 807 … 810 token or client."""

    reason: int


class OtherPacket(msgspec.Struct, frozen=True, gc=False):
    """A kind that we do not read."""

    code: int


Packet = TradePacket | PreviousClosePacket | DisconnectPacket | OtherPacket


def packets_of(frame: bytes) -> Iterator[Packet]:
    """Yield the packets of *frame*, in order.

    Raises:
        FrameMalformed: a length is shorter than its packet needs, or reaches past the end of the frame.
    """
    # One loop that unpacks each packet once, with its header: a call a packet would be half of the time. Packets of
    # different kinds take turns, so there are no runs of one kind that numpy would be faster on.
    end = len(frame)
    offset = 0
    while offset < end:
        code = frame[offset]
        length_min = PACKET_LENGTHS.get(code, _HEADER.size)
        if end - offset < length_min:
            raise _malformed(frame, offset)
        if code == _TICKER_CODE:
            _, length, segment, security_id, price, time = _unpack_ticker(frame, offset)
            packet: Packet = TradePacket(_TICKER_KIND, _segment_of(segment), str(security_id), price, time)
        elif code in _QUOTE_CODES:
            _, length, segment, security_id, price, _, time = _unpack_quote(frame, offset)
            packet = TradePacket(_QUOTE_CODES[code], _segment_of(segment), str(security_id), price, time)
        elif code == _PREVIOUS_CLOSE_CODE:
            _, length, segment, security_id, price, _ = _PREVIOUS_CLOSE.unpack_from(frame, offset)
            packet = PreviousClosePacket(_segment_of(segment), str(security_id), price)
        elif code == _DISCONNECT_CODE:
            _, length, _, _, reason = _DISCONNECT.unpack_from(frame, offset)
            packet = DisconnectPacket(reason)
        else:
            _, length, _, _ = _HEADER.unpack_from(frame, offset)
            packet = OtherPacket(code)
        if length < length_min or offset + length > end:
            raise _malformed(frame, offset)
        yield packet
        offset += length


def _malformed(frame: bytes, offset: int) -> FrameMalformed:
    if len(frame) - offset < _HEADER.size:
        return FrameMalformed(f"received {len(frame) - offset} bytes at {offset}, expected a header")
    code, length, _, _ = _HEADER.unpack_from(frame, offset)
    return FrameMalformed(f"received code {code} of length {length} at {offset} of {len(frame)} bytes")
