"""Money and size, counts and losses."""

from domain.account.checks.intent import Intent, denied, order_count
from domain.account.state import Account
from domain.money import format_paise
from domain.order import Product
from domain.risk import BASIS_POINTS, BreachKind, Denial, DenialCode

# --- Money and size ---------------------------------------------------------------------------------------------------


def order_value(intent: Intent) -> Denial | None:
    """Demand that one order is not worth more than this."""
    value, limit = intent.value_paise, intent.limits.order_value_paise_max
    if value <= limit:
        return None
    return denied(DenialCode.ORDER_VALUE_ABOVE_LIMIT, format_paise(limit), format_paise(value), intent.units_for(limit))


def _position_after(intent: Intent) -> int:
    """Return how many units would be held in the direction of the intent if all live entries that way filled."""
    exposure = intent.exposure
    net = exposure.long_quantity - exposure.short_quantity
    if intent.is_buy:
        return net + exposure.buying_quantity + intent.adding_quantity
    return exposure.selling_quantity + intent.adding_quantity - net


def position_quantity(intent: Intent) -> Denial | None:
    """Demand that the position is not larger than this, should every live entry fill."""
    limit = intent.limits.position_quantity_max
    if limit is None:
        return None
    after = _position_after(intent)
    if after <= limit:
        return None
    room = limit - after + intent.adding_quantity
    return denied(DenialCode.POSITION_QUANTITY_ABOVE_LIMIT, limit, after, intent.in_lots(max(room, 0)))


def position_value(intent: Intent) -> Denial | None:
    """Demand that the position is not worth more than this, should every live entry fill."""
    limit = intent.limits.position_value_paise_max
    if limit is None:
        return None
    after = intent.worth_paise(_position_after(intent))
    if after <= limit:
        return None
    room = limit - after + intent.adding_paise
    return denied(
        DenialCode.POSITION_VALUE_ABOVE_LIMIT, format_paise(limit), format_paise(after), intent.units_for(room)
    )


def position_share(intent: Intent) -> Denial | None:
    """Demand that the position takes no more of the capital than this."""
    limit, capital = intent.limits.position_share_bp_max, intent.limits.capital_paise
    if limit is None or capital is None:
        return None
    after = intent.worth_paise(_position_after(intent))
    if after * BASIS_POINTS <= limit * capital:
        return None
    share = -(-after * BASIS_POINTS // capital) if capital else BASIS_POINTS
    room = limit * capital // BASIS_POINTS - after + intent.adding_paise
    return denied(DenialCode.POSITION_SHARE_ABOVE_LIMIT, f"{limit} bp", f"{share} bp", intent.units_for(room))


def gross_exposure(intent: Intent) -> Denial | None:
    """Demand that what is held and what live entries may add is not worth more than this, bought and sold added up."""
    limit, totals = intent.limits.gross_exposure_paise_max, intent.totals
    exposure = intent.valuation.gross_exposure_paise + totals.buying_paise + totals.selling_paise + intent.adding_paise
    if exposure <= limit:
        return None
    room = limit - exposure + intent.adding_paise
    return denied(
        DenialCode.GROSS_EXPOSURE_ABOVE_LIMIT, format_paise(limit), format_paise(exposure), intent.units_for(room)
    )


def net_exposure(intent: Intent) -> Denial | None:
    """Demand that likewise, bought less sold (or sold less bought), should all live entries of one side fill first."""
    limit = intent.limits.net_exposure_paise_max
    if limit is None:
        return None
    resting = intent.totals.buying_paise if intent.is_buy else intent.totals.selling_paise
    exposure = intent.sign * intent.valuation.net_exposure_paise + resting + intent.adding_paise
    if exposure <= limit:
        return None
    room = limit - exposure + intent.adding_paise
    return denied(
        DenialCode.NET_EXPOSURE_ABOVE_LIMIT,
        format_paise(limit),
        f"{format_paise(exposure)} {'long' if intent.is_buy else 'short'}",
        intent.units_for(room),
    )


def concentration(intent: Intent) -> Denial | None:
    """Demand that one instrument, all products together, takes no more of the limit on gross exposure than this."""
    share = intent.limits.concentration_bp_max
    if share is None or share >= BASIS_POINTS:
        return None  # One instrument has never more than all of them have: the gross exposure is checked.
    limit = intent.limits.gross_exposure_paise_max * share // BASIS_POINTS
    taken = intent.adding_paise
    for product in Product:
        exposure = intent.account.exposure(intent.instrument.key, product)
        taken += intent.worth_paise(exposure.long_quantity + exposure.short_quantity)
        taken += exposure.buying_paise + exposure.selling_paise
    if taken <= limit:
        return None
    room = limit - taken + intent.adding_paise
    return denied(
        DenialCode.CONCENTRATION_ABOVE_LIMIT, format_paise(limit), format_paise(taken), intent.units_for(room)
    )


def free_funds_paise(account: Account) -> int | None:
    """Return what *account* may still bind: capital, cash moved and net result, less margin; None without a capital."""
    limits = account.parameters
    if limits.capital_paise is None:
        return None
    margin = sum(
        amount * limits.margin_bp_of(product) // BASIS_POINTS
        for product, amount in account.totals.committed_paise.items()
    )
    return limits.capital_paise + account.cash_moved_paise + account.net_paise - margin


def funds(intent: Intent) -> Denial | None:
    """Demand that the funds cover the margin: capital, cash moved and result, less what is bound."""
    free = free_funds_paise(intent.account)
    if free is None:
        return None
    margin_bp = intent.limits.margin_bp_of(intent.product)
    needed = -(-intent.adding_paise * margin_bp // BASIS_POINTS)
    if needed <= free:
        return None
    room = free * BASIS_POINTS // margin_bp if margin_bp else 0
    return denied(DenialCode.FUNDS_INSUFFICIENT, format_paise(free), format_paise(needed), intent.units_for(room))


# --- Counts -----------------------------------------------------------------------------------------------------------


def trades_per_day(intent: Intent) -> Denial | None:
    """Demand that so many trades are opened on one day."""
    limit, count = intent.limits.trades_per_day_max, intent.account.trades_today
    if count < limit:
        return None
    return denied(DenialCode.TRADES_PER_DAY_ABOVE_LIMIT, limit, count + 1)


def open_trades(intent: Intent) -> Denial | None:
    """Demand that so many trades are open."""
    limit, count = intent.limits.open_trades_max, intent.totals.open_trades
    if count < limit:
        return None
    return denied(DenialCode.OPEN_TRADES_ABOVE_LIMIT, limit, count + 1, "any, once a trade is closed")


def open_positions(intent: Intent) -> Denial | None:
    """Demand that so many positions are open, those that a live entry may open among them."""
    limit, count = intent.limits.open_positions_max, len(intent.totals.exposures)
    if count < limit or (intent.exposure.open_trades and limit):
        return None
    return denied(DenialCode.OPEN_POSITIONS_ABOVE_LIMIT, limit, count + 1, "more of a position that is open")


def open_orders(intent: Intent) -> Denial | None:
    """Demand that so many orders may fill at once, stops among them."""
    limit, count = intent.limits.open_orders_max, intent.totals.live_orders + order_count(intent)
    if count <= limit:
        return None
    return denied(DenialCode.OPEN_ORDERS_ABOVE_LIMIT, limit, count, "any, once an order is over")


# --- Losses -----------------------------------------------------------------------------------------------------------


def day_loss(intent: Intent) -> Denial | None:
    """Demand that the day's loss, charges in it, is below this; once it was not, the day is over for entries."""
    limit, result = intent.limits.day_loss_paise_max, intent.valuation.day_result_paise
    if result > -limit and BreachKind.DAY_LOSS not in intent.account.breaches:
        return None
    # Latched: once reached, it holds to the end of the day, even if the result recovers.
    return denied(DenialCode.DAY_LOSS_LIMIT_REACHED, format_paise(-limit), format_paise(result), "any, on the next day")


def drawdown_paise(account: Account, open_result_paise: int) -> int:
    """Return how far the net result lies below its highest; cash that moved is in neither."""
    return account.peak_net_paise - account.net_paise - open_result_paise


def drawdown(intent: Intent) -> Denial | None:
    """Demand that the result lies less than this below its highest. Cash that moved is no result."""
    limit = intent.limits.drawdown_paise_max
    drawdown = drawdown_paise(intent.account, intent.valuation.open_result_paise)
    if drawdown < limit and BreachKind.DRAWDOWN not in intent.account.breaches:
        return None
    return denied(DenialCode.DRAWDOWN_LIMIT_REACHED, format_paise(limit), format_paise(drawdown))
