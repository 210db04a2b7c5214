"""The checks once more, for the many intents that meet no limit: one function that tells that surely all of them pass.

Where it says no, the table decides and finds the reason. So it may say no too often (orders with a trigger, slices,
after-market orders and others that are seldom are left to the table), and must never say yes where the table denies.
Tests hold the two against each other, at each limit of the table exactly and one step beyond: a check that is in the
table alone fails there.
"""

from domain.account.commands import OpenTrade
from domain.account.events import AccountMode
from domain.account.state import NOTHING, Account
from domain.instrument import Instrument
from domain.market import NS_PER_MS, MarketSnapshot
from domain.money import E4_PER_PAISA
from domain.order import OrderType, Product, Side
from domain.risk import BASIS_POINTS, PRODUCT_RULES, RiskParameters
from domain.session import PHASE_RULES

NS_PER_MINUTE = 60_000_000_000
_BUY, _LIMIT, _MARKET, _INTRADAY, _MTF = Side.BUY, OrderType.LIMIT, OrderType.MARKET, Product.INTRADAY, Product.MTF
_PRODUCTS = tuple(Product)


def surely_passes(command: OpenTrade, account: Account, instrument: Instrument) -> bool:
    """Tell whether *command* meets no limit at all, as far as that can be told at once."""
    limits, market = account.parameters, command.market
    return (
        account.mode is AccountMode.PAPER
        and not account.kill_switches
        and not account.breaches
        and not account.broken
        and not account.differences
        and _is_usual(command, limits, instrument)
        and _may_be_sent(command, account, instrument)
        and _is_small_enough(command, account, instrument, market)
    )


def _is_usual(command: OpenTrade, limits: RiskParameters, instrument: Instrument) -> bool:
    """Tell whether it is an order at market or at a limit, for this session, in one piece, shown whole."""
    order_type, freeze, quantity = command.order_type, instrument.freeze_quantity, command.quantity
    return (
        (order_type is _MARKET or order_type is _LIMIT)
        and not command.after_market
        and not command.disclosed_quantity
        and (freeze is None or quantity <= freeze)
        and limits.order_slices_max > 0
        and quantity <= limits.order_quantity_max
    )


def _may_be_sent(command: OpenTrade, account: Account, instrument: Instrument) -> bool:
    """Tell whether instrument, session and product take it, and neither counts nor repetition stand against it."""
    limits, market, totals, rates = account.parameters, command.market, account.totals, account.rates
    session, segment = market.session, instrument.key.segment
    if session is None or not session.day_known:
        return False
    phase, product = PHASE_RULES[session.phase], PRODUCT_RULES[command.product]
    now_ns, until_ns = market.market_time_ns, session.continuous_until_ns
    waiting = totals.intended_orders + 1 + limits.orders_reserved_for_exits
    if not (
        instrument.tradable
        and (instrument.expires_on is None or session.trading_day <= instrument.expires_on)
        and (limits.segments_allowed is None or segment in limits.segments_allowed)
        and not phase.after_market
        and command.order_type in phase.order_types
        and command.time_in_force in phase.times_in_force
        and segment in product.segments
        and (product.may_be_short or command.side is _BUY)
        and (command.product is not _MTF or instrument.mtf)
        and rates.second.total + waiting <= limits.orders_per_second_max
        and rates.minute.total + waiting <= limits.orders_per_minute_max
        and rates.hour.total + waiting <= limits.orders_per_hour_max
        and rates.day_count + waiting <= limits.orders_per_day_max
        and totals.live_orders < limits.open_orders_max
        and totals.open_trades < limits.open_trades_max
        and account.trades_today < limits.trades_per_day_max
        and len(totals.exposures) < limits.open_positions_max
    ):
        return False
    if (
        until_ns is not None
        and command.product is _INTRADAY
        and until_ns - now_ns < limits.intraday_entry_cutoff_minutes * NS_PER_MINUTE
    ):
        return False
    if limits.duplicate_window_ms and account.trades:
        newest = next(reversed(account.trades.values()))
        if newest.is_external or newest.opened_at_ns > now_ns - limits.duplicate_window_ms * NS_PER_MS:
            return False
    return True


def _is_small_enough(  # noqa: C901, PLR0911, PLR0912, PLR0915 - one list of conditions
    command: OpenTrade, account: Account, instrument: Instrument, market: MarketSnapshot
) -> bool:
    """Tell whether prices, levels and sizes are within every limit."""
    limits, totals, valuation, key = account.parameters, account.totals, market.valuation, instrument.key
    if valuation is None or valuation.missing:
        return False
    for mark in market.marks:
        if mark.instrument == key:
            break
    else:
        return False
    oldest_ns = market.market_time_ns - limits.mark_age_ms_max * NS_PER_MS
    if mark.exchange_time_ns < oldest_ns or (
        valuation.oldest_mark_ns is not None and valuation.oldest_mark_ns < oldest_ns
    ):
        return False
    quantity, price, last, multiplier = (
        command.quantity,
        command.limit_price_e4,
        mark.last_price_e4,
        instrument.multiplier,
    )
    is_buy = command.side is _BUY
    sign = 1 if is_buy else -1
    name = key.segment + ":" + key.security_id + ":"
    exposures = totals.exposures
    exposure = exposures.get(name + command.product, NOTHING)
    if price is None:
        price = last
        bid, ask = mark.bid_price_e4, mark.ask_price_e4
        if (
            bid
            and ask
            and limits.spread_bp_max is not None
            and (ask - bid) * 2 * BASIS_POINTS > limits.spread_bp_max * (ask + bid)
        ):
            return False
    else:
        width = last * limits.price_collar_bp // BASIS_POINTS
        low, high = mark.lower_circuit_e4, mark.upper_circuit_e4
        if (
            not last - width <= price <= last + width
            or (low is not None and price < low)
            or (high is not None and price > high)
            or (exposure.short_quantity if is_buy else exposure.long_quantity)  # It may stand against what is held.
        ):
            return False
    worth_e4 = price * multiplier
    stop, target, trailing = command.stop_loss_e4, command.target_e4, command.trailing
    if stop is None:
        if limits.stop_loss_required:
            return False
    else:
        distance = (price - stop) * sign
        furthest, risk_max = limits.stop_loss_distance_bp_max, limits.trade_risk_paise_max
        if (
            distance <= 0
            or (furthest is not None and distance * BASIS_POINTS > furthest * price)
            or (risk_max is not None and distance * multiplier * quantity > risk_max * E4_PER_PAISA)
        ):
            return False
    if target is not None and (target - price) * sign <= 0:
        return False
    if trailing is not None and trailing.step_e4 * BASIS_POINTS < limits.trailing_step_bp_min * price:
        return False
    # Rounded up here, and to the nearest paisa in the table: where that decides, the table does.
    value = -(-worth_e4 * quantity // E4_PER_PAISA)
    net = exposure.long_quantity - exposure.short_quantity
    if is_buy:
        after, resting = net + exposure.buying_quantity + quantity, totals.buying_paise
    else:
        after, resting = exposure.selling_quantity + quantity - net, totals.selling_paise
    position = -(-worth_e4 * after // E4_PER_PAISA)
    gross = valuation.gross_exposure_paise + totals.buying_paise + totals.selling_paise + value
    quantity_max, position_max = limits.position_quantity_max, limits.position_value_paise_max
    net_max = limits.net_exposure_paise_max
    if (
        value > limits.order_value_paise_max
        or gross > limits.gross_exposure_paise_max
        or (quantity_max is not None and after > quantity_max)
        or (position_max is not None and position > position_max)
        or (net_max is not None and sign * valuation.net_exposure_paise + resting + value > net_max)
        or valuation.day_result_paise <= -limits.day_loss_paise_max
        or account.peak_net_paise - account.realised_paise + account.charges_paise - valuation.open_result_paise
        >= limits.drawdown_paise_max
    ):
        return False
    share = limits.concentration_bp_max
    most = limits.gross_exposure_paise_max if share is None else limits.gross_exposure_paise_max * share // BASIS_POINTS
    # One instrument has no more than all of them; and without a limit order that rests nothing can be met.
    if gross > most or (totals.resting_limits and not limits.self_cross_allowed):
        taken = value
        for product in _PRODUCTS:
            each = exposures.get(name + product)
            if each is None:
                continue
            if each.limits:
                return False  # They may meet.
            held = each.long_quantity + each.short_quantity
            taken += each.buying_paise + each.selling_paise - (-worth_e4 * held // E4_PER_PAISA)
        if taken > most:
            return False
    return limits.capital_paise is None or _is_funded(command.product, account, value, position)


def _is_funded(product: Product, account: Account, value_paise: int, position_paise: int) -> bool:
    limits = account.parameters
    capital, share = limits.capital_paise or 0, limits.position_share_bp_max
    if share is not None and position_paise * BASIS_POINTS > share * capital:
        return False
    bound = -(-value_paise * limits.margin_bp_of(product) // BASIS_POINTS)
    for each, amount in account.totals.committed_paise.items():
        bound -= -amount * limits.margin_bp_of(each) // BASIS_POINTS
    return bound <= capital + account.cash_moved_paise + account.net_paise
