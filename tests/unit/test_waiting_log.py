"""A log that waits for its server."""

from adapters.postgres.waiting_log import WaitingLog
from commands.ports import Head, StoreUnavailable
from domain.envelope import RecordedEvent
from domain.user.events import UserRegistered
from tests.support.log_writing import recorded_log
from tests.support.memory_log import MemoryLog
from tests.support.specimens import user_registered


class Flickering(MemoryLog):
    """Away every other time."""

    def __init__(self, events: list[RecordedEvent]) -> None:
        super().__init__(events)
        self._calls = 0

    def _flicker(self) -> None:
        self._calls += 1
        if self._calls % 2:
            raise StoreUnavailable("away")

    async def read_all(self, *, after_sequence: int, limit: int = 1000) -> list[RecordedEvent]:
        self._flicker()
        return await super().read_all(after_sequence=after_sequence, limit=limit)

    async def read_span(
        self, stream_id: str, *, after_version: int, after_sequence: int, last_sequence: int, limit: int | None = None
    ) -> list[RecordedEvent]:
        self._flicker()
        return await super().read_span(
            stream_id,
            after_version=after_version,
            after_sequence=after_sequence,
            last_sequence=last_sequence,
            limit=limit,
        )

    async def sequence_at(self, time_us: int) -> int:
        self._flicker()
        return await super().sequence_at(time_us)

    async def head(self) -> Head:
        self._flicker()
        return await super().head()


async def test_a_server_that_is_away_costs_nothing_but_time() -> None:
    event: UserRegistered = user_registered
    events = recorded_log([("user-1", event), ("user-2", event), ("user-1", event)])
    log = WaitingLog(Flickering(events))
    assert await log.read_all(after_sequence=1, limit=1) == events[1:2]
    span = await log.read_span("user-1", after_version=0, after_sequence=0, last_sequence=3, limit=2)
    assert span == [events[0], events[2]]
    assert await log.sequence_at(events[1].recorded_at_us) == 2
    assert (await log.head()).sequence == 3
