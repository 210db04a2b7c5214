"""The engines that the end-to-end tests share: one at real speed, one in lock-step."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.running import RunningEngine, throwaway_home


@pytest.fixture(scope="session")
def engine() -> Iterator[RunningEngine]:
    """An engine as `make up` starts it: no settings but the home and free ports."""
    with throwaway_home() as home:
        running = RunningEngine(home)
        try:
            asyncio.run(running.start())
            yield running
        finally:
            asyncio.run(running.stop())
