"""What can happen to an account. Stored for ever: a changed meaning is a new name and an upcaster."""

from enum import StrEnum

import msgspec

from domain.ids import (
    AccountId,
    CorrelationId,
    OrderId,
    TradeId,
    UserId,
    VenueFillId,
    VenueOrderId,
    joined_fill_id,
)
from domain.instrument import InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import NotSentReason, OrderInstruction, Product, Purpose, RefusalReason, Side
from domain.risk import DenialCode, RiskParameters


class AccountMode(StrEnum):
    """Whether an account's orders go to the simulator or to the broker."""

    PAPER = "paper"
    LIVE = "live"


class ExitCause(StrEnum):
    """Why a trade is being closed."""

    STOP_LOSS = "stop_loss"
    TARGET = "target"
    MANUAL = "manual"


class Evidence(StrEnum):
    """How the venue's word about an order reached us."""

    ANSWER = "answer"
    CORRELATION_LOOKUP = "correlation_lookup"
    ORDER_BOOK = "order_book"


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True, tag="account.opened.v1"):
    """An account came to be. It has no personal data: who its owner is stands in the user's own stream."""

    account_id: AccountId
    owner_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters


class RiskParametersChanged(msgspec.Struct, frozen=True, kw_only=True, tag="account.risk_parameters_changed.v1"):
    """New limits, whole, in force from this event on."""

    parameters: RiskParameters


class KillSwitchEngaged(msgspec.Struct, frozen=True, kw_only=True, tag="account.kill_switch_engaged.v1"):
    """Entries are blocked and resting entries canceled until the switch is released."""

    reason: str


class KillSwitchReleased(msgspec.Struct, frozen=True, kw_only=True, tag="account.kill_switch_released.v1"):
    """Entries are allowed again."""


class TradeOpened(msgspec.Struct, frozen=True, kw_only=True, tag="trade.opened.v1"):
    """An intent passed every check and became a trade. `market` is what the checks saw."""

    trade_id: TradeId
    user_id: UserId
    symbol: str
    multiplier: int
    entry: OrderInstruction
    stop_loss_e4: int | None
    target_e4: int | None
    market: MarketSnapshot


class OrderDenied(msgspec.Struct, frozen=True, kw_only=True, tag="order.denied.v1"):
    """An intent that our own risk check refused: the limit, the value that met it, and what the check saw."""

    trade_id: TradeId
    user_id: UserId
    symbol: str
    entry: OrderInstruction
    stop_loss_e4: int | None
    target_e4: int | None
    code: DenialCode
    limit: str
    value: str
    market: MarketSnapshot


class OrderIntended(msgspec.Struct, frozen=True, kw_only=True, tag="order.intended.v1"):
    """An order shall be sent. After `not_after_ns` (market clock) it is too old to send; None: never too old."""

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    not_after_ns: int | None


class OrderSubmitting(msgspec.Struct, frozen=True, kw_only=True, tag="order.submitting.v1"):
    """The sender with lease *sender_epoch* is about to send. Durable before the first byte leaves."""

    order_id: OrderId
    trade_id: TradeId
    correlation_id: CorrelationId
    sender_epoch: int


class OrderNotSent(msgspec.Struct, frozen=True, kw_only=True, tag="order.not_sent.v2"):
    """It is proven that no byte of the request left: the order is intended again. `detail` is for people."""

    order_id: OrderId
    trade_id: TradeId
    reason: NotSentReason
    detail: str


class OrderAcknowledged(msgspec.Struct, frozen=True, kw_only=True, tag="order.acknowledged.v1"):
    """The venue has the order. `sent_at_ns`: when the request's head had been written; None where a look-up says so."""

    order_id: OrderId
    trade_id: TradeId
    venue_order_id: VenueOrderId
    evidence: Evidence
    sent_at_ns: int | None


class OrderRejected(msgspec.Struct, frozen=True, kw_only=True, tag="order.rejected.v2"):
    """The venue refused: in a well-formed answer, or later in its books, which give no reason of their own."""

    order_id: OrderId
    trade_id: TradeId
    venue_order_id: VenueOrderId | None
    reason: RefusalReason
    message: str
    evidence: Evidence


class OrderOutcomeUnknown(msgspec.Struct, frozen=True, kw_only=True, tag="order.outcome_unknown.v1"):
    """A byte may have left and no well-formed answer came: the venue may have the order. It is looked for."""

    order_id: OrderId
    trade_id: TradeId
    cause: str
    sent_at_ns: int | None


class OrderPresumedAbsent(msgspec.Struct, frozen=True, kw_only=True, tag="order.presumed_absent.v1"):
    """*lookups* fresh answers from two sources over a window did not show the order. It is watched for all the same."""

    order_id: OrderId
    trade_id: TradeId
    lookups: int


class OrderLapsed(msgspec.Struct, frozen=True, kw_only=True, tag="order.lapsed.v1"):
    """Too old to send. Nothing was sent."""

    order_id: OrderId
    trade_id: TradeId


class OrderBlocked(msgspec.Struct, frozen=True, kw_only=True, tag="order.blocked.v1"):
    """The kill switch was engaged, or the trade's exit began, before the entry was sent. Nothing was sent."""

    order_id: OrderId
    trade_id: TradeId


class OrderCancelRequested(msgspec.Struct, frozen=True, kw_only=True, tag="order.cancel_requested.v1"):
    """The order shall be canceled as soon as the venue is known to have it."""

    order_id: OrderId
    trade_id: TradeId


class OrderCanceled(msgspec.Struct, frozen=True, kw_only=True, tag="order.canceled.v1"):
    """The venue's word: canceled, with what was filled before."""

    order_id: OrderId
    trade_id: TradeId


class OrderExpired(msgspec.Struct, frozen=True, kw_only=True, tag="order.expired.v1"):
    """The venue's word: the order's time in force ended."""

    order_id: OrderId
    trade_id: TradeId


class OrderFilled(msgspec.Struct, frozen=True, kw_only=True, tag="order.filled.v2"):
    """One execution of an order, and what it did to the trade.

    `venue_trade_number` is the venue's number of it, which is unique only together with the segment and the venue's
    order id; both are None where the venue has ids of another form.

    `last_quantity` units at `last_price_e4`, worth `value_paise`; `cumulative_quantity` and `leaves_quantity` after it.
    Of the units, `closed_quantity` closed what the trade held, at a cost of `closed_cost_paise`, and realised
    `realised_paise`; the others opened at a cost of `opened_cost_paise`. Costs are signed: positive for a long,
    negative for a short. So a holding's quantity grows by `side.sign * last_quantity` and its cost by opened less
    closed.
    """

    order_id: OrderId
    trade_id: TradeId
    venue_segment: str | None = None
    venue_trade_number: str
    venue_order_id: VenueOrderId | None = None
    instrument: InstrumentKey
    product: Product
    side: Side
    purpose: Purpose
    last_quantity: int
    last_price_e4: int
    value_paise: int
    cumulative_quantity: int
    leaves_quantity: int
    opened_cost_paise: int
    closed_quantity: int
    closed_cost_paise: int
    realised_paise: int
    filled_at_ns: int
    trading_day: str

    @property
    def venue_fill_id(self) -> VenueFillId:
        """What tells this execution from every other one."""
        return joined_fill_id(self.venue_segment, self.venue_trade_number, self.venue_order_id)


class TradeExitTriggered(msgspec.Struct, frozen=True, kw_only=True, tag="trade.exit_triggered.v1"):
    """The trade shall be closed. `mark` is the tick that caused it, None where a person asked."""

    trade_id: TradeId
    cause: ExitCause
    mark: Mark | None


class TradeClosed(msgspec.Struct, frozen=True, kw_only=True, tag="trade.closed.v1"):
    """The trade holds nothing and none of its orders can fill. Its result is final, short of a late fill."""

    trade_id: TradeId
    cause: ExitCause | None
    entry_quantity: int
    realised_paise: int


AccountEvent = (
    AccountOpened
    | RiskParametersChanged
    | KillSwitchEngaged
    | KillSwitchReleased
    | TradeOpened
    | OrderDenied
    | OrderIntended
    | OrderSubmitting
    | OrderNotSent
    | OrderAcknowledged
    | OrderRejected
    | OrderOutcomeUnknown
    | OrderPresumedAbsent
    | OrderLapsed
    | OrderBlocked
    | OrderCancelRequested
    | OrderCanceled
    | OrderExpired
    | OrderFilled
    | TradeExitTriggered
    | TradeClosed
)
