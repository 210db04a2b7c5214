"""What readers may ask of the read models, and how the statements behind the questions are built.

Every answer carries the checkpoint it was read at, from the same snapshot: all that happened up to `sequence` is in the
answer. Rows of accounts that were not named are not there, and the database itself sees to that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Select, Table, case, func, or_, select, tuple_, union_all

from domain.ids import AccountId, BacktestId, StrategyId, TradeId, UserId
from domain.order import OrderStatus, Purpose
from domain.strategy.life import StrategyStatus
from projections.alerts import AlertRow
from projections.audit_trail import AuditTrailRow
from projections.backtests import BacktestRow
from projections.cash_moves import CashMoveRow
from projections.contract_notes import ContractNoteRow
from projections.daily_results import DailyResultRow
from projections.limit_changes import LimitChangeRow
from projections.memberships import MembershipRow
from projections.orders import OrderRow
from projections.positions import PositionRow
from projections.risk import RiskRow
from projections.strategies import StrategyRow
from projections.trades import TradeRow, TradeStatus
from projections.users import UserRow

PAGE_MAX = 200
WAIT_S = 2.0

Value_co = TypeVar("Value_co", covariant=True)
RowT = TypeVar("RowT")


class ReadModelBehind(Exception):
    """The read models did not reach the wanted sequence in time. The caller sees 503 and may ask again."""

    def __init__(self, *, wanted: int, sequence: int) -> None:
        super().__init__(
            f"the views have reached sequence {sequence}, {wanted - sequence} behind the {wanted} asked for"
        )
        self.wanted = wanted
        self.sequence = sequence

    @property
    def lag(self) -> int:
        """How many events are missing."""
        return self.wanted - self.sequence


class QueriesUnavailable(Exception):
    """The views cannot be read now: the database is away, or no projector has made them yet. The caller sees 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[Value_co]):
    """What was asked for, as of `sequence`."""

    value: Value_co
    sequence: int


class Sort(StrEnum):
    """In which order the rows of a list come."""

    NEWEST = "newest"
    """What began last comes first."""
    OLDEST = "oldest"
    """What began first comes first."""
    NAME = "name"
    """By name, small letters as large ones, and of one name the oldest first: for what has a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which page of a list is wanted: at most `limit` rows, the first of those between two places in the log.

    Rows lie at the place at which they began, and stay there: whatever happens meanwhile, pages repeat and miss none.
    `before` and `after` are both left out themselves. Names do change, so by name the page begins behind a row's name
    and its place (`after_name` and `after`): who was renamed meanwhile may come twice, or not.
    """

    sort: Sort = Sort.NEWEST
    before: int | None = None
    after: int | None = None
    after_name: str | None = None
    limit: int = 50

    def bounded(self) -> "Paging":
        """Return the same page with a limit of 1 … 200."""
        return replace(self, limit=max(1, min(self.limit, PAGE_MAX)))

    def within(self, last_sequence: int) -> "Paging":
        """Return the same page of what had begun by *last_sequence*."""
        end = last_sequence + 1
        return replace(self, before=end if self.before is None else min(self.before, end))

    def following(self, page: "Page[Any]") -> "Paging | None":
        """Return what asks for the page after *page*, which this one asked for; None where that was the last."""
        if page.is_last:
            return None
        return replace(
            self,
            before=self.before if page.next_before is None else page.next_before,
            after=self.after if page.next_after is None else page.next_after,
            after_name=page.next_after_name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilter:
    """Which trades are wanted; None: whatever it is. `status` is what they are, the rest never changes.

    `day` is the exchange's day on which they were intended (ISO).
    """

    status: TradeStatus | None = None
    symbol: str | None = None
    strategy_id: StrategyId | None = None
    day: str | None = None


class OrderLine(OrderRow, frozen=True, kw_only=True, gc=False):
    """An order with what its trade says of it; None where the trade is not known (yet)."""

    symbol: str | None
    multiplier: int | None
    strategy_id: StrategyId | None


class DoubtLine(OrderLine, frozen=True, kw_only=True, gc=False):
    """An order of which nobody knows whether the broker has it, and what the log tells of that: as in `AlertRow`."""

    doubted_at_us: int
    doubt: str | None
    lookups: int | None
    presumed_absent_at_us: int | None


class AlertState(StrEnum):
    """Whether an alert goes on."""

    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are wanted; None: whatever it is. `status` is what they are, the rest never changes."""

    status: OrderStatus | None = None
    symbol: str | None = None
    purpose: Purpose | None = None
    trade_id: TradeId | None = None
    strategy_id: StrategyId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRows:
    """An account's risk row, its positions and the trades that hold something, of one moment."""

    risk: RiskRow
    positions: list[PositionRow]
    trades: list[TradeRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyRows:
    """What an account's days brought, by day and instrument, and what money came and went, oldest first."""

    results: list[DailyResultRow]
    cash: list[CashMoveRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHistory:
    """Limits as they were set, newest first. `next_before` asks for the page after it; None: this is the last one."""

    changes: list[LimitChangeRow]
    next_before: int | None
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events are wanted; None: whatever it is. Sequences and times (UTC microseconds) are both included."""

    name: str | None = None
    stream_id: str | None = None
    first_sequence: int | None = None
    last_sequence: int | None = None
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Value_co]):
    """Rows in the order that was asked for, and what asks for the page after them: all None where it is the last.

    Newest first that is `next_before`, oldest first `next_after`, by name `next_after_name` and `next_after` together.
    """

    rows: Sequence[Value_co]
    next_before: int | None = None
    next_after: int | None = None
    next_after_name: str | None = None
    sequence: int

    @property
    def is_last(self) -> bool:
        """Whether no page comes after it."""
        return self.next_before is None and self.next_after is None


def page_of(
    rows: Sequence[RowT],
    paging: Paging,
    sequence: int,
    *,
    place: Callable[[RowT], int],
    name: Callable[[RowT], str] | None = None,
) -> Page[RowT]:
    """Return the page of *rows*, which are in the wanted order and more than its limit where it is not the last.

    *place* tells of a row where in the log it began, *name* what it is called, where rows have one.
    """
    shown = rows[: paging.limit]
    if len(rows) <= paging.limit:
        return Page(rows=shown, sequence=sequence)
    if paging.sort is Sort.NEWEST:
        return Page(rows=shown, next_before=place(shown[-1]), sequence=sequence)
    next_name = name(shown[-1]) if name is not None and paging.sort is Sort.NAME else None
    return Page(rows=shown, next_after=place(shown[-1]), next_after_name=next_name, sequence=sequence)


EVERY_TRADE = TradeFilter()
EVERY_ORDER = OrderFilter()
FIRST_PAGE = Paging()


class Queries(Protocol):
    """The read side, as the API asks it. Every method raises QueriesUnavailable where the views cannot be read."""

    async def wait_for(self, min_sequence: int, *, timeout_s: float = WAIT_S) -> None:
        """Return once every read model has reached *min_sequence*.

        Raises:
            ReadModelBehind: *timeout_s* seconds passed.
        """
        ...

    async def user(self, user_id: UserId) -> Answer[UserRow | None]:
        """Return a user."""
        ...

    async def trades(
        self,
        accounts: Sequence[AccountId],
        wanted: TradeFilter = EVERY_TRADE,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[TradeRow]:
        """Return a page of trades of *accounts*, at most 200 of them.

        What changed after sequence *changed_after* comes whatever its status is now: it may have been another one then.
        """
        ...

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        """Return one trade, None where it is none of *accounts*."""
        ...

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        """Return the orders of a trade, oldest first."""
        ...

    async def orders(
        self,
        accounts: Sequence[AccountId],
        wanted: OrderFilter = EVERY_ORDER,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[OrderLine]:
        """Return a page of orders of *accounts*, as `trades` does."""
        ...

    async def doubts(
        self, accounts: Sequence[AccountId], symbol: str | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[DoubtLine]:
        """Return a page of the orders of *accounts* that are in doubt now, in one instrument or (None) any."""
        ...

    async def alerts(
        self, accounts: Sequence[AccountId], state: AlertState | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[AlertRow]:
        """Return a page of alerts of *accounts*, those in one state or (None) all, at most 200 of them."""
        ...

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        """Return an account's risk row, the positions it ever traded in and what its trades hold, of one snapshot.

        Positions come by symbol and product. None where there is no such account.
        """
        ...

    async def days(self, account_id: AccountId) -> Answer[DailyRows]:
        """Return what each day of an account's life brought, and the money that came and went."""
        ...

    async def limit_changes(self, account_id: AccountId, *, before: int | None = None, limit: int = 50) -> LimitHistory:
        """Return at most *limit* (1 … 200) sets of limits that an account had, newest first.

        Only those set before sequence *before*, where one is given.
        """
        ...

    async def contract_notes(self, account_id: AccountId, paging: Paging = FIRST_PAGE) -> Page[ContractNoteRow]:
        """Return a page of an account's contract notes, at most 200 of them, by when the first of a day came."""
        ...

    async def contract_note(self, account_id: AccountId, day: str) -> Answer[ContractNoteRow | None]:
        """Return an account's contract note of the exchange's *day* (ISO), None where there is none (yet)."""
        ...

    async def memberships_of(self, user_id: UserId) -> Answer[list[MembershipRow]]:
        """Return of which accounts a user is a member, by account."""
        ...

    async def members(self, account_id: AccountId) -> Answer[list[MembershipRow]]:
        """Return the members of an account, the longest first."""
        ...

    async def accounts(self, accounts: Sequence[AccountId]) -> Answer[list[RiskRow]]:
        """Return what there is to say of *accounts*, by id."""
        ...

    async def strategies(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, status: StrategyStatus | None = None
    ) -> Page[StrategyRow]:
        """Return a page of strategies of a user, at most 200 of them, by when they were drafted or by name."""
        ...

    async def strategy(self, user_id: UserId, strategy_id: StrategyId) -> Answer[StrategyRow | None]:
        """Return one strategy, None where it is none of the user's."""
        ...

    async def backtests(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, strategy_id: StrategyId | None = None
    ) -> Page[BacktestRow]:
        """Return a page of backtests of a user, at most 200 of them."""
        ...

    async def backtest(self, user_id: UserId, backtest_id: BacktestId) -> Answer[BacktestRow | None]:
        """Return one backtest, None where it is none of the user's."""
        ...

    async def audit(
        self,
        user_id: UserId | None,
        accounts: Sequence[AccountId],
        wanted: AuditFilter,
        paging: Paging = FIRST_PAGE,
    ) -> Page[AuditTrailRow]:
        """Return a page of events that concern a user (None: nobody) or *accounts*, at most 200 of them."""
        ...


# --- Statements -------------------------------------------------------------------------------------------------------

# Each takes the tables to read: those of the generations which readers use.


def _page(
    statement: Select[Any], place: ColumnElement[Any], paging: Paging, name: Column[Any] | None = None
) -> Select[Any]:
    """Return *statement* for a page of its rows and one more, which tells whether there is another page."""
    if paging.before is not None:
        statement = statement.where(place < paging.before)
    if name is not None and paging.sort is Sort.NAME:
        # The same letters in every database, whatever order its own language has for them.
        small = func.lower(name).collate("C")
        if paging.after_name is not None:
            last_name, last_place = func.lower(paging.after_name).collate("C"), paging.after
            statement = statement.where(
                tuple_(small, place) > tuple_(last_name, 0 if last_place is None else last_place)
            )
        return statement.order_by(small, place).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(place > paging.after)
    order = place.desc() if paging.sort is Sort.NEWEST else place
    return statement.order_by(order).limit(paging.limit + 1)


def select_trades(
    accounts: Sequence[AccountId],
    wanted: TradeFilter,
    paging: Paging,
    changed_after: int | None,
    table: Table,
) -> Select[Any]:
    """Return the statement for a page of trades, and one more row."""
    statement = select(table).where(table.c.account_id.in_(accounts))
    if wanted.status is not None:
        is_wanted = table.c.status == wanted.status
        if changed_after is not None:
            is_wanted = or_(is_wanted, table.c.sequence > changed_after)
        statement = statement.where(is_wanted)
    same = ((table.c.symbol, wanted.symbol), (table.c.strategy_id, wanted.strategy_id), (table.c.day, wanted.day))
    for column, value in same:
        if value is not None:
            statement = statement.where(column == value)
    return _page(statement, table.c.opened_sequence, paging)


def select_trade(accounts: Sequence[AccountId], trade_id: TradeId, table: Table) -> Select[Any]:
    """Return the statement for one trade."""
    return select(table).where(table.c.trade_id == trade_id, table.c.account_id.in_(accounts))


def select_orders(accounts: Sequence[AccountId], trade_id: TradeId, table: Table) -> Select[Any]:
    """Return the statement for the orders of a trade."""
    wanted = (table.c.trade_id == trade_id, table.c.account_id.in_(accounts))
    return select(table).where(*wanted).order_by(table.c.intended_sequence)


def select_positions(account_id: AccountId, table: Table) -> Select[Any]:
    """Return the statement for positions; one in which nothing ever filled is none."""
    held = table.c
    wanted = (held.account_id == account_id, held.last_filled_at_ns.is_not(None))
    return select(table).where(*wanted).order_by(held.symbol, held.product, held.segment, held.security_id)


def select_order_page(  # noqa: PLR0917 - what it is about, and the tables
    accounts: Sequence[AccountId],
    wanted: OrderFilter,
    paging: Paging,
    changed_after: int | None,
    orders: Table,
    trades: Table,
) -> Select[Any]:
    """Return the statement for a page of orders, with their trades' words on them, and one more row."""
    said = (trades.c.symbol, trades.c.multiplier, trades.c.strategy_id)
    joined = orders.outerjoin(trades, trades.c.trade_id == orders.c.trade_id)
    statement = select(orders, *said).select_from(joined).where(orders.c.account_id.in_(accounts))
    if wanted.status is not None:
        is_wanted = orders.c.status == wanted.status
        if changed_after is not None:
            is_wanted = or_(is_wanted, orders.c.sequence > changed_after)
        statement = statement.where(is_wanted)
    if wanted.symbol is not None:
        statement = statement.where(trades.c.symbol == wanted.symbol)
    if wanted.purpose is not None:
        statement = statement.where(orders.c.purpose == wanted.purpose)
    if wanted.trade_id is not None:
        statement = statement.where(orders.c.trade_id == wanted.trade_id)
    if wanted.strategy_id is not None:
        statement = statement.where(trades.c.strategy_id == wanted.strategy_id)
    return _page(statement, orders.c.intended_sequence, paging)


def select_contract_notes(account_id: AccountId, paging: Paging, table: Table) -> Select[Any]:
    """Return the statement for a page of contract notes, and one more row."""
    return _page(select(table).where(table.c.account_id == account_id), table.c.first_sequence, paging)


def select_contract_note(account_id: AccountId, day: str, table: Table) -> Select[Any]:
    """Return the statement for one contract note."""
    return select(table).where(table.c.account_id == account_id, table.c.day == day)


def select_doubts(  # noqa: PLR0917 - what it is about, and the tables
    accounts: Sequence[AccountId], symbol: str | None, paging: Paging, doubts: Table, orders: Table, trades: Table
) -> Select[Any]:
    """Return the statement for a page of orders in doubt, and one more row."""
    said = (trades.c.symbol, trades.c.multiplier, trades.c.strategy_id)
    doubted = (
        doubts.c.since_us.label("doubted_at_us"),
        doubts.c.detail.label("doubt"),
        doubts.c.lookups,
        doubts.c.presumed_absent_at_us,
    )
    joined = doubts.join(orders, orders.c.order_id == doubts.c.order_id).outerjoin(
        trades, trades.c.trade_id == orders.c.trade_id
    )
    statement = select(orders, *said, *doubted).select_from(joined)
    statement = statement.where(doubts.c.account_id.in_(accounts), doubts.c.until_us.is_(None))
    if symbol is not None:
        statement = statement.where(trades.c.symbol == symbol)
    return _page(statement, orders.c.intended_sequence, paging)


def select_alerts(
    accounts: Sequence[AccountId], state: AlertState | None, paging: Paging, alerts: Table, doubts: Table
) -> Select[Any]:
    """Return the statement for a page of alerts, those about orders among the others, and one more row."""
    parts = []
    for table in (alerts, doubts):
        part = select(table).where(table.c.account_id.in_(accounts))
        if state is not None:
            shown = case((table.c.until_us.is_(None), AlertState.OPEN.value), else_=AlertState.ENDED.value)
            part = part.where(shown == state)
        parts.append(select(_page(part, table.c.began_sequence, paging).subquery()))
    both = union_all(*parts).subquery()
    return _page(select(both), both.c.began_sequence, paging)


def select_memberships_of(user_id: UserId, table: Table) -> Select[Any]:
    """Return the statement for a user's memberships."""
    wanted = (table.c.user_id == user_id, table.c.role.is_not(None))
    return select(table).where(*wanted).order_by(table.c.account_id)


def select_members(account_id: AccountId, table: Table) -> Select[Any]:
    """Return the statement for an account's members."""
    wanted = (table.c.account_id == account_id, table.c.role.is_not(None))
    return select(table).where(*wanted).order_by(table.c.since_us, table.c.user_id)


def select_accounts(accounts: Sequence[AccountId], table: Table) -> Select[Any]:
    """Return the statement for what there is to say of accounts."""
    return select(table).where(table.c.account_id.in_(accounts)).order_by(table.c.account_id)


def select_strategies(user_id: UserId, paging: Paging, status: StrategyStatus | None, table: Table) -> Select[Any]:
    """Return the statement for a page of strategies, and one more row."""
    statement = select(table).where(table.c.user_id == user_id)
    if status is not None:
        statement = statement.where(table.c.status == status)
    return _page(statement, table.c.drafted_sequence, paging, table.c.name)


def select_strategy(user_id: UserId, strategy_id: StrategyId, table: Table) -> Select[Any]:
    """Return the statement for one strategy."""
    return select(table).where(table.c.strategy_id == strategy_id, table.c.user_id == user_id)


def select_backtests(user_id: UserId, paging: Paging, strategy_id: StrategyId | None, table: Table) -> Select[Any]:
    """Return the statement for a page of backtests, and one more row."""
    statement = select(table).where(table.c.user_id == user_id)
    if strategy_id is not None:
        statement = statement.where(table.c.strategy_id == strategy_id)
    return _page(statement, table.c.requested_sequence, paging)


def select_backtest(user_id: UserId, backtest_id: BacktestId, table: Table) -> Select[Any]:
    """Return the statement for one backtest."""
    return select(table).where(table.c.backtest_id == backtest_id, table.c.user_id == user_id)


def select_audit(
    user_id: UserId | None,
    accounts: Sequence[AccountId],
    wanted: AuditFilter,
    paging: Paging,
    table: Table,
) -> Select[Any]:
    """Return the statement for a page of events, and one more row."""
    shown = table.c
    concerns: ColumnElement[bool] = shown.account_id.in_(accounts)
    if user_id is not None:
        concerns = or_(concerns, shown.user_id == user_id)
    statement = select(table).where(concerns)
    for column, name in ((shown.name, wanted.name), (shown.stream_id, wanted.stream_id)):
        if name is not None:
            statement = statement.where(column == name)
    for column, lowest in ((shown.sequence, wanted.first_sequence), (shown.recorded_at_us, wanted.from_us)):
        if lowest is not None:
            statement = statement.where(column >= lowest)
    for column, highest in ((shown.sequence, wanted.last_sequence), (shown.recorded_at_us, wanted.until_us)):
        if highest is not None:
            statement = statement.where(column <= highest)
    return _page(statement, shown.sequence, paging)


def select_held_trades(account_id: AccountId, trades: Table, risk: Table) -> Select[Any]:
    """Return the statement for the trades that hold something: the risk row names those that may."""
    named = select(func.jsonb_array_elements_text(risk.c.open_trades)).where(risk.c.account_id == account_id)
    wanted = (trades.c.trade_id.in_(named), trades.c.account_id == account_id, trades.c.net_quantity != 0)
    return select(trades).where(*wanted).order_by(trades.c.opened_sequence)


def select_days(account_id: AccountId, table: Table) -> Select[Any]:
    """Return the statement for what an account's days brought."""
    own = table.c
    return select(table).where(own.account_id == account_id).order_by(own.day, own.segment, own.security_id)


def select_cash(account_id: AccountId, table: Table) -> Select[Any]:
    """Return the statement for the money that came into an account and went out of it."""
    return select(table).where(table.c.account_id == account_id).order_by(table.c.sequence)


def select_limit_changes(account_id: AccountId, before: int | None, limit: int, table: Table) -> Select[Any]:
    """Return the statement for a page of sets of limits, and one more row."""
    statement = select(table).where(table.c.account_id == account_id)
    if before is not None:
        statement = statement.where(table.c.sequence < before)
    return statement.order_by(table.c.sequence.desc()).limit(limit + 1)
