"""What orders are charged: the worked examples of docs/charges.md, the rules, and the table with its sources."""

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.tariffs import TariffTable
from domain.charges import (
    NO_CHARGES,
    NOTHING_ACCRUED,
    Accrual,
    Charge,
    Charges,
    Tariff,
    TariffLine,
    as_on_contract_note,
    charges_of_debit,
    charges_of_fill,
    charges_of_order,
    sum_of,
)
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment
from domain.money import parse_price_e4, value_paise
from domain.order import Product, Side
from tests.support.tariffs import EXAMPLES, TARIFFS

ROOT = Path(__file__).parents[2]
LINES = ("Brokerage", "Exchange", "IPFT", "SEBI", "STT", "CTT", "Stamp duty", "GST", "DP")


def instrument(segment: str = "NSE_EQ", kind: str = "equity") -> Instrument:
    return Instrument(
        key=InstrumentKey(Segment(segment), "1"),
        symbol="ONE",
        name="One",
        tradable=True,
        tick_e4=500,
        lot=1,
        kind=InstrumentKind(kind),
    )


def paise(text: str) -> int:
    return int(Decimal(text) * 100)


def tariff(product: Product = Product.INTRADAY, side: Side = Side.BUY, *, day: str = "2026-11-20") -> Tariff:
    return TARIFFS.tariff_of(instrument(), product, side, day=day)


# --- Worked examples --------------------------------------------------------------------------------------------------


def test_there_are_examples_of_every_kind_on_three_dates() -> None:
    assert len(EXAMPLES) >= 30
    on_day: dict[str, set[tuple[str, ...]]] = {}
    for each in EXAMPLES:
        kind = (each["Segment"], each["Kind"], each["Product"], each["Side"])
        on_day.setdefault(each["Day"], set()).add(kind)
    assert set(on_day) == {"2023-06-15", "2024-11-15", "2026-05-15"}
    assert len(set.intersection(*on_day.values())) >= 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["No"])
def test_an_order_is_charged_as_it_is_by_hand(example: dict[str, str]) -> None:
    side, units = Side(example["Side"]), int(example["Units"])
    worth = value_paise(price_e4=parse_price_e4(example["Price"]), quantity=units)
    assert worth == paise(example["Value"])
    in_force = TARIFFS.tariff_of(
        instrument(example["Segment"], example["Kind"]), Product(example["Product"]), side, day=example["Day"]
    )
    charges = charges_of_order(in_force, value_paise=worth) + charges_of_debit(in_force)
    shown = [charges.of(Charge(line.lower().replace(" ", "_"))) for line in LINES]
    assert shown == [paise(example[line]) for line in LINES]
    assert charges.total_paise == paise(example["Total"])


def test_today_s_tariff_of_the_nse_has_a_source_for_every_line() -> None:
    for segment, kind in (("NSE_EQ", "equity"), ("NSE_FNO", "future"), ("NSE_FNO", "option")):
        for product in Product:
            for side in Side:
                lines = TARIFFS.tariff_of(instrument(segment, kind), product, side, day="2026-11-20").lines
                assert [line.charge for line in lines if not line.is_verified] == []


# --- Rules ------------------------------------------------------------------------------------------------------------


def test_fills_of_an_order_cost_what_one_fill_would() -> None:
    accrual, booked = NOTHING_ACCRUED, []
    for part in (1_00, 33_33, 66_666_67, 1):
        charges = charges_of_fill(tariff(), accrual, value_paise=part)
        accrual = accrual.after(value_paise=part, charges=charges)
        booked.append(charges)
    assert sum_of(booked) == charges_of_order(tariff(), value_paise=66_701_01)
    assert booked[2].brokerage_paise + booked[0].brokerage_paise + booked[1].brokerage_paise == 20_00
    assert booked[3].brokerage_paise == 0


def test_the_day_s_debit_is_no_part_of_what_the_order_came_to() -> None:
    charges = Charges(exchange_paise=3, dp_paise=14_75)
    assert NOTHING_ACCRUED.after(value_paise=100_00, charges=charges) == Accrual(
        value_paise=100_00, charges=Charges(exchange_paise=3)
    )


@pytest.mark.parametrize(("paid", "noted"), [(49, 0), (50, 1_00), (1_49, 1_00), (1_50, 2_00)])
def test_a_contract_note_has_taxes_on_turnover_in_whole_rupees(paid: int, noted: int) -> None:
    day = Charges(brokerage_paise=49, stt_paise=paid, ctt_paise=paid, stamp_duty_paise=paid, gst_paise=49)
    assert as_on_contract_note(day) == Charges(
        brokerage_paise=49, stt_paise=noted, ctt_paise=noted, stamp_duty_paise=noted, gst_paise=49
    )


def test_only_what_bears_it_is_taxed() -> None:
    before, after = tariff(day="2022-07-17"), tariff(day="2022-07-18")
    worth = 10_000_000_00
    assert charges_of_order(before, value_paise=worth).sebi_paise == 10_00
    assert (
        charges_of_order(after, value_paise=worth).gst_paise - charges_of_order(before, value_paise=worth).gst_paise
        == 1_80
    )


def test_a_purchase_and_an_intraday_sale_debit_nothing() -> None:
    assert charges_of_debit(tariff(Product.CNC, Side.SELL)) == Charges(dp_paise=14_75)
    assert charges_of_debit(tariff(Product.CNC, Side.BUY)) == NO_CHARGES
    assert charges_of_debit(tariff(Product.INTRADAY, Side.SELL)) == NO_CHARGES


# --- The table --------------------------------------------------------------------------------------------------------


def _table(**changed: Any) -> str:
    row = {
        "charge": "stt",
        "segments": "NSE_EQ",
        "kinds": "equity",
        "products": "all",
        "sides": "SELL",
        "valid_from": "2024-10-01",
        "rate_percent": "0.1",
        "flat_rupees": "",
        "gst": "no",
        "verified": "yes",
        "source": "a circular",
    } | changed
    text = io.StringIO()
    writer = csv.DictWriter(text, row)
    writer.writeheader()
    writer.writerow(row)
    writer.writerow(row | {"valid_from": "2025-01-01", "rate_percent": "0.2"})
    return text.getvalue()


def loaded(tmp_path: Path, text: str) -> TariffTable:
    path = tmp_path / "charges.csv"
    path.write_text(text)
    return TariffTable.load(path)


@pytest.mark.parametrize(
    ("day", "rate_e9"),
    [("2024-09-30", None), ("2024-10-01", 1_000_000), ("2024-12-31", 1_000_000), ("2025-01-01", 2_000_000)],
)
def test_a_line_holds_from_its_day_to_the_next_one(tmp_path: Path, day: str, rate_e9: int | None) -> None:
    found = loaded(tmp_path, _table()).tariff_of(instrument(), Product.CNC, Side.SELL, day=day)
    assert [line.rate_e9 for line in found.lines] == ([] if rate_e9 is None else [rate_e9])


def test_what_no_line_holds_for_is_charged_nothing(tmp_path: Path) -> None:
    table = loaded(tmp_path, _table())
    assert table.tariff_of(instrument(), Product.CNC, Side.BUY, day="2026-11-20") == Tariff()
    assert table.tariff_of(instrument("BSE_EQ"), Product.CNC, Side.SELL, day="2026-11-20") == Tariff()
    assert charges_of_order(Tariff(), value_paise=10**9) == NO_CHARGES


@pytest.mark.parametrize(
    "wrong",
    [{"valid_from": "2025-01-01"}, {"rate_percent": "0.00000001"}, {"flat_rupees": "0.001"}, {"gst": "perhaps"}],
    ids=str,
)
def test_a_table_that_says_two_things_or_none_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises((ValueError, KeyError)):
        loaded(tmp_path, _table(**wrong))


def test_every_line_that_is_shipped_has_a_source_and_says_what_is_not_verified() -> None:
    rows = list(csv.DictReader((ROOT / "adapters" / "data" / "charges.csv").read_text().splitlines()))
    assert all(row["source"].strip() for row in rows)
    assert {row["verified"] for row in rows} == {"yes", "no"}
    assert all(row["verified"] == "no" for row in rows if "assumed" in row["source"] or "remembered" in row["source"])


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("day", ["1999-01-04", "2026-11-20"])
def test_every_order_that_may_be_is_charged_by_its_exchange_regulator_and_state(day: str, side: Side) -> None:
    kinds = {"NSE_EQ": ["equity"], "BSE_EQ": ["equity"]}
    for segment in Segment:
        for kind in kinds.get(segment.value, ["future", "option"]) if segment is not Segment.INDEX else []:
            for product in Product if kind == "equity" else (Product.INTRADAY, Product.MARGIN):
                lines = TARIFFS.tariff_of(instrument(segment.value, kind), product, side, day=day).lines
                charged = {line.charge for line in lines}
                wanted = {Charge.BROKERAGE, Charge.EXCHANGE, Charge.SEBI, Charge.GST}
                assert charged >= wanted | ({Charge.STAMP_DUTY} if side is Side.BUY else set()), (segment, kind)
                assert len(charged) == len(lines)


def test_a_line_of_rate_and_amount_charges_the_lesser() -> None:
    line = TariffLine(
        charge=Charge.BROKERAGE,
        rate_e9=300_000,
        flat_paise=20_00,
        bears_gst=True,
        valid_from="",
        is_verified=True,
        source="a price list",
    )
    worths = (0, 16_66, 16_67, 66_649_99, 66_650_00, 10**12)
    assert [line.amount_paise(worth) for worth in worths] == [0, 0, 1, 19_99, 20_00, 20_00]
