"""Whatever an account lives through: books that agree show no difference, and a position that is tampered with does."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.account import Account, decider
from domain.differences import DifferenceKind
from tests.support.lives import Life
from tests.support.mirrored_books import MirroredBooks

lives = st.builds(
    lambda seed, commands: decider.fold(Life(Random(seed)).go_on(commands).events),  # noqa: S311 - no secret
    st.integers(0, 10_000),
    st.integers(0, 60),
)


@settings(max_examples=60)
@given(account=lives, units=st.integers(1, 50), data=st.data())
def test_only_what_is_planted_is_found(account: Account, units: int, data: st.DataObject) -> None:
    books = MirroredBooks.of(account)
    assert books.differences() == []
    if not books.positions:
        return
    position = data.draw(st.sampled_from(books.positions))
    books.hold(position.instrument, position.product, position.net_quantity + units)
    ((kind, ours, theirs),) = books.differences()
    assert (int(ours), int(theirs)) == (position.net_quantity, position.net_quantity + units)
    assert DifferenceKind(kind).value.startswith(("position_", "unknown_order_position"))
