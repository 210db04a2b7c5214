"""Decimal text and names of things, to and from what the engine computes with."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, overload

from msgspec import Meta

from api.errors import FieldInvalid
from domain.account.refusals import OrderNotFound, TradeNotFound
from domain.ids import OrderId, StrategyId, TradeId
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE
from domain.money import PAISE_PER_RUPEE, PriceInvalid, format_e4, format_paise, parse_price_e4
from domain.order import Product
from domain.refusals import NotFound

_PRICE_PATTERN = r"[0-9]{1,10}(\.[0-9]{1,4})?"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).astimezone(EXCHANGE_ZONE)
_NS_PER_US = 1_000
_AMOUNT_PATTERN = r"[0-9]{1,13}(\.[0-9]{1,2})?"
_TRADE_ID = re.compile(r"[0-9A-Za-z_]{1,64}", re.ASCII)
_ORDER_ID = re.compile(r"[0-9A-Za-z_]{1,64}\.[0-9]{1,6}", re.ASCII)


def _text(description: str, pattern: str, example: str) -> Any:
    extra = {"pattern": f"^{pattern}$", "examples": [example]}
    return Meta(description=description, extra_json_schema=extra)


Price = Annotated[str, _text("Rupees as decimal text, four places at most", _PRICE_PATTERN, "2850.05")]
"""A price in a request or an answer. Text, never a JSON number: those are binary floats in too many programs."""
Amount = Annotated[str, _text("Rupees as decimal text, two places at most", _AMOUNT_PATTERN, "50000.00")]
SignedAmount = Annotated[str, _text("Rupees as decimal text, possibly negative", f"-?{_AMOUNT_PATTERN}", "-125.50")]
FineAmount = Annotated[
    str,
    _text("Rupees as decimal text, possibly negative, four places at most", r"-?[0-9]{1,13}(\.[0-9]{1,4})?", "-0.0036"),
]
"""An amount of the broker's, which tells them more finely than in paise."""
Share = Annotated[str, _text("A share as decimal text, four places: 0.0500 is 5 %", r"-?[0-9]+\.[0-9]{4}", "0.0500")]
Time = Annotated[str, Meta(description="ISO 8601 with offset", examples=["2026-11-20T09:15:00.250000+05:30"])]
PositionId = Annotated[str, Meta(description="segment-security_id-product", examples=["NSE_EQ-2885-INTRADAY"])]
StrategyName = Annotated[
    str,
    Meta(
        max_length=64,
        # The end of a line is no end of a name: `$` alone would let one more line break pass.
        pattern=r"^[0-9A-Za-z_-]+$(?!\n)",
        examples=["str_01J000000000000000000000A1"],
    ),
]
Sequence = Annotated[
    int, Meta(description="Place in the log: hand it to a query as min_sequence to read what you wrote")
]


class PositionUnknown(NotFound):
    """No position can have this id. The caller sees 404; nothing is stored."""

    code = "POSITION_NOT_FOUND"


def price_e4(text: str | None, *, field: str) -> int | None:
    """Return the price that *text* means, in 1/10,000 rupee; None for None.

    Raises:
        FieldInvalid: it is no positive decimal number with four places at most (`PRICE_INVALID`).
    """
    return None if text is None else required_price_e4(text, field=field)


def required_price_e4(text: str, *, field: str) -> int:
    """Return the price that *text* means, in 1/10,000 rupee. Raises as `price_e4` does."""
    if not re.fullmatch(_PRICE_PATTERN, text, re.ASCII):
        raise FieldInvalid(
            PriceInvalid.code,
            f"{field}: received {text[:40]!r}, expected a positive decimal such as '2850.05'",
            field=field,
        )
    try:
        return parse_price_e4(text)
    except PriceInvalid as error:
        raise FieldInvalid(error.code, f"{field}: {error.message}", field=field) from None


def amount_paise(text: str, *, field: str) -> int:
    """Return the amount that *text* (rupees) means, in paise.

    Raises:
        FieldInvalid: it is no decimal number with two places at most (`AMOUNT_INVALID`).
    """
    if not re.fullmatch(_AMOUNT_PATTERN, text, re.ASCII):
        raise FieldInvalid(
            "AMOUNT_INVALID", f"{field}: received {text[:40]!r}, expected a decimal such as '50000.00'", field=field
        )
    rupees, _, paise = text.partition(".")
    return int(rupees) * PAISE_PER_RUPEE + int(paise.ljust(2, "0"))


def signed_amount_paise(text: str, *, field: str) -> int:
    """Return the amount, possibly negative, that *text* (rupees) means, in paise. Raises as `amount_paise` does."""
    amount = amount_paise(text.removeprefix("-"), field=field)
    return -amount if text.startswith("-") else amount


def amount_text(paise: int) -> str:
    """Return an amount as rupees."""
    return format_paise(paise)


def fine_amount_text(amount_e4: int) -> str:
    """Return an amount in 1/10,000 rupee as rupees, with two decimal places, or four where they matter."""
    return format_e4(amount_e4)


def optional_amount_text(paise: int | None) -> str | None:
    """Return an amount as rupees, None for None."""
    return None if paise is None else format_paise(paise)


def optional_share_text(share: float | None) -> str | None:
    """Return a share with four places, None for None."""
    return None if share is None else f"{share:.4f}"


def optional_price_text(price_e4: int | None) -> str | None:
    """Return a price as rupees, None for None."""
    return None if price_e4 is None else format_e4(price_e4)


@overload
def time_text_us(time_us: int) -> str: ...
@overload
def time_text_us(time_us: int | None) -> str | None: ...
def time_text_us(time_us: int | None) -> str | None:
    """Return a time (UTC microseconds) as the exchange's clock shows it, None for None."""
    if time_us is None:
        return None
    # Not `fromtimestamp`: it goes through a float, which is too coarse for the last digit.
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds")


def time_text_ns(time_ns: int | None) -> str | None:
    """Return a time (UTC nanoseconds), to the microsecond, as the exchange's clock shows it, None for None."""
    return None if time_ns is None else time_text_us(time_ns // _NS_PER_US)


def strategy_of(name: str | None) -> StrategyId | None:
    """Return the strategy that *name* means, None for None."""
    return None if name is None else StrategyId(name)


def parse_trade_id(text: str) -> TradeId:
    """Return the trade that *text* names.

    Raises:
        TradeNotFound: no trade can have this name.
    """
    if not _TRADE_ID.fullmatch(text):
        raise TradeNotFound(f"received trade {text[:80]!r}, expected one of yours")
    return TradeId(text)


def parse_order_id(text: str) -> OrderId:
    """Return the order that *text* names.

    Raises:
        OrderNotFound: no order can have this name.
    """
    if not _ORDER_ID.fullmatch(text):
        raise OrderNotFound(f"received order {text[:80]!r}, expected one of yours")
    return OrderId(text)


def position_id(instrument: InstrumentKey, product: Product) -> str:
    """Return the name of the holding in *instrument* and *product*."""
    return f"{instrument.segment.value}-{instrument.security_id}-{product.value}"


def parse_position_id(text: str) -> tuple[InstrumentKey, Product]:
    """Return whose name *text* is.

    Raises:
        PositionUnknown: nobody's.
    """
    match text.split("-"):
        case [segment, security_id, product] if (
            segment in set(Segment) and product in set(Product) and security_id.isascii() and security_id.isalnum()
        ):
            return InstrumentKey(Segment(segment), security_id), Product(product)
        case _:
            raise PositionUnknown(f"received position {text[:80]!r}, expected one such as 'NSE_EQ-2885-INTRADAY'")
