"""Feed packets: the fast reader and the plain one agree on every frame, whole or torn."""

import struct
from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from adapters.dhan.streams.packets import FrameMalformed, Packet, packets_of
from infra.bench.plain_packets import plain_packets_of

I16, I32 = st.integers(-(2**15), 2**15 - 1), st.integers(-(2**31), 2**31 - 1)
BYTE = st.integers(0, 255)
F32 = st.floats(width=32, allow_nan=False)  # One that is no number equals nothing, itself included.


def packed(layout: str, code: int, length: int, *fields: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    """Return packets of one kind: header, the fields that are read, and zeros up to their length."""
    parts = st.tuples(BYTE, I32, *fields)
    return parts.map(lambda given: struct.pack("<BHBi" + layout, code, length, *given).ljust(length, b"\0"))


WHOLE = st.one_of(
    packed("fi", 2, 16, F32, I32),
    packed("fhi", 4, 50, F32, I16, I32),
    packed("fhi", 8, 162, F32, I16, I32),
    packed("fi", 6, 16, F32, I32),
    packed("i", 5, 12, I32),
    packed("", 7, 8),
    packed("h", 50, 10, I16),
)
LONGER = packed("fi", 2, 20, F32, I32)
"""A kind that gained fields at its end is passed over by its length."""
FRAMES = st.lists(st.one_of(WHOLE, LONGER), max_size=12).map(b"".join)


def read_with(read: Callable[[bytes], Iterator[Packet]], frame: bytes) -> tuple[list[Packet], str | None]:
    """Return what came out before the end or the broken place, and what was said about that place."""
    packets: list[Packet] = []
    try:
        packets.extend(read(frame))
    except FrameMalformed as fault:
        return packets, str(fault)
    return packets, None


@given(FRAMES)
def test_both_readers_find_the_same_packets_in_whole_frames(frame: bytes) -> None:
    packets, fault = read_with(packets_of, frame)
    assert (packets, fault) == read_with(plain_packets_of, frame)
    assert fault is None


@given(FRAMES, st.data())
def test_both_readers_give_out_the_same_before_the_torn_place(frame: bytes, data: st.DataObject) -> None:
    torn = frame[: data.draw(st.integers(0, len(frame)))]
    assert read_with(packets_of, torn) == read_with(plain_packets_of, torn)


@given(FRAMES, st.integers(0, 400), BYTE)
def test_both_readers_say_the_same_of_a_byte_that_is_wrong(frame: bytes, place: int, byte: int) -> None:
    damaged = bytearray(frame)
    if place < len(damaged):
        damaged[place] = byte
    ours, plain = (read_with(read, bytes(damaged)) for read in (packets_of, plain_packets_of))
    assert str(ours) == str(plain)  # A damaged price may be no number, which equals nothing.
