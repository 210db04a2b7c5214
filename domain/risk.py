"""Limits, and the reasons for which an intent is denied."""

from enum import StrEnum

import msgspec

from domain.instrument import Segment
from domain.order import Product

BASIS_POINTS = 10_000


class DenialCode(StrEnum):
    """Why our own risk check denied an intent: stable, for clients to depend on."""

    # Switches and gates.
    ACCOUNT_GATE_SHUT = "ACCOUNT_GATE_SHUT"
    BOOKS_DISAGREE = "BOOKS_DISAGREE"
    KILL_SWITCH_ENGAGED = "KILL_SWITCH_ENGAGED"
    STRATEGY_KILL_SWITCH_ENGAGED = "STRATEGY_KILL_SWITCH_ENGAGED"
    INVARIANT_BREACHED = "INVARIANT_BREACHED"
    # The instrument and its session.
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    INSTRUMENT_EXPIRED = "INSTRUMENT_EXPIRED"
    SEGMENT_NOT_ALLOWED = "SEGMENT_NOT_ALLOWED"
    CALENDAR_UNKNOWN = "CALENDAR_UNKNOWN"
    MARKET_CLOSED = "MARKET_CLOSED"
    AFTER_MARKET_NOT_ALLOWED = "AFTER_MARKET_NOT_ALLOWED"
    ORDER_TYPE_NOT_SUPPORTED = "ORDER_TYPE_NOT_SUPPORTED"
    PHASE_ORDER_TYPE_NOT_ALLOWED = "PHASE_ORDER_TYPE_NOT_ALLOWED"
    TIME_IN_FORCE_NOT_ALLOWED = "TIME_IN_FORCE_NOT_ALLOWED"
    INTRADAY_ENTRY_TOO_LATE = "INTRADAY_ENTRY_TOO_LATE"
    # Product.
    PRODUCT_NOT_ALLOWED = "PRODUCT_NOT_ALLOWED"
    SHORT_NOT_ALLOWED = "SHORT_NOT_ALLOWED"
    MTF_NOT_ALLOWED = "MTF_NOT_ALLOWED"
    # Quantity.
    QUANTITY_ABOVE_LIMIT = "QUANTITY_ABOVE_LIMIT"
    FREEZE_QUANTITY_EXCEEDED = "FREEZE_QUANTITY_EXCEEDED"
    SLICES_ABOVE_LIMIT = "SLICES_ABOVE_LIMIT"
    DISCLOSED_QUANTITY_INVALID = "DISCLOSED_QUANTITY_INVALID"
    # Price.
    MARK_MISSING = "MARK_MISSING"
    MARK_STALE = "MARK_STALE"
    POSITION_MARK_MISSING = "POSITION_MARK_MISSING"
    POSITION_MARK_STALE = "POSITION_MARK_STALE"
    PRICE_OUTSIDE_COLLAR = "PRICE_OUTSIDE_COLLAR"
    PRICE_OUTSIDE_CIRCUIT = "PRICE_OUTSIDE_CIRCUIT"
    SPREAD_ABOVE_LIMIT = "SPREAD_ABOVE_LIMIT"
    TRIGGER_WRONG_SIDE = "TRIGGER_WRONG_SIDE"
    # Levels.
    STOP_LOSS_REQUIRED = "STOP_LOSS_REQUIRED"
    STOP_LOSS_WRONG_SIDE = "STOP_LOSS_WRONG_SIDE"
    STOP_LOSS_TOO_FAR = "STOP_LOSS_TOO_FAR"
    TARGET_WRONG_SIDE = "TARGET_WRONG_SIDE"
    TRAILING_STEP_TOO_SMALL = "TRAILING_STEP_TOO_SMALL"
    TRADE_RISK_ABOVE_LIMIT = "TRADE_RISK_ABOVE_LIMIT"
    # Money and size.
    ORDER_VALUE_ABOVE_LIMIT = "ORDER_VALUE_ABOVE_LIMIT"
    POSITION_QUANTITY_ABOVE_LIMIT = "POSITION_QUANTITY_ABOVE_LIMIT"
    POSITION_VALUE_ABOVE_LIMIT = "POSITION_VALUE_ABOVE_LIMIT"
    POSITION_SHARE_ABOVE_LIMIT = "POSITION_SHARE_ABOVE_LIMIT"
    GROSS_EXPOSURE_ABOVE_LIMIT = "GROSS_EXPOSURE_ABOVE_LIMIT"
    NET_EXPOSURE_ABOVE_LIMIT = "NET_EXPOSURE_ABOVE_LIMIT"
    CONCENTRATION_ABOVE_LIMIT = "CONCENTRATION_ABOVE_LIMIT"
    FUNDS_INSUFFICIENT = "FUNDS_INSUFFICIENT"
    # Counts.
    OPEN_TRADES_ABOVE_LIMIT = "OPEN_TRADES_ABOVE_LIMIT"
    OPEN_POSITIONS_ABOVE_LIMIT = "OPEN_POSITIONS_ABOVE_LIMIT"
    OPEN_ORDERS_ABOVE_LIMIT = "OPEN_ORDERS_ABOVE_LIMIT"
    TRADES_PER_DAY_ABOVE_LIMIT = "TRADES_PER_DAY_ABOVE_LIMIT"
    # Losses.
    DAY_LOSS_LIMIT_REACHED = "DAY_LOSS_LIMIT_REACHED"
    DRAWDOWN_LIMIT_REACHED = "DRAWDOWN_LIMIT_REACHED"
    # Repetition and rate.
    FLIP_NEEDS_MARKET = "FLIP_NEEDS_MARKET"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    SELF_CROSS = "SELF_CROSS"
    ORDERS_PER_SECOND_ABOVE_LIMIT = "ORDERS_PER_SECOND_ABOVE_LIMIT"
    ORDERS_PER_MINUTE_ABOVE_LIMIT = "ORDERS_PER_MINUTE_ABOVE_LIMIT"
    ORDERS_PER_HOUR_ABOVE_LIMIT = "ORDERS_PER_HOUR_ABOVE_LIMIT"
    ORDERS_PER_DAY_ABOVE_LIMIT = "ORDERS_PER_DAY_ABOVE_LIMIT"
    MODIFICATIONS_EXHAUSTED = "MODIFICATIONS_EXHAUSTED"


class BreachKind(StrEnum):
    """Which limit on losses was reached."""

    DAY_LOSS = "day_loss"
    DRAWDOWN = "drawdown"


class Invariant(StrEnum):
    """What holds of an account whatever is decided. `domain.account.invariants` says how each is looked at."""

    FILL_WITHOUT_ORDER = "fill_without_order"
    """Every fill is of an order that was intended, of its trade, instrument, product and side."""
    FILL_BOOKED_TWICE = "fill_booked_twice"
    """The venue's execution is booked once."""
    FILL_BEYOND_ORDER = "fill_beyond_order"
    """What has filled is the sum of the fills, and no more than the order was ever told to be."""
    ORDER_WITHOUT_CHECK = "order_without_check"
    """Every entry is of a trade that passed the checks, and no larger than what passed."""
    EXIT_WITHOUT_HOLDING = "exit_without_holding"
    """Every exit and stop takes away from what its trade holds."""
    EXITS_ABOVE_HOLDING = "exits_above_holding"
    """What live and unknown exits and stops of a trade may fill is no more than it holds."""
    SENT_TWICE = "sent_twice"
    """An intent is sent once; again only where it is proven that nothing was sent."""
    RESULT_SUMS = "result_sums"
    """Costs, results and charges are what the fills come to: of each trade, and of the account."""
    POSITION_SUMS = "position_sums"
    """What an account has in an instrument is what its trades hold, and what a closed trade holds is nothing."""


class BreachAction(StrEnum):
    """What a breach does besides blocking entries, which it always does at once."""

    BLOCK = "block"
    FLATTEN = "flatten"
    """Close what is open, once a second tick confirms the breach."""
    KILL = "kill"
    """Likewise, and engage the kill switch."""


class RiskParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's limits. Quantities in units, amounts in paise, ratios in basis points, times as their names say.

    A limit of 0 allows nothing, and None (where a limit may be None) is no limit. Where 0 turns something off instead,
    the field says so. `domain.account.checks` has the table of what each of them does.
    """

    # One order.
    order_quantity_max: int = 5_000
    order_value_paise_max: int = 1_000_000_00
    order_slices_max: int = 20
    """Orders that one intent may become where it is above the venue's freeze quantity; 1: no intent is sliced."""
    disclosed_quantity_bp_min: int = 1_000
    """Least share of an order's quantity that may be disclosed. Source: NSE, order conditions, 10 %."""
    # What is open.
    open_trades_max: int = 20
    open_positions_max: int = 20
    open_orders_max: int = 100
    """Orders that may fill, protective stops among them."""
    trades_per_day_max: int = 100
    position_quantity_max: int | None = 20_000
    position_value_paise_max: int | None = 2_500_000_00
    position_share_bp_max: int | None = 5_000
    """Of the capital; without a capital it is not checked."""
    gross_exposure_paise_max: int = 5_000_000_00
    net_exposure_paise_max: int | None = 5_000_000_00
    concentration_bp_max: int | None = 10_000
    """What one instrument may take, all products together, of the limit on gross exposure."""
    # Money.
    capital_paise: int | None = None
    """What the account began with. None: funds and share of capital are not checked here, the broker's word stands."""
    margin_bp_cnc: int = 10_000
    margin_bp_intraday: int = 2_000
    margin_bp_margin: int = 2_000
    margin_bp_mtf: int = 5_000
    """What of an order's value each product binds of the funds."""
    # Losses.
    trade_risk_paise_max: int | None = 50_000_00
    """Distance to the stop times quantity; without a stop it is not checked."""
    day_loss_paise_max: int = 50_000_00
    day_loss_action: BreachAction = BreachAction.BLOCK
    drawdown_paise_max: int = 200_000_00
    drawdown_action: BreachAction = BreachAction.BLOCK
    # Prices and marks.
    price_collar_bp: int = 500
    spread_bp_max: int | None = 200
    """Of an order at market, where bid and ask are known."""
    mark_age_ms_max: int = 10_000
    # Stops and targets.
    stop_loss_required: bool = False
    stop_loss_distance_bp_max: int | None = 2_000
    trailing_step_bp_min: int = 5
    stop_limit_buffer_bp: int = 50
    """How far behind its trigger a protective stop's limit lies, and that of an SL-M that becomes an SL."""
    trailing_modifications_max: int = 20
    """So often a trailing stop is modified at the venue; from then on the engine trails and the stop rests behind."""
    # What may be asked for.
    segments_allowed: tuple[Segment, ...] | None = None
    """None: every segment."""
    stop_market_allowed: bool = True
    """An SL-M becomes an SL with a limit `stop_limit_buffer_bp` behind its trigger; not allowed: it is denied."""
    intraday_entry_cutoff_minutes: int = 15
    """So long before continuous trading ends no INTRADAY trade is opened; 0: to the end."""
    # Repetition and rate.
    duplicate_window_ms: int = 0
    """0: not checked. The same request under the same key is carried out once anyway."""
    self_cross_allowed: bool = False
    orders_per_second_max: int = 10
    """Source: SEBI, retail algorithms: from more than 10 a second on an algorithm has to be registered."""
    orders_per_minute_max: int = 250
    orders_per_hour_max: int = 1_000
    orders_per_day_max: int = 7_000
    """Source of the last three: Dhan, rate limits of order APIs."""
    orders_reserved_for_exits: int = 2
    """So many of each of the four entries leave to exits."""

    def margin_bp_of(self, product: Product) -> int:
        """Return what of its value an order of *product* binds of the funds, in basis points."""
        match product:
            case Product.CNC:
                return self.margin_bp_cnc
            case Product.INTRADAY:
                return self.margin_bp_intraday
            case Product.MARGIN:
                return self.margin_bp_margin
            case Product.MTF:
                return self.margin_bp_mtf


class ProductRule(msgspec.Struct, frozen=True, kw_only=True):
    """In which segments a product may be entered, and whether it may be sold short."""

    segments: frozenset[Segment]
    may_be_short: bool


_CASH = frozenset({Segment.NSE_EQ, Segment.BSE_EQ})
_DERIVATIVES = frozenset(
    {Segment.NSE_FNO, Segment.BSE_FNO, Segment.NSE_CURRENCY, Segment.BSE_CURRENCY, Segment.MCX_COMM}
)

PRODUCT_RULES: dict[Product, ProductRule] = {
    Product.CNC: ProductRule(segments=_CASH, may_be_short=False),
    Product.INTRADAY: ProductRule(segments=_CASH | _DERIVATIVES, may_be_short=True),
    Product.MARGIN: ProductRule(segments=_DERIVATIVES, may_be_short=True),
    Product.MTF: ProductRule(segments=_CASH, may_be_short=False),
}
"""Product by segment by side. Source: Dhan, product types of orders. Shares are delivered: none is owed over night."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal by risk: the code, the limit in force, the value that met it, and what would have passed.

    All three are readable text; `passing` is empty where nothing of the kind would pass now.
    """

    code: DenialCode
    limit: str
    value: str
    passing: str = ""
