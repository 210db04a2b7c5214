"""Fields of the venue's rows that hold money, prices, counts and flags, read tolerantly (see `codec.py`)."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from adapters.dhan.words.codec import AnswerMalformed, Row, decimal_of, integer_in, optional_text, price_e4_of
from domain.money import PAISE_PER_RUPEE


def rows_under(document: Any, *names: str) -> Any:
    """Return what stands under *names*, one within the other.

    Raises:
        AnswerMalformed: one of them is missing.
    """
    for name in names:
        if not isinstance(document, dict) or name not in document:
            raise AnswerMalformed(f"received an answer without {'.'.join(names)}")
        document = document[name]
    return document


def object_of(document: Any) -> Row:
    """Return an answer that is one object, bare or the only one of a list.

    Raises:
        AnswerMalformed: it is something else.
    """
    row = document[0] if isinstance(document, list) and len(document) == 1 else document
    if not isinstance(row, dict):
        raise AnswerMalformed(f"received {type(document).__name__}, expected one object")
    return row


def optional_integer_in(row: Row, *names: str) -> int | None:
    """Return the first of the named whole numbers that is set, None where none is.

    Raises:
        AnswerMalformed: it is no whole number.
    """
    name = next((name for name in names if optional_text(row, name) is not None), None)
    return None if name is None else integer_in(row, name)


def price_in(row: Row, name: str) -> int:
    """Return a price in 1/10,000 rupee.

    Raises:
        AnswerMalformed: it is unset or no number.
    """
    return price_e4_of(row.get(name))


def optional_price_in(row: Row, name: str) -> int | None:
    """Return a price in 1/10,000 rupee, None where it is unset. A price of 0 is unset as well: the venue sends both.

    Raises:
        AnswerMalformed: it is no number.
    """
    return None if optional_text(row, name) is None else price_e4_of(row[name]) or None


def amount_in(row: Row, *names: str) -> int:
    """Return the first of the named amounts that is set, in paise; a finer one is rounded to the nearest.

    Raises:
        AnswerMalformed: none is set, or it is no number.
    """
    name = next((name for name in names if optional_text(row, name) is not None), None)
    if name is None:
        raise AnswerMalformed(f"received a row without {names[0]}")
    return int((decimal_of(row[name]) * PAISE_PER_RUPEE).to_integral_value(ROUND_HALF_EVEN))


def optional_amount_in(row: Row, name: str) -> int:
    """Return an amount in paise, 0 where it is unset.

    Raises:
        AnswerMalformed: it is no number.
    """
    return 0 if optional_text(row, name) is None else amount_in(row, name)


def optional_decimal_in(row: Row, name: str) -> Decimal | None:
    """Return a number that is no money, as exact as it came, None where it is unset.

    Raises:
        AnswerMalformed: it is no number.
    """
    return None if optional_text(row, name) is None else decimal_of(row[name])


def flag_in(row: Row, name: str) -> bool | None:
    """Return a flag that the venue writes as a boolean or as Active and Deactive, None where it is unset."""
    text = optional_text(row, name)
    return None if text is None else text.upper() in {"TRUE", "ACTIVE", "ACTIVATE", "YES", "Y"}
