"""A stop that executes while it is being changed never sells more than is held, whatever comes first.

Four things happen in every order that there is: the venue executes the stop (whole or in part), the venue applies our
modification, its answer reaches us (or is lost), and we read its books.
"""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands.executor import Executor
from commands.ports import Modification, OutcomeUnknown
from domain.account import decider
from domain.account.commands import AccountCommand, ChangeTrade, CloseTrade
from domain.account.events import OrderFilled, ProtectionMode, TradeClosed, TradeOpened
from domain.ids import AccountId, TradeId, VenueOrderId
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose
from tests.support.dealing_room import QUANTITY, STOCKS, STOP_E4, dealing_room
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.fake_broker import SENT_AT_NS, FakeBroker, Row
from tests.support.specimens import OWNER, PRICE_E4, market
from tests.support.virtual_time import in_virtual_time

HELD = 100
RESTING = but(buy, protection=ProtectionMode.RESTING, target_e4=None)
IN_STEP = but(SETTINGS, lock_step=True)
OPEN = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})


def orders_of_things() -> Iterator[tuple[str, ...]]:
    """Yield every order in which the four things may happen: nothing is answered before it was applied or refused."""
    for order in itertools.permutations(("fill", "apply", "answer", "read")):
        if order.index("apply") < order.index("answer"):
            yield order


@dataclass
class RacingVenue(FakeBroker):
    """A venue at which the first modification waits for the test: to be applied, and to be answered."""

    may_apply: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    was_applied: asyncio.Event = field(default_factory=asyncio.Event)
    is_answer_lost: bool = False

    async def modify(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, purpose: Purpose
    ) -> Modification:
        is_first = not self.was_asked.is_set()
        self.was_asked.set()
        await self.may_apply.wait()
        outcome = await super().modify(account_id, venue_order_id, instruction, purpose)
        self.expect_no_overshoot()
        self.was_applied.set()
        await self.may_answer.wait()
        if is_first and self.is_answer_lost:
            return OutcomeUnknown(cause="no answer within 5 s", sent_at_ns=SENT_AT_NS)
        return outcome

    def execute(self, row: Row, quantity: int) -> None:
        """Trigger a stop and execute so much of it."""
        told = row.instruction
        if told.order_type is OrderType.SL:
            row.instruction = replace(told, order_type=OrderType.LIMIT, trigger_price_e4=None)
        self.fill(row, quantity, PRICE_E4)
        self.expect_no_overshoot()

    def expect_no_overshoot(self) -> None:
        """Expect that what could still be sold is held."""
        live = [row for row in self.rows.values() if row.status in OPEN and row.instruction.side.sign < 0]
        leaves = sum(row.instruction.quantity - row.filled for row in live)
        assert self.net_quantity >= leaves >= 0, f"{self.net_quantity} are held, and {leaves} may still be sold"


def close(trade_id: TradeId) -> AccountCommand:
    return CloseTrade(trade_id=trade_id, user_id=OWNER)


def close_a_part(trade_id: TradeId) -> AccountCommand:
    return CloseTrade(trade_id=trade_id, user_id=OWNER, quantity=40)


def raise_the_stop(trade_id: TradeId) -> AccountCommand:
    return ChangeTrade(trade_id=trade_id, user_id=OWNER, expected_version=1, market=market, stop_loss_e4=2_830_0000)


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("executed", [HELD, 80, 30])
@pytest.mark.parametrize("ask", [close, close_a_part, raise_the_stop])
@pytest.mark.parametrize("order", [*orders_of_things()], ids="-".join)
async def test_no_more_is_sold_than_is_held(
    order: tuple[str, ...],
    ask: object,
    executed: int,
    is_answer_lost: bool,  # noqa: FBT001 - a case
) -> None:
    desk = Desk()
    venue = desk.broker = RacingVenue(fill_price_e4=PRICE_E4, is_answer_lost=is_answer_lost)
    await desk.open_account()
    executor = desk.executor(IN_STEP)
    async with running(executor), asyncio.timeout(20):
        await desk.open_trade(RESTING)
        await executor.settle()
        stop = venue.row(1)
        (opened,) = desk.events_of(TradeOpened)
        await desk.do(ask(opened.trade_id))  # type: ignore[operator]
        await venue.was_asked.wait()
        for thing in order:
            await happen(thing, venue, stop, executor, executed)
        await executor.settle()
        await sell_what_may_be_sold(venue, executor)
        expect_the_venues_books(desk)


async def happen(thing: str, venue: RacingVenue, stop: Row, executor: Executor, executed: int) -> None:
    match thing:
        case "fill":
            # A stop that has become a market order has executed already; one that shrank has less to execute.
            left = stop.instruction.quantity - stop.filled
            if stop.status in OPEN and left:
                venue.execute(stop, min(executed, left))
        case "apply":
            venue.may_apply.set()
            await venue.was_applied.wait()
        case "answer":
            venue.may_answer.set()
            await asyncio.gather(*executor._asking.values())
        case _:
            await executor._poll_all()


async def sell_what_may_be_sold(venue: RacingVenue, executor: Executor) -> None:
    """Let the market take every order that closes, again and again: only then nothing can be left to go wrong."""
    for _ in range(5):
        for row in list(venue.rows.values()):
            if row.status in OPEN and row.instruction.quantity > row.filled:
                venue.execute(row, row.instruction.quantity - row.filled)
        await executor.settle()


def expect_the_venues_books(desk: Desk) -> None:
    state = decider.fold(desk.events())
    assert desk.broker.net_quantity == 0
    assert desk.events_of(TradeClosed)
    assert all(trade.holding.net_quantity == 0 and trade.is_closed for trade in state.trades.values())
    assert len(desk.events_of(OrderFilled)) == len(desk.broker.executions)
    assert not [order for order in state.orders.values() if order.wanted is not None and order.leaves_quantity]


# --- The same at the simulator, by the clock --------------------------------------------------------------------------


@pytest.mark.parametrize("triggers_after_s", [0.0, 0.15, 0.45])
@pytest.mark.parametrize(
    "fault", [None, "lose_answer_after_acceptance", "lose_answer_before_acceptance", "unavailable"]
)
@in_virtual_time
async def test_a_stop_that_triggers_while_it_becomes_the_exit(fault: str | None, triggers_after_s: float) -> None:
    async with dealing_room(STOCKS[:1], transit_ms=300) as room:
        trade_id = await room.open(symbol=STOCKS[0].symbol, product=Product.CNC)
        await room.settled()
        await room.seconds(2)
        assert len(await room.resting("SL")) == 1
        if fault is not None:
            await room.venue.fault(fault, target="modify")
        await room.desk.do(CloseTrade(trade_id=trade_id, user_id=OWNER))
        await asyncio.sleep(triggers_after_s)
        await room.second({STOCKS[0].key: STOP_E4})
        await room.seconds_until(lambda: room.desk.events_of(TradeClosed), most=20)
        await room.seconds(2)
        assert await room.held() == {}
        assert not await room.resting()
        books = await room.books()
        assert sum(fill["quantity"] for fill in books["trades"]) == 2 * QUANTITY
        assert room.state().trades[trade_id].holding.net_quantity == 0
