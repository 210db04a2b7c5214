"""Limits, and the reasons for which an intent is denied."""

from enum import StrEnum

import msgspec


class DenialCode(StrEnum):
    """Why our own risk check denied an intent: stable, for clients to depend on."""

    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    QUANTITY_ABOVE_LIMIT = "QUANTITY_ABOVE_LIMIT"
    FREEZE_QUANTITY_EXCEEDED = "FREEZE_QUANTITY_EXCEEDED"
    ORDER_VALUE_ABOVE_LIMIT = "ORDER_VALUE_ABOVE_LIMIT"
    OPEN_TRADES_ABOVE_LIMIT = "OPEN_TRADES_ABOVE_LIMIT"
    TRADES_PER_DAY_ABOVE_LIMIT = "TRADES_PER_DAY_ABOVE_LIMIT"
    GROSS_EXPOSURE_ABOVE_LIMIT = "GROSS_EXPOSURE_ABOVE_LIMIT"
    DAY_LOSS_LIMIT_REACHED = "DAY_LOSS_LIMIT_REACHED"
    KILL_SWITCH_ENGAGED = "KILL_SWITCH_ENGAGED"
    PRICE_OUTSIDE_COLLAR = "PRICE_OUTSIDE_COLLAR"
    MARK_MISSING = "MARK_MISSING"
    MARK_STALE = "MARK_STALE"
    STOP_LOSS_REQUIRED = "STOP_LOSS_REQUIRED"
    STOP_LOSS_WRONG_SIDE = "STOP_LOSS_WRONG_SIDE"
    TARGET_WRONG_SIDE = "TARGET_WRONG_SIDE"
    SHORT_NOT_ALLOWED = "SHORT_NOT_ALLOWED"


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


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal by risk: the code, the limit in force and the value that met it, both as readable text."""

    code: DenialCode
    limit: str
    value: str
