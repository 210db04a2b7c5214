"""The statistics of risk against definitions written out plainly, in whole numbers and fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.statistics import drawdowns, scenario_results, tail_loss

results = st.lists(st.integers(min_value=-(10**9), max_value=10**9), min_size=1, max_size=300)
confidences = st.sampled_from([5_000, 9_000, 9_500, 9_900, 9_990])


@given(results=results)
def test_a_drawdown_is_the_highest_before_it_less_the_result(results: list[int]) -> None:
    naive = [max(0, *results[: place + 1]) - result for place, result in enumerate(results)]
    assert drawdowns(results) == naive
    assert min(naive) >= 0


@given(results=results, moved=st.integers(min_value=1, max_value=10**6))
def test_a_drawdown_knows_no_scale_but_its_own(results: list[int], moved: int) -> None:
    assert drawdowns([moved * each for each in results]) == [moved * each for each in drawdowns(results)]


def naive_value_at_risk(losses: list[int], confidence_bp: int) -> int:
    """Return the smallest loss that is not exceeded in at least the share of cases that is asked for."""
    share = Fraction(confidence_bp, 10_000)
    return min(x for x in losses if Fraction(sum(loss <= x for loss in losses), len(losses)) >= share)


def naive_expected_shortfall(losses: list[int], confidence_bp: int) -> Fraction:
    """Return the mean of the losses' quantiles above the confidence: each loss is one for a share of 1 / n."""
    n, start = len(losses), Fraction(confidence_bp, 10_000)
    area = Fraction(0)
    for place, loss in enumerate(sorted(losses)):
        low, high = Fraction(place, n), Fraction(place + 1, n)
        area += loss * max(Fraction(0), high - max(low, start))
    return area / (1 - start)


@given(results=results, confidence_bp=confidences)
def test_value_at_risk_and_shortfall_are_the_quantile_and_the_mean_beyond_it(
    results: list[int], confidence_bp: int
) -> None:
    losses = [-each for each in results]
    found = tail_loss(results, confidence_bp=confidence_bp)
    assert found.value_at_risk_paise == naive_value_at_risk(losses, confidence_bp)
    assert abs(found.expected_shortfall_paise - naive_expected_shortfall(losses, confidence_bp)) <= 1
    assert found.expected_shortfall_paise >= found.value_at_risk_paise - 1


@given(results=results)
def test_more_confidence_is_never_less_risk(results: list[int]) -> None:
    found = [tail_loss(results, confidence_bp=each) for each in (9_000, 9_500, 9_900)]
    assert [each.value_at_risk_paise for each in found] == sorted(each.value_at_risk_paise for each in found)


@given(
    values=st.lists(st.integers(min_value=-(10**8), max_value=10**8), min_size=1, max_size=4),
    days=st.integers(min_value=2, max_value=8),
    data=st.data(),
)
def test_a_scenario_applies_a_days_returns_to_what_is_held_now(
    values: list[int], days: int, data: st.DataObject
) -> None:
    prices = st.lists(st.integers(min_value=1_0000, max_value=9_000_0000), min_size=days, max_size=days)
    closes = [data.draw(prices) for _ in values]
    naive = [
        sum(value * (Fraction(own[day], own[day - 1]) - 1) for value, own in zip(values, closes, strict=True))
        for day in range(1, days)
    ]
    found = scenario_results(values, closes)
    assert len(found) == len(naive)
    for shown, exact in zip(found, naive, strict=True):
        assert abs(shown - exact) <= max(1, abs(exact)) * Fraction(1, 10**6)


def test_of_a_hundred_days_the_fifth_worst_is_the_last_that_is_exceeded_too_often() -> None:
    losses = list(range(1, 101))  # 1 … 100 paise.
    found = tail_loss([-each for each in losses], confidence_bp=9_500)
    assert (found.value_at_risk_paise, found.expected_shortfall_paise) == (95, 98)
