"""Keys, passwords, watermarks and snapshots of folds: kept beside the log, to be replaced or destroyed."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg import AsyncConnection

from adapters.postgres.broker_credentials import PostgresSealedRows
from adapters.postgres.database import Database
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.strategy_sources import PostgresStrategySources
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.postgres.watermarks import PostgresWatermarks
from adapters.security.broker_credentials import CredentialsOpener, CredentialsVault
from adapters.security.personal_data import SealBroken
from commands.ports import FoldSnapshot, StoreUnavailable
from domain.ids import AccountId, UserId
from infra.database import DatabaseUrls
from tests.support.security import MemoryUserKeys

ASHA, RAVI = UserId("usr_asha"), UserId("usr_ravi")
LIVE, OTHER_LIVE = AccountId("acc_live"), AccountId("acc_other")


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


async def test_a_snapshot_is_kept_instead_of_the_one_before(writer: Database) -> None:
    watermarks = PostgresWatermarks(writer)
    assert await watermarks.find("executor") is None
    later = FoldSnapshot(name="executor", sequence=9, hash=bytes(32), schema="1:shape", state=bytes(range(256)) * 4_000)
    for snapshot in (later, replace(later, sequence=4, state=b"")):
        await watermarks.keep(snapshot)
        assert await watermarks.find("executor") == snapshot
    assert await watermarks.find("protection") is None


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


async def test_a_source_is_kept_for_its_author_and_destroyed_with_all_of_theirs(writer: Database) -> None:
    sources = PostgresStrategySources(writer)
    for _ in range(2):
        await sources.keep(ASHA, "a1" * 32, "pass\n")
    await sources.keep(RAVI, "a1" * 32, "pass\n")
    assert await sources.find(ASHA, "a1" * 32) == "pass\n"
    assert await sources.find(ASHA, "b2" * 32) is None
    await sources.drop_all(ASHA)
    assert await sources.find(ASHA, "a1" * 32) is None
    assert await sources.find(RAVI, "a1" * 32) == "pass\n"


async def test_credentials_are_kept_replaced_opened_by_the_executor_and_destroyed(writer: Database) -> None:
    executor, keys, rows = X25519PrivateKey.generate(), MemoryUserKeys(), PostgresSealedRows(writer)
    vault = CredentialsVault(executor_key=executor.public_key(), rows=rows, keys=keys)
    opener = CredentialsOpener(private_key=executor, rows=rows, keys=keys)
    assert await opener.open(LIVE) is None
    await vault.keep(ASHA, LIVE, b"first")
    await vault.keep(ASHA, LIVE, b"second")
    assert await opener.open(LIVE) == b"second"
    assert len(keys.wrapped) == 1
    await vault.keep(RAVI, OTHER_LIVE, b"other")
    await vault.drop_all(ASHA)
    await vault.drop(LIVE)
    assert await opener.open(LIVE) is None
    assert await opener.open(OTHER_LIVE) == b"other"
    assert [user_id for user_id, _ in keys.wrapped] == [RAVI]


async def test_credentials_that_were_moved_to_another_account_open_nowhere(writer: Database) -> None:
    executor, keys, rows = X25519PrivateKey.generate(), MemoryUserKeys(), PostgresSealedRows(writer)
    vault = CredentialsVault(executor_key=executor.public_key(), rows=rows, keys=keys)
    await vault.keep(ASHA, LIVE, b"first")
    sealed = await rows.find(LIVE)
    assert sealed is not None
    await rows.keep(OTHER_LIVE, sealed)
    with pytest.raises(SealBroken):
        await CredentialsOpener(private_key=executor, rows=rows, keys=keys).open(OTHER_LIVE)
    with pytest.raises(SealBroken):
        await CredentialsOpener(private_key=X25519PrivateKey.generate(), rows=rows, keys=keys).open(LIVE)
