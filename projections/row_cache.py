"""The rows that a projector wrote or read last, so that it does not ask for them with every batch.

They are what the table has as long as nobody else writes to it, which the fenced checkpoint sees to: whoever finds it
moved drops the cache. Bounded: the rows that were not used for longest are forgotten, half of them at a time.
"""

from collections.abc import Iterable, Mapping

from projections.read_model import Key, Row

ROWS_MAX = 60_000


class RowCache:
    """Rows of one edition by key; None where it is known that there is none."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._newer: dict[Key, Row | None] = {}
        self._older: dict[Key, Row | None] = {}

    def take(self, keys: Iterable[Key], rows: dict[Key, Row | None]) -> list[Key]:
        """Put the rows under *keys* that are here into *rows*, and return the keys of the others."""
        newer, older, missing = self._newer, self._older, []
        for key in keys:
            if key in newer:
                rows[key] = newer[key]
            elif key in older:
                rows[key] = newer[key] = older.pop(key)
            else:
                missing.append(key)
        return missing

    def put(self, rows: Mapping[Key, Row | None]) -> None:
        """Keep *rows*, which the table has by now."""
        self._newer.update(rows)
        if len(self._newer) > self._rows_max // 2:
            self._older, self._newer = self._newer, {}

    def forget(self, keys: Iterable[Key]) -> None:
        """Know nothing of the rows under *keys* any more."""
        for key in keys:
            self._newer.pop(key, None)
            self._older.pop(key, None)

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)
