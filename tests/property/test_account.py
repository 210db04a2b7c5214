"""Whatever is asked of an account, and whatever its venue does: the engine and the oracle agree.

`infra.oracle` makes up the life and judges it after every command; here Hypothesis chooses, and shrinks what it finds.
What the log and the process managers make of the same events is held against it as well.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from commands.accounts import stream_of
from commands.open_orders import OpenOrders
from commands.watched_trades import WatchedTrades
from domain.account import decider
from domain.account.events import AccountEvent
from domain.envelope import RecordedEvent
from domain.events import decode, encode, name_of
from domain.order import CLOSED, NEXT
from infra.oracle.lives import live
from infra.oracle.world import STEPS, World
from tests.support.life_cycle import FollowedOrders
from tests.support.specimens import ACCOUNT


class DrawnChooser:
    """Chooses as Hypothesis draws."""

    def __init__(self) -> None:
        self.data: st.DataObject | None = None

    def below(self, count: int) -> int:
        return 0 if self.data is None else self.data.draw(st.integers(min_value=0, max_value=count - 1))


class AnyAccount(RuleBasedStateMachine):
    """Makes up the life of an account."""

    def __init__(self) -> None:
        super().__init__()
        self.chooser = DrawnChooser()
        self.world = World(self.chooser)

    @rule(data=st.data(), step=st.sampled_from(STEPS))
    def something_happens(self, data: st.DataObject, step: object) -> None:
        self.chooser.data = data
        step(self.world)  # type: ignore[operator]

    def teardown(self) -> None:
        self.chooser.data = None
        self.world.settle()
        events = self.world.events
        stored = [decode(name_of(event), encode(event)) for event in events]
        assert stored == events
        assert decider.fold(stored) == self.world.state  # type: ignore[arg-type]
        half = len(events) // 2
        assert decider.fold(events[half:], decider.fold(events[:half])) == self.world.state
        expect_only_allowed_steps(events)
        expect_the_process_managers_to_see_the_same(self.world)


def expect_only_allowed_steps(events: list[AccountEvent]) -> None:
    followed = FollowedOrders()
    followed.take(events)
    for status, following in followed.steps:
        assert following in NEXT[status], f"{status} to {following}"


def expect_the_process_managers_to_see_the_same(world: World) -> None:
    orders, trades = OpenOrders(), WatchedTrades()
    for sequence, event in enumerate(world.events, 1):
        orders.apply(as_recorded(event, sequence))
        trades.apply(as_recorded(event, sequence))
    for order in world.state.orders.values():
        seen = orders.get(order.order_id)
        assert seen is not None
        assert (seen.status, seen.cumulative_quantity) == (order.status, order.cumulative_quantity)
        assert seen.cancel_requested is order.cancel_requested
    assert {order.order_id for order in orders.open()} >= {
        order.order_id for order in world.state.orders.values() if order.status not in CLOSED
    }
    held = {trade_id for trade_id, trade in world.state.trades.items() if trade.holding.net_quantity}
    assert {trade_id for trade_id in held if trade_id in trades or world.state.trades[trade_id].is_external} == held


def as_recorded(event: AccountEvent, sequence: int) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        stream_id=stream_of(ACCOUNT),
        version=sequence,
        name=name_of(event),
        command_id="cmd",
        metadata=b"{}",
        payload=encode(event),
        recorded_at_us=sequence,
        previous_hash=b"",
        hash=b"",
    )


def test_seeded_lives_agree_with_the_oracle() -> None:
    for seed in range(300):
        verdict = live(seed)
        assert verdict.mismatch is None, f"seed {seed}: {verdict.mismatch}"


TestAnyAccount = AnyAccount.TestCase
TestAnyAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
