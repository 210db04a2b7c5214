"""What can be asked of an account. Time, ids, prices and limits come with the command."""

import msgspec

from domain.account.events import (
    AccountMode,
    BasketPolicy,
    Evidence,
    KillMode,
    OrderResolution,
    ProtectionMode,
    Role,
    Trailing,
)
from domain.charges import Tariff
from domain.contract_note import ChargedOrder, NotedFill, Rates
from domain.differences import Book, Finding
from domain.ids import (
    AccountId,
    BasketId,
    CorrelationId,
    DifferenceId,
    OrderId,
    StrategyId,
    TradeId,
    UserId,
    VenueFillId,
    VenueOrderId,
)
from domain.instrument import Instrument, InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import (
    NotSentReason,
    OrderStatus,
    OrderType,
    Product,
    RefusalReason,
    Side,
    TimeInForce,
)
from domain.preopen import CheckedPoint
from domain.risk import BreachKind, Invariant, RiskParameters


class OpenAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Make the account. Asked once, together with the registration of its owner."""

    account_id: AccountId
    owner_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters


class SetMember(msgspec.Struct, frozen=True, kw_only=True):
    """Make *member_id*, who is known to be a user, a member, or give them another role."""

    user_id: UserId
    member_id: UserId
    role: Role


class RemoveMember(msgspec.Struct, frozen=True, kw_only=True):
    """Let somebody be a member no more. Every member may leave."""

    user_id: UserId
    member_id: UserId


class SetRiskParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Put new limits in force, whole."""

    user_id: UserId
    parameters: RiskParameters


class EngageKillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Block entries of a strategy or (None) of the account, cancel those that rest, and close what is open if asked."""

    user_id: UserId
    reason: str
    strategy_id: StrategyId | None = None
    mode: KillMode = KillMode.HALT


class ReleaseKillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """Allow entries again, of a strategy or (None) of the account."""

    user_id: UserId
    strategy_id: StrategyId | None = None


class ConfirmFlat(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's net quantities, by instrument and product, read after a flattening switch had closed its trades."""

    strategy_id: StrategyId | None
    net_quantities: tuple[tuple[InstrumentKey, Product, int], ...]


class ObserveResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what the account made against its limits on losses. `market` carries the valuation.

    `is_confirmed` tells that a second tick, or a second of time, confirmed what is seen: only then a breach acts.
    """

    market: MarketSnapshot
    is_confirmed: bool


class ReleaseBreach(msgspec.Struct, frozen=True, kw_only=True):
    """Allow entries again although a limit on losses was reached today."""

    user_id: UserId
    kind: BreachKind
    reason: str


class ReleaseInvariant(msgspec.Struct, frozen=True, kw_only=True):
    """Allow entries again although an invariant was breached: somebody has looked."""

    user_id: UserId
    invariant: Invariant
    reason: str


class InspectAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the whole account against the invariants, as after a reconciliation, and not only what changes."""


class RecordPreopenCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at before the market opened on `trading_day`, and how each point stood."""

    trading_day: str
    points: tuple[CheckedPoint, ...]


class MoveCash(msgspec.Struct, frozen=True, kw_only=True):
    """Record money that came in (positive) or went out (negative), in paise."""

    user_id: UserId
    amount_paise: int
    reason: str
    market_time_ns: int


class RecordSuppressedIntents(msgspec.Struct, frozen=True, kw_only=True):
    """Record that *count* intents met the intake limit between two times (UTC nanoseconds)."""

    count: int
    since_ns: int
    until_ns: int


class RecordContractNote(msgspec.Struct, frozen=True, kw_only=True):
    """Record what the broker says that it charged on a day, as its note *number* of that day.

    *booked* is what the log has of the day, *told* the broker's rows, *fingerprint* names both. *rates* is what the
    orders are charged by, as far as that is known.
    """

    trading_day: str
    number: int
    fingerprint: str
    booked: tuple[ChargedOrder, ...]
    told: tuple[NotedFill, ...]
    rates: dict[VenueOrderId, Rates]


class ApplyCorporateAction(msgspec.Struct, frozen=True, kw_only=True):
    """Adjust what is open in an instrument: *numerator* units for every *denominator* held."""

    action_id: str
    instrument: Instrument
    numerator: int
    denominator: int
    effective_on: str


class OpenTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Open a trade, if every check passes. `entry_life_ns` is how long its entry may wait to be sent (market clock).

    What its strategy (None: a person) holds the other way in the same instrument and product is closed first: only what
    goes beyond it is opened.
    """

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
    trigger_price_e4: int | None = None
    disclosed_quantity: int = 0
    after_market: bool = False
    strategy_id: StrategyId | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.RESTING


class OpenBasket(msgspec.Struct, frozen=True, kw_only=True):
    """Open several trades, all or none of them by risk: `ranks` gives each leg's turn, 0 first."""

    basket_id: BasketId
    user_id: UserId
    legs: tuple[OpenTrade, ...]
    ranks: tuple[int, ...]
    policy: BasketPolicy


class ChangeTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Change a trade that is at *expected_version*. A field that is UNSET stays as it is, None takes a level away.

    The entry's own fields can be changed as long as it rests.
    """

    trade_id: TradeId
    user_id: UserId
    expected_version: int
    market: MarketSnapshot
    stop_loss_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    target_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    trailing: Trailing | msgspec.UnsetType | None = msgspec.UNSET
    quantity: int | msgspec.UnsetType = msgspec.UNSET
    order_type: OrderType | msgspec.UnsetType = msgspec.UNSET
    limit_price_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    trigger_price_e4: int | msgspec.UnsetType | None = msgspec.UNSET


class CancelTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel what of a trade's entry has not filled. What has filled stays."""

    trade_id: TradeId
    user_id: UserId


class CloseTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Close a trade, or *quantity* units of it."""

    trade_id: TradeId
    user_id: UserId
    quantity: int | None = None


class ClosePosition(msgspec.Struct, frozen=True, kw_only=True):
    """Close every open trade in one instrument and product, or those of one strategy."""

    user_id: UserId
    instrument: InstrumentKey
    product: Product
    strategy_id: StrategyId | None = None


class CloseAll(msgspec.Struct, frozen=True, kw_only=True):
    """Close every open trade of the account, or of one strategy. External trades are left alone unless asked for."""

    user_id: UserId
    strategy_id: StrategyId | None = None
    includes_external: bool = False


class TriggerExit(msgspec.Struct, frozen=True, kw_only=True):
    """Close a trade because *mark* reached its stop or target, or send the next exit where the last one failed."""

    trade_id: TradeId
    mark: Mark


class TrailStop(msgspec.Struct, frozen=True, kw_only=True):
    """Let a trade's stop follow *mark*."""

    trade_id: TradeId
    mark: Mark


class RepriceStop(msgspec.Struct, frozen=True, kw_only=True):
    """The price went through a resting stop and it did not fill: give it another limit, at the market of *mark*."""

    trade_id: TradeId
    mark: Mark


class ProtectTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Place a trade's stop, or bring it to size and level, where it is not so already. At `mark` gaps are seen."""

    trade_id: TradeId
    mark: Mark | None


class SquareOff(msgspec.Struct, frozen=True, kw_only=True):
    """Close an intraday trade before its session ends."""

    trade_id: TradeId


class BeginSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """Let the holder of lease *sender_epoch* send an order now, if it still may be sent.

    Without `may_enter` the sender has not held the venue's books against ours yet, and entries wait.
    """

    order_id: OrderId
    correlation_id: CorrelationId
    sender_epoch: int
    market_time_ns: int
    may_enter: bool = True


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


class RecordModifyRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The venue answered a modification with a well-formed refusal."""

    order_id: OrderId
    number: int
    reason: RefusalReason
    message: str


class RecordVenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's books show the order. `status` and `cumulative_quantity` are the venue's.

    `quantity`, `order_type` and the prices are what its books say now, None where they were not read.
    """

    order_id: OrderId
    venue_order_id: VenueOrderId
    status: OrderStatus
    cumulative_quantity: int
    message: str
    evidence: Evidence
    quantity: int | None = None
    order_type: OrderType | None = None
    limit_price_e4: int | None = None
    trigger_price_e4: int | None = None


class RecordForeignFill(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's trade book shows an execution that no order of ours made.

    `adopted_as` names the external trade that is made of it where none is there yet; `tariff` as in `RecordFill`.
    """

    adopted_as: TradeId
    venue_fill_id: VenueFillId
    instrument: Instrument
    product: Product
    side: Side
    quantity: int
    price_e4: int
    filled_at_ns: int
    tariff: Tariff | None = None


class RecordDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's books were held against ours. `found` is all that is otherwise, `read` the books that could be read.

    `repaired` is what was otherwise and has been taken into our books meanwhile, `suspected` names what is still to be
    looked at again: an open difference of that name stays as it is. Open ones that could have been seen and were not
    are over.
    """

    found: tuple[Finding, ...]
    read: frozenset[Book]
    repaired: tuple[Finding, ...] = ()
    suspected: frozenset[str] = frozenset()


class RecordConversion(msgspec.Struct, frozen=True, kw_only=True):
    """A position was converted from one product to another at the venue: one finding a product, which add up to 0.

    `adopted_as` names for each the external trade that is made of it where none is there yet. `now_ns` is the market
    clock.
    """

    instrument: Instrument
    findings: tuple[Finding, ...]
    adopted_as: tuple[TradeId, ...]
    now_ns: int


class ResolveDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Take what the venue shows as it is. A position is adopted into the external trade at *price_e4*.

    `instrument` is that of the position, None where the instrument master has none or it is no position; `price_e4` is
    None where nobody knows one. `now_ns` is the market clock.
    """

    difference_id: DifferenceId
    user_id: UserId
    reason: str
    adopted_as: TradeId
    now_ns: int
    instrument: Instrument | None = None
    price_e4: int | None = None


class RecordFill(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's trade book shows an execution of the order.

    `tariff` is what is charged for such an order on the day of the execution, None: nothing is.
    """

    order_id: OrderId
    venue_fill_id: VenueFillId
    quantity: int
    price_e4: int
    filled_at_ns: int
    tariff: Tariff | None = None


class PresumeAbsent(msgspec.Struct, frozen=True, kw_only=True):
    """*lookups* fresh answers from two sources, over a window, did not show an unknown order."""

    order_id: OrderId
    lookups: int


class RecordDayEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's day of an order is over, and nothing showed it: neither its last book nor, later, its history."""

    order_id: OrderId


class SucceedExit(msgspec.Struct, frozen=True, kw_only=True):
    """An exit or stop of a trade is presumed absent: let another take its place, for what is open at the venue at most.

    `net_quantity` is what the venue's positions, read just now, show in the trade's instrument and product (signed).
    """

    trade_id: TradeId
    net_quantity: int


class ResolveOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Take a person's word on an order in doubt. `venue_order_id` is the venue's id where it has it, else None."""

    order_id: OrderId
    user_id: UserId
    resolution: OrderResolution
    venue_order_id: VenueOrderId | None
    reason: str


class DoubtOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's book does not bear out an operator's word that it has the order as *venue_order_id*."""

    order_id: OrderId
    venue_order_id: VenueOrderId
    cause: str


AccountCommand = (
    OpenAccount
    | SetMember
    | RemoveMember
    | SetRiskParameters
    | EngageKillSwitch
    | ReleaseKillSwitch
    | ConfirmFlat
    | ObserveResult
    | ReleaseBreach
    | ReleaseInvariant
    | InspectAccount
    | RecordPreopenCheck
    | MoveCash
    | RecordSuppressedIntents
    | RecordContractNote
    | ApplyCorporateAction
    | OpenTrade
    | OpenBasket
    | ChangeTrade
    | CancelTrade
    | CloseTrade
    | ClosePosition
    | CloseAll
    | TriggerExit
    | TrailStop
    | RepriceStop
    | ProtectTrade
    | SquareOff
    | BeginSubmission
    | RecordNotSent
    | RecordAccepted
    | RecordRefused
    | RecordUnknown
    | RecordModifyRefused
    | RecordVenueOrder
    | RecordForeignFill
    | RecordFill
    | PresumeAbsent
    | RecordDifferences
    | RecordConversion
    | ResolveDifference
    | RecordDayEnd
    | SucceedExit
    | ResolveOrder
    | DoubtOrder
)
