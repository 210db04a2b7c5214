"""One good specimen of each command and event; a test changes the one field that matters.

The market stands at 2026-11-20 10:00 in India, Reliance at 2,850.00 rupees. `msgspec.structs.replace` makes any other.
"""

from msgspec.structs import replace

from domain.account.commands import (
    BeginSubmission,
    ClosePosition,
    DoubtOrder,
    EngageKillSwitch,
    OpenAccount,
    OpenTrade,
    PresumeAbsent,
    RecordAccepted,
    RecordDayEnd,
    RecordFill,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
    ReleaseKillSwitch,
    ResolveOrder,
    SetRiskParameters,
    SucceedExit,
    TriggerExit,
)
from domain.account.events import (
    AccountMode,
    AccountOpened,
    BasketCompleted,
    BasketFailed,
    BasketLeg,
    BasketOpened,
    BasketPolicy,
    CashMoved,
    ContractNoteReceived,
    CorporateActionApplied,
    CorporateAdjustment,
    DifferenceClosed,
    DifferenceFound,
    Evidence,
    ExitCause,
    FlattenFinished,
    ForeignFillAllocated,
    IntentsSuppressed,
    InvariantBreached,
    InvariantReleased,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    MemberRemoved,
    MemberSet,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderResolution,
    OrderResolved,
    OrderSubmitting,
    PreopenChecked,
    ProtectionFailed,
    ProtectionLapsed,
    ProtectionMode,
    RiskBreached,
    RiskBreachReleased,
    RiskParametersChanged,
    Role,
    StopTrailed,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    TradeReductionAsked,
    Trailing,
)
from domain.backtest.decide import CompleteBacktest, FailBacktest, RequestBacktest
from domain.backtest.events import BacktestCompleted, BacktestFailed, BacktestFigures, BacktestRequested
from domain.charges import Charges
from domain.contract_note import Cause, LineDifference, Match, NotedCharges, NotedOrder, NoteLine, Share
from domain.differences import RULES, DifferenceEnd, DifferenceKind
from domain.ids import (
    AccountId,
    BacktestId,
    BasketId,
    DifferenceId,
    OrderId,
    StrategyId,
    TradeId,
    UserId,
    VenueFillId,
    VenueOrderId,
)
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.instrument_master import InstrumentsImported
from domain.market import Mark, MarketSnapshot, Valuation, trading_day
from domain.order import (
    ModifyCause,
    NotSentReason,
    OrderInstruction,
    OrderStatus,
    OrderType,
    Product,
    Purpose,
    RefusalReason,
    Side,
    TimeInForce,
    correlation_id_of,
    installation_code,
)
from domain.preopen import CheckedPoint, PointStanding, PreopenPoint
from domain.risk import BreachAction, BreachKind, DenialCode, Invariant, RiskParameters
from domain.session import Phase, SessionMoment
from domain.strategy.decide import (
    ArchiveStrategy,
    DeployStrategy,
    DraftStrategy,
    PauseStrategy,
    RecordBacktest,
    ResumeStrategy,
    ReviseStrategy,
)
from domain.strategy.events import (
    StrategyArchived,
    StrategyBacktested,
    StrategyDeployed,
    StrategyDescribed,
    StrategyDrafted,
    StrategyPaused,
    StrategyResumed,
    StrategyRevised,
)
from domain.user.events import (
    AccountAdded,
    BrokerLinked,
    BrokerUnlinked,
    PasswordChanged,
    ProfileChanged,
    RiskProfile,
    Sealed,
    UserErased,
    UserRegistered,
)
from domain.venue import BreakerChanged, BreakerState

# --- Values -----------------------------------------------------------------------------------------------------------

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NOW_NS = 1_795_149_000 * NS_PER_S
"""2026-11-20 10:00:00 in India."""
DAY_NS = 24 * 3600 * NS_PER_S
TODAY = "2026-11-20"
ENTRY_LIFE_NS = 5 * NS_PER_S

ACCOUNT = AccountId("acc_01J0000000000000000000ASHA")
OWNER = UserId("usr_01J0000000000000000000ASHA")
LIVE_ACCOUNT = AccountId("acc_01J00000000000000000000DHAN")
MEMBER = UserId("usr_01J0000000000000000000RAV1")
STRANGER = UserId("usr_01J000000000000000000BEENA")
TRADE = TradeId("trd_01J00000000000000000000001")
OTHER_TRADE = TradeId("trd_01J00000000000000000000002")
ENTRY = OrderId(f"{TRADE}.1")
EXIT = OrderId(f"{TRADE}.2")
SECOND_EXIT = OrderId(f"{TRADE}.3")
STOP = OrderId(f"{TRADE}.4")
EXTERNAL_TRADE = TradeId("trd_01J00000000000000000000009")
BASKET = BasketId("bsk_01J00000000000000000000001")
VENUE_STOP = VenueOrderId("112111182200")
VENUE_ENTRY = VenueOrderId("112111182198")
VENUE_EXIT = VenueOrderId("112111182199")
CODE = installation_code("khata-of-the-tests")

RELIANCE = InstrumentKey(Segment.NSE_EQ, "2885")
INFY = InstrumentKey(Segment.NSE_EQ, "1594")
reliance = Instrument(
    key=RELIANCE,
    symbol="RELIANCE",
    name="Reliance Industries",
    tradable=True,
    tick_e4=1_000,
    lot=1,
    freeze_quantity=10_000,
)
infy = replace(reliance, key=INFY, symbol="INFY", name="Infosys")
PRICE_E4 = 2_850_0000
mark = Mark(
    instrument=RELIANCE, last_price_e4=PRICE_E4, exchange_time_ns=NOW_NS, received_at_ns=NOW_NS + NS_PER_MS, number=1
)
infy_mark = replace(mark, instrument=INFY, last_price_e4=1_500_0000, number=2)
session = SessionMoment(
    phase=Phase.CONTINUOUS, trading_day=TODAY, continuous_until_ns=NOW_NS + (5 * 3600 + 15 * 60) * NS_PER_S
)
"""Continuous trading ends at a quarter past three."""
market = MarketSnapshot(market_time_ns=NOW_NS, instrument=reliance, marks=(mark,), session=session)
limits = RiskParameters()
wide_limits = RiskParameters(
    open_trades_max=1_000,
    open_orders_max=10_000,
    trades_per_day_max=10_000,
    position_quantity_max=None,
    position_value_paise_max=None,
    gross_exposure_paise_max=10**15,
    net_exposure_paise_max=None,
    day_loss_paise_max=10**12,
    drawdown_paise_max=10**12,
    orders_per_second_max=100_000,
    orders_per_minute_max=100_000,
    orders_per_hour_max=100_000,
    orders_per_day_max=100_000,
)
"""For as many trades as a test wants, all at the same moment."""


def mark_at(price_e4: int, *, later_ms: int = 0) -> Mark:
    """Return Reliance's mark at *price_e4*, *later_ms* milliseconds after ten o'clock."""
    return replace(mark, last_price_e4=price_e4, exchange_time_ns=NOW_NS + later_ms * NS_PER_MS)


def market_at(price_e4: int, *, at_ns: int = NOW_NS) -> MarketSnapshot:
    """Return the market with a fresh mark of Reliance at *price_e4*, in the session that *at_ns* falls into."""
    return replace(
        market,
        market_time_ns=at_ns,
        marks=(replace(mark, last_price_e4=price_e4, exchange_time_ns=at_ns),),
        session=session_at(at_ns),
    )


def session_at(at_ns: int) -> SessionMoment:
    """Return the moment of continuous trading at *at_ns*, which ends as on every day."""
    later_days = (at_ns - NOW_NS) // DAY_NS
    until_ns = NOW_NS + later_days * DAY_NS + (5 * 3600 + 15 * 60) * NS_PER_S
    return replace(session, trading_day=trading_day(at_ns).isoformat(), continuous_until_ns=until_ns)


# --- Commands ---------------------------------------------------------------------------------------------------------

open_account = OpenAccount(
    account_id=ACCOUNT, owner_id=OWNER, mode=AccountMode.PAPER, currency="INR", parameters=limits
)
set_limits = SetRiskParameters(user_id=OWNER, parameters=replace(limits, open_trades_max=1))
engage = EngageKillSwitch(user_id=OWNER, reason="the dog ate the router")
release = ReleaseKillSwitch(user_id=OWNER)
open_trade = OpenTrade(
    trade_id=TRADE,
    user_id=OWNER,
    side=Side.BUY,
    quantity=100,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
    stop_loss_e4=2_800_0000,
    target_e4=2_900_0000,
    entry_life_ns=ENTRY_LIFE_NS,
    market=market,
    protection=ProtectionMode.ENGINE,
)
"""Watched by the engine: what rests at the venue has specimens of its own."""
open_limit = replace(open_trade, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
open_short = replace(open_trade, side=Side.SELL, stop_loss_e4=2_900_0000, target_e4=2_800_0000)
close = ClosePosition(user_id=OWNER, instrument=RELIANCE, product=Product.INTRADAY)
stop_hit = TriggerExit(trade_id=TRADE, mark=mark_at(2_800_0000))
target_hit = TriggerExit(trade_id=TRADE, mark=mark_at(2_900_0000))
begin = BeginSubmission(
    order_id=ENTRY, correlation_id=correlation_id_of(ENTRY, code=CODE), sender_epoch=7, market_time_ns=NOW_NS
)
begin_exit = replace(begin, order_id=EXIT, correlation_id=correlation_id_of(EXIT, code=CODE))
not_sent = RecordNotSent(order_id=ENTRY, reason=NotSentReason.TRANSPORT, detail="connection refused")
accepted = RecordAccepted(order_id=ENTRY, venue_order_id=VENUE_ENTRY, sent_at_ns=NOW_NS)
exit_accepted = replace(accepted, order_id=EXIT, venue_order_id=VENUE_EXIT)
refused = RecordRefused(order_id=ENTRY, reason=RefusalReason.FUNDS, message="Insufficient funds")
unknown = RecordUnknown(order_id=ENTRY, cause="no answer within 5 s", sent_at_ns=NOW_NS)
found = RecordVenueOrder(
    order_id=ENTRY,
    venue_order_id=VENUE_ENTRY,
    status=OrderStatus.ACKNOWLEDGED,
    cumulative_quantity=0,
    message="",
    evidence=Evidence.CORRELATION_LOOKUP,
)
canceled_by_venue = replace(found, status=OrderStatus.CANCELED, evidence=Evidence.ORDER_BOOK)
expired_at_venue = replace(found, status=OrderStatus.EXPIRED, evidence=Evidence.ORDER_BOOK)
rejected_by_venue = replace(found, status=OrderStatus.REJECTED, message="RMS", evidence=Evidence.ORDER_BOOK)
fill = RecordFill(
    order_id=ENTRY,
    venue_fill_id=VenueFillId("f-1"),
    quantity=100,
    price_e4=PRICE_E4,
    filled_at_ns=NOW_NS + NS_PER_S,
)
exit_fill = replace(fill, order_id=EXIT, venue_fill_id=VenueFillId("f-2"), price_e4=2_800_0000)
presume_absent = PresumeAbsent(order_id=ENTRY, lookups=6)
succeed = SucceedExit(trade_id=TRADE, net_quantity=100)
end_of_day = RecordDayEnd(order_id=ENTRY)
resolve_absent = ResolveOrder(
    order_id=ENTRY,
    user_id=OWNER,
    resolution=OrderResolution.ABSENT,
    venue_order_id=None,
    reason="the broker's app does not show it",
)
resolve_at_broker = replace(
    resolve_absent,
    resolution=OrderResolution.AT_BROKER,
    venue_order_id=VENUE_ENTRY,
    reason="the broker's app shows it",
)
doubt_order = DoubtOrder(
    order_id=ENTRY, venue_order_id=VENUE_ENTRY, cause="the broker's book shows another order under this id"
)

# --- Events -----------------------------------------------------------------------------------------------------------

account_opened = AccountOpened(
    account_id=ACCOUNT, owner_id=OWNER, mode=AccountMode.PAPER, currency="INR", parameters=limits
)
limits_changed = RiskParametersChanged(parameters=replace(limits, open_trades_max=1))
kill_switch_engaged = KillSwitchEngaged(reason="the dog ate the router")
kill_switch_released = KillSwitchReleased()
entry_instruction = OrderInstruction(
    instrument=RELIANCE,
    side=Side.BUY,
    quantity=100,
    order_type=OrderType.MARKET,
    limit_price_e4=None,
    product=Product.INTRADAY,
)
exit_instruction = replace(entry_instruction, side=Side.SELL)
trade_opened = TradeOpened(
    trade_id=TRADE,
    user_id=OWNER,
    symbol="RELIANCE",
    multiplier=1,
    entry=entry_instruction,
    stop_loss_e4=2_800_0000,
    target_e4=2_900_0000,
    market=market,
)
order_denied = OrderDenied(
    trade_id=TRADE,
    user_id=OWNER,
    symbol="RELIANCE",
    entry=entry_instruction,
    stop_loss_e4=2_800_0000,
    target_e4=2_900_0000,
    code=DenialCode.QUANTITY_ABOVE_LIMIT,
    limit="99",
    value="100",
    market=market,
)
order_intended = OrderIntended(
    order_id=ENTRY,
    trade_id=TRADE,
    purpose=Purpose.ENTRY,
    instruction=entry_instruction,
    not_after_ns=NOW_NS + ENTRY_LIFE_NS,
)
exit_intended = OrderIntended(
    order_id=EXIT, trade_id=TRADE, purpose=Purpose.EXIT, instruction=exit_instruction, not_after_ns=None
)
exit_succeeds = replace(exit_intended, order_id=SECOND_EXIT, successor_of=EXIT)
order_submitting = OrderSubmitting(
    order_id=ENTRY,
    trade_id=TRADE,
    correlation_id=begin.correlation_id,
    sender_epoch=begin.sender_epoch,
    market_time_ns=begin.market_time_ns,
)
order_not_sent = OrderNotSent(
    order_id=ENTRY, trade_id=TRADE, reason=NotSentReason.TRANSPORT, detail="connection refused"
)
order_acknowledged = OrderAcknowledged(
    order_id=ENTRY, trade_id=TRADE, venue_order_id=VENUE_ENTRY, evidence=Evidence.ANSWER, sent_at_ns=NOW_NS
)
order_found = replace(order_acknowledged, evidence=Evidence.CORRELATION_LOOKUP, sent_at_ns=None)
order_rejected = OrderRejected(
    order_id=ENTRY,
    trade_id=TRADE,
    venue_order_id=None,
    reason=RefusalReason.FUNDS,
    message="Insufficient funds",
    evidence=Evidence.ANSWER,
)
order_outcome_unknown = OrderOutcomeUnknown(
    order_id=ENTRY, trade_id=TRADE, cause="no answer within 5 s", sent_at_ns=NOW_NS
)
order_presumed_absent = OrderPresumedAbsent(order_id=ENTRY, trade_id=TRADE, lookups=6)
order_resolved_absent = OrderResolved(
    order_id=ENTRY,
    trade_id=TRADE,
    user_id=OWNER,
    resolution=OrderResolution.ABSENT,
    venue_order_id=None,
    reason=resolve_absent.reason,
)
order_resolved_at_broker = replace(
    order_resolved_absent,
    resolution=OrderResolution.AT_BROKER,
    venue_order_id=VENUE_ENTRY,
    reason=resolve_at_broker.reason,
)
order_lapsed = OrderLapsed(order_id=ENTRY, trade_id=TRADE)
order_blocked = OrderBlocked(order_id=ENTRY, trade_id=TRADE)
order_cancel_requested = OrderCancelRequested(order_id=ENTRY, trade_id=TRADE)
order_canceled = OrderCanceled(order_id=ENTRY, trade_id=TRADE)
order_expired = OrderExpired(order_id=ENTRY, trade_id=TRADE)
order_never_seen = replace(order_expired, evidence=Evidence.DAY_END)
order_filled = OrderFilled(
    order_id=ENTRY,
    trade_id=TRADE,
    venue_trade_number="f-1",
    instrument=RELIANCE,
    product=Product.INTRADAY,
    side=Side.BUY,
    purpose=Purpose.ENTRY,
    last_quantity=100,
    last_price_e4=PRICE_E4,
    value_paise=285_000_00,
    cumulative_quantity=100,
    leaves_quantity=0,
    opened_cost_paise=285_000_00,
    closed_quantity=0,
    closed_cost_paise=0,
    realised_paise=0,
    filled_at_ns=NOW_NS + NS_PER_S,
    trading_day=TODAY,
)
purchase_charges = Charges(
    brokerage_paise=20_00, exchange_paise=8_46, ipft_paise=29, sebi_paise=29, stamp_duty_paise=8_55, gst_paise=5_23
)
exit_filled = replace(
    order_filled,
    order_id=EXIT,
    venue_trade_number="f-2",
    side=Side.SELL,
    purpose=Purpose.EXIT,
    last_price_e4=2_800_0000,
    value_paise=280_000_00,
    opened_cost_paise=0,
    closed_quantity=100,
    closed_cost_paise=285_000_00,
    realised_paise=-5_000_00,
)
exit_triggered = TradeExitTriggered(trade_id=TRADE, cause=ExitCause.STOP_LOSS, mark=stop_hit.mark)
trade_closed = TradeClosed(trade_id=TRADE, cause=ExitCause.STOP_LOSS, entry_quantity=100, realised_paise=-5_000_00)
never_held = TradeClosed(trade_id=TRADE, cause=None, entry_quantity=0, realised_paise=0)
strategys_switch_engaged = KillSwitchEngaged(
    reason="it buys the same share twice",
    strategy_id=StrategyId("str_01J000000000000000000000A1"),
    mode=KillMode.FLATTEN,
)
strategys_switch_released = KillSwitchReleased(strategy_id=strategys_switch_engaged.strategy_id)
flatten_finished = FlattenFinished(strategy_id=strategys_switch_engaged.strategy_id, remaining=(TRADE,))
risk_breached = RiskBreached(
    kind=BreachKind.DAY_LOSS,
    action=BreachAction.FLATTEN,
    limit_paise=50_000_00,
    value_paise=50_125_50,
    trading_day=TODAY,
    marks=(mark_at(2_800_0000),),
)
risk_breach_released = RiskBreachReleased(kind=BreachKind.DAY_LOSS, user_id=OWNER, reason="the tick was a false one")
invariant_breached = InvariantBreached(
    invariant=Invariant.EXITS_ABOVE_HOLDING,
    subject=TRADE,
    expected="exits and stops for 100 units at most",
    seen="150 that live ones may fill",
    version=12,
    trade_ids=(TRADE,),
    order_ids=(EXIT, SECOND_EXIT),
)
invariant_released = InvariantReleased(
    invariant=Invariant.EXITS_ABOVE_HOLDING, user_id=OWNER, reason="one of them was canceled by hand"
)
preopen_checked = PreopenChecked(
    trading_day=TODAY,
    number=1,
    points=(
        CheckedPoint(point=PreopenPoint.TOKEN, standing=PointStanding.OK, detail="good to 2026-11-21 08:10"),
        CheckedPoint(
            point=PreopenPoint.FUNDS,
            standing=PointStanding.FAILING,
            detail="0.00 rupees for new orders",
            remedy="Bring money to the broker: entries will be refused. Exits are not.",
        ),
    ),
)
cash_moved = CashMoved(amount_paise=-10_000_00, reason="school fees", trading_day=TODAY)
intents_suppressed = IntentsSuppressed(count=4_182, since_ns=NOW_NS, until_ns=NOW_NS + NS_PER_S)
contract_note_received = ContractNoteReceived(
    trading_day=TODAY,
    number=1,
    fingerprint="8d969eef6ecad3c2",
    lines=(
        LineDifference(line=NoteLine.BROKERAGE, ours_e4=20_0000, theirs_e4=20_0000, shares=()),
        LineDifference(
            line=NoteLine.STT,
            ours_e4=71_2500,
            theirs_e4=73_0000,
            shares=(
                Share(cause=Cause.WHOLE_RUPEES, amount_e4=-2500),
                Share(cause=Cause.UNEXPLAINED, amount_e4=2_0000),
            ),
        ),
    ),
    orders=(
        NotedOrder(
            venue_order_id=VENUE_EXIT,
            instrument=RELIANCE,
            product=Product.INTRADAY,
            side=Side.SELL,
            match=Match.OTHER_QUANTITY,
            quantity=101,
            our_quantity=100,
            our_charges_paise=91_25,
            charges=NotedCharges(brokerage_e4=20_0000, stt_e4=73_0000),
            unexplained_e4=2_0000,
        ),
    ),
)
corporate_action_applied = CorporateActionApplied(
    action_id="NSE-CA-2026-118",
    instrument=RELIANCE,
    numerator=2,
    denominator=1,
    effective_on=TODAY,
    trades=(CorporateAdjustment(trade_id=TRADE, net_quantity=200, stop_loss_e4=1_400_0000, target_e4=1_450_0000),),
)
difference_found = DifferenceFound(
    difference_id=DifferenceId(f"{ACCOUNT}.d1"),
    kind=DifferenceKind.POSITION_LARGER,
    subject="",
    instrument=RELIANCE,
    product=Product.INTRADAY,
    symbol="RELIANCE",
    ours="100",
    theirs="110",
    quantity=10,
    cause=RULES[DifferenceKind.POSITION_LARGER].cause,
    repair=RULES[DifferenceKind.POSITION_LARGER].repair,
    gates=True,
)
difference_closed = DifferenceClosed(
    difference_id=difference_found.difference_id,
    how=DifferenceEnd.RESOLVED,
    user_id=OWNER,
    reason="a gift of ten shares",
)
basket_opened = BasketOpened(
    basket_id=BASKET,
    user_id=OWNER,
    legs=(BasketLeg(trade_id=TRADE, rank=0), BasketLeg(trade_id=OTHER_TRADE, rank=1)),
    policy=BasketPolicy.UNWIND,
)
basket_failed = BasketFailed(basket_id=BASKET, failed_trade_id=OTHER_TRADE, policy=BasketPolicy.UNWIND)
basket_completed = BasketCompleted(basket_id=BASKET)
trade_changed = TradeChanged(
    trade_id=TRADE,
    user_id=OWNER,
    version=2,
    stop_loss_e4=2_810_0000,
    target_e4=None,
    trailing=Trailing(distance_e4=40_0000, step_e4=5_0000),
)
trade_reduction_asked = TradeReductionAsked(trade_id=TRADE, quantity=30, cause=ExitCause.MANUAL)
stop_trailed = StopTrailed(
    trade_id=TRADE, stop_loss_e4=2_830_0000, best_price_e4=2_870_0000, mark=mark_at(2_870_0000, later_ms=5_000)
)
protection_lapsed = ProtectionLapsed(trade_id=TRADE, order_id=STOP)
protection_failed = ProtectionFailed(trade_id=TRADE, order_id=STOP, reason="three stops were refused: out of the band")
stop_instruction = replace(
    exit_instruction,
    order_type=OrderType.SL,
    limit_price_e4=2_786_0000,
    trigger_price_e4=2_800_0000,
)
stop_intended = OrderIntended(
    order_id=STOP, trade_id=TRADE, purpose=Purpose.STOP, instruction=stop_instruction, not_after_ns=None
)
stop_submitting = replace(order_submitting, order_id=STOP, correlation_id=correlation_id_of(STOP, code=CODE))
stop_acknowledged = replace(order_acknowledged, order_id=STOP, venue_order_id=VENUE_STOP)
order_modify_requested = OrderModifyRequested(
    order_id=STOP,
    trade_id=TRADE,
    number=1,
    instruction=replace(stop_instruction, limit_price_e4=2_816_0000, trigger_price_e4=2_830_0000),
    cause=ModifyCause.LEVEL,
    mark=stop_trailed.mark,
)
order_modified = OrderModified(order_id=STOP, trade_id=TRADE, instruction=order_modify_requested.instruction)
order_modify_refused = OrderModifyRefused(
    order_id=STOP, trade_id=TRADE, reason=RefusalReason.INPUT, message="Trigger price is above the last price"
)
stop_filled = replace(exit_filled, order_id=STOP, venue_trade_number="f-4", purpose=Purpose.STOP)
trade_adopted = TradeAdopted(
    trade_id=EXTERNAL_TRADE,
    symbol="INFY",
    multiplier=1,
    instrument=INFY,
    product=Product.CNC,
    side=Side.BUY,
    trading_day=TODAY,
)
foreign_fill_allocated = ForeignFillAllocated(
    trade_id=EXTERNAL_TRADE,
    venue_segment="NSE_EQ",
    venue_trade_number="71009",
    venue_order_id=VenueOrderId("112111182777"),
    part=1,
    instrument=INFY,
    product=Product.CNC,
    side=Side.BUY,
    last_quantity=50,
    last_price_e4=1_500_0000,
    value_paise=75_000_00,
    opened_cost_paise=75_000_00,
    closed_quantity=0,
    closed_cost_paise=0,
    realised_paise=0,
    filled_at_ns=NOW_NS + 2 * NS_PER_S,
    trading_day=TODAY,
)
foreign_sale_allocated = replace(
    foreign_fill_allocated,
    trade_id=TRADE,
    venue_trade_number="71010",
    instrument=RELIANCE,
    product=Product.INTRADAY,
    side=Side.SELL,
    last_quantity=40,
    last_price_e4=2_860_0000,
    value_paise=114_400_00,
    opened_cost_paise=0,
    closed_quantity=40,
    closed_cost_paise=114_000_00,
    realised_paise=400_00,
)
user_registered = UserRegistered(
    user_id=OWNER,
    account_id=ACCOUNT,
    email=Sealed(nonce=b"twelve bytes", ciphertext=b"sealed e-mail"),
    name=Sealed(nonce=b"twelve more.", ciphertext=b"sealed name"),
)
profile_changed = ProfileChanged(
    user_id=OWNER,
    name=Sealed(nonce=b"twelve other", ciphertext=b"sealed new name"),
    risk_profile=RiskProfile.BALANCED,
)
password_changed = PasswordChanged(user_id=OWNER)
account_added = AccountAdded(user_id=OWNER, account_id=LIVE_ACCOUNT, mode=AccountMode.LIVE)
broker_linked = BrokerLinked(
    user_id=OWNER,
    account_id=LIVE_ACCOUNT,
    client_id=Sealed(nonce=b"twelve again", ciphertext=b"sealed client id"),
)
broker_unlinked = BrokerUnlinked(user_id=OWNER, account_id=LIVE_ACCOUNT)
user_erased = UserErased(user_id=OWNER)
member_set = MemberSet(member_id=MEMBER, role=Role.TRADER, set_by=OWNER)
member_removed = MemberRemoved(member_id=MEMBER, removed_by=OWNER)

# --- The instrument master --------------------------------------------------------------------------------------------

breaker_changed = BreakerChanged(
    host="api.dhan.co",
    call_class="entries",
    from_state=BreakerState.CLOSED,
    to_state=BreakerState.OPEN,
    cause="no answer in time",
    changed_at_ns=1_790_829_000_000_000_000,
)
instruments_imported = InstrumentsImported(
    version=2,
    day="2026-11-20",
    content_hash="c3" * 32,
    history_hash="d4" * 32,
    source_hash="e5" * 32,
    layout="compact",
    rows=181_900,
    unusable={"expired": 19_527, "segment_unknown": 10_710},
    listed=151_659,
    added=812,
    changed=45,
    renamed=3,
    delisted=2,
    expired=790,
)

# --- Strategies and backtests -----------------------------------------------------------------------------------------

STRATEGY = StrategyId("str_01J000000000000000000000A1")
BACKTEST = BacktestId("btt_01J000000000000000000000A1")
SOURCE_HASH = "a1" * 32
OTHER_SOURCE_HASH = "b2" * 32
draft_strategy = DraftStrategy(
    strategy_id=STRATEGY,
    user_id=OWNER,
    name="Opening range",
    source_hash=SOURCE_HASH,
    source_bytes=2_048,
    parameters={"minutes": 15, "risk_share": "0.01", "short": False},
)
revise_strategy = ReviseStrategy(
    user_id=OWNER, source_hash=OTHER_SOURCE_HASH, source_bytes=2_100, parameters=draft_strategy.parameters
)
record_backtest = RecordBacktest(
    user_id=OWNER, backtest_id=BACKTEST, source_hash=SOURCE_HASH, parameters=draft_strategy.parameters
)
deploy_on_paper = DeployStrategy(user_id=OWNER, account_id=ACCOUNT, mode=AccountMode.PAPER)
deploy_live = replace(deploy_on_paper, mode=AccountMode.LIVE)
pause_strategy = PauseStrategy(user_id=OWNER, reason="results next week")
resume_strategy = ResumeStrategy(user_id=OWNER)
archive_strategy = ArchiveStrategy(user_id=OWNER)
strategy_drafted = StrategyDrafted(
    strategy_id=STRATEGY,
    user_id=OWNER,
    name=draft_strategy.name,
    source_hash=SOURCE_HASH,
    source_bytes=2_048,
    parameters=draft_strategy.parameters,
)
strategy_described = StrategyDescribed(
    strategy_id=STRATEGY,
    user_id=OWNER,
    name="Opening range, both ways",
    description="Buys the break of the first minutes' range, sells the break below it.",
)
strategy_revised = StrategyRevised(
    strategy_id=STRATEGY,
    user_id=OWNER,
    revision=2,
    source_hash=OTHER_SOURCE_HASH,
    source_bytes=2_100,
    parameters=draft_strategy.parameters,
)
strategy_backtested = StrategyBacktested(strategy_id=STRATEGY, user_id=OWNER, revision=1, backtest_id=BACKTEST)
strategy_on_paper = StrategyDeployed(
    strategy_id=STRATEGY, user_id=OWNER, revision=1, account_id=ACCOUNT, mode=AccountMode.PAPER
)
strategy_live = replace(strategy_on_paper, mode=AccountMode.LIVE)
strategy_paused = StrategyPaused(strategy_id=STRATEGY, user_id=OWNER, reason=pause_strategy.reason)
strategy_resumed = StrategyResumed(strategy_id=STRATEGY, user_id=OWNER)
strategy_archived = StrategyArchived(strategy_id=STRATEGY, user_id=OWNER)
request_backtest = RequestBacktest(
    backtest_id=BACKTEST,
    user_id=OWNER,
    strategy_id=STRATEGY,
    source_hash=SOURCE_HASH,
    parameters=draft_strategy.parameters,
    data_hash="c3" * 32,
    first_day="2026-01-01",
    last_day=TODAY,
    capital_paise=10_00_000_00,
    seed=7,
)
figures = BacktestFigures(
    trades=40,
    trades_won=23,
    result_paise=52_310_00,
    won_paise=1_20_400_00,
    lost_paise=-61_090_00,
    charges_paise=7_000_00,
    equity_paise=10_52_310_00,
    drawdown_paise_max=18_250_00,
    sharpe_e4=13_700,
    exposure_e4=2_150,
)
complete_backtest = CompleteBacktest(events=321, final_hash="d4" * 32, figures=figures)
fail_backtest = FailBacktest(reason="STRATEGY_RAISED", message="line 12: ZeroDivisionError")
backtest_requested = BacktestRequested(
    backtest_id=BACKTEST,
    user_id=OWNER,
    strategy_id=STRATEGY,
    source_hash=SOURCE_HASH,
    parameters=draft_strategy.parameters,
    data_hash=request_backtest.data_hash,
    first_day=request_backtest.first_day,
    last_day=TODAY,
    capital_paise=10_00_000_00,
    seed=7,
)
backtest_completed = BacktestCompleted(
    backtest_id=BACKTEST, user_id=OWNER, events=321, final_hash=complete_backtest.final_hash, figures=figures
)
backtest_failed = BacktestFailed(
    backtest_id=BACKTEST, user_id=OWNER, reason=fail_backtest.reason, message=fail_backtest.message
)

# --- Histories --------------------------------------------------------------------------------------------------------

intended = (account_opened, trade_opened, order_intended)
"""A trade whose entry waits to be sent."""
submitting = (*intended, order_submitting)
resting = (*submitting, order_acknowledged)
"""A trade whose entry lies in the venue's book."""
held = (*resting, order_filled)
"""A trade that holds what it wanted."""
exiting = (*held, exit_triggered, exit_intended)
"""A trade whose exit waits to be sent."""
guarded = (*held, stop_intended, stop_submitting, stop_acknowledged)
"""A trade whose stop rests at the venue."""
adopted = (trade_adopted, foreign_fill_allocated)
"""What came from outside in Infosys."""

EVERY_EVENT = (
    account_opened,
    limits_changed,
    kill_switch_engaged,
    kill_switch_released,
    replace(trade_opened, market=replace(market, session=None)),
    replace(order_denied, market=replace(market, session=None)),
    order_intended,
    replace(order_submitting, market_time_ns=0),
    order_not_sent,
    order_acknowledged,
    order_rejected,
    order_outcome_unknown,
    order_presumed_absent,
    order_lapsed,
    order_blocked,
    order_cancel_requested,
    order_canceled,
    order_expired,
    order_filled,
    exit_triggered,
    trade_closed,
    flatten_finished,
    risk_breached,
    risk_breach_released,
    invariant_breached,
    invariant_released,
    preopen_checked,
    cash_moved,
    intents_suppressed,
    contract_note_received,
    corporate_action_applied,
    difference_found,
    difference_closed,
    basket_opened,
    basket_failed,
    basket_completed,
    trade_changed,
    trade_reduction_asked,
    stop_trailed,
    protection_lapsed,
    protection_failed,
    trade_adopted,
    order_modify_requested,
    order_modified,
    order_modify_refused,
    foreign_fill_allocated,
    user_registered,
    strategy_drafted,
    strategy_revised,
    strategy_backtested,
    strategy_on_paper,
    strategy_paused,
    strategy_resumed,
    strategy_archived,
    backtest_requested,
    backtest_completed,
    backtest_failed,
    profile_changed,
    password_changed,
    account_added,
    broker_linked,
    broker_unlinked,
    member_set,
    member_removed,
    strategy_described,
    user_erased,
    instruments_imported,
    breaker_changed,
    order_resolved_at_broker,
)
"""One of each kind, as the stored specimens in `tests/contract/events/` have them."""

# --- What events gained since they were introduced --------------------------------------------------------------------

wide_mark = replace(
    mark,
    bid_price_e4=2_849_9500,
    ask_price_e4=2_850_0500,
    previous_close_e4=2_841_0000,
    lower_circuit_e4=2_556_9000,
    upper_circuit_e4=3_125_1000,
)
wide_market = replace(
    market,
    marks=(wide_mark,),
    session=SessionMoment(phase=Phase.CONTINUOUS, trading_day=TODAY, continuous_until_ns=NOW_NS + 18_900 * NS_PER_S),
    valuation=Valuation(
        day_result_paise=-1_250_00,
        open_result_paise=-900_00,
        gross_exposure_paise=75_000_00,
        net_exposure_paise=75_000_00,
        oldest_mark_ns=NOW_NS,
        missing=(INFY,),
    ),
)
WIDENED = (
    account_opened,
    limits_changed,
    strategys_switch_engaged,
    strategys_switch_released,
    replace(
        trade_opened,
        entry=stop_instruction,
        market=wide_market,
        strategy_id=strategys_switch_engaged.strategy_id,
        trailing=trade_changed.trailing,
        protection=ProtectionMode.RESTING,
        basket_id=BASKET,
    ),
    replace(
        order_denied,
        market=wide_market,
        passing="a quantity of 99",
        strategy_id=strategys_switch_engaged.strategy_id,
    ),
    replace(stop_intended, successor_of=EXIT),
    order_never_seen,
    order_submitting,
    replace(exit_triggered, mark=wide_mark),
    replace(order_filled, charges=purchase_charges),
    replace(
        foreign_fill_allocated,
        charges=Charges(
            exchange_paise=2_23, ipft_paise=8, sebi_paise=8, stt_paise=75_00, stamp_duty_paise=11_25, gst_paise=43
        ),
    ),
)
"""One of each event whose fields are more than when it was introduced, with values in them."""
