"""The pages about the API: whole, and without anybody else's help."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.support.api import ApiWorld


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    yield made
    await made.client.aclose()


async def test_the_documentation_loads_only_what_the_api_itself_serves(world: ApiWorld) -> None:
    page = await world.client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        answer = await world.client.get(path)
        assert (answer.status_code, len(answer.content) > 100) == (200, True)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "://" not in page.text


async def test_no_script_runs_in_a_page_but_from_a_file_of_ours(world: ApiWorld) -> None:
    page = await world.client.get("/docs")
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []
    for path in ("/docs/errors", "/openapi.json", "/healthz", "/api/trades"):
        other = (await world.client.get(path)).headers["Content-Security-Policy"]
        assert other.startswith("default-src 'none'")
        assert "script-src" not in other


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2f__init__.py", "%2e%2e/core.py", "nothing"])
async def test_no_other_file_is_served(world: ApiWorld, name: str) -> None:
    assert (await world.client.get(f"/docs/{name}")).status_code == 404
