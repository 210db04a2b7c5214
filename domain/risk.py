"""Limits, and the reasons for which an intent is denied."""

from enum import StrEnum

import msgspec


class DenialCode(StrEnum):
    """Why our own risk check denied an intent: stable, for clients to depend on."""

    # Switches and gates.
    KILL_SWITCH_ENGAGED = "KILL_SWITCH_ENGAGED"
    STRATEGY_KILL_SWITCH_ENGAGED = "STRATEGY_KILL_SWITCH_ENGAGED"
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


class BreachAction(StrEnum):
    """What a breach does besides blocking entries, which it always does at once."""

    BLOCK = "block"
    FLATTEN = "flatten"
    """Close what is open, once a second tick confirms the breach."""
    KILL = "kill"
    """Likewise, and engage the kill switch."""


class RiskParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's limits. Quantities in units, amounts in paise, ratios in basis points, ages in milliseconds."""

    order_quantity_max: int = 5_000
    order_value_paise_max: int = 1_000_000_00
    open_trades_max: int = 20
    trades_per_day_max: int = 100
    gross_exposure_paise_max: int = 5_000_000_00
    day_loss_paise_max: int = 50_000_00
    price_collar_bp: int = 500
    mark_age_ms_max: int = 10_000
    stop_loss_required: bool = False
    day_loss_action: BreachAction = BreachAction.BLOCK
    drawdown_paise_max: int = 200_000_00
    drawdown_action: BreachAction = BreachAction.BLOCK
    stop_limit_buffer_bp: int = 50
    """How far behind its trigger a protective stop's limit lies."""
    trailing_modifications_max: int = 20
    """So often a trailing stop is modified at the venue; from then on the engine trails and the stop rests behind."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal by risk: the code, the limit in force, the value that met it, and what would have passed.

    All three are readable text; `passing` is empty where nothing of the kind would pass now.
    """

    code: DenialCode
    limit: str
    value: str
    passing: str = ""
