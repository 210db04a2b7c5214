"""Forever orders: they lie at the broker, over days, until a price makes an order of them.

A SINGLE has one leg, which fires when the price comes to its trigger from where it was when the trigger was set. An OCO
has two, a target and a stop on either side of the price; the first that fires ends the other. The order that a leg
makes is an order like any other, with the forever order's correlation id, and may be rejected like any other.
"""

from collections.abc import Sequence

from adapters.simulator.books.account import Status
from adapters.simulator.books.standing_books import ForeverOrder
from adapters.simulator.books.standing_records import ForeverArmed, ForeverChanged, ForeverEnded, ForeverLeg
from adapters.simulator.trading.simulator import OrderRequest, Simulator
from adapters.simulator.words.refusals import (
    INCORRECT_REQUEST,
    MODIFICATIONS_EXHAUSTED,
    NOTHING_TO_CANCEL,
    Refusal,
    bad_input,
    order_error,
)
from domain.instrument import Instrument, InstrumentKey
from domain.order import MODIFICATIONS_MAX, Side


class ForeverOrders:
    """What clients ask of their forever orders, and what prices make of them. Implements `simulator.Watcher`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._books = simulator.standing

    def of(self, client_id: str) -> list[ForeverOrder]:
        """Return a client's forever orders, oldest first."""
        return [order for order in self._books.forevers.values() if order.client_id == client_id]

    def find(self, client_id: str, order_id: str) -> ForeverOrder:
        """Return one of a client's forever orders.

        Raises:
            Refusal: there is no such order.
        """
        order = self._books.forevers.get(order_id)
        if order is None or order.client_id != client_id:
            raise bad_input()
        return order

    def fires_above(self, instrument: Instrument, side: Side, trigger_price_e4: int) -> bool:
        """Tell from which side the price comes to a SINGLE's trigger; unknown prices are taken to let it wait.

        Without a price a buy waits for a fall to its trigger and a sell for a rise.
        """
        key = instrument.key
        price_e4 = self._simulator.last_prices_e4.get(key) or self._simulator.previous_closes_e4.get(key)
        return side is Side.SELL if price_e4 is None else trigger_price_e4 >= price_e4

    def arm(
        self,
        client_id: str,
        *,
        correlation_id: str,
        instrument: Instrument,
        side: Side,
        product: str,
        legs: Sequence[ForeverLeg],
    ) -> ForeverOrder:
        """Let a new forever order wait; the market may be closed."""
        self._simulator.account_of(client_id)
        order_id = self._simulator.next_order_id
        self._simulator.note(
            ForeverArmed(
                order_id=order_id,
                client_id=client_id,
                correlation_id=correlation_id,
                instrument=instrument,
                side=side,
                product=product,
                legs=tuple(legs),
                time_ns=self._simulator.market_time_ns,
            )
        )
        return self._books.forevers[order_id]

    def change(self, order: ForeverOrder, leg: ForeverLeg) -> None:
        """Let a leg be another from now on.

        Raises:
            Refusal: the order waits no more, or was changed too often.
        """
        if not order.is_armed:
            raise order_error(INCORRECT_REQUEST)
        if order.modifications >= MODIFICATIONS_MAX:
            raise order_error(MODIFICATIONS_EXHAUSTED)
        self._simulator.note(ForeverChanged(order_id=order.order_id, leg=leg, time_ns=self._simulator.market_time_ns))

    def cancel(self, order: ForeverOrder) -> None:
        """Let an order wait no more.

        Raises:
            Refusal: it waits no more.
        """
        if not order.is_armed:
            raise order_error(NOTHING_TO_CANCEL)
        self._end(order, Status.CANCELLED)

    def on_print(self, key: InstrumentKey, price_e4: int, _: int | None) -> None:
        """Hold a print against every forever order in its instrument."""
        for order in tuple(self._books.forevers_in.get(key, {}).values()):
            fired = next((leg for leg in order.legs.values() if _is_at(leg, price_e4)), None)
            if fired is not None:
                self._make(order, fired)

    def on_close(self) -> None:
        """Do nothing: the order waits for the next session."""

    def _make(self, order: ForeverOrder, leg: ForeverLeg) -> None:
        request = OrderRequest(
            correlation_id=order.correlation_id,
            instrument=order.instrument,
            side=order.side,
            order_type=leg.order_type,
            product=order.product,
            time_in_force=leg.time_in_force,
            quantity=leg.quantity,
            limit_price_e4=leg.limit_price_e4,
            disclosed_quantity=leg.disclosed_quantity,
            leg=leg.leg,
            parent_id=order.order_id,
        )
        try:
            made = self._simulator.accept(order.client_id, request)
        except Refusal:
            self._end(order, Status.REJECTED)
        else:
            self._simulator.arrive(made)

    def _end(self, order: ForeverOrder, status: Status) -> None:
        self._simulator.note(
            ForeverEnded(order_id=order.order_id, status=status, time_ns=self._simulator.market_time_ns)
        )


def _is_at(leg: ForeverLeg, price_e4: int) -> bool:
    return price_e4 >= leg.trigger_price_e4 if leg.fires_above else price_e4 <= leg.trigger_price_e4
