"""Whatever an account lives through, its read models agree with each other and with its own state."""

from collections import defaultdict
from contextlib import suppress
from random import Random
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.account import decider
from domain.account.events import (
    AccountEvent,
    AccountOpened,
    ContractNoteReceived,
    OrderBlocked,
    OrderCancelRequested,
    OrderLapsed,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderResolved,
)
from domain.account.state import WHOLE_ACCOUNT
from domain.events import decode
from domain.order import CLOSED
from domain.refusals import Refusal
from domain.strategy.decide import StrategyCommand
from domain.strategy.decide import decider as strategy_decider
from domain.strategy.events import StrategyEvent
from infra.oracle.lives import SeededChooser
from infra.oracle.world import World
from projections.audit_trail import AUDIT_TRAIL
from projections.catalogue import READ_MODELS
from projections.daily_results import DAILY_RESULTS
from projections.orders import ORDERS
from projections.positions import POSITIONS
from projections.read_model import AnyReadModel, Key, fold
from projections.risk import RISK
from projections.strategies import STRATEGIES
from projections.trades import TRADES, ProtectionLoss, TradeStatus
from projections.trailed import trailed
from tests.support.happenings import Happenings
from tests.support.lives import Life
from tests.support.log_writing import recorded_log
from tests.support.oracle import Oracle
from tests.support.specimens import (
    archive_strategy,
    deploy_live,
    deploy_on_paper,
    pause_strategy,
    record_backtest,
    resume_strategy,
    revise_strategy,
    strategy_drafted,
)

lives = st.builds(
    lambda random, commands: Life(random).go_on(commands),
    st.randoms(use_true_random=False),
    st.integers(min_value=0, max_value=120),
)

happenings = st.builds(
    lambda random, steps: Happenings(random).go_on(steps),
    st.randoms(use_true_random=False),
    st.integers(min_value=0, max_value=120),
)


class Decided:
    """A life that an account lived through at a venue with moods: stops, changes, baskets, switches, foreign fills."""

    def __init__(self, seed: int, steps: int) -> None:
        self.world = World(SeededChooser(seed))
        for _ in range(steps):
            self.world.step()
        self.events = self.world.events
        [opened] = [event for event in self.events if isinstance(event, AccountOpened)]
        self.account_id = opened.account_id


decided = st.builds(Decided, st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=80))


def rows_of(model: AnyReadModel, life: Life | Happenings | Decided) -> dict[Key, Any]:
    rows: dict[Key, Any] = {}
    log = recorded_log((f"account-{life.account_id}", event) for event in life.events)
    fold(model, ((decode(each.name, each.payload), each) for each in log), rows)
    return rows


def test_made_up_lives_are_worth_the_name() -> None:
    many = [Life(Random(number)).go_on(60) for number in range(16)]  # noqa: S311 - no secret
    trades = [row for life in many for row in rows_of(TRADES, life).values()]
    orders = [row for life in many for row in rows_of(ORDERS, life).values()]
    assert {row.status for row in trades} == set(TradeStatus)
    assert any(row.fill_count > 1 for row in orders)
    assert any(row.status in CLOSED and not row.cumulative_quantity for row in orders)


def test_everything_that_can_happen_to_an_account_happens() -> None:
    many = [Happenings(Random(number)).go_on(120) for number in range(20)]  # noqa: S311 - no secret
    kinds = {type(event) for life in many for event in life.events}
    # An order's way to the venue and back is lived through elsewhere, and so is what the broker says the day after.
    ways = {
        ContractNoteReceived,
        OrderNotSent,
        OrderOutcomeUnknown,
        OrderPresumedAbsent,
        OrderResolved,
        OrderLapsed,
        OrderBlocked,
        OrderCancelRequested,
    }
    assert kinds | ways == set(get_args(AccountEvent))
    trades = [row for life in many for row in rows_of(TRADES, life).values()]
    assert any(len(row.entries) > 1 for row in trades)
    assert any(row.guarded_quantity for row in trades)
    assert {row.protection_lost for row in trades} == {None, *ProtectionLoss}
    assert any(row.reduction_quantity for row in trades)
    orders = [row for life in many for row in rows_of(ORDERS, life).values()]
    assert any(row.wanted is not None for row in orders)


@settings(max_examples=40, deadline=None)
@given(life=lives | happenings | decided)
def test_a_position_is_the_sum_of_its_trades(life: Life | Happenings | Decided) -> None:
    sums: defaultdict[Key, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0, 0])
    for trade in rows_of(TRADES, life).values():
        if trade.status is TradeStatus.DENIED:
            continue
        key = (trade.account_id, trade.segment.value, trade.security_id, trade.product.value)
        parts = (
            trade.net_quantity,
            trade.cost_paise,
            trade.realised_paise,
            trade.charges.total_paise,
            trade.entry_quantity + trade.exit_quantity,
            trade.entry_paise + trade.exit_paise,
        )
        sums[key] = [total + part for total, part in zip(sums[key], parts, strict=True)]
    positions = {
        key: [
            row.net_quantity,
            row.cost_paise,
            row.realised_paise,
            row.charges_paise,
            row.bought_quantity + row.sold_quantity,
            row.bought_paise + row.sold_paise,
        ]
        for key, row in rows_of(POSITIONS, life).items()
    }
    assert positions == sums
    for row in rows_of(POSITIONS, life).values():
        assert row.net_quantity == row.bought_quantity - row.sold_quantity + row.adjusted_quantity
        assert row.net_quantity == sum(row.holdings.values())
        assert row.realised_paise == row.sold_paise - row.bought_paise + row.cost_paise


@settings(max_examples=40, deadline=None)
@given(life=lives | decided)
def test_read_models_show_what_the_account_decides_on(life: Life | Decided) -> None:
    state = decider.fold(life.events)
    orders, trades = rows_of(ORDERS, life), rows_of(TRADES, life)
    for order in state.orders.values():
        row = orders[(order.order_id,)]
        assert row.status is order.status
        assert (row.cumulative_quantity, row.leaves_quantity) == (order.cumulative_quantity, order.leaves_quantity)
        assert (row.cancel_requested, row.modifications) == (order.cancel_requested, order.modifications)
        assert (row.wanted, row.quantity) == (order.wanted, order.instruction.quantity)
        prices = (row.order_type, row.limit_price_e4, row.trigger_price_e4)
        told = order.instruction
        assert prices == (told.order_type, told.limit_price_e4, told.trigger_price_e4)
    for trade in state.trades.values():
        row = trades[(trade.trade_id,)]
        assert (row.reduction_quantity, row.version) == (trade.reduction, trade.version)
        assert (row.stop_loss_e4, row.target_e4, row.trailing) == (trade.stop_loss_e4, trade.target_e4, trade.trailing)
        assert (row.strategy_id, row.is_external, row.quantity) == (
            trade.strategy_id,
            trade.is_external,
            trade.entry.quantity,
        )
        held = (trade.holding.net_quantity, trade.holding.cost_paise, trade.holding.realised_paise)
        assert (row.net_quantity, row.cost_paise, row.realised_paise) == held
        assert (row.status is TradeStatus.CLOSED) == trade.is_closed
        entry = orders.get((row.entry_order_id,))
        assert row.entry_venue_order_id == (None if entry is None else entry.venue_order_id)
    for position in rows_of(POSITIONS, life).values():
        # Of one trade, and of several that agree, the position says what the account trails; of others nothing.
        stops = {
            None if trade.trailing is None else trade.stop_loss_e4
            for trade in state.trades.values()
            if trade.trade_id in position.holdings
        }
        said = trailed(position, {row.trade_id: row for row in trades.values()})
        assert said.stop_e4 == (stops.pop() if len(stops) == 1 else None)
    [risk] = rows_of(RISK, life).values()
    assert (risk.trades_today, risk.realised_today_paise) == (state.trades_today, state.realised_today_paise)
    assert {each.strategy_id or WHOLE_ACCOUNT: each.mode for each in risk.kill_switches} == state.kill_switches
    assert set(risk.latched) == state.breaches
    assert (risk.realised_paise, risk.peak_net_paise) == (state.realised_paise, state.peak_net_paise)
    assert (risk.charges_paise, risk.charges_today_paise) == (state.charges_paise, state.charges_today_paise)
    assert risk.cash_moved_paise == state.cash_moved_paise
    assert set(risk.open_trades) == {trade.trade_id for trade in state.trades.values() if not trade.is_closed}


@settings(max_examples=25, deadline=None)
@given(life=happenings, cut=st.floats(min_value=0, max_value=1))
def test_days_summed_up_tell_what_was_held_at_the_end_of_each(life: Happenings, cut: float) -> None:
    log = recorded_log((f"account-{life.account_id}", event) for event in life.events)
    log = log[: int(len(log) * cut)]
    rows: dict[Key, Any] = {}
    fold(DAILY_RESULTS, ((decode(each.name, each.payload), each) for each in log), rows)
    expected = Oracle(life.account_id, log, len(log)).daily_results()
    held: defaultdict[str, int] = defaultdict(int)
    cost: defaultdict[str, int] = defaultdict(int)
    for key in sorted(rows):
        row, name = rows[key], rows[key].security_id
        held[name] = (held[name] if row.adjusted_to is None else row.adjusted_to) + row.quantity_change
        cost[name] += row.cost_change_paise
        wanted = expected[row.day, name]
        assert (row.realised_paise, row.charges_paise) == (wanted["realised_paise"], wanted["charges_paise"])
        assert (held[name], cost[name]) == (wanted["net_quantity"], wanted["cost_paise"])
    assert {(row.day, row.security_id) for row in rows.values()} <= set(expected)


@settings(max_examples=60, deadline=None)
@given(
    commands=st.lists(
        st.sampled_from(
            [
                record_backtest,
                replace(record_backtest, source_hash=revise_strategy.source_hash),
                revise_strategy,
                replace(revise_strategy, source_hash=record_backtest.source_hash),
                deploy_on_paper,
                deploy_live,
                pause_strategy,
                resume_strategy,
                archive_strategy,
            ]
        ),
        max_size=25,
    )
)
def test_a_strategy_shows_what_it_decides_on(commands: list[StrategyCommand]) -> None:
    events: list[StrategyEvent] = [strategy_drafted]
    for command in commands:
        with suppress(Refusal):
            events += strategy_decider.decide(command, strategy_decider.fold(events))
    state = strategy_decider.fold(events)
    rows: dict[Key, Any] = {}
    log = recorded_log((f"strategy-{strategy_drafted.strategy_id}", event) for event in events)
    fold(STRATEGIES, ((decode(each.name, each.payload), each) for each in log), rows)
    [row] = rows.values()
    assert (row.status, row.revision, row.resumes_as) == (state.status, state.revision, state.resumes_as)
    assert (row.source_hash, row.parameters) == (state.source_hash, state.parameters)
    assert (row.account_id, row.sequence) == (state.account_id, len(events))
    rows = {}
    fold(AUDIT_TRAIL, ((decode(each.name, each.payload), each) for each in log), rows)
    assert [row.name for row in rows.values()] == [each.name for each in log]


@settings(max_examples=20, deadline=None)
@given(life=lives | happenings, cut=st.floats(min_value=0, max_value=1))
def test_folding_in_two_parts_is_folding_in_one(life: Life | Happenings, cut: float) -> None:
    log = recorded_log((f"account-{life.account_id}", event) for event in life.events)
    pairs = [(decode(each.name, each.payload), each) for each in log]
    middle = int(len(pairs) * cut)
    for model in READ_MODELS:
        whole: dict[Key, Any] = {}
        parts: dict[Key, Any] = {}
        fold(model, pairs, whole)
        fold(model, pairs[:middle], parts)
        fold(model, pairs[middle:], parts)
        assert whole == parts
