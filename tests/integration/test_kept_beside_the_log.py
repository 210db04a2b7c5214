"""Keys, passwords and watermarks: kept beside the log, to be replaced or destroyed."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from adapters.postgres.database import Database
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.postgres.watermarks import PostgresWatermarks
from commands.ports import StoreUnavailable
from domain.ids import UserId
from infra.database import DatabaseUrls

ASHA, RAVI = UserId("usr_asha"), UserId("usr_ravi")


@pytest.fixture
async def writer(database: DatabaseUrls) -> AsyncIterator[Database]:
    async with Database(database.writer) as opened:
        yield opened


async def test_a_password_is_kept_replaced_and_dropped(writer: Database) -> None:
    passwords = PostgresPasswords(writer)
    assert await passwords.find(ASHA) is None
    await passwords.keep(ASHA, "first")
    await passwords.keep(ASHA, "second")
    await passwords.keep(RAVI, "other")
    assert await passwords.find(ASHA) == "second"
    await passwords.drop(ASHA)
    assert await passwords.find(ASHA) is None
    assert await passwords.find(RAVI) == "other"


async def test_a_key_is_kept_by_user_and_purpose_and_destroyed(writer: Database) -> None:
    keys = PostgresUserKeys(writer)
    await keys.put(ASHA, "personal", b"\x00wrapped")
    await keys.put(ASHA, "credentials", b"other")
    assert await keys.get(ASHA, "personal") == b"\x00wrapped"
    assert await keys.get(RAVI, "personal") is None
    await keys.delete(ASHA, "personal")
    await keys.delete(ASHA, "personal")
    assert await keys.get(ASHA, "personal") is None
    assert await keys.get(ASHA, "credentials") == b"other"


async def test_a_watermark_never_goes_back(writer: Database) -> None:
    watermarks = PostgresWatermarks(writer)
    assert await watermarks.get("executor") == 0
    await watermarks.put("executor", 7)
    await watermarks.put("executor", 5)
    assert await watermarks.get("executor") == 7


async def test_a_statement_survives_the_loss_of_every_connection(database: DatabaseUrls, writer: Database) -> None:
    await PostgresPasswords(writer).keep(ASHA, "kept")
    async with await AsyncConnection.connect(database.admin, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'khata_writer' AND datname = current_database()"
        )
    assert await PostgresPasswords(writer).find(ASHA) == "kept"


async def test_a_database_that_is_not_there_is_unavailable(database: DatabaseUrls) -> None:
    with pytest.raises(StoreUnavailable):
        await Database(f"{database.writer}&port=1", patience_s=0.1).open()
