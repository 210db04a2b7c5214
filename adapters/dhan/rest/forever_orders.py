"""Forever orders: a trigger that rests at the venue until it is met, alone or as one of two that end each other."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec

from adapters.dhan.guard.calls import Caller, Written
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.rest.orders import order_write
from adapters.dhan.rest.super_orders import Leg
from adapters.dhan.words.codec import (
    TYPE_WORDS,
    AnswerMalformed,
    Row,
    first_time_in,
    instrument_in,
    integer_in,
    optional_text,
    order_document,
    product_of,
    rows_of,
    rupees,
    side_of,
    supported,
    text_in,
)
from adapters.dhan.words.fields import optional_price_in
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import OrderInstruction, OrderType, Product, Purpose, Side

_PATH = "/forever/orders"
_ARMED = "CONFIRM"
_AT_MARKET = frozenset({OrderType.MARKET, OrderType.SL_M})


class ForeverKind(StrEnum):
    """Whether one trigger waits or two. The values are the venue's words."""

    SINGLE = "SINGLE"
    ONE_CANCELS_OTHER = "OCO"


class SecondTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """The other of two triggers: what it sends, and when."""

    quantity: int
    limit_price_e4: int
    trigger_price_e4: int


class ForeverOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the venue's list; `status` is its word, `is_armed` whether the trigger waits."""

    venue_order_id: VenueOrderId
    kind: ForeverKind
    leg: str | None
    instrument: InstrumentKey
    product: Product
    side: Side
    quantity: int
    limit_price_e4: int | None
    trigger_price_e4: int | None
    status: str
    is_armed: bool
    made_at_ns: int | None


class ForeverOrderCalls:
    """Calls about forever orders, for any account. Each that changes something is made once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def place(
        self,
        account_id: AccountId,
        instruction: OrderInstruction,
        correlation_id: CorrelationId,
        purpose: Purpose,
        *,
        second: SecondTrigger | None = None,
    ) -> Written[VenueOrderId]:
        """Leave an order with its trigger price at the venue, at most once. With *second* either ends the other.

        Raises:
            ValueError: *instruction* has no trigger price or no limit.
        """
        if instruction.trigger_price_e4 is None or instruction.limit_price_e4 is None:
            raise ValueError("received a forever order without trigger or limit price, expected both")
        document = partial(_document, instruction=instruction, correlation_id=correlation_id, second=second)
        return await self._caller.write(account_id, order_write(purpose, "POST", _PATH, document))

    async def modify(
        self,
        account_id: AccountId,
        venue_order_id: VenueOrderId,
        instruction: OrderInstruction,
        purpose: Purpose,
        *,
        kind: ForeverKind = ForeverKind.SINGLE,
        leg: Leg = Leg.TARGET,
    ) -> Written[VenueOrderId]:
        """Ask for a trigger to become *instruction*. The venue calls the only and the first one the target leg."""

        def document(client_id: str) -> Mapping[str, Any]:
            return {
                "dhanClientId": client_id,
                "orderId": venue_order_id,
                "orderFlag": kind.value,
                "orderType": _type_word(instruction),
                "legName": leg.value,
                "quantity": instruction.quantity,
                "price": _rupees(instruction.limit_price_e4),
                "triggerPrice": _rupees(instruction.trigger_price_e4),
                "disclosedQuantity": instruction.disclosed_quantity,
                "validity": instruction.time_in_force.value,
            }

        return await self._caller.write(
            account_id, order_write(purpose, "PUT", f"{_PATH}/{venue_order_id}", document, changes=venue_order_id)
        )

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId) -> Written[VenueOrderId]:
        """Ask for the end of a forever order, of both triggers where there are two."""
        return await self._caller.write(account_id, order_write(Purpose.EXIT, "DELETE", f"{_PATH}/{venue_order_id}"))

    async def all(self, account_id: AccountId) -> Sequence[ForeverOrder]:
        """Return the forever orders, a row a trigger.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=_PATH, read=_forever_orders)
        return await self._caller.ask(account_id, call)


def _document(
    client_id: str, instruction: OrderInstruction, correlation_id: CorrelationId, second: SecondTrigger | None
) -> Mapping[str, Any]:
    kind = ForeverKind.SINGLE if second is None else ForeverKind.ONE_CANCELS_OTHER
    document = {
        **order_document(client_id, instruction, correlation_id),
        "orderFlag": kind.value,
        "orderType": _type_word(instruction),
        "price": _rupees(instruction.limit_price_e4),
        "triggerPrice": _rupees(instruction.trigger_price_e4),
    }
    if second is not None:
        document |= {
            "quantity1": second.quantity,
            "price1": rupees(second.limit_price_e4),
            "triggerPrice1": rupees(second.trigger_price_e4),
        }
    return document


def _type_word(instruction: OrderInstruction) -> str:
    # The trigger is the forever order's own; what it sends is an order of one of the two plain types.
    return TYPE_WORDS[OrderType.MARKET if instruction.order_type in _AT_MARKET else OrderType.LIMIT]


def _rupees(price_e4: int | None) -> Any:
    return 0 if price_e4 is None else rupees(price_e4)


def _forever_orders(document: Any) -> Sequence[ForeverOrder]:
    return list(supported(rows_of(document), _forever_order_of))


def _forever_order_of(row: Row) -> ForeverOrder:
    status = text_in(row, "orderStatus").upper()
    return ForeverOrder(
        venue_order_id=VenueOrderId(text_in(row, "orderId")),
        kind=_kind_in(row),
        leg=optional_text(row, "legName"),
        instrument=instrument_in(row),
        product=product_of(text_in(row, "productType")),
        side=side_of(text_in(row, "transactionType")),
        quantity=integer_in(row, "quantity"),
        limit_price_e4=optional_price_in(row, "price"),
        trigger_price_e4=optional_price_in(row, "triggerPrice"),
        status=status,
        is_armed=status == _ARMED,
        made_at_ns=first_time_in(row, "createTime"),
    )


def _kind_in(row: Row) -> ForeverKind:
    word = text_in(row, "orderType")  # The venue's list has the kind where orders have their type.
    try:
        return ForeverKind(word)
    except ValueError:
        raise AnswerMalformed(f"received a forever order of kind {word!r}, expected SINGLE or OCO") from None
