"""Statements of an account as the broker answers them: holdings, margins, ledger, addresses, eDIS."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from adapters.simulator.access.static_ips import IpFlag, StaticIp
from adapters.simulator.books.account import Account, Holding
from adapters.simulator.books.margins import Leg
from adapters.simulator.words.rows import rupees
from domain.instrument import Segment
from domain.money import E4_PER_PAISA, PAISE_PER_RUPEE, format_paise

_EQUITY = frozenset({Segment.NSE_EQ, Segment.BSE_EQ})
_COMMODITY = frozenset({Segment.MCX_COMM})
_NO_VOUCHER = "Jan 01, 1970"
_LEDGER_EXCHANGE = "NSE_CASH"


def holding_row(held: Holding, last_price_e4: int) -> dict[str, Any]:
    """Return a row of the holdings: what was carried into the day, and what of it is not sold yet."""
    sold_today = min(held.sold_quantity, held.carried_quantity)
    left = held.carried_quantity - sold_today
    return {
        "exchange": "BSE" if held.instrument.key.segment is Segment.BSE_EQ else "NSE",
        "tradingSymbol": held.instrument.symbol,
        "securityId": held.instrument.key.security_id,
        "isin": held.instrument.isin or "",
        "totalQty": held.carried_quantity,
        "dpQty": held.carried_quantity,
        "t1Qty": 0,
        "availableQty": left,
        "collateralQty": 0,
        "avgCostPrice": round(rupees(held.carried_value_e4) / held.carried_quantity, 4),
        "lastTradedPrice": rupees(last_price_e4),
    }


def margin_row(margin_paise: int, *, available_paise: int, leverage: int) -> dict[str, Any]:
    """Return what one order binds; the simulator charges nothing for it."""
    return {
        "totalMargin": margin_paise / PAISE_PER_RUPEE,
        "spanMargin": 0.0,
        "exposureMargin": 0.0,
        "availableBalance": available_paise / PAISE_PER_RUPEE,
        "variableMargin": margin_paise / PAISE_PER_RUPEE,
        "insufficientBalance": max(margin_paise - available_paise, 0) / PAISE_PER_RUPEE,
        "brokerage": 0.0,
        "leverage": f"{leverage:.2f}",
    }


def margins_row(legs: Sequence[Leg], margin_of: Callable[[Sequence[Leg]], int]) -> dict[str, Any]:
    """Return what several orders bind, whole and by kind; *margin_of* tells it in quantity x 1/10,000 rupee."""

    def margin(wanted: Callable[[Segment], bool]) -> str:
        some = [leg for leg in legs if wanted(leg.instrument.segment)]
        return format_paise(margin_of(some) // E4_PER_PAISA)

    return {
        "total_margin": margin(lambda _: True),
        "span_margin": "0.00",
        "exposure_margin": "0.00",
        "equity_margin": margin(lambda segment: segment in _EQUITY),
        "fo_margin": margin(lambda segment: segment not in _EQUITY and segment not in _COMMODITY),
        "commodity_margin": margin(lambda segment: segment in _COMMODITY),
        "currency": "INR",
        "hedge_benefit": "",
    }


def ledger_rows(account: Account, *, today: date, is_today_within: bool) -> list[dict[str, Any]]:
    """Return the ledger as the broker begins it, closing balance first; between the two what today realised."""
    opening = account.opening_balance_paise
    realised = sum(held.realised_e4 for held in account.holdings.values()) // E4_PER_PAISA if is_today_within else 0
    rows = [_balance_row(account, "CLOSING BALANCE", opening + realised)]
    if realised:
        rows.append(
            {
                **_balance_row(account, "TRADES", opening + realised),
                "voucherdate": f"{today:%b %d, %Y}",
                "debit": format_paise(max(-realised, 0)),
                "credit": format_paise(max(realised, 0)),
            }
        )
    rows.append(_balance_row(account, "OPENING BALANCE", opening))
    return rows


def ip_row(known: Mapping[IpFlag, StaticIp], *, detected: str, is_match: bool) -> dict[str, Any]:
    """Return the list of addresses, with the days from which they can be changed."""

    def told(flag: IpFlag) -> tuple[str, str]:
        found = known.get(flag)
        return ("", "") if found is None else (found.address, found.changeable_on.isoformat())

    primary, primary_day = told(IpFlag.PRIMARY)
    secondary, secondary_day = told(IpFlag.SECONDARY)
    return {
        "primaryIP": primary,
        "secondaryIP": secondary,
        "modifyDatePrimary": primary_day,
        "modifyDateSecondary": secondary_day,
        "detectedIP": detected,
        "ipMatchStatus": "MATCH" if is_match else "MISMATCH",
        "ordersAllowed": is_match,
    }


def demat_row(client_id: str, isin: str, quantity: int) -> dict[str, Any]:
    """Return how much of a holding may be sold: all of it, for the client has signed once and for all."""
    return {
        "clientId": client_id,
        "isin": isin,
        "totalQty": quantity,
        "aprvdQty": quantity,
        "status": "SUCCESS",
        "remarks": "eDIS transaction done successfully",
    }


def _balance_row(account: Account, narration: str, balance_paise: int) -> dict[str, Any]:
    return {
        "dhanClientId": account.client_id,
        "narration": narration,
        "voucherdate": _NO_VOUCHER,
        "exchange": _LEDGER_EXCHANGE,
        "voucherdesc": narration,
        "vouchernumber": "",
        "debit": "0.00",
        "credit": "0.00",
        "runbal": format_paise(balance_paise),
    }
