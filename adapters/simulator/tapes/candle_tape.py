"""Tapes of candles: bars of a minute, or of a day, spread over their seconds by a path that is always the same.

A bar that closes at its open or above goes open - low - high - close, one that falls open - high - low - close: what is
not known is taken as most backtests take it. The four corners lie at its first second, at a third, at two thirds and at
its last second; between them the price goes straight, on the tick. A corner is printed as the bar has it.

Its volume is spread in whole lots: one for each corner as far as they go, the rest evenly over the seconds, and what is
no whole lot goes with the close. A second without volume prints nothing, but of an index, which has none. A bar of a
stock without volume is a placeholder, and prints nothing.

Two kinds of folders are known:

- the stored daily bars (`adapters.bars.parquet`: `NSE_EQ/2885.parquet`), each a session from 09:15 to 15:30, at the
  prices that were traded;
- `<SYMBOL>.csv.gz` with the columns `timestamp` (IST, the bar's start), `open`, `high`, `low`, `close` (rupees) and
  `volume` (of the bar). How long a bar is, is the shortest distance between two. Rows without a price are left out, of
  two of one start the first stays, and high and low contain open and close.

Only days with bars are played, each from its first bar to the end of its last.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adapters.bars.parquet import read_daily_bars
from adapters.simulator.tapes.recorded import CLOSE_S, OPEN_S, SUFFIX, TapeUnreadable, midnight_ns, symbol_of
from adapters.simulator.tapes.tape import TapeSecond, Tick
from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.money import E4_PER_RUPEE

if TYPE_CHECKING:
    import polars as pl

_PARQUET = ".parquet"
_CORNERS = 4
_BAR_S = 60
"""How long a bar is where there is no second one to tell."""


class Candle(NamedTuple):
    """One bar: its first second (since the epoch), its prices in 1/10,000 rupee and its volume in units."""

    starts_s: int
    open_e4: int
    high_e4: int
    low_e4: int
    close_e4: int
    volume: int


def path_of(candle: Candle, *, seconds: int, tick_e4: int, lot: int) -> list[tuple[int, int]]:
    """Return price and volume of each of the *seconds* (four or more) of a bar, by the rules of this module."""
    last = seconds - 1
    places = (0, last // 3, 2 * last // 3, last)
    between = (candle.low_e4, candle.high_e4) if candle.close_e4 >= candle.open_e4 else (candle.high_e4, candle.low_e4)
    corners = (candle.open_e4, *between, candle.close_e4)
    prices: list[int] = []
    for start, end, here, there in zip(places, places[1:], corners, corners[1:], strict=False):
        prices.append(here)
        for second in range(start + 1, end):
            straight = here + (there - here) * (second - start) // (end - start)
            on_tick = straight // tick_e4 * tick_e4
            prices.append(min(max(on_tick, min(here, there)), max(here, there)))
    prices.append(candle.close_e4)
    lots, loose = divmod(candle.volume, lot)
    volumes = [0] * seconds
    for place in places[: min(lots, _CORNERS)]:
        volumes[place] += lot
    rest = max(lots - _CORNERS, 0)
    for second in range(seconds):
        volumes[second] += (rest * (second + 1) // seconds - rest * second // seconds) * lot
    volumes[last] += loose
    return list(zip(prices, volumes, strict=True))


class CandleTape:
    """Bars of any number of days. Implements `adapters.simulator.tapes.tape.Tape`."""

    def __init__(
        self,
        bars: Mapping[InstrumentKey, Sequence[Candle]],
        *,
        definitions: Mapping[InstrumentKey, Instrument],
        seconds_each: int,
    ) -> None:
        """Take *bars* of so many seconds, oldest first, of instruments whose tick and lot their definitions tell."""
        if seconds_each < _CORNERS or not any(bars.values()):
            raise TapeUnreadable(f"received bars of {seconds_each} s, expected some, of {_CORNERS} s at least")
        self._definitions = definitions
        self._seconds_each = seconds_each
        self._instruments = tuple(bars)
        self._starting: defaultdict[int, list[tuple[InstrumentKey, Candle]]] = defaultdict(list)
        for key, candles in bars.items():
            for candle in candles:
                self._starting[candle.starts_s].append((key, candle))
        days: dict[date, tuple[int, int]] = {}
        for starts_s in sorted(self._starting):
            day = datetime.fromtimestamp(starts_s, EXCHANGE_ZONE).date()
            days[day] = (days.get(day, (starts_s, 0))[0], starts_s + seconds_each)
        self._stretches = tuple(days.values())

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        """What the tape holds, in the order of the files' names."""
        return self._instruments

    @property
    def start_ns(self) -> int:
        """The market time of the first bar's first second."""
        return self._stretches[0][0] * NS_PER_S

    @property
    def seconds(self) -> int:
        """The seconds of all days, without the nights between them."""
        return sum(end - start for start, end in self._stretches)

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        """Nothing: bars before the first are not told."""
        return {}

    def play(self) -> Iterator[TapeSecond]:
        """Yield every second of every day from its first bar to the end of its last."""
        for start, end in self._stretches:
            running: dict[InstrumentKey, Iterator[tuple[int, int]]] = {}
            for second in range(start, end):
                for key, candle in self._starting.get(second, ()):
                    running[key] = self._path_of(key, candle)
                time_ns = second * NS_PER_S
                yield TapeSecond(time_ns, [*self._ticks(running, time_ns)])

    def _path_of(self, key: InstrumentKey, candle: Candle) -> Iterator[tuple[int, int]]:
        definition = self._definitions[key]
        return iter(path_of(candle, seconds=self._seconds_each, tick_e4=definition.tick_e4, lot=definition.lot))

    def _ticks(self, running: Mapping[InstrumentKey, Iterator[tuple[int, int]]], time_ns: int) -> Iterator[Tick]:
        for key, path in running.items():
            printed = next(path, None)
            if printed is not None and (printed[1] > 0 or self._definitions[key].kind is InstrumentKind.INDEX):
                yield Tick(key, printed[0], printed[1], time_ns)


def holds_candles(folder: Path) -> bool:
    """Tell whether *folder* holds bars: stored ones, or files with a column `open`."""
    if any(_stored(folder)):
        return True
    first = min(folder.glob(f"*{SUFFIX}"), default=None)
    if first is None:
        return False
    with gzip.open(first, "rt", encoding="utf-8") as file:
        return "open" in next(csv.reader(file), [])


def read_candles(folder: Path, instruments: Instruments, *, first_day: date | None = None) -> CandleTape:
    """Return the tape of the bars in *folder*, from *first_day* on (None: from the first).

    Raises:
        TapeUnreadable: there are none, or they cannot be read.
        domain.instrument.InstrumentUnknown: a file's name is no instrument of the master.
        projections.ports.BarsUnreadable: a file of stored bars is none.
    """
    stored = list(_stored(folder))
    read = dict(map(_daily_of, stored))
    seconds_each = CLOSE_S - OPEN_S
    if not stored:
        read = _by_symbol(folder, instruments)
        starts = sorted({candle.starts_s for bars in read.values() for candle in bars})
        seconds_each = min((after - before for before, after in pairwise(starts)), default=_BAR_S)
    from_s = 0 if first_day is None else midnight_ns(first_day) // NS_PER_S
    bars = {key: [candle for candle in candles if candle.starts_s >= from_s] for key, candles in read.items()}
    bars = {key: candles for key, candles in bars.items() if candles}
    if not bars:
        raise TapeUnreadable(f"received folder {folder}, expected bars in it{_since(first_day)}")
    definitions = {
        key: instruments.by_key(key, market_time_ns=candles[0].starts_s * NS_PER_S) for key, candles in bars.items()
    }
    return CandleTape(bars, definitions=definitions, seconds_each=seconds_each)


def _since(first_day: date | None) -> str:
    return "" if first_day is None else f" from {first_day} on"


def _stored(folder: Path) -> Iterator[Path]:
    for segment in Segment:
        yield from sorted((folder / segment.value).glob(f"*{_PARQUET}"))


def _daily_of(path: Path) -> tuple[InstrumentKey, list[Candle]]:
    key = InstrumentKey(Segment(path.parent.name), path.stem)
    return key, [
        Candle(
            midnight_ns(date.fromisoformat(bar.day)) // NS_PER_S + OPEN_S,
            bar.open_e4,
            bar.high_e4,
            bar.low_e4,
            bar.close_e4,
            bar.volume,
        )
        for bar in read_daily_bars(path)
    ]


def _by_symbol(folder: Path, instruments: Instruments) -> dict[InstrumentKey, list[Candle]]:
    read: dict[InstrumentKey, list[Candle]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        candles = _read(path)
        if candles:
            found = instruments.by_symbol(symbol_of(path), market_time_ns=candles[0].starts_s * NS_PER_S)
            read.setdefault(found.key, []).extend(candles)
    return {
        key: sorted({candle.starts_s: candle for candle in reversed(candles)}.values()) for key, candles in read.items()
    }


def _read(path: Path) -> list[Candle]:
    import polars as pl  # noqa: PLC0415 - a quarter of a second that only tapes of files should cost

    prices = ("open", "high", "low", "close")
    schema = {"timestamp": pl.String, **dict.fromkeys(prices, pl.Float64), "volume": pl.Int64}
    try:
        rows = pl.read_csv(path, columns=list(schema), schema_overrides=schema)
        seconds = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms").dt.epoch("s")
        sound = (
            rows.select(
                (seconds - int(timedelta(hours=5, minutes=30).total_seconds())).alias("starts_s"),
                *((pl.col(name) * E4_PER_RUPEE).round().cast(pl.Int64) for name in prices),
                "volume",
            )
            .drop_nulls()
            .filter(pl.min_horizontal(*prices) > 0, pl.col("volume") >= 0)
        )
    except pl.exceptions.PolarsError as error:
        raise TapeUnreadable(f"received {path.name}, expected bars in it: {error}") from error
    return [Candle(*row) for row in _contained(sound).iter_rows()]


def _contained(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Return *rows* with high and low that contain open and close, in the order of `Candle`."""
    import polars as pl  # noqa: PLC0415 - see above

    return rows.select(
        "starts_s",
        "open",
        pl.max_horizontal("open", "high", "low", "close").alias("high"),
        pl.min_horizontal("open", "high", "low", "close").alias("low"),
        "close",
        "volume",
    )
