"""The store of users' data keys: opened as the settings say, and filled from where the keys lay before.

Keys once lay in a table beside the log, where every physical backup of the log held them, erased ones too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import psycopg
import structlog
from psycopg.rows import scalar_row

from adapters.postgres.database import Database
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.security.erasures import ErasureList
from adapters.security.user_key_files import FileUserKeys
from domain.ids import UserId
from infra.database import DatabaseUrls
from infra.home import Home
from infra.problems import OperatorProblem
from infra.settings import Settings

log = structlog.get_logger("khata.user_keys")

_CONNECT_TIMEOUT_S = 5
_PAGE = 500
_SYSTEM = "SELECT system_identifier FROM pg_control_system()"
_IS_THERE = "SELECT to_regclass('keys.user_keys') IS NOT NULL"
_READ = "SELECT user_id, purpose, wrapped FROM keys.user_keys ORDER BY user_id, purpose LIMIT %s"
_COUNT = "SELECT count(*) FROM keys.user_keys"
_DELETE = "DELETE FROM keys.user_keys WHERE user_id = %s AND purpose = %s AND wrapped = %s"

UserKeyStore = FileUserKeys | PostgresUserKeys


@asynccontextmanager
async def open_user_keys(settings: Settings) -> AsyncIterator[UserKeyStore]:
    """Yield the store of users' data keys.

    Raises:
        commands.ports.StoreUnavailable
    """
    if settings.user_keys_url is None:
        keys = FileUserKeys(Home(settings.home).user_keys)
        await keys.finish()
        yield keys
        return
    async with Database(settings.user_keys_url, size=2) as database:
        store = PostgresUserKeys(database)
        await store.prepare()
        yield store


async def move_user_keys(settings: Settings, database: DatabaseUrls) -> int:
    """Move keys that lie beside the log into their own store; return how many. What was erased is not moved.

    A key is deleted where it lay only after it was read back from where it lies now.

    Raises:
        OperatorProblem: the store is on the log's own server.
        commands.ports.StoreUnavailable
    """
    await _refuse_log_server(settings, database)
    erased = ErasureList(Home(settings.home).erasures).users()
    moved = 0
    async with await psycopg.AsyncConnection.connect(
        database.writer, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
    ) as connection:
        is_there = await (await connection.execute(_IS_THERE)).fetchone()
        if is_there is None or not is_there[0]:
            return 0
        async with open_user_keys(settings) as store:
            while rows := await (await connection.execute(_READ, [_PAGE])).fetchall():
                for user_id, purpose, wrapped in rows:
                    if user_id not in erased:
                        await _move(store, UserId(user_id), purpose, wrapped)
                    await connection.execute(_DELETE, [user_id, purpose, wrapped])
                moved += len(rows)
    if moved:
        await _forget_pages(database)
        log.info("user keys moved out of the log's database", keys=moved)
    return moved


def count_beside_log(conninfo: str) -> int:
    """Return how many keys lie in the log's own database, where none belong."""
    with closing(psycopg.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)) as connection:
        is_there = connection.execute(_IS_THERE).fetchone()
        counted = connection.execute(_COUNT).fetchone() if is_there and is_there[0] else None
    return int(counted[0]) if counted else 0


async def _move(store: UserKeyStore, user_id: UserId, purpose: str, wrapped: bytes) -> None:
    if await store.get(user_id, purpose) is None:  # Else it was moved before, and this is what a crash left.
        await store.put(user_id, purpose, wrapped)
        if await store.get(user_id, purpose) != wrapped:
            raise OperatorProblem(f"The key of {user_id} cannot be read back from its store.")


async def _refuse_log_server(settings: Settings, database: DatabaseUrls) -> None:
    if settings.user_keys_url is None:
        return
    systems = []
    for url in (database.writer, settings.user_keys_url):
        try:
            async with await psycopg.AsyncConnection.connect(
                url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, row_factory=scalar_row
            ) as connection:
                systems.append(await (await connection.execute(_SYSTEM)).fetchone())
        except psycopg.OperationalError as error:
            raise OperatorProblem(
                f"The server of the user keys, or the log's, cannot be reached: {type(error).__name__}.",
                remedy="Check KHATA_USER_KEYS_URL and the server.",
            ) from None
    if systems[0] == systems[1]:
        raise OperatorProblem(
            "KHATA_USER_KEYS_URL names the log's own server: its backups would hold the keys of erased users.",
            remedy="Name another server, or unset it: the keys then are files under the home folder.",
        )


async def _forget_pages(database: DatabaseUrls) -> None:
    """Write the emptied table anew: deleted rows otherwise stay in its file until they are overwritten."""
    async with await psycopg.AsyncConnection.connect(
        database.owner, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
    ) as connection:
        await connection.execute("VACUUM (FULL) keys.user_keys")
