"""Why an account refuses a command. A refusal is told to the caller and stored nowhere."""

from domain.account.state import Account
from domain.ids import UserId
from domain.refusals import Conflict, InvalidInput, NotFound


class AccountNotFound(NotFound):
    """No such account, or not one of this user's. The caller sees 404; nothing is stored."""

    code = "ACCOUNT_NOT_FOUND"


class AccountExists(Conflict):
    """The account was opened before. Nothing is stored."""

    code = "ACCOUNT_EXISTS"


class OrderNotFound(NotFound):
    """The account has no such order. Only the executor sees it: what it found belongs to nobody we know."""

    code = "ORDER_NOT_FOUND"


class FillInvalid(InvalidInput):
    """An execution of nothing, or for nothing. Only the executor sees it: the venue's row makes no sense."""

    code = "FILL_INVALID"


class PositionNotOpen(Conflict):
    """Nothing is held in this instrument and product. The caller sees 409; nothing is stored."""

    code = "POSITION_NOT_OPEN"


class QuantityInvalid(InvalidInput):
    """A quantity that is not a positive number of lots. The caller sees 422; nothing is stored."""

    code = "QUANTITY_INVALID"


class PriceOffTick(InvalidInput):
    """A price between two ticks. The caller sees 422; nothing is stored."""

    code = "PRICE_OFF_TICK"


class LimitPriceMismatch(InvalidInput):
    """A LIMIT order without a price, or a MARKET order with one. The caller sees 422; nothing is stored."""

    code = "LIMIT_PRICE_MISMATCH"


class LimitsInvalid(InvalidInput):
    """A limit below zero. The caller sees 422; nothing is stored."""

    code = "LIMITS_INVALID"


def demand_owner(state: Account, user_id: UserId) -> None:
    """Raise `AccountNotFound` unless the account is open and *user_id* owns it."""
    if state.owner_id is None or state.owner_id != user_id:
        raise AccountNotFound("no such account")
