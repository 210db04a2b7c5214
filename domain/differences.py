"""What the venue's books may show otherwise than ours: kinds, and of each what it comes of and what is done about it.

`docs/reconciliation.md` is made of the table. A kind gates where what is seen is explained by nothing: then entries of
the account are denied until the books agree again, or somebody takes them as they are. What is explained and repaired
by rule gates nothing, and exits and cancels are never held.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from domain.instrument import InstrumentKey
from domain.order import Product

DIFFERENCES_MAX = 100
"""So many of an account are kept open at most, those that gate first: no storm at the venue fills the log."""


class DifferenceKind(StrEnum):
    """What is otherwise."""

    # Repaired as they are read.
    MISSED_FILL = "missed_fill"
    LATE_FILL = "late_fill"
    UNSENT_FILL = "unsent_fill"
    ABSENT_ORDER_FOUND = "absent_order_found"
    CANCELED_OUTSIDE = "canceled_outside"
    QUANTITY_CHANGED_OUTSIDE = "quantity_changed_outside"
    PRICE_CHANGED_OUTSIDE = "price_changed_outside"
    TRIGGER_CHANGED_OUTSIDE = "trigger_changed_outside"
    TYPE_CHANGED_OUTSIDE = "type_changed_outside"
    FOREIGN_TRADE = "foreign_trade"
    FOREIGN_REDUCTION = "foreign_reduction"
    BROKER_SQUARE_OFF = "broker_square_off"
    POSITION_CONVERTED = "position_converted"
    HELD_BEFORE = "held_before"
    # Explained, and looked after until they are gone.
    FOREIGN_ORDER = "foreign_order"
    UNTRADED_EXECUTION = "untraded_execution"
    UNLISTED_EXECUTION = "unlisted_execution"
    UNLISTED_POSITION = "unlisted_position"
    ORDER_BEHIND_EXECUTIONS = "order_behind_executions"
    DERIVATIVE_EXPIRED = "derivative_expired"
    UNKNOWN_ORDER_POSITION = "unknown_order_position"
    # Explained by nothing.
    ORDER_MISSING = "order_missing"
    ORDER_REVIVED = "order_revived"
    UNSENT_ORDER_FOUND = "unsent_order_found"
    ORDER_OTHER_THAN_SENT = "order_other_than_sent"
    DUPLICATE_ORDER = "duplicate_order"
    UNREMEMBERED_ORDER = "unremembered_order"
    UNATTRIBUTED_EXECUTION = "unattributed_execution"
    EXECUTION_REFUSED = "execution_refused"
    EXECUTION_WITHDRAWN = "execution_withdrawn"
    EXECUTION_CHANGED = "execution_changed"
    ORDER_BEYOND_EXECUTIONS = "order_beyond_executions"
    POSITION_LARGER = "position_larger"
    POSITION_SMALLER = "position_smaller"
    POSITION_REVERSED = "position_reversed"
    POSITION_GONE = "position_gone"
    POSITION_UNEXPECTED = "position_unexpected"
    HOLDING_LARGER = "holding_larger"
    HOLDING_SMALLER = "holding_smaller"
    CORPORATE_ACTION_RATIO = "corporate_action_ratio"
    BOOK_UNREADABLE = "book_unreadable"


class DifferenceEnd(StrEnum):
    """How a difference ended."""

    REPAIRED = "repaired"
    """What the venue shows was taken into our books by rule."""
    AGREED = "agreed"
    """The books were read again and it was gone."""
    RESOLVED = "resolved"
    """Somebody took what the venue shows as it is."""


class Book(StrEnum):
    """One of the venue's books."""

    EXECUTIONS = "executions"
    ORDERS = "orders"
    POSITIONS = "positions"
    HOLDINGS = "holdings"


class Rule(NamedTuple):
    """What is said of a kind. `books` have to be readable before its absence means anything."""

    seen: str
    cause: str
    repair: str
    gates: bool
    closed_by: str
    found_by: str
    books: frozenset[Book]


_READ = "each read of the books: 0.2 to 2 s while an order or a position is open, at once where the venue tells of it"
_LOOK = "each look: 30 s"
_CONFIRMED = "two looks that show the same: 30 s and 2 s"
_BY_ITSELF = "itself, in the same step"
_OR_SOMEBODY = "itself, when the books agree again; or somebody, with a reason"
_ORDERS = frozenset({Book.ORDERS, Book.EXECUTIONS})
_EXECUTIONS = frozenset({Book.EXECUTIONS, Book.ORDERS})
_POSITIONS = frozenset({Book.ORDERS, Book.EXECUTIONS, Book.POSITIONS})
_HOLDINGS = _POSITIONS | {Book.HOLDINGS}
_NONE: frozenset[Book] = frozenset()
_TAKEN_OVER = "taken over as what the order is; the trade's stop is brought to size"
_ADOPTS = "none; whoever resolves it adopts it into the external trade at the last price, or at one that they name"


def _repaired(seen: str, cause: str, repair: str, *, found_by: str = _READ) -> Rule:
    return Rule(seen, cause, repair, False, _BY_ITSELF, found_by, _NONE)


def _explained(seen: str, cause: str, repair: str, books: frozenset[Book], *, found_by: str = _LOOK) -> Rule:
    return Rule(seen, cause, repair, False, _OR_SOMEBODY, found_by, books)


def _residue(
    seen: str, cause: str, books: frozenset[Book], *, repair: str = "none", found_by: str = _CONFIRMED
) -> Rule:
    return Rule(seen, cause, repair, True, _OR_SOMEBODY, found_by, books)


K = DifferenceKind
RULES: dict[DifferenceKind, Rule] = {
    K.MISSED_FILL: _repaired(
        "an execution of a live order of ours that we do not have, at the first look after a start or an outage",
        "it happened while nobody read the books",
        "recorded as a fill",
    ),
    K.LATE_FILL: _repaired(
        "an execution of an order that was canceled, expired or rejected",
        "the exchange matched it before the cancel arrived",
        "recorded as a fill; what it opened is protected or closed by the rules of its trade",
    ),
    K.UNSENT_FILL: _repaired(
        "an execution of an order that we hold for never sent",
        "the request left although the transport said that it had not",
        "recorded as a fill; the order is not sent again",
    ),
    K.ABSENT_ORDER_FOUND: _repaired(
        "an order that was presumed absent, or said to be, is in the book",
        "the request was on its way for longer than it was looked for",
        "acknowledged by its row, and followed again; a cancel that was asked for goes out",
    ),
    K.CANCELED_OUTSIDE: _repaired(
        "a live order of ours is canceled, and nobody here asked for it",
        "canceled with the broker's own app, or by the broker",
        "recorded; a stop that is missed is placed again",
    ),
    K.QUANTITY_CHANGED_OUTSIDE: _repaired(
        "a resting order of ours shows another quantity",
        "modified with the broker's own app",
        _TAKEN_OVER,
    ),
    K.PRICE_CHANGED_OUTSIDE: _repaired(
        "a resting order of ours shows another limit", "modified with the broker's own app", _TAKEN_OVER
    ),
    K.TRIGGER_CHANGED_OUTSIDE: _repaired(
        "a resting stop of ours shows another trigger", "modified with the broker's own app", _TAKEN_OVER
    ),
    K.TYPE_CHANGED_OUTSIDE: _repaired(
        "a resting order of ours shows another type, not for having been triggered",
        "modified with the broker's own app",
        _TAKEN_OVER,
    ),
    K.FOREIGN_TRADE: _repaired(
        "an execution of an order that is proven not to be ours",
        "traded with the broker's own app",
        "adopted into the external trade of its instrument and product",
    ),
    K.FOREIGN_REDUCTION: _repaired(
        "likewise, and it reduces what our trades hold",
        "closed with the broker's own app",
        "taken from our trades, oldest first; their stops shrink or go with it",
    ),
    K.BROKER_SQUARE_OFF: _repaired(
        "likewise, of an intraday position in the last minutes of its session",
        "the broker squares intraday positions off by itself",
        "taken from our trades, oldest first; their stops shrink or go with it",
    ),
    K.POSITION_CONVERTED: _repaired(
        "what one product of an instrument has too little, another one has too much, and nothing was executed",
        "converted with the broker's own app",
        "taken from our trades in the one product and adopted into the external trade of the other, at cost",
        found_by=_CONFIRMED,
    ),
    K.HELD_BEFORE: _repaired(
        "units in the holdings of an account that has traded nothing yet",
        "they were there before the account was ours to keep",
        "they are the baseline from which its holdings count, and are never touched",
        found_by=_LOOK,
    ),
    K.FOREIGN_ORDER: _explained(
        "an order that is proven not to be ours rests at the venue",
        "placed with the broker's own app",
        "watched; what of it is executed is adopted",
        _ORDERS,
    ),
    K.UNTRADED_EXECUTION: _explained(
        "an execution of somebody else's in a product or segment that we do not trade",
        "traded with the broker's own app",
        "none: it touches no position of ours",
        _EXECUTIONS,
    ),
    K.UNLISTED_EXECUTION: _explained(
        "an execution of somebody else's in an instrument that the instrument master does not have",
        "traded with the broker's own app; the master is older than the instrument",
        "adopted when the master has it: `khata instruments import`",
        _EXECUTIONS,
    ),
    K.UNLISTED_POSITION: _explained(
        "a position in an instrument that the instrument master does not have",
        "traded with the broker's own app; the master is older than the instrument",
        "none; import the master, and it is compared like every other",
        _POSITIONS,
    ),
    K.ORDER_BEHIND_EXECUTIONS: _explained(
        "the row of an order of ours counts less than its executions do",
        "the venue's order book lags behind its trade book",
        "none: the executions are recorded and count",
        _ORDERS,
        found_by=_CONFIRMED,
    ),
    K.DERIVATIVE_EXPIRED: _explained(
        "a position in a derivative that is past its last day is gone at the venue",
        "it expired or was settled",
        "none; whoever resolves it names the price at which it was settled",
        _POSITIONS,
        found_by=_CONFIRMED,
    ),
    K.UNKNOWN_ORDER_POSITION: _explained(
        "a position is otherwise than ours while an order of ours in it is unknown",
        "the order was executed, or not: it is being looked for",
        "the search for the order; what it finds is recorded",
        _POSITIONS,
        found_by=_CONFIRMED,
    ),
    K.ORDER_MISSING: _residue(
        "an order of ours that the venue had is not in its book", "the venue lost it, or shows another day", _ORDERS
    ),
    K.ORDER_REVIVED: _residue(
        "an order of ours that had ended is open at the venue",
        "the last word about it was wrong, or it was resolved too early",
        _ORDERS,
        repair="none; cancel it with the broker's own app",
    ),
    K.UNSENT_ORDER_FOUND: _residue(
        "an order of ours that we hold for never sent is in the book",
        "the request left although the transport said that it had not",
        _ORDERS,
    ),
    K.ORDER_OTHER_THAN_SENT: _residue(
        "a row with our id shows another instrument, side or product than we sent",
        "the venue mixed two orders up",
        _ORDERS,
    ),
    K.DUPLICATE_ORDER: _residue(
        "two rows carry one id of ours",
        "the venue took one request twice",
        _ORDERS,
        repair="none; executions of both are recorded with the order; cancel the second with the broker's own app",
    ),
    K.UNREMEMBERED_ORDER: _residue(
        "a row carries an id that this installation issued, and the log has no such order",
        "the log was restored from before it was sent",
        _ORDERS,
    ),
    K.UNATTRIBUTED_EXECUTION: _residue(
        "an execution whose order is in no book",
        "the venue's order book is incomplete; nothing tells whose it is",
        _EXECUTIONS,
    ),
    K.EXECUTION_REFUSED: _residue(
        "an execution of an order of ours that makes no sense and was not recorded",
        "the venue's row is broken",
        _EXECUTIONS,
    ),
    K.EXECUTION_WITHDRAWN: _residue(
        "an execution that is recorded is not in the trade book any more", "the exchange annulled it", _EXECUTIONS
    ),
    K.EXECUTION_CHANGED: _residue(
        "the recorded executions of an order have other quantities now", "the exchange corrected them", _EXECUTIONS
    ),
    K.ORDER_BEYOND_EXECUTIONS: _residue(
        "the row of an order of ours counts more than its executions do",
        "executions are missing from the venue's trade book",
        _ORDERS,
        repair="they are recorded as soon as they are shown; until then no final word counts",
    ),
    K.POSITION_LARGER: _residue(
        "the venue holds more than our trades add up to", "unexplained", _POSITIONS, repair=_ADOPTS
    ),
    K.POSITION_SMALLER: _residue("the venue holds less", "unexplained", _POSITIONS, repair=_ADOPTS),
    K.POSITION_REVERSED: _residue("the venue holds the other side", "unexplained", _POSITIONS, repair=_ADOPTS),
    K.POSITION_GONE: _residue(
        "the venue holds nothing of what our trades hold", "unexplained", _POSITIONS, repair=_ADOPTS
    ),
    K.POSITION_UNEXPECTED: _residue(
        "the venue holds something in which we hold nothing", "unexplained", _POSITIONS, repair=_ADOPTS
    ),
    K.HOLDING_LARGER: _residue(
        "holdings above the baseline and the day's positions are more than our delivery trades",
        "unexplained: units were transferred in, or bought on a day that nobody saw",
        _HOLDINGS,
        repair=_ADOPTS,
    ),
    K.HOLDING_SMALLER: _residue(
        "they are less",
        "unexplained: units were transferred out or pledged, or sold on a day that nobody saw",
        _HOLDINGS,
        repair=_ADOPTS,
    ),
    K.CORPORATE_ACTION_RATIO: _residue(
        "they are a whole ratio of what our delivery trades carry",
        "a split or bonus that nobody told us of",
        _HOLDINGS,
        repair="none; `khata corporate-action` adjusts trades, stops and targets",
    ),
    K.BOOK_UNREADABLE: _residue(
        "one of the venue's books cannot be read for a while",
        "the broker does not answer, or its token or our breaker stands against it",
        _NONE,
        repair="asked again every 5 s",
        found_by="looks that fail for 20 s",
    ),
}
"""What each kind is, and what is done about it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference as the books show it now.

    `subject` is the id of the order or execution that it is about; empty where instrument and product say it. `ours`
    and `theirs` are for people. `quantity` is how many units more the venue holds, None where it is no position.
    """

    kind: DifferenceKind
    ours: str
    theirs: str
    subject: str = ""
    instrument: InstrumentKey | None = None
    product: Product | None = None
    symbol: str = ""
    quantity: int | None = None
    cause: str = ""
    """Empty: the one of its kind."""

    @property
    def name(self) -> str:
        """What it is about: two findings of one name are the same difference, seen twice."""
        return difference_name(self.kind, self.subject, self.instrument, self.product)


def difference_name(
    kind: DifferenceKind, subject: str, instrument: InstrumentKey | None, product: Product | None
) -> str:
    """Return what a difference is about, in one word."""
    where = "" if instrument is None else f"{instrument.segment}:{instrument.security_id}"
    return f"{kind.value}|{subject}|{where}|{product or ''}"
