"""Order updates as the broker tells them: one JSON text a change, keys in lowerCamelCase, nothing that is 0 or empty.

The words are not those of the order book: `B` and `S`, `LMT`, `I`, and a status in title case. Transit and Expired were
never seen on the wire, nor was a word for a partial fill: the broker's page lists none, so it is Traded, with less
traded than ordered. No trade's id is told.
"""

from typing import Any

import msgspec

from adapters.simulator.books import FROM_ELSEWHERE, BookedOrder, Status
from adapters.simulator.records import OrderExecuted, OrderModified, Record
from adapters.simulator.rows import NEVER, PLACES, ist_text, rupees
from adapters.simulator.standing_records import ENTRY_LEG, STOP_LOSS_LEG, TARGET_LEG
from domain.instrument import Instrument, InstrumentKind, OptionType, Segment
from domain.order import OrderType, Side

_SIDES = {Side.BUY: "B", Side.SELL: "S"}
_TYPES = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.SL: "SL", OrderType.SL_M: "SLM"}
_PRODUCTS = {"CNC": "C", "INTRADAY": "I", "MARGIN": "M", "MTF": "F", "CO": "V", "BO": "B"}
_OPTION_TYPES = {OptionType.CALL: "CE", OptionType.PUT: "PE", None: "XX"}
_STATUSES = {
    Status.TRANSIT: "Transit",
    Status.PENDING: "Pending",
    Status.PART_TRADED: "Pending",
    Status.TRADED: "Traded",
    Status.REJECTED: "Rejected",
    Status.CANCELLED: "Cancelled",
    Status.EXPIRED: "Expired",
}
_DONE = frozenset({Status.CANCELLED, Status.EXPIRED})
_INDICES = frozenset({"NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "SENSEX", "BANKEX"})
_LEG_NUMBERS = {STOP_LOSS_LEG: 2, TARGET_LEG: 3}
_DATE_LENGTH = len("yyyy-mm-dd")


def update_frame(order: BookedOrder, record: Record, *, last_price_e4: int) -> bytes:
    """Return what is told of *order*, which *record* has just made what it is."""
    told = {name: value for name, value in _data(order, record, last_price_e4).items() if value not in {0, ""}}
    return msgspec.json.encode({"Type": "order_alert", "Data": told})


def _data(order: BookedOrder, record: Record, last_price_e4: int) -> dict[str, Any]:
    instrument = order.instrument
    exchange, segment = PLACES[instrument.key.segment]
    is_nobodys = order.correlation_id == FROM_ELSEWHERE
    is_by_hand = is_nobodys and not order.parent_id
    is_super = order.leg == ENTRY_LEG or bool(order.leg and order.parent_id and is_nobodys)
    is_protected = order.order_type is OrderType.MARKET and order.limit_price_e4 > 0
    left = 0 if order.status in _DONE else order.quantity - order.filled_quantity
    created = ist_text(order.created_ns)
    average_e4 = order.filled_value_e4 // order.filled_quantity if order.filled_quantity else 0
    return {
        "exchange": exchange,
        "segment": segment,
        "source": "W" if is_by_hand else "P",
        "securityId": instrument.key.security_id,
        "clientId": order.client_id,
        "exchOrderNo": order.exchange_order_id,
        "orderNo": order.order_id,
        "product": _PRODUCTS.get(order.product, order.product),
        "txnType": _SIDES[order.side],
        "orderType": _TYPES[OrderType.LIMIT if is_protected else order.order_type],
        "validity": order.time_in_force.value,
        "discQuantity": order.disclosed_quantity,
        "remainingQuantity": left,
        "quantity": order.quantity,
        "tradedQty": order.filled_quantity,
        "price": rupees(order.limit_price_e4),
        "triggerPrice": rupees(order.trigger_price_e4),
        "tradedPrice": rupees(record.price_e4 if isinstance(record, OrderExecuted) else 0),
        "avgTradedPrice": rupees(average_e4),
        "strategyId": "NA",
        "offMktFlag": "1" if order.amo_time else "0",
        "orderDateTime": created,
        "exchOrderTime": ist_text(order.reached_ns),
        "lastUpdatedTime": ist_text(order.updated_ns),
        "remarks": "Super Order" if is_super else " " if is_by_hand else "NR",
        "mktType": "NL",
        "reasonDescription": order.description,
        "legNo": _LEG_NUMBERS.get(order.leg, 1),
        "algoOrdNo": order.parent_id,
        "instrument": instrument_word(instrument),
        "symbol": instrument.symbol,
        "productName": order.product,
        "status": _status(order, record),
        "lotSize": instrument.lot,
        "strikePrice": rupees(instrument.strike_e4 or 0),
        "expiryDate": instrument.expires_on or NEVER,
        "optType": _OPTION_TYPES[instrument.option_type],
        "displayName": instrument.name,
        "isin": instrument.isin or "NA",
        "series": instrument.series or ("XX" if instrument.expires_on else "EQ"),
        "goodTillDaysDate": created[:_DATE_LENGTH],
        "refLtp": rupees(last_price_e4),
        "tickSize": rupees(instrument.tick_e4),
        "algoId": "0",
        "multiplier": instrument.multiplier,
        "correlationId": order.correlation_id,
    }


def _status(order: BookedOrder, record: Record) -> str:
    if isinstance(record, OrderExecuted):
        return _STATUSES[Status.TRADED]
    # One that was modified again meanwhile still is on its way.
    is_modified = isinstance(record, OrderModified) and order.status is not Status.TRANSIT
    return "Modified" if is_modified else _STATUSES[order.status]


def instrument_word(instrument: Instrument) -> str:
    """Return what kind of instrument it is, in the broker's word."""
    if instrument.kind not in {InstrumentKind.FUTURE, InstrumentKind.OPTION}:
        return "INDEX" if instrument.kind is InstrumentKind.INDEX else "EQUITY"
    is_future = instrument.kind is InstrumentKind.FUTURE
    match instrument.key.segment:
        case Segment.MCX_COMM:
            return "FUTCOM" if is_future else "OPTFUT"
        case Segment.NSE_CURRENCY | Segment.BSE_CURRENCY:
            return "FUTCUR" if is_future else "OPTCUR"
        case _:
            return ("FUT" if is_future else "OPT") + ("IDX" if instrument.underlying in _INDICES else "STK")
