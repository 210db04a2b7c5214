"""Everything that waits at the broker for a price, told of each print in the order in which it stands here."""

from dataclasses import dataclass

from adapters.simulator.standing.alerts import Alerts
from adapters.simulator.standing.controls import Controls
from adapters.simulator.standing.forever_orders import ForeverOrders
from adapters.simulator.standing.super_orders import SuperOrders
from adapters.simulator.trading.simulator import Simulator


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing instructions of one simulator."""

    super_orders: SuperOrders
    forever_orders: ForeverOrders
    alerts: Alerts
    controls: Controls


def standing_at(simulator: Simulator) -> Standing:
    """Return what waits at this simulator, and let it hear of prices from now on."""
    super_orders = SuperOrders(simulator)
    forever_orders = ForeverOrders(simulator)
    controls = Controls(simulator, super_orders)
    alerts = Alerts(simulator)
    simulator.watchers += [super_orders, forever_orders, alerts, controls]
    return Standing(super_orders, forever_orders, alerts, controls)
