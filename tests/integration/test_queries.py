"""What readers ask of PostgreSQL is answered as by a fold of the whole log."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import product

import pytest
from msgspec.structs import replace

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from domain.account.events import Role
from domain.ids import AccountId, StrategyId, TradeId, UserId
from domain.order import OrderStatus, Purpose
from domain.strategy.life import StrategyStatus
from infra.database import DatabaseUrls
from projections.alerts import AlertCode
from projections.queries import AlertState, AuditFilter, OrderFilter, Paging, QueriesUnavailable, Sort, TradeFilter
from projections.trades import TradeStatus
from tests.support.eventually import eventually
from tests.support.log_writing import Scribe
from tests.support.memory_log import MemoryLog
from tests.support.memory_queries import MemoryQueries
from tests.support.paging import paged
from tests.support.projecting import reach, running, write_lives
from tests.support.specimens import (
    BACKTEST,
    ENTRY,
    OWNER,
    STRATEGY,
    cash_moved,
    contract_note_received,
    kill_switch_engaged,
    limits_changed,
    member_removed,
    member_set,
    order_intended,
    order_outcome_unknown,
    order_submitting,
    protection_failed,
    strategy_drafted,
    trade_opened,
)

DRAFTER = UserId("usr_drafter")
NAMES = ("mean reversion", "Opening range", "MEAN reversion", "breakout", "opening range", "a b", "Ab", "Opening range")
DAYS = ("2026-12-29", "2026-12-30")
"""Of contract notes: days on which nothing else happens."""
MEMBERS = {"usr_trader": Role.TRADER, "usr_viewer": Role.VIEWER, "usr_gone": Role.OWNER}


@pytest.fixture
async def both(
    database: DatabaseUrls, store: PostgresEventStore
) -> AsyncIterator[tuple[PostgresViews, MemoryQueries, list[AccountId]]]:
    """The views of a log of lives, the same log in memory, and its accounts."""
    _, lives = await write_lives(store, accounts=3, commands=90)
    first, second = lives[:2]
    scribe = Scribe(store, {f"account-{life.account_id}": len(life.events) for life in (first, second)})
    lost = (trade_opened, order_intended, order_submitting, order_outcome_unknown)
    await scribe.write(f"account-{second.account_id}", [*lost, protection_failed, kill_switch_engaged])
    members = [replace(member_set, member_id=UserId(name), role=role) for name, role in MEMBERS.items()]
    gone = replace(member_removed, member_id=UserId("usr_gone"))
    notes = [replace(contract_note_received, trading_day=day) for day in DAYS]
    await scribe.write(f"account-{first.account_id}", [*members, gone, cash_moved, limits_changed, *notes])
    for number, name in enumerate(NAMES):
        strategy_id = StrategyId(f"{STRATEGY[:-2]}{number:02}")
        drafted = replace(strategy_drafted, strategy_id=strategy_id, user_id=DRAFTER, name=name)
        last = await scribe.write(f"strategy-{strategy_id}", [drafted])
    async with running(database) as projector, PostgresViews(database.query) as views:
        await reach(projector, last)
        log = MemoryLog(await store.read_all(after_sequence=0, limit=10_000))
        yield views, MemoryQueries(log), [life.account_id for life in lives]


async def test_orders_are_filtered_and_paged_as_by_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    statuses = (None, OrderStatus.FILLED, OrderStatus.ACKNOWLEDGED)
    names = (None, "RELIANCE", "INFY", "TCS")
    purposes = (None, *Purpose)
    strategies = (None, StrategyId("str_one"))
    found = 0
    for status, symbol, purpose, strategy_id in product(statuses, names, purposes, strategies):
        wanted = OrderFilter(status=status, symbol=symbol, purpose=purpose, strategy_id=strategy_id)
        page = await views.orders(accounts, wanted, Paging(limit=200))
        assert page == await memory.orders(accounts, wanted, Paging(limit=200))
        found += len(page.rows)
    assert found > 300
    for sort in (Sort.NEWEST, Sort.OLDEST):
        paging = Paging(sort=sort, limit=5)
        for _ in range(4):
            page = await views.orders(accounts[2:], paging=paging)
            assert page == await memory.orders(accounts[2:], paging=paging)
            following = paging.following(page)
            assert following is not None
            paging = following
    trade_id = TradeId(page.rows[0].trade_id)
    assert {line.trade_id for line in (await views.orders(accounts, OrderFilter(trade_id=trade_id))).rows} == {trade_id}
    assert (await views.orders([AccountId("acc_nobody")])).rows == []


async def test_a_portfolio_its_days_and_its_limits_are_those_of_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    for account_id in accounts:
        shown = (await views.portfolio(account_id)).value
        assert shown == (await memory.portfolio(account_id)).value
        assert shown is not None
        assert sum(trade.net_quantity for trade in shown.trades) == sum(row.net_quantity for row in shown.positions)
        assert await views.days(account_id) == await memory.days(account_id)
        assert await views.limit_changes(account_id, limit=3) == await memory.limit_changes(account_id, limit=3)
    assert (await views.days(accounts[0])).value.cash
    first = await views.limit_changes(accounts[0], limit=1)
    second = await views.limit_changes(accounts[0], limit=1, before=first.next_before)
    assert first.changes[0].sequence > second.changes[0].sequence


async def test_contract_notes_are_listed_and_found_as_by_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    for account_id in accounts:
        page = await views.contract_notes(account_id)
        assert page == await memory.contract_notes(account_id)
        for row in page.rows:
            assert (await views.contract_note(account_id, row.day)).value == row
    oldest = Paging(sort=Sort.OLDEST, limit=1)
    first = await views.contract_notes(accounts[0], oldest)
    assert first == await memory.contract_notes(accounts[0], oldest)
    assert first.next_after is not None
    found = await views.contract_note(accounts[0], DAYS[-1])
    assert found.value is not None
    assert found.value.lines == contract_note_received.lines
    assert (await views.contract_note(accounts[0], "2026-01-01")).value is None
    assert (await views.contract_note(AccountId("acc_nobody"), DAYS[-1])).value is None


async def test_orders_in_doubt_and_alerts_are_those_of_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    doubts = await views.doubts(accounts)
    for symbol in (None, "RELIANCE", "TCS"):
        assert await views.doubts(accounts, symbol) == await memory.doubts(accounts, symbol)
    assert [(line.order_id, line.doubt) for line in doubts.rows] == [(ENTRY, order_outcome_unknown.cause)]
    unknown = await views.orders(accounts, OrderFilter(status=OrderStatus.UNKNOWN), Paging(limit=200))
    assert [line.order_id for line in unknown.rows] == [ENTRY]
    open_ones = await views.alerts(accounts[1:2], AlertState.OPEN)
    assert {AlertCode.ORDER_UNKNOWN, AlertCode.PROTECTION_FAILED} <= {row.code for row in open_ones.rows}
    found = 0
    for state, sort, account in product((None, *AlertState), (Sort.NEWEST, Sort.OLDEST), (accounts, accounts[1:2])):
        paging: Paging | None = Paging(sort=sort, limit=3)
        while paging is not None:
            page = await views.alerts(account, state, paging)
            assert page == await memory.alerts(account, state, paging)
            found += len(page.rows)
            paging = paging.following(page)
    assert found > 30
    assert (await views.alerts([AccountId("acc_nobody")])).rows == []


async def test_trades_are_found_by_strategy(both: tuple[PostgresViews, MemoryQueries, list[AccountId]]) -> None:
    views, memory, accounts = both
    for strategy_id, status in product((StrategyId("str_one"), StrategyId("str_none")), (None, TradeStatus.CLOSED)):
        wanted = TradeFilter(strategy_id=strategy_id, status=status)
        page = await views.trades(accounts, wanted, Paging(limit=200))
        assert page == await memory.trades(accounts, wanted, Paging(limit=200))
        assert bool(page.rows) == (strategy_id == "str_one")


async def test_a_crowd_on_one_line_is_answered_each_with_its_own(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]], database: DatabaseUrls
) -> None:
    _, memory, accounts = both
    async with PostgresViews(database.query, size=1) as views:
        portfolios = await asyncio.gather(*map(views.portfolio, accounts * 20))
        pages = await asyncio.gather(*(views.trades([account_id]) for account_id in accounts * 20))
    assert portfolios == [await memory.portfolio(account_id) for account_id in accounts] * 20
    assert pages == [await memory.trades([account_id]) for account_id in accounts] * 20
    assert len({portfolio.value.risk.account_id for portfolio in portfolios if portfolio.value}) == len(accounts)


async def test_a_crowd_waits_for_its_turn_longer_than_for_a_database_that_is_away(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
    database: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, accounts = both
    patience_s = 0.05
    monkeypatch.setattr("adapters.postgres.views._POOL_WAIT_S", patience_s)
    async with PostgresViews(database.query, size=1) as views:
        await eventually(lambda: _looks_back(views, accounts[0]))
        async with views.reading(accounts[:1]):
            waiting = asyncio.create_task(_looks_back(views, accounts[0]))
            await asyncio.sleep(4 * patience_s)
        assert await waiting


async def _looks_back(views: PostgresViews, account_id: AccountId) -> bool:
    """Tell whether the one connection is there: making it may take longer than a test wants to wait for its turn."""
    try:
        async with views.reading([account_id]) as connection:
            await connection.execute("SELECT 1")
    except QueriesUnavailable:
        return False
    return True


async def test_people_strategies_backtests_and_events_are_those_of_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    for each in accounts:
        assert await views.members(each) == await memory.members(each)
    members = {row.user_id: row.role for row in (await views.members(accounts[0])).value}
    assert members.items() >= (MEMBERS.items() - {("usr_gone", Role.OWNER)})
    assert "usr_gone" not in members
    for user_id in map(UserId, (*members, *MEMBERS, "usr_nobody")):
        assert await views.memberships_of(user_id) == await memory.memberships_of(user_id)
    assert await views.accounts(accounts[:2]) == await memory.accounts(accounts[:2])
    for user_id, status in product((OWNER, UserId("usr_nobody")), (None, StrategyStatus.PAPER, StrategyStatus.DRAFT)):
        page = await views.strategies(user_id, Paging(limit=5), status=status)
        assert page == await memory.strategies(user_id, Paging(limit=5), status=status)
        assert bool(page.rows) == (user_id == OWNER and status is not StrategyStatus.DRAFT)
        assert await views.strategy(user_id, STRATEGY) == await memory.strategy(user_id, STRATEGY)
        assert await views.backtest(user_id, BACKTEST) == await memory.backtest(user_id, BACKTEST)
        assert await views.backtests(user_id) == await memory.backtests(user_id)
    assert (await views.strategies(OWNER, Paging(before=1))).rows == []


async def test_strategies_come_by_time_and_by_name_in_pages(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, _ = both
    for sort in Sort:
        whole = await views.strategies(DRAFTER, Paging(sort=sort))
        assert whole == await memory.strategies(DRAFTER, Paging(sort=sort))
        assert await paged(partial(views.strategies, DRAFTER), Paging(sort=sort, limit=1)) == list(whole.rows)
        assert await paged(partial(memory.strategies, DRAFTER), Paging(sort=sort, limit=3)) == list(whole.rows)
    names = [row.name for row in (await views.strategies(DRAFTER, Paging(sort=Sort.NAME))).rows]
    assert names == [
        *("a b", "Ab", "breakout", "mean reversion", "MEAN reversion"),
        *("Opening range", "opening range", "Opening range"),
    ]
    older = await views.strategies(DRAFTER, Paging(sort=Sort.OLDEST))
    assert [row.name for row in older.rows] == list(NAMES)


async def test_events_are_found_by_those_they_concern_as_by_a_fold(
    both: tuple[PostgresViews, MemoryQueries, list[AccountId]],
) -> None:
    views, memory, accounts = both
    [first] = (await memory.audit(OWNER, [], AuditFilter(last_sequence=1))).rows
    wishes = (
        AuditFilter(),
        AuditFilter(name="order.filled.v2"),
        AuditFilter(stream_id=f"account-{accounts[0]}"),
        AuditFilter(first_sequence=10, last_sequence=40),
        AuditFilter(from_us=first.recorded_at_us, until_us=first.recorded_at_us),
    )
    for wanted, user_id, seen in product(wishes, (OWNER, None), (accounts[:1], accounts, [])):
        for paging in (Paging(limit=7), Paging(sort=Sort.OLDEST, limit=7)):
            page = await views.audit(user_id, seen, wanted, paging)
            assert page == await memory.audit(user_id, seen, wanted, paging)
            if (following := paging.following(page)) is not None:
                assert await views.audit(user_id, seen, wanted, following) == await memory.audit(
                    user_id, seen, wanted, following
                )
    assert (await views.audit(None, [], AuditFilter())).rows == []
