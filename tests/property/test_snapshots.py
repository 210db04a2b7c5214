"""A snapshot and the events after it lead where all the events lead."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.account import Account, decider, snapshot
from tests.support.lives import Life

lives = st.builds(
    lambda random, commands: Life(random).go_on(commands),
    st.randoms(use_true_random=False),
    st.integers(min_value=0, max_value=60),
)


def as_seen(state: Account) -> tuple[Account, list[str], list[str]]:
    """Return the state, and the order in which its trades and orders lie: decisions go by it."""
    return state, list(state.trades), list(state.orders)


@settings(max_examples=60, deadline=None)
@given(life=lives, share=st.floats(min_value=0, max_value=1))
def test_a_snapshot_and_its_tail_equal_the_whole_fold(life: Life, share: float) -> None:
    cut = round(share * len(life.events))
    restored = snapshot.decode(snapshot.encode(decider.fold(life.events[:cut])))
    assert as_seen(restored) == as_seen(decider.fold(life.events[:cut]))
    assert as_seen(decider.fold(life.events[cut:], restored)) == as_seen(decider.fold(life.events))
