"""Why an account refuses a command. A refusal is told to the caller and stored nowhere."""

from domain.account.events import Role
from domain.account.state import Account
from domain.ids import UserId
from domain.refusals import Conflict, Forbidden, InvalidInput, NotFound

_RANKS = {Role.VIEWER: 0, Role.TRADER: 1, Role.OWNER: 2}


class AccountNotFound(NotFound):
    """No such account, or not one of this user's. The caller sees 404; nothing is stored."""

    code = "ACCOUNT_NOT_FOUND"


class RoleInsufficient(Forbidden):
    """A member whose role does not reach so far. The caller sees 403; nothing is stored."""

    code = "ROLE_INSUFFICIENT"

    def __init__(self, *, role: Role, demanded: Role) -> None:
        super().__init__(f"you are a member of this account as {role.value}, expected {demanded.value}")


class MemberNotFound(NotFound):
    """The account has no such member. The caller sees 404; nothing is stored."""

    code = "MEMBER_NOT_FOUND"


class OpenerStays(Conflict):
    """Who opened the account is its owner for good. The caller sees 409; nothing is stored."""

    code = "OPENER_STAYS_OWNER"


class MembersTooMany(Conflict):
    """The account has as many members as it may have. The caller sees 409; nothing is stored."""

    code = "MEMBERS_TOO_MANY"


class AccountExists(Conflict):
    """The account was opened before. Nothing is stored."""

    code = "ACCOUNT_EXISTS"


class OrderNotFound(NotFound):
    """The account has no such order, or it is of a trade that was closed on an earlier day.

    The caller sees 404, the executor that what it found belongs to nobody we know; nothing is stored.
    """

    code = "ORDER_NOT_FOUND"


class OrderNotInDoubt(Conflict):
    """What became of the order is known: there is nothing to resolve. The caller sees 409; nothing is stored."""

    code = "ORDER_NOT_IN_DOUBT"


class VenueOrderTaken(Conflict):
    """Another order of the account has this id at the venue. The caller sees 409; nothing is stored."""

    code = "VENUE_ORDER_TAKEN"


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


class TriggerPriceMismatch(InvalidInput):
    """An SL order without a trigger, or another one with it. The caller sees 422; nothing is stored."""

    code = "TRIGGER_PRICE_MISMATCH"


class TradeNotFound(NotFound):
    """The account has no such trade, or closed it on an earlier day. The caller sees 404; nothing is stored."""

    code = "TRADE_NOT_FOUND"


class TradeClosedAlready(Conflict):
    """The trade is over. The caller sees 409; nothing is stored."""

    code = "TRADE_CLOSED"


class TradeExternal(Conflict):
    """The trade came from outside: it has no levels, and nobody would watch them. The caller sees 409."""

    code = "TRADE_EXTERNAL"


class VersionMismatch(Conflict):
    """Somebody changed the trade meanwhile. The caller sees 409, reads it again and decides anew; nothing is stored."""

    code = "TRADE_VERSION_MISMATCH"


class EntryNotResting(Conflict):
    """No entry order of the trade can be changed now. The caller sees 409; nothing is stored."""

    code = "ENTRY_NOT_RESTING"


class BelowFilled(InvalidInput):
    """A quantity that has filled already. The caller sees 422; nothing is stored."""

    code = "QUANTITY_BELOW_FILLED"


class NothingHeld(Conflict):
    """The trade holds nothing that could be closed. The caller sees 409; nothing is stored."""

    code = "NOTHING_HELD"


class BasketInvalid(InvalidInput):
    """A basket of fewer than two legs, of too many, or with ranks that leave one out. The caller sees 422."""

    code = "BASKET_INVALID"


class RatioInvalid(InvalidInput):
    """A corporate action that leaves nothing or a part of a unit. Nothing is stored."""

    code = "RATIO_INVALID"


class DifferenceNotFound(NotFound):
    """The account has no such open difference. The caller sees 404; nothing is stored."""

    code = "DIFFERENCE_NOT_FOUND"


class AdoptionImpossible(Conflict):
    """A position cannot be taken as it is without a price. The caller sees 409; nothing is stored."""

    code = "ADOPTION_NEEDS_PRICE"


class BreachNotLatched(Conflict):
    """No such limit is latched. The caller sees 409; nothing is stored."""

    code = "BREACH_NOT_LATCHED"


class InvariantNotBroken(Conflict):
    """No breach of that invariant waits for a release. The caller sees 409; nothing is stored."""

    code = "INVARIANT_NOT_BREACHED"


class DecisionBreaksInvariant(Conflict):
    """A decision that would have broken an invariant, of which a breach is recorded already. Nothing is stored."""

    code = "DECISION_BREAKS_INVARIANT"


class AmountInvalid(InvalidInput):
    """No money moved. The caller sees 422; nothing is stored."""

    code = "AMOUNT_INVALID"


class LimitsInvalid(InvalidInput):
    """A limit below zero. The caller sees 422; nothing is stored."""

    code = "LIMITS_INVALID"


def demand_role(state: Account, user_id: UserId, demanded: Role) -> None:
    """Raise `AccountNotFound` unless *user_id* is a member, and `RoleInsufficient` unless as *demanded* at least."""
    role = state.members.get(user_id)
    if role is None:
        raise AccountNotFound("no such account")
    if role is not demanded and _RANKS[role] < _RANKS[demanded]:
        raise RoleInsufficient(role=role, demanded=demanded)


def demand_execution(*, quantity: int, price_e4: int) -> None:
    """Raise `FillInvalid` unless something was executed for something."""
    if quantity <= 0 or price_e4 <= 0:
        raise FillInvalid(f"received {quantity} units at price_e4={price_e4}, expected more than 0")
