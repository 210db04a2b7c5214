"""What the simulator keeps of a session: the day's statistics and candles of any length."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.simulator.market.candles import Candle, Minutes, joined, joined_by_day
from adapters.simulator.market.market_record import MarketRecord
from adapters.simulator.market.quotes import QuoteBoard
from adapters.simulator.tapes.tape import Tick
from domain.instrument import Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.matching import Depth, Level
from tests.support.tape import INSTRUMENTS, RELIANCE

MINUTE_NS = 60 * NS_PER_S


def at(hour: int, minute: int, second: int = 0, *, day: int = 15) -> int:
    return int(datetime(2026, 4, day, hour, minute, second, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S


OPEN_NS = at(9, 15)


def record_of(*prints: tuple[int, int, int]) -> MarketRecord:
    record = MarketRecord({RELIANCE: 900})
    for price_e4, volume, time_ns in prints:
        record.add(Tick(RELIANCE, price_e4, volume, time_ns))
    return record


def test_a_day_has_its_open_high_low_volume_and_average() -> None:
    day = record_of((1_000, 10, OPEN_NS), (1_200, 30, OPEN_NS + 1), (800, 0, OPEN_NS + 2)).day_of(RELIANCE)
    assert day is not None
    assert (day.open_e4, day.high_e4, day.low_e4, day.last_e4) == (1_000, 1_200, 800, 800)
    assert (day.volume, day.average_e4, day.last_quantity) == (40, 1_150, 30)
    assert (day.previous_close_e4, day.last_time_ns) == (900, OPEN_NS + 2)


def test_another_day_begins_anew_with_the_last_price_as_its_previous_close() -> None:
    day = record_of((1_000, 10, OPEN_NS), (1_300, 5, at(9, 15, day=16))).day_of(RELIANCE)
    assert day is not None
    assert (day.open_e4, day.high_e4, day.low_e4, day.volume, day.previous_close_e4) == (1_300, 1_300, 1_300, 5, 1_000)


def test_the_days_of_an_instrument_without_a_print_are_unknown_but_for_the_close_before() -> None:
    record = record_of()
    assert (record.day_of(RELIANCE), record.previous_close_e4(RELIANCE)) == (None, 900)
    assert record.minutes_between(RELIANCE, 0, at(23, 59)) == []


def test_the_depth_of_the_last_print_is_what_is_shown_and_filled_up_to_five_levels() -> None:
    record = record_of((13_100_000, 10, OPEN_NS))
    quotes = QuoteBoard(record, INSTRUMENTS)
    made_up = quotes.quote_of(RELIANCE, market_time_ns=OPEN_NS)
    told = Depth((Level(990, 7, 2), Level(980, 5, 1)), tuple(Level(1_000 + level, 3, 1) for level in range(7)))
    record.add(Tick(RELIANCE, 1_000, 1, OPEN_NS, told))
    shown = quotes.quote_of(RELIANCE, market_time_ns=OPEN_NS)
    assert made_up is not None
    assert made_up.depth.bids[4].quantity > 0
    assert shown is not None
    assert shown.depth.bids == (*told.bids, *(Level(0, 0, 0),) * 3)
    assert shown.depth.asks == told.asks[:5]
    assert (shown.depth.bid_quantity, shown.depth.ask_quantity) == (12, 21)


def test_a_minute_has_what_was_printed_in_it_and_a_quiet_one_is_left_out() -> None:
    record = record_of((10, 1, OPEN_NS), (30, 2, at(9, 15, 59)), (20, 3, at(9, 17, 1)))
    assert record.minutes_between(RELIANCE, OPEN_NS, at(9, 18)) == [
        Candle(OPEN_NS, 10, 30, 10, 30, 3),
        Candle(at(9, 17), 20, 20, 20, 20, 3),
    ]
    assert record.minutes_between(RELIANCE, OPEN_NS + 1, at(9, 17)) == []


def test_a_print_with_an_earlier_stamp_counts_where_the_last_one_did() -> None:
    record = record_of((10, 1, at(9, 16)), (30, 2, OPEN_NS))
    assert record.minutes_between(RELIANCE, OPEN_NS, at(9, 17)) == [Candle(at(9, 16), 10, 30, 10, 30, 3)]


def test_longer_candles_are_counted_from_the_open_of_the_session() -> None:
    minutes = [Candle(OPEN_NS + number * MINUTE_NS, 1, 1, 1, 1, 1) for number in range(375)]
    for length, beginnings in ((25, [at(9, 15), at(9, 40), at(10, 5)]), (60, [at(9, 15), at(10, 15), at(11, 15)])):
        candles = joined(minutes, minutes=length, segment=Segment.NSE_EQ)
        assert [candle.begins_ns for candle in candles][:3] == beginnings
        assert {candle.volume for candle in candles[:-1]} == {length}
    metals = joined(minutes, minutes=60, segment=Segment.MCX_COMM)
    assert [candle.begins_ns for candle in metals][:2] == [at(9, 0), at(10, 0)]


def test_twenty_five_minutes_are_counted_anew_every_day() -> None:
    minutes = [Candle(at(9, 15, day=day), 1, 1, 1, 1, 1) for day in (15, 16, 17)]
    assert joined(minutes, minutes=25, segment=Segment.NSE_EQ) == minutes


def test_a_day_is_one_candle_from_its_midnight() -> None:
    minutes = [
        Candle(OPEN_NS, 5, 9, 4, 6, 1),
        Candle(at(15, 29), 6, 7, 2, 3, 2),
        Candle(at(9, 15, day=16), 1, 1, 1, 1, 1),
    ]
    assert joined_by_day(minutes) == [Candle(at(0, 0), 5, 9, 2, 3, 3), Candle(at(0, 0, day=16), 1, 1, 1, 1, 1)]


def test_the_oldest_minutes_of_very_many_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.simulator.market.candles._KEPT_MAX", 100)
    minutes = Minutes()
    for minute in range(201):
        minutes.add(minute + 1, volume=1, time_ns=minute * MINUTE_NS)
    kept = minutes.between(0, 300 * MINUTE_NS)
    assert (len(kept), kept[0].open_e4, kept[-1].open_e4) == (101, 101, 201)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 22_499), st.integers(1, 10_000), st.integers(0, 500)), min_size=1, max_size=60),
    st.sampled_from([1, 5, 15, 25, 60]),
)
def test_candles_are_what_a_plain_reckoning_makes_of_the_prints(
    prints: list[tuple[int, int, int]], length: int
) -> None:
    ordered = sorted(prints, key=lambda each: each[0])
    record = record_of(*((price, volume, OPEN_NS + second * NS_PER_S) for second, price, volume in ordered))
    candles = joined(record.minutes_between(RELIANCE, OPEN_NS, at(15, 30)), minutes=length, segment=Segment.NSE_EQ)
    plain: dict[int, list[tuple[int, int]]] = {}
    for second, price, volume in ordered:
        plain.setdefault(second // (60 * length), []).append((price, volume))
    assert candles == [
        Candle(
            OPEN_NS + number * length * MINUTE_NS,
            rows[0][0],
            max(price for price, _ in rows),
            min(price for price, _ in rows),
            rows[-1][0],
            sum(volume for _, volume in rows),
        )
        for number, rows in plain.items()
    ]
