"""What a process of the engine is given: settings, keys, and where everything else is.

The supervisor writes it to a file that only this user can read and names the file in the environment, so that no
password stands in an argument or in a variable that others may list.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from infra.continuity import check_continuity, witnesses
from infra.database import DatabaseUrls, prepare_roles
from infra.home import Home
from infra.keys import Keys, ensure_keys, load_keys
from infra.problems import OperatorProblem
from infra.settings import READY_FD_VARIABLE, RUNTIME_FILE_VARIABLE, Settings, load


def _do_nothing() -> None:
    """Be ready where nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything that the roles of one process are made from.

    `nats_url` holds user and password. `query_api_url` is where the API's queries are answered if they run apart,
    `api_url` where the rest or all of it is. `simulator_url` is the base URL of the simulator of ours, `broker_url`
    that of the broker that paper accounts trade with (the same, unless set otherwise). `ready` is to be called once,
    when every role of the process does its work.
    """

    settings: Settings
    keys: Keys
    database: DatabaseUrls
    nats_url: str
    api_url: str
    simulator_url: str
    broker_url: str
    query_api_url: str = ""
    ready: Callable[[], None] = _do_nothing


class RuntimeFile(msgspec.Struct, frozen=True, kw_only=True):
    """The running engine, as `run/runtime.json` has it. `processes` maps names to process ids.

    `query_api_url` is empty where one process answers commands and queries.
    """

    settings: Settings
    database: DatabaseUrls
    nats_url: str
    api_url: str
    simulator_url: str
    processes: dict[str, int]
    query_api_url: str = ""

    def __repr__(self) -> str:
        return f"RuntimeFile(processes={self.processes})"

    def write(self, path: Path) -> None:
        """Put it at *path* at once: a reader sees the old file or the new one."""
        descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=".runtime-")  # mkstemp makes it 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self, enc_hook=_path_to_text))
        Path(beside).replace(path)

    def runtime(self, keys: Keys) -> Runtime:
        """Return what a process is given."""
        return Runtime(
            settings=self.settings,
            keys=keys,
            database=self.database,
            nats_url=self.nats_url,
            api_url=self.api_url,
            simulator_url=self.simulator_url,
            broker_url=self.settings.dhan_url or self.simulator_url,
            query_api_url=self.query_api_url,
        )


def read_runtime_file(path: Path) -> RuntimeFile | None:
    """Return the running engine, None where none runs.

    Raises:
        OperatorProblem: the file is not one of this release.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=RuntimeFile, dec_hook=_path_from_text)
    except msgspec.MsgspecError:
        raise OperatorProblem(
            f"{path} cannot be read by this release.", remedy="Stop the engine that wrote it, and start it again."
        ) from None


def running_engine(home: Home) -> RuntimeFile | None:
    """Return the engine that runs on *home*, None where none does: the file alone could be what a killed one left."""
    try:
        lock = home.lock_file.open()
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return read_runtime_file(home.runtime_file)
    return None


async def resolve_runtime() -> Runtime:
    """Return what this process is given: by its supervisor, or else by settings that name servers of the user's own.

    Raises:
        OperatorProblem: there is no supervisor, and the settings name no servers.
    """
    named = os.environ.get(RUNTIME_FILE_VARIABLE)
    if named:
        given = read_runtime_file(Path(named))
        if given is None:
            raise OperatorProblem(f"{named} does not exist.", remedy="It is the supervisor's: has it ended?")
        return replace(given.runtime(load_keys(Home(given.settings.home))), ready=_ready_for_supervisor)
    return await _standalone(load())


async def _standalone(settings: Settings) -> Runtime:
    if settings.database_url is None or settings.nats_url is None:
        raise OperatorProblem(
            "Roles that run alone need servers of your own.",
            remedy="Set KHATA_DATABASE_URL and KHATA_NATS_URL, or start everything by `khata up`.",
        )
    home = Home(settings.home)
    home.prepare()
    keys = ensure_keys(home)
    simulator_url = f"http://{settings.simulator_host}:{settings.simulator_port}"
    if settings.dhan_url is None and settings.simulator_port == 0:
        raise OperatorProblem(
            "Roles that run alone need to know where the broker is.",
            remedy="Set KHATA_SIMULATOR_PORT (the same for every role), or KHATA_DHAN_URL.",
        )
    database = await prepare_roles(settings.database_url, keys.database)
    await check_continuity(home, database.writer, witnesses(settings, keys, settings.nats_url))
    return Runtime(
        settings=settings,
        keys=keys,
        database=database,
        nats_url=settings.nats_url,
        api_url=f"http://{settings.api_host}:{settings.api_port}",
        simulator_url=simulator_url,
        broker_url=settings.dhan_url or simulator_url,
        query_api_url=f"http://{settings.api_host}:{settings.query_api_port}",
    )


def _ready_for_supervisor() -> None:
    descriptor = os.environ.pop(READY_FD_VARIABLE, None)
    if descriptor is not None:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))


def _path_to_text(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"received {type(value)}, expected a path")


def _path_from_text(wanted: type, value: Any) -> Any:
    return Path(value) if wanted is Path else value
