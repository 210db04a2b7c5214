"""The simulator's downloads of the instrument master, read back by whoever reads the broker's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from adapters.dhan.scrip_master import read_scrip_master
from adapters.instrument_store.definitions import DEFINITION, KEY
from adapters.simulator.paths.scrip_list import compact_list, detailed_list
from domain.instrument import Instrument, InstrumentKey, Segment
from tests.support import scrip_masters as rows
from tests.support.tape import INSTRUMENTS

COMPARED = (*KEY, *(set(DEFINITION) - {*KEY, "venue_symbol", "has_derivatives", "is_test", "freeze_quantity"}))
"""What a layout tells of an instrument by itself: the exchange's own symbol of a weekly option is not ours."""
NOW_NS = 1_776_224_700 * 1_000_000_000
List = Callable[[Sequence[Instrument]], bytes]
lists = pytest.mark.parametrize(("layout", "listed"), [("compact", compact_list), ("detailed", detailed_list)])


def instrument_of(row: dict[str, Any]) -> Instrument:
    names = {each.name for each in msgspec.structs.fields(Instrument)} - {"key"}
    key = InstrumentKey(Segment(row["segment"]), row["security_id"])
    return msgspec.convert({**{name: row[name] for name in names}, "key": key}, Instrument)


def by_symbol(frame: pl.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row["symbol"]: tuple(row[name] for name in columns) for row in frame.iter_rows(named=True)}


def read_again(folder: Path, written: bytes) -> tuple[str, pl.DataFrame]:
    path = folder / "again.csv"
    path.write_bytes(written)
    read = read_scrip_master(path, on=rows.DAY)
    assert read.unusable == {}
    return read.layout, read.frame


@lists
def test_a_master_of_every_kind_of_instrument_comes_back_as_it_was(tmp_path: Path, layout: str, listed: List) -> None:
    frame = rows.read_master(tmp_path, rows.WHOLE).frame
    instruments = [instrument_of(row) for row in frame.iter_rows(named=True)]
    found, again = read_again(tmp_path, listed(instruments))
    assert found == layout
    assert by_symbol(again, *COMPARED) == by_symbol(frame, *COMPARED)


@lists
def test_the_master_that_the_simulator_has_comes_back_as_it_is(tmp_path: Path, layout: str, listed: List) -> None:
    instruments = INSTRUMENTS.all(market_time_ns=NOW_NS)
    found, again = read_again(tmp_path, listed(instruments))
    assert found == layout
    assert by_symbol(again, "security_id", "name", "tick_e4", "lot") == {
        each.symbol: (each.key.security_id, each.name, each.tick_e4, each.lot) for each in instruments
    }


def test_a_segment_is_listed_alone() -> None:
    instruments = INSTRUMENTS.all(market_time_ns=NOW_NS)
    lines = detailed_list(instruments, of=Segment.INDEX).decode().splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == ["25", "13"]
    assert all(line.endswith(",") for line in lines)


def test_a_comma_in_a_name_does_not_shift_the_columns() -> None:
    odd = msgspec.structs.replace(INSTRUMENTS.all(market_time_ns=NOW_NS)[0], name="One, two, three")
    for listed in (compact_list, detailed_list):
        header, line = listed([odd]).decode().splitlines()
        assert line.count(",") == header.count(",")
