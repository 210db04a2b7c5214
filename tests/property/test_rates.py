"""A window counts every order that was sent in it, at most those of one bucket more, and remembers a bounded number."""

from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.account.rates import BUCKETS, HOUR_NS, MINUTE_NS, SECOND_NS, OrderRates, Window

SPANS = {"second": SECOND_NS, "minute": MINUTE_NS, "hour": HOUR_NS}
START_NS = 1_795_149_000 * SECOND_NS
thousandths = st.integers(0, 1_500)
"""Of a window's span: pauses between orders, so that some are far apart and many close together."""


@pytest.mark.parametrize("name", SPANS)
@settings(deadline=None)
@given(pauses=st.lists(thousandths, min_size=1, max_size=60), wait=thousandths)
@example(pauses=[0] * 60, wait=0)  # A storm within one bucket is remembered as one count;
@example(pauses=[500] + [0] * 60, wait=0)  # so is one that comes after others.
def test_a_window_counts_what_was_sent_in_it_and_at_most_a_bucket_more(name: str, pauses: list[int], wait: int) -> None:
    span_ns = SPANS[name]
    bucket_ns = span_ns // BUCKETS
    sent_ns = list(accumulate((pause * span_ns // 1_000 for pause in pauses), initial=START_NS))
    rates = OrderRates()
    for at_ns in sent_ns:
        rates = rates.sent(at_ns)
    window: Window = getattr(rates, name)
    at_ns = sent_ns[-1] + wait * span_ns // 1_000
    counted = window.count(at_ns, span_ns)
    assert sum(each > at_ns - span_ns for each in sent_ns) <= counted
    assert counted <= sum(each > at_ns - span_ns - bucket_ns for each in sent_ns)
    assert counted <= window.total == window.count(sent_ns[-1], span_ns)
    assert len(window.buckets) <= BUCKETS + 1
    assert rates.day_count == len(sent_ns)


@settings(deadline=None)
@given(steps_back=st.lists(thousandths, min_size=1, max_size=60))
def test_a_clock_that_steps_back_counts_as_standing_still(steps_back: list[int]) -> None:
    window = Window().counted(START_NS, SECOND_NS)
    for step in steps_back:
        window = window.counted(START_NS - step * SECOND_NS // 1_000, SECOND_NS)
    assert window.count(START_NS, SECOND_NS) == window.total == 1 + len(steps_back)
