"""Protection of trades whose stop rests at the venue: it trails, reprices, places again, and squares off in time.

No executor is at work: the test says itself what the venue makes of an order.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace as but
from datetime import time

import pytest
from msgspec.structs import replace

from adapters.sessions import shipped_table
from commands.accounts import TradeChange
from commands.protection import Protection, ProtectionSettings, wait_for_room_ns
from domain.account.commands import (
    ApplyCorporateAction,
    BeginSubmission,
    PresumeAbsent,
    RecordAccepted,
    RecordFill,
    RecordForeignFill,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
    SucceedExit,
)
from domain.account.events import (
    Evidence,
    ExitCause,
    OrderCancelRequested,
    OrderIntended,
    OrderModifyRequested,
    ProtectionFailed,
    ProtectionLapsed,
    ProtectionMode,
    StopTrailed,
    TradeClosed,
    TradeExitTriggered,
    Trailing,
)
from domain.account.exits import STOPS_FAILED_MAX
from domain.account.protection import GAP_STEPS_MAX
from domain.ids import OrderId, TradeId, VenueFillId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment
from domain.market import Mark, trading_day
from domain.order import (
    ModifyCause,
    NotSentReason,
    OrderStatus,
    OrderType,
    Product,
    Purpose,
    RefusalReason,
    Side,
    correlation_id_of,
)
from domain.risk import RiskParameters
from domain.session import Phase, SessionMoment
from domain.session_table import Certainty, DayKind, Span, Stretch
from tests.support.desk import Desk, buy, running
from tests.support.specimens import (
    ACCOUNT,
    CODE,
    DAY_NS,
    INFY,
    NOW_NS,
    NS_PER_S,
    OWNER,
    PRICE_E4,
    RELIANCE,
    TODAY,
    infy_mark,
    mark_at,
    market,
    open_trade,
    reliance,
)

rest = but(buy, protection=ProtectionMode.RESTING)
trail = but(rest, target_e4=None, trailing=Trailing(distance_e4=50_0000, step_e4=5_0000))
STOP_E4 = 2_800_0000
LIMIT_E4 = 2_786_0000
FUTURE = InstrumentKey(Segment.NSE_FNO, "52175")
AT_ANY_RATE = RiskParameters(orders_per_second_max=1_000, orders_per_minute_max=1_000)
OPEN = SessionMoment(phase=Phase.CONTINUOUS, trading_day=TODAY, continuous_until_ns=NOW_NS + 5 * 3600 * NS_PER_S)
CLOSED = SessionMoment(phase=Phase.CLOSED, trading_day=TODAY)


class TheInstrument:
    """Knows one instrument. Implements `commands.ports.Instruments`."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - the port's shape
        return self._instrument

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - likewise
        return self._instrument


class Floor:
    """A desk with a protection at work, and a venue that says what the test says."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.desk.sessions.moments = {RELIANCE: OPEN, INFY: OPEN}
        self.protection: Protection = self.desk.protection()

    async def open(self, intent=rest) -> TradeId:  # type: ignore[no-untyped-def] # noqa: ANN001 - a TradeIntent
        """Open a trade, and let its entry and its stop be taken."""
        outcome = await self.desk.open_trade(intent)
        entry = next(event for event in outcome.events if isinstance(event, OrderIntended))
        await self.accept(entry.order_id)
        await self.fill(entry.order_id, entry.instruction.quantity, PRICE_E4)
        for order in self.intended(Purpose.STOP):
            if order.trade_id == entry.trade_id:
                await self.accept(order.order_id)
        return entry.trade_id

    async def submit(self, order_id: OrderId, *, at_ns: int = NOW_NS) -> None:
        await self.desk.do(
            BeginSubmission(
                order_id=order_id,
                correlation_id=correlation_id_of(order_id, code=CODE),
                sender_epoch=1,
                market_time_ns=at_ns,
            )
        )

    async def accept(self, order_id: OrderId, *, at_ns: int = NOW_NS) -> None:
        await self.submit(order_id, at_ns=at_ns)
        venue_order_id = VenueOrderId(f"v-{order_id}")
        await self.desk.do(RecordAccepted(order_id=order_id, venue_order_id=venue_order_id, sent_at_ns=at_ns))

    async def fill(self, order_id: OrderId, quantity: int, price_e4: int) -> None:
        await self.desk.do(
            RecordFill(
                order_id=order_id,
                venue_fill_id=VenueFillId(f"f-{order_id}-{len(self.desk.store.events)}"),
                quantity=quantity,
                price_e4=price_e4,
                filled_at_ns=NOW_NS,
            )
        )

    async def show(self, order_id: OrderId, status: OrderStatus = OrderStatus.ACKNOWLEDGED) -> None:
        """Let the venue's books show an order as it was last asked to be."""
        told = next(order for order in self.desk.events_of(OrderIntended) if order.order_id == order_id).instruction
        for modification in self.modifications:
            told = modification.instruction if modification.order_id == order_id else told
        await self.desk.do(
            RecordVenueOrder(
                order_id=order_id,
                venue_order_id=VenueOrderId(f"v-{order_id}"),
                status=status,
                cumulative_quantity=0,
                message="",
                evidence=Evidence.ORDER_BOOK,
                quantity=told.quantity,
                order_type=told.order_type,
                limit_price_e4=told.limit_price_e4,
                trigger_price_e4=told.trigger_price_e4,
            )
        )

    async def tick(self, *marks: Mark) -> None:
        for mark in marks:
            async with asyncio.timeout(5):
                await self.protection.catch_up()
                await self.protection.on_mark(mark)

    async def time(self, now_ns: int) -> None:
        async with asyncio.timeout(5):
            await self.protection.catch_up()
            await self.protection.on_time(now_ns)

    def intended(self, purpose: Purpose) -> list[OrderIntended]:
        return [event for event in self.desk.events_of(OrderIntended) if event.purpose is purpose]

    @property
    def modifications(self) -> list[OrderModifyRequested]:
        return self.desk.events_of(OrderModifyRequested)

    @property
    def causes(self) -> list[ExitCause]:
        return [event.cause for event in self.desk.events_of(TradeExitTriggered)]


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    floor = Floor()
    await floor.desk.open_account()
    async with running(floor.protection):
        yield floor


# --- Levels -----------------------------------------------------------------------------------------------------------


async def test_a_stop_that_rests_is_the_venues_to_execute(floor: Floor) -> None:
    await floor.open()
    (stop,) = floor.intended(Purpose.STOP)
    told = stop.instruction
    assert (told.order_type, told.quantity, told.trigger_price_e4, told.limit_price_e4) == (
        OrderType.SL,
        100,
        STOP_E4,
        LIMIT_E4,
    )
    stored = len(floor.desk.store.events)
    await floor.tick(mark_at(STOP_E4), mark_at(LIMIT_E4, later_ms=5_000))
    assert len(floor.desk.store.events) == stored


async def test_a_target_makes_the_resting_stop_a_marketable_order(floor: Floor) -> None:
    trade_id = await floor.open()
    await floor.tick(mark_at(2_900_0000))
    (asked,) = floor.modifications
    assert (asked.trade_id, asked.cause, asked.instruction.order_type) == (
        trade_id,
        ModifyCause.EXIT,
        OrderType.MARKET,
    )
    assert floor.causes == [ExitCause.TARGET]
    assert not floor.intended(Purpose.EXIT)


async def test_the_engine_closes_the_trade_where_no_stop_rests(floor: Floor) -> None:
    (_, entry) = (await floor.desk.open_trade(rest)).events
    assert isinstance(entry, OrderIntended)
    await floor.accept(entry.order_id)
    await floor.fill(entry.order_id, 100, PRICE_E4)
    (stop,) = floor.intended(Purpose.STOP)
    await floor.submit(stop.order_id)
    await floor.desk.do(RecordUnknown(order_id=stop.order_id, cause="no answer", sent_at_ns=NOW_NS))
    await floor.tick(mark_at(STOP_E4))
    assert not floor.causes, "the venue may have it"
    await floor.desk.do(PresumeAbsent(order_id=stop.order_id, lookups=6))
    await floor.tick(mark_at(STOP_E4, later_ms=1_000))
    assert floor.causes == [ExitCause.STOP_LOSS]
    assert not floor.intended(Purpose.EXIT), "the venue's position is read before anything takes the stop's place"
    proposed = floor.desk.store.appends
    await floor.tick(mark_at(STOP_E4, later_ms=2_000))
    assert floor.desk.store.appends == proposed, "what follows is not for protection to ask"
    await floor.desk.do(SucceedExit(trade_id=entry.trade_id, net_quantity=100))
    (exit_order,) = floor.intended(Purpose.EXIT)
    assert exit_order.successor_of == stop.order_id


async def test_a_level_that_was_moved_is_the_one_that_counts(floor: Floor) -> None:
    trade_id = await floor.open(but(rest, protection=ProtectionMode.ENGINE))
    change = TradeChange(stop_loss_e4=2_840_0000, target_e4=None)
    await floor.desk.accounts.change_trade(
        ACCOUNT, OWNER, trade_id, change, expected_version=1, context=floor.desk.context()
    )
    await floor.tick(mark_at(2_900_0000))
    assert not floor.causes, "its target was taken away"
    await floor.tick(mark_at(2_840_0000))
    assert floor.causes == [ExitCause.STOP_LOSS]


async def test_a_corporate_action_moves_the_levels_that_are_watched(floor: Floor) -> None:
    await floor.open(but(rest, protection=ProtectionMode.ENGINE))
    split = ApplyCorporateAction(
        action_id="split-1", instrument=reliance, numerator=2, denominator=1, effective_on=TODAY
    )
    await floor.desk.do(split)
    await floor.tick(mark_at(1_425_0000))
    assert not floor.causes
    await floor.tick(mark_at(1_400_0000))
    assert floor.causes == [ExitCause.STOP_LOSS]
    (exit_order,) = floor.intended(Purpose.EXIT)
    assert exit_order.instruction.quantity == 200


# --- Trailing ---------------------------------------------------------------------------------------------------------


async def test_a_stop_trails_by_whole_steps_and_never_back(floor: Floor) -> None:
    await floor.open(trail)
    (stop,) = floor.intended(Purpose.STOP)
    for second, price in enumerate((2_854_9000, 2_855_0000, 2_859_0000, 2_852_0000, 2_860_0000)):
        await floor.tick(mark_at(price, later_ms=second * 1000))
        await floor.show(stop.order_id)
    assert [event.stop_loss_e4 for event in floor.desk.events_of(StopTrailed)] == [2_805_0000, 2_810_0000]
    assert [event.instruction.trigger_price_e4 for event in floor.modifications] == [2_805_0000, 2_810_0000]
    assert {event.cause for event in floor.modifications} == {ModifyCause.LEVEL}


async def test_ticks_at_once_move_a_stop_once(floor: Floor) -> None:
    await floor.open(trail)
    await floor.protection.catch_up()
    await asyncio.gather(*(floor.protection.on_mark(mark_at(2_860_0000 + 10_0000 * step)) for step in range(10)))
    assert len(floor.desk.events_of(StopTrailed)) == 1


async def test_while_the_venue_has_not_answered_ticks_pile_up_to_one_move(floor: Floor) -> None:
    await floor.open(trail)
    (stop,) = floor.intended(Purpose.STOP)
    await floor.tick(*(mark_at(2_860_0000 + 10_0000 * step, later_ms=step * 1000) for step in range(8)))
    assert len(floor.modifications) == 1
    await floor.show(stop.order_id)
    await floor.tick(mark_at(2_940_0000, later_ms=9_000))
    assert [event.instruction.trigger_price_e4 for event in floor.modifications] == [2_810_0000, 2_890_0000]


async def test_a_stop_that_trails_is_held_against_the_very_next_tick(floor: Floor) -> None:
    await floor.open(but(trail, protection=ProtectionMode.ENGINE))
    await floor.protection.catch_up()
    await floor.protection.on_mark(mark_at(2_900_0000))
    await floor.protection.on_mark(mark_at(2_849_0000, later_ms=1))  # The log has not brought the move back yet.
    assert floor.causes == [ExitCause.STOP_LOSS]


# --- Gaps -------------------------------------------------------------------------------------------------------------


async def test_a_stop_that_is_passed_for_three_seconds_gets_another_limit(floor: Floor) -> None:
    await floor.open()
    beyond = LIMIT_E4 - 1_0000
    await floor.tick(mark_at(beyond), mark_at(beyond, later_ms=2_999))
    assert not floor.modifications
    await floor.tick(mark_at(beyond, later_ms=3_000))
    (asked,) = floor.modifications
    assert (asked.cause, asked.instruction.order_type) == (ModifyCause.GAP, OrderType.LIMIT)
    assert asked.instruction.limit_price_e4 is not None
    assert asked.instruction.limit_price_e4 < beyond
    await floor.tick(mark_at(beyond, later_ms=7_000))
    assert len(floor.modifications) == 1, "the venue has not answered yet"


async def test_a_price_that_comes_back_starts_the_wait_anew(floor: Floor) -> None:
    await floor.open()
    beyond = LIMIT_E4 - 1_0000
    await floor.tick(mark_at(beyond), mark_at(LIMIT_E4, later_ms=2_000), mark_at(beyond, later_ms=3_000))
    await floor.tick(mark_at(beyond, later_ms=5_999))
    assert not floor.modifications
    await floor.tick(mark_at(beyond, later_ms=6_000))
    assert len(floor.modifications) == 1


async def test_a_price_that_runs_away_is_followed_step_by_step_and_then_a_person_is_called(floor: Floor) -> None:
    await floor.open()
    (stop,) = floor.intended(Purpose.STOP)
    price, later_ms = LIMIT_E4 - 1_0000, 0
    for _ in range(GAP_STEPS_MAX + 2):
        await floor.tick(mark_at(price, later_ms=later_ms), mark_at(price, later_ms=later_ms + 3_000))
        await floor.show(stop.order_id)
        price, later_ms = price * 9 // 10 // 1_000 * 1_000, later_ms + 10_000
    assert [event.cause for event in floor.modifications] == [ModifyCause.GAP] * GAP_STEPS_MAX
    (failed,) = floor.desk.events_of(ProtectionFailed)
    assert failed.order_id == stop.order_id


# --- Stops that are missing -------------------------------------------------------------------------------------------


async def test_a_refused_stop_is_placed_again_a_second_apart_and_then_the_engine_watches_alone(floor: Floor) -> None:
    (_, entry) = (await floor.desk.open_trade(rest)).events
    assert isinstance(entry, OrderIntended)
    await floor.accept(entry.order_id)
    await floor.fill(entry.order_id, 100, PRICE_E4)
    for number in range(STOPS_FAILED_MAX):
        stop = floor.intended(Purpose.STOP)[-1]
        assert len(floor.intended(Purpose.STOP)) == number + 1
        await floor.submit(stop.order_id)
        await floor.desk.do(RecordRefused(order_id=stop.order_id, reason=RefusalReason.OTHER, message="RMS"))
        for later_ms in (0, 500):
            await floor.tick(mark_at(PRICE_E4, later_ms=number * 1_000 + later_ms))
    assert len(floor.intended(Purpose.STOP)) == STOPS_FAILED_MAX
    assert len(floor.desk.events_of(ProtectionFailed)) == 1
    await floor.tick(mark_at(STOP_E4, later_ms=10_000))
    assert floor.causes == [ExitCause.STOP_LOSS]


async def lapse(floor: Floor) -> None:
    """Let a carried trade's stop expire at the close."""
    await floor.open(but(rest, product=Product.CNC))
    (stop,) = floor.intended(Purpose.STOP)
    await floor.show(stop.order_id, OrderStatus.EXPIRED)
    assert floor.desk.events_of(ProtectionLapsed)
    floor.desk.sessions.moments = {RELIANCE: CLOSED}
    await floor.time(NOW_NS + 6 * 3600 * NS_PER_S)
    assert len(floor.intended(Purpose.STOP)) == 1, "the session is over"


def next_session(floor: Floor) -> int:
    """Open the next day's session; return a moment in it."""
    day = SessionMoment(phase=Phase.CONTINUOUS, trading_day="2026-11-21", continuous_until_ns=NOW_NS + 2 * DAY_NS)
    floor.desk.sessions.moments = {RELIANCE: day}
    return NOW_NS + DAY_NS


async def test_a_stop_that_lapsed_over_night_is_placed_again_when_the_session_opens(floor: Floor) -> None:
    await lapse(floor)
    await floor.time(next_session(floor))
    _, again = floor.intended(Purpose.STOP)
    assert (again.instruction.quantity, again.instruction.trigger_price_e4) == (100, STOP_E4)
    assert not floor.causes


@pytest.mark.parametrize("phase", [Phase.CONTINUOUS, Phase.CLOSED])
async def test_on_a_day_that_nobody_knows_a_price_tells_that_there_is_a_session(floor: Floor, phase: Phase) -> None:
    await lapse(floor)
    opened_ns = next_session(floor)
    floor.desk.sessions.moments = {RELIANCE: SessionMoment(phase=phase, trading_day="2026-11-21", day_known=False)}
    await floor.time(opened_ns)
    assert len(floor.intended(Purpose.STOP)) == 1
    await floor.tick(replace(mark_at(PRICE_E4), exchange_time_ns=opened_ns))
    assert len(floor.intended(Purpose.STOP)) == 2


async def test_a_price_that_gapped_through_a_lapsed_stop_closes_the_trade(floor: Floor) -> None:
    await lapse(floor)
    opened_ns = next_session(floor)
    gapped = replace(mark_at(2_700_0000), exchange_time_ns=opened_ns)
    await floor.tick(gapped)
    assert floor.causes == [ExitCause.STOP_LOSS]
    assert len(floor.intended(Purpose.STOP)) == 1
    (exit_order,) = floor.intended(Purpose.EXIT)
    assert exit_order.instruction.order_type is OrderType.MARKET


async def test_yesterdays_price_gaps_through_nothing(floor: Floor) -> None:
    await lapse(floor)
    yesterday = replace(infy_mark, instrument=RELIANCE, last_price_e4=2_700_0000)
    floor.protection._marks[RELIANCE] = yesterday
    await floor.time(next_session(floor))
    assert not floor.causes
    assert len(floor.intended(Purpose.STOP)) == 2


async def test_what_was_to_do_is_known_to_the_next_process_from_the_log_alone(floor: Floor) -> None:
    await lapse(floor)
    now_ns = next_session(floor)
    fresh = floor.desk.protection()
    async with running(fresh), asyncio.timeout(5):
        await fresh.catch_up()
        await fresh.on_time(now_ns)
    assert len(floor.intended(Purpose.STOP)) == 2


# --- From outside -----------------------------------------------------------------------------------------------------


async def test_a_position_closed_at_the_brokers_own_screen_leaves_no_stop_behind(floor: Floor) -> None:
    await floor.open()
    (stop,) = floor.intended(Purpose.STOP)
    await floor.desk.do(
        RecordForeignFill(
            adopted_as=TradeId("trd_external"),
            venue_fill_id=VenueFillId("foreign-1"),
            instrument=reliance,
            product=Product.INTRADAY,
            side=Side.SELL,
            quantity=100,
            price_e4=PRICE_E4,
            filled_at_ns=NOW_NS,
        )
    )
    assert [event.order_id for event in floor.desk.events_of(OrderCancelRequested)] == [stop.order_id]
    stored = len(floor.desk.store.events)
    await floor.tick(mark_at(STOP_E4, later_ms=1_000), mark_at(2_900_0000, later_ms=2_000))
    await floor.time(NOW_NS + 3 * NS_PER_S)
    assert len(floor.desk.store.events) == stored, "nothing is held: neither a stop nor an exit has a use"
    await floor.show(stop.order_id, OrderStatus.CANCELED)
    assert floor.desk.events_of(TradeClosed)
    await floor.protection.catch_up()
    assert floor.protection.status()["trades"] == 0


async def test_what_came_from_outside_is_not_the_engines_to_protect(floor: Floor) -> None:
    await floor.desk.do(
        RecordForeignFill(
            adopted_as=TradeId("trd_external"),
            venue_fill_id=VenueFillId("foreign-1"),
            instrument=reliance,
            product=Product.INTRADAY,
            side=Side.BUY,
            quantity=10,
            price_e4=PRICE_E4,
            filled_at_ns=NOW_NS,
        )
    )
    stored = len(floor.desk.store.events)
    floor.desk.sessions.moments = {RELIANCE: replace(OPEN, continuous_until_ns=NOW_NS + NS_PER_S)}
    await floor.time(NOW_NS)
    await floor.tick(mark_at(1_0000))
    assert len(floor.desk.store.events) == stored


# --- Square-off -------------------------------------------------------------------------------------------------------


def ends_in(floor: Floor, **seconds: int) -> None:
    floor.desk.sessions.moments = {
        {"reliance": RELIANCE, "infy": INFY}[name]: replace(OPEN, continuous_until_ns=NOW_NS + after * NS_PER_S)
        for name, after in seconds.items()
    }


async def test_intraday_trades_are_closed_before_the_end_of_their_own_instruments_session(floor: Floor) -> None:
    await floor.open()
    await floor.open(but(rest, symbol="INFY", stop_loss_e4=None, target_e4=None))
    ends_in(floor, reliance=600, infy=1_200)
    await floor.time(NOW_NS)
    assert not floor.causes
    await floor.time(NOW_NS + 545 * NS_PER_S)
    assert floor.causes == [ExitCause.SQUARE_OFF]
    assert {event.cause for event in floor.modifications} == {ModifyCause.EXIT}
    await floor.time(NOW_NS + 1_145 * NS_PER_S)
    assert floor.causes == [ExitCause.SQUARE_OFF] * 2


async def test_an_entry_that_still_rests_is_taken_back_with_the_rest(floor: Floor) -> None:
    limit = but(rest, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
    (_, entry) = (await floor.desk.open_trade(limit)).events
    assert isinstance(entry, OrderIntended)
    await floor.accept(entry.order_id)
    ends_in(floor, reliance=60)
    await floor.time(NOW_NS)
    assert [event.order_id for event in floor.desk.events_of(OrderCancelRequested)] == [entry.order_id]


@pytest.mark.parametrize(
    ("product", "instrument"),
    [
        (Product.CNC, reliance),
        (Product.MTF, replace(reliance, mtf=True)),
        (Product.MARGIN, replace(reliance, key=FUTURE, kind=InstrumentKind.FUTURE)),
    ],
)
async def test_no_other_product_is_ever_squared_off(floor: Floor, product: Product, instrument: Instrument) -> None:
    marks = (replace(mark_at(PRICE_E4), instrument=instrument.key),)
    intent = replace(open_trade, product=product, market=replace(market, instrument=instrument, marks=marks))
    floor.protection._instruments = TheInstrument(instrument)
    events = (await floor.desk.do(intent)).events
    entry = next(event for event in events if isinstance(event, OrderIntended))
    await floor.accept(entry.order_id)
    await floor.fill(entry.order_id, 100, PRICE_E4)
    ending = replace(OPEN, continuous_until_ns=NOW_NS + NS_PER_S)
    floor.desk.sessions.moments = {RELIANCE: ending, FUTURE: ending}
    await floor.time(NOW_NS)
    assert floor.protection.status()["trades"] == 1
    assert not floor.causes


async def test_an_order_for_the_next_session_is_not_squared_off_after_this_one(floor: Floor) -> None:
    await floor.open()
    floor.desk.sessions.moments = {RELIANCE: replace(CLOSED, continuous_until_ns=NOW_NS - NS_PER_S)}
    await floor.time(NOW_NS)
    assert not floor.causes


def on_a_day_with(floor: Floor, *spans: Span) -> None:
    """Let today be a session of other hours than the week's."""
    today = trading_day(NOW_NS)
    special = Stretch(
        segments=frozenset({Segment.NSE_EQ}),
        first_day=today,
        last_day=today,
        kind=DayKind.SHORT,
        spans=spans,
        name="",
        certainty=Certainty.ANNOUNCED,
        source="a circular",
    )
    floor.protection._sessions = shipped_table().with_list([special])


async def test_a_session_of_an_hour_is_left_before_its_own_end(floor: Floor) -> None:
    await floor.open()
    on_a_day_with(floor, Span(Phase.CONTINUOUS, time(9, 45), time(10, 45)))
    await floor.time(NOW_NS + 43 * 60 * NS_PER_S)
    assert not floor.causes
    await floor.time(NOW_NS + 44 * 60 * NS_PER_S)
    assert floor.causes == [ExitCause.SQUARE_OFF]


async def test_a_session_in_two_parts_is_left_before_the_end_of_the_second(floor: Floor) -> None:
    await floor.open()
    on_a_day_with(
        floor, Span(Phase.CONTINUOUS, time(9, 15), time(10, 30)), Span(Phase.CONTINUOUS, time(11, 30), time(12, 30))
    )
    for minutes in (29, 45, 91, 147):  # Before the pause, in it, and after it.
        await floor.time(NOW_NS + minutes * 60 * NS_PER_S)
        assert not floor.causes
    await floor.time(NOW_NS + 149 * 60 * NS_PER_S)
    assert floor.causes == [ExitCause.SQUARE_OFF]


async def test_between_the_parts_of_a_session_no_stop_is_placed(floor: Floor) -> None:
    await floor.open(but(rest, product=Product.CNC))
    (stop,) = floor.intended(Purpose.STOP)
    await floor.show(stop.order_id, OrderStatus.EXPIRED)
    on_a_day_with(
        floor, Span(Phase.CONTINUOUS, time(9, 15), time(10, 30)), Span(Phase.CONTINUOUS, time(11, 30), time(12, 30))
    )
    await floor.time(NOW_NS + 45 * 60 * NS_PER_S)
    assert len(floor.intended(Purpose.STOP)) == 1
    await floor.time(NOW_NS + 91 * 60 * NS_PER_S)
    assert len(floor.intended(Purpose.STOP)) == 2


@pytest.mark.parametrize(("per_minute", "lead_s"), [(25, 120), (240, 61)])
async def test_square_off_starts_earlier_where_the_rate_budget_is_nearly_spent(
    floor: Floor, per_minute: int, lead_s: int
) -> None:
    """Twenty orders were sent this minute and ten are to send: in 25 a minute there is room when the oldest is over."""
    floor.protection._settings = ProtectionSettings(square_off_lead_ms=60_000, orders_per_minute=per_minute)
    await floor.desk.accounts.set_risk_parameters(ACCOUNT, OWNER, AT_ANY_RATE, floor.desk.context())
    for _ in range(10):
        await floor.open(but(rest, quantity=10))
    ends_in(floor, reliance=lead_s + 1)
    await floor.time(NOW_NS)
    assert not floor.causes
    ends_in(floor, reliance=lead_s)
    await floor.time(NOW_NS + NS_PER_S)
    assert floor.causes == [ExitCause.SQUARE_OFF] * 10


async def test_what_was_not_sent_is_not_counted_and_what_was_changed_is(floor: Floor) -> None:
    trade_id = await floor.open()
    (_, waiting) = (await floor.desk.open_trade(rest)).events
    assert isinstance(waiting, OrderIntended)
    for _ in range(3):
        await floor.submit(waiting.order_id)
        not_sent = RecordNotSent(order_id=waiting.order_id, reason=NotSentReason.HELD_BACK, detail="budget")
        await floor.desk.do(not_sent)
    await floor.protection.catch_up()
    watched = floor.protection._trades
    assert watched.sent_at_ns(ACCOUNT) == [NOW_NS] * 2
    later_ns = NOW_NS + 9 * NS_PER_S
    await floor.time(later_ns)
    await floor.desk.accounts.change_trade(
        ACCOUNT, OWNER, trade_id, TradeChange(stop_loss_e4=2_810_0000), expected_version=1, context=floor.desk.context()
    )
    await floor.protection.catch_up()
    assert watched.sent_at_ns(ACCOUNT) == [NOW_NS] * 2 + [later_ns]


@pytest.mark.parametrize(
    ("orders", "sent_s_ago", "wait_s"),
    [
        (5, [], 0),
        (5, [10] * 5, 0),
        (6, [10] * 5, 50),
        (6, [70] * 5 + [10] * 4, 0),
        (8, [30, 20, 10, 5, 1], 50),
        (10, [59] * 10, 1),
        (25, [], 180),
    ],
)
def test_what_limits_on_orders_leave_time_for(orders: int, sent_s_ago: list[int], wait_s: int) -> None:
    now_ns = 1_000 * NS_PER_S
    sent = [now_ns - ago * NS_PER_S for ago in sent_s_ago]
    wait = wait_for_room_ns(orders, sent, limit=10, window_ns=60 * NS_PER_S, now_ns=now_ns)
    assert wait == wait_s * NS_PER_S


async def test_a_squared_off_trade_that_does_not_trade_any_more_is_pursued_by_the_clock(floor: Floor) -> None:
    await floor.open(but(rest, protection=ProtectionMode.ENGINE))
    await floor.tick(mark_at(PRICE_E4))
    ends_in(floor, reliance=60)
    await floor.time(NOW_NS)
    (first,) = floor.intended(Purpose.EXIT)
    await floor.submit(first.order_id)
    await floor.desk.do(RecordRefused(order_id=first.order_id, reason=RefusalReason.OTHER, message="RMS"))
    await floor.time(NOW_NS + NS_PER_S)
    assert len(floor.intended(Purpose.EXIT)) == 2
