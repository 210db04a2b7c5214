"""The broker's error answers: three shapes of body, with the codes and messages seen on the wire."""

from typing import Any

from domain.money import format_paise

BAD_VALUES = "Missing required fields, bad values for parameters etc."
TOKEN_DEAD = "Client ID or user generated access token is invalid or expired."  # noqa: S105 - a message, no secret
TOO_MANY_REQUESTS = "Too many requests on server from single user breaching rate limits. Try throttling API calls."
TOO_MANY_QUOTES = "Too many requests. Further requests may result in the user being blocked."
INCORRECT_REQUEST = "Incorrect request for order and cannot be processed"
INVALID_IP = "Invalid IP"
INVALID_TOKEN = "Invalid Token"  # noqa: S105 - a message, no secret
IP_LOCKED = "IP can be modified only once in 7 days"
DELIVERY_NOT_HELD = "No holdings available for the given ISIN"
IN_TRANSIT = "Order is in Transit state"
NOTHING_TO_CANCEL = "Nothing to Cancel . "
MARKET_CLOSED = "Market is Closed! Want to place an offline order?"
MARKET_CLOSED_CANCEL = "Market is Closed! You cannot modify/cancel an order now."

TRIGGER_ABOVE_PRICE = "Trigger Price should be less than Price"
TRIGGER_BELOW_PRICE = "Trigger Price should be greater than Price"
MARKET_OPEN = "Market is Open! After market orders are accepted once it has closed."
MODIFICATIONS_EXHAUSTED = "Order cannot be modified more than 25 times"
KILL_SWITCH_ACTIVE = "Kill Switch is active. Trading is disabled for the day."
QUANTITY_EXECUTED = "Quantity should be greater than the traded quantity"


def insufficient_funds(short_paise: int) -> str:
    """Return what the risk desk says where money is missing."""
    return f"You have insufficient funds. Please add Rs.{format_paise(short_paise)} to trade."


class Refusal(Exception):
    """A well-formed no of the broker: the status and the body of the answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def trading_refusal(status: int, code: str, error_type: str, message: str) -> Refusal:
    """Return the shape of trading paths."""
    return Refusal(status, {"errorType": error_type, "errorCode": code, "errorMessage": message})


def data_refusal(status: int, code: int, message: str) -> Refusal:
    """Return the shape of market data paths."""
    return Refusal(status, {"data": {str(code): message}, "status": "failed"})


def bad_input(message: str = BAD_VALUES) -> Refusal:
    """Refuse values that can never be right; the broker's message is this dull."""
    return trading_refusal(400, "DH-905", "Input_Exception", message)


def order_error(message: str, *, status: int = 400) -> Refusal:
    """Refuse what the present state does not allow."""
    return trading_refusal(status, "DH-906", "Order_Error", message)


def authentication_error() -> Refusal:
    """Refuse a token or client id."""
    return trading_refusal(401, "DH-901", "Invalid_Authentication", TOKEN_DEAD)
