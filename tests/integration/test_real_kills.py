"""Every part of an event's way is killed for real, under load: nothing is lost and nothing comes twice."""

import pytest

from infra.embedded.nats import EmbeddedNats
from infra.embedded.postgres import EmbeddedPostgres
from infra.faults.kills import Victim, running_family
from infra.keys import ensure_keys
from infra.migrations.runner import migrate
from tests.support.servers import make_test_home, remove_test_home

SEED = 11


@pytest.mark.timeout(600)
async def test_whoever_is_killed_under_load_nothing_is_lost_and_nothing_comes_twice() -> None:
    home = make_test_home()
    home.prepare()
    keys = ensure_keys(home, tell=False)
    postgres, nats_server = EmbeddedPostgres(home, keys), EmbeddedNats(home, keys)
    try:
        database = await postgres.start()
        await nats_server.start()
        migrate(database.owner)
        async with running_family(database, nats_server, seed=SEED) as family:
            for victim in Victim:
                findings = await family.kill_under_load(victim)
                assert not findings, f"after {victim.name} was killed:\n{findings}"
            ledger = family.ledger
            assert len(ledger.answers) == len(ledger.asked) > 10 * len(Victim)
            assert ledger.repeated > 0, "no writer that was started again met what the killed one had been answered"
    finally:
        await nats_server.stop()
        await postgres.stop()
        remove_test_home(home)
