"""The log in PostgreSQL and the log in memory agree about every batch."""

import asyncio
from collections.abc import Sequence
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, Appended, Claim, EventStore, NewEvent, StreamAppend
from domain.envelope import is_intact
from infra.database import DatabaseUrls

_numbers = count(1)
_versions = st.integers(min_value=0, max_value=3)
_parts = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), _versions, st.integers(min_value=0, max_value=2)),
    min_size=1,
    max_size=2,
    unique_by=lambda part: part[0],
)
_commands = st.tuples(
    _parts,
    st.none() | st.sampled_from(["k", "l"]),
    st.sampled_from([b"one request", b"another"]),
    st.none() | st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from(["usr_1", "usr_2"])),
)
_runs = st.lists(st.lists(_commands, min_size=1, max_size=8), min_size=1, max_size=3)


def _append(drawn: tuple, number: int, example: int) -> Append:  # type: ignore[type-arg]
    parts, key, request, claim = drawn
    return Append(
        command_id=f"cmd_{example}_{number}",
        streams=tuple(
            StreamAppend(
                stream_id=f"{stream}-{example}",
                expected_version=version,
                events=tuple(NewEvent(name="x.v1", payload=b"%d" % place) for place in range(events)),
            )
            for stream, version, events in parts
        ),
        metadata=b"{}",
        scope=f"scope-{example}",
        key=key,
        request_hash=request,
        claim=Claim(kind=f"kind-{example}", key_hash=claim[0], owner=claim[1]) if claim else None,
    )


async def _outcomes(store: EventStore, batches: Sequence[Sequence[Append]]) -> list[tuple[object, ...]]:
    """Hand the batches in one after another, and tell what became of each command, sequences from the first on."""
    start = (await store.head()).sequence
    outcomes: list[tuple[object, ...]] = []
    for batch in batches:
        for done in await asyncio.gather(*(store.append(append) for append in batch), return_exceptions=True):
            if isinstance(done, Appended):
                outcomes.append((done.first_sequence - start, done.last_sequence - start, done.repeated))
            else:
                outcomes.append((type(done),))
    events = await store.read_all(after_sequence=start, limit=10_000)
    assert all(is_intact(event) for event in events)
    outcomes += [(event.stream_id, event.version, event.command_id, event.payload) for event in events]
    return outcomes


def test_both_stores_decide_alike(database: DatabaseUrls) -> None:
    with asyncio.Runner() as runner:
        postgres = PostgresEventStore(database.writer)
        runner.run(postgres.start())

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(drawn=_runs)
        def check(drawn: list[list[tuple]]) -> None:  # type: ignore[type-arg]
            example = next(_numbers)
            numbers = count(1)
            batches = [[_append(one, next(numbers), example) for one in batch] for batch in drawn]
            expected = runner.run(_outcomes(MemoryEventStore(), batches))
            assert runner.run(_outcomes(postgres, batches)) == expected

        try:
            check()
        finally:
            runner.run(postgres.close())
