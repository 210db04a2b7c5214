"""Where the fast path says that an intent surely passes, no check of the table denies it."""

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.account import decider
from domain.account.checks.fast import surely_passes
from domain.account.checks.intent import Intent
from domain.account.checks.table import denial_by_table
from domain.account.events import AccountEvent, Trailing
from domain.account.valuation import valuation_of
from domain.instrument import Segment
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import RiskParameters
from domain.session import Phase, SessionMoment
from tests.support.specimens import (
    NOW_NS,
    NS_PER_MS,
    NS_PER_S,
    OTHER_TRADE,
    STRATEGY,
    account_opened,
    entry_instruction,
    exit_filled,
    exiting,
    held,
    infy,
    infy_mark,
    intended,
    kill_switch_engaged,
    mark,
    market,
    open_trade,
    order_acknowledged,
    order_intended,
    order_submitting,
    reliance,
    session,
    trade_closed,
    trade_opened,
)

limit_entry = replace(entry_instruction, order_type=OrderType.LIMIT, limit_price_e4=2_851_0000)
HISTORIES: list[tuple[AccountEvent, ...]] = [
    (account_opened,),
    intended,
    held,
    exiting,
    (*exiting, exit_filled, trade_closed),
    (account_opened, replace(kill_switch_engaged, strategy_id=STRATEGY)),
    *(
        (
            account_opened,
            replace(trade_opened, entry=replace(limit_entry, side=side)),
            replace(order_intended, instruction=replace(limit_entry, side=side)),
            order_submitting,
            order_acknowledged,
        )
        for side in Side
    ),
]


def one_of(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from(values)


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "order_quantity_max": one_of(99, 100, 5_000),
        "order_value_paise_max": one_of(285_000_00, 284_999_99),
        "order_slices_max": one_of(0, 1),
        "open_trades_max": one_of(0, 1, 2),
        "open_positions_max": one_of(0, 1, 2),
        "open_orders_max": one_of(0, 1, 2),
        "trades_per_day_max": one_of(0, 1, 2),
        "position_quantity_max": one_of(None, 100, 199, 200),
        "position_value_paise_max": one_of(None, 285_000_00, 570_000_00),
        "position_share_bp_max": one_of(None, 1_000, 5_000),
        "gross_exposure_paise_max": one_of(285_000_00, 570_000_00),
        "net_exposure_paise_max": one_of(None, 285_000_00, 570_000_00),
        "concentration_bp_max": one_of(None, 500, 600, 10_000),
        "capital_paise": one_of(None, 57_000_00, 114_000_00, 570_000_00, 10**9),
        "trade_risk_paise_max": one_of(None, 5_000_00, 4_999_99),
        "day_loss_paise_max": one_of(0, 5_000_00, 5_000_01),
        "drawdown_paise_max": one_of(5_000_00, 5_000_01),
        "price_collar_bp": one_of(0, 3, 500),
        "spread_bp_max": one_of(None, 0, 7),
        "mark_age_ms_max": one_of(0, 10_000),
        "stop_loss_required": st.booleans(),
        "stop_loss_distance_bp_max": one_of(None, 100, 200),
        "trailing_step_bp_min": one_of(0, 5),
        "segments_allowed": one_of(None, (), (Segment.NSE_EQ,)),
        "intraday_entry_cutoff_minutes": one_of(0, 15, 320),
        "duplicate_window_ms": one_of(0, 500),
        "self_cross_allowed": st.booleans(),
        "orders_per_second_max": one_of(2, 3, 4, 10),
        "orders_per_day_max": one_of(2, 3, 4, 10),
        "orders_reserved_for_exits": one_of(0, 2),
    },
)
INTENTS = st.builds(
    lambda intent, limit: replace(
        intent, order_type=OrderType.MARKET if limit is None else OrderType.LIMIT, limit_price_e4=limit
    ),
    st.builds(
        lambda changed: replace(open_trade, trade_id=OTHER_TRADE, **changed),
        st.fixed_dictionaries(
            {
                "side": st.sampled_from(Side),
                "quantity": st.sampled_from([1, 100, 101]),
                "product": st.sampled_from(Product),
                "stop_loss_e4": st.sampled_from([None, 2_800_0000, 2_850_0000, 2_900_0000]),
                "target_e4": st.sampled_from([None, 2_800_0000, 2_900_0000]),
            },
            optional={
                "time_in_force": st.just(TimeInForce.IOC),
                "strategy_id": st.just(STRATEGY),
                "trailing": st.builds(
                    Trailing, distance_e4=st.just(50_0000), step_e4=st.sampled_from([1_4000, 1_5000])
                ),
                "disclosed_quantity": st.just(5),
                "after_market": st.just(True),
            },
        ),
    ),
    st.sampled_from([None, None, 2_850_0000, 2_850_9000, 2_851_0000, 2_992_6000]),
)
MARKS = st.fixed_dictionaries(
    {},
    optional={
        "bid_price_e4": st.just(2_849_0000),
        "ask_price_e4": st.sampled_from([2_851_0000, 2_851_1000]),
        "lower_circuit_e4": st.just(2_850_5000),
        "upper_circuit_e4": st.just(2_850_5000),
        "last_price_e4": st.sampled_from([2_800_0000, 2_850_1000]),
    },
)


@settings(max_examples=600, deadline=None)
@given(
    history=st.sampled_from(HISTORIES),
    parameters=PARAMETERS,
    intent=INTENTS,
    seen=MARKS,
    phase=st.sampled_from([Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.CONTINUOUS, *Phase]),
    age_ms=st.sampled_from([0, 0, 1, 400, 600, 10_001]),
    in_infy=st.booleans(),
    day_known=st.sampled_from([True, True, True, False]),
)
def test_what_surely_passes_is_denied_by_no_check(  # noqa: PLR0917 - Hypothesis names them
    history: tuple[AccountEvent, ...],
    parameters: dict[str, object],
    intent: object,
    seen: dict[str, object],
    phase: Phase,
    age_ms: int,
    in_infy: bool,  # noqa: FBT001
    day_known: bool,  # noqa: FBT001
) -> None:
    account = replace(decider.fold(history), parameters=RiskParameters(**parameters))  # type: ignore[arg-type]
    now_ns = NOW_NS + NS_PER_S + age_ms * NS_PER_MS
    marks = {each.instrument: replace(each, exchange_time_ns=NOW_NS + NS_PER_S) for each in (mark, infy_mark)}
    marks[mark.instrument] = replace(marks[mark.instrument], **seen)
    moment: SessionMoment = replace(session, phase=phase, day_known=day_known)
    command = replace(
        intent,
        market=replace(
            market,
            market_time_ns=now_ns,
            instrument=infy if in_infy else reliance,
            marks=tuple(marks.values()),
            session=moment,
            valuation=valuation_of(account, marks.get, market_time_ns=now_ns),
        ),
    )
    instrument = command.market.instrument
    passes = surely_passes(command, account, instrument)
    event(f"surely passes: {passes}")
    if passes:
        assert denial_by_table(Intent(command, account, instrument)) is None
