"""Dhan's words and ours: rows as the venue writes them, with all its looseness."""

from decimal import Decimal

import msgspec
import pytest

from adapters.dhan.words.codec import (
    AnswerMalformed,
    RowUnsupported,
    change_document,
    fill_of,
    instruction_of,
    ist_text_of,
    order_document,
    order_of,
    parse_document,
    position_of,
    price_e4_of,
    render_document,
    rows_of,
    segment_of,
    segment_word,
    utc_ns_of,
    venue_order_id_of,
)
from domain.ids import VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderStatus, OrderType, Product, Side
from tests.support.dhan import (
    CORRELATION,
    LIMIT_BUY,
    MARKET_SELL,
    ORDER_ROW,
    POSITION_ROW,
    RELIANCE,
    STOP_SELL,
    TRADE_ROW,
)


def test_a_price_goes_out_as_the_decimal_that_it_is() -> None:
    assert b'"price":2850.05,' in render_document({**order_document("1", LIMIT_BUY, CORRELATION), "z": 1})
    fine = msgspec.structs.replace(LIMIT_BUY, limit_price_e4=825_025)
    assert render_document(order_document("1", fine, CORRELATION)).endswith(b'"price":82.5025}')


def test_a_market_order_has_price_zero_and_no_empty_fields() -> None:
    document = order_document("1", MARKET_SELL, CORRELATION)
    assert document["price"] == 0
    assert all(value not in {"", None} for value in document.values())


def test_numbers_are_read_from_their_text() -> None:
    row = parse_document(b'{"tradedPrice": 2850.05, "exponent": 1.4283E3}')
    assert row["tradedPrice"] == Decimal("2850.05")
    assert price_e4_of(row["tradedPrice"]) == 28_500_500
    assert price_e4_of(row["exponent"]) == 14_283_000


@pytest.mark.parametrize(
    ("value", "price_e4"),
    [(392, 3_920_000), ("392.5", 3_925_000), (Decimal("22952.94921875"), 229_529_492), (Decimal("82.5025"), 825_025)],
)
def test_prices_come_as_numbers_or_text(value: object, price_e4: int) -> None:
    assert price_e4_of(value) == price_e4


@pytest.mark.parametrize("value", [None, True, "NA", "", [], Decimal("NaN"), "Infinity"])
def test_what_is_no_number_is_no_price(value: object) -> None:
    with pytest.raises(AnswerMalformed):
        price_e4_of(value)


def test_the_index_segment_has_another_name_at_the_venue() -> None:
    assert segment_word(Segment.INDEX) == "IDX_I"
    assert segment_of("IDX_I") is Segment.INDEX
    assert segment_word(Segment.BSE_FNO) == "BSE_FNO"
    with pytest.raises(RowUnsupported):
        segment_of("NSE_COMM")


def test_times_are_indian_and_become_utc() -> None:
    assert utc_ns_of("2026-10-01 10:00:00") == 1_790_829_000_000_000_000
    assert utc_ns_of("2026-10-01T10:00:00.000") == 1_790_829_000_000_000_000
    assert utc_ns_of("01/10/2026 10:00") == 1_790_829_000_000_000_000
    assert ist_text_of(1_790_829_000_999_999_999) == "2026-10-01 10:00:00"


def test_the_year_one_is_no_time() -> None:
    assert utc_ns_of("0001-01-01 00:00:00") is None


def test_what_is_no_time_is_malformed() -> None:
    with pytest.raises(AnswerMalformed):
        utc_ns_of("yesterday")


@pytest.mark.parametrize(
    ("word", "filled", "status", "cumulative"),
    [
        ("TRANSIT", 0, OrderStatus.SUBMITTING, 0),
        ("PENDING", 0, OrderStatus.ACKNOWLEDGED, 0),
        ("PENDING", 2, OrderStatus.PARTLY_FILLED, 2),
        ("PART_TRADED", 2, OrderStatus.PARTLY_FILLED, 2),
        ("PART_TRADED", 5, OrderStatus.FILLED, 5),
        ("TRADED", 5, OrderStatus.FILLED, 5),
        ("TRADED", 0, OrderStatus.FILLED, 5),
        ("REJECTED", 0, OrderStatus.REJECTED, 0),
        ("CANCELLED", 2, OrderStatus.CANCELED, 2),
        ("EXPIRED", 0, OrderStatus.EXPIRED, 0),
        ("Pending", 0, OrderStatus.ACKNOWLEDGED, 0),
        ("SOMETHING_NEW", 0, OrderStatus.ACKNOWLEDGED, 0),
    ],
)
def test_status_words_and_counts_make_a_state(word: str, filled: int, status: OrderStatus, cumulative: int) -> None:
    order = order_of({**ORDER_ROW, "orderStatus": word, "filledQty": filled})
    assert (order.status, order.cumulative_quantity) == (status, cumulative)


def test_an_explanation_counts_only_where_something_ended_the_order() -> None:
    text = "RMS:112111182198:You have insufficient funds. Please add Rs.23.70 to trade."
    assert order_of(ORDER_ROW).message == ""
    assert order_of({**ORDER_ROW, "orderStatus": "REJECTED", "omsErrorDescription": text}).message == text
    assert order_of({**ORDER_ROW, "orderStatus": "CANCELLED"}).message == ""
    assert order_of({**ORDER_ROW, "orderStatus": "SOMETHING_NEW"}).message == "status SOMETHING_NEW"


@pytest.mark.parametrize("unset", [None, "", "NA"])
def test_null_na_and_empty_are_the_same(unset: str | None) -> None:
    row = {**ORDER_ROW, "correlationId": unset, "filledQty": unset, "omsErrorDescription": unset}
    order = order_of(row)
    assert (order.correlation_id, order.cumulative_quantity) == (None, 0)


def test_numbers_may_come_as_text_and_the_older_spelling_is_read() -> None:
    row = {**ORDER_ROW, "quantity": "5", "filled_qty": "2"}
    del row["filledQty"]
    assert order_of(row).cumulative_quantity == 2


@pytest.mark.parametrize("name", ["orderId", "orderStatus", "quantity"])
def test_a_row_without_what_we_need_is_malformed(name: str) -> None:
    with pytest.raises(AnswerMalformed):
        order_of({**ORDER_ROW, name: None})


def test_a_fill_is_named_by_segment_trade_and_order() -> None:
    fill = fill_of(parse_document(render_document(TRADE_ROW)))
    assert fill.venue_fill_id == "NSE_EQ:200764585:112111182198"
    assert (fill.quantity, fill.price_e4) == (2, 28_500_500)
    assert fill.filled_at_ns == utc_ns_of("2026-10-01 10:00:01")


def test_a_fill_that_lacks_the_exchange_time_takes_the_next_best() -> None:
    fill = fill_of({**TRADE_ROW, "tradedPrice": 392, "exchangeTime": "0001-01-01 00:00:00", "updateTime": "NA"})
    assert fill.filled_at_ns == utc_ns_of("2026-10-01 10:00:00")


def test_a_fill_without_any_time_is_malformed() -> None:
    row = {**TRADE_ROW, "tradedPrice": 392, "exchangeTime": None, "updateTime": "NA", "createTime": ""}
    with pytest.raises(AnswerMalformed):
        fill_of(row)


def test_a_position_is_read_and_a_foreign_product_is_passed_over() -> None:
    position = position_of({**POSITION_ROW, "netQty": "-5"})
    assert (position.instrument, position.product, position.net_quantity) == (RELIANCE.key, Product.INTRADAY, -5)
    with pytest.raises(RowUnsupported):
        position_of({**POSITION_ROW, "productType": "BO"})


def test_an_order_row_tells_its_instruction() -> None:
    instruction = instruction_of(parse_document(render_document(ORDER_ROW)))
    assert instruction == LIMIT_BUY
    index_row = {**ORDER_ROW, "exchangeSegment": "IDX_I", "securityId": 13, "orderType": "MARKET", "price": 0}
    index = instruction_of({**index_row, "transactionType": "SELL"})
    assert (index.instrument, index.side) == (InstrumentKey(Segment.INDEX, "13"), Side.SELL)
    assert (index.order_type, index.limit_price_e4) == (OrderType.MARKET, None)
    with pytest.raises(RowUnsupported):
        instruction_of({**ORDER_ROW, "orderType": "SINGLE"})


STOP_ROW = {**ORDER_ROW, "orderType": "STOP_LOSS", "price": 2850, "triggerPrice": "2851.5"}


def test_a_stop_goes_out_with_its_trigger_and_comes_back_with_it() -> None:
    document = order_document("1", STOP_SELL, CORRELATION)
    assert document["orderType"] == "STOP_LOSS"
    assert b'"price":2849.00,"triggerPrice":2850.00}' in render_document(document)
    order = order_of(STOP_ROW)
    assert (order.order_type, order.limit_price_e4, order.trigger_price_e4) == (OrderType.SL, 28_500_000, 28_515_000)


def test_only_what_an_order_uses_goes_out() -> None:
    assert {"triggerPrice", "disclosedQuantity", "afterMarketOrder", "amoTime"}.isdisjoint(
        order_document("1", LIMIT_BUY, CORRELATION)
    )
    waiting = msgspec.structs.replace(LIMIT_BUY, after_market=True, disclosed_quantity=2)
    document = order_document("1", waiting, CORRELATION)
    assert (document["afterMarketOrder"], document["amoTime"], document["disclosedQuantity"]) == (True, "OPEN", 2)


def test_a_change_to_market_takes_limit_and_trigger_away() -> None:
    document = change_document("1", VenueOrderId("112111182198"), MARKET_SELL)
    assert (document["orderType"], document["price"], document["triggerPrice"]) == ("MARKET", 0, 0)
    assert (document["orderId"], document["quantity"], document["validity"]) == ("112111182198", 5, "DAY")


@pytest.mark.parametrize(
    "row",
    [
        {**STOP_ROW, "triggerPrice": 0},
        {**STOP_ROW, "triggerPrice": None},
        {**STOP_ROW, "price": "NA"},
        {**ORDER_ROW, "orderType": "SINGLE"},
        {**ORDER_ROW, "orderType": None},
        {**ORDER_ROW, "price": 0},
    ],
)
def test_a_row_that_does_not_say_what_the_order_is_tells_nothing_of_it(row: dict[str, object]) -> None:
    order = order_of(row)
    assert (order.order_type, order.limit_price_e4, order.trigger_price_e4) == (None, None, None)
    assert order.venue_order_id == "112111182198"


def test_a_row_of_a_kind_that_we_do_not_trade_is_a_row_all_the_same() -> None:
    order = order_of({**ORDER_ROW, "productType": "BO", "exchangeSegment": "NSE_COMM", "transactionType": "?"})
    assert (order.product, order.instrument, order.side) == (None, None, None)
    fill = fill_of({**TRADE_ROW, "productType": "CO", "tradedPrice": 392})
    assert (fill.product, fill.instrument, fill.side) == (None, RELIANCE.key, Side.BUY)


@pytest.mark.parametrize("product", Product)
def test_every_product_is_read(product: Product) -> None:
    assert order_of({**ORDER_ROW, "productType": product.value}).product is product


def test_rows_come_bare_in_a_list_or_not_at_all() -> None:
    assert rows_of([ORDER_ROW]) == rows_of(ORDER_ROW) == [ORDER_ROW]
    assert rows_of(None) == rows_of([]) == []
    with pytest.raises(AnswerMalformed):
        rows_of(["text"])


def test_an_order_id_may_be_a_number_but_must_be_one_id() -> None:
    assert venue_order_id_of({"orderId": 112111182198}) == "112111182198"
    for document in (None, [], {}, {"orderId": ""}, {"orderId": "0"}, [{"orderId": "1"}, {"orderId": "2"}]):
        with pytest.raises(AnswerMalformed):
            venue_order_id_of(document)
