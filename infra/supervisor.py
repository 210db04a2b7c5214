"""The supervisor: starts the servers and the processes of the engine, keeps them running, and stops them in order.

Starting: lock of the home, keys, PostgreSQL and NATS side by side, a look whether the log still is the one that was
there, migrations, then every process at once, except that who speaks to the broker waits until our own one stands; the
engine is up when each has said that it is ready. A process that ends is started again: at once the first time, then
after a pause that doubles with every failure, until it has run steadily.

Processes are forked from the stem (`infra.stem`), which has loaded what they are made of: that takes longer than all
that a process does besides until it works. While there is none, they are started anew, and nothing else is different.

Stopping (SIGTERM, SIGINT, or the end of the `async with`): the processes one after another in the order of `PROCESSES`,
so that whoever takes work in stops before those who finish it; then NATS, then PostgreSQL. Each has a deadline. If the
supervisor is killed instead, the kernel passes a signal to its children, and what that misses the next start ends.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from types import TracebackType
from typing import IO, Any, Self

import msgspec
import structlog

from infra.addresses import choose_addresses, refuse_unreachable
from infra.continuity import check_continuity, refuse_unfinished_restore, witnesses
from infra.database import DatabaseUrls, prepare_roles
from infra.embedded.nats import EmbeddedNats
from infra.embedded.postgres import EmbeddedPostgres
from infra.embedded.process import ChildProcess, LogFile, ServerUser
from infra.home import Home
from infra.keys import Keys, ensure_keys
from infra.lock import HomeLock
from infra.problems import OperatorProblem
from infra.runtime import RuntimeFile
from infra.settings import PREFIX, READY_FD_VARIABLE, RUNTIME_FILE_VARIABLE, Settings
from infra.stem import kernel
from infra.stem.stem import OURS, Stem, StemGone
from infra.user_keys import move_user_keys

PROCESSES: tuple[tuple[str, ...], ...] = (
    ("api",),
    ("executor", "market"),
    ("relay", "projector"),
    ("simulator",),
)
"""Which roles share a process, in the order in which the processes stop."""
APART = (("command-api",), ("query-api",))
"""The same of the API whose halves run apart."""

READY_WITHIN_S = 60.0
PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 30.0
STEADY_S = 10.0
"""A process that ran this long has recovered: what happens to it then happens for the first time."""
FAILED_STARTS_MAX = 3
_BROKER = "simulator"
_SPEAK_TO_THE_BROKER = frozenset({"executor", "market"})
EXIT_REFUSED = 2
"""How a process ends that was set up wrongly: starting it again would change nothing."""
EXIT_INTERRUPTED = 130
_POLL_S = 0.02

_log = structlog.get_logger("khata.supervisor")

Command = Callable[[Sequence[str]], Sequence[str]]


def role_command(roles: Sequence[str]) -> Sequence[str]:
    """Return the command that runs *roles* in a process."""
    return (sys.executable, "-m", "infra.cli", "run", *roles)


def processes_of(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """Return which processes the settings ask for, each by its roles, in the order in which they stop."""
    return (*APART, *PROCESSES[1:]) if settings.api_apart else PROCESSES


@dataclass(slots=True)
class _Group:
    """A process, its roles, and how it has been."""

    roles: tuple[str, ...]
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    child: ChildProcess | None = None
    failed_starts: int = 0
    log: LogFile | None = None

    @property
    def name(self) -> str:
        return "-".join(self.roles)


class _Pauses:
    """How long to wait before something that ended is started again."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, ran_s: float) -> float:
        """Return the pause, in seconds, after it ran for *ran_s*."""
        pause_s = 0.0 if ran_s >= STEADY_S else self._next_s
        self._next_s = min(max(pause_s * 2, PAUSE_FIRST_S), PAUSE_MAX_S)
        return pause_s


class Supervisor:
    """The engine of one home, from start to stop: `async with Supervisor(settings) as engine: …`."""

    def __init__(
        self,
        settings: Settings,
        *,
        processes: Sequence[tuple[str, ...]] | None = None,
        command: Command = role_command,
        stem: Sequence[str] | None = None,
        migrate: Callable[[str], None] | None = None,
        logs_to_files: bool = False,
        is_throwaway: bool = False,
    ) -> None:
        """Describe the engine.

        `processes` are those that the settings ask for, unless others are given. `command` makes the command of a
        process from its roles, `stem` is the command of what they are forked from (None: ours, or none where `command`
        is not ours), `migrate` brings the database of a URL up to date (None: our migrations). With `logs_to_files` the
        processes write to `KHATA_HOME/logs`, else to our stderr.
        `is_throwaway`: nobody will keep the home, so nobody is told to keep its keys.
        """
        self.settings = settings
        self._home = Home(settings.home)
        self._groups = [_Group(roles) for roles in (processes_of(settings) if processes is None else processes)]
        self._command = command
        self._migrate = migrate or _migrate
        self._logs_to_files = logs_to_files
        self._is_throwaway = is_throwaway
        self._lock = HomeLock(self._home)
        self._keepers: list[asyncio.Task[None]] = []
        self._postgres: EmbeddedPostgres | None = None
        self._nats: EmbeddedNats | None = None
        self._stopping = False
        self._keys: Keys | None = None
        self._started: RuntimeFile | None = None
        self._stem_command = stem or (OURS if command is role_command else None)
        if not kernel.IS_SUPPORTED:
            self._stem_command = None
        self._stem: Stem | None = None
        self._stem_settled = asyncio.Event()
        """Set once the first stem can be asked, or it is clear that it never can."""

    # --- What it offers while it runs ---------------------------------------------------------------------------------

    @property
    def runtime_file(self) -> RuntimeFile:
        """Settings and addresses of the running engine."""
        assert self._started is not None, "the engine has not been started"
        return self._started

    @property
    def keys(self) -> Keys:
        """The keys of the home."""
        assert self._keys is not None, "the engine has not been started"
        return self._keys

    @property
    def api_url(self) -> str:
        """Base URL of the API."""
        return self.runtime_file.api_url

    @property
    def query_api_url(self) -> str:
        """Base URL of the API's queries: another one where the halves run apart."""
        return self.runtime_file.query_api_url or self.api_url

    @property
    def simulator_url(self) -> str:
        """Base URL of the broker simulator."""
        return self.runtime_file.simulator_url

    @property
    def database_urls(self) -> DatabaseUrls:
        """How each role reaches the database."""
        return self.runtime_file.database

    @property
    def nats_url(self) -> str:
        """Where NATS is, user and password in it."""
        return self.runtime_file.nats_url

    def runs(self, role: str) -> bool:
        """Tell whether a process of this engine has *role*."""
        return any(role in group.roles for group in self._groups)

    def process_of(self, role: str) -> ChildProcess:
        """Return the process that runs *role* at this moment; a restart makes another one."""
        child = next(group.child for group in self._groups if role in group.roles)
        assert child is not None, f"{role} has not been started"
        return child

    def server(self, name: str) -> ChildProcess:
        """Return the process of the embedded server `postgres` or `nats` at this moment, as `process_of` does."""
        return next(process for process in self._servers() if process.name == name)

    @property
    def server_user(self) -> ServerUser | None:
        """Who the embedded PostgreSQL runs as; None: as we do."""
        assert self._postgres is not None, "it runs elsewhere, or has not been started"
        return self._postgres.place.user

    def _servers(self) -> list[ChildProcess]:
        started = (server.process for server in (self._postgres, self._nats) if server is not None)
        return [process for process in started if process is not None]

    # --- Start --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything; return when every process is ready. What was started is stopped if that fails.

        Raises:
            OperatorProblem: something is set up wrongly, or a process does not start.
        """
        try:
            self._home.prepare()
            self._lock.take()
            refuse_unfinished_restore(self._home)
            self._keys = ensure_keys(self._home, tell=not self._is_throwaway)
            addresses = choose_addresses(self.settings)
            if self._stem_command is not None:
                self._keepers.append(asyncio.create_task(self._keep_stem(self._stem_command)))
            # Alembic takes as long to load as PostgreSQL to start: side by side.
            loading = asyncio.create_task(asyncio.to_thread(import_module, "infra.migrations.runner"))
            database, nats_url = await _both(self._start_database(self._keys), self._start_nats(self._keys))
            await loading
            # A database that is not the one that was there is refused before anything of it is changed.
            asked = witnesses(self.settings, self._keys, nats_url)
            is_there = await check_continuity(self._home, database.writer, asked)
            await asyncio.to_thread(self._migrate, database.owner)
            if not is_there:
                await check_continuity(self._home, database.writer, asked)
            await move_user_keys(self.settings, database)
            self._started = RuntimeFile(
                settings=self.settings,
                database=database,
                nats_url=nats_url,
                api_url=addresses.api,
                simulator_url=addresses.simulator,
                processes={},
                query_api_url=addresses.query_api,
            )
            self._record()
            self._keepers += [asyncio.create_task(self._keep(group)) for group in self._groups]
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise

    async def _start_database(self, keys: Keys) -> DatabaseUrls:
        if self.settings.database_url is not None:
            return await prepare_roles(self.settings.database_url, keys.database)
        self._postgres = EmbeddedPostgres(self._home, keys, server_user=self.settings.server_user)
        urls = await self._postgres.start()
        self._keepers.append(asyncio.create_task(self._keep_server(self._postgres)))
        return urls

    async def _start_nats(self, keys: Keys) -> str:
        if self.settings.nats_url is not None:
            await refuse_unreachable(self.settings.nats_url)
            return self.settings.nats_url
        self._nats = EmbeddedNats(self._home, keys)
        url = await self._nats.start()
        self._keepers.append(asyncio.create_task(self._keep_server(self._nats)))
        return url

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while waiting := [group for group in self._groups if not group.ready.is_set()]:
            for group in waiting:
                if group.failed_starts >= FAILED_STARTS_MAX:
                    raise self._not_started(group, f"ended {group.failed_starts} times before it was ready")
            if time.monotonic() > deadline:
                raise self._not_started(waiting[0], f"was not ready within {READY_WITHIN_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    def _not_started(self, group: _Group, what: str) -> OperatorProblem:
        tail = f"\n{group.log.tail()}" if group.log else ""
        where = f"The whole log: {group.log.path}" if group.log else "Its log is above."
        return OperatorProblem(f"The process {group.name} {what}.{tail}", remedy=where)

    # --- Keep ---------------------------------------------------------------------------------------------------------

    async def _keep(self, group: _Group) -> None:
        if not _SPEAK_TO_THE_BROKER.isdisjoint(group.roles):
            # Else it would find nobody there, hold entries back, and say so many times before the engine is up.
            await asyncio.gather(*(other.ready.wait() for other in self._groups if _is_broker_beside(other, group)))
        if self._stem_command is not None:
            await self._stem_settled.wait()
        pauses = _Pauses()
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_once(group)
            if self._stopping:
                return
            if not group.ready.is_set():
                group.failed_starts = FAILED_STARTS_MAX if code == EXIT_REFUSED else group.failed_starts + 1
            pause_s = pauses.after(time.monotonic() - started)
            _log.warning("process_ended", process=group.name, exit_code=code, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self, group: _Group) -> int:
        """Run a group's process until it ends; tell when it is ready. Return its exit code."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            try:
                child = group.child = self._spawn(group, writing)
            finally:
                os.close(writing)
            self._record()
            while (code := child.exit_code()) is None:
                if not group.ready.is_set() and _says_ready(reading):
                    group.ready.set()
                    _log.info("process_ready", process=group.name, pid=child.pid)
                await asyncio.sleep(_POLL_S)
            return code
        finally:
            os.close(reading)

    def _spawn(self, group: _Group, ready_fd: int) -> ChildProcess:
        if not self._logs_to_files:
            return self._start(group, ready_fd, None)
        group.log = LogFile(self._home.logs / f"{group.name}.log")
        with group.log as log:
            return self._start(group, ready_fd, log)

    def _start(self, group: _Group, ready_fd: int, log: IO[bytes] | None) -> ChildProcess:
        if self._stem is not None and self._stem.is_loaded:
            try:
                return self._stem.fork(group.roles, name=group.name, ready_fd=ready_fd, log=log)
            except StemGone as gone:
                _log.warning("stem_gone", reason=str(gone))
        return ChildProcess(
            self._command(group.roles),
            name=group.name,
            environment={**self._environment(), READY_FD_VARIABLE: str(ready_fd)},
            log=log,
            inherit=(ready_fd,),
        )

    def _environment(self) -> dict[str, str]:
        # Settings reach the process by the file alone: what an override replaced must not come back by a variable.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment[RUNTIME_FILE_VARIABLE] = str(self._home.runtime_file)
        return environment

    async def _keep_stem(self, command: Sequence[str]) -> None:
        """Keep a stem that can be asked; give up where it cannot be loaded."""
        pauses, failed_starts = _Pauses(), 0
        try:
            while True:
                started = time.monotonic()
                code, was_loaded = await self._run_stem_once(command)
                failed_starts = 0 if was_loaded else failed_starts + 1
                if failed_starts == FAILED_STARTS_MAX:
                    _log.error("stem_given_up", exit_code=code)
                    return
                pause_s = pauses.after(time.monotonic() - started)
                _log.warning("stem_ended", exit_code=code, restart_in_s=pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self._stem_settled.set()

    async def _run_stem_once(self, command: Sequence[str]) -> tuple[int, bool]:
        """Run a stem until it ends; return its exit code, and whether it could be asked meanwhile."""
        stem, was_loaded = self._start_stem(command), False
        self._stem = stem
        self._record()
        try:
            while (code := stem.process.exit_code()) is None:
                if not was_loaded and stem.is_loaded:
                    was_loaded = True
                    self._stem_settled.set()
                await asyncio.sleep(_POLL_S)
            return code, was_loaded
        finally:
            self._stem = None
            stem.end()
            await stem.process.stop()

    def _start_stem(self, command: Sequence[str]) -> Stem:
        if not self._logs_to_files:
            return Stem(command, self._environment(), log=None)
        with LogFile(self._home.logs / "stem.log") as log:
            return Stem(command, self._environment(), log=log)

    async def _keep_server(self, server: EmbeddedPostgres | EmbeddedNats) -> None:
        """Start a server again that ended although nobody asked it to."""
        pauses = _Pauses()
        while True:
            process = server.process
            assert process is not None, "a server is kept once it has been started"
            started = time.monotonic()
            code = await process.wait()
            if self._stopping:
                return
            pause_s = pauses.after(time.monotonic() - started)
            _log.error("server_ended", server=process.name, exit_code=code, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)
            try:
                await server.start()
            except OperatorProblem as problem:
                _log.error("server_not_started", server=process.name, problem=problem.message)
            else:
                self._record()

    def _record(self) -> None:
        """Write down what runs, for those who look from outside."""
        if self._started is None or self._stopping:
            return
        children = [group.child for group in self._groups if group.child is not None]
        if self._stem is not None:
            children.append(self._stem.process)
        processes = {child.name: child.pid for child in (*children, *self._servers())}
        told = msgspec.structs.replace(self._started, processes={"supervisor": os.getpid(), **processes})
        told.write(self._home.runtime_file)

    # --- Stop ---------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop everything in order; safe to repeat."""
        self._stopping = True
        deadline_s = self.settings.drain_deadline_ms / 1000
        for group in self._groups:
            if group.child is not None and group.child.exit_code() is None:
                code = await group.child.stop((signal.SIGTERM, deadline_s))
                _log.info("process_stopped", process=group.name, exit_code=code)
        for keeper in self._keepers:
            keeper.cancel()
        for keeper in self._keepers:
            with suppress(asyncio.CancelledError):
                await keeper
        self._keepers.clear()
        if self._nats is not None:
            await self._nats.stop()
        if self._postgres is not None:
            await self._postgres.stop()
        self._lock.release()


async def run_until_signal(supervisor: Supervisor, *, on_ready: Callable[[], None]) -> None:
    """Run the engine until SIGTERM or SIGINT, then drain; a second signal ends the process at once."""
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            os._exit(EXIT_INTERRUPTED)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    starting = asyncio.create_task(supervisor.start())
    waiting = asyncio.create_task(asked.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return
    try:
        await starting  # Raises what went wrong.
        on_ready()
        await waiting
        _log.info("draining")
    finally:
        waiting.cancel()
        await supervisor.stop()


def _is_broker_beside(other: _Group, group: _Group) -> bool:
    return other is not group and _BROKER in other.roles


def _says_ready(descriptor: int) -> bool:
    try:
        return bool(os.read(descriptor, 64))
    except BlockingIOError:
        return False


def _migrate(owner_url: str) -> None:
    from infra.migrations.runner import SchemaNewer, migrate  # noqa: PLC0415 - Alembic is slow, and `_migrate` optional

    try:
        migrate(owner_url)
    except SchemaNewer as problem:
        raise OperatorProblem(f"The schema is newer than this release: {problem}.") from problem


async def _both(first: Coroutine[Any, Any, DatabaseUrls], second: Coroutine[Any, Any, str]) -> tuple[DatabaseUrls, str]:
    """Run both; if one fails, the other is waited for, so that what it started is known and can be stopped."""
    database, nats = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(database, BaseException):
        raise database
    if isinstance(nats, BaseException):
        raise nats
    return database, nats
