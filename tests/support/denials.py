"""Every reason of a denial: an intent that meets it, and the same intent, or history, where it just passes."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import CloseTrade, MoveCash, OpenTrade
from domain.account.events import AccountEvent, AccountMode, Trailing
from domain.ids import OrderId, StrategyId, TradeId, VenueFillId
from domain.instrument import Segment
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import DenialCode
from domain.session import Phase
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    DAY_NS,
    NOW_NS,
    NS_PER_MS,
    NS_PER_S,
    OTHER_TRADE,
    OWNER,
    STRATEGY,
    TRADE,
    account_opened,
    begin,
    difference_closed,
    difference_found,
    entry_instruction,
    exit_filled,
    exiting,
    fill,
    held,
    infy,
    infy_mark,
    intended,
    invariant_breached,
    invariant_released,
    kill_switch_engaged,
    kill_switch_released,
    limits,
    mark,
    market,
    market_at,
    open_limit,
    open_short,
    open_trade,
    order_acknowledged,
    order_intended,
    order_submitting,
    reliance,
    resting,
    session,
    trade_closed,
    trade_opened,
)

other_intent = replace(open_trade, trade_id=OTHER_TRADE)
tomorrow = market_at(2_850_0000, at_ns=NOW_NS + DAY_NS)


def limited(**changed: Any) -> AccountEvent:
    return replace(account_opened, parameters=replace(limits, **changed))


def a_loss_of_5_000_rupees() -> tuple[AccountEvent, ...]:
    """A trade of 100 at 2,850 that was closed at 2,800."""
    return (*exiting, exit_filled, trade_closed)


@dataclass(frozen=True)
class Row:
    """An intent that meets a limit. `passing` is the same intent, or history, where it is met exactly."""

    code: DenialCode
    limit: str
    value: str
    intent: OpenTrade = open_trade
    given: tuple[AccountEvent, ...] = (account_opened,)
    passing: OpenTrade | None = None
    passing_given: tuple[AccountEvent, ...] | None = field(default=None)
    passing_orders: int = 1


def name_of_row(row: Row) -> str:
    return f"{ROWS.index(row)} {row.code} {row.limit}"


C = DenialCode
bare = replace(open_trade, stop_loss_e4=None, target_e4=None)
stop_buy = replace(
    bare, order_type=OrderType.SL, trigger_price_e4=2_860_0000, limit_price_e4=2_865_0000, time_in_force=TimeInForce.DAY
)
stop_market = replace(bare, order_type=OrderType.SL_M, trigger_price_e4=2_860_0000)
in_infy = replace(bare, trade_id=OTHER_TRADE, market=replace(market, instrument=infy, marks=(infy_mark, mark)))


def listed(**changed: object) -> OpenTrade:
    """Return the intent to buy, for an instrument that is Reliance but for *changed*."""
    return replace(open_trade, market=replace(market, instrument=replace(reliance, **changed)))


def in_phase(phase: Phase, intent: OpenTrade = open_trade, *, at_ns: int = NOW_NS) -> OpenTrade:
    marks = tuple(replace(each, exchange_time_ns=at_ns) for each in intent.market.marks)
    moment = replace(session, phase=phase)
    return replace(intent, market=replace(intent.market, session=moment, marks=marks, market_time_ns=at_ns))


def seen(intent: OpenTrade, **changed: object) -> OpenTrade:
    """Return *intent* where the mark of Reliance is *changed*."""
    return replace(intent, market=replace(market, marks=(replace(mark, **changed),)))


def later(intent: OpenTrade, ms: int) -> OpenTrade:
    at_ns = NOW_NS + ms * NS_PER_MS
    return replace(intent, market=market_at(2_850_0000, at_ns=at_ns))


until_ns = session.continuous_until_ns or 0
selling_rests = (
    account_opened,
    replace(trade_opened, entry=replace(entry_instruction, side=Side.SELL, order_type=OrderType.LIMIT,
                                        limit_price_e4=2_851_0000)),
    replace(order_intended, instruction=replace(entry_instruction, side=Side.SELL, order_type=OrderType.LIMIT,
                                                limit_price_e4=2_851_0000)),
    order_submitting,
    order_acknowledged,
)  # fmt: skip
"""A limit order to sell at 2,851 lies in the book."""
buy_limit = replace(bare, trade_id=OTHER_TRADE, order_type=OrderType.LIMIT, limit_price_e4=2_851_0000)
by_strategy = replace(open_trade, strategy_id=STRATEGY)


# --- A busy account ---------------------------------------------------------------------------------------------------

_OTHER_STRATEGY = StrategyId("str_01J000000000000000000000A2")
_BUSY_LIMITS = {"orders_per_second_max": 100}
_usual = replace(bare, market=replace(market, marks=(infy_mark, mark)))
_buy, _sell = replace(_usual, strategy_id=STRATEGY), replace(_usual, strategy_id=_OTHER_STRATEGY, side=Side.SELL)
_buy_infy = replace(_buy, quantity=10, market=in_infy.market)


def _filled(given: Given[Any, Any, Any], intent: OpenTrade, number: int, price_e4: int) -> Given[Any, Any, Any]:
    """Open the trade of *intent*, the account's *number*-th, and fill it whole."""
    trade_id = TradeId(f"trd_busy_{number}")
    return _executed(given.after(replace(intent, trade_id=trade_id)), trade_id, 1, intent.quantity, price_e4)


def _executed(
    given: Given[Any, Any, Any], trade_id: TradeId, order: int, quantity: int, price_e4: int
) -> Given[Any, Any, Any]:
    order_id = OrderId(f"{trade_id}.{order}")
    executed = replace(
        fill, order_id=order_id, venue_fill_id=VenueFillId(f"f-{order_id}"), quantity=quantity, price_e4=price_e4
    )
    return given.after(replace(begin, order_id=order_id), executed)


def _busy_account() -> tuple[AccountEvent, ...]:
    """An account on which everything counts in some limit, with its last price at 2,850 and Infosys at 1,500.

    In Reliance 100 are held long (at 2,860) and 40 short for INTRADAY, 10 long for CNC (at 2,800); entries for 30 more
    to buy and 20 to sell wait. In Infosys 10 are held. 500 rupees were won before 1,000 were lost, and 2,000 came in.
    """
    given: Given[Any, Any, Any] = scenario(decider).given(limited(**_BUSY_LIMITS))
    for number, price_e4 in ((1, 1_550_0000), (2, 1_400_0000)):
        given = _filled(given, _buy_infy, number, 1_500_0000)
        trade_id = TradeId(f"trd_busy_{number}")
        given = _executed(given.after(CloseTrade(trade_id=trade_id, user_id=OWNER)), trade_id, 2, 10, price_e4)
    given = _filled(given, _buy_infy, 3, 1_500_0000)
    given = _filled(given, _buy, 4, 2_860_0000)
    given = _filled(given, replace(_sell, quantity=40), 5, 2_850_0000)
    given = _filled(given, replace(_buy, quantity=10, product=Product.CNC), 6, 2_800_0000)
    return given.after(
        replace(_buy, trade_id=TradeId("trd_busy_7"), quantity=30),
        replace(_sell, trade_id=TradeId("trd_busy_8"), quantity=20),
        MoveCash(user_id=OWNER, amount_paise=2_000_00, reason="savings", market_time_ns=NOW_NS),
    ).history


BUSY = _busy_account()
_five_more = replace(_usual, quantity=5)
_a_hundred_less = replace(_five_more, side=Side.SELL, quantity=100)


def _on_a_busy_account(
    code: DenialCode, limit: str, value: str, *, intent: OpenTrade = _five_more, **exactly: Any
) -> Row:
    """Return the row in which *intent* meets limits *exactly*, and is denied where the first of them is one less."""
    name, value_met = next(iter(exactly.items()))
    met, below = (
        (limited(**{**_BUSY_LIMITS, **exactly, name: each}), *BUSY[1:]) for each in (value_met, value_met - 1)
    )
    return Row(code, limit, value, intent=intent, given=below, passing=intent, passing_given=met)


ROWS = [
    Row(C.ACCOUNT_GATE_SHUT, "an open gate", "shut: live trading does not run yet",
        given=(replace(account_opened, mode=AccountMode.LIVE),), passing=open_trade, passing_given=(account_opened,)),
    Row(C.BOOKS_DISAGREE, "books that agree with the venue's",
        "position_larger of RELIANCE INTRADAY: ours 100, the venue's 110",
        given=(account_opened, difference_found), passing=open_trade,
        passing_given=(account_opened, difference_found, difference_closed)),
    Row(C.KILL_SWITCH_ENGAGED, "released", "engaged", given=(account_opened, kill_switch_engaged),
        passing=open_trade, passing_given=(account_opened, kill_switch_engaged, kill_switch_released)),
    Row(C.INVARIANT_BREACHED, "none broken", f"exits_above_holding of {TRADE} by version 12 of the account's stream",
        given=(account_opened, invariant_breached), passing=open_trade,
        passing_given=(account_opened, invariant_breached, invariant_released)),
    Row(C.STRATEGY_KILL_SWITCH_ENGAGED, "released", "engaged", intent=by_strategy,
        given=(account_opened, replace(kill_switch_engaged, strategy_id=STRATEGY)), passing=open_trade),
    Row(C.INSTRUMENT_NOT_TRADABLE, "tradable", "NIFTY", intent=listed(tradable=False, symbol="NIFTY")),
    Row(C.INSTRUMENT_EXPIRED, "to 2026-11-19", "2026-11-20", intent=listed(expires_on="2026-11-19"),
        passing=listed(expires_on="2026-11-20")),
    Row(C.SEGMENT_NOT_ALLOWED, "NSE_FNO", "NSE_EQ", given=(limited(segments_allowed=(Segment.NSE_FNO,)),),
        passing=open_trade, passing_given=(limited(segments_allowed=(Segment.NSE_FNO, Segment.NSE_EQ)),)),
    Row(C.CALENDAR_UNKNOWN, "a segment with a session table", "NSE_EQ",
        intent=replace(open_trade, market=replace(market, session=None)), passing=open_trade),
    Row(C.CALENDAR_UNKNOWN, "a day whose holidays and hours are known", "NSE_EQ on 2026-11-20",
        intent=replace(open_trade, market=replace(market, session=replace(session, day_known=False))),
        passing=open_trade),
    Row(C.ORDER_TYPE_NOT_SUPPORTED, "MARKET, LIMIT, SL", "SL-M", given=(limited(stop_market_allowed=False),),
        intent=stop_market, passing=stop_market, passing_given=(account_opened,)),
    Row(C.MARKET_CLOSED, "an open market", "closed", intent=in_phase(Phase.CLOSED),
        passing=in_phase(Phase.CLOSED, replace(open_trade, after_market=True))),
    Row(C.MARKET_CLOSED, "an open market", "paused", intent=in_phase(Phase.PAUSED)),
    Row(C.AFTER_MARKET_NOT_ALLOWED, "closed", "continuous", intent=replace(open_trade, after_market=True),
        passing=open_trade),
    Row(C.PHASE_ORDER_TYPE_NOT_ALLOWED, "LIMIT, MARKET in closing_auction", "SL",
        intent=in_phase(Phase.CLOSING_AUCTION, stop_buy), passing=in_phase(Phase.CLOSING_AUCTION)),
    Row(C.PHASE_ORDER_TYPE_NOT_ALLOWED, "LIMIT in closing_auction_end", "MARKET",
        intent=in_phase(Phase.CLOSING_AUCTION_END), passing=in_phase(Phase.CLOSING_AUCTION_END, open_limit)),
    Row(C.TIME_IN_FORCE_NOT_ALLOWED, "DAY in pre_open", "IOC",
        intent=in_phase(Phase.PRE_OPEN, replace(open_trade, time_in_force=TimeInForce.IOC)),
        passing=replace(open_trade, time_in_force=TimeInForce.IOC)),
    Row(C.TIME_IN_FORCE_NOT_ALLOWED, "DAY for SL", "IOC", intent=replace(stop_buy, time_in_force=TimeInForce.IOC),
        passing=stop_buy),
    Row(C.INTRADAY_ENTRY_TOO_LATE, "15 minutes before the end", "10 min 00 s before it",
        intent=in_phase(Phase.CONTINUOUS, at_ns=until_ns - 10 * 60 * NS_PER_S),
        passing=in_phase(Phase.CONTINUOUS, at_ns=until_ns - 15 * 60 * NS_PER_S)),
    Row(C.PRODUCT_NOT_ALLOWED, "CNC, INTRADAY, MTF in NSE_EQ", "MARGIN",
        intent=replace(open_trade, product=Product.MARGIN), passing=open_trade),
    Row(C.SHORT_NOT_ALLOWED, "BUY for CNC", "SELL", intent=replace(open_short, product=Product.CNC),
        passing=replace(open_trade, product=Product.CNC)),
    Row(C.MTF_NOT_ALLOWED, "a stock that the broker lends for", "RELIANCE",
        intent=replace(open_trade, product=Product.MTF), passing=replace(listed(mtf=True), product=Product.MTF)),
    Row(C.FLIP_NEEDS_MARKET, "MARKET while the other way is held", "LIMIT with 100 units held", given=held,
        intent=replace(bare, trade_id=OTHER_TRADE, side=Side.SELL, order_type=OrderType.LIMIT,
                       limit_price_e4=2_860_0000),
        passing=buy_limit),
    Row(C.QUANTITY_ABOVE_LIMIT, "100", "101", given=(limited(order_quantity_max=100),),
        intent=replace(open_trade, quantity=101), passing=open_trade),
    Row(C.FREEZE_QUANTITY_EXCEEDED, "100", "101", given=(limited(order_slices_max=1),),
        intent=replace(listed(freeze_quantity=100), quantity=101), passing=listed(freeze_quantity=100)),
    Row(C.SLICES_ABOVE_LIMIT, "2 orders", "3 orders", given=(limited(order_slices_max=2),),
        intent=replace(listed(freeze_quantity=50), quantity=101), passing=listed(freeze_quantity=50),
        passing_orders=2),
    Row(C.DISCLOSED_QUANTITY_INVALID, "0 or 10..100", "9", intent=replace(open_trade, disclosed_quantity=9),
        passing=replace(open_trade, disclosed_quantity=10)),
    Row(C.DISCLOSED_QUANTITY_INVALID, "0 or 10..100", "101", intent=replace(open_trade, disclosed_quantity=101),
        passing=replace(open_trade, disclosed_quantity=100)),
    Row(C.MARK_MISSING, "a last price of NSE_EQ:2885", "none seen",
        intent=replace(open_trade, market=replace(market, marks=(infy_mark,)))),
    Row(C.MARK_STALE, "10000 ms", "10001 ms",
        intent=replace(open_trade, market=replace(market, market_time_ns=NOW_NS + 10_001 * NS_PER_MS)),
        passing=replace(open_trade, market=replace(market, market_time_ns=NOW_NS + 10_000 * NS_PER_MS))),
    Row(C.POSITION_MARK_MISSING, "a last price of NSE_EQ:2885", "none seen", given=held,
        intent=replace(in_infy, market=replace(in_infy.market, marks=(infy_mark,))), passing=in_infy),
    Row(C.POSITION_MARK_STALE, "10000 ms", "20000 ms", given=held,
        intent=replace(in_infy, market=replace(
            in_infy.market, market_time_ns=NOW_NS + 20_000 * NS_PER_MS,
            marks=(replace(infy_mark, exchange_time_ns=NOW_NS + 20_000 * NS_PER_MS), mark))),
        passing=in_infy),
    Row(C.PRICE_OUTSIDE_COLLAR, "2707.50..2992.50", "2992.60",
        intent=replace(open_limit, limit_price_e4=2_992_6000, target_e4=None),
        passing=replace(open_limit, limit_price_e4=2_992_5000, target_e4=None)),
    Row(C.PRICE_OUTSIDE_COLLAR, "2717.00..3003.00", "3003.10", intent=replace(stop_buy, limit_price_e4=3_003_1000),
        passing=replace(stop_buy, limit_price_e4=3_003_0000)),
    Row(C.PRICE_OUTSIDE_CIRCUIT, "2700.00..2860.00", "2860.10",
        intent=seen(replace(open_limit, limit_price_e4=2_860_1000), lower_circuit_e4=2_700_0000,
                    upper_circuit_e4=2_860_0000),
        passing=seen(replace(open_limit, limit_price_e4=2_860_0000), lower_circuit_e4=2_700_0000,
                     upper_circuit_e4=2_860_0000)),
    Row(C.PRICE_OUTSIDE_CIRCUIT, "..2859.90", "2860.00", intent=seen(stop_market, upper_circuit_e4=2_859_9000),
        passing=seen(stop_market, upper_circuit_e4=2_860_0000)),
    Row(C.SPREAD_ABOVE_LIMIT, "200 bp", "351 bp",
        intent=seen(open_trade, bid_price_e4=2_800_0000, ask_price_e4=2_900_0000),
        passing=seen(open_limit, bid_price_e4=2_800_0000, ask_price_e4=2_900_0000)),
    Row(C.SPREAD_ABOVE_LIMIT, "200 bp", "201 bp",
        intent=seen(open_trade, bid_price_e4=2_821_5000, ask_price_e4=2_878_6000),
        passing=seen(open_trade, bid_price_e4=2_821_5000, ask_price_e4=2_878_5000)),
    Row(C.TRIGGER_WRONG_SIDE, "a trigger above 2850.00", "2850.00",
        intent=replace(stop_buy, trigger_price_e4=2_850_0000), passing=replace(stop_buy, trigger_price_e4=2_850_1000)),
    Row(C.TRIGGER_WRONG_SIDE, "a limit at or above the trigger", "2859.90",
        intent=replace(stop_buy, limit_price_e4=2_859_9000), passing=replace(stop_buy, limit_price_e4=2_860_0000)),
    Row(C.TRIGGER_WRONG_SIDE, "a trigger below 2850.00", "2860.00", intent=replace(stop_market, side=Side.SELL),
        passing=replace(stop_market, side=Side.SELL, trigger_price_e4=2_849_9000)),
    Row(C.STOP_LOSS_REQUIRED, "a stop loss", "none", given=(limited(stop_loss_required=True),),
        intent=replace(open_trade, stop_loss_e4=None), passing=open_trade),
    Row(C.STOP_LOSS_WRONG_SIDE, "below 2850.00", "2850.00", intent=replace(open_trade, stop_loss_e4=2_850_0000),
        passing=replace(open_trade, stop_loss_e4=2_849_9000)),
    Row(C.STOP_LOSS_WRONG_SIDE, "above 2850.00", "2850.00", intent=replace(open_short, stop_loss_e4=2_850_0000),
        passing=replace(open_short, stop_loss_e4=2_850_1000)),
    Row(C.STOP_LOSS_WRONG_SIDE, "below 2849.00", "2849.50", intent=replace(open_limit, stop_loss_e4=2_849_5000),
        passing=replace(open_limit, stop_loss_e4=2_848_9000)),
    Row(C.STOP_LOSS_TOO_FAR, "2000 bp", "2001 bp", given=(limited(trade_risk_paise_max=None),),
        intent=replace(open_trade, stop_loss_e4=2_279_9000), passing=replace(open_trade, stop_loss_e4=2_280_0000)),
    Row(C.TARGET_WRONG_SIDE, "above 2850.00", "2850.00", intent=replace(open_trade, target_e4=2_850_0000),
        passing=replace(open_trade, target_e4=2_850_1000)),
    Row(C.TARGET_WRONG_SIDE, "below 2850.00", "2850.00", intent=replace(open_short, target_e4=2_850_0000),
        passing=replace(open_short, target_e4=2_849_9000)),
    Row(C.TRAILING_STEP_TOO_SMALL, "5 bp", "1.40",
        intent=replace(open_trade, trailing=Trailing(distance_e4=50_0000, step_e4=1_4000)),
        passing=replace(open_trade, trailing=Trailing(distance_e4=50_0000, step_e4=1_5000))),
    Row(C.TRADE_RISK_ABOVE_LIMIT, "5000.00", "5050.00", given=(limited(trade_risk_paise_max=5_000_00),),
        intent=replace(open_trade, quantity=101), passing=open_trade),
    Row(C.ORDER_VALUE_ABOVE_LIMIT, "285000.00", "285010.00", given=(limited(order_value_paise_max=285_000_00),),
        intent=replace(open_limit, limit_price_e4=2_850_1000), passing=replace(open_limit, limit_price_e4=2_850_0000)),
    Row(C.POSITION_QUANTITY_ABOVE_LIMIT, "199", "200", intent=other_intent,
        given=(limited(position_quantity_max=199), *held[1:]),
        passing=other_intent, passing_given=(limited(position_quantity_max=200), *held[1:])),
    Row(C.POSITION_VALUE_ABOVE_LIMIT, "569999.99", "570000.00", intent=other_intent,
        given=(limited(position_value_paise_max=569_999_99), *intended[1:]),
        passing=other_intent, passing_given=(limited(position_value_paise_max=570_000_00), *intended[1:])),
    Row(C.POSITION_SHARE_ABOVE_LIMIT, "5000 bp", "5001 bp", given=(limited(capital_paise=569_900_00),),
        passing=open_trade, passing_given=(limited(capital_paise=570_000_00),)),
    Row(C.GROSS_EXPOSURE_ABOVE_LIMIT, "569999.99", "570000.00", intent=other_intent,
        given=(limited(gross_exposure_paise_max=569_999_99), *intended[1:]),
        passing=other_intent, passing_given=(limited(gross_exposure_paise_max=570_000_00), *intended[1:])),
    Row(C.NET_EXPOSURE_ABOVE_LIMIT, "569999.99", "570000.00 long", intent=other_intent,
        given=(limited(net_exposure_paise_max=569_999_99), *intended[1:]),
        passing=replace(open_short, trade_id=OTHER_TRADE),
        passing_given=(limited(net_exposure_paise_max=569_999_99), *intended[1:])),
    Row(C.CONCENTRATION_ABOVE_LIMIT, "500000.00", "570000.00", intent=replace(other_intent, product=Product.CNC),
        given=(limited(concentration_bp_max=1_000), *held[1:]),
        passing=replace(other_intent, product=Product.CNC, quantity=75),
        passing_given=(limited(concentration_bp_max=1_000), *held[1:])),
    Row(C.FUNDS_INSUFFICIENT, "56999.99", "57000.00",
        given=(limited(capital_paise=56_999_99, position_share_bp_max=None),),
        passing=open_trade, passing_given=(limited(capital_paise=57_000_00, position_share_bp_max=None),)),
    Row(C.TRADES_PER_DAY_ABOVE_LIMIT, "1", "2", intent=other_intent,
        given=(limited(trades_per_day_max=1), *a_loss_of_5_000_rupees()[1:]),
        passing=other_intent, passing_given=(limited(trades_per_day_max=2), *a_loss_of_5_000_rupees()[1:])),
    Row(C.OPEN_TRADES_ABOVE_LIMIT, "1", "2", intent=other_intent, given=(limited(open_trades_max=1), *intended[1:]),
        passing=other_intent, passing_given=(limited(open_trades_max=2), *intended[1:])),
    Row(C.OPEN_POSITIONS_ABOVE_LIMIT, "1", "2", intent=in_infy, given=(limited(open_positions_max=1), *held[1:]),
        passing=other_intent, passing_given=(limited(open_positions_max=1), *held[1:])),
    Row(C.OPEN_ORDERS_ABOVE_LIMIT, "1", "2", intent=other_intent, given=(limited(open_orders_max=1), *resting[1:]),
        passing=other_intent, passing_given=(limited(open_orders_max=1), *held[1:])),
    Row(C.DAY_LOSS_LIMIT_REACHED, "-5000.00", "-5000.00", intent=other_intent,
        given=(limited(day_loss_paise_max=5_000_00), *a_loss_of_5_000_rupees()[1:]),
        passing=other_intent, passing_given=(limited(day_loss_paise_max=5_000_01), *a_loss_of_5_000_rupees()[1:])),
    Row(C.DRAWDOWN_LIMIT_REACHED, "5000.00", "5000.00", intent=other_intent,
        given=(limited(drawdown_paise_max=5_000_00), *a_loss_of_5_000_rupees()[1:]),
        passing=other_intent, passing_given=(limited(drawdown_paise_max=5_000_01), *a_loss_of_5_000_rupees()[1:])),
    Row(C.DUPLICATE_INTENT, "another one within 500 ms", f"{TRADE}, 400 ms ago", intent=later(other_intent, 400),
        given=(limited(duplicate_window_ms=500), *intended[1:]),
        passing=later(other_intent, 500), passing_given=(limited(duplicate_window_ms=500), *intended[1:])),
    Row(C.SELF_CROSS, "below 2851.00", "2851.00", intent=buy_limit, given=selling_rests,
        passing=replace(buy_limit, limit_price_e4=2_850_9000)),
    Row(C.SELF_CROSS, "below 2851.00", "2851.00", given=selling_rests,
        intent=replace(seen(bare, ask_price_e4=2_851_0000), trade_id=OTHER_TRADE),
        passing=replace(bare, trade_id=OTHER_TRADE)),
    Row(C.ORDERS_PER_SECOND_ABOVE_LIMIT, "1 a second for entries, 3 in all", "2", intent=other_intent,
        given=(limited(orders_per_second_max=3), *intended[1:]),
        passing=later(other_intent, 1_100), passing_given=(limited(orders_per_second_max=3), *resting[1:])),
    Row(C.ORDERS_PER_MINUTE_ABOVE_LIMIT, "1 a minute for entries, 3 in all", "2", intent=other_intent,
        given=(limited(orders_per_minute_max=3), *resting[1:]),
        passing=later(other_intent, 63_000), passing_given=(limited(orders_per_minute_max=3), *resting[1:])),
    Row(C.ORDERS_PER_HOUR_ABOVE_LIMIT, "1 an hour for entries, 3 in all", "2", intent=other_intent,
        given=(limited(orders_per_hour_max=3), *resting[1:]),
        passing=later(other_intent, 63 * 60_000), passing_given=(limited(orders_per_hour_max=3), *resting[1:])),
    Row(C.ORDERS_PER_DAY_ABOVE_LIMIT, "1 a day for entries, 3 in all", "2", intent=other_intent,
        given=(limited(orders_per_day_max=3), *resting[1:]),
        passing=replace(other_intent, market=tomorrow),
        passing_given=(limited(orders_per_day_max=3), *held[1:])),
    _on_a_busy_account(C.POSITION_QUANTITY_ABOVE_LIMIT, "94", "95", position_quantity_max=95),
    _on_a_busy_account(C.POSITION_QUANTITY_ABOVE_LIMIT, "59", "60", position_quantity_max=60, intent=_a_hundred_less),
    _on_a_busy_account(C.POSITION_VALUE_ABOVE_LIMIT, "270749.99", "270750.00", position_value_paise_max=270_750_00),
    _on_a_busy_account(C.POSITION_VALUE_ABOVE_LIMIT, "170999.99", "171000.00", position_value_paise_max=171_000_00,
                       intent=_a_hundred_less),
    _on_a_busy_account(C.POSITION_SHARE_ABOVE_LIMIT, "5000 bp", "5001 bp", capital_paise=541_500_00),
    _on_a_busy_account(C.GROSS_EXPOSURE_ABOVE_LIMIT, "599249.99", "599250.00", gross_exposure_paise_max=599_250_00),
    _on_a_busy_account(C.NET_EXPOSURE_ABOVE_LIMIT, "314249.99", "314250.00 long", net_exposure_paise_max=314_250_00),
    _on_a_busy_account(C.NET_EXPOSURE_ABOVE_LIMIT, "127499.99", "127500.00 short", net_exposure_paise_max=127_500_00,
                       intent=_a_hundred_less),
    _on_a_busy_account(C.CONCENTRATION_ABOVE_LIMIT, "584249.99", "584250.00", gross_exposure_paise_max=1_168_500_00,
                       concentration_bp_max=5_000),
    _on_a_busy_account(C.FUNDS_INSUFFICIENT, "2849.99", "2850.00", capital_paise=140_850_00,
                       position_share_bp_max=None),
    _on_a_busy_account(C.TRADES_PER_DAY_ABOVE_LIMIT, "8", "9", trades_per_day_max=9),
    _on_a_busy_account(C.OPEN_TRADES_ABOVE_LIMIT, "6", "7", open_trades_max=7),
    _on_a_busy_account(C.OPEN_ORDERS_ABOVE_LIMIT, "2", "3", open_orders_max=3),
    _on_a_busy_account(C.DAY_LOSS_LIMIT_REACHED, "-1000.00", "-1000.00", day_loss_paise_max=1_000_01),
    _on_a_busy_account(C.DRAWDOWN_LIMIT_REACHED, "1500.00", "1500.00", drawdown_paise_max=1_500_01),
    _on_a_busy_account(C.ORDERS_PER_SECOND_ABOVE_LIMIT, "10 a second for entries, 12 in all", "11",
                       orders_per_second_max=13),
    _on_a_busy_account(C.ORDERS_PER_MINUTE_ABOVE_LIMIT, "10 a minute for entries, 12 in all", "11",
                       orders_per_minute_max=13),
    _on_a_busy_account(C.ORDERS_PER_HOUR_ABOVE_LIMIT, "10 an hour for entries, 12 in all", "11",
                       orders_per_hour_max=13),
    _on_a_busy_account(C.ORDERS_PER_DAY_ABOVE_LIMIT, "10 a day for entries, 12 in all", "11",
                       orders_per_day_max=13),
]  # fmt: skip
