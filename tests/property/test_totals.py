"""The sums that an account keeps are those that adding everything up leads to, after every event of any life."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.account import decider
from domain.account.totals import totals_of
from domain.order import LIVE
from tests.support.lives import Life


@settings(max_examples=60, deadline=None)
@given(random=st.randoms(use_true_random=False), commands=st.integers(min_value=0, max_value=80))
def test_what_is_kept_up_is_what_adding_up_leads_to(random: st.randoms, commands: int) -> None:  # type: ignore[valid-type]
    state = decider.initial
    for event in Life(random).go_on(commands).events:
        state = decider.evolve(state, event)
        assert state.totals == totals_of(state.trades, state.orders.values())
        for trade in state.trades.values():
            live = [order for order in state.orders_of(trade.trade_id) if order.status in LIVE]
            assert trade.live_orders == len(live)
            if not trade.is_closed:
                assert trade.is_open == bool(trade.holding.net_quantity or live or not trade.order_count)
        assert state.totals.open_trades == sum(1 for _ in state.open_trades())
        assert state.totals.live_orders == sum(order.status in LIVE for order in state.orders.values())
