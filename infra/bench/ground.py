"""Where benches measure: servers of their own, on a real disk and with every sync on, thrown away afterwards."""

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql

from infra.database import DATABASE, DatabaseUrls, grants
from infra.embedded.nats import EmbeddedNats
from infra.embedded.postgres import EmbeddedPostgres
from infra.home import TRAVERSABLE, Home, make_folder
from infra.keys import Keys, ensure_keys
from infra.migrations.runner import migrate

_SYNCS = 200
_BLOCK = 8192
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Running servers of a bench. `database` is migrated; benches work on copies of it (`fresh_database`)."""

    home: Home
    keys: Keys
    database: DatabaseUrls
    nats_url: str
    postgres: EmbeddedPostgres
    nats: EmbeddedNats

    @contextmanager
    def fresh_database(self) -> Iterator[DatabaseUrls]:
        """Make a copy of the migrated database, and drop it at the end, whoever is still connected."""
        name = f"bench_{next(_numbers)}"
        with psycopg.connect(self.database.for_database("postgres").admin, autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(DATABASE))
            )
            for statement in grants(name):
                admin.execute(statement)
            try:
                yield self.database.for_database(name)
            finally:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@asynccontextmanager
async def running_servers(parent: Path | None = None) -> AsyncIterator[Ground]:
    """Start PostgreSQL and NATS as `khata up` does, in a folder of their own; stop them and remove it at the end."""
    with throwaway_home(parent) as home:
        keys = ensure_keys(home, tell=False)
        postgres, nats = EmbeddedPostgres(home, keys), EmbeddedNats(home, keys)
        try:
            database = await postgres.start()
            nats_url = await nats.start()
            migrate(database.owner)
            yield Ground(home=home, keys=keys, database=database, nats_url=nats_url, postgres=postgres, nats=nats)
        finally:
            await nats.stop()
            await postgres.stop()


@asynccontextmanager
async def kept_postgres(folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, DatabaseUrls]]:
    """Start a PostgreSQL whose data stay in *folder*, for what takes long to make; the database is migrated.

    The folder above *folder* is made where it is missing, in one that exists.
    """
    home, keys = _kept_home(folder)
    postgres = EmbeddedPostgres(home, keys)
    try:
        database = await postgres.start()
        migrate(database.owner)
        yield postgres, database
    finally:
        await postgres.stop()


def remove_kept(folder: Path) -> bool:
    """Remove what `kept_postgres` left for *folder*; tell whether there was anything."""
    if not folder.exists():
        return False
    home, keys = _kept_home(folder)
    # As root the data may lie elsewhere, where the server's user can reach them.
    data = EmbeddedPostgres(home, keys).data
    shutil.rmtree(data, ignore_errors=True)
    shutil.rmtree(folder)
    return True


def _kept_home(folder: Path) -> tuple[Home, Keys]:
    make_folder(folder.parent, TRAVERSABLE)
    home = Home(folder)
    home.prepare()
    return home, ensure_keys(home, tell=False)


def sync_ms(folder: Path) -> tuple[float, float]:
    """Return how long writing 8 KiB and syncing it takes in *folder*: median and 99th percentile, in milliseconds."""
    path = folder / "sync-probe"
    samples = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(bytes(_BLOCK))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - began) * 1000)
    path.unlink()
    median, p99 = np.percentile(np.asarray(samples), [50, 99])
    return float(median), float(p99)


@contextmanager
def throwaway_home(parent: Path | None = None) -> Iterator[Home]:
    """Make a home folder on a disk, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="khata-bench-", dir=parent or _disk()))
    try:
        # As root PostgreSQL runs as somebody else, who has to pass through. The folder is ours: we made it.
        folder.chmod(TRAVERSABLE)
        home = Home(folder / "home")
        home.prepare()
        yield home
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk() -> Path:
    # The system's folder for large temporary files: a disk, where /tmp may be memory.
    large = Path("/var/tmp")  # noqa: S108 - a folder of our own is made in it
    return large if os.access(large, os.W_OK) else Path(tempfile.gettempdir())
