"""The lines that README and documentation show, read from the pages themselves and typed as printed."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"
API_PAGE = README.parent / "docs" / "api.md"
PRINTED_API = "http://127.0.0.1:8000"
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:.*\\\n)*.*[^\\]\n")
_DONE = "-- done --"


def blocks_of(section: str) -> list[str]:
    """Return the blocks of shell lines in a *section* of the README, named by its heading."""
    _, found, rest = README.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    assert found, f"the README has no section {section!r}"
    return _BLOCK.findall(rest.partition("\n## ")[0])


def snippets_of(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of every block of a page, in their order."""
    return _SNIPPET.findall(page.read_text(encoding="utf-8"))


def commands_of(block: str) -> list[str]:
    """Return a block's commands, each with the lines that continue it."""
    return _COMMAND.findall(block)


class Terminal:
    """A shell that keeps its variables from block to block. The address of the API is replaced in what is typed."""

    def __init__(self, shell: asyncio.subprocess.Process, api_url: str) -> None:
        self._shell = shell
        self._api_url = api_url

    async def type(self, lines: str) -> list[dict[str, Any]]:
        """Run *lines* and return every JSON document that they print."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{lines.replace(PRINTED_API, self._api_url)}\necho '{_DONE}'\n".encode())
        printed = await self._shell.stdout.readuntil(_DONE.encode())
        return _documents(printed.decode().removesuffix(_DONE))


@asynccontextmanager
async def terminal(api_url: str, *, home: Path | None = None) -> AsyncIterator[Terminal]:
    """Open a terminal beside the engine at *api_url*; *home* is what `khata` takes for the engine's home folder.

    A line that fails ends it, and what is typed next raises.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if home is not None:
        environment["KHATA_HOME"] = str(home)
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_exec(
        "bash", "-eu", "-o", "pipefail", stdin=pipe, stdout=pipe, env=environment
    )
    assert shell.stdin is not None
    try:
        yield Terminal(shell, api_url)
    finally:
        shell.stdin.close()
        await shell.wait()


def _documents(text: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder()
    found = []
    rest = text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found
