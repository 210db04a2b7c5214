"""Market data as the broker answers it: its field names, rupees as floats, candles as parallel arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.simulator.market.candles import Candle
from adapters.simulator.market.option_chain import OptionLine
from adapters.simulator.market.quotes import Quote
from adapters.simulator.words.rows import ist, rupees
from domain.instrument import OptionType
from domain.market import NS_PER_S
from domain.matching import Level

_GREEK_PLACES = 5
_SIDES = {OptionType.CALL: "ce", OptionType.PUT: "pe"}
ROLLING_FIELDS = ("iv", "oi", "strike", "spot", "open", "high", "low", "close", "volume")


def ltp_row(quote: Quote) -> dict[str, Any]:
    """Return the last price."""
    return {"last_price": rupees(quote.last_e4)}


def ohlc_row(quote: Quote) -> dict[str, Any]:
    """Return the last price and the day's prices; the close is that of the day before."""
    return {
        **ltp_row(quote),
        "ohlc": {
            "open": rupees(quote.open_e4),
            "close": rupees(quote.previous_close_e4),
            "high": rupees(quote.high_e4),
            "low": rupees(quote.low_e4),
        },
    }


def quote_row(quote: Quote) -> dict[str, Any]:
    """Return all that is known; circuit limits of 0 where the master tells none of the day."""
    last_time = "" if quote.last_time_ns is None else f"{ist(quote.last_time_ns):%d/%m/%Y %H:%M:%S}"
    change_e4 = quote.last_e4 - quote.previous_close_e4 if quote.last_e4 and quote.previous_close_e4 else 0
    return {
        "average_price": rupees(quote.average_e4),
        "buy_quantity": quote.depth.bid_quantity,
        "depth": {"buy": _levels(quote.depth.bids), "sell": _levels(quote.depth.asks)},
        **ohlc_row(quote),
        "last_quantity": quote.last_quantity,
        "last_trade_time": last_time,
        "lower_circuit_limit": rupees(quote.instrument.lower_circuit_e4 or 0),
        "net_change": rupees(change_e4),
        "oi": quote.open_interest.now,
        "oi_day_high": quote.open_interest.high,
        "oi_day_low": quote.open_interest.low,
        "sell_quantity": quote.depth.ask_quantity,
        "upper_circuit_limit": rupees(quote.instrument.upper_circuit_e4 or 0),
        "volume": quote.volume,
    }


def candle_rows(candles: Sequence[Candle], *, open_interest: int | None) -> dict[str, Any]:
    """Return candles as arrays, their beginnings as UTC seconds; *open_interest* goes with each where it is asked."""
    columns: dict[str, Any] = {
        "open": [rupees(candle.open_e4) for candle in candles],
        "high": [rupees(candle.high_e4) for candle in candles],
        "low": [rupees(candle.low_e4) for candle in candles],
        "close": [rupees(candle.close_e4) for candle in candles],
        "volume": [float(candle.volume) for candle in candles],
        "timestamp": [float(candle.begins_ns // NS_PER_S) for candle in candles],
    }
    if open_interest is not None:
        columns["open_interest"] = [float(open_interest)] * len(candles)
    return columns


def rolling_row(side: OptionType, fields: Sequence[str]) -> dict[str, Any]:
    """Return the history of an expired option: there is none, but its shape is."""
    wanted: dict[str, list[float]] = {
        name: [] for name in (*(each for each in ROLLING_FIELDS if each in fields), "timestamp")
    }
    return {"data": {word: wanted if each is side else None for each, word in _SIDES.items()}}


def chain_row(spot_e4: int, chain: Mapping[int, Mapping[OptionType, OptionLine]]) -> dict[str, Any]:
    """Return an option chain by strike."""
    return {
        "last_price": rupees(spot_e4),
        "oc": {
            f"{rupees(strike_e4):.6f}": {
                word: _option_row(lines[side]) for side, word in _SIDES.items() if side in lines
            }
            for strike_e4, lines in sorted(chain.items())
        },
    }


def id_number(security_id: str) -> int | str:
    """Return a security id as the number that it nearly always is."""
    return int(security_id) if security_id.isdecimal() else security_id


def _option_row(line: OptionLine) -> dict[str, Any]:
    quote, greeks = line.quote, line.valued
    return {
        "average_price": rupees(quote.average_e4),
        "greeks": {
            "delta": round(greeks.delta, _GREEK_PLACES),
            "theta": round(greeks.theta, _GREEK_PLACES),
            "gamma": round(greeks.gamma, _GREEK_PLACES),
            "vega": round(greeks.vega, _GREEK_PLACES),
        },
        "implied_volatility": line.volatility * 100,
        "last_price": rupees(line.last_e4),
        "oi": quote.open_interest.now,
        "previous_close_price": rupees(quote.previous_close_e4),
        "previous_oi": quote.open_interest.previous,
        "previous_volume": 0,
        "security_id": id_number(quote.instrument.key.security_id),
        "top_ask_price": rupees(line.best_ask[0]),
        "top_ask_quantity": line.best_ask[1],
        "top_bid_price": rupees(line.best_bid[0]),
        "top_bid_quantity": line.best_bid[1],
        "volume": quote.volume,
    }


def _levels(levels: Sequence[Level]) -> list[dict[str, Any]]:
    return [{"quantity": each.quantity, "orders": each.orders, "price": rupees(each.price_e4)} for each in levels]
