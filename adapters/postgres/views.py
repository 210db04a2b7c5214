"""The read models as readers ask for them: the role may see only the accounts that a transaction names.

Each question is one transaction on one snapshot, in one round trip: name the accounts, read checkpoints and rows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select, select

from adapters.postgres.view_rows import row_of, rows_by_key, statements_of
from adapters.postgres.view_tables import CHANNEL, DIALECT
from domain.ids import AccountId, TradeId, UserId
from projections.catalogue import READ_MODELS
from projections.orders import ORDERS, OrderRow
from projections.ports import ViewSnapshot
from projections.positions import POSITIONS, PositionRow
from projections.queries import (
    PAGE_MAX,
    WAIT_S,
    Answer,
    PortfolioRows,
    QueriesUnavailable,
    ReadModelBehind,
    TradePage,
    select_orders,
    select_positions,
    select_trade,
    select_trades,
)
from projections.read_model import BY_ACCOUNT, BY_USER, AnyReadModel
from projections.risk import RISK
from projections.tasks import end
from projections.trades import TRADES, TradeRow, TradeStatus
from projections.users import USERS, UserRow

log = structlog.get_logger(__name__)

_POOL_WAIT_S = 2.0
_POLL_S = 0.1
_RECONNECT_S = 0.1
_OPTIONS = "-c statement_timeout=5s -c transaction_timeout=5s -c timezone=UTC"

# Say what this transaction may see, for row security.
_MAY_SEE = "SELECT set_config(%s, %s, true)"

# Read how far the versions that readers use have come.
_CHECKPOINTS = """
SELECT pointers.name, checkpoints.version, checkpoints.sequence
FROM views.pointers
JOIN views.checkpoints USING (name, version)
"""

_CHECKPOINT_OF = "SELECT sequence FROM views.checkpoints WHERE name = %s AND version = %s"

Connection = psycopg.AsyncConnection[dict[str, Any]]


class PostgresViews:
    """Implements `projections.queries.Queries` for the user `khata_query`, whom *conninfo* names.

    For the user `khata_projector`, from whom no row is hidden, it also implements `projections.ports.ViewsReader`.
    """

    def __init__(self, conninfo: str, *, size: int = 4) -> None:
        self._conninfo = conninfo
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "options": _OPTIONS,
                "application_name": "khata queries",
                "prepare_threshold": 2,
            },
            min_size=1,
            max_size=size,
            open=False,
            configure=_configure,
            timeout=_POOL_WAIT_S,
        )
        self._reached: dict[str, int] = {}
        self._moved = asyncio.Event()
        self._waiting = 0
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to connect; the first question waits for the connection, this does not."""
        await self._pool.open()
        self._listener = asyncio.create_task(self._listen(), name="views listener")

    async def close(self) -> None:
        """Let go of the connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await end(listener)
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- How far the views are ----------------------------------------------------------------------------------------

    async def wait_for(self, min_sequence: int, *, timeout_s: float = WAIT_S) -> None:
        """Return once every read model has reached *min_sequence*. Raises ReadModelBehind."""
        if self._sequence() >= min_sequence:
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while self._sequence() < min_sequence:
                    moved = self._moved
                    await moved.wait()
        except TimeoutError:
            raise ReadModelBehind(wanted=min_sequence, sequence=self._sequence()) from None
        finally:
            self._waiting -= 1

    def _sequence(self) -> int:
        return min(self._reached.get(model.table_name, 0) for model in READ_MODELS)

    def _note(self, reached: Mapping[str, int]) -> None:
        self._reached.update(reached)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _listen(self) -> None:
        """Keep what the views have reached: told by the projector, and asked where somebody waits and nobody tells."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, row_factory=dict_row, options=_OPTIONS, connect_timeout=3
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    await self._ask(connection)
                    while True:
                        async for notification in connection.notifies(timeout=_POLL_S, stop_after=1):
                            self._note(msgspec.json.decode(notification.payload, type=dict[str, int]))
                        if self._waiting:
                            await self._ask(connection)
            except psycopg.Error as error:
                log.debug("views listener lost", error=str(error))
            await asyncio.sleep(_RECONNECT_S)

    async def _ask(self, connection: Connection) -> None:
        cursor = await connection.execute(_CHECKPOINTS)
        self._note({f"{row['name']}_v{row['version']}": row["sequence"] for row in await cursor.fetchall()})

    # --- Questions ----------------------------------------------------------------------------------------------------

    async def user(self, user_id: UserId) -> Answer[UserRow | None]:
        """Return a user."""
        statement = select(USERS.table).where(USERS.table.c.user_id == user_id)
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, (USERS, statement))
        return Answer(value=rows[0] if rows else None, sequence=sequence)

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
        """Return at most *limit* trades of *accounts*, newest first."""
        limit = max(1, min(limit, PAGE_MAX))
        statement = select_trades(
            accounts, status=status, symbol=symbol, before=before, limit=limit, changed_after=changed_after
        )
        sequence, [found] = await self._read_accounts(accounts, (TRADES, statement))
        rows: list[TradeRow] = found
        has_more = len(rows) > limit
        return TradePage(
            trades=rows[:limit], next_before=rows[limit - 1].opened_sequence if has_more else None, sequence=sequence
        )

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        """Return one trade, None where it is none of *accounts*."""
        sequence, [rows] = await self._read_accounts(accounts, (TRADES, select_trade(accounts, trade_id)))
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        """Return the orders of a trade, oldest first."""
        sequence, [rows] = await self._read_accounts(accounts, (ORDERS, select_orders(accounts, trade_id)))
        return Answer(value=rows, sequence=sequence)

    async def positions(self, accounts: Sequence[AccountId], *, open_only: bool = False) -> Answer[list[PositionRow]]:
        """Return positions by symbol and product."""
        statement = select_positions(accounts, open_only=open_only)
        sequence, [rows] = await self._read_accounts(accounts, (POSITIONS, statement))
        return Answer(value=rows, sequence=sequence)

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        """Return an account's risk row and the positions it ever traded in."""
        risk = select(RISK.table).where(RISK.table.c.account_id == account_id)
        positions = select_positions([account_id], open_only=False)
        sequence, [risks, held] = await self._read_accounts([account_id], (RISK, risk), (POSITIONS, positions))
        rows = PortfolioRows(risk=risks[0], positions=held) if risks else None
        return Answer(value=rows, sequence=sequence)

    async def snapshot(self, model: AnyReadModel) -> ViewSnapshot:
        """Return every row of *model* that this user sees, and its checkpoint, as of one moment."""
        async with self._snapshot() as connection:
            checkpoint = await connection.execute(_CHECKPOINT_OF, [model.name, model.version])
            rows = await connection.execute(statements_of(model).select_all)
            [reached] = await checkpoint.fetchall()
            return ViewSnapshot(checkpoint=reached["sequence"], rows=rows_by_key(model, await rows.fetchall()))

    # --- Reading ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self, accounts: Sequence[AccountId]) -> AsyncIterator[Connection]:
        """Open a transaction on one snapshot, in pipeline mode, that sees what *accounts* may see.

        Raises:
            QueriesUnavailable
        """
        async with self._snapshot() as connection:
            await connection.execute(_MAY_SEE, [BY_ACCOUNT.setting, _comma_separated(accounts)])
            yield connection

    async def _read_accounts(
        self, accounts: Sequence[AccountId], *wanted: tuple[AnyReadModel, Select[Any]]
    ) -> tuple[int, list[list[Any]]]:
        return await self._read({BY_ACCOUNT.setting: accounts}, *wanted)

    async def _read(
        self, may_see: Mapping[str, Sequence[str]], *wanted: tuple[AnyReadModel, Select[Any]]
    ) -> tuple[int, list[list[Any]]]:
        """Return the lowest checkpoint of the read models asked, and the rows of each statement."""
        async with self._snapshot() as connection:
            for setting, ids in may_see.items():
                await connection.execute(_MAY_SEE, [setting, _comma_separated(ids)])
            checkpoints = await connection.execute(_CHECKPOINTS)
            cursors = [await _execute(connection, statement) for _, statement in wanted]
            reached = {(row["name"], row["version"]): int(row["sequence"]) for row in await checkpoints.fetchall()}
            answers = [
                [row_of(model, record) for record in await cursor.fetchall()]
                for (model, _), cursor in zip(wanted, cursors, strict=True)
            ]
        for model, _ in wanted:
            if (model.name, model.version) not in reached:
                raise QueriesUnavailable(f"readers of {model.name} are to use another version than {model.version}")
        return min(reached[model.name, model.version] for model, _ in wanted), answers

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.connection() as connection, connection.transaction(), connection.pipeline():
                yield connection
        except PoolTimeout as error:
            raise QueriesUnavailable("no connection to the views came free in time") from error
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable) as error:
            raise QueriesUnavailable(f"the views cannot be read: {type(error).__name__}") from error


async def _configure(connection: Connection) -> None:
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)


async def _execute(connection: Connection, statement: Select[Any]) -> psycopg.AsyncCursor[dict[str, Any]]:
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    # Values travel as parameters; the text is made of our own tables and columns.
    return await connection.execute(str(compiled), compiled.params)


def _comma_separated(ids: Sequence[str]) -> str:
    for name in ids:
        if "," in name:
            raise ValueError(f"received id {name!r}, expected one without a comma")
    return ",".join(ids)
