"""The instrument master: dated definitions, found by symbol and by key."""

from datetime import datetime
from pathlib import Path

import pytest

from adapters.instruments import InstrumentMaster
from domain.instrument import InstrumentKey, InstrumentUnknown, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S

MASTER = InstrumentMaster.load()


def at(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, 10, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("symbol", "security_id", "tick_2021_e4", "tick_2026_e4"),
    [
        ("RELIANCE", "2885", 500, 1_000),
        ("TCS", "11536", 500, 1_000),
        ("INFY", "1594", 500, 1_000),
        ("HDFCBANK", "1333", 500, 500),
        ("ICICIBANK", "4963", 500, 1_000),
        ("SBIN", "3045", 500, 500),
        ("TATASTEEL", "3499", 500, 100),
        ("MARUTI", "10999", 500, 10_000),
    ],
)
def test_a_stock_has_the_tick_of_its_day(symbol: str, security_id: str, tick_2021_e4: int, tick_2026_e4: int) -> None:
    then = MASTER.by_symbol(symbol, market_time_ns=at(2021, 4, 27))
    now = MASTER.by_symbol(symbol, market_time_ns=at(2026, 4, 15))
    assert then.key == now.key == InstrumentKey(Segment.NSE_EQ, security_id)
    assert (then.tick_e4, now.tick_e4) == (tick_2021_e4, tick_2026_e4)
    assert then.tradable
    assert now.tradable


@pytest.mark.parametrize(("symbol", "security_id"), [("NIFTY", "13"), ("BANKNIFTY", "25")])
def test_an_index_is_known_but_not_tradable(symbol: str, security_id: str) -> None:
    index = MASTER.by_symbol(symbol, market_time_ns=at(2021, 4, 27))
    assert index.key == InstrumentKey(Segment.INDEX, security_id)
    assert not index.tradable


def test_a_key_finds_what_its_symbol_finds() -> None:
    for instrument in MASTER.all(market_time_ns=at(2026, 4, 15)):
        assert MASTER.by_key(instrument.key, market_time_ns=at(2026, 4, 15)) == instrument


def test_there_are_fifteen_stocks_to_trade() -> None:
    assert sum(instrument.tradable for instrument in MASTER.all(market_time_ns=at(2026, 4, 15))) == 15


def test_an_unknown_symbol_is_refused_with_what_was_received() -> None:
    with pytest.raises(InstrumentUnknown, match="RELIANZ"):
        MASTER.by_symbol("RELIANZ", market_time_ns=at(2026, 4, 15))


def test_an_unknown_key_is_refused_with_what_was_received() -> None:
    with pytest.raises(InstrumentUnknown, match="BSE_EQ:2885"):
        MASTER.by_key(InstrumentKey(Segment.BSE_EQ, "2885"), market_time_ns=at(2026, 4, 15))


HEADER = "valid_from,segment,security_id,symbol,name,tradable,tick_e4,lot,freeze_quantity,derivatives"


def test_an_instrument_is_unknown_before_its_first_definition(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{HEADER}\n2025-01-02,NSE_EQ,1,NEWCO,New Company,yes,500,1,1000,no\n")
    master = InstrumentMaster.load(table)
    with pytest.raises(InstrumentUnknown, match="before its first definition"):
        master.by_symbol("NEWCO", market_time_ns=at(2025, 1, 1))
    assert master.by_symbol("NEWCO", market_time_ns=at(2025, 1, 2)).freeze_quantity == 1000
    assert master.all(market_time_ns=at(2025, 1, 1)) == ()


def test_a_symbol_that_names_two_instruments_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{HEADER}\n,NSE_EQ,1,SAME,One,yes,500,1,,no\n,NSE_EQ,2,SAME,Two,yes,500,1,,no\n")
    with pytest.raises(ValueError, match="SAME names both"):
        InstrumentMaster.load(table)
