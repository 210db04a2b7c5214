"""Rows as the broker answers them: its field names, rupees as floats, times as IST text."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from adapters.simulator.books.account import Account, BookedExecution, BookedOrder, Holding, Status
from domain.instrument import InstrumentKey, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.money import E4_PER_RUPEE, PAISE_PER_RUPEE
from domain.order import OrderType

_TYPE_WORDS = {OrderType.SL: "STOP_LOSS", OrderType.SL_M: "STOP_LOSS_MARKET"}
NEVER = "0001-01-01 00:00:00"
_NO_DERIVATIVE = {"drvExpiryDate": "0001-01-01", "drvOptionType": "NA", "drvStrikePrice": 0.0}
_AVERAGE_PLACES = 4
_TIMES_KEPT = 10_000
_INDEX_SEGMENT = "IDX_I"
PLACES = {
    Segment.NSE_EQ: ("NSE", "E"),
    Segment.NSE_FNO: ("NSE", "D"),
    Segment.NSE_CURRENCY: ("NSE", "C"),
    Segment.BSE_EQ: ("BSE", "E"),
    Segment.BSE_FNO: ("BSE", "D"),
    Segment.BSE_CURRENCY: ("BSE", "C"),
    Segment.MCX_COMM: ("MCX", "M"),
    Segment.INDEX: ("NSE", "I"),
}
"""Exchange and part of it, as the broker names a segment in two words. An index of the BSE is none of the NSE's."""


def segment_word(segment: Segment) -> str:
    """Return the broker's name of a segment."""
    return _INDEX_SEGMENT if segment is Segment.INDEX else segment.value


def segment_of(word: str) -> Segment | None:
    """Return the segment that the broker's name means, None for no such name."""
    if word == _INDEX_SEGMENT:
        return Segment.INDEX
    return next((segment for segment in Segment if segment.value == word and segment is not Segment.INDEX), None)


def type_word(order_type: OrderType) -> str:
    """Return the broker's name of an order type."""
    return _TYPE_WORDS.get(order_type, order_type.value)


def type_of(word: str) -> OrderType | None:
    """Return the order type that the broker's name means, None for no such name."""
    return next((order_type for order_type in OrderType if type_word(order_type) == word), None)


def ist_text(time_ns: int | None) -> str:
    """Return UTC nanoseconds as the broker prints them; None never was."""
    return NEVER if time_ns is None else _ist_text_of_second(time_ns // NS_PER_S)


@lru_cache(maxsize=_TIMES_KEPT)
def _ist_text_of_second(time_s: int) -> str:
    return f"{ist(time_s * NS_PER_S):%Y-%m-%d %H:%M:%S}"


def utc_text(time_ns: int) -> str:
    """Return UTC nanoseconds in the one form in which the broker prints UTC."""
    return f"{datetime.fromtimestamp(time_ns // NS_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def rupees(value_e4: int) -> float:
    """Return 1/10,000 rupee as rupees."""
    return value_e4 / E4_PER_RUPEE


def order_row(order: BookedOrder) -> dict[str, Any]:
    """Return a row of the order book. A MARKET order that got its limit is shown as the LIMIT order it became."""
    is_protected = order.order_type is OrderType.MARKET and order.limit_price_e4 > 0
    left = 0 if order.status in {Status.CANCELLED, Status.EXPIRED} else order.quantity - order.filled_quantity
    return {
        "dhanClientId": order.client_id,
        "orderId": order.order_id,
        "exchangeOrderId": order.exchange_order_id,
        "correlationId": order.correlation_id,
        "orderStatus": order.status.value,
        "transactionType": order.side.value,
        "exchangeSegment": segment_word(order.instrument.key.segment),
        "productType": order.product,
        "orderType": type_word(OrderType.LIMIT if is_protected else order.order_type),
        "validity": order.time_in_force.value,
        "tradingSymbol": order.instrument.symbol,
        "securityId": order.instrument.key.security_id,
        "quantity": order.quantity,
        "disclosedQuantity": order.disclosed_quantity,
        "price": rupees(order.limit_price_e4),
        "triggerPrice": rupees(order.trigger_price_e4),
        "afterMarketOrder": bool(order.amo_time),
        "boProfitValue": 0.0,
        "boStopLossValue": 0.0,
        "legName": order.leg or "NA",
        "createTime": ist_text(order.created_ns),
        "updateTime": ist_text(order.updated_ns),
        "exchangeTime": ist_text(order.reached_ns),
        **_NO_DERIVATIVE,
        "omsErrorCode": "0",
        "omsErrorDescription": order.description,
        "algoId": "0",
        "remainingQuantity": left,
        "averageTradedPrice": _average(order.filled_value_e4, order.filled_quantity),
        "filledQty": order.filled_quantity,
    }


def execution_row(execution: BookedExecution) -> dict[str, Any]:
    """Return a row of the trade book."""
    order = execution.order
    time = ist_text(execution.time_ns)
    return {
        "dhanClientId": order.client_id,
        "orderId": order.order_id,
        "exchangeOrderId": order.exchange_order_id,
        "exchangeTradeId": execution.trade_id,
        "transactionType": order.side.value,
        "exchangeSegment": segment_word(order.instrument.key.segment),
        "productType": order.product,
        "orderType": OrderType.LIMIT.value,
        "tradingSymbol": order.instrument.symbol,
        "customSymbol": None,
        "securityId": order.instrument.key.security_id,
        "tradedQuantity": execution.quantity,
        "tradedPrice": rupees(execution.price_e4),
        "createTime": time,
        "updateTime": time,
        "exchangeTime": time,
        **_NO_DERIVATIVE,
    }


def position_row(client_id: str, held: Holding, last_price_e4: int) -> dict[str, Any]:
    """Return a row of the positions; one whose quantity is closed stays for the day.

    What was delivered on earlier days stands in the holdings alone: of it a position shows what the day sold.
    """
    holding = held.of_the_day if held.is_delivered else held
    net = holding.net_quantity
    bought = _average(holding.bought_value_e4, holding.bought_quantity)
    sold = _average(holding.sold_value_e4, holding.sold_quantity)
    cost = bought if net > 0 else sold if net < 0 else 0.0
    carried_bought, carried_sold = max(holding.carried_quantity, 0), max(-holding.carried_quantity, 0)
    carried_bought_e4 = holding.carried_value_e4 if carried_bought else 0
    carried_sold_e4 = holding.carried_value_e4 if carried_sold else 0
    return {
        "dhanClientId": client_id,
        "tradingSymbol": holding.instrument.symbol,
        "securityId": holding.instrument.key.security_id,
        "positionType": "LONG" if net > 0 else "SHORT" if net < 0 else "CLOSED",
        "exchangeSegment": segment_word(holding.instrument.key.segment),
        "productType": holding.product,
        "buyAvg": bought,
        "buyQty": holding.bought_quantity,
        "costPrice": cost,
        "sellAvg": sold,
        "sellQty": holding.sold_quantity,
        "netQty": net,
        "realizedProfit": rupees(holding.realised_e4),
        "unrealizedProfit": round(net * (rupees(last_price_e4) - cost), _AVERAGE_PLACES),
        "rbiReferenceRate": 1.0,
        "multiplier": 1,
        "carryForwardBuyQty": carried_bought,
        "carryForwardSellQty": carried_sold,
        "carryForwardBuyValue": rupees(carried_bought_e4),
        "carryForwardSellValue": rupees(carried_sold_e4),
        "dayBuyQty": holding.bought_quantity - carried_bought,
        "daySellQty": holding.sold_quantity - carried_sold,
        "dayBuyValue": rupees(holding.bought_value_e4 - carried_bought_e4),
        "daySellValue": rupees(holding.sold_value_e4 - carried_sold_e4),
        **_NO_DERIVATIVE,
        "crossCurrency": False,
    }


def funds_row(account: Account, available_paise: int) -> dict[str, Any]:
    """Return the money, with the broker's spelling of it."""
    available = available_paise / PAISE_PER_RUPEE
    opening = account.opening_balance_paise / PAISE_PER_RUPEE
    return {
        "dhanClientId": account.client_id,
        "availabelBalance": available,
        "sodLimit": opening,
        "collateralAmount": 0.0,
        "receiveableAmount": 0.0,
        "utilizedAmount": round(opening - available, 2),
        "blockedPayoutAmount": 0.0,
        "withdrawableBalance": max(available, 0.0),
    }


def profile_row(client_id: str, token_ends_s: int) -> dict[str, Any]:
    """Return the profile; its token's end in IST."""
    ends = datetime.fromtimestamp(token_ends_s, EXCHANGE_ZONE)
    return {
        "dhanClientId": client_id,
        "tokenValidity": f"{ends:%d/%m/%Y %H:%M}",
        "activeSegment": "E, D, C, M, ",
        "ddpi": "Active",
        "mtf": "Active",
        "dataPlan": "Active",
        "dataValidity": f"{ends:%Y-%m-%d %H:%M:%S}.0",
    }


def token_row(client_id: str, token: str, ends_s: int) -> dict[str, Any]:
    """Return a token as the login answers it."""
    ends = datetime.fromtimestamp(ends_s, EXCHANGE_ZONE)
    return {
        "dhanClientId": client_id,
        "dhanClientName": f"PAPER {client_id}",
        "dhanClientUcc": f"P{client_id}",
        "givenPowerOfAttorney": False,
        "accessToken": token,
        "expiryTime": f"{ends:%Y-%m-%dT%H:%M:%S}",
    }


def books_of(account: Account) -> dict[str, Any]:
    """Return a client's books for checking: integers, UTC nanoseconds, steps of the tape."""
    return {
        "orders": [
            {
                "order_id": order.order_id,
                "correlation_id": order.correlation_id,
                **_names(order.instrument.key, order.instrument.symbol),
                "side": order.side.value,
                "order_type": order.order_type.value,
                "product": order.product,
                "time_in_force": order.time_in_force.value,
                "quantity": order.quantity,
                "limit_price_e4": order.limit_price_e4,
                "trigger_price_e4": order.trigger_price_e4,
                "modifications": order.modifications,
                "status": order.status.value,
                "filled_quantity": order.filled_quantity,
                "description": order.description,
                "accepted_step": order.accepted_step,
                "accepted_market_time_ns": order.created_ns,
            }
            for order in account.orders.values()
        ],
        "trades": [
            {
                "trade_id": execution.trade_id,
                "order_id": execution.order.order_id,
                **_names(execution.order.instrument.key, execution.order.instrument.symbol),
                "side": execution.order.side.value,
                "product": execution.order.product,
                "quantity": execution.quantity,
                "price_e4": execution.price_e4,
                "step": execution.step,
                "market_time_ns": execution.time_ns,
            }
            for execution in account.executions
        ],
        "positions": [
            {
                **_names(holding.instrument.key, holding.instrument.symbol),
                "product": holding.product,
                "net_quantity": holding.net_quantity,
                "bought_quantity": holding.bought_quantity,
                "bought_value_e4": holding.bought_value_e4,
                "sold_quantity": holding.sold_quantity,
                "sold_value_e4": holding.sold_value_e4,
            }
            for holding in account.holdings.values()
        ],
    }


def _names(key: InstrumentKey, symbol: str) -> dict[str, str]:
    return {"segment": key.segment.value, "security_id": key.security_id, "symbol": symbol}


def ist(time_ns: int) -> datetime:
    """Return UTC nanoseconds as a moment of India, to the second."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, EXCHANGE_ZONE)


def _average(value_e4: int, quantity: int) -> float:
    return round(rupees(value_e4) / quantity, _AVERAGE_PLACES) if quantity else 0.0
