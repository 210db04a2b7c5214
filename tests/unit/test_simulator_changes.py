"""The simulator while something travels: what a row shows, what can be asked, and what still executes."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.simulator.books.account import BookedOrder, OrderTerms, Status
from adapters.simulator.desk import open_desk
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from adapters.simulator.trading.simulator import OrderRequest, Simulator
from adapters.simulator.words.refusals import IN_TRANSIT, INCORRECT_REQUEST, MARKET_CLOSED_CANCEL, Refusal
from adapters.simulator.words.rows import order_row
from domain.order import OrderType, Side, TimeInForce
from tests.support.tape import CLIENT_ID, INSTRUMENTS, RELIANCE, config_of, steady

PRICE = 1_310_00_00
LOW = PRICE - 10_000
BUY = OrderRequest(
    correlation_id="kh1first",
    instrument=INSTRUMENTS.by_key(RELIANCE, market_time_ns=DEMO_START_NS),
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    product="INTRADAY",
    time_in_force=TimeInForce.DAY,
    quantity=10,
    limit_price_e4=LOW,
)
CHEAPER = OrderTerms(
    order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=12, limit_price_e4=LOW - 10_000
)


def open_market(*prices: int, **config: Any) -> Simulator:
    venue = open_desk(config_of(steady(*prices, **config))).simulator
    venue.advance()
    return venue


def resting(venue: Simulator, **changes: Any) -> BookedOrder:
    order = venue.accept(CLIENT_ID, replace(BUY, **changes))
    venue.arrive(order)
    return order


def refusal_of(asked: Refusal) -> str:
    return str(asked.body["errorMessage"])


def test_while_a_modification_travels_the_row_is_in_transit_and_shows_what_was() -> None:
    venue = open_market(PRICE)
    order = resting(venue)
    venue.modify(CLIENT_ID, order.order_id, CHEAPER)
    row = order_row(order)
    assert (row["orderStatus"], row["price"], row["quantity"]) == ("TRANSIT", 1309.0, 10)
    with pytest.raises(Refusal) as refused:
        venue.cancel(CLIENT_ID, order.order_id)
    assert refusal_of(refused.value) == IN_TRANSIT
    venue.arrive_change(order)
    row = order_row(order)
    assert (row["orderStatus"], row["price"], row["quantity"]) == ("PENDING", 1308.0, 12)
    venue.cancel(CLIENT_ID, order.order_id)


def test_an_order_that_trades_while_its_modification_travels_is_traded() -> None:
    venue = open_market(PRICE, LOW)
    order = resting(venue)
    venue.modify(CLIENT_ID, order.order_id, CHEAPER)
    venue.advance()
    assert (order.status, order.filled_quantity) == (Status.TRADED, 10)
    venue.arrive_change(order)
    assert (order.status, order.limit_price_e4, order.quantity) == (Status.TRADED, LOW, 10)
    with pytest.raises(Refusal) as refused:
        venue.modify(CLIENT_ID, order.order_id, CHEAPER)
    assert refusal_of(refused.value) == INCORRECT_REQUEST


def test_a_part_that_trades_meanwhile_counts_when_the_modification_arrives() -> None:
    venue = open_market(PRICE, LOW, volume=28)
    order = resting(venue)
    venue.modify(CLIENT_ID, order.order_id, replace_terms(quantity=7))
    venue.advance()
    assert (order.status, order.filled_quantity) == (Status.TRANSIT, 7)
    venue.arrive_change(order)
    assert (order.status, order.quantity) == (Status.PART_TRADED, 10), "it executed as much as it should be"
    assert "greater than the traded quantity" in order_row(order)["omsErrorDescription"]


def replace_terms(**changes: Any) -> OrderTerms:
    fields = {name: getattr(CHEAPER, name) for name in CHEAPER.__struct_fields__}
    return OrderTerms(**{**fields, **changes})


def test_several_modifications_arrive_in_their_order() -> None:
    venue = open_market(PRICE)
    order = resting(venue)
    for quantity in (11, 12):
        venue.modify(CLIENT_ID, order.order_id, replace_terms(quantity=quantity))
    venue.arrive_change(order)
    assert (order.status, order.quantity) == (Status.TRANSIT, 11)
    venue.arrive_change(order)
    assert (order.status, order.quantity) == (Status.PENDING, 12)


def test_an_order_in_transit_can_be_modified_before_it_arrives() -> None:
    venue = open_market(PRICE)
    order = venue.accept(CLIENT_ID, BUY)
    venue.modify(CLIENT_ID, order.order_id, CHEAPER)
    venue.arrive(order)
    assert (order.status, order.limit_price_e4) == (Status.TRANSIT, LOW)
    venue.arrive_change(order)
    assert (order.status, order.limit_price_e4) == (Status.PENDING, LOW - 10_000)


def test_after_the_close_only_what_waits_for_the_next_session_can_be_modified() -> None:
    venue = open_market(PRICE)
    expired = resting(venue)
    while venue.advance():
        pass
    waiting = venue.accept(CLIENT_ID, replace(BUY, amo_time="OPEN"))
    with pytest.raises(Refusal) as refused:
        venue.modify(CLIENT_ID, expired.order_id, CHEAPER)
    assert refusal_of(refused.value) == INCORRECT_REQUEST
    venue.arrive(waiting)
    venue.arrive_change(venue.modify(CLIENT_ID, waiting.order_id, CHEAPER))
    assert (waiting.status, waiting.quantity) == (Status.PENDING, 12)


def test_before_the_first_second_nothing_at_the_exchange_can_be_modified() -> None:
    venue = open_market(PRICE)
    order = resting(venue)
    venue._is_open = False
    with pytest.raises(Refusal) as refused:
        venue.modify(CLIENT_ID, order.order_id, CHEAPER)
    assert refusal_of(refused.value) == MARKET_CLOSED_CANCEL
