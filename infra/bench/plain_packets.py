"""The yardstick of `adapter.packets`: feed packets read the plain way, header first and then the body by its kind."""

import struct
from collections.abc import Iterator

from adapters.dhan.streams.packets import (
    PACKET_LENGTHS,
    SEGMENT_CODES,
    DisconnectPacket,
    FrameMalformed,
    OtherPacket,
    Packet,
    PacketCode,
    PreviousClosePacket,
    TradePacket,
)

_HEADER_LENGTH = 8


def plain_packets_of(frame: bytes) -> Iterator[Packet]:
    """Yield the packets of *frame*, in order, as `adapters.dhan.streams.packets.packets_of` does.

    Raises:
        FrameMalformed: a length is shorter than its packet needs, or reaches past the end of the frame.
    """
    offset = 0
    while offset < len(frame):
        if len(frame) - offset < _HEADER_LENGTH:
            raise FrameMalformed(f"received {len(frame) - offset} bytes at {offset}, expected a header")
        code, length, segment_code, security_id = struct.unpack_from("<BHBi", frame, offset)
        if length < PACKET_LENGTHS.get(code, _HEADER_LENGTH) or offset + length > len(frame):
            raise FrameMalformed(f"received code {code} of length {length} at {offset} of {len(frame)} bytes")
        yield _packet(code, segment_code, security_id, frame[offset + _HEADER_LENGTH : offset + length])
        offset += length


def _packet(code: int, segment_code: int, security_id: int, body: bytes) -> Packet:
    segment = SEGMENT_CODES.get(segment_code)
    match code:
        case PacketCode.TICKER:
            price, time = struct.unpack_from("<fi", body)
        case PacketCode.QUOTE | PacketCode.FULL:
            price, _, time = struct.unpack_from("<fhi", body)
        case PacketCode.PREVIOUS_CLOSE:
            return PreviousClosePacket(segment, str(security_id), struct.unpack_from("<f", body)[0])
        case PacketCode.DISCONNECT:
            return DisconnectPacket(struct.unpack_from("<h", body)[0])
        case _:
            return OtherPacket(code)
    return TradePacket(PacketCode(code), segment, str(security_id), price, time)
