"""The home folder: what lies where under `KHATA_HOME`."""

from dataclasses import dataclass
from pathlib import Path

from infra.problems import OperatorProblem

PRIVATE = 0o700
TRAVERSABLE = 0o711
"""Others may pass through to what they own below, and see nothing on the way."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one installation."""

    path: Path

    @property
    def keys(self) -> Path:
        """Keys and passwords."""
        return self.path / "keys"

    @property
    def credentials(self) -> Path:
        """The key that credentials of the broker are sealed for."""
        return self.path / "credentials"

    @property
    def run(self) -> Path:
        """What is true while the engine runs: its lock, its addresses."""
        return self.path / "run"

    @property
    def runtime_file(self) -> Path:
        """Where the running engine's addresses and process ids are written, passwords among them."""
        return self.run / "runtime.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one supervisor of this home."""
        return self.run / "lock"

    @property
    def log_in(self) -> Path:
        """The log-in of the command line."""
        return self.path / "log-in"

    @property
    def log_in_file(self) -> Path:
        """Its tokens."""
        return self.log_in / "tokens.json"

    @property
    def log_in_lock(self) -> Path:
        """Held by the one command that asks with them."""
        return self.log_in / "lock"

    @property
    def logs(self) -> Path:
        """Logs of the servers, and of the roles where they do not write to the terminal."""
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL."""
        return self.path / "postgres"

    @property
    def nats(self) -> Path:
        """The embedded NATS."""
        return self.path / "nats"

    @property
    def simulator(self) -> Path:
        """What the broker simulator keeps."""
        return self.path / "simulator"

    @property
    def simulator_books(self) -> Path:
        """The journal of the simulator's books: orders, executions and holdings of every paper account."""
        return self.simulator / "books.jsonl"

    @property
    def order_books(self) -> Path:
        """The broker's last order book of each account and day."""
        return self.path / "order-books"

    @property
    def witness(self) -> Path:
        """What is known of the log outside the database, so that a database that was put back can be told from it."""
        return self.path / "witness"

    @property
    def epoch_file(self) -> Path:
        """The highest epoch seen."""
        return self.witness / "epoch"

    @property
    def erasures(self) -> Path:
        """The list of the users who were erased."""
        return self.witness / "erasures.jsonl"

    @property
    def last_backup(self) -> Path:
        """What was backed up last, when, and where to."""
        return self.witness / "last_backup.json"

    @property
    def restore_begun(self) -> Path:
        """There from the moment in which a restore replaces data until all that belongs to it is done."""
        return self.witness / "restore_begun.json"

    @property
    def user_keys(self) -> Path:
        """Users' data keys: beside `keys`, of which copies are kept for ever, because an erased key must be in none."""
        return self.path / "user-keys"

    @property
    def anchors_file(self) -> Path:
        """The anchors of the log, unless a setting puts them elsewhere."""
        return self.path / "anchors" / "anchors.jsonl"

    @property
    def archive(self) -> Path:
        """The archived part of the log, unless a setting puts it elsewhere."""
        return self.path / "archive"

    @property
    def daily_bars(self) -> Path:
        """Stored daily bars, one file per instrument."""
        return self.path / "bars" / "daily"

    @property
    def instruments(self) -> Path:
        """Versions of the imported instrument master."""
        return self.path / "instruments"

    @property
    def calendar_file(self) -> Path:
        """The lists of sessions and holidays that were brought in, with when and from where."""
        return self.path / "calendar" / "imported.json"

    def prepare(self) -> None:
        """Make what is missing. The mode of a folder that exists is never changed.

        Raises:
            OperatorProblem: a folder cannot be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            make_folder(self.path, TRAVERSABLE)
            for folder in (self.run, self.logs, self.nats, self.simulator, self.witness, self.user_keys, self.log_in):
                make_folder(folder, PRIVATE)
            make_folder(self.postgres, TRAVERSABLE)
        except OSError as error:
            raise OperatorProblem(
                f"The home folder {self.path} cannot be made: {error.strerror}.",
                remedy="Set KHATA_HOME to a folder that you may write to.",
            ) from error


def make_folder(path: Path, mode: int) -> None:
    """Make *path* with exactly *mode*, whatever the umask; do nothing where it exists."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(mode)
