"""The executor and the venue's books: the gate at the start, looks, and what differs in the log and on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace as but

import pytest

from commands.executor import Executor
from commands.looks import LookReport
from commands.ports import VenueHolding
from commands.reconciliation import ReconciliationSettings
from domain.account import decider
from domain.account.events import (
    DifferenceClosed,
    DifferenceFound,
    OrderAcknowledged,
    OrderDenied,
    OrderFilled,
    OrderLapsed,
    OrderOutcomeUnknown,
    OrderSubmitting,
    TradeClosed,
)
from domain.differences import Book, DifferenceEnd, DifferenceKind
from domain.order import OrderType, Product
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import ACCOUNT, INFY, NOW_NS, NS_PER_S, OWNER, RELIANCE

PRICE_E4 = 2_850_0000
LIMIT = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
OFTEN = but(
    SETTINGS,
    reconciliation=ReconciliationSettings(look_ms=20, confirm_ms=5, again_ms=5, unreadable_ms=50, pace_ms=2, away_ms=1),
)
K = DifferenceKind


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open_account()
    return desk


@asynccontextmanager
async def looking(desk: Desk) -> AsyncIterator[Executor]:
    executor = desk.executor(OFTEN)
    async with running(executor):
        yield executor


def found(desk: Desk) -> list[DifferenceKind]:
    return [event.kind for event in desk.events_of(DifferenceFound)]


# --- The gate at the start --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("book", ["orders", "fills", "positions", "holdings"])
async def test_an_entry_waits_until_the_books_were_held_against_ours(desk: Desk, book: str) -> None:
    desk.broker.away.add(book)
    async with looking(desk):
        await desk.open_trade()
        await eventually(lambda: K.BOOK_UNREADABLE in found(desk))
        assert not desk.broker.placed
        desk.broker.away.clear()
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        ends = await eventually(lambda: desk.events_of(DifferenceClosed))
    assert {end.how for end in ends} == {DifferenceEnd.AGREED}
    assert len(desk.broker.placed) == 1


async def test_one_that_waits_too_long_lapses(desk: Desk) -> None:
    desk.broker.away.add("positions")
    async with looking(desk):
        await desk.open_trade()
        await eventually(lambda: K.BOOK_UNREADABLE in found(desk))
        desk.marks.now_ns = NOW_NS + 60 * NS_PER_S
        await eventually(lambda: desk.events_of(OrderLapsed))
    assert not desk.broker.placed


async def test_an_exit_waits_for_no_look(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    async with looking(desk):
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderFilled))
    desk.broker.away.add("positions")
    async with looking(desk):
        await desk.close()
        await eventually(lambda: desk.events_of(TradeClosed))


async def test_in_lock_step_the_first_entry_brings_the_first_look(desk: Desk) -> None:
    executor = desk.executor(but(SETTINGS, lock_step=True))
    async with running(executor), asyncio.timeout(20):
        await desk.open_trade(LIMIT)
        await executor.settle()
        look = executor.reconciliation.last_look(ACCOUNT)
    assert look is not None
    assert look.agrees
    assert desk.events_of(OrderAcknowledged)


# --- What is left over ------------------------------------------------------------------------------------------------


async def test_residue_is_recorded_once_and_over_when_it_is_gone_whoever_begins_anew(desk: Desk) -> None:
    desk.broker.fill_price_e4 = PRICE_E4
    async with looking(desk):
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderFilled))
        desk.broker.residue[RELIANCE, Product.INTRADAY] = 7
        await eventually(lambda: desk.events_of(DifferenceFound))
        (denied,) = (await desk.open_trade()).events
        assert isinstance(denied, OrderDenied)
    async with looking(desk) as executor:
        look = await executor.reconciliation.reconcile(ACCOUNT)
        assert [each.kind for each in look.differences] == [K.POSITION_LARGER]
        assert not look.agrees
        assert executor.reconciliation.holds(ACCOUNT)
        desk.broker.residue.clear()
        await eventually(lambda: desk.events_of(DifferenceClosed))
        await eventually(lambda: not executor.reconciliation.holds(ACCOUNT))
    assert found(desk) == [K.POSITION_LARGER]


async def test_an_entry_that_waits_is_sent_when_somebody_resolves_what_it_waits_for(desk: Desk) -> None:
    desk.broker.residue[INFY, Product.INTRADAY] = 7
    async with looking(desk) as executor:
        await desk.open_trade(LIMIT)
        (residue,) = await eventually(lambda: desk.events_of(DifferenceFound))
        assert not desk.events_of(OrderSubmitting)
        await desk.accounts.resolve_difference(
            ACCOUNT, OWNER, residue.difference_id, reason="mine", price_e4=None, context=desk.context()
        )
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        assert (await executor.reconciliation.reconcile(ACCOUNT)).agrees


async def test_what_was_held_before_the_first_trade_is_the_baseline(desk: Desk) -> None:
    desk.broker.held.append((ACCOUNT, VenueHolding(instrument=INFY, quantity=40)))
    async with looking(desk) as executor:
        await desk.open_trade(LIMIT)
        await eventually(lambda: desk.events_of(OrderAcknowledged))
        assert (await executor.reconciliation.reconcile(ACCOUNT)).agrees
    assert found(desk) == [K.HELD_BEFORE]
    assert decider.fold(desk.events()).held_before == {"NSE_EQ:1594": 40}


async def test_a_position_while_an_order_in_it_is_unknown_is_explained(desk: Desk) -> None:
    desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    async with looking(desk):
        await desk.open_trade()
        await eventually(lambda: desk.events_of(OrderOutcomeUnknown))
        desk.broker.residue[RELIANCE, Product.INTRADAY] = 100
        await eventually(lambda: K.UNKNOWN_ORDER_POSITION in found(desk))
        assert decider.fold(desk.events()).gating_difference is None


async def test_what_filled_while_nobody_looked_is_said_to_have_been_missed(desk: Desk) -> None:
    async with looking(desk):
        await desk.open_trade(LIMIT)
        await eventually(lambda: desk.events_of(OrderAcknowledged))
    desk.broker.fill(desk.broker.row(0), 100, 2_849_0000)
    async with looking(desk):
        await eventually(lambda: K.MISSED_FILL in found(desk))
    assert desk.events_of(OrderFilled)


# --- On demand --------------------------------------------------------------------------------------------------------


async def test_a_look_is_told_as_it_travels(desk: Desk) -> None:
    async with looking(desk) as executor:
        look = await executor.reconciliation.reconcile(ACCOUNT)
        report = LookReport.of(ACCOUNT, look)
        assert ACCOUNT in executor.reconciliation.concerned()
        status = executor.status()["reconciliation"]
    assert (report.agrees, report.is_whole, report.read) == (True, True, tuple(sorted(Book)))
    assert (status["compared"], status["gated"]) == (1, [])
