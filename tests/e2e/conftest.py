"""The engine that tests at real speed share."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.running import RunningEngine, throwaway_home


@pytest.fixture(scope="session")
def engine() -> Iterator[RunningEngine]:
    """An engine as `make up` starts it: no settings but the home and free ports. Whoever stops it starts it again."""
    with throwaway_home() as home:
        running = RunningEngine(home)
        try:
            asyncio.run(running.start())
            yield running
        finally:
            asyncio.run(running.abandon())
