"""What somebody asks of the charts, checked as the broker does, and the candles that answer it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from adapters.simulator.market.candles import Candle, joined, joined_by_day
from adapters.simulator.market.market_record import MarketRecord
from adapters.simulator.words.refusals import bad_input
from adapters.simulator.words.rows import segment_of
from domain.instrument import InstrumentKey
from domain.market import EXCHANGE_ZONE, NS_PER_S, trading_day
from projections.ports import DailyBar

INTERVALS = frozenset({1, 5, 15, 25, 60})
INTRADAY_DAYS_MAX = 90
TOO_LONG = "Data for Intraday Charts can be fetched for 90 days at a time"
_DAY = timedelta(days=1)
_PLAIN_DATE_LENGTH = len("2026-04-15")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRequest:
    """Which candles are wanted: those that begin from `first` to before `end`, of `minutes` each (None: days)."""

    key: InstrumentKey
    first: datetime
    end: datetime
    minutes: int | None
    with_open_interest: bool


def read_daily(body: Any) -> ChartRequest:
    """Return what *body* asks of the daily charts; `toDate` is not part of it.

    Raises:
        Refusal: a field is missing or makes no sense.
    """
    fields = _fields(body)
    first, end = _stretch(fields)
    return _request(fields, first, end, minutes=None)


def read_intraday(body: Any) -> ChartRequest:
    """Return what *body* asks of the minute charts; a `toDate` without a time is part of it, as is its last minute.

    Raises:
        Refusal: a field is missing or makes no sense, or 90 days are not enough.
    """
    fields = _fields(body)
    interval = str(fields.get("interval", ""))
    if not interval.isdecimal() or int(interval) not in INTERVALS:
        raise bad_input()
    first, end = _stretch(fields)
    if end - first > INTRADAY_DAYS_MAX * _DAY:
        raise bad_input(TOO_LONG)
    is_plain = len(fields["toDate"]) == _PLAIN_DATE_LENGTH
    return _request(fields, first, end + (_DAY if is_plain else timedelta(minutes=1)), minutes=int(interval))


def intraday_candles(record: MarketRecord, request: ChartRequest) -> list[Candle]:
    """Return what the tape has printed in the stretch asked for."""
    minutes = record.minutes_between(request.key, _ns(request.first), _ns(request.end))
    return joined(minutes, minutes=request.minutes or 1, segment=request.key.segment)


def daily_candles(
    record: MarketRecord, stored: Sequence[DailyBar], request: ChartRequest, *, before: date
) -> list[Candle]:
    """Return the days asked for that are over by the day *before*: what is stored of them, else what the tape printed.

    Prices are on the scale of the newest stored day, as the broker's are; volumes are as they were traded.
    """
    first, end = request.first.date(), min(request.end.date(), before)
    known = {bar.day: _candle_of(bar) for bar in stored if first.isoformat() <= bar.day < end.isoformat()}
    printed = joined_by_day(record.minutes_between(request.key, _ns(_midnight(first)), _ns(_midnight(end))))
    for candle in printed:
        known.setdefault(trading_day(candle.begins_ns).isoformat(), candle)
    return [known[day] for day in sorted(known)]


def _request(fields: dict[str, Any], first: datetime, end: datetime, *, minutes: int | None) -> ChartRequest:
    segment = segment_of(str(fields.get("exchangeSegment")))
    security_id = str(fields.get("securityId", ""))
    with_open_interest = fields.get("oi", False)
    if segment is None or not security_id or not isinstance(with_open_interest, bool):
        raise bad_input()
    if not isinstance(fields.get("instrument"), str):
        raise bad_input()
    return ChartRequest(
        key=InstrumentKey(segment, security_id),
        first=first,
        end=end,
        minutes=minutes,
        with_open_interest=with_open_interest,
    )


def _fields(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise bad_input()
    return body


def _stretch(fields: dict[str, Any]) -> tuple[datetime, datetime]:
    first, end = _moment(fields, "fromDate"), _moment(fields, "toDate")
    if first > end:
        raise bad_input()
    return first, end


def _moment(fields: dict[str, Any], name: str) -> datetime:
    try:
        return datetime.fromisoformat(fields[name]).replace(tzinfo=EXCHANGE_ZONE)
    except (KeyError, TypeError, ValueError):
        raise bad_input() from None


def _candle_of(bar: DailyBar) -> Candle:
    def scaled(price_e4: int) -> int:
        return price_e4 * bar.adjusted_close_e4 // bar.close_e4

    return Candle(
        _ns(_midnight(date.fromisoformat(bar.day))),
        scaled(bar.open_e4),
        scaled(bar.high_e4),
        scaled(bar.low_e4),
        bar.adjusted_close_e4,
        bar.volume,
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=EXCHANGE_ZONE)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S
