"""What an account holds, valued at marks: the day's result, the open result and the exposure.

The day's result of a trade is the cash its fills of the day brought in, plus what it holds now is worth, less what it
carried into the day was worth at the previous official close. That is the same as the result realised today and the
change of the open result since the later of entry and previous close, and it needs no order in which units were sold.
Without a previous close the carried part counts from its cost. What the day's fills were charged is taken off.
"""

from collections.abc import Callable
from datetime import timedelta

from domain.account.evolve import on_day
from domain.account.state import Account, Trade
from domain.instrument import InstrumentKey
from domain.market import NS_PER_S, Mark, Valuation, trading_day
from domain.money import value_paise

_ZONE_NS = int(timedelta(hours=5, minutes=30).total_seconds()) * NS_PER_S
_DAY_NS = 86_400 * NS_PER_S

MarkOf = Callable[[InstrumentKey], Mark | None]


def valuation_of(account: Account, mark_of: MarkOf, *, market_time_ns: int) -> Valuation:
    """Return what *account* is worth at *market_time_ns*, at the marks that *mark_of* returns.

    What has no mark counts at its cost, and of the day with what it realised.
    """
    account = on_day(account, trading_day(market_time_ns).isoformat())
    day = _day_number(market_time_ns)
    result, opened, gross, net = account.realised_today_paise - account.charges_today_paise, 0, 0, 0
    oldest: int | None = None
    missing: set[InstrumentKey] = set()
    for trade in account.trades.values():
        held, carried = trade.holding.net_quantity, trade.carried_quantity
        if not held and not carried:
            continue
        mark = mark_of(trade.entry.instrument)
        cost = trade.holding.cost_paise
        worth = cost if mark is None else _value_paise(trade, held, mark.last_price_e4)
        # From its cost the trade's day is what it realised today and its open result; the previous close moves the
        # start of what was carried.
        result += worth - cost
        close = None if mark is None else _previous_close_e4(mark, day)
        if carried and close is not None:
            result += trade.carried_cost_paise - _value_paise(trade, carried, close)
        if not held:
            continue
        opened += worth - cost
        gross += abs(worth)
        net += worth
        if mark is None:
            missing.add(trade.entry.instrument)
        elif oldest is None or mark.exchange_time_ns < oldest:
            oldest = mark.exchange_time_ns
    return Valuation(
        day_result_paise=result,
        open_result_paise=opened,
        gross_exposure_paise=gross,
        net_exposure_paise=net,
        oldest_mark_ns=oldest,
        missing=tuple(sorted(missing)),
    )


def _value_paise(trade: Trade, quantity: int, price_e4: int) -> int:
    """Return what *quantity* units (signed) of a trade are worth, negative for a short."""
    worth = value_paise(price_e4=price_e4, quantity=abs(quantity), multiplier=trade.multiplier)
    return worth if quantity >= 0 else -worth


def _previous_close_e4(mark: Mark, day: int) -> int | None:
    """Return the official close of the session before *day*.

    A mark of an earlier day tells the close before its own session, which is one too early; its last price is the
    nearest to the close that we have.
    """
    return mark.last_price_e4 if _day_number(mark.exchange_time_ns) < day else mark.previous_close_e4


def _day_number(market_time_ns: int) -> int:
    """Return the exchange's day as a number: `trading_day` without the date, for every trade of a valuation."""
    return (market_time_ns + _ZONE_NS) // _DAY_NS
