"""What goes to the venue comes back the same, whatever it is."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.dhan.http.errors import Ambiguous, classify
from adapters.dhan.words.codec import (
    change_document,
    instruction_of,
    ist_text_of,
    order_document,
    order_of,
    parse_document,
    price_e4_of,
    render_document,
    rupees,
    segment_of,
    segment_word,
    status_word,
    utc_ns_of,
)
from domain.ids import CorrelationId, VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.money import PRICE_E4_MAX
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Side, TimeInForce

prices = st.integers(1, PRICE_E4_MAX)


@st.composite
def instructions(draw: st.DrawFn) -> OrderInstruction:
    order_type = draw(st.sampled_from(OrderType))
    return OrderInstruction(
        instrument=InstrumentKey(draw(st.sampled_from(Segment)), str(draw(st.integers(1, 10**9)))),
        side=draw(st.sampled_from(Side)),
        quantity=draw(st.integers(1, 10**9)),
        order_type=order_type,
        limit_price_e4=draw(prices) if order_type in {OrderType.LIMIT, OrderType.SL} else None,
        product=draw(st.sampled_from(Product)),
        time_in_force=draw(st.sampled_from(TimeInForce)),
        trigger_price_e4=draw(prices) if order_type in {OrderType.SL, OrderType.SL_M} else None,
        disclosed_quantity=draw(st.integers(0, 10**9)),
        after_market=draw(st.booleans()),
    )


@given(instructions())
def test_an_order_comes_back_as_it_went_out(instruction: OrderInstruction) -> None:
    body = render_document(order_document("1000000001", instruction, CorrelationId("A" * 25)))
    assert instruction_of(parse_document(body)) == instruction


@given(instructions())
def test_a_row_shows_an_order_to_be_what_it_was_told_to_be(instruction: OrderInstruction) -> None:
    body = order_document("1000000001", instruction, CorrelationId("A" * 25))
    shown = order_of(parse_document(render_document({**body, "orderId": "1", "orderStatus": "PENDING"})))
    assert (shown.instrument, shown.product, shown.side) == (
        instruction.instrument,
        instruction.product,
        instruction.side,
    )
    assert (shown.quantity, shown.order_type) == (instruction.quantity, instruction.order_type)
    assert (shown.limit_price_e4, shown.trigger_price_e4) == (instruction.limit_price_e4, instruction.trigger_price_e4)


@given(instructions())
def test_a_change_names_all_that_an_order_shall_be(instruction: OrderInstruction) -> None:
    body = change_document("1000000001", VenueOrderId("112111182198"), instruction)
    shown = order_of(parse_document(render_document({**body, "orderStatus": "PENDING"})))
    assert (shown.venue_order_id, shown.quantity, shown.order_type) == (
        "112111182198",
        instruction.quantity,
        instruction.order_type,
    )
    assert (shown.limit_price_e4, shown.trigger_price_e4) == (instruction.limit_price_e4, instruction.trigger_price_e4)
    assert body["disclosedQuantity"] == instruction.disclosed_quantity
    assert body["validity"] == instruction.time_in_force
    assert all(value not in {"", None} for value in body.values())


@given(prices)
def test_every_price_survives_its_decimal(price_e4: int) -> None:
    document = parse_document(render_document({"price": rupees(price_e4)}))
    assert price_e4_of(document["price"]) == price_e4


@given(st.integers(946_684_800, 4_102_444_800))
def test_every_second_survives_its_indian_text(seconds: int) -> None:
    assert utc_ns_of(ist_text_of(seconds * 10**9)) == seconds * 10**9


@given(st.sampled_from(Segment))
def test_every_segment_survives_its_word(segment: Segment) -> None:
    assert segment_of(segment_word(segment)) is segment


venue_statuses = st.sampled_from(
    [
        OrderStatus.SUBMITTING,
        OrderStatus.ACKNOWLEDGED,
        OrderStatus.REJECTED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.FILLED,
    ]
)


@given(venue_statuses, st.integers(1, 10**6))
def test_every_status_survives_its_word(status: OrderStatus, quantity: int) -> None:
    row = {"orderId": "1", "orderStatus": status_word(status), "quantity": quantity}
    assert order_of(row).status is status


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_at_all_is_an_exception_and_a_5xx_is_never_a_refusal(status: int, body: bytes) -> None:
    verdict = classify(status, body)
    if status >= 500:
        assert isinstance(verdict, Ambiguous)
