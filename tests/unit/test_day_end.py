"""What the broker's day leaves in doubt ends with it, by its last order book or by its history, and never by guess."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as but
from datetime import date

import pytest
from msgspec.structs import replace

from commands.day_end import BrokerDay
from commands.executor import ExecutorSettings
from commands.executor_log import WATERMARK
from commands.ports import PastExecution, StoreUnavailable, VenueOrder
from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    TradeClosed,
)
from domain.ids import AccountId, VenueOrderId
from domain.market import NS_PER_S, trading_day
from domain.order import OrderStatus, OrderType, Product, Side
from domain.session import Phase, SessionMoment
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.eventually import eventually
from tests.support.fake_broker import Answer
from tests.support.specimens import ACCOUNT, DAY_NS, INFY, NOW_NS, RELIANCE, market, open_trade

PRICE_E4 = 2_850_0000
RESTS = but(buy, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
QUICK = but(SETTINGS, day_end_ms=2)
TODAY = trading_day(NOW_NS)


@dataclass
class Statement:
    """Implements `commands.ports.TradeHistory`."""

    executions: list[PastExecution] = field(default_factory=list)
    asked: list[date] = field(default_factory=list)

    async def executed_on(self, account_id: AccountId, day: date) -> Sequence[PastExecution]:
        assert account_id == ACCOUNT
        self.asked.append(day)
        return self.executions


@dataclass
class Shelf:
    """Implements `commands.ports.BookArchive`. It is full as often as `full` says."""

    books: dict[tuple[AccountId, date], list[VenueOrder]] = field(default_factory=dict)
    full: int = 0

    async def keep(self, account_id: AccountId, day: date, rows: Sequence[VenueOrder]) -> None:
        assert (account_id, day) not in self.books, "it is kept once"
        if self.full:
            self.full -= 1
            raise StoreUnavailable("no space left on device")
        self.books[account_id, day] = list(rows)


class Evening:
    """A desk whose day can be ended."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.statement, self.shelf = Statement(), Shelf()
        self.desk.broker_day = BrokerDay(
            marks=self.desk.marks, sessions=self.desk.sessions, history=self.statement, archive=self.shelf
        )
        self.phase(Phase.CONTINUOUS)

    def phase(self, phase: Phase, *, is_over: bool = False) -> None:
        until_ns = self.desk.marks.now_ns + (0 if is_over else 3_600 * NS_PER_S)
        day = trading_day(self.desk.marks.now_ns).isoformat()
        moment = SessionMoment(phase=phase, trading_day=day, continuous_until_ns=until_ns)
        self.desk.sessions.moments = dict.fromkeys((RELIANCE, INFY), moment)

    def close(self) -> None:
        self.phase(Phase.CLOSED, is_over=True)

    def next_morning(self) -> None:
        self.desk.marks.now_ns += DAY_NS
        self.phase(Phase.CONTINUOUS)

    @property
    def expired(self) -> list[OrderExpired]:
        return self.desk.events_of(OrderExpired)


@pytest.fixture
async def evening() -> Evening:
    """Return an evening on which an order was sent of which nothing was heard."""
    evening = Evening()
    await evening.desk.open_account()
    evening.desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    await evening.desk.open_trade(RESTS)
    return evening


async def absent(evening: Evening, settings: ExecutorSettings = QUICK) -> None:
    async with running(evening.desk.executor(settings)):
        await eventually(lambda: evening.desk.events_of(OrderPresumedAbsent))


async def looked_at_often(evening: Evening) -> None:
    asked = evening.desk.broker.reads
    await eventually(lambda: evening.desk.broker.reads > asked + 40)


# --- The day's last book ----------------------------------------------------------------------------------------------


async def test_what_the_last_book_does_not_show_ends_and_the_book_is_kept(evening: Evening) -> None:
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.desk.events_of(OrderPresumedAbsent))
        evening.close()
        await eventually(lambda: evening.expired and evening.shelf.books)
    (expired,) = evening.expired
    assert expired.evidence is Evidence.DAY_END
    assert evening.shelf.books == {(ACCOUNT, TODAY): []}
    assert not evening.statement.asked


@pytest.mark.parametrize(
    "phase", [Phase.CONTINUOUS, Phase.PAUSED, Phase.CLOSING_AUCTION, Phase.POST_CLOSE, Phase.CLOSED]
)
async def test_before_the_end_nothing_ends(evening: Evening, phase: Phase) -> None:
    async with running(evening.desk.executor(QUICK)):
        evening.phase(phase)
        await eventually(lambda: evening.desk.events_of(OrderPresumedAbsent))
        await looked_at_often(evening)
    assert not evening.expired
    assert not evening.shelf.books


async def test_what_turns_up_in_the_last_book_does_not_end(evening: Evening) -> None:
    await absent(evening)
    evening.desk.broker.turn_up(0)
    evening.close()
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.desk.events_of(OrderAcknowledged) and evening.shelf.books)
    assert not evening.expired
    ((row,),) = evening.shelf.books.values()
    assert row.status is OrderStatus.ACKNOWLEDGED


async def test_a_book_that_cannot_be_read_ends_nothing(evening: Evening) -> None:
    await absent(evening)
    evening.close()
    evening.desk.broker.away.add("orders")
    async with running(evening.desk.executor(QUICK)):
        await looked_at_often(evening)
        assert not evening.expired
        evening.desk.broker.away.clear()
        await eventually(lambda: evening.expired)


async def test_a_book_that_cannot_be_kept_is_kept_later(evening: Evening) -> None:
    evening.shelf.full = 3
    evening.close()
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.shelf.books)
    assert evening.shelf.full == 0


async def test_the_book_of_a_day_without_doubt_is_kept_too() -> None:
    evening = Evening()
    await evening.desk.open_account()
    evening.desk.broker.fill_price_e4 = PRICE_E4
    async with running(evening.desk.executor(QUICK)):
        await evening.desk.open_trade()
        await eventually(lambda: evening.desk.events_of(OrderFilled))
        evening.close()
        await eventually(lambda: evening.shelf.books)
    ((row,),) = evening.shelf.books.values()
    assert row.cumulative_quantity == 100


async def test_a_restart_between_the_last_trade_and_the_close_keeps_the_book_all_the_same() -> None:
    evening = Evening()
    await evening.desk.open_account()
    evening.desk.broker.fill_price_e4 = PRICE_E4
    executor = evening.desk.executor(QUICK)
    async with running(executor):
        await evening.desk.open_trade()
        await eventually(lambda: evening.desk.events_of(OrderFilled))
        await evening.desk.close()
        await eventually(lambda: evening.desk.events_of(TradeClosed))
        await eventually(lambda: executor.status()["orders"] == {})
    await executor.drain(within_s=1)
    assert evening.desk.watermarks.kept[WATERMARK] == len(evening.desk.store.events), "nothing is open any more"
    evening.close()
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.shelf.books)
    ((bought, sold),) = evening.shelf.books.values()
    assert bought.cumulative_quantity == sold.cumulative_quantity == 100


# --- A day that is over -----------------------------------------------------------------------------------------------


async def test_who_was_away_at_the_end_asks_the_history_of_the_day(evening: Evening) -> None:
    await absent(evening)
    evening.next_morning()
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.expired)
    assert set(evening.statement.asked) == {TODAY}
    assert not evening.shelf.books, "the book of that day is gone"


def like_the_order(**changes: object) -> PastExecution:
    execution = PastExecution(
        venue_order_id=VenueOrderId("999"),
        instrument=RELIANCE,
        product=Product.INTRADAY,
        side=Side.BUY,
        quantity=100,
        executed_at_ns=NOW_NS + NS_PER_S,
    )
    return but(execution, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("executed_at_ns", [NOW_NS + NS_PER_S, None], ids=["later", "at a time that is not told"])
async def test_an_execution_that_may_be_its_own_leaves_it_in_doubt(
    evening: Evening, executed_at_ns: int | None
) -> None:
    await absent(evening)
    evening.next_morning()
    evening.statement.executions.append(like_the_order(executed_at_ns=executed_at_ns))
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: len(evening.statement.asked) > 3)
    assert not evening.expired


@pytest.mark.parametrize(
    "changes",
    [
        {"instrument": INFY},
        {"product": Product.CNC},
        {"side": Side.SELL},
        {"executed_at_ns": NOW_NS - 3_600 * NS_PER_S},
        {"venue_order_id": VenueOrderId("venue-1")},
    ],
    ids=["another instrument", "another product", "the other side", "before it was sent", "of an order that we know"],
)
async def test_an_execution_that_cannot_be_its_own_does_not(evening: Evening, changes: dict[str, object]) -> None:
    evening.desk.broker.fill_price_e4 = PRICE_E4
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.desk.events_of(OrderPresumedAbsent))
        await evening.desk.open_trade()
        await eventually(lambda: evening.desk.events_of(OrderFilled))
    evening.next_morning()
    evening.statement.executions.append(like_the_order(**changes))
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.expired)
    assert [event.order_id for event in evening.expired] == [evening.desk.events_of(OrderOutcomeUnknown)[0].order_id]


async def test_an_execution_of_ours_just_before_it_was_sent_is_explained() -> None:
    evening = Evening()
    await evening.desk.open_account()
    evening.desk.broker.answers += [Answer.ACCEPT, Answer.LOST_AND_ABSENT]
    evening.desk.broker.fill_price_e4 = PRICE_E4
    async with running(evening.desk.executor(QUICK)):
        await evening.desk.open_trade()
        await eventually(lambda: evening.desk.events_of(OrderFilled))
        await evening.desk.open_trade(RESTS)
        await eventually(lambda: evening.desk.events_of(OrderPresumedAbsent))
    evening.next_morning()
    evening.statement.executions.append(like_the_order(venue_order_id=VenueOrderId("venue-1"), executed_at_ns=NOW_NS))
    async with running(evening.desk.executor(QUICK)):
        await eventually(lambda: evening.expired)


async def test_an_order_for_after_the_market_is_not_of_the_day_on_which_it_was_sent() -> None:
    evening = Evening()
    await evening.desk.open_account()
    evening.close()
    evening.desk.broker.answers.append(Answer.LOST_AND_ABSENT)
    closed = evening.desk.sessions.moments[RELIANCE]
    await evening.desk.do(
        replace(
            open_trade,
            order_type=OrderType.LIMIT,
            limit_price_e4=2_849_0000,
            product=Product.CNC,
            after_market=True,
            market=replace(market, session=closed),
        )
    )
    (intended,) = evening.desk.events_of(OrderIntended)
    assert intended.instruction.after_market
    await absent(evening)
    evening.next_morning()
    async with running(evening.desk.executor(QUICK)):
        await looked_at_often(evening)
    assert not evening.expired
