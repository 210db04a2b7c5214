"""The sums that an account keeps are those that adding everything up leads to, after every event of any life."""

import pytest

from domain.account import decider
from domain.account.state import Account
from domain.account.totals import totals_of
from domain.order import LIVE
from infra.oracle.lives import STEPS, SeededChooser
from infra.oracle.world import World


def expect_right_sums(state: Account) -> None:
    assert state.totals == totals_of(state.trades, state.orders.values())
    for trade in state.trades.values():
        live = [order for order in state.orders_of(trade.trade_id) if order.status in LIVE]
        assert trade.live_orders == len(live)
        if not trade.is_closed:
            assert trade.is_open == bool(trade.holding.net_quantity or live or not trade.order_count)
    assert state.totals.open_trades == sum(1 for _ in state.open_trades())
    assert state.totals.live_orders == sum(order.status in LIVE for order in state.orders.values())


@pytest.mark.parametrize("seed", range(60))
def test_what_is_kept_up_is_what_adding_up_leads_to(seed: int) -> None:
    world = World(SeededChooser(seed))
    for _ in range(STEPS):
        world.step()
    world.settle()
    state = decider.initial
    for event in world.events:
        state = decider.evolve(state, event)
        expect_right_sums(state)
