"""Market data that are asked for: quotes, candles, option chains.

Candles carry true UTC seconds, unlike the feed, whose stamps are shifted (see `ticks.py`). Numbers may come in
exponent form, seconds included. What the venue does not know it leaves out, without an error.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from adapters.dhan.guard.budgets import RateClass
from adapters.dhan.guard.calls import Caller
from adapters.dhan.guard.gateway import Call, CallClass
from adapters.dhan.words.codec import (
    AnswerMalformed,
    Row,
    RowUnsupported,
    decimal_of,
    optional_text,
    price_e4_of,
    rows_of,
    segment_of,
    segment_word,
    utc_ns_of,
)
from adapters.dhan.words.fields import (
    object_of,
    optional_decimal_in,
    optional_integer_in,
    optional_price_in,
    price_in,
    rows_under,
)
from domain.ids import AccountId
from domain.instrument import InstrumentKey
from domain.market import NS_PER_S

T = TypeVar("T")
INSTRUMENTS_MAX = 1_000
"""So many instruments may be in one question. Source: Dhan, market quote."""
MINUTES = (1, 5, 15, 25, 60)
"""The lengths of intraday candles that there are."""
_TIMES_SET_FROM_NS = 946_684_800 * NS_PER_S
"""The year 2000: the venue shows 1980 where nothing was traded."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A price in the book, how much is there and from how many orders."""

    price_e4: int
    quantity: int
    orders: int


class DayPrices(msgspec.Struct, frozen=True, kw_only=True):
    """The last price and the day's, in 1/10,000 rupee; `previous_close_e4` is that of the session before."""

    last_price_e4: int | None
    open_e4: int | None
    high_e4: int | None
    low_e4: int | None
    previous_close_e4: int | None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """All that the venue tells of an instrument. `last_trade_ns`: UTC, None where nothing was traded."""

    day: DayPrices
    last_quantity: int
    last_trade_ns: int | None
    average_e4: int | None
    volume: int
    total_bid: int
    total_ask: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    lower_circuit_e4: int | None
    upper_circuit_e4: int | None
    open_interest: int
    open_interest_high: int
    open_interest_low: int


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a span of time. `opened_at_ns` is UTC: a day's candle opens at midnight in India."""

    opened_at_ns: int
    open_e4: int
    high_e4: int
    low_e4: int
    close_e4: int
    volume: int
    open_interest: int | None = None


class OptionQuote(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a chain. Volatility and greeks are the venue's own reckoning, as exact as they came."""

    security_id: str | None
    last_price_e4: int | None
    average_e4: int | None
    previous_close_e4: int | None
    volume: int
    previous_volume: int
    open_interest: int
    previous_open_interest: int
    bid_price_e4: int | None
    bid_quantity: int
    ask_price_e4: int | None
    ask_quantity: int
    implied_volatility: Decimal | None
    delta: Decimal | None
    theta: Decimal | None
    gamma: Decimal | None
    vega: Decimal | None


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """What there is at one strike price; a side that is not listed is None."""

    strike_e4: int
    call: OptionQuote | None
    put: OptionQuote | None


class OptionChain(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one underlying and expiry, by rising strike."""

    last_price_e4: int | None
    strikes: tuple[Strike, ...]


class MarketDataCalls:
    """Questions about the market. Any account may ask whose token has the venue's data plan."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    # --- Quotes ---

    async def last_prices(self, account_id: AccountId, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, int]:
        """Return last prices (1/10,000 rupee); what the venue does not know, or has no price for, is left out.

        Raises:
            BrokerUnavailable
            ValueError: more than 1,000 instruments.
        """
        rows = await self._quoted(account_id, "/marketfeed/ltp", keys, _last_prices_of)
        return {key: price for key, price in rows.items() if price is not None}

    async def day_prices(self, account_id: AccountId, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, DayPrices]:
        """Return the day's prices; what the venue does not know is left out.

        Raises:
            BrokerUnavailable
            ValueError: more than 1,000 instruments.
        """
        return await self._quoted(account_id, "/marketfeed/ohlc", keys, _all_day_prices_of)

    async def quotes(self, account_id: AccountId, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Return all that the venue tells, five levels of the book included; what it does not know is left out.

        Raises:
            BrokerUnavailable
            ValueError: more than 1,000 instruments.
        """
        return await self._quoted(account_id, "/marketfeed/quote", keys, quotes_of)

    async def _quoted(
        self,
        account_id: AccountId,
        path: str,
        keys: Sequence[InstrumentKey],
        read: Callable[[Any], dict[InstrumentKey, T]],
    ) -> dict[InstrumentKey, T]:
        if len(keys) > INSTRUMENTS_MAX:
            raise ValueError(f"received {len(keys)} instruments, expected {INSTRUMENTS_MAX} at most")
        asked: defaultdict[str, list[int]] = defaultdict(list)
        for key in keys:
            asked[segment_word(key.segment)].append(int(key.security_id))
        call = Call(
            call_class=CallClass.DATA,
            rate=RateClass.QUOTES,
            method="POST",
            path=path,
            read=read,
            document=lambda _client_id: asked,
        )
        return await self._caller.ask(account_id, call)

    # --- Candles ---

    async def daily_candles(
        self,
        account_id: AccountId,
        key: InstrumentKey,
        kind: str,
        first_day: date,
        before_day: date,
        *,
        open_interest: bool = False,
    ) -> Sequence[Candle]:
        """Return a candle a day, oldest first, *before_day* excluded. *kind* is the venue's word (EQUITY, FUTIDX …).

        Raises:
            BrokerUnavailable
        """
        more = {"expiryCode": 0, "fromDate": first_day.isoformat(), "toDate": before_day.isoformat()}
        return await self._candles(account_id, "/charts/historical", key, kind, more, open_interest=open_interest)

    async def intraday_candles(
        self,
        account_id: AccountId,
        key: InstrumentKey,
        kind: str,
        begin: datetime,
        end: datetime,
        *,
        minutes: int = 1,
        open_interest: bool = False,
    ) -> Sequence[Candle]:
        """Return candles of so many minutes, oldest first. The times are Indian, ninety days apart at most.

        Raises:
            BrokerUnavailable
            ValueError: there are no candles of so many minutes.
        """
        if minutes not in MINUTES:
            raise ValueError(f"received candles of {minutes} minutes, expected one of {', '.join(map(str, MINUTES))}")
        shown = "%Y-%m-%d %H:%M:%S"
        more = {"interval": str(minutes), "fromDate": begin.strftime(shown), "toDate": end.strftime(shown)}
        return await self._candles(account_id, "/charts/intraday", key, kind, more, open_interest=open_interest)

    async def _candles(
        self,
        account_id: AccountId,
        path: str,
        key: InstrumentKey,
        kind: str,
        more: Mapping[str, Any],
        *,
        open_interest: bool,
    ) -> Sequence[Candle]:
        document = {
            "securityId": key.security_id,
            "exchangeSegment": segment_word(key.segment),
            "instrument": kind,
            "oi": open_interest,
            **more,
        }
        call = Call(
            call_class=CallClass.DATA, method="POST", path=path, read=candles_of, document=lambda _client_id: document
        )
        return await self._caller.ask(account_id, call)

    # --- Options ---

    async def expiries(self, account_id: AccountId, underlying: InstrumentKey) -> Sequence[date]:
        """Return the days on which options on *underlying* expire, soonest first.

        Raises:
            BrokerUnavailable
        """
        document = _underlying(underlying)
        call = Call(
            call_class=CallClass.DATA,
            rate=RateClass.OPTION_CHAIN,
            rate_key=f"{underlying} expiries",
            method="POST",
            path="/optionchain/expirylist",
            read=_expiries_of,
            document=lambda _client_id: document,
        )
        return await self._caller.ask(account_id, call)

    async def option_chain(self, account_id: AccountId, underlying: InstrumentKey, expiry: date) -> OptionChain:
        """Return the options on *underlying* that expire on a day. The venue answers once in three seconds for each.

        Raises:
            BrokerUnavailable
        """
        document = {**_underlying(underlying), "Expiry": expiry.isoformat()}
        call = Call(
            call_class=CallClass.DATA,
            rate=RateClass.OPTION_CHAIN,
            rate_key=f"{underlying} {expiry.isoformat()}",
            method="POST",
            path="/optionchain",
            read=chain_of,
            document=lambda _client_id: document,
        )
        return await self._caller.ask(account_id, call)


def _underlying(key: InstrumentKey) -> dict[str, Any]:
    return {"UnderlyingScrip": int(key.security_id), "UnderlyingSeg": segment_word(key.segment)}


def quotes_of(document: Any) -> dict[InstrumentKey, Quote]:
    """Return the quotes that an answer tells.

    Raises:
        AnswerMalformed: a field is not what it should be.
    """
    return _by_instrument(document, _quote_of)


def _all_day_prices_of(document: Any) -> dict[InstrumentKey, DayPrices]:
    return _by_instrument(document, _day_prices_of)


def _last_prices_of(document: Any) -> dict[InstrumentKey, int | None]:
    return _by_instrument(document, _last_price_of)


def _by_instrument(document: Any, read: Callable[[Row], T]) -> dict[InstrumentKey, T]:
    found: dict[InstrumentKey, T] = {}
    for word, rows in object_of(rows_under(document, "data")).items():
        try:
            segment = segment_of(word)
        except RowUnsupported:
            continue  # We did not ask for it.
        found |= {InstrumentKey(segment, security_id): read(object_of(row)) for security_id, row in rows.items()}
    return found


def _last_price_of(row: Row) -> int | None:
    return optional_price_in(row, "last_price")


def _day_prices_of(row: Row) -> DayPrices:
    day = object_of(row.get("ohlc") or {})
    return DayPrices(
        last_price_e4=_last_price_of(row),
        open_e4=optional_price_in(day, "open"),
        high_e4=optional_price_in(day, "high"),
        low_e4=optional_price_in(day, "low"),
        previous_close_e4=optional_price_in(day, "close"),
    )


def _quote_of(row: Row) -> Quote:
    depth = object_of(row.get("depth") or {})
    return Quote(
        day=_day_prices_of(row),
        last_quantity=_count_in(row, "last_quantity"),
        last_trade_ns=_trade_time_in(row),
        average_e4=optional_price_in(row, "average_price"),
        volume=_count_in(row, "volume"),
        total_bid=_count_in(row, "buy_quantity"),
        total_ask=_count_in(row, "sell_quantity"),
        bids=_levels_of(depth.get("buy")),
        asks=_levels_of(depth.get("sell")),
        lower_circuit_e4=optional_price_in(row, "lower_circuit_limit"),
        upper_circuit_e4=optional_price_in(row, "upper_circuit_limit"),
        open_interest=_count_in(row, "oi"),
        open_interest_high=_count_in(row, "oi_day_high"),
        open_interest_low=_count_in(row, "oi_day_low"),
    )


def _count_in(row: Row, name: str) -> int:
    return optional_integer_in(row, name) or 0


def _trade_time_in(row: Row) -> int | None:
    text = optional_text(row, "last_trade_time")
    time_ns = None if text is None else utc_ns_of(text)
    return None if time_ns is None or time_ns < _TIMES_SET_FROM_NS else time_ns


def _levels_of(rows: Any) -> tuple[Level, ...]:
    # A side with fewer than five prices is filled up with rows of zeros.
    return tuple(
        Level(price_e4=price_in(row, "price"), quantity=_count_in(row, "quantity"), orders=_count_in(row, "orders"))
        for row in rows_of(rows)
        if _count_in(row, "quantity")
    )


def candles_of(document: Any) -> list[Candle]:
    """Return the candles of an answer: one list a field, all of one length, none where nothing was traded.

    Raises:
        AnswerMalformed: the lists differ in length, or hold something else than numbers.
    """
    columns = object_of(document)
    names = ("timestamp", "open", "high", "low", "close", "volume")
    lists = [columns.get(name) or [] for name in names]
    interest: Sequence[Any] = columns.get("open_interest") or [None] * len(lists[0])
    if len({len(each) for each in (*lists, interest)}) > 1:
        raise AnswerMalformed(f"received candles of {', '.join(str(len(each)) for each in lists)} values, expected one")
    return [
        Candle(
            opened_at_ns=int(decimal_of(time)) * NS_PER_S,
            open_e4=price_e4_of(open_),
            high_e4=price_e4_of(high),
            low_e4=price_e4_of(low),
            close_e4=price_e4_of(close),
            volume=int(decimal_of(volume)),
            open_interest=None if held is None else int(decimal_of(held)),
        )
        for time, open_, high, low, close, volume, held in zip(*lists, interest, strict=True)
    ]


def _expiries_of(document: Any) -> list[date]:
    days = rows_under(document, "data")
    try:
        return sorted(date.fromisoformat(day) for day in days)
    except (TypeError, ValueError):
        raise AnswerMalformed("received expiries that are no days, expected a list such as 2026-01-31") from None


def chain_of(document: Any) -> OptionChain:
    """Return the chain that an answer tells, by rising strike.

    Raises:
        AnswerMalformed: a field that we need is missing or is not what it should be.
    """
    data = object_of(rows_under(document, "data"))
    strikes = (
        Strike(strike_e4=price_e4_of(strike), call=_option_of(sides.get("ce")), put=_option_of(sides.get("pe")))
        for strike, sides in object_of(data.get("oc") or {}).items()
    )
    return OptionChain(
        last_price_e4=optional_price_in(data, "last_price"),
        strikes=tuple(sorted(strikes, key=lambda strike: strike.strike_e4)),
    )


def _option_of(row: Any) -> OptionQuote | None:
    if not row:
        return None
    greeks = object_of(row.get("greeks") or {})
    return OptionQuote(
        security_id=optional_text(row, "security_id"),
        last_price_e4=optional_price_in(row, "last_price"),
        average_e4=optional_price_in(row, "average_price"),
        previous_close_e4=optional_price_in(row, "previous_close_price"),
        volume=_count_in(row, "volume"),
        previous_volume=_count_in(row, "previous_volume"),
        open_interest=_count_in(row, "oi"),
        previous_open_interest=_count_in(row, "previous_oi"),
        bid_price_e4=optional_price_in(row, "top_bid_price"),
        bid_quantity=_count_in(row, "top_bid_quantity"),
        ask_price_e4=optional_price_in(row, "top_ask_price"),
        ask_quantity=_count_in(row, "top_ask_quantity"),
        implied_volatility=optional_decimal_in(row, "implied_volatility"),
        delta=optional_decimal_in(greeks, "delta"),
        theta=optional_decimal_in(greeks, "theta"),
        gamma=optional_decimal_in(greeks, "gamma"),
        vega=optional_decimal_in(greeks, "vega"),
    )
