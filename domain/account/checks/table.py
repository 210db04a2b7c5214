"""The table of the rules, in the order in which they are checked. `docs/risk.md` is made of it."""

from dataclasses import dataclass
from inspect import cleandoc
from typing import NamedTuple

from domain.account.checks import permission, prices, repetition, size
from domain.account.checks.fast import surely_passes
from domain.account.checks.intent import Aspect, Function, Intent, Kind
from domain.account.commands import OpenTrade
from domain.account.state import Account
from domain.instrument import Instrument
from domain.risk import Denial, DenialCode


class Example(NamedTuple):
    """A denial as it reads. `asked` is what met the limit, in words; a test holds the rest against the check."""

    code: DenialCode
    asked: str
    limit: str
    value: str
    passing: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One row: the check, an example of each of its denials, and its parameters with their units.

    `on_change` names the aspects of a change for which it is made. `also` tells what else than an entry it is made for.
    """

    function: Function
    examples: tuple[Example, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    on_change: frozenset[Aspect] = frozenset()
    also: frozenset[Kind] = frozenset()

    @property
    def meaning(self) -> str:
        """What the check demands, for people."""
        demand = " ".join(cleandoc(self.function.__doc__ or "").split()).removeprefix("Demand that ")
        return demand[:1].upper() + demand[1:]

    @property
    def codes(self) -> tuple[DenialCode, ...]:
        """The codes of its denials."""
        return tuple(dict.fromkeys(example.code for example in self.examples))

    @property
    def applies_to(self) -> frozenset[Kind]:
        """What the row is held against."""
        return self.also | {Kind.ENTRY} | ({Kind.CHANGE} if self.on_change else frozenset())


C = DenialCode
_SIZE, _PRICE, _STOP = frozenset({Aspect.SIZE}), frozenset({Aspect.PRICE}), frozenset({Aspect.STOP})
_SIZE_OR_PRICE, _TRAILING = _SIZE | _PRICE, frozenset({Aspect.TRAILING})
_EXITS = frozenset({Kind.EXIT})

CHECKS: tuple[Check, ...] = (
    Check(
        permission.gate,
        (
            Example(
                C.ACCOUNT_GATE_SHUT,
                "a trade in a live account",
                "an open gate",
                "shut: live trading does not run yet",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.books_agree,
        (
            Example(
                C.BOOKS_DISAGREE,
                "a trade while the venue holds more than our trades add up to",
                "books that agree with the venue's",
                "position_larger of RELIANCE INTRADAY: ours 100, the venue's 110",
                "any, once they agree again or acc_01J0000000000000000000ASHA.d1 is resolved",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.kill_switch,
        (
            Example(
                C.KILL_SWITCH_ENGAGED,
                "a trade while the switch is engaged",
                "released",
                "engaged",
                "any, once it is released",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.strategy_kill_switch,
        (
            Example(
                C.STRATEGY_KILL_SWITCH_ENGAGED,
                "a trade of the strategy while its switch is engaged",
                "released",
                "engaged",
                "any, once it is released",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.invariants,
        (
            Example(
                C.INVARIANT_BREACHED,
                "a trade after exits were found to be above what a trade holds",
                "none broken",
                "exits_above_holding of trd_01J00000000000000000000001 by version 12 of the account's stream",
                "any, once it is released",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(permission.tradable, (Example(C.INSTRUMENT_NOT_TRADABLE, "an index", "tradable", "NIFTY"),)),
    Check(
        permission.expiry,
        (Example(C.INSTRUMENT_EXPIRED, "a future the day after its last", "to 2026-11-19", "2026-11-20"),),
    ),
    Check(
        permission.segment,
        (
            Example(
                C.SEGMENT_NOT_ALLOWED,
                "a stock of the NSE, where only its derivatives are allowed",
                "NSE_FNO",
                "NSE_EQ",
                "NSE_FNO",
            ),
        ),
        (("segments_allowed", "segments"),),
    ),
    Check(
        permission.calendar,
        (
            Example(
                C.CALENDAR_UNKNOWN,
                "an instrument whose segment has no session table",
                "a segment with a session table",
                "NSE_EQ",
            ),
            Example(
                C.CALENDAR_UNKNOWN,
                "an order on a day beyond the exchange's list of holidays",
                "a day whose holidays and hours are known",
                "NSE_EQ on 2026-11-20",
            ),
        ),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.stop_market,
        (Example(C.ORDER_TYPE_NOT_SUPPORTED, "an SL-M where it is not allowed", "MARKET, LIMIT, SL", "SL-M", "SL"),),
        (
            ("stop_market_allowed", "yes or no"),
            ("stop_limit_buffer_bp", "basis points"),
        ),
        on_change=_PRICE,
    ),
    Check(
        permission.market_open,
        (Example(C.MARKET_CLOSED, "a trade in the evening", "an open market", "closed", "the same with after_market"),),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        permission.after_market,
        (
            Example(
                C.AFTER_MARKET_NOT_ALLOWED,
                "an after-market order at noon",
                "closed",
                "continuous",
                "the same without it",
            ),
        ),
    ),
    Check(
        permission.phase_order_type,
        (
            Example(
                C.PHASE_ORDER_TYPE_NOT_ALLOWED,
                "an SL in the closing auction",
                "LIMIT, MARKET in closing_auction",
                "SL",
                "LIMIT, MARKET",
            ),
        ),
        on_change=_PRICE,
    ),
    Check(
        permission.time_in_force,
        (
            Example(C.TIME_IN_FORCE_NOT_ALLOWED, "an IOC before the open", "DAY in pre_open", "IOC", "DAY"),
            Example(C.TIME_IN_FORCE_NOT_ALLOWED, "an SL that is at once or never", "DAY for SL", "IOC", "DAY"),
        ),
    ),
    Check(
        permission.intraday_cutoff,
        (
            Example(
                C.INTRADAY_ENTRY_TOO_LATE,
                "an INTRADAY trade ten minutes before the end",
                "15 minutes before the end",
                "10 min 00 s before it",
                "another product",
            ),
        ),
        (("intraday_entry_cutoff_minutes", "minutes"),),
        on_change=_SIZE,
    ),
    Check(
        permission.product,
        (
            Example(
                C.PRODUCT_NOT_ALLOWED,
                "a stock for MARGIN",
                "CNC, INTRADAY, MTF in NSE_EQ",
                "MARGIN",
                "CNC, INTRADAY, MTF",
            ),
        ),
    ),
    Check(
        permission.short_sale,
        (Example(C.SHORT_NOT_ALLOWED, "a SELL for CNC", "BUY for CNC", "SELL", "SELL for INTRADAY"),),
    ),
    Check(
        permission.mtf,
        (
            Example(
                C.MTF_NOT_ALLOWED,
                "a stock for MTF that is not on the broker's list",
                "a stock that the broker lends for",
                "RELIANCE",
                "CNC",
            ),
        ),
    ),
    Check(
        permission.flip,
        (
            Example(
                C.FLIP_NEEDS_MARKET,
                "a LIMIT to sell while the strategy holds 100 bought",
                "MARKET while the other way is held",
                "LIMIT with 100 units held",
                "MARKET, which closes them first; or close them, then this",
            ),
        ),
    ),
    Check(
        permission.quantity,
        (Example(C.QUANTITY_ABOVE_LIMIT, "101 units where 100 are the limit", "100", "101", "100 units"),),
        (("order_quantity_max", "units"),),
        on_change=_SIZE,
    ),
    Check(
        permission.freeze_quantity,
        (
            Example(
                C.FREEZE_QUANTITY_EXCEEDED,
                "101 units, a freeze quantity of 100, and no slicing",
                "100",
                "101",
                "100 units",
            ),
        ),
        (("order_slices_max", "orders"),),
        on_change=_SIZE,
        also=_EXITS,
    ),
    Check(
        permission.slices,
        (
            Example(
                C.SLICES_ABOVE_LIMIT,
                "101 units, a freeze quantity of 50, and two orders at most",
                "2 orders",
                "3 orders",
                "100 units",
            ),
        ),
        (("order_slices_max", "orders"),),
    ),
    Check(
        permission.disclosed,
        (Example(C.DISCLOSED_QUANTITY_INVALID, "9 of 100 disclosed", "0 or 10..100", "9", "10 units"),),
        (("disclosed_quantity_bp_min", "basis points"),),
        on_change=_SIZE,
    ),
    Check(
        prices.mark_present,
        (Example(C.MARK_MISSING, "a trade before the first tick", "a last price of NSE_EQ:2885", "none seen"),),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        prices.mark_fresh,
        (Example(C.MARK_STALE, "a trade at a price that is older", "10000 ms", "10001 ms"),),
        (("mark_age_ms_max", "milliseconds"),),
        on_change=_SIZE_OR_PRICE,
    ),
    Check(
        prices.position_marks_present,
        (
            Example(
                C.POSITION_MARK_MISSING,
                "a trade in one stock while another one, which is held, has no price",
                "a last price of NSE_EQ:2885",
                "none seen",
            ),
        ),
        on_change=_SIZE,
    ),
    Check(
        prices.position_marks_fresh,
        (
            Example(
                C.POSITION_MARK_STALE,
                "a trade in one stock while the price of another one, which is held, is old",
                "10000 ms",
                "20000 ms",
            ),
        ),
        (("mark_age_ms_max", "milliseconds"),),
        on_change=_SIZE,
    ),
    Check(
        prices.collar,
        (
            Example(
                C.PRICE_OUTSIDE_COLLAR,
                "a limit of 2992.60 at a last price of 2850.00",
                "2707.50..2992.50",
                "2992.60",
                "2707.50..2992.50",
            ),
        ),
        (("price_collar_bp", "basis points"),),
        on_change=_PRICE,
    ),
    Check(
        prices.circuits,
        (
            Example(
                C.PRICE_OUTSIDE_CIRCUIT,
                "a limit above the upper circuit",
                "2700.00..2860.00",
                "2860.10",
                "2700.00..2860.00",
            ),
        ),
        on_change=_PRICE,
    ),
    Check(
        prices.spread,
        (
            Example(
                C.SPREAD_ABOVE_LIMIT,
                "a MARKET order between a bid of 2800.00 and an ask of 2900.00",
                "200 bp",
                "351 bp",
                "a LIMIT order",
            ),
        ),
        (("spread_bp_max", "basis points"),),
        on_change=_PRICE,
    ),
    Check(
        prices.trigger_side,
        (
            Example(
                C.TRIGGER_WRONG_SIDE,
                "an SL to buy at the last price",
                "a trigger above 2850.00",
                "2850.00",
                "a trigger above 2850.00",
            ),
            Example(
                C.TRIGGER_WRONG_SIDE,
                "an SL to buy with its limit below its trigger",
                "a limit at or above the trigger",
                "2859.90",
                "a limit at or above the trigger",
            ),
        ),
        on_change=_PRICE,
    ),
    Check(
        prices.stop_required,
        (Example(C.STOP_LOSS_REQUIRED, "a trade without one", "a stop loss", "none", "the same with a stop loss"),),
        (("stop_loss_required", "yes or no"),),
        on_change=_STOP,
    ),
    Check(
        prices.stop_side,
        (
            Example(
                C.STOP_LOSS_WRONG_SIDE,
                "a BUY at 2850.00 with its stop at the same price",
                "below 2850.00",
                "2850.00",
                "below 2850.00",
            ),
        ),
        on_change=_PRICE,
    ),
    Check(
        prices.stop_distance,
        (
            Example(
                C.STOP_LOSS_TOO_FAR,
                "a BUY at 2850.00 with its stop at 2279.90",
                "2000 bp",
                "2001 bp",
                "a stop loss from 2280.00",
            ),
        ),
        (("stop_loss_distance_bp_max", "basis points"),),
        on_change=_STOP,
    ),
    Check(
        prices.target_side,
        (
            Example(
                C.TARGET_WRONG_SIDE,
                "a BUY at 2850.00 with its target at the same price",
                "above 2850.00",
                "2850.00",
                "above 2850.00",
            ),
        ),
        on_change=_PRICE,
    ),
    Check(
        prices.trailing_step,
        (Example(C.TRAILING_STEP_TOO_SMALL, "steps of 1.40 at 2850.00", "5 bp", "1.40", "a step of 1.50"),),
        (("trailing_step_bp_min", "basis points"),),
        on_change=_TRAILING,
    ),
    Check(
        prices.trade_risk,
        (
            Example(
                C.TRADE_RISK_ABOVE_LIMIT,
                "101 units with a stop 50.00 away, where 5000.00 may be lost",
                "5000.00",
                "5050.00",
                "100 units",
            ),
        ),
        (("trade_risk_paise_max", "rupees"),),
        on_change=_SIZE | _PRICE | _STOP,
    ),
    Check(
        size.order_value,
        (
            Example(
                C.ORDER_VALUE_ABOVE_LIMIT,
                "100 units at 2850.10, where 285000.00 is the limit",
                "285000.00",
                "285010.00",
                "99 units",
            ),
        ),
        (("order_value_paise_max", "rupees"),),
        on_change=_SIZE,
    ),
    Check(
        size.position_quantity,
        (
            Example(
                C.POSITION_QUANTITY_ABOVE_LIMIT,
                "100 units more where 100 are held and 199 the limit",
                "199",
                "200",
                "99 units",
            ),
        ),
        (("position_quantity_max", "units"),),
        on_change=_SIZE,
    ),
    Check(
        size.position_value,
        (
            Example(
                C.POSITION_VALUE_ABOVE_LIMIT, "100 units more where 100 are held", "569999.99", "570000.00", "99 units"
            ),
        ),
        (("position_value_paise_max", "rupees"),),
        on_change=_SIZE,
    ),
    Check(
        size.position_share,
        (
            Example(
                C.POSITION_SHARE_ABOVE_LIMIT,
                "100 units at 2850.00 of a capital of 569900.00",
                "5000 bp",
                "5001 bp",
                "99 units",
            ),
        ),
        (
            ("position_share_bp_max", "basis points"),
            ("capital_paise", "rupees"),
        ),
        on_change=_SIZE,
    ),
    Check(
        size.gross_exposure,
        (
            Example(
                C.GROSS_EXPOSURE_ABOVE_LIMIT,
                "100 units more where an entry for 100 rests",
                "569999.99",
                "570000.00",
                "99 units",
            ),
        ),
        (("gross_exposure_paise_max", "rupees"),),
        on_change=_SIZE,
    ),
    Check(
        size.net_exposure,
        (
            Example(
                C.NET_EXPOSURE_ABOVE_LIMIT,
                "100 units more where an entry for 100 rests",
                "569999.99",
                "570000.00 long",
                "99 units",
            ),
        ),
        (("net_exposure_paise_max", "rupees"),),
        on_change=_SIZE,
    ),
    Check(
        size.concentration,
        (
            Example(
                C.CONCENTRATION_ABOVE_LIMIT,
                "100 units more where 100 are held, and a tenth of 5000000.00 is the limit",
                "500000.00",
                "570000.00",
                "75 units",
            ),
        ),
        (
            ("concentration_bp_max", "basis points"),
            ("gross_exposure_paise_max", "rupees"),
        ),
        on_change=_SIZE,
    ),
    Check(
        size.funds,
        (
            Example(
                C.FUNDS_INSUFFICIENT,
                "100 units INTRADAY at 2850.00, a fifth of it in funds but for a paisa",
                "56999.99",
                "57000.00",
                "99 units",
            ),
        ),
        (
            ("capital_paise", "rupees"),
            ("margin_bp_cnc", "basis points"),
            ("margin_bp_intraday", "basis points"),
            ("margin_bp_margin", "basis points"),
            ("margin_bp_mtf", "basis points"),
        ),
        on_change=_SIZE,
    ),
    Check(
        size.trades_per_day,
        (Example(C.TRADES_PER_DAY_ABOVE_LIMIT, "the second trade of the day", "1", "2"),),
        (("trades_per_day_max", "trades"),),
    ),
    Check(
        size.open_trades,
        (Example(C.OPEN_TRADES_ABOVE_LIMIT, "a second open trade", "1", "2", "any, once a trade is closed"),),
        (("open_trades_max", "trades"),),
    ),
    Check(
        size.open_positions,
        (
            Example(
                C.OPEN_POSITIONS_ABOVE_LIMIT,
                "a trade in another stock than the one that is held",
                "1",
                "2",
                "more of a position that is open",
            ),
        ),
        (("open_positions_max", "positions"),),
    ),
    Check(
        size.open_orders,
        (Example(C.OPEN_ORDERS_ABOVE_LIMIT, "a second order", "1", "2", "any, once an order is over"),),
        (("open_orders_max", "orders"),),
    ),
    Check(
        size.day_loss,
        (
            Example(
                C.DAY_LOSS_LIMIT_REACHED,
                "a trade after one that lost 5000.00",
                "-5000.00",
                "-5000.00",
                "any, on the next day",
            ),
        ),
        (
            ("day_loss_paise_max", "rupees"),
            ("day_loss_action", "block, flatten or kill"),
        ),
        on_change=_SIZE,
    ),
    Check(
        size.drawdown,
        (Example(C.DRAWDOWN_LIMIT_REACHED, "a trade after one that lost 5000.00", "5000.00", "5000.00"),),
        (
            ("drawdown_paise_max", "rupees"),
            ("drawdown_action", "block, flatten or kill"),
        ),
        on_change=_SIZE,
    ),
    Check(
        repetition.duplicate,
        (
            Example(
                C.DUPLICATE_INTENT,
                "the same trade twice within 400 ms",
                "another one within 500 ms",
                "trd_01J00000000000000000000001, 400 ms ago",
                "the same in 100 ms",
            ),
        ),
        (("duplicate_window_ms", "milliseconds"),),
    ),
    Check(
        repetition.self_cross,
        (
            Example(
                C.SELF_CROSS,
                "a LIMIT to buy at 2851.00 while one to sell at 2851.00 rests",
                "below 2851.00",
                "2851.00",
                "the same once trd_01J00000000000000000000001.1 is canceled",
            ),
        ),
        (("self_cross_allowed", "yes or no"),),
        on_change=_PRICE,
    ),
    Check(
        repetition.per_second,
        (
            Example(
                C.ORDERS_PER_SECOND_ABOVE_LIMIT,
                "a second order in the same second",
                "1 a second for entries, 3 in all",
                "2",
                "the same a second later",
            ),
        ),
        (
            ("orders_per_second_max", "orders"),
            ("orders_reserved_for_exits", "orders"),
        ),
    ),
    Check(
        repetition.per_minute,
        (
            Example(
                C.ORDERS_PER_MINUTE_ABOVE_LIMIT,
                "a second order in the same minute",
                "1 a minute for entries, 3 in all",
                "2",
                "the same a minute later",
            ),
        ),
        (
            ("orders_per_minute_max", "orders"),
            ("orders_reserved_for_exits", "orders"),
        ),
    ),
    Check(
        repetition.per_hour,
        (
            Example(
                C.ORDERS_PER_HOUR_ABOVE_LIMIT,
                "a second order in the same hour",
                "1 an hour for entries, 3 in all",
                "2",
                "the same an hour later",
            ),
        ),
        (
            ("orders_per_hour_max", "orders"),
            ("orders_reserved_for_exits", "orders"),
        ),
    ),
    Check(
        repetition.per_day,
        (
            Example(
                C.ORDERS_PER_DAY_ABOVE_LIMIT,
                "a second order on the same day",
                "1 a day for entries, 3 in all",
                "2",
                "the same a day later",
            ),
        ),
        (
            ("orders_per_day_max", "orders"),
            ("orders_reserved_for_exits", "orders"),
        ),
    ),
)
"""What every entry faces, oldest reason first: the first denial wins."""

CHANGES_ONLY = (
    Example(
        C.MODIFICATIONS_EXHAUSTED,
        "another price for an entry that was changed 25 times",
        "25",
        "26",
        "the same as a new trade, once this one is canceled",
    ),
)
"""What only a change can meet: the venue lets one order be changed so often."""


class Elsewhere(NamedTuple):
    """A rule that ends in no denial: what it is, what it is held against, and what becomes of who meets it."""

    rule: str
    applies_to: frozenset[Kind]
    outcome: str


ELSEWHERE = (
    Elsewhere(
        "Quantity in whole lots, prices on the tick, prices that go with the order type",
        frozenset({Kind.ENTRY, Kind.CHANGE}),
        "refused with 422, and stored nowhere; an exit takes them from what is held, so it meets them always",
    ),
    Elsewhere(
        "Freeze quantity",
        frozenset({Kind.ENTRY, Kind.EXIT}),
        "sliced into as many orders as it takes; of exits any number",
    ),
    Elsewhere(
        "Phase of the session",
        frozenset({Kind.EXIT}),
        "a closed venue refuses an exit, and later ticks bring the next one: it is never denied here",
    ),
    Elsewhere(
        "The broker's budget of requests",
        frozenset({Kind.ENTRY, Kind.EXIT, Kind.CANCEL, Kind.CHANGE}),
        "cancels go first, then exits, then entries; what finds no place is sent later, and an entry too old lapses",
    ),
)

_FUNCTIONS = tuple(check.function for check in CHECKS)


def denial_of(command: OpenTrade, account: Account, instrument: Instrument) -> Denial | None:
    """Return the first denial that *command* meets, None where it passes every check."""
    if surely_passes(command, account, instrument):
        return None
    return denial_by_table(Intent(command, account, instrument))


def denial_by_table(intent: Intent) -> Denial | None:
    """Return the first denial that *intent* meets, check by check."""
    for function in _FUNCTIONS:
        denial = function(intent)
        if denial is not None:
            return denial
    return None
