"""What can be asked of an account. Time, ids, prices and limits come with the command."""

import msgspec

from domain.account.events import AccountMode, Evidence
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import NotSentReason, OrderStatus, OrderType, Product, RefusalReason, Side, TimeInForce
from domain.risk import RiskParameters


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Make the account. Asked once, together with the registration of its owner."""

    account_id: AccountId
    owner_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters


class SetRiskParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Put new limits in force, whole."""

    user_id: UserId
    parameters: RiskParameters


class EngageKillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Block entries, and cancel those that rest."""

    user_id: UserId
    reason: str


class ReleaseKillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Allow entries again."""

    user_id: UserId


class OpenTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Open a trade, if every check passes. `entry_life_ns` is how long its entry may wait to be sent (market clock)."""

    trade_id: TradeId
    user_id: UserId
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    product: Product
    time_in_force: TimeInForce
    stop_loss_e4: int | None
    target_e4: int | None
    entry_life_ns: int
    market: MarketSnapshot


class ClosePosition(msgspec.Struct, frozen=True, kw_only=True):
    """Close every open trade in one instrument and product."""

    user_id: UserId
    instrument: InstrumentKey
    product: Product


class TriggerExit(msgspec.Struct, frozen=True, kw_only=True):
    """Close a trade because *mark* reached its stop or target, or send the next exit where the last one failed."""

    trade_id: TradeId
    mark: Mark


class BeginSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """Let the holder of lease *sender_epoch* send an order now, if it still may be sent."""

    order_id: OrderId
    correlation_id: CorrelationId
    sender_epoch: int
    market_time_ns: int


class RecordNotSent(msgspec.Struct, frozen=True, kw_only=True):
    """The transport proved that no byte left. `detail` is for people."""

    order_id: OrderId
    reason: NotSentReason
    detail: str


class RecordAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The venue answered with its id for the order."""

    order_id: OrderId
    venue_order_id: VenueOrderId
    sent_at_ns: int


class RecordRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The venue answered with a well-formed refusal."""

    order_id: OrderId
    reason: RefusalReason
    message: str


class RecordUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """No well-formed answer came to an order that may have been sent."""

    order_id: OrderId
    cause: str
    sent_at_ns: int | None


class RecordVenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's books show the order. `status` and `cumulative_quantity` are the venue's."""

    order_id: OrderId
    venue_order_id: VenueOrderId
    status: OrderStatus
    cumulative_quantity: int
    message: str
    evidence: Evidence


class RecordFill(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's trade book shows an execution of the order."""

    order_id: OrderId
    venue_fill_id: VenueFillId
    quantity: int
    price_e4: int
    filled_at_ns: int


class PresumeAbsent(msgspec.Struct, frozen=True, kw_only=True):
    """*lookups* fresh answers from two sources, over a window, did not show an unknown order."""

    order_id: OrderId
    lookups: int


AccountCommand = (
    OpenAccount
    | SetRiskParameters
    | EngageKillSwitch
    | ReleaseKillSwitch
    | OpenTrade
    | ClosePosition
    | TriggerExit
    | BeginSubmission
    | RecordNotSent
    | RecordAccepted
    | RecordRefused
    | RecordUnknown
    | RecordVenueOrder
    | RecordFill
    | PresumeAbsent
)
