"""Super orders: an entry with a target and a stop that trails, kept at the broker until the entry fills.

The entry is an order like any other. Its exit legs come to life with its first fill and are for what it has filled. A
print at a leg's price makes that leg's order: a LIMIT order at the target, a MARKET order at the stop. With it goes
what is left of the entry, which would otherwise open what nothing protects. A stop that is reached while the target's
order still works takes its place, for what it has left. Once all that was entered is exited, the order is CLOSED.

The stop trails by whole jumps: for each that the price has gone in favour, from what the entry cost on, it moves by
one.

What the broker does not say and is our choice: the exit legs end with the session whatever the product, each leg makes
one order at most, and their orders carry no client's id.
"""

from collections.abc import Collection

from adapters.simulator.books import FROM_ELSEWHERE, BookedOrder, OrderTerms
from adapters.simulator.refusals import (
    INCORRECT_REQUEST,
    MODIFICATIONS_EXHAUSTED,
    NOTHING_TO_CANCEL,
    Refusal,
    bad_input,
    order_error,
)
from adapters.simulator.simulator import OrderRequest, Simulator
from adapters.simulator.standing_books import SuperOrder
from adapters.simulator.standing_records import (
    ENTRY_LEG,
    STOP_LOSS_LEG,
    TARGET_LEG,
    SuperLegCanceled,
    SuperOrderChanged,
    SuperOrderExpired,
    SuperOrderPlaced,
    SuperTerms,
)
from domain.instrument import InstrumentKey
from domain.order import MODIFICATIONS_MAX, OrderType, TimeInForce

EXIT_LEGS = (STOP_LOSS_LEG, TARGET_LEG)
"""In the order in which a print is held against them."""


class SuperOrders:
    """What clients ask of their super orders, and what prices make of them. Implements `simulator.Watcher`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._books = simulator.standing

    def of(self, client_id: str) -> list[SuperOrder]:
        """Return a client's super orders, oldest first."""
        return [order for order in self._books.supers.values() if order.entry.client_id == client_id]

    def find(self, client_id: str, order_id: str) -> SuperOrder:
        """Return one of a client's super orders.

        Raises:
            adapters.simulator.refusals.Refusal: there is no such order.
        """
        order = self._books.supers.get(order_id)
        if order is None or order.entry.client_id != client_id:
            raise bad_input()
        return order

    def place(
        self, client_id: str, request: OrderRequest, terms: SuperTerms, *, reject_message: str | None = None
    ) -> BookedOrder:
        """Enter a super order's entry in TRANSIT. With a message the risk desk will reject it.

        Raises:
            adapters.simulator.refusals.Refusal: as for any order.
        """
        placed = SuperOrderPlaced(
            order_id=self._simulator.next_order_id, terms=terms, time_ns=self._simulator.market_time_ns
        )
        return self._simulator.accept(client_id, request, reject_message=reject_message, along=(placed,))

    def change(self, order: SuperOrder, leg: str, terms: SuperTerms) -> None:
        """Change how the order ends, as its client asked for an exit leg.

        Raises:
            adapters.simulator.refusals.Refusal: the leg waits no more, or the order was changed too often.
        """
        if not order.waits(leg):
            raise order_error(INCORRECT_REQUEST)
        if order.modifications >= MODIFICATIONS_MAX:
            raise order_error(MODIFICATIONS_EXHAUSTED)
        self._note_change(order, terms, self._anchor_of(order, terms), is_asked=True)

    def change_entry(self, order: SuperOrder, entry_terms: OrderTerms, terms: SuperTerms) -> None:
        """Change the entry on its way to the exchange, and how the order ends at once.

        Raises:
            adapters.simulator.refusals.Refusal: the entry is done, or was changed too often.
        """
        entry = order.entry
        if not entry.is_open or order.exits:
            raise order_error(INCORRECT_REQUEST)
        self._simulator.modify(entry.client_id, entry.order_id, entry_terms)
        if terms != order.terms:
            self._note_change(order, terms, self._anchor_of(order, terms), is_asked=False)

    def cancel(self, order: SuperOrder, leg: str) -> None:
        """Cancel one exit leg for good or, with the entry's, all that still waits; exits on their way out go on.

        Raises:
            adapters.simulator.refusals.Refusal: nothing is left to cancel.
        """
        waiting = [exit_leg for exit_leg in EXIT_LEGS if order.waits(exit_leg)]
        canceled = waiting if leg == ENTRY_LEG else [leg] if leg in waiting else []
        if not canceled and not (leg == ENTRY_LEG and order.entry.is_open):
            raise order_error(NOTHING_TO_CANCEL)
        entry = [order.entry] if leg == ENTRY_LEG and order.entry.is_open else []
        self._simulator.withdraw(entry, along=[self._canceled(order, exit_leg) for exit_leg in canceled])

    def drop(self, client_id: str, products: Collection[str]) -> None:
        """Let no leg of a client's super orders under *products* make an order any more."""
        dropped = [order for order in self.of(client_id) if order.entry.product in products]
        self._simulator.note(
            *(self._canceled(order, leg) for order in dropped for leg in EXIT_LEGS if order.waits(leg))
        )

    def on_print(self, key: InstrumentKey, price_e4: int, _: int | None) -> None:
        """Hold a print against every super order in its instrument."""
        for order in tuple(self._books.supers_in.get(key, {}).values()):
            if order.is_over:
                del self._books.supers_in[key][order.entry.order_id]
            elif order.entry.filled_quantity > 0:
                self._trail(order, price_e4)
                reached = next((leg for leg in EXIT_LEGS if order.waits(leg) and _is_at(order, leg, price_e4)), None)
                if reached is not None:
                    self._exit(order, reached)

    def on_close(self) -> None:
        """End the day of every super order that still waits."""
        waiting = [order for order in self._books.supers.values() if not order.is_over]
        now_ns = self._simulator.market_time_ns
        self._simulator.note(
            *(SuperOrderExpired(order_id=order.entry.order_id, time_ns=now_ns) for order in waiting),
        )

    def _trail(self, order: SuperOrder, price_e4: int) -> None:
        jump_e4, sign = order.terms.trailing_jump_e4, order.entry.side.sign
        if jump_e4 <= 0 or not order.waits(STOP_LOSS_LEG):
            return
        anchor_e4 = order.anchor_e4 or order.entry.filled_value_e4 // order.entry.filled_quantity
        jumps = sign * (price_e4 - anchor_e4) // jump_e4
        if jumps > 0:
            moved_e4 = sign * jumps * jump_e4
            terms = SuperTerms(
                target_price_e4=order.terms.target_price_e4,
                stop_loss_price_e4=order.terms.stop_loss_price_e4 + moved_e4,
                trailing_jump_e4=jump_e4,
            )
            self._note_change(order, terms, anchor_e4 + moved_e4, is_asked=False)

    def _exit(self, order: SuperOrder, leg: str) -> None:
        """Make the order of *leg*, in place of what is left of the entry and of the other leg's order."""
        entry = order.entry
        request = OrderRequest(
            correlation_id=FROM_ELSEWHERE,
            instrument=entry.instrument,
            side=entry.side.opposite,
            order_type=OrderType.LIMIT if leg == TARGET_LEG else OrderType.MARKET,
            product=entry.product,
            time_in_force=TimeInForce.DAY,
            quantity=order.held_quantity,
            limit_price_e4=order.terms.target_price_e4 if leg == TARGET_LEG else 0,
            leg=leg,
            parent_id=entry.order_id,
        )
        ended = [part for part in (entry, *order.exits) if part.is_open]
        try:
            made = self._simulator.accept(entry.client_id, request, withdrawing=ended)
        except Refusal:
            self._simulator.note(self._canceled(order, leg))  # Trading was switched off: it is never asked again.
        else:
            self._simulator.arrive(made)

    def _anchor_of(self, order: SuperOrder, terms: SuperTerms) -> int:
        """Return where the trail goes on from under *terms*: where the price is, if it is a new one."""
        before = order.terms
        is_trail_new = (terms.stop_loss_price_e4, terms.trailing_jump_e4) != (
            before.stop_loss_price_e4,
            before.trailing_jump_e4,
        )
        if not is_trail_new or order.entry.filled_quantity == 0:
            return order.anchor_e4
        return self._simulator.last_prices_e4.get(order.entry.instrument.key, 0)

    def _note_change(self, order: SuperOrder, terms: SuperTerms, anchor_e4: int, *, is_asked: bool) -> None:
        self._simulator.note(
            SuperOrderChanged(
                order_id=order.entry.order_id,
                terms=terms,
                anchor_e4=anchor_e4,
                is_asked=is_asked,
                time_ns=self._simulator.market_time_ns,
            )
        )

    def _canceled(self, order: SuperOrder, leg: str) -> SuperLegCanceled:
        return SuperLegCanceled(order_id=order.entry.order_id, leg=leg, time_ns=self._simulator.market_time_ns)


def _is_at(order: SuperOrder, leg: str, price_e4: int) -> bool:
    beyond_e4 = order.entry.side.sign * (price_e4 - order.price_of(leg))
    return beyond_e4 >= 0 if leg == TARGET_LEG else beyond_e4 <= 0
