"""What readers may ask of the read models, and how the statements behind the questions are built.

Every answer carries the checkpoint it was read at, from the same snapshot: all that happened up to `sequence` is in the
answer. Rows of accounts that were not named are not there, and the database itself sees to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Select, Table, or_, select

from domain.ids import AccountId, TradeId, UserId
from projections.orders import ORDERS, OrderRow
from projections.positions import POSITIONS, PositionRow
from projections.risk import RiskRow
from projections.trades import TRADES, TradeRow, TradeStatus
from projections.users import UserRow

PAGE_MAX = 200
WAIT_S = 2.0

Value_co = TypeVar("Value_co", covariant=True)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePage:
    """Trades, newest first. `next_before` asks for the page after it; None: this is the last one."""

    trades: list[TradeRow]
    next_before: int | None
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRows:
    """An account's risk row and its positions, of one moment."""

    risk: RiskRow
    positions: list[PositionRow]


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
        *,
        status: TradeStatus | None = None,
        symbol: str | None = None,
        before: int | None = None,
        limit: int = 50,
        changed_after: int | None = None,
    ) -> TradePage:
        """Return at most *limit* (1 … 200) trades of *accounts*, newest first.

        *before* is the `next_before` of the page before: trades come and go without a page repeating or missing one.
        What changed after sequence *changed_after* comes whatever its status is now: it may have been another one then.
        """
        ...

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        """Return one trade, None where it is none of *accounts*."""
        ...

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        """Return the orders of a trade, oldest first."""
        ...

    async def positions(self, accounts: Sequence[AccountId], *, open_only: bool = False) -> Answer[list[PositionRow]]:
        """Return positions by symbol and product: those held now, or all that were ever traded."""
        ...

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        """Return an account's risk row and the positions it ever traded in, None where there is no such account."""
        ...


# --- Statements -------------------------------------------------------------------------------------------------------

# The last parameter of each is the table to read: that of the generation which readers use.


def select_trades(
    accounts: Sequence[AccountId],
    table: Table = TRADES.table,
    *,
    status: TradeStatus | None,
    symbol: str | None,
    before: int | None,
    limit: int,
    changed_after: int | None = None,
) -> Select[Any]:
    """Return the statement for a page of trades and one more row, which tells whether there is another page."""
    statement = select(table).where(table.c.account_id.in_(accounts))
    if status is not None:
        is_wanted = table.c.status == status.value
        if changed_after is not None:
            is_wanted = or_(is_wanted, table.c.sequence > changed_after)
        statement = statement.where(is_wanted)
    if symbol is not None:
        statement = statement.where(table.c.symbol == symbol)
    if before is not None:
        statement = statement.where(table.c.opened_sequence < before)
    return statement.order_by(table.c.opened_sequence.desc()).limit(limit + 1)


def select_trade(accounts: Sequence[AccountId], trade_id: TradeId, table: Table = TRADES.table) -> Select[Any]:
    """Return the statement for one trade."""
    return select(table).where(table.c.trade_id == trade_id, table.c.account_id.in_(accounts))


def select_orders(accounts: Sequence[AccountId], trade_id: TradeId, table: Table = ORDERS.table) -> Select[Any]:
    """Return the statement for the orders of a trade."""
    wanted = (table.c.trade_id == trade_id, table.c.account_id.in_(accounts))
    return select(table).where(*wanted).order_by(table.c.intended_sequence)


def select_positions(accounts: Sequence[AccountId], table: Table = POSITIONS.table, *, open_only: bool) -> Select[Any]:
    """Return the statement for positions; one in which nothing ever filled is none."""
    held = table.c
    wanted = held.net_quantity != 0 if open_only else held.last_filled_at_ns.is_not(None)
    order = (held.symbol, held.product, held.account_id, held.segment, held.security_id)
    return select(table).where(held.account_id.in_(accounts), wanted).order_by(*order)
