"""The drill: back up under load, lose a thousand events, restore, and look whether everybody knows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import httpx
import nats
import psycopg
import pytest

from adapters.nats.stream import decode as decode_message
from adapters.nats.stream import mirrors, stream_name
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.history import PostgresHistory
from adapters.postgres.views import PostgresViews
from domain.envelope import GENESIS_HASH, is_intact
from domain.epoch import Epoch
from domain.ids import UserId
from infra.backup.manifest import BackupDamaged
from infra.backup.record import read_record
from infra.backup.restoring import Restored, accept_restore, restore_backup
from infra.backup.taking import take_backup
from infra.continuity import HistoryChanged
from infra.erasing import BY_OPERATOR, open_erasing
from infra.home import Home
from infra.lock import AlreadyRunning
from infra.problems import OperatorProblem
from infra.reaching import reach_database
from infra.settings import Settings, load, override
from infra.supervisor import Supervisor
from projections.catalogue import READ_MODELS
from projections.tasks import end
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.running import throwaway_home

PATIENCE_S = 40.0
LOST = 1_000
ORDER = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
PASSWORD = "monsoon over the ghats"
WITHOUT_A_MARKET = (("api",), ("relay", "projector"))
"""Nobody sends: the accounts that the load writes about exist at no exchange."""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with throwaway_home() as made:
        yield made


@pytest.fixture(scope="module")
def settings(home: Home) -> Settings:
    return override(load({}), home=home.path, api_port=0, log_level="warning")


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


class Load:
    """Accounts' lives, written into the log one after another."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._scribe = Scribe(store)
        self._numbers = count(1_000)
        self.sequence = 0
        self.events = 0

    async def write_one(self) -> None:
        number = next(self._numbers)
        life = Life(Random(number), number).go_on(60)  # noqa: S311 - no secret
        self.sequence = await self._scribe.write(f"account-{life.account_id}", life.events)
        self.events += len(life.events)

    async def write_for_ever(self) -> None:
        while True:
            await self.write_one()


class Person:
    """A user at the API."""

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self.client = client
        self.email = f"{name}@example.in"
        self.user_id = UserId("")
        self.headers: dict[str, str] = {}

    async def register(self) -> None:
        body = {"email": self.email, "name": self.email.title(), "password": PASSWORD}
        registered = await self.client.post("/api/auth/register", json=body)
        assert registered.status_code == 201
        self.user_id = UserId(registered.json()["user_id"])
        token = (await self.log_in()).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    async def log_in(self) -> httpx.Response:
        return await self.client.post("/api/auth/login", json={"email": self.email, "password": PASSWORD})

    async def get(self, path: str, *, epoch: str | None = None, min_sequence: int = 0) -> httpx.Response:
        extra = {} if epoch is None else {"Khata-Epoch": epoch}
        return await self.client.get(path, params={"min_sequence": min_sequence}, headers=self.headers | extra)

    async def order(self, key: str) -> httpx.Response:
        return await self.client.post("/api/trades", json=ORDER, headers=self.headers | {"Idempotency-Key": key})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Supervisor, httpx.AsyncClient, PostgresEventStore]]:
    engine = Supervisor(settings, processes=WITHOUT_A_MARKET, logs_to_files=True, is_throwaway=True)
    async with (
        engine,
        httpx.AsyncClient(base_url=engine.api_url, timeout=PATIENCE_S) as client,
        PostgresEventStore(engine.database_urls.writer) as store,
    ):
        yield engine, client, store


async def mirrored(engine: Supervisor, epoch: str) -> tuple[int, bytes]:
    """Return the last sequence of the epoch's stream and the hash of the event there."""
    client = await nats.connect(engine.nats_url)
    try:
        last = (await mirrors(client)).get(epoch, 0)
        if not last:
            return 0, b""
        message = await client.jetstream().get_msg(stream_name(epoch), last)
        return last, decode_message(message.data or b"").hash
    finally:
        await client.close()


async def is_caught_up(engine: Supervisor, store: PostgresEventStore) -> bool:
    head = await store.head()
    return await mirrored(engine, head.epoch) == (head.sequence, head.hash)


async def whole_log(store: PostgresEventStore) -> list[Any]:
    events: list[Any] = []
    while page := await store.read_all(after_sequence=len(events), limit=5_000):
        events += page
    return events


def rows(engine: Supervisor, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(engine.database_urls.admin, autocommit=True) as admin:
        return admin.execute(statement.encode()).fetchall()


@pytest.mark.timeout(240)
async def test_a_restore_to_a_backup_taken_under_load_comes_out_right(  # noqa: PLR0915 - a drill is one story
    home: Home, settings: Settings, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    async with running(settings) as (engine, client, store):
        asha, ravi = Person(client, "asha"), Person(client, "ravi")
        for person in (asha, ravi):
            await person.register()
        kept = await asha.order("kept")
        assert kept.status_code == 403, "there is no market: a denial, which is an event"

        load_ = Load(store)
        writing = asyncio.create_task(load_.write_for_ever())
        try:
            await eventually(lambda: load_.events > 200, within_s=PATIENCE_S)
            record = await take_backup(settings, backup, no_progress)
        finally:
            await end(writing)
        assert rows(engine, "SELECT FROM keys.token_families") != []
        assert record.sequence_min < record.sequence_max, "the log grew meanwhile"
        assert read_record(backup).sequence_min == record.sequence_min

        # What follows is what will be lost, but for the erasure.
        async with open_erasing(settings, engine.keys, engine.database_urls) as erasing:
            await erasing.erase(ravi.user_id, BY_OPERATOR)
        carol = Person(client, "carol")
        await carol.register()
        lost = await asha.order("lost")
        begun = (await store.head()).sequence
        while load_.sequence < begun + LOST:
            await load_.write_one()
        before = await store.head()
        await eventually(lambda: is_caught_up(engine, store), within_s=PATIENCE_S)
        shown = await asha.get("/api/positions", min_sequence=before.sequence)
        old_token = shown.headers["Khata-Epoch"]
        assert (await asha.get("/api/positions", epoch=old_token, min_sequence=before.sequence)).status_code == 200
        with pytest.raises(AlreadyRunning):
            await restore_backup(settings, backup, no_progress)

    # Stopped, the log still can be looked at.
    async with reach_database(settings) as urls, PostgresHistory(urls.query) as history:
        assert await history.head() == before
    await refuse_what_is_damaged(settings, backup)
    restored = await restore_backup(settings, backup, no_progress)
    assert record.sequence_min <= restored.sequence <= before.sequence - LOST
    assert (restored.lost_from, restored.lost_to) == (restored.sequence + 1, before.sequence)
    assert restored.erasures == 1
    elsewhere = await restore_elsewhere(settings, backup)
    assert (elsewhere.sequence, elsewhere.kept_as, elsewhere.erasures) == (restored.sequence, "", 0)

    async with running(settings) as (engine, client, store), PostgresViews(engine.database_urls.projector) as views:
        head = await store.head()
        assert head.epoch == restored.epoch != before.epoch
        assert rows(engine, "SELECT FROM keys.token_families") == [], "everybody logs in again"

        # Clients.
        for person in (asha, ravi, carol):
            person.client = client
        stale = await asha.get("/api/positions", epoch=old_token, min_sequence=before.sequence)
        assert (stale.status_code, stale.json()["code"]) == (409, "EPOCH_CHANGED")
        fresh = await asha.get("/api/positions", min_sequence=head.sequence)
        assert fresh.status_code == 200
        assert fresh.headers["Khata-Epoch"] == f"1.{restored.epoch}"

        # Keys of requests: what is in the log is answered from it, what was lost is decided anew, once.
        again = await asha.order("kept")
        assert (again.json()["sequence"], again.headers.get("Idempotent-Replay")) == (kept.json()["sequence"], "true")
        anew = [await asha.order("lost") for _ in range(2)]
        assert [answer.headers.get("Idempotent-Replay") for answer in anew] == [None, "true"]
        assert anew[0].json()["trade_id"] == anew[1].json()["trade_id"] != lost.json()["trade_id"]

        # Erasures, and who registered too late.
        profile = (await ravi.get("/api/auth/profile", min_sequence=head.sequence)).json()
        assert (profile["user_id"], profile["email"], profile["name"]) == (ravi.user_id, None, None)
        assert (await ravi.log_in()).status_code == 401
        assert (await carol.log_in()).status_code == 401
        assert (await asha.get("/api/auth/profile")).json()["email"] == asha.email

        # The log, its mirror, its commands and its views.
        await eventually(lambda: is_caught_up(engine, store), within_s=PATIENCE_S)
        log = await whole_log(store)
        assert [event.sequence for event in log] == list(range(1, len(log) + 1))
        previous = [GENESIS_HASH, *(event.hash for event in log[:-1])]
        assert all(is_intact(event) for event in log)
        assert [event.previous_hash for event in log] == previous
        assert [e.stream_id for e in log if e.name == "user.erased.v1"] == [f"user-{ravi.user_id}"]
        assert rows(engine, "SELECT FROM log.commands WHERE last_sequence > (SELECT sequence FROM log.head)") == []
        assert rows(engine, "SELECT count(*) FROM log.commands") == [(2,)]
        await asha.get("/api/positions", min_sequence=len(log))
        assert await differences(READ_MODELS, log=store, views=views) == []

    # The old data come back, as an old primary would.
    put_back(Path(restored.kept_as))
    with pytest.raises(HistoryChanged, match="the last one seen here"):
        await Supervisor(settings, processes=(), is_throwaway=True).start()
    assert not home.restore_begun.exists()
    # An operator who means it says so.
    accepted = await accept_restore(settings)
    assert (accepted.sequence, accepted.erasures) == (before.sequence, 1)
    assert Epoch.parse(restored.epoch).is_before(Epoch.parse(accepted.epoch))
    async with Supervisor(settings, processes=(), is_throwaway=True) as engine:
        assert rows(engine, "SELECT log.current_epoch() FROM log.head") == [(accepted.epoch,)]


def put_back(kept: Path) -> None:
    data = kept.with_name("data")
    data.rename(kept.with_name("data.aside"))
    kept.rename(data)


async def restore_elsewhere(settings: Settings, backup: Path) -> Restored:
    """Restore on a machine that has nothing but the backup and a copy of the keys folder."""
    with throwaway_home() as home:
        home.prepare()
        copytree(Home(settings.home).keys, home.keys)
        elsewhere = override(settings, home=home.path)
        restored = await restore_backup(elsewhere, backup, no_progress)
        async with reach_database(elsewhere) as urls, PostgresHistory(urls.query) as history:
            head = await history.head()
            assert (head.sequence, head.epoch) == (restored.sequence, restored.epoch)
            assert len(await history.read_all(after_sequence=0, limit=100_000)) == head.sequence
        return restored


@contextmanager
def damaged(backup: Path) -> Iterator[None]:
    file, stray = backup / "data" / "PG_VERSION", backup / "data" / "base" / "stray"
    wal = min((backup / "data" / "pg_wal").glob("0*"))
    good, good_wal = file.read_bytes(), wal.read_bytes()
    file.write_bytes(b"81\n")
    stray.touch()
    wal.write_bytes(bytes(len(good_wal)))
    yield
    file.write_bytes(good)
    stray.unlink()
    wal.write_bytes(good_wal)


async def refuse_what_is_damaged(settings: Settings, backup: Path) -> None:
    with (
        damaged(backup),
        pytest.raises(BackupDamaged, match=r"PG_VERSION has other.*; base/stray does not.*; its write-ahead log"),
    ):
        await restore_backup(settings, backup, no_progress)
    with pytest.raises(OperatorProblem, match="holds no backup"):
        await restore_backup(settings, backup / "data", no_progress)
