"""How much goes into one batch, and so under one hold of the log's lock."""

from adapters.postgres.entries import Entry

COMMANDS_MAX = 1024
EVENTS_MAX = 1_000
BYTES_MAX = 8 * 1024 * 1024


class Room:
    """What a batch still has room for.

    Two entries with one (scope, key), with one claim, or with one tracking, never share a batch: the statement looks
    them up once, at its start. The first entry always finds room.
    """

    def __init__(self, commands_max: int = COMMANDS_MAX) -> None:
        self._commands = commands_max
        self._events = EVENTS_MAX
        self._bytes = BYTES_MAX
        self._is_empty = True
        self._taken: set[tuple[str, ...] | tuple[str, bytes]] = set()

    def take(self, entry: Entry) -> bool:
        """Give *entry* its place, or tell that it has to wait for the next batch."""
        events, size = self._events - entry.events, self._bytes - entry.size
        if not self._is_empty and (
            self._commands == 0 or events < 0 or size < 0 or not self._taken.isdisjoint(entry.alone_with)
        ):
            return False
        self._is_empty = False
        self._commands -= 1
        self._events, self._bytes = events, size
        self._taken.update(entry.alone_with)
        return True
