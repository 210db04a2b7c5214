"""A whole engine is killed part by part while people trade: nothing is lost, and nothing is done twice."""

import sys
from random import Random

import psutil
import pytest

from infra.kills.house import House, running_house
from infra.kills.judge import Request, broker_client_of
from infra.kills.victims import Victim
from tests.support.eventually import eventually
from tests.support.running import throwaway_home

SEED = 11
PEOPLE = 4
PER_SECOND = 8.0
LATE_MS = 4_000
"""Within the time that the engine waits for an answer of the broker, so that it still waits."""
PATIENCE_S = 60.0
AFTERWARDS = (Victim.COMMAND_API, Victim.PROJECTOR, Victim.BACKEND, Victim.RELAY, Victim.EXECUTOR, Victim.POSTGRES)


async def killed_while_an_answer_is_under_way(house: House) -> None:
    """Kill the executor when the broker has an order and has not answered yet."""
    asked, met = house.people[0], eventually(house.broker.has_met_its_faults, within_s=PATIENCE_S)
    client_id = broker_client_of(asked.account_id)
    await house.broker.order_fault(kind="delay", delay_ms=LATE_MS, client_id=client_id)
    await met
    await house.kill(Victim.EXECUTOR)


def learned_otherwise(house: House) -> int:
    """Count the orders of which the broker has let us know by anything but its answer, which may come to nobody."""
    acknowledged = [event for event in house.witness._events if event.name.startswith("order.acknowledged.")]
    return sum(event.body["evidence"] != "answer" for event in acknowledged)


def is_forked(house: House) -> bool:
    """Tell whether the executor's process came from the stem, where there is one: it is called by its roles then."""
    name = psutil.Process(house.engine.process_of("executor").pid).name()
    return name == "executor-market" or sys.platform != "linux"


async def asked_again(house: House) -> list[Request]:
    """Ask some of what was accepted once more, under its key, and return it with both answers."""
    return [await house.people[0].ask_again(request) for request in house.people[0].accepted()[:3]]


@pytest.mark.timeout(600)
async def test_whoever_is_killed_under_load_nothing_is_lost_and_nothing_comes_twice() -> None:
    with throwaway_home() as home:
        async with running_house(home, people=PEOPLE, order_lookup_window_ms=500) as house:
            async with house.load(Random(SEED), per_second=PER_SECOND):  # noqa: S311 - no secret
                assert is_forked(house), "it has to come back as it does for people: from the stem"
                await killed_while_an_answer_is_under_way(house)
                await house.wipe_transport()
                for victim in AFTERWARDS:
                    await house.kill(victim)
            repeated = await asked_again(house)
            findings = await house.judged()

            assert not findings, str(findings)
            assert house.ledger.accepted() > PEOPLE
            assert repeated
            assert all(len(request.answers) >= 2 for request in repeated)
            assert learned_otherwise(house) > 0, "no answer was under way when its sender died"
            assert house.witness.count("order.submitting") >= len(house.kills)
            assert len(house.kills) >= 8
