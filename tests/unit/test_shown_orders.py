"""What the venue's row of an order says of a modification: taken up, not yet, never, or made by somebody else."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import ChangeTrade, RecordVenueOrder
from domain.account.events import AccountEvent, OrderCanceled, OrderModified, ProtectionMode
from domain.ids import OrderId
from domain.order import OrderStatus, OrderType
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    OWNER,
    TRADE,
    VENUE_ENTRY,
    VENUE_EXIT,
    accepted,
    account_opened,
    begin,
    exit_accepted,
    fill,
    found,
    market,
    open_limit,
    open_trade,
)

account = scenario(decider)
STOP = OrderId(f"{TRADE}.2")
change = ChangeTrade(trade_id=TRADE, user_id=OWNER, expected_version=1, market=market)
resting = account.given(account_opened).after(open_limit, begin, accepted)
"""A limit order for 100 at 2,849 lies in the book."""
repriced = resting.after(replace(change, limit_price_e4=2_848_0000))
to_market = resting.after(replace(change, order_type=OrderType.MARKET, limit_price_e4=None))
guarded = account.given(account_opened).after(
    replace(open_trade, protection=ProtectionMode.RESTING),
    begin,
    accepted,
    fill,
    replace(begin, order_id=STOP),
    replace(exit_accepted, order_id=STOP),
)
"""100 are held, and their stop rests at 2,800 with its limit at 2,786."""

AnyGiven = Given[object, object, AccountEvent]
Shown = dict[str, Any]
as_it_was: Shown = {"quantity": 100, "order_type": OrderType.LIMIT, "limit_price_e4": 2_849_0000}
as_wanted: Shown = {**as_it_was, "limit_price_e4": 2_848_0000}
filled_whole: Shown = {"status": OrderStatus.FILLED, "cumulative_quantity": 100}
the_stop: Shown = {
    "order_id": STOP,
    "venue_order_id": VENUE_EXIT,
    "quantity": 100,
    "order_type": OrderType.SL,
    "limit_price_e4": 2_786_0000,
    "trigger_price_e4": 2_800_0000,
}
triggered: Shown = {**the_stop, "order_type": OrderType.LIMIT, "trigger_price_e4": None}


def row(shown: Shown) -> RecordVenueOrder:
    return replace(found, **{"venue_order_id": VENUE_ENTRY, **shown})


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (resting, as_it_was),
        (resting, {}),
        (resting, {"quantity": 100}),
        (resting, {"order_type": OrderType.LIMIT, "limit_price_e4": 2_848_0000}),
        (guarded, the_stop),
        (guarded, triggered),
        # The venue has not taken the modification up yet.
        (repriced, as_it_was),
        (repriced, {**as_wanted, "quantity": 90}),
        (to_market, as_it_was),
        (to_market, {**as_it_was, "quantity": 90, "limit_price_e4": 2_860_0000}),
        (to_market, {**as_it_was, "order_type": OrderType.SL, "trigger_price_e4": 2_840_0000}),
    ],
)
def test_what_is_as_it_was_is_no_news(given: AnyGiven, shown: Shown) -> None:
    given.when(row(shown)).then_nothing()


@pytest.mark.parametrize(
    ("given", "shown", "told"),
    [
        (repriced, as_wanted, (100, OrderType.LIMIT, 2_848_0000, None)),
        (to_market, {"quantity": 100, "order_type": OrderType.MARKET}, (100, OrderType.MARKET, None, None)),
        # With the limit that the broker gave it.
        (to_market, {**as_it_was, "limit_price_e4": 2_860_0000}, (100, OrderType.MARKET, None, None)),
        # It filled before the modification reached it.
        (repriced, {**as_it_was, **filled_whole}, (100, OrderType.LIMIT, 2_849_0000, None)),
        # Somebody else changed it.
        (resting, {**as_it_was, "quantity": 90}, (90, OrderType.LIMIT, 2_849_0000, None)),
        (resting, as_wanted, (100, OrderType.LIMIT, 2_848_0000, None)),
        (resting, {"quantity": 100, "order_type": OrderType.MARKET}, (100, OrderType.MARKET, None, None)),
        (guarded, {**the_stop, "trigger_price_e4": 2_801_0000}, (100, OrderType.SL, 2_786_0000, 2_801_0000)),
        (guarded, {**the_stop, "limit_price_e4": 2_785_0000}, (100, OrderType.SL, 2_785_0000, 2_800_0000)),
        (guarded, {**triggered, "limit_price_e4": 2_785_0000}, (100, OrderType.LIMIT, 2_785_0000, None)),
    ],
)
def test_what_is_shown_otherwise_is_what_the_order_is_now(
    given: AnyGiven, shown: Shown, told: tuple[int, OrderType, int | None, int | None]
) -> None:
    modified = given.when(row(shown)).events[0]
    assert isinstance(modified, OrderModified)
    now = modified.instruction
    assert (now.quantity, now.order_type, now.limit_price_e4, now.trigger_price_e4) == told


@pytest.mark.parametrize("shown", [as_it_was, as_wanted])
def test_an_order_that_is_over_was_changed_by_nobody(shown: Shown) -> None:
    events = repriced.when(row({**shown, "status": OrderStatus.CANCELED})).events
    assert [type(event) for event in events if isinstance(event, OrderModified | OrderCanceled)] == [OrderCanceled]
