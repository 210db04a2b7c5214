"""Tapes of candles: the path of a bar, and the folders they come from."""

import gzip
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bars.parquet import ParquetBars
from adapters.simulator.tapes.candle_tape import Candle, CandleTape, holds_candles, path_of, read_candles
from adapters.simulator.tapes.recorded import TapeUnreadable
from adapters.simulator.tapes.tape import Tick
from domain.market import NS_PER_S
from projections.ports import DailyBar
from tests.support.tape import INSTRUMENTS, NIFTY, RELIANCE

TICK = 500
NINE_FIFTEEN_NS = 1_619_495_100 * NS_PER_S
"""2021-04-27 09:15:00 in India."""


def candle(open_e4: int, high_e4: int, low_e4: int, close_e4: int, volume: int) -> Candle:
    return Candle(0, open_e4, high_e4, low_e4, close_e4, volume)


def write(folder: Path, name: str, *rows: str) -> None:
    text = "\n".join(("timestamp,open,high,low,close,volume", *rows)) + "\n"
    (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))


def ticks_of(tape: CandleTape) -> list[Tick]:
    return [tick for second in tape.play() for tick in second.ticks]


@pytest.mark.parametrize(
    ("bar", "corners"),
    [
        (candle(100, 120, 80, 110, 7), (100, 80, 120, 110)),
        (candle(110, 120, 80, 100, 7), (110, 120, 80, 100)),
    ],
    ids=["rising", "falling"],
)
def test_a_bar_goes_against_its_direction_first(bar: Candle, corners: tuple[int, ...]) -> None:
    path = path_of(bar, seconds=7, tick_e4=1, lot=1)
    assert [path[place][0] for place in (0, 2, 4, 6)] == list(corners)
    assert path_of(bar, seconds=4, tick_e4=1, lot=1) == list(zip(corners, (1, 2, 2, 2), strict=True))


def test_between_corners_the_price_goes_straight_on_the_tick() -> None:
    path = path_of(candle(100, 160, 100, 160, 0), seconds=10, tick_e4=7, lot=1)
    assert [price for price, _ in path] == [100, 100, 100, 100, 119, 140, 160, 160, 160, 160]


def test_a_few_units_are_printed_at_the_corners_and_part_lots_with_the_close() -> None:
    volumes = [volume for _, volume in path_of(candle(100, 120, 80, 110, 31), seconds=7, tick_e4=1, lot=10)]
    assert volumes == [10, 0, 10, 0, 10, 0, 1]


bars = st.builds(
    lambda low, spread, opened, closed, volume: Candle(
        0, low + opened % (spread + 1), low + spread, low, low + closed % (spread + 1), volume
    ),
    st.integers(1, 10_000_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
)


@settings(max_examples=60, deadline=None)
@given(bars, st.integers(4, 90), st.integers(1, 75))
def test_a_path_has_the_bars_open_high_low_close_and_volume(bar: Candle, seconds: int, lot: int) -> None:
    path = path_of(bar, seconds=seconds, tick_e4=TICK, lot=lot)
    prices = [price for price, _ in path]
    assert len(path) == seconds
    assert (prices[0], max(prices), min(prices), prices[-1]) == (bar.open_e4, bar.high_e4, bar.low_e4, bar.close_e4)
    assert sum(volume for _, volume in path) == bar.volume
    assert all(volume % lot == 0 for _, volume in path[:-1])


def test_minutes_of_a_folder_are_played_second_by_second(tmp_path: Path) -> None:
    write(
        tmp_path,
        "RELIANCE",
        "2021-04-27 09:15:00,1943.1,1945,1940,1944,6000",
        "2021-04-27 09:16:00,1944,1944,1944,1944,0",
        "2021-04-27 09:17:00,1944,1946,1944,1946,60",
    )
    write(tmp_path, "NIFTY", "2021-04-27 09:15:00,14500,14510,14490,14495,0")
    assert holds_candles(tmp_path)
    tape = read_candles(tmp_path, INSTRUMENTS)
    assert set(tape.instruments) == {RELIANCE, NIFTY}
    assert (tape.start_ns, tape.seconds) == (NINE_FIFTEEN_NS, 180)
    seconds = list(tape.play())
    assert [second.market_time_ns for second in seconds] == [NINE_FIFTEEN_NS + n * NS_PER_S for n in range(180)]
    share = [tick for tick in ticks_of(tape) if tick.instrument == RELIANCE]
    assert share[0] == Tick(RELIANCE, 1_943_10_00, 100, NINE_FIFTEEN_NS)
    assert sum(tick.volume for tick in share) == 6_060
    assert not any(tick.instrument == RELIANCE for second in seconds[60:120] for tick in second.ticks)
    assert sum(tick.instrument == NIFTY for second in seconds for tick in second.ticks) == 60


def test_rows_without_a_price_are_left_out_and_the_first_of_two_stays(tmp_path: Path) -> None:
    write(
        tmp_path,
        "RELIANCE",
        "2021-04-27 09:15:00,1943,1940,1945,1944,64",
        "2021-04-27 09:15:00,1,1,1,1,60",
        "2021-04-27 09:16:00,0,1940,1945,1944,60",
        "2021-04-27 09:16:00,,1940,1945,1944,60",
    )
    prices = [tick.last_price_e4 for tick in ticks_of(read_candles(tmp_path, INSTRUMENTS))]
    assert (len(prices), min(prices), max(prices)) == (60, 1_940_00_00, 1_945_00_00)


def daily(day: str, close_e4: int) -> DailyBar:
    return DailyBar(
        day=day,
        open_e4=1_300_00_00,
        high_e4=1_320_00_00,
        low_e4=1_290_00_00,
        close_e4=close_e4,
        volume=4_500_000,
        adjusted_close_e4=close_e4 // 2,
    )


def test_stored_daily_bars_are_sessions_without_the_nights_between(tmp_path: Path) -> None:
    ParquetBars(tmp_path).write(RELIANCE, [daily("2026-04-13", 1_310_00_00), daily("2026-04-15", 1_315_00_00)])
    assert holds_candles(tmp_path)
    assert read_candles(tmp_path, INSTRUMENTS).seconds == 2 * 22_500
    tape = read_candles(tmp_path, INSTRUMENTS, first_day=date(2026, 4, 15))
    seconds = list(tape.play())
    assert len(seconds) == tape.seconds == 22_500
    assert seconds[0].market_time_ns // NS_PER_S % 86_400 == 13_500
    assert seconds[-1].ticks[-1].last_price_e4 == 1_315_00_00
    assert sum(tick.volume for second in seconds for tick in second.ticks) == 4_500_000


def test_a_folder_of_recorded_ticks_or_of_nothing_holds_no_candles(tmp_path: Path) -> None:
    assert not holds_candles(tmp_path)
    (tmp_path / "RELIANCE.csv.gz").write_bytes(gzip.compress(b"timestamp,ltp,volume\n"))
    assert not holds_candles(tmp_path)


def test_no_bars_are_no_tape(tmp_path: Path) -> None:
    write(tmp_path, "RELIANCE", "2021-04-27 09:15:00,1943,1940,1945,1944,60")
    with pytest.raises(TapeUnreadable, match="from 2021-04-28 on"):
        read_candles(tmp_path, INSTRUMENTS, first_day=date(2021, 4, 28))


def test_a_file_that_holds_no_bars_is_named(tmp_path: Path) -> None:
    (tmp_path / "RELIANCE.csv.gz").write_bytes(gzip.compress(b"timestamp,open\n2021-04-27 09:15:00,x\n"))
    with pytest.raises(TapeUnreadable, match=r"RELIANCE\.csv\.gz"):
        read_candles(tmp_path, INSTRUMENTS)
