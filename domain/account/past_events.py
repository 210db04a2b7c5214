"""Events of an account as earlier releases wrote them, and what each means in the next version.

Nothing here is written any more, and nothing here ever goes: the log keeps what it was given. An upcaster is a pure
function from one version to the next; of two versions back, two of them follow each other.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from domain.account.events import Evidence, OrderFilled, OrderNotSent, OrderRejected
from domain.ids import OrderId, TradeId, VenueFillId, VenueOrderId, split_fill_id
from domain.instrument import InstrumentKey
from domain.order import NotSentReason, Product, Purpose, RefusalReason, Side


class OrderNotSentV1(msgspec.Struct, frozen=True, kw_only=True, tag="order.not_sent.v1"):
    """Why it was not sent stood in a text for people."""

    order_id: OrderId
    trade_id: TradeId
    cause: str


class OrderRejectedV1(msgspec.Struct, frozen=True, kw_only=True, tag="order.rejected.v1"):
    """The reason was any word: a refusal's reason, or `venue` where the order book said so."""

    order_id: OrderId
    trade_id: TradeId
    venue_order_id: VenueOrderId | None
    reason: str
    message: str


class OrderFilledV1(msgspec.Struct, frozen=True, kw_only=True, tag="order.filled.v1"):
    """The venue's segment, number and order id stood in one text, joined by colons."""

    order_id: OrderId
    trade_id: TradeId
    venue_fill_id: VenueFillId
    instrument: InstrumentKey
    product: Product
    side: Side
    purpose: Purpose
    last_quantity: int
    last_price_e4: int
    value_paise: int
    cumulative_quantity: int
    leaves_quantity: int
    opened_cost_paise: int
    closed_quantity: int
    closed_cost_paise: int
    realised_paise: int
    filled_at_ns: int
    trading_day: str


_LEASE_LOST = "the sender's lease ran out"
_BREAKER, _IS_OPEN = "breaker ", " is open, retry after "
_NO_TOKEN, _NO_BUDGET = "no token: ", "budget"


def not_sent_v2(old: OrderNotSentV1) -> OrderNotSent:
    """Read the reason from the texts that the first release had for it; every other one came from the transport."""
    if old.cause == _LEASE_LOST:
        reason = NotSentReason.LEASE_LOST
    elif old.cause.startswith(_BREAKER) and _IS_OPEN in old.cause:
        reason = NotSentReason.BREAKER_OPEN
    elif old.cause.startswith(_NO_TOKEN) or old.cause == _NO_BUDGET:
        reason = NotSentReason.HELD_BACK
    else:
        reason = NotSentReason.TRANSPORT
    return OrderNotSent(order_id=old.order_id, trade_id=old.trade_id, reason=reason, detail=old.cause)


def rejected_v2(old: OrderRejectedV1) -> OrderRejected:
    """Tell by the word `venue` that the order book said so; it gave no reason."""
    is_answer = old.reason in RefusalReason.__members__.values()
    return OrderRejected(
        order_id=old.order_id,
        trade_id=old.trade_id,
        venue_order_id=old.venue_order_id,
        reason=RefusalReason(old.reason) if is_answer else RefusalReason.OTHER,
        message=old.message,
        evidence=Evidence.ANSWER if is_answer else Evidence.ORDER_BOOK,
    )


def filled_v2(old: OrderFilledV1) -> OrderFilled:
    """Split the venue's id of the fill."""
    venue_segment, venue_trade_number, venue_order_id = split_fill_id(old.venue_fill_id)
    return OrderFilled(
        order_id=old.order_id,
        trade_id=old.trade_id,
        venue_segment=venue_segment,
        venue_trade_number=venue_trade_number,
        venue_order_id=venue_order_id,
        instrument=old.instrument,
        product=old.product,
        side=old.side,
        purpose=old.purpose,
        last_quantity=old.last_quantity,
        last_price_e4=old.last_price_e4,
        value_paise=old.value_paise,
        cumulative_quantity=old.cumulative_quantity,
        leaves_quantity=old.leaves_quantity,
        opened_cost_paise=old.opened_cost_paise,
        closed_quantity=old.closed_quantity,
        closed_cost_paise=old.closed_cost_paise,
        realised_paise=old.realised_paise,
        filled_at_ns=old.filled_at_ns,
        trading_day=old.trading_day,
    )


UPCASTERS: Mapping[type, Callable[[Any], Any]] = {
    OrderNotSentV1: not_sent_v2,
    OrderRejectedV1: rejected_v2,
    OrderFilledV1: filled_v2,
}
"""For each past version the step to the next one."""
