"""What the simulator makes up, and makes up the same each time: depth, open interest, options."""

import json
from itertools import pairwise
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.simulator.market.depth import LEVELS, depth_around
from adapters.simulator.market.open_interest import open_interest
from adapters.simulator.market.option_model import RATE, assumed_volatility, implied_volatility, value_of
from tests.support.dhan_recordings import FOLDER, recorded

YEAR_DAYS = 365
few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**64 - 1)


@few
@given(seeds, st.integers(1, 50_000).map(lambda ticks: ticks * 500), st.sampled_from([1, 65]))
def test_depth_lies_around_the_last_price(seed: int, last_e4: int, lot: int) -> None:
    depth = depth_around(last_e4, tick_e4=500, lot=lot, seed=seed)
    assert depth == depth_around(last_e4, tick_e4=500, lot=lot, seed=seed)
    bids, asks = [level.price_e4 for level in depth.bids], [level.price_e4 for level in depth.asks]
    assert len(bids) == len(asks) == LEVELS
    assert last_e4 in {bids[0], asks[0]}
    assert bids[0] < asks[0]
    assert all(higher > lower or higher == lower == 0 for higher, lower in pairwise(bids))
    assert all(higher > lower for lower, higher in pairwise(asks))
    for level in (*depth.bids, *depth.asks):
        assert (level.quantity > 0) is (level.orders > 0) is (level.price_e4 > 0)
        assert level.quantity % lot == level.price_e4 % 500 == 0
    assert depth.bid_quantity >= sum(level.quantity for level in depth.bids)
    assert depth.ask_quantity >= sum(level.quantity for level in depth.asks)


def test_depth_differs_from_moment_to_moment() -> None:
    assert len({depth_around(13_100_000, tick_e4=1_000, lot=1, seed=seed) for seed in range(100)}) == 100


@few
@given(seeds, st.integers(0, 10**9))
def test_open_interest_comes_in_lots_and_grows_with_what_trades(seed: int, volume: int) -> None:
    found = open_interest(lot=65, volume=volume, seed=seed)
    assert found.low == found.previous <= found.now == found.high
    assert found.now % 65 == found.low % 65 == 0
    assert found.now - found.low == volume // 10 // 65 * 65


spots = st.floats(100, 50_000)
moneyness = st.floats(0.8, 1.25)
volatilities = st.floats(0.08, 1.0)
years = st.floats(2 / YEAR_DAYS, 2)


@few
@given(spots, moneyness, volatilities, years)
def test_a_call_less_a_put_is_the_spot_less_the_strike_that_is_paid_later(
    spot: float, money: float, volatility: float, until: float
) -> None:
    strike = spot * money
    call, put = (
        value_of(spot=spot, strike=strike, years=until, volatility=volatility, is_call=is_call)
        for is_call in (True, False)
    )
    assert call.price - put.price == pytest.approx(spot - strike * exp(-RATE * until), abs=1e-6 * spot)
    assert call.delta - put.delta == pytest.approx(1)


@few
@given(moneyness, volatilities, years, st.booleans())
def test_greeks_are_the_slopes_of_the_value(money: float, volatility: float, until: float, is_call: bool) -> None:  # noqa: FBT001 - drawn
    spot, strike = 1_000.0, 1_000.0 * money

    def price(spot: float = spot, until: float = until, volatility: float = volatility) -> float:
        return value_of(spot=spot, strike=strike, years=until, volatility=volatility, is_call=is_call).price

    def delta(at: float) -> float:
        return value_of(spot=at, strike=strike, years=until, volatility=volatility, is_call=is_call).delta

    step, day = 0.01, 1 / YEAR_DAYS
    valued = value_of(spot=spot, strike=strike, years=until, volatility=volatility, is_call=is_call)
    assert valued.delta == pytest.approx((price(spot + step) - price(spot - step)) / (2 * step), abs=1e-4)
    assert valued.gamma == pytest.approx((delta(spot + step) - delta(spot - step)) / (2 * step), abs=1e-5)
    assert valued.vega == pytest.approx(
        (price(volatility=volatility + 1e-4) - price(volatility=volatility - 1e-4)) / 0.02, abs=1e-3
    )
    small = day / 100
    assert valued.theta == pytest.approx(
        (price(until=until - small) - price(until=until + small)) / (2 * small) * day, abs=5e-3
    )


@few
@given(moneyness, volatilities, st.floats(20 / YEAR_DAYS, 2), st.booleans())
def test_the_implied_volatility_gives_the_price_back(
    money: float,
    volatility: float,
    until: float,
    is_call: bool,  # noqa: FBT001 - drawn
) -> None:
    strike = 1_000.0 * money
    price = value_of(spot=1_000.0, strike=strike, years=until, volatility=volatility, is_call=is_call).price
    implied = implied_volatility(price, spot=1_000.0, strike=strike, years=until, is_call=is_call)
    again = value_of(spot=1_000.0, strike=strike, years=until, volatility=implied, is_call=is_call).price
    assert again == pytest.approx(price, abs=1e-6)


def test_an_option_is_worth_its_inner_value_at_its_end() -> None:
    def worth(strike: float, *, is_call: bool) -> float:
        volatility = assumed_volatility(spot=100.0, strike=strike)
        return value_of(spot=100.0, strike=strike, years=0, volatility=volatility, is_call=is_call).price

    assert worth(90.0, is_call=True) == pytest.approx(10, abs=0.01)
    assert worth(90.0, is_call=False) == pytest.approx(0, abs=0.01)
    assert worth(110.0, is_call=False) == pytest.approx(10, abs=0.01)


def test_lower_strikes_are_dearer_by_volatility() -> None:
    smile = [assumed_volatility(spot=24_000.0, strike=strike) for strike in (21_000.0, 24_000.0, 25_000.0)]
    assert smile[0] > smile[1] > smile[2] > 0.05


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded answers at {FOLDER}")
def test_the_model_agrees_with_the_greeks_of_a_recorded_chain() -> None:
    (pair,) = [found for found in recorded() if "option_chain" in found["cassette"]]
    data = json.loads(pair["response_text"])["data"]
    # Asked on 2025-01-28 at 15:03 of India, for the options that end on the 30th at 15:30. The broker seems to count
    # some hours more: its vegas fit 2.24 days, and the model's are smaller by the root of that.
    until = (2 + 27 / 1_440) / YEAR_DAYS
    compared = 0
    for strike in range(22_700, 23_250, 50):
        for side, is_call in (("ce", True), ("pe", False)):
            row = data["oc"][f"{strike}.000000"][side]
            valued = value_of(
                spot=data["last_price"],
                strike=float(strike),
                years=until,
                volatility=row["implied_volatility"] / 100,
                is_call=is_call,
            )
            assert valued.delta == pytest.approx(row["greeks"]["delta"], abs=0.03)
            assert valued.vega == pytest.approx(row["greeks"]["vega"], rel=0.12)
            assert valued.gamma == pytest.approx(row["greeks"]["gamma"], rel=0.12)
            compared += 1
    assert compared == 22
