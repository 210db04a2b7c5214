"""Registering and logging in with the real log, key store and password hashes."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from commands.users import CredentialsWrong, Registered, Users
from domain.envelope import Metadata
from domain.events import decode
from domain.user.decide import EmailTaken
from domain.user.events import UserRegistered
from infra.database import DatabaseUrls

EMAIL, NAME, PASSWORD = "asha@example.in", "Asha Rao", "monsoon over the ghats"


class Process:
    """Users as one process of the engine has them."""

    def __init__(self, store: PostgresEventStore, hasher: Argon2Hasher) -> None:
        clock = SystemClock()
        self.store = store
        self.personal_data = SealedPersonalData(
            master_key=bytes(32), lookup_key=b"l" * 32, keys=PostgresUserKeys(store.database), clock=clock
        )
        self.users = Users(
            store=store,
            ids=SystemIds(clock),
            hasher=hasher,
            passwords=PostgresPasswords(store.database),
            personal_data=self.personal_data,
        )

    async def register(self, email: str = EMAIL) -> Registered:
        return await self.users.register(email=email, name=NAME, password=PASSWORD, metadata=Metadata(source="api"))


@pytest.fixture
async def processes(database: DatabaseUrls) -> AsyncIterator[tuple[Process, Process]]:
    hasher = Argon2Hasher()
    async with PostgresEventStore(database.writer) as one, PostgresEventStore(database.writer) as other:
        yield Process(one, hasher), Process(other, hasher)
    hasher.close()


async def test_who_registers_here_logs_in_there_and_nobody_else_does(processes: tuple[Process, Process]) -> None:
    here, there = processes
    registered = await here.register()
    assert await there.users.authenticate(email=EMAIL, password=PASSWORD) == registered.user_id
    assert await there.users.default_account(registered.user_id) == registered.account_id
    for email, password in ((EMAIL, "another long password"), ("ravi@example.in", PASSWORD)):
        with pytest.raises(CredentialsWrong):
            await there.users.authenticate(email=email, password=password)


async def test_of_registrations_of_one_address_in_two_processes_one_wins(
    processes: tuple[Process, Process], database: DatabaseUrls
) -> None:
    answers = await asyncio.gather(*(process.register() for process in processes * 2), return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, Registered)]
    assert [type(answer) for answer in answers if answer is not winner] == [EmailTaken] * 3
    with psycopg.connect(database.admin) as connection:
        assert connection.execute("SELECT count(*) FROM log.events").fetchone() == (2,)
        assert connection.execute("SELECT user_id FROM keys.passwords").fetchall() == [(winner.user_id,)]
        assert connection.execute("SELECT user_id FROM keys.user_keys").fetchall() == [(winner.user_id,)]


async def test_no_table_holds_a_password_an_address_or_a_name(
    processes: tuple[Process, Process], database: DatabaseUrls
) -> None:
    await processes[0].register()
    with psycopg.connect(database.admin) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        reads = [sql.SQL("SELECT * FROM {}").format(sql.Identifier(*names)) for names in tables]
        dump = "".join(str(connection.execute(read).fetchall()) for read in reads)
    assert "user.registered.v1" in dump
    assert not [secret for secret in (EMAIL, "asha", NAME, PASSWORD) if secret in dump]


async def test_a_destroyed_key_erases_a_user_and_leaves_the_log_as_it_is(processes: tuple[Process, Process]) -> None:
    here, _ = processes
    registered = await here.register()
    before = await here.store.read_all(after_sequence=0)
    user = decode(before[0].name, before[0].payload)
    assert isinstance(user, UserRegistered)
    sealed = user.email.nonce, user.email.ciphertext
    assert await here.personal_data.unseal(registered.user_id, "email", *sealed) == EMAIL
    await here.personal_data.destroy_key(registered.user_id)
    assert await here.personal_data.unseal(registered.user_id, "email", *sealed) is None
    assert await here.store.read_all(after_sequence=0) == before
