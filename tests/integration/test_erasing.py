"""Erasing a person: nothing opens what was sealed any more, every view shows it, and nothing brings it back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.broker_credentials import PostgresSealedRows
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from adapters.postgres.strategy_sources import PostgresStrategySources
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.views import PostgresViews
from adapters.security.broker_credentials import CredentialsVault
from adapters.security.erasures import ErasureList, ErasuresDamaged
from adapters.security.personal_data import SealedPersonalData
from adapters.security.user_key_files import FileUserKeys
from commands.accounts import CommandContext
from commands.log_ins import LogIns
from commands.ports import Append, NewEvent, StreamAppend
from commands.profiles import BrokerLogin, ProfileChange, Profiles
from commands.strategies import Strategies, StrategyWish
from commands.users import Registered, Users
from domain.envelope import Metadata
from domain.ids import UserId
from domain.user.decide import UserUnknown
from infra.credentials_key import ensure_credentials_key, load_sealing_key
from infra.database import DatabaseUrls
from infra.erasing import BY_OPERATOR, erase_again, open_erasing
from infra.home import Home
from infra.keys import Keys, ensure_keys
from infra.problems import OperatorProblem
from infra.settings import Settings
from infra.user_keys import move_user_keys
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.tasks import end
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.security import PlainHasher

EMAIL, NAME, PASSWORD = "asha@example.in", "Asha Rao", "monsoon over the ghats"


class World:
    """An installation with its home, on a database of its own."""

    def __init__(self, home: Home, database: DatabaseUrls) -> None:
        home.prepare()
        self.home = home
        self.database = database
        self.settings = Settings(home=home.path)
        self.keys: Keys = ensure_keys(home, tell=False)
        self.user_keys = FileUserKeys(home.user_keys)
        self.listed = ErasureList(home.erasures)

    def personal_data(self, keys: FileUserKeys | PostgresUserKeys | None = None) -> SealedPersonalData:
        return SealedPersonalData(
            master_key=self.keys.master,
            lookup_key=self.keys.lookup,
            keys=keys or self.user_keys,
            clock=SystemClock(),
        )

    async def register(self, store: PostgresEventStore, keys: PostgresUserKeys | None = None) -> Registered:
        users = Users(
            store=store,
            ids=SystemIds(SystemClock()),
            hasher=PlainHasher(),
            passwords=PostgresPasswords(store.database),
            personal_data=self.personal_data(keys),
        )
        return await users.register(email=EMAIL, name=NAME, password=PASSWORD, metadata=Metadata(source="api"))

    async def settle_in(self, store: PostgresEventStore, registered: Registered) -> None:
        """Let a user log in, link Dhan and keep a strategy: what lies beside the log of them."""
        ids, context = SystemIds(SystemClock()), CommandContext(actor="", source="api", received_at_ns=0)
        data, passwords = self.personal_data(), PostgresPasswords(store.database)
        log_ins = LogIns(
            tokens=PostgresRefreshTokens(store.database), clock=SystemClock(), ids=ids, derive=data.lookup_hash
        )
        ensure_credentials_key(self.home)
        profiles = Profiles(
            store=store,
            ids=ids,
            hasher=PlainHasher(),
            passwords=passwords,
            personal_data=data,
            credentials=CredentialsVault(
                executor_key=load_sealing_key(self.home),
                rows=PostgresSealedRows(store.database),
                keys=self.user_keys,
            ),
            log_ins=log_ins,
        )
        await log_ins.begin(registered.user_id)
        linked = ProfileChange(broker=BrokerLogin(client_id="1000000009", access_token="of-dhan"))
        await profiles.change(registered.user_id, linked, context)
        wish = StrategyWish(name="Range", description="", source="pass", parameters={})
        sources = PostgresStrategySources(store.database)
        await Strategies(store=store, ids=ids, sources=sources).draft(registered.user_id, wish, context)

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[Projector]:
        views = PostgresViewStore(self.database.projector, owner="one")
        projector = Projector(READ_MODELS, feed=PostgresFeed(self.database.query), views=views, clock=SystemClock())
        running = asyncio.create_task(projector.run())
        try:
            yield projector
        finally:
            await end(running)
            await views.close()

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database.admin, autocommit=True) as admin:
            return admin.execute(statement.encode()).fetchall()


@pytest.fixture
def world(database: DatabaseUrls, tmp_path: Path) -> World:
    return World(Home(tmp_path / "home"), database)


async def test_an_erased_user_reads_as_erased_everywhere_and_the_log_stays_whole(world: World) -> None:
    async with (
        PostgresEventStore(world.database.writer) as store,
        PostgresViews(world.database.query) as queries,
        PostgresViews(world.database.projector) as all_rows,
        world.projecting() as projector,
    ):
        registered = await world.register(store)
        await world.settle_in(store, registered)
        await projector.reach((await store.head()).sequence)
        row = (await queries.user(registered.user_id)).value
        assert row is not None
        assert row.credentials_set
        assert len(await world.user_keys.names()) == 2
        here = world.personal_data()
        assert await here.unseal(row.user_id, "email", row.email_nonce, row.email_ciphertext) == EMAIL
        with psycopg.connect(world.database.projector, autocommit=True) as kept_for_going_back:
            kept_for_going_back.execute("CREATE TABLE views.users_v0 AS TABLE views.users_v2")
        before = await store.read_all(after_sequence=0)

        async with open_erasing(world.settings, world.keys, world.database) as erasing:
            sequence = await erasing.erase(registered.user_id, BY_OPERATOR)
            assert await erasing.erase(registered.user_id, BY_OPERATOR) == sequence, "asking again changes nothing"

        await projector.reach(sequence)
        row = (await queries.user(registered.user_id)).value
        assert row is not None
        # Also where a copy of the key is still in memory: there is nothing left to open.
        assert await here.unseal(row.user_id, "email", row.email_nonce, row.email_ciphertext) is None
        assert (row.email_ciphertext, row.name_ciphertext, row.account_id) == (b"", b"", registered.account_id)
        assert (row.client_id_ciphertext, row.credentials_set) == (b"", False)
        assert await differences(READ_MODELS, log=store, views=all_rows) == []
        assert world.rows("SELECT email_ciphertext, name_ciphertext, client_id_ciphertext FROM views.users_v0") == [
            (b"", b"", b"")
        ]
        assert await world.user_keys.names() == []
        assert world.rows("SELECT FROM keys.passwords") == []
        for table in ("token_families", "refresh_tokens", "broker_credentials", "strategy_sources"):
            assert world.rows(f"SELECT FROM keys.{table}") == []
        assert world.rows("SELECT FROM log.claims") == []
        assert [each.user_id for each in world.listed.read()] == [registered.user_id]
        after = await store.read_all(after_sequence=0)
        assert after[: len(before)] == before
        assert [event.name for event in after[len(before) :]] == ["user.erased.v1"]
        again = await world.register(store)
        assert again.user_id != registered.user_id, "the address is free again"


async def test_erasures_are_applied_again_to_a_log_that_forgot_them(world: World) -> None:
    async with PostgresEventStore(world.database.writer) as store:
        registered = await world.register(store)
        world.listed.record(registered.user_id, erased_at_ns=1)
        world.listed.record(UserId("usr_registered_after_the_backup"), erased_at_ns=2)
        for _ in range(2):
            assert await erase_again(world.settings, world.keys, world.database) == 2
        names = [event.name for event in await store.read_all(after_sequence=0)]
    assert names == ["user.registered.v1", "account.opened.v1", "user.erased.v1"]
    assert await world.user_keys.names() == []
    assert world.rows("SELECT FROM keys.passwords") == []


async def test_what_a_later_release_wrote_about_a_user_is_no_reason_not_to_erase_them(world: World) -> None:
    async with PostgresEventStore(world.database.writer) as store:
        registered = await world.register(store)
        later = NewEvent(name="user.renamed.v9", payload=b"{}")
        part = StreamAppend(stream_id=f"user-{registered.user_id}", expected_version=1, events=(later,))
        await store.append(Append(command_id="cmd_later", streams=(part,), metadata=b"{}"))
        async with open_erasing(world.settings, world.keys, world.database) as erasing:
            await erasing.erase(registered.user_id, BY_OPERATOR)
        names = [event.name for event in await store.read_stream(f"user-{registered.user_id}")]
    assert names == ["user.registered.v1", "user.renamed.v9", "user.erased.v1"]
    assert await world.user_keys.names() == []


async def test_nobody_is_erased_who_is_nobody(world: World) -> None:
    async with open_erasing(world.settings, world.keys, world.database) as erasing:
        with pytest.raises(UserUnknown):
            await erasing.erase(UserId("usr_nobody"), BY_OPERATOR)
    assert world.listed.read() == []


async def test_keys_that_lay_beside_the_log_move_into_their_own_store_but_not_those_of_erased_users(
    world: World,
) -> None:
    async with PostgresEventStore(world.database.writer) as store:
        beside_the_log = PostgresUserKeys(store.database)
        registered = await world.register(store, beside_the_log)
        erased = UserId("usr_erased")
        await beside_the_log.put(erased, "personal", b"wrapped")
        world.listed.record(erased, erased_at_ns=1)
        assert await move_user_keys(world.settings, world.database) == 2
        assert await move_user_keys(world.settings, world.database) == 0
        events = await store.read_stream(f"user-{registered.user_id}")
    assert world.rows("SELECT FROM keys.user_keys") == []
    assert await world.user_keys.names() == [(registered.user_id, "personal")]
    assert len(events) == 1
    here = world.personal_data()
    assert await here.unseal(registered.user_id, "name", *await here.seal(registered.user_id, "name", NAME)) == NAME


async def test_the_keys_own_server_must_not_be_the_logs(world: World) -> None:
    settings = Settings(home=world.home.path, user_keys_url=world.database.for_database("postgres").admin)
    with pytest.raises(OperatorProblem, match="the log's own server"):
        await move_user_keys(settings, world.database)


def test_the_list_names_everybody_once_survives_a_torn_line_and_refuses_a_damaged_one(tmp_path: Path) -> None:
    listed = ErasureList(tmp_path / "erasures.jsonl")
    assert listed.read() == []
    for user in ("usr_1", "usr_2", "usr_1"):
        listed.record(UserId(user), erased_at_ns=7)
    assert [each.user_id for each in listed.read()] == ["usr_1", "usr_2"]
    with (tmp_path / "erasures.jsonl").open("ab") as file:
        file.write(b'{"user_id":"usr_3","era')
    assert listed.users() == {"usr_1", "usr_2"}
    listed.record(UserId("usr_4"), erased_at_ns=8)
    assert [each.user_id for each in ErasureList(tmp_path / "erasures.jsonl").read()] == ["usr_1", "usr_2", "usr_4"]
    (tmp_path / "erasures.jsonl").write_bytes(b'{"user_id":"usr_1"}\n')
    with pytest.raises(ErasuresDamaged, match="line 1"):
        listed.record(UserId("usr_5"), erased_at_ns=9)


async def test_a_view_that_is_behind_learns_of_the_erasure_from_the_log(world: World) -> None:
    async with PostgresEventStore(world.database.writer) as store, PostgresViews(world.database.query) as queries:
        registered = await world.register(store)
        async with open_erasing(world.settings, world.keys, world.database) as erasing:
            sequence = await erasing.erase(registered.user_id, BY_OPERATOR)
        async with world.projecting() as projector:
            await projector.reach(sequence)
            row = await eventually(lambda: queries.user(registered.user_id))
    assert row.value is not None
    assert row.value.email_ciphertext == b""
