"""What comes into the matching, and what comes of it."""

from enum import StrEnum

import msgspec

from domain.order import OrderType, Side, TimeInForce


class MatchingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it arrives. `limit_price_e4` is set for LIMIT and SL and None for MARKET, `trigger_price_e4` for SL.

    Before it came into this book, `filled_quantity` of `quantity` had executed, and `has_triggered` tells whether its
    trigger had been reached. `first_execution_max` caps the first execution: less was at hand than the tape shows.
    """

    order_id: str
    side: Side
    order_type: OrderType
    quantity: int
    limit_price_e4: int | None = None
    trigger_price_e4: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    disclosed_quantity: int = 0
    filled_quantity: int = 0
    has_triggered: bool = False
    first_execution_max: int | None = None


class Execution(msgspec.Struct, frozen=True, gc=False):
    """A quantity of an order executed at a price: a printed or a shown one, or one that slipped from a printed one."""

    order_id: str
    quantity: int
    price_e4: int
    time_ns: int


class Triggered(msgspec.Struct, frozen=True, gc=False):
    """A print reached an order's trigger: it is a limit order from now on."""

    order_id: str


class Withdrawn(msgspec.Struct, frozen=True):
    """An order that left the book unfilled, with what it still had to do."""

    order_id: str
    leaves_quantity: int


Happening = Execution | Triggered | Withdrawn


class Rejection(StrEnum):
    """Why the exchange does not take an order, or a change of one."""

    QUANTITY_ABOVE_FREEZE = "quantity_above_freeze"
    PRICE_OUTSIDE_CIRCUITS = "price_outside_circuits"
    MARGIN = "margin"
    PHASE = "phase"
    """The phase of the session takes no order of this type or validity."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order on arrival, or of its modification.

    `limit_price_e4` is the limit it works under (None: a MARKET order that waits for the first print, or for an
    auction's price), `resting_quantity` what is left in the book, `canceled_quantity` what an IOC order could not
    execute. `awaits_trigger` tells that it rests unseen, `keeps_place` that it was changed where it stood in the book.
    `rejection` tells why nothing was done: an order did not come into the book, a modification left it as it was.
    """

    executions: tuple[Execution, ...]
    limit_price_e4: int | None
    resting_quantity: int
    canceled_quantity: int
    awaits_trigger: bool = False
    keeps_place: bool = False
    rejection: Rejection | None = None


class CannotModify(ValueError):
    """The order is not in the book, or has executed as much as it shall be. It stays as it is."""


def rejected(rejection: Rejection) -> Submission:
    """Return the submission of an order that is not taken."""
    return Submission(executions=(), limit_price_e4=None, resting_quantity=0, canceled_quantity=0, rejection=rejection)


def demand_sound(order: MatchingOrder) -> None:
    """Demand that prices go with the order type, and that something is left to do.

    Raises:
        ValueError: they do not, or there is not, or it is an SL-M.
    """
    order_type = order.order_type
    is_stop = order_type is OrderType.SL
    has_limit = is_stop or order_type is OrderType.LIMIT
    if (
        order_type is OrderType.SL_M
        or not 0 <= order.filled_quantity < order.quantity
        or (order.limit_price_e4 is not None) is not has_limit
        or (order.trigger_price_e4 is not None) is not is_stop
    ):
        raise ValueError(
            f"received {order}, expected a quantity above what is filled, a limit price with LIMIT and SL alone "
            "and a trigger price with SL alone; SL-M does not rest"
        )
