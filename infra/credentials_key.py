"""The executor's key: what credentials of the broker are sealed for.

It lies in a folder of its own, `KHATA_HOME/credentials`: the public half is for whoever takes credentials in, the
private half is read by the executor alone. It is not among the keys of which a copy is kept: what losing it loses, the
owners of live accounts enter again.
"""

import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from adapters.durable_files import sync_path
from infra.home import Home
from infra.keys import write_key_file
from infra.problems import OperatorProblem

_PRIVATE = "executor.key"
_PUBLIC = "executor.pub"


def ensure_credentials_key(home: Home) -> None:
    """Make the pair where there is none. Of two who do at once, one wins, and both use its pair."""
    if home.credentials.exists():
        return
    beside = Path(tempfile.mkdtemp(prefix=".credentials-", dir=home.path))
    try:
        key = X25519PrivateKey.generate()
        write_key_file(beside / _PRIVATE, key.private_bytes_raw())
        write_key_file(beside / _PUBLIC, key.public_key().public_bytes_raw())
        sync_path(beside)
        beside.rename(home.credentials)
    except OSError:
        if not home.credentials.is_dir():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    sync_path(home.path)


def load_sealing_key(home: Home) -> X25519PublicKey:
    """Return the half that seals.

    Raises:
        OperatorProblem: it is missing or damaged.
    """
    return X25519PublicKey.from_public_bytes(_read(home.credentials / _PUBLIC))


def load_opening_key(home: Home) -> X25519PrivateKey:
    """Return the half that opens: for the executor. Raises as `load_sealing_key` does."""
    return X25519PrivateKey.from_private_bytes(_read(home.credentials / _PRIVATE))


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise OperatorProblem(
            f"The key {file} cannot be read: {error.strerror}.",
            remedy="Put it back from where the executor runs. Without one: remove the folder, and link accounts again.",
        ) from None
    if len(content) != 32:  # noqa: PLR2004 - what a key of X25519 has
        raise OperatorProblem(f"The key {file} has {len(content)} bytes, expected 32.")
    return content
