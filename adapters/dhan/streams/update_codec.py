"""The frames of the order-update socket: the log-in out, order updates in.

Dhan's page prints keys in PascalCase, every frame that was recorded has them in lowerCamelCase, and numbers that are 0
and texts that are empty are left out. So the first letter's case does not count, and what is absent is 0 or empty.
What is filled decides about the state of an order, not the word: none is known for a partial fill.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.dhan.access.tokens import Session
from adapters.dhan.words.codec import AnswerMalformed, status_of
from commands.ports import OrderUpdate
from domain.ids import CorrelationId, VenueOrderId
from domain.order import OrderStatus

_LOGIN_CODE = 42
_ORDER_ALERT = "order_alert"
_NO_ID = frozenset({"", "NA"})
_BY_QUANTITY = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED, OrderStatus.FILLED})
_decoder = msgspec.json.Decoder(dict[str, Any])


class _Alert(msgspec.Struct, kw_only=True, rename="camel"):
    order_no: str | int = ""
    correlation_id: str = ""
    status: str = ""
    quantity: int = 0
    traded_qty: int = 0


def login_message(session: Session) -> str:
    """Return what is said first: it holds the token. From then on the venue tells of every order of the account."""
    login = {"MsgCode": _LOGIN_CODE, "ClientId": session.client_id, "Token": session.token.reveal()}
    return msgspec.json.encode({"LoginReq": login, "UserType": "SELF"}).decode()


def order_update_of(frame: str | bytes) -> OrderUpdate | None:
    """Return what *frame* tells of an order, None where it is a message of another type.

    Raises:
        AnswerMalformed: it is none of what was ever seen here, or names no order.
    """
    try:
        message = _with_small_initials(_decoder.decode(frame))
        if message.get("type") != _ORDER_ALERT:
            return None
        alert = msgspec.convert(_with_small_initials(message.get("data")), _Alert, strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        # Only where it is: what it was instead might be anything, and ends up in a log line.
        raise AnswerMalformed(f"received a frame of {len(frame)} characters that tells of no order") from error
    if alert.order_no == "":
        raise AnswerMalformed("received an update without an order's id, expected orderNo")
    correlation_id = alert.correlation_id.strip()
    return OrderUpdate(
        venue_order_id=VenueOrderId(str(alert.order_no)),
        correlation_id=None if correlation_id in _NO_ID else CorrelationId(correlation_id),
        status=_status(alert),
        cumulative_quantity=alert.traded_qty,
    )


def _status(alert: _Alert) -> OrderStatus | None:
    status = status_of(alert.status.strip().replace(" ", "_"))
    if status not in _BY_QUANTITY or (status is OrderStatus.FILLED and not alert.traded_qty):
        return status
    if not alert.traded_qty:
        return OrderStatus.ACKNOWLEDGED
    return OrderStatus.FILLED if alert.traded_qty >= alert.quantity else OrderStatus.PARTLY_FILLED


def _with_small_initials(fields: Any) -> Mapping[str, Any]:
    if not isinstance(fields, dict):
        raise msgspec.ValidationError("expected an object")
    return {name[:1].lower() + name[1:]: value for name, value in fields.items() if value is not None}
