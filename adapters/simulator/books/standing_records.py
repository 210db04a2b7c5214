"""What happens to standing instructions, one record each: super and forever orders, alerts, a trader's controls.

A standing instruction lies at the broker, unseen by the exchange, until a price lets it make an order. The order's own
records name it as their parent. Times are UTC nanoseconds of the market, prices 1/10,000 rupee.
"""

import msgspec

from adapters.simulator.books.account import Status
from domain.instrument import Instrument, InstrumentKey
from domain.order import OrderType, Side, TimeInForce

ENTRY_LEG = "ENTRY_LEG"
TARGET_LEG = "TARGET_LEG"
STOP_LOSS_LEG = "STOP_LOSS_LEG"


class SuperTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How a super order ends: two prices, 0 for a leg it has not, and by how much its stop trails (0: it stays)."""

    target_price_e4: int
    stop_loss_price_e4: int
    trailing_jump_e4: int


class SuperOrderPlaced(msgspec.Struct, frozen=True, tag="super_placed", kw_only=True):
    """The order of this id is the entry of a super order."""

    order_id: str
    terms: SuperTerms
    time_ns: int


class SuperOrderChanged(msgspec.Struct, frozen=True, tag="super_changed", kw_only=True):
    """How a super order ends was changed, or its stop trailed. `is_asked`: the client asked for an exit leg alone.

    The trail goes on from `anchor_e4` (0: from what the entry cost).
    """

    order_id: str
    terms: SuperTerms
    anchor_e4: int
    is_asked: bool
    time_ns: int


class SuperLegCanceled(msgspec.Struct, frozen=True, tag="super_leg_canceled", kw_only=True):
    """A leg of a super order will make no order any more."""

    order_id: str
    leg: str
    time_ns: int


class SuperOrderExpired(msgspec.Struct, frozen=True, tag="super_expired", kw_only=True):
    """The day of a super order is over: what is left of it waits for nothing."""

    order_id: str
    time_ns: int


class ForeverLeg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a forever order sends when the price is at its trigger or beyond, on the side that `fires_above` tells."""

    leg: str
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int
    trigger_price_e4: int
    fires_above: bool
    disclosed_quantity: int = 0


class ForeverArmed(msgspec.Struct, frozen=True, tag="forever_armed", kw_only=True):
    """A forever order waits for a price: with one leg, or with two of which one cancels the other."""

    order_id: str
    client_id: str
    correlation_id: str
    instrument: Instrument
    side: Side
    product: str
    legs: tuple[ForeverLeg, ...]
    time_ns: int


class ForeverChanged(msgspec.Struct, frozen=True, tag="forever_changed", kw_only=True):
    """A leg of a forever order is another from now on."""

    order_id: str
    leg: ForeverLeg
    time_ns: int


class ForeverEnded(msgspec.Struct, frozen=True, tag="forever_ended", kw_only=True):
    """A forever order made no order and will make none."""

    order_id: str
    status: Status
    time_ns: int


class AlertCondition(msgspec.Struct, frozen=True, kw_only=True):
    """What a price has to be: `operator` is the broker's word, `expires_on` the last day (ISO) on which it counts."""

    key: InstrumentKey
    operator: str
    value_e4: int
    expires_on: str
    note: str


class AlertOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order that an alert makes. Prices are 0 where it has none."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    product: str
    time_in_force: TimeInForce
    quantity: int
    limit_price_e4: int = 0
    trigger_price_e4: int = 0
    disclosed_quantity: int = 0


class AlertSet(msgspec.Struct, frozen=True, tag="alert_set", kw_only=True):
    """An alert waits for its condition, anew where it did before."""

    order_id: str
    client_id: str
    condition: AlertCondition
    orders: tuple[AlertOrder, ...]
    time_ns: int


class AlertEnded(msgspec.Struct, frozen=True, tag="alert_ended", kw_only=True):
    """An alert waits no more. `status` is the broker's word; a price goes with one that was triggered."""

    order_id: str
    status: str
    price_e4: int | None
    time_ns: int


class PositionConverted(msgspec.Struct, frozen=True, tag="converted", kw_only=True):
    """A part of a position is held under another product. `quantity` is below zero for a part of a short one."""

    client_id: str
    instrument: Instrument
    from_product: str
    to_product: str
    quantity: int
    time_ns: int


class KillSwitchTurned(msgspec.Struct, frozen=True, tag="kill_switch", kw_only=True):
    """A client's kill switch is on, and no order is taken for the rest of the day, or off."""

    client_id: str
    is_active: bool
    time_ns: int


class ProfitExitSet(msgspec.Struct, frozen=True, tag="profit_exit", kw_only=True):
    """A profit or a loss at which positions of these products are exited, for this day. Amounts are above zero.

    `kills` tells whether the kill switch goes on with it.
    """

    client_id: str
    profit_paise: int | None
    loss_paise: int | None
    products: tuple[str, ...]
    kills: bool
    time_ns: int


class ProfitExitEnded(msgspec.Struct, frozen=True, tag="profit_exit_ended", kw_only=True):
    """No profit or loss exits a client's positions any more: it did, or was stopped."""

    client_id: str
    time_ns: int


SuperRecord = SuperOrderPlaced | SuperOrderChanged | SuperLegCanceled | SuperOrderExpired
ForeverRecord = ForeverArmed | ForeverChanged | ForeverEnded
ClientRecord = PositionConverted | KillSwitchTurned | ProfitExitSet | ProfitExitEnded
"""What concerns a client and no order: it holds for the day."""
AlertRecord = AlertSet | AlertEnded
StandingRecord = SuperRecord | ForeverRecord | AlertRecord | ClientRecord
