"""The binary packets of the market feed: little-endian, an eight-byte header, several to a frame where the venue likes.

`struct` reads what stands there; what it means (Indian wall time in the stamps, prices that are 32-bit floats) is put
right in `ticks.py` and nowhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from domain.instrument import Segment

_HEADER = Struct("<BHBi")  # code, length of the whole packet, segment, security id
_TICKER = Struct("<fi")  # last price, last trade time
_QUOTE = Struct("<fhi")  # last price, last quantity, last trade time; averages, volumes and day prices follow
_PREVIOUS_CLOSE = Struct("<fi")  # price, open interest
_DISCONNECT = Struct("<h")  # reason

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


PACKET_LENGTHS = {
    PacketCode.TICKER: 16,
    PacketCode.QUOTE: 50,
    PacketCode.PREVIOUS_CLOSE: 16,
    PacketCode.FULL: 162,
    PacketCode.DISCONNECT: 10,
}


class FrameMalformed(Exception):
    """A frame whose packets do not add up. What stood before the broken place has been given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePacket:
    """The last trade of an instrument, from a ticker, quote or full packet, as it stands on the wire.

    `last_price` is a 32-bit float in rupees, `last_trade_time` seconds that show Indian wall time when read as UTC.
    `segment` is None where its code is unknown.
    """

    code: PacketCode
    segment: Segment | None
    security_id: str
    last_price: float
    last_trade_time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousClosePacket:
    """The previous session's close."""

    segment: Segment | None
    security_id: str
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectPacket:
    """The venue's goodbye: 805 too many connections, 806 no data plan, 807 … 810 token or client."""

    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPacket:
    """A kind that we do not read."""

    code: int


Packet = TradePacket | PreviousClosePacket | DisconnectPacket | OtherPacket


def packets_of(frame: bytes) -> Iterator[Packet]:
    """Yield the packets of *frame*, in order.

    Raises:
        FrameMalformed: a length is shorter than its packet needs, or reaches past the end of the frame.
    """
    offset = 0
    while offset < len(frame):
        if len(frame) - offset < _HEADER.size:
            raise FrameMalformed(f"received {len(frame) - offset} bytes at {offset}, expected a header")
        code, length, segment_code, security_id = _HEADER.unpack_from(frame, offset)
        if length < _length_min(code) or offset + length > len(frame):
            raise FrameMalformed(f"received code {code} of length {length} at {offset} of {len(frame)} bytes")
        yield _packet(code, SEGMENT_CODES.get(segment_code), str(security_id), frame, offset + _HEADER.size)
        offset += length


def _length_min(code: int) -> int:
    return PACKET_LENGTHS[PacketCode(code)] if code in PACKET_LENGTHS else _HEADER.size


def _packet(code: int, segment: Segment | None, security_id: str, frame: bytes, body: int) -> Packet:
    match code:
        case PacketCode.TICKER:
            last_price, last_trade_time = _TICKER.unpack_from(frame, body)
        case PacketCode.QUOTE | PacketCode.FULL:
            last_price, _, last_trade_time = _QUOTE.unpack_from(frame, body)
        case PacketCode.PREVIOUS_CLOSE:
            price, _ = _PREVIOUS_CLOSE.unpack_from(frame, body)
            return PreviousClosePacket(segment=segment, security_id=security_id, price=price)
        case PacketCode.DISCONNECT:
            return DisconnectPacket(reason=_DISCONNECT.unpack_from(frame, body)[0])
        case _:
            return OtherPacket(code=code)
    return TradePacket(
        code=PacketCode(code),
        segment=segment,
        security_id=security_id,
        last_price=last_price,
        last_trade_time=last_trade_time,
    )
