"""What the engine keeps beside the events of an account in the logs of the bench `history`: snapshots, stored states.

Both are made by the engine's own means from what the log holds. Only the accounts that are asked about have them: those
that a log ends with. For the accounts before, who live through 25 million events, it would take an hour and more.
"""

from collections.abc import Sequence
from typing import cast

import psycopg

from adapters.clock import SystemClock
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.reading import LogReads
from adapters.postgres.snapshots import PostgresSnapshots
from adapters.postgres.stored_states import PostgresStatesStore
from commands.accounts import ACCOUNT_STATES
from commands.ports import Snapshot
from domain.account import decider
from domain.account.events import AccountEvent
from domain.envelope import leaf_of
from domain.events import decode
from infra.database import DatabaseUrls
from projections.read_model import AnyReadModel
from projections.state_keeper import StateKeeper


async def keep_snapshots(urls: DatabaseUrls, streams: Sequence[str], *, every: int) -> int:
    """Keep a snapshot of each account in *streams* as of the last event at which one was due; return how many are."""
    kept = 0
    async with PostgresEventStore(urls.writer) as store:
        snapshots = PostgresSnapshots(store.database)
        for stream_id in streams:
            events = await store.read_stream(stream_id)
            covered = events[: len(events) // every * every]
            if not covered:
                continue
            state = decider.fold(cast("AccountEvent", decode(event.name, event.payload)) for event in covered)
            snapshot = Snapshot(
                stream_id=stream_id,
                version=covered[-1].version,
                sequence=covered[-1].sequence,
                leaf=leaf_of(covered[-1]),
                schema=ACCOUNT_STATES.schema,
                state=ACCOUNT_STATES.encode(state),
            )
            await snapshots.keep(snapshot)
            kept += 1
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) log.snapshots, log.streams")
    return kept


async def store_states(urls: DatabaseUrls, *, after_sequence: int) -> None:
    """Store the states of every account that was opened after *after_sequence*, wherever one was due."""
    async with Database(urls.projector, size=1) as connections:
        log = LogReads(connections)
        head = await log.head()
        states = _StatesOfTheEnd(urls.projector, after_sequence=after_sequence, last_sequence=head.sequence)
        try:
            await StateKeeper(log=log, states=states, clock=SystemClock()).catch_up()
        finally:
            await states.close()
    with psycopg.connect(urls.projector, autocommit=True) as projector:
        projector.execute("VACUUM (ANALYZE) views.stored_states")


class _StatesOfTheEnd(PostgresStatesStore):
    """Says that everything up to *after_sequence* is stored, and that the tables have come to the log's end.

    A portfolio is told by states and the log alone, so nobody fills the tables here.
    """

    def __init__(self, conninfo: str, *, after_sequence: int, last_sequence: int) -> None:
        super().__init__(conninfo)
        self._after_sequence = after_sequence
        self._last_sequence = last_sequence

    async def reached(self, models: Sequence[AnyReadModel]) -> int:  # noqa: ARG002 - of none
        """Return where the log ends."""
        return self._last_sequence

    async def progress(self, models: Sequence[AnyReadModel]) -> int:  # noqa: ARG002 - of any
        """Return where the walk begins."""
        return self._after_sequence
