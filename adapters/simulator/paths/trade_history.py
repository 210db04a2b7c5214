"""Trades of any days with what each was charged, as the broker's statement has them: some fields are not told there.

The rates are those that everybody publishes; the reckoning is the venue's own. Each trade is charged by itself, in four
decimal places, and stamp duty in two, as rows of live accounts show; the investor protection fund's part is in the
exchange's charge, the tax on commodities in the one on securities. A brokerage that is so much an order at most, or so
much an order, is charged to its trades as they come. Whole rupees a day, which the broker's contract notes have, are
not seen in its statement.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from adapters.simulator.books.kept_trades import TradeKept
from adapters.simulator.sockets.update_frames import instrument_word
from adapters.simulator.words.rows import ist_text, rupees, segment_word
from adapters.tariffs import TariffTable
from domain.charges import PAISE_PER_RUPEE, RATE_E9, Charge, Tariff, TariffLine
from domain.market import trading_day
from domain.money import E4_PER_RUPEE
from domain.order import OrderType, Product

ROWS_A_PAGE = 20
"""The broker does not say; who reads stops at an empty page."""
_NOT_TOLD = "NA"
_FOUR_PLACES, _TWO_PLACES = Decimal("0.0001"), Decimal("0.01")
_NOTHING = Decimal()

Charged = dict[Charge, Decimal]
"""What a trade was charged, in rupees."""


class TradeHistory:
    """Every client's trades with their charges, reckoned by the tariffs of their days when they are asked for."""

    def __init__(self) -> None:
        self._tariffs: TariffTable | None = None

    def page(self, trades: Iterable[TradeKept], *, first: date, last: date, page: int) -> list[dict[str, Any]]:
        """Return a page (from 0) of a client's *trades* from the day *first* to the day *last*, oldest first.

        All of an order's trades have to be among them: a brokerage is charged once an order.
        """
        within = [
            (trade, charges) for trade, charges in self._charged(trades) if first <= trading_day(trade.time_ns) <= last
        ]
        begin = page * ROWS_A_PAGE
        return [_row(trade, charges) for trade, charges in within[begin : begin + ROWS_A_PAGE]]

    def _charged(self, trades: Iterable[TradeKept]) -> Iterator[tuple[TradeKept, Charged]]:
        if self._tariffs is None:
            self._tariffs = TariffTable.load()  # Few ask for a statement, and the table takes a while.
        traded: dict[str, Decimal] = {}
        for trade in trades:
            day = trading_day(trade.time_ns).isoformat()
            tariff = self._tariffs.tariff_of(trade.instrument, Product(trade.product), trade.side, day=day)
            before = traded.get(trade.order_id, _NOTHING)
            worth = Decimal(trade.price_e4 * trade.quantity * trade.instrument.multiplier) / E4_PER_RUPEE
            traded[trade.order_id] = before + worth
            yield trade, _charges_of(tariff, worth, before)


def _charges_of(tariff: Tariff, worth: Decimal, before: Decimal) -> Charged:
    """Return what a trade is charged whose order had executed for *before* rupees."""
    charged: Charged = {}
    for line in tariff.lines:
        if line.charge is Charge.BROKERAGE:
            charged[line.charge] = _brokerage(line, before + worth) - _brokerage(line, before)
        elif line.charge not in {Charge.GST, Charge.DP}:
            charged[line.charge] = _rounded(_part_of(worth, line), line.charge)
    gst = tariff.line_of(Charge.GST)
    if gst is not None:
        taxed = sum((charged.get(line.charge, _NOTHING) for line in tariff.lines if line.bears_gst), _NOTHING)
        charged[Charge.GST] = _rounded(_part_of(taxed, gst), Charge.GST)
    return charged


def _brokerage(line: TariffLine, worth: Decimal) -> Decimal:
    """Return what an order that executed for so much pays."""
    flat = None if line.flat_paise is None else Decimal(line.flat_paise) / PAISE_PER_RUPEE
    if not worth:
        return _NOTHING
    if line.rate_e9 is None:
        return flat or _NOTHING
    share = _rounded(_part_of(worth, line), line.charge)
    return share if flat is None else min(share, flat)


def _part_of(amount: Decimal, line: TariffLine) -> Decimal:
    return amount * (line.rate_e9 or 0) / RATE_E9


def _rounded(amount: Decimal, charge: Charge) -> Decimal:
    places = _TWO_PLACES if charge is Charge.STAMP_DUTY else _FOUR_PLACES
    return amount.quantize(places, ROUND_HALF_UP)


def _row(trade: TradeKept, charges: Charged) -> dict[str, Any]:
    instrument = trade.instrument
    return {
        "dhanClientId": trade.client_id,
        "orderId": trade.order_id,
        "exchangeOrderId": trade.exchange_order_id,
        "exchangeTradeId": trade.trade_id,
        "transactionType": trade.side.value,
        "exchangeSegment": segment_word(instrument.key.segment),
        "productType": trade.product,
        "orderType": OrderType.LIMIT.value,
        "tradingSymbol": None,
        "customSymbol": instrument.name,
        "securityId": instrument.key.security_id,
        "tradedQuantity": trade.quantity,
        "tradedPrice": rupees(trade.price_e4),
        "isin": instrument.isin or _NOT_TOLD,
        "instrument": instrument_word(instrument),
        "sebiTax": _sum(charges, Charge.SEBI),
        "stt": _sum(charges, Charge.STT, Charge.CTT),
        "brokerageCharges": _sum(charges, Charge.BROKERAGE),
        "serviceTax": _sum(charges, Charge.GST),
        "exchangeTransactionCharges": _sum(charges, Charge.EXCHANGE, Charge.IPFT),
        "stampDuty": _sum(charges, Charge.STAMP_DUTY),
        "createTime": _NOT_TOLD,
        "updateTime": _NOT_TOLD,
        "exchangeTime": ist_text(trade.time_ns),
        "drvExpiryDate": instrument.expires_on or _NOT_TOLD,
        "drvOptionType": _NOT_TOLD if instrument.option_type is None else instrument.option_type.name,
        "drvStrikePrice": rupees(instrument.strike_e4 or 0),
    }


def _sum(charges: Charged, *wanted: Charge) -> float:
    return float(sum((charges.get(charge, _NOTHING) for charge in wanted), _NOTHING))
