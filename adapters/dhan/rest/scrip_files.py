"""The venue's scrip master: downloaded whole, or not at all."""

import asyncio
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path

from adapters.dhan.http.client import HttpClient, HttpRequest, NoAnswer
from adapters.dhan.settings import DhanSettings
from commands.ports import BrokerUnavailable

_PART_SUFFIX = ".part"


class ScripLayout(StrEnum):
    """Which of the two files. The values are the venue's names of them."""

    COMPACT = "api-scrip-master.csv"
    DETAILED = "api-scrip-master-detailed.csv"


class ScripFiles:
    """Where the venue's list of instruments comes from. It asks for no token."""

    def __init__(self, client: HttpClient, settings: DhanSettings) -> None:
        self._client = client
        self._settings = settings

    async def download(self, layout: ScripLayout, folder: Path) -> Path:
        """Put today's file into *folder* and return its path. What is there under its name is replaced at the end.

        Raises:
            BrokerUnavailable: it did not come, or not whole. What was there before is untouched.
        """
        path = folder / layout.value
        part = path.with_suffix(path.suffix + _PART_SUFFIX)
        request = HttpRequest(
            method="GET",
            url=f"{self._settings.files_url}/{layout.value}",
            timeout_s=self._settings.file_timeout_s,
        )
        try:
            with await asyncio.to_thread(part.open, "wb") as file:
                answer = await self._client.download(request, file)
            if isinstance(answer, NoAnswer):
                raise BrokerUnavailable(f"download of {layout.value}: {answer.cause}")
            size = part.stat().st_size
            if answer.status != HTTPStatus.OK or not size:
                raise BrokerUnavailable(f"download of {layout.value}: HTTP {answer.status} with {size} bytes")
            await asyncio.to_thread(part.replace, path)
        finally:
            part.unlink(missing_ok=True)
        return path
