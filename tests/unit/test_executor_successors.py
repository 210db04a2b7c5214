"""Exits that are nowhere: one successor each, by the venue's positions, and the first taken back when it turns up."""

from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from domain.account.events import (
    OrderFilled,
    OrderIntended,
    OrderPresumedAbsent,
    TradeClosed,
)
from domain.market import NS_PER_S, trading_day
from domain.order import OrderStatus, Purpose, Side
from domain.session import Phase, SessionMoment
from tests.support.desk import SETTINGS, Desk, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import ACCOUNT, RELIANCE, stop_hit

PRICE_E4 = 2_850_0000
IN_STEP = but(SETTINGS, lock_step=True, succeed_again_ms=0)
QUICK = but(SETTINGS, succeed_ms=2, succeed_again_ms=10)


@pytest.fixture
async def desk() -> Desk:
    """Return a desk that holds a hundred, and whose exit is lost on its way as soon as it is sent."""
    desk = Desk()
    await desk.open_account()
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
    desk.broker.fill_price_e4 = None
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.close()
    return desk


def exits(desk: Desk) -> list[OrderIntended]:
    return [event for event in desk.events_of(OrderIntended) if event.purpose is Purpose.EXIT]


async def test_an_exit_that_is_nowhere_is_succeeded_by_the_venues_position(desk: Desk) -> None:
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
        first, successor = exits(desk)
        assert (successor.successor_of, successor.instruction.quantity) == (first.order_id, 100)
        desk.broker.fill(desk.broker.row(1), 100, PRICE_E4)
        await executor.settle()
    assert desk.broker.net_quantity == 0
    assert [placed.purpose for placed in desk.broker.placed].count(Purpose.EXIT) == 2


@pytest.mark.parametrize(("sold", "left"), [(70, [100, 30]), (100, [100])], ids=["a part", "all"])
async def test_what_is_closed_at_the_venue_is_not_closed_again(desk: Desk, sold: int, left: list[int]) -> None:
    """Our books do not learn of it, for the execution is of a kind that we do not trade: only the positions tell."""
    instruction = replace(desk.broker.row(0).instruction, side=Side.SELL, quantity=sold)
    desk.broker.by_hand(ACCOUNT, instruction, None, PRICE_E4)
    owner, execution = desk.broker.executions.pop()
    desk.broker.executions.append((owner, but(execution, product=None)))
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
    assert desk.events_of(OrderPresumedAbsent)
    assert [order.instruction.quantity for order in exits(desk)] == left


async def test_positions_that_cannot_be_read_hold_the_successor_up(desk: Desk) -> None:
    desk.broker.away.add("positions")
    async with running(desk.executor(QUICK)):
        await eventually(lambda: desk.events_of(OrderPresumedAbsent))
        asked = desk.broker.reads
        await eventually(lambda: desk.broker.reads > asked + 20)
        assert len(exits(desk)) == 1
        desk.broker.away.clear()
        await eventually(lambda: len(exits(desk)) == 2)


async def test_nothing_is_sent_when_trading_is_over_until_it_goes_on(desk: Desk) -> None:
    def phase(phase: Phase, *, left_s: int) -> None:
        day, until_ns = trading_day(desk.marks.now_ns).isoformat(), desk.marks.now_ns + left_s * NS_PER_S
        moment = SessionMoment(phase=phase, trading_day=day, continuous_until_ns=until_ns)
        desk.sessions.moments = {RELIANCE: moment}

    phase(Phase.CLOSED, left_s=0)
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
        assert desk.events_of(OrderPresumedAbsent)
        assert len(exits(desk)) == 1
        phase(Phase.CONTINUOUS, left_s=3_600)
        await executor.settle()
        assert len(exits(desk)) == 2


async def test_where_a_person_shall_decide_nothing_is_sent_and_the_status_says_so(desk: Desk) -> None:
    executor = desk.executor(but(IN_STEP, exit_successor="ask"))
    async with running(executor):
        await executor.settle()
        (exit_order,) = exits(desk)
        assert executor.status()["exits_waiting_for_a_person"] == [exit_order.trade_id]
        await desk.do(stop_hit)
        await executor.settle()
    assert len(exits(desk)) == 1


async def test_the_first_is_canceled_when_it_turns_up(desk: Desk) -> None:
    executor = desk.executor(IN_STEP)
    async with running(executor):
        await executor.settle()
        first = desk.broker.turn_up(1)
        await executor.settle()
        assert first.status is OrderStatus.CANCELED
        desk.broker.fill(desk.broker.row(1), 100, PRICE_E4)
        await executor.settle()
    assert desk.events_of(TradeClosed)
    assert desk.broker.net_quantity == 0
    assert executor.status()["overshoot"] == 0


async def test_what_both_fill_is_said_and_bought_back(desk: Desk) -> None:
    executor = desk.executor(IN_STEP)
    async with running(executor):
        await executor.settle()
        desk.broker.fill(desk.broker.turn_up(1), 100, PRICE_E4)
        desk.broker.fill(desk.broker.row(1), 100, PRICE_E4)
        desk.broker.fill_price_e4 = PRICE_E4
        await executor.settle()
    assert executor.status()["overshoot"] == 100
    assert desk.broker.net_quantity == 0
    assert sum(fill.side.sign * fill.last_quantity for fill in desk.events_of(OrderFilled)) == 0


async def test_an_executor_that_begins_anew_goes_on_with_it(desk: Desk) -> None:
    desk.broker.away.add("positions")
    async with running(desk.executor(QUICK)):
        await eventually(lambda: desk.events_of(OrderPresumedAbsent))
    desk.broker.away.clear()
    async with running(desk.executor(QUICK)):
        await eventually(lambda: len(exits(desk)) == 2)
    async with running(executor := desk.executor(IN_STEP)):
        await executor.settle()
    assert len(exits(desk)) == 2
