"""A trader's controls: the kill switch, the way out of everything, and the profit or loss that takes it by itself.

The kill switch goes on only where nothing is held and nothing is under way, unless a profit or a loss turns it. While
it is on, no order is taken, one that a standing instruction makes neither. It is off again on the next day, as the exit
by profit or loss is.

To exit is to cancel what is open, drop the legs of super orders, and send a MARKET order against each position. Forever
orders wait on: they were made for later days.
"""

from collections.abc import Callable, Collection
from dataclasses import replace

from adapters.simulator.books import FROM_ELSEWHERE, Account, BookedOrder, Holding
from adapters.simulator.conversion import convert
from adapters.simulator.refusals import INCORRECT_REQUEST, MARKET_CLOSED, insufficient_funds, order_error
from adapters.simulator.simulator import OrderRequest, Simulator
from adapters.simulator.slicing import slices_of
from adapters.simulator.standing_records import (
    KillSwitchTurned,
    PositionConverted,
    ProfitExitEnded,
    ProfitExitSet,
)
from adapters.simulator.super_orders import SuperOrders
from domain.instrument import InstrumentKey, Segment
from domain.money import E4_PER_PAISA
from domain.order import OrderType, Side, TimeInForce

ANY_PRODUCT = frozenset({"CNC", "INTRADAY", "MARGIN", "MTF"})
PRODUCTS_OF = {"INTRADAY": frozenset({"INTRADAY"}), "DELIVERY": ANY_PRODUCT - {"INTRADAY"}}
"""What the exit by profit or loss calls products."""
KILL_SWITCH_REFUSED = "Kill Switch cannot be activated while positions are open or orders are pending."
_CASH = frozenset({Segment.NSE_EQ, Segment.BSE_EQ})
_CONVERTIBLE = {True: frozenset({"CNC", "INTRADAY", "MTF"}), False: frozenset({"INTRADAY", "MARGIN"})}


class Controls:
    """Every client's controls. Implements `simulator.Watcher`."""

    def __init__(self, simulator: Simulator, super_orders: SuperOrders) -> None:
        self._simulator = simulator
        self._super_orders = super_orders
        self._books = simulator.standing

    # --- The kill switch

    def is_killed(self, client_id: str) -> bool:
        """Tell whether a client's kill switch is on."""
        return client_id in self._books.killed

    def turn_kill_switch(self, client_id: str, *, is_active: bool) -> None:
        """Turn a client's kill switch; it may be so already.

        Raises:
            adapters.simulator.refusals.Refusal: something is held or under way, so that it cannot go on.
        """
        account = self._simulator.account_of(client_id)
        is_flat = not account.open_orders and all(held.net_quantity == 0 for held in account.holdings.values())
        if is_active and not is_flat:
            raise order_error(KILL_SWITCH_REFUSED)
        self._turn(client_id, is_active=is_active)

    # --- Exits

    def exit_all(
        self, client_id: str, let_arrive: Callable[[BookedOrder], None], products: Collection[str] = ANY_PRODUCT
    ) -> None:
        """Cancel a client's open orders and exit the positions under *products*; each exit order goes to *let_arrive*.

        Raises:
            adapters.simulator.refusals.Refusal: the market is closed.
        """
        if not self._simulator.is_open:
            raise order_error(MARKET_CLOSED)
        account = self._simulator.account_of(client_id)
        self._super_orders.drop(client_id, products)
        self._simulator.withdraw([order for order in account.open_orders.values() if order.product in products])
        held = [holding for holding in account.holdings.values() if holding.net_quantity]
        for holding in held:
            if holding.product in products:
                for request in slices_of(_exit_of(holding)):
                    let_arrive(self._simulator.accept(client_id, request))

    # --- The exit by profit or loss

    def profit_exit_of(self, client_id: str) -> ProfitExitSet | None:
        """Return the profit or loss that will exit a client's positions, None where none will."""
        return self._books.profit_exits.get(client_id)

    def set_profit_exit(self, wanted: ProfitExitSet) -> None:
        """Exit at a profit or a loss from now on; at once where it is there already and the market is open."""
        self._simulator.account_of(wanted.client_id)
        self._simulator.note(wanted)
        self._look(wanted)

    def stop_profit_exit(self, client_id: str) -> None:
        """Exit at no profit or loss any more; there may have been none."""
        if client_id in self._books.profit_exits:
            self._simulator.note(ProfitExitEnded(client_id=client_id, time_ns=self._simulator.market_time_ns))

    def on_print(self, key: InstrumentKey, _: int, __: int | None) -> None:
        """Reckon anew for every client who holds what printed."""
        for wanted in tuple(self._books.profit_exits.values()):
            account = self._simulator.account_of(wanted.client_id)
            if any(held_key == key and held.net_quantity for (held_key, _), held in account.holdings.items()):
                self._look(wanted)

    def on_close(self) -> None:
        """Do nothing: what holds for the day is not carried to the next."""

    def _look(self, wanted: ProfitExitSet) -> None:
        if not self._simulator.is_open:
            return
        products = frozenset[str]().union(*(PRODUCTS_OF[word] for word in wanted.products))
        account = self._simulator.account_of(wanted.client_id)
        result_paise = self._result_e4(account, products) // E4_PER_PAISA
        has_won = wanted.profit_paise is not None and result_paise >= wanted.profit_paise
        has_lost = wanted.loss_paise is not None and result_paise <= -wanted.loss_paise
        if not (has_won or has_lost):
            return
        self.stop_profit_exit(wanted.client_id)
        if not self.is_killed(wanted.client_id):
            self.exit_all(wanted.client_id, self._simulator.arrive, products)
            if wanted.kills:
                self._turn(wanted.client_id, is_active=True)

    def _result_e4(self, account: Account, products: Collection[str]) -> int:
        """Return what is realised and open of the positions under *products*."""
        prices = self._simulator.last_prices_e4
        return sum(
            holding.sold_value_e4 - holding.bought_value_e4 + holding.net_quantity * prices.get(key, holding.average_e4)
            for (key, product), holding in account.holdings.items()
            if product in products
        )

    # --- Conversion

    def convert(self, wanted: PositionConverted) -> None:
        """Hold a part of a position under another product.

        Raises:
            adapters.simulator.refusals.Refusal: the market is closed, no such part is held, the product cannot hold it,
                or the money is not there.
        """
        if not self._simulator.is_open:
            raise order_error(MARKET_CLOSED)
        account = self._simulator.account_of(wanted.client_id)
        holding = account.holdings.get((wanted.instrument.key, wanted.from_product))
        net = holding.net_quantity if holding else 0
        is_within = abs(wanted.quantity) <= abs(net) and (wanted.quantity > 0) is (net > 0)
        allowed = _CONVERTIBLE[wanted.instrument.key.segment in _CASH]
        is_short_delivery = wanted.quantity < 0 and wanted.to_product in {"CNC", "MTF"}
        if not is_within or is_short_delivery or wanted.to_product not in allowed - {wanted.from_product}:
            raise order_error(INCORRECT_REQUEST)
        tried = replace(account, holdings={key: replace(held) for key, held in account.holdings.items()})
        convert(tried, wanted)
        short_paise = -self._simulator.available_paise(tried)
        if short_paise > max(0, -self._simulator.available_paise(account)):
            raise order_error(insufficient_funds(short_paise))
        self._simulator.note(wanted)

    def _turn(self, client_id: str, *, is_active: bool) -> None:
        if self.is_killed(client_id) is not is_active:
            self._simulator.note(
                KillSwitchTurned(client_id=client_id, is_active=is_active, time_ns=self._simulator.market_time_ns)
            )


def _exit_of(holding: Holding) -> OrderRequest:
    return OrderRequest(
        correlation_id=FROM_ELSEWHERE,
        instrument=holding.instrument,
        side=Side.SELL if holding.net_quantity > 0 else Side.BUY,
        order_type=OrderType.MARKET,
        product=holding.product,
        time_in_force=TimeInForce.DAY,
        quantity=abs(holding.net_quantity),
        limit_price_e4=0,
    )
