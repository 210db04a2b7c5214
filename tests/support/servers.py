"""The real PostgreSQL and NATS, started once per test process by the product's own code."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import nats
import psutil
import psycopg
from psycopg import sql

from infra.database import DATABASE, DatabaseUrls, grants
from infra.embedded.nats import EmbeddedNats
from infra.embedded.postgres import EmbeddedPostgres
from infra.home import TRAVERSABLE, Home
from infra.keys import Keys, ensure_keys
from infra.migrations.runner import migrate

_PREFIX = "khata-test-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_MEMORY_BYTES_MIN = 2_000_000_000
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers. `database` is migrated and stays untouched: tests work on copies of it."""

    home: Home
    keys: Keys
    database: DatabaseUrls
    nats_url: str


def make_test_home() -> Home:
    """Return a fresh home folder, in memory where there is room: syncing costs nothing there."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES_MIN
    parent = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY if roomy else None))
    # As root the server runs as somebody else, who has to pass through. The folder is ours: we made it.
    parent.chmod(TRAVERSABLE)
    return Home(parent / "home")


def remove_test_home(home: Home) -> None:
    shutil.rmtree(home.path.parent)


def _remove_what_killed_runs_left() -> None:
    for parent in {_MEMORY, Path(tempfile.gettempdir())}:
        for folder in parent.glob(f"{_PREFIX}*"):
            pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if not psutil.pid_exists(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Start both servers and migrate; stop and remove everything at the end."""
    _remove_what_killed_runs_left()
    home = make_test_home()
    home.prepare()
    keys = ensure_keys(home)
    postgres = EmbeddedPostgres(home, keys)
    nats_server = EmbeddedNats(home, keys)

    async def start() -> tuple[DatabaseUrls, str]:
        return await postgres.start(), await nats_server.start()

    async def stop() -> None:
        await nats_server.stop()
        await postgres.stop()

    try:
        database, nats_url = asyncio.run(start())
        migrate(database.owner)
        yield Servers(home, keys, database, nats_url)
    finally:
        asyncio.run(stop())
        remove_test_home(home)


@contextmanager
def fresh_database(servers: Servers) -> Iterator[DatabaseUrls]:
    """Make a copy of the migrated database, and drop it at the end, whoever is still connected."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(DATABASE)))
        for statement in grants(name):  # A copy has the tables' rights, not the database's own.
            admin.execute(statement)
        try:
            yield servers.database.for_database(name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def delete_streams(nats_url: str) -> None:
    """Delete every JetStream stream, so that the next test finds none."""
    client = await nats.connect(nats_url)
    try:
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            await jetstream.delete_stream(str(stream.config.name))
    finally:
        await client.close()
