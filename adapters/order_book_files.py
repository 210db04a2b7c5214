"""The broker's last order book of each day, in files: what it showed of an account before it forgot it."""

import asyncio
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path

import msgspec

from adapters.durable_files import write_durably
from commands.ports import StoreUnavailable, VenueOrder
from domain.ids import AccountId

_HASH_SHOWN = 16
_FOLDER_MODE = 0o700


class OrderBookFiles:
    """Keeps a file for each account and day, named by its content. Implements `commands.ports.BookArchive`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, account_id: AccountId, day: date, rows: Sequence[VenueOrder]) -> None:
        """Keep an account's book of *day*, durable when this returns; the same book again is the same file.

        Raises:
            StoreUnavailable: the file could not be written.
        """
        content = msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n"
        name = f"{day.isoformat()}-{sha256(content).hexdigest()[:_HASH_SHOWN]}.json"
        try:
            await asyncio.to_thread(self._write, account_id, name, content)
        except OSError as error:
            raise StoreUnavailable(f"the order book of {day} is not kept: {error}") from error

    def _write(self, account_id: AccountId, name: str, content: bytes) -> None:
        folder = self._folder / account_id
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        write_durably(folder / name, content)
