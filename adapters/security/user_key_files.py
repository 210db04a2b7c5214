"""Users' wrapped data keys as files, apart from the database: no backup of the log holds a key.

One file a key, which appears whole or not at all. A key that is destroyed is first taken out of sight, then
overwritten, then removed; what a crash left in between is finished by the next who opens the store or destroys a key.
Several processes of one machine may use it at once.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from adapters.durable_files import sync_path, write_durably
from commands.ports import StoreUnavailable
from domain.ids import UserId

P = ParamSpec("P")
Answer = TypeVar("Answer")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SUFFIX = ".key"
_DOOMED = ".doomed-"


class FileUserKeys:
    """Implements `adapters.security.personal_data.UserKeys` in *folder*. Everything raises StoreUnavailable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, user_id: UserId, purpose: str, wrapped: bytes) -> None:
        """Keep a user's key in place of an older one."""
        await self._run(self._put, self._file(user_id, purpose), wrapped)

    async def get(self, user_id: UserId, purpose: str) -> bytes | None:
        """Return a user's key, None where there is none."""
        return await self._run(self._get, self._file(user_id, purpose))

    async def delete(self, user_id: UserId, purpose: str) -> None:
        """Destroy a user's key; no key is no fault."""
        await self._run(self._delete, self._file(user_id, purpose))

    async def finish(self) -> None:
        """Destroy what a crash left of keys that were being destroyed."""
        await self._run(self._finish)

    async def names(self) -> list[tuple[UserId, str]]:
        """Return whose keys there are, and their purposes."""
        return await self._run(self._names)

    # --- In a thread --------------------------------------------------------------------------------------------------

    def _put(self, file: Path, wrapped: bytes) -> None:
        write_durably(file, wrapped)

    def _get(self, file: Path) -> bytes | None:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None

    def _delete(self, file: Path) -> None:
        # A reader finds the key or none, never one that is half overwritten.
        with suppress(FileNotFoundError):
            file.rename(file.with_name(f"{_DOOMED}{secrets.token_hex(8)}"))
            sync_path(self._folder)
        for unfinished in self._folder.glob(f".new-{file.name}-*"):
            destroy_file(unfinished)
        self._finish()

    def _finish(self) -> None:
        for doomed in self._folder.glob(f"{_DOOMED}*"):
            destroy_file(doomed)
        sync_path(self._folder)

    def _names(self) -> list[tuple[UserId, str]]:
        stems = sorted(file.stem for file in self._folder.glob(f"*{_SUFFIX}"))
        pairs = (stem.rpartition(".") for stem in stems if not stem.startswith("."))
        return [(UserId(user_id), purpose) for user_id, _, purpose in pairs]

    def _file(self, user_id: UserId, purpose: str) -> Path:
        for part in (user_id, purpose):
            if not _NAME.fullmatch(part):
                raise ValueError(f"received {part[:120]!r}, expected a name of letters, digits, _ and -")
        return self._folder / f"{user_id}.{purpose}{_SUFFIX}"

    async def _run(self, work: Callable[P, Answer], *arguments: P.args, **named: P.kwargs) -> Answer:
        try:
            return await asyncio.to_thread(work, *arguments, **named)
        except OSError as error:
            raise StoreUnavailable(f"the key store cannot be used: {error.strerror}") from error


def destroy_file(file: Path) -> None:
    """Overwrite and remove *file*, which another process may be destroying as well."""
    with suppress(FileNotFoundError):
        descriptor = os.open(file, os.O_WRONLY)
        try:
            os.write(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file.unlink()
