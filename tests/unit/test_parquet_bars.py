"""Daily bars in files, and real ones against what the exchange published."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adapters.bars.parquet import ParquetBars
from domain.instrument import InstrumentKey, Segment
from domain.money import value_paise
from domain.statistics import tail_loss
from projections.ports import BarsUnreadable, DailyBar
from projections.value_at_risk import AtRisk, value_at_risk
from tests.support.memory_bars import bar, bars_until
from tests.support.specimens import INFY, RELIANCE

REAL = Path(__file__).parents[3] / "shared" / "data" / "daily" / "dhan_daily_2023_2026_adjusted_utc.parquet"
needs_real_bars = pytest.mark.skipif(not REAL.exists(), reason=f"there are no real daily bars at {REAL}")


async def test_bars_come_back_as_they_were_written_and_in_the_days_asked_for(tmp_path: Path) -> None:
    bars = ParquetBars(tmp_path)
    written = bars_until("2026-11-20", [2_800_0000, 2_810_0000, 2_820_0500])
    bars.write(RELIANCE, written)
    assert await bars.daily(RELIANCE, first_day="2026-01-01", last_day="2026-12-31") == written
    assert await bars.daily(RELIANCE, first_day="2026-11-19", last_day="2026-11-19") == [written[1]]
    assert await bars.daily(INFY, first_day="2026-01-01", last_day="2026-12-31") == []
    assert (tmp_path / "NSE_EQ" / "2885.parquet").exists()


async def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    bars, other = ParquetBars(tmp_path), ParquetBars(tmp_path)
    bars.write(RELIANCE, bars_until("2026-11-20", [2_800_0000]))
    assert len(await bars.daily(RELIANCE, first_day="2026-11-01", last_day="2026-11-30")) == 1
    other.write(RELIANCE, bars_until("2026-11-21", [2_800_0000, 2_900_0000]))
    assert len(await bars.daily(RELIANCE, first_day="2026-11-01", last_day="2026-11-30")) == 2


async def test_an_id_that_would_lead_out_of_the_folder_names_no_file(tmp_path: Path) -> None:
    bars = ParquetBars(tmp_path / "bars")
    (tmp_path / "secret.parquet").write_bytes(b"")
    outside = InstrumentKey(Segment.NSE_EQ, "../../secret")
    assert await bars.daily(outside, first_day="2026-11-01", last_day="2026-11-30") == []
    with pytest.raises(ValueError, match="letters and digits"):
        bars.write(outside, [])


@pytest.mark.parametrize(
    "wrong",
    [
        [bar("2026-11-20", 1_0000), bar("2026-11-19", 1_0000)],
        [bar("2026-11-20", 1_0000), bar("2026-11-20", 1_0000)],
        [bar("2026-11-20", 0)],
    ],
)
def test_bars_that_make_no_sense_are_not_stored(tmp_path: Path, wrong: list[DailyBar]) -> None:
    with pytest.raises(ValueError, match="received"):
        ParquetBars(tmp_path).write(RELIANCE, wrong)


async def test_a_file_that_is_none_of_bars_is_told_and_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "NSE_EQ" / "2885.parquet"
    path.parent.mkdir()
    path.write_bytes(b"no parquet")
    with pytest.raises(BarsUnreadable, match=r"2885\.parquet"):
        await ParquetBars(tmp_path).daily(RELIANCE, first_day="2026-11-01", last_day="2026-11-30")
    pl.DataFrame({"day": [date(2026, 11, 20)], "close": [1.5]}).write_parquet(path)
    with pytest.raises(BarsUnreadable):
        await ParquetBars(tmp_path).daily(RELIANCE, first_day="2026-11-01", last_day="2026-11-30")


def real_bars(symbol: str) -> list[DailyBar]:
    frame = pl.read_parquet(REAL).filter(pl.col("symbol") == symbol).sort("timestamp_utc")
    days = frame["timestamp_utc"].dt.offset_by("5h30m").dt.date()
    found = {}
    for day, row in zip(days, frame.iter_rows(named=True), strict=True):
        prices = {f"{name}_e4": round(row[name] * 10_000) for name in ("open", "high", "low", "close")}
        found[day.isoformat()] = DailyBar(
            day=day.isoformat(), volume=int(row["volume"] or 0), adjusted_close_e4=prices["close_e4"], **prices
        )
    return [found[day] for day in sorted(found)]


@needs_real_bars
async def test_real_bars_give_a_value_at_risk_that_their_own_returns_confirm(tmp_path: Path) -> None:
    bars = ParquetBars(tmp_path)
    for key, symbol in ((RELIANCE, "RELIANCE"), (INFY, "INFY")):
        bars.write(key, real_bars(symbol))
    stored = {key: await bars.daily(key, first_day="2024-07-17", last_day="2026-07-15") for key in (RELIANCE, INFY)}
    worth = {
        key: value_paise(price_e4=stored[key][-1].close_e4, quantity=quantity)
        for key, quantity in ((RELIANCE, 100), (INFY, 50))
    }
    holdings = {key: AtRisk(symbol=str(key.security_id), value_paise=paise) for key, paise in worth.items()}
    found = value_at_risk(holdings, stored, day="2026-07-16")
    assert (found.scenarios, found.last_day) == (250, "2026-07-15")
    [level, certain] = found.levels
    assert level.value_at_risk_paise is not None
    assert certain.value_at_risk_paise is not None
    # Large shares of the NSE lose 1 to 5 % on their worst days.
    total = sum(worth.values())
    assert total // 100 < level.value_at_risk_paise < certain.value_at_risk_paise < total * 8 // 100
    alone = tail_loss(
        [
            worth[RELIANCE] * (now.adjusted_close_e4 / before.adjusted_close_e4 - 1)
            for before, now in zip(stored[RELIANCE][-251:], stored[RELIANCE][-250:], strict=False)
        ],
        confidence_bp=9_500,
    )
    only = value_at_risk({RELIANCE: holdings[RELIANCE]}, {RELIANCE: stored[RELIANCE]}, day="2026-07-16")
    assert only.levels[0].value_at_risk_paise == alone.value_at_risk_paise
