"""What every test may ask for: a database of its own and the real NATS."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from infra.database import DatabaseUrls
from tests.support.distribution import EnginesFirst
from tests.support.servers import Servers, delete_streams, fresh_database, running_servers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> EnginesFirst:
    """Say which tests go to which process."""
    return EnginesFirst(config, log)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The running servers of this test process."""
    with running_servers() as running:
        yield running


@pytest.fixture
def database(servers: Servers) -> Iterator[DatabaseUrls]:
    """A fresh migrated database, and how each role reaches it."""
    with fresh_database(servers) as urls:
        yield urls


@pytest.fixture
async def nats_url(servers: Servers) -> AsyncIterator[str]:
    """The real NATS; streams that the test makes are gone afterwards."""
    yield servers.nats_url
    await delete_streams(servers.nats_url)
