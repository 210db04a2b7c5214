"""Our words to Dhan's and back: documents, enums, prices, times, rows.

Numbers with a point are `Decimal`s made from the text on the wire, and are written as the exact decimal text of our
integers: no float is in between. Reading is tolerant where the venue is loose: null, "NA" and "" mean unset, so does
the year 0001, numbers may come as text, a single row may come bare or as a list of one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from commands.ports import VenueFill, VenueOrder, VenuePosition
from domain.ids import CorrelationId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.money import E4_PER_RUPEE, format_e4
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Side, TimeInForce

T = TypeVar("T")
Row = Mapping[str, Any]

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_UNSET = frozenset({"", "NA"})
_YEAR_UNSET = 1
_TIMES_KEPT = 10_000
"""A book is read again and again, and its rows tell the same times every time."""
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")


class AnswerMalformed(Exception):
    """An answer that is not what the venue's documents and recordings show. Nothing can be concluded from it."""


class RowUnsupported(Exception):
    """A row about something we do not trade (a product or segment we have no word for). It is passed over."""


# --- Documents --------------------------------------------------------------------------------------------------------


def parse_document(body: bytes) -> Any:
    """Return what JSON *body* holds, numbers with a point as `Decimal`.

    Raises:
        AnswerMalformed: *body* is no JSON.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, InvalidOperation, UnicodeDecodeError) as error:
        raise AnswerMalformed(f"received {len(body)} bytes that are no JSON, expected a JSON document") from error


def render_document(document: Mapping[str, Any]) -> bytes:
    """Return *document* as JSON, `Decimal`s as numbers with every digit."""
    return _ENCODER.encode(document)


def rows_of(document: Any) -> list[Row]:
    """Return the rows of a list, of a single bare row, or of nothing.

    Raises:
        AnswerMalformed: the document is none of these.
    """
    if document is None:
        return []
    rows = document if isinstance(document, list) else [document]
    if not all(isinstance(row, Mapping) for row in rows):
        raise AnswerMalformed(f"received rows of {type(document).__name__}, expected objects")
    return rows


def supported(rows: Sequence[Row], read: Callable[[Row], T]) -> Iterator[T]:
    """Yield what *read* makes of each row, leaving out rows about what we do not trade."""
    for row in rows:
        try:
            yield read(row)
        except RowUnsupported:
            continue


# --- Words ------------------------------------------------------------------------------------------------------------

_SEGMENT_WORDS = {segment: segment.value for segment in Segment} | {Segment.INDEX: "IDX_I"}
_SEGMENTS = {word: segment for segment, word in _SEGMENT_WORDS.items()}
_STATUSES = {
    "TRANSIT": OrderStatus.SUBMITTING,
    "PENDING": OrderStatus.ACKNOWLEDGED,
    "PART_TRADED": OrderStatus.PARTLY_FILLED,
    "TRADED": OrderStatus.FILLED,
    "REJECTED": OrderStatus.REJECTED,
    "CANCELLED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
}
TYPE_WORDS = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.SL: "STOP_LOSS",
    OrderType.SL_M: "STOP_LOSS_MARKET",
}
_TYPES = {word: order_type for order_type, word in TYPE_WORDS.items()}
_LIMITED = frozenset({OrderType.LIMIT, OrderType.SL})
_TRIGGERED = frozenset({OrderType.SL, OrderType.SL_M})
_AMO_TIME = "OPEN"
"""When an after market order goes to the exchange: as it opens. Source: Dhan, annexure, amoTime."""
_STATUS_WORDS = {status: word for word, status in _STATUSES.items()}
_EXPLAINED = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED})


def segment_word(segment: Segment) -> str:
    """Return Dhan's word for *segment*."""
    return _SEGMENT_WORDS[segment]


def segment_of(word: str) -> Segment:
    """Return the segment that Dhan calls *word*.

    Raises:
        RowUnsupported: we have no such segment.
    """
    if word not in _SEGMENTS:
        raise RowUnsupported(f"received segment {word!r}, expected one of {', '.join(_SEGMENTS)}")
    return _SEGMENTS[word]


def product_of(word: str) -> Product:
    """Return the product that Dhan calls *word*; our words are the same.

    Raises:
        RowUnsupported: we have no such product.
    """
    try:
        return Product(word)
    except ValueError:
        raise RowUnsupported(f"received product {word!r}, expected one of {', '.join(Product)}") from None


def type_of(word: str) -> OrderType:
    """Return the order type that Dhan calls *word*.

    Raises:
        RowUnsupported: we have no such type.
    """
    if word not in _TYPES:
        raise RowUnsupported(f"received order type {word!r}, expected one of {', '.join(_TYPES)}")
    return _TYPES[word]


def status_word(status: OrderStatus) -> str:
    """Return Dhan's word for *status*, which is one that the venue can report."""
    return _STATUS_WORDS[status]


def status_of(word: str) -> OrderStatus | None:
    """Return what Dhan's *word*, in any case, says of an order, None for a word that we do not know."""
    return _STATUSES.get(word.upper())


# --- Prices and times -------------------------------------------------------------------------------------------------


def rupees(price_e4: int) -> Decimal:
    """Return *price_e4* (1/10,000 rupee) as the exact decimal that goes on the wire."""
    return Decimal(format_e4(price_e4))


def price_e4_of(value: Any) -> int:
    """Return a price in 1/10,000 rupee, a finer one rounded to the nearest.

    Raises:
        AnswerMalformed: *value* is no finite number.
    """
    return int((decimal_of(value) * E4_PER_RUPEE).to_integral_value(ROUND_HALF_EVEN))


@lru_cache(maxsize=_TIMES_KEPT)
def utc_ns_of(text: str) -> int | None:
    """Return the UTC nanoseconds that Dhan's *text* (Indian time, no zone) means, None for its year 0001.

    Raises:
        AnswerMalformed: *text* has none of the forms that Dhan uses.
    """
    plain = text.strip().partition(".")[0]
    for form in _TIME_FORMATS:
        try:
            local = datetime.strptime(plain, form).replace(tzinfo=EXCHANGE_ZONE)
        except ValueError:
            continue
        return None if local.year == _YEAR_UNSET else int(local.timestamp()) * NS_PER_S
    raise AnswerMalformed(f"received time {text!r}, expected the form 2026-01-31 09:15:00")


def ist_text_of(time_ns: int) -> str:
    """Return *time_ns* (UTC) as Dhan writes times: Indian time, whole seconds."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).astimezone(EXCHANGE_ZONE).strftime(_TIME_FORMATS[0])


# --- Orders out -------------------------------------------------------------------------------------------------------


def order_document(client_id: str, instruction: OrderInstruction, correlation_id: CorrelationId) -> dict[str, Any]:
    """Return the body of an order. Unused fields are left out: the venue refuses empty text."""
    document: dict[str, Any] = {
        "dhanClientId": client_id,
        "correlationId": correlation_id,
        "transactionType": instruction.side.value,
        "exchangeSegment": segment_word(instruction.instrument.segment),
        "productType": instruction.product.value,
        "orderType": TYPE_WORDS[instruction.order_type],
        "validity": instruction.time_in_force.value,
        "securityId": instruction.instrument.security_id,
        "quantity": instruction.quantity,
        "price": _price(instruction),
    }
    if instruction.order_type in _TRIGGERED:
        document["triggerPrice"] = _trigger_price(instruction)
    if instruction.disclosed_quantity:
        document["disclosedQuantity"] = instruction.disclosed_quantity
    if instruction.after_market:
        document |= {"afterMarketOrder": True, "amoTime": _AMO_TIME}
    return document


def change_document(client_id: str, venue_order_id: VenueOrderId, instruction: OrderInstruction) -> dict[str, Any]:
    """Return the body that makes an order what *instruction* says. Nothing is left to what it was before.

    `quantity` is the whole order's, what has executed included. Source: Dhan, releases, v2.0.
    """
    return {
        "dhanClientId": client_id,
        "orderId": venue_order_id,
        "orderType": TYPE_WORDS[instruction.order_type],
        "validity": instruction.time_in_force.value,
        "quantity": instruction.quantity,
        "price": _price(instruction),
        "disclosedQuantity": instruction.disclosed_quantity,
        "triggerPrice": _trigger_price(instruction),
    }


def _price(instruction: OrderInstruction) -> Decimal | int:
    price_e4 = instruction.limit_price_e4 if instruction.order_type in _LIMITED else None
    return 0 if price_e4 is None else rupees(price_e4)


def _trigger_price(instruction: OrderInstruction) -> Decimal | int:
    price_e4 = instruction.trigger_price_e4 if instruction.order_type in _TRIGGERED else None
    return 0 if price_e4 is None else rupees(price_e4)


def instruction_of(row: Row) -> OrderInstruction:
    """Return what an order, or a row of the order book, tells the venue to do.

    Raises:
        AnswerMalformed: a field is missing or is not what it should be.
        RowUnsupported: it is an order of a kind that we have no word for.
    """
    try:
        time_in_force = TimeInForce(text_in(row, "validity"))
        side = Side(text_in(row, "transactionType"))
    except ValueError as error:
        raise RowUnsupported(str(error)) from None
    order_type = type_of(text_in(row, "orderType"))
    return OrderInstruction(
        instrument=instrument_in(row),
        side=side,
        quantity=integer_in(row, "quantity"),
        order_type=order_type,
        limit_price_e4=price_e4_of(row.get("price")) if order_type in _LIMITED else None,
        product=product_of(text_in(row, "productType")),
        time_in_force=time_in_force,
        trigger_price_e4=price_e4_of(row.get("triggerPrice")) if order_type in _TRIGGERED else None,
        disclosed_quantity=0
        if optional_text(row, "disclosedQuantity") is None
        else integer_in(row, "disclosedQuantity"),
        after_market=row.get("afterMarketOrder") is True,
    )


# --- Rows in ----------------------------------------------------------------------------------------------------------


def venue_order_id_of(document: Any) -> VenueOrderId:
    """Return the order id of the answer to an order.

    Raises:
        AnswerMalformed: there is none, or there are several.
    """
    rows = rows_of(document)
    if len(rows) != 1:
        raise AnswerMalformed(f"received {len(rows)} orders, expected one")
    order_id = text_in(rows[0], "orderId")
    if order_id == "0":
        raise AnswerMalformed("received order id 0, expected the venue's id of an order")
    return VenueOrderId(order_id)


def order_of(row: Row) -> VenueOrder:
    """Return a row of the order book in our words.

    How much is filled decides between acknowledged, partly filled and filled, where the row tells it: a status word may
    be older than the count beside it. A word that we do not know still proves that the venue has the order.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    word = text_in(row, "orderStatus").upper()
    quantity = integer_in(row, "quantity")
    status = _STATUSES.get(word, OrderStatus.ACKNOWLEDGED)
    filled = _filled_quantity(row)
    if status is OrderStatus.FILLED and not filled:
        filled = quantity  # A row of the older form does not count.
    if status in {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED, OrderStatus.FILLED} and filled:
        status = OrderStatus.FILLED if filled >= quantity else OrderStatus.PARTLY_FILLED
    correlation_id = optional_text(row, "correlationId")
    order_type, limit_price_e4, trigger_price_e4 = _priced_as(row)
    return VenueOrder(
        venue_order_id=VenueOrderId(text_in(row, "orderId")),
        correlation_id=None if correlation_id is None else CorrelationId(correlation_id),
        status=status,
        quantity=quantity,
        cumulative_quantity=filled,
        message=_message(row, status, word),
        instrument=_known_instrument(row),
        product=known_in(row, "productType", product_of),
        side=known_in(row, "transactionType", side_of),
        order_type=order_type,
        limit_price_e4=limit_price_e4,
        trigger_price_e4=trigger_price_e4,
    )


def fill_of(row: Row) -> VenueFill:
    """Return a row of the trade book in our words.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    order_id = text_in(row, "orderId")
    filled_at_ns = first_time_in(row, "exchangeTime", "updateTime", "createTime")
    if filled_at_ns is None:
        raise AnswerMalformed(f"received a trade of order {order_id} without a time, expected exchangeTime")
    return VenueFill(
        venue_fill_id=VenueFillId(f"{text_in(row, 'exchangeSegment')}:{text_in(row, 'exchangeTradeId')}:{order_id}"),
        venue_order_id=VenueOrderId(order_id),
        quantity=integer_in(row, "tradedQuantity"),
        price_e4=price_e4_of(row.get("tradedPrice")),
        filled_at_ns=filled_at_ns,
        instrument=_known_instrument(row),
        product=known_in(row, "productType", product_of),
        side=known_in(row, "transactionType", side_of),
    )


def position_of(row: Row) -> VenuePosition:
    """Return a row of the positions in our words.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
        RowUnsupported: it is a position in a product or segment that we have no word for.
    """
    return VenuePosition(
        instrument=instrument_in(row),
        product=product_of(text_in(row, "productType")),
        net_quantity=integer_in(row, "netQty"),
        bought_quantity=integer_in(row, "buyQty"),
        sold_quantity=integer_in(row, "sellQty"),
    )


def in_order_of_time(fills: Sequence[VenueFill]) -> list[VenueFill]:
    """Return *fills* oldest first. Times are whole seconds, so the exchange's running number decides within one."""
    return sorted(fills, key=lambda fill: (fill.filled_at_ns, _running_number(fill.venue_fill_id)))


def _running_number(venue_fill_id: VenueFillId) -> int:
    number = venue_fill_id.split(":")[1]
    return int(number) if number.isascii() and number.isdigit() else 0


def instrument_in(row: Row) -> InstrumentKey:
    """Return what the row is about.

    Raises:
        AnswerMalformed: segment or security id is missing.
        RowUnsupported: we have no such segment.
    """
    return InstrumentKey(segment_of(text_in(row, "exchangeSegment")), text_in(row, "securityId"))


def _known_instrument(row: Row) -> InstrumentKey | None:
    """Return what the row is about, None where it names nothing, or nothing that we have a word for."""
    segment = known_in(row, "exchangeSegment", segment_of)
    security_id = optional_text(row, "securityId")
    return None if segment is None or security_id is None else InstrumentKey(segment, security_id)


def known_in(row: Row, name: str, read: Callable[[str], T]) -> T | None:
    """Return what *read* makes of a field, None where it is unset or means something that we have no word for."""
    text = optional_text(row, name)
    try:
        return None if text is None else read(text)
    except RowUnsupported:
        return None


def side_of(word: str) -> Side:
    """Return the side that Dhan calls *word*; our words are the same.

    Raises:
        RowUnsupported: it is neither.
    """
    try:
        return Side(word)
    except ValueError as error:
        raise RowUnsupported(str(error)) from None


def _priced_as(row: Row) -> tuple[OrderType | None, int | None, int | None]:
    """Return type, limit and trigger of a row. Where a price that the type needs cannot be read, nothing is told."""
    order_type = known_in(row, "orderType", type_of)
    try:
        limit = price_e4_of(row.get("price")) if order_type in _LIMITED else None
        trigger = price_e4_of(row.get("triggerPrice")) if order_type in _TRIGGERED else None
    except AnswerMalformed:
        return None, None, None
    return (None, None, None) if 0 in {limit, trigger} else (order_type, limit, trigger)


def _filled_quantity(row: Row) -> int:
    name = next((name for name in ("filledQty", "filled_qty") if optional_text(row, name) is not None), None)
    return 0 if name is None else integer_in(row, name)


def _message(row: Row, status: OrderStatus, word: str) -> str:
    if word not in _STATUSES:
        return f"status {word}"
    text = optional_text(row, "omsErrorDescription")
    # A healthy order is described as "CONFIRMED"; the field is an explanation only where something ended the order.
    if status not in _EXPLAINED or text is None or text == "CONFIRMED":
        return ""
    return text


def optional_text(row: Row, name: str) -> str | None:
    """Return a field as text, None where it is unset."""
    value = row.get(name)
    text = "" if value is None else str(value).strip()
    return None if text in _UNSET else text


def text_in(row: Row, name: str) -> str:
    """Return a field as text.

    Raises:
        AnswerMalformed: it is unset.
    """
    text = optional_text(row, name)
    if text is None:
        raise AnswerMalformed(f"received a row without {name}")
    return text


def integer_in(row: Row, name: str) -> int:
    """Return a field that is a whole number.

    Raises:
        AnswerMalformed: it is unset or something else.
    """
    value = decimal_of(row.get(name))
    if value != value.to_integral_value():
        raise AnswerMalformed(f"received {name} {value}, expected a whole number")
    return int(value)


def decimal_of(value: Any) -> Decimal:
    """Return the finite number that *value*, a number or its text, stands for.

    Raises:
        AnswerMalformed: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise AnswerMalformed(f"received {value!r}, expected a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise AnswerMalformed(f"received {value!r}, expected a number") from None
    if not number.is_finite():
        raise AnswerMalformed(f"received {value!r}, expected a finite number")
    return number


def first_time_in(row: Row, *names: str) -> int | None:
    """Return the first of the named times that is set, in UTC nanoseconds; None where none is.

    Raises:
        AnswerMalformed: one has none of the forms that Dhan uses.
    """
    for name in names:
        text = optional_text(row, name)
        time_ns = None if text is None else utc_ns_of(text)
        if time_ns is not None:
            return time_ns
    return None
