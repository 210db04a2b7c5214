"""The engine that tests at real speed share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import RunningEngine, throwaway_home

_HERE = Path(__file__).parent
_shared: list[RunningEngine] = []


@pytest.fixture(scope="session")
def engine() -> Iterator[RunningEngine]:
    """An engine as `make up` starts it: no settings but the home and free ports. Whoever stops it starts it again."""
    with throwaway_home() as home:
        running = RunningEngine(home)
        try:
            asyncio.run(running.start())
            _shared.append(running)
            yield running
        finally:
            asyncio.run(running.abandon())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """End the shared engine behind the last test here: all others would have to share the machine with it."""
    if nextitem is None or not nextitem.path.is_relative_to(_HERE):
        while _shared:
            asyncio.run(_shared.pop().abandon())
