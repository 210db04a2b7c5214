"""Seeded schedules of faults at named points, and the judge that has to notice when anything comes of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields

import psycopg
import pytest
from msgspec.structs import replace

from adapters.nats.stream import StreamLimits, create_stream, encode, subject_of
from infra.database import DatabaseUrls
from infra.embedded.nats import EmbeddedNats
from infra.faults.core import Core, running_core
from infra.faults.ledger import Ledger
from infra.faults.oracle import Findings, judge
from infra.faults.points import EVERY_POINT, GROUPS
from infra.faults.schedules import SEEDS_FOR_EVERY_POINT, ScheduleFailed, play, schedule_of
from infra.keys import ensure_keys
from projections.risk import RISK
from tests.support.servers import make_test_home, remove_test_home

ROUNDS = 7
SEEDS_EACH = 15
assert ROUNDS * SEEDS_EACH >= 100
assert SEEDS_EACH >= SEEDS_FOR_EVERY_POINT


@asynccontextmanager
async def core_on(database: DatabaseUrls) -> AsyncIterator[Core]:
    """A core on a NATS server of its own, which it may kill and wipe."""
    home = make_test_home()
    home.prepare()
    nats_server = EmbeddedNats(home, ensure_keys(home, tell=False))
    try:
        await nats_server.start()
        async with running_core(database, nats_server, Ledger()) as core:
            yield core
    finally:
        await nats_server.stop()
        remove_test_home(home)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_no_schedule_of_faults_loses_repeats_or_reorders_anything(database: DatabaseUrls, number: int) -> None:
    async with core_on(database) as core:
        for seed in range(number * SEEDS_EACH, (number + 1) * SEEDS_EACH):
            findings = await play(core, seed)
            if findings:
                raise ScheduleFailed(schedule_of(seed), str(findings))
        assert [point.name for point in EVERY_POINT if not core.reached[point]] == []
        assert len(core.ledger.answers) == len(core.ledger.asked) > 15 * SEEDS_EACH


def test_a_seed_means_the_same_schedule_every_time() -> None:
    for seed in range(200):
        schedule = schedule_of(seed)
        assert schedule == schedule_of(seed)
        for wave in schedule.waves:
            assert all(len([point for point in wave if point in group]) <= 1 for group in GROUPS)
    assert sorted(point for group in GROUPS for point in group) == sorted(EVERY_POINT)


async def test_the_judge_notices_whatever_is_not_as_it_was_told(database: DatabaseUrls) -> None:
    async with core_on(database) as core:
        assert not await play(core, 3)
        ledger = core.ledger
        await core.stop_relay()
        name = next(name for name in ledger.answers if ledger.is_final(name) and len(ledger.answers[name].events) > 1)
        told = ledger.answers[name]

        ledger.answers[name] = replace(told, events=told.events[:1])
        assert kinds(await judge(core.evidence())) == {"lost"}
        ledger.answers[name] = replace(told, last_sequence=told.last_sequence + 1, first_sequence=1)
        assert kinds(await judge(core.evidence())) >= {"lost", "duplicated"}
        ledger.answers[name] = told
        client = ledger.asked[name].client
        ledger.asked = dict(reversed(ledger.asked.items()))
        assert any(client in text for text in (await judge(core.evidence())).reordered)
        ledger.asked = dict(reversed(ledger.asked.items()))
        asked = ledger.asked.pop(name)
        assert kinds(await judge(core.evidence())) == {"differences"}
        ledger.asked = {name: asked} | ledger.asked
        ledger.contradictions.append("told twice")
        assert "duplicated" in kinds(await judge(core.evidence()))
        ledger.contradictions.clear()


async def test_the_judge_notices_whatever_is_touched(database: DatabaseUrls) -> None:
    async with core_on(database) as core:
        assert not await play(core, 3)
        await core.stop_relay()
        head = (await core.log.head()).sequence
        with psycopg.connect(database.admin, autocommit=True) as admin:
            for do, undo, expected in (
                (
                    "UPDATE log.head SET sequence = sequence - 1",
                    "UPDATE log.head SET sequence = sequence + 1",
                    {"differences"},
                ),
                (
                    "UPDATE log.streams SET version = version + 1",
                    "UPDATE log.streams SET version = version - 1",
                    {"differences"},
                ),
                (
                    "UPDATE log.commands SET last_sequence = last_sequence + 1",
                    "UPDATE log.commands SET last_sequence = last_sequence - 1",
                    {"duplicated"},
                ),
                (
                    f"UPDATE views.{RISK.table_name} SET realised_paise = realised_paise + 1",  # noqa: S608 - ours
                    f"UPDATE views.{RISK.table_name} SET realised_paise = realised_paise - 1",  # noqa: S608 - ours
                    {"differences"},
                ),
                (
                    "UPDATE log.events SET version = version + 1000 WHERE sequence = 5",
                    "UPDATE log.events SET version = version - 1000 WHERE sequence = 5",
                    {"reordered", "differences"},
                ),
            ):
                admin.execute(do)
                assert kinds(await judge(core.evidence())) >= expected, do
                admin.execute(undo)
                assert not await judge(core.evidence()), undo

        events = await core.log.read_all(after_sequence=0, limit=head)
        await core.nats.jetstream().delete_stream(core.stream)
        await create_stream(core.nats, core.epoch, first_sequence=1, limits=StreamLimits())
        for event in (*events[:5], replace(events[5], payload=b"{}"), *events[7:8], *events[7:]):
            await core.nats.jetstream().publish(subject_of(core.epoch, event.stream_id), encode(event))
        assert kinds(await judge(core.evidence())) == {"differences", "reordered"}
        await core.nats.jetstream().delete_stream(core.stream)
        await create_stream(core.nats, core.epoch, first_sequence=head, limits=StreamLimits())
        assert kinds(await judge(core.evidence())) == {"lost"}


def kinds(findings: Findings) -> set[str]:
    return {each.name for each in fields(findings) if getattr(findings, each.name)}
