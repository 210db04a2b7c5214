"""Exact prices and money: integers, never floats.

A price is an integer of 1/10,000 rupee (`price_e4`), an amount an integer of a paisa (`amount_paise`). Text is
decimal: `"2850.05"`.
"""

import re
from decimal import Decimal

from domain.refusals import InvalidInput

E4_PER_RUPEE = 10_000
E4_PER_PAISA = 100
PAISE_PER_RUPEE = 100
PRICE_E4_MAX = 10**13
"""A thousand million rupees: above it a price is a typing error."""
_PRICE = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,40}))?", re.ASCII)
_PRICE_PLACES = 4


class PriceInvalid(InvalidInput):
    """A price that is no positive decimal number with four places at most. The caller sees 422."""

    code = "PRICE_INVALID"


def parse_price_e4(text: str) -> int:
    """Return the price that decimal *text* (rupees) means, in 1/10,000 rupee.

    Raises:
        PriceInvalid: *text* is not a decimal number above zero with four places at most.
    """
    match = _PRICE.fullmatch(text)
    if match is None:
        raise PriceInvalid(f"received price {text[:40]!r}, expected a decimal number such as '2850.05'")
    # Digits, not Decimal arithmetic: that rounds to its context, so a number with many places would become another one.
    rupees, places = match[1], (match[2] or "").rstrip("0")
    if len(places) > _PRICE_PLACES:
        raise PriceInvalid(f"received price {text}, expected four decimal places at most")
    price_e4 = int(rupees) * E4_PER_RUPEE + int(places.ljust(_PRICE_PLACES, "0"))
    if not 0 < price_e4 <= PRICE_E4_MAX:
        raise PriceInvalid(f"received price {text}, expected more than 0 and at most {PRICE_E4_MAX // E4_PER_RUPEE}")
    return price_e4


def format_e4(value_e4: int) -> str:
    """Return *value_e4* (1/10,000 rupee) as rupees, with two decimal places, or four where they matter."""
    rupees, rest = divmod(abs(value_e4), E4_PER_RUPEE)
    paise, finer = divmod(rest, E4_PER_PAISA)
    sign = "-" if value_e4 < 0 else ""
    return f"{sign}{rupees}.{paise:02}{finer:02}" if finer else f"{sign}{rupees}.{paise:02}"


def format_paise(amount_paise: int) -> str:
    """Return *amount_paise* as rupees with two decimal places."""
    # A view of an account tells some sixty amounts, and whole numbers are less work than decimal ones.
    rupees, paise = divmod(abs(amount_paise), PAISE_PER_RUPEE)
    return f"-{rupees}.{paise:02}" if amount_paise < 0 else f"{rupees}.{paise:02}"


def value_paise(*, price_e4: int, quantity: int, multiplier: int = 1) -> int:
    """Return what *quantity* units at *price_e4* are worth, in paise, a half rounded to even.

    Exact wherever the tick is a whole number of paise; elsewhere each fill is rounded once, here.
    """
    whole, rest = divmod(price_e4 * quantity * multiplier, E4_PER_PAISA)
    twice = 2 * rest
    if twice > E4_PER_PAISA or (twice == E4_PER_PAISA and whole % 2 == 1):
        return whole + 1
    return whole


def average_price_e4(*, amount_paise: int, quantity: int, multiplier: int = 1) -> int | None:
    """Return the average price of *quantity* units worth *amount_paise*, for display only; None for no units."""
    units = quantity * multiplier
    return None if units == 0 else round(Decimal(amount_paise * E4_PER_PAISA) / units)
