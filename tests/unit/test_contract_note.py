"""The broker's charges beside ours: what is put down to which cause, by rows of live accounts and by rows made up."""

import pytest
from msgspec.structs import replace

from domain.charges import NO_CHARGES, Charges
from domain.contract_note import Cause, Comparison, LineDifference, Match, NotedCharges, NoteLine, compare
from domain.ids import VenueOrderId
from domain.money import parse_price_e4
from domain.order import Product, Side
from tests.support.statements import ORDER, Dealt
from tests.support.tariffs import EXAMPLES

OTHER = VenueOrderId("42260828000002")


def line_of(compared: Comparison, line: NoteLine) -> LineDifference:
    return next(each for each in compared.lines if each.line is line)


def shares_of(compared: Comparison, line: NoteLine) -> dict[Cause, int]:
    return {share.cause: share.amount_e4 for share in line_of(compared, line).shares}


def all_shares(compared: Comparison) -> dict[NoteLine, dict[Cause, int]]:
    """Return the shares of every line that differs."""
    return {each.line: shares_of(compared, each.line) for each in compared.lines if each.shares}


def causes_of(compared: Comparison) -> set[Cause]:
    return {share.cause for each in compared.lines for share in each.shares}


def test_equal_books_differ_in_nothing() -> None:
    dealt = Dealt()
    compared = dealt.compared()
    assert all_shares(compared) == {}
    assert [each.line for each in compared.lines] == list(NoteLine)
    assert sum(each.theirs_e4 for each in compared.lines) == dealt.booked.charges.total_paise * 100
    (order,) = compared.orders
    assert (order.match, order.quantity, order.our_quantity, order.unexplained_e4) == (Match.BOTH, 100, 100, 0)


def test_a_day_of_nothing_has_lines_of_nothing() -> None:
    compared = compare([], [], {})
    assert (all_shares(compared), compared.orders, len(compared.lines)) == ({}, (), len(NoteLine))


# --- Rows of live accounts ---


def test_an_option_on_gold_was_charged_by_our_tariff_but_for_rounding() -> None:
    # As a live account was told on 2026-08-27: 400 sold at 19.75.
    dealt = Dealt("MCX_COMM", "option", Product.MARGIN, Side.SELL, fills=((400, 19_7500),), day="2026-08-27")
    told = NotedCharges(brokerage_e4=20_0000, exchange_e4=3_3022, sebi_e4=79, stt_e4=3_9500, gst_e4=4_1958)
    compared = compare([dealt.booked], [replace(dealt.told, charges=told)], {ORDER: dealt.rates})
    assert all_shares(compared) == {
        NoteLine.EXCHANGE: {Cause.ROUNDING: 22},
        NoteLine.SEBI: {Cause.ROUNDING: -21},
        NoteLine.GST: {Cause.ROUNDING: -42},
    }


def test_units_that_are_free_of_a_tax_which_we_book_are_seen() -> None:
    # As a live account was told on 2026-08-28: 10,000 of a fund bought at 29.9532 on average, in one row.
    dealt = Dealt(product=Product.CNC, fills=((125, 29_9500),) * 60 + ((1_250, 29_9628),) * 2)
    told = NotedCharges(exchange_e4=9_1931, sebi_e4=2985, stamp_duty_e4=44_7700, gst_e4=1_7084)
    compared = compare([dealt.booked], [replace(dealt.told, charges=told)], {ORDER: dealt.rates})
    shares = all_shares(compared)
    assert shares.pop(NoteLine.STT) == {Cause.UNEXPLAINED: -299_5300}
    assert causes_of(compared) == {Cause.UNEXPLAINED, Cause.ROUNDING}
    assert shares[NoteLine.STAMP_DUTY] == {Cause.ROUNDING: -1600}


# --- Rounding ---


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["No"])
def test_a_broker_that_rounds_each_execution_differs_from_the_worked_examples_by_that_alone(
    example: dict[str, str],
) -> None:
    price_e4, units = parse_price_e4(example["Price"]), int(example["Units"])
    parts = (units // 3, units // 3, units - 2 * (units // 3))
    dealt = Dealt(
        example["Segment"],
        example["Kind"],
        Product(example["Product"]),
        Side(example["Side"]),
        fills=tuple((part, price_e4) for part in parts if part),
        day=example["Day"],
    )
    compared = compare([dealt.booked], dealt.in_rows(), {ORDER: dealt.rates})
    assert causes_of(compared) <= {Cause.ROUNDING}
    assert all(abs(each.difference_e4) <= 2_00 for each in compared.lines)


def test_a_tax_in_whole_rupees_is_seen_order_by_order() -> None:
    dealt = Dealt(side=Side.SELL, fills=((30, 2_850_0500),))
    assert dealt.told.charges.stt_e4 == 21_3800
    compared = dealt.compared(stt_e4=21_0000)
    assert all_shares(compared) == {NoteLine.STT: {Cause.WHOLE_RUPEES: -3800}}


def test_a_tax_in_whole_rupees_is_seen_over_the_day_where_it_is_shared_out() -> None:
    first = Dealt(side=Side.SELL, fills=((30, 2_850_0500),))
    second = Dealt(side=Side.SELL, fills=((10, 2_850_0500),), name=OTHER)
    assert (first.told.charges.stt_e4, second.told.charges.stt_e4) == (21_3800, 7_1300)
    told = [
        replace(first.told, charges=replace(first.told.charges, stt_e4=21_7500)),
        replace(second.told, charges=replace(second.told.charges, stt_e4=7_2500)),
    ]
    compared = compare([first.booked, second.booked], told, {ORDER: first.rates, OTHER: second.rates})
    assert all_shares(compared) == {NoteLine.STT: {Cause.WHOLE_RUPEES: 4900}}
    assert [order.unexplained_e4 for order in compared.orders] == [0, 0]
    told[1] = replace(second.told, charges=replace(second.told.charges, stt_e4=7_3000))
    uneven = compare([first.booked, second.booked], told, {ORDER: first.rates, OTHER: second.rates})
    assert shares_of(uneven, NoteLine.STT) == {Cause.UNEXPLAINED: 3700 + 1700}
    assert [order.unexplained_e4 for order in uneven.orders] == [3700, 1700]


def test_what_is_wrong_both_ways_is_no_rounding_of_the_day() -> None:
    first = Dealt(side=Side.SELL, fills=((30, 2_850_0500),))
    second = Dealt(side=Side.SELL, fills=((10, 2_850_0500),), name=OTHER)
    told = [
        replace(first.told, charges=replace(first.told.charges, stt_e4=26_3800)),
        replace(second.told, charges=replace(second.told.charges, stt_e4=2_6200)),
    ]
    compared = compare([first.booked, second.booked], told, {ORDER: first.rates, OTHER: second.rates})
    assert line_of(compared, NoteLine.STT).theirs_e4 == 29_0000
    assert [order.unexplained_e4 for order in compared.orders] == [5_0000, 4_5100]


def test_a_paisa_is_rounding_where_the_broker_tells_paise_and_three_are_not() -> None:
    dealt = Dealt()
    sebi_e4 = dealt.told.charges.sebi_e4
    assert all_shares(dealt.compared(sebi_e4=sebi_e4 + 200)) == {NoteLine.SEBI: {Cause.ROUNDING: 200}}
    compared = dealt.compared(sebi_e4=sebi_e4 + 300)
    assert shares_of(compared, NoteLine.SEBI) == {Cause.UNEXPLAINED: 300}
    assert compared.orders[0].unexplained_e4 == 300


# --- Brokerage ---


FILLS = ((50, 2_850_0500),) * 2


def test_a_brokerage_of_twenty_rupees_an_execution_is_seen() -> None:
    dealt = Dealt(fills=FILLS)
    gst_e4 = dealt.told.charges.gst_e4
    assert all_shares(dealt.compared(brokerage_e4=40_0000, gst_e4=gst_e4 + 3_6100)) == {
        NoteLine.BROKERAGE: {Cause.BROKERAGE_PER_FILL: 20_0000},
        NoteLine.GST: {Cause.TAX_ON_DIFFERENCE: 3_6000, Cause.ROUNDING: 100},
    }


def test_a_brokerage_without_its_most_is_seen() -> None:
    compared = Dealt(fills=FILLS).compared(brokerage_e4=85_5000)
    assert shares_of(compared, NoteLine.BROKERAGE) == {Cause.BROKERAGE_WITHOUT_MOST: 65_5000}


def test_a_brokerage_that_is_its_most_although_the_rate_is_less_is_seen() -> None:
    compared = Dealt(fills=((10, 2_850_0500),)).compared(brokerage_e4=20_0000)
    assert shares_of(compared, NoteLine.BROKERAGE) == {Cause.BROKERAGE_FLAT: 20_0000 - 8_5500}


# --- Rates ---


def test_a_rate_of_before_is_seen() -> None:
    # Until 2024-09-30 the exchange took 0.00322 %, with the fund's part 0.00332 %.
    dealt = Dealt(fills=((1_000, 2_850_0000),))
    compared = dealt.compared(exchange_e4=94_6200)
    assert shares_of(compared, NoteLine.EXCHANGE) == {Cause.RATE_OF_ANOTHER_DAY: 94_6200 - 87_5000}


def test_a_charge_that_the_statement_does_not_have_is_seen() -> None:
    dealt = Dealt(fills=((1_000, 2_850_0000),))
    charges = dealt.booked.charges
    compared = dealt.compared(exchange_e4=charges.exchange_paise * 100)
    assert shares_of(compared, NoteLine.EXCHANGE) == {Cause.NOT_ON_NOTE: -charges.ipft_paise * 100}


def test_the_debit_of_the_demat_account_is_in_no_statement() -> None:
    dealt = Dealt(product=Product.CNC, side=Side.SELL)
    booked = replace(dealt.booked, charges=dealt.booked.charges + Charges(dp_paise=14_75))
    assert all_shares(dealt.compared(booked)) == {NoteLine.DP: {Cause.NOT_ON_NOTE: -14_7500}}


def test_a_tax_that_we_do_not_know_is_named() -> None:
    compared = Dealt(side=Side.BUY).compared(stt_e4=71_2500)
    assert all_shares(compared) == {NoteLine.STT: {Cause.NO_LINE: 71_2500}}


def test_a_rate_that_no_source_bears_out_is_named() -> None:
    dealt = Dealt("NSE_CURRENCY", "future", Product.MARGIN, fills=((1_000, 84_1200),))
    compared = dealt.compared(brokerage_e4=15_0000)
    assert shares_of(compared, NoteLine.BROKERAGE) == {Cause.UNVERIFIED_RATE: -5_0000}


def test_a_tariff_that_was_corrected_since_is_seen() -> None:
    dealt = Dealt(fills=((1_000, 2_850_0000),))
    booked = replace(dealt.booked, charges=dealt.booked.charges + Charges(stamp_duty_paise=-10_00))
    assert all_shares(dealt.compared(booked)) == {NoteLine.STAMP_DUTY: {Cause.TARIFF_CORRECTED: 10_0000}}


def test_an_order_that_we_could_not_charge_is_seen() -> None:
    dealt = Dealt()
    compared = dealt.compared(replace(dealt.booked, charges=NO_CHARGES))
    assert causes_of(compared) == {Cause.NOT_CHARGED, Cause.TAX_ON_DIFFERENCE, Cause.ROUNDING}
    assert shares_of(compared, NoteLine.BROKERAGE) == {Cause.NOT_CHARGED: 20_0000}


def test_without_a_tariff_whatever_is_more_than_rounding_is_unexplained() -> None:
    dealt = Dealt()
    told = replace(dealt.told, charges=replace(dealt.told.charges, brokerage_e4=21_0000))
    compared = compare([dealt.booked], [told], {})
    assert all_shares(compared) == {NoteLine.BROKERAGE: {Cause.UNEXPLAINED: 1_0000}}


# --- Orders ---


def test_orders_of_one_book_alone_are_put_down_to_that() -> None:
    ours, theirs = Dealt(), Dealt(name=OTHER, fills=((7, 2_850_0500),))
    compared = compare([ours.booked], [theirs.told], {ORDER: ours.rates})
    assert causes_of(compared) == {Cause.NOT_IN_OURS, Cause.NOT_IN_THEIRS}
    assert shares_of(compared, NoteLine.BROKERAGE) == {
        Cause.NOT_IN_OURS: theirs.told.charges.brokerage_e4,
        Cause.NOT_IN_THEIRS: -20_0000,
    }
    assert [(order.venue_order_id, order.match) for order in compared.orders] == [
        (ORDER, Match.NOT_IN_THEIRS),
        (OTHER, Match.NOT_IN_OURS),
    ]


def test_another_quantity_is_charged_for_first() -> None:
    ours, theirs = Dealt(fills=((10, 2_850_0500),)), Dealt(fills=((20, 2_850_0500),))
    compared = compare([ours.booked], [theirs.told], {ORDER: ours.rates})
    assert causes_of(compared) <= {Cause.OTHER_QUANTITY, Cause.TAX_ON_DIFFERENCE, Cause.ROUNDING}
    assert shares_of(compared, NoteLine.BROKERAGE) == {Cause.OTHER_QUANTITY: 8_5500}
    assert compared.orders[0].match is Match.OTHER_QUANTITY


def test_the_tax_follows_what_the_broker_taxes() -> None:
    dealt = Dealt()
    less_e4 = dealt.told.charges.gst_e4 - 18_000
    compared = dealt.compared(brokerage_e4=19_0000, gst_e4=less_e4 + 16_200)
    assert shares_of(compared, NoteLine.GST) == {Cause.TAX_ON_DIFFERENCE: -1800}
    more = dealt.compared(brokerage_e4=19_0000, gst_e4=dealt.told.charges.gst_e4 + 10_000)
    assert shares_of(more, NoteLine.GST) == {Cause.TAX_ON_DIFFERENCE: -1800, Cause.UNEXPLAINED: 11_800}
