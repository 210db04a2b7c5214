"""What an option is worth by the model of Black and Scholes, and its greeks. Pure.

Source: Black and Scholes, The Pricing of Options and Corporate Liabilities, 1973; greeks in the units that the broker
answers: theta a calendar day, vega a percent of volatility.
"""

from math import erf, exp, log, pi, sqrt
from typing import NamedTuple

RATE = 0.065
"""What money earns a year without a risk: about that of a treasury bill of the Reserve Bank."""
_DAYS_A_YEAR = 365
_YEARS_MIN = 1 / (_DAYS_A_YEAR * 24 * 60)
"""A minute: at its very end the model divides by nothing."""
_LEVEL, _SMILE, _SKEW = 0.14, 1.8, 0.35
_VOLATILITY_MIN, _VOLATILITY_MAX = 0.05, 3.0
_BISECTIONS = 50


class Valued(NamedTuple):
    """The value in the unit of the spot price, and how it changes."""

    price: float
    delta: float
    theta: float
    gamma: float
    vega: float


def value_of(*, spot: float, strike: float, years: float, volatility: float, is_call: bool) -> Valued:
    """Return what a European option on *spot* is worth *years* before it expires; *volatility* 0.2 is 20 % a year."""
    years = max(years, _YEARS_MIN)
    deviation = volatility * sqrt(years)
    d1 = (log(spot / strike) + (RATE + volatility**2 / 2) * years) / deviation
    d2 = d1 - deviation
    density, discounted = exp(-(d1**2) / 2) / sqrt(2 * pi), strike * exp(-RATE * years)
    sign = 1 if is_call else -1
    decay = spot * density * volatility / (2 * sqrt(years))
    return Valued(
        price=max(sign * (spot * _normal(sign * d1) - discounted * _normal(sign * d2)), 0.0),
        delta=sign * _normal(sign * d1),
        theta=-(decay + sign * RATE * discounted * _normal(sign * d2)) / _DAYS_A_YEAR,
        gamma=density / (spot * deviation),
        vega=spot * density * sqrt(years) / 100,
    )


def assumed_volatility(*, spot: float, strike: float) -> float:
    """Return the volatility of a strike that nothing has traded at: a smile that leans to lower strikes."""
    away = log(strike / spot)
    return min(max(_LEVEL + _SMILE * away**2 - _SKEW * away, _VOLATILITY_MIN), _VOLATILITY_MAX)


def implied_volatility(price: float, *, spot: float, strike: float, years: float, is_call: bool) -> float:
    """Return the volatility at which the model gives *price*, the nearest bound where none does."""
    low, high = _VOLATILITY_MIN / 10, _VOLATILITY_MAX
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        worth = value_of(spot=spot, strike=strike, years=years, volatility=middle, is_call=is_call).price
        low, high = (middle, high) if worth < price else (low, middle)
    return (low + high) / 2


def _normal(value: float) -> float:
    """Return the cumulative normal distribution."""
    return (1 + erf(value / sqrt(2))) / 2
