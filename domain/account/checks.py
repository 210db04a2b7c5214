"""The checks that stand between an intent and the market, in the order in which they are made.

Entries face all of them. Exits face none here: an exit is computed from what is held, so it cannot be too large, and
nothing may keep a trader in. Each check returns None or the denial that names the limit in force and the value that met
it. The first denial wins.
"""

from collections.abc import Callable
from dataclasses import dataclass

from domain.account.commands import ChangeTrade, OpenTrade
from domain.account.events import AccountEvent, TradeChanged
from domain.account.holding import open_result_paise
from domain.account.state import Account, Trade
from domain.instrument import Instrument
from domain.market import Mark, MarketSnapshot
from domain.money import format_e4, format_paise, value_paise
from domain.order import OrderType, Product, Purpose, Side
from domain.risk import BreachKind, Denial, DenialCode, RiskParameters

BASIS_POINTS = 10_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Intent:
    """What the checks look at: the command, the account, and what was derived from them once."""

    command: OpenTrade
    account: Account
    instrument: Instrument
    mark: Mark | None

    @property
    def limits(self) -> RiskParameters:
        """The limits in force."""
        return self.account.parameters

    @property
    def reference_price_e4(self) -> int:
        """The price at which the order is valued: its limit, else the last price, else (no mark) zero."""
        if self.command.limit_price_e4 is not None:
            return self.command.limit_price_e4
        return self.mark.last_price_e4 if self.mark else 0

    @property
    def value_paise(self) -> int:
        """What the order is worth."""
        return value_paise(
            price_e4=self.reference_price_e4, quantity=self.command.quantity, multiplier=self.instrument.multiplier
        )


def day_result_paise(account: Account, market: MarketSnapshot) -> int:
    """Return what the account made today, in paise: realised, and the open result at the marks of *market*.

    A trade without a mark counts with what it realised only.
    """
    return account.realised_today_paise + sum(
        open_result_paise(trade.holding, mark_value_paise=marked)
        for trade in account.open_trades()
        if (marked := _marked_value_paise(trade, market)) is not None
    )


def _marked_value_paise(trade: Trade, market: MarketSnapshot) -> int | None:
    mark = market.mark_of(trade.entry.instrument)
    if mark is None:
        return None
    held = abs(trade.holding.net_quantity)
    return value_paise(price_e4=mark.last_price_e4, quantity=held, multiplier=trade.multiplier)


def gross_exposure_paise(account: Account, market: MarketSnapshot) -> int:
    """Return what the account holds plus what its live entries may still add, without regard to direction, in paise."""
    total = 0
    for trade in account.open_trades():
        marked = _marked_value_paise(trade, market)
        total += abs(trade.holding.cost_paise) if marked is None else marked
        mark = market.mark_of(trade.entry.instrument)
        price_e4 = trade.entry.limit_price_e4 or (mark.last_price_e4 if mark else 0)
        leaves = sum(o.leaves_quantity for o in account.orders_of(trade.trade_id) if o.purpose is Purpose.ENTRY)
        total += value_paise(price_e4=price_e4, quantity=leaves, multiplier=trade.multiplier)
    return total


def _kill_switch(intent: Intent) -> Denial | None:
    if not intent.account.kill_switch_engaged:
        return None
    return Denial(code=DenialCode.KILL_SWITCH_ENGAGED, limit="released", value="engaged")


def _tradable(intent: Intent) -> Denial | None:
    if intent.instrument.tradable:
        return None
    return Denial(code=DenialCode.INSTRUMENT_NOT_TRADABLE, limit="tradable", value=intent.instrument.symbol)


def _mark_present(intent: Intent) -> Denial | None:
    needed = sorted(intent.account.open_instruments() | {intent.instrument.key})
    missing = next((key for key in needed if intent.command.market.mark_of(key) is None), None)
    if missing is None:
        return None  # Without the mark of what is open, neither exposure nor the day's loss can be told.
    return Denial(code=DenialCode.MARK_MISSING, limit=f"a last price of {missing}", value="none seen")


def _mark_fresh(intent: Intent) -> Denial | None:
    limit = intent.limits.mark_age_ms_max
    needed = intent.account.open_instruments() | {intent.instrument.key}
    used = [mark.exchange_time_ns for mark in intent.command.market.marks if mark.instrument in needed]
    oldest = min(used, default=intent.command.market.market_time_ns)
    age_ms = (intent.command.market.market_time_ns - oldest) // NS_PER_MS
    if age_ms <= limit:
        return None
    return Denial(code=DenialCode.MARK_STALE, limit=f"{limit} ms", value=f"{age_ms} ms")


def _quantity(intent: Intent) -> Denial | None:
    quantity, limit = intent.command.quantity, intent.limits.order_quantity_max
    if quantity <= limit:
        return None
    return Denial(code=DenialCode.QUANTITY_ABOVE_LIMIT, limit=str(limit), value=str(quantity))


def _freeze_quantity(intent: Intent) -> Denial | None:
    quantity, limit = intent.command.quantity, intent.instrument.freeze_quantity
    if limit is None or quantity <= limit:
        return None
    return Denial(code=DenialCode.FREEZE_QUANTITY_EXCEEDED, limit=str(limit), value=str(quantity))


def _short_sale(intent: Intent) -> Denial | None:
    if intent.command.product is not Product.CNC or intent.command.side is Side.BUY:
        return None
    return Denial(code=DenialCode.SHORT_NOT_ALLOWED, limit="BUY for CNC", value="SELL")


def _collar(intent: Intent) -> Denial | None:
    limit_price, mark = intent.command.limit_price_e4, intent.mark
    if intent.command.order_type is not OrderType.LIMIT or limit_price is None or mark is None:
        return None
    collar_bp = intent.limits.price_collar_bp
    width = mark.last_price_e4 * collar_bp // BASIS_POINTS
    low, high = mark.last_price_e4 - width, mark.last_price_e4 + width
    if low <= limit_price <= high:
        return None
    return Denial(
        code=DenialCode.PRICE_OUTSIDE_COLLAR, limit=f"{format_e4(low)}..{format_e4(high)}", value=format_e4(limit_price)
    )


def _order_value(intent: Intent) -> Denial | None:
    value, limit = intent.value_paise, intent.limits.order_value_paise_max
    if value <= limit:
        return None
    return Denial(code=DenialCode.ORDER_VALUE_ABOVE_LIMIT, limit=format_paise(limit), value=format_paise(value))


def _stop_loss(intent: Intent) -> Denial | None:
    stop = intent.command.stop_loss_e4
    if stop is None:
        if not intent.limits.stop_loss_required:
            return None
        return Denial(code=DenialCode.STOP_LOSS_REQUIRED, limit="a stop loss", value="none")
    price = intent.reference_price_e4
    if (price - stop) * intent.command.side.sign > 0:
        return None
    side = "below" if intent.command.side is Side.BUY else "above"
    return Denial(code=DenialCode.STOP_LOSS_WRONG_SIDE, limit=f"{side} {format_e4(price)}", value=format_e4(stop))


def _target(intent: Intent) -> Denial | None:
    target, price = intent.command.target_e4, intent.reference_price_e4
    if target is None or (target - price) * intent.command.side.sign > 0:
        return None
    side = "above" if intent.command.side is Side.BUY else "below"
    return Denial(code=DenialCode.TARGET_WRONG_SIDE, limit=f"{side} {format_e4(price)}", value=format_e4(target))


def _trades_per_day(intent: Intent) -> Denial | None:
    limit = intent.limits.trades_per_day_max
    if intent.account.trades_today < limit:
        return None
    return Denial(
        code=DenialCode.TRADES_PER_DAY_ABOVE_LIMIT, limit=str(limit), value=str(intent.account.trades_today + 1)
    )


def _open_trades(intent: Intent) -> Denial | None:
    limit, open_count = intent.limits.open_trades_max, sum(1 for _ in intent.account.open_trades())
    if open_count < limit:
        return None
    return Denial(code=DenialCode.OPEN_TRADES_ABOVE_LIMIT, limit=str(limit), value=str(open_count + 1))


def _exposure(intent: Intent) -> Denial | None:
    limit = intent.limits.gross_exposure_paise_max
    exposure = gross_exposure_paise(intent.account, intent.command.market) + intent.value_paise
    if exposure <= limit:
        return None
    return Denial(code=DenialCode.GROSS_EXPOSURE_ABOVE_LIMIT, limit=format_paise(limit), value=format_paise(exposure))


def _day_loss(intent: Intent) -> Denial | None:
    limit = intent.limits.day_loss_paise_max
    result = day_result_paise(intent.account, intent.command.market)
    if result > -limit and BreachKind.DAY_LOSS not in intent.account.breaches:
        return None
    return Denial(
        code=DenialCode.DAY_LOSS_LIMIT_REACHED, limit=format_paise(-limit), value=format_paise(result)
    )  # Latched: once reached, it holds to the end of the day, even if the result recovers.


CHECKS: tuple[Callable[[Intent], Denial | None], ...] = (
    _kill_switch,
    _tradable,
    _mark_present,
    _mark_fresh,
    _quantity,
    _short_sale,
    _collar,
    _order_value,
    _stop_loss,
    _target,
    _trades_per_day,
    _open_trades,
    _exposure,
    _day_loss,
)


def denial_of(command: OpenTrade, account: Account, instrument: Instrument) -> Denial | None:
    """Return the first denial that *command* meets, None where it passes every check."""
    intent = Intent(
        command=command, account=account, instrument=instrument, mark=command.market.mark_of(instrument.key)
    )
    return next((denial for check in CHECKS if (denial := check(intent)) is not None), None)


def denial_of_change(
    command: ChangeTrade,
    changed: TradeChanged,
    modifications: list[AccountEvent],
    trade: Trade,
    account: Account,
    instrument: Instrument,
) -> Denial | None:
    """Return the first denial that a change of *trade* meets, None where it passes every check that concerns it."""
    return None
