"""The fast path beside the table: at each limit exactly, and one step beyond it."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.checks.fast import surely_passes
from domain.account.commands import OpenTrade
from domain.account.events import AccountEvent
from domain.account.evolve import on_day
from domain.account.rates import OrderRates
from domain.account.state import Account
from domain.account.valuation import valuation_of
from domain.market import trading_day
from domain.risk import DenialCode as C
from tests.support.denials import ROWS, Row, name_of_row
from tests.support.specimens import NOW_NS


def stamped(intent: OpenTrade, history: tuple[AccountEvent, ...]) -> tuple[OpenTrade, Account]:
    """Return *intent* with the valuation that the handler stamps on it, and the account on the intent's day."""
    market = intent.market
    account = on_day(decider.fold(history), trading_day(market.market_time_ns).isoformat())
    valuation = valuation_of(account, market.mark_of, market_time_ns=market.market_time_ns)
    return replace(intent, market=replace(market, valuation=valuation)), account


def is_sure(intent: OpenTrade, history: tuple[AccountEvent, ...]) -> bool:
    command, account = stamped(intent, history)
    assert command.market.instrument is not None
    return surely_passes(command, account, command.market.instrument)


@pytest.mark.parametrize("row", ROWS, ids=name_of_row)
def test_nothing_that_is_denied_surely_passes(row: Row) -> None:
    assert not is_sure(row.intent, row.given)


LEFT_TO_THE_TABLE = {
    # A switch of another strategy is engaged.
    (C.STRATEGY_KILL_SWITCH_ENGAGED, "released"),
    # Orders for the next session, in slices, or not shown whole.
    (C.MARKET_CLOSED, "an open market"),
    (C.SLICES_ABOVE_LIMIT, "2 orders"),
    (C.DISCLOSED_QUANTITY_INVALID, "0 or 10..100"),
    # More of one of so many positions; beside an order that rests.
    (C.OPEN_POSITIONS_ABOVE_LIMIT, "1"),
    (C.SELF_CROSS, "below 2851.00"),
    # Orders were sent some time ago: a window slides in the table alone.
    (C.ORDERS_PER_SECOND_ABOVE_LIMIT, "1 a second for entries, 3 in all"),
    (C.ORDERS_PER_MINUTE_ABOVE_LIMIT, "1 a minute for entries, 3 in all"),
    (C.ORDERS_PER_HOUR_ABOVE_LIMIT, "1 an hour for entries, 3 in all"),
}


@pytest.mark.parametrize("row", [row for row in ROWS if row.passing is not None], ids=name_of_row)
def test_what_meets_a_limit_exactly_surely_passes_where_it_is_not_left_to_the_table(row: Row) -> None:
    assert row.passing is not None
    history = row.given if row.passing_given is None else row.passing_given
    has_trigger = row.passing.trigger_price_e4 is not None
    is_left = has_trigger or (row.code, row.limit) in LEFT_TO_THE_TABLE
    assert is_sure(row.passing, history) is not is_left


def test_an_order_of_unknown_time_counts_by_the_day_alone() -> None:
    rates = OrderRates().sent(0)
    assert (rates.second.total, rates.minute.total, rates.hour.total, rates.day_count) == (0, 0, 0, 1)
    known = rates.sent(NOW_NS)
    assert (known.second.total, known.hour.total, known.day_count) == (1, 1, 2)
