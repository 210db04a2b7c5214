"""The phases of a trading day, and which orders each of them takes."""

from enum import StrEnum

import msgspec

from domain.order import OrderType, TimeInForce


class Phase(StrEnum):
    """Where a segment is in its day."""

    CLOSED = "closed"
    PRE_OPEN = "pre_open"
    PAUSED = "paused"
    """Between two phases: no order is taken, and none for the next session either."""
    CONTINUOUS = "continuous"
    CLOSING_AUCTION = "closing_auction"
    CLOSING_AUCTION_END = "closing_auction_end"
    """The last minutes of the auction's order entry, which take limit orders alone."""
    POST_CLOSE = "post_close"


class SessionMoment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One moment of a segment's session. `continuous_until_ns` is when continuous trading ends today, None: not today.

    Times are UTC nanoseconds of the market clock. `trading_day` is the exchange's day (ISO). Where `day_known` is
    false, nobody has said yet whether the day is a holiday (the phase is that of an ordinary week then), or when the
    session that was announced for it begins.
    """

    phase: Phase
    trading_day: str
    continuous_until_ns: int | None = None
    day_known: bool = True


class PhaseRule(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase takes. `after_market` tells that it takes orders for the next session only."""

    order_types: frozenset[OrderType] = frozenset()
    times_in_force: frozenset[TimeInForce] = frozenset()
    after_market: bool = False


_T, _V = OrderType, TimeInForce
PHASE_RULES: dict[Phase, PhaseRule] = {
    Phase.CLOSED: PhaseRule(
        order_types=frozenset({_T.MARKET, _T.LIMIT, _T.SL}), times_in_force=frozenset({_V.DAY}), after_market=True
    ),
    Phase.PRE_OPEN: PhaseRule(order_types=frozenset({_T.MARKET, _T.LIMIT}), times_in_force=frozenset({_V.DAY})),
    Phase.PAUSED: PhaseRule(),
    Phase.CONTINUOUS: PhaseRule(
        order_types=frozenset({_T.MARKET, _T.LIMIT, _T.SL}), times_in_force=frozenset({_V.DAY, _V.IOC})
    ),
    Phase.CLOSING_AUCTION: PhaseRule(order_types=frozenset({_T.MARKET, _T.LIMIT}), times_in_force=frozenset({_V.DAY})),
    Phase.CLOSING_AUCTION_END: PhaseRule(order_types=frozenset({_T.LIMIT}), times_in_force=frozenset({_V.DAY})),
    Phase.POST_CLOSE: PhaseRule(order_types=frozenset({_T.MARKET}), times_in_force=frozenset({_V.DAY})),
}
"""Phase by order type by validity. Source: NSE, market timings and order types of each session."""
