"""Keys and passwords, made at the first start under `KHATA_HOME/keys` and never again.

The whole set appears at once: it is made in a folder beside and renamed into place, so a crash leaves either no keys or
all of them, and of two first starts at the same time one wins and both use its keys. Therefore a file that is missing
later was lost, and is never quietly made anew: what it protected would be unreadable, and nobody would know why.
"""

import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from adapters.durable_files import sync_path
from infra.home import PRIVATE, Home
from infra.problems import OperatorProblem

FILE_MODE = 0o400
KEY_BYTES = 32
_PASSWORD_BYTES = 24

WHAT_LOSS_MEANS = """\
Keys were made in {folder}. Keep a copy of that folder somewhere safe, apart from the database:
  master.key     without it every sealed e-mail and name is unreadable, for ever
  lookup.key     without it nobody is found by e-mail: no one can log in
  signing.pem    without it log-ins end, and anchors made so far cannot be continued
  simulator.key  without it paper accounts lose their log-in to the simulator
  database.json, nats.json   without them the engine cannot reach its own servers
  installation   without it the engine does not recognise orders that it sent before
  Not among them: users' own data keys, in user-keys beside it. `khata backup --user-keys DIR` copies those, for days.
  Nor the key in credentials that broker credentials are sealed for: without it they are entered again.
"""


class DatabasePasswords(msgspec.Struct, frozen=True, kw_only=True):
    """The password of each database role of ours."""

    admin: str
    owner: str
    writer: str
    projector: str
    query: str

    def __repr__(self) -> str:
        return "DatabasePasswords(…)"


class NatsCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the embedded NATS."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"NatsCredential(user={self.user!r}, …)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Every key of an installation. `installation` is its random name, no secret."""

    folder: Path
    installation: str
    master: bytes = field(repr=False)
    lookup: bytes = field(repr=False)
    simulator: bytes = field(repr=False)
    signing_pem: bytes = field(repr=False)
    database: DatabasePasswords = field(repr=False)
    nats: NatsCredential = field(repr=False)


def ensure_keys(home: Home, *, tell: bool = True) -> Keys:
    """Return the keys of *home*, made now if this is its first start; what losing them loses is then told on stderr.

    *tell* is false for a home that nobody will keep.

    Raises:
        OperatorProblem: as `load_keys` does.
    """
    if not home.keys.exists() and _make(home) and tell:
        sys.stderr.write(WHAT_LOSS_MEANS.format(folder=home.keys))
    return load_keys(home)


def load_keys(home: Home) -> Keys:
    """Return the keys of *home*.

    Raises:
        OperatorProblem: there are none, one is missing or damaged, or others may read them.
    """
    problems = list(key_problems(home))
    if problems:
        raise problems[0]
    contents = {name: (home.keys / name).read_bytes() for name in _MAKERS}
    return Keys(
        folder=home.keys,
        installation=contents["installation"].decode(),
        master=contents["master.key"],
        lookup=contents["lookup.key"],
        simulator=contents["simulator.key"],
        signing_pem=contents["signing.pem"],
        database=msgspec.json.decode(contents["database.json"], type=DatabasePasswords),
        nats=msgspec.json.decode(contents["nats.json"], type=NatsCredential),
    )


def key_problems(home: Home) -> list[OperatorProblem]:
    """Return what is wrong with the keys of *home*: nothing, or all of it."""
    if not home.keys.is_dir():
        return [
            OperatorProblem(f"There are no keys in {home.keys}.", remedy="`khata up` makes them at its first start.")
        ]
    problems = [_mode_problem(home.keys, PRIVATE)]
    for name in _MAKERS:
        file = home.keys / name
        if not file.is_file():
            problems.append(
                OperatorProblem(f"The key {file} is missing.", remedy="Put it back from your copy of the keys folder.")
            )
        elif file.suffix == ".key" and file.stat().st_size != KEY_BYTES:
            problems.append(
                OperatorProblem(
                    f"The key {file} has {file.stat().st_size} bytes, expected {KEY_BYTES}.",
                    remedy="Put it back from your copy of the keys folder.",
                )
            )
        else:
            problems.append(_mode_problem(file, FILE_MODE))
    return [problem for problem in problems if problem is not None]


def _mode_problem(path: Path, wanted: int) -> OperatorProblem | None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return None
    return OperatorProblem(f"Others may read {path} (mode {mode:04o}).", remedy=f"chmod {wanted:04o} {path}")


def _random_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _signing_key() -> bytes:
    # Imported here: the one slow import of this module is needed once in an installation's life.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _password() -> str:
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _database_passwords() -> bytes:
    return msgspec.json.encode(
        DatabasePasswords(
            admin=_password(), owner=_password(), writer=_password(), projector=_password(), query=_password()
        )
    )


def _nats_credential() -> bytes:
    return msgspec.json.encode(NatsCredential(user="khata", password=_password()))


_MAKERS: dict[str, Callable[[], bytes]] = {
    "master.key": _random_key,
    "lookup.key": _random_key,
    "simulator.key": _random_key,
    "signing.pem": _signing_key,
    "database.json": _database_passwords,
    "nats.json": _nats_credential,
    "installation": lambda: secrets.token_hex(8).encode(),
}


def _make(home: Home) -> bool:
    """Make the set; False where somebody else's came first."""
    beside = Path(tempfile.mkdtemp(prefix=".keys-", dir=home.path))
    try:
        for name, make in _MAKERS.items():
            write_key_file(beside / name, make())
        sync_path(beside)
        beside.rename(home.keys)
    except OSError:
        if home.keys.is_dir():
            return False
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    sync_path(home.path)
    return True


def write_key_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, durable when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
