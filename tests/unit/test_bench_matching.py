"""The bench of the matching: what it is measured beside does the same work."""

from domain.matching import Execution
from domain.order import Side
from infra.bench.matching import MIDDLE, ListMatching, Step, fills, ours, play, prints


def test_the_plain_list_comes_to_the_same_executions() -> None:
    script = [*fills(20), *prints(20), Step(None, MIDDLE // 2, 10_000)]
    executions = play(ours(), script)
    assert executions == play(ListMatching(), script)
    assert sum(each.order_id.startswith("o") for each in executions) >= 20
    assert {each.price_e4 for each in executions[-10:]} == {MIDDLE // 2}


def test_both_give_back_what_a_canceled_order_had_left() -> None:
    order = next(step.order for step in fills(1) if step.order is not None)
    for book in (ours(), ListMatching()):
        assert book.submit(order, time_ns=1) == list[Execution]()
        assert book.cancel(order.order_id) == order.quantity
    assert order.side is Side.BUY
