"""Whatever the broker tells, its difference from ours is put down whole; where it only rounds, to rounding alone."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.contract_note import Cause, ChargedOrder, NotedCharges, NotedFill, Rates, compare
from domain.ids import VenueOrderId
from domain.order import Product, Side
from tests.support.statements import Dealt

fills = st.lists(st.tuples(st.integers(1, 500), st.integers(1_0000, 5_000_0000)), min_size=1, max_size=4).map(tuple)
names = st.integers(1, 6).map(lambda number: VenueOrderId(f"4226082800000{number}"))
amounts_e4 = st.integers(0, 50_0000)
kinds = st.sampled_from(
    [
        ("NSE_EQ", "equity", Product.INTRADAY),
        ("NSE_EQ", "equity", Product.CNC),
        ("NSE_FNO", "option", Product.MARGIN),
        ("NSE_CURRENCY", "future", Product.MARGIN),
        ("MCX_COMM", "future", Product.MARGIN),
    ]
)
dealt = st.builds(
    lambda kind, side, fills, name: Dealt(*kind, side, fills=fills, name=name),
    kinds,
    st.sampled_from(Side),
    fills,
    names,
)
noted = st.builds(
    NotedCharges,
    brokerage_e4=amounts_e4,
    exchange_e4=amounts_e4,
    sebi_e4=amounts_e4,
    stt_e4=amounts_e4,
    stamp_duty_e4=amounts_e4,
    gst_e4=amounts_e4,
)


@st.composite
def books(draw: st.DrawFn) -> tuple[list[ChargedOrder], list[NotedFill], dict[VenueOrderId, Rates]]:
    """Both books of a day: orders in one or both, told of rightly, finely or wrongly, with or without a tariff."""
    booked: list[ChargedOrder] = []
    told: list[NotedFill] = []
    rates: dict[VenueOrderId, Rates] = {}
    for order in draw(st.lists(dealt, max_size=5, unique_by=lambda order: order.booked.venue_order_id)):
        if draw(st.booleans()) or draw(st.booleans()):
            booked.append(order.booked)
        if draw(st.booleans()):
            rates[order.booked.venue_order_id] = order.rates
        rows = draw(st.sampled_from([[], [order.told], order.in_rows(), order.in_rows()[:1]]))
        told += [replace(row, charges=draw(noted)) if draw(st.booleans()) else row for row in rows]
    return booked, told, rates


@given(books())
def test_causes_and_what_is_unexplained_are_the_difference_exactly(
    both: tuple[list[ChargedOrder], list[NotedFill], dict[VenueOrderId, Rates]],
) -> None:
    booked, told, rates = both
    compared = compare(booked, told, rates)
    for line in compared.lines:
        assert sum(share.amount_e4 for share in line.shares) == line.difference_e4
        assert all(share.amount_e4 for share in line.shares)
    assert sum(line.theirs_e4 for line in compared.lines) == sum(row.charges.total_e4 for row in told)
    assert sum(line.ours_e4 for line in compared.lines) == sum(order.charges.total_paise for order in booked) * 100
    assert compare(booked[::-1], told[::-1], rates) == compared


@given(dealt)
def test_a_statement_by_execution_in_four_places_differs_by_rounding_alone(order: Dealt) -> None:
    compared = compare([order.booked], order.in_rows(), {order.booked.venue_order_id: order.rates})
    assert {share.cause for line in compared.lines for share in line.shares} <= {Cause.ROUNDING}
