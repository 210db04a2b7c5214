"""A new release starts on the log of an old one, and on that of a later one it does not."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.views import PostgresViews
from adapters.security.user_key_files import FileUserKeys
from domain.envelope import GENESIS_HASH, is_intact, leaf_hash
from domain.events import Event, encode, name_of
from domain.ids import UserId
from infra.database import DatabaseUrls
from infra.home import Home
from infra.problems import OperatorProblem
from infra.settings import Settings, load, override
from infra.supervisor import Supervisor
from projections.catalogue import READ_MODELS
from projections.verification import differences
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.servers import Servers
from tests.support.specimens import user_registered

PATIENCE_S = 30.0
# As the first schema has it; what later ones make of it is not what wrote these events.
_APPEND_AS_THE_FIRST_RELEASE = """
    SELECT log.append_batch(
        ARRAY[1], '{}'::text[], '{}'::text[], '{}'::bytea[], '{}'::text[], '{}'::bytea[], '{}'::text[],
        ARRAY[%(stream)s], ARRAY[1], ARRAY[%(version)s::bigint], ARRAY[NULL::bytea], ARRAY[1],
        ARRAY[%(stream)s], ARRAY[%(version)s::bigint], ARRAY[%(name)s], ARRAY['cmd_1'], ARRAY[%(metadata)s::bytea],
        ARRAY[%(payload)s::bytea], ARRAY[%(leaf)s::bytea]
    )
"""


def write(urls: DatabaseUrls, events: Sequence[tuple[str, Event]]) -> None:
    versions: defaultdict[str, int] = defaultdict(int)
    with psycopg.connect(urls.writer, autocommit=True) as writer:
        for stream, event in events:
            versions[stream] += 1
            content = {"version": versions[stream], "name": name_of(event), "payload": encode(event), "metadata": b"{}"}
            leaf = leaf_hash(stream_id=stream, command_id="cmd_1", **content)  # type: ignore[arg-type]
            writer.execute(_APPEND_AS_THE_FIRST_RELEASE, {"stream": stream, "leaf": leaf, **content})


def settings_on(urls: DatabaseUrls, servers: Servers, tmp_path: Path) -> Settings:
    home = Home(tmp_path / "home")
    home.prepare()
    home.keys.symlink_to(servers.home.keys)
    return override(load({}), home=home.path, database_url=urls.admin, nats_url=servers.nats_url, api_port=0)


@pytest.mark.usefixtures("nats_url")
async def test_a_start_brings_an_old_log_to_this_release_and_goes_on_with_it(
    first_release: DatabaseUrls, servers: Servers, tmp_path: Path
) -> None:
    life = Life(Random(7)).go_on(80)  # noqa: S311 - no secret
    stream = f"account-{life.account_id}"
    events: list[tuple[str, Event]] = [(f"user-{user_registered.user_id}", user_registered)]
    events += [(stream, event) for event in life.events]
    write(first_release, events)
    with psycopg.connect(first_release.writer, autocommit=True) as writer:
        writer.execute("INSERT INTO keys.user_keys VALUES (%s, 'personal', 'wrapped')", [user_registered.user_id])

    settings = settings_on(first_release, servers, tmp_path)
    engine = Supervisor(settings, processes=(("relay", "projector"),), logs_to_files=True)
    async with (
        engine,
        PostgresEventStore(first_release.writer) as store,
        PostgresViews(first_release.projector) as views,
    ):
        log = await store.read_all(after_sequence=0)
        assert [(event.name, event.payload) for event in log] == [(name_of(e), encode(e)) for _, e in events]
        assert all(is_intact(event) for event in log)
        assert [e.previous_hash for e in log] == [GENESIS_HASH, *(e.hash for e in log[:-1])]

        async def are_read() -> bool:
            return (await views.snapshot(READ_MODELS[0])).checkpoint == len(log)

        await eventually(are_read, within_s=PATIENCE_S)
        assert await differences(READ_MODELS, log=store, views=views) == []
    with psycopg.connect(first_release.admin) as admin:
        assert admin.execute("SELECT FROM keys.user_keys").fetchall() == []
    moved = FileUserKeys(Home(settings.home).user_keys)
    assert await moved.get(UserId(user_registered.user_id), "personal") == b"wrapped"


async def test_a_start_on_the_schema_of_a_later_release_is_refused_and_changes_nothing(
    first_release: DatabaseUrls, servers: Servers, tmp_path: Path
) -> None:
    with psycopg.connect(first_release.admin, autocommit=True) as admin:
        admin.execute("UPDATE ops.alembic_version SET version_num = '9999'")
        with pytest.raises(OperatorProblem, match="newer than this release"):
            await Supervisor(settings_on(first_release, servers, tmp_path), processes=()).start()
        assert admin.execute("SELECT version_num FROM ops.alembic_version").fetchall() == [("9999",)]
        assert admin.execute("SELECT to_regprocedure('log.release_claims(text)')").fetchall() == [(None,)]
