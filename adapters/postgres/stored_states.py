"""Stored states of accounts: what time travel starts its folds from. A cache: every row may be deleted at any time."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from adapters.postgres.arrays import register_arrays
from adapters.postgres.epochs import EpochWatch
from adapters.postgres.view_rows import key_arrays, rows_by_key, statements_of
from adapters.postgres.view_tables import QUERY_ROLE
from adapters.postgres.views import PostgresViews
from domain.ids import AccountId
from projections.ports import StoredState, ViewsUnavailable
from projections.read_model import BY_ACCOUNT, AnyReadModel, Key, Row

_CONNECT_TIMEOUT_S = 5
# Waiting for the disk would buy nothing: what a crash takes back is folded again.
_OPTIONS = "-c synchronous_commit=off -c statement_timeout=10s -c lock_timeout=2s -c transaction_timeout=10s"

# Two keepers that start at once make the tables one after the other; one of them keeps states, the others wait.
_LOCK_PREPARE = "SELECT pg_advisory_xact_lock(hashtextextended('khata.views.stored_states.prepare', 0))"
_CLAIM = "SELECT pg_try_advisory_lock(hashtextextended('khata.views.stored_states.keep', 0)) AS is_ours"
_IS_THERE = "SELECT to_regclass('views.stored_states') IS NOT NULL AS is_there"

# The rows of one read model and one account that could still change after the event at `sequence`, which is `version`
# in the account's stream.
_TABLE = """
CREATE TABLE views.stored_states (
    account_id text NOT NULL,
    model text NOT NULL,
    model_version integer NOT NULL,
    sequence bigint NOT NULL,
    version bigint NOT NULL,
    rows bytea NOT NULL,
    PRIMARY KEY (account_id, model, model_version, sequence)
)
"""

# Up to which sequence everything that was due is stored, for each set of read models that was ever kept: with a new
# version in the set the log is walked from its beginning.
_PROGRESS_TABLE = """
CREATE TABLE views.stored_states_progress (
    models text PRIMARY KEY,
    sequence bigint NOT NULL
)
"""

_SECURE: tuple[LiteralString, ...] = (
    "ALTER TABLE views.stored_states ENABLE ROW LEVEL SECURITY",
    (
        "CREATE POLICY reader ON views.stored_states FOR SELECT TO {query}"
        " USING (account_id = ANY ((SELECT string_to_array(current_setting({setting}, true), ','))::text[]))"
    ),
    "GRANT SELECT ON views.stored_states TO {query}",
)

# Read the newest state of each read model at or before a sequence, one walk down the primary key each.
_NEWEST = """
SELECT wanted.model, wanted.model_version, state.sequence, state.version, state.rows
FROM unnest(%(models)s::text[], %(versions)s::integer[]) AS wanted (model, model_version)
CROSS JOIN LATERAL (
    SELECT kept.sequence, kept.version, kept.rows
    FROM views.stored_states AS kept
    WHERE kept.account_id = %(account)s AND kept.model = wanted.model
        AND kept.model_version = wanted.model_version AND kept.sequence <= %(sequence)s
    ORDER BY kept.sequence DESC
    LIMIT 1
) AS state
"""

# Read up to which version each account has a state of every read model.
_VERSIONS = """
SELECT accounts.account_id, min(coalesce(newest.version, 0)) AS version
FROM unnest(%(accounts)s::text[]) AS accounts (account_id)
CROSS JOIN unnest(%(models)s::text[], %(versions)s::integer[]) AS wanted (model, model_version)
LEFT JOIN LATERAL (
    SELECT kept.version
    FROM views.stored_states AS kept
    WHERE kept.account_id = accounts.account_id AND kept.model = wanted.model
        AND kept.model_version = wanted.model_version
    ORDER BY kept.sequence DESC
    LIMIT 1
) AS newest ON true
GROUP BY accounts.account_id
"""

# Store states. The same place has the same state, whoever folded it.
_SAVE = """
INSERT INTO views.stored_states (account_id, model, model_version, sequence, version, rows)
SELECT account_id, model, model_version, sequence, version, rows
FROM unnest(%s::text[], %s::text[], %s::integer[], %s::bigint[], %s::bigint[], %s::bytea[])
    AS new (account_id, model, model_version, sequence, version, rows)
ON CONFLICT DO NOTHING
"""

# Read how far the tables that stand behind the states are: the editions that readers use, each to its lowest shard.
_REACHED = """
SELECT coalesce(min(coalesce(edition.sequence, 0)), 0) AS sequence
FROM unnest(%(models)s::text[], %(versions)s::integer[]) AS wanted (name, version)
LEFT JOIN LATERAL (
    SELECT min(checkpoints.sequence) AS sequence
    FROM views.pointers
    JOIN views.checkpoints USING (name, version, generation)
    WHERE pointers.name = wanted.name AND pointers.version = wanted.version
) AS edition ON true
"""

# Read which generation of a read model readers use. Parameters: name, version.
_GENERATION = "SELECT generation FROM views.pointers WHERE name = %s AND version = %s"

_PROGRESS = "SELECT sequence FROM views.stored_states_progress WHERE models = %s"
_MOVE = """
INSERT INTO views.stored_states_progress (models, sequence) VALUES (%s, %s)
ON CONFLICT (models) DO UPDATE SET sequence = EXCLUDED.sequence
"""

Connection = psycopg.AsyncConnection[dict[str, Any]]
Value = TypeVar("Value")


def _named(models: Iterable[AnyReadModel]) -> dict[str, list[Any]]:
    wanted = list(models)
    return {"models": [model.name for model in wanted], "versions": [model.version for model in wanted]}


def _set_name(models: Iterable[AnyReadModel]) -> str:
    return ",".join(sorted(model.table_name for model in models))


def _states_of(
    account_id: AccountId, models: Iterable[AnyReadModel], records: Iterable[dict[str, Any]]
) -> dict[AnyReadModel, StoredState]:
    found = {(record["model"], record["model_version"]): record for record in records}
    return {
        model: StoredState(
            account_id=account_id, sequence=record["sequence"], version=record["version"], rows=bytes(record["rows"])
        )
        for model in models
        if (record := found.get((model.name, model.version))) is not None
    }


class PostgresStates:
    """Implements `projections.ports.StatesReader` for readers, on the connections of *views*."""

    def __init__(self, views: PostgresViews) -> None:
        self._views = views

    async def newest(
        self, account_id: AccountId, models: Sequence[AnyReadModel], *, sequence: int
    ) -> dict[AnyReadModel, StoredState]:
        """Return of each of *models* the newest state at or before *sequence*. Raises QueriesUnavailable."""
        async with self._views.reading([account_id]) as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(_NEWEST, _named(models) | {"account": account_id, "sequence": sequence})
            return _states_of(account_id, models, await cursor.fetchall())


class PostgresStatesStore:
    """Implements `projections.ports.StatesStore` for the user `khata_projector`, whom *conninfo* names."""

    def __init__(self, conninfo: str, *, watch: EpochWatch | None = None) -> None:
        """Describe it. *watch* looks at every new connection."""
        self._conninfo = conninfo
        self._watch = watch
        self._connection: Connection | None = None

    async def prepare(self) -> None:
        """Make the tables where they are missing."""

        async def make(connection: Connection) -> None:
            names = {
                "query": sql.Identifier(QUERY_ROLE),
                "setting": sql.Literal(BY_ACCOUNT.setting),
            }
            async with connection.transaction():
                await connection.execute(_LOCK_PREPARE)
                there = await (await connection.execute(_IS_THERE)).fetchone()
                if there is None or not there["is_there"]:
                    await connection.execute(_TABLE)
                    await connection.execute(_PROGRESS_TABLE)
                    for statement in _SECURE:
                        await connection.execute(sql.SQL(statement).format(**names))

        await self._with(make)

    async def claim(self) -> bool:
        """Tell whether the keeping is ours alone; once it is, it stays ours as long as the connection lives."""
        [record] = await self._fetch(_CLAIM)
        return bool(record["is_ours"])

    async def reached(self, models: Sequence[AnyReadModel]) -> int:
        """Return the sequence that the tables of all *models* have reached."""
        [record] = await self._fetch(_REACHED, _named(models))
        return int(record["sequence"])

    async def progress(self, models: Sequence[AnyReadModel]) -> int:
        """Return up to which sequence everything that was due is stored of just these *models*, 0 for a new set."""
        records = await self._fetch(_PROGRESS, [_set_name(models)])
        return int(records[0]["sequence"]) if records else 0

    async def newest(
        self, account_id: AccountId, models: Sequence[AnyReadModel], *, sequence: int
    ) -> dict[AnyReadModel, StoredState]:
        """Return of each of *models* the newest state at or before *sequence*."""
        wanted = _named(models) | {"account": account_id, "sequence": sequence}
        return _states_of(account_id, models, await self._fetch(_NEWEST, wanted))

    async def versions(self, accounts: Sequence[AccountId], models: Sequence[AnyReadModel]) -> dict[AccountId, int]:
        """Return for each account the version up to which all *models* have a state, 0 where one has none."""
        records = await self._fetch(_VERSIONS, _named(models) | {"accounts": list(accounts)})
        return {AccountId(record["account_id"]): int(record["version"]) for record in records}

    async def rows_now(self, model: AnyReadModel, keys: Iterable[Key]) -> dict[Key, Row]:
        """Return the rows of the table of *model* that exist under *keys* now.

        Raises:
            ViewsUnavailable: the database is away, or nobody has filled the read model yet.
        """
        pointers = await self._fetch(_GENERATION, [model.name, model.version])
        if not pointers:
            raise ViewsUnavailable(f"{model.name} of version {model.version} is not there yet")
        used = model.in_generation(pointers[0]["generation"])
        return rows_by_key(used, await self._fetch(statements_of(used).select_by_keys, key_arrays(keys)))

    async def save(self, states: Sequence[tuple[AnyReadModel, StoredState]]) -> None:
        """Store states; those that are there already stay."""
        arrays = [
            [state.account_id for _, state in states],
            [model.name for model, _ in states],
            [model.version for model, _ in states],
            [state.sequence for _, state in states],
            [state.version for _, state in states],
            [state.rows for _, state in states],
        ]
        await self._with(lambda connection: connection.execute(_SAVE, arrays))

    async def move_to(self, models: Sequence[AnyReadModel], sequence: int) -> None:
        """Note that everything due of *models* up to *sequence* is stored."""
        await self._with(lambda connection: connection.execute(_MOVE, [_set_name(models), sequence]))

    async def close(self) -> None:
        """Close the connection, and with it the claim."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _fetch(
        self, statement: LiteralString | sql.Composed | bytes, parameters: Any = None
    ) -> list[dict[str, Any]]:
        async def fetch(connection: Connection) -> list[dict[str, Any]]:
            return await (await connection.execute(statement, parameters)).fetchall()

        return await self._with(fetch)

    async def _with(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    row_factory=dict_row,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    options=_OPTIONS,
                    application_name="khata stored states",
                    prepare_threshold=2,
                )
                register_arrays(self._connection)
                if self._watch is not None:
                    await self._watch.check(self._connection)
            return await work(self._connection)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            await self.close()
            raise ViewsUnavailable(str(error)) from error
        except BaseException:
            # Canceled in the middle of a statement, or broken: what was under way is rolled back by the end of it.
            await self.close()
            raise
