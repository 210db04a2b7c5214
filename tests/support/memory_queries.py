"""The read side over a log in memory: a question folds the whole log anew wherever something was appended to it."""

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Protocol, TypeVar

import msgspec

from domain.envelope import RecordedEvent
from domain.events import decode
from domain.ids import AccountId, BacktestId, StrategyId, TradeId, UserId
from domain.strategy.life import StrategyStatus
from projections.alerts import ALERTS, AlertRow
from projections.audit_trail import AUDIT_TRAIL, AuditTrailRow
from projections.backtests import BACKTESTS, BacktestRow
from projections.cash_moves import CASH_MOVES
from projections.contract_notes import CONTRACT_NOTES, ContractNoteRow
from projections.daily_results import DAILY_RESULTS
from projections.limit_changes import LIMIT_CHANGES
from projections.memberships import MEMBERSHIPS, MembershipRow
from projections.order_doubts import ORDER_DOUBTS
from projections.orders import ORDERS, OrderRow
from projections.positions import POSITIONS
from projections.queries import (
    EVERY_ORDER,
    EVERY_TRADE,
    FIRST_PAGE,
    WAIT_S,
    AlertState,
    Answer,
    AuditFilter,
    DailyRows,
    DoubtLine,
    LimitHistory,
    OrderFilter,
    OrderLine,
    Page,
    Paging,
    PortfolioRows,
    ReadModelBehind,
    Sort,
    TradeFilter,
    page_of,
)
from projections.read_model import AnyReadModel, Key, ReadModel, fold
from projections.risk import RISK, RiskRow
from projections.strategies import STRATEGIES, StrategyRow
from projections.trades import TRADES, TradeRow
from projections.users import USERS, UserRow

EVERYTHING = Paging(limit=10_000)
RowT = TypeVar("RowT", bound=msgspec.Struct)


class Log(Protocol):
    """The log as far as it is asked here."""

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]: ...


class MemoryQueries:
    """Never behind, unless told to have stopped at a sequence. Implements `projections.queries.Queries`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.stopped_at: int | None = None
        self._folded: dict[AnyReadModel, tuple[int, dict[Key, Any]]] = {}

    async def wait_for(self, min_sequence: int, *, timeout_s: float = WAIT_S) -> None:  # noqa: ARG002 - no waiting here
        sequence = await self._sequence()
        if sequence < min_sequence:
            raise ReadModelBehind(wanted=min_sequence, sequence=sequence)

    async def user(self, user_id: UserId) -> Answer[UserRow | None]:
        rows = await self._rows(USERS)
        return Answer(value=rows.get((user_id,)), sequence=await self._sequence())

    async def trades(
        self,
        accounts: Sequence[AccountId],
        wanted: TradeFilter = EVERY_TRADE,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[TradeRow]:
        def found() -> Iterator[TradeRow]:
            for row in rows.values():
                has_changed = changed_after is not None and row.sequence > changed_after
                if (
                    row.account_id in accounts
                    and (wanted.status in {None, row.status} or has_changed)
                    and wanted.symbol in {None, row.symbol}
                    and wanted.strategy_id in {None, row.strategy_id}
                    and wanted.day in {None, row.day}
                ):
                    yield row

        rows = await self._rows(TRADES)
        return _page(found(), paging, await self._sequence(), place=lambda row: row.opened_sequence)

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        row = (await self._rows(TRADES)).get((trade_id,))
        visible = row if row is not None and row.account_id in accounts else None
        return Answer(value=visible, sequence=await self._sequence())

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        rows = (await self._rows(ORDERS)).values()
        found = [row for row in rows if row.trade_id == trade_id and row.account_id in accounts]
        return Answer(value=found, sequence=await self._sequence())

    async def orders(
        self,
        accounts: Sequence[AccountId],
        wanted: OrderFilter = EVERY_ORDER,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[OrderLine]:
        def lines() -> Iterator[OrderLine]:
            for row in rows.values():
                trade = trades.get((row.trade_id,))
                symbol, multiplier, strategy_id = (
                    (None, None, None) if trade is None else (trade.symbol, trade.multiplier, trade.strategy_id)
                )
                has_changed = changed_after is not None and row.sequence > changed_after
                if (
                    row.account_id in accounts
                    and (wanted.status in {None, row.status} or has_changed)
                    and wanted.symbol in {None, symbol}
                    and wanted.purpose in {None, row.purpose}
                    and wanted.trade_id in {None, row.trade_id}
                    and wanted.strategy_id in {None, strategy_id}
                ):
                    known = msgspec.structs.asdict(row)
                    yield OrderLine(**known, symbol=symbol, multiplier=multiplier, strategy_id=strategy_id)

        rows, trades = await self._rows(ORDERS), await self._rows(TRADES)
        return _page(lines(), paging, await self._sequence(), place=lambda row: row.intended_sequence)

    async def doubts(
        self, accounts: Sequence[AccountId], symbol: str | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[DoubtLine]:
        doubts = await self._rows(ORDER_DOUBTS)
        open_ones = [row for row in doubts.values() if row.is_open and row.account_id in accounts]
        known = {line.order_id: line for line in (await self.orders(accounts, paging=EVERYTHING)).rows}
        lines = [
            DoubtLine(
                **msgspec.structs.asdict(known[row.order_id]),
                doubted_at_us=row.since_us,
                doubt=row.detail,
                lookups=row.lookups,
                presumed_absent_at_us=row.presumed_absent_at_us,
            )
            for row in open_ones
            if row.order_id is not None and symbol in {None, known[row.order_id].symbol}
        ]
        return _page(lines, paging, await self._sequence(), place=lambda row: row.intended_sequence)

    async def alerts(
        self, accounts: Sequence[AccountId], state: AlertState | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[AlertRow]:
        rows = [*(await self._rows(ALERTS)).values(), *(await self._rows(ORDER_DOUBTS)).values()]
        found = [
            row
            for row in rows
            if row.account_id in accounts and state in {None, AlertState.OPEN if row.is_open else AlertState.ENDED}
        ]
        return _page(found, paging, await self._sequence(), place=lambda row: row.began_sequence)

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        risk = (await self._rows(RISK)).get((account_id,))
        positions = [
            row
            for row in (await self._rows(POSITIONS)).values()
            if row.account_id == account_id and row.last_filled_at_ns is not None
        ]
        positions.sort(key=lambda row: (row.symbol, row.product, row.segment, row.security_id))
        held = [
            row
            for row in (await self._rows(TRADES)).values()
            if risk is not None and row.trade_id in risk.open_trades and row.net_quantity
        ]
        rows = None if risk is None else PortfolioRows(risk=risk, positions=positions, trades=held)
        return Answer(value=rows, sequence=await self._sequence())

    async def days(self, account_id: AccountId) -> Answer[DailyRows]:
        results = [row for _, row in sorted((await self._rows(DAILY_RESULTS)).items()) if row.account_id == account_id]
        cash = [row for row in (await self._rows(CASH_MOVES)).values() if row.account_id == account_id]
        return Answer(value=DailyRows(results=results, cash=cash), sequence=await self._sequence())

    async def limit_changes(self, account_id: AccountId, *, before: int | None = None, limit: int = 50) -> LimitHistory:
        rows = reversed((await self._rows(LIMIT_CHANGES)).values())
        found = [row for row in rows if row.account_id == account_id and (before is None or row.sequence < before)]
        next_before = found[limit - 1].sequence if len(found) > limit else None
        return LimitHistory(changes=found[:limit], next_before=next_before, sequence=await self._sequence())

    async def contract_notes(self, account_id: AccountId, paging: Paging = FIRST_PAGE) -> Page[ContractNoteRow]:
        rows = [row for row in (await self._rows(CONTRACT_NOTES)).values() if row.account_id == account_id]
        return _page(rows, paging, await self._sequence(), place=lambda row: row.first_sequence)

    async def contract_note(self, account_id: AccountId, day: str) -> Answer[ContractNoteRow | None]:
        row = (await self._rows(CONTRACT_NOTES)).get((account_id, day))
        return Answer(value=row, sequence=await self._sequence())

    async def memberships_of(self, user_id: UserId) -> Answer[list[MembershipRow]]:
        rows = sorted((await self._rows(MEMBERSHIPS)).items())
        found = [row for _, row in rows if row.user_id == user_id and row.role is not None]
        return Answer(value=found, sequence=await self._sequence())

    async def members(self, account_id: AccountId) -> Answer[list[MembershipRow]]:
        rows = (await self._rows(MEMBERSHIPS)).values()
        found = [row for row in rows if row.account_id == account_id and row.role is not None]
        found.sort(key=lambda row: (row.since_us, row.user_id))
        return Answer(value=found, sequence=await self._sequence())

    async def accounts(self, accounts: Sequence[AccountId]) -> Answer[list[RiskRow]]:
        rows = sorted((await self._rows(RISK)).items())
        return Answer(value=[row for _, row in rows if row.account_id in accounts], sequence=await self._sequence())

    async def strategies(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, status: StrategyStatus | None = None
    ) -> Page[StrategyRow]:
        rows = (await self._rows(STRATEGIES)).values()
        found = [row for row in rows if row.user_id == user_id and status in {None, row.status}]
        sequence = await self._sequence()
        return _page(found, paging, sequence, place=lambda row: row.drafted_sequence, name=lambda row: row.name)

    async def strategy(self, user_id: UserId, strategy_id: StrategyId) -> Answer[StrategyRow | None]:
        row = (await self._rows(STRATEGIES)).get((strategy_id,))
        visible = row if row is not None and row.user_id == user_id else None
        return Answer(value=visible, sequence=await self._sequence())

    async def backtests(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, strategy_id: StrategyId | None = None
    ) -> Page[BacktestRow]:
        rows = (await self._rows(BACKTESTS)).values()
        found = [row for row in rows if row.user_id == user_id and strategy_id in {None, row.strategy_id}]
        return _page(found, paging, await self._sequence(), place=lambda row: row.requested_sequence)

    async def backtest(self, user_id: UserId, backtest_id: BacktestId) -> Answer[BacktestRow | None]:
        row = (await self._rows(BACKTESTS)).get((backtest_id,))
        visible = row if row is not None and row.user_id == user_id else None
        return Answer(value=visible, sequence=await self._sequence())

    async def audit(
        self,
        user_id: UserId | None,
        accounts: Sequence[AccountId],
        wanted: AuditFilter,
        paging: Paging = FIRST_PAGE,
    ) -> Page[AuditTrailRow]:
        def is_wanted(row: AuditTrailRow) -> bool:
            within = (wanted.first_sequence or 0) <= row.sequence <= (wanted.last_sequence or row.sequence) and (
                wanted.from_us or 0
            ) <= row.recorded_at_us <= (wanted.until_us or row.recorded_at_us)
            return within and wanted.name in {None, row.name} and wanted.stream_id in {None, row.stream_id}

        rows = (await self._rows(AUDIT_TRAIL)).values()
        found = [row for row in rows if _concerns(row, user_id, accounts) and is_wanted(row)]
        return _page(found, paging, await self._sequence(), place=lambda row: row.sequence)

    async def _sequence(self) -> int:
        recorded = await self._read()
        return recorded[-1].sequence if recorded else 0

    async def _rows(self, model: ReadModel[RowT]) -> dict[Key, RowT]:
        recorded = await self._read()
        count, known = self._folded.get(model, (-1, {}))
        if count != len(recorded):
            rows: dict[Key, RowT | None] = {}
            fold(model, ((decode(event.name, event.payload), event) for event in recorded), rows)
            known = {key: row for key, row in rows.items() if row is not None}
            self._folded[model] = (len(recorded), known)
        return dict(known)

    async def _read(self) -> list[RecordedEvent]:
        recorded = await self._log.read_all(after_sequence=0, limit=10_000)
        return [event for event in recorded if self.stopped_at is None or event.sequence <= self.stopped_at]


def _concerns(row: AuditTrailRow, user_id: UserId | None, accounts: Sequence[AccountId]) -> bool:
    return row.account_id in accounts or (user_id is not None and row.user_id == user_id)


def _page(
    rows: Iterable[RowT],
    paging: Paging,
    sequence: int,
    *,
    place: Callable[[RowT], int],
    name: Callable[[RowT], str] | None = None,
) -> Page[RowT]:
    named = name if paging.sort is Sort.NAME else None

    def key(row: RowT) -> tuple[str, int]:
        return ("" if named is None else named(row).lower(), place(row))

    begun = ("" if named is None else (paging.after_name or "").lower(), paging.after or 0)
    wanted = [row for row in rows if (paging.before is None or place(row) < paging.before) and key(row) > begun]
    wanted.sort(key=key, reverse=paging.sort is Sort.NEWEST)
    return page_of(wanted, paging, sequence, place=place, name=name)
