"""The same worlds over real HTTP, the simulator's own server at the other end, come to the same verdicts."""

import pytest

from infra.worlds.living import live
from infra.worlds.plan import plan_of
from tests.support.socket_worlds import live_over_sockets
from tests.support.worlds import one_trade

SEEDS = range(1, 4)


@pytest.mark.timeout(240)  # Seconds of work, on a machine that may be busy with other tests.
def test_a_quiet_world_is_the_same_over_sockets() -> None:
    in_memory, (over_sockets, carried) = live(one_trade), live_over_sockets(one_trade)
    assert over_sockets.findings == in_memory.findings == ()
    assert over_sockets.intents == in_memory.intents
    assert carried > 20


@pytest.mark.timeout(240)  # Likewise.
@pytest.mark.parametrize("seed", SEEDS)
def test_a_stormy_world_ends_with_nothing_wrong_over_sockets_too(seed: int) -> None:
    verdict, carried = live_over_sockets(plan_of(seed))
    assert not verdict.is_wrong, verdict.findings
    assert not live(plan_of(seed)).is_wrong
    assert carried > 0
