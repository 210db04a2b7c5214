"""Recorded tapes: one sentence for each fault of a recorder."""

import gzip
from pathlib import Path

import pytest

from adapters.instruments import InstrumentMaster
from adapters.simulator.tapes.recorded import RecordedTape, TapeUnreadable, read_recording
from adapters.simulator.tapes.tape import Tick
from domain.instrument import InstrumentUnknown

INSTRUMENTS = InstrumentMaster.load()
REAL = Path(__file__).parents[3] / "shared" / "data" / "ticks" / "nse_2021"


def record(folder: Path, name: str, *rows: str) -> None:
    text = "\n".join(("timestamp,ltp,volume", *rows)) + "\n"
    (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))


def read(folder: Path) -> RecordedTape:
    return read_recording(folder, INSTRUMENTS)


def seen(tape: RecordedTape) -> list[tuple[int, int, int]]:
    """Return second since the first, price and volume of every tick."""
    return [
        (number, tick.last_price_e4, tick.volume) for number, second in enumerate(tape.play()) for tick in second.ticks
    ]


def test_volume_is_the_rise_of_the_days_volume_and_quiet_seconds_are_played(tmp_path: Path) -> None:
    record(tmp_path, "RELIANCE", "2021-04-27 09:15:21,1943.1,100", "2021-04-27 09:15:23,1942.75,150")
    tape = read(tmp_path)
    assert tape.seconds == 3
    assert seen(tape) == [(0, 1_943_10_00, 0), (2, 1_942_75_00, 50)]
    first = next(tape.play())
    assert first.market_time_ns == tape.start_ns == 1_619_495_121_000_000_000
    assert first.ticks == [Tick(tape.instruments[0], 1_943_10_00, 0, tape.start_ns)]


def test_repeats_are_left_out(tmp_path: Path) -> None:
    record(tmp_path, "RELIANCE", "2021-04-27 10:00:00,1943.1,100", *(["2021-04-27 10:00:01,1943,110"] * 3))
    assert seen(read(tmp_path)) == [(0, 1_943_10_00, 0), (1, 1_943_00_00, 10)]


def test_rows_out_of_order_are_sorted_by_time_and_volume(tmp_path: Path) -> None:
    record(
        tmp_path,
        "RELIANCE",
        "2021-04-27 10:00:05,1943.35,120",
        "2021-04-27 10:00:05,1943.6,110",
        "2021-04-27 10:00:04,1943.0,100",
    )
    assert seen(read(tmp_path)) == [(0, 1_943_00_00, 0), (1, 1_943_60_00, 10), (1, 1_943_35_00, 10)]


def test_an_older_state_sent_again_is_left_out(tmp_path: Path) -> None:
    record(
        tmp_path,
        "RELIANCE",
        "2021-04-27 10:00:04,1943.0,100",
        "2021-04-27 10:00:05,1944.0,120",
        "2021-04-27 10:00:06,1943.0,100",
        "2021-04-27 10:00:07,1945.0,130",
    )
    assert seen(read(tmp_path)) == [(0, 1_943_00_00, 0), (1, 1_944_00_00, 20), (3, 1_945_00_00, 10)]


def test_a_price_without_a_trade_is_no_print(tmp_path: Path) -> None:
    record(tmp_path, "RELIANCE", "2021-04-27 10:00:04,1943.0,100", "2021-04-27 10:00:05,1950.0,100")
    assert seen(read(tmp_path)) == [(0, 1_943_00_00, 0)]


@pytest.mark.parametrize(
    "stray",
    [
        "1970-01-01 05:30:00,1943.0,0",
        "2021-04-28 09:15:17,1906.75,131504",
        "2021-04-27 09:14:59,1940.0,50",
        "2021-04-27 15:30:00,1960.0,900",
        "2021-04-27 15:59:55,1960.0,900",
    ],
)
def test_rows_outside_the_session_are_left_out(tmp_path: Path, stray: str) -> None:
    record(tmp_path, "RELIANCE", stray, "2021-04-27 10:00:00,1943.0,100", "2021-04-27 10:00:01,1944.0,110")
    assert seen(read(tmp_path)) == [(0, 1_943_00_00, 0), (1, 1_944_00_00, 10)]


def test_two_parts_of_a_day_are_interleaved(tmp_path: Path) -> None:
    record(tmp_path, "RELIANCE", "2021-05-24 10:00:02,1943.0,120", "2021-05-24 10:00:03,1944.0,130")
    record(tmp_path, "RELIANCE_part2", "2021-05-24 10:00:01,1942.0,100", "2021-05-24 10:00:02,1943.0,120")
    assert seen(read(tmp_path)) == [(0, 1_942_00_00, 0), (1, 1_943_00_00, 20), (2, 1_944_00_00, 10)]


def test_every_row_of_an_index_counts(tmp_path: Path) -> None:
    record(tmp_path, "NIFTY", "2021-04-27 10:00:00,14532.1,0", "2021-04-27 10:00:01,14532.65,0")
    assert seen(read(tmp_path)) == [(0, 14_532_10_00, 0), (1, 14_532_65_00, 0)]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TapeUnreadable, match="expected files"):
        read(tmp_path)


def test_recordings_without_a_row_in_the_session_are_refused(tmp_path: Path) -> None:
    record(tmp_path, "RELIANCE", "1970-01-01 05:30:00,1943.0,0")
    with pytest.raises(TapeUnreadable, match="without a row"):
        read(tmp_path)


def test_a_file_named_for_no_instrument_is_refused(tmp_path: Path) -> None:
    record(tmp_path, "RELIANZ", "2021-04-27 10:00:00,1943.0,0")
    with pytest.raises(InstrumentUnknown, match="RELIANZ"):
        read(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings of 2021 are not there")
@pytest.mark.parametrize("day", ["2021-04-27", "2021-05-24"])
def test_a_real_recording_becomes_a_tape_of_prices_that_occur_in_its_files(day: str) -> None:
    tape = read(REAL / day)
    assert len(tape.instruments) == 8
    midnight = (REAL / day, f"{day} 09:15", f"{day} 15:30")
    occurring: dict[str, set[int]] = {}
    for path in midnight[0].glob("*.csv.gz"):
        rows = (row.split(",") for row in gzip.decompress(path.read_bytes()).decode().splitlines()[1:])
        prices = {round(float(price) * 10_000) for time, price, _ in rows if midnight[1] <= time < midnight[2]}
        occurring.setdefault(path.name.removesuffix(".csv.gz").partition("_")[0], set()).update(prices)
    names = {key: INSTRUMENTS.by_key(key, market_time_ns=tape.start_ns).symbol for key in tape.instruments}
    last_ns = tape.start_ns - 1
    ticks = 0
    for second in tape.play():
        assert second.market_time_ns > last_ns
        last_ns = second.market_time_ns
        for tick in second.ticks:
            ticks += 1
            assert tick.last_price_e4 in occurring[names[tick.instrument]]
            assert tick.volume >= 0
    assert ticks > 50_000
