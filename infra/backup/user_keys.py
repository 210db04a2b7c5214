"""Backups of the users' data keys: apart from those of the log, and short-lived: an erased key soon is in none."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from adapters.durable_files import write_durably
from adapters.security.erasures import Erasure, ErasureList
from adapters.security.user_key_files import destroy_file
from domain.ids import UserId
from infra.backup.record import RECORD
from infra.home import PRIVATE, Home, make_folder
from infra.keys import load_keys
from infra.problems import OperatorProblem
from infra.settings import Settings
from infra.user_keys import open_user_keys

KEEP_DAYS = 7
_S_PER_DAY = 24 * 3600
_PREFIX = "user-keys-"


class _Key(msgspec.Struct, frozen=True):
    user_id: UserId
    purpose: str
    wrapped: bytes


class _Keys(msgspec.Struct, frozen=True, kw_only=True):
    installation: str
    taken_at_ns: int
    keys: list[_Key]
    erasures: list[Erasure] = []
    """Kept with the keys, because a disk that is lost takes the list with it."""


async def backup_user_keys(settings: Settings, folder: Path) -> tuple[Path, int]:
    """Write every user's wrapped key into a file in *folder*, and destroy files there that are older than seven days.

    Return the file and the number of keys.

    Raises:
        OperatorProblem: the folder cannot be used, or a backup of the log lies in it.
        commands.ports.StoreUnavailable
    """
    home = Home(settings.home)
    installation = load_keys(home).installation
    folder = _place_apart(home, folder)
    now_ns = time.time_ns()
    async with open_user_keys(settings) as store:
        keys = []
        for user_id, purpose in await store.names():
            wrapped = await store.get(user_id, purpose)
            if wrapped is not None:  # Else it was erased meanwhile.
                keys.append(_Key(user_id, purpose, wrapped))
    file = folder / f"{_PREFIX}{datetime.fromtimestamp(now_ns // 10**9, UTC):%Y%m%dT%H%M%S}.json"
    content = _Keys(
        installation=installation, taken_at_ns=now_ns, keys=keys, erasures=ErasureList(home.erasures).read()
    )
    try:
        _write(file, msgspec.json.encode(content))
    except OSError as error:
        raise OperatorProblem(f"{folder} cannot be written: {error.strerror}.") from error
    return file, len(keys)


def _place_apart(home: Home, folder: Path) -> Path:
    folder = folder.absolute()
    if any((each / RECORD).exists() for each in (folder, *folder.parents)) or folder.is_relative_to(
        home.path.absolute()
    ):
        raise OperatorProblem(
            f"{folder} is no place for the users' keys.",
            remedy="Name a folder apart from the home and from every backup of the log.",
        )
    return folder


def _write(file: Path, content: bytes) -> None:
    folder = file.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_folder(folder, PRIVATE)
    write_durably(file, content)
    for old in folder.glob(f"{_PREFIX}*.json"):
        if old.stat().st_mtime < time.time() - KEEP_DAYS * _S_PER_DAY:
            destroy_file(old)


def _read(file: Path) -> _Keys:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Keys)
    except (OSError, msgspec.MsgspecError):
        raise OperatorProblem(f"{file} holds no users' keys.", remedy=f"Name a file {_PREFIX}….json.") from None


async def restore_user_keys(settings: Settings, file: Path) -> int:
    """Put back the keys of *file* that are missing in the store, never those of erased users; return how many.

    Its list of erasures is added to ours, for a restore of the log to apply: so on a new machine the keys come first.

    Raises:
        OperatorProblem: the file is none of this installation's backups.
        commands.ports.StoreUnavailable
    """
    home = Home(settings.home)
    content = _read(file)
    if content.installation != load_keys(home).installation:
        raise OperatorProblem(f"{file} is of another installation: its master key opens those keys, ours does not.")
    listed = ErasureList(home.erasures)
    for erasure in content.erasures:
        listed.record(erasure.user_id, erased_at_ns=erasure.erased_at_ns)
    erased = listed.users()
    restored = 0
    async with open_user_keys(settings) as store:
        for key in content.keys:
            if key.user_id not in erased and await store.get(key.user_id, key.purpose) is None:
                await store.put(key.user_id, key.purpose, key.wrapped)
                restored += 1
    return restored
