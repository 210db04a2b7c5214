"""The bench of execution puts the ways of orders together from what log, broker and reader noted."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from api.opening import TradeAccepted
from domain.events import Event, encode, name_of
from domain.ids import CorrelationId, OrderId
from domain.market import NS_PER_MS
from domain.order import correlation_id_of
from infra.bench.broker_side import BrokerStamps
from infra.bench.http_load import Answered
from infra.bench.order_ways import OrderWays, percentile
from tests.support.specimens import (
    CODE,
    ENTRY,
    STOP,
    TRADE,
    order_acknowledged,
    order_filled,
    order_intended,
    order_outcome_unknown,
    order_presumed_absent,
    order_submitting,
    stop_intended,
)

FILLED = replace(order_filled, venue_trade_number="NSE_EQ:77:1000000001")
ENTRY_NAME, STOP_NAME = (correlation_id_of(order_id, code=CODE) for order_id in (ENTRY, STOP))


def ways_of(*events: Event) -> OrderWays:
    told = ((sequence, name_of(event), encode(event)) for sequence, event in enumerate(events, 1))
    return OrderWays(told, installation_code=CODE)


def stamps(*arrivals: tuple[CorrelationId, int], executed_ms: int | None = None) -> BrokerStamps:
    in_ns = [(name, at_ms * NS_PER_MS) for name, at_ms in arrivals]
    executed_ns = {} if executed_ms is None else {"77": executed_ms * NS_PER_MS}
    return BrokerStamps(arrivals=in_ns, arrived_ns=dict(reversed(in_ns)), executed_ns=executed_ns)


def answered(due_ms: int, order_ids: Sequence[OrderId]) -> Answered:
    accepted = TradeAccepted(
        trade_id=TRADE, order_id=order_ids[0], order_ids=list(order_ids), closing=[], denial=None, sequence=2
    )
    return Answered(due_ms * NS_PER_MS, 201, msgspec.json.encode(accepted))


def seen(*at_ms: int) -> dict[int, int]:
    return {sequence: each * NS_PER_MS for sequence, each in enumerate(at_ms, 1)}


def test_an_intent_is_charged_from_when_it_was_due_until_its_order_came_first() -> None:
    arrivals = stamps((ENTRY_NAME, 130), (ENTRY_NAME, 900))
    assert ways_of(order_intended).to_broker_ms([answered(100, [ENTRY])], arrivals, never_ms=5_000) == [30]


def test_an_order_that_never_came_is_charged_as_such() -> None:
    waits = ways_of(order_intended).to_broker_ms([answered(100, [ENTRY])], stamps(), never_ms=5_000)
    assert waits == [5_000]


def test_a_fill_is_charged_from_the_broker_until_every_view_shows_it() -> None:
    ways = ways_of(order_intended, order_submitting, order_acknowledged, FILLED)
    assert ways.fill_to_view_ms(stamps(executed_ms=200), seen(0, 0, 0, 225)) == [25]
    assert ways.fill_to_view_ms(stamps(), seen(0, 0, 0, 225)) == []


def test_a_stop_is_charged_from_the_fill_of_its_entry() -> None:
    ways = ways_of(order_intended, FILLED, stop_intended)
    assert ways.fill_to_stop_ms(stamps((STOP_NAME, 260), executed_ms=200), never_ms=5_000) == [60]
    assert ways.fill_to_stop_ms(stamps(executed_ms=200), never_ms=5_000) == [5_000]
    assert ways.fill_to_stop_ms(stamps(), never_ms=5_000) == []


@pytest.mark.parametrize("end", [order_acknowledged, FILLED, order_presumed_absent])
def test_a_doubt_is_charged_from_the_request_until_it_is_shown_and_until_it_is_over(end: Event) -> None:
    ways = ways_of(order_intended, order_submitting, order_outcome_unknown, end, order_acknowledged)
    assert ways.doubts_ms([ENTRY_NAME], stamps((ENTRY_NAME, 10)), seen(0, 0, 50, 310, 900)) == [(40, 300)]


def test_a_doubt_that_is_not_over_is_told_as_such() -> None:
    ways = ways_of(order_intended, order_submitting, order_outcome_unknown)
    assert ways.doubts_ms([ENTRY_NAME], stamps((ENTRY_NAME, 10)), seen(0, 0, 50)) == [(40, None)]


def test_an_order_of_which_nobody_was_in_doubt_is_none_of_them() -> None:
    ways = ways_of(order_intended, order_submitting, order_acknowledged)
    assert ways.doubts_ms([ENTRY_NAME, CorrelationId("other")], stamps((ENTRY_NAME, 10)), seen(0, 0, 0)) == []


def test_orders_that_were_there_before_are_passed_over() -> None:
    assert ways_of(order_acknowledged, FILLED).fill_to_view_ms(stamps(executed_ms=200), seen(0, 225)) == []


def test_a_percentile_is_of_all_that_waited() -> None:
    assert percentile([float(each) for each in range(101)], 99) == 99
