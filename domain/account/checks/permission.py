"""May it be asked for at all: switches, the instrument and its session, the product, the quantity."""

from domain.account.checks.intent import Intent, denied, order_count
from domain.account.events import AccountMode
from domain.market import trading_day
from domain.order import OrderType, Product, TimeInForce
from domain.risk import BASIS_POINTS, PRODUCT_RULES, Denial, DenialCode
from domain.session import PHASE_RULES, Phase

NS_PER_MINUTE = 60_000_000_000
_RESTING = frozenset({OrderType.SL, OrderType.SL_M})
"""Types that wait for a trigger: at once or never contradicts that."""


# --- Switches and gates -----------------------------------------------------------------------------------------------


def gate(intent: Intent) -> Denial | None:
    """Demand that the account's gate is open. That of a live account is shut until live trading runs."""
    if intent.account.mode is AccountMode.PAPER:
        return None
    return denied(DenialCode.ACCOUNT_GATE_SHUT, "an open gate", "shut: live trading does not run yet")


def books_agree(intent: Intent) -> Denial | None:
    """Demand that the venue's books show nothing that ours do not explain."""
    found = intent.account.gating_difference
    if found is None:
        return None
    about = " ".join(filter(None, (found.symbol or found.subject, found.product)))
    return denied(
        DenialCode.BOOKS_DISAGREE,
        "books that agree with the venue's",
        f"{found.kind.value} of {about}: ours {found.ours}, the venue's {found.theirs}",
        f"any, once they agree again or {found.difference_id} is resolved",
    )


def kill_switch(intent: Intent) -> Denial | None:
    """Demand that the account's kill switch is released."""
    if not intent.account.kill_switches or not intent.account.kill_switch_engaged:
        return None
    return denied(DenialCode.KILL_SWITCH_ENGAGED, "released", "engaged", "any, once it is released")


def strategy_kill_switch(intent: Intent) -> Denial | None:
    """Demand that the strategy's kill switch is released; of other strategies and people nothing is asked."""
    if not intent.account.kill_switches or not intent.account.is_killed(intent.strategy_id):
        return None
    return denied(DenialCode.STRATEGY_KILL_SWITCH_ENGAGED, "released", "engaged", "any, once it is released")


def invariants(intent: Intent) -> Denial | None:
    """Demand that no invariant is broken, or that a person who looked has released it. It holds to that release."""
    if not intent.account.broken:
        return None
    first = intent.account.broken[0]
    value = f"{first.invariant.value} of {first.subject} by version {first.version} of the account's stream"
    return denied(DenialCode.INVARIANT_BREACHED, "none broken", value, "any, once it is released")


# --- The instrument and its session -----------------------------------------------------------------------------------


def tradable(intent: Intent) -> Denial | None:
    """Demand that the instrument can be traded: an index cannot."""
    if intent.instrument.tradable:
        return None
    return denied(DenialCode.INSTRUMENT_NOT_TRADABLE, "tradable", intent.instrument.symbol)


def expiry(intent: Intent) -> Denial | None:
    """Demand that a derivative is not past its last day."""
    expires_on = intent.instrument.expires_on
    if expires_on is None:
        return None
    session = intent.session
    day = trading_day(intent.now_ns).isoformat() if session is None else session.trading_day
    if day <= expires_on:
        return None
    return denied(DenialCode.INSTRUMENT_EXPIRED, f"to {expires_on}", day)


def segment(intent: Intent) -> Denial | None:
    """Demand that the instrument's segment is one that the account may trade in."""
    allowed = intent.limits.segments_allowed
    if allowed is None or intent.instrument.key.segment in allowed:
        return None
    names = ", ".join(allowed) or "none"
    return denied(DenialCode.SEGMENT_NOT_ALLOWED, names, intent.instrument.key.segment.value, ", ".join(allowed))


def calendar(intent: Intent) -> Denial | None:
    """Demand that the segment's hours are known, and of the day whether it is a holiday."""
    session, segment = intent.session, intent.instrument.key.segment
    if session is None:
        return denied(DenialCode.CALENDAR_UNKNOWN, "a segment with a session table", segment.value)
    if session.day_known:
        return None
    told = f"{segment.value} on {session.trading_day}"
    return denied(DenialCode.CALENDAR_UNKNOWN, "a day whose holidays and hours are known", told)


def stop_market(intent: Intent) -> Denial | None:
    """Demand that no venue lets an SL-M rest: it becomes an SL with a buffer, or is denied where it is not allowed."""
    if intent.order_type is not OrderType.SL_M or intent.limits.stop_market_allowed:
        return None
    return denied(DenialCode.ORDER_TYPE_NOT_SUPPORTED, "MARKET, LIMIT, SL", "SL-M", "SL")


def market_open(intent: Intent) -> Denial | None:
    """Demand that the session takes orders now. What only the next one can take has to say so."""
    session = intent.session
    if session is None or intent.after_market:
        return None
    rule = PHASE_RULES[session.phase]
    if rule.order_types and not rule.after_market:
        return None
    passing = "the same with after_market" if rule.after_market else ""
    return denied(DenialCode.MARKET_CLOSED, "an open market", session.phase.value, passing)


def after_market(intent: Intent) -> Denial | None:
    """Demand that an order for the next session is handed in when this one is over, and not before."""
    session = intent.session
    if not intent.after_market or session is None or PHASE_RULES[session.phase].after_market:
        return None
    return denied(DenialCode.AFTER_MARKET_NOT_ALLOWED, Phase.CLOSED.value, session.phase.value, "the same without it")


def phase_order_type(intent: Intent) -> Denial | None:
    """Demand that the phase of the session takes orders of this type."""
    session = intent.session
    if session is None:
        return None
    told = OrderType.SL if intent.order_type is OrderType.SL_M else intent.order_type
    allowed = PHASE_RULES[session.phase].order_types
    if told in allowed:
        return None
    names = ", ".join(sorted(allowed))
    return denied(
        DenialCode.PHASE_ORDER_TYPE_NOT_ALLOWED, f"{names} in {session.phase.value}", intent.order_type.value, names
    )


def time_in_force(intent: Intent) -> Denial | None:
    """Demand that the phase takes this validity, and the type goes with it."""
    session = intent.session
    if session is None:
        return None
    allowed = PHASE_RULES[session.phase].times_in_force
    told = intent.time_in_force
    if told in allowed and (told is TimeInForce.DAY or intent.order_type not in _RESTING):
        return None
    if intent.order_type in _RESTING:
        return denied(DenialCode.TIME_IN_FORCE_NOT_ALLOWED, f"DAY for {intent.order_type.value}", told.value, "DAY")
    names = ", ".join(sorted(allowed))
    return denied(DenialCode.TIME_IN_FORCE_NOT_ALLOWED, f"{names} in {session.phase.value}", told.value, names)


def intraday_cutoff(intent: Intent) -> Denial | None:
    """Demand that there is time left before intraday trades are squared off."""
    session = intent.session
    if intent.product is not Product.INTRADAY or session is None or session.continuous_until_ns is None:
        return None
    left_ns = session.continuous_until_ns - intent.now_ns
    cutoff = intent.limits.intraday_entry_cutoff_minutes
    if left_ns >= cutoff * NS_PER_MINUTE or intent.after_market:
        return None
    left = max(left_ns, 0) // 1_000_000_000
    return denied(
        DenialCode.INTRADAY_ENTRY_TOO_LATE,
        f"{cutoff} minutes before the end",
        f"{left // 60} min {left % 60:02d} s before it",
        "another product",
    )


# --- The product ------------------------------------------------------------------------------------------------------


def product(intent: Intent) -> Denial | None:
    """Demand that the product exists in the segment."""
    segment = intent.instrument.key.segment
    if segment in PRODUCT_RULES[intent.product].segments:
        return None
    names = ", ".join(product for product, rule in PRODUCT_RULES.items() if segment in rule.segments)
    return denied(DenialCode.PRODUCT_NOT_ALLOWED, f"{names or 'none'} in {segment.value}", intent.product.value, names)


def short_sale(intent: Intent) -> Denial | None:
    """Demand that what is delivered is not sold before it is held: close the trade that holds it instead."""
    if intent.is_buy or PRODUCT_RULES[intent.product].may_be_short:
        return None
    return denied(DenialCode.SHORT_NOT_ALLOWED, f"BUY for {intent.product.value}", "SELL", "SELL for INTRADAY")


def mtf(intent: Intent) -> Denial | None:
    """Demand that the broker lends for the stock."""
    if intent.product is not Product.MTF or intent.instrument.mtf:
        return None
    return denied(DenialCode.MTF_NOT_ALLOWED, "a stock that the broker lends for", intent.instrument.symbol, "CNC")


def flip(intent: Intent) -> Denial | None:
    """Demand that no priced order stands against what its strategy holds: only at market it closes that first."""
    if intent.order_type is OrderType.MARKET:
        return None
    against = intent.exposure.short_quantity if intent.is_buy else intent.exposure.long_quantity
    if not against:
        return None
    trades = intent.account.held_against(
        intent.instrument.key, intent.product, intent.side, strategy_id=intent.strategy_id
    )
    if not trades:
        return None
    held = sum(abs(trade.holding.net_quantity) for trade in trades)
    return denied(
        DenialCode.FLIP_NEEDS_MARKET,
        "MARKET while the other way is held",
        f"{intent.order_type.value} with {held} units held",
        "MARKET, which closes them first; or close them, then this",
    )


# --- Quantity ---------------------------------------------------------------------------------------------------------


def quantity(intent: Intent) -> Denial | None:
    """Demand that one order is not larger than this."""
    limit = intent.limits.order_quantity_max
    if intent.quantity <= limit:
        return None
    return denied(DenialCode.QUANTITY_ABOVE_LIMIT, limit, intent.quantity, intent.in_lots(limit))


def freeze_quantity(intent: Intent) -> Denial | None:
    """Demand that the quantity is below the venue's freeze quantity, where intents are not sliced.

    Exits are sliced always.
    """
    freeze = intent.instrument.freeze_quantity
    if freeze is None or intent.quantity <= freeze or intent.limits.order_slices_max > 1:
        return None
    return denied(DenialCode.FREEZE_QUANTITY_EXCEEDED, freeze, intent.quantity, intent.in_lots(freeze))


def slices(intent: Intent) -> Denial | None:
    """Demand that an intent above the freeze quantity becomes no more orders than this."""
    limit, count = intent.limits.order_slices_max, order_count(intent)
    if count <= limit:
        return None
    most = limit * (intent.instrument.freeze_quantity or 0)
    return denied(DenialCode.SLICES_ABOVE_LIMIT, f"{limit} orders", f"{count} orders", intent.in_lots(most))


def disclosed(intent: Intent) -> Denial | None:
    """Demand that what is disclosed is a fair share of the quantity, and not more than all.

    Dhan itself asks for over 30 %.
    """
    disclosed, quantity = intent.disclosed_quantity, intent.quantity
    if disclosed == 0:
        return None
    least = -(-quantity * intent.limits.disclosed_quantity_bp_min // BASIS_POINTS)
    if least <= disclosed <= quantity:
        return None
    return denied(DenialCode.DISCLOSED_QUANTITY_INVALID, f"0 or {least}..{quantity}", disclosed, f"{least} units")
