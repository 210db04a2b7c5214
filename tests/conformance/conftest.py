"""The venue at which every case is played, once for each broker."""

import pytest

from tests.support.conformance import HARNESSES, OpenVenue


@pytest.fixture(params=list(HARNESSES))
def open_venue(request: pytest.FixtureRequest) -> OpenVenue:
    """How to open the venue of one broker."""
    return HARNESSES[request.param]
