"""Charges are the sum of their lines, do not depend on how an order fills, and hardly on how an intent is sliced."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from domain.charges import NOTHING_ACCRUED, Charge, Tariff, charges_of_fill, charges_of_order, sum_of
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment
from domain.order import Product, Side
from tests.support.tariffs import TARIFFS

PARTS_MAX = 12
worths = st.one_of(st.integers(1, 10_000), st.integers(1, 10**7), st.integers(1, 10**12))
parts = st.lists(worths, min_size=1, max_size=PARTS_MAX)


def _tariff(segment: Segment, kind: InstrumentKind, product: Product, side: Side, day: date) -> Tariff:
    instrument = Instrument(
        key=InstrumentKey(segment, "1"), symbol="ONE", name="One", tradable=True, tick_e4=1, lot=1, kind=kind
    )
    return TARIFFS.tariff_of(instrument, product, side, day=day.isoformat())


tariffs = st.builds(
    _tariff,
    segment=st.sampled_from(Segment),
    kind=st.sampled_from(InstrumentKind),
    product=st.sampled_from(Product),
    side=st.sampled_from(Side),
    day=st.dates(date(2015, 1, 1), date(2027, 12, 31)),
)


@given(tariff=tariffs, worth=worths)
def test_the_total_is_the_sum_of_its_parts(tariff: Tariff, worth: int) -> None:
    charges = charges_of_order(tariff, value_paise=worth)
    lines = [charges.of(charge) for charge in Charge]
    assert charges.total_paise == sum(lines)
    assert min(lines) >= 0
    assert {charge for charge in Charge if charges.of(charge)} <= {line.charge for line in tariff.lines}


@given(tariff=tariffs, fills=parts)
def test_any_number_of_fills_costs_what_one_would(tariff: Tariff, fills: list[int]) -> None:
    accrual, booked = NOTHING_ACCRUED, []
    for fill in fills:
        charges = charges_of_fill(tariff, accrual, value_paise=fill)
        assert min(charges.of(charge) for charge in Charge) >= 0
        accrual = accrual.after(value_paise=fill, charges=charges)
        booked.append(charges)
    assert sum_of(booked) == charges_of_order(tariff, value_paise=sum(fills))


@given(tariff=tariffs, slices=parts)
def test_one_large_order_is_charged_like_its_slices_but_for_rounding_and_brokerage(
    tariff: Tariff, slices: list[int]
) -> None:
    whole = charges_of_order(tariff, value_paise=sum(slices))
    sliced = sum_of(charges_of_order(tariff, value_paise=part) for part in slices)
    # Half a paisa for each slice, and half a paisa for the whole; twice of it, to stay with whole numbers.
    rounding = len(slices) + 1
    for charge in set(Charge) - {Charge.BROKERAGE, Charge.GST, Charge.DP}:
        assert 2 * abs(sliced.of(charge) - whole.of(charge)) <= rounding
    brokerage = tariff.line_of(Charge.BROKERAGE)
    more = sliced.brokerage_paise - whole.brokerage_paise
    assert 2 * more >= -rounding
    assert more <= 0 if brokerage is None else True
    if brokerage is not None and brokerage.flat_paise is not None:
        assert sliced.brokerage_paise <= len(slices) * brokerage.flat_paise
    taxed = sum(abs(sliced.of(line.charge) - whole.of(line.charge)) for line in tariff.lines if line.bears_gst)
    assert abs(sliced.gst_paise - whole.gst_paise) * 100 <= 18 * taxed + 50 * rounding
