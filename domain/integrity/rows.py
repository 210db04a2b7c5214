"""The form in which events are checked: bytes that hold exactly what the hashes cover.

A row begins with the number of its fields (2 bytes), and before each field stands its length (4 bytes); all numbers are
big-endian. The first fields are sequence, time (microseconds since 2000), previous hash and hash. Then come the parts
of the content, and before each of them an empty field: an empty field is four zero bytes, and those together with the
four bytes of the next length are the eight-byte length that the leaf hash wants before each part. So the rest of the
row, as it stands, is what the leaf hash is taken of, and nothing needs to be taken apart or put together.

PostgreSQL's binary COPY gives this form for a list of columns; rows from elsewhere are brought into it by `encode_row`.
"""

from struct import Struct

from domain.envelope import RecordedEvent

US_FROM_1970_TO_2000 = 946_684_800_000_000

FIXED = Struct(">hiqiqi32si32sii")
"""Count of fields; length and value of sequence, time, previous hash, hash; an empty field; length of the stream."""
FIXED_LENGTHS = (16, 8, 8, 32, 32, 0)
"""What the count and the lengths in it must be."""
CONTENT_AT = FIXED.size - 8
"""Where the content begins, which the leaf hash is taken of."""
AFTER_STREAM = Struct(">4xiq4xi")
"""What follows the stream: length of the version, version, an empty field, length of the name."""
_LENGTH = Struct(">4xi")


def encode_row(event: RecordedEvent) -> bytes:
    """Return *event* as a row."""
    stream_id = event.stream_id.encode()
    name = event.name.encode()
    row = FIXED.pack(
        16, 8, event.sequence, 8, event.recorded_at_us - US_FROM_1970_TO_2000, 32, event.previous_hash, 32, event.hash,
        0, len(stream_id),
    )  # fmt: skip
    row += stream_id + AFTER_STREAM.pack(8, event.version, len(name)) + name
    for part in (event.command_id.encode(), event.metadata, event.payload):
        row += _LENGTH.pack(len(part)) + part
    return row
