"""What the venue offers around plain orders beyond `commands.ports.Broker`: slices, one order alone, past trades."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import msgspec

from adapters.dhan.guard.calls import Caller, Written
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.http.errors import VenueRefusal
from adapters.dhan.words.codec import (
    AnswerMalformed,
    Row,
    RowUnsupported,
    fill_of,
    first_time_in,
    in_order_of_time,
    instrument_in,
    integer_in,
    optional_text,
    order_document,
    order_of,
    product_of,
    rows_of,
    side_of,
    supported,
    text_in,
    venue_order_id_of,
)
from adapters.dhan.words.fields import optional_price_in, price_in
from commands.ports import VenueFill, VenueOrder
from domain.contract_note import NotedCharges
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import OrderInstruction, Product, Purpose, Side

_NOT_FOUND = 404
_INPUT_ERROR = "DH-905"
_NO_ORDER = "0"
_CHARGES = {
    "brokerage_e4": "brokerageCharges",
    "exchange_e4": "exchangeTransactionCharges",
    "sebi_e4": "sebiTax",
    "stt_e4": "stt",
    "stamp_duty_e4": "stampDuty",
    "gst_e4": "serviceTax",
}


class PastTrade(msgspec.Struct, frozen=True, kw_only=True):
    """An execution of a past day with what it was charged, or all executions of an order, at their average price.

    `executed_at_ns` is UTC. The venue's own number of the execution may be missing here, so a row proves no fill.
    """

    venue_order_id: VenueOrderId
    instrument: InstrumentKey
    isin: str | None
    product: Product
    side: Side
    quantity: int
    price_e4: int
    executed_at_ns: int | None
    charges: NotedCharges


class PastPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of past executions, without those of what we do not trade. After the last page comes one that `is_empty`.

    A page may be not empty, and have nothing for us.
    """

    trades: tuple[PastTrade, ...]
    is_empty: bool


class OrderCalls:
    """Calls about orders, for any account."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def place_sliced(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: CorrelationId, purpose: Purpose
    ) -> Written[tuple[VenueOrderId, ...]]:
        """Have the venue cut an order above the freeze quantity into several, at most once.

        All of them carry the same id of ours, so what became of one cannot be told by it: the engine slices itself, and
        this is for people who want the venue to.
        """
        call = Call(
            call_class=class_of(purpose),
            method="POST",
            path="/orders/slicing",
            read=_slices_of,
            document=partial(order_document, instruction=instruction, correlation_id=correlation_id),
        )
        return await self._caller.write(account_id, call)

    async def order(self, account_id: AccountId, venue_order_id: VenueOrderId) -> VenueOrder | None:
        """Return one order of the day, None where the venue shows none: which proves nothing.

        Raises:
            BrokerUnavailable
        """
        path = f"/orders/{venue_order_id}"
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=_order_or_none)
        return await self._caller.ask_or(account_id, call, on_refusal=_is_unknown)

    async def fills_of(self, account_id: AccountId, venue_order_id: VenueOrderId) -> Sequence[VenueFill]:
        """Return the executions of one order of the day, oldest first.

        Raises:
            BrokerUnavailable
        """
        path = f"/trades/{venue_order_id}"
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=_fills)
        return await self._caller.ask(account_id, call)

    async def history(self, account_id: AccountId, first_day: date, last_day: date, *, page: int = 0) -> PastPage:
        """Return a page of past executions, both days included. Pages count from 0.

        Raises:
            BrokerUnavailable
        """
        path = f"/trades/{first_day.isoformat()}/{last_day.isoformat()}/{page}"
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=_past_page)
        return await self._caller.ask(account_id, call)


def order_write(
    purpose: Purpose,
    method: str,
    path: str,
    document: Callable[[str], Mapping[str, Any]] | None = None,
    *,
    changes: VenueOrderId | None = None,
) -> Call[VenueOrderId]:
    """Return the call that makes, changes or ends an order at the venue, whose answer names it."""
    return Call(
        call_class=class_of(purpose),
        method=method,
        path=path,
        read=venue_order_id_of,
        document=document,
        changes=changes,
    )


def class_of(purpose: Purpose) -> CallClass:
    """Return how an order of this purpose is treated."""
    return CallClass.EXITS if purpose.closes else CallClass.ENTRIES


def _slices_of(document: Any) -> tuple[VenueOrderId, ...]:
    slices = tuple(venue_order_id_of(row) for row in rows_of(document))
    if not slices:
        raise AnswerMalformed("received no slices, expected one at least")
    return slices


def _order_or_none(document: Any) -> VenueOrder | None:
    rows = [row for row in rows_of(document) if row]
    return order_of(rows[0]) if rows else None


def _is_unknown(refusal: VenueRefusal) -> bool:
    # The venue was seen to answer an unknown order with [], and once with DH-905.
    return refusal.status == _NOT_FOUND or refusal.code == _INPUT_ERROR


def _fills(document: Any) -> Sequence[VenueFill]:
    return in_order_of_time([fill_of(row) for row in rows_of(document)])


def _past_page(document: Any) -> PastPage:
    rows = rows_of(document)
    return PastPage(trades=tuple(supported(rows, _past_trade_of)), is_empty=not rows)


def _past_trade_of(row: Row) -> PastTrade:
    if optional_text(row, "orderId") in {None, _NO_ORDER}:
        raise RowUnsupported("received a row without an order, such as an allotment")
    return PastTrade(
        venue_order_id=VenueOrderId(text_in(row, "orderId")),
        instrument=instrument_in(row),
        isin=optional_text(row, "isin"),
        product=product_of(text_in(row, "productType")),
        side=side_of(text_in(row, "transactionType")),
        quantity=integer_in(row, "tradedQuantity"),
        price_e4=price_in(row, "tradedPrice"),
        executed_at_ns=first_time_in(row, "exchangeTime", "updateTime", "createTime"),
        charges=NotedCharges(**{name: optional_price_in(row, word) or 0 for name, word in _CHARGES.items()}),
    )
