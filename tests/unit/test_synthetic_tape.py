"""Synthetic tapes: seeded, endless if asked, and shaped like a market."""

from itertools import islice

import pytest

from adapters.instruments import InstrumentMaster
from adapters.simulator.tapes.synthetic import CHARACTERS, DEMO_START_NS, SESSION_SECONDS, ClosingAuction, SyntheticTape
from domain.market import NS_PER_S

INSTRUMENTS = InstrumentMaster.load()
RELIANCE = INSTRUMENTS.by_symbol("RELIANCE", market_time_ns=DEMO_START_NS)
NIFTY = INSTRUMENTS.by_symbol("NIFTY", market_time_ns=DEMO_START_NS)


def test_the_same_seed_gives_the_same_tape_and_another_seed_another() -> None:
    first, again, other = (list(SyntheticTape(instruments=INSTRUMENTS, seed=s, seconds=90).play()) for s in (7, 7, 8))
    assert first == again
    assert first != other


def test_an_endless_tape_rolls_on_second_by_second() -> None:
    tape = SyntheticTape(instruments=INSTRUMENTS, seconds=None)
    assert tape.seconds is None
    times = [second.market_time_ns for second in islice(tape.play(), 1_300)]
    assert times == [DEMO_START_NS + number * NS_PER_S for number in range(1_300)]


def test_every_price_lies_on_the_tick_of_the_day() -> None:
    for second in SyntheticTape(instruments=INSTRUMENTS, seconds=300).play():
        for tick in second.ticks:
            definition = INSTRUMENTS.by_key(tick.instrument, market_time_ns=second.market_time_ns)
            assert definition.is_on_tick(tick.last_price_e4)
            assert tick.last_price_e4 > 0
            assert (tick.volume > 0) is definition.tradable


def test_stocks_move_with_the_market() -> None:
    numpy = pytest.importorskip("numpy")
    last: dict[object, int] = {}
    paths: dict[object, list[int]] = {RELIANCE.key: [], NIFTY.key: []}
    for number, second in enumerate(SyntheticTape(instruments=INSTRUMENTS, seconds=6_000).play()):
        last.update({tick.instrument: tick.last_price_e4 for tick in second.ticks})
        if number % 60 == 59:
            for key, path in paths.items():
                path.append(last[key])
    returns = [numpy.diff(numpy.log(path)) for path in paths.values()]
    assert numpy.corrcoef(*returns)[0, 1] > 0.4


def test_volume_and_movement_are_higher_at_the_open_than_at_noon() -> None:
    seconds = list(SyntheticTape(instruments=INSTRUMENTS, seconds=3_000).play())

    def volume(part: slice) -> int:
        return sum(tick.volume for second in seconds[part] for tick in second.ticks)

    assert volume(slice(0, 150)) > 2 * volume(slice(1_400, 1_550))


def test_a_session_stays_within_a_days_range() -> None:
    tape = SyntheticTape(instruments=INSTRUMENTS, seconds=3_000, symbols=["RELIANCE"])
    prices = [tick.last_price_e4 / 10_000 for second in tape.play() for tick in second.ticks]
    start = CHARACTERS["RELIANCE"].price
    assert 0.9 * start < min(prices) < max(prices) < 1.1 * start
    assert max(prices) > min(prices)


def test_a_tape_of_symbols_without_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="expected some of"):
        SyntheticTape(instruments=INSTRUMENTS, symbols=["NIFTY"])


def test_depth_is_five_levels_around_each_print_and_changes_nothing_else() -> None:
    plain = list(SyntheticTape(instruments=INSTRUMENTS, seed=3, seconds=120).play())
    shown = list(SyntheticTape(instruments=INSTRUMENTS, seed=3, seconds=120, depth=True).play())
    assert [[tick._replace(depth=None) for tick in second.ticks] for second in shown] == [
        list(second.ticks) for second in plain
    ]
    sides = set()
    for tick in (tick for second in shown for tick in second.ticks if tick.volume > 0):
        assert tick.depth is not None
        bids, asks = tick.depth
        step = INSTRUMENTS.by_key(tick.instrument, market_time_ns=DEMO_START_NS).tick_e4
        assert [level.price_e4 for level in bids] == [bids[0].price_e4 - number * step for number in range(5)]
        assert [level.price_e4 for level in asks] == [bids[0].price_e4 + (number + 1) * step for number in range(5)]
        assert all(level.quantity > 0 and level.orders > 0 for level in (*bids, *asks))
        assert tick.last_price_e4 in {bids[0].price_e4, asks[0].price_e4}
        sides.add(tick.last_price_e4 == asks[0].price_e4)
    assert sides == {True, False}


def test_the_first_depths_do_not_depend_on_how_many_follow() -> None:
    session, endless = (
        SyntheticTape(instruments=INSTRUMENTS, seconds=seconds, depth=True).play()
        for seconds in (SESSION_SECONDS, None)
    )
    assert list(islice(session, 30)) == list(islice(endless, 30))


def test_behind_continuous_trading_there_is_the_auctions_print_and_then_its_price_alone() -> None:
    auction = ClosingAuction(ends_s=60, outcome_s=90, post_close_s=100)
    tape = SyntheticTape(instruments=INSTRUMENTS, seconds=200, closing_auction=auction, depth=True)
    seconds = list(tape.play())
    plain = SyntheticTape(instruments=INSTRUMENTS, seconds=200, depth=True)
    assert seconds[:60] == list(islice(plain.play(), 60))
    assert [number for number, second in enumerate(seconds[60:100]) if second.ticks] == [30]
    outcome = {tick.instrument: tick for tick in seconds[90].ticks}
    assert set(outcome) == set(tape.instruments)
    assert outcome[RELIANCE.key].volume == CHARACTERS["RELIANCE"].volume * 1_800
    late = [tick for second in seconds[100:] for tick in second.ticks]
    assert len({tick.instrument for tick in late}) > 10
    assert all(tick.last_price_e4 == outcome[tick.instrument].last_price_e4 and tick.volume > 0 for tick in late)
