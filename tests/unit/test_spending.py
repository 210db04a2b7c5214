"""What an account spent of the venue's limits before a restart is still spent after it."""

from collections.abc import Sequence
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from adapters.dhan.guard.budgets import Budgets, RateClass
from adapters.dhan.settings import DhanSettings
from commands import spending
from commands.open_orders import OpenOrders
from commands.ports import StoreUnavailable
from commands.spending import DAY_US, Spending
from domain.account.commands import CancelTrade
from domain.account.events import OrderFilled, TradeOpened
from domain.account.exits import order_id_of
from domain.ids import AccountId, TradeId
from domain.market import NS_PER_S
from domain.order import OrderType
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.dhan import HandClock
from tests.support.specimens import ACCOUNT, OWNER, begin, not_sent

PRICE_E4 = 2_850_0000
RESTS = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
IN_STEP = but(SETTINGS, lock_step=True)


class Counter:
    """Implements `commands.ports.RequestBudget`: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[AccountId, list[int]]] = []

    def count_earlier(self, account_id: AccountId, sent_at_ns: Sequence[int]) -> None:
        self.told.append((account_id, list(sent_at_ns)))


@pytest.fixture
async def desk() -> Desk:
    """Return a desk that sent two orders and asked one of them to be canceled; a third was proven not to be sent."""
    desk = Desk()
    await desk.open_account()
    trades = [await _opened(desk) for _ in range(2)]
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
    order_id = order_id_of(await _opened(desk), 1)
    await desk.do(replace(begin, order_id=order_id))
    await desk.do(replace(not_sent, order_id=order_id))
    await desk.do(CancelTrade(trade_id=trades[0], user_id=OWNER))
    return desk


async def _opened(desk: Desk) -> TradeId:
    opened = (await desk.open_trade(RESTS)).events[0]
    assert isinstance(opened, TradeOpened)
    return opened.trade_id


def spending_of(desk: Desk, counter: Counter, *, later_us: int = 0) -> Spending:
    clock = HandClock((desk.store.events[-1].recorded_at_us + later_us) * 1_000)
    orders = OpenOrders()
    for recorded in desk.store.events:
        orders.apply(recorded)
    return Spending(store=desk.store, clock=clock, budget=counter, version_of=orders.version_of)


@pytest.mark.parametrize("span", [1_000, 3, 1])
async def test_what_was_sent_and_asked_in_the_last_day_is_told_once(
    desk: Desk, span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "_SPAN", span)
    counter = Counter()
    read = spending_of(desk, counter)
    await read.recall(ACCOUNT)
    await read.recall(ACCOUNT)
    names = ("order.submitting.v1", "order.cancel_requested.v1", "order.not_sent.v2")
    sent, canceled, unsent = ([e for e in desk.store.events if e.name == name] for name in names)
    ((account_id, times),) = counter.told
    assert account_id == ACCOUNT
    assert len(times) == len(sent) - len(unsent) + len(canceled) == 3
    assert times == sorted(times)
    assert times[-1] == canceled[0].recorded_at_us * 1_000


async def test_what_is_a_day_old_is_spent_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_SPAN", 1)
    counter = Counter()
    await spending_of(desk, counter, later_us=DAY_US + 1).recall(ACCOUNT)
    assert counter.told == [(ACCOUNT, [])]


async def test_a_log_that_cannot_be_read_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    read = spending_of(desk, counter)

    async def away(_stream_id: str, *, after_version: int = 0) -> list[object]:
        raise StoreUnavailable(f"after {after_version}")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(desk.store, "read_stream", away)
        with pytest.raises(StoreUnavailable):
            await read.recall(ACCOUNT)
    assert not counter.told
    await read.recall(ACCOUNT)
    assert len(counter.told[0][1]) == 3


async def test_nothing_is_asked_of_the_venue_before_its_budget_knows(desk: Desk) -> None:
    counter = Counter()
    desk.budget = counter
    desk.broker.fill_price_e4 = PRICE_E4
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
    assert [len(times) for _, times in counter.told] == [3]
    assert len(desk.broker.placed) == 3
    assert desk.events_of(OrderFilled)


# --- In the budgets ---------------------------------------------------------------------------------------------------


def ages(*seconds: int) -> list[int]:
    return [HandClock().wall_ns() - age * NS_PER_S for age in seconds]


async def test_earlier_requests_take_their_places_in_every_window() -> None:
    budgets = Budgets(DhanSettings(budget_wait_s=0.0), monotonic_ns=HandClock().monotonic_ns)
    budget = budgets.of(ACCOUNT, RateClass.ORDERS)
    assert await budget.take(within_s=0.0) is not None
    budget.count_earlier(ages(90_000, 4_000, 3_000, 50, 0))
    used = {span: gauge["used"] for span, gauge in budget.status().items()}
    assert used == {"1s": 2, "60s": 3, "3600s": 4, "86400s": 5}


async def test_a_full_day_lets_exits_alone_through_after_a_restart() -> None:
    settings = DhanSettings(budget_wait_s=0.0, requests_per_day=100)
    budgets = Budgets(settings, monotonic_ns=HandClock().monotonic_ns)
    budgets.of(ACCOUNT, RateClass.ORDERS).count_earlier(ages(*range(7_290, 7_200, -1)))
    assert await budgets.take(ACCOUNT, RateClass.ORDERS, urgent=False) is None
    urgent = [await budgets.take(ACCOUNT, RateClass.ORDERS, urgent=True) for _ in range(8)]
    assert all(slot is not None for slot in urgent)


async def test_a_clock_that_was_ahead_counts_as_now() -> None:
    clock = HandClock()
    budget = Budgets(DhanSettings(), monotonic_ns=clock.monotonic_ns).of(ACCOUNT, RateClass.ORDERS)
    budget.count_earlier(ages(-3_600))
    clock.advance(2)
    assert budget.status()["1s"]["used"] == 0
