"""What can happen to an account. Stored for ever: a changed meaning is a new name and an upcaster."""

from enum import StrEnum

import msgspec

from domain.charges import NO_CHARGES, Charges
from domain.contract_note import LineDifference, NotedOrder
from domain.differences import DifferenceEnd, DifferenceKind, difference_name
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
    joined_fill_id,
)
from domain.instrument import InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import ModifyCause, NotSentReason, OrderInstruction, Product, Purpose, RefusalReason, Side
from domain.preopen import CheckedPoint
from domain.risk import BreachAction, BreachKind, DenialCode, Invariant, RiskParameters


class AccountMode(StrEnum):
    """Whether an account's orders go to the simulator or to the broker."""

    PAPER = "paper"
    LIVE = "live"


class Role(StrEnum):
    """What a member of an account may do; each may do what those after it may."""

    OWNER = "owner"
    """Say who the members are, set limits, take switches and latches off, move cash."""
    TRADER = "trader"
    """Trade, close, and stop trading."""
    VIEWER = "viewer"
    """Look."""


class ExitCause(StrEnum):
    """Why a trade is being closed."""

    STOP_LOSS = "stop_loss"
    TARGET = "target"
    MANUAL = "manual"
    FLIP = "flip"
    """An intent the other way, which closes before it opens."""
    SQUARE_OFF = "square_off"
    """An intraday trade at the end of its session."""
    KILL_SWITCH = "kill_switch"
    RISK_BREACH = "risk_breach"
    BASKET = "basket"
    """Another leg of its basket failed."""


class ProtectionMode(StrEnum):
    """Who holds a trade's stop loss."""

    RESTING = "resting"
    """A stop order rests at the venue; the engine watches the target."""
    ENGINE = "engine"
    """The engine watches both, and nothing rests. Before there were stop orders, every trade was so."""


class KillMode(StrEnum):
    """What a kill switch does besides blocking entries."""

    HALT = "halt"
    """Resting entries are canceled; stops stay."""
    FLATTEN = "flatten"
    """Halt, and close what is open, trade by trade."""


class BasketPolicy(StrEnum):
    """What becomes of a basket of which a leg fails."""

    CONTINUE = "continue"
    """The other legs go on."""
    STOP = "stop"
    """Legs not sent yet stay unsent; what is filled is kept."""
    UNWIND = "unwind"
    """Likewise, and what is filled is closed."""


class Trailing(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that follows the best price at `distance_e4`, in steps of `step_e4` at least (1/10,000 rupee)."""

    distance_e4: int
    step_e4: int


class BasketLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of a basket. Legs of one `rank` are sent together, those of the next when all of these have filled."""

    trade_id: TradeId
    rank: int


class CorporateAdjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as a corporate action leaves it: its cost stays, its quantity and its levels change."""

    trade_id: TradeId
    net_quantity: int
    stop_loss_e4: int | None
    target_e4: int | None


class Evidence(StrEnum):
    """How the venue's word about an order reached us."""

    ANSWER = "answer"
    CORRELATION_LOOKUP = "correlation_lookup"
    ORDER_BOOK = "order_book"
    DAY_END = "day_end"
    """The order's day is over, and the venue never showed it."""
    OPERATOR = "operator"
    """A person looked at the venue by other means. The book has to bear it out."""


class OrderResolution(StrEnum):
    """What an operator says of an order in doubt."""

    ABSENT = "absent"
    """The broker does not have it."""
    AT_BROKER = "at_broker"
    """The broker has it, under an id that the operator names."""


class AccountOpened(msgspec.Struct, frozen=True, kw_only=True, tag="account.opened.v1"):
    """An account came to be. It has no personal data: who its owner is stands in the user's own stream."""

    account_id: AccountId
    owner_id: UserId
    mode: AccountMode
    currency: str
    parameters: RiskParameters


class MemberSet(msgspec.Struct, frozen=True, kw_only=True, tag="account.member_set.v1"):
    """A user is a member of the account in this role from now on, whatever their role was. `set_by` said so."""

    member_id: UserId
    role: Role
    set_by: UserId


class MemberRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="account.member_removed.v1"):
    """A user is no member of the account any more. `removed_by` said so: an owner, or the member."""

    member_id: UserId
    removed_by: UserId


class RiskParametersChanged(msgspec.Struct, frozen=True, kw_only=True, tag="account.risk_parameters_changed.v1"):
    """New limits, whole, in force from this event on."""

    parameters: RiskParameters


class KillSwitchEngaged(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="account.kill_switch_engaged.v1"
):
    """Entries are blocked and resting entries canceled until the switch is released.

    `strategy_id` names the strategy that it is for; None: the whole account.
    """

    reason: str
    strategy_id: StrategyId | None = None
    mode: KillMode = KillMode.HALT


class KillSwitchReleased(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="account.kill_switch_released.v1"
):
    """Entries are allowed again, of the strategy or (None) of the account."""

    strategy_id: StrategyId | None = None


class FlattenFinished(msgspec.Struct, frozen=True, kw_only=True, tag="account.flatten_finished.v1"):
    """The venue's positions confirm what a flattening switch left open: nothing, where `remaining` is empty."""

    strategy_id: StrategyId | None
    remaining: tuple[TradeId, ...]


class RiskBreached(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="account.risk_breached.v1"):
    """The day's loss or the drawdown reached its limit. It holds to the next session, even if the result recovers.

    `value_paise` is what met `limit_paise`, and `marks` are the prices it was seen at.
    """

    kind: BreachKind
    action: BreachAction
    limit_paise: int
    value_paise: int
    trading_day: str
    marks: tuple[Mark, ...] = ()


class RiskBreachReleased(msgspec.Struct, frozen=True, kw_only=True, tag="account.risk_breach_released.v1"):
    """A person allows entries again although the limit was reached today."""

    kind: BreachKind
    user_id: UserId
    reason: str


class InvariantBreached(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="account.invariant_breached.v1"
):
    """Something that always holds did not. Entries are denied until a person has looked and releases it.

    `subject` is what it does not hold of: a trade, an order, a position, or `account`; `expected` and `seen` are for
    people. `version` is the place in the stream of the event that broke it, which lies in the same append before this
    one. A decision of our own that would have broken it is not stored (`is_prevented`): then `version` is the place of
    the last event before it.
    """

    invariant: Invariant
    subject: str
    expected: str
    seen: str
    version: int
    is_prevented: bool = False
    trade_ids: tuple[TradeId, ...] = ()
    order_ids: tuple[OrderId, ...] = ()


class InvariantReleased(msgspec.Struct, frozen=True, kw_only=True, tag="account.invariant_released.v1"):
    """A person has looked at the breaches of an invariant and allows entries again."""

    invariant: Invariant
    user_id: UserId
    reason: str


class PreopenChecked(msgspec.Struct, frozen=True, kw_only=True, tag="account.preopen_checked.v1"):
    """It was looked at what could keep the account from trading on `trading_day`.

    `number` counts the records of the day, from 1: each but the first says that other points fail than before.
    """

    trading_day: str
    number: int
    points: tuple[CheckedPoint, ...]


class CashMoved(msgspec.Struct, frozen=True, kw_only=True, tag="account.cash_moved.v1"):
    """Money came in (positive) or went out. It is no result: drawdown does not see it."""

    amount_paise: int
    reason: str
    trading_day: str


class IntentsSuppressed(msgspec.Struct, frozen=True, kw_only=True, tag="account.intents_suppressed.v1"):
    """A storm of intents met the intake limit: so many were turned away unrecorded since the last such event."""

    count: int
    since_ns: int
    until_ns: int


class ContractNoteReceived(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="account.contract_note.v1"
):
    """What the broker says that it charged on a day, beside what we booked, and why it differs. It changes no result.

    `number` counts the notes of the day, from 1: each replaces the one before. A note of many orders is several events:
    parts 1 … `part_count`, each with all `lines` of the day and some of its `orders`. `fingerprint` names what was
    compared: the broker's rows, and ours.
    """

    trading_day: str
    number: int
    part: int = 1
    part_count: int = 1
    fingerprint: str
    lines: tuple[LineDifference, ...]
    orders: tuple[NotedOrder, ...]


class CorporateActionApplied(msgspec.Struct, frozen=True, kw_only=True, tag="account.corporate_action.v1"):
    """A split or bonus: *numerator* units for every *denominator* held. `trades` are the open trades as it leaves them.

    Source: exchange circular named by `action_id`.
    """

    action_id: str
    instrument: InstrumentKey
    numerator: int
    denominator: int
    effective_on: str
    trades: tuple[CorporateAdjustment, ...]


class DifferenceFound(msgspec.Struct, frozen=True, kw_only=True, tag="account.difference_found.v1"):
    """The venue's books show something otherwise than ours; once more under the same id where it is another by now.

    `subject` is the id of the order or execution that it is about, empty where instrument and product say it. `ours`
    and `theirs` are what each side has, for people; `quantity` is how many units more the venue holds, None where it
    is no position. While one that `gates` is open, entries of the account are denied.
    """

    difference_id: DifferenceId
    kind: DifferenceKind
    subject: str
    instrument: InstrumentKey | None
    product: Product | None
    symbol: str
    ours: str
    theirs: str
    quantity: int | None
    cause: str
    repair: str
    gates: bool

    @property
    def name(self) -> str:
        """What it is about, as of `domain.differences.Finding`."""
        return difference_name(self.kind, self.subject, self.instrument, self.product)


class DifferenceClosed(msgspec.Struct, frozen=True, kw_only=True, tag="account.difference_closed.v1"):
    """A difference is over. `user_id` is who resolved it, None where the engine closed it by itself."""

    difference_id: DifferenceId
    how: DifferenceEnd
    user_id: UserId | None
    reason: str


class BasketOpened(msgspec.Struct, frozen=True, kw_only=True, tag="basket.opened.v1"):
    """Several intents passed every check together and are sent rank by rank."""

    basket_id: BasketId
    user_id: UserId
    legs: tuple[BasketLeg, ...]
    policy: BasketPolicy


class BasketFailed(msgspec.Struct, frozen=True, kw_only=True, tag="basket.failed.v1"):
    """A leg came to nothing or to a part, and the policy was applied to the others."""

    basket_id: BasketId
    failed_trade_id: TradeId
    policy: BasketPolicy


class BasketCompleted(msgspec.Struct, frozen=True, kw_only=True, tag="basket.completed.v1"):
    """Every leg has filled."""

    basket_id: BasketId


class TradeOpened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="trade.opened.v1"):
    """An intent passed every check and became a trade. `market` is what the checks saw.

    `strategy_id` names whose trade it is, None: a person's.
    """

    trade_id: TradeId
    user_id: UserId
    symbol: str
    multiplier: int
    entry: OrderInstruction
    stop_loss_e4: int | None
    target_e4: int | None
    market: MarketSnapshot
    strategy_id: StrategyId | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.ENGINE
    basket_id: BasketId | None = None


class OrderDenied(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order.denied.v1"):
    """An intent that our own risk check refused: the limit, the value that met it, and what the check saw.

    `passing` says, for people, what would have passed; empty where nothing would.
    """

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
    passing: str = ""
    strategy_id: StrategyId | None = None


class TradeChanged(msgspec.Struct, frozen=True, kw_only=True, tag="trade.changed.v1"):
    """A person or strategy moved a trade's levels: all three as they are now. `version` counts the changes, from 2."""

    trade_id: TradeId
    user_id: UserId
    version: int
    stop_loss_e4: int | None
    target_e4: int | None
    trailing: Trailing | None


class TradeReductionAsked(msgspec.Struct, frozen=True, kw_only=True, tag="trade.reduction_asked.v1"):
    """*quantity* units of what the trade holds shall be sold (or bought back); the rest goes on."""

    trade_id: TradeId
    quantity: int
    cause: ExitCause


class StopTrailed(msgspec.Struct, frozen=True, kw_only=True, tag="trade.stop_trailed.v1"):
    """The trade's stop followed the price. `mark` is the tick that moved it."""

    trade_id: TradeId
    stop_loss_e4: int
    best_price_e4: int
    mark: Mark


class ProtectionLapsed(msgspec.Struct, frozen=True, kw_only=True, tag="trade.protection_lapsed.v1"):
    """The session ended and the trade's stop with it: it is unprotected until its stop is placed again."""

    trade_id: TradeId
    order_id: OrderId


class ProtectionFailed(msgspec.Struct, frozen=True, kw_only=True, tag="trade.protection_failed.v1"):
    """The trade's stop cannot be placed, moved or filled by rule: a person has to look. `reason` is for people."""

    trade_id: TradeId
    order_id: OrderId | None
    reason: str


class TradeAdopted(msgspec.Struct, frozen=True, kw_only=True, tag="trade.adopted.v1"):
    """What came from outside in one instrument and product is kept as one external trade, without levels."""

    trade_id: TradeId
    symbol: str
    multiplier: int
    instrument: InstrumentKey
    product: Product
    side: Side
    trading_day: str
    freeze_quantity: int | None = None


class OrderIntended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order.intended.v1"):
    """An order shall be sent. After `not_after_ns` (market clock) it is too old to send; None: never too old.

    `successor_of` names the exit or stop that is presumed absent and whose place it takes, None: it takes nobody's.
    """

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    not_after_ns: int | None
    successor_of: OrderId | None = None


class OrderSubmitting(msgspec.Struct, frozen=True, kw_only=True, tag="order.submitting.v1"):
    """The sender with lease *sender_epoch* is about to send. Durable before the first byte leaves.

    `market_time_ns` is the market clock then, 0 where an earlier release sent it.
    """

    order_id: OrderId
    trade_id: TradeId
    correlation_id: CorrelationId
    sender_epoch: int
    market_time_ns: int = 0


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


class OrderResolved(msgspec.Struct, frozen=True, kw_only=True, tag="order.resolved.v1"):
    """A person said what became of an order in doubt, and why they say so.

    `venue_order_id` is the venue's id of it where the venue has it, and None where it has not.
    """

    order_id: OrderId
    trade_id: TradeId
    user_id: UserId
    resolution: OrderResolution
    venue_order_id: VenueOrderId | None
    reason: str


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


class OrderModifyRequested(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order.modify_requested.v1"
):
    """The order shall become *instruction* as soon as the venue is known to have it.

    `number` counts the order's modifications, from 1. `mark` is the tick that caused it, None where none did.
    """

    order_id: OrderId
    trade_id: TradeId
    number: int
    instruction: OrderInstruction
    cause: ModifyCause
    mark: Mark | None = None


class OrderModified(msgspec.Struct, frozen=True, kw_only=True, tag="order.modified.v1"):
    """The venue's books show the order as *instruction* says."""

    order_id: OrderId
    trade_id: TradeId
    instruction: OrderInstruction


class OrderModifyRefused(msgspec.Struct, frozen=True, kw_only=True, tag="order.modify_refused.v1"):
    """The venue refused the modification: the order stands as it stood."""

    order_id: OrderId
    trade_id: TradeId
    reason: RefusalReason
    message: str


class OrderCanceled(msgspec.Struct, frozen=True, kw_only=True, tag="order.canceled.v1"):
    """The venue's word: canceled, with what was filled before."""

    order_id: OrderId
    trade_id: TradeId


class OrderExpired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order.expired.v1"):
    """The order's time in force ended: by the venue's word (`evidence` None), or because its day is over unseen."""

    order_id: OrderId
    trade_id: TradeId
    evidence: Evidence | None = None


class OrderFilled(msgspec.Struct, frozen=True, kw_only=True, tag="order.filled.v2"):
    """One execution of an order, and what it did to the trade.

    `venue_trade_number` is the venue's number of it, which is unique only together with the segment and the venue's
    order id; both are None where the venue has ids of another form.

    `last_quantity` units at `last_price_e4`, worth `value_paise`; `cumulative_quantity` and `leaves_quantity` after it.
    Of the units, `closed_quantity` closed what the trade held, at a cost of `closed_cost_paise`, and realised
    `realised_paise`; the others opened at a cost of `opened_cost_paise`. Costs are signed: positive for a long,
    negative for a short. So a holding's quantity grows by `side.sign * last_quantity` and its cost by opened less
    closed.

    `charges` is what the tariff of the day added for this fill: what its order comes to with it, less what it had come
    to before, and once a scrip and day the debit of the demat account. They are in no cost and no realised result.
    Before fills were charged there were none.
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
    charges: Charges = NO_CHARGES

    @property
    def venue_fill_id(self) -> VenueFillId:
        """What tells this execution from every other one."""
        return joined_fill_id(self.venue_segment, self.venue_trade_number, self.venue_order_id)


class ForeignFillAllocated(msgspec.Struct, frozen=True, kw_only=True, tag="trade.foreign_fill.v1"):
    """An execution that no order of ours made, or the part of it that fell to this trade: `part` 1, 2 … of it.

    Quantities, costs, results and charges as in `OrderFilled`.
    """

    trade_id: TradeId
    venue_segment: str | None = None
    venue_trade_number: str
    venue_order_id: VenueOrderId | None = None
    part: int
    instrument: InstrumentKey
    product: Product
    side: Side
    last_quantity: int
    last_price_e4: int
    value_paise: int
    opened_cost_paise: int
    closed_quantity: int
    closed_cost_paise: int
    realised_paise: int
    filled_at_ns: int
    trading_day: str
    charges: Charges = NO_CHARGES

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
    | MemberSet
    | MemberRemoved
    | RiskParametersChanged
    | KillSwitchEngaged
    | KillSwitchReleased
    | FlattenFinished
    | RiskBreached
    | RiskBreachReleased
    | InvariantBreached
    | InvariantReleased
    | PreopenChecked
    | CashMoved
    | IntentsSuppressed
    | ContractNoteReceived
    | CorporateActionApplied
    | DifferenceFound
    | DifferenceClosed
    | BasketOpened
    | BasketFailed
    | BasketCompleted
    | TradeOpened
    | OrderDenied
    | TradeChanged
    | TradeReductionAsked
    | StopTrailed
    | ProtectionLapsed
    | ProtectionFailed
    | TradeAdopted
    | OrderIntended
    | OrderSubmitting
    | OrderNotSent
    | OrderAcknowledged
    | OrderRejected
    | OrderOutcomeUnknown
    | OrderPresumedAbsent
    | OrderResolved
    | OrderLapsed
    | OrderBlocked
    | OrderCancelRequested
    | OrderModifyRequested
    | OrderModified
    | OrderModifyRefused
    | OrderCanceled
    | OrderExpired
    | OrderFilled
    | ForeignFillAllocated
    | TradeExitTriggered
    | TradeClosed
)
