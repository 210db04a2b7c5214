"""A dealing room at the real simulator whose books a test may tamper with: what it plants there, nobody executed."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

from adapters.simulator.books.account import Account, BookedExecution, BookedOrder, Holding, Status
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.desk import Desk as VenueDesk
from adapters.simulator.desk import open_desk
from domain.account.events import DifferenceClosed, DifferenceFound
from domain.ids import DifferenceId
from domain.instrument import Instrument
from domain.order import OrderType, Side, TimeInForce
from tests.support.dealing_room import PRICE_E4, DealingRoom, dealing_room


class Planted:
    """The venue's books of the room's account, open to be tampered with."""

    def __init__(self, room: DealingRoom, desks: Sequence[VenueDesk]) -> None:
        self.room = room
        self._desks = desks
        self._numbers = count(1)

    @property
    def account(self) -> Account:
        return self._desks[-1].simulator.account_of(self.room.client_id)

    def order(self, instrument: Instrument, order_type: OrderType | None = None) -> BookedOrder:
        """Return the newest order in an instrument, of one type or any."""
        found = [
            order
            for order in self.account.orders.values()
            if order.instrument.key == instrument.key and order_type in {None, order.order_type}
        ]
        return found[-1]

    def holding(self, instrument: Instrument, product: str = "INTRADAY") -> Holding:
        return self.account.holdings.setdefault((instrument.key, product), Holding(instrument, product))

    def add_order(self, instrument: Instrument, correlation_id: str, status: Status = Status.PENDING) -> BookedOrder:
        """Enter an order of five units that nobody placed."""
        number = f"9{next(self._numbers):011d}"
        order = BookedOrder(
            order_id=number,
            client_id=self.room.client_id,
            correlation_id=correlation_id,
            instrument=instrument,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            product="INTRADAY",
            time_in_force=TimeInForce.DAY,
            quantity=5,
            limit_price_e4=PRICE_E4 // 2,
            accepted_step=1,
            created_ns=self.room.now_ns,
            updated_ns=self.room.now_ns,
            status=status,
            reached_ns=self.room.now_ns,
        )
        self.account.orders[number] = order
        return order

    def add_copy(self, order: BookedOrder) -> None:
        """Enter an order a second time."""
        number = f"9{next(self._numbers):011d}"
        self.account.orders[number] = replace(order, order_id=number)

    def execution(self, order: BookedOrder, quantity: int) -> BookedExecution:
        """Return an execution, which is in no book yet."""
        number = f"8{next(self._numbers):09d}"
        return BookedExecution(
            trade_id=number, order=order, quantity=quantity, price_e4=PRICE_E4, time_ns=self.room.now_ns, step=1
        )

    def alter_execution(self, instrument: Instrument, quantity: int | None) -> None:
        """Let the first execution in an instrument be one of *quantity* units; None: let it be none."""
        account = self.account
        number = next(n for n, each in enumerate(account.executions) if each.order.instrument.key == instrument.key)
        was = account.executions.pop(number)
        units = 0 if quantity is None else quantity
        was.order.filled_quantity += units - was.quantity
        if quantity is not None:
            account.executions.insert(number, replace(was, quantity=quantity))

    # --- What is in the log of it ---

    def open(self) -> dict[DifferenceId, DifferenceFound]:
        return dict(self.room.state().differences)

    def kinds(self, instrument: Instrument) -> set[str]:
        """Return the kinds that were ever found in an instrument."""
        return {
            event.kind.value for event in self.room.desk.events_of(DifferenceFound) if event.symbol == instrument.symbol
        }

    def ends(self) -> dict[DifferenceId, str]:
        return {event.difference_id: event.how.value for event in self.room.desk.events_of(DifferenceClosed)}


@contextlib.asynccontextmanager
async def planting_room(instruments: Sequence[Instrument], **options: Any) -> AsyncIterator[Planted]:
    """Open a dealing room, with the way into the venue's books."""
    desks: list[VenueDesk] = []

    def opened(config: SimulatorConfig) -> VenueDesk:
        desks.append(open_desk(config))
        return desks[-1]

    with patch("adapters.simulator.server.open_desk", opened):
        async with dealing_room(instruments, **options) as room:
            yield Planted(room, desks)


def found_by(planted: Planted, wanted: Mapping[Instrument, str]) -> bool:
    """Tell whether in each instrument the kind that was planted is in the log."""
    return all(kind in planted.kinds(instrument) for instrument, kind in wanted.items())
