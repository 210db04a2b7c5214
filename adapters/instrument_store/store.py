"""Versions of the instrument master in a folder.

`3-1f0c….parquet` is the whole history up to version 3, and `3-1f0c….index` what processes of the engine look into; its
name has the beginning of the content's hash. `current.json` says which version is in use. Files are written whole and
under a name of their own before `current.json` points to them, so a reader has the old version or the new one. Of the
versions before, the newest few stay.
"""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from adapters.durable_files import write_durably
from adapters.instrument_store.index import Index, IndexUnreadable, index_of
from adapters.instrument_store.master import StoredMaster

if TYPE_CHECKING:
    import polars as pl

_CURRENT = "current.json"
_KEPT_VERSIONS = 5
_HASH_DIGITS = 12
_FOLDER_MODE = 0o700


class MasterVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the master: the exchange's day it is of (ISO), the SHA-256 of what is listed and of the file."""

    version: int
    day: str
    content_hash: str
    history_hash: str

    @property
    def name(self) -> str:
        """What its files are named by."""
        return f"{self.version}-{self.content_hash[:_HASH_DIGITS]}"


class MasterDamaged(Exception):
    """Files of the master are missing or are not as they were written."""


class InstrumentStore:
    """The versions in *folder*, which is made when the first is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def current(self) -> MasterVersion | None:
        """Return the version in use, None where nothing was imported.

        Raises:
            MasterDamaged: the file that says so cannot be read.
        """
        path = self._folder / _CURRENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=MasterVersion)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise MasterDamaged(f"{path} cannot be read: {error}") from error

    def master(self) -> StoredMaster | None:
        """Return the version in use, None where nothing was imported; an index that is missing is made again.

        Raises:
            MasterDamaged
        """
        current = self.current()
        if current is None:
            return None
        path = self._index_path(current)
        try:
            return StoredMaster(Index(path), version=current.version)
        except (FileNotFoundError, IndexUnreadable):
            self._write_index(current, self.history(current))
        except OSError as error:
            raise MasterDamaged(f"{path} cannot be read: {error.strerror}") from error
        return StoredMaster(Index(path), version=current.version)

    def history(self, version: MasterVersion) -> "pl.DataFrame":
        """Return the history up to *version*. Raises MasterDamaged."""
        import polars as pl  # noqa: PLC0415 - it takes a while to load, and most processes only look into the index

        path = self._history_path(version)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MasterDamaged(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != version.history_hash:
            raise MasterDamaged(f"{path} is not as it was written")
        return pl.read_parquet(BytesIO(content))

    def write(self, history: "pl.DataFrame", *, version: int, day: str) -> MasterVersion:
        """Write *history* as *version*, durably, without taking it into use. Raises OSError where there is no room."""
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        buffer = BytesIO()
        history.write_parquet(buffer, compression="zstd")
        content = buffer.getvalue()
        written = MasterVersion(
            version=version,
            day=day,
            content_hash=content_hash(history),
            history_hash=hashlib.sha256(content).hexdigest(),
        )
        write_durably(self._history_path(written), content)
        self._write_index(written, history)
        return written

    def use(self, version: MasterVersion) -> None:
        """Take a version that was written into use, and forget those that are long past."""
        write_durably(self._folder / _CURRENT, msgspec.json.encode(version))
        for path in self._folder.glob("*-*.*"):
            number = path.name.partition("-")[0]
            if number.isdigit() and not version.version - _KEPT_VERSIONS < int(number) <= version.version:
                path.unlink(missing_ok=True)

    def _write_index(self, version: MasterVersion, history: "pl.DataFrame") -> None:
        write_durably(self._index_path(version), index_of(history))

    def _history_path(self, version: MasterVersion) -> Path:
        return self._folder / f"{version.name}.parquet"

    def _index_path(self, version: MasterVersion) -> Path:
        return self._folder / f"{version.name}.index"


def content_hash(history: "pl.DataFrame") -> str:
    """Return the SHA-256 of what is listed: definitions without end and their price bands, by key, as CSV."""
    import polars as pl  # noqa: PLC0415 - see above

    from adapters.instrument_store.definitions import CIRCUITS, DEFINITION, KEY  # noqa: PLC0415 - likewise

    listed = history.filter(pl.col("until_version").is_null()).select(*DEFINITION, *CIRCUITS).sort(*KEY)
    return hashlib.sha256(listed.write_csv().encode()).hexdigest()
