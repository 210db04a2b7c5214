"""Trades of any days with what each was charged, as the broker's statement has them: some fields are not told there."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from adapters.simulator.books.kept_trades import TradeKept
from adapters.simulator.sockets.update_frames import instrument_word
from adapters.simulator.words.rows import ist_text, rupees, segment_word
from adapters.tariffs import TariffTable
from domain.charges import NOTHING_ACCRUED, Accrual, Charges, charges_of_fill
from domain.market import trading_day
from domain.money import PAISE_PER_RUPEE, value_paise
from domain.order import OrderType, Product

ROWS_A_PAGE = 20
"""The broker does not say; who reads stops at an empty page."""
_NOT_TOLD = "NA"


class TradeHistory:
    """Every client's trades with their charges, reckoned by the tariffs of their days when they are asked for."""

    def __init__(self) -> None:
        self._tariffs: TariffTable | None = None

    def page(self, trades: Iterable[TradeKept], *, first: date, last: date, page: int) -> list[dict[str, Any]]:
        """Return a page (from 0) of a client's *trades* from the day *first* to the day *last*, oldest first.

        All of an order's trades have to be among them: what an order is charged is charged once.
        """
        within = [
            (trade, charges) for trade, charges in self._charged(trades) if first <= trading_day(trade.time_ns) <= last
        ]
        begin = page * ROWS_A_PAGE
        return [_row(trade, charges) for trade, charges in within[begin : begin + ROWS_A_PAGE]]

    def _charged(self, trades: Iterable[TradeKept]) -> Iterator[tuple[TradeKept, Charges]]:
        if self._tariffs is None:
            self._tariffs = TariffTable.load()  # Few ask for a statement, and the table takes a while.
        accruals: dict[str, Accrual] = {}
        for trade in trades:
            day = trading_day(trade.time_ns).isoformat()
            tariff = self._tariffs.tariff_of(trade.instrument, Product(trade.product), trade.side, day=day)
            traded_paise = value_paise(
                price_e4=trade.price_e4, quantity=trade.quantity, multiplier=trade.instrument.multiplier
            )
            accrual = accruals.get(trade.order_id, NOTHING_ACCRUED)
            charges = charges_of_fill(tariff, accrual, value_paise=traded_paise)
            accruals[trade.order_id] = accrual.after(value_paise=traded_paise, charges=charges)
            yield trade, charges


def _row(trade: TradeKept, charges: Charges) -> dict[str, Any]:
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
        "sebiTax": _rupees(charges.sebi_paise),
        "stt": _rupees(charges.stt_paise + charges.ctt_paise),
        "brokerageCharges": _rupees(charges.brokerage_paise),
        "serviceTax": _rupees(charges.gst_paise),
        "exchangeTransactionCharges": _rupees(charges.exchange_paise + charges.ipft_paise),
        "stampDuty": _rupees(charges.stamp_duty_paise),
        "createTime": _NOT_TOLD,
        "updateTime": _NOT_TOLD,
        "exchangeTime": ist_text(trade.time_ns),
        "drvExpiryDate": instrument.expires_on or _NOT_TOLD,
        "drvOptionType": _NOT_TOLD if instrument.option_type is None else instrument.option_type.name,
        "drvStrikePrice": rupees(instrument.strike_e4 or 0),
    }


def _rupees(amount_paise: int) -> float:
    return amount_paise / PAISE_PER_RUPEE
