"""Proof that the read models are what the log says: every row of every table against a fold in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from projections.batches import read_batch
from projections.ports import LogReader, ViewSnapshot, ViewsReader
from projections.read_model import AnyReadModel, Key, Row, fold

PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row that is not what the log says. `columns` are those that differ; `expected`, `found` None: no such row."""

    model: str
    checkpoint: int
    key: Key
    columns: tuple[str, ...]
    expected: Row | None
    found: Row | None

    def __str__(self) -> str:
        name = f"{self.model} {'/'.join(self.key)} at {self.checkpoint}"
        if self.found is None:
            return f"{name}: missing"
        if self.expected is None:
            return f"{name}: the log knows nothing of it"
        pairs = (f"{c}: expected {getattr(self.expected, c)!r}, found {getattr(self.found, c)!r}" for c in self.columns)
        return f"{name}: {', '.join(pairs)}"


class LogNotReadable(Exception):
    """An event of the log cannot be folded by this release, so nothing can be said of what follows it."""


async def differences(models: Sequence[AnyReadModel], *, log: LogReader, views: ViewsReader) -> list[Difference]:
    """Return every row of *models* that differs from a fold of the log up to the model's checkpoint; none: all is well.

    Raises:
        LogNotReadable
    """
    snapshots = {model: await views.snapshot(model) for model in models}
    folded = await _fold_log(snapshots, log)
    found: list[Difference] = []
    for model, snapshot in snapshots.items():
        found += _differences_of(model, snapshot, folded[model])
    return found


async def _fold_log(
    snapshots: dict[AnyReadModel, ViewSnapshot], log: LogReader
) -> dict[AnyReadModel, dict[Key, Row | None]]:
    rows: dict[AnyReadModel, dict[Key, Row | None]] = {model: {} for model in snapshots}
    last = max((snapshot.checkpoint for snapshot in snapshots.values()), default=0)
    sequence = 0
    while sequence < last:
        page = await log.read_all(after_sequence=sequence, limit=min(PAGE, last - sequence))
        if not page:
            raise LogNotReadable(f"the views have reached sequence {last}, the log ends at {sequence}")
        reading = read_batch(page)
        if reading.obstacle is not None:
            raise LogNotReadable(reading.obstacle)
        for model, snapshot in snapshots.items():
            known = (
                (each.event, each.recorded)
                for each in reading.decoded
                if each.event is not None and each.recorded.sequence <= snapshot.checkpoint
            )
            fold(model, known, rows[model])
        sequence = page[-1].sequence
    return rows


def _differences_of(model: AnyReadModel, snapshot: ViewSnapshot, folded: dict[Key, Row | None]) -> list[Difference]:
    expected = {key: row for key, row in folded.items() if row is not None}
    found = []
    for key in sorted(expected.keys() | snapshot.rows.keys()):
        right, there = expected.get(key), snapshot.rows.get(key)
        if right != there:
            found.append(
                Difference(
                    model=model.name,
                    checkpoint=snapshot.checkpoint,
                    key=key,
                    columns=_differing(right, there),
                    expected=right,
                    found=there,
                )
            )
    return found


def _differing(right: Row | None, there: Row | None) -> tuple[str, ...]:
    if right is None or there is None:
        return ()
    before: dict[str, Any] = msgspec.structs.asdict(right)
    return tuple(name for name, value in before.items() if getattr(there, name) != value)
