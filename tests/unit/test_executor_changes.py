"""The executor and what changes: stops that rest, modifications, and whatever the venue makes of them."""

import asyncio
from collections import Counter
from dataclasses import replace as but

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from commands.accounts import CommandContext, Outcome
from commands.executor import MODIFY_ASKS_MAX, ExecutorSettings
from domain.account.commands import AccountCommand, CancelTrade, ChangeTrade, CloseTrade, RecordVenueOrder
from domain.account.events import (
    Evidence,
    ExitCause,
    OrderAcknowledged,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderSubmitting,
    ProtectionLapsed,
    ProtectionMode,
    TradeClosed,
    TradeOpened,
)
from domain.ids import AccountId, TradeId
from domain.order import OrderStatus, OrderType, Purpose, RefusalReason
from tests.support.desk import SETTINGS, Desk, buy, kill, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import OWNER, market

PRICE_E4 = 2_850_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
PROTECTED = but(buy, protection=ProtectionMode.RESTING)
IN_STEP = but(SETTINGS, lock_step=True)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open_account()
    return desk


async def settled(desk: Desk, settings: ExecutorSettings = IN_STEP) -> None:
    """Let a fresh executor do all there is to do."""
    executor = desk.executor(settings)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()


def trade_of(desk: Desk, number: int = -1) -> TradeId:
    return desk.events_of(TradeOpened)[number].trade_id


async def change(desk: Desk, **changes: object) -> None:
    fields = {"quantity": UNSET, **changes}
    command = ChangeTrade(
        trade_id=trade_of(desk),
        user_id=OWNER,
        expected_version=1,
        market=market,
        **fields,  # type: ignore[arg-type]
    )
    await desk.do(command)


async def resting_entry(desk: Desk) -> None:
    """Have a limit order for 100 shares rest at the venue."""
    await desk.open_trade(LIMIT)
    await settled(desk)


async def protected_trade(desk: Desk) -> None:
    """Have 100 shares held, and their stop rest at the venue."""
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade(PROTECTED)
    await settled(desk)


def expect_the_venues_books(desk: Desk) -> None:
    fills = desk.events_of(OrderFilled)
    assert sum(fill.side.sign * fill.last_quantity for fill in fills) == desk.broker.net_quantity
    assert len(fills) == len(desk.broker.executions)


# --- Stops ------------------------------------------------------------------------------------------------------------


async def test_a_trade_that_filled_gets_its_stop(desk: Desk) -> None:
    await protected_trade(desk)
    entry, stop = desk.broker.placed
    assert (entry.purpose, stop.purpose) == (Purpose.ENTRY, Purpose.STOP)
    assert (stop.instruction.order_type, stop.instruction.trigger_price_e4) == (OrderType.SL, 2_800_0000)
    assert stop.instruction.quantity == 100
    assert desk.broker.row(1).status is OrderStatus.ACKNOWLEDGED


async def test_stops_are_sent_while_entries_are_held_back(desk: Desk) -> None:
    await desk.open_trade(but(LIMIT, protection=ProtectionMode.RESTING))
    await settled(desk)
    desk.broker.held_back.add(Purpose.ENTRY)
    desk.broker.fill(desk.broker.row(0), 100, PRICE_E4)
    await desk.open_trade(LIMIT)
    await settled(desk)
    assert [placed.purpose for placed in desk.broker.placed] == [Purpose.ENTRY, Purpose.STOP]


async def test_a_stop_that_executes_closes_its_trade(desk: Desk) -> None:
    await protected_trade(desk)
    desk.broker.fill(desk.broker.row(1), 100, 2_799_0000)
    await settled(desk)
    (closed,) = desk.events_of(TradeClosed)
    assert closed.cause is ExitCause.STOP_LOSS
    expect_the_venues_books(desk)


async def test_a_stop_that_expires_is_told(desk: Desk) -> None:
    await protected_trade(desk)
    desk.broker.end(desk.broker.row(1), OrderStatus.EXPIRED)
    await settled(desk)
    assert desk.events_of(OrderExpired)
    assert desk.events_of(ProtectionLapsed)


# --- Modifying --------------------------------------------------------------------------------------------------------


async def test_what_shall_change_is_asked_for_once_and_recorded_when_the_book_shows_it(desk: Desk) -> None:
    await protected_trade(desk)
    await change(desk, stop_loss_e4=2_810_0000)
    await settled(desk)
    ((venue_order_id, instruction, purpose),) = desk.broker.modified
    assert (venue_order_id, purpose) == (desk.broker.row(1).venue_order_id, Purpose.STOP)
    assert (instruction.order_type, instruction.trigger_price_e4) == (OrderType.SL, 2_810_0000)
    (requested,) = desk.events_of(OrderModifyRequested)
    (modified,) = desk.events_of(OrderModified)
    assert modified.instruction == requested.instruction == desk.broker.row(1).instruction


async def test_a_stop_becomes_the_exit_that_closes_its_trade(desk: Desk) -> None:
    await protected_trade(desk)
    await desk.do(CloseTrade(trade_id=trade_of(desk), user_id=OWNER))
    await settled(desk)
    assert [instruction.order_type for _, instruction, _ in desk.broker.modified] == [OrderType.MARKET]
    assert desk.events_of(TradeClosed)
    assert len(desk.broker.placed) == 2, "no order was added"
    expect_the_venues_books(desk)


async def test_the_loops_change_an_order_by_themselves(desk: Desk) -> None:
    async with running(desk.executor()):
        await desk.open_trade(LIMIT)
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        await change(desk, limit_price_e4=2_848_0000)
        await eventually(lambda: desk.events_of(OrderModified))
    assert desk.broker.row(0).instruction.limit_price_e4 == 2_848_0000


async def test_while_a_change_travels_it_is_not_asked_for_again(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(Answer.TRAVEL)
    await change(desk, limit_price_e4=2_848_0000)
    async with running(desk.executor()):
        await eventually(lambda: desk.broker.modified)
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 40)
        assert len(desk.broker.modified) == 1
        assert not desk.events_of(OrderModified)
        desk.broker.arrive(desk.broker.row(0))
        await eventually(lambda: desk.events_of(OrderModified))
    assert len(desk.broker.modified) == 1


async def test_a_change_whose_answer_was_lost_is_found_in_the_book(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(Answer.LOST_BUT_THERE)
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    assert desk.events_of(OrderModified)
    assert len(desk.broker.modified) == 1


@pytest.mark.parametrize("answer", [Answer.LOST_AND_ABSENT, Answer.NOT_SENT, Answer.THROTTLE, Answer.IGNORE])
async def test_a_change_that_came_to_nothing_is_asked_for_again(desk: Desk, answer: Answer) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(answer)
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    assert not desk.broker.modify_answers
    assert desk.events_of(OrderModified)
    assert not desk.events_of(OrderModifyRefused)
    assert desk.broker.row(0).instruction.limit_price_e4 == 2_848_0000


async def test_between_two_requests_some_time_passes(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(Answer.LOST_AND_ABSENT)
    await change(desk, limit_price_e4=2_848_0000)
    async with running(desk.executor(but(SETTINGS, modify_again_ms=10_000_000))):
        await eventually(lambda: desk.broker.modified)
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 40)
        assert len(desk.broker.modified) == 1
        desk.clock.tick_ns += 10_000_000 * 1_000_000
        await eventually(lambda: desk.events_of(OrderModified))


async def test_a_refused_change_is_recorded_and_not_asked_for_again(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(Answer.REFUSE)
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    await settled(desk)
    (refused,) = desk.events_of(OrderModifyRefused)
    assert (refused.reason, refused.message) == (RefusalReason.OTHER, "DH-906: Incorrect request")
    assert len(desk.broker.modified) == 1
    assert desk.broker.row(0).instruction.limit_price_e4 == 2_849_0000


async def test_a_refusal_after_which_the_book_cannot_be_read_is_not_believed(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers += [Answer.REFUSE, Answer.ACCEPT]
    await change(desk, limit_price_e4=2_848_0000)
    desk.broker.away.add("orders")
    async with running(desk.executor()):
        # However often it is taken while nobody can see what came of it: that is no reason to call it refused.
        await eventually(lambda: len(desk.broker.modified) > MODIFY_ASKS_MAX + 1)
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderModified))
    assert not desk.events_of(OrderModifyRefused)


async def test_what_the_venue_took_several_times_and_never_did_counts_as_refused(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers += [Answer.IGNORE] * 10
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    (refused,) = desk.events_of(OrderModifyRefused)
    assert refused.reason is RefusalReason.OTHER
    assert len(desk.broker.modified) == MODIFY_ASKS_MAX


async def test_an_order_that_was_executed_meanwhile_is_executed(desk: Desk) -> None:
    await resting_entry(desk)
    await change(desk, limit_price_e4=2_848_0000)
    desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
    await settled(desk)
    assert not desk.events_of(OrderModified)
    assert not desk.events_of(OrderModifyRefused)
    expect_the_venues_books(desk)


async def test_an_order_that_was_full_before_it_could_grow_is_done(desk: Desk) -> None:
    await resting_entry(desk)
    await change(desk, quantity=150)
    desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()
    assert desk.events_of(OrderModifyRefused)
    assert executor.status()["orders"] == {}
    expect_the_venues_books(desk)


async def test_an_order_that_was_canceled_meanwhile_is_not_changed_any_more(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.held_back.add(Purpose.ENTRY)
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    await desk.do(CancelTrade(trade_id=trade_of(desk), user_id=OWNER))
    desk.broker.held_back.clear()
    await settled(desk)
    assert desk.events_of(OrderCancelRequested)
    assert desk.events_of(OrderCanceled)
    assert not desk.broker.modified


async def test_an_order_that_shall_be_canceled_is_not_changed_though_the_cancel_takes_long(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.held_back.add(Purpose.ENTRY)
    await change(desk, limit_price_e4=2_848_0000)
    await desk.do(CancelTrade(trade_id=trade_of(desk), user_id=OWNER))
    desk.broker.held_back.clear()
    desk.broker.ignores_cancels = True
    async with running(desk.executor()):
        await eventually(lambda: len(desk.broker.canceled) >= 3)
    assert not desk.broker.modified


async def test_settling_does_not_wait_for_a_change_that_our_breaker_holds_back(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.held_back.add(Purpose.ENTRY)
    await change(desk, limit_price_e4=2_848_0000)
    await settled(desk)
    assert not desk.broker.modified


async def test_nobody_changes_an_order_without_the_lease(desk: Desk) -> None:
    await resting_entry(desk)
    await change(desk, limit_price_e4=2_848_0000)
    async with running(desk.executor()):
        desk.lease.held = False
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 40)
        assert not desk.broker.modified
        desk.lease.held = True
        await eventually(lambda: desk.broker.modified)


async def test_an_order_that_shrank_to_what_it_had_executed_is_done(desk: Desk) -> None:
    await resting_entry(desk)
    desk.broker.modify_answers.append(Answer.LOST_BUT_THERE)
    await change(desk, quantity=40)
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        desk.broker.away |= {"orders"}
        await eventually(lambda: desk.broker.modified)
        desk.broker.fill(desk.broker.row(0), 40, 2_849_0000)
        desk.broker.away.clear()
        await executor.settle()
    (modified,) = desk.events_of(OrderModified)
    (filled,) = desk.events_of(OrderFilled)
    assert (modified.instruction.quantity, filled.leaves_quantity) == (40, 0)
    assert executor.status()["orders"] == {}
    expect_the_venues_books(desk)


async def test_an_order_that_grew_is_not_full_too_early(desk: Desk) -> None:
    await resting_entry(desk)
    await change(desk, quantity=150)
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        desk.broker.away |= {"orders"}
        await eventually(lambda: desk.broker.modified)
        desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
        desk.broker.away.clear()
        await executor.settle()
        assert executor.status()["orders"] == {"partly_filled": 1}
        desk.broker.fill(desk.broker.row(0), 50, 2_849_0000)
        await executor.settle()
    assert [fill.leaves_quantity for fill in desk.events_of(OrderFilled)] == [50, 0]
    expect_the_venues_books(desk)


async def test_what_a_person_changes_at_the_broker_is_recorded_once(desk: Desk) -> None:
    await resting_entry(desk)
    row = desk.broker.row(0)
    row.instruction = replace(row.instruction, limit_price_e4=2_840_0000, quantity=60)
    await settled(desk)
    await settled(desk)
    (modified,) = desk.events_of(OrderModified)
    assert (modified.instruction.limit_price_e4, modified.instruction.quantity) == (2_840_0000, 60)
    assert not desk.broker.modified


async def test_a_market_order_that_the_venue_shows_as_a_limit_order_is_no_change(desk: Desk) -> None:
    await desk.open_trade()
    await settled(desk)
    row = desk.broker.row(0)
    row.instruction = replace(row.instruction, order_type=OrderType.LIMIT, limit_price_e4=2_880_0000)
    executor = desk.executor(IN_STEP)
    asked: list[RecordVenueOrder] = []
    carry_out = executor._accounts.carry_out

    async def counted(account_id: AccountId, command: AccountCommand, context: CommandContext) -> Outcome:
        asked.extend([command] if isinstance(command, RecordVenueOrder) else [])
        return await carry_out(account_id, command, context)

    executor._accounts.carry_out = counted  # type: ignore[method-assign]
    async with running(executor), asyncio.timeout(5):
        for _ in range(3):
            await executor.settle()
    assert not desk.events_of(OrderModified)
    assert not asked, "the limit that the broker gave it is no news"


async def test_a_stop_that_the_venue_shows_as_the_limit_order_it_became_is_no_change(desk: Desk) -> None:
    await protected_trade(desk)
    row = desk.broker.row(1)
    row.instruction = replace(row.instruction, order_type=OrderType.LIMIT, trigger_price_e4=None)
    await settled(desk)
    assert not desk.events_of(OrderModified)


async def test_a_triggered_stop_is_not_taken_for_the_market_order_that_it_shall_become(desk: Desk) -> None:
    await protected_trade(desk)
    row = desk.broker.row(1)
    row.instruction = replace(row.instruction, order_type=OrderType.LIMIT, trigger_price_e4=None)
    desk.broker.modify_answers.append(Answer.LOST_AND_ABSENT)
    await desk.do(CloseTrade(trade_id=trade_of(desk), user_id=OWNER))
    await settled(desk)
    assert len(desk.broker.modified) == 2
    assert desk.events_of(TradeClosed)


async def test_what_takes_risk_away_goes_before_what_adds_to_it(desk: Desk) -> None:
    await desk.open_trade(LIMIT)
    canceled = trade_of(desk)
    await settled(desk)
    desk.broker.fill_price_e4 = PRICE_E4
    await desk.open_trade()
    closed = trade_of(desk)
    await desk.open_trade(PROTECTED)
    await settled(desk)
    desk.broker.requests.clear()
    await desk.open_trade()
    await desk.do(CloseTrade(trade_id=closed, user_id=OWNER))
    await desk.do(CancelTrade(trade_id=canceled, user_id=OWNER))
    executor = desk.executor(IN_STEP)
    await change_level(desk, 2)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()
    assert desk.broker.requests[0] == "cancel"
    assert set(desk.broker.requests[1:3]) == {"modify stop", "place exit"}
    assert desk.broker.requests[3:] == ["place entry"]


async def change_level(desk: Desk, number: int) -> None:
    command = ChangeTrade(
        trade_id=trade_of(desk, number), user_id=OWNER, expected_version=1, market=market, stop_loss_e4=2_810_0000
    )
    await desk.do(command)


# --- Restarts ---------------------------------------------------------------------------------------------------------

ENDINGS = [[], [Answer.LOST_BUT_THERE], [Answer.LOST_AND_ABSENT], [Answer.NOT_SENT], [Answer.IGNORE]]


@pytest.mark.parametrize("answers", ENDINGS, ids=lambda answers: "+".join(a.name for a in answers) or "ACCEPT")
async def test_a_crash_between_any_two_steps_of_a_change_leaves_it_to_the_next_one(answers: list[Answer]) -> None:
    for turns in range(0, 40, 2):
        desk = Desk(page=1)
        await desk.open_account()
        await protected_trade(desk)
        await change(desk, stop_loss_e4=2_810_0000)
        desk.broker.modify_answers += answers
        first = desk.executor(IN_STEP)
        task = asyncio.create_task(first.run())
        settling = asyncio.create_task(first.settle())
        for _ in range(turns):
            await asyncio.sleep(0)
        await kill(first, task, settling)
        await settled(desk)
        assert desk.broker.row(1).instruction.trigger_price_e4 == 2_810_0000, f"after {turns} turns"
        assert len(desk.events_of(OrderModified)) == 1
        sent = Counter(placed.correlation_id for placed in desk.broker.placed)
        assert max(sent.values()) == 1
        assert set(sent) == {event.correlation_id for event in desk.events_of(OrderSubmitting)}


async def test_an_unknown_stop_that_is_found_has_what_the_book_shows(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    desk.broker.answers += [Answer.ACCEPT, Answer.LOST_BUT_THERE]
    await desk.open_trade(PROTECTED)
    await settled(desk)
    found = desk.events_of(OrderAcknowledged)[-1]
    assert found.evidence in {Evidence.ORDER_BOOK, Evidence.CORRELATION_LOOKUP}
    assert len(desk.broker.placed) == 2
