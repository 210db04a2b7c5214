"""Daily bars from files into the store: what is taken, what is refused with its line, and on which scale they end."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from adapters.bars.merging import OnAnotherScale, jumps, merged
from adapters.bars.parquet import ParquetBars
from adapters.bars.reading import PROBLEMS_MAX, Scale
from domain.instrument import InstrumentKey, Segment
from infra.cli import app
from infra.problems import OperatorProblem
from projections.ports import DailyBar
from tests.support.memory_bars import bars_until
from tests.support.specimens import INFY, RELIANCE

HEAD = "symbol,date,open,high,low,close,volume"
MONDAY, TUESDAY = "RELIANCE,2026-11-16,2840,2861.5,2835.05,2850,1200", "RELIANCE,2026-11-17,2850,2870,2840,2866.1,900"
NIFTY = InstrumentKey(Segment.INDEX, "13")
REAL = Path(__file__).parents[3] / "shared" / "data" / "daily"
needs_real_bars = pytest.mark.skipif(not REAL.exists(), reason=f"there are no real daily bars at {REAL}")


class Desk:
    """Somebody at a command line, with a home folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home = folder / "home"
        self.bars = self._home / "bars" / "daily"

    def file(self, *lines: str, name: str = "bars.csv") -> Path:
        path = self._folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(app, ["bars", "import", *map(str, words)], env={"KHATA_HOME": str(self._home)})

    def imported(self, *words: object) -> dict[str, Any]:
        ran = self.run(*words, "--json")
        assert ran.exit_code == 0, ran.output
        answer: dict[str, Any] = json.loads(ran.stdout)
        assert answer["stored"] is True
        return answer

    def faults(self, *words: object) -> list[tuple[int | None, str]]:
        ran = self.run(*words, "--json")
        assert ran.exit_code == 1, ran.output
        answer = json.loads(ran.stdout)
        assert answer["stored"] is False
        return [(each["line"], each["code"]) for each in answer["faults"]]

    def stored(self, key: InstrumentKey = RELIANCE) -> Sequence[DailyBar]:
        return asyncio.run(ParquetBars(self.bars).daily(key, first_day="1990-01-01", last_day="2099-12-31"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- What is taken ---


def test_a_plain_file_is_stored_as_it_says(desk: Desk) -> None:
    answer = desk.imported(desk.file(HEAD, TUESDAY, MONDAY))
    monday, tuesday = desk.stored()
    assert monday == DailyBar(
        day="2026-11-16",
        open_e4=2_840_0000,
        high_e4=2_861_5000,
        low_e4=2_835_0500,
        close_e4=2_850_0000,
        volume=1_200,
        adjusted_close_e4=2_850_0000,
    )
    assert (tuesday.day, tuesday.close_e4) == ("2026-11-17", 2_866_1000)
    told = answer["instruments"]["NSE_EQ:2885"]
    assert (told["bars"], told["new"], told["changed"], answer["rows"]) == (2, 2, 0, 2)


def test_the_same_file_again_changes_nothing(desk: Desk) -> None:
    path = desk.file(HEAD, MONDAY, TUESDAY)
    desk.imported(path)
    [stored] = desk.bars.rglob("*.parquet")
    before = stored.stat()
    told = desk.imported(path, path)["instruments"]["NSE_EQ:2885"]
    assert (told["new"], told["changed"]) == (0, 0)
    assert (stored.stat().st_ino, stored.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [each.name for each in stored.parent.iterdir()] == ["2885.parquet"]


def test_days_that_come_later_join_those_that_are_stored_and_replace_forgets_them(desk: Desk) -> None:
    desk.imported(desk.file(HEAD, MONDAY))
    told = desk.imported(desk.file(HEAD, TUESDAY))["instruments"]["NSE_EQ:2885"]
    assert (told["bars"], told["new"], told["first_day"]) == (2, 1, "2026-11-16")
    desk.imported(desk.file(HEAD, TUESDAY), "--replace")
    assert [each.day for each in desk.stored()] == ["2026-11-17"]


def test_the_exchanges_file_is_read_with_its_quirks(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "sec_bhavdata.csv.gz"
    head = "SYMBOL,SERIES,DATE1,PREV_CLOSE,OPEN_PRICE,HIGH_PRICE,LOW_PRICE,LAST_PRICE,CLOSE_PRICE,TTL_TRD_QNTY"
    rows = (
        "RELIANCE, EQ, 28-Oct-2024,1327.85,1337.0,1353.0,1328.0, 1334.50,1334.35,10000",
        "RELIANCE, N2, 28-Oct-2024,1.0,1.0,1.0,1.0, 1.0,1.0,10",
        "NOBODY, EQ, 28-Oct-2024,1.0,1.0,1.0,1.0, 1.0,1.0,10",
    )
    path.write_bytes(gzip.compress("\n".join((head, *rows)).encode()))
    answer = desk.imported(path)
    [stored] = desk.stored()
    assert (stored.day, stored.close_e4, stored.volume) == ("2024-10-28", 1_334_3500, 10_000)
    assert (answer["other_series"], answer["unknown_symbols"]) == (1, ["NOBODY"])


def test_a_day_of_the_brokers_history_is_the_one_that_begins_at_that_midnight(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "dhan.parquet"
    prices = {name: [2_850.05] for name in ("open", "high", "low", "close")}
    stamp = datetime(2026, 11, 15, 18, 30)  # noqa: DTZ001 - as the broker's is
    pl.DataFrame({"symbol": ["RELIANCE"], "timestamp_utc": [stamp], **prices, "volume": [12.0]}).write_parquet(path)
    desk.imported(path)
    assert [(each.day, each.close_e4) for each in desk.stored()] == [("2026-11-16", 2_850_0500)]


def test_an_instrument_may_go_by_its_security_id_and_an_index_by_its_name(desk: Desk) -> None:
    by_id = desk.file(
        "security_id,segment,date,open,high,low,close,volume", "52175,NSE_FNO,2026-11-16,1,1,1,1,75", name="by_id.csv"
    )
    desk.imported(by_id, desk.file(HEAD, "Nifty 50,2026-11-16,1,1,1,1,"))
    assert desk.stored(InstrumentKey(Segment.NSE_FNO, "52175"))[0].volume == 75
    assert desk.stored(NIFTY)[0].volume == 0


def test_an_open_a_little_outside_high_and_low_widens_them(desk: Desk) -> None:
    answer = desk.imported(desk.file(HEAD, "RELIANCE,2026-11-16,3.3,3.4,3.35,3.4,10"), "--adjusted")
    assert (answer["widened"], desk.stored()[0].low_e4) == (1, 3_3000)


# --- What is refused ---


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("RELIANCE,2026-11-18,2840,2861.5,2835.05,x,1200", "PRICE_INVALID"),
        ("RELIANCE,2026-11-18,0,2861.5,2835.05,2850,1200", "PRICE_INVALID"),
        ("RELIANCE,2026-11-18,2840,nan,2835.05,2850,1200", "PRICE_INVALID"),
        ("RELIANCE,2026-11-18,2840,1e30,2835.05,2850,1200", "PRICE_INVALID"),
        ("RELIANCE,2026-11-18,2840,2861.5", "ROW_INCOMPLETE"),
        (",2026-11-18,2840,2861.5,2835.05,2850,1200", "ROW_INCOMPLETE"),
        ("RELIANCE,18/11/2026,2840,2861.5,2835.05,2850,1200", "DATE_INVALID"),
        ("RELIANCE,2026-11-31,2840,2861.5,2835.05,2850,1200", "DATE_INVALID"),
        ("RELIANCE,,2840,2861.5,2835.05,2850,1200", "DATE_INVALID"),
        ("RELIANCE,2026-11-18,2840,2835.05,2861.5,2850,1200", "RANGE_INVALID"),
        ("RELIANCE,2026-11-18,2840,2861.5,2835.05,3850,1200", "RANGE_INVALID"),
        ("RELIANCE,2026-11-18,2840,2861.5,2835.05,2850,-1", "VOLUME_INVALID"),
        ("RELIANCE,2026-11-18,2840,2861.5,2835.05,2850,1.5", "VOLUME_INVALID"),
        ("RELIANCE,2026-11-18,2840,2861.5,2835.05,2850,inf", "VOLUME_INVALID"),
        ("RELIANCE,2026-11-17,2840,2861.5,2835.05,2851,1200", "DAY_TWICE"),
    ],
)
def test_a_row_that_is_no_bar_is_told_by_its_line_and_nothing_is_stored(desk: Desk, row: str, code: str) -> None:
    assert desk.faults(desk.file(HEAD, MONDAY, TUESDAY, row)) == [(4, code)]
    assert not desk.bars.exists()


def test_a_fault_says_what_was_received_and_what_was_expected(desk: Desk) -> None:
    ran = desk.run(desk.file(HEAD, MONDAY, "RELIANCE,2026-11-17,2840,2861.5,2835.05,x,1200"))
    assert "bars.csv:3: PRICE_INVALID: received 'x', expected close as a price in rupees above 0" in ran.stderr
    assert "nothing was stored" in ran.stderr


def test_a_fault_of_one_file_keeps_the_others_out_too(desk: Desk) -> None:
    good, bad = desk.file(HEAD, MONDAY), desk.file(HEAD, "INFY,2026-11-17,0,1,1,1,1", name="bad.csv")
    assert desk.faults(good, bad) == [(2, "PRICE_INVALID")]
    assert not desk.bars.exists()


def test_so_many_faults_are_told_and_no_more(desk: Desk) -> None:
    assert len(desk.faults(desk.file(HEAD, *["RELIANCE,2026-11-17,0,1,1,1,1"] * 100))) == PROBLEMS_MAX


@pytest.mark.parametrize(("security_id", "segment"), [("../../2885", "NSE_EQ"), ("2885", "NYSE"), ("28 85", "NSE_EQ")])
def test_an_instrument_that_cannot_be_is_refused(desk: Desk, security_id: str, segment: str) -> None:
    path = desk.file(
        "security_id,segment,date,open,high,low,close,volume", f"{security_id},{segment},2026-11-16,1,1,1,1,1"
    )
    assert desk.faults(path) == [(2, "INSTRUMENT_INVALID")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("bars.csv", b"ts,open,high,low,close,volume\n", "LAYOUT_UNKNOWN"),
        ("bars.csv", b"", "LAYOUT_UNKNOWN"),
        ("bars.csv", b"symbol,date\xff\n", "FILE_UNREADABLE"),
        ("bars.csv.gz", b"no gzip", "FILE_UNREADABLE"),
        ("bars.parquet", b"no parquet", "FILE_UNREADABLE"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(
    desk: Desk, tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert desk.faults(tmp_path / name) == [(None, code)]


def test_files_of_two_scales_are_not_taken_together(desk: Desk) -> None:
    adjusted = desk.file(f"{HEAD},adjusted_close", f"{TUESDAY},2866.1", name="adjusted.csv")
    assert desk.faults(desk.file(HEAD, MONDAY), adjusted) == [(2, "SCALES_MIXED")]


def test_a_file_without_a_known_instrument_is_a_problem(desk: Desk) -> None:
    assert isinstance(desk.run(desk.file(HEAD, "NOBODY,2026-11-16,1,1,1,1,1")).exception, OperatorProblem)


def test_a_stored_file_that_cannot_be_read_is_only_replaced_on_demand(desk: Desk) -> None:
    stored = desk.bars / "NSE_EQ" / "2885.parquet"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"no parquet")
    path = desk.file(HEAD, MONDAY)
    assert isinstance(desk.run(path).exception, OperatorProblem)
    assert stored.read_bytes() == b"no parquet"
    desk.imported(path, "--replace")
    assert len(desk.stored()) == 1


# --- On one scale ---

traded = bars_until("2026-11-20", [100_0000, 110_0000, 60_0000, 66_0000])
"""A share that was split 2 for 1 before its third day, as the exchange tells it."""
halved = [
    replace(each, open_e4=close, high_e4=close, low_e4=close, close_e4=close, adjusted_close_e4=close)
    for each, close in zip(traded, (50_0000, 55_0000, 60_0000, 66_0000), strict=True)
]
"""The same share as a broker tells it, who adjusts."""
whole = [
    replace(each, adjusted_close_e4=broker.close_e4) for each, broker in zip(traded, halved, strict=True)
]  # fmt: skip


def test_what_was_traded_and_what_was_adjusted_join_whichever_comes_first() -> None:
    assert merged(traded, halved, scale=Scale.ADJUSTED) == whole
    assert merged(halved, traded, scale=Scale.TRADED) == whole


def test_joining_again_changes_nothing() -> None:
    for coming, scale in ((traded, Scale.TRADED), (halved, Scale.ADJUSTED), (whole, Scale.BOTH)):
        assert merged(whole, coming, scale=scale) == whole
        assert merged([], coming, scale=scale) == coming


def test_days_before_what_comes_move_to_its_scale() -> None:
    assert merged(traded, halved[1:], scale=Scale.ADJUSTED) == whole
    assert merged(traded[:2], whole[1:], scale=Scale.BOTH) == whole


def test_days_of_before_that_were_traded_take_the_scale_of_the_next_day_that_is_known() -> None:
    assert merged(halved[1:], traded, scale=Scale.TRADED) == whole
    assert merged(whole[1:], traded[:1], scale=Scale.TRADED) == whole


def test_what_is_older_than_a_split_does_not_come_over_what_is_newer() -> None:
    with pytest.raises(OnAnotherScale, match="newer days are stored"):
        merged(whole, traded[:2], scale=Scale.BOTH)


def test_a_split_that_nobody_told_of_is_remarked() -> None:
    assert [(each.day, each.percent) for each in jumps(traded)] == [(traded[2].day, -45)]
    assert jumps(whole) == []


# --- Real files ---


@needs_real_bars
@pytest.mark.parametrize(
    ("name", "adjusted"),
    [
        ("nse_bhavcopy_eq_2019_2026_unadjusted.parquet", False),
        ("nifty50_daily_2000_2021_unadjusted.parquet", False),
        ("dhan_daily_2023_2026_adjusted_utc.parquet", False),
        ("eod2_adjusted_1995_2023.parquet", True),
        ("index_daily_to_2023-05.parquet", False),
        ("bhavcopy_raw/sec_bhavdata_eq_2024-10-28.csv.gz", False),
    ],
)
def test_every_real_file_is_taken_whole(desk: Desk, name: str, *, adjusted: bool) -> None:
    answer = desk.imported(REAL / name, *(["--adjusted"] if adjusted else []))
    told = answer["instruments"].values()
    assert sum(each["new"] for each in told) == sum(each["bars"] for each in told) > 0


@needs_real_bars
def test_the_exchange_and_the_broker_make_one_history(desk: Desk) -> None:
    """Reliance gave one share for each held on 2024-10-28: what was paid stays, and no loss is told."""
    desk.imported(REAL / "nse_bhavcopy_eq_2019_2026_unadjusted.parquet")
    told = desk.imported(REAL / "dhan_daily_2023_2026_adjusted_utc.parquet")["instruments"]["NSE_EQ:2885"]
    by_day = {each.day: each for each in desk.stored()}
    before, after = by_day["2024-10-25"], by_day["2024-10-28"]
    assert before.close_e4 > 2 * before.adjusted_close_e4 - 1_0000
    assert (after.close_e4, after.adjusted_close_e4) == (1_334_3500, 1_334_3500)
    assert (told["new"], told["jumps"]) == (0, [])
    assert date.fromisoformat(desk.stored(INFY)[0].day) < date(2020, 1, 1)
