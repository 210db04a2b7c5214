"""Trades of any days with what each was charged, as the broker's statement has them: some fields are not told there."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from adapters.simulator.books import Account, BookedExecution
from adapters.simulator.rows import execution_row
from adapters.simulator.update_frames import instrument_word
from adapters.tariffs import TariffTable
from domain.charges import NOTHING_ACCRUED, Accrual, Charges, charges_of_fill
from domain.market import trading_day
from domain.money import PAISE_PER_RUPEE, value_paise
from domain.order import Product

ROWS_A_PAGE = 20
"""The broker does not say; who reads stops at an empty page."""
_NOT_TOLD = "NA"


class TradeHistory:
    """Every client's trades with their charges, reckoned by the tariffs of their days when they are asked for."""

    def __init__(self) -> None:
        self._tariffs: TariffTable | None = None

    def page(self, account: Account, *, first: date, last: date, page: int) -> list[dict[str, Any]]:
        """Return a page (from 0) of what *account* traded from the day *first* to the day *last*, oldest first."""
        begin = page * ROWS_A_PAGE
        charged = [
            (execution, charges)
            for execution, charges in self._charged(account)
            if first <= trading_day(execution.time_ns) <= last
        ]
        return [_row(execution, charges) for execution, charges in charged[begin : begin + ROWS_A_PAGE]]

    def _charged(self, account: Account) -> Iterator[tuple[BookedExecution, Charges]]:
        if self._tariffs is None:
            self._tariffs = TariffTable.load()  # Few ask for a statement, and the table takes a while.
        accruals: dict[str, Accrual] = {}
        for execution in account.executions:
            order = execution.order
            tariff = self._tariffs.tariff_of(
                order.instrument, Product(order.product), order.side, day=trading_day(execution.time_ns).isoformat()
            )
            traded_paise = value_paise(
                price_e4=execution.price_e4, quantity=execution.quantity, multiplier=order.instrument.multiplier
            )
            accrual = accruals.get(order.order_id, NOTHING_ACCRUED)
            charges = charges_of_fill(tariff, accrual, value_paise=traded_paise)
            accruals[order.order_id] = accrual.after(value_paise=traded_paise, charges=charges)
            yield execution, charges


def _row(execution: BookedExecution, charges: Charges) -> dict[str, Any]:
    instrument = execution.order.instrument
    return {
        **execution_row(execution),
        "tradingSymbol": None,
        "customSymbol": instrument.name,
        "createTime": _NOT_TOLD,
        "updateTime": _NOT_TOLD,
        "drvExpiryDate": instrument.expires_on or _NOT_TOLD,
        "drvOptionType": _NOT_TOLD if instrument.option_type is None else instrument.option_type.name,
        "isin": instrument.isin or _NOT_TOLD,
        "instrument": instrument_word(instrument),
        "sebiTax": _rupees(charges.sebi_paise),
        "stt": _rupees(charges.stt_paise + charges.ctt_paise),
        "brokerageCharges": _rupees(charges.brokerage_paise),
        "serviceTax": _rupees(charges.gst_paise),
        "exchangeTransactionCharges": _rupees(charges.exchange_paise + charges.ipft_paise),
        "stampDuty": _rupees(charges.stamp_duty_paise),
    }


def _rupees(amount_paise: int) -> float:
    return amount_paise / PAISE_PER_RUPEE
