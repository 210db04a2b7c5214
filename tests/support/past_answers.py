"""Answers about the past beside the oracle's: only what both say is compared, and that they say the same things."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.envelope import RecordedEvent
from domain.ids import AccountId, TradeId
from domain.order import OrderStatus, Purpose
from projections.as_of import PastQueries
from projections.positions import PositionRow
from projections.queries import OrderFilter, OrderLine, Paging
from tests.support.oracle import Oracle

FROM_PRICES = frozenset(
    {
        *("mark", "mark_time", "mark_source", "mark_missing", "value", "open_result"),
        *("day_result", "total_result", "gross_exposure", "net_exposure", "as_of"),
        *("used", "share"),  # Of a limit on money.
    }
)
"""What an answer says that comes from the market and not from the log, and the time that it says it stands for."""


def without_prices(value: Any) -> Any:
    """Leave out of an answer what does not derive from the log."""
    if isinstance(value, list):
        return [without_prices(each) for each in value]
    if isinstance(value, dict):
        return {name: without_prices(each) for name, each in value.items() if name not in FROM_PRICES}
    return value


async def check_against_oracle(past: PastQueries, account_id: AccountId, log: Sequence[RecordedEvent]) -> None:
    """Ask every portfolio query about an account and demand what the oracle says."""
    oracle = Oracle(account_id, log, past.moment.sequence)
    trades = await past.trades([account_id], paging=Paging(limit=200))
    assert trades.sequence == past.moment.sequence
    _same(trades.rows, oracle.trades()[:200])
    for trade in trades.rows[:4]:
        found = (await past.trade([account_id], trade.trade_id)).value
        assert found == trade
        _same((await past.orders_of([account_id], TradeId(trade.trade_id))).value, oracle.orders(trade.trade_id))
    portfolio, risk = (await past.portfolio(account_id)).value, oracle.risk()
    if risk is None:
        assert portfolio is None
        return
    assert portfolio is not None
    _same_positions(portfolio.positions, oracle.positions())
    recorded_at_us = {each.sequence: each.recorded_at_us for each in log}
    assert [row.changed_at_us for row in portfolio.positions] == [
        recorded_at_us[row.sequence] for row in portfolio.positions
    ]
    _same(portfolio.trades, [trade for trade in reversed(oracle.trades()) if trade["net_quantity"]])
    await _check_orders(past, account_id, oracle)
    await _check_days(past, account_id, oracle)
    limits = await past.limit_changes(account_id)
    assert [row.parameters for row in limits.changes] == oracle.limits()[:50]
    _same([portfolio.risk], [risk])
    day = past.day(portfolio.risk.day)
    marks = oracle.marks(day)
    held = [row for row in portfolio.positions if row.net_quantity]
    for each in await past.valued(account_id, held, day=day):
        assert each.mark_price_e4 == marks.get(each.row.security_id)


async def _check_orders(past: PastQueries, account_id: AccountId, oracle: Oracle) -> None:
    expected = sorted(
        (
            order | {"symbol": trade["symbol"], "strategy_id": trade["strategy_id"]}
            for trade in oracle.trades()[:25]
            for order in oracle.orders(trade["trade_id"])
        ),
        key=lambda order: -order["intended_sequence"],
    )
    # Of the newest trades every order is looked at, and what of older ones lies between them.
    newest = {order["order_id"]: order for order in expected}
    paging: Paging | None = Paging(limit=17)
    lines: list[OrderLine] = []
    for _ in range(3):
        if paging is None:
            break
        shown = await past.orders([account_id], paging=paging)
        lines += shown.rows
        paging = paging.following(shown)
    places = [line.intended_sequence for line in lines]
    assert places == sorted(set(places), reverse=True)
    seen = [line for line in lines if line.order_id in newest]
    _same(seen, [newest[line.order_id] for line in seen])
    assert {name for name, order in newest.items() if order["intended_sequence"] >= min(places, default=0)} == {
        line.order_id for line in seen
    }
    for status in (OrderStatus.FILLED, OrderStatus.ACKNOWLEDGED, OrderStatus.INTENDED):
        found = await past.orders([account_id], OrderFilter(status=status, purpose=Purpose.STOP), Paging(limit=200))
        assert {row.status for row in found.rows} <= {status}
        assert {row.purpose for row in found.rows} <= {Purpose.STOP}


async def _check_days(past: PastQueries, account_id: AccountId, oracle: Oracle) -> None:
    days = (await past.days(account_id)).value
    expected = oracle.daily_results()
    for row in days.results:
        assert row.realised_paise == expected[row.day, row.security_id]["realised_paise"]
        assert row.charges_paise == expected[row.day, row.security_id]["charges_paise"]
    assert sum(row.realised_paise for row in days.results) == (oracle.risk() or {})["realised_paise"]
    assert sum(row.charges_paise for row in days.results) == (oracle.risk() or {})["charges_paise"]
    assert {(row.day, row.security_id) for row in days.results} <= set(expected)
    assert sum(row.amount_paise for row in days.cash) == (oracle.risk() or {})["cash_moved_paise"]


def _same(rows: Sequence[msgspec.Struct], expected: Sequence[dict[str, Any]]) -> None:
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert {name: _shown(row, name) for name in wanted} == wanted


def _shown(row: Any, name: str) -> Any:
    match name:
        case "open_trades" | "latched":
            return set(getattr(row, name))
        case "switches":
            return {(each.strategy_id, each.mode, each.reason) for each in row.kill_switches}
        case "is_modifying":
            return row.wanted is not None
        case _:
            return getattr(row, name)


def _same_positions(rows: Sequence[PositionRow], expected: Sequence[dict[str, Any]]) -> None:
    shown = [
        {name: getattr(row, name) for name in wanted if name != "of_day"}
        | {"of_day": (row.day, row.realised_day_paise, row.charges_day_paise)}
        for row, wanted in zip(rows, expected, strict=True)
    ]
    assert shown == expected
