"""The executor and an operator's word: the venue's book bears it out, or shows otherwise."""

import asyncio
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands.doubt_reports import DoubtReport, SearchReport
from commands.evidence import SearchAnswer
from commands.executor import Executor
from commands.executor_log import WATERMARK
from commands.open_orders import OpenOrders
from domain.account.commands import ResolveOrder
from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderCanceled,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderResolution,
    TradeClosed,
)
from domain.ids import AccountId, OrderId, VenueOrderId
from domain.order import OrderType, Side
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer, Row
from tests.support.specimens import ACCOUNT, INFY, NOW_NS, NS_PER_S, OWNER, engage

PRICE_E4 = 2_850_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
IN_STEP = but(SETTINGS, lock_step=True)


@pytest.fixture
async def desk() -> Desk:
    """Return a desk whose one order is presumed absent: no answer came, and no book shows it."""
    desk = Desk()
    await desk.open_account()
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade(LIMIT)
    await settled(desk)
    assert desk.events_of(OrderPresumedAbsent)
    return desk


async def settled(desk: Desk) -> None:
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(5):
        await executor.settle()


def order_id_of(desk: Desk) -> OrderId:
    return desk.events_of(OrderIntended)[0].order_id


async def resolve(desk: Desk, venue_order_id: str | None = None) -> None:
    """Say that the order is absent, or that the venue has it as *venue_order_id*."""
    word = ResolveOrder(
        order_id=order_id_of(desk),
        user_id=OWNER,
        resolution=OrderResolution.ABSENT if venue_order_id is None else OrderResolution.AT_BROKER,
        venue_order_id=None if venue_order_id is None else VenueOrderId(venue_order_id),
        reason="looked it up in the broker's app",
    )
    await desk.do(word)


def without_our_id(desk: Desk) -> Row:
    """Let the order turn up at the venue in a row that does not carry our id."""
    row = desk.broker.turn_up(0)
    row.correlation_id = None  # type: ignore[assignment]
    return row


# --- Absent -----------------------------------------------------------------------------------------------------------


async def test_an_order_said_to_be_absent_that_turns_up_is_canceled(desk: Desk) -> None:
    await resolve(desk)
    assert desk.events_of(TradeClosed)
    row = desk.broker.turn_up(0)
    await settled(desk)
    assert desk.broker.canceled == [row.venue_order_id]
    assert desk.events_of(OrderCanceled)


async def test_it_is_watched_by_the_loops_though_the_account_holds_nothing(desk: Desk) -> None:
    await resolve(desk)
    async with running(desk.executor()):
        await eventually(lambda: desk.watermarks.kept.get(WATERMARK))
        desk.broker.fill(desk.broker.turn_up(0), 100, PRICE_E4)
        (filled,) = await eventually(lambda: desk.events_of(OrderFilled))
    assert filled.order_id == order_id_of(desk)


async def test_a_new_executor_watches_it_too(desk: Desk) -> None:
    await resolve(desk)
    async with running(desk.executor()):
        await eventually(lambda: desk.watermarks.kept.get(WATERMARK))
    assert desk.watermarks.kept[WATERMARK] < desk.store.events[-1].sequence
    desk.broker.turn_up(0)
    await settled(desk)
    assert desk.events_of(OrderCanceled)


async def test_it_is_watched_for_as_long_as_the_venues_book_may_show_it(desk: Desk) -> None:
    await resolve(desk)
    orders = OpenOrders()
    for recorded in desk.store.events:
        orders.apply(recorded)
    (absent,) = orders.absent()
    assert absent.absent_on is not None
    assert orders.low_water() < absent.first_sequence
    orders.forget_absent(before=absent.absent_on)
    assert orders.absent() == [absent]
    orders.forget_absent(before="2999-01-01")
    orders.forget_closed(keep=0)
    assert (orders.absent(), orders.get(absent.order_id)) == ([], None)
    assert orders.low_water() == orders.sequence


# --- At the broker ----------------------------------------------------------------------------------------------------


async def test_an_order_that_the_book_shows_without_our_id_is_found_by_an_operators_word(desk: Desk) -> None:
    row = without_our_id(desk)
    await settled(desk)
    assert not desk.events_of(OrderAcknowledged)
    await resolve(desk, row.venue_order_id)
    desk.broker.fill(row, 100, PRICE_E4)
    await settled(desk)
    assert desk.events_of(OrderAcknowledged)[0].evidence is Evidence.OPERATOR
    assert [fill.last_quantity for fill in desk.events_of(OrderFilled)] == [100]


async def test_a_cancel_that_was_remembered_is_asked_for_once_the_book_bears_the_word_out(desk: Desk) -> None:
    row = without_our_id(desk)
    await desk.do(engage)
    await resolve(desk, row.venue_order_id)
    await settled(desk)
    assert desk.broker.canceled == [row.venue_order_id]
    assert desk.events_of(OrderCanceled)


async def test_nothing_is_asked_of_the_venue_under_an_id_that_no_book_has_borne_out(desk: Desk) -> None:
    row = without_our_id(desk)
    await desk.do(engage)
    desk.broker.away |= {"orders", "fills"}
    async with running(desk.executor()):
        await resolve(desk, row.venue_order_id)
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 20)
        assert not desk.broker.canceled
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderCanceled))


@pytest.mark.parametrize("what", ["side", "instrument", "id"])
async def test_an_id_of_another_order_is_doubted_and_nothing_becomes_of_that_one(desk: Desk, what: str) -> None:
    row = without_our_id(desk)
    if what == "side":
        row.instruction = replace(row.instruction, side=Side.SELL)
    elif what == "instrument":
        row.instruction = replace(row.instruction, instrument=INFY)
    else:
        row.correlation_id = desk.broker.placed[0].correlation_id[::-1]  # type: ignore[assignment]
    desk.broker.fill(row, 40, PRICE_E4)
    await desk.do(engage)
    async with running(desk.executor()):
        await resolve(desk, row.venue_order_id)
        await eventually(lambda: len(desk.events_of(OrderOutcomeUnknown)) == 2)
        await eventually(lambda: len(desk.events_of(OrderPresumedAbsent)) == 2)
    assert desk.events_of(OrderOutcomeUnknown)[1].cause == "the broker's book shows another order as venue-1"
    assert not desk.broker.canceled
    assert not desk.events_of(OrderFilled)


async def test_an_id_that_no_book_shows_is_doubted_after_a_while(desk: Desk) -> None:
    await resolve(desk, "v-404")
    async with running(desk.executor()):
        await eventually(lambda: len(desk.events_of(OrderOutcomeUnknown)) == 2)
    assert desk.events_of(OrderOutcomeUnknown)[1].cause == "the broker's book does not show v-404"
    await resolve(desk)
    assert desk.events_of(TradeClosed)


async def test_an_order_that_the_book_shows_as_ours_elsewhere_is_found_there(desk: Desk) -> None:
    await resolve(desk, "v-404")
    row = desk.broker.turn_up(0)
    async with running(desk.executor()):
        acknowledged = await eventually(
            lambda: [event for event in desk.events_of(OrderAcknowledged) if event.evidence is not Evidence.OPERATOR]
        )
    assert [event.venue_order_id for event in acknowledged] == [row.venue_order_id]
    assert desk.events_of(OrderOutcomeUnknown)[1].cause == "the broker's book shows it as venue-1, not as v-404"


async def test_a_fill_under_an_id_that_no_book_has_borne_out_is_not_counted(desk: Desk) -> None:
    row = without_our_id(desk)
    desk.broker.fill(row, 100, PRICE_E4)
    del desk.broker.rows[row.venue_order_id]
    await resolve(desk, row.venue_order_id)
    async with running(desk.executor()):
        await eventually(lambda: len(desk.events_of(OrderOutcomeUnknown)) == 2)
    assert not desk.events_of(OrderFilled)


async def test_what_the_book_bore_out_once_is_not_doubted_because_it_is_gone(desk: Desk) -> None:
    row = without_our_id(desk)
    await resolve(desk, row.venue_order_id)
    async with running(desk.executor()):
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 10)
        del desk.broker.rows[row.venue_order_id]
        read = desk.broker.reads
        await eventually(lambda: desk.broker.reads > read + 100)
        assert len(desk.events_of(OrderOutcomeUnknown)) == 1


# --- What is told of a search -----------------------------------------------------------------------------------------


async def test_a_search_under_way_tells_what_was_asked_and_answered(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await desk.open_trade(LIMIT)
    executor = desk.executor(but(SETTINGS, lookup_window_ms=10_000_000))
    [order_id] = {event.order_id for event in desk.events_of(OrderIntended)} - {order_id_of(desk)}
    async with running(executor):
        told = await eventually(lambda: _asked_both_ways(executor, order_id))
        assert told.answer in {SearchAnswer.NOT_IN_BOOK, SearchAnswer.NOT_FOUND}
        assert told.answers_wanted == SETTINGS.lookups_min
        assert told.asked_at_ns is not None
        assert NOW_NS - 10_000 * NS_PER_S < told.asked_at_ns <= NOW_NS < told.until_ns
        report = executor.doubts_of(ACCOUNT)
        assert set(report.searches) == {order_id}, "the one that is presumed absent is looked for no more"
        assert report.books_read_at_ns is not None
        assert report.books_read_at_ns <= NOW_NS
        desk.broker.away |= {"find_order", "orders", "fills"}
        await eventually(lambda: _unanswered(executor, order_id))
    assert executor.doubts_of(AccountId("acc_nobody")) == DoubtReport()


def _asked_both_ways(executor: Executor, order_id: OrderId) -> SearchReport | None:
    search = executor.doubts_of(ACCOUNT).searches.get(order_id)
    return search if search is not None and search.by_correlation and search.by_order_book else None


def _unanswered(executor: Executor, order_id: OrderId) -> bool:
    return executor.doubts_of(ACCOUNT).searches[order_id].answer is SearchAnswer.NO_ANSWER


async def test_a_search_that_is_over_is_told_no_more(desk: Desk) -> None:
    executor = desk.executor()
    async with running(executor):
        await eventually(lambda: desk.watermarks.kept.get(WATERMARK))
        assert executor.doubts_of(ACCOUNT).searches == {}
