"""Dhan's scrip master: what its rows become, and which define nothing that can be used."""

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adapters.dhan.scrip_master import ScripMasterInvalid, Unusable, read_scrip_master
from adapters.instrument_store.definitions import MasterRead
from tests.support import scrip_masters as rows
from tests.support.scrip_masters import DAY, read_master, write_master

REAL = Path(__file__).parents[3] / "shared" / "data" / "instruments"
needs_real_masters = pytest.mark.skipif(not REAL.exists(), reason=f"there are no real scrip masters at {REAL}")


def definitions(read: MasterRead) -> dict[str, dict[str, Any]]:
    return {row["symbol"]: row for row in read.frame.iter_rows(named=True)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MasterRead:
    return read_master(tmp_path_factory.mktemp("whole"), rows.WHOLE)


@pytest.mark.parametrize(
    ("symbol", "key", "kind", "steps"),
    [
        ("RELIANCE", "NSE_EQ:2885", "equity", (1_000, 1)),
        ("NIFTYBEES", "NSE_EQ:10576", "fund", (100, 1)),
        ("656MH32", "NSE_EQ:1000", "bond", (100, 100)),
        ("BSE:RELIANCE", "BSE_EQ:500325", "equity", (500, 1)),
        ("NIFTY", "INDEX:13", "index", (100, 1)),
        ("SENSEX", "INDEX:51", "index", (100, 1)),
        ("RELIANCE 28 OCT 2025 FUT", "NSE_FNO:52509", "future", (1_000, 500)),
        ("NIFTY 07 OCT 2025 25000 CE", "NSE_FNO:38387", "option", (500, 75)),
        ("NIFTY 14 OCT 2025 25000 CE", "NSE_FNO:42673", "option", (500, 75)),
        ("BSE:SENSEX 09 OCT 2025 80000 PE", "BSE_FNO:1100001", "option", (500, 20)),
        ("USDINR 27 MAR 2026 83.25 CE", "NSE_CURRENCY:10000", "option", (25, 1)),
        ("GOLD 03 OCT 2025 FUT", "MCX_COMM:440939", "future", (10_000, 1)),
    ],
)
def test_a_row_becomes_a_definition_under_a_symbol_of_its_own(
    whole: MasterRead, symbol: str, key: str, kind: str, steps: tuple[int, int]
) -> None:
    row = definitions(whole)[symbol]
    assert (f"{row['segment']}:{row['security_id']}", row["kind"]) == (key, kind)
    assert (row["tick_e4"], row["lot"]) == steps


def test_every_row_of_a_sound_master_is_used(whole: MasterRead) -> None:
    assert (whole.rows, whole.frame.height, dict(whole.unusable)) == (len(rows.WHOLE), len(rows.WHOLE), {})
    assert whole.frame["symbol"].is_unique().all()


def test_an_option_has_underlying_strike_right_and_last_day(whole: MasterRead) -> None:
    option = definitions(whole)["USDINR 27 MAR 2026 83.25 CE"]
    assert (option["underlying"], option["strike_e4"], option["option_type"]) == ("USDINR", 83_2500, "call")
    assert (option["expires_on"], option["venue_symbol"]) == ("2026-03-27", "USDINR-MAR2026-83.25-CE")


def test_a_future_has_no_strike_and_a_share_no_last_day(whole: MasterRead) -> None:
    found = definitions(whole)
    assert found["RELIANCE 28 OCT 2025 FUT"]["strike_e4"] is None
    assert found["RELIANCE"]["expires_on"] is found["NIFTY"]["expires_on"] is None


def test_bonds_indices_and_test_symbols_cannot_be_traded(whole: MasterRead) -> None:
    closed = {symbol for symbol, row in definitions(whole).items() if not row["tradable"]}
    tests = {symbol for symbol, row in definitions(whole).items() if row["is_test"]}
    assert tests == {"011NSETEST", "011NSETEST 27 NOV 2036 FUT"}
    assert closed == tests | {"NIFTY", "SENSEX", "656MH32", "KAPAS 28 NOV 2025 FUT"}


def test_a_contract_has_the_units_of_its_exchange_and_without_them_it_cannot_be_traded(whole: MasterRead) -> None:
    found = definitions(whole)
    assert found["GOLD 03 OCT 2025 FUT"]["multiplier"] == 100
    assert found["USDINR 27 MAR 2026 83.25 CE"]["multiplier"] == 1_000
    assert found["NIFTY 07 OCT 2025 25000 CE"]["multiplier"] == 1
    assert (found["KAPAS 28 NOV 2025 FUT"]["multiplier"], found["KAPAS 28 NOV 2025 FUT"]["tradable"]) == (1, False)


def test_a_share_with_derivatives_is_known_by_them(whole: MasterRead) -> None:
    found = definitions(whole)
    assert {symbol for symbol, row in found.items() if row["has_derivatives"]} == {"RELIANCE"}
    assert "has_derivatives" in whole.told


def test_a_master_without_derivatives_tells_nothing_of_them(tmp_path: Path) -> None:
    assert "has_derivatives" not in read_master(tmp_path, [rows.RELIANCE]).told


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (rows.GOLD_FUTURE.replace("MCX,", "NSE,", 1), Unusable.SEGMENT_UNKNOWN),
        (rows.RELIANCE.replace("2885", ""), Unusable.ID_MISSING),
        (rows.RELIANCE.replace("2885", "28/85"), Unusable.ID_MISSING),
        (rows.RELIANCE.replace(",RELIANCE,", ",,"), Unusable.SYMBOL_MISSING),
        ("NSE,C,9001,INDEX,0,NIFTYFUTM2,1.0,,1979-12-31 23:59:59,-0.01,XX,0.25,W,INDEX,,", Unusable.KIND_UNKNOWN),
        (rows.RELIANCE.replace("EQUITY", "NOVEL"), Unusable.KIND_UNKNOWN),
        (rows.RELIANCE.replace("10.0000", "0.0000"), Unusable.TICK_INVALID),
        (rows.RELIANCE.replace("10.0000", "ten"), Unusable.TICK_INVALID),
        (rows.RELIANCE.replace(",1.0,", ",0.0,"), Unusable.LOT_INVALID),
        (rows.RELIANCE_FUTURE.replace("2025-10-28 14:30:00", ""), Unusable.EXPIRY_MISSING),
        (rows.RELIANCE_FUTURE.replace("2025-10-28 14:30:00", "0001-01-01"), Unusable.EXPIRY_MISSING),
        (rows.RELIANCE_FUTURE.replace("2025-10-28 14:30:00", "1979-12-31 23:59:59"), Unusable.EXPIRY_MISSING),
        (rows.RELIANCE_FUTURE.replace("2025-10-28", "2025-09-25"), Unusable.EXPIRED),
        (rows.DOLLAR_CALL.replace("83.25000", "0.00000"), Unusable.STRIKE_INVALID),
        (rows.DOLLAR_CALL.replace(",CE,", ",XX,"), Unusable.STRIKE_INVALID),
        (rows.TCS, Unusable.KEY_REPEATED),
    ],
)
def test_a_row_that_defines_nothing_is_counted_by_its_reason(tmp_path: Path, row: str, reason: Unusable) -> None:
    read = read_master(tmp_path, [rows.TCS, row])
    assert dict(read.unusable) == {reason.value: 1}
    assert list(definitions(read)) == ["TCS"]


def test_a_contract_is_used_on_its_last_day(tmp_path: Path) -> None:
    assert read_master(tmp_path, [rows.RELIANCE_FUTURE], on=date(2025, 10, 28)).frame.height == 1


def test_one_id_in_two_segments_is_two_instruments(tmp_path: Path) -> None:
    read = read_master(tmp_path, [rows.RELIANCE, rows.RELIANCE_FUTURE.replace("52509", "2885")])
    assert read.frame.height == 2


def test_of_two_that_share_a_symbol_the_share_keeps_it(tmp_path: Path) -> None:
    debenture = rows.TCS.replace("11536", "77").replace("ES,EQ", "DEB,D1")
    read = read_master(tmp_path, [debenture, rows.TCS, rows.NIFTY.replace("NIFTY", "TCS").replace("I,13", "I,99")])
    found = definitions(read)
    assert {symbol: row["security_id"] for symbol, row in found.items()} == {
        "TCS": "11536",
        "TCS-D1": "77",
        "INDEX:TCS": "99",
    }


def test_what_nothing_tells_apart_is_counted(tmp_path: Path) -> None:
    thrice = [rows.TCS, rows.TCS.replace("11536", "78"), rows.TCS.replace("11536", "79")]
    read = read_master(tmp_path, thrice)
    assert sorted(definitions(read)) == ["TCS", "TCS-EQ"]
    assert dict(read.unusable) == {"symbol_repeated": 1}


DETAILED_RELIANCE = (
    "NSE,E,2885,INE002A01018,EQUITY,,RELIANCE,RELIANCE INDUSTRIES LTD,Reliance Industries,ES,EQ,1,,,,10,NA,4.545455"
)
DETAILED_CALL = (
    "NSE,D,35084,NA,OPTIDX,26000,NIFTY,NIFTY-Sep2026-29150-CE,NIFTY 29 SEP 29150 CALL,OP,NA,65.0,2026-09-29,"
    "29150.00000,CE,5.0000,M,0"
)


def test_the_detailed_layout_tells_isin_lending_price_band_and_freeze_quantity(tmp_path: Path) -> None:
    lines = [f"{DETAILED_RELIANCE},1446.6,1183.6,-1,", f"{DETAILED_CALL},20.1000,0.0500,1756,"]
    read = read_master(tmp_path, lines, header=f"{rows.WITH_LIMITS},")
    reliance, call = definitions(read)["RELIANCE"], definitions(read)["NIFTY 29 SEP 2026 29150 CE"]
    assert (reliance["isin"], reliance["mtf"], reliance["freeze_quantity"]) == ("INE002A01018", True, None)
    assert (reliance["lower_circuit_e4"], reliance["upper_circuit_e4"]) == (1_183_6000, 1_446_6000)
    assert reliance["circuits_on"] == DAY
    assert (call["isin"], call["mtf"], call["freeze_quantity"]) == (None, False, 1_756)
    assert (call["lower_circuit_e4"], call["upper_circuit_e4"]) == (500, 20_1000)
    assert {"isin", "mtf", "freeze_quantity", "circuits_on"} <= read.told


def test_the_older_detailed_layout_has_other_dates_and_fewer_columns(tmp_path: Path) -> None:
    future = (
        "NSE,D,65250,NA,FUTSTK,11915,YESBANK,YESBANK-Oct2025-FUT,YESBANK OCT FUT,FUT,NA,31100,28/10/25,-0.01,XX,1,M,0"
    )
    read = read_master(tmp_path, [future], header=rows.DETAILED)
    assert definitions(read)["YESBANK 28 OCT 2025 FUT"]["expires_on"] == "2025-10-28"
    assert not {"freeze_quantity", "circuits_on"} & read.told


@pytest.mark.parametrize("leverage", ["0", "1", "", "none"])
def test_without_leverage_nothing_is_lent(tmp_path: Path, leverage: str) -> None:
    read = read_master(tmp_path, [DETAILED_RELIANCE.replace("4.545455", leverage)], header=rows.DETAILED)
    assert not definitions(read)["RELIANCE"]["mtf"]


def test_an_index_may_have_its_step_in_rupees_or_none(tmp_path: Path) -> None:
    index = "NSE,I,13,NA,INDEX,13,NIFTY,NIFTY,Nifty 50,INDEX,NA,1,0001-01-01,,XX,0.05,N,0"
    gift = "NSE,I,5024,NA,INDEX,5024,GIFTNIFTY,GIFTNIFTY,Gift Nifty,INDEX,NA,1,0001-01-01,,XX,0,N,0"
    found = definitions(read_master(tmp_path, [index, gift], header=rows.DETAILED))
    assert (found["NIFTY"]["tick_e4"], found["GIFTNIFTY"]["tick_e4"]) == (500, 100)


def test_a_packed_master_is_read_like_a_plain_one(tmp_path: Path) -> None:
    plain = write_master(tmp_path, *rows.WHOLE)
    packed = tmp_path / "master.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_scrip_master(packed, on=DAY).frame.equals(read_scrip_master(plain, on=DAY).frame)


@pytest.mark.parametrize("content", [b"", b"symbol,price\nRELIANCE,1\n", b"\x00\xff\x00", b"no master at all"])
def test_what_is_no_master_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.csv"
    path.write_bytes(content)
    with pytest.raises(ScripMasterInvalid, match=r"master\.csv"):
        read_scrip_master(path, on=DAY)


def test_a_name_keeps_no_line_break(tmp_path: Path) -> None:
    read = read_master(tmp_path, [rows.TCS.replace("Tata Consultancy Services", '"Tata\nConsultancy"')])
    assert definitions(read)["TCS"]["name"] == "Tata Consultancy"


# --- Real masters ---


@needs_real_masters
def test_the_compact_master_of_september_2025() -> None:
    read = read_scrip_master(REAL / "dhan_api-scrip-master_full.csv.gz", on=DAY)
    assert (read.rows, read.layout) == (181_900, "compact")
    assert dict(read.unusable) == {"expired": 19_527, "kind_unknown": 4, "segment_unknown": 10_710}
    assert read.frame.height + sum(read.unusable.values()) == read.rows
    assert read.frame["symbol"].is_unique().all()
    assert read.frame.filter(read.frame["is_test"]).height == 41
    assert read.frame["has_derivatives"].sum() == 209
    calls = read.frame.filter(pl.col("venue_symbol") == "NIFTY-OCT2025-25000-CE")
    assert sorted(calls["symbol"]) == [f"NIFTY {day} OCT 2025 25000 CE" for day in ("07", "14", "20", "28")]


@needs_real_masters
def test_the_detailed_master_of_april_2026() -> None:
    read = read_scrip_master(
        REAL / "dhan_api-scrip-master-detailed_nse_eq_index_2026-04-15.csv.gz", on=date(2026, 4, 15)
    )
    assert (read.rows, read.frame.height, read.layout) == (9_469, 9_469, "detailed")
    reliance = definitions(read)["RELIANCE"]
    assert (reliance["mtf"], reliance["isin"], reliance["upper_circuit_e4"]) == (True, "INE002A01018", 1_446_6000)
    assert read.frame["mtf"].sum() == 1_644
    assert read.frame.filter(read.frame["is_test"]).height == 22


@needs_real_masters
def test_the_older_detailed_master_of_july_2025() -> None:
    read = read_scrip_master(REAL / "dhan_api-scrip-master-detailed_nse_futstk_2025-07-22.csv.gz", on=date(2025, 7, 22))
    assert (read.rows, read.frame.height) == (662, 662)
    assert read.frame.filter(read.frame["is_test"]).height == 18
    assert definitions(read)["YESBANK 28 AUG 2025 FUT"]["lot"] == 31_100
