"""Arrays in PostgreSQL's binary form, made in one pass.

The driver's own way adapts element by element, which for a batch of a thousand events costs more than the insert does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct, pack, unpack_from
from typing import ClassVar, Self

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_LENGTH = Struct(">i").pack
NULL = _LENGTH(-1)
"""The element that is none."""
_INT4_BYTES = 4
_INT8_BYTES = 8
_HEADER_BYTES = 20
_INT8_ELEMENT = Struct(">iq").pack
_BOOLEANS = {None: NULL, False: _LENGTH(1) + b"\x00", True: _LENGTH(1) + b"\x01"}


@dataclass(frozen=True, slots=True)
class BinaryArray:
    """An array's wire form."""

    data: bytes
    element_oid: ClassVar[int]
    oid: ClassVar[int]

    @classmethod
    def of_elements(cls, count: int, elements: Sequence[bytes], *, has_null: bool = False) -> Self:
        """Return the array of *elements*, *count* of them: they may come several in one piece."""
        return cls(b"".join((_header(cls.element_oid, count, has_null=has_null), *elements)))


class TextArray(BinaryArray):
    """A `text[]`."""

    __slots__ = ()
    element_oid, oid = 25, 1009

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> "TextArray":
        """Return the array of *texts*."""
        return cls(_of_bytes(cls.element_oid, [None if text is None else text.encode() for text in texts]))


class BytesArray(BinaryArray):
    """A `bytea[]`."""

    __slots__ = ()
    element_oid, oid = 17, 1001

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "BytesArray":
        """Return the array of *values*."""
        return cls(_of_bytes(cls.element_oid, values))


class Int4Array(BinaryArray):
    """An `integer[]`."""

    __slots__ = ()
    element_oid, oid = 23, 1007

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Int4Array":
        """Return the array of *numbers*."""
        return cls(_of_numbers(cls.element_oid, numbers, code="i", size=_INT4_BYTES))


class Int8Array(BinaryArray):
    """A `bigint[]`."""

    __slots__ = ()
    element_oid, oid = 20, 1016

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Int8Array":
        """Return the array of *numbers*."""
        return cls(_of_numbers(cls.element_oid, numbers, code="q", size=_INT8_BYTES))


# --- Elements: each a value's wire form with its length before it, as arrays and binary COPY have them ----------------


def bytes_element(value: bytes) -> bytes:
    """Return *value*, which may be an encoded text, as an element."""
    return _LENGTH(len(value)) + value


def int8_element(number: int) -> bytes:
    """Return *number* as an element."""
    return _INT8_ELEMENT(_INT8_BYTES, number)


class _TextElements(dict[str | None, bytes]):
    """Elements by their texts. Texts that come again, as ids and statuses do, are made once."""

    def __missing__(self, text: str) -> bytes:
        value = text.encode()
        element = self[text] = _LENGTH(len(value)) + value
        return element


def text_elements(texts: Sequence[str | None]) -> list[bytes]:
    """Return *texts* as elements."""
    known = _TextElements({None: NULL})
    return [known[text] for text in texts]


def bytes_elements(values: Sequence[bytes | None]) -> list[bytes]:
    """Return *values* as elements."""
    return [NULL if value is None else _LENGTH(len(value)) + value for value in values]


def bool_elements(values: Sequence[bool | None]) -> list[bytes]:
    """Return *values* as elements."""
    return [_BOOLEANS[value] for value in values]


def int8_elements(numbers: Sequence[int | None]) -> list[bytes]:
    """Return *numbers* as elements."""
    missing = numbers.count(None)
    if missing == len(numbers):  # So it is in most columns that may be empty.
        return [NULL] * missing
    return [NULL if number is None else _INT8_ELEMENT(_INT8_BYTES, number) for number in numbers]


# --- Items: what an array without nulls holds -------------------------------------------------------------------------


def text_items(data: bytes) -> list[str]:
    """Return the items of a `text[]` in its wire form, in which few texts come often."""
    items = []
    known: dict[bytes, str] = {}
    place = _HEADER_BYTES
    while place < len(data):
        after = place + _INT4_BYTES + int.from_bytes(data[place : place + _INT4_BYTES])
        value = data[place + _INT4_BYTES : after]
        item = known.get(value)
        if item is None:
            item = known[value] = value.decode()
        items.append(item)
        place = after
    return items


def int8_items(data: bytes) -> list[int]:
    """Return the items of a `bigint[]` in its wire form."""
    count = max(len(data) - _HEADER_BYTES, 0) // (_INT4_BYTES + _INT8_BYTES)
    return list(unpack_from(">" + "iq" * count, data, _HEADER_BYTES)[1::2]) if count else []


def _header(element_oid: int, count: int, *, has_null: bool) -> bytes:
    # Dimensions, null flag, element type; then, unless it is empty, length and lower bound of the one dimension.
    return pack(">iiIii", 1, has_null, element_oid, count, 1) if count else pack(">iiI", 0, 0, element_oid)


def _of_bytes(element_oid: int, values: Sequence[bytes | None]) -> bytes:
    present = [value for value in values if value is not None]
    has_null = len(present) < len(values)
    pieces = [b""] * (2 * len(values) + 1)
    pieces[0] = _header(element_oid, len(values), has_null=has_null)
    if has_null:
        pieces[1::2] = [NULL if value is None else _LENGTH(len(value)) for value in values]
        pieces[2::2] = [value or b"" for value in values]
    else:
        pieces[1::2] = map(_LENGTH, map(len, present))
        pieces[2::2] = present
    return b"".join(pieces)


def _of_numbers(element_oid: int, numbers: Sequence[int], *, code: str, size: int) -> bytes:
    with_lengths = [size] * (2 * len(numbers))
    with_lengths[1::2] = numbers
    return _header(element_oid, len(numbers), has_null=False) + pack(">" + f"i{code}" * len(numbers), *with_lengths)


def register_arrays(connection: AdaptContext) -> None:
    """Let *connection*, or one cursor, take these arrays as parameters."""
    for array_type in (TextArray, BytesArray, Int4Array, Int8Array):
        connection.adapters.register_dumper(array_type, _dumper_of(array_type))


def _dumper_of(array_type: type[BinaryArray]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array_type.oid

        def dump(self, obj: BinaryArray) -> bytes:
            return obj.data

    return ArrayDumper
