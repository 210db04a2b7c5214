"""Super orders: an entry whose target and stop loss rest at the venue and end each other."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec

from adapters.dhan.guard.calls import Caller, Written
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.rest.orders import order_write
from adapters.dhan.words.codec import (
    TYPE_WORDS,
    Row,
    optional_text,
    order_document,
    order_of,
    rows_of,
    rupees,
    side_of,
    supported,
    text_in,
)
from adapters.dhan.words.fields import optional_integer_in, optional_price_in
from commands.ports import VenueOrder
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.order import OrderInstruction, Purpose, Side

_PATH = "/super/orders"


class Leg(StrEnum):
    """A part of a super or forever order. The values are the venue's words."""

    ENTRY = "ENTRY_LEG"
    TARGET = "TARGET_LEG"
    STOP_LOSS = "STOP_LOSS_LEG"


class ExitPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Where a super order is left. `trailing_jump_e4` is the step by which the stop follows, 0: it does not."""

    target_e4: int
    stop_loss_e4: int
    trailing_jump_e4: int = 0


class SuperLeg(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with a leg; `status` is the venue's word (PENDING, TRIGGERED, CANCELLED …)."""

    leg: str
    venue_order_id: VenueOrderId | None
    side: Side | None
    quantity: int
    remaining_quantity: int
    triggered_quantity: int
    price_e4: int | None
    trailing_jump_e4: int | None
    status: str


class SuperOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An entry and its legs. `is_closed`: the entry and one exit are done in full."""

    entry: VenueOrder
    legs: tuple[SuperLeg, ...]
    is_closed: bool
    last_price_e4: int | None


class SuperOrderCalls:
    """Calls about super orders, for any account. Each that changes something is made once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def place(
        self,
        account_id: AccountId,
        instruction: OrderInstruction,
        exits: ExitPrices,
        correlation_id: CorrelationId,
    ) -> Written[VenueOrderId]:
        """Send an entry with its exits, at most once. The venue takes limit and market orders."""
        document = partial(_document, instruction=instruction, exits=exits, correlation_id=correlation_id)
        return await self._caller.write(account_id, order_write(Purpose.ENTRY, "POST", _PATH, document))

    async def modify_entry(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, exits: ExitPrices
    ) -> Written[VenueOrderId]:
        """Ask for entry and exits to become these. The venue takes it while the entry is not filled."""

        def document(client_id: str) -> Mapping[str, Any]:
            limit_e4 = instruction.limit_price_e4
            return {
                **_leg_document(client_id, venue_order_id, Leg.ENTRY),
                "orderType": TYPE_WORDS[instruction.order_type],
                "quantity": instruction.quantity,
                "price": 0 if limit_e4 is None else rupees(limit_e4),
                **_exit_document(exits),
            }

        return await self._caller.write(
            account_id, order_write(Purpose.ENTRY, "PUT", f"{_PATH}/{venue_order_id}", document, changes=venue_order_id)
        )

    async def move_target(
        self, account_id: AccountId, venue_order_id: VenueOrderId, *, target_e4: int
    ) -> Written[VenueOrderId]:
        """Ask for another target."""

        def document(client_id: str) -> Mapping[str, Any]:
            return {**_leg_document(client_id, venue_order_id, Leg.TARGET), "targetPrice": rupees(target_e4)}

        return await self._caller.write(
            account_id, order_write(Purpose.EXIT, "PUT", f"{_PATH}/{venue_order_id}", document, changes=venue_order_id)
        )

    async def move_stop_loss(
        self, account_id: AccountId, venue_order_id: VenueOrderId, *, stop_loss_e4: int, trailing_jump_e4: int
    ) -> Written[VenueOrderId]:
        """Ask for another stop loss. A trailing jump of 0 makes it stay where it is."""

        def document(client_id: str) -> Mapping[str, Any]:
            return {
                **_leg_document(client_id, venue_order_id, Leg.STOP_LOSS),
                "stopLossPrice": rupees(stop_loss_e4),
                "trailingJump": rupees(trailing_jump_e4),
            }

        return await self._caller.write(
            account_id, order_write(Purpose.EXIT, "PUT", f"{_PATH}/{venue_order_id}", document, changes=venue_order_id)
        )

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId, leg: Leg) -> Written[VenueOrderId]:
        """Ask for a leg's end. That of the entry ends all; an exit that is canceled does not come back."""
        return await self._caller.write(
            account_id, order_write(Purpose.EXIT, "DELETE", f"{_PATH}/{venue_order_id}/{leg.value}")
        )

    async def all(self, account_id: AccountId) -> Sequence[SuperOrder]:
        """Return the day's super orders.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=_PATH, read=_super_orders)
        return await self._caller.ask(account_id, call)


def _document(
    client_id: str, instruction: OrderInstruction, exits: ExitPrices, correlation_id: CorrelationId
) -> Mapping[str, Any]:
    return {**order_document(client_id, instruction, correlation_id), **_exit_document(exits)}


def _exit_document(exits: ExitPrices) -> Mapping[str, Any]:
    return {
        "targetPrice": rupees(exits.target_e4),
        "stopLossPrice": rupees(exits.stop_loss_e4),
        "trailingJump": rupees(exits.trailing_jump_e4),
    }


def _leg_document(client_id: str, venue_order_id: VenueOrderId, leg: Leg) -> dict[str, Any]:
    return {"dhanClientId": client_id, "orderId": venue_order_id, "legName": leg.value}


def _super_orders(document: Any) -> Sequence[SuperOrder]:
    return list(supported(rows_of(document), _super_order_of))


def _super_order_of(row: Row) -> SuperOrder:
    legs = rows_of(row.get("legDetails"))
    return SuperOrder(
        entry=order_of(row),
        legs=tuple(_leg_of(leg) for leg in legs),
        is_closed=text_in(row, "orderStatus").upper() == "CLOSED",
        last_price_e4=optional_price_in(row, "ltp"),
    )


def _leg_of(row: Row) -> SuperLeg:
    order_id, side = optional_text(row, "orderId"), optional_text(row, "transactionType")
    return SuperLeg(
        leg=text_in(row, "legName"),
        venue_order_id=None if order_id is None else VenueOrderId(order_id),
        side=None if side is None else side_of(side),
        # The venue's documents spell it without the n; should it learn to write, both are read.
        quantity=optional_integer_in(row, "totalQuatity", "totalQuantity") or 0,
        remaining_quantity=optional_integer_in(row, "remainingQuantity") or 0,
        triggered_quantity=optional_integer_in(row, "triggeredQuantity") or 0,
        price_e4=optional_price_in(row, "price"),
        trailing_jump_e4=optional_price_in(row, "trailingJump"),
        status=text_in(row, "orderStatus"),
    )
