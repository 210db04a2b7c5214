"""The audit table: one chain without holes, whoever adds to it, that nobody but its function can change."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import psycopg
import pytest

from adapters.postgres.audit import PostgresAudit
from adapters.postgres.database import Database
from domain.audit import AuditEntry, AuditKind, decode, encode, is_intact
from domain.envelope import GENESIS_HASH
from infra.database import DatabaseUrls


@pytest.fixture
async def audit(database: DatabaseUrls) -> AsyncIterator[PostgresAudit]:
    async with Database(database.writer) as writer:
        yield PostgresAudit(writer)


async def test_entries_of_many_at_once_make_one_chain(audit: PostgresAudit) -> None:
    bodies = [
        [encode(AuditEntry(kind=AuditKind.REFUSED, code=f"CODE_{task}_{n}")) for n in range(5)] for task in range(8)
    ]
    await asyncio.gather(*map(audit.append, bodies))
    entries = await audit.read(after_number=0)
    assert [entry.number for entry in entries] == list(range(1, 41))
    assert {decode(entry.body).code for entry in entries} == {f"CODE_{task}_{n}" for task in range(8) for n in range(5)}
    assert all(map(is_intact, entries))
    assert entries[0].previous_hash == GENESIS_HASH
    assert all(later.previous_hash == earlier.hash for earlier, later in pairwise(entries))
    assert await audit.head() == (40, entries[-1].hash)


async def test_nobody_changes_what_was_written(database: DatabaseUrls, audit: PostgresAudit) -> None:
    await audit.append([encode(AuditEntry(kind=AuditKind.LOGGED_IN, actor="usr_asha"))])
    async with await psycopg.AsyncConnection.connect(database.writer, autocommit=True) as connection:
        for statement in ("DELETE FROM audit.entries", "UPDATE audit.head SET number = 0", "TRUNCATE audit.entries"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    async with await psycopg.AsyncConnection.connect(database.query, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("SELECT count(*) FROM audit.entries")
