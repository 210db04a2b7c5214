"""The executor: each intent is sent at most once, whatever happens, and what became of it is found out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace as but
from typing import Any

import pytest
from msgspec.structs import replace

from commands.accounts import CommandContext, Outcome
from commands.open_orders import OpenOrder
from commands.ports import Append, Appended, AppendOutcomeUnknown, Placement, StoreUnavailable, VenuePosition
from domain.account.commands import AccountCommand, RecordFill
from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderSubmitting,
    TradeClosed,
)
from domain.ids import AccountId, OrderId
from domain.order import NotSentReason, OrderStatus, OrderType, Product, Purpose, Side, correlation_id_of
from tests.support.desk import SETTINGS, Desk, buy, kill, running
from tests.support.eventually import eventually
from tests.support.fake_broker import SENT_AT_NS, Answer
from tests.support.specimens import (
    ACCOUNT,
    CODE,
    NOW_NS,
    NS_PER_S,
    OWNER,
    engage,
    stop_hit,
)

PRICE_E4 = 2_850_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
IN_STEP = but(SETTINGS, lock_step=True)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open_account()
    return desk


async def settled(desk: Desk) -> None:
    """Let a fresh executor do all there is to do."""
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()


@asynccontextmanager
async def compared(desk: Desk) -> AsyncIterator[None]:
    """Run an executor that has held the venue's books against ours: entries wait for nothing any more."""
    executor = desk.executor()
    async with running(executor):
        assert (await executor.reconciliation.reconcile(ACCOUNT)).agrees
        yield


def expect_no_intent_sent_twice(desk: Desk) -> None:
    sent = Counter(placed.correlation_id for placed in desk.broker.placed)
    assert not [correlation_id for correlation_id, times in sent.items() if times > 1]
    known = {event.correlation_id for event in desk.events_of(OrderSubmitting)}
    assert set(sent) <= known, "submitting is durable before the first byte leaves"


def expect_the_venues_books(desk: Desk) -> None:
    fills = desk.events_of(OrderFilled)
    assert sum(fill.side.sign * fill.last_quantity for fill in fills) == desk.broker.net_quantity
    assert len(fills) == len(desk.broker.executions) == len({fill.venue_fill_id for fill in fills})


# --- Sending ----------------------------------------------------------------------------------------------------------


async def test_an_intent_is_sent_with_our_id_and_filled(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    outcome = await desk.open_trade()
    await settled(desk)
    (placed,) = desk.broker.placed
    (_, intended) = outcome.events
    assert isinstance(intended, OrderIntended)
    assert placed.instruction == intended.instruction
    assert placed.correlation_id == correlation_id_of(intended.order_id, code=CODE)
    (acknowledged,) = desk.events_of(OrderAcknowledged)
    assert acknowledged.sent_at_ns == SENT_AT_NS
    expect_the_venues_books(desk)


async def test_settling_reads_the_books_again_where_an_order_arrived_while_they_were_read(desk: Desk) -> None:
    """The venue gets and fills it after the books were read, and its answer is in the log before the send is over."""
    desk.broker.fill_price_e4 = PRICE_E4
    executor = desk.executor(IN_STEP)
    send, place, read_books = executor._sender.send, desk.broker.place, executor._poll_all
    may_arrive, may_end = asyncio.Event(), asyncio.Event()

    async def slow_place(*order: Any) -> Placement:
        await may_arrive.wait()
        return await place(*order)

    async def slow_send(order: OpenOrder, *, may_enter: bool) -> bool:
        tried = await send(order, may_enter=may_enter)
        await may_end.wait()
        return tried

    async def read_books_before_it_arrives() -> None:
        await read_books()
        if desk.events_of(OrderSubmitting) and not may_arrive.is_set():
            may_arrive.set()
            await eventually(lambda: desk.events_of(OrderAcknowledged))

    desk.broker.place = slow_place  # type: ignore[method-assign]
    executor._sender.send = slow_send  # type: ignore[method-assign]
    executor._poll_all = read_books_before_it_arrives  # type: ignore[method-assign]
    async with running(executor), asyncio.timeout(5):
        await desk.open_trade()
        await executor.settle()
        assert [fill.last_quantity for fill in desk.events_of(OrderFilled)] == [100]
        may_end.set()


async def test_the_loops_do_all_of_it_by_themselves(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    async with running(desk.executor()):
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderFilled))
        desk.broker.fill_price_e4 = 2_800_0000
        await desk.do(replace(stop_hit, trade_id=desk.events_of(OrderFilled)[0].trade_id))
        await eventually(lambda: desk.events_of(TradeClosed))
    expect_no_intent_sent_twice(desk)
    expect_the_venues_books(desk)


async def test_a_refusal_is_recorded_and_not_sent_again(desk: Desk) -> None:
    desk.broker.answers.append(Answer.REFUSE)
    await desk.open_trade()
    await settled(desk)
    (rejected,) = desk.events_of(OrderRejected)
    assert (rejected.reason, rejected.message) == ("funds", "Insufficient funds")
    assert len(desk.broker.placed) == 1


async def test_what_was_not_sent_is_sent_later(desk: Desk) -> None:
    desk.broker.answers += [Answer.NOT_SENT, Answer.NOT_SENT, Answer.ACCEPT]
    await desk.open_trade()
    await settled(desk)
    assert len(desk.events_of(OrderNotSent)) == 2
    assert len(desk.broker.placed) == 1
    assert len(desk.events_of(OrderAcknowledged)) == 1


async def test_an_entry_that_cannot_be_sent_in_time_lapses(desk: Desk) -> None:
    await desk.open_trade()
    desk.marks.now_ns = NOW_NS + 5 * NS_PER_S + 1
    await settled(desk)
    assert desk.events_of(OrderLapsed)
    assert not desk.broker.placed


async def test_the_kill_switch_stops_an_entry_that_waits(desk: Desk) -> None:
    desk.broker.held_back.add(Purpose.ENTRY)
    await desk.open_trade()
    await settled(desk)
    await desk.do(engage)
    desk.broker.held_back.clear()
    await settled(desk)
    assert desk.events_of(OrderBlocked)
    assert not desk.broker.placed


async def test_exits_are_sent_while_entries_are_held_back(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    await settled(desk)
    desk.broker.held_back.add(Purpose.ENTRY)
    await desk.open_trade()
    await desk.close()
    await desk.open_trade()
    await settled(desk)
    assert [placed.purpose for placed in desk.broker.placed] == [Purpose.ENTRY, Purpose.EXIT]
    expect_the_venues_books(desk)


async def test_exits_go_before_entries(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    await settled(desk)
    desk.broker.held_back |= {Purpose.ENTRY, Purpose.EXIT}
    await desk.close()
    await desk.open_trade()
    await settled(desk)
    desk.broker.held_back.clear()
    await settled(desk)
    assert [placed.purpose for placed in desk.broker.placed[1:]] == [Purpose.EXIT, Purpose.ENTRY]


async def test_no_entry_is_sent_while_an_exit_of_the_account_waits(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    await settled(desk)
    desk.broker.held_back.add(Purpose.EXIT)
    await desk.close()
    await desk.open_trade(but(buy, symbol="INFY", stop_loss_e4=None, target_e4=None))
    other = AccountId("acc_other")
    await desk.open_account(other)
    await desk.open_trade(account_id=other)
    await settled(desk)
    assert [placed.account_id for placed in desk.broker.placed[1:]] == [other]
    desk.broker.held_back.clear()
    await settled(desk)
    assert [placed.purpose for placed in desk.broker.placed[2:]] == [Purpose.EXIT, Purpose.ENTRY]


async def test_nobody_sends_without_the_lease(desk: Desk) -> None:
    executor = desk.executor()
    desk.lease.held = False
    async with running(executor):
        await desk.open_trade()
        await eventually(lambda: executor.status()["orders"] == {"intended": 1})
        for _ in range(20):
            await asyncio.sleep(0)
        assert not desk.broker.placed
        assert not desk.events_of(OrderSubmitting)
        desk.lease.held = True
        await eventually(lambda: desk.broker.placed)


async def test_a_lease_that_ran_out_before_the_first_byte_sends_nothing(desk: Desk) -> None:
    class Expiring:
        epoch = 9
        asked = 0

        def is_held(self) -> bool:
            self.asked += 1
            return self.asked == 1

    executor = desk.executor()
    executor._sender._lease = Expiring()
    async with running(executor):
        await desk.open_trade()
        (not_sent,) = await eventually(lambda: desk.events_of(OrderNotSent))
    assert (not_sent.reason, not_sent.detail) == (NotSentReason.LEASE_LOST, "the sender's lease ran out")
    assert not desk.broker.placed


async def test_accounts_do_not_wait_for_one_another(desk: Desk) -> None:
    desk.broker.answers.append(Answer.HANG_AND_ABSENT)
    other = AccountId("acc_other")
    await desk.open_account(other)
    async with running(desk.executor()):
        await desk.open_trade()
        await desk.broker.hanging.wait()
        await desk.open_trade(account_id=other)
        await eventually(lambda: [event for event in desk.events(other) if isinstance(event, OrderAcknowledged)])


async def test_entries_wait_for_one_another_above_their_number_and_an_exit_waits_for_none(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    await settled(desk)
    others = [AccountId(f"acc_other_{number}") for number in range(3)]
    for other in others:
        await desk.open_account(other)
    desk.broker.answers.extend([Answer.ACCEPT_LATER] * 2)
    async with running(desk.executor(but(SETTINGS, entries_at_once_max=2))):
        for other in others:
            await desk.open_trade(account_id=other)
        await eventually(lambda: len(desk.broker.placed) == 3)
        await desk.close()
        await eventually(lambda: len(desk.broker.placed) == 4)
        assert [placed.purpose for placed in desk.broker.placed[1:]] == [Purpose.ENTRY, Purpose.ENTRY, Purpose.EXIT]
        desk.broker.may_answer.set()
        await eventually(lambda: {placed.account_id for placed in desk.broker.placed[1:]} == {ACCOUNT, *others})
    assert len({placed.correlation_id for placed in desk.broker.placed}) == len(desk.broker.placed)


async def test_entries_that_wait_for_books_to_be_compared_are_in_nobodys_way(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.executor.FIRST_LOOK_S", 3_600.0)
    other = AccountId("acc_other")
    await desk.open_account(other)
    positions, may_be_read = desk.broker.positions, asyncio.Event()

    async def late_positions(account_id: AccountId) -> Sequence[VenuePosition]:
        if account_id == ACCOUNT:
            await may_be_read.wait()
        return await positions(account_id)

    desk.broker.positions = late_positions  # type: ignore[method-assign]
    async with running(desk.executor(but(SETTINGS, entries_at_once_max=1))):
        for _ in range(3):
            await desk.open_trade(LIMIT)
        await desk.open_trade(LIMIT, account_id=other)
        await eventually(lambda: desk.broker.placed)
        assert [placed.account_id for placed in desk.broker.placed] == [other]
        may_be_read.set()
        await eventually(lambda: len(desk.broker.placed) == 4)
    assert len({placed.correlation_id for placed in desk.broker.placed}) == 4


# --- Missed executions ------------------------------------------------------------------------------------------------


async def filled_while_nobody_looked(desk: Desk, *products: Product, by_turns: bool = True) -> None:
    """Fill an order of each of *products* at the venue in two parts each, by turns or one after another."""
    async with running(desk.executor()):
        for product in products:
            await desk.open_trade(but(LIMIT, product=product))
        await eventually(lambda: len(desk.events_of(OrderAcknowledged)) == len(products))
    parts = [(number, quantity) for number in range(len(products)) for quantity in (40, 60)]
    for number, quantity in sorted(parts, key=lambda part: part[1]) if by_turns else parts:
        desk.broker.fill(desk.broker.row(number), quantity, PRICE_E4)


def parts_filled(desk: Desk) -> dict[str, list[int]]:
    parts: dict[str, list[int]] = {}
    for fill in desk.events_of(OrderFilled):
        parts.setdefault(fill.trade_id, []).append(fill.last_quantity)
    return parts


async def test_what_was_missed_of_several_positions_is_recorded_in_each_positions_order(desk: Desk) -> None:
    await filled_while_nobody_looked(desk, Product.INTRADAY, Product.CNC)
    async with running(desk.executor()):
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 4)
    assert list(parts_filled(desk).values()) == [[40, 60]] * 2
    expect_the_venues_books(desk)


async def test_what_was_missed_of_a_position_is_recorded_in_the_venues_order_whichever_trade_it_is_of(
    desk: Desk,
) -> None:
    await filled_while_nobody_looked(desk, *[Product.INTRADAY] * 3, by_turns=False)
    async with running(desk.executor()):
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 6)
    assert [fill.last_quantity for fill in desk.events_of(OrderFilled)] == [40, 60] * 3
    assert len(parts_filled(desk)) == 3
    expect_the_venues_books(desk)


async def test_a_position_that_cannot_be_recorded_now_keeps_no_other_back_and_comes_later_in_its_order(
    desk: Desk,
) -> None:
    await filled_while_nobody_looked(desk, Product.INTRADAY, Product.CNC)
    executor = desk.executor()
    carry_out, away = executor._accounts.carry_out, asyncio.Event()
    first = desk.events_of(OrderAcknowledged)[0].order_id

    async def carry_out_but_for_one(account_id: AccountId, command: AccountCommand, context: CommandContext) -> Outcome:
        if isinstance(command, RecordFill) and command.order_id == first and not away.is_set():
            raise StoreUnavailable("the log does not answer")
        return await carry_out(account_id, command, context)

    executor._accounts.carry_out = carry_out_but_for_one  # type: ignore[method-assign]
    async with running(executor):
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 2)
        assert list(parts_filled(desk).values()) == [[40, 60]]
        away.set()
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 4)
    assert list(parts_filled(desk).values()) == [[40, 60]] * 2
    expect_the_venues_books(desk)


# --- The unknown ------------------------------------------------------------------------------------------------------


async def test_an_unknown_order_is_found_by_our_id_and_not_sent_again(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_BUT_THERE)
    async with compared(desk):
        desk.broker.away |= {"orders", "fills"}
        await desk.open_trade()
        (found,) = await eventually(lambda: desk.events_of(OrderAcknowledged))
    assert (found.evidence, found.sent_at_ns) == (Evidence.CORRELATION_LOOKUP, None)
    assert desk.events_of(OrderOutcomeUnknown)
    expect_no_intent_sent_twice(desk)


async def test_an_unknown_order_is_found_in_the_order_book_too(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_BUT_THERE)
    desk.broker.away.add("find_order")
    await desk.open_trade()
    async with running(desk.executor()):
        (found,) = await eventually(lambda: desk.events_of(OrderAcknowledged))
    assert found.evidence is Evidence.ORDER_BOOK


async def test_an_unknown_order_that_was_filled_is_filled(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    desk.broker.answers.append(Answer.LOST_BUT_THERE)
    await desk.open_trade()
    await settled(desk)
    assert desk.events_of(OrderAcknowledged)
    expect_the_venues_books(desk)


async def test_an_unknown_order_filled_in_part_can_still_be_canceled(desk: Desk) -> None:
    """Executions must not be recorded before the venue's id is: nobody could cancel the rest."""
    desk.broker.answers.append(Answer.LOST_BUT_THERE)
    async with compared(desk):
        desk.broker.away |= {"find_order", "orders", "fills"}
        await desk.open_trade(LIMIT)
        await eventually(lambda: desk.events_of(OrderOutcomeUnknown))
        desk.broker.fill(desk.broker.row(0), 40, 2_849_0000)
        await desk.do(engage)
        desk.broker.away = {"find_order"}
        await eventually(lambda: desk.events_of(OrderCanceled))
    assert desk.broker.canceled
    expect_the_venues_books(desk)


async def test_an_order_that_is_nowhere_is_presumed_absent_and_never_sent_again(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade()
    await settled(desk)
    (absent,) = desk.events_of(OrderPresumedAbsent)
    assert absent.lookups >= 2 * SETTINGS.lookups_min
    assert len(desk.broker.placed) == 1
    await settled(desk)
    assert len(desk.broker.placed) == 1


async def test_nothing_is_presumed_before_the_window_is_over(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade()
    executor = desk.executor(but(SETTINGS, lookup_ms=0, lookup_window_ms=10_000_000))
    async with running(executor):
        await eventually(lambda: desk.events_of(OrderOutcomeUnknown))
        asked = desk.broker.reads
        await eventually(lambda: desk.broker.reads > asked + 50)
        assert not desk.events_of(OrderPresumedAbsent)
        desk.clock.tick_ns += 10_000 * NS_PER_S
        await eventually(lambda: desk.events_of(OrderPresumedAbsent))


@pytest.mark.parametrize("silent", [{"find_order"}, {"orders"}, {"fills"}], ids=min)
async def test_one_source_alone_proves_no_absence(desk: Desk, silent: set[str]) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    async with compared(desk):
        desk.broker.away |= silent
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderOutcomeUnknown))
        asked = desk.broker.reads
        await eventually(lambda: desk.broker.reads > asked + 30)
        assert not desk.events_of(OrderPresumedAbsent)
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderPresumedAbsent))


async def test_an_order_presumed_absent_that_turns_up_is_believed(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade()
    await settled(desk)
    desk.broker.fill(desk.broker.turn_up(0), 100, PRICE_E4)
    await settled(desk)
    assert desk.events_of(OrderAcknowledged)
    expect_the_venues_books(desk)
    expect_no_intent_sent_twice(desk)


async def test_a_cancel_of_an_unknown_order_is_remembered(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_BUT_THERE)
    async with compared(desk):
        desk.broker.away |= {"find_order", "orders", "fills"}
        await desk.open_trade(LIMIT)
        await eventually(lambda: desk.events_of(OrderOutcomeUnknown))
        await desk.do(engage)
        await eventually(lambda: desk.events_of(OrderCancelRequested))
        assert not desk.broker.canceled
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderCanceled))
    assert len(desk.broker.canceled) == 1


async def test_an_order_that_turns_up_under_an_engaged_kill_switch_is_canceled(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade(LIMIT)
    await settled(desk)
    await desk.do(engage)
    desk.broker.turn_up(0)
    await settled(desk)
    assert desk.broker.row(0).status is OrderStatus.CANCELED
    assert desk.events_of(OrderCanceled)


# --- Canceling --------------------------------------------------------------------------------------------------------


async def test_closing_a_trade_cancels_its_resting_entry(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await settled(desk)
    await desk.close()
    await settled(desk)
    assert desk.broker.row(0).status is OrderStatus.CANCELED
    (closed,) = desk.events_of(TradeClosed)
    assert (closed.entry_quantity, closed.realised_paise) == (0, 0)


async def test_a_cancel_is_asked_again_when_nothing_comes_of_it(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    desk.broker.ignores_cancels = True
    async with running(desk.executor()):
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        await desk.do(engage)
        await eventually(lambda: len(desk.broker.canceled) >= 2)
        desk.broker.ignores_cancels = False
        await eventually(lambda: desk.events_of(OrderCanceled))


async def test_a_cancel_that_met_the_order_in_transit_is_asked_again_in_a_moment(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.open_trade(LIMIT)
    desk.broker.in_transit_asks = 2
    # A cancel that came to nothing would be asked again after the test's time.
    async with running(desk.executor(but(SETTINGS, cancel_again_ms=3_600_000))):
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        await desk.do(engage)
        await eventually(lambda: desk.events_of(OrderCanceled))
    assert desk.broker.requests.count("cancel") == 3
    assert "not confirmed" not in caplog.text


async def test_an_order_that_fills_while_it_is_canceled_is_filled_and_closed(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await settled(desk)
    desk.broker.ignores_cancels = True
    desk.broker.away |= {"orders", "fills"}
    executor = desk.executor()
    async with running(executor):
        await desk.close()
        await eventually(lambda: desk.broker.canceled)
        desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
        desk.broker.fill_price_e4 = 2_840_0000
        desk.broker.away.clear()
        (closed,) = await eventually(lambda: desk.events_of(TradeClosed))
    assert (closed.entry_quantity, closed.realised_paise) == (100, -900_00)
    expect_the_venues_books(desk)


async def test_a_late_fill_after_a_cancel_is_found_while_the_account_is_watched(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await desk.open_trade(but(LIMIT, quantity=10))
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()
        desk.broker.end(desk.broker.row(0), OrderStatus.CANCELED)
        await executor.settle()
        assert desk.events_of(OrderCanceled)
        desk.broker.fill(desk.broker.row(0), 25, 2_849_0000)
        desk.broker.end(desk.broker.row(0), OrderStatus.CANCELED)
        await executor.settle()
    (late,) = desk.events_of(OrderFilled)
    assert (late.last_quantity, late.leaves_quantity) == (25, 0)
    expect_the_venues_books(desk)


# --- Reading the books ------------------------------------------------------------------------------------------------


async def test_an_execution_is_recorded_once_however_often_the_books_are_read(desk: Desk) -> None:
    await desk.open_trade()
    executor = desk.executor()
    async with running(executor):
        await eventually(lambda: desk.broker.rows)
        desk.broker.fill(desk.broker.row(0), 30, PRICE_E4)
        await eventually(lambda: desk.events_of(OrderFilled))
        reads = desk.broker.reads
        await eventually(lambda: desk.broker.reads > reads + 20)
        desk.broker.fill(desk.broker.row(0), 70, PRICE_E4)
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 2)
    expect_the_venues_books(desk)


async def test_two_executors_read_the_books_and_record_each_execution_once(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    first, second = desk.executor(), desk.executor()
    async with running(first), running(second):
        for _ in range(5):
            await desk.open_trade()
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 5)
    expect_no_intent_sent_twice(desk)
    expect_the_venues_books(desk)


async def test_the_last_word_waits_for_the_executions(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await settled(desk)
    desk.broker.fill(desk.broker.row(0), 40, 2_849_0000)
    desk.broker.end(desk.broker.row(0), OrderStatus.EXPIRED)
    await settled(desk)
    kinds = [type(event).__name__ for event in desk.events() if isinstance(event, OrderFilled | OrderExpired)]
    assert kinds == ["OrderFilled", "OrderExpired"]


async def test_rows_of_others_are_left_alone(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await settled(desk)
    stranger = desk.broker.placed[0]
    foreign = but(stranger, correlation_id=correlation_id_of(OrderId("somebody.1"), code="abc"))
    desk.broker.placed.append(foreign)
    desk.broker.fill(desk.broker.turn_up(1), 100, PRICE_E4)
    desk.broker.placed.pop()
    await settled(desk)
    assert not desk.events_of(OrderFilled)


async def test_a_broker_that_is_away_stops_nothing_for_good(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    async with compared(desk):
        desk.broker.away |= {"orders", "fills", "find_order"}
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderFilled))


async def test_an_execution_that_makes_no_sense_stops_no_other(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    await settled(desk)
    desk.broker.fill(desk.broker.row(0), 0, 2_849_0000)
    desk.broker.fill(desk.broker.row(0), 60, 2_849_0000)
    await settled(desk)
    assert [fill.last_quantity for fill in desk.events_of(OrderFilled)] == [60]


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("which", range(4))
async def test_a_log_that_fails_under_the_sender_leads_to_no_second_send(
    desk: Desk,
    which: int,
    is_stored: bool,  # noqa: FBT001 - a column of the table
) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    fault = AppendOutcomeUnknown("lost") if is_stored else StoreUnavailable("away")
    original = desk.store.append
    calls = 0

    async def failing(append: Append) -> Appended:
        nonlocal calls
        calls += 1
        if calls == which + 1:
            desk.store.fail_next(fault, is_stored=is_stored)
        return await original(append)

    desk.store.append = failing  # type: ignore[method-assign]
    async with running(desk.executor()):
        await eventually(lambda: bool(desk.events_of(OrderFilled)) or bool(desk.events_of(OrderPresumedAbsent)))
    expect_no_intent_sent_twice(desk)
    if desk.broker.placed:
        expect_the_venues_books(desk)


# --- Settling ---------------------------------------------------------------------------------------------------------


async def test_settling_returns_only_when_everything_is_recorded(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    desk.broker.answers += [Answer.LOST_BUT_THERE, Answer.NOT_SENT, Answer.ACCEPT, Answer.REFUSE]
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        for _ in range(4):
            await desk.open_trade()
        first = await executor.settle()
        expect_the_venues_books(desk)
        expect_no_intent_sent_twice(desk)
        again = await executor.settle()
    assert again == first, "what is quiet stays quiet"
    assert first["sequence"] == len(desk.store.events)


async def test_settling_does_not_wait_for_what_our_breaker_holds_back(desk: Desk) -> None:
    desk.broker.held_back.add(Purpose.ENTRY)
    await desk.open_trade()
    await settled(desk)
    assert not desk.broker.placed


async def test_in_lock_step_the_books_are_read_only_on_request(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()
        reads = desk.broker.reads
        desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
        for _ in range(50):
            await asyncio.sleep(0)
        assert desk.broker.reads == reads
        await executor.settle()
        assert desk.events_of(OrderFilled)


# --- Restarts ---------------------------------------------------------------------------------------------------------


async def test_an_order_found_submitting_is_unknown_to_a_new_sender(desk: Desk) -> None:
    desk.broker.answers.append(Answer.HANG_BUT_THERE)
    await desk.open_trade()
    first = desk.executor()
    task = asyncio.create_task(first.run())
    await desk.broker.hanging.wait()
    await kill(first, task)
    assert desk.events_of(OrderSubmitting)
    assert not desk.events_of(OrderOutcomeUnknown)
    await settled(desk)
    (unknown,) = desk.events_of(OrderOutcomeUnknown)
    assert unknown.cause == "the sender stopped while sending"
    assert desk.events_of(OrderAcknowledged)
    expect_no_intent_sent_twice(desk)


ENDINGS = [
    [],
    [Answer.REFUSE],
    [Answer.NOT_SENT],
    [Answer.LOST_BUT_THERE],
    [Answer.LOST_AND_ABSENT],
    [Answer.NOT_SENT, Answer.LOST_BUT_THERE],
]


@pytest.mark.parametrize("answers", ENDINGS, ids=lambda answers: "+".join(a.name for a in answers) or "ACCEPT")
async def test_a_crash_between_any_two_steps_leads_to_no_second_send(answers: list[Answer]) -> None:
    """A process is killed after so many turns of its loop; the next one is left to finish."""
    for turns in range(40):
        desk = Desk(page=1)
        desk.broker.fill_price_e4 = PRICE_E4
        desk.broker.answers += answers
        await desk.open_account()
        await desk.open_trade()
        first = desk.executor(IN_STEP)
        task = asyncio.create_task(first.run())
        settling = asyncio.create_task(first.settle())
        for _ in range(turns):
            await asyncio.sleep(0)
        await kill(first, task, settling)
        await settled(desk)
        expect_no_intent_sent_twice(desk)
        expect_the_venues_books(desk)
        assert len(desk.broker.placed) <= 1
        assert desk.broker.placed or desk.events_of(OrderPresumedAbsent), f"lost after {turns} turns"


async def test_a_new_executor_reads_only_from_where_something_is_open(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    async with running(desk.executor()):
        for _ in range(3):
            await desk.open_trade()
        await eventually(lambda: len(desk.events_of(OrderFilled)) == 3)
        await eventually(lambda: desk.watermarks.kept["executor"] == len(desk.store.events))
    desk.broker.fill_price_e4 = None
    await desk.open_trade(LIMIT)
    before = len(desk.store.events)
    async with running(desk.executor()):
        await eventually(lambda: len(desk.store.events) > before + 1)
        await eventually(lambda: desk.watermarks.kept["executor"] == before - 1)
    await settled(desk)
    expect_no_intent_sent_twice(desk)
    expect_the_venues_books(desk)


async def test_draining_awaits_the_sends_under_way_and_starts_no_other(desk: Desk) -> None:
    desk.broker.answers.append(Answer.ACCEPT_LATER)
    await desk.open_trade()
    executor = desk.executor()
    task = asyncio.create_task(executor.run())
    await desk.broker.hanging.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await desk.open_trade()
    draining = asyncio.create_task(executor.drain(within_s=30))
    desk.broker.may_answer.set()
    async with asyncio.timeout(1):
        await draining
    assert len(desk.events_of(OrderAcknowledged)) == 1
    assert len(desk.broker.placed) == 1
    assert desk.watermarks.kept["executor"] < len(desk.store.events)


async def test_draining_gives_up_on_a_send_that_hangs(desk: Desk) -> None:
    desk.broker.answers.append(Answer.HANG_AND_ABSENT)
    await desk.open_trade()
    executor = desk.executor()
    task = asyncio.create_task(executor.run())
    await desk.broker.hanging.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await executor.drain(within_s=0.01)
    await kill(executor, task)
    assert not desk.events_of(OrderOutcomeUnknown)
    await settled(desk)
    assert desk.events_of(OrderPresumedAbsent)


async def test_a_trade_is_opened_once_for_one_key(desk: Desk) -> None:
    first = await desk.accounts.open_trade(ACCOUNT, OWNER, buy, desk.context("k-1"))
    again = await desk.another_process().open_trade(ACCOUNT, OWNER, buy, desk.context("k-1"))
    assert again.events == first.events
    assert again.repeated
    await settled(desk)
    assert [placed.instruction.side for placed in desk.broker.placed] == [Side.BUY]


async def test_settling_that_began_before_the_log_was_followed_ends(desk: Desk) -> None:
    """With nothing open the watermark is the head: no event will come to wake whoever waits."""
    desk.watermarks.kept["executor"] = len(desk.store.events)
    executor = desk.executor(IN_STEP)
    settling = asyncio.create_task(executor.settle())
    for _ in range(10):
        await asyncio.sleep(0)
    async with running(executor), asyncio.timeout(5):
        await settling
