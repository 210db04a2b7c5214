"""The life of an order: the words, the table of allowed steps, and the name the venue knows it by.

Every rule about which state may follow which stands in this file and nowhere else.

    intended ─► submitting ─► acknowledged ─► partly filled ─► filled
       │            │   │          └──────────────┴─► canceled / expired
       │            │   ├─► rejected            a well-formed refusal by the venue; not sent again
       │            │   └─► unknown             anything else once a byte may have left, or a crash
       │            │          ├─► acknowledged / filled / rejected / canceled / expired, by evidence with our id
       │            │          ├─► presumed absent ─► acknowledged …, if it turns up after all
       │            │          └─► absent            an operator's word, also of one presumed absent
       │            └─► intended                proven by the transport: no byte left
       └─► lapsed (too old to send) · blocked (kill switch)

`submitting` is durable before the first byte leaves, so a crash can only leave an order *submitting*, and what is found
submitting by a sender that did not send it is *unknown*. An unknown order is looked for, never sent again. A fill is
believed whenever it comes: the exchange may match an order while our cancel is under way, so `filled` can follow
`canceled` (a late fill of a part leaves the order canceled: nothing more can come of it). Even a fill of an order that
was held for unsent is believed, because the venue's execution outweighs what our transport proved, and because a filled
order is not sent again. *Denied* (by our own risk
check) is not a state of an order: a denied intent never becomes one.

An operator may have the last word on an order that is unknown or presumed absent. *Absent* ends it, and whatever the
venue shows of it later outweighs the operator: the order goes on as if it had never been ended, and is canceled. That
the venue has it, under an id that the operator names, makes it *acknowledged*; where the venue's book does not bear
that out, it is *unknown* again.
"""

from enum import StrEnum
from hashlib import sha256

import msgspec

from domain.ids import CorrelationId, OrderId
from domain.instrument import InstrumentKey


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what a fill adds to a position."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order is priced.

    SL rests unseen until its trigger trades and is a limit order from then on. SL-M is asked for only: no venue of ours
    lets one rest, so it is denied or becomes an SL whose limit lies a buffer behind its trigger, everywhere alike.
    """

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class Product(StrEnum):
    """Under which regime a position is held; the broker does not net one with another."""

    CNC = "CNC"
    """Delivery, paid in full."""
    INTRADAY = "INTRADAY"
    """Squared off before the session ends."""
    MARGIN = "MARGIN"
    """Derivatives carried over night against margin."""
    MTF = "MTF"
    """Delivery, partly paid by the broker."""


DELIVERY = frozenset({Product.CNC, Product.MTF})
"""Products of which the shares are delivered: they come into and go out of the demat account."""


class TimeInForce(StrEnum):
    """How long an order rests."""

    DAY = "DAY"
    IOC = "IOC"


class Purpose(StrEnum):
    """Why an order exists: to open its trade, to close it, or to close it when it goes wrong."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP = "stop"
    """The protective stop, which rests at the venue. A wanted exit may turn it into a marketable order."""

    @property
    def closes(self) -> bool:
        """Whether an order of this purpose can only take away from what its trade holds."""
        return self is not Purpose.ENTRY


class ModifyCause(StrEnum):
    """Why a resting order is to be changed."""

    USER = "user"
    SIZE = "size"
    """The trade holds more or less than its stop covers."""
    LEVEL = "level"
    """Its stop moved: by hand, by trailing, or by a corporate action."""
    EXIT = "exit"
    """The trade shall be closed: its stop becomes marketable."""
    GAP = "gap"
    """The price went through the stop's limit without filling it."""


class RefusalReason(StrEnum):
    """What a venue's well-formed refusal is about, in our words."""

    INPUT = "input"
    FUNDS = "funds"
    MARKET_CLOSED = "market_closed"
    RATE_LIMIT = "rate_limit"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    IP = "ip"
    OTHER = "other"


class NotSentReason(StrEnum):
    """Why an order was proven not to have been sent."""

    BREAKER_OPEN = "breaker_open"
    """Our own breaker held it back."""
    HELD_BACK = "held_back"
    """There was no token for it, or no place in the rate budget."""
    LEASE_LOST = "lease_lost"
    """The sender was no longer the only one when it would have sent."""
    TRANSPORT = "transport"
    """The connection failed before the request's head was written."""


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    INTENDED = "intended"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PRESUMED_ABSENT = "presumed_absent"
    ABSENT = "absent"
    """An operator's word: the venue does not have it."""
    ACKNOWLEDGED = "acknowledged"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    BLOCKED = "blocked"


_S = OrderStatus
_VENUE_WORD = frozenset({_S.ACKNOWLEDGED, _S.PARTLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED})

NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.INTENDED: frozenset({_S.SUBMITTING, _S.LAPSED, _S.BLOCKED, _S.PARTLY_FILLED, _S.FILLED}),
    _S.SUBMITTING: _VENUE_WORD | {_S.INTENDED, _S.UNKNOWN},
    _S.UNKNOWN: _VENUE_WORD | {_S.PRESUMED_ABSENT, _S.ABSENT},
    _S.PRESUMED_ABSENT: _VENUE_WORD | {_S.ABSENT},
    _S.ABSENT: _VENUE_WORD,
    _S.ACKNOWLEDGED: _VENUE_WORD - {_S.ACKNOWLEDGED} | {_S.UNKNOWN},
    _S.PARTLY_FILLED: frozenset({_S.PARTLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED}),
    _S.CANCELED: frozenset({_S.FILLED}),
    _S.EXPIRED: frozenset({_S.FILLED}),
    _S.REJECTED: frozenset({_S.FILLED}),
    _S.FILLED: frozenset(),
    _S.LAPSED: frozenset({_S.FILLED}),
    _S.BLOCKED: frozenset({_S.FILLED}),
}
"""Which states may follow a state."""

FINAL = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.LAPSED, _S.BLOCKED})
"""States after which nothing but a late fill can come: the venue's last word, or our own on what was never sent."""

CLOSED = FINAL | {_S.ABSENT}
"""States in which nothing more is expected (a late fill is still believed)."""

IN_DOUBT = frozenset({_S.UNKNOWN, _S.PRESUMED_ABSENT})
"""States in which nobody knows whether the venue has the order, and an operator may say so."""

LOOKED_FOR = IN_DOUBT | {_S.ABSENT}
"""States in which the venue's books are searched for the order: an operator's word may be wrong."""

AT_VENUE = frozenset({_S.SUBMITTING, _S.UNKNOWN, _S.ACKNOWLEDGED, _S.PARTLY_FILLED})
"""States in which the venue has the order or may have it."""

LIVE = AT_VENUE | {_S.INTENDED}
"""States in which an order may still fill: what counts against limits and against an exit's room."""


def may_follow(status: OrderStatus, following: OrderStatus) -> bool:
    """Tell whether an order in *status* may become *following*."""
    return following in NEXT[status]


def status_after_fill(
    status: OrderStatus, *, cumulative_quantity: int, quantity: int, leaves_quantity: int
) -> OrderStatus:
    """Return what an order of *quantity* units in *status* becomes when *cumulative_quantity* of them have filled.

    `leaves_quantity` may still fill: more than the difference while a modification under way may have made it larger.
    """
    if cumulative_quantity >= quantity and leaves_quantity == 0:
        return OrderStatus.FILLED
    # A late fill of a part leaves an order that is over as it is: nothing more can come of it.
    return status if status in FINAL else OrderStatus.PARTLY_FILLED


MODIFICATIONS_MAX = 25
"""So often the venue lets one order be changed. Source: Dhan, orders, "max 25 modifications per order"."""


class OrderInstruction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an order tells the venue to do.

    `limit_price_e4` is set for LIMIT and SL and None for MARKET, `trigger_price_e4` for SL alone. Of
    `disclosed_quantity` units the book shows (0: all). An `after_market` order waits for the next session.
    """

    instrument: InstrumentKey
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    product: Product
    time_in_force: TimeInForce = TimeInForce.DAY
    trigger_price_e4: int | None = None
    disclosed_quantity: int = 0
    after_market: bool = False


BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
INSTALLATION_CODE_LENGTH = 3
_HASH_LENGTH = 20
_CHECK_LENGTH = 2


def _base62(data: bytes, length: int) -> str:
    number = int.from_bytes(sha256(data).digest(), "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(digits)


def installation_code(installation: str) -> str:
    """Return the three characters that keep the ids of *installation* apart from those of another one."""
    return _base62(installation.encode(), INSTALLATION_CODE_LENGTH)


def correlation_id_of(order_id: OrderId, *, code: str) -> CorrelationId:
    """Return the venue's name for *order_id*: known after any crash, because nothing random is in it.

    *code* is the `installation_code`; a restored backup has another one, so its ids never meet the first one's.
    """
    body = code + _base62(order_id.encode(), _HASH_LENGTH)
    return CorrelationId(body + _base62(body.encode(), _CHECK_LENGTH))


def is_correlation_id_of_ours(text: str, *, code: str) -> bool:
    """Tell whether *text* is a correlation id that this installation issued (check characters included)."""
    body, check = text[:-_CHECK_LENGTH], text[-_CHECK_LENGTH:]
    return (
        len(text) == INSTALLATION_CODE_LENGTH + _HASH_LENGTH + _CHECK_LENGTH
        and body.startswith(code)
        and _base62(body.encode(), _CHECK_LENGTH) == check
    )
