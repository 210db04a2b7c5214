"""A process that writes to the log in every way there is, others beside it: `python -m tests.support.busy_writer`.

Takes a seed and a number of rounds, and the writer's address from the environment. Prints the ranges of sequences that
it was told as JSON.
"""

import asyncio
import json
import os
import random
import sys

from psycopg import AsyncConnection

from adapters.postgres.arrays import register_arrays
from adapters.postgres.entries import APPEND, entry_of, parameters_of
from adapters.postgres.event_store import PostgresEventStore
from commands.ports import Append, NewEvent, StreamAppend, VersionConflict

STREAMS = 5
HELD_S = 0.02


async def write(seed: int, rounds: int) -> list[tuple[int, int]]:
    chance = random.Random(seed)  # noqa: S311 - no secret
    told: list[tuple[int, int]] = []
    conninfo = os.environ["WRITER"]
    async with (
        PostgresEventStore(conninfo) as store,
        await AsyncConnection.connect(conninfo) as slow,
    ):
        register_arrays(slow)
        for number in range(rounds):
            ids = [f"cmd_{seed}_{number}_{place}" for place in range(chance.randint(1, 20))]
            match chance.choice(("together", "together", "load", "slowly", "given up")):
                case "together":
                    made = [await appended_to(store, command_id, chance) for command_id in ids]
                    outcomes = await asyncio.gather(*map(store.append, made), return_exceptions=True)
                    for outcome in outcomes:
                        if isinstance(outcome, VersionConflict):
                            continue
                        if isinstance(outcome, BaseException):
                            raise outcome
                        told.append((outcome.first_sequence, outcome.last_sequence))
                case "load":
                    # A stream of its own: a load wants its order kept.
                    before = len(await store.read_stream(f"load-{seed}"))
                    made = [append(command_id, f"load-{seed}", before + place) for place, command_id in enumerate(ids)]
                    await store.append_bulk(made)
                    stored = await store.read_stream(f"load-{seed}", after_version=before)
                    told += [(event.sequence, event.sequence) for event in stored]
                case way:
                    entry = entry_of(await appended_to(store, ids[0], chance))
                    cursor = await slow.execute(APPEND, parameters_of([entry]))
                    row = await cursor.fetchone()
                    assert row is not None
                    statuses, firsts, lasts, _ = row
                    await asyncio.sleep(HELD_S)  # With the log's lock held.
                    if way == "given up":
                        await slow.rollback()
                        continue
                    await slow.commit()
                    if statuses == ["appended"]:
                        told.append((firsts[0], lasts[0]))
    return told


async def appended_to(store: PostgresEventStore, command_id: str, chance: random.Random) -> Append:
    """Return a command on a stream that all the processes share."""
    stream_id = f"shared-{chance.randrange(STREAMS)}"
    version = len(await store.read_stream(stream_id))
    return append(command_id, stream_id, version, events=chance.randint(1, 4))


def append(command_id: str, stream_id: str, version: int, *, events: int = 1) -> Append:
    part = StreamAppend(
        stream_id=stream_id,
        expected_version=version,
        events=(NewEvent(name="thing.happened.v1", payload=b"{}"),) * events,
    )
    return Append(command_id=command_id, streams=(part,), metadata=b"{}")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(write(int(sys.argv[1]), int(sys.argv[2])))))
