"""Recorded tapes: a broker's tick stream as somebody wrote it down, with the recorder's faults taken out.

A folder holds `<SYMBOL>.csv.gz`, and `<SYMBOL>_part2.csv.gz` where the recorder was started again, with the columns
`timestamp` (IST, seconds), `ltp` (rupees) and `volume` (cumulative for the day, 0 for an index). What is wrong with
such files, and what becomes of it:

- rows stamped 1970 (no trade yet), rows of another day than most, rows before 09:15 or from 15:30 on: left out;
- parts that overlap, rows out of time order: sorted by time, then by cumulative volume;
- repeats, and rows whose cumulative volume is below one already seen: left out (an older state, sent again);
- a stock's row without a rise of volume: left out, for nothing traded; its first row stays, with volume 0.

What remains is a tape: volume is the rise since the row before.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.simulator.tapes.tape import TapeSecond, Tick
from commands.ports import Instruments
from domain.instrument import InstrumentKey
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.money import E4_PER_RUPEE

if TYPE_CHECKING:
    import polars as pl

SUFFIX = ".csv.gz"
OPEN_S = (9 * 60 + 15) * 60
CLOSE_S = (15 * 60 + 30) * 60
_DAY_S = 86_400
_EPOCH = date(1970, 1, 1)


class TapeUnreadable(Exception):
    """The folder holds no recording that can be played."""


class RecordedTape:
    """One recorded session. Implements `adapters.simulator.tapes.tape.Tape`.

    `rows` has one row per tick, sorted by time: `second` (since 00:00 IST), `number` (index into `instruments`),
    `price_e4`, `volume`.
    """

    def __init__(self, *, day: date, instruments: Sequence[InstrumentKey], rows: "pl.DataFrame") -> None:
        self._instruments = tuple(instruments)
        self._midnight_ns = midnight_ns(day)
        self._columns = [rows[name].to_list() for name in ("second", "number", "price_e4", "volume")]
        self._first: int = self._columns[0][0]
        self._last: int = self._columns[0][-1]

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        """What the tape holds, in the order of the files' names."""
        return self._instruments

    @property
    def start_ns(self) -> int:
        """The market time of the first second with a tick."""
        return self._midnight_ns + self._first * NS_PER_S

    @property
    def seconds(self) -> int:
        """From the first second with a tick to the last."""
        return self._last - self._first + 1

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        """Nothing: a recording does not tell."""
        return {}

    def play(self) -> Iterator[TapeSecond]:
        """Yield every second from the first tick to the last."""
        rows = zip(*self._columns, strict=True)
        row = next(rows, None)
        for second in range(self._first, self._last + 1):
            time_ns = self._midnight_ns + second * NS_PER_S
            ticks: list[Tick] = []
            while row is not None and row[0] == second:
                ticks.append(Tick(self._instruments[row[1]], row[2], row[3], time_ns))
                row = next(rows, None)
            yield TapeSecond(time_ns, ticks)


def read_recording(folder: Path, instruments: Instruments) -> RecordedTape:
    """Return the tape that the files in *folder* hold, cleaned.

    Raises:
        TapeUnreadable: the folder holds no such files, or no row of them lies in a session.
        domain.instrument.InstrumentUnknown: a file's name is no symbol of the instrument master.
    """
    import polars as pl  # noqa: PLC0415 - a quarter of a second that only recorded tapes should cost

    parts: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        parts.setdefault(symbol_of(path), []).append(path)
    if not parts:
        raise TapeUnreadable(f"received folder {folder}, expected files named <SYMBOL>{SUFFIX} in it")
    raw = {symbol: pl.concat([_read(path) for path in paths]) for symbol, paths in parts.items()}
    days = pl.concat([rows.select("day") for rows in raw.values()])["day"].value_counts(sort=True)
    if days.is_empty():
        raise TapeUnreadable(f"received recordings in {folder} without a row between 09:15 and 15:30")
    number_of_day: int = days["day"][0]
    day = date.fromordinal(_EPOCH.toordinal() + number_of_day)
    keys = [instruments.by_symbol(symbol, market_time_ns=midnight_ns(day)).key for symbol in raw]
    cleaned = [_clean(rows.filter(pl.col("day") == number_of_day), number) for number, rows in enumerate(raw.values())]
    return RecordedTape(
        day=day, instruments=keys, rows=pl.concat(cleaned).sort("second", "number", maintain_order=True)
    )


def symbol_of(path: Path) -> str:
    """Return the symbol that a file of a tape, or a part of it, is named for."""
    return path.name.removesuffix(SUFFIX).partition("_part")[0]


def midnight_ns(day: date) -> int:
    """Return the first moment of *day* at the exchange (UTC nanoseconds)."""
    return int(datetime(day.year, day.month, day.day, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S


def _read(path: Path) -> "pl.DataFrame":
    """Return a file's rows within session hours: `day` (since 1970), `second` (of the day), `price_e4`, `volume`."""
    import polars as pl  # noqa: PLC0415 - see above

    rows = pl.read_csv(path, schema={"timestamp": pl.String, "ltp": pl.Float64, "volume": pl.Int64})
    seconds = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms").dt.epoch("s")
    return (
        rows.select(
            (seconds // _DAY_S).alias("day"),
            (seconds % _DAY_S).alias("second"),
            # A double holds every four-place price below 10^11 exactly enough that rounding gives the written digits.
            (pl.col("ltp") * E4_PER_RUPEE).round().cast(pl.Int64).alias("price_e4"),
            "volume",
        )
        .drop_nulls()
        .filter((pl.col("day") > 0) & (pl.col("price_e4") > 0) & pl.col("second").is_between(OPEN_S, CLOSE_S - 1))
    )


def _clean(rows: "pl.DataFrame", number: int) -> "pl.DataFrame":
    """Return one instrument's ticks: in order, without repeats and older states, with the rise of volume."""
    import polars as pl  # noqa: PLC0415 - see above

    ordered = rows.unique(subset=["second", "price_e4", "volume"], maintain_order=True).sort(
        "second", "volume", maintain_order=True
    )
    if (ordered["volume"] == 0).all():
        traded = pl.lit(0, dtype=pl.Int64)  # An index: every row counts, none has volume.
        kept = ordered
    else:
        highest = pl.col("volume").cum_max().shift(1)
        kept = ordered.filter(highest.is_null() | (pl.col("volume") > highest))
        traded = (pl.col("volume") - pl.col("volume").shift(1)).fill_null(0)
    return kept.select("second", pl.lit(number, dtype=pl.Int64).alias("number"), "price_e4", traded.alias("volume"))
