"""The stop that rests at the venue: sized to what is held, at the trade's level, and out of the way of every exit."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import (
    ChangeTrade,
    CloseTrade,
    ProtectTrade,
    RecordFill,
    RecordModifyRefused,
    RecordVenueOrder,
    RepriceStop,
    SquareOff,
    TrailStop,
    TriggerExit,
)
from domain.account.events import (
    AccountEvent,
    ExitCause,
    OrderBlocked,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    ProtectionFailed,
    ProtectionLapsed,
    ProtectionMode,
    StopTrailed,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    TradeReductionAsked,
    Trailing,
)
from domain.account.exits import STOPS_FAILED_MAX
from domain.account.protection import GAP_STEPS_MAX
from domain.account.refusals import QuantityInvalid
from domain.ids import OrderId, VenueFillId
from domain.order import MODIFICATIONS_MAX, ModifyCause, OrderStatus, OrderType, Product, Purpose, Side
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    OTHER_TRADE,
    OWNER,
    PRICE_E4,
    TRADE,
    VENUE_EXIT,
    accepted,
    account_opened,
    begin,
    exit_accepted,
    fill,
    found,
    mark_at,
    market,
    open_trade,
    refused,
    reliance,
    unknown,
)

account = scenario(decider)
STOP = OrderId(f"{TRADE}.2")
STOP_E4, TARGET_E4 = 2_800_0000, 2_900_0000
guarded_intent = replace(open_trade, protection=ProtectionMode.RESTING)
short_intent = replace(guarded_intent, side=Side.SELL, stop_loss_e4=2_900_0000, target_e4=None)
filled = account.given(account_opened).after(guarded_intent, begin, accepted, fill)
begin_stop = replace(begin, order_id=STOP)
stop_accepted = replace(exit_accepted, order_id=STOP)
guarded = filled.after(begin_stop, stop_accepted)
close_all = CloseTrade(trade_id=TRADE, user_id=OWNER)
close_part = CloseTrade(trade_id=TRADE, user_id=OWNER, quantity=40)
target_hit = TriggerExit(trade_id=TRADE, mark=mark_at(TARGET_E4))
trailing = Trailing(distance_e4=50_0000, step_e4=5_0000)
trailed_intent = replace(guarded_intent, trailing=trailing, target_e4=None)
trailed = account.given(account_opened).after(trailed_intent, begin, accepted, fill, begin_stop, stop_accepted)

AnyGiven = Given[object, object, AccountEvent]


def stop_row(given: AnyGiven, **changed: object) -> RecordVenueOrder:
    """Return the venue's row of the stop as the last modification (or its intention) asked for it."""
    asked = [event for event in given.history if isinstance(event, OrderModifyRequested)]
    placed = [event for event in given.history if isinstance(event, OrderIntended) and event.order_id == STOP]
    told = (asked or placed)[-1].instruction
    row = replace(
        found,
        order_id=STOP,
        venue_order_id=VENUE_EXIT,
        quantity=told.quantity,
        order_type=told.order_type,
        limit_price_e4=told.limit_price_e4,
        trigger_price_e4=told.trigger_price_e4,
    )
    return replace(row, **changed)


def stop_fill(quantity: int, price_e4: int = STOP_E4, number: int = 1) -> RecordFill:
    return replace(fill, order_id=STOP, venue_fill_id=VenueFillId(f"s-{number}"), quantity=quantity, price_e4=price_e4)


def of_kind(given: AnyGiven, kind: type[AccountEvent]) -> list[AccountEvent]:
    return [event for event in given.history if isinstance(event, kind)]


# --- Placing and sizing -----------------------------------------------------------------------------------------------


def test_a_fill_of_the_entry_places_one_stop_for_what_is_held() -> None:
    stop = filled.history[-1]
    assert isinstance(stop, OrderIntended)
    assert (stop.order_id, stop.purpose, stop.not_after_ns) == (STOP, Purpose.STOP, None)
    told = stop.instruction
    assert (told.side, told.quantity, told.order_type) == (Side.SELL, 100, OrderType.SL)
    assert (told.trigger_price_e4, told.limit_price_e4) == (STOP_E4, 2_786_0000)  # Half a percent behind, on the tick.


def test_the_stop_of_a_short_buys_and_its_limit_lies_above() -> None:
    stop = account.given(account_opened).after(short_intent, begin, accepted, fill).history[-1]
    assert isinstance(stop, OrderIntended)
    assert (stop.instruction.side, stop.instruction.trigger_price_e4) == (Side.BUY, 2_900_0000)
    assert stop.instruction.limit_price_e4 == 2_914_5000


def test_the_stop_grows_with_the_next_fill() -> None:
    partly = account.given(account_opened).after(guarded_intent, begin, accepted, replace(fill, quantity=40))
    resting = partly.after(begin_stop, stop_accepted)
    more = replace(fill, quantity=60, venue_fill_id=VenueFillId("f-2"))
    grown = resting.after(more).history[-1]
    assert isinstance(grown, OrderModifyRequested)
    assert (grown.order_id, grown.number, grown.cause) == (STOP, 1, ModifyCause.SIZE)
    assert grown.instruction.quantity == 100


def test_a_stop_that_was_not_sent_yet_is_replaced_by_one_of_the_right_size() -> None:
    partly = account.given(account_opened).after(guarded_intent, begin, accepted, replace(fill, quantity=40))
    more = partly.when(replace(fill, quantity=60, venue_fill_id=VenueFillId("f-2"))).events
    assert [type(event) for event in more[1:]] == [OrderBlocked, OrderIntended]
    assert isinstance(more[-1], OrderIntended)
    assert more[-1].instruction.quantity == 100


def test_growth_during_a_modification_waits_for_the_venues_word() -> None:
    partly = account.given(account_opened).after(guarded_intent, begin, accepted, replace(fill, quantity=40))
    resting = partly.after(begin_stop, stop_accepted)
    growing = resting.after(replace(fill, quantity=30, venue_fill_id=VenueFillId("f-2")))
    later = growing.after(replace(fill, quantity=30, venue_fill_id=VenueFillId("f-3")))
    assert len(of_kind(later, OrderModifyRequested)) == 1
    confirmed = later.after(stop_row(later))
    assert [event.instruction.quantity for event in of_kind(confirmed, OrderModifyRequested)] == [70, 100]


def test_a_holding_above_the_freeze_quantity_has_stops_in_slices() -> None:
    small = replace(guarded_intent.market, instrument=replace(reliance, freeze_quantity=40))
    sliced = account.given(account_opened).after(replace(guarded_intent, market=small))
    sizes = [event.instruction.quantity for event in of_kind(sliced, OrderIntended)]
    assert sizes == [40, 40, 20]
    for number in (1, 2, 3):
        order_id = OrderId(f"{TRADE}.{number}")
        sliced = sliced.after(
            replace(begin, order_id=order_id),
            replace(accepted, order_id=order_id),
            replace(fill, order_id=order_id, venue_fill_id=VenueFillId(f"f-{number}"), quantity=sizes[number - 1]),
        )
    stops = [event for event in of_kind(sliced, OrderIntended) if event.purpose is Purpose.STOP]
    blocked = {event.order_id for event in of_kind(sliced, OrderBlocked)}
    assert sum(stop.instruction.quantity for stop in stops if stop.order_id not in blocked) == 100
    assert all(stop.instruction.quantity <= 40 for stop in stops)


def sliced(quantity: int, freeze: int) -> AnyGiven:
    """Return a trade that holds *quantity* units of which no order may have more than *freeze*; its stops rest."""
    market = replace(guarded_intent.market, instrument=replace(reliance, freeze_quantity=freeze))
    entry = replace(guarded_intent, quantity=quantity, market=market)
    given = account.given(account_opened).after(entry)
    entries = of_kind(given, OrderIntended)
    for number, event in enumerate(entries):
        assert isinstance(event, OrderIntended)
        parts = replace(fill, order_id=event.order_id, venue_fill_id=VenueFillId(f"f-{number}"))
        given = given.after(
            replace(begin, order_id=event.order_id),
            replace(accepted, order_id=event.order_id),
            replace(parts, quantity=event.instruction.quantity),
        )
    for stop_id in stops_of(given):
        given = given.after(replace(begin, order_id=stop_id), replace(exit_accepted, order_id=stop_id))
    return given


def stops_of(given: AnyGiven) -> dict[OrderId, int]:
    """Return the quantities of the stops that were not taken back before they were sent, oldest first."""
    blocked = {event.order_id for event in of_kind(given, OrderBlocked)}
    stops = [event for event in of_kind(given, OrderIntended) if event.purpose is Purpose.STOP]
    return {stop.order_id: stop.instruction.quantity for stop in stops if stop.order_id not in blocked}


@pytest.mark.parametrize(
    ("quantity", "sizes"), [(39, [39]), (40, [40]), (41, [40, 1]), (80, [40, 40]), (100, [40, 40, 20])]
)
def test_exits_and_stops_are_cut_into_slices_of_the_freeze_quantity(quantity: int, sizes: list[int]) -> None:
    given = sliced(quantity, 40)
    assert list(stops_of(given).values()) == sizes
    watched = account.given(account_opened).after(
        replace(open_trade, quantity=quantity, market=replace(market, instrument=replace(reliance, freeze_quantity=40)))
    )
    assert [event.instruction.quantity for event in of_kind(watched, OrderIntended)] == sizes
    assert [event.order_id for event in of_kind(watched, OrderIntended)] == [
        OrderId(f"{TRADE}.{number}") for number in range(1, len(sizes) + 1)
    ]


def test_a_part_takes_its_room_from_the_newest_stops_and_no_more_than_it_needs() -> None:
    given = sliced(100, 40)
    oldest, middle, newest = stops_of(given)
    asked, canceled, shrunk = given.when(replace(close_part, quantity=50)).events
    assert isinstance(asked, TradeReductionAsked)
    assert canceled == OrderCancelRequested(order_id=newest, trade_id=TRADE)
    assert isinstance(shrunk, OrderModifyRequested)
    assert (shrunk.order_id, shrunk.instruction.quantity, shrunk.cause) == (middle, 10, ModifyCause.SIZE)
    assert oldest not in {canceled.order_id, shrunk.order_id}


def test_the_whole_trade_turns_every_slice_of_its_stop_into_a_market_order() -> None:
    given = sliced(100, 40)
    _, *changed = given.when(close_all).events
    assert [(event.order_id, event.instruction.quantity) for event in changed] == list(
        reversed(list(stops_of(given).items()))
    )
    assert {event.instruction.order_type for event in changed} == {OrderType.MARKET}


def test_of_a_holding_that_grows_the_last_slice_is_filled_up_before_another_stop_is_placed() -> None:
    given = sliced(70, 60)
    full, part = stops_of(given)
    grown = given.after(replace(fill, quantity=70, venue_fill_id=VenueFillId("f-8")))  # More than was asked for.
    (larger,) = [event for event in of_kind(grown, OrderModifyRequested) if event.order_id == part]
    assert (larger.instruction.quantity, larger.cause) == (60, ModifyCause.SIZE)
    assert full not in {event.order_id for event in of_kind(grown, OrderModifyRequested)}
    confirmed = grown.when(replace(stop_row(grown), order_id=part)).events
    (another,) = [event for event in confirmed if isinstance(event, OrderIntended)]
    assert (another.purpose, another.instruction.quantity) == (Purpose.STOP, 20)


@pytest.mark.parametrize("failures", range(1, STOPS_FAILED_MAX + 1))
def test_a_stop_the_venue_refuses_is_tried_again_by_later_ticks_and_then_a_person_is_called(failures: int) -> None:
    given = filled
    for number in range(failures):
        order_id = OrderId(f"{TRADE}.{number + 2}")
        given = given.after(replace(begin, order_id=order_id), replace(refused, order_id=order_id))
        assert not isinstance(given.history[-1], OrderIntended)  # Not at once.
        given = given.after(ProtectTrade(trade_id=TRADE, mark=mark_at(PRICE_E4)))
    last = given.history[-1]
    assert isinstance(last, ProtectionFailed if failures == STOPS_FAILED_MAX else OrderIntended)


def test_without_a_resting_stop_the_engine_closes_at_the_level() -> None:
    given = filled.after(begin_stop, replace(refused, order_id=STOP))
    given.when(TriggerExit(trade_id=TRADE, mark=mark_at(STOP_E4))).then_kinds(TradeExitTriggered, OrderIntended)


def test_a_stop_that_rests_at_the_level_is_the_venues_to_execute() -> None:
    guarded.when(TriggerExit(trade_id=TRADE, mark=mark_at(STOP_E4))).then_nothing()


# --- Exits take their room from the stop ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [close_all, target_hit, SquareOff(trade_id=TRADE)])
def test_an_exit_of_the_whole_trade_turns_the_stop_into_a_market_order(command: object) -> None:
    events = guarded.when(command).events
    assert [type(event) for event in events] == [TradeExitTriggered, OrderModifyRequested]
    modify = events[-1]
    assert isinstance(modify, OrderModifyRequested)
    assert (modify.order_id, modify.cause) == (STOP, ModifyCause.EXIT)
    assert (modify.instruction.order_type, modify.instruction.quantity) == (OrderType.MARKET, 100)
    assert modify.instruction.trigger_price_e4 is None


def test_the_market_order_that_was_a_stop_closes_the_trade() -> None:
    leaving = guarded.after(close_all)
    # The broker shows a market order with a limit of its own.
    shown = stop_row(leaving, order_type=OrderType.LIMIT, limit_price_e4=2_700_0000)
    modified = leaving.after(shown)
    assert isinstance(modified.history[-1], OrderModified)
    modified.when(stop_fill(100, PRICE_E4)).then_kinds(type(fill_event(modified)), TradeClosed)


def fill_event(given: AnyGiven) -> AccountEvent:
    return given.when(stop_fill(1)).events[0]


def test_a_stop_the_venue_will_not_modify_is_canceled_and_the_exit_waits_for_the_final_word() -> None:
    leaving = guarded.after(close_all)
    modify_refused = RecordModifyRefused(order_id=STOP, number=1, reason=refused.reason, message="too late")
    leaving.when(replace(modify_refused, number=2)).then_nothing()
    leaving.when(replace(modify_refused, number=0)).then_nothing()
    withdrawn = leaving.after(modify_refused)
    assert [type(event) for event in withdrawn.history[-2:]] == [OrderModifyRefused, OrderCancelRequested]
    events = withdrawn.when(stop_row(guarded, status=OrderStatus.CANCELED)).events
    assert isinstance(events[-1], OrderIntended)
    assert (events[-1].purpose, events[-1].instruction.quantity) == (Purpose.EXIT, 100)


def test_an_exit_waits_for_the_venues_word_on_a_stop_that_is_being_moved() -> None:
    moving = guarded.after(moved(guarded, STOP_E4 + 1_0000))
    moving.when(close_all).then_kinds(TradeExitTriggered)
    leaving = moving.after(close_all)
    confirmed, at_market = leaving.when(stop_row(leaving)).events
    assert isinstance(confirmed, OrderModified)
    assert isinstance(at_market, OrderModifyRequested)
    assert (at_market.cause, at_market.instruction.order_type) == (ModifyCause.EXIT, OrderType.MARKET)


def test_a_stop_of_unknown_fate_is_canceled_when_it_turns_up_and_no_exit_is_sent_beside_it() -> None:
    lost = filled.after(begin_stop, replace(unknown, order_id=STOP))
    leaving = lost.when(close_all).events
    assert [type(event) for event in leaving] == [TradeExitTriggered, OrderCancelRequested]


def test_a_part_is_closed_after_the_stop_has_made_room_for_it() -> None:
    asked = guarded.when(close_part).events
    assert [type(event) for event in asked] == [TradeReductionAsked, OrderModifyRequested]
    assert isinstance(asked[-1], OrderModifyRequested)
    assert (asked[-1].instruction.order_type, asked[-1].instruction.quantity) == (OrderType.SL, 60)
    shrinking = guarded.after(close_part)
    events = shrinking.when(stop_row(shrinking)).events
    assert [type(event) for event in events] == [OrderModified, OrderIntended]
    assert isinstance(events[-1], OrderIntended)
    assert (events[-1].purpose, events[-1].instruction.quantity) == (Purpose.EXIT, 40)


def test_a_part_that_is_being_closed_is_not_there_to_be_closed_again() -> None:
    leaving = filled.after(close_part)
    leaving.when(replace(close_part, quantity=61)).then_refused(QuantityInvalid)
    events = leaving.when(replace(close_part, quantity=60)).events
    assert [event.instruction.quantity for event in events if isinstance(event, OrderIntended)] == [60]
    opposite = replace(open_trade, trade_id=OTHER_TRADE, side=Side.SELL, stop_loss_e4=None, target_e4=None)
    flipped = leaving.when(replace(opposite, quantity=70)).events
    assert [event.quantity for event in flipped if isinstance(event, TradeReductionAsked)] == [60]
    assert [event.entry.quantity for event in flipped if isinstance(event, TradeOpened)] == [10]


@pytest.mark.parametrize(("command", "quantity"), [(close_all, 100), (close_part, 40)])
def test_a_stop_that_was_not_sent_yet_gives_its_room_to_the_exit_at_once(command: object, quantity: int) -> None:
    events = filled.when(command).events
    assert [type(event) for event in events[1:]] == [OrderBlocked, OrderIntended]
    assert isinstance(events[-1], OrderIntended)
    assert (events[-1].purpose, events[-1].instruction.quantity) == (Purpose.EXIT, quantity)


def test_a_stop_that_executes_closes_the_trade_for_its_stop_loss() -> None:
    events = guarded.when(stop_fill(100)).events
    triggered = [event for event in events if isinstance(event, TradeExitTriggered)]
    assert [event.cause for event in triggered] == [ExitCause.STOP_LOSS]
    assert isinstance(events[-1], TradeClosed)
    assert events[-1].realised_paise == -5_000_00


def test_a_modification_the_venue_made_before_it_filled_counts_as_made() -> None:
    """Found by the oracle: shrunk to 60 and filled, the order is over, though our last word of it says 100."""
    shrinking = guarded.after(close_part, stop_fill(60))
    done = shrinking.after(stop_row(shrinking, status=OrderStatus.FILLED, cumulative_quantity=60))
    assert isinstance(done.history[-1], OrderIntended)
    assert done.history[-1].instruction.quantity == 40


def growing_stop() -> AnyGiven:
    """Return a stop of 40 units that is asked to become one of 100, of which the venue's word is outstanding."""
    partly = account.given(account_opened).after(guarded_intent, begin, accepted, replace(fill, quantity=40))
    return partly.after(begin_stop, stop_accepted, replace(fill, quantity=60, venue_fill_id=VenueFillId("f-2")))


def test_a_stop_being_made_larger_is_not_over_when_it_filled_what_it_was() -> None:
    """Found by the oracle: the venue may have taken the modification up, and then 60 units more can fill."""
    events = growing_stop().when(stop_fill(40)).events
    assert [event.leaves_quantity for event in events if isinstance(event, OrderFilled)] == [60]
    assert not [event for event in events if isinstance(event, OrderIntended)]


@pytest.mark.parametrize("is_refused", [True, False])
def test_it_is_over_when_the_venue_never_took_the_modification_up(*, is_refused: bool) -> None:
    given = growing_stop().after(stop_fill(40))
    row = stop_row(given, status=OrderStatus.FILLED, cumulative_quantity=40, quantity=40)
    modify_refused = RecordModifyRefused(order_id=STOP, number=1, reason=refused.reason, message="filled")
    events = given.when(modify_refused if is_refused else row).events
    assert isinstance(events[-1], OrderIntended)
    assert (events[-1].purpose, events[-1].instruction.quantity) == (Purpose.EXIT, 60)


def test_a_stop_that_was_enlarged_and_triggered_is_known_by_its_size_and_limit() -> None:
    """Found by the oracle: shown as a limit order of 100, it must not count as the 40 it was."""
    given = growing_stop()
    row = stop_row(given, order_type=OrderType.LIMIT, trigger_price_e4=None)
    modified = one_modified(given.when(row).events)
    assert (modified.instruction.quantity, modified.instruction.order_type) == (100, OrderType.SL)


def one_modified(events: tuple[AccountEvent, ...]) -> OrderModified:
    (modified,) = [event for event in events if isinstance(event, OrderModified)]
    return modified


def test_an_alarm_about_a_stop_is_given_once() -> None:
    """Found by the oracle: a full slice beside a part the venue would not have called for a person at every tick."""
    small = replace(guarded_intent.market, instrument=replace(reliance, freeze_quantity=60))
    given = account.given(account_opened).after(replace(guarded_intent, quantity=60, market=small), begin, accepted)
    given = given.after(replace(fill, quantity=60), begin_stop, stop_accepted)
    given = given.after(replace(fill, quantity=40, venue_fill_id=VenueFillId("f-2")))  # More than was asked for.
    for number in range(3, 3 + STOPS_FAILED_MAX):
        order_id = OrderId(f"{TRADE}.{number}")
        given = given.after(replace(begin, order_id=order_id), replace(refused, order_id=order_id))
        given = given.after(ProtectTrade(trade_id=TRADE, mark=mark_at(PRICE_E4)))
    assert isinstance(given.history[-1], ProtectionFailed)
    given.when(ProtectTrade(trade_id=TRADE, mark=mark_at(PRICE_E4))).then_nothing()


def test_twenty_five_modifications_are_all_that_an_order_has() -> None:
    given = guarded
    for number in range(MODIFICATIONS_MAX):
        level = STOP_E4 + (1 - number % 2) * 1_0000
        given = given.after(moved(given, level))
        assert isinstance(given.history[-1], OrderModifyRequested)
        given = given.after(stop_row(given))
    given = given.after(moved(given, STOP_E4 + 9_0000))
    assert isinstance(given.history[-1], OrderCancelRequested)  # Another stop follows when the venue has canceled it.
    placed = given.after(stop_row(given, status=OrderStatus.CANCELED)).history[-1]
    assert isinstance(placed, OrderIntended)
    assert placed.instruction.trigger_price_e4 == STOP_E4 + 9_0000


def moved(given: AnyGiven, stop_loss_e4: int) -> ChangeTrade:
    versions = [event.version for event in given.history if isinstance(event, TradeChanged)]
    return ChangeTrade(
        trade_id=TRADE,
        user_id=OWNER,
        expected_version=versions[-1] if versions else 1,
        market=guarded_intent.market,
        stop_loss_e4=stop_loss_e4,
    )


# --- Trailing ---------------------------------------------------------------------------------------------------------


def test_a_trailing_stop_follows_the_price_and_keeps_its_tick() -> None:
    mark = mark_at(2_870_0000)
    events = trailed.when(TrailStop(trade_id=TRADE, mark=mark)).events
    assert [type(event) for event in events] == [StopTrailed, OrderModifyRequested]
    assert isinstance(events[0], StopTrailed)
    assert (events[0].stop_loss_e4, events[0].best_price_e4, events[0].mark) == (2_820_0000, 2_870_0000, mark)
    assert isinstance(events[1], OrderModifyRequested)
    assert (events[1].cause, events[1].instruction.trigger_price_e4) == (ModifyCause.LEVEL, 2_820_0000)


@pytest.mark.parametrize("price_e4", [2_840_0000, 2_854_9000])
def test_it_moves_by_a_step_at_least_and_never_back(price_e4: int) -> None:
    trailed.when(TrailStop(trade_id=TRADE, mark=mark_at(price_e4))).then_nothing()
    ahead = trailed.after(TrailStop(trade_id=TRADE, mark=mark_at(2_880_0000)))
    ahead.when(TrailStop(trade_id=TRADE, mark=mark_at(price_e4))).then_nothing()


def test_after_twenty_modifications_the_engine_trails_and_the_stop_rests_behind() -> None:
    given = trailed
    for number in range(21):
        given = given.after(TrailStop(trade_id=TRADE, mark=mark_at(2_870_0000 + number * 10_0000)))
        given = given.after(stop_row(given))
    assert len(of_kind(given, OrderModifyRequested)) == 20
    assert len(of_kind(given, StopTrailed)) == 21
    level = of_kind(given, StopTrailed)[-1].stop_loss_e4
    reached = TriggerExit(trade_id=TRADE, mark=mark_at(level))
    given.when(reached).then_kinds(TradeExitTriggered, OrderModifyRequested)


def test_it_moves_by_exactly_a_step() -> None:
    (moved_stop,) = of_kind(trailed.after(TrailStop(trade_id=TRADE, mark=mark_at(2_855_0000))), StopTrailed)
    assert isinstance(moved_stop, StopTrailed)
    assert moved_stop.stop_loss_e4 == 2_805_0000
    over = trailed.after(close_all)
    over.when(TrailStop(trade_id=TRADE, mark=mark_at(2_855_0000))).then_nothing()
    account.given(account_opened).after(trailed_intent).when(
        TrailStop(trade_id=TRADE, mark=mark_at(2_855_0000))
    ).then_nothing()


@pytest.mark.parametrize(
    ("price_e4", "stop_e4"),
    [(2_900_0000, None), (2_845_0001, None), (2_845_0000, 2_895_0000), (2_830_0500, 2_880_1000)],
)
def test_the_trailing_stop_of_a_short_follows_a_price_that_falls(price_e4: int, stop_e4: int | None) -> None:
    intent = replace(short_intent, trailing=trailing)
    given = account.given(account_opened).after(intent, begin, accepted, fill, begin_stop, stop_accepted)
    after = given.after(TrailStop(trade_id=TRADE, mark=mark_at(price_e4)))
    assert [event.stop_loss_e4 for event in of_kind(after, StopTrailed)] == ([] if stop_e4 is None else [stop_e4])


def test_a_stop_that_trails_begins_where_there_is_none_and_never_below_a_price() -> None:
    given = account.given(account_opened).after(replace(trailed_intent, stop_loss_e4=None), begin, accepted, fill)
    (first,) = of_kind(given.after(TrailStop(trade_id=TRADE, mark=mark_at(2_850_0000))), StopTrailed)
    assert isinstance(first, StopTrailed)
    assert first.stop_loss_e4 == 2_800_0000
    given.when(TrailStop(trade_id=TRADE, mark=mark_at(50_0000))).then_nothing()
    assert given.when(TrailStop(trade_id=TRADE, mark=mark_at(50_1000))).events


def test_a_step_finer_than_the_tick_of_the_trade_moves_its_stop_by_ticks() -> None:
    any_step = replace(account_opened, parameters=replace(account_opened.parameters, trailing_step_bp_min=0))
    finer = replace(market, instrument=replace(reliance, tick_e4=500))
    step = Trailing(distance_e4=50_0000, step_e4=500)
    asked = ChangeTrade(trade_id=TRADE, user_id=OWNER, expected_version=1, market=finer, trailing=step)
    given = account.given(any_step).after(trailed_intent, begin, accepted, fill, begin_stop, stop_accepted, asked)
    given.when(TrailStop(trade_id=TRADE, mark=mark_at(2_850_0500))).then_nothing()
    (up,) = of_kind(given.after(TrailStop(trade_id=TRADE, mark=mark_at(2_850_1500))), StopTrailed)
    assert isinstance(up, StopTrailed)
    assert up.stop_loss_e4 == 2_800_1000


# --- Gaps -------------------------------------------------------------------------------------------------------------


def test_a_stop_that_was_passed_is_repriced_step_by_step_inside_the_circuits_and_then_a_person_is_called() -> None:
    mark = replace(mark_at(2_700_0000), lower_circuit_e4=2_500_0000)
    reprice = RepriceStop(trade_id=TRADE, mark=mark)
    given = guarded
    limits = []
    for _ in range(GAP_STEPS_MAX):
        given = given.after(reprice)
        modify = given.history[-1]
        assert isinstance(modify, OrderModifyRequested)
        assert (modify.cause, modify.instruction.order_type) == (ModifyCause.GAP, OrderType.LIMIT)
        limits.append(modify.instruction.limit_price_e4)
        given = given.after(stop_row(given))
        mark = replace(mark, last_price_e4=modify.instruction.limit_price_e4 - 1_0000)
        reprice = RepriceStop(trade_id=TRADE, mark=mark)
    # Half a percent behind 2,700.00, then a whole one behind 2,685.50, on the tick; and so on.
    assert limits[:2] == [2_686_5000, 2_658_6000]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 2_500_0000  # No order outside the band is taken.
    alarm = given.after(reprice).history[-1]
    assert isinstance(alarm, ProtectionFailed)
    assert alarm.order_id == STOP
    given.after(reprice).when(reprice).then_nothing()


def test_a_stop_at_the_edge_of_the_band_cannot_follow_the_price() -> None:
    mark = replace(mark_at(2_700_0000), lower_circuit_e4=2_699_0000)
    at_the_edge = guarded.after(RepriceStop(trade_id=TRADE, mark=mark))
    at_the_edge = at_the_edge.after(stop_row(at_the_edge))
    beyond = RepriceStop(trade_id=TRADE, mark=replace(mark, last_price_e4=2_698_0000))
    at_the_edge.when(beyond).then_kinds(ProtectionFailed)


def test_a_stop_that_was_not_passed_stays() -> None:
    guarded.when(RepriceStop(trade_id=TRADE, mark=mark_at(2_790_0000))).then_nothing()
    guarded.when(RepriceStop(trade_id=TRADE, mark=mark_at(2_786_0000))).then_nothing()
    guarded.when(RepriceStop(trade_id=TRADE, mark=mark_at(2_785_9999))).then_kinds(OrderModifyRequested)


@pytest.mark.parametrize(
    ("circuit_e4", "limit_e4"), [(None, 3_015_0000), (3_015_0000, 3_015_0000), (3_010_0000, 3_010_0000)]
)
def test_the_stop_of_a_short_is_repriced_upwards(circuit_e4: int | None, limit_e4: int) -> None:
    given = account.given(account_opened).after(short_intent, begin, accepted, fill, begin_stop, stop_accepted)
    given.when(RepriceStop(trade_id=TRADE, mark=mark_at(2_914_5000))).then_nothing()
    passed = replace(mark_at(3_000_0000), lower_circuit_e4=2_990_0000, upper_circuit_e4=circuit_e4)
    (repriced,) = of_kind(given.after(RepriceStop(trade_id=TRADE, mark=passed)), OrderModifyRequested)
    assert isinstance(repriced, OrderModifyRequested)
    assert (repriced.instruction.limit_price_e4, repriced.mark) == (limit_e4, passed)


# --- Over night -------------------------------------------------------------------------------------------------------

expired = stop_row(guarded, status=OrderStatus.EXPIRED)


def test_a_stop_lapses_at_the_close_and_is_placed_again_before_the_next_session() -> None:
    over = guarded.after(expired)
    assert [type(event) for event in over.history[-2:]] == [OrderExpired, ProtectionLapsed]
    placed = over.when(ProtectTrade(trade_id=TRADE, mark=mark_at(2_840_0000))).events
    assert [type(event) for event in placed] == [OrderIntended]


def test_a_trade_whose_stop_was_gapped_over_night_is_closed() -> None:
    over = guarded.after(expired)
    gapped = ProtectTrade(trade_id=TRADE, mark=mark_at(2_750_0000, later_ms=1))
    over.when(gapped).then_kinds(TradeExitTriggered, OrderIntended)


def test_only_intraday_trades_are_squared_off() -> None:
    carried = replace(guarded_intent, product=Product.CNC)
    held = account.given(account_opened).after(carried, begin, accepted, fill)
    held.when(SquareOff(trade_id=TRADE)).then_nothing()


def test_a_trade_that_is_being_closed_or_that_the_engine_watches_is_not_protected_by_another_stop() -> None:
    gapped = ProtectTrade(trade_id=TRADE, mark=mark_at(2_750_0000))
    refused_stop = guarded.after(close_all, stop_row(guarded, status=OrderStatus.CANCELED))
    refused_stop.when(gapped).then_nothing()
    watched = account.given(account_opened).after(open_trade, begin, accepted, fill)
    watched.when(gapped).then_nothing()
