"""Marks, prices and levels."""

from domain.account.checks.intent import Intent, denied
from domain.market import NS_PER_MS
from domain.money import format_e4, format_paise, value_paise
from domain.order import OrderType
from domain.risk import BASIS_POINTS, Denial, DenialCode

# --- Marks ------------------------------------------------------------------------------------------------------------


def mark_present(intent: Intent) -> Denial | None:
    """Demand that the instrument has a price."""
    if intent.mark is not None:
        return None
    return denied(DenialCode.MARK_MISSING, f"a last price of {intent.instrument.key}", "none seen")


def mark_fresh(intent: Intent) -> Denial | None:
    """Demand that the instrument's price is fresh. After-market orders go by the last one of the day."""
    mark = intent.mark
    if mark is None or intent.after_market:
        return None  # After the market has closed its last price stays the last one.
    limit = intent.limits.mark_age_ms_max
    age_ms = (intent.now_ns - mark.exchange_time_ns) // NS_PER_MS
    if age_ms <= limit:
        return None
    return denied(DenialCode.MARK_STALE, f"{limit} ms", f"{age_ms} ms")


def position_marks_present(intent: Intent) -> Denial | None:
    """Demand that everything that is held has a price: without it neither exposure nor the day's loss can be told."""
    missing = intent.valuation.missing
    if not missing:
        return None  # Without the mark of what is held, neither exposure nor the day's loss can be told.
    return denied(DenialCode.POSITION_MARK_MISSING, f"a last price of {missing[0]}", "none seen")


def position_marks_fresh(intent: Intent) -> Denial | None:
    """Demand that the prices of everything that is held are fresh."""
    oldest = intent.valuation.oldest_mark_ns
    if oldest is None or intent.after_market:
        return None
    limit = intent.limits.mark_age_ms_max
    age_ms = (intent.now_ns - oldest) // NS_PER_MS
    if age_ms <= limit:
        return None
    return denied(DenialCode.POSITION_MARK_STALE, f"{limit} ms", f"{age_ms} ms")


# --- Price ------------------------------------------------------------------------------------------------------------


def collar(intent: Intent) -> Denial | None:
    """Demand that a limit lies near the last price; that of an SL near its trigger."""
    price, mark = intent.limit_e4, intent.mark
    if price is None or mark is None:
        return None
    # A stop's limit lies about its trigger, wherever the market is now.
    middle = mark.last_price_e4 if intent.trigger_e4 is None else intent.trigger_e4
    width = middle * intent.limits.price_collar_bp // BASIS_POINTS
    if middle - width <= price <= middle + width:
        return None
    allowed = f"{format_e4(middle - width)}..{format_e4(middle + width)}"
    return denied(DenialCode.PRICE_OUTSIDE_COLLAR, allowed, format_e4(price), allowed)


def circuits(intent: Intent) -> Denial | None:
    """Demand that limit and trigger lie within the day's price band."""
    mark = intent.mark
    if mark is None or (mark.lower_circuit_e4 is None and mark.upper_circuit_e4 is None):
        return None
    low, high = mark.lower_circuit_e4, mark.upper_circuit_e4
    for price in (intent.limit_e4, intent.trigger_e4):
        if price is None or ((low is None or price >= low) and (high is None or price <= high)):
            continue
        allowed = f"{'' if low is None else format_e4(low)}..{'' if high is None else format_e4(high)}"
        return denied(DenialCode.PRICE_OUTSIDE_CIRCUIT, allowed, format_e4(price), allowed)
    return None


def spread(intent: Intent) -> Denial | None:
    """Demand that an order at market meets a spread that is not wider than this, where bid and ask are known."""
    mark, limit = intent.mark, intent.limits.spread_bp_max
    if limit is None or mark is None or intent.order_type is not OrderType.MARKET or intent.after_market:
        return None
    bid, ask = mark.bid_price_e4, mark.ask_price_e4
    if not bid or not ask or (ask - bid) * 2 * BASIS_POINTS <= limit * (ask + bid):
        return None
    spread = -((bid - ask) * 2 * BASIS_POINTS // (ask + bid))
    return denied(DenialCode.SPREAD_ABOVE_LIMIT, f"{limit} bp", f"{spread} bp", "a LIMIT order")


def trigger_side(intent: Intent) -> Denial | None:
    """Demand that a trigger lies where the price has yet to come to, and the limit behind it."""
    trigger, mark = intent.trigger_e4, intent.mark
    if trigger is None or mark is None:
        return None
    last = mark.last_price_e4
    beyond, below = ("above", "at or above") if intent.is_buy else ("below", "at or below")
    if (trigger - last) * intent.sign <= 0:
        wanted = f"a trigger {beyond} {format_e4(last)}"
        return denied(DenialCode.TRIGGER_WRONG_SIDE, wanted, format_e4(trigger), wanted)
    if intent.limit_e4 is not None and (intent.limit_e4 - trigger) * intent.sign < 0:
        wanted = f"a limit {below} the trigger"
        return denied(DenialCode.TRIGGER_WRONG_SIDE, wanted, format_e4(intent.limit_e4), wanted)
    return None


# --- Levels -----------------------------------------------------------------------------------------------------------


def stop_required(intent: Intent) -> Denial | None:
    """Demand that a trade has a stop loss, where one is required."""
    if intent.stop_e4 is not None or not intent.limits.stop_loss_required:
        return None
    return denied(DenialCode.STOP_LOSS_REQUIRED, "a stop loss", "none", "the same with a stop loss")


def stop_side(intent: Intent) -> Denial | None:
    """Demand that the stop loss lies where the trade loses."""
    stop = intent.stop_e4
    if stop is None or (intent.price_e4 - stop) * intent.sign > 0:
        return None
    wanted = f"{'below' if intent.is_buy else 'above'} {format_e4(intent.price_e4)}"
    return denied(DenialCode.STOP_LOSS_WRONG_SIDE, wanted, format_e4(stop), wanted)


def stop_distance(intent: Intent) -> Denial | None:
    """Demand that the stop loss is not further from the price than this."""
    stop, limit = intent.stop_e4, intent.limits.stop_loss_distance_bp_max
    if stop is None or limit is None:
        return None
    distance = abs(intent.price_e4 - stop)
    if distance * BASIS_POINTS <= limit * intent.price_e4:
        return None
    furthest = intent.price_e4 - intent.sign * (limit * intent.price_e4 // BASIS_POINTS)
    return denied(
        DenialCode.STOP_LOSS_TOO_FAR,
        f"{limit} bp",
        f"{-(-distance * BASIS_POINTS // intent.price_e4) if intent.price_e4 else BASIS_POINTS} bp",
        f"a stop loss {'from' if intent.is_buy else 'to'} {format_e4(furthest)}",
    )


def target_side(intent: Intent) -> Denial | None:
    """Demand that the target lies where the trade wins."""
    target = intent.target_e4
    if target is None or (target - intent.price_e4) * intent.sign > 0:
        return None
    wanted = f"{'above' if intent.is_buy else 'below'} {format_e4(intent.price_e4)}"
    return denied(DenialCode.TARGET_WRONG_SIDE, wanted, format_e4(target), wanted)


def trailing_step(intent: Intent) -> Denial | None:
    """Demand that a trailing stop moves in steps that leave its order some of its 25 modifications."""
    trailing = intent.trailing
    if trailing is None:
        return None
    limit = intent.limits.trailing_step_bp_min
    if trailing.step_e4 * BASIS_POINTS >= limit * intent.price_e4:
        return None
    tick = intent.instrument.tick_e4
    least = -(-limit * intent.price_e4 // (BASIS_POINTS * tick)) * tick
    return denied(
        DenialCode.TRAILING_STEP_TOO_SMALL, f"{limit} bp", format_e4(trailing.step_e4), f"a step of {format_e4(least)}"
    )


def trade_risk(intent: Intent) -> Denial | None:
    """Demand that what the trade loses at its stop (distance times quantity) is not more than this."""
    stop, limit = intent.stop_e4, intent.limits.trade_risk_paise_max
    if stop is None or limit is None:
        return None
    distance = abs(intent.price_e4 - stop)
    multiplier = intent.instrument.multiplier
    risk = value_paise(price_e4=distance, quantity=intent.risk_quantity, multiplier=multiplier)
    if risk <= limit:
        return None
    units = limit * 100 // (distance * multiplier)
    return denied(DenialCode.TRADE_RISK_ABOVE_LIMIT, format_paise(limit), format_paise(risk), intent.in_lots(units))
