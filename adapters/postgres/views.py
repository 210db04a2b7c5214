"""The read models as readers ask for them: the role may see only the accounts that a transaction names.

Each question is one statement on one snapshot, in one round trip: name the accounts, read checkpoints and rows. How its
statement is made stands in `questions.py`, how it travels in `lines.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import msgspec
import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Select, Table, select

from adapters.postgres.epochs import EpochWatch
from adapters.postgres.lines import Lines
from adapters.postgres.pools import RECONNECT_S, try_again
from adapters.postgres.questions import Question, Questions, models_of
from adapters.postgres.turns import NoTurn, Turns
from adapters.postgres.view_rows import rows_by_key, statements_of
from adapters.postgres.view_tables import CHANNEL
from domain.ids import AccountId, BacktestId, StrategyId, TradeId, UserId
from domain.strategy.life import StrategyStatus
from projections.alerts import ALERTS, AlertRow
from projections.audit_trail import AUDIT_TRAIL, AuditTrailRow
from projections.backtests import BACKTESTS, BacktestRow
from projections.cash_moves import CASH_MOVES
from projections.catalogue import READ_MODELS
from projections.contract_notes import CONTRACT_NOTES, ContractNoteRow
from projections.daily_results import DAILY_RESULTS
from projections.limit_changes import LIMIT_CHANGES
from projections.memberships import MEMBERSHIPS, MembershipRow
from projections.order_doubts import ORDER_DOUBTS
from projections.orders import ORDERS, OrderRow
from projections.ports import ViewSnapshot
from projections.positions import POSITIONS
from projections.queries import (
    EVERY_ORDER,
    EVERY_TRADE,
    FIRST_PAGE,
    PAGE_MAX,
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
    QueriesUnavailable,
    ReadModelBehind,
    TradeFilter,
    page_of,
    select_accounts,
    select_alerts,
    select_audit,
    select_backtest,
    select_backtests,
    select_cash,
    select_contract_note,
    select_contract_notes,
    select_days,
    select_doubts,
    select_held_trades,
    select_limit_changes,
    select_members,
    select_memberships_of,
    select_order_page,
    select_orders,
    select_positions,
    select_strategies,
    select_strategy,
    select_trade,
    select_trades,
)
from projections.read_model import BY_ACCOUNT, BY_USER, AnyReadModel, table_name_of
from projections.risk import RISK, RiskRow
from projections.strategies import STRATEGIES, StrategyRow
from projections.tasks import end, finish
from projections.trades import TRADES, TradeRow
from projections.users import USERS, UserRow

log = structlog.get_logger(__name__)

_POOL_WAIT_S = 2.0
"""A connection that does not come free in this time is not busy: the database is away."""
_POLL_S = 0.1
_RECONNECT_S = 0.1
_OPTIONS = "-c statement_timeout=5s -c transaction_timeout=5s -c timezone=UTC"

_CONNECT_TIMEOUT_S = 3

# Say what this transaction may see, for row security.
_MAY_SEE = "SELECT set_config(%s, %s, true)"

# Read which generation the readers of each version use, and how far each shard of it has come.
_POINTERS = """
SELECT pointers.name, pointers.version, pointers.generation, checkpoints.shard, checkpoints.sequence
FROM views.pointers
JOIN views.checkpoints USING (name, version, generation)
"""

# Read how far editions have come: their lowest shards. Parameters: names, versions, generations.
_CHECKPOINTS = """
SELECT name, version, generation, min(sequence) AS sequence
FROM views.checkpoints
JOIN unnest(%s::text[], %s::integer[], %s::integer[]) AS used (name, version, generation)
    USING (name, version, generation)
GROUP BY name, version, generation
"""

Connection = psycopg.AsyncConnection[dict[str, Any]]


def _risk_of(account_id: AccountId, table: Table) -> Select[Any]:
    return select(table).where(table.c.account_id == account_id)


def _user(user_id: UserId, table: Table) -> Select[Any]:
    return select(table).where(table.c.user_id == user_id)


class _EditionGone(Exception):
    """The table that was to be read is no longer there, or not yet."""


class PostgresViews:
    """Implements `projections.queries.Queries` for the user `khata_query`, whom *conninfo* names.

    For the user `khata_projector`, from whom no row is hidden, it also implements `projections.ports.ViewsReader`.
    """

    def __init__(self, conninfo: str, *, size: int = 4, watch: EpochWatch | None = None) -> None:
        self._conninfo = conninfo
        self._watch = watch
        self._turns = Turns(size)
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
            configure=self._configure,
            timeout=_POOL_WAIT_S,
            reconnect_timeout=RECONNECT_S,
            reconnect_failed=try_again,
        )
        self._reached: dict[str, dict[int, int]] = {}
        self._generations: dict[tuple[str, int], int] = {}
        self._questions = Questions()
        self._lines = Lines(self._line, size=size, wait_s=_POOL_WAIT_S)
        self._sequence = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
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
        await self._lines.close()
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- How far the views are ----------------------------------------------------------------------------------------

    async def wait_for(self, min_sequence: int, *, timeout_s: float = WAIT_S) -> None:
        """Return once every read model has reached *min_sequence*. Raises ReadModelBehind."""
        if self._sequence >= min_sequence:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[reached] = min_sequence
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        except TimeoutError:
            raise ReadModelBehind(wanted=min_sequence, sequence=self._sequence) from None
        finally:
            del self._waiting[reached]

    def _lowest(self) -> int:
        """Return what the read model that is furthest behind has reached."""
        lowest = []
        for model in READ_MODELS:
            shards = self._reached.get(self._in_use(model).table_name)
            lowest.append(min(shards.values()) if shards else 0)
        return min(lowest)

    def _note(self, moved: Mapping[str, int]) -> None:
        for part, sequence in moved.items():
            table, _, shard = part.rpartition(":")
            if table in self._reached:  # Of others nobody reads, or a look at all of them is under way.
                self._reached[table][int(shard)] = sequence
        self._signal()

    def _signal(self) -> None:
        """Let those go on whose sequence is reached: looked at once for all of them."""
        self._sequence = self._lowest()
        for reached, min_sequence in self._waiting.items():
            if min_sequence <= self._sequence and not reached.done():
                reached.set_result(None)

    async def _listen(self) -> None:
        """Keep what the views have reached: told by the projector, and asked where somebody waits and nobody tells.

        Whoever closes waits for a statement under way: canceled, it would stand in the server's log as an error.
        """
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    row_factory=dict_row,
                    options=_OPTIONS,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                ) as connection:
                    await finish(self._begin_to_listen(connection))
                    while True:
                        is_told, is_changed = False, False
                        async for notification in connection.notifies(timeout=_POLL_S, stop_after=1):
                            moved = msgspec.json.decode(notification.payload, type=dict[str, int])
                            is_told, is_changed = True, not moved
                            self._note(moved)
                        if is_changed or (self._waiting and not is_told):
                            await finish(self._ask(connection))
            except psycopg.Error as error:
                log.debug("views listener lost", error=str(error))
            await asyncio.sleep(_RECONNECT_S)

    async def _begin_to_listen(self, connection: Connection) -> None:
        await self._look_at(connection)
        await connection.execute(f"LISTEN {CHANNEL}")
        await self._ask(connection)

    async def _ask(self, connection: Connection) -> None:
        """Look up which tables to read, and how far each of their shards is."""
        generations: dict[tuple[str, int], int] = {}
        reached: dict[str, dict[int, int]] = {}
        for row in await (await connection.execute(_POINTERS)).fetchall():
            generations[row["name"], row["version"]] = row["generation"]
            table = table_name_of(row["name"], row["version"], row["generation"])
            reached.setdefault(table, {})[row["shard"]] = row["sequence"]
        self._generations, self._reached = generations, reached
        self._signal()

    def _in_use(self, model: AnyReadModel) -> AnyReadModel:
        """Return *model* with the table that its readers use, as far as is known here."""
        return model.in_generation(self._generations.get((model.name, model.version), model.generation))

    # --- Questions ----------------------------------------------------------------------------------------------------

    async def user(self, user_id: UserId) -> Answer[UserRow | None]:
        """Return a user."""
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, Question(USERS, _user, (user_id,)))
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def trades(
        self,
        accounts: Sequence[AccountId],
        wanted: TradeFilter = EVERY_TRADE,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[TradeRow]:
        """Return a page of trades of *accounts*."""
        paging = paging.bounded()
        asked = Question(TRADES, select_trades, (accounts, wanted, paging, changed_after))
        sequence, [rows] = await self._read_accounts(accounts, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.opened_sequence)

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        """Return one trade, None where it is none of *accounts*."""
        sequence, [rows] = await self._read_accounts(accounts, Question(TRADES, select_trade, (accounts, trade_id)))
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        """Return the orders of a trade, oldest first."""
        sequence, [rows] = await self._read_accounts(accounts, Question(ORDERS, select_orders, (accounts, trade_id)))
        return Answer(value=rows, sequence=sequence)

    async def orders(
        self,
        accounts: Sequence[AccountId],
        wanted: OrderFilter = EVERY_ORDER,
        paging: Paging = FIRST_PAGE,
        *,
        changed_after: int | None = None,
    ) -> Page[OrderLine]:
        """Return a page of orders of *accounts*."""
        paging = paging.bounded()
        about = (accounts, wanted, paging, changed_after)
        asked = Question(ORDERS, select_order_page, about, beside=(TRADES,), shape=OrderLine)
        sequence, [rows] = await self._read_accounts(accounts, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.intended_sequence)

    async def doubts(
        self, accounts: Sequence[AccountId], symbol: str | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[DoubtLine]:
        """Return a page of the orders of *accounts* that are in doubt now."""
        paging = paging.bounded()
        asked = Question(
            ORDER_DOUBTS, select_doubts, (accounts, symbol, paging), beside=(ORDERS, TRADES), shape=DoubtLine
        )
        sequence, [rows] = await self._read_accounts(accounts, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.intended_sequence)

    async def alerts(
        self, accounts: Sequence[AccountId], state: AlertState | None = None, paging: Paging = FIRST_PAGE
    ) -> Page[AlertRow]:
        """Return a page of alerts of *accounts*."""
        paging = paging.bounded()
        asked = Question(ALERTS, select_alerts, (accounts, state, paging), beside=(ORDER_DOUBTS,))
        sequence, [rows] = await self._read_accounts(accounts, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.began_sequence)

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        """Return an account's risk row, the positions it ever traded in and the trades that hold something."""
        sequence, [risks, held, trades] = await self._read_accounts(
            [account_id],
            Question(RISK, _risk_of, (account_id,)),
            Question(POSITIONS, select_positions, (account_id,)),
            Question(TRADES, select_held_trades, (account_id,), beside=(RISK,)),
        )
        rows = PortfolioRows(risk=risks[0], positions=held, trades=trades) if risks else None
        return Answer(value=rows, sequence=sequence)

    async def days(self, account_id: AccountId) -> Answer[DailyRows]:
        """Return what each day of an account's life brought, and the money that came and went."""
        sequence, [results, cash] = await self._read_accounts(
            [account_id],
            Question(DAILY_RESULTS, select_days, (account_id,)),
            Question(CASH_MOVES, select_cash, (account_id,)),
        )
        return Answer(value=DailyRows(results=results, cash=cash), sequence=sequence)

    async def limit_changes(self, account_id: AccountId, *, before: int | None = None, limit: int = 50) -> LimitHistory:
        """Return at most *limit* sets of limits that an account had, newest first."""
        limit = max(1, min(limit, PAGE_MAX))
        asked = Question(LIMIT_CHANGES, select_limit_changes, (account_id, before, limit))
        sequence, [rows] = await self._read_accounts([account_id], asked)
        next_before = rows[limit - 1].sequence if len(rows) > limit else None
        return LimitHistory(changes=rows[:limit], next_before=next_before, sequence=sequence)

    async def contract_notes(self, account_id: AccountId, paging: Paging = FIRST_PAGE) -> Page[ContractNoteRow]:
        """Return a page of an account's contract notes."""
        paging = paging.bounded()
        asked = Question(CONTRACT_NOTES, select_contract_notes, (account_id, paging))
        sequence, [rows] = await self._read_accounts([account_id], asked)
        return page_of(rows, paging, sequence, place=lambda row: row.first_sequence)

    async def contract_note(self, account_id: AccountId, day: str) -> Answer[ContractNoteRow | None]:
        """Return an account's contract note of a day, None where there is none."""
        asked = Question(CONTRACT_NOTES, select_contract_note, (account_id, day))
        sequence, [rows] = await self._read_accounts([account_id], asked)
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def memberships_of(self, user_id: UserId) -> Answer[list[MembershipRow]]:
        """Return of which accounts a user is a member, by account."""
        asked = Question(MEMBERSHIPS, select_memberships_of, (user_id,))
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, asked)
        return Answer(value=rows, sequence=sequence)

    async def members(self, account_id: AccountId) -> Answer[list[MembershipRow]]:
        """Return the members of an account, the longest first."""
        asked = Question(MEMBERSHIPS, select_members, (account_id,))
        sequence, [rows] = await self._read_accounts([account_id], asked)
        return Answer(value=rows, sequence=sequence)

    async def accounts(self, accounts: Sequence[AccountId]) -> Answer[list[RiskRow]]:
        """Return what there is to say of *accounts*, by id."""
        sequence, [rows] = await self._read_accounts(accounts, Question(RISK, select_accounts, (accounts,)))
        return Answer(value=rows, sequence=sequence)

    async def strategies(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, status: StrategyStatus | None = None
    ) -> Page[StrategyRow]:
        """Return a page of strategies of a user."""
        paging = paging.bounded()
        asked = Question(STRATEGIES, select_strategies, (user_id, paging, status))
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.drafted_sequence, name=lambda row: row.name)

    async def strategy(self, user_id: UserId, strategy_id: StrategyId) -> Answer[StrategyRow | None]:
        """Return one strategy, None where it is none of the user's."""
        asked = Question(STRATEGIES, select_strategy, (user_id, strategy_id))
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, asked)
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def backtests(
        self, user_id: UserId, paging: Paging = FIRST_PAGE, *, strategy_id: StrategyId | None = None
    ) -> Page[BacktestRow]:
        """Return a page of backtests of a user."""
        paging = paging.bounded()
        asked = Question(BACKTESTS, select_backtests, (user_id, paging, strategy_id))
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.requested_sequence)

    async def backtest(self, user_id: UserId, backtest_id: BacktestId) -> Answer[BacktestRow | None]:
        """Return one backtest, None where it is none of the user's."""
        asked = Question(BACKTESTS, select_backtest, (user_id, backtest_id))
        sequence, [rows] = await self._read({BY_USER.setting: [user_id]}, asked)
        return Answer(value=rows[0] if rows else None, sequence=sequence)

    async def audit(
        self,
        user_id: UserId | None,
        accounts: Sequence[AccountId],
        wanted: AuditFilter,
        paging: Paging = FIRST_PAGE,
    ) -> Page[AuditTrailRow]:
        """Return a page of events that concern a user or *accounts*."""
        paging = paging.bounded()
        asked = Question(AUDIT_TRAIL, select_audit, (user_id, accounts, wanted, paging))
        may_see: dict[str, Sequence[str]] = {BY_ACCOUNT.setting: accounts}
        if user_id is not None:
            may_see[BY_USER.setting] = [user_id]
        sequence, [rows] = await self._read(may_see, asked)
        return page_of(rows, paging, sequence, place=lambda row: row.sequence)

    async def snapshot(self, model: AnyReadModel) -> ViewSnapshot:
        """Return every row of *model* that this user sees, and its checkpoint, as of one moment."""
        await self._look_up()
        used = self._in_use(model)
        async with self._snapshot() as connection:
            checkpoint = await connection.execute(_CHECKPOINTS, _editions([used]))
            rows = await connection.execute(statements_of(used).select_all)
            reached = await checkpoint.fetchall()
            if not reached:
                raise QueriesUnavailable(f"{model.name} of version {model.version} is not there, or being filled")
            return ViewSnapshot(checkpoint=reached[0]["sequence"], rows=rows_by_key(used, await rows.fetchall()))

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

    async def _read_accounts(self, accounts: Sequence[AccountId], *wanted: Question) -> tuple[int, list[list[Any]]]:
        return await self._read({BY_ACCOUNT.setting: accounts}, *wanted)

    async def _read(self, may_see: Mapping[str, Sequence[str]], *wanted: Question) -> tuple[int, list[list[Any]]]:
        """Return the lowest checkpoint of the read models asked, and the rows of each statement.

        Where a table is gone, readers have been pointed to another for ten minutes: it is looked up, and asked.
        """
        if self._unfilled(wanted):
            await self._look_up()
        if unfilled := self._unfilled(wanted):
            # Its table may be there already, with a part of its rows.
            raise QueriesUnavailable(f"{', '.join(unfilled)} is not there, or being filled")
        try:
            return await self._read_once(may_see, *wanted)
        except _EditionGone:
            await self._look_up()
        try:
            return await self._read_once(may_see, *wanted)
        except _EditionGone as gone:
            raise QueriesUnavailable(f"the views cannot be read: {gone}") from gone

    def _unfilled(self, wanted: Sequence[Question]) -> list[str]:
        """Return the read models to none of whose editions readers have been pointed, as far as is known."""
        return [model.name for model in models_of(wanted) if (model.name, model.version) not in self._generations]

    async def _read_once(self, may_see: Mapping[str, Sequence[str]], *wanted: Question) -> tuple[int, list[list[Any]]]:
        asked = self._questions.compiled(wanted, self._in_use)
        settings = {setting: _comma_separated(ids) for setting, ids in may_see.items()}
        with _translated():
            row = await self._lines.ask(settings, asked.statement)
        answers = asked.decoded(row)
        if answers is None:
            raise _EditionGone("a read model is not there, or being filled")
        return answers

    async def _look_up(self) -> None:
        async with self._snapshot() as connection:
            await self._ask(connection)

    async def _configure(self, connection: Connection) -> None:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        await self._look_at(connection)

    async def _line(self) -> psycopg.AsyncConnection[Any]:
        """Connect for a line; whoever asks on it changes nothing."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            options=f"{_OPTIONS} -c default_transaction_read_only=on",
            application_name="khata queries",
            connect_timeout=_CONNECT_TIMEOUT_S,
        )
        try:
            await self._look_at(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _look_at(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if self._watch is not None:
            await self._watch.check(connection)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        try:
            with _translated():
                async with (
                    self._turns.taken(),
                    self._pool.connection() as connection,
                    connection.transaction(),
                    connection.pipeline(),
                ):
                    yield connection
        except NoTurn as error:
            raise QueriesUnavailable(str(error)) from None


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what a fault of the database means to those who ask."""
    try:
        yield
    except PoolTimeout as error:
        raise QueriesUnavailable("no connection to the views came free in time") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSqlStatementName) as error:
        # A statement is not there under its name where another question failed to prepare it just before.
        raise _EditionGone(str(error)) from error
    except psycopg.OperationalError as error:
        raise QueriesUnavailable(f"the views cannot be read: {type(error).__name__}") from error


def _comma_separated(ids: Sequence[str]) -> str:
    for name in ids:
        if "," in name:
            raise ValueError(f"received id {name!r}, expected one without a comma")
    return ",".join(ids)


def _editions(models: Sequence[AnyReadModel]) -> list[list[Any]]:
    return [[m.name for m in models], [m.version for m in models], [m.generation for m in models]]
