"""Daily bars in a folder: one Parquet file per instrument, `NSE_EQ/2885.parquet`.

Columns: `day` (date), `open_e4`, `high_e4`, `low_e4`, `close_e4` (1/10,000 rupee as it was traded that day), `volume`
(units) and `adjusted_close_e4` (on the scale of the newest row, whatever splits and bonuses came since); sorted by day,
each day once. Files are replaced whole, so a reader has the old one or the new one.

Polars takes a while to load and starts threads, so it is imported when the first file is touched.
"""

import asyncio
import os
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from adapters.durable_files import sync_path
from domain.instrument import InstrumentKey
from projections.ports import BarsUnreadable, DailyBar

_FILES_KEPT = 256
_FOLDER_MODE = 0o700
_PRICES = ("open_e4", "high_e4", "low_e4", "close_e4", "adjusted_close_e4")

_Stamp = tuple[int, int, int]
"""What of a file tells that it is another one: inode, time of its last change, size."""


class ParquetBars:
    """Implements `projections.ports.Bars` over the files in *folder*; the last that were read are kept in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[InstrumentKey, tuple[_Stamp, list[DailyBar]]] = OrderedDict()
        self._lock = Lock()  # Files are read in threads.

    async def daily(self, instrument: InstrumentKey, *, first_day: str, last_day: str) -> Sequence[DailyBar]:
        """Return the bars from *first_day* to *last_day* that are stored, oldest first. Raises BarsUnreadable."""
        bars = await asyncio.to_thread(self._bars, instrument)
        start = bisect_left(bars, first_day, key=lambda bar: bar.day)
        return bars[start : bisect_right(bars, last_day, key=lambda bar: bar.day)]

    def write(self, instrument: InstrumentKey, bars: Sequence[DailyBar]) -> None:
        """Put *bars* in the place of whatever is stored of *instrument*, durably.

        Raises:
            ValueError: they are not sorted by day, or a price is none.
            OSError: there is no room, or the folder cannot be written to.
        """
        _demand_sound(bars)
        path = self._path_of(instrument)
        if path is None:
            raise ValueError(f"received instrument {instrument}, expected an id of letters and digits")
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        with beside.open("wb") as unfinished:
            unfinished.write(_encode(bars))
            unfinished.flush()
            os.fsync(unfinished.fileno())
        beside.replace(path)
        sync_path(path.parent)

    def _path_of(self, instrument: InstrumentKey) -> Path | None:
        # An id comes from outside: only one that cannot lead out of the folder names a file.
        name = instrument.security_id
        is_plain = name.isascii() and name.isalnum()
        return self._folder / instrument.segment.value / f"{name}.parquet" if is_plain else None

    def _bars(self, instrument: InstrumentKey) -> list[DailyBar]:
        path = self._path_of(instrument)
        if path is None:
            return []
        try:
            found = path.stat()
        except FileNotFoundError:
            return []
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        with self._lock:
            kept = self._kept.get(instrument)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        bars = read_daily_bars(path)
        with self._lock:
            self._kept[instrument] = (stamp, bars)
            if len(self._kept) > _FILES_KEPT:
                self._kept.popitem(last=False)
        return bars


def read_daily_bars(path: Path) -> list[DailyBar]:
    """Return the bars in *path*, oldest first. Raises BarsUnreadable."""
    pl = _polars()
    try:
        frame = pl.read_parquet(path, columns=["day", *_PRICES, "volume"])
        rows = frame.with_columns(pl.col("day").dt.to_string("%Y-%m-%d")).rows(named=True)
        bars = [DailyBar(**row) for row in rows]
        _demand_sound(bars)
    except (OSError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise BarsUnreadable(f"the bars in {path.name} cannot be read: {type(error).__name__}: {error}") from error
    return bars


def _demand_sound(bars: Sequence[DailyBar]) -> None:
    days = [bar.day for bar in bars]
    if any(later <= earlier for earlier, later in pairwise(days)):
        raise ValueError("received days out of order or twice, expected each once, oldest first")
    for bar in bars:
        if not all(isinstance(price := getattr(bar, name), int) and price > 0 for name in _PRICES):
            raise ValueError(f"received a price of {bar.day} that is no positive whole number")


def _encode(bars: Sequence[DailyBar]) -> bytes:
    pl = _polars()
    columns: dict[str, Any] = {name: [getattr(bar, name) for bar in bars] for name in (*_PRICES, "volume")}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int64))
    days = pl.Series("day", [bar.day for bar in bars], dtype=pl.String).str.to_date("%Y-%m-%d")
    buffer = BytesIO()
    frame.insert_column(0, days).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _polars() -> Any:
    import polars as pl  # noqa: PLC0415 - see the module's docstring

    return pl
