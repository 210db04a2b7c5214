"""A decider that goes wrong in a running engine: its decision fails loudly, and everything else goes on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands import accounts as accounts_module
from commands.accounts import Accounts, CommandContext, stream_of
from commands.lane import DecisionStopped
from domain.account import Account, decider
from domain.account.commands import AccountCommand, CancelTrade, RecordFill, RecordUnknown
from domain.account.events import (
    AccountEvent,
    InvariantBreached,
    OrderCanceled,
    OrderFilled,
    OrderIntended,
    OrderNotSent,
    OrderSubmitting,
)
from domain.account.evolve import evolve
from domain.account.invariants import watched
from domain.decider import Decider
from domain.ids import OrderId
from domain.order import NotSentReason, OrderType, Purpose
from domain.risk import DenialCode, Invariant
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.fake_broker import Answer
from tests.support.log_writing import Scribe
from tests.support.specimens import ACCOUNT, NOW_NS, OWNER

Change = Callable[[AccountCommand, tuple[AccountEvent, ...]], tuple[AccountEvent, ...]]


def a_process_that_decides(monkeypatch: pytest.MonkeyPatch, desk: Desk, change: Change) -> Accounts:
    """Return a process whose decider changes what it decides, watched as ours is."""

    def decide(command: AccountCommand, state: Account) -> tuple[AccountEvent, ...]:
        return change(command, decider.decide(command, state))

    broken = Decider(initial=Account(), decide=decide, evolve=evolve, watch=watched)
    monkeypatch.setattr(accounts_module, "decider", broken)
    return desk.another_process()


def exits_of_too_much(_: AccountCommand, events: tuple[AccountEvent, ...]) -> tuple[AccountEvent, ...]:
    return tuple(
        replace(event, instruction=replace(event.instruction, quantity=event.instruction.quantity * 2))
        if isinstance(event, OrderIntended) and event.purpose.closes
        else event
        for event in events
    )


async def settled(desk: Desk) -> None:
    """Let a fresh executor do all there is to do."""
    executor = desk.executor(but(SETTINGS, lock_step=True))
    async with running(executor), asyncio.timeout(20):
        await executor.settle()


async def a_held_trade(desk: Desk) -> OrderFilled:
    desk.broker.fill_price_e4 = 2_850_0000
    await desk.open_account()
    await desk.open_trade()
    await settled(desk)
    [filled] = desk.events_of(OrderFilled)
    return filled


def by(key: str) -> CommandContext:
    return CommandContext(actor=OWNER, source="api", received_at_ns=NOW_NS, idempotency_key=key)


async def test_who_asked_is_told_each_time_and_it_is_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    filled = await a_held_trade(desk)
    broken = a_process_that_decides(monkeypatch, desk, exits_of_too_much)
    before = desk.events()
    for key in ("first", "first", "second"):
        with pytest.raises(DecisionStopped, match="exits_above_holding"):
            await broken.close_trade(ACCOUNT, OWNER, filled.trade_id, by(key))
    [breach] = desk.events()[len(before) :]
    assert isinstance(breach, InvariantBreached)
    assert (breach.subject, breach.version, breach.is_prevented) == (filled.trade_id, len(before), True)
    monkeypatch.undo()
    denied = (await desk.open_trade()).events[0]
    assert getattr(denied, "code", None) is DenialCode.INVARIANT_BREACHED
    closed = await desk.close()
    assert [event.instruction.quantity for event in closed.events if isinstance(event, OrderIntended)] == [100]


async def test_what_cannot_be_recorded_of_one_order_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.broker.fill_price_e4 = 2_850_0000
    await desk.open_account()
    first, second = [(await desk.open_trade()).events[-1] for _ in range(2)]
    assert isinstance(first, OrderIntended)
    assert isinstance(second, OrderIntended)

    def wrong_of_the_first(command: AccountCommand, events: tuple[AccountEvent, ...]) -> tuple[AccountEvent, ...]:
        if not isinstance(command, RecordFill) or command.order_id != first.order_id:
            return events
        return tuple(replace(each, side=each.side.opposite) for each in events if isinstance(each, OrderFilled))

    a_process_that_decides(monkeypatch, desk, wrong_of_the_first)
    await settled(desk)
    assert [each.order_id for each in desk.events_of(OrderFilled)] == [second.order_id]
    assert [each.subject for each in desk.events_of(InvariantBreached)] == [first.order_id]
    monkeypatch.undo()
    await settled(desk)  # A release that is right again records it.
    assert {each.order_id for each in desk.events_of(OrderFilled)} == {first.order_id, second.order_id}


async def test_what_an_earlier_release_left_broken_is_found_by_the_next_look_at_the_books() -> None:
    desk = Desk()
    filled = await a_held_trade(desk)
    closing = await desk.close()
    again = next(event for event in closing.events if isinstance(event, OrderIntended))
    stream_id = stream_of(ACCOUNT)
    twice = replace(again, order_id=OrderId(f"{filled.trade_id}.9"))
    await Scribe(desk.store, versions={stream_id: len(desk.events())}).write(stream_id, [twice])
    executor = desk.executor(but(SETTINGS, lock_step=True))
    desk.broker.held_back = {Purpose.EXIT, Purpose.STOP}
    async with running(executor), asyncio.timeout(20):
        await executor.settle()
        await executor.reconciliation.reconcile(ACCOUNT)
        await executor.reconciliation.reconcile(ACCOUNT)
    [breach] = desk.events_of(InvariantBreached)
    assert (breach.invariant, breach.subject) == (Invariant.EXITS_ABOVE_HOLDING, filled.trade_id)


async def test_a_second_send_never_reaches_the_venue_and_cancels_still_do(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_account()
    opened = await desk.open_trade()
    resting = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
    other = await desk.open_trade(resting)
    order = opened.events[-1]
    assert isinstance(order, OrderIntended)

    def retrying(command: AccountCommand, events: tuple[AccountEvent, ...]) -> tuple[AccountEvent, ...]:
        """Take the lost answer for a proof that nothing was sent, and send once more."""
        sent = desk.events_of(OrderSubmitting)
        if not isinstance(command, RecordUnknown) or not sent:
            return events
        return (
            *events,
            OrderNotSent(order_id=order.order_id, trade_id=order.trade_id, reason=NotSentReason.TRANSPORT, detail=""),
            replace(sent[0], order_id=order.order_id, trade_id=order.trade_id),
        )

    a_process_that_decides(monkeypatch, desk, retrying)
    await settled(desk)
    [breach] = desk.events_of(InvariantBreached)
    assert (breach.invariant, breach.subject) == (Invariant.SENT_TWICE, order.order_id)
    assert len([each for each in desk.events_of(OrderSubmitting) if each.order_id == order.order_id]) == 1
    entry = other.events[-1]
    assert isinstance(entry, OrderIntended)
    await desk.do(CancelTrade(trade_id=entry.trade_id, user_id=OWNER))
    await settled(desk)
    assert [each.order_id for each in desk.events_of(OrderCanceled)] == [entry.order_id]
