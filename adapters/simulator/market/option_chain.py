"""The option chain of an underlying: its options by expiry and strike, quoted by the tape or else by the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from adapters.simulator.market.depth import depth_around
from adapters.simulator.market.listing import Listing
from adapters.simulator.market.option_model import Valued, assumed_volatility, implied_volatility, value_of
from adapters.simulator.market.quotes import Quote, QuoteBoard
from adapters.simulator.market.seeds import seed_of
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, OptionType
from domain.market import EXCHANGE_ZONE, NS_PER_S, trading_day
from domain.money import E4_PER_RUPEE

_CLOSE = time(15, 30)
_YEAR_NS = 365 * 86_400 * NS_PER_S
_UNDERLYINGS_KEPT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLine:
    """One option of a chain. `last_e4` is the tape's price, or the model's on the option's tick."""

    quote: Quote
    last_e4: int
    volatility: float
    valued: Valued
    best_bid: tuple[int, int]
    best_ask: tuple[int, int]


class OptionBoard:
    """Finds and values options. What one underlying has is kept for the day."""

    def __init__(self, listing: Listing, quotes: QuoteBoard) -> None:
        self._listing = listing
        self._quotes = quotes
        self._kept: dict[tuple[InstrumentKey, date], tuple[Instrument, ...]] = {}

    def options_on(self, underlying: Instrument, *, market_time_ns: int) -> tuple[Instrument, ...]:
        """Return the options on *underlying* that have not expired, by expiry and strike.

        The first time of a day it goes through the whole master: ask for it off the event loop.
        """
        today = trading_day(market_time_ns)
        kept = self._kept.get((underlying.key, today))
        if kept is None:
            if len(self._kept) >= _UNDERLYINGS_KEPT:
                self._kept.clear()
            kept = self._kept[underlying.key, today] = tuple(
                sorted(
                    (
                        each
                        for each in self._listing.all(market_time_ns=market_time_ns)
                        if each.kind is InstrumentKind.OPTION
                        and each.underlying == underlying.symbol
                        and (each.expires_on or "") >= today.isoformat()
                    ),
                    key=lambda each: (each.expires_on or "", each.strike_e4 or 0, each.option_type or ""),
                )
            )
        return kept

    def lines(
        self, options: Sequence[Instrument], *, spot_e4: int, market_time_ns: int
    ) -> dict[int, dict[OptionType, OptionLine]]:
        """Return *options* as lines, by strike (1/10,000 rupee) and type; *spot_e4* is above 0."""
        chain: dict[int, dict[OptionType, OptionLine]] = {}
        for option in options:
            quote = self._quotes.quote_of(option.key, market_time_ns=market_time_ns)
            if quote is not None and option.strike_e4 is not None and option.option_type is not None:
                line = _line_of(quote, spot_e4=spot_e4, market_time_ns=market_time_ns)
                chain.setdefault(option.strike_e4, {})[option.option_type] = line
        return chain


def years_until(expires_on: str, market_time_ns: int) -> float:
    """Return the years from a moment (UTC nanoseconds) to the close of the day *expires_on* (ISO); 0 after it."""
    closes = datetime.combine(date.fromisoformat(expires_on), _CLOSE, EXCHANGE_ZONE)
    return max(int(closes.timestamp()) * NS_PER_S - market_time_ns, 0) / _YEAR_NS


def _line_of(quote: Quote, *, spot_e4: int, market_time_ns: int) -> OptionLine:
    option = quote.instrument
    assert option.strike_e4 is not None
    assert option.expires_on is not None
    spot, strike = spot_e4 / E4_PER_RUPEE, option.strike_e4 / E4_PER_RUPEE
    years = years_until(option.expires_on, market_time_ns)
    is_call = option.option_type is OptionType.CALL
    if quote.last_e4:
        volatility = implied_volatility(
            quote.last_e4 / E4_PER_RUPEE, spot=spot, strike=strike, years=years, is_call=is_call
        )
    else:
        volatility = assumed_volatility(spot=spot, strike=strike)
    valued = value_of(spot=spot, strike=strike, years=years, volatility=volatility, is_call=is_call)
    ticks = max(round(valued.price * E4_PER_RUPEE / option.tick_e4), 1)
    last_e4 = quote.last_e4 or ticks * option.tick_e4
    depth = quote.depth
    if not quote.last_e4:
        seed = seed_of(option.key, market_time_ns, last_e4)
        depth = depth_around(last_e4, tick_e4=option.tick_e4, lot=option.lot, seed=seed)
    bid, ask = depth.bids[0], depth.asks[0]
    return OptionLine(
        quote=quote,
        last_e4=last_e4,
        volatility=volatility,
        valued=valued,
        best_bid=(bid.price_e4, bid.quantity),
        best_ask=(ask.price_e4, ask.quantity),
    )
