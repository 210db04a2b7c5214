"""Real logs in small partitions, with anchors."""

from pathlib import Path

from adapters.anchor_file import AnchorFile
from adapters.clock import SystemClock
from adapters.postgres.anchored_log import PostgresAnchoredLog
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresEventStore
from adapters.security.anchors import AnchorKey
from commands.ports import NewEvent, StreamAppend
from domain.integrity.anchors import CheckedAnchors, check_anchors
from infra.database import DatabaseUrls
from infra.keys import Keys
from projections.integrity.anchoring import Anchoring
from tests.support.appends import command

STREAMS = (*(f"account-{number}" for number in range(7)), "user-a", "user-b")


class LogWriter:
    """Writes commands of one to four events, most of them with a key, all over `STREAMS`."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self._ends = dict.fromkeys(STREAMS, 0)
        self._number = 0
        self.sequence = 0

    async def write_to(self, sequence: int, *, most: int = 4) -> None:
        """Write until the log ends at *sequence*."""
        while self.sequence < sequence:
            self._number += 1
            number = self._number
            stream = STREAMS[number * 5 % len(STREAMS)]
            count = min(1 + number % most, sequence - self.sequence)
            events = tuple(
                NewEvent(name="thing.happened.v1", payload=b'{"number":%d,"of":%d}' % (number, place))
                for place in range(count)
            )
            part = StreamAppend(stream_id=stream, expected_version=self._ends[stream], events=events)
            key = f"key-{number}" if number % 6 else None
            appended = await self._store.append(command(part, key=key, request=b"request %d" % number))
            self._ends[stream] += count
            self.sequence = appended.last_sequence


async def anchor(database: DatabaseUrls, keys: Keys, path: Path, *, every_events: int = 100) -> CheckedAnchors:
    """Anchor the log as it is, and return what the anchors say."""
    sink = AnchorFile(path)
    async with Database(database.writer) as writer:
        anchoring = Anchoring(
            PostgresAnchoredLog(writer),
            sink=sink,
            signer=AnchorKey(keys.signing_pem),
            clock=SystemClock(),
            every_events=every_events,
        )
        await anchoring.anchor_now()
    sink.close()
    return anchors_in(keys, path)


def anchors_in(keys: Keys, path: Path) -> CheckedAnchors:
    return check_anchors(AnchorFile(path).lines(), AnchorKey(keys.signing_pem).verify)
