"""What else can be asked of an account (flips, changes, baskets, kill switches), and what comes from outside."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import (
    ApplyCorporateAction,
    CancelTrade,
    ChangeTrade,
    CloseAll,
    ClosePosition,
    CloseTrade,
    ConfirmFlat,
    MoveCash,
    OpenBasket,
    OpenTrade,
    RecordForeignFill,
    RecordSuppressedIntents,
    ReleaseBreach,
)
from domain.account.events import (
    AccountEvent,
    BasketCompleted,
    BasketFailed,
    BasketOpened,
    BasketPolicy,
    CashMoved,
    CorporateActionApplied,
    ExitCause,
    FlattenFinished,
    ForeignFillAllocated,
    IntentsSuppressed,
    KillMode,
    KillSwitchEngaged,
    OrderBlocked,
    OrderCancelRequested,
    OrderDenied,
    OrderIntended,
    OrderModifyRequested,
    ProtectionMode,
    TradeAdopted,
    TradeChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
    TradeReductionAsked,
)
from domain.account.refusals import (
    AmountInvalid,
    BasketInvalid,
    BelowFilled,
    BreachNotLatched,
    EntryNotResting,
    NothingHeld,
    PositionNotOpen,
    PriceOffTick,
    QuantityInvalid,
    RatioInvalid,
    TradeClosedAlready,
    TradeExternal,
    TradeNotFound,
    VersionMismatch,
)
from domain.ids import BasketId, OrderId, TradeId, VenueFillId
from domain.order import ModifyCause, OrderStatus, OrderType, Product, Purpose, Side
from domain.refusals import InvalidInput, Refusal
from domain.risk import BreachKind
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    DAY_NS,
    INFY,
    NOW_NS,
    NS_PER_S,
    OTHER_TRADE,
    OWNER,
    PRICE_E4,
    RELIANCE,
    STRATEGY,
    TRADE,
    VENUE_EXIT,
    accepted,
    account_opened,
    begin,
    begin_exit,
    engage,
    exit_accepted,
    exit_fill,
    fill,
    found,
    infy,
    infy_mark,
    mark,
    market,
    open_limit,
    open_short,
    open_trade,
    order_intended,
    presume_absent,
    refused,
    release,
    reliance,
    unknown,
)

account = scenario(decider)
empty = account.given(account_opened)
held = empty.after(open_trade, begin, accepted, fill)
guarded_intent = replace(open_trade, protection=ProtectionMode.RESTING)
STOP = OrderId(f"{TRADE}.2")
guarded = empty.after(guarded_intent, begin, accepted, fill, replace(begin, order_id=STOP)).after(
    replace(exit_accepted, order_id=STOP)
)
other_way = replace(open_trade, trade_id=OTHER_TRADE, side=Side.SELL, stop_loss_e4=None, target_e4=None)
change = ChangeTrade(trade_id=TRADE, user_id=OWNER, expected_version=1, market=market)
resting = empty.after(open_limit, begin, accepted)

AnyGiven = Given[object, object, AccountEvent]


def one(events: tuple[AccountEvent, ...], kind: type[AccountEvent]) -> AccountEvent:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1
    return found[0]


# --- Flips ------------------------------------------------------------------------------------------------------------


def test_an_intent_the_other_way_closes_what_it_undoes() -> None:
    events = held.when(replace(other_way, quantity=100)).events
    assert [type(event) for event in events] == [TradeExitTriggered, OrderIntended]
    assert one(events, TradeExitTriggered).cause is ExitCause.FLIP
    assert one(events, OrderIntended).purpose is Purpose.EXIT


def test_a_part_of_the_trade_is_closed_by_a_smaller_one() -> None:
    events = held.when(replace(other_way, quantity=30)).events
    assert [type(event) for event in events] == [TradeReductionAsked, OrderIntended]
    assert one(events, OrderIntended).instruction.quantity == 30


def test_a_flip_is_an_exit_and_an_entry() -> None:
    events = held.when(replace(other_way, quantity=150)).events
    assert [type(event) for event in events] == [TradeExitTriggered, OrderIntended, TradeOpened, OrderIntended]
    assert [event.instruction.quantity for event in events if isinstance(event, OrderIntended)] == [100, 50]
    assert one(events, TradeOpened).entry.quantity == 50


def test_of_a_flip_that_risk_denies_the_exit_goes_on() -> None:
    events = held.after(engage).when(replace(other_way, quantity=150)).events
    assert [type(event) for event in events] == [TradeExitTriggered, OrderIntended, OrderDenied]


def test_what_is_all_being_closed_in_parts_is_not_closed_again() -> None:
    parts = [CloseTrade(trade_id=TRADE, user_id=OWNER, quantity=quantity) for quantity in (60, 40)]
    held.after(*parts).when(replace(other_way, quantity=30)).then_kinds(TradeOpened, OrderIntended)


def test_a_priced_order_stands_against_nothing_that_another_strategy_holds() -> None:
    priced = replace(other_way, order_type=OrderType.LIMIT, limit_price_e4=2_860_0000)
    held.when(priced).then_kinds(OrderDenied)
    held.when(replace(priced, strategy_id=STRATEGY)).then_kinds(TradeOpened, OrderIntended)


def test_two_strategies_in_one_symbol_do_not_undo_each_other() -> None:
    of_a_strategy = replace(other_way, strategy_id=STRATEGY)
    held.when(of_a_strategy).then_kinds(TradeOpened, OrderIntended)


def test_the_same_flip_again_changes_nothing() -> None:
    flip = replace(other_way, quantity=150)
    held.after(flip).when(flip).then_nothing()


# --- Changing a trade -------------------------------------------------------------------------------------------------


def test_levels_move_at_the_version_that_was_seen() -> None:
    moved = replace(change, stop_loss_e4=2_810_0000, target_e4=None)
    event = one(held.when(moved).events, TradeChanged)
    assert (event.version, event.stop_loss_e4, event.target_e4) == (2, 2_810_0000, None)


def test_of_two_changes_at_one_version_the_second_is_told() -> None:
    first = replace(change, stop_loss_e4=2_810_0000)
    held.after(first).when(replace(change, stop_loss_e4=2_820_0000)).then_refused(VersionMismatch)
    held.after(first).when(replace(change, expected_version=2, stop_loss_e4=2_820_0000)).then_kinds(TradeChanged)


def test_a_resting_stop_follows_its_level_and_goes_with_it() -> None:
    moved = one(guarded.when(replace(change, stop_loss_e4=2_810_0000)).events, OrderModifyRequested)
    assert (moved.cause, moved.instruction.trigger_price_e4) == (ModifyCause.LEVEL, 2_810_0000)
    guarded.when(replace(change, stop_loss_e4=None)).then_kinds(TradeChanged, OrderCancelRequested)


def test_a_resting_entry_is_modified() -> None:
    asked = replace(change, limit_price_e4=2_848_0000, quantity=80)
    event = one(resting.when(asked).events, OrderModifyRequested)
    assert (event.cause, event.instruction.limit_price_e4, event.instruction.quantity) == (
        ModifyCause.USER,
        2_848_0000,
        80,
    )
    to_market = replace(change, order_type=OrderType.MARKET, limit_price_e4=None)
    event = one(resting.when(to_market).events, OrderModifyRequested)
    assert event.instruction.order_type is OrderType.MARKET


@pytest.mark.parametrize(
    ("given", "command", "refusal"),
    [
        (held, replace(change, trade_id=OTHER_TRADE), TradeNotFound),
        (held, replace(change, stop_loss_e4=2_810_0001), PriceOffTick),
        (held, replace(change, quantity=50), EntryNotResting),
        (resting, replace(change, quantity=0), QuantityInvalid),
        (resting.after(replace(fill, quantity=60)), replace(change, quantity=60), BelowFilled),
        (empty.after(open_limit), replace(change, quantity=50), EntryNotResting),
        (held, CloseTrade(trade_id=TRADE, user_id=OWNER, quantity=101), QuantityInvalid),
        (resting, CloseTrade(trade_id=TRADE, user_id=OWNER, quantity=1), NothingHeld),
        (held.after(CloseTrade(trade_id=TRADE, user_id=OWNER)).after(
            replace(begin, order_id=STOP), replace(exit_accepted, order_id=STOP),
            replace(fill, order_id=STOP, venue_fill_id=VenueFillId("f-9")),
        ), CancelTrade(trade_id=TRADE, user_id=OWNER), TradeClosedAlready),
        (empty, MoveCash(user_id=OWNER, amount_paise=0, reason="", market_time_ns=NOW_NS), AmountInvalid),
        (empty, ReleaseBreach(user_id=OWNER, kind=BreachKind.DAY_LOSS, reason="x"), BreachNotLatched),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given: AnyGiven, command: object, refusal: type[Refusal]) -> None:
    given.when(command).then_refused(refusal)


def test_canceling_takes_back_what_has_not_filled() -> None:
    resting.when(CancelTrade(trade_id=TRADE, user_id=OWNER)).then_kinds(OrderCancelRequested)
    waiting = empty.after(open_limit)
    waiting.when(CancelTrade(trade_id=TRADE, user_id=OWNER)).then_kinds(OrderBlocked, TradeClosed)


# --- Baskets ----------------------------------------------------------------------------------------------------------

both = replace(market, marks=(mark, infy_mark))
first_leg = replace(open_trade, market=both)
second_leg = replace(
    open_trade,
    trade_id=OTHER_TRADE,
    market=replace(both, instrument=infy),
    stop_loss_e4=1_400_0000,
    target_e4=None,
)
basket = OpenBasket(
    basket_id=BasketId("bsk_1"), user_id=OWNER, legs=(first_leg, second_leg), ranks=(0, 1), policy=BasketPolicy.STOP
)
SECOND_ENTRY = OrderId(f"{OTHER_TRADE}.1")


def test_a_basket_sends_its_first_rank_and_the_next_one_when_that_has_filled() -> None:
    opened = empty.when(basket).events
    assert [type(event) for event in opened] == [TradeOpened, OrderIntended, TradeOpened, BasketOpened]
    begun = empty.after(basket, begin, accepted)
    events = begun.when(fill).events
    assert one(events, OrderIntended).order_id == SECOND_ENTRY
    done = begun.after(fill, replace(begin, order_id=SECOND_ENTRY), replace(accepted, order_id=SECOND_ENTRY))
    last = done.when(replace(fill, order_id=SECOND_ENTRY, venue_fill_id=VenueFillId("f-2"))).events
    assert isinstance(last[-1], BasketCompleted)


THIRD_TRADE = TradeId("trd_01J00000000000000000000003")
third_leg = replace(second_leg, trade_id=THIRD_TRADE, quantity=50)


def intended_by(events: Sequence[AccountEvent]) -> list[TradeId]:
    return [event.trade_id for event in events if isinstance(event, OrderIntended)]


def through(trade_id: TradeId) -> tuple[object, ...]:
    """Return the commands that send a trade's entry and fill it."""
    order_id = OrderId(f"{trade_id}.1")
    done = replace(fill, order_id=order_id, venue_fill_id=VenueFillId(f"f-{trade_id}"))
    return replace(begin, order_id=order_id), replace(done, quantity=50 if trade_id == THIRD_TRADE else 100)


def test_a_rank_waits_for_all_of_the_rank_before_it_in_whatever_order_the_legs_were_named() -> None:
    legs = replace(basket, legs=(third_leg, first_leg, second_leg), ranks=(1, 0, 0))
    opened = empty.when(legs).events
    assert intended_by(opened) == [TRADE, OTHER_TRADE]
    assert [(leg.trade_id, leg.rank) for leg in one(opened, BasketOpened).legs] == [
        (TRADE, 0),
        (OTHER_TRADE, 0),
        (THIRD_TRADE, 1),
    ]
    half = empty.after(legs, *through(TRADE))
    assert intended_by(half.history[len(opened) :]) == []
    whole = half.after(*through(OTHER_TRADE))
    assert intended_by(whole.history)[-1] == THIRD_TRADE
    assert not [event for event in whole.history if isinstance(event, BasketCompleted)]
    assert isinstance(whole.after(*through(THIRD_TRADE)).history[-1], BasketCompleted)


def test_under_a_policy_that_goes_on_a_failed_leg_fails_once_and_the_others_come_to_their_turn() -> None:
    goes_on = replace(basket, legs=(first_leg, second_leg, third_leg), ranks=(0, 1, 2), policy=BasketPolicy.CONTINUE)
    first_failed = empty.after(goes_on, begin, refused)
    last = first_failed.after(*through(OTHER_TRADE), *through(THIRD_TRADE)).history
    assert [event.failed_trade_id for event in last if isinstance(event, BasketFailed)] == [TRADE]
    assert intended_by(last) == [TRADE, OTHER_TRADE, THIRD_TRADE]
    assert isinstance(last[-1], BasketCompleted)


def test_a_leg_whose_turn_has_not_come_is_taken_back_by_its_person_and_by_a_kill_switch() -> None:
    waiting = empty.after(basket)
    back = waiting.when(CancelTrade(trade_id=OTHER_TRADE, user_id=OWNER)).events
    assert [type(event) for event in back] == [TradeExitTriggered, TradeClosed, BasketFailed]
    begun = waiting.after(begin, engage, release)
    assert intended_by(begun.after(fill).history) == [TRADE]


def test_a_leg_filled_in_part_and_then_canceled_has_failed() -> None:
    part = replace(fill, quantity=99)
    begun = empty.after(basket, begin, accepted, part)
    assert intended_by(begun.history) == [TRADE]
    canceled = replace(found, status=OrderStatus.CANCELED, cumulative_quantity=99)
    assert one(begun.when(canceled).events, BasketFailed).failed_trade_id == TRADE


def test_a_basket_handed_in_again_changes_nothing_even_when_it_is_through() -> None:
    empty.after(basket).when(basket).then_nothing()
    begun = empty.after(basket, begin, accepted, fill, replace(begin, order_id=SECOND_ENTRY))
    through = begun.after(replace(fill, order_id=SECOND_ENTRY, venue_fill_id=VenueFillId("f-2")))
    assert isinstance(through.history[-1], BasketCompleted)
    through.when(basket).then_nothing()


def test_a_leg_whose_entry_was_made_smaller_is_through_when_that_has_filled() -> None:
    priced = replace(first_leg, order_type=OrderType.LIMIT, limit_price_e4=2_849_0000)
    begun = empty.after(replace(basket, legs=(priced, second_leg)), begin, accepted)
    smaller = begun.after(replace(change, quantity=60, market=both))
    told = one(smaller.history[-1:], OrderModifyRequested).instruction
    row = replace(
        found,
        order_id=order_intended.order_id,
        venue_order_id=accepted.venue_order_id,
        quantity=told.quantity,
        order_type=told.order_type,
        limit_price_e4=told.limit_price_e4,
    )
    events = smaller.after(row).when(replace(fill, quantity=60)).events
    assert SECOND_ENTRY in [event.order_id for event in events if isinstance(event, OrderIntended)]


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        (BasketPolicy.CONTINUE, [OrderIntended]),
        (BasketPolicy.STOP, [TradeExitTriggered, TradeClosed]),
        (BasketPolicy.UNWIND, [TradeExitTriggered, TradeClosed]),
    ],
)
def test_a_leg_that_fails_meets_the_policy(policy: BasketPolicy, kinds: list[type]) -> None:
    begun = empty.after(replace(basket, policy=policy), begin)
    events = begun.when(refused).events
    failed = one(events, BasketFailed)
    assert (failed.failed_trade_id, failed.policy) == (TRADE, policy)
    assert [type(event) for event in events[events.index(failed) + 1 :]] == kinds


def test_unwinding_closes_what_has_filled() -> None:
    begun = empty.after(replace(basket, policy=BasketPolicy.UNWIND), begin, accepted, fill)
    second = begun.after(replace(begin, order_id=SECOND_ENTRY))
    events = second.when(replace(refused, order_id=SECOND_ENTRY)).events
    triggered = [event for event in events if isinstance(event, TradeExitTriggered)]
    assert [(event.trade_id, event.cause) for event in triggered] == [(TRADE, ExitCause.BASKET)]
    assert one(events, OrderIntended).purpose is Purpose.EXIT


def test_a_basket_is_denied_whole_by_the_first_leg_that_is() -> None:
    too_much = replace(second_leg, quantity=6_000)
    empty.when(replace(basket, legs=(first_leg, too_much))).then_kinds(OrderDenied)


def test_legs_are_checked_together() -> None:
    one_trade = replace(account_opened, parameters=replace(account_opened.parameters, open_trades_max=1))
    account.given(one_trade).when(basket).then_kinds(OrderDenied)


def many_legs(count: int) -> tuple[OpenTrade, ...]:
    return tuple(
        replace(first_leg, trade_id=TradeId(f"trd_leg_{number}"), quantity=1 + number) for number in range(count)
    )


def test_a_basket_has_twenty_legs_at_most() -> None:
    opened = empty.when(replace(basket, legs=many_legs(20), ranks=tuple(range(20)))).events
    assert len([event for event in opened if isinstance(event, TradeOpened)]) == 20


@pytest.mark.parametrize(
    "wrong",
    [
        replace(basket, legs=(first_leg,), ranks=(0,)),
        replace(basket, ranks=(0, 2)),
        replace(basket, ranks=(0,)),
        replace(basket, ranks=(0, 1, 1)),
        replace(basket, legs=(first_leg, first_leg)),
        replace(basket, ranks=(1, 2)),
        replace(basket, legs=many_legs(21), ranks=tuple(range(21))),
    ],
)
def test_a_basket_that_is_none_is_refused(wrong: OpenBasket) -> None:
    empty.when(wrong).then_refused(BasketInvalid)


def test_a_leg_names_its_instrument() -> None:
    nameless = replace(second_leg, market=replace(both, instrument=None))
    empty.when(replace(basket, legs=(first_leg, nameless))).then_refused(InvalidInput)


# --- Kill switch ------------------------------------------------------------------------------------------------------


def test_a_strategys_switch_blocks_its_entries_alone() -> None:
    killed = empty.after(replace(engage, strategy_id=STRATEGY))
    killed.when(replace(open_trade, strategy_id=STRATEGY)).then_kinds(OrderDenied)
    killed.when(open_trade).then_kinds(TradeOpened, OrderIntended)
    killed.after(replace(release, strategy_id=STRATEGY)).when(replace(open_trade, strategy_id=STRATEGY)).then_kinds(
        TradeOpened, OrderIntended
    )


def test_halting_leaves_stops_where_they_are() -> None:
    guarded.when(engage).then_kinds(KillSwitchEngaged)


def test_flattening_turns_stops_into_exits_and_remembers_to_cancel_unknown_entries() -> None:
    unknown_entry = guarded.after(replace(open_limit, trade_id=OTHER_TRADE)).after(
        replace(begin, order_id=SECOND_ENTRY)
    )
    events = unknown_entry.when(replace(engage, mode=KillMode.FLATTEN)).events
    assert [type(event) for event in events] == [
        KillSwitchEngaged,
        TradeExitTriggered,
        OrderModifyRequested,
        TradeExitTriggered,
        OrderCancelRequested,
    ]


def test_a_halt_may_become_a_flattening_and_not_the_other_way() -> None:
    halted = guarded.after(engage)
    flatten = replace(engage, mode=KillMode.FLATTEN)
    halted.when(flatten).then_kinds(KillSwitchEngaged, TradeExitTriggered, OrderModifyRequested)
    halted.after(flatten).when(engage).then_nothing()


def test_flat_is_confirmed_by_the_venues_positions() -> None:
    flat = held.after(replace(engage, mode=KillMode.FLATTEN))
    confirm = ConfirmFlat(strategy_id=None, net_quantities=())
    flat.when(confirm).then_nothing()  # Its exit is under way.
    out = flat.after(
        replace(begin, order_id=STOP),
        replace(exit_accepted, order_id=STOP),
        replace(fill, order_id=STOP, venue_fill_id=VenueFillId("f-2")),
    )
    still_there = ConfirmFlat(strategy_id=None, net_quantities=((RELIANCE, open_trade.product, 100),))
    out.when(still_there).then_nothing()
    assert one(out.when(confirm).events, FlattenFinished).remaining == ()
    out.after(confirm).when(confirm).then_nothing()


def test_an_order_presumed_absent_is_listed_and_holds_no_switch_up() -> None:
    engaged = empty.after(open_limit, begin, unknown, replace(engage, mode=KillMode.FLATTEN))
    confirm = ConfirmFlat(strategy_id=None, net_quantities=())
    engaged.when(confirm).then_nothing()  # It is still looked for.
    assert one(engaged.after(presume_absent).when(confirm).events, FlattenFinished).remaining == (TRADE,)


def test_positions_that_we_have_no_part_in_hold_no_switch_up() -> None:
    halted = empty.after(open_limit, replace(engage, mode=KillMode.FLATTEN))
    shown = ((INFY, Product.CNC, 40), (RELIANCE, open_trade.product, 7))
    halted.when(ConfirmFlat(strategy_id=None, net_quantities=shown)).then_nothing()  # We have traded one of them.
    assert halted.when(ConfirmFlat(strategy_id=None, net_quantities=shown[:1])).events


@pytest.mark.parametrize("shown", [0, -100])
def test_delivery_that_was_carried_and_sold_is_flat_by_either_book(shown: int) -> None:
    carried = replace(open_trade, product=Product.CNC)
    tomorrow = replace(exit_fill, quantity=100, filled_at_ns=NOW_NS + DAY_NS)
    flatten = replace(engage, mode=KillMode.FLATTEN)
    sold = empty.after(carried, begin, accepted, fill, flatten, begin_exit, exit_accepted)
    confirm = ConfirmFlat(strategy_id=None, net_quantities=((RELIANCE, Product.CNC, shown),))
    assert one(sold.after(tomorrow).when(confirm).events, FlattenFinished).remaining == ()


def test_a_position_may_be_closed_for_one_strategy_alone() -> None:
    two = held.after(replace(open_trade, trade_id=OTHER_TRADE, strategy_id=STRATEGY), *through(OTHER_TRADE))
    its_own = ClosePosition(user_id=OWNER, instrument=RELIANCE, product=open_trade.product, strategy_id=STRATEGY)
    assert one(two.when(its_own).events, TradeExitTriggered).trade_id == OTHER_TRADE
    closed = two.when(replace(its_own, strategy_id=None)).events
    assert [event.trade_id for event in closed if isinstance(event, TradeExitTriggered)] == [TRADE, OTHER_TRADE]
    held.when(its_own).then_refused(PositionNotOpen)


def test_closing_all_leaves_what_came_from_outside_unless_it_is_asked_for() -> None:
    with_external = held.after(foreign_buy)
    closed = with_external.when(CloseAll(user_id=OWNER)).events
    assert {event.trade_id for event in closed if isinstance(event, TradeExitTriggered)} == {TRADE}
    closed = with_external.when(CloseAll(user_id=OWNER, includes_external=True)).events
    assert {event.trade_id for event in closed if isinstance(event, TradeExitTriggered)} == {TRADE, EXTERNAL}


# --- From outside -----------------------------------------------------------------------------------------------------

EXTERNAL = TradeId("trd_01J0000000000000000000EXT1")
foreign_buy = RecordForeignFill(
    adopted_as=EXTERNAL,
    venue_fill_id=VenueFillId("x-1"),
    instrument=infy,
    product=open_trade.product,
    side=Side.BUY,
    quantity=10,
    price_e4=1_500_0000,
    filled_at_ns=NOW_NS + NS_PER_S,
)
foreign_sell = replace(foreign_buy, instrument=reliance, side=Side.SELL, quantity=40, price_e4=PRICE_E4)


def test_what_nobody_of_us_bought_is_an_external_trade() -> None:
    held.when(foreign_buy).then_kinds(TradeAdopted, ForeignFillAllocated)
    held.after(foreign_buy).when(foreign_buy).then_nothing()
    more = replace(foreign_buy, venue_fill_id=VenueFillId("x-2"), adopted_as=TradeId("trd_other"))
    assert one(held.after(foreign_buy).when(more).events, ForeignFillAllocated).trade_id == EXTERNAL


def test_what_came_from_outside_is_closed_and_not_changed() -> None:
    external = held.after(foreign_buy)
    external.when(replace(change, trade_id=EXTERNAL, stop_loss_e4=1_400_0000)).then_refused(TradeExternal)
    assert one(external.when(CloseTrade(trade_id=EXTERNAL, user_id=OWNER)).events, OrderIntended).instruction.side is (
        Side.SELL
    )


def test_a_manual_sale_goes_through_the_trades_oldest_first() -> None:
    two = held.after(replace(open_trade, trade_id=OTHER_TRADE), *through(OTHER_TRADE))
    events = two.when(replace(foreign_sell, quantity=130)).events
    parts = [event for event in events if isinstance(event, ForeignFillAllocated)]
    assert [(part.trade_id, part.part, part.last_quantity) for part in parts] == [(TRADE, 1, 100), (OTHER_TRADE, 2, 30)]
    assert [event.trade_id for event in events if isinstance(event, TradeClosed)] == [TRADE]


def test_a_manual_sale_reduces_the_oldest_trade_and_its_stop_shrinks_with_it() -> None:
    events = guarded.when(foreign_sell).events
    assert [type(event) for event in events] == [ForeignFillAllocated, OrderModifyRequested]
    assert one(events, ForeignFillAllocated).trade_id == TRADE
    assert one(events, OrderModifyRequested).instruction.quantity == 60


def test_what_is_bought_beside_a_trade_that_bought_is_no_part_of_it() -> None:
    beside = replace(foreign_sell, side=Side.BUY)
    held.when(beside).then_kinds(TradeAdopted, ForeignFillAllocated)
    short = empty.after(open_short, begin, accepted, fill)
    short.when(foreign_sell).then_kinds(TradeAdopted, ForeignFillAllocated)
    reduced = one(short.when(beside).events, ForeignFillAllocated)
    assert (reduced.trade_id, reduced.closed_quantity) == (TRADE, 40)


def test_a_stop_that_is_shrinking_waits_for_the_venues_word_before_it_shrinks_again() -> None:
    shrinking = guarded.after(foreign_sell)
    more = replace(foreign_sell, venue_fill_id=VenueFillId("x-2"), quantity=10)
    shrinking.when(more).then_kinds(ForeignFillAllocated)
    told = one(shrinking.history[-1:], OrderModifyRequested).instruction
    row = replace(
        found,
        order_id=STOP,
        venue_order_id=VENUE_EXIT,
        quantity=told.quantity,
        order_type=told.order_type,
        limit_price_e4=told.limit_price_e4,
        trigger_price_e4=told.trigger_price_e4,
    )
    assert one(shrinking.after(more).when(row).events, OrderModifyRequested).instruction.quantity == 50


def test_a_manual_close_takes_the_stop_away() -> None:
    events = guarded.when(replace(foreign_sell, quantity=100)).events
    assert [type(event) for event in events] == [ForeignFillAllocated, OrderCancelRequested]


def test_what_goes_beyond_our_trades_is_external() -> None:
    events = held.when(replace(foreign_sell, quantity=130)).events
    assert [type(event) for event in events] == [ForeignFillAllocated, TradeAdopted, ForeignFillAllocated, TradeClosed]
    parts = [event for event in events if isinstance(event, ForeignFillAllocated)]
    assert [(part.trade_id, part.part, part.last_quantity) for part in parts] == [(TRADE, 1, 100), (EXTERNAL, 2, 30)]


def test_a_split_leaves_the_cost_and_moves_quantity_levels_and_stop() -> None:
    split = ApplyCorporateAction(
        action_id="NSE/CML/2026/1", instrument=reliance, numerator=5, denominator=1, effective_on="2026-11-23"
    )
    events = guarded.when(split).events
    applied = one(events, CorporateActionApplied)
    assert [(each.net_quantity, each.stop_loss_e4, each.target_e4) for each in applied.trades] == [
        (500, 560_0000, 580_0000)
    ]
    modified = one(events, OrderModifyRequested).instruction
    assert (modified.quantity, modified.trigger_price_e4) == (500, 560_0000)
    thirds = one(guarded.when(replace(split, numerator=3)).events, CorporateActionApplied).trades[0]
    assert (thirds.stop_loss_e4, thirds.target_e4) == (933_3000, 966_6000)
    guarded.after(split).when(split).then_nothing()
    account.given().when(split).then_nothing()
    for nonsense in ({"numerator": 0}, {"denominator": 0}, {"numerator": -5}):
        guarded.when(replace(split, **nonsense)).then_refused(RatioInvalid)
    held.when(replace(split, instrument=infy)).then_nothing()


def test_what_a_storm_left_is_recorded_once_it_is_something() -> None:
    storm = RecordSuppressedIntents(count=3, since_ns=NOW_NS, until_ns=NOW_NS + NS_PER_S)
    empty.when(storm).then(IntentsSuppressed(count=3, since_ns=NOW_NS, until_ns=NOW_NS + NS_PER_S))
    empty.after(storm).when(storm).then_kinds(IntentsSuppressed)
    for nothing in (0, -1):
        empty.when(replace(storm, count=nothing)).then_nothing()
    account.given().when(storm).then_nothing()


def test_cash_that_moves_is_recorded() -> None:
    moved = empty.when(MoveCash(user_id=OWNER, amount_paise=-5_000_00, reason="rent", market_time_ns=NOW_NS))
    assert one(moved.events, CashMoved).amount_paise == -5_000_00
