"""The embedded servers: closed to others, unharmed by crashes, and touching nothing that is not ours."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import nats
import psutil
import psycopg
import pytest

from infra.database import ADMIN, ROLES, DatabaseUrls, prepare_roles, socket_url
from infra.embedded.nats import EmbeddedNats
from infra.embedded.place import can_reach
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.process import ServerUser, processes_in
from infra.home import Home
from infra.keys import DatabasePasswords, Keys, ensure_keys
from infra.problems import OperatorProblem
from tests.support.servers import Servers, make_test_home, remove_test_home

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")


@pytest.fixture
def keys(home: Home) -> Keys:
    return ensure_keys(home)


@pytest.fixture(scope="module")
def lived_in() -> Iterator[Home]:
    """A home that tests share, each finding what the one before left: making a cluster is what takes long."""
    made = make_test_home()
    made.prepare()
    ensure_keys(made)
    yield made
    remove_test_home(made)


def _ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def _modes(*folders: Path) -> dict[Path, tuple[int, int]]:
    return {folder: (folder.stat().st_mode, folder.stat().st_uid) for folder in folders}


def _sleeper(user: int | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([shutil.which("sleep") or "sleep", "60"], user=user)


# --- As they stand ----------------------------------------------------------------------------------------------------


def test_nobody_without_a_password_gets_into_the_database(servers: Servers) -> None:
    folder = servers.database.admin.partition("host=")[2].replace("%2F", "/")

    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    for user in (ADMIN, *ROLES):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(socket_url(user=user, password="wrong", folder=folder))


def test_our_roles_are_no_superusers_and_see_only_the_rows_they_may(servers: Servers) -> None:
    powerful = _ask(
        servers.database.admin,
        """
        SELECT count(*) FROM pg_roles
        WHERE rolname LIKE 'khata%' AND rolname <> 'khata_admin'
          AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)
        """,
    )

    assert powerful == 0
    assert [_ask(getattr(servers.database, role), "SELECT current_user") for role in ("owner", "query")] == [
        "khata_owner",
        "khata_query",
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [("fsync", "on"), ("data_checksums", "on"), ("listen_addresses", ""), ("synchronous_commit", "on"), ("jit", "off")],
)
def test_the_database_runs_as_it_should(servers: Servers, option: str, value: str) -> None:
    assert _ask(servers.database.query, f"SHOW {option}") == value


def test_a_copied_database_is_closed_to_strangers_too(database: DatabaseUrls) -> None:
    assert _ask(database.owner, "SELECT has_database_privilege('public', current_database(), 'CONNECT')") is False


async def test_nats_wants_its_credential(servers: Servers) -> None:
    host, _, port = servers.nats_url.rpartition("@")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')

    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


def test_files_with_secrets_are_closed_to_others(servers: Servers) -> None:
    assert stat.S_IMODE((servers.home.nats / "nats.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE(servers.home.logs.stat().st_mode) == 0o700
    assert not list(servers.home.postgres.glob("password*"))


# --- Through crashes --------------------------------------------------------------------------------------------------


async def test_the_database_keeps_what_it_has_through_a_restart_and_a_kill(lived_in: Home) -> None:
    home, keys = lived_in, ensure_keys(lived_in)
    first = EmbeddedPostgres(home, keys)
    urls = await first.start()
    with psycopg.connect(urls.owner) as connection:
        connection.execute("CREATE SCHEMA kept CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept.kept VALUES (7)")
    await first.stop()

    second = EmbeddedPostgres(home, keys)
    assert await second.start() == urls
    assert second.process is not None
    os.kill(second.process.pid, signal.SIGKILL)
    await second.process.wait()
    assert (second.data / "postmaster.pid").exists(), "a killed server leaves its pid behind"

    third = EmbeddedPostgres(home, keys)
    await third.start()
    try:
        assert _ask(urls.owner, "SELECT number FROM kept.kept") == 7
    finally:
        await third.stop()
    assert processes_in(third.data.resolve(), named="postgres") == []


async def test_a_server_that_still_runs_is_stopped_before_another_starts_on_its_data(lived_in: Home) -> None:
    home, keys = lived_in, ensure_keys(lived_in)
    orphan = EmbeddedPostgres(home, keys)
    await orphan.start()
    assert orphan.process is not None

    heir = EmbeddedPostgres(home, keys)
    urls = await heir.start()
    try:
        assert orphan.process.exit_code() == 0, "it was shut down in order"
        assert _ask(urls.owner, "SELECT 1") == 1
    finally:
        await heir.stop()


async def test_a_pid_that_is_somebody_elses_by_now_does_not_keep_the_database_down(lived_in: Home) -> None:
    home, keys = lived_in, ensure_keys(lived_in)
    first = EmbeddedPostgres(home, keys)
    await first.start()
    await first.stop()
    stale = first.data / "postmaster.pid"
    # A process of the same user: PostgreSQL itself would refuse to start.
    user = None if os.geteuid() != 0 else first.data.stat().st_uid
    with _sleeper(user) as somebody:
        stale.write_text(f"{somebody.pid}\n{first.data}\n1\n5432\n{first.socket}\n\n  1 1\nready\n")
        try:
            second = EmbeddedPostgres(home, keys)
            await second.start()
            await second.stop()
            assert somebody.poll() is None, "it was none of ours to stop"
        finally:
            somebody.kill()


async def test_a_database_under_other_keys_is_refused(lived_in: Home) -> None:
    server = EmbeddedPostgres(lived_in, ensure_keys(lived_in))
    await server.start()
    await server.stop()
    kept = lived_in.keys.rename(lived_in.path / "kept")

    with pytest.raises(OperatorProblem, match="are not those of the database"):
        await EmbeddedPostgres(lived_in, ensure_keys(lived_in)).start()
    assert processes_in(server.data.resolve(), named="postgres") == []
    shutil.rmtree(lived_in.keys)
    kept.rename(lived_in.keys)


async def test_nats_keeps_its_streams_through_a_kill(home: Home, keys: Keys) -> None:
    first = EmbeddedNats(home, keys)
    client = await nats.connect(await first.start())
    await client.jetstream().add_stream(name="kept", subjects=["kept"])
    await client.jetstream().publish("kept", b"7")
    await client.close()
    assert first.process is not None
    os.kill(first.process.pid, signal.SIGKILL)
    await first.process.wait()

    second = EmbeddedNats(home, keys)
    client = await nats.connect(await second.start())
    try:
        assert (await client.jetstream().stream_info("kept")).state.messages == 1
    finally:
        await client.close()
        await second.stop()


async def test_a_nats_that_still_runs_is_stopped_before_another_starts_on_its_store(home: Home, keys: Keys) -> None:
    orphan = EmbeddedNats(home, keys)
    await orphan.start()
    heir = EmbeddedNats(home, keys)
    await heir.start()
    try:
        assert orphan.process is not None
        assert orphan.process.exit_code() is not None
        assert (home.run / "nats.port").read_text().strip() == heir.url.rpartition(":")[2]
    finally:
        await heir.stop()


# --- Whom they run as -------------------------------------------------------------------------------------------------


@as_root
async def test_as_root_a_closed_home_stays_closed_and_the_data_goes_where_its_user_can_reach_it(home: Home) -> None:
    parent = home.path.parent / "closed"
    parent.mkdir(mode=0o700)
    closed, shared = Home(parent / "home"), home.path.parent / "shared"
    closed.prepare()
    keys = ensure_keys(closed)
    folders = (home.path.parent, parent, closed.path, closed.postgres, closed.keys, Path("/"), Path(tempdir(parent)))
    before = _modes(*folders)

    server = EmbeddedPostgres(closed, keys, shared=shared)
    urls = await server.start()
    try:
        assert server.data.is_relative_to(shared)
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        assert server.process is not None
        assert psutil.Process(server.process.pid).username() == "nobody"
        assert _ask(urls.query, "SELECT 1") == 1
    finally:
        await server.stop()
    assert _modes(*folders) == before


def tempdir(path: Path) -> Path:
    """Return the folder below the root that *path* lies in."""
    return Path(*path.parts[:2])


@as_root
async def test_as_root_programs_that_its_user_cannot_reach_are_copied_once(
    home: Home, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = home.path.parent / "shared"
    monkeypatch.setattr("infra.embedded.place._can_run", lambda _user, _programs: False)

    server = EmbeddedPostgres(home, keys, shared=shared)
    (copy,) = (shared / "programs").iterdir()
    made_ns = copy.stat().st_mtime_ns
    await server.start()
    await server.stop()
    EmbeddedPostgres(home, keys, shared=shared)

    assert [entry.stat().st_mtime_ns for entry in (shared / "programs").iterdir()] == [made_ns]


@as_root
def test_a_user_reaches_what_every_folder_above_lets_them_into(tmp_path: Path) -> None:
    entry = pwd.getpwnam("nobody")
    nobody = ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True, mode=0o755)
    tmp_path.joinpath("outer").chmod(0o700)

    assert not can_reach(nobody, inner)


@as_root
def test_an_ordinary_user_runs_both_servers_as_themselves(home: Home) -> None:
    nobody = pwd.getpwnam("nobody")
    folder = home.path.parent / "theirs"
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)

    def as_nobody(python: str, program: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (python, "-c", program),
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=(),
            cwd="/",
            env={
                "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}",
                "HOME": str(folder),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def works(python: str) -> bool:
        try:
            return as_nobody(python, "import infra.embedded.postgres").returncode == 0
        except OSError:
            return False

    # Root's own Python may lie where only root can reach it; the system's of the same version does as well.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = next((one for one in (sys.executable, f"/usr/bin/{version}") if works(one)), None)
    if python is None:
        pytest.skip("the user nobody can reach no Python with this environment")
    ran = as_nobody(
        python,
        textwrap.dedent("""
        import asyncio
        from infra.embedded.nats import EmbeddedNats
        from infra.embedded.postgres import EmbeddedPostgres
        from infra.home import Home
        from infra.keys import ensure_keys
        from infra.settings import load
        home = Home(load().home)
        home.prepare()
        keys = ensure_keys(home)
        async def main():
            for server in (EmbeddedPostgres(home, keys), EmbeddedNats(home, keys)):
                await server.start()
                await server.stop()
        asyncio.run(main())
        print(home.path)
        """),
    )
    assert ran.stdout.strip() == str(folder / ".khata"), ran.stderr


# --- A server of the user's own ---------------------------------------------------------------------------------------


async def test_roles_of_another_installation_are_not_taken_over(servers: Servers) -> None:
    foreign = DatabasePasswords(admin="a", owner="b", writer="c", projector="d", query="e")

    with pytest.raises(OperatorProblem, match="made by another installation"):
        await prepare_roles(servers.database.admin, foreign)
    assert _ask(servers.database.owner, "SELECT 1") == 1


async def test_a_database_of_an_earlier_release_lets_the_projector_make_temporary_tables(servers: Servers) -> None:
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute("CREATE DATABASE earlier")
    earlier = servers.database.for_database("earlier")
    may = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
    try:
        await prepare_roles(earlier.admin, servers.keys.database)
        with psycopg.connect(earlier.admin, autocommit=True) as admin:
            admin.execute("REVOKE TEMPORARY ON DATABASE earlier FROM khata_projector")
        assert _ask(earlier.projector, may) is False
        await prepare_roles(earlier.admin, servers.keys.database)
        assert _ask(earlier.projector, may) is True
    finally:
        with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
            admin.execute("DROP DATABASE earlier WITH (FORCE)")


async def test_a_user_who_may_not_create_roles_is_told_the_statements(servers: Servers) -> None:
    with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
        admin.execute("CREATE DATABASE bare")
    bare = servers.database.for_database("bare")
    try:
        with pytest.raises(OperatorProblem, match="GRANT CONNECT, CREATE") as refused:
            await prepare_roles(bare.query, servers.keys.database)
    finally:
        with psycopg.connect(servers.database.for_database("postgres").admin, autocommit=True) as admin:
            admin.execute("DROP DATABASE bare WITH (FORCE)")
    assert servers.keys.database.owner not in str(refused.value)


async def test_a_server_that_cannot_be_reached_is_told_without_its_password() -> None:
    passwords = DatabasePasswords(admin="a", owner="b", writer="c", projector="d", query="e")

    with pytest.raises(OperatorProblem, match="cannot be reached") as refused:
        await prepare_roles("postgresql://me:hunter2@127.0.0.1:1/khata", passwords)
    assert "hunter2" not in str(refused.value)
