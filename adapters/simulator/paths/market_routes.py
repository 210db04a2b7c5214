"""The broker's paths of market data: quotes, charts, option chains, the instrument master."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.simulator.access.limits import Family
from adapters.simulator.desk import Desk
from adapters.simulator.market.option_chain import OptionBoard
from adapters.simulator.market.quotes import Quote
from adapters.simulator.paths.asking import Asked, asking
from adapters.simulator.paths.charts import (
    INTERVALS,
    ChartRequest,
    daily_candles,
    intraday_candles,
    read_daily,
    read_intraday,
)
from adapters.simulator.paths.market_rows import (
    ROLLING_FIELDS,
    candle_rows,
    chain_row,
    ltp_row,
    ohlc_row,
    quote_row,
    rolling_row,
)
from adapters.simulator.paths.scrip_list import compact_list, detailed_list
from adapters.simulator.words.answers import answer, json_of
from adapters.simulator.words.refusals import bad_input, data_refusal, trading_refusal
from adapters.simulator.words.rows import segment_of
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown, OptionType, Segment
from domain.market import trading_day
from projections.ports import BarsUnreadable

_INSTRUMENTS_A_QUOTE_MAX = 1_000
_CLIENT_ID = "dhanClientId"
_ROLLING_SIDES = {"CALL": OptionType.CALL, "PUT": OptionType.PUT}
_CSV = "text/csv"

QuoteRow = Callable[[Quote], dict[str, Any]]


def market_routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes of all that is told of the market."""
    quotes, charts, options, lists = _Quotes(desk), _Charts(desk), _Options(desk), _Lists(desk)
    posts: dict[str, tuple[Family, Asked]] = {
        "/v2/marketfeed/ltp": (Family.QUOTES, quotes.telling(ltp_row)),
        "/v2/marketfeed/ohlc": (Family.QUOTES, quotes.telling(ohlc_row)),
        "/v2/marketfeed/quote": (Family.QUOTES, quotes.telling(quote_row)),
        "/v2/charts/historical": (Family.CHARTS, charts.daily),
        "/v2/charts/intraday": (Family.CHARTS, charts.intraday),
        "/v2/charts/rollingoption": (Family.CHARTS, charts.rolling),
        "/v2/optionchain": (Family.OPTION_CHAIN, options.chain),
        "/v2/optionchain/expirylist": (Family.OPTION_CHAIN, options.expiries),
    }
    return [
        *(Route(path, asking(desk, family, asked), methods=["POST"]) for path, (family, asked) in posts.items()),
        Route("/v2/instrument/{segment}", asking(desk, Family.READS, lists.of_segment), methods=["GET"]),
        # The broker's downloads lie at another host of its own, open to everybody.
        Route("/api-data/api-scrip-master.csv", lists.compact, methods=["GET"]),
        Route("/api-data/api-scrip-master-detailed.csv", lists.detailed, methods=["GET"]),
    ]


class _Quotes:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def telling(self, row: QuoteRow) -> Asked:
        """Return what answers a *row* for each instrument asked for."""

        async def asked_for(request: Request, _: str) -> Response:
            body = await json_of(request)
            if not isinstance(body, dict):
                raise data_refusal(400, 814, "Invalid Request")
            asked = {word: ids for word, ids in body.items() if _is_asked_for(word, ids)}
            if sum(len(ids) for ids in asked.values() if isinstance(ids, list)) > _INSTRUMENTS_A_QUOTE_MAX:
                raise data_refusal(400, 804, "Requested number of instruments exceeds limit")
            return answer({"data": {word: self._rows(word, ids, row) for word, ids in asked.items()}, **_SUCCESS})

        return asked_for

    def _rows(self, word: str, ids: Any, row: QuoteRow) -> dict[str, Any]:
        segment = segment_of(word)
        if segment is None or not isinstance(ids, list) or not all(str(each).isalnum() for each in ids):
            raise data_refusal(400, 813, "Invalid SecurityId")
        found = (self._quote_of(InstrumentKey(segment, str(security_id))) for security_id in ids)
        return {quote.instrument.key.security_id: row(quote) for quote in found if quote is not None}

    def _quote_of(self, key: InstrumentKey) -> Quote | None:
        return self._desk.quotes.quote_of(key, market_time_ns=self._desk.simulator.market_time_ns)


class _Charts:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def daily(self, request: Request, _: str) -> Response:
        wanted = read_daily(await json_of(request))
        simulator, bars = self._desk.simulator, self._desk.config.bars
        try:
            stored = (
                await bars.daily(wanted.key, first_day=_day(wanted.first), last_day=_day(wanted.end))
                if bars is not None
                else ()
            )
        except BarsUnreadable as error:
            raise trading_refusal(500, "DH-908", "Internal_Server_Error", str(error)) from error
        # The day of the tape is over when the tape is.
        today = trading_day(simulator.market_time_ns)
        before = today + timedelta(days=1) if simulator.done else today
        candles = daily_candles(simulator.record, stored, wanted, before=before)
        return answer(candle_rows(candles, open_interest=self._open_interest(wanted)))

    async def intraday(self, request: Request, _: str) -> Response:
        wanted = read_intraday(await json_of(request))
        candles = intraday_candles(self._desk.simulator.record, wanted)
        return answer(candle_rows(candles, open_interest=self._open_interest(wanted)))

    async def rolling(self, request: Request, _: str) -> Response:
        """Answer the past of expired options: the simulator remembers none."""
        body = await json_of(request)
        if not isinstance(body, dict):
            raise bad_input()
        side, fields = _ROLLING_SIDES.get(str(body.get("drvOptionType"))), body.get("requiredData")
        interval = str(body.get("interval", ""))
        if side is None or not isinstance(fields, list) or any(each not in ROLLING_FIELDS for each in fields):
            raise bad_input()
        if not interval.isdecimal() or int(interval) not in INTERVALS:
            raise bad_input()
        return answer(rolling_row(side, fields))

    def _open_interest(self, wanted: ChartRequest) -> int | None:
        if not wanted.with_open_interest:
            return None
        market_time_ns = self._desk.simulator.market_time_ns
        quote = self._desk.quotes.quote_of(wanted.key, market_time_ns=market_time_ns)
        return quote.open_interest.now if quote is not None else 0


class _Options:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._board = OptionBoard(desk.config.instruments, desk.quotes)

    async def expiries(self, request: Request, _: str) -> Response:
        options = (await self._asked(await json_of(request)))[1]
        days = sorted({each.expires_on for each in options if each.expires_on is not None})
        return answer({"data": days, **_SUCCESS})

    async def chain(self, request: Request, _: str) -> Response:
        body = await json_of(request)
        expiry = str(body.get("Expiry", "")) if isinstance(body, dict) else ""
        underlying, options = await self._asked(body)
        try:
            day = date.fromisoformat(expiry).isoformat()
        except ValueError:
            raise data_refusal(400, 812, "Invalid Date Format") from None
        expiring = [each for each in options if each.expires_on == day]
        if not expiring:
            raise data_refusal(400, 811, "Invalid Expiry Date")
        simulator = self._desk.simulator
        spot_e4 = simulator.last_prices_e4.get(underlying.key) or simulator.record.previous_close_e4(underlying.key)
        lines = self._board.lines(expiring, spot_e4=spot_e4, market_time_ns=simulator.market_time_ns) if spot_e4 else {}
        return answer({"data": chain_row(spot_e4, lines), **_SUCCESS})

    async def _asked(self, body: Any) -> tuple[Instrument, tuple[Instrument, ...]]:
        """Return the underlying that *body* names, and its options."""
        fields = body if isinstance(body, dict) else {}
        word, security_id = str(fields.get("UnderlyingSeg")), str(fields.get("UnderlyingScrip"))
        segment, market_time_ns = segment_of(word), self._desk.simulator.market_time_ns
        if segment is None:
            raise data_refusal(400, 813, "Invalid SecurityId")
        try:
            underlying = self._desk.config.instruments.by_key(
                InstrumentKey(segment, security_id), market_time_ns=market_time_ns
            )
        except InstrumentUnknown:
            raise data_refusal(400, 813, "Invalid SecurityId") from None
        options = await asyncio.to_thread(self._board.options_on, underlying, market_time_ns=market_time_ns)
        return underlying, options


class _Lists:
    """A master may be large: it is written down on a thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def compact(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(lambda: compact_list(self._all())), media_type=_CSV)

    async def detailed(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(lambda: detailed_list(self._all())), media_type=_CSV)

    async def of_segment(self, request: Request, _: str) -> Response:
        segment: Segment | None = segment_of(request.path_params["segment"])
        if segment is None:
            raise bad_input()
        return Response(await asyncio.to_thread(lambda: detailed_list(self._all(), of=segment)), media_type=_CSV)

    def _all(self) -> tuple[Instrument, ...]:
        simulator = self._desk.simulator
        return tuple(self._desk.config.instruments.all(market_time_ns=simulator.market_time_ns))


_SUCCESS = {"status": "success"}


def _is_asked_for(word: str, ids: Any) -> bool:
    """Tell whether a field of a body names instruments.

    Recorded: a body in the words of an older version (`instruments`, `fields`) is answered with nothing, no refusal.
    """
    return segment_of(word) is not None or (isinstance(ids, list) and any(isinstance(each, int) for each in ids))


def _day(moment: date) -> str:
    return f"{moment:%Y-%m-%d}"
